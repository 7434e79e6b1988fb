"""What a node puts into the machine's network, and taking it out again: bridges, firewall chains, settings.

Everything else that a node makes is in namespaces of its own and goes with them. That our bridge is there
marks the chains as ours: it comes first and goes last, so that a clearing that is killed can go on.
"""

import json
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

from tests.cluster import processes
from tests.cluster.faults import ClusterError, LackingError
from tests.cluster.place import REAL, write

BRIDGE = "canary-kube0"
POD_BRIDGE = "canary-pods0"
PODS = "10.98.0.0/16"
CHAIN = re.compile(r"(KUBE|CNI)-")
POLICY_CHAIN = re.compile(r"KUBE-(ROUTER|NWPLCY|POD-FW)-")
POLICY_SET = re.compile(r"(inet6:)?KUBE-(SRC|DST)-")
"""What the agent of network policies makes."""
SETTINGS = (
    "net/ipv4/ip_forward",
    "net/ipv4/conf/all/route_localnet",
    "net/bridge/bridge-nf-call-iptables",
    "net/netfilter/nf_conntrack_max",
    "kernel/panic",
    "kernel/panic_on_oops",
    "kernel/keys/root_maxkeys",
    "kernel/keys/root_maxbytes",
    "vm/overcommit_memory",
    "vm/panic_on_oom",
)
"""What a kubelet, its proxy or a bridge plugin set for the whole machine, below /proc/sys."""


def prepare() -> None:
    """Make the bridge that has the API server's address, and remember the machine's settings.

    Raises:
        LackingError: another node of ours stands, or another Kubernetes has its rules in the firewall.
    """
    bridge = Path("/sys/class/net", BRIDGE)
    if bridge.exists():
        raise LackingError(f"the node of {_owner(bridge)} stands, and a machine carries only one")
    if _chains("iptables") or _chains("ip6tables"):
        raise LackingError("another Kubernetes runs on this very machine: CANARY_TEST_KUBECONFIG takes it")
    before = {name: Path("/proc/sys", name).read_text().strip() for name in SETTINGS if _is_set(name)}
    write(REAL.folder / "settings.json", json.dumps(before))
    _run("ip", "link", "add", BRIDGE, "type", "bridge")
    _run("ip", "link", "set", BRIDGE, "alias", str(REAL.runs))
    _run("ip", "address", "add", f"{REAL.address}/32", "dev", BRIDGE)
    _run("ip", "link", "set", BRIDGE, "up")
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")


def clear() -> None:
    """Take out whatever a node of ours has left, of whichever checkout; one that stands is left alone."""
    bridge = Path("/sys/class/net", BRIDGE)
    if not bridge.exists():
        return
    owner = replace(REAL, runs=_owner(bridge))
    if processes.running(owner):
        return
    for tool in ("iptables", "ip6tables"):
        remove_chains(tool)
    remove_sets()
    settings = owner.folder / "settings.json"
    if settings.exists():
        for name, value in json.loads(settings.read_text()).items():
            Path("/proc/sys", name).write_text(value)
    for name in (POD_BRIDGE, BRIDGE):
        if Path("/sys/class/net", name).exists():
            _run("ip", "link", "delete", name)


def _owner(bridge: Path) -> Path:
    """The `runs` of the checkout whose bridge this is."""
    return Path((bridge / "ifalias").read_text().strip())


def _is_set(name: str) -> bool:
    return Path("/proc/sys", name).exists()


def _chains(tool: str, named: re.Pattern[str] = CHAIN) -> list[str]:
    """The chains of any Kubernetes, as `TABLE CHAIN`."""
    return [f"{table} {line[1:].split()[0]}" for table, line in _rules(tool) if named.match(line[1:])]


def _rules(tool: str) -> list[tuple[str, str]]:
    """Every line that the firewall's own tool prints of it, with its table."""
    found, table = [], ""
    for line in _run(f"{tool}-save").splitlines():
        if line.startswith("*"):
            table = line[1:]
        elif line and line[0] in ":-":
            found.append((table, line))
    return found


def has_policies() -> bool:
    """Whether packets pass the chains of an agent of network policies."""
    return any(POLICY_CHAIN.match(_jump(line)) for _, line in _rules("iptables"))


def remove_sets() -> None:
    """Remove the sets of addresses that policies were made of; the chains have to be gone."""
    if shutil.which("ipset") is not None:
        for name in _run("ipset", "list", "-name").split():
            if POLICY_SET.match(name):
                _run("ipset", "destroy", name)


def remove_chains(tool: str, named: re.Pattern[str] = CHAIN) -> None:
    """Flush them, drop the jumps to them, then delete them: in one go for each table."""
    chains = [name.split() for name in _chains(tool, named)]
    lines: list[str] = []
    for table in sorted({table for table, _ in chains}):
        own = [chain for at, chain in chains if at == table]
        jumps = [
            line.replace("-A", "-D", 1)
            for at, line in _rules(tool)
            if at == table and line.startswith("-A") and not named.match(line[3:]) and _jump(line) in own
        ]
        flushes = [f":{chain} - [0:0]" for chain in own]
        lines += [f"*{table}", *flushes, *jumps, *(f"-X {chain}" for chain in own), "COMMIT"]
    if lines:
        _run(f"{tool}-restore", "--noflush", send="\n".join(lines) + "\n")


def _jump(line: str) -> str:
    found = re.search(r" -[jg] (\S+)", line)
    return found.group(1) if found else ""


def _run(*command: str, send: str = "") -> str:
    """Run it; what it printed. Its words stay in the fault when it fails."""
    done = subprocess.run(command, input=send, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ClusterError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout
