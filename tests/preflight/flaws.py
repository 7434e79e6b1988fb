"""One breach of the PodSecurity profile `restricted` for each of its controls, and where it lies."""

from typing import Any

from tests.preflight.seen import container, template

Json = dict[str, Any]


def pod(**context: Any) -> Json:
    return template(securityContext={**template()["spec"]["securityContext"], **context})


FLAWS: dict[str, tuple[str, Json]] = {
    "host network": ("hostNetwork", template(hostNetwork=True)),
    "host processes": ("hostPID", template(hostPID=True)),
    "host memory": ("hostIPC", template(hostIPC=True)),
    "host path": ("volumes[0]", template(volumes=[{"name": "h", "hostPath": {"path": "/etc"}}])),
    "nfs": ("volumes[0]", template(volumes=[{"name": "n", "nfs": {"server": "a", "path": "/"}}])),
    "sysctl": ("securityContext.sysctls[0]", pod(sysctls=[{"name": "kernel.msgmax", "value": "1"}])),
    "pod as root": ("securityContext.runAsUser", pod(runAsUser=0)),
    "pod may be root": ("securityContext.runAsNonRoot", pod(runAsNonRoot=False)),
    "pod unconfined": ("securityContext.seccompProfile.type", pod(seccompProfile={"type": "Unconfined"})),
    "pod without AppArmor": (
        "securityContext.appArmorProfile.type",
        pod(appArmorProfile={"type": "Unconfined"}),
    ),
    "pod as SELinux type": ("securityContext.seLinuxOptions.type", pod(seLinuxOptions={"type": "spc_t"})),
    "pod as SELinux user": ("securityContext.seLinuxOptions.user", pod(seLinuxOptions={"user": "sys"})),
    "pod as SELinux role": ("securityContext.seLinuxOptions.role", pod(seLinuxOptions={"role": "sys"})),
    "escalation": (
        "containers[0].securityContext.allowPrivilegeEscalation",
        container(securityContext={"allowPrivilegeEscalation": None}),
    ),
    "container as root": (
        "containers[0].securityContext.runAsUser",
        container(securityContext={"runAsUser": 0}),
    ),
    "container may be root": (
        "containers[0].securityContext.runAsNonRoot",
        container(securityContext={"runAsNonRoot": False}),
    ),
    "nobody says who": (
        "containers[0].securityContext.runAsNonRoot",
        template(securityContext={"seccompProfile": {"type": "RuntimeDefault"}}),
    ),
    "no seccomp": (
        "containers[0].securityContext.seccompProfile.type",
        template(securityContext={"runAsNonRoot": True}),
    ),
    "container unconfined": (
        "containers[0].securityContext.seccompProfile.type",
        container(securityContext={"seccompProfile": {"type": "Unconfined"}}),
    ),
    "container without AppArmor": (
        "containers[0].securityContext.appArmorProfile.type",
        container(securityContext={"appArmorProfile": {"type": "Unconfined"}}),
    ),
    "container as SELinux type": (
        "containers[0].securityContext.seLinuxOptions.type",
        container(securityContext={"seLinuxOptions": {"type": "spc_t"}}),
    ),
    "keeps capabilities": (
        "containers[0].securityContext.capabilities.drop",
        container(securityContext={"capabilities": {"drop": ["NET_RAW"]}}),
    ),
    "adds capabilities": (
        "containers[0].securityContext.capabilities.add",
        container(securityContext={"capabilities": {"drop": ["ALL"], "add": ["NET_ADMIN"]}}),
    ),
    "host port": (
        "containers[0].ports[0].hostPort",
        container(ports=[{"containerPort": 80, "hostPort": 80}]),
    ),
    "probes another host": (
        "containers[0].livenessProbe.httpGet.host",
        container(livenessProbe={"httpGet": {"host": "example.com", "port": 80}}),
    ),
    "hooks another host": (
        "containers[0].lifecycle.preStop.httpGet.host",
        container(lifecycle={"preStop": {"httpGet": {"host": "example.com", "port": 80}}}),
    ),
    "init container": (
        "initContainers[0].securityContext.allowPrivilegeEscalation",
        template(
            initContainers=[
                {
                    "name": "init",
                    "image": "shop/init:v1",
                    "securityContext": {
                        "readOnlyRootFilesystem": True,
                        "capabilities": {"drop": ["ALL"]},
                        "allowPrivilegeEscalation": True,
                    },
                }
            ]
        ),
    ),
}
"""By name: the place of the one breach, and the template that has it. An API server takes each as a pod."""

ALLOWED: dict[str, Json] = {
    "as it is": template(),
    "safe sysctl": pod(sysctls=[{"name": "net.ipv4.tcp_syncookies", "value": "1"}]),
    "binds low ports": container(
        securityContext={"capabilities": {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]}}
    ),
    "claims a volume": template(volumes=[{"name": "d", "persistentVolumeClaim": {"claimName": "d"}}]),
    "container says it itself": container(
        securityContext={"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    ),
    "SELinux type of containers": pod(seLinuxOptions={"type": "container_t"}),
    "AppArmor of the runtime": pod(appArmorProfile={"type": "RuntimeDefault"}),
}
