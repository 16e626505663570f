"""A feature arrives in another unit: what is left of the score, and which monitor notices when?"""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
import pandas as pd
from scipy.stats import norm

from toolkit.general.ageing import median_split_auc
from toolkit.general.cusum import run_length
from toolkit.rules import count, number, one_of, share

__all__ = [
    "MONITORS",
    "auc_spread",
    "canary_exposure",
    "clipped_correlation",
    "monitor_delay",
    "monitor_path",
    "rescaled_auc",
    "rescaled_correlation",
    "rows_in_canary",
]

Monitor = Literal["the feature's mean", "the score's mean", "the AUC"]
# What may be watched to notice a rescaled feature.
MONITORS: tuple[Monitor, ...] = ("the feature's mean", "the score's mean", "the AUC")

# By how many standard deviations of a row a day's mean moves of its own accord, and how far a feature's mean lies
# from 0 in its standard deviations; a day's rows, the share of positives among them, and the days until labels are in.
WOBBLE, MEAN, ROWS, POSITIVE, LABEL_DAYS = 0.1, 1.0, 2_000, 0.1, 7
_SLACK, _LIMIT = 0.5, 5.0


def rescaled_correlation(weight: Any, factor: Any) -> Any:
    """The correlation of a linear score with what it was meant to be, when one feature arrives times a factor.

    Parameters
    ----------
    weight : float or array
        The share of the score's variance that the feature carries, independent of the rest; in [0, 1].
    factor : float or array
        0 for a feature that became constant; negative for one whose sign turned.

    Returns
    -------
    float or array
        ((1 - w) + a w) / sqrt((1 - w) + a^2 w); nan where nothing of the score is left.

    Examples
    --------
    >>> rescaled_correlation(0.2, np.array([100.0, 0.01])).round(3).tolist()
    [0.465, 0.897]
    """
    w, a = np.asarray(weight, dtype=float), np.asarray(factor, dtype=float)
    if not ((w >= 0) & (w <= 1)).all():
        raise ValueError(f"weight: got {weight!r}; it must lie in [0, 1]")
    if not np.isfinite(a).all():
        raise ValueError(f"factor: got {factor!r}; it must be a finite number")
    with np.errstate(invalid="ignore", divide="ignore"):
        found = (1 - w + a * w) / np.sqrt(1 - w + a**2 * w)
    return float(found) if np.ndim(found) == 0 else found


def rescaled_auc(weight: Any, factor: Any, *, correlation: float = 0.7) -> Any:
    """The AUC that is left of the score, its label being whether something it correlates with is above its median.

    Parameters
    ----------
    weight, factor
        As for `rescaled_correlation`.
    correlation : float
        Of the intended score with what decides the label, in [-1, 1].

    Examples
    --------
    >>> [round(rescaled_auc(0.2, factor), 3) for factor in (1, 100, 0.01)]
    [0.83, 0.648, 0.793]
    """
    found = median_split_auc(correlation * rescaled_correlation(weight, factor))
    return float(found) if np.ndim(found) == 0 else found


def clipped_correlation(weight: float, factor: float, *, clip: float) -> float:
    """As `rescaled_correlation`, the feature being cut off at so many of its old standard deviations from its mean.

    Normal; the score reads the centred feature.

    Parameters
    ----------
    clip : float
        Above 0.

    Examples
    --------
    >>> round(clipped_correlation(0.2, 100.0, clip=3.0), 2), round(clipped_correlation(0.2, 1.0, clip=3.0), 3)
    (0.8, 1.0)
    """
    share("weight", weight)
    number("factor", factor)
    number("clip", clip, above=0)
    if factor == 0:
        return float(rescaled_correlation(weight, 0.0))
    at = clip / abs(factor)
    inside = math.erf(at / math.sqrt(2))
    # E[z c(az)] by Stein's lemma, and E[c(az)^2], c cutting off at the clip.
    joint = factor * inside
    square = factor**2 * (inside - 2 * at * float(norm.pdf(at))) + clip**2 * (1 - inside)
    return float((1 - weight + weight * joint) / math.sqrt(1 - weight + weight * square))


def auc_spread(auc: float, *, rows: int = ROWS, positive: float = POSITIVE) -> float:
    """The standard error of an AUC from so many rows.

    References
    ----------
    Hanley and McNeil (1982), Radiology 143: for scores whose distributions are about exponential.

    Examples
    --------
    >>> round(auc_spread(0.83), 4)
    0.0182
    """
    number("auc", auc, above=0, below=1)
    count("rows", rows, least=4)
    number("positive", positive, above=0, below=1)
    good, bad = rows * positive, rows * (1 - positive)
    pairs = auc / (2 - auc) - auc**2, 2 * auc**2 / (1 + auc) - auc**2
    return math.sqrt((auc * (1 - auc) + (good - 1) * pairs[0] + (bad - 1) * pairs[1]) / (good * bad))


