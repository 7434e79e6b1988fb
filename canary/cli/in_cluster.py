"""`start --in-cluster`: the release as a Job, followed to the code that its record tells."""

import typer

from canary import __version__
from canary.begin import StartOptions, release_id
from canary.cli.options import Where
from canary.cli.output import emit
from canary.cli.session import Session, StoppedError, left, viewing
from canary.cli.start import Asked, finish
from canary.config.settings import Settings
from canary.errors import Exit, InvalidError
from canary.kube.config_store import ConfigStore, check_references
from canary.kube.in_cluster import Follower, Started, begin
from canary.kube.job import Drive
from canary.kube.session import connect
from canary.ports import Recorded, Reporter


def follow_job(session: Session, where: Where, version: str, options: StartOptions, asked: Asked) -> None:
    """Make the Job, or attach to the one that is there; follow it unless told not to, and exit like it.

    Raises:
        InvalidError: not a Deployment, or options that make no sense together.
    """
    settings, target = session.settings, session.settings.kubernetes
    if target is None or not asked.in_cluster or options.trace is not None:
        raise InvalidError(
            "--detach and --in-cluster go together, with a Deployment as the target, and without --trace",
            remedy="Set `target: {deployment: NAME}`; a trace is written where the driver runs.",
        )
    cluster = connect(target.namespace, target.context)
    with viewing(session, asked.output, plain=True) as view:
        if session.config:
            check_references(cluster, settings.target, session.config)
            ConfigStore(cluster, settings.target, session.given).provide(session.config)
        started = begin(cluster, _drive(session, version, options, asked), session.ports.clock)
        made = "made" if started.fresh else "attached to"
        view.note(f"{made} Job {started.name} in namespace {cluster.namespace}, release {started.release}")
        if asked.detach:
            document = {"job": started.name, "release": started.release, "exit_code": 0}
            emit(document, asked.output, f"{started.name} drives it; see `canary status{where.how}`")
            return
        follower = Follower(
            cluster, started, settings.target, session.ports.records, session.ports.clock, view
        )
        found = _followed(session, follower, started, view)
    if found is None:
        emit({"exit_code": 0}, asked.output, f"{version} is already running on {settings.target}")
        raise typer.Exit(0)
    finish(session, found, asked.output, plain=True)


def _followed(session: Session, follower: Follower, started: Started, view: Reporter) -> Recorded | None:
    clock = session.ports.clock
    if hasattr(clock, "install_signals"):
        clock.install_signals()

    def interrupted(found: Recorded | None) -> StoppedError:
        number = clock.interrupted
        message, _ = left(session)
        return StoppedError(
            Exit.INTERRUPTED if number == 2 else Exit.TERMINATED,
            f"no longer following; Job {started.name} drives on. {message}",
            remedy="The same command follows it again; `canary abort` takes the release back.",
        )

    return follower.follow(interrupted)


def _drive(session: Session, version: str, options: StartOptions, asked: Asked) -> Drive:
    settings = session.settings
    strategy, controller = settings.strategy, settings.controller
    deadline_s = options.timeout_s if options.timeout_s is not None else strategy.deadline_s
    return Drive(
        target=settings.target,
        version=version,
        release=release_id(settings.target, version, session.ports.clock.now()),
        config=_text(settings),
        image=controller.image or f"canary:{__version__}",
        account=controller.service_account,
        pull_policy=controller.pull_policy,
        lasts_s=deadline_s + strategy.pause_max_s + strategy.bake_s + 2 * strategy.ready_deadline_s,
        actor=f"{session.ports.actor} (in-cluster)",
        arguments=_arguments(options, asked),
        objects=session.config,
        seal=_seal(settings),
    )


def _seal(settings: Settings) -> tuple[str, str] | None:
    """The Secret with the key that seals the ledger, and where it is mounted.

    Raises:
        InvalidError: the ledger is to be sealed, and the Job would have no key.
    """
    if settings.seal is None:
        return None
    if settings.controller.seal_secret is None:
        raise InvalidError(
            f"{settings.path}: the ledger is sealed with {settings.seal.key_file}, which a Job does not have",
            remedy="Make a Secret with it, `kubectl create secret generic NAME --from-file=seal.key`, set "
            "`controller.seal_secret: NAME`, and `ledger.seal.key_file: /etc/canary-seal/seal.key`.",
        )
    return settings.controller.seal_secret, str(settings.seal.key_file.parent)


def _text(settings: Settings) -> str:
    """The configuration as it stands in its file: it was read a moment ago, without a fault."""
    return settings.path.read_text(encoding="utf-8-sig")


def _arguments(options: StartOptions, asked: Asked) -> tuple[str, ...]:
    given: list[str] = []
    if asked.timeout is not None:
        given += ["--timeout", asked.timeout]
    for flag, is_set in (
        ("--supersede", options.supersede),
        ("--leave", options.leave),
        ("--skip-analysis", options.skip_analysis),
    ):
        given += [flag] if is_set else []
    if asked.promote is not None:
        given += ["--promote", str(asked.promote)]
    given += [part for one in options.preflight.items() for part in ("--preflight", "=".join(one))]
    return (*given, "--reason", options.reason) if options.reason else tuple(given)
