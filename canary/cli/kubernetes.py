"""`rbac`, `cleanup`: what a cluster needs before, and how to leave it."""

from enum import StrEnum
from typing import Annotated

import typer

from canary.cli import options
from canary.cli.output import Output, emit
from canary.config.settings import KubernetesTarget, Settings
from canary.errors import BusyError, InvalidError
from canary.kube.configs import Kind
from canary.kube.rbac import Account, explained, role, rules

For = Annotated[Account, typer.Option("--for", help="Whose Role.", show_choices=True)]


class Extra(StrEnum):
    """What an account may do besides, when it is asked for."""

    CONFIGMAP = "configmap"
    SECRET = "secret"  # noqa: S105 - the kind of an object
    EVENTS = "events"
    PREFLIGHT = "preflight"


With = Annotated[
    list[Extra] | None,
    typer.Option(
        "--with",
        help="Besides: to release such configuration (`start --config`), copy seals to events, or check the "
        "points (`--strict`).",
        show_choices=True,
    ),
]


def rbac(
    for_: For = Account.DRIVER,
    where: options.Where = options.HERE,
    with_: With = None,
    output: options.Out = Output.TEXT,
) -> None:
    """Print the Role that an account needs, and nothing more.

    Text output is YAML with what each rule is for: `canary rbac | kubectl apply -f -`. Asks no cluster.
    Secrets can be read by whoever has --with secret: the API holds no such right to names not yet known.

    Exits 0, or 2 when the configuration is wrong.
    """
    settings, target = _target(where)
    namespace = target.namespace or _namespace(target.context)
    name = settings.target
    given = set(with_ or ())
    kinds = {Kind(one.value) for one in given if one in (Extra.CONFIGMAP, Extra.SECRET)}
    granted = rules(for_, name, kinds, preflight=Extra.PREFLIGHT in given, events=Extra.EVENTS in given)
    emit(role(for_, name, namespace, granted), output, explained(for_, name, namespace, granted))


def cleanup(
    where: options.Where = options.HERE,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask: the ledger goes, too.")] = False,
    output: options.Out = Output.TEXT,
) -> None:
    """Take away all that canary made in the cluster for a target.

    The record, the ledger, the lease and the canary go; the target stays as it is. Keep the ledger first:
    `canary audit export > ledger.jsonl`. Configuration that the target or a kept revision refers to stays.

    Exits 0, 2 when the configuration is wrong, 9 while a release is running.
    """
    from canary.kube.cleanup import cleanup as clean
    from canary.kube.session import connect

    settings, target = _target(where)
    session = connect(target.namespace, target.context)
    _idle(where, settings)
    told = f"the record, the ledger and the lease of {settings.target} in namespace {session.namespace}"
    if not yes and not typer.confirm(f"Delete {told}?", err=True):
        raise typer.Abort
    found = clean(session, settings.target)
    document = {
        "target": settings.target,
        "namespace": session.namespace,
        "deleted": list(found.deleted),
        "kept": list(found.kept),
        "unseen": found.unseen,
    }
    lines = [f"deleted {one}" for one in found.deleted]
    lines += [
        f"kept {one}: {settings.target} or a kept revision of it refers to it; immutable, as it was"
        for one in found.kept
    ]
    lines += [f"not looked for: {found.unseen}"] if found.unseen else []
    emit(document, output, "\n".join(lines) or f"there was nothing of {settings.target}")


def _target(where: options.Where) -> tuple[Settings, KubernetesTarget]:
    from canary import wiring

    settings = wiring.settings(where.file, namespace=where.namespace, context=where.context)
    if settings.kubernetes is None:
        raise InvalidError(
            f"{settings.path}: {settings.target} is a local service; this command is about a Deployment",
            remedy="Set `target: {namespace: NAME, deployment: NAME}`.",
        )
    return settings, settings.kubernetes


def _namespace(context: str | None) -> str:
    """That of the kubeconfig's context, or the one that kubectl takes without any."""
    from canary.kube.session import connect

    try:
        return connect(None, context).namespace
    except InvalidError:
        return "default"


def _idle(where: options.Where, settings: Settings) -> None:
    from canary.cli.session import opened

    found = opened(where).record()
    if found is not None and not found.release.settled:
        raise BusyError(
            f"{found.release.version} is being released to {settings.target}; nothing was deleted",
            remedy="End it first with `canary abort`.",
        )
