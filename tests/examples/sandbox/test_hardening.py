"""The points of the CIS Docker Benchmark: all hold for the example, and each is seen to fail elsewhere."""

import json
import re
from collections.abc import Mapping
from typing import Any

import pytest

from box import hardening
from box.hardening import EXCUSED, FAIL, NONE, PASS, POINTS
from tests.docker import images
from tests.examples.sandbox.stage import SANDBOX, Box

UNSAFE: dict[str, tuple[str, ...]] = {
    "4.1": ("--user", "0"),
    "5.4": ("--cap-add", "NET_ADMIN"),
    "5.5": ("--privileged",),
    "5.6": ("--volume", "/etc:/x"),
    "5.8": ("--publish", "127.0.0.1:80:80"),
    "5.9": ("--publish", "127.0.0.1:8001:8001"),
    "5.10": ("--network", "host"),
    "5.11": (),
    "5.12": (),
    "5.13": (),
    "5.14": ("--publish", "8000:8000"),
    "5.15": ("--restart", "always"),
    "5.16": ("--pid", "host"),
    "5.17": ("--ipc", "host"),
    "5.18": ("--device", "/dev/null:/dev/x"),
    "5.19": (),
    "5.20": ("--mount", "type=bind,source=/,target=/x,bind-propagation=rshared"),
    "5.21": ("--uts", "host"),
    "5.22": ("--security-opt", "seccomp=unconfined"),
    "5.25": ("--cgroup-parent", "/elsewhere"),
    "5.26": (),
    "5.27": ("--no-healthcheck",),
    "5.28": (),
    "5.29": (),
    "5.30": (),
    "5.31": ("--userns", "host"),
    "5.32": ("--volume", "SOCKET:/var/run/docker.sock:ro"),
}
"""For each point, how a container is made at which it fails."""

SAFE: Mapping[str, Any] = {
    "Name": "/safe",
    "AppArmorProfile": "docker-default",
    "Mounts": [],
    "Config": {"User": "1:1", "Image": "sha256:0", "Healthcheck": {"Test": ["CMD", "true"]}},
    "HostConfig": {
        "CapDrop": ["ALL"],
        "SecurityOpt": ["no-new-privileges:true"],
        "ReadonlyRootfs": True,
        "Memory": 1,
        "NanoCpus": 1,
        "PidsLimit": 1,
        "Ulimits": [{"Name": "core"}],
        "NetworkMode": "none",
        "RestartPolicy": {"Name": "no", "MaximumRetryCount": 0},
    },
}


@pytest.mark.docker
def test_all_points_hold_for_every_container_of_the_example(standing: Box) -> None:
    said = standing.box("hardening")
    results = {
        word: int(number) for number, word in re.findall(r"(\d+) (\S+?)(?:,|$)", said.splitlines()[-1])
    }
    assert results[FAIL] == 0
    assert results[NONE] + len(POINTS) >= 32
    assert results[PASS] + results[EXCUSED] >= (len(POINTS) - 1) * len(standing.containers())
    excused = re.findall(r"^excused +(\S+) +(\S+)", said, re.MULTILINE)
    assert set(excused) == {
        ("5.6", f"{SANDBOX}-monitor"),
        ("5.9", f"{SANDBOX}-monitor"),
        ("5.16", f"{SANDBOX}-monitor"),
        ("5.32", f"{SANDBOX}-filter"),
        ("5.32", f"{SANDBOX}-watchdog-filter"),
    }


@pytest.mark.docker
@pytest.mark.parametrize("number", [point.number for point in POINTS if point.number != "5.2"])
def test_each_point_is_seen_to_fail(built: Box, number: str) -> None:
    options = [one.replace("SOCKET", str(built.daemon.where.socket)) for one in UNSAFE[number]]
    image = images.provide(built.daemon)
    made = built.daemon.docker("create", *options, image, "true").strip()
    try:
        (container,) = json.loads(built.daemon.docker("inspect", made))
    finally:
        built.daemon.docker("rm", "--force", made)
    wrong = {one.point for one in hardening.checked([container], {}) if one.result == FAIL}
    assert number in wrong


def test_a_safe_container_passes_all_points() -> None:
    assert {one.result for one in hardening.checked([SAFE], {})} == {PASS, NONE}


def test_an_excuse_that_excuses_nothing_is_a_failure() -> None:
    (found,) = [one for one in hardening.checked([SAFE], {("5.16", "safe"): "why"}) if one.point == "5.16"]
    assert found.result == FAIL
    assert "nothing is wrong" in found.told


def test_where_the_kernel_has_apparmor_a_profile_is_wanted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.setattr(hardening, "APPARMOR", tmp_path)
    bare = {**SAFE, "AppArmorProfile": "unconfined"}
    results = {
        kind: {one.result for one in hardening.checked([found], {}) if one.point == "5.2"}
        for kind, found in (("safe", SAFE), ("bare", bare))
    }
    assert results == {"safe": {PASS}, "bare": {FAIL}}
    monkeypatch.setattr(hardening, "APPARMOR", tmp_path / "none")
    assert {one.result for one in hardening.checked([bare], {}) if one.point == "5.2"} == {NONE}
