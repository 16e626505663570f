"""How fast does a model go stale, and how often is it worth retraining?

A score knows something that moves. At age tau its correlation with what decides the label has
fallen to rho 2^(-tau/h); everything else here follows from that.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd

from toolkit.rules import count, number

__all__ = [
    "aged_auc",
    "average_auc",
    "median_split_auc",
    "retraining_costs",
    "sawtooth",
    "usable_age",
]

# Gauss and Legendre's points: the integrand is smooth, and this many give twelve digits.
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(40)


def median_split_auc(correlation: Any) -> Any:
    """The AUC of a score for the label "above the median" of a quantity that it correlates with.

    Both normal. Three signs must agree (the pair's order in the score, one quantity above the
    median, the other below), which is an orthant probability with a closed form.

    Parameters
    ----------
    correlation : float or array
        In [-1, 1].

    Returns
    -------
    float or array

    Examples
    --------
    >>> round(median_split_auc(0.7), 3), float(median_split_auc(0.0)), round(median_split_auc(1.0), 6)
    (0.83, 0.5, 1.0)
    """
    given = np.asarray(correlation, dtype=float)
    bad = ~(np.abs(given) <= 1)
    if bad.any():
        raise ValueError(f"correlation: got {given[bad].flat[0]}; it must lie in [-1, 1]")
    area = 0.5 + 2 / np.pi * np.arcsin(given / np.sqrt(2))
    return float(area) if area.ndim == 0 else area


def aged_auc(correlation: float, *, age: Any, half_life: float) -> Any:
    """The AUC of a score whose correlation with the label's quantity halves every half-life.

    Parameters
    ----------
    correlation : float
        When the score is fresh, in [-1, 1].
    age : float or array
        Not negative, in the unit of `half_life`.
    half_life : float
        Positive.

    Examples
    --------
    >>> round(aged_auc(0.7, age=0, half_life=6), 3), round(aged_auc(0.7, age=6, half_life=6), 3)
    (0.83, 0.659)
    """
    number("half_life", half_life, above=0)
    if not abs(number("correlation", correlation)) <= 1:
        raise ValueError(f"correlation: got {correlation!r}; it must lie in [-1, 1]")
    ages = np.asarray(age, dtype=float)
    if not (ages >= 0).all():
        raise ValueError(f"age: got {ages[~(ages >= 0)].flat[0]}; it must not be negative")
    return median_split_auc(np.asarray(correlation) * np.exp2(-ages / half_life))


def average_auc(correlation: float, *, half_life: float, period: float, delay: float = 0.0) -> float:
    """The mean AUC over time of a model that is replaced every period.

    Parameters
    ----------
    period : float
        Time between two replacements.
    delay : float
        Age at which a model begins to serve: the wait for labels, training and deployment. The age
        then runs from `delay` to `delay + period`, and starts over.

    Examples
    --------
    >>> round(average_auc(0.7, half_life=6, period=24), 3)
    0.608
    """
    number("period", period, above=0)
    _not_negative("delay", delay)
    ages = delay + period * (1 + _NODES) / 2
    return float(_WEIGHTS @ aged_auc(correlation, age=ages, half_life=half_life) / 2)


def usable_age(correlation: float, *, half_life: float, least: float) -> float:
    """The age at which the AUC has fallen to the least that is useful; nan if it's below when fresh.

    Examples
    --------
    >>> round(usable_age(0.7, half_life=6, least=0.7), 2)
    4.08
    """
    number("half_life", half_life, above=0)
    number("correlation", correlation, above=0, below=1)
    number("least", least, above=0.5, below=1)
    needed = math.sqrt(2) * math.sin(math.pi / 2 * (least - 0.5))
    return half_life * math.log2(correlation / needed) if needed <= correlation else math.nan


def sawtooth(
    correlation: float,
    *,
    half_life: float,
    period: float,
    delay: float = 0.0,
    until: float,
    points: int = 121,
) -> pd.DataFrame:
    """The AUC over time of a model that is replaced every period: `time`, `age`, `auc`.

    Parameters
    ----------
    until : float
        End of the time that is shown; the model has been replaced at time 0.
    points : int
        Times at equal distances; each replacement adds two, just before it and at it.

    Examples
    --------
    >>> teeth = sawtooth(0.7, half_life=2, period=1, until=2, points=5)
    >>> teeth["age"].tolist()
    [0.0, 0.5, 1.0, 0.0, 0.5, 1.0]
    """
    number("period", period, above=0)
    number("until", until, above=0)
    _not_negative("delay", delay)
    count("points", points, least=2)
    replaced = np.arange(1, math.floor(until / period) + 1) * float(period)
    grid = np.linspace(0, until, points)
    grid = grid[~np.isin(grid, replaced)]
    # At each replacement two points, before and after; at the end of the time shown only the one before.
    after = replaced[replaced < until]
    times = np.r_[grid, replaced, after]
    ages = np.r_[np.mod(grid, period), np.full(len(replaced), float(period)), np.zeros(len(after))]
    at = np.lexsort((-ages, times))
    path = pd.DataFrame({"time": times[at], "age": delay + ages[at]})
    return path.assign(auc=aged_auc(correlation, age=path["age"], half_life=half_life))


def retraining_costs(
    ages: Any,
    losses: Any,
    *,
    periods: Any,
    value: float,
    cost: float,
    delay: float = 0.0,
    width: float = 0.0,
) -> pd.DataFrame:
    """What each retraining period costs: staleness, the loss averaged over the ages served, and training.

    Parameters
    ----------
    ages, losses : arrays of shape (n,)
        A measured curve: ages, ascending, and what the metric has lost by then. Between two ages it
        is taken as straight; nothing is said beyond the last.
    periods : array of shape (m,)
        The periods to price, in the unit of `ages`.
    value : float
        What one unit of the metric is worth per unit of time.
    cost : float
        What one training costs, in the same money.
    delay : float
        Age at which a model begins to serve.
    width : float
        0 for losses at exact ages. Otherwise the width of an age bin, as in the table of
        `staleness_curve` (1 for ages in whole units): a loss is then the mean of the bin that begins
        at its age, and a model that serves for a day is of age 0 all day.

    Returns
    -------
    DataFrame with one row a period
        `period`, `loss` (of the metric, on average), `staleness` (its price), `training`, `total`; the
        prices per unit of time. The cheapest period has the least total.

    Raises
    ------
    ValueError
        If the curve isn't a curve, or a period needs ages that weren't measured.

    Examples
    --------
    >>> costs = retraining_costs([0, 1, 4], [0.0, 0.02, 0.08], periods=[1, 2, 4], value=100, cost=2)
    >>> costs.round(2).values.tolist()
    [[1.0, 0.01, 1.0, 2.0, 3.0], [2.0, 0.02, 2.0, 1.0, 3.0], [4.0, 0.04, 4.0, 0.5, 4.5]]

    Measured in days, a model that is replaced daily loses nothing against its own age 0:

    >>> retraining_costs([0, 1], [0.0, 0.02], periods=[1, 2], value=100, cost=2, width=1)["loss"].tolist()
    [0.0, 0.01]
    """
    known, lost = np.asarray(ages, dtype=float), np.asarray(losses, dtype=float)
    if known.shape != lost.shape or known.ndim != 1 or len(known) < 2 or not (np.diff(known) > 0).all():
        raise ValueError(f"ages: got {known.tolist()}; they must ascend, two at least, with one loss each")
    if not np.isfinite(lost).all():
        raise ValueError(f"losses: got {lost[~np.isfinite(lost)][0]}; each must be finite")
    wanted = np.atleast_1d(np.asarray(periods, dtype=float))
    if not (wanted > 0).all() or not wanted.size:
        raise ValueError(f"periods: got {wanted.tolist()}; each must be positive")
    _not_negative("value", value)
    _not_negative("cost", cost)
    _not_negative("delay", delay)
    _not_negative("width", width)
    if delay < known[0] or delay + wanted.max() > known[-1] + width:
        raise ValueError(
            f"periods: got ages from {delay:g} to {delay + wanted.max():g}; the curve was measured from "
            f"{known[0]:g} to {known[-1] + width:g}"
        )
    mean = np.array([_mean_between(known, lost, delay, delay + period, width) for period in wanted])
    costs = pd.DataFrame({"period": wanted, "loss": mean})
    costs["staleness"] = value * costs["loss"]
    costs["training"] = cost / costs["period"]
    costs["total"] = costs["staleness"] + costs["training"]
    return costs


def _mean_between(x: np.ndarray, y: np.ndarray, low: float, high: float, width: float) -> float:
    """The mean of a piecewise straight curve between two of its arguments, or of one in steps of a width."""
    if width:
        begins = x[0] + width * np.arange(math.ceil((x[-1] - x[0]) / width + 1))
        inside = np.clip(np.minimum(begins + width, high) - np.maximum(begins, low), 0, None)
        return float(inside @ np.interp(begins, x, y) / (high - low))
    corners = np.r_[low, x[(x > low) & (x < high)], high]
    return float(np.trapezoid(np.interp(corners, x, y), corners) / (high - low))


def _not_negative(name: str, value: float) -> None:
    if not (math.isfinite(value) and value >= 0):
        raise ValueError(f"{name}: got {value!r}; it must be finite and not negative")
