"""The PodSecurity profile `restricted`, as published, over a pod template. Each breach with its place.

Source: the Pod Security Standards of Kubernetes v1.34, levels baseline and restricted together
(https://kubernetes.io/docs/concepts/security/pod-security-standards/).
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Json = Mapping[str, Any]

VOLUMES = frozenset(
    {
        "configMap",
        "csi",
        "downwardAPI",
        "emptyDir",
        "ephemeral",
        "image",
        "persistentVolumeClaim",
        "projected",
        "secret",
    }
)
SECCOMP = ("RuntimeDefault", "Localhost")
APPARMOR = ("RuntimeDefault", "Localhost")
APPARMOR_ANNOTATION = "container.apparmor.security.beta.kubernetes.io/"
SELINUX = ("", "container_t", "container_init_t", "container_kvm_t", "container_engine_t")
SYSCTLS = frozenset(
    {
        "kernel.shm_rmid_forced",
        "net.ipv4.ip_local_port_range",
        "net.ipv4.ip_local_reserved_ports",
        "net.ipv4.ip_unprivileged_port_start",
        "net.ipv4.ping_group_range",
        "net.ipv4.tcp_fin_timeout",
        "net.ipv4.tcp_keepalive_intvl",
        "net.ipv4.tcp_keepalive_probes",
        "net.ipv4.tcp_keepalive_time",
        "net.ipv4.tcp_rmem",
        "net.ipv4.tcp_syncookies",
        "net.ipv4.tcp_wmem",
    }
)
ADDED = ("NET_BIND_SERVICE",)
HANDLERS = (
    ("livenessProbe",),
    ("readinessProbe",),
    ("startupProbe",),
    ("lifecycle", "postStart"),
    ("lifecycle", "preStop"),
)


@dataclass(frozen=True)
class Breach:
    """A field that the profile does not allow as it is. `place`: within the pod's spec."""

    place: str
    found: str
    wanted: str

    def __str__(self) -> str:
        """One line."""
        return f"{self.place}: found {self.found}, wanted {self.wanted}"


@dataclass(frozen=True)
class Container:
    """One of a pod's. `place`: such as `containers[0]`. `pod`: the pod's securityContext."""

    place: str
    document: Json
    pod: Json

    @property
    def context(self) -> Json:
        """Its securityContext."""
        return self.document.get("securityContext") or {}

    def breach(self, field: str, found: object, wanted: str) -> Breach:
        """At a field of its securityContext."""
        return Breach(f"{self.place}.securityContext.{field}", _text(found), wanted)


Found = Iterator[Breach]
PodControl = Callable[[Json, Json], Found]
ContainerControl = Callable[[Container], Found]


def containers(spec: Json) -> Iterator[tuple[str, Json]]:
    """All containers of a pod with their places, those that run before the others too."""
    for key in ("initContainers", "containers", "ephemeralContainers"):
        for i, one in enumerate(spec.get(key) or []):
            yield f"{key}[{i}]", one


def breaches(template: Json) -> tuple[Breach, ...]:
    """Whatever the admission of a namespace with `enforce: restricted` would refuse, in order."""
    spec, marks = template["spec"], (template.get("metadata") or {}).get("annotations") or {}
    context = spec.get("securityContext") or {}
    found = [breach for control in POD for breach in control(spec, marks)]
    for place, one in containers(spec):
        container = Container(place, one, context)
        found += [breach for control in CONTAINER for breach in control(container)]
    return tuple(found)


def _text(value: object) -> str:
    return "nothing" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _host_namespaces(spec: Json, _: Json) -> Found:
    for key in ("hostNetwork", "hostPID", "hostIPC"):
        if spec.get(key):
            yield Breach(key, "true", "false")


def _volumes(spec: Json, _: Json) -> Found:
    for i, one in enumerate(spec.get("volumes") or []):
        kinds = [key for key in one if key != "name"]
        if wrong := [kind for kind in kinds if kind not in VOLUMES]:
            yield Breach(f"volumes[{i}]", wrong[0], "one of " + ", ".join(sorted(VOLUMES)))


def _sysctls(spec: Json, _: Json) -> Found:
    for i, one in enumerate((spec.get("securityContext") or {}).get("sysctls") or []):
        if one.get("name") not in SYSCTLS:
            yield Breach(f"securityContext.sysctls[{i}]", str(one.get("name")), "a safe one, or none")


def _pod_user(spec: Json, _: Json) -> Found:
    context = spec.get("securityContext") or {}
    if context.get("runAsUser") == 0:
        yield Breach("securityContext.runAsUser", "0", "another user, such as 1000")


