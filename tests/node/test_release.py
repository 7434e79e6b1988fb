"""Releases of real containers, under real load through a NodePort, judged by a real Prometheus."""

import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.cluster import Cluster
from tests.kube.live import wait_for
from tests.kube.stage import Floor
from tests.node.stage import RPS, Shop, a_running_shop
from tests.node.watches import Endpoints

pytestmark = pytest.mark.node

TO_ZERO_S = 2.0
"""What is promised when the stable is whole: from the verdict until no canary pod gets new connections."""


def test_a_good_version_is_promoted_and_no_request_fails(shops: Cluster, tmp_path: Path) -> None:
    with a_running_shop(shops, tmp_path) as shop:
        with Floor(shop.session, "app=shop") as floor:
            ran = shop.run("start", "better")
        assert ran.code == 0, ran.text
        assert shop.image() == "localhost/shop:better"
        wait_for(shop.is_whole, "whole")
        assert floor.fewest >= 3
        assert shop.books().failed == 0, shop.books().examples


def test_a_worse_version_is_rolled_back_within_two_seconds_of_the_verdict(
    shops: Cluster, tmp_path: Path
) -> None:
    with a_running_shop(shops, tmp_path) as shop:
        # One pod of four, on top of a stable that stays whole: nothing has to be waited for.
        shop.configure(steps=[25])
        with (
            Floor(shop.session, "app=shop") as floor,
            Endpoints(shop.session, "shop", "shop-canary-") as ends,
        ):
            ran = shop.run("start", "errors")
        assert ran.code == 3, ran.text
        rolled_back_unharmed(shop, floor)
        assert "not proved" not in ran.text
        decided = shop.recorded().times["decided"]
        left, last = ends.left_at() - decided, last_answer(shop, "errors") - decided
        print(f"from the verdict: out of the endpoints {left:.2f} s, last answer seen {last:.2f} s")
        assert left <= TO_ZERO_S, shop.recorded().times
        # kube-proxy writes its rules once a second, and the books are a half old.
        assert last <= TO_ZERO_S + 1.5


def test_a_slower_version_is_rolled_back_and_no_request_fails(shops: Cluster, tmp_path: Path) -> None:
    with a_running_shop(shops, tmp_path) as shop:
        with Floor(shop.session, "app=shop") as floor:
            ran = shop.run("start", "slow")
        assert ran.code == 3, ran.text
        rolled_back_unharmed(shop, floor)


def test_a_version_that_never_becomes_ready_is_undone(shops: Cluster, tmp_path: Path) -> None:
    with a_running_shop(shops, tmp_path) as shop:
        target = {"namespace": shop.place.namespace, "deployment": "shop", "ready": "15s"}
        shop.configure(target=target)
        with Floor(shop.session, "app=shop") as floor:
            ran = shop.run("start", "broken")
        assert ran.code == 7, ran.text
        rolled_back_unharmed(shop, floor)


def test_an_image_that_is_not_there_is_undone_within_seconds_and_told(shops: Cluster, tmp_path: Path) -> None:
    with a_running_shop(shops, tmp_path) as shop:
        ran = shop.run("start", "nowhere", patience_s=60.0)
        assert ran.code == 7, ran.text
        assert "ErrImageNeverPull" in ran.text
        wait_for(shop.is_whole, "whole")


def test_a_version_that_crashes_after_a_minute_is_rolled_back_and_harms_its_own_requests_alone(
    shops: Cluster, tmp_path: Path
) -> None:
    with a_running_shop(shops, tmp_path) as shop:
        # One restart may be the node's doing: the second one of the same pod is the version's.
        shop.configure(steps=[25], hold={"min": "150s", "max": "160s"})
        with Floor(shop.session, "app=shop") as floor:
            ran = shop.run("start", "crash")
        assert ran.code == 3, ran.text
        assert shop.image() == "localhost/shop:good"
        wait_for(shop.is_whole, "whole")
        assert floor.fewest >= 3
        books = shop.books()
        # Twice its quarter of the connections, until kubelet and kube-proxy know that it is gone.
        assert books.failed <= 2 * RPS * 0.25 * 5, books.failures
        assert all(at > 60.0 for at in seconds_of(books.examples)), books.examples
        time.sleep(2.0)
        assert shop.books().failed == books.failed


def test_without_traffic_nothing_is_promoted(shops: Cluster, tmp_path: Path) -> None:
    with a_running_shop(shops, tmp_path, rps=0) as shop:
        shop.configure(deadline="30s")
        with Floor(shop.session, "app=shop") as floor:
            ran = shop.run("start", "better")
        assert ran.code == 4, ran.text
        assert "no_traffic" in ran.text or "no request" in ran.text
        assert shop.image() == "localhost/shop:good"
        wait_for(shop.is_whole, "whole")
        assert floor.fewest >= 3


def rolled_back_unharmed(shop: Shop, floor: Floor) -> None:
    """As before, never below its size, and every request was answered."""
    assert shop.image() == "localhost/shop:good"
    wait_for(shop.is_whole, "whole")
    assert floor.fewest >= 3
    assert shop.books().failed == 0, shop.books().examples


def last_answer(shop: Shop, version: str) -> float:
    """When the books last saw an answer of this version, in unix seconds, once there are none for 3 s."""
    before = shop.books()
    while (now := shop.books()).at - before.at < 3.0:
        if now.versions[version].requests > before.versions[version].requests:
            before = now
        time.sleep(0.1)
    return before.at


def seconds_of(examples: Sequence[str]) -> list[float]:
    """When they failed: seconds after the load began."""
    return [float(one.partition(" ")[0]) for one in examples]
