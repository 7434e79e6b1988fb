"""The guards of `canary.yaml`: their conditions read, and what they need of the source."""

from collections.abc import Iterator

from canary.config.compared import metrics_of
from canary.config.document import Place
from canary.config.schema import File
from canary.core.strategy import Guard, GuardAction, Metric, MetricKind
from canary.core.vocabulary import NEEDS, OF_LIMIT, PROCESS, RESERVED, vocabulary
from canary.rules.condition import Condition, names
from canary.rules.grammar import ConditionError, parse

Found = Iterator[tuple[Place, str]]


def conditions(file: File) -> Found:
    """What is wrong with the conditions: the place in the file, and under it the place in the condition."""
    words = vocabulary(metrics_of(file.analysis), own_gauges(file))
    for number, guard in enumerate(file.guards):
        try:
            parse(guard.condition, words)
        except ConditionError as fault:
            yield ("guards", number, "condition"), fault.pointed


def unique(file: File) -> Found:
    """Guards that share a name."""
    taken: set[str] = set()
    for number, guard in enumerate(file.guards):
        if guard.name in taken:
            yield (
                ("guards", number, "name"),
                f"a second guard is called `{guard.name}`: each needs a name of its own",
            )
        taken.add(guard.name)


def gauges(file: File) -> Found:
    """Gauges that are none, or whose names mean something else already."""
    taken = set(vocabulary(metrics_of(file.analysis), ())) | RESERVED
    for name, selector in file.gauges.items():
        series = selector.partition("{")[0].strip()
        if name in taken:
            yield ("gauges", name), "is a name that guards know already: choose another"
        elif not _is_name(name):
            yield ("gauges", name), "found this name, wanted letters, digits and _, such as queue_depth"
        if series.endswith(("_total", "_count", "_sum", "_bucket")):
            yield (
                ("gauges", name),
                f"{series} is a counter by its name, wanted a gauge: compare counters under "
                "`analysis.metrics`, and guards can speak of those too",
            )


def limits(file: File) -> Found:
    """Guards over parts of limits that a local service does not have."""
    if file.local is None:
        return
    words = vocabulary(metrics_of(file.analysis), own_gauges(file))
    given = file.local.limits
    for number, guard in enumerate(file.guards):
        try:
            spoken = names(parse(guard.condition, words))
        except ConditionError:
            continue
        for name in sorted(spoken & OF_LIMIT.keys()):
            limit = OF_LIMIT[name]
            if given is None or getattr(given, limit) is None:
                example = {"memory": "512MiB", "cpu": "0.5"}[limit]
                yield (
                    ("guards", number, "condition"),
                    f"{name} is a part of a limit, and the local service has none: "
                    f"set `local.limits.{limit}`, for instance {limit}: {example}",
                )


def _is_name(name: str) -> bool:
    return name.isascii() and name.isidentifier() and name not in ("and", "or", "not", "for")


def own_gauges(file: File) -> tuple[Metric, ...]:
    """The gauges that the file names."""
    return tuple(
        Metric(name, MetricKind.GAUGE, gauge=selector.strip()) for name, selector in file.gauges.items()
    )


def guards_of(file: File) -> tuple[tuple[Guard, ...], tuple[Metric, ...]]:
    """The guards of a file without faults, and the gauges that they speak of."""
    own = own_gauges(file)
    words = vocabulary(metrics_of(file.analysis), own)
    asked: list[Condition] = [parse(guard.condition, words) for guard in file.guards]
    spoken = {name for condition in asked for name in names(condition)}
    process = sorted({NEEDS[name] for name in spoken if name in NEEDS})
    read = (*(PROCESS[name] for name in process), *(one for one in own if one.name in spoken))
    guards = tuple(
        Guard(one.name, " ".join(one.condition.split()), GuardAction(one.action), one.alert)
        for one in file.guards
    )
    return guards, read
