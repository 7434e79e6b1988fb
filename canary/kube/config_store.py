"""Configuration objects in the cluster: made before a release is recorded, taken away when none needs them.

That they are made before the record breaks no promise: under a name of their own, and never to change, they
mean nothing to anyone until a template refers to them, which only a recorded release brings about.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from canary.core.revision import Revision, template_hash
from canary.errors import ConflictError, InvalidError, MissingError, TransientError
from canary.kube import configs
from canary.kube.configs import ConfigObject, Kind, Named
from canary.kube.pods import seconds
from canary.kube.session import TIMEOUT_S, Json, Session


class ConfigStore:
    """The configuration objects of one target.

    Args:
        session: in the target's namespace. target: its name.
        given: what this process can make; others have to be there.
    """

    def __init__(self, session: Session, target: str, given: Sequence[ConfigObject] = ()) -> None:
        self._session = session
        self._target = target
        self._given = {one.named: one for one in given}

    def revised(self, revision: Revision, wanted: Sequence[str]) -> Revision:
        """The revision with its references to these objects renewed. Touches nothing.

        Args:
            wanted: `configmap/NAME`, with the hash.

        Raises:
            InvalidError: it refers to one of them nowhere. DeniedError: earlier ones may not be read.
        """
        if not wanted:
            return revision
        names = [configs.named(one) for one in wanted]
        ours = {one for one in configs.earlier(revision.template, names) if self._is_ours_or_gone(one)}
        template = configs.rewritten(revision.template, names, ours)
        return Revision(template_hash(template, revision.config), revision.version, template, revision.config)

    def provide(self, wanted: Sequence[str]) -> None:
        """Have these objects there: made from what was given, or found. Idempotent.

        Raises:
            InvalidError: one of this name is not ours, or is not there and was not given.
            DeniedError: this account may not make or read them.
        """
        for one in map(configs.named, wanted):
            if (given := self._given.get(one)) is not None and self._made(given):
                continue
            self._see(one, self._found(one), given)

    def collect(
        self,
        keep: Iterable[Mapping[str, Any]],
        kinds: Collection[Kind],
        may_go: Callable[[Named, float], bool],
        left: Callable[[], float],
    ) -> tuple[str, ...]:
        """Delete the objects of the target that no template refers to.

        Args:
            keep: templates. kinds: to look at, one request each.
            may_go: asked with the name and the time it was made (unix seconds).
            left: seconds in which this may still be done.

        Returns:
            What was deleted, as `configmap/NAME`.

        Raises:
            TransientError: no time is left. DeniedError: this account may not list or delete them.
        """
        used = configs.hashed(*keep)
        deleted = []
        for kind in sorted(kinds):
            path = self._session.path("v1", kind.resource)
            listed = self._session.get(path, left(), labelSelector=configs.selector(self._target))
            for one in listed.get("items") or []:
                name = Named(kind, one["metadata"]["name"])
                if name in used or not may_go(name, seconds(one["metadata"].get("creationTimestamp")) or 0.0):
                    continue
                self._session.delete(self._path(name), one["metadata"]["uid"], left())
                deleted.append(str(name))
        return tuple(deleted)

    def _path(self, one: Named) -> str:
        return self._session.path("v1", one.kind.resource, one.name)

    def _found(self, one: Named) -> Json | None:
        try:
            return self._session.get(self._path(one))
        except MissingError:
            return None

    def _is_ours_or_gone(self, one: Named) -> bool:
        found = self._found(one)
        return found is None or configs.belongs_to(found, self._target)

    def _made(self, given: ConfigObject) -> bool:
        """Whether it was made now; not when there is one of this name."""
        path = self._session.path("v1", given.named.kind.resource)
        try:
            self._session.create(path, given.document(self._session.namespace))
        except ConflictError:
            return False
        return True

    def _see(self, one: Named, found: Json | None, given: ConfigObject | None) -> None:
        """That it is there, is ours and stays as it is."""
        if found is None and given is not None:
            raise TransientError(f"{one} was there and is gone", remedy="Start again: it is made then.")
        if found is None:
            raise InvalidError(
                f"there is no {one} in namespace {self._session.namespace}; no release was begun",
                remedy="`canary start` with the same --config makes it again.",
            )
        if "deletionTimestamp" in found["metadata"]:
            raise TransientError(f"{one} is being deleted", remedy="Start again when it is gone.")
        mine = configs.belongs_to(found, self._target) and bool(found.get("immutable"))
        if not mine or (given is not None and not given.is_held_by(found)):
            raise InvalidError(
                f"there is a {one} that canary did not make for {self._target}; it is left alone",
                remedy="Remove it, or give the one in the file another name.",
            )


def check_references(session: Session, target: str, wanted: Sequence[str]) -> None:
    """See that the target refers to these objects; for whoever makes them and does not drive.

    Raises:
        MissingError: there is no such Deployment. InvalidError: it refers to one of them nowhere.
    """
    found = session.get(session.path("apps/v1", "deployments", target), TIMEOUT_S)
    template = found["spec"]["template"]
    ConfigStore(session, target).revised(Revision("", "", template), wanted)
