"""The sandbox of the examples in a checkout of its own, on the daemon of the tests."""

import json
import re
import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.command import ROOT
from tests.docker import Daemon, images
from tests.examples.sandbox.webhook import Webhook

EXAMPLE = ROOT / "examples" / "sandbox"
SOURCES = (
    "analysis", "canary", "examples/app", "examples/sandbox", "CHANGELOG.md", "Dockerfile", "LICENSE",
    "README.md", "pyproject.toml", "requirements-dev.lock", "requirements.lock", ".dockerignore",
)  # fmt: skip
BASES = ("python:3.12-slim", "debian:bookworm-slim")
"""What the Dockerfiles begin with; here, names of the base of the tests."""
SANDBOX = "project-ai-sandbox"
PATIENCE_S = 1800.0
MADE = shutil.ignore_patterns("__pycache__", ".env", ".env.before", "secrets", ".venv")


def blocks() -> dict[str, str]:
    """What the README has people run, by the name of each block: fences that open with ```sh NAME."""
    text = (EXAMPLE / "README.md").read_text(encoding="utf-8")
    return dict(re.findall(r"^```sh (\S+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL))


@dataclass
class Box:
    """The folder of the example, and the daemon on which it is.

    Attributes:
        webhook: where alerts arrive.
        said: what each command that was run has said.
    """

    daemon: Daemon
    checkout: Path
    webhook: Webhook
    said: list[str] = field(default_factory=list)

    @property
    def folder(self) -> Path:
        return self.checkout / "examples" / "sandbox"

    @property
    def environment(self) -> dict[str, str]:
        """Of a person at the machine of the daemon."""
        url = f"http://{self.daemon.outside}:{self.webhook.port}/alerts"
        return self.daemon.environment | {"ALERT_WEBHOOK_URL": url}

    def run(self, script: str, status: int = 0) -> str:
        """Run lines as a person does on the machine of the daemon; what was said.

        Args:
            status: what it has to end with.
        """
        command = self.daemon.within("bash", "-ec", script)
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        self.said.append(done.stdout)
        assert done.returncode == status, f"{script}\n{done.stdout[-3000:]}"
        assert "Traceback" not in done.stdout, done.stdout
        return done.stdout

    def box(self, *arguments: str, status: int = 0) -> str:
        """Run `python3 -m box`."""
        return self.run(f"python3 -m box {' '.join(arguments)}", status)

    def inside(self, *command: str, user: str | None = None) -> "subprocess.CompletedProcess[str]":
        """Run it in the sandbox."""
        who = ("--user", user) if user else ()
        return self.daemon.tried("exec", *who, SANDBOX, *command)

    def experiment(self, name: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run one of the experiments, to its end."""
        return self.inside("python3", f"/app/experiments/{name}.py", *arguments)

    def inspect(self, name: str = SANDBOX) -> dict[str, Any]:
        """What Docker says of a container; fails when there is none."""
        (found,) = json.loads(self.daemon.docker("inspect", "--type", "container", name))
        return dict(found)

    def ledger(self) -> list[dict[str, Any]]:
        """All entries."""
        return [json.loads(line) for line in self.box("export").splitlines()]

    def ended(self, within_s: float = 30.0) -> float:
        """Wait for the end of the sandbox; seconds that it took."""
        begun = time.monotonic()
        until(lambda: not self.inspect()["State"]["Running"], "the sandbox to be ended", within_s)
        return time.monotonic() - begun

    def containers(self) -> list[str]:
        """Names of all containers, those that have ended too."""
        return sorted(self.daemon.docker("ps", "--all", "--format", "{{.Names}}").split())


def a_checkout(folder: Path) -> Path:
    """A fresh checkout of what the example needs."""
    for part in SOURCES:
        source, target = ROOT / part, folder / part
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=MADE)
        else:
            shutil.copy(source, target)
    return folder


def named_bases(daemon: Daemon) -> None:
    """Have what the Dockerfiles begin with: no registry is asked."""
    base = images.provide(daemon)
    for name in BASES:
        daemon.docker("tag", base, name)


def until(what: Callable[[], object], says: str, patience_s: float = 30.0) -> None:
    end = time.monotonic() + patience_s
    while not what():
        assert time.monotonic() < end, f"waited {patience_s:g} s for {says}"
        time.sleep(0.05)
