"""The programs of a cluster, built from their Go modules and kept under `.cache/cluster/built/`.

Each folder of `go/` is a module whose go.mod and go.sum pin everything; with the module cache filled a build
needs no network. A program is built anew only when its module, or how it is built, has changed.
"""

import hashlib
import os
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.faults import ClusterError, LackingError
from tests.cluster.place import CACHE, HERE, locked

BUILT = CACHE / "built"
KUBERNETES = "v1.34.4"
VERSION = "k8s.io/component-base/version"
ENVIRONMENT = {"CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly -trimpath -buildvcs=false", "GOWORK": "off"}


@dataclass(frozen=True)
class Program:
    """What to build: `package`, out of the module `go/MODULE/`, linked with these values set."""

    name: str
    module: str
    package: str = "."
    values: tuple[str, ...] = ()

    @property
    def command(self) -> tuple[str, ...]:
        """Go's arguments, but for the output."""
        flags = " ".join(("-s", "-w", *(f"-X {value}" for value in self.values)))
        return ("build", "-ldflags", flags, self.package)


KUBE = Program(
    "kube",
    "kube",
    values=(
        f"{VERSION}.gitVersion={KUBERNETES}",
        f"{VERSION}.gitMajor=1",
        f"{VERSION}.gitMinor={KUBERNETES.split('.')[1]}",
        f"{VERSION}.gitTreeState=clean",
    ),
)
KWOK = Program("kwok", "kwok", "sigs.k8s.io/kwok/cmd/kwok")
PAUSE = Program("pause", "pause")
PROMETHEUS = Program("prometheus", "prometheus", "github.com/prometheus/prometheus/cmd/prometheus")
PROMTOOL = Program("promtool", "prometheus", "github.com/prometheus/prometheus/cmd/promtool")
PODINFO = Program("podinfo", "podinfo", "github.com/stefanprodan/podinfo/cmd/podinfo")
"""A service that others wrote, to be released: no part of the cluster, built when a test asks for it."""
COREDNS = Program("coredns", "coredns")
NETPOL = Program("netpol", "netpol")
"""Enforces network policies: no part of the cluster either, since it is slow to notice new pods."""
KUBE_SCORE = Program("kube-score", "kube-score", "github.com/zegl/kube-score/cmd/kube-score")
COMPOSE = Program("compose", "compose")
"""Reads compose files as Docker Compose 2 does: no part of the cluster."""
ALL = (KUBE, KWOK, PAUSE, COREDNS, PROMETHEUS, PROMTOOL)


def built(program: Program) -> Path:
    """The program's file, after building it if that is needed.

    Raises:
        LackingError: there is no Go here.
        ClusterError: the build failed; the end of its output is in the message.
    """
    target = BUILT / f"{program.name}-{_stamp(program)}" / program.name
    if not target.exists():
        with locked("build"):
            if not target.exists():  # another process may have built it while we waited
                _build(program, target)
    return target


def _stamp(program: Program) -> str:
    digest = hashlib.sha256(repr((program, ENVIRONMENT)).encode())
    for path in sorted((HERE / "go" / program.module).iterdir()):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()[:12]


def _build(program: Program, target: Path) -> None:
    """Build beside the target; the folder gets its name only when it is whole, and older ones go."""
    if shutil.which("go") is None:
        raise LackingError("there is no `go` on PATH; Go 1.24 or newer builds the test cluster")
    part = BUILT / f"{program.name}.part"
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    print(f"building {program.name}: minutes the first time, then it is kept", flush=True)
    begun = time.monotonic()
    verb, *rest = program.command
    command = ["nice", "-n", "10", "go", verb, "-o", str(part / program.name), *rest]
    folder = HERE / "go" / program.module
    done = subprocess.run(
        command, cwd=folder, env=os.environ | ENVIRONMENT, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise ClusterError(f"{program.name} does not build, in {folder}:\n{done.stderr.strip()[-3000:]}")
    for old in BUILT.glob(f"{program.name}-*"):
        shutil.rmtree(old)
    part.rename(target.parent)
    print(f"built {program.name} in {time.monotonic() - begun:.0f} s", flush=True)
