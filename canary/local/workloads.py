"""The workloads port over the files that a supervisor watches. Touches no process itself."""

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from canary.config.settings import LocalService
from canary.core.actions import Action, Remove, Scale, SetRevision
from canary.core.observation import Arm, Workload, World
from canary.core.release import Release
from canary.core.revision import Revision, template_hash
from canary.errors import CanaryError, ConflictError, InvalidError, MissingError, TransientError
from canary.local import status
from canary.local.layout import Layout
from canary.local.records import LocalRecords
from canary.local.status import Observed
from canary.local.store import Desired, Store, Wanted

DEAD_S = 3.0
_VERSION = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,127}")


class LocalWorkloads:
    """Implements `ports.Workloads` for one service of the local runtime.

    Args:
        service: as configured.
        now: unix seconds; the supervisor counts as gone when it wrote nothing for DEAD_S.
    """

    def __init__(self, service: LocalService, now: Callable[[], float] = time.time) -> None:
        self._service = service
        self._layout = Layout.of(service)
        self._store = Store(self._layout)
        self._now = now

    def observe(self) -> World | None:
        """Both workloads as they are now; None when nothing of the service was ever started.

        Raises:
            TransientError: the supervisor is not running, or is stuck.
            InvalidError: the state was written by a newer canary, or by something else.
        """
        self._layout.check()
        desired = self._store.load()
        if desired is None:
            return None
        observed = self._alive()
        seen = observed.generation >= desired.generation
        stable = self._workload(desired.stable, Arm.STABLE, observed, seen)
        canary = None
        if desired.canary is not None:
            canary = self._workload(desired.canary, Arm.CANARY, observed, seen)
        elif not seen and (observed.canary is not None or observed.pods.get(Arm.CANARY)):
            # Asked to go, and not yet gone: still serving, so it is not nothing.
            last = observed.canary or desired.stable
            canary = self._workload(replace(last, replicas=0), Arm.CANARY, observed, seen)
        service = self._service
        return World(
            stable,
            canary,
            service.surge,
            service.unavailable,
            others=observed.problems,
            limits=service.limits,
        )

    def apply(self, action: Action, *, within_s: float) -> None:
        """Ask the supervisor for one stated end; durable once returned. Does not wait for replicas.

        Raises:
            ConflictError: there is no such workload, or the target no longer runs what was expected.
            InvalidError: the action makes no sense here.
            TransientError: no supervisor, no room on the disk, no time left.
        """
        if within_s <= 0:
            raise TransientError(
                "no time is left to act in this term", remedy="It is tried again in the next."
            )
        self._layout.check()
        self._alive()
        self._store.edit(lambda before: self._change(before, action))
        if isinstance(action, SetRevision | Remove):
            self._prune()

    def revise(self, base: Revision, version: str, config: Sequence[str] = ()) -> Revision:
        """The revision that runs `version`, all else as in `base`. Touches nothing.

        Raises:
            InvalidError: that is no version, `base` is no template of this runtime, or there is `config`.
        """
        if config:
            raise InvalidError(
                "the local runtime has no configuration objects",
                remedy="Pass configuration through `local.env`, or release to a Deployment.",
            )
        if not _VERSION.fullmatch(version):
            raise InvalidError(
                f"{version!r} is no version",
                remedy="Use letters, digits and _ . + - (at most 128, beginning with a letter or digit).",
            )
        if not {"command", "env", "directory", "version"} <= base.template.keys():
            raise InvalidError(
                f"revision {base.hash} is no template of the local runtime",
                remedy="Start from one in `canary history`.",
            )
        template = {**base.template, "version": version}
        return Revision(template_hash(template, base.config), version, template, base.config)

    def prepare(self, config: Sequence[str] = ()) -> None:
        """Nothing is to be made."""

    def tidy(self, release: Release, left: Callable[[], float]) -> tuple[str, ...]:
        """Nothing: what no revision needs goes with the revisions."""
        return ()

    def history(self) -> tuple[Revision, ...]:
        """Kept revisions of the target, oldest first, numbered."""
        self._layout.check()
        return self._store.history()

    def no_room(self, more: int) -> str:
        """Nothing here limits how many pods there are."""
        return ""

    def unproved(self) -> str:
        """Nothing: the balancer that sends requests is the one that says which replicas are ready."""
        return ""

    def _alive(self) -> Observed:
        observed = status.load(self._layout.observed)
        silent = self._now() - observed.at if observed is not None else None
        if observed is not None and silent is not None and silent <= DEAD_S and not observed.stopping:
            return observed
        since = (
            f"nothing was heard of it for {silent:.0f} s" if silent is not None else "it was never heard of"
        )
        raise TransientError(
            f"the supervisor of {self._service.name} is not running: {since} (state in {self._layout.root})",
            remedy="Start it with `canary local up -f FILE`; replicas that still run are taken over. "
            "If it is running, its disk may be full.",
        )

    def _workload(self, wanted: Wanted, arm: Arm, observed: Observed, seen: bool) -> Workload:
        revision = self._store.revision(wanted.revision)
        return Workload(revision, wanted.replicas, observed.pods.get(arm, ()), seen)

    def _change(self, before: Desired | None, action: Action) -> Desired:
        if before is None:
            raise MissingError(
                f"nothing of {self._service.name} was ever started",
                remedy="Start it with `canary local up -f FILE`.",
            )
        if isinstance(action, Scale):
            return _scaled(before, action)
        if isinstance(action, Remove):
            if action.arm is not Arm.CANARY:
                raise InvalidError(f"the {action.arm} of {self._service.name} is never removed")
            return replace(before, canary=None)
        if action.arm is Arm.STABLE:
            return self._set_stable(before, action)
        if action.arm is Arm.CANARY:
            self._store.keep(action.revision, numbered=False)
            replicas = before.canary.replicas if before.canary else action.replicas
            return replace(before, canary=Wanted(action.revision.hash, replicas))
        raise InvalidError(f"the local runtime has no {action.arm} workload")

    def _set_stable(self, before: Desired, action: SetRevision) -> Desired:
        current = before.stable.revision
        if current == action.revision.hash:
            return before
        if action.expected is not None and current != action.expected:
            raise ConflictError(
                f"{self._service.name} runs revision {current}, not {action.expected}: somebody changed it",
                remedy="Look at `canary history`, then start again.",
            )
        self._store.keep(action.revision, numbered=True)
        return replace(before, stable=replace(before.stable, revision=action.revision.hash))

    def _prune(self) -> None:
        # What a record pins must stay; one that cannot be read may pin anything, so nothing goes then.
        try:
            desired = self._store.load()
            observed = status.load(self._layout.observed)
            recorded = LocalRecords(self._service.state).load(self._service.name)
            used = {pod.revision for pods in observed.pods.values() for pod in pods} if observed else set()
            if desired is not None:
                used |= {one.revision for one in (desired.stable, desired.canary) if one is not None}
            if recorded is not None:
                used |= {recorded.release.stable.hash, recorded.release.canary.hash}
            self._store.prune(frozenset(used))
        except (CanaryError, OSError):
            return


def _scaled(before: Desired, action: Scale) -> Desired:
    if action.replicas < 0:
        raise InvalidError(f"cannot scale to {action.replicas} replicas")
    if action.arm is Arm.STABLE:
        return replace(before, stable=replace(before.stable, replicas=action.replicas))
    if action.arm is not Arm.CANARY:
        raise InvalidError(f"the local runtime has no {action.arm} workload")
    if before.canary is None:
        raise ConflictError(
            "there is no canary to scale: somebody removed it", remedy="Look again: `canary status`."
        )
    return replace(before, canary=replace(before.canary, replicas=action.replicas))