def rows_in_canary(
    before: float, after: float, *, positive: float = POSITIVE, false_alarm: float = 0.05, power: float = 0.8
) -> int:
    """The rows that a canary takes to tell an AUC from a lower one, beside a control that is much larger.

    Parameters
    ----------
    before, after : float
        The AUC with the old and with the new version of the feature.
    positive : float
        Share of positives.
    false_alarm : float
        One-sided.

    Examples
    --------
    >>> rows_in_canary(0.83, 0.648) < rows_in_canary(0.83, 0.793)
    True
    """
    number("before", before, above=0, below=1)
    number("after", after, above=0, below=before)
    number("false_alarm", false_alarm, above=0, below=0.5)
    number("power", power, above=0.5, below=1)
    one = auc_spread(after, rows=1_000_000, positive=positive) * 1_000
    return math.ceil(((float(norm.isf(false_alarm)) + float(norm.ppf(power))) * one / (before - after)) ** 2)


def canary_exposure(
    factor: float, *, weight: float, part: float, correlation: float = 0.7
) -> dict[str, float]:
    """What a canary on a part of the traffic costs, and what the same change costs without it.

    Parameters
    ----------
    factor, weight
        As for `rescaled_correlation`; the AUC must fall.
    part : float
        Share of the traffic that gets the new version first.

    Returns
    -------
    dict
        `rows` that see the new version before the canary tells, the same for every part; `days` that it takes,
        labels included; `without`, the rows that see it until a CUSUM of the daily AUC rings.

    Examples
    --------
    >>> told = canary_exposure(100.0, weight=0.2, part=0.01)
    >>> told["rows"] < 200 < told["without"]
    True
    """
    share("part", part, open_low=True)
    before, after = (
        rescaled_auc(weight, each, correlation=correlation) for each in (1.0, number("factor", factor))
    )
    rows = float(rows_in_canary(before, after))
    late = monitor_delay("the AUC", weight=weight, factor=factor)
    return {"rows": rows, "days": rows / (part * ROWS) + LABEL_DAYS, "without": late * ROWS}


def _shift(monitor: Monitor, weight: float, factor: float) -> float:
    """By how many standard deviations of a day the monitored number moves."""
    moved = MEAN * (factor - 1) / WOBBLE
    if monitor == "the feature's mean":
        return moved
    if monitor == "the score's mean":
        return moved * math.sqrt(weight)
    before, after = rescaled_auc(weight, 1.0), rescaled_auc(weight, factor)
    return float(after - before) / auc_spread(before)


def monitor_delay(monitor: Monitor, *, weight: float, factor: float) -> float:
    """The mean days from the change until a CUSUM of a daily number rings; false alarms are once in 465 days.

    Parameters
    ----------
    monitor : str
        One of `MONITORS`. The AUC waits for its labels first.
    weight, factor : float
        As for `rescaled_correlation`.

    Examples
    --------
    >>> round(monitor_delay("the feature's mean", weight=0.2, factor=1.1), 1)
    10.4
    """
    one_of("monitor", monitor, MONITORS)
    shift = _shift(monitor, share("weight", weight), number("factor", factor))
    return run_length(slack=_SLACK, limit=_LIMIT, shift=max(-50.0, min(50.0, shift))) + (
        LABEL_DAYS if monitor == "the AUC" else 0
    )


def monitor_path(
    monitor: Monitor, *, weight: float, factor: float, day: int, days: int = 60, rng: Any = 0
) -> pd.DataFrame:
    """A CUSUM of the monitored number, day by day, the feature changing on one of them.

    Returns
    -------
    DataFrame
        `day`, `above`, `below` (both sums), `alarm`; the AUC's days are those on which it is known.

    Examples
    --------
    >>> path = monitor_path("the feature's mean", weight=0.2, factor=2.0, day=30)
    >>> int(path["alarm"].idxmax())
    30
    """
    one_of("monitor", monitor, MONITORS)
    count("day", day, least=0)
    count("days", days, least=2)
    shift = _shift(monitor, share("weight", weight), number("factor", factor))
    late = LABEL_DAYS if monitor == "the AUC" else 0
    z = np.random.default_rng(rng).normal(size=days) + shift * (np.arange(days) >= day + late)
    sums, last = np.zeros((days, 2)), np.zeros(2)
    for place, one in enumerate(z):
        last = np.maximum(0.0, last + np.array([one, -one]) - _SLACK)
        sums[place] = last
    return pd.DataFrame(
        {"day": np.arange(days), "above": sums[:, 0], "below": sums[:, 1], "alarm": (sums > _LIMIT).any(1)}
    )
