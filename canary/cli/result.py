"""How a release ended, as a document and as text."""

from canary.core.release import Outcome, Phase, Release
from canary.core.strategy import Promote
from canary.view import words
from canary.view.snapshot import ending

VERDICTS = {Outcome.PROMOTED: "promote", Outcome.NO_CONCLUSION: "inconclusive"}


def verdict(release: Release) -> str | None:
    """`promote`, `rollback` or `inconclusive`; None while it is open."""
    if release.outcome is None:
        return None
    return VERDICTS.get(release.outcome, "rollback")


def result_document(release: Release, exit_code: int) -> dict[str, object]:
    """The last object of `canary start -o json`."""
    return {
        "kind": "result",
        "target": release.target,
        "version": release.version,
        "verdict": verdict(release),
        "exit_code": exit_code,
        "reason": release.reason,
        "outcome": str(release.outcome) if release.outcome else None,
        "phase": str(release.phase),
        "release": release.id,
        "promote": str(release.strategy.promote),
        "images": list(release.images),
        "started": release.since,
        "times": dict(release.times),
    }


def result_text(release: Release) -> str:
    """The verdict, why, and when it was detected, decided and restored."""
    if not release.settled:
        how = release.pause.reason if release.pause else release.phase.value.replace("_", " ")
        return f"OPEN: {release.target} {release.version} goes on serving as it is: {how}"
    if not release.id:
        return f"{release.target} {release.version}: {release.reason}"
    lines = [ending(release)]
    if release.reason:
        lines.append(f"because {release.reason}")
    if release.phase is Phase.PROMOTED and release.strategy.promote is Promote.EXTERNAL:
        judged = f" ({', '.join(release.images)})" if release.images else ""
        lines.append(f"set {release.version}{judged} where {release.target} is described")
    if release.times:
        lines.append(times_text(release))
    return "\n".join(lines)


def times_text(release: Release) -> str:
    """The times of a release, each as seconds after its start."""
    order = ["detected", "decided", "restored"]
    known = sorted(release.times.items(), key=lambda item: (item[1], [*order, item[0]].index(item[0])))
    told = (f"{name} after {words.duration(at - release.since)}" for name, at in known)
    return f"started {words.stamp(release.since)}, {', '.join(told)}"
