"""`canary replay`: recorded releases, judged again by the very code of the live loop."""

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from canary.cli import options
from canary.cli.output import Output, fault_document, json_text, print_line, say_fault, yaml_text
from canary.errors import CanaryError, Exit
from canary.view import words

if TYPE_CHECKING:
    from canary.core.assessed import Look
    from canary.core.strategy import Strategy
    from canary.replay import ReplayResult

WORTH_BYTES = 4_000_000
"""Recordings that are smaller altogether are judged sooner than a second process is up."""

Tell = Callable[[str], None]


def replay(
    traces: Annotated[
        list[Path], typer.Argument(metavar="TRACE", help="Recordings, as `start --trace` writes them.")
    ],
    file: Annotated[
        Path | None,
        typer.Option("-f", "--file", help="Judge by this configuration.", show_default=False),
    ] = None,
    looks: Annotated[bool, typer.Option("--looks", help="Print every look, too.")] = False,
    output: options.Out = Output.TEXT,
) -> None:
    """Judge recorded releases again, one line each.

    The verdict, when it fell, and why, by the very code of the live loop.

    Without -f: by the configuration in the recording, or the defaults with tolerance 0.

    A TRACE is JSON lines: a header {"trace":1,"interval_s":15,"le":[0.1,0.5],"slo_s":0.5}, then a line a
    scrape {"t":15,"pods":{"NAME":{"arm":"stable","requests":9,"errors":0,"buckets":[7,8,9]}}}: counters as
    scraped, t in seconds, negative before the start, arm stable, canary or baseline.

    Exits 0, or 2 when a file could not be judged; the others are judged all the same.
    """
    judge = partial(_judge, strategy=_strategy(file), output=output, looks=looks)
    processes = min(len(traces), os.cpu_count() or 1)
    if processes > 1 and _bytes(traces) >= WORTH_BYTES:
        faults = _in_parallel(judge, traces, processes)
    else:
        faults = (judge(trace, print_line) for trace in traces)
    bad = False
    for fault in faults:
        if fault is not None:
            say_fault(fault)
            bad = True
    if bad:
        raise typer.Exit(Exit.USAGE)


def _bytes(traces: Sequence[Path]) -> int:
    return sum(trace.stat().st_size for trace in traces if trace.is_file())


def _in_parallel(
    judge: "partial[CanaryError | None]", traces: Sequence[Path], processes: int
) -> Iterator[CanaryError | None]:
    """Judge in several processes; printed in the order of the files, each as soon as it is its turn."""
    from concurrent.futures import ProcessPoolExecutor
    from concurrent.futures.process import BrokenProcessPool
    from multiprocessing import get_context

    before = signal.signal(signal.SIGTERM, _terminated)
    # Spawned, not forked: a fork would take over locks of threads that numerical libraries keep.
    pool = ProcessPoolExecutor(processes, mp_context=get_context("spawn"), initializer=_in_worker)
    try:
        for lines, fault in pool.map(partial(_collected, judge), traces):
            for line in lines:
                print_line(line)
            yield fault
    except BrokenProcessPool:
        raise CanaryError(
            "a process that judged recordings was ended from outside",
            remedy="Look whether memory ran out; files judged so far are printed. Try fewer at a time.",
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)
        signal.signal(signal.SIGTERM, before)


def _terminated(number: int, frame: FrameType | None) -> None:
    raise SystemExit(Exit.TERMINATED)


def _in_worker() -> None:
    """Ctrl-C reaches every process of the terminal: a worker ends at once and in silence.

    So it does when whoever started it is gone.
    """
    from multiprocessing import parent_process
    from multiprocessing.connection import wait
    from threading import Thread

    signal.signal(signal.SIGINT, signal.SIG_DFL)
    parent = parent_process()

    def follow() -> None:
        if parent is not None:
            wait([parent.sentinel])
            os._exit(Exit.TERMINATED)

    Thread(target=follow, daemon=True).start()


def _collected(judge: "partial[CanaryError | None]", trace: Path) -> tuple[list[str], CanaryError | None]:
    lines: list[str] = []
    return lines, judge(trace, lines.append)


def _strategy(file: Path | None) -> "Strategy | None":
    if file is None:
        return None
    from canary import wiring

    return wiring.settings(file).strategy


def _judge(
    trace: Path, tell: Tell, *, strategy: "Strategy | None", output: Output, looks: bool
) -> CanaryError | None:
    """Tell what the recording comes to; a fault is told, too, and returned."""
    from canary.record import strategy_from
    from canary.replay import replay_file

    on_look = _teller(trace, output, tell) if looks else None
    try:
        result = replay_file(trace, strategy, on_look, recorded_strategy=strategy_from)
    except CanaryError as fault:
        if output is not Output.TEXT:
            tell(_shown({"file": str(trace), **fault_document(fault)}, output, ""))
        return fault
    tell(_shown(result_document(result), output, _result_text(result)))
    return None


def result_document(result: "ReplayResult") -> dict[str, Any]:
    """What a recording comes to."""
    return {
        "file": result.file,
        "verdict": result.verdict,
        "t": result.t,
        "reason": result.reason,
        "false_rollback_rate": result.false_rollback_rate,
    }


def _result_text(result: "ReplayResult") -> str:
    when = "at the end" if result.t is None else f"at {result.t:g} s"
    return f"{result.file}: {result.verdict} {when} after {result.looks} looks: {result.reason}"


def _teller(trace: Path, output: Output, tell: Tell) -> "Callable[[Look], None]":
    from canary.core.journal import evidence_body

    def on_look(look: "Look") -> None:
        document = {
            "file": str(trace),
            "look": look.number,
            "t": look.at,
            "canary": look.canary,
            "stable": look.stable,
            **evidence_body(look.evidence),
        }
        evidence = look.evidence
        metrics = ", ".join(
            f"{metric.name} {metric.canary_bad:g}/{metric.canary_all:g} against "
            f"{metric.stable_bad:g}/{metric.stable_all:g} safety {words.evidence(metric.safety)}"
            for metric in evidence.metrics
        )
        text = (
            f"  look {look.number} at {look.at:g} s: against {words.evidence(evidence.harm)} "
            f"of {words.evidence(evidence.harm_limit)}; {metrics}"
        )
        tell(_shown(document, output, text))

    return on_look


def _shown(document: dict[str, Any], output: Output, text: str) -> str:
    if output is Output.JSON:
        return json_text(document)
    if output is Output.YAML:
        return "---\n" + yaml_text(document).rstrip("\n")
    return text
