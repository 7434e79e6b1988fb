"""Drivers that are killed on a real node: who comes after them ends the same release the same way."""

import signal
from pathlib import Path

import pytest

from tests.cluster import Cluster
from tests.command import ended
from tests.kube.live import wait_for
from tests.kube.stage import Floor
from tests.node.configured import configured, sees, told, written
from tests.node.stage import PATIENCE_S, Shop, a_running_shop

pytestmark = pytest.mark.node


@pytest.mark.parametrize(
    ("moment", "version", "code"),
    [
        ("progressing scaling", "better", 0),
        ("promoting", "better", 0),
        ("rolling_back", "errors", 3),
    ],
)
def test_a_release_whose_driver_was_killed_is_taken_over_and_ends_the_same(
    shops: Cluster, tmp_path: Path, moment: str, version: str, code: int
) -> None:
    with a_running_shop(shops, tmp_path) as shop, Floor(shop.session, "app=shop") as floor:
        shop.configure(steps=[50])
        first = shop.begin("start", version)
        wait_for(lambda: stands(shop).startswith(moment), f"it is {moment}", 120.0)
        first.kill()
        assert ended(first, 10.0).code == -signal.SIGKILL
        assert not shop.recorded().settled, "killed too late"
        release = shop.recorded().id

        ran = shop.run("start", version)
        assert ran.code == code, ran.text
        assert shop.recorded().id == release
        assert shop.image() == f"localhost/shop:{'good' if code else version}"
        wait_for(shop.is_whole, "whole, and no canary is left")
        assert floor.fewest >= 3
        assert shop.books().failed == 0, shop.books().examples


def test_a_release_as_a_job_goes_on_without_who_started_it_and_tells_its_code(
    shops: Cluster, tmp_path: Path
) -> None:
    with a_running_shop(shops, tmp_path) as shop:
        a_driver_may(shop)
        first = shop.begin("start", "errors", "--in-cluster")
        wait_for(shop.canary, "the canary is there", 60.0)
        first.terminate()
        gone = ended(first, PATIENCE_S)
        assert gone.code == 143
        assert "drives on" in gone.text

        again = shop.run("start", "errors", "--in-cluster")
        assert again.code == 3, again.text
        assert "attached to Job" in again.text
        wait_for(shop.is_whole, "whole")


def test_a_release_with_configuration_as_a_job_goes_on_when_its_pod_is_killed_and_is_undone_as_one(
    shops: Cluster, tmp_path: Path
) -> None:
    with (
        a_running_shop(shops, tmp_path, made=configured) as shop,
        Floor(shop.session, "app=shop") as floor,
    ):
        shop.configure(steps=[50])
        a_driver_may(shop, "--with", "configmap", "--with", "secret")
        assert set(told(shop).values()) == {sees("plain")}
        file = written(tmp_path, "new")
        follower = shop.begin("start", "better", "--in-cluster", "--config", str(file))
        wait_for(lambda: stands(shop) == "progressing holding", "it holds a step", 60.0)
        release, (pod,) = shop.recorded().id, drivers(shop)
        # Without grace: it has no time to give its lease back.
        kill = ("delete", "pod", pod, "--grace-period=0", "--force", "--wait=false")
        shop.cluster.kubectl(*kill, "-n", shop.place.namespace)
        wait_for(lambda: drivers(shop) not in ([], [pod]), "another pod drives", 60.0)

        ran = ended(follower, PATIENCE_S)
        assert ran.code == 0, ran.text
        assert shop.recorded().id == release
        assert shop.image() == "localhost/shop:better"
        wait_for(shop.is_whole, "whole, and no canary is left")
        assert set(told(shop).values()) == {sees("new")}

        undone = shop.run("undo")
        assert undone.code == 0, undone.text
        assert shop.image() == "localhost/shop:good"
        wait_for(shop.is_whole, "whole")
        assert set(told(shop).values()) == {sees("plain")}
        assert floor.fewest >= 3
        assert shop.books().failed == 0, shop.books().examples


def a_driver_may(shop: Shop, *options: str) -> None:
    """Give the account `canary` the Role that is printed, where only restricted pods are admitted."""
    kubectl, namespace = shop.cluster.kubectl, shop.place.namespace
    kubectl("create", "serviceaccount", "canary", "-n", namespace)
    kubectl("apply", "-f", "-", send=shop.run("rbac", "--for", "driver", *options).out)
    account = f"--serviceaccount={namespace}:canary"
    kubectl("create", "rolebinding", "canary", "--role=canary-shop-driver", account, "-n", namespace)
    kubectl("label", "namespace", namespace, "pod-security.kubernetes.io/enforce=restricted")


def drivers(shop: Shop) -> list[str]:
    """The names of the Job's pods that are not being deleted."""
    found = [one["metadata"] for one in shop.pods("batch.kubernetes.io/job-name")]
    return [one["name"] for one in found if "deletionTimestamp" not in one]


def stands(shop: Shop) -> str:
    """The phase of the release, and within a step what is done there; nothing before it has begun."""
    release = shop.record()
    if release is None:
        return ""
    return f"{release.phase} {release.stage}" if release.phase == "progressing" else str(release.phase)
