"""Bring a cluster up, tell whether it stands, take it down: each of them as often as one likes."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from tests.cluster import build, images, network, node, packages, processes, prometheus, simulated
from tests.cluster.control import ControlPlane
from tests.cluster.made import Cluster, given, load
from tests.cluster.place import REAL, SIMULATED, Place, locked

NODES = 3


def up(node: bool = False, nodes: int | None = None) -> Cluster:
    """The cluster that stands, or a new one; `CANARY_TEST_KUBECONFIG` names one to be taken instead.

    Args:
        node: containers really run, on one node. Otherwise nodes and pods are simulated.
        nodes: how many simulated nodes to have; None keeps those that are there, and begins with 3.

    Raises:
        LackingError: this machine lacks something for it: no Go, or for a node no root.
        ClusterError: it did not come up; the message says what failed, and where its log is.
    """
    if (taken := given()) is not None:
        return taken
    provide(node)
    return stand(REAL if node else SIMULATED, nodes)


def stand(place: Place, nodes: int | None = None) -> Cluster:
    """The cluster of this place, brought up unless it stands."""
    with locked(place.name):
        found = standing(place)
        if found is None:
            _clear(place)
            found = _raise(place, NODES if nodes is None else nodes)
        elif nodes is not None and not found.node:
            simulated.scale(place, nodes)
        return found


def provide(real: bool) -> None:
    """Build, fetch and make whatever is needed and not there yet. `real`: for a node that runs containers."""
    for program in build.ALL if real else (build.KUBE, build.KWOK):
        build.built(program)
    if real:
        packages.provide()
        images.pause()
        images.base()
        images.dns()


def down(*places: Place) -> list[str]:
    """Take down these clusters (both if none is named), whatever is left of them; what was running."""
    ended = []
    for place in places or (SIMULATED, REAL):
        with locked(place.name):
            ended += [f"{place.name}: {name}" for name in _clear(place)]
    return ended


@contextmanager
def running(node: bool = False) -> Iterator[Cluster]:
    """`up`, and down again unless it stood already: what a person has brought up stays."""
    place = REAL if node else SIMULATED
    stood = standing(place) is not None
    cluster = up(node)
    try:
        yield cluster
    finally:
        if not stood and given() is None:
            down(place)


def standing(place: Place) -> Cluster | None:
    """The cluster of this place if all of it runs and answers."""
    try:
        cluster = load(place.folder / "cluster.json")
    except (OSError, ValueError):
        return None
    if processes.dead(place) or not ControlPlane(place).answers("/readyz"):
        return None
    return cluster


def _raise(place: Place, nodes: int) -> Cluster:
    """On a failure nothing runs on, but the logs stay until the next time."""
    place.folder.mkdir(parents=True)
    try:
        place.choose_ports()
        control = ControlPlane(place)
        prometheus_url = None
        if place == REAL:
            network.prepare()
            control.start(node.ACCOUNTS)
            node.start()
            prometheus_url = prometheus.start(place)
        else:
            control.start()
            simulated.start(place, nodes)
        cluster = Cluster(
            kubeconfig=place.kubeconfig("admin"),
            server=control.server,
            audit_log=control.audit_log,
            node=place == REAL,
            prometheus=prometheus_url,
        )
        cluster.save(place.folder / "cluster.json")
        return cluster
    except BaseException:
        processes.stop_all(place)
        raise


def _clear(place: Place) -> list[str]:
    """End and remove whatever is there, in an order in which a clearing that is killed can go on."""
    ended = processes.stop_all(place)
    if place == REAL:
        node.clear_groups()
        network.clear()
        node.remove_folders()
    if place.folder.exists():
        shutil.rmtree(place.folder)
    return ended
