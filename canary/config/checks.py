"""What must go together in `canary.yaml`, beyond the shape of each key."""

import posixpath
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import PurePosixPath

from canary.config import guards
from canary.config.document import Place
from canary.config.schema import File, Metric, Pods
from canary.config.units import format_duration

Found = Iterator[tuple[Place, str]]
USUAL_PODS = Pods.model_validate({})
Check = tuple[tuple[str, ...], Callable[[File], Found]]


def _target(file: File) -> Found:
    target = file.target
    given = sorted(target.model_fields_set - {"local"})
    if target.local is not None:
        for key in given:
            yield ("target", key), "is for Kubernetes, but `target.local` names a local service: keep one"
    elif target.deployment is None:
        yield ("target",), "wanted {local: NAME}, or {namespace: NAME, deployment: NAME}"


def _runtime(file: File) -> Found:
    if file.target.local is None:
        if file.local is not None and file.target.deployment is not None:
            yield ("local",), "describes a local service, but `target` names a Deployment: keep one"
        return
    if file.local is None:
        name = file.target.local
        yield ("target", "local"), f"{name} is not described: add a section `local:` with its command"
    if file.image is not None:
        yield (
            ("image",),
            "is for Kubernetes; a local service says in `local.command` what `{version}` stands for",
        )
    if file.controller is not None:
        yield ("controller",), "is for Kubernetes: a local service is driven by the command itself"
    if file.promote == "external":
        yield ("promote",), "found external, which is for Kubernetes: a local service has no other owner"


def _preflight(file: File) -> Found:
    given = file.preflight
    if file.target.local is None:
        for key in sorted({"unit", "exposure"} & given.model_fields_set):
            yield ("preflight", key), "is for a local service: pods are looked at in the cluster"
    elif "secrets" in given.model_fields_set:
        yield ("preflight", "secrets"), "is for Kubernetes: a local service has no Secrets"


def _local(file: File) -> Found:
    local = file.local
    if local is None:
        return
    if not local.surge and not local.unavailable:
        yield ("local", "surge"), "found 0, and `unavailable` is 0 too: no replica could ever be replaced"
    if local.unavailable > local.replicas:
        yield ("local", "unavailable"), f"found {local.unavailable}, wanted at most `replicas`"


def _placeholders(file: File) -> Found:
    local = file.local
    if local is None:
        return
    if not local.command[0].strip():
        yield ("local", "command", 0), "found no program to start, wanted its name or path"
    given = " ".join([*local.command, *local.env.values()])
    for name, lack in (
        ("version", "every version would be the same"),
        ("port", "all replicas would listen on one port"),
    ):
        if f"{{{name}}}" not in given:
            yield ("local", "command"), f"neither `command` nor `env` has {{{name}}} in it: {lack}"


def _steps(file: File) -> Found:
    for number, (before, after) in enumerate(pairwise(file.steps), 1):
        if after <= before:
            yield ("steps", number), f"found {after:g} after {before:g}, wanted each step above the last"


def _hold(file: File) -> Found:
    yield from _ordered(("hold",), file.hold.min, file.hold.max)


def _deadline(file: File) -> Found:
    least = file.hold.min * len(file.steps)
    if file.deadline <= least:
        yield (
            ("deadline",),
            f"found {format_duration(file.deadline)}, wanted more than {format_duration(least)}: "
            f"{len(file.steps)} steps of at least {format_duration(file.hold.min)} (`hold.min`)",
        )


def _source(file: File) -> Found:
    source = file.analysis.source
    if source is None:
        return
    if (source.prometheus is None) == (source.pods is None):
        found = "none of them" if source.prometheus is None else "both"
        yield ("analysis", "source"), f"found {found}, wanted one of `prometheus`, `pods`"
    elif source.pods is not None and file.target.local is not None:
        yield (
            ("analysis", "source", "pods"),
            "is for Kubernetes: replicas of a local service are scraped in any case; leave `source` out",
        )


def _interval(file: File) -> Found:
    source = file.analysis.source
    if source is not None and source.prometheus is not None:
        key, scrape = "analysis.source.prometheus.scrape_interval", source.prometheus.scrape_interval
    elif file.local is not None:
        key, scrape = "local.scrape", file.local.scrape
    else:
        pods = (source.pods if source is not None else None) or USUAL_PODS
        key, scrape = "analysis.source.pods.scrape", pods.scrape
    if file.analysis.interval < scrape:
        yield (
            ("analysis", "interval"),
            f"found {format_duration(file.analysis.interval)}, wanted at least {format_duration(scrape)} "
            f"(`{key}`): between two scrapes there is nothing new to look at",
        )


def _warm_up(file: File) -> Found:
    warm_up = file.analysis.warm_up
    yield from _ordered(("analysis", "warm_up"), warm_up.min, warm_up.max)


def _metrics(file: File) -> Found:
    taken: dict[str, int] = {}
    for number, metric in enumerate(file.analysis.metrics):
        place: Place = ("analysis", "metrics", number)
        wrong = list(_shape(metric, place))
        yield from wrong
        for name in () if wrong else names(metric):
            if name in taken:
                yield place, f"a second metric is called `{name}`: each needs a name of its own"
            taken[name] = number


