"""The example, deployed once for all that looks at it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster import Cluster, place
from tests.cluster.kubectl import kubectl
from tests.examples.secured import provided
from tests.examples.secured.stage import PRODUCTION, STAGING, Secured, deployed


@pytest.fixture(scope="session")
def secured(real: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    """Both environments on the real node, as the README installs them."""
    provided.provide()
    folder = tmp_path_factory.mktemp("secured")
    (folder / "examples").mkdir()
    with deployed(real, folder) as found:
        yield found


@pytest.fixture(scope="session")
def accounts(secured: Secured) -> dict[str, str]:
    """Whom a release runs as: the account of each namespace, with its token and no other right."""
    assert len(secured.done("account").text.split(".")) == 3
    assert "public half" in secured.done("seal").text
    names = {"STAGING_KUBECONFIG": STAGING, "PRODUCTION_KUBECONFIG": PRODUCTION}
    return {name: str(secured.cluster.service_account(where, "release")) for name, where in names.items()}


@pytest.fixture
def namespace(kubeconfig: Path) -> Iterator[Path]:
    """A kubeconfig of a cluster where the namespace of production is free, and free again afterwards."""

    def forget() -> None:
        kubectl(kubeconfig, "delete", "namespace", PRODUCTION, "--ignore-not-found", patience_s=120.0)

    # Tests run side by side, and there is one of it.
    with place.locked(PRODUCTION):
        forget()
        try:
            yield kubeconfig
        finally:
            forget()
