"""Texts of the kernel, of Docker and of a workload, read."""

from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from canary.monitor.inspected import InspectError, read
from canary.safety import proc
from canary.safety.container import Container, Mount, refusals
from canary.safety.report import LONGEST, NonsenseError, Report, parse

STATUS = """\
Name:\trunc:[2:INIT]
State:\tS (sleeping)
Pid:\t19118
PPid:\t19099
Uid:\t1000\t1000\t0\t1000
Gid:\t1000\t1000\t1000\t1000
Groups:\t1000 27
CapInh:\t0000000000000000
CapPrm:\t0000000000200001
CapEff:\t0000000000000001
CapAmb:\t0000000000000400
NoNewPrivs:\t1
Seccomp:\t2
"""
TCP = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0B00007F:99C3 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 688131 1 0 100
   1: 0205D50A:C3A0 010200C0:01BB 02 00000000:00000000 00:00000000 00000000  1000        0 688132 1 0 100
"""
TCP6 = """\
  sl  local_address                         remote_address                        st tx_queue rx_queue
   0: 0000000000000000FFFF00000205D50A:1F90 0000000000000000FFFF0000010200C0:01BB 01 00000000:00000000
   1: B80D0120000000000000000001000000:1F90 B80D0120000000000000000002000000:0050 01 00000000:00000000
