"""Which memory does a short A/B test pick, and which one was right for the year?"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pandas as pd

from toolkit.rules import count, number, one_of, share
from toolkit.tradeoffs.learners import exponential

__all__ = ["jumping_level", "short_tests", "wrong_picks"]

Start = Literal["any day", "after calm"]
_YEAR = 365


def jumping_level(days: int, *, rate: float, size: float, paths: int = 1, rng: Any = 0) -> np.ndarray:
    """Levels that stand still, and with a chance a day jump up or down by a size.

    Parameters
    ----------
    days, paths : int
    rate : float
        Jumps a day, in [0, 1].
    size : float
    rng : int or Generator

    Returns
    -------
    array of shape (days, paths)

    Examples
    --------
    >>> abs(jumping_level(3, rate=1.0, size=2.0)[1:, 0] - jumping_level(3, rate=1.0, size=2.0)[:-1, 0]).tolist()
    [2.0, 2.0]
    """
    count("days", days), count("paths", paths), share("rate", rate), number("size", size)
    draw = np.random.default_rng(rng)
    moves = (draw.random((days, paths)) < rate) * draw.choice([-size, size], (days, paths))
    moves[0] = 0.0
    return np.cumsum(moves, axis=0)


def short_tests(
    level: Any,
    *,
    days: int,
    long: float,
    short: float,
    noise: float = 1.0,
    tests: int = 500,
    start: Start = "any day",
    calm: int = 90,
    rng: Any = 0,
) -> pd.DataFrame:
    """Simulated A/B tests of a long memory against a short one, each drawn from one path and judged by the year after it began.

    Both learners ran before the test, on the same readings. A test measures each one's mean squared
    error against the readings of its days, as a team would.

    Parameters
    ----------
    level : array of shape (n,)
        What is tracked, by day; two years at least.
    days : int
        Length of a test, a year at most.
    long, short : float
        The two gains, the long memory's being the smaller one.
    noise : float
        Variance of a day's reading.
    tests : int
    start : "any day" or "after calm"
        Whether tests begin on any day of the path, or only where nothing jumped for `calm` days, as
        those of a team that waits until things are quiet.
    rng : int or Generator

    Returns
    -------
    DataFrame
        One row a test: `begin` (day), `measured`, `true` (against the level itself) and `year`: the long
        memory's squared error a day minus the short one's, in the test and in its year; `jumps` in the
        test.

    Raises
    ------
    ValueError
        If a setting is bad, the path is short, or it has no day after so much calm.

    Examples
    --------
    >>> path = jumping_level(3650, rate=1 / 60, size=1.0)[:, 0]
    >>> told = short_tests(path, days=14, long=0.03, short=0.121, start="after calm", tests=200)
    >>> bool((told["measured"] < 0).mean() > 0.5), bool((told["year"] > 0).mean() > 0.7)
    (True, True)
    """
    one_of("start", start, ("any day", "after calm"))
    count("tests", tests), count("calm", calm), number("noise", noise, above=0)
    if not 0 < number("long", long) < number("short", short) <= 1:
        raise ValueError(f"long: got {long!r}, short {short!r}; gains must ascend, in (0, 1]")
    path = np.asarray(level, dtype=float)
    if path.ndim != 1 or len(path) < 2 * _YEAR:
        raise ValueError(f"level: got shape {path.shape}; it must be one path of {2 * _YEAR} days at least")
    if count("days", days) > _YEAR:
        raise ValueError(f"days: got {days!r}; it must be a year at most, {_YEAR}")
    draw = np.random.default_rng(rng)
    readings = path + np.sqrt(noise) * draw.normal(size=len(path))
    told = exponential(readings, long, start=path[0])
    other = exponential(readings, short, start=path[0])
    moved = np.r_[0, np.cumsum(np.diff(path) != 0)]
    # After half a year both learners have forgotten how they began.
    begins = np.arange(_YEAR // 2, len(path) - _YEAR)
    if start == "after calm":
        begins = begins[moved[begins] == moved[np.maximum(begins - calm, 0)]]
        if not len(begins):
            raise ValueError(f"calm: got {calm!r}; no day of the path has so many calm ones before it")
    begin = draw.choice(begins, tests)

    def lead(truth: np.ndarray, length: int) -> np.ndarray:
        total = np.r_[0.0, np.cumsum((told - truth) ** 2 - (other - truth) ** 2)]
        return np.asarray((total[begin + length] - total[begin]) / length)

    return pd.DataFrame(
        {
            "begin": begin,
            "measured": lead(readings, days),
            "true": lead(path, days),
            "year": lead(path, _YEAR),
            "jumps": moved[begin + days - 1] - moved[begin],
        }
    )


def wrong_picks(tests: pd.DataFrame) -> float:
    """The share of tests whose measured winner lost the year.

    Examples
    --------
    >>> wrong_picks(pd.DataFrame({"measured": [-0.1, 0.2, -0.3, 0.1], "year": [0.1, 0.1, -0.1, 0.1]}))
    0.25
    """
    return float(((tests["measured"] < 0) != (tests["year"] < 0)).mean())
