"""What is asked of a Deployment's pods: hardened, with the least access, no secrets in variables, limited."""

from collections.abc import Iterator

from canary.preflight.facts import Asked, Json, Pods
from canary.preflight.finding import Part, Parts, Unseen, bad, good
from canary.preflight.names import floating, secret
from canary.preflight.restricted import breaches, containers

SHOWN = 12
"""So many breaches are told one by one."""
MOUNT = "Mount the Secret as a file (`volumes[].secret`), and let the program read that."


def hardening(pods: Pods) -> Parts:
    """The profile `restricted`, a root file system that is read only, and images that stay the same."""
    found = [str(one) for one in breaches(pods.template)]
    spec = pods.template["spec"]
    for place, one in containers(spec):
        if (one.get("securityContext") or {}).get("readOnlyRootFilesystem") is not True:
            found.append(f"{place}.securityContext.readOnlyRootFilesystem: found nothing, wanted true")
        image = str(one.get("image", ""))
        if floating(image):
            found.append(f"{place}.image: found {image}, wanted a tag that is not latest, or a digest")
    for told in found[:SHOWN]:
        yield bad(told, "Set these fields in the pod template (all below `spec.template.spec`).")
    if len(found) > SHOWN:
        yield bad(f"and {len(found) - SHOWN} more", "Ask again when these are set.")
    if not found:
        names = ", ".join(str(one["name"]) for _, one in containers(spec))
        yield good(f"PodSecurity restricted, read-only root, pinned images: containers {names}")


def access(pods: Pods, asked: Asked) -> Parts:
    """The pods cannot speak to the API server, or their account is bound to nothing; ours may not do all."""
    yield from _account(pods)
    yield from _rights(pods, asked)


def _account(pods: Pods) -> Parts:
    spec = pods.template["spec"]
    name = spec.get("serviceAccountName") or "default"
    own = spec.get("automountServiceAccountToken")
    off = "Set `automountServiceAccountToken: false` in the pod template."
    if own is False:
        yield good(f"the pods get no token of service account {name}")
        return
    if isinstance(pods.account, Unseen):
        yield Unseen(pods.account.why, f"{off} Or: {pods.account.fix}").part
        return
    if own is None and pods.account.get("automountServiceAccountToken") is False:
        yield good(f"service account {name} gives its pods no token")
    elif isinstance(pods.bindings, Unseen):
        yield Unseen(
            f"the pods get a token of {name}; {pods.bindings.why}", f"{off} {pods.bindings.fix}"
        ).part
    elif pods.bindings:
        yield bad(
            f"the pods get a token of service account {name}, which has {', '.join(pods.bindings)}",
            f"{off} If they need it, skip this point with the reason.",
        )
    else:
        yield good(f"the pods get a token of service account {name}, which no binding gives a right")


def _rights(pods: Pods, asked: Asked) -> Parts:
    """Our own account's."""
    if isinstance(pods.rights, Unseen):
        yield pods.rights.part
        return
    every = [rule for rule in pods.rights if any("*" in (rule.get(key) or []) for key in _ALL)]
    if every:
        told = "; ".join(_rule(one) for one in every[:3])
        yield bad(
            f"our own account may do everything there: {told}",
            "Run canary with an account of its own: `canary rbac --for driver --with preflight`.",
        )
        return
    if any("secrets" in (rule.get("resources") or []) for rule in pods.rights):
        if not asked.secrets:
            yield bad(
                "our own account may read or write Secrets",
                "Take that out of its Role, or, if it releases Secrets (`rbac --with secret`), set "
                "`preflight.secrets: true`.",
            )
            return
        yield good("our own account may use Secrets, as `preflight.secrets` says")
    yield good(f"our own account has {len(pods.rights)} rules here, none with a wildcard")


_ALL = ("verbs", "resources", "apiGroups")


def _rule(rule: Json) -> str:
    return f"{', '.join(rule.get('verbs') or [])} on {', '.join(rule.get('resources') or [])}"


def secrets(pods: Pods) -> Parts:
    """No variable is filled from a Secret, or holds one."""
    found = [
        one for place, container in containers(pods.template["spec"]) for one in _env(place, container, pods)
    ]
    yield from found
    if not found:
        yield good("no variable of its containers comes from a Secret or looks like one")


def _env(place: str, container: Json, pods: Pods) -> Parts:
    for i, one in enumerate(container.get("env") or []):
        where, name = f"{place}.env[{i}] {one['name']}", str(one["name"])
        source = one.get("valueFrom") or {}
        if reference := source.get("secretKeyRef"):
            yield bad(f"{where} comes from Secret {reference.get('name')}", MOUNT)
        elif "fieldRef" not in source and "resourceFieldRef" not in source:
            value = None if source else str(one.get("value", ""))
            if why := secret(name, value):
                yield bad(f"{where} seems to hold a secret: {why}", MOUNT)
    for i, one in enumerate(container.get("envFrom") or []):
        yield from _all_of(f"{place}.envFrom[{i}]", one, pods)


def _all_of(where: str, one: Json, pods: Pods) -> Parts:
    if reference := one.get("secretRef"):
        yield bad(f"{where} takes all of Secret {reference.get('name')}", MOUNT)
    if reference := one.get("configMapRef"):
        name = str(reference.get("name"))
        keys = pods.settings.get(name, ())
        if isinstance(keys, Unseen):
            yield keys.part
            return
        for key in keys:
            if why := secret(f"{one.get('prefix', '')}{key}", None):
                yield bad(f"{where}: {key} of ConfigMap {name} seems to be a secret: {why}", MOUNT)


def limits(pods: Pods) -> Parts:
    """Every container asks for and is held to cpu and memory."""
    lacking = list(_unlimited(pods.template["spec"]))
    yield from lacking
    if not lacking:
        yield good("every container requests and is limited in cpu and memory")
    if isinstance(pods.bounds, Unseen):
        # A plus: what cannot be seen of it takes nothing away.
        return
    if pods.bounds:
        yield good(f"the namespace has {', '.join(pods.bounds)}")


def _unlimited(spec: Json) -> Iterator[Part]:
    for place, one in containers(spec):
        if place.startswith("ephemeral"):
            continue
        resources = one.get("resources") or {}
        for kind in ("requests", "limits"):
            given = resources.get(kind) or {}
            # What is limited and not requested counts as requested.
            given = {**(resources.get("limits") or {}), **given} if kind == "requests" else given
            if missing := [name for name in ("cpu", "memory") if name not in given]:
                yield bad(
                    f"{place}.resources.{kind}: no {' and no '.join(missing)}",
                    "Set requests and limits of cpu and memory on every container.",
                )