def names(metric: Metric) -> tuple[str, ...]:
    """What a metric, or each of a preset's, is called."""
    if metric.preset is None:
        return (metric.name,) if metric.name else ()
    listed = tuple(one for one in ("errors", "latency") if getattr(metric, one) is not None)
    return listed or ("errors", "latency")


def _shape(metric: Metric, place: Place) -> Found:
    given = [key for key in ("preset", "ratio", "histogram") if getattr(metric, key) is not None]
    if len(given) != 1:
        found = " and ".join(f"`{key}`" for key in given) or "none of them"
        yield place, f"found {found}, wanted one of `preset`, `ratio`, `histogram`"
        return
    kind = given[0]
    if kind != "preset" and metric.name is None:
        yield place, "`name` is missing: a metric of your own needs one"
    for key in sorted(metric.model_fields_set - _KEYS[kind]):
        yield (*place, key), f"does not go with `{kind}`; wanted {_listed(_KEYS[kind])}"
    yield from _margins(metric, place)


def _margins(metric: Metric, place: Place) -> Found:
    compared = [(place, metric.tolerance, metric.margin)]
    compared += [
        ((*place, key), part.tolerance, part.margin)
        for key, part in (("errors", metric.errors), ("latency", metric.latency))
        if part is not None
    ]
    for where, tolerance, margin in compared:
        ratio = margin.ratio if margin is not None else None
        if ratio is not None and tolerance is not None and ratio < 1 + tolerance:
            yield (
                (*where, "margin", "ratio"),
                f"found {ratio:g}, wanted at least {1 + tolerance:g}: "
                f"{100 * tolerance:g}% worse is tolerated (`tolerance`)",
            )


_KEYS = {
    "preset": {"preset", "errors", "latency"},
    "ratio": {"name", "ratio", "tolerance", "margin"},
    "histogram": {"name", "histogram", "tolerance", "margin", "slower_than"},
}


def _seal(file: File) -> Found:
    seal = file.ledger.seal
    for number, one in enumerate(seal.to if seal is not None else ()):
        place: Place = ("ledger", "seal", "to", number)
        given = [key for key in ("file", "webhook", "events") if getattr(one, key) is not None]
        if len(given) != 1:
            found = " and ".join(f"`{key}`" for key in given) or "none of them"
            yield place, f"found {found}, wanted one of `file`, `webhook`, `events`"
        elif one.events and file.target.local is not None:
            yield (*place, "events"), "is for Kubernetes: a local service has none; copy to a file or webhook"
        elif one.file is not None and file.local is not None and _inside(one.file, file.local.state):
            yield (
                (*place, "file"),
                f"found {one.file}, which lies in `local.state` beside the ledger: whoever can write the one "
                "anew can write the other; wanted another place, such as a share where one may only append",
            )


def _inside(path: str, folder: str) -> bool:
    """Whether a path is in a folder, both seen from the same place."""
    one, other = (PurePosixPath(posixpath.normpath(each)) for each in (path, folder))
    return one.is_relative_to(other) and other != PurePosixPath(".")


def _seal_secret(file: File) -> Found:
    controller, seal = file.controller, file.ledger.seal
    if controller is None or controller.seal_secret is None:
        return
    if seal is None:
        yield (
            ("controller", "seal_secret"),
            "is of no use without `ledger.seal.key_file`, which names the file in it",
        )
        return
    folder = PurePosixPath(seal.key_file).parent
    taken = any(folder.is_relative_to(one) for one in ("/etc/canary", "/tmp", "/usr", "/opt/canary"))  # noqa: S108
    if not folder.is_absolute() or len(folder.parts) < 3 or taken:
        yield (
            ("ledger", "seal", "key_file"),
            f"found {seal.key_file}, wanted a file in a folder of its own, such as "
            "/etc/canary-seal/seal.key: the Secret `controller.seal_secret` is mounted at that folder",
        )


def _ordered(place: Place, least: float, most: float) -> Found:
    if least > most:
        where = ".".join(map(str, place))
        yield (
            (*place, "min"),
            f"found {format_duration(least)}, wanted at most {format_duration(most)} (`{where}.max`)",
        )


def _listed(keys: set[str]) -> str:
    return ", ".join(f"`{key}`" for key in sorted(keys))


CHECKS: tuple[Check, ...] = (
    (("target",), _target),
    (("target", "local", "image", "controller"), _runtime),
    (("preflight", "target"), _preflight),
    (("local.surge", "local.unavailable", "local.replicas"), _local),
    (("local.command", "local.env"), _placeholders),
    (("steps",), _steps),
    (("hold",), _hold),
    (("deadline", "hold", "steps"), _deadline),
    (("analysis.source", "target"), _source),
    (("analysis.interval", "analysis.source", "local.scrape"), _interval),
    (("analysis.warm_up",), _warm_up),
    (("analysis.metrics",), _metrics),
    (("ledger", "target", "local.state"), _seal),
    (("ledger", "controller"), _seal_secret),
    (("guards",), guards.unique),
    (("gauges", "analysis.metrics"), guards.gauges),
    (("guards", "gauges", "analysis.metrics"), guards.conditions),
    (("guards", "gauges", "analysis.metrics", "local", "target"), guards.limits),
)
"""Each check with the keys it reads: it is left out while one of them is faulty by itself."""
