"""What do FooBar's logs look like when its market moves? Impressions over years, and labels gone wrong."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pandas as pd
from scipy.special import expit, logit

from toolkit.frames import read_columns
from toolkit.rules import count, number, one_of, share
from toolkit.world.clock import START

__all__ = ["corrected", "market", "mislabel", "moving_tastes"]

Fault = Literal["symmetric", "lost", "burst"]


def market(
    days: int,
    *,
    rows: int = 60,
    rate: float = 1 / 60,
    size: float = 0.6,
    drift: float = 0.0,
    users: int = 600,
    rng: Any = 0,
) -> pd.DataFrame:
    """Impressions of one small market, whose level of good matches jumps and drifts under a frozen ranker.

    Parameters
    ----------
    days, rows : int
        Days, and impressions a day.
    rate, size : float
        Jumps a day, and by how much each moves the log odds, up or down.
    drift : float
        Variance of the log odds' step a day besides.
    users : int
        Users among whom impressions are drawn; they differ in how easily they are pleased.
    rng : int or Generator

    Returns
    -------
    DataFrame
        One row an impression, in time's order: `request_id`, `item_id`, `user_id`, `ts`, `score` (the
        ranker's probability of a good match, right on the first day) from the serving log, and its
        outcome `y`.

    Examples
    --------
    >>> log = market(3, rows=2)
    >>> len(log), log["ts"].is_monotonic_increasing
    (6, True)
    """
    count("days", days), count("rows", rows), count("users", users)
    share("rate", rate), number("size", size), _variance("drift", drift)
    draw = np.random.default_rng(rng)
    jumps = (draw.random(days) < rate) * draw.choice([-size, size], days)
    jumps[0] = 0.0
    level = np.cumsum(jumps + np.sqrt(drift) * draw.normal(size=days))
    day = np.repeat(np.arange(days), rows)
    n = len(day)
    moment = np.sort(draw.random((days, rows)), axis=1).ravel()
    user, item = draw.integers(0, users, n), draw.integers(0, 1000, n)
    score = expit(draw.normal(-0.4, 0.8, n))
    pleased = 0.3 * draw.normal(size=users)
    y = draw.random(n) < expit(logit(score) + pleased[user] + level[day])
    return pd.DataFrame(
        {
            "request_id": np.arange(n),
            "item_id": item,
            "user_id": user,
            "ts": START + pd.to_timedelta(day + moment, unit="D"),
            "score": score,
            "y": y.astype(int),
        }
    )


def moving_tastes(
    days: int, *, rows: int = 100, drift: float = 0.01, rng: Any = 0
) -> tuple[pd.DataFrame, np.ndarray]:
    """Impressions whose features mean something else from day to day, and each one's true chance of a match.

    Parameters
    ----------
    days, rows : int
        Days, and impressions a day.
    drift : float
        Variance of each weight's step a day; weights are drawn back a little, so that their spread
        is 1 however fast they move.
    rng : int or Generator

    Returns
    -------
    DataFrame, array of shape (n,)
        `user_id`, `ts`, `f_0`, `f_1`, `y`; and the chances, which no diagnostic reads.

    Examples
    --------
    >>> rows, chance = moving_tastes(2, rows=3)
    >>> rows.columns.tolist(), bool(((0 < chance) & (chance < 1)).all())
    (['user_id', 'ts', 'f_0', 'f_1', 'y'], True)
    """
    count("days", days), count("rows", rows)
    if not 0 <= number("drift", drift) < 1:
        raise ValueError(f"drift: got {drift!r}; it must lie in [0, 1)")
    draw = np.random.default_rng(rng)
    weights = np.empty((days, 2))
    weights[0] = draw.choice([-1.0, 1.0], 2)
    for today in range(1, days):
        weights[today] = np.sqrt(1 - drift) * weights[today - 1] + np.sqrt(drift) * draw.normal(size=2)
    day = np.repeat(np.arange(days), rows)
    features = draw.normal(size=(len(day), 2))
    chance = expit(-0.5 + (features * weights[day]).sum(1))
    moment = np.sort(draw.random((days, rows)), axis=1).ravel()
    log = pd.DataFrame({"user_id": draw.integers(0, 600, len(day))})
    log["ts"] = START + pd.to_timedelta(day + moment, unit="D")
    log["f_0"], log["f_1"] = features.T
    log["y"] = (draw.random(len(day)) < chance).astype(int)
    return log, chance


def mislabel(
    rows: Any, rate: float, *, kind: Fault = "symmetric", y: str = "y", ts: str = "ts", rng: Any = 0
) -> np.ndarray:
    """Labels of which some are wrong.

    Parameters
    ----------
    rows : frame
        With labels and times.
    rate : float
        In [0, 1/2].
    kind : "symmetric", "lost" or "burst"
        Each label is flipped with the chance `rate`; each 1 gets lost and reads 0 with the chance
        2 `rate`; or on a share 2 `rate` of the days all labels are coin flips. For labels that are 1 as often
        as 0, the share of wrong labels is the same.
    y, ts : str
        Columns.
    rng : int or Generator

    Returns
    -------
    array of shape (n,)
        The labels, 0 or 1.

    Examples
    --------
    >>> rows = market(2, rows=3)
    >>> bool((mislabel(rows, 0.0) == rows["y"]).all())
    True
    """
    one_of("kind", kind, ("symmetric", "lost", "burst"))
    if not 0 <= number("rate", rate) <= 0.5:
        raise ValueError(f"rate: got {rate!r}; it must lie in [0, 0.5]")
    table = read_columns(rows, "rows", [y, ts], labels=[y], times=[ts])
    draw = np.random.default_rng(rng)
    labels = table[y].to_numpy(int)
    luck = draw.random(len(labels))
    if kind == "symmetric":
        return np.where(luck < rate, 1 - labels, labels)
    if kind == "lost":
        return np.where(luck < 2 * rate, 0, labels)
    code, days = pd.factorize(table[ts].dt.floor("1D"))
    bad = draw.random(len(days)) < 2 * rate
    return np.where(bad[code], (luck < 0.5).astype(int), labels)


def corrected(chance: Any, *, lost: float = 0.0, false: float = 0.0) -> np.ndarray:
    """The chance of a right 1, from the chance of a labelled 1 and known rates of wrong labels.

    (chance - false) / (1 - lost - false), kept within [0, 1]: labels put through the same formula are
    unbiased, and so is what is learnt from them; their noise grows by 1 / (1 - lost - false)^2.

    Parameters
    ----------
    chance : float or array
        Foretold by a model that was trained on the wrong labels.
    lost, false : float
        Share of right 1s that are labelled 0, and of right 0s that are labelled 1.

    References
    ----------
    Natarajan, Dhillon, Ravikumar and Tewari (2013), "Learning with Noisy Labels", NeurIPS.

    Examples
    --------
    >>> corrected([0.3, 0.06], lost=0.4).round(2).tolist()
    [0.5, 0.1]
    """
    if not share("lost", lost) + share("false", false) < 1:
        raise ValueError(f"lost: got {lost!r} with false {false!r}; they must leave something of the labels")
    return np.clip((np.asarray(chance, dtype=float) - false) / (1 - lost - false), 0.0, 1.0)


def _variance(name: str, value: float) -> float:
    if not number(name, value) >= 0:
        raise ValueError(f"{name}: got {value!r}; it must not be negative")
    return float(value)
