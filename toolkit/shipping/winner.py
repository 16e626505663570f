"""How much too good does the best of many runs look, and how surely does a fresh sample show it?"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from scipy.optimize import brentq
from scipy.stats import norm

from toolkit.rules import count, level, number, share

# Normal noise in units of its standard deviation; the best of a million lies below 6.
_GRID = np.linspace(-9, 9, 7201)


@lru_cache(maxsize=256)
def expected_maximum(runs: int) -> float:
    """The mean of the largest of so many independent standard normal numbers.

    Examples
    --------
    >>> expected_maximum(1), round(expected_maximum(10), 4), round(expected_maximum(100), 4)
    (0.0, 1.5388, 2.5076)
    """
    runs = count("runs", runs)
    if runs == 1:
        return 0.0
    density = runs * norm.pdf(_GRID) * norm.cdf(_GRID) ** (runs - 1)
    return float(np.trapezoid(_GRID * density, _GRID))


def standard_error(accuracy: float, rows: int) -> float:
    """The standard error of a share of right answers among so many held-out rows.

    Examples
    --------
    >>> round(standard_error(0.7, 1000), 5)
    0.01449
    """
    accuracy = share("accuracy", accuracy)
    return math.sqrt(accuracy * (1 - accuracy) / count("rows", rows))


def winner_reads(runs: int, rows: int, *, accuracy: float = 0.7, correlation: float = 0.0) -> float:
    """The accuracy that the best of many equally good runs reads on the holdout that chose it, on average.

    Parameters
    ----------
    runs : int
        How many were compared.
    rows : int
        Held-out rows.
    accuracy : float
        What each of them is truly worth.
    correlation : float
        Between two runs' errors on a row, in [0, 1). What is common to all runs chooses none of them.

    Examples
    --------
    >>> round(winner_reads(10, 1000), 3), round(winner_reads(100, 1000), 3), round(winner_reads(100, 10_000), 3)
    (0.722, 0.736, 0.711)
    """
    own = math.sqrt(1 - share("correlation", correlation, open_high=True))
    return accuracy + own * standard_error(accuracy, rows) * expected_maximum(runs)


def rows_for(optimism: float, runs: int, *, accuracy: float = 0.7, correlation: float = 0.0) -> int:
    """The held-out rows at which the best of many equal runs reads no more than so much too good.

    Examples
    --------
    >>> rows_for(0.01, 100)
    13205
    >>> bool(winner_reads(100, 13_205) <= 0.71 < winner_reads(100, 13_204))
    True
    """
    number("optimism", optimism, above=0)
    at_one = winner_reads(runs, 1, accuracy=accuracy, correlation=correlation) - accuracy
    return max(1, math.ceil((at_one / optimism) ** 2))


def flag_power(
    runs: int,
    rows: int,
    fresh: float,
    *,
    accuracy: float = 0.7,
    correlation: float = 0.0,
    alpha: float = 0.05,
) -> float:
    """How often a test of the winner's claim against fresh rows calls it too good.

    The test is two-sided and asks whether the winner's share of right answers differs between the rows that
    chose it and the fresh ones; counted is the verdict "too good".

    Parameters
    ----------
    runs, rows : int
        Equally good runs, and the held-out rows that chose among them.
    fresh : float
        Fresh rows; `math.inf` where the truth itself were known.
    accuracy, correlation : float
        As in `winner_reads`.
    alpha : float
        The test's level.

    Examples
    --------
    Sixty equal runs on 400 rows: with as many fresh rows it is seen in one case of three, at best in four of five.

    >>> round(flag_power(60, 400, 400), 2), round(flag_power(60, 400, math.inf), 2)
    (0.34, 0.78)
    >>> round(flag_power(1, 400, 400), 3)
    0.025
    """
    level(alpha)
    runs, noise = count("runs", runs), standard_error(accuracy, rows)
    if not fresh > 0:
        raise ValueError(f"fresh: got {fresh!r}; it must lie above 0")
    fresh_noise = 0.0 if math.isinf(fresh) else math.sqrt(accuracy * (1 - accuracy) / fresh)
    shared = share("correlation", correlation, open_high=True)
    limit = norm.isf(alpha / 2) * math.hypot(noise, fresh_noise)
    best = runs * norm.pdf(_GRID) * norm.cdf(_GRID) ** (runs - 1)
    # Beside the winner's own luck: what all runs share on these rows, and the fresh sample's noise.
    rest = math.hypot(noise * math.sqrt(shared), fresh_noise)
    excess = noise * math.sqrt(1 - shared) * _GRID - limit
    passed = norm.cdf(excess / rest) if rest else (excess > 0).astype(float)
    return float(np.trapezoid(best * passed, _GRID))


def fresh_rows_for(power: float, runs: int, rows: int, *, accuracy: float = 0.7) -> float:
    """The fresh rows with which a winner's claim is called too good so often.

    Raises
    ------
    ValueError
        If `power` isn't above that of two fresh rows and below that of a known truth.

    Examples
    --------
    >>> round(fresh_rows_for(0.5, 60, 400))
    1049
    """
    least, most = (flag_power(runs, rows, fresh, accuracy=accuracy) for fresh in (2, math.inf))
    number("power", power, above=least, below=most)
    return float(
        brentq(lambda fresh: flag_power(runs, rows, fresh, accuracy=accuracy) - power, 2, 1e9, xtol=0.1)
    )
