"""How long should a switchback's periods be, when what one does lasts into the next?

The whole market is under one arm for a period. Short periods mix the arms, for contacts still do what
the period before made them do; long ones are few, and a market has good and bad hours.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd
from scipy.signal import lfilter

from toolkit.rules import count, number, share

# Steps of time an hour.
STEPS = 6


def expected(*, period: float, memory: float, direct: float, spill: float, washout: float = 0.0) -> float:
    """What a switchback measures on average: direct, and spill but for what the periods before left behind.

    Parameters
    ----------
    period : float
        Hours.
    memory : float
        Hours in which what contacts did fades to 1/e; 0 for at once.
    direct, spill : float
        A launch brings their sum.
    washout : float
        Share of each period, at its start, that is left out; in [0, 1).

    Examples
    --------
    >>> [round(expected(period=hours, memory=1, direct=0.1, spill=-0.05), 3) for hours in (0.5, 24)]
    [0.089, 0.052]
    """
    number("period", period, above=0)
    number("direct", direct)
    number("spill", spill)
    share("washout", washout, open_high=True)
    if number("memory", memory) < 0:
        raise ValueError(f"memory: got {memory!r}; it must not be negative")
    if memory == 0:
        return direct + spill
    skipped = washout * period
    left = memory * (math.exp(-skipped / memory) - math.exp(-period / memory)) / (period - skipped)
    return direct + spill * (1 - left)


def switchbacks(
    *,
    period: float,
    memory: float,
    direct: float,
    spill: float,
    washout: float = 0.0,
    days: int = 14,
    shock: float = 0.1,
    shock_hours: float = 3.0,
    noise: float = 0.2,
    tests: int = 1,
    rng: Any = 0,
) -> pd.DataFrame:
    """Simulated switchbacks, step by step: the estimate of each, and its standard error by period.

    Half of the periods, drawn at random, are the treatment's. The market's mean outcome moves by
    shocks that last; the same `rng` gives the same market whatever the period.

    Parameters
    ----------
    period : float
        Hours: a whole number of steps, of which there are six an hour, and four periods at least.
    memory, direct, spill, washout
        As in `expected`.
    days : int
    shock, shock_hours : float
        Standard deviation of the market's shocks, and the hours in which they fade to 1/e.
    noise : float
        Standard deviation of a step's own noise.
    tests : int
    rng : int or Generator

    Returns
    -------
    DataFrame
        One row a test: `estimate`, `error`.

    Examples
    --------
    >>> told = switchbacks(period=2, memory=0, direct=0.1, spill=-0.05, tests=200)
    >>> bool(abs(told["estimate"].mean() - 0.05) < 0.005)
    True
    """
    expected(period=period, memory=memory, direct=direct, spill=spill, washout=washout)
    for name, value in (("shock", shock), ("noise", noise)):
        if number(name, value) < 0:
            raise ValueError(f"{name}: got {value!r}; it must not be negative")
    number("shock_hours", shock_hours, above=0)
    steps = count("days", days) * 24 * STEPS
    length = round(period * STEPS)
    if length < 1 or abs(length - period * STEPS) > 1e-9:
        raise ValueError(f"period: got {period!r}; it must be a whole number of steps of 1/{STEPS} hour")
    periods = steps // length
    if periods < 4:
        raise ValueError(f"period: got {period!r}; there must be four of them at least in {days} days")
    draw = np.random.default_rng(rng)
    stay = math.exp(-1 / STEPS / shock_hours)
    fresh = draw.normal(size=(count("tests", tests), steps)) * math.sqrt(1 - stay**2)
    fresh[:, 0] /= math.sqrt(1 - stay**2)
    market = shock * lfilter([1.0], [1.0, -stay], fresh) + noise * draw.normal(size=fresh.shape)
    used = periods * length
    arm = draw.random((tests, periods)).argsort(axis=1) < periods // 2
    treated = np.repeat(arm, length, axis=1).astype(float)
    fades = math.exp(-1 / STEPS / memory) if memory > 0 else 0.0
    # Before the first period everybody had the old model.
    state = lfilter([1 - fades], [1.0, -fades], treated)
    y = direct * treated + spill * state + market[:, :used]
    skipped = math.ceil(washout * length - 1e-9)
    if skipped == length:
        raise ValueError(f"washout: got {washout!r}; it must leave one of {length} steps a period at least")
    means = y.reshape(tests, periods, length)[:, :, skipped:].mean(axis=2)
    sides = []
    for side in (arm, ~arm):
        n = side.sum(axis=1)
        mean = (means * side).sum(axis=1) / n
        spread = (((means - mean[:, None]) * side) ** 2).sum(axis=1) / (n - 1) / n
        sides.append((mean, spread))
    return pd.DataFrame({"estimate": sides[0][0] - sides[1][0], "error": np.sqrt(sides[0][1] + sides[1][1])})


@lru_cache(maxsize=32)
def by_period(
    periods: tuple[float, ...],
    *,
    memory: float,
    direct: float,
    spill: float,
    washout: float = 0.0,
    tests: int = 100,
) -> pd.DataFrame:
    """Where a switchback's estimates lie for each length of its periods, on the same simulated markets.

    Parameters
    ----------
    periods : tuple of float
        Lengths, in hours.
    memory, direct, spill, washout, tests
        As in `switchbacks`.

    Returns
    -------
    DataFrame
        `period`, `measures` (mean of the estimates), `sd`, `low` and `high` (19 of 20 estimates lie
        between), `bias` and `miss` (root mean squared error), both against what a launch brings.

    Examples
    --------
    >>> table = by_period((1, 24), memory=1, direct=0.1, spill=-0.05)
    >>> bool(table["bias"][0] > table["bias"][1]), bool(table["sd"][0] < table["sd"][1])
    (True, True)
    """
    rows = []
    for period in periods:
        told = switchbacks(
            period=period, memory=memory, direct=direct, spill=spill, washout=washout, tests=tests
        )["estimate"]
        mean, sd = float(told.mean()), float(told.std())
        bias = mean - direct - spill
        rows.append((period, mean, sd, mean - 1.96 * sd, mean + 1.96 * sd, bias, math.hypot(bias, sd)))
    return pd.DataFrame(rows, columns=["period", "measures", "sd", "low", "high", "bias", "miss"])
