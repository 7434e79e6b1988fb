"""What is asked for, and the revisions it names: files that adapters write and the supervisor reads."""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from canary.config.settings import LocalService
from canary.core.revision import Revision, template_hash
from canary.errors import InvalidError, MissingError
from canary.local.files import fault_of, locked, read_whole, write_atomic
from canary.local.layout import Layout

KEPT_REVISIONS = 10


@dataclass(frozen=True)
class Wanted:
    """One workload as it is asked for. `revision`: hash of its template."""

    revision: str
    replicas: int


@dataclass(frozen=True)
class Desired:
    """All that is asked for.

    Attributes:
        generation: one more with every change.
        stable: the target. canary: None while none is wanted.
        configured: `replicas` of the configuration that was applied last.
        shape: hash of the configured template without its version, as applied last. So that a
            restart applies an edited command, yet never undoes an undo.
    """

    generation: int
    stable: Wanted
    canary: Wanted | None
    configured: int
    shape: str


def template_of(service: LocalService, version: str) -> dict[str, Any]:
    """The template of a service at a version; placeholders are left in."""
    return {
        "command": list(service.command),
        "env": dict(service.env),
        "directory": str(service.directory),
        "version": version,
    }


def revision_of(template: Mapping[str, Any]) -> Revision:
    """The revision that runs a template."""
    return Revision(template_hash(template), str(template["version"]), dict(template))


class Store:
    """Reads and writes the files of one target that say what is asked for.

    Args:
        layout: of the target.
    """

    def __init__(self, layout: Layout) -> None:
        self._layout = layout

    def load(self) -> Desired | None:
        """What is asked for; None when nothing ever was.

        Raises:
            InvalidError: the file is not as canary writes it.
        """
        data = read_whole(self._layout.desired)
        if data is None:
            return None
        try:
            found = json.loads(data)
            canary = found["canary"]
            return Desired(
                int(found["generation"]),
                Wanted(**found["stable"]),
                Wanted(**canary) if canary is not None else None,
                int(found["configured"]),
                str(found["shape"]),
            )
        except (ValueError, KeyError, TypeError) as fault:
            raise InvalidError(
                f"{self._layout.desired} is not as canary writes it: {fault}",
                remedy="Put it back from a copy, or move the folder away to begin anew.",
            ) from fault

    def edit(self, change: Callable[[Desired | None], Desired | None]) -> Desired | None:
        """Change what is asked for, one writer at a time; durable once returned.

        Args:
            change: from what is asked to what shall be; the same object or None leaves it as it is.
                The generation is counted here.

        Raises:
            CanaryError: whatever `change` raises; full disk; the lock is kept by a stopped process.
        """
        with locked(self._layout.desired_lock):
            before = self.load()
            after = change(before)
            if after is None or after == before:
                return before
            after = replace(after, generation=before.generation + 1 if before else 1)
            write_atomic(self._layout.desired, json.dumps(asdict(after)).encode() + b"\n")
            return after

    def revision(self, digest: str) -> Revision:
        """A kept revision.

        Raises:
            MissingError: there is none of this hash.
        """
        found = self._read(digest)
        if found is None:
            raise MissingError(
                f"{self._layout.revisions} has no revision {digest}",
                remedy="See `canary history` for those that are kept.",
            )
        return found[0]

    def keep(self, revision: Revision, *, numbered: bool) -> None:
        """Write a revision down, if need be.

        Args:
            revision: with its template.
            numbered: it becomes the target's: give it the next number, as a Deployment does even
                when it goes back to an older template.

        Raises:
            InvalidError: the hash is not that of the template.
        """
        if template_hash(revision.template, revision.config) != revision.hash:
            raise InvalidError(
                f"revision {revision.hash} does not have the hash of its template",
                remedy="It was changed on the way; start from `canary history` again.",
            )
        found = self._read(revision.hash)
        number = found[0].number if found else None
        if numbered:
            last = max((one.number or 0 for one in self.history()), default=0)
            number = number if number is not None and number == last else last + 1
        if found is None or found[0].number != number:
            document = {**asdict(revision), "number": number, "kept_at": time.time()}
            write_atomic(self._path(revision.hash), json.dumps(document).encode() + b"\n")

    def history(self) -> tuple[Revision, ...]:
        """The target's kept revisions, oldest first."""
        return tuple(sorted((one for one in self._all() if one.number), key=lambda one: one.number or 0))

    def prune(self, in_use: frozenset[str]) -> None:
        """Forget all but the last KEPT_REVISIONS of the target and those in use."""
        numbered = self.history()
        kept = {one.hash for one in numbered[-KEPT_REVISIONS:]} | in_use
        for one in self._all():
            if one.hash not in kept:
                self._path(one.hash).unlink(missing_ok=True)

    def _all(self) -> list[Revision]:
        try:
            names = sorted(path.stem for path in self._layout.revisions.glob("[0-9a-f]*.json"))
        except OSError as fault:
            raise fault_of(fault, self._layout.revisions, "list") from fault
        return [found[0] for name in names if (found := self._read(name)) is not None]

    def _read(self, digest: str) -> tuple[Revision, float] | None:
        data = read_whole(self._path(digest))
        if data is None:
            return None
        try:
            found = json.loads(data)
            kept_at = float(found.pop("kept_at"))
            found["config"] = tuple(found["config"])
            return Revision(**found), kept_at
        except (ValueError, KeyError, TypeError) as fault:
            raise InvalidError(
                f"{self._path(digest)} is not a revision as canary writes it: {fault}",
                remedy="Something else changed it. Put it back from a copy, or remove it.",
            ) from fault

    def _path(self, digest: str) -> Path:
        return self._layout.revisions / f"{digest}.json"


def apply_configuration(store: Store, service: LocalService) -> tuple[Desired, list[str]]:
    """Bring what the configuration says into what is asked for, on a start of the supervisor.

    The first time it says everything. Later its version no longer counts (releases move that); an edited
    command, environment or directory and an edited number of replicas do, unless a canary is out.

    Returns:
        What is asked for now, and notes for people.
    """
    shape = template_hash({**template_of(service, ""), "version": None})
    notes: list[str] = []

    def change(before: Desired | None) -> Desired | None:
        if before is None:
            first = revision_of(template_of(service, service.version))
            store.keep(first, numbered=True)
            return Desired(0, Wanted(first.hash, service.replicas), None, service.replicas, shape)
        edited = before.shape != shape or before.configured != service.replicas
        if edited and before.canary is not None:
            notes.append(
                "the configuration was edited, but a canary is out: applied at the next start without one"
            )
            return None
        return _edited(store, service, before, shape, notes) if edited else None

    desired = store.edit(change)
    if desired is None:
        raise InvalidError(
            f"nothing is asked for {service.name}", remedy="Start it with `canary local up -f FILE`."
        )
    return desired, notes


def _edited(store: Store, service: LocalService, before: Desired, shape: str, notes: list[str]) -> Desired:
    wanted = before.stable
    if before.shape != shape:
        version = store.revision(wanted.revision).version
        revision = revision_of(template_of(service, version))
        store.keep(revision, numbered=True)
        wanted = replace(wanted, revision=revision.hash)
        notes.append(f"the command was edited: rolling to it at version {version} (revision {revision.hash})")
    if before.configured != service.replicas:
        wanted = replace(wanted, replicas=service.replicas)
        notes.append(f"replicas: {before.configured} -> {service.replicas}")
    return replace(before, stable=wanted, configured=service.replicas, shape=shape)
