"""Releases of real containers, under real load through a NodePort, judged by a real Prometheus."""

from pathlib import Path

import pytest

from tests.cluster import Cluster
from tests.command import ended
from tests.kube.live import wait_for
from tests.kube.stage import Floor
from tests.node.stage import PATIENCE_S, a_running_shop

pytestmark = pytest.mark.node


def test_a_good_version_is_promoted_and_no_request_fails(shops: Cluster, tmp_path: Path) -> None:
    with a_running_shop(shops, tmp_path) as shop:
        with Floor(shop.session, "app=shop") as floor:
            ran = shop.run("start", "better")
        assert ran.code == 0, ran.text
        assert shop.image() == "localhost/shop:better"
        wait_for(shop.is_whole, "whole")
        assert floor.fewest >= 3
        assert shop.books().failed == 0, shop.books().examples


@pytest.mark.parametrize("version", ["errors", "slow"])
def test_a_worse_version_is_rolled_back_and_only_its_own_requests_fail(
    shops: Cluster, tmp_path: Path, version: str
) -> None:
    with a_running_shop(shops, tmp_path) as shop:
        with Floor(shop.session, "app=shop") as floor:
            ran = shop.run("start", version)
        assert ran.code == 3, ran.text
        assert shop.image() == "localhost/shop:good"
        wait_for(shop.is_whole, "whole")
        assert floor.fewest >= 3
        assert "not proved" not in ran.text
        assert shop.books().failed == 0, shop.books().examples


def test_a_version_that_never_becomes_ready_is_undone(shops: Cluster, tmp_path: Path) -> None:
    with a_running_shop(shops, tmp_path) as shop:
        target = {"namespace": shop.place.namespace, "deployment": "shop", "ready": "15s"}
        shop.configure(target=target)
        ran = shop.run("start", "broken")
        assert ran.code == 7, ran.text
        wait_for(shop.is_whole, "whole")
        assert shop.books().failed == 0


def test_an_image_that_is_not_there_is_undone_within_seconds_and_told(shops: Cluster, tmp_path: Path) -> None:
    with a_running_shop(shops, tmp_path) as shop:
        ran = shop.run("start", "nowhere", patience_s=60.0)
        assert ran.code == 7, ran.text
        assert "ErrImageNeverPull" in ran.text
        wait_for(shop.is_whole, "whole")


def test_a_version_that_crashes_after_a_while_is_rolled_back(shops: Cluster, tmp_path: Path) -> None:
    with a_running_shop(shops, tmp_path) as shop:
        shop.configure(hold={"min": "60s", "max": "90s"})
        ran = shop.run("start", "crash")
        assert ran.code == 3, ran.text
        assert shop.image() == "localhost/shop:good"
        wait_for(shop.is_whole, "whole")


def test_without_traffic_nothing_is_promoted(shops: Cluster, tmp_path: Path) -> None:
    with a_running_shop(shops, tmp_path, rps=0) as shop:
        shop.configure(deadline="30s")
        ran = shop.run("start", "better")
        assert ran.code == 4, ran.text
        assert "no_traffic" in ran.text or "no request" in ran.text
        assert shop.image() == "localhost/shop:good"


def test_a_release_as_a_job_goes_on_without_who_started_it_and_tells_its_code(
    shops: Cluster, tmp_path: Path
) -> None:
    with a_running_shop(shops, tmp_path) as shop:
        shops.kubectl("create", "serviceaccount", "canary", "-n", shop.place.namespace)
        role = shop.run("rbac", "--for", "driver").out
        shops.kubectl("apply", "-f", "-", send=role)
        account = f"--serviceaccount={shop.place.namespace}:canary"
        bind = ("create", "rolebinding", "canary", "--role=canary-shop-driver", account)
        shops.kubectl(*bind, "-n", shop.place.namespace)
        strict = "pod-security.kubernetes.io/enforce=restricted"
        shops.kubectl("label", "namespace", shop.place.namespace, strict)

        first = shop.begin("start", "errors", "--in-cluster")
        wait_for(lambda: shop.deployment("shop-canary"), "the canary is there", 60.0)
        first.terminate()
        gone = ended(first, PATIENCE_S)
        assert gone.code == 143
        assert "drives on" in gone.text

        again = shop.run("start", "errors", "--in-cluster")
        assert again.code == 3, again.text
        assert "attached to Job" in again.text
        wait_for(shop.is_whole, "whole")
