"""A server of the example: its folder in a checkout of its own, and its README run as a person would."""

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import yaml

from steward.place import Place, read

ROOT = Path(__file__).parents[3]
MINIMAL = ROOT / "examples" / "minimal"
SOURCES = (
    "analysis", "canary", "examples/app", "examples/minimal", "CHANGELOG.md", "LICENSE", "README.md",
    "pyproject.toml", "requirements.lock",
)  # fmt: skip
PATIENCE_S = 900.0
MARK = "CANARY_EXAMPLE_SERVER"
_MADE = shutil.ignore_patterns(
    "__pycache__",
    ".venv",
    ".canary",
    "backups",
    "data",
    "evidence",
    "releases",
    "targets.json",
    ".steward.lock",
)


def a_place(folder: Path, **changes: object) -> Place:
    """An empty server, without a service that runs."""
    shutil.copy(MINIMAL / "server.toml", folder)
    (folder / "canary.yaml").write_text("target: {local: project-ai}\nlocal:\n  version: v1.0.0\n")
    found = read(folder)
    defaults: dict[str, Any] = {
        "configuration": ("canary.yaml", "server.toml"),
        "service": ROOT / "examples/app",
    }
    return Place(**{**vars(found), **defaults, **changes})


def blocks(readme: Path) -> list[str]:
    """What the README has people run, in order: its fenced blocks marked `sh`."""
    return re.findall(r"^```sh\n(.*?)^```$", readme.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


@dataclass
class Server:
    """The folder of an example in a fresh checkout."""

    checkout: Path
    name: str = "minimal"
    said: list[str] = field(default_factory=list)

    @property
    def folder(self) -> Path:
        return self.checkout / "examples" / self.name

    def run(self, block: str) -> str:
        """Run a block as in the one terminal that a person has; what it said. Fails when a command fails."""
        out = self.checkout / f"said-{len(self.said)}"
        script = f"set -e\n[ ! -e .venv ] || . .venv/bin/activate\n{block}"
        variables = {
            name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")
        }
        variables[MARK] = str(self.checkout)
        variables["PIP_NO_COMPILE"] = "1"  # four environments are made, and most of their bytecode never read
        with out.open("wb") as file:
            done = subprocess.run(
                ["bash", "-c", script],
                cwd=self.folder,
                env=variables,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                timeout=PATIENCE_S,
                check=False,
            )
        self.said.append(out.read_text(errors="replace"))
        assert done.returncode == 0, f"{block}\n{self.said[-1][-3000:]}"
        assert "Traceback" not in self.said[-1], self.said[-1]
        return self.said[-1]

    def hurry(self) -> None:
        """Times are short and margins wide, so that a release takes seconds; the promised rates stay."""
        path = self.folder / "canary.yaml"
        found = yaml.safe_load(path.read_text())
        found["hold"], found["deadline"] = {"min": "2s", "max": "3m"}, "8m"
        found["local"] |= {"drain": "5s", "scrape": "1s"}
        found["analysis"] |= {"interval": "1s", "warm_up": {"min": "1s", "max": "5s"}}
        for metric in ("errors", "latency"):
            found["analysis"]["metrics"][0][metric]["margin"] = {"abs": "30pp"}
        path.write_text(yaml.safe_dump(found, sort_keys=False))

    def processes(self, *words: str) -> list[psutil.Process]:
        """What was started from here and still runs, with these words in its command."""
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error, OSError):
                mine = process.environ().get(MARK) == str(self.checkout)
                if mine and process.pid != os.getpid() and set(words) <= set(process.cmdline()):
                    found.append(process)
        return found

    def end(self, *words: str) -> None:
        """End them: in order, then at once."""
        found = self.processes(*words)
        for number in (signal.SIGTERM, signal.SIGKILL):
            for process in found:
                with suppress(psutil.Error):
                    process.send_signal(number)
            _, found = psutil.wait_procs(found, timeout=40)

    def destroy(self) -> None:
        """The machine is gone; what is left: the sources in version control, and copies of backups."""
        self.end()
        kept = self.checkout / "copies"
        shutil.rmtree(kept, ignore_errors=True)
        shutil.copytree(self.folder / "backups", kept)
        shutil.rmtree(self.checkout / "examples")
        for name in ("examples/app", "examples/minimal"):
            shutil.copytree(ROOT / name, self.checkout / name, ignore=_MADE)
        shutil.copytree(kept, self.folder / "backups")


@contextmanager
def a_server(folder: Path, name: str = "minimal") -> Iterator[Server]:
    """A fresh checkout; whatever is started in it ends with the block."""
    for part in SOURCES:
        source, target = ROOT / part, folder / part
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=_MADE)
        else:
            shutil.copy(source, target)
    server = Server(folder, name)
    try:
        yield server
    finally:
        server.end()
