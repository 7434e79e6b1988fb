"""The images that the releases on the real node are of: made once for a node, and again when they change."""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from tests.cluster import build, images, node
from tests.cluster.place import REAL, locked
from tests.command import ROOT

HERE = Path(__file__).parent
CONTROLLER = "localhost/canary:test"
SHOP = "localhost/shop"
VERSIONS = ("good", "better", "errors", "slow", "crash", "broken")
PROJECT_AI = "localhost/project-ai-shop"
PODINFO = "localhost/podinfo"
FLAGS: dict[str, list[str]] = {"good": [], "better": [], "errors": ["--random-error"]}
"""What each version of podinfo is started with."""


def shops() -> None:
    """The controller's own image from the project's Dockerfile, and on it one image for each version."""
    whole = [path for name in ("canary", "analysis") for path in (ROOT / name).rglob("*.py")]
    whole += [ROOT / "Dockerfile", ROOT / "requirements.lock", HERE / "shop" / "Dockerfile", Path(__file__)]
    once("shop", whole, _make_shops)


def podinfos() -> None:
    """One image for each version of podinfo."""
    program = build.built(build.PODINFO)
    once(
        "podinfo", [program, HERE / "podinfo" / "Dockerfile", Path(__file__)], lambda: _make_podinfos(program)
    )


def _make_shops() -> None:
    node.load(images.built_on_base(ROOT, CONTROLLER))
    for version in VERSIONS:
        _make_shop(f"{SHOP}:{version}", version, 8080)
    for version in ("v1.0.0", "v1.1.0"):
        _make_shop(f"{PROJECT_AI}:{version}", version, 8000)


def _make_shop(name: str, version: str, port: int) -> None:
    """`port`: where it listens."""
    with tempfile.TemporaryDirectory() as folder:
        # A file tells the versions apart: layers kept from another build argument would be taken again.
        shutil.copy(HERE / "shop" / "Dockerfile", folder)
        (Path(folder) / "version").write_text(f"{version} {port}\n")
        node.load(images.built_on_base(Path(folder), name, ("--build-arg", f"BASE={CONTROLLER}")))


def _make_podinfos(program: Path) -> None:
    for version, flags in FLAGS.items():
        with tempfile.TemporaryDirectory() as folder:
            shutil.copy(program, folder)
            (Path(folder) / "version").write_text(f"{version}\n")
            file = (HERE / "podinfo" / "Dockerfile").read_text() + f"CMD {json.dumps(flags)}\n"
            (Path(folder) / "Dockerfile").write_text(file)
            node.load(images.built_on_base(Path(folder), f"{PODINFO}:{version}"))


def once(name: str, inputs: list[Path], make: Callable[[], None]) -> None:
    """Make these images and load them, unless this node has those of the same inputs."""
    digest = hashlib.sha256()
    for path in sorted(inputs):
        digest.update(str(path).encode() + path.read_bytes())
    had = REAL.folder / f"{name}-images"
    with locked("loaded-images"):
        if not had.exists() or had.read_text() != digest.hexdigest():
            make()
            had.write_text(digest.hexdigest())
