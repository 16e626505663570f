"""How long does a test take, and does the model live that long?

The lift of a model that is frozen for its test halves every half-life, so that the mean over the
test is smaller than the lift that was shipped; and what a longer test gains in users it may lose in
lift.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
from scipy.optimize import brentq
from scipy.stats import norm
from statsmodels.stats.power import NormalIndPower

from toolkit.rules import count, level, number, share

__all__ = [
    "best_length",
    "cuped_saving",
    "days_needed",
    "iterations_a_year",
    "lift_left",
    "power_by_day",
    "power_curve",
    "sample_size",
]

# A model that never ages.
_FOR_EVER = math.inf


def sample_size(
    rate: float, lift: float, *, alpha: float = 0.05, power: float = 0.8, correlation: float = 0.0
) -> float:
    """Users an arm that a two-sided test of two shares needs.

    Parameters
    ----------
    rate : float
        Share of users who act in the control.
    lift : float
        Relative lift to be found; not 0.
    correlation : float
        Of the metric with its value before the test, which CUPED uses.

    Returns
    -------
    float
        Not rounded up.

    Examples
    --------
    >>> round(sample_size(0.05, 0.05))
    119303
    >>> round(sample_size(0.05, 0.05, correlation=0.7))
    60844
    """
    _plan(rate, lift, alpha)
    _power(power, alpha)
    effect = rate * abs(lift) / math.sqrt(rate * (1 - rate) * (1 - cuped_saving(correlation)))
    return float(NormalIndPower().solve_power(effect, alpha=alpha, power=power))


def cuped_saving(correlation: float) -> float:
    """The share of variance, and so of users, that adjusting by a pre-experiment covariate saves: its squared correlation.

    References
    ----------
    Deng, Xu, Kohavi and Walker (2013), "Improving the Sensitivity of Online Controlled Experiments
    by Utilizing Pre-Experiment Data", WSDM.

    Examples
    --------
    >>> round(cuped_saving(0.7), 2)
    0.49
    """
    return number("correlation", correlation, above=-1, below=1) ** 2


def lift_left(days: Any, half_life: float = _FOR_EVER) -> Any:
    """The mean over a test's days of a lift that halves every half-life, as a share of the fresh lift.

    Examples
    --------
    >>> round(lift_left(14, half_life=14), 3), lift_left(14)
    (0.721, 1.0)
    """
    _half_life(half_life)
    length = np.asarray(days, dtype=float)
    if not (length > 0).all():
        raise ValueError(f"days: got {length[~(length > 0)].flat[0]}; it must be positive")
    decay = length * math.log(2) / half_life
    told = -np.expm1(-decay) / decay if math.isfinite(half_life) else np.ones_like(length)
    return float(told) if told.ndim == 0 else told


def power_by_day(
    days: Any,
    *,
    rate: float,
    lift: float,
    users: float,
    half_life: float = _FOR_EVER,
    correlation: float = 0.0,
    alpha: float = 0.05,
) -> Any:
    """The power of a test of so many days, of a model that is frozen and ages.

    Parameters
    ----------
    days : float or array
        Length of the test.
    rate, lift : float
        Share of users who act in the control, and the relative lift of the fresh model.
    users : float
        New users a day, half of them in each arm.
    half_life : float
        Days in which the lift halves; infinite where it doesn't age.

    Examples
    --------
    >>> round(power_by_day(24, rate=0.05, lift=0.05, users=10_000), 2)
    0.8
    >>> round(power_by_day(24, rate=0.05, lift=0.05, users=10_000, half_life=7), 2)
    0.19
    """
    _plan(rate, lift, alpha)
    number("users", users, above=0)
    arm = np.asarray(days, dtype=float) * users / 2
    variance = 2 * rate * (1 - rate) * (1 - cuped_saving(correlation))
    z = rate * abs(lift) * lift_left(days, half_life) * np.sqrt(arm / variance)
    bound = norm.isf(alpha / 2)
    told = norm.sf(bound - z) + norm.cdf(-bound - z)
    return float(told) if np.ndim(told) == 0 else told


def best_length(half_life: float) -> float:
    """The length at which a test of a frozen model has most power: longer, the lift fades faster than users come.

    Maximises (1 - exp(-x)) / sqrt(x) over x = days ln 2 / half-life, where exp(x) = 1 + 2x.

    Examples
    --------
    >>> round(best_length(7), 2)
    12.69
    """
    _half_life(half_life)
    return 1.2564312086261696773 * half_life / math.log(2)


def days_needed(
    *,
    rate: float,
    lift: float,
    users: float,
    half_life: float = _FOR_EVER,
    correlation: float = 0.0,
    alpha: float = 0.05,
    power: float = 0.8,
    whole: int = 7,
) -> float:
    """The days a test of a frozen model needs, in whole weeks; nan where no length is enough.

    Parameters
    ----------
    whole : int
        The length is a multiple of so many days, so that every weekday counts alike.

    Examples
    --------
    >>> days_needed(rate=0.05, lift=0.05, users=10_000)
    28.0
    >>> days_needed(rate=0.05, lift=0.05, users=10_000, half_life=7)
    nan
    """
    _power(power, alpha)
    count("whole", whole)
    number("users", users, above=0)
    _half_life(half_life)
    settings: dict[str, Any] = {
        "rate": rate, "lift": lift, "users": users, "half_life": half_life, "correlation": correlation, "alpha": alpha
    }  # fmt: skip
    ageless = 2 * sample_size(rate, lift, alpha=alpha, power=power, correlation=correlation) / users
    if math.isinf(half_life):
        return float(math.ceil(ageless / whole - 1e-9) * whole)
    best = best_length(half_life)

    def missing(days: float) -> float:
        return float(power - power_by_day(days, **settings))

    if missing(best) > 0:
        return math.nan
    # Power rises up to the best length; rounding up to whole weeks may step over it and lose too much.
    shortest = best if missing(best) == 0 else brentq(missing, min(ageless, best) / 2, best)
    days = float(math.ceil(shortest / whole - 1e-9) * whole)
    return days if missing(days) <= 1e-9 else math.nan


def iterations_a_year(days: float, *, build: float = 0.0, wait: float = 0.0) -> float:
    """How many models a team can try a year, one after the other.

    Parameters
    ----------
    days : float
        Length of a test.
    build, wait : float
        Days to make a candidate, and days for its last labels to come in.

    Examples
    --------
    >>> round(iterations_a_year(28, build=5, wait=7), 1)
    9.1
    """
    for name, value in (("days", days), ("build", build), ("wait", wait)):
        if not (math.isfinite(value) and value >= 0):
            raise ValueError(f"{name}: got {value!r}; it must be finite and not negative")
    total = days + build + wait
    if not total > 0:
        raise ValueError("days: got 0 in all; an iteration takes some time")
    return 365 / total


def power_curve(*, half_life: float, until: float = 90, points: int = 46, **settings: Any) -> pd.DataFrame:
    """Power against the test's length, of the frozen model and of one that doesn't age: `days`, `power`, `model`.

    Takes the settings of `power_by_day`.

    Examples
    --------
    >>> curve = power_curve(rate=0.05, lift=0.05, users=10_000, half_life=7).pivot(index="days", columns="model")
    >>> bool((curve["power", "frozen, ageing"] < curve["power", "not ageing"]).all())
    True
    """
    number("until", until, above=0)
    days = np.linspace(until / count("points", points), until, points)
    parts = [
        pd.DataFrame({"days": days, "power": power_by_day(days, half_life=life, **settings), "model": name})
        for name, life in (("frozen, ageing", half_life), ("not ageing", _FOR_EVER))
    ]
    return pd.concat(parts, ignore_index=True)


def _plan(rate: float, lift: float, alpha: float) -> None:
    level(alpha)
    share("rate", rate, open_low=True, open_high=True)
    number("lift", lift, above=-1)
    if lift == 0:
        raise ValueError("lift: got 0; no sample finds a lift of nothing")
    if rate * (1 + lift) > 1:
        raise ValueError(f"lift: got {lift!r} over a rate of {rate!r}; no more than all users can act")


def _power(power: float, alpha: float) -> None:
    level(alpha)
    number("power", power, above=alpha, below=1)


def _half_life(half_life: float) -> None:
    if not half_life > 0:
        raise ValueError(f"half_life: got {half_life!r}; it must be positive, infinite where nothing ages")
