"""When did it begin? A mixture over the tick at which a regression starts.

Each alternative's process `M` begins at 0 and takes on mass `a_t` before every tick; mass not yet taken is
cash and counts as 1. The whole is `sum_j pi_j M_j + cash`: it starts at 1, all masses together never exceed
1, so it is an e-process, and a long healthy phase costs at most the mass already taken.

Source: the e-detector idea of Shin, Ramdas, Rinaldo, arXiv 2203.03532, with total mass 1.
"""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

AT_START = 0.85
AT_STEP = 0.03
STEPS = 3

_CEILING = 1e200
_LOG_CEILING = 230.0


def mass(looks: int, steps: int, new_step: bool, ticks: int) -> float:
    """The mass that joins before a tick; depends on the plan alone, never on outcomes.

    Args:
        looks: ticks before this one. steps: weight steps (after the first) before this one.
        new_step: whether one begins in this tick. ticks: of the whole design, > 0.
    """
    rest = 1.0 - AT_START - STEPS * AT_STEP
    spread = rest / ticks if looks < ticks else 0.0
    return (AT_START if looks == 0 else 0.0) + (AT_STEP if new_step and steps < STEPS else 0.0) + spread


def grow(masses: Array, joined: float, log_e: Array) -> Array:
    """One tick of the mixture: `(M + a) e`, kept under 1e200 (lower is always allowed)."""
    return grown(masses, joined, factor(log_e))


def factor(log_e: Array) -> Array:
    """What a tick multiplies masses by."""
    e = np.minimum(log_e, _LOG_CEILING)
    return np.exp(e, out=e)


def grown(masses: Array, joined: float, e: Array) -> Array:
    """As `grow`, by factors that were taken already."""
    after = masses + joined
    after *= e
    return np.minimum(after, _CEILING, out=after)
