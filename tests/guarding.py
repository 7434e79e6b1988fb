"""Guards for tests, as a configuration would give them."""

from typing import Any

from canary.core.assessed import GuardState
from canary.core.revision import Limits
from canary.core.strategy import Guard, GuardAction, Metric, MetricKind
from canary.core.vocabulary import CPU, MEMORY, PROCESS
from tests.core.builders import START

MIB = 2.0**20
QUEUE = Metric("queue", MetricKind.GAUGE, gauge="shop_queue")
GAUGES = (PROCESS[MEMORY], PROCESS[CPU], QUEUE)


def guard(condition: str, action: str = "abort", *, name: str = "it", alert: bool = False) -> Guard:
    """A guard called `it`, unless told otherwise."""
    return Guard(name, condition, GuardAction(action), alert)


def guarded_by(*guards: Guard, **changes: Any) -> dict[str, Any]:
    """What a strategy with these guards has beyond one without. Pods have a limit of 100 MiB and a core."""
    return {"guards": guards, "gauges": GAUGES, "limits": Limits(100 * MIB, 1.0), **changes}


def standing(action: str = "abort", *, firing: bool = True, **fields: Any) -> GuardState:
    """How a guard over memory stands: by default it fires, since 30 s after the start."""
    base: dict[str, Any] = {
        "firing": firing,
        "fired": firing,
        "truth": firing,
        "since": START + 30,
        "told": "memory_usage 93% (web-1)",
    }
    asked = guard("memory_usage > 90% for 30s", action, name="memory")
    return GuardState(asked, **{**base, **fields})
