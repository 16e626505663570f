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
    arm: float | None = None,
    rng: Any = 0,
) -> pd.DataFrame:
    """Simulated A/B tests of a long memory against a short one, each judged by the year that it begins.

    Both learners ran before the test, on the same readings. A test measures each one's mean squared
    error against the readings of its days, as a team would: on all rows, or each on its own arm's.

    Parameters
    ----------
    level : array of shape (n,) or (n, paths)
        What is tracked, by day; two years at least. Tests are drawn from all paths alike.
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
    arm : float, optional
        The long memory's share of the traffic, in (0, 1), when each is judged on the rows that it
        served: the noise of an arm's day is that of all divided by its share, and is taken off its
        squared error. Without it both are judged on all rows, as where each row is scored by both.
    rng : int or Generator

    Returns
    -------
    DataFrame
        One row a test: `path`, `begin` (day), `measured`, `true` (against the level itself) and `year`: the long
        memory's squared error a day minus the short one's, in the test and in its year; `jumps` in the
        test.

    Raises
    ------
    ValueError
        If a setting is bad, the path is short, or none has a day after so much calm.

    Examples
    --------
    >>> paths = jumping_level(3650, rate=1 / 60, size=1.0, paths=10)
    >>> told = short_tests(paths, days=14, long=0.03, short=0.121, start="after calm", tests=200)
    >>> bool((told["measured"] < 0).mean() > 0.6), bool((told["year"] > 0).mean() > 0.8)
    (True, True)
    """
    one_of("start", start, ("any day", "after calm"))
    count("tests", tests), count("calm", calm), number("noise", noise, above=0)
    if not 0 < number("long", long) < number("short", short) <= 1:
        raise ValueError(f"long: got {long!r}, short {short!r}; gains must ascend, in (0, 1]")
    path = np.asarray(level, dtype=float)
    if path.ndim not in (1, 2) or len(path) < 2 * _YEAR:
        raise ValueError(f"level: got shape {path.shape}; it must be paths of {2 * _YEAR} days at least")
    if arm is not None:
        share("arm", arm, open_low=True, open_high=True)
    if count("days", days) > _YEAR:
        raise ValueError(f"days: got {days!r}; it must be a year at most, {_YEAR}")
    path = path.reshape(len(path), -1)
    draw = np.random.default_rng(rng)
    shares = np.array([1.0]) if arm is None else np.array([arm, 1 - arm])
    arms = [path + np.sqrt(noise / of) * draw.normal(size=path.shape) for of in shares]
    # Both memories learn from all rows, whoever served them.
    readings = np.einsum("a,a...->...", shares, arms)
    its, theirs = arms[0], arms[-1]
    unequal = noise / shares[0] - noise / shares[-1]
    told, other = exponential(readings, long), exponential(readings, short)
    moved = np.cumsum(np.diff(path, axis=0, prepend=path[:1]) != 0, axis=0)
    # After half a year both learners have forgotten how they began.
    begins = np.arange(_YEAR // 2, len(path) - _YEAR)
    fit = np.ones((len(begins), path.shape[1]), dtype=bool)
    if start == "after calm":
        fit = moved[begins] == moved[np.maximum(begins - calm, 0)]
        if not fit.any():
            raise ValueError(f"calm: got {calm!r}; no day of the paths has so many calm ones before it")
    drawn = draw.integers(0, fit.sum(), tests)
    row, which = (places[drawn] for places in np.nonzero(fit))
    begin = begins[row]

    def lead(mine: np.ndarray, yours: np.ndarray, length: int) -> np.ndarray:
        total = np.cumsum((told - mine) ** 2 - (other - yours) ** 2, axis=0)
        return np.asarray((total[begin + length - 1, which] - total[begin - 1, which]) / length)

    return pd.DataFrame(
        {
            "path": which,
            "begin": begin,
            "measured": lead(its, theirs, days) - unequal,
            "true": lead(path, path, days),
            "year": lead(path, path, _YEAR),
            "jumps": moved[begin + days - 1, which] - moved[begin, which],
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