def _pod_profiles(spec: Json, marks: Json) -> Found:
    context = spec.get("securityContext") or {}
    seccomp = context.get("seccompProfile")
    if seccomp and seccomp.get("type") not in SECCOMP:
        yield Breach("securityContext.seccompProfile.type", _text(seccomp.get("type")), " or ".join(SECCOMP))
    for key, value in marks.items():
        if key.startswith(APPARMOR_ANNOTATION) and not str(value).startswith(
            ("runtime/default", "localhost/")
        ):
            yield Breach(f"annotation {key}", str(value), "runtime/default or localhost/*")
    yield from _selinux_and_apparmor("securityContext", context)


def _selinux_and_apparmor(place: str, context: Json) -> Found:
    armour = context.get("appArmorProfile")
    if armour and armour.get("type") not in APPARMOR:
        yield Breach(f"{place}.appArmorProfile.type", _text(armour.get("type")), " or ".join(APPARMOR))
    options = context.get("seLinuxOptions") or {}
    if options.get("type", "") not in SELINUX:
        yield Breach(f"{place}.seLinuxOptions.type", str(options["type"]), "container_t or nothing")
    for key in ("user", "role"):
        if options.get(key):
            yield Breach(f"{place}.seLinuxOptions.{key}", str(options[key]), "nothing")
    if (context.get("windowsOptions") or {}).get("hostProcess"):
        yield Breach(f"{place}.windowsOptions.hostProcess", "true", "false")


def _profiles(one: Container) -> Found:
    place = f"{one.place}.securityContext"
    yield from _selinux_and_apparmor(place, one.context)
    own, pods = one.context.get("seccompProfile"), one.pod.get("seccompProfile")
    if own is not None and own.get("type") not in SECCOMP:
        yield one.breach("seccompProfile.type", own.get("type"), " or ".join(SECCOMP))
    elif own is None and pods is None:
        yield one.breach("seccompProfile.type", None, f"{' or '.join(SECCOMP)} here or for the pod")


def _privileged(one: Container) -> Found:
    if one.context.get("privileged"):
        yield one.breach("privileged", True, "false")
    if one.context.get("allowPrivilegeEscalation") is not False:
        yield one.breach("allowPrivilegeEscalation", one.context.get("allowPrivilegeEscalation"), "false")
    if one.context.get("procMount", "Default") != "Default":
        yield one.breach("procMount", one.context["procMount"], "Default")


def _user(one: Container) -> Found:
    own, pods = one.context.get("runAsNonRoot"), one.pod.get("runAsNonRoot")
    if own is False or (own is None and pods is None):
        yield one.breach("runAsNonRoot", own, "true here or for the pod")
    if one.context.get("runAsUser") == 0:
        yield one.breach("runAsUser", 0, "another user, such as 1000")


def _pod_non_root(spec: Json, _: Json) -> Found:
    context = spec.get("securityContext") or {}
    if context.get("runAsNonRoot") is False:
        yield Breach("securityContext.runAsNonRoot", "false", "true")


def _capabilities(one: Container) -> Found:
    capabilities = one.context.get("capabilities") or {}
    dropped = capabilities.get("drop") or []
    if "ALL" not in dropped:
        yield one.breach("capabilities.drop", ", ".join(dropped) or None, "[ALL]")
    if added := [name for name in capabilities.get("add") or [] if name not in ADDED]:
        yield one.breach("capabilities.add", ", ".join(added), f"none but {', '.join(ADDED)}")


def _host_ports(one: Container) -> Found:
    for i, port in enumerate(one.document.get("ports") or []):
        if port.get("hostPort"):
            yield Breach(f"{one.place}.ports[{i}].hostPort", str(port["hostPort"]), "none")


def _handler_hosts(one: Container) -> Found:
    for path in HANDLERS:
        handler: Json = one.document
        for key in path:
            handler = handler.get(key) or {}
        for kind in ("httpGet", "tcpSocket"):
            if host := (handler.get(kind) or {}).get("host"):
                yield Breach(f"{one.place}.{'.'.join(path)}.{kind}.host", str(host), "none: the pod itself")


POD: tuple[PodControl, ...] = (_host_namespaces, _volumes, _sysctls, _pod_user, _pod_non_root, _pod_profiles)
CONTAINER: tuple[ContainerControl, ...] = (
    _privileged,
    _user,
    _capabilities,
    _profiles,
    _host_ports,
    _handler_hosts,
)
"""The controls of the profile, in the order in which breaches are told."""
