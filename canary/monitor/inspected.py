"""A container out of Docker's answer to `GET /containers/NAME/json`."""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from ipaddress import ip_interface, ip_network
from typing import Any

from canary.safety.container import Container, Mount


class InspectError(ValueError):
    """An answer of Docker's that is no description of a container; the message says why."""


def read(found: object) -> Container:
    """What `GET /containers/NAME/json` answered.

    Raises:
        InspectError: a field that matters is missing or of another kind.
    """
    try:
        return _read(found)
    except (KeyError, TypeError, ValueError, AttributeError) as fault:
        raise InspectError(f"Docker's answer is no container: {type(fault).__name__}: {fault}") from fault


def _read(found: Any) -> Container:  # noqa: ANN401 - whatever the daemon sent
    state, host, config = found["State"], found["HostConfig"], found["Config"]
    settings = found.get("NetworkSettings") or {}
    ends = [one for one in (settings.get("Networks") or {}).values() if one]
    ports = host.get("PortBindings") or {}
    security = [str(one) for one in host.get("SecurityOpt") or ()]
    if not re.fullmatch("[0-9a-f]{64}", str(found["Id"])):
        raise ValueError(f"its id is {str(found['Id'])[:80]!r}")
    return Container(
        id=str(found["Id"]),
        name=str(found["Name"]).removeprefix("/"),
        status=str(state["Status"]),
        pid=int(state["Pid"]),
        started_at=_unix_seconds(str(state["StartedAt"])),
        exit_code=int(state.get("ExitCode") or 0),
        oom_killed=bool(state.get("OOMKilled")),
        image=str(found.get("Image") or ""),
        user=str(config.get("User") or ""),
        stop_signal=str(config.get("StopSignal") or "SIGTERM"),
        nano_cpus=int(host.get("NanoCpus") or 0),
        cpu_period=int(host.get("CpuPeriod") or 0),
        cpu_quota=int(host.get("CpuQuota") or 0),
        memory_limit=int(host.get("Memory") or 0),
        cap_add=_capabilities(host.get("CapAdd")),
        cap_drop=_capabilities(host.get("CapDrop")),
        privileged=bool(host.get("Privileged")),
        no_new_privileges=any(_is_no_new_privileges(one) for one in security),
        unconfined=any(one.replace("=", ":") == "seccomp:unconfined" for one in security),
        restart=str((host.get("RestartPolicy") or {}).get("Name") or "no"),
        network_mode=str(host.get("NetworkMode") or "default"),
        pid_mode=str(host.get("PidMode") or ""),
        mounts=tuple(_mount(one) for one in found.get("Mounts") or ()),
        networks=_networks(ends),
        gateways=_gateways(ends),
        published=any(ports.values()) or bool(host.get("PublishAllPorts")),
    )


def _is_no_new_privileges(option: str) -> bool:
    name, _, value = option.replace("=", ":").partition(":")
    return name == "no-new-privileges" and value in ("", "true")


def _capabilities(found: Sequence[object] | None) -> frozenset[str]:
    return frozenset(str(one).upper().removeprefix("CAP_") for one in found or ())


def _mount(found: Mapping[str, Any]) -> Mount:
    return Mount(str(found.get("Source") or ""), str(found["Destination"]), bool(found.get("RW")))


def _networks(ends: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    found = []
    for end in ends:
        for address, prefix in (("IPAddress", "IPPrefixLen"), ("GlobalIPv6Address", "GlobalIPv6PrefixLen")):
            if end.get(address):
                found.append(str(ip_interface(f"{end[address]}/{int(end[prefix])}").network))
    return tuple(sorted(set(found)))


def _gateways(ends: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    found = {str(end[key]) for end in ends for key in ("Gateway", "IPv6Gateway") if end.get(key)}
    # An internal network has none in newer versions; the host still has its first address.
    for network in _networks(ends):
        found.add(str(ip_network(network)[1]))
    return tuple(sorted(found))


def _unix_seconds(text: str) -> float | None:
    """Docker says never by the year 1."""
    found = datetime.fromisoformat(text)
    if found.tzinfo is None:
        raise ValueError(f"{text[:40]!r} has no time zone")
    return found.timestamp() if found.year >= 1970 else None
