"""Starts a release as a Job, and follows it to the code that its record tells."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass

from canary.core.release import Release
from canary.errors import CanaryError, ConflictError, Exit, InvalidError, MissingError, TransientError
from canary.kube.job import RELEASE, Drive, document, finished, last_words
from canary.kube.mirror import Mirror
from canary.kube.pods import pod_of
from canary.kube.session import Json, Session
from canary.ports import Clock, Recorded, Records, Reporter

JOBS = ("batch/v1", "jobs")
PODS = ("v1", "pods")
GONE_S = 30.0
STUCK_S = 60.0
"""A pod of the Job that cannot start is given up after this long, when it has begun nothing."""
LATE_S = 3.0
"""So long after the end of a Job what its driver wrote last may still be on its way to us."""
POLL_S = 0.5


class EndedInClusterError(CanaryError):
    """The driver in the cluster ended without a release of its own; its last words and its exit code."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message, remedy="What it said last stands above; look with `kubectl describe job`.")
        self.exit = Exit(code) if code in set(Exit) else Exit.FOUND


@dataclass(frozen=True)
class Started:
    """A Job that drives: its name and the id of its release. `fresh`: it was made now."""

    name: str
    release: str
    fresh: bool


def begin(session: Session, drive: Drive, clock: Clock) -> Started:
    """Make the Job, or find the one that drives this very version already.

    Raises:
        InvalidError, DeniedError: refused, with the reason of the API server.
        TransientError: the Job of an earlier try does not go away.
    """
    path = session.path(*JOBS, drive.name)
    for _ in range(int(GONE_S / POLL_S)):
        try:
            found = session.get(path)
        except MissingError:
            with suppress(ConflictError):
                made = session.create(session.path(*JOBS), document(drive, session.namespace))
                return Started(made["metadata"]["name"], drive.release, fresh=True)
            continue
        going = "deletionTimestamp" in found["metadata"]
        if finished(found) is None and not going:
            release = (found["metadata"].get("annotations") or {}).get(RELEASE, "")
            return Started(found["metadata"]["name"], release, fresh=False)
        if not going:
            session.delete(path, found["metadata"]["uid"])
        clock.wait(POLL_S)
    raise TransientError(f"the Job {drive.name} of an earlier try does not go away")


class Follower:
    """Follows a Job and the record of its release; changes nothing.

    Args:
        session: in the namespace. started: what `begin` gave. target: of the release.
        records: where the record is. clock, reporter: as for a driver.
    """

    def __init__(
        self,
        session: Session,
        started: Started,
        target: str,
        records: Records,
        clock: Clock,
        reporter: Reporter,
    ) -> None:
        self._started = started
        self._target = target
        self._records = records
        self._clock = clock
        self._reporter = reporter
        self._job = Mirror(session, session.path(*JOBS), {"fieldSelector": f"metadata.name={started.name}"})
        self._pods = Mirror(session, session.path(*PODS), {"labelSelector": f"job-name={started.name}"})
        self._told: set[str] = set()
        self._since = clock.monotonic()
        self._over_since: float | None = None

    def follow(self, interrupted: Callable[[Recorded | None], Exception]) -> Recorded | None:
        """To the settled (or left) record; None when the version ran already.

        Raises:
            EndedInClusterError: the driver ended and there is no release of its own.
            TransientError: the Job ended and left the release open.
            Whatever `interrupted` gives, when a signal asks us to stop.
        """
        try:
            while True:
                found = self._found()
                if found is not None and found.release.settled:
                    return found
                if self._clock.interrupted is not None:
                    raise interrupted(found)
                if (ended := self._ended(found)) is not None:
                    return ended[0]
                self._clock.wait(POLL_S)
        finally:
            self._job.close()
            self._pods.close()

    def _found(self) -> Recorded | None:
        try:
            found = self._records.load(self._target)
        except TransientError as fault:
            self._say(f"{fault.message}; following goes on when it is back")
            return None
        if found is None or found.release.id != self._started.release:
            return None
        self._say(_stands(found.release))
        return found

    def _ended(self, found: Recorded | None) -> tuple[Recorded | None] | None:
        """What there is to return, when the Job is over; None while it goes on."""
        try:
            job, pods = self._job.objects().get(self._started.name), self._pods.objects()
        except TransientError as fault:
            self._say(f"{fault.message}; following goes on when it is back")
            return None
        if job is None:
            raise TransientError(f"the Job {self._started.name} was deleted; {_left(found)}")
        over = finished(job)
        if over is None:
            self._look_at(pods, found)
            return None
        now = self._clock.monotonic()
        self._over_since = now if self._over_since is None else self._over_since
        if now - self._over_since < LATE_S:
            return None
        return (self._unsettled(over, pods, found),)

    def _unsettled(self, over: str, pods: Mapping[str, Json], found: Recorded | None) -> Recorded | None:
        """The Job is over and its release is not settled, or was never begun: what that means."""
        words = _words(pods)
        if found is not None:
            if words is not None and words[0] == Exit.NO_CONCLUSION:
                return found
            raise TransientError(f"the Job {self._started.name} is over ({over}); {_left(found)}")
        if over.startswith("Complete"):
            return None
        code, said = words or (int(Exit.UNREACHABLE), over)
        raise EndedInClusterError(code, f"the driver in Job {self._started.name} ended with {code}: {said}")

    def _look_at(self, pods: Mapping[str, Json], found: Recorded | None) -> None:
        """Say why a pod does not come up; give up on one that never will, if nothing was begun."""
        for one in pods.values():
            seen = pod_of(one, "", self._clock.now())
            if seen.trouble is None:
                continue
            self._say(f"pod {seen.name}: {seen.trouble}", counting=True)
            if found is None and self._clock.monotonic() - self._since > STUCK_S:
                raise InvalidError(
                    f"the Job {self._started.name} cannot start: {seen.trouble}; nothing was touched",
                    remedy=f"Mend it, then `kubectl delete job {self._started.name}` and start again.",
                )

    def _say(self, text: str, *, counting: bool = False) -> None:
        """Say it once; what is `counting` seconds is the same whatever its numbers are."""
        words = "".join(letter for letter in text if not letter.isdigit()) if counting else text
        if words not in self._told:
            self._told.add(words)
            self._reporter.note(text)


def _words(pods: Mapping[str, Json]) -> tuple[int, str] | None:
    """The last words of the pod that ended last."""
    ordered = sorted(pods.values(), key=lambda one: str(one["metadata"]["creationTimestamp"]), reverse=True)
    return next((words for one in ordered if (words := last_words(one)) is not None), None)


def _stands(release: Release) -> str:
    where = release.phase.value.replace("_", " ")
    if release.phase.value == "progressing":
        steps = release.strategy.steps
        where = f"step {release.step + 1}/{len(steps)}, {steps[release.step]:g} % asked, {release.stage}"
    paused = f", paused by {release.pause.by}: {release.pause.reason}" if release.pause else ""
    why = f": {release.reason}" if release.reason else ""
    return f"{release.version}: {where}{why}{paused}"


def _left(found: Recorded | None) -> str:
    if found is None:
        return "no release of it was begun"
    return (
        f"{_stands(found.release)}. Nobody drives it now: `canary start` with the same version goes on, "
        "`canary abort` takes it back"
    )
