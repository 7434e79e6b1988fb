"""The images of the example, built from its own Dockerfiles as its README says, loaded once for a node."""

import tempfile
from pathlib import Path

from tests.cluster import images, node
from tests.command import ROOT
from tests.examples.secured.readme import SECURED, block
from tests.node.provided import once

DATABASE = "localhost/project-ai-postgresql:15-1"
APP = "localhost/project-ai"
FIRST, BAD, GOOD = "v1.0.0", "v1.1.0", "v1.1.1"


def provide() -> None:
    """The database, and three versions of the service."""
    inputs = [path for path in (SECURED / "database").rglob("*") if path.is_file()]
    app = ROOT / "examples" / "app"
    inputs += [app / "Dockerfile", app / "requirements.txt", *(app / "project_ai").rglob("*.py")]
    once("secured", [*inputs, Path(__file__)], _make)


def built() -> dict[str, Path]:
    """What the README builds: the folder of each image, by its name with a tag."""
    lines = [line.split() for line in block("images").splitlines()]
    return {words[words.index("-t") + 1]: ROOT / words[-1] for words in lines}


def _make() -> None:
    folders = built()
    node.load(images.built_on_base(folders["project-ai/postgresql:15-1"], DATABASE))
    argument = ("--build-arg", f"RELEASE={FIRST}")
    node.load(images.built_on_base(folders[f"project-ai/core:{FIRST}"], f"{APP}:{FIRST}", argument))
    for version in (BAD, GOOD):
        # buildah takes the layers of another build argument again: this says the same, and is not taken.
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "Dockerfile").write_text(f"FROM {APP}:{FIRST}\nENV RELEASE={version}\n")
            node.load(images.built_on_base(Path(folder), f"{APP}:{version}"))
