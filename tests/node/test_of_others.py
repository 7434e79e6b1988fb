"""Services and manifests that we did not write, released on a real node."""

from pathlib import Path

import pytest

from tests.cluster import Cluster
from tests.kube.live import Place, wait_for
from tests.kube.stage import Floor
from tests.manifests import NAMESPACE, PROJECT_AI, TARGET, applied
from tests.node.provided import PODINFO
from tests.node.stage import Kind, Shop, a_running_shop, under_load

pytestmark = pytest.mark.node

OF_PODINFO = Kind(PODINFO, 9898, "/readyz", failures=10, paths=("/",))
"""Its random errors, which come by the second, fall on its probes as well."""


@pytest.mark.parametrize(("version", "code"), [("better", 0), ("errors", 3)])
def test_podinfo_is_judged_by_the_metrics_that_it_has(
    podinfos: Cluster, tmp_path: Path, version: str, code: int
) -> None:
    with (
        a_running_shop(podinfos, tmp_path, kind=OF_PODINFO) as shop,
        Floor(shop.session, "app=shop") as floor,
    ):
        ran = shop.run("start", version)
        assert ran.code == code, ran.text
        assert shop.recorded().outcome == ("regression" if code else "promoted")
        assert shop.image() == f"{PODINFO}:{'good' if code else version}"
        wait_for(shop.is_whole, "whole")
        assert floor.fewest >= 3
        assert shop.books().failed == 0, shop.books().examples


def test_the_production_manifests_are_released_and_undone(shops: Cluster, tmp_path: Path) -> None:
    with applied(shops.kubeconfig, "-k", str(PROJECT_AI)):
        place = Place(shops.kubeconfig, NAMESPACE)
        session = place.session()
        outside = session.get(session.path("v1", "services", "project-ai-outside"))
        shop = Shop(shops, place, session, tmp_path, int(outside["spec"]["ports"][0]["nodePort"]), TARGET)
        with under_load(shop), Floor(session, f"app={TARGET}") as floor:
            shop.configure(steps=[50])
            ran = shop.run("start", "v1.1.0")
            assert ran.code == 0, ran.text
            assert shop.image() == "localhost/project-ai-shop:v1.1.0"
            wait_for(shop.is_whole, "whole")

            undone = shop.run("undo")
            assert undone.code == 0, undone.text
            assert "not proved" not in undone.text
            assert shop.image() == "localhost/project-ai-shop:v1.0.0"
            wait_for(shop.is_whole, "whole")
            assert floor.fewest >= 3
