"""What assessing a release found: the evidence, and how good the data behind it is."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from analysis.words import Evidence
from canary.core.strategy import Guard


class Hold(StrEnum):
    """Why a release is held: the reasons that people and machines see."""

    NO_SCRAPE = "no_scrape"
    NO_TRAFFIC = "no_traffic"
    TOO_LITTLE_EVIDENCE = "too_little_evidence"
    AMBER = "amber"
    SINGLE_BAD_POD = "single_bad_pod"
    PAUSED_BY = "paused_by"


@dataclass(frozen=True)
class Look:
    """One look, as the ledger and the trace keep it.

    Attributes:
        number: 1 for the first. at: unix seconds of its grid point.
        canary, stable: metric -> counts of this tick summed over the arm's pods, as `(bad, all)` for a
            ratio and per category for a histogram.
        evidence: after this look.
    """

    number: int
    at: float
    canary: Mapping[str, tuple[float, ...]]
    stable: Mapping[str, tuple[float, ...]]
    evidence: Evidence


@dataclass(frozen=True)
class GuardState:
    """How a guard stands.

    Attributes:
        guard: as asked for.
        firing: its condition came true, and was not seen to be false since.
        fired: it has fired once in this release, whether it cleared since or not.
        truth: at the last observation; None: not known.
        since: unix seconds since when it is true; when it cleared, was true.
        told: by which figures, in words.
        unseen: in words what has not been known for too long, or empty.
    """

    guard: Guard
    firing: bool = False
    fired: bool = False
    truth: bool | None = None
    since: float | None = None
    told: str = ""
    unseen: str = ""


@dataclass(frozen=True)
class GuardEvent:
    """A guard fired, or cleared. at, since: unix seconds. told: by which figures, in words."""

    guard: str
    fired: bool
    at: float
    since: float
    told: str


@dataclass(frozen=True)
class Assessed:
    """What is known at this tick.

    Attributes:
        evidence: after the last look.
        looked_at: unix seconds of the last look's grid point; None before the first.
        looks: those made since the previous assessment, in order.
        lacking: NO_SCRAPE or NO_TRAFFIC when the data are not there, else None.
        lacking_detail: in words: which pods, since when, what to do.
        unseen_s: seconds since the start in which grid points had no scrapes.
        share: measured share of requests that the canary got over the last looks, [0, 1], or None.
        rates: arm name -> requests per second over the last looks.
        step_requests: canary requests since the current step began to hold.
        watched: histogram metric -> bounds in seconds that its safety test watches, from the history.
        guards: how each stands. events: of guards, those since the previous assessment, in order.
        elsewhere: this process has no scrapes and nobody can give it any: only the driver knows.
    """

    evidence: Evidence
    looked_at: float | None = None
    looks: tuple[Look, ...] = ()
    lacking: Hold | None = None
    lacking_detail: str = ""
    unseen_s: float = 0.0
    share: float | None = None
    rates: Mapping[str, float] = field(default_factory=dict)
    step_requests: float = 0.0
    watched: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    guards: tuple[GuardState, ...] = ()
    events: tuple[GuardEvent, ...] = ()
    elsewhere: bool = False
