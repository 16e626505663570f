"""How much of a signal is left when it comes late, in levels, or not for everybody?

Each loss is the share of a signal's R2 (its part of the outcome's variance) that is kept. Shares of
losses that have nothing to do with each other multiply.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Literal, get_args

import numpy as np
import pandas as pd
from scipy.optimize import fsolve
from scipy.stats import binom, norm

from toolkit.rules import count, number, one_of, share

Rule = Literal["optimal", "quantiles"]


def staleness_kept(latency: float, *, half_life: float = 1.0) -> float:
    """The share of R2 that a signal keeps when it is read late.

    The signal's correlation with itself halves in each half-life, and R2 is a correlation squared.

    Parameters
    ----------
    latency : float
        By how much the signal is late, in the half-life's unit; not negative. A model that is trained
        on another's output reads a score that is one retraining interval older for each model
        before it.
    half_life : float
        Time after which the correlation has halved.

    Raises
    ------
    ValueError
        If the latency is negative or the half-life isn't positive.

    Examples
    --------
    >>> staleness_kept(0.5), staleness_kept(1.0)
    (0.5, 0.25)
    """
    _latency(latency)
    return float(4.0 ** (-latency / number("half_life", half_life, above=0)))


def quantised_kept(levels: int, *, rule: Rule = "optimal", shift: float = 0.0) -> float:
    """The share of R2 that a normal signal keeps when only one of a few levels of it is exposed.

    Each level is read as the mean of what falls into it, which is the best use of it.

    Parameters
    ----------
    levels : int
        How many there are, 2 at least.
    rule : "optimal" or "quantiles"
        How the levels' edges were chosen when the signal had mean 0 and variance 1: to lose least
        (Max), or equally many readings in each.
    shift : float
        By how many standard deviations the signal has moved since.

    Raises
    ------
    ValueError
        If there are fewer than two levels, the rule isn't known, or the shift isn't finite.

    References
    ----------
    Max (1960), "Quantizing for Minimum Distortion", IRE Transactions on Information Theory.

    Examples
    --------
    >>> [round(quantised_kept(levels), 4) for levels in (2, 4, 8, 16)]
    [0.6366, 0.8825, 0.9655, 0.9905]
    """
    count("levels", levels, least=2)
    one_of("rule", rule, get_args(Rule))
    edges = np.array(_edges(levels, rule)) - number("shift", shift)
    probability, mean = _cells(edges)
    # Of a signal with variance 1; a level that nothing reaches any more tells nothing.
    return float((probability * (mean + shift) ** 2).sum() - shift**2)


def neighbours_kept(coverage: float, *, neighbours: int = 1, alike: float = 0.0) -> float:
    """The share of R2 that a mean over neighbours keeps when some neighbours' features are missing.

    Features are missing at random, each on its own; the mean is estimated from those that are there.

    Parameters
    ----------
    coverage : float
        Share of neighbours whose features can be read at inference.
    neighbours : int
        Neighbours that the model was trained on, for each row.
    alike : float
        Correlation of two neighbours' features with each other; in [0, 1].

    Raises
    ------
    ValueError
        If a share isn't one, or there is no neighbour.

    Examples
    --------
    Where neighbours tell different things, what is kept is the coverage; where they repeat each
    other, a few are enough:

    >>> round(neighbours_kept(0.6, neighbours=5), 3), round(neighbours_kept(0.6, neighbours=5, alike=0.5), 3)
    (0.6, 0.868)
    """
    share("coverage", coverage)
    share("alike", alike)
    there = np.arange(1, count("neighbours", neighbours) + 1)
    # Of k equally correlated features: the variance of their mean.
    kept = (alike + (1 - alike) / neighbours) / (alike + (1 - alike) / there)
    return float(binom.pmf(there, neighbours, coverage) @ kept)


def break_even_latency(fresh: float, incumbent: float, *, half_life: float = 1.0, kept: float = 1.0) -> float:
    """The latency up to which a model on a fading signal beats a system that doesn't use it.

    0 where it doesn't win even without latency.

    Parameters
    ----------
    fresh : float
        R2 of the model with the full signal and no latency, in (0, 1].
    incumbent : float
        R2 of the system in place, in (0, 1].
    half_life : float
        Time after which the signal's correlation with itself has halved; the result's unit.
    kept : float
        Share of R2 that other handicaps leave, in (0, 1].

    Raises
    ------
    ValueError
        If a share isn't in (0, 1], or the half-life isn't positive.

    Examples
    --------
    >>> round(break_even_latency(0.5, 0.3), 3)
    0.368
    """
    for name, value in (("fresh", fresh), ("incumbent", incumbent), ("kept", kept)):
        share(name, value, open_low=True)
    unit = number("half_life", half_life, above=0)
    return max(0.0, unit / 2 * float(np.log2(fresh * kept / incumbent)))


def by_latency(
    fresh: float, incumbent: float, *, kept: float = 1.0, longest: float = 3.0, steps: int = 24
) -> pd.DataFrame:
    """R2 of the pilot, the full build and the incumbent over the pilot's latency, in half-lives.

    Returns
    -------
    DataFrame
        `latency`, `deployment`, `r2`; and `low` to `high`, which spans from the incumbent to the
        full build where the pilot loses and the build wins, and nothing elsewhere. Lines that don't
        bend have only their ends.

    Examples
    --------
    The pilot keeps a half at half a half-life, a quarter at a whole one:

    >>> told = by_latency(0.8, 0.3, longest=1.0, steps=2)
    >>> told.loc[told["deployment"] == "pilot", "r2"].tolist()
    [0.8, 0.4, 0.2]
    """
    turn = break_even_latency(fresh, incumbent, kept=kept)
    falling = np.linspace(0, longest, steps + 1)
    # The region begins at the break-even itself: where no latency is short enough, at 0.
    ends = np.array([0.0, turn, turn, longest] if 0 < turn < longest else [0.0, longest])
    after = np.array([False, False, True, True] if 0 < turn < longest else [turn == 0] * 2)
    wrong = after & (fresh > incumbent)
    pilot = fresh * kept * 4.0**-falling
    lines = {
        "pilot": (falling, pilot, pilot, pilot),
        "full build": (ends, fresh, np.where(wrong, incumbent, fresh), fresh),
        "incumbent": (ends, incumbent, incumbent, incumbent),
    }
    return pd.concat(
        [
            pd.DataFrame({"latency": latency, "deployment": name, "r2": r2, "low": low, "high": high})
            for name, (latency, r2, low, high) in lines.items()
        ],
        ignore_index=True,
    ).round(4)


def _latency(value: float) -> None:
    if not value >= 0 or not np.isfinite(value):
        raise ValueError(f"latency: got {value!r}; it must be finite and not negative")


@lru_cache
def _edges(levels: int, rule: Rule) -> tuple[float, ...]:
    """The inner edges between levels of a standard normal signal."""
    equal = norm.ppf(np.arange(1, levels) / levels)
    if rule == "quantiles":
        return tuple(equal)

    def off(edges: np.ndarray) -> np.ndarray:
        # Max's condition: an edge lies halfway between the means on its sides.
        mean = _cells(edges)[1]
        return edges - (mean[:-1] + mean[1:]) / 2

    return tuple(fsolve(off, equal, xtol=1e-12))


def _cells(edges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Probability and mean of a standard normal between neighbouring edges, the outer ones infinite."""
    bounds = np.r_[-np.inf, edges, np.inf]
    probability = np.diff(norm.cdf(bounds))
    density = norm.pdf(bounds)
    mean = np.divide(
        density[:-1] - density[1:], probability, out=np.zeros(len(probability)), where=probability > 0
    )
    return probability, mean
