"""Which configuration objects are collected; the server is played by a list."""

from canary.kube.config_store import ConfigStore
from canary.kube.configs import Kind, Named
from canary.kube.session import Json, Session

OLD, NEW, YOUNG = "settings-0123456789", "settings-abcdef0123", "settings-ffffffffff"


class Listing(Session):
    """A session with three objects, all ours."""

    def __init__(self) -> None:
        self.namespace = "shop"
        self.deleted: list[str] = []

    def get(self, path: str, within_s: float = 8.0, **query: str) -> Json:
        made = "2026-01-01T00:00:00Z"
        names = (OLD, NEW, YOUNG)
        return {
            "items": [{"metadata": {"name": one, "uid": one, "creationTimestamp": made}} for one in names]
        }

    def delete(self, path: str, uid: str = "", within_s: float = 8.0) -> None:
        self.deleted.append(uid)


def test_what_a_template_refers_to_or_may_not_go_yet_is_never_collected() -> None:
    session = Listing()
    template = {"spec": {"volumes": [{"configMap": {"name": NEW}}], "containers": []}}
    kind = Kind("configmap")

    gone = ConfigStore(session, "web").collect(
        [template], {kind}, lambda one, _: one != Named(kind, YOUNG), lambda: 5.0
    )

    assert session.deleted == [OLD]
    assert gone == (f"configmap/{OLD}",)
