"""The pod that a driver runs in, as one that comes after it can see it end."""

from canary.errors import CanaryError
from canary.kube.session import Json, Session

PODS = ("v1", "pods")


class DriverPod:
    """Implements `ports.Witness` for the pods of a namespace.

    Args:
        session: in the namespace of the target, where the Jobs are.
        name, uid: of the pod that this process runs in; empty when it runs in none.
    """

    kind = "pod"

    def __init__(self, session: Session, name: str = "", uid: str = "") -> None:
        self._session = session
        self._mark = f"{name}/{uid}" if name and uid else ""

    def mark(self) -> str:
        """This pod, `NAME/UID`; empty when there is none."""
        return self._mark

    def ended(self, mark: str) -> bool:
        """Whether its node says that all containers of this very pod have ended; one request.

        A pod that is not there any more proves nothing: deleted by force, or with its node out of reach, it
        is gone from the API server while its process runs on. Neither does its phase: others set that, too.
        """
        name, _, uid = mark.partition("/")
        if not name or not uid or mark == self._mark:
            return False
        path = self._session.path(*PODS)
        try:
            found = self._session.get(path, fieldSelector=f"metadata.name={name}").get("items") or []
        except CanaryError:
            # Not allowed, or out of reach: not known.
            return False
        return any(_is_over(one) for one in found if one["metadata"]["uid"] == uid)


def _is_over(pod: Json) -> bool:
    statuses = pod.get("status", {}).get("containerStatuses") or []
    return bool(statuses) and all("terminated" in (one.get("state") or {}) for one in statuses)