"""


def test_the_status_of_a_process_is_read() -> None:
    found = proc.process(STATUS, age_s=2.0)
    assert (found.pid, found.parent, found.name) == (19118, 19099, "runc:[2:INIT]")
    assert (found.uids, found.groups) == ((1000, 1000, 0, 1000), (1000, 27))
    assert (found.permitted, found.effective, found.ambient) == (0x200001, 1, 0x400)
    assert (found.no_new_privileges, found.seccomp, found.gone) == (True, 2, False)
    assert proc.names(found.permitted) == "CHOWN, SYS_ADMIN"


@pytest.mark.parametrize("name", ["Pid", "Uid", "CapEff", "State"])
def test_a_status_without_a_field_is_a_fault(name: str) -> None:
    with pytest.raises(proc.ProcError):
        proc.process("\n".join(line for line in STATUS.splitlines() if not line.startswith(f"{name}:")))


def test_tables_of_sockets_are_read_and_mapped_addresses_are_those_of_version_4() -> None:
    listening, attempt = proc.sockets(TCP, "tcp")
    assert (listening.local, listening.local_port, listening.state) == ("127.0.0.11", 0x99C3, "0A")
    assert str(attempt) == "tcp to 192.0.2.1:443"
    mapped, six = proc.sockets(TCP6, "tcp6")
    assert (mapped.local, mapped.remote) == ("10.213.5.2", "192.0.2.1")
    assert (six.local, six.remote) == ("2001:db8::1", "2001:db8::2")


@given(st.text(max_size=200))
def test_a_table_that_is_none_is_a_fault_and_nothing_else(text: str) -> None:
    with suppress(proc.ProcError):
        proc.sockets("head\n" + text, "tcp")


def test_the_counters_of_what_had_no_route_are_of_both_protocols() -> None:
    snmp = "Ip: Forwarding OutNoRoutes ReasmTimeout\nIp: 1 4 0\nIcmp: a b\nIcmp: 0 0\n"
    assert proc.no_routes(snmp, "Ip6InReceives 7\nIp6OutNoRoutes                  \t3\n") == 7
    assert proc.no_routes(snmp, "") == 4
    with pytest.raises(proc.ProcError):
        proc.no_routes("", "")


def test_routes_that_lead_out_are_told_from_those_of_its_own_networks() -> None:
    head = "Iface\tDestination\tGateway \tFlags\tRefCnt\n"
    own, way = "eth0\t0005D50A\t00000000\t0001\t0\n", "eth0\t00000000\t0105D50A\t0003\t0\n"
    assert not proc.leads_out(head + own)
    assert proc.leads_out(head + own + way)
    link = f"{'0' * 32} 00 {'0' * 32} 00 {'0' * 32} ffffffff 00000001 00000000 00200200       lo\n"
    gateway = "fd00" + "0" * 27 + "1"
    six = f"{'0' * 32} 00 {'0' * 32} 00 {gateway} 00000400 00000001 00000000 00000003     eth0\n"
    assert not proc.leads_out6(link)
    assert proc.leads_out6(link + six)


def test_neighbours_are_those_in_the_table() -> None:
    text = "IP address  HW type  Flags  HW address  Mask  Device\n10.0.0.1  0x1  0x2  02:42  *  eth0\n"
    assert proc.neighbours(text) == {"10.0.0.1"}


def described(**changed: object) -> dict[str, object]:
    found: dict[str, object] = {
        "Id": "a" * 64,
        "Name": "/box",
        "State": {
            "Status": "running",
            "Pid": 7,
            "StartedAt": "2026-01-02T03:04:05.123456789Z",
            "ExitCode": 0,
        },
        "HostConfig": {
            "NanoCpus": 500000000,
            "Memory": 1024,
            "CapDrop": ["CAP_ALL"],
            "CapAdd": None,
            "RestartPolicy": {"Name": ""},
            "SecurityOpt": ["no-new-privileges:true"],
        },
        "Config": {"User": "33:33"},
        "Mounts": [{"Source": "/a", "Destination": "/b", "RW": True}],
        "NetworkSettings": {"Networks": {"n": {"IPAddress": "10.0.0.2", "IPPrefixLen": 24, "Gateway": ""}}},
    }
    return found | changed


def test_dockers_answer_is_read() -> None:
    found = read(described())
    assert (found.name, found.pid, found.running, found.cores) == ("box", 7, True, 0.5)
    assert found.started_at == pytest.approx(1767323045.123456)
    assert (sorted(found.cap_drop), found.no_new_privileges, found.user) == (["ALL"], True, "33:33")
    assert (found.networks, found.gateways) == (("10.0.0.0/24",), ("10.0.0.1",))
    assert found.mounts == (Mount("/a", "/b", writable=True),)
    assert not found.published


def test_a_container_that_was_never_started_has_no_time() -> None:
    state = {"Status": "created", "Pid": 0, "StartedAt": "0001-01-01T00:00:00Z"}
    assert read(described(State=state)).started_at is None


@pytest.mark.parametrize(
    "broken", [None, [], {}, described(Id="short"), described(State={}), described(HostConfig=3)]
)
def test_an_answer_that_is_no_container_is_a_fault(broken: object) -> None:
    with pytest.raises(InspectError):
        read(broken)


GOOD = Container("a" * 64, "box")


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"restart": "always"}, "restart policy"),
        ({"restart": "on-failure"}, "restart policy"),
        ({"privileged": True}, "privileged"),
        ({"cap_add": frozenset({"SYS_ADMIN"})}, "SYS_ADMIN"),
        ({"cap_add": frozenset({"ALL"})}, "ALL"),
        ({"network_mode": "host"}, "network of the host"),
        ({"network_mode": "container:abc"}, "network of another container"),
        ({"pid_mode": "host"}, "process numbers of the host"),
        ({"mounts": (Mount("/var/run/docker.sock", "/s", writable=False),)}, "can start any container"),
        ({"mounts": (Mount("/", "/host", writable=False),)}, "the host's own"),
        ({"mounts": (Mount("/srv/ledger", "/l", writable=False),)}, "no business"),
        ({"mounts": (Mount("/srv/ledger/box.jsonl", "/l", writable=False),)}, "no business"),
        ({"mounts": (Mount("/srv", "/l", writable=False),)}, "no business"),
    ],
)
def test_what_is_no_sandbox_is_refused_with_the_reason(changed: dict[str, Any], told: str) -> None:
    (found,) = refusals(replace(GOOD, **changed), ("/srv/ledger",))
    assert told in found


def test_an_ordinary_sandbox_is_not_refused() -> None:
    mounts = (Mount("/srv/ledgers", "/l", writable=True), Mount("", "/tmp", writable=True))
    box = Container("a" * 64, "box", mounts=mounts, cap_add=frozenset({"NET_BIND_SERVICE"}))
    assert refusals(box, ("/srv/ledger",)) == ()


def test_reports_are_a_name_and_what_the_workload_says() -> None:
    assert parse(b"report four_laws_violation_detected") == Report("four_laws_violation_detected")
    assert parse("report x it tried – in vain".encode()) == Report("x", "it tried – in vain")


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"report",
        b"report ",
        b"report X",
        b"Report x",
        b"report 1x",
        b"report x\ty",
        b"report x \x1b[2J",
        b"GET / HTTP/1.1",
        b"\xff\xfe",
        b"report " + b"x" * 65,
        b"report x " + b"y" * LONGEST,
        b" report x",
        b"report x\x00",
    ],
)
def test_whatever_else_comes_is_nonsense(line: bytes) -> None:
    with pytest.raises(NonsenseError):
        parse(line)


@given(st.binary(max_size=1200))
def test_no_line_is_too_odd_to_be_told_from_a_report(line: bytes) -> None:
    try:
        found = parse(line)
    except NonsenseError:
        return
    assert line.startswith(b"report " + found.name.encode())
    assert found.detail.isprintable() or not found.detail.isascii()
