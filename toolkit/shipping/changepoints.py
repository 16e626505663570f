"""When did a feature become another one, by how much, and how sure is the day?"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd
from scipy.signal import lfilter
from scipy.special import ndtri
from scipy.stats import rankdata
from scipy.stats import t as student

from toolkit.finding import Finding
from toolkit.frames import read_columns
from toolkit.rules import count, level

__all__ = ["changepoint"]

# Days on each side of a change that a comparison takes at least; and days altogether.
_SIDE, _DAYS = 3, 12
# How far a factor's logarithm may be off a known one's.
_NEAR = 0.04
# Factors that a change of units comes with, and what they mean.
_UNITS = {
    100.0: ("percent or cents", "the whole"),
    1000.0: ("thousandths", "the whole"),
    60.0: ("seconds", "minutes"),
    3600.0: ("seconds", "hours"),
    24.0: ("hours", "days"),
    1.8: ("Fahrenheit", "Celsius"),
    3.2808: ("feet", "metres"),
    1.6093: ("kilometres", "miles"),
    2.2046: ("pounds", "kilograms"),
    math.log(10): ("natural logarithms", "logarithms to base ten"),
    30 / 7: ("a month", "a week"),
}


def changepoint(
    history: Any,
    *,
    every: str = "1D",
    alpha: float = 0.05,
    replicates: int = 999,
    rng: Any = 0,
) -> Finding:
    """Find the lasting change of a feature's level or spread: its day, its size, and intervals of both.

    Of each feature and period two numbers: the mean of the values' normal scores (ranks among all of the
    feature's values), and the logarithm of the quartiles' distance. Each series is freed of what a period
    hands on to the next (an autoregression of first order), and a step is fitted at each period. How large the
    largest of all features is by luck comes from series like them whose surprises come in another order, one order
    for all features, so that those that go together count as few. In simulations of 30 and 60 days, 5% of false alarms
    were 4 to 6% with independent days, 5 to 11% with a carry-over up to .8, and 10 to 20% near a random walk: there
    `toolkit.features.changes.undeclared_change` is the sharper tool.

    Parameters
    ----------
    history : frame
        The feature history: `entity_id`, `feature`, `event_ts`, `value`; `version` where there is one.
    every : str
        The period that is summed up, as pandas writes it.
    alpha : float
        Chance of a false alarm over all features and days.
    replicates : int
        Shuffles.
    rng : int or Generator

    Returns
    -------
    Finding
        The change that luck explains least: of the level in standard deviations of the values' scores, or of the
        spread as a factor's logarithm. Where something is found, its interval takes the day as known; else it is
        wide enough for the best of all days. p is for the family. The table has a row a feature: `what` changed, `since` with the
        interval `first` to `last`, `size`, `low`, `high`, `p`, the `factor` by which the quartiles' distance jumps there (nan for fewer than 8 entities a
        period), `median_before`,
        `median_after`, and whether the version changed within the interval (`declared`).

    Raises
    ------
    ValueError
        If a column is missing or incomplete, a time has no zone, or no feature has values that vary in twelve periods.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> days = pd.date_range("2026-03-02", periods=30, tz="UTC").repeat(50)
    >>> metres = pd.DataFrame({"entity_id": np.tile(range(50), 30), "feature": "height", "event_ts": days,
    ...     "value": rng.normal(5, 1, 1500)})
    >>> metres.loc[metres["event_ts"] >= "2026-03-20", "value"] *= 3.2808
    >>> told = changepoint(metres)
    >>> str(told.table["since"][0])[:10], round(float(told.table["factor"][0]), 1)
    ('2026-03-20', 3.3)
    """
    level(alpha)
    count("replicates", replicates, least=99)
    needed = ["entity_id", "feature", "event_ts", "value"]
    rows = read_columns(
        history, "history", needed, numbers=["value"], times=["event_ts"], optional=["version"]
    )
    try:
        rows["period"] = rows["event_ts"].dt.tz_convert("UTC").dt.floor(every)
    except ValueError:
        raise ValueError(f"every: got {every!r}; it must be a period such as 1D or 1h") from None
    periods = pd.DatetimeIndex(np.sort(rows["period"].unique()))
    if len(periods) < _DAYS:
        raise ValueError(f"history: got {len(periods)} periods; there must be {_DAYS} at least")
    series, left_out = _series(rows, periods)
    if not series:
        raise ValueError(
            "history: got no feature with values that vary in every period; there must be one at least"
        )
    splits = [_Split(name, what, values) for (name, what), values in series.items()]
    units, chances = _family(splits, replicates, np.random.default_rng(rng))
    spreads = {split.name: split for split in splits if split.what == "spread"}
    records = [
        _record(split, spreads.get(split.name), unit, chances, alpha, periods, rows)
        for split, unit in zip(splits, units, strict=True)
    ]
    table = pd.DataFrame(records).sort_values("beyond", ascending=False, kind="stable", ignore_index=True)
    worst = table.iloc[0]
    told = table.drop_duplicates("feature").drop(columns=["beyond", "error"]).reset_index(drop=True)
    found = told[told["p"] <= alpha]
    return Finding(
        float(worst["size"]),
        (float(worst["low"]), float(worst["high"])),
        _verdict(found, told, len(periods), alpha, left_out),
        unit="standard deviations" if worst["what"] == "level" else "in the logarithm of the spread",
        se=float(worst["error"]),
        p=float(worst["p"]),
        n=len(rows),
        n_clusters=len(periods),
        alpha=alpha,
        table=told,
        assumptions=(
            "a feature has one lasting change at most, for all entities at once",
            "beside it, a period hands on to the next a share of its departure, and nothing more",
        ),
        cannot_tell=(
            "a new definition from a change of the world that stays",
            "a change within the first or the last few periods",
            "a change that leaves both the middle and the quartiles' distance in place, such as swapped entities",
        ),
    )


def _series(
    rows: pd.DataFrame, periods: pd.DatetimeIndex
) -> tuple[dict[tuple[str, str], np.ndarray], list[str]]:
    """Of each feature with values in every period: its daily level and its daily spread."""
    series: dict[tuple[str, str], np.ndarray] = {}
    left_out = []
    for name, one in rows.groupby("feature", sort=True):
        value, at = one["value"].to_numpy(float), periods.get_indexer(one["period"])
        here = np.bincount(at, minlength=len(periods))
        if here.min() < 1:
            left_out.append(str(name))
            continue
        score = ndtri(rankdata(value) / (len(value) + 1))
        series[str(name), "level"] = np.bincount(at, score) / here
        order = np.lexsort((value, at))
        starts, ranked = np.r_[0, np.cumsum(here)[:-1]], value[order]
        ends = [ranked[starts + np.floor(q * (here - 1)).astype(int)] for q in (0.25, 0.75)]
        spread = ends[1] - ends[0]
        if here.min() >= 8 and spread.min() > 1e-9 * max(1e-300, np.abs(value).max()):
            series[str(name), "spread"] = np.log(spread)
    return {key: values for key, values in series.items() if np.ptp(values) > 1e-12}, left_out


class _Split:
    """A series, freed of its autocorrelation, and where its two sides differ most."""

    def __init__(self, name: str, what: str, values: np.ndarray) -> None:
        self.name, self.what, self.values = name, what, values
        carried, free, found = _freed(values[None])
        self.carried, self.free, self.t = float(carried[0]), free[0], found[0]
        best = int(np.argmax(np.abs(self.t)))
        self.at = best + _SIDE  # of the freed series, whose first is the second period
        self.most = float(np.abs(self.t).max())
        self.sizes = _steps(free, carried)[0][0]
        self.step = float(self.sizes[best])
        places = np.arange(len(self.free))
        rest = self.free - self.step * np.where(
            places == self.at, 1.0, (1 - self.carried) * (places > self.at)
        )
        self.rest = rest - rest.mean()

    def by_luck(self, orders: np.ndarray) -> np.ndarray:
        """The largest contrast of series without a change: the same carry-over, its surprises in other orders.

        All is done to each as to the series itself, so that what estimating the carry-over adds is in it.
        """
        surprises = self.rest[orders]
        surprises[:, 0] /= math.sqrt(1 - self.carried**2)
        return np.asarray(np.abs(_freed(lfilter([1.0], [1.0, -self.carried], surprises, axis=1))[2]).max(1))

    def size(self) -> tuple[float, float, float]:
        """By how much the later side's mean is off the earlier one's, its standard error, degrees of freedom."""
        return self.step, abs(self.step) / max(self.most, 1e-12), len(self.free) - 3

    def days(self, alpha: float) -> tuple[int, int]:
        """The first and the last period at which the change may have come.

        Near the true one, twice the likelihood's shortfall is that of a Brownian motion with drift on both sides; the
        maximum of each is exponential with mean 1, so the larger of both stays below c with the chance (1 - e^-c)^2.
        """
        n = len(self.free)
        # The share of the sum of squares that each place explains, over what the best one leaves.
        explained = self.t**2 / (self.t**2 + n - 2)
        rest = (1 - explained.max()) / (n - 2)
        short = (explained.max() - explained) / (2 * rest)
        inside = np.flatnonzero(short <= -math.log(1 - math.sqrt(1 - alpha))) + _SIDE
        return int(inside[0]), int(inside[-1])


@lru_cache(maxsize=16)
def _carry_over(n: int) -> tuple[np.ndarray, np.ndarray]:
    """What is estimated of a carry-over around the best split of n periods, and what it truly is.

    Splitting where the sides differ most takes away much of what looks like a slow wave, so the estimate is far
    too low; the median of simulated ones says by how much.
    """
    true = np.append(np.arange(0, 0.96, 0.05), 0.98)
    draws = np.random.default_rng(0).normal(size=(400, n))
    found = []
    for carried in true:
        first = draws.copy()
        first[:, 0] /= math.sqrt(1 - carried**2)
        found.append(float(np.median(_estimated(lfilter([1.0], [1.0, -carried], first, axis=1)))))
    return np.maximum.accumulate(np.array(found)), true


def _estimated(series: np.ndarray) -> np.ndarray:
    """The correlation of neighbouring periods around each row's best split."""
    later = np.arange(series.shape[1]) >= np.argmax(np.abs(_contrasts(series)), 1)[:, None] + _SIDE
    sides = [
        np.where(side, series, 0).sum(1, keepdims=True) / side.sum(1, keepdims=True)
        for side in (~later, later)
    ]
    aside = series - np.where(later, sides[1], sides[0])
    return np.asarray((aside[:, 1:] * aside[:, :-1]).sum(1) / np.maximum((aside**2).sum(1), 1e-300))


def _freed(series: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each row: what a period hands on to the next, the series without it, and the t of a step at each place."""
    carried = np.interp(_estimated(series), *_carry_over(series.shape[1]))
    free = series[:, 1:] - carried[:, None] * series[:, :-1]
    return carried, free, _steps(free, carried)[1]


def _steps(free: np.ndarray, carried: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each freed series and place: the size of a step there, and its t.

    A step of 1 in the series is 1 at its place in the freed one, and 1 - carry-over ever after: where all is carried
    over, the jump alone tells; where nothing is, the level does.
    """
    n = free.shape[1]
    free = free - free.mean(1, keepdims=True)
    place = np.arange(_SIDE, n - _SIDE + 1)
    after, stays = n - 1 - place, (1 - carried)[:, None]
    later = free.sum(1, keepdims=True) - np.cumsum(free, 1)[:, place]
    square = 1 + stays**2 * after - (1 + stays * after) ** 2 / n
    joint = free[:, place] + stays * later
    within = np.maximum((free**2).sum(1, keepdims=True) - joint**2 / square, 1e-300)
    return joint / square, joint / np.sqrt(square * within / (n - 2))


def _contrasts(series: np.ndarray) -> np.ndarray:
    """For each row and place to split it: the t of the two sides' difference."""
    n = series.shape[1]
    series = series - series.mean(1, keepdims=True)
    before = np.arange(_SIDE, n - _SIDE + 1)
    sums = np.cumsum(series, 1)[:, before - 1]
    between = sums**2 * n / (before * (n - before))
    within = np.maximum((series**2).sum(1, keepdims=True) - between, 1e-300)
    return np.asarray(-np.sign(sums) * np.sqrt(between / within * (n - 2)))


def _family(
    splits: list[_Split], replicates: int, draw: np.random.Generator
) -> tuple[list[float], np.ndarray]:
    """What each series' contrast is divided by, and the largest of all by luck, sorted."""
    n = len(splits[0].free)
    # One order for all features: those that go together stay together.
    orders = np.argsort(draw.random((replicates, n)), 1)
    found = [split.by_luck(orders) for split in splits]
    units = [float(np.quantile(each, 0.9)) for each in found]
    return units, np.sort(np.max([each / unit for each, unit in zip(found, units, strict=True)], axis=0))


def _record(
    split: _Split,
    spread: _Split | None,
    unit: float,
    chances: np.ndarray,
    alpha: float,
    periods: pd.DatetimeIndex,
    rows: pd.DataFrame,
) -> dict[str, Any]:
    size, error, freedom = split.size()
    as_large = len(chances) - np.searchsorted(chances, split.most / unit - 1e-12)
    p = (1 + int(as_large)) / (1 + len(chances))
    far = float(student.isf(alpha / 2, freedom))
    if p > alpha:
        # The best of all days and features: what luck reaches, not what one comparison does.
        far = max(far, unit * float(np.quantile(chances, 1 - alpha)))
    first, last = split.days(alpha)
    since = periods[split.at + 1]
    one = rows[rows["feature"].astype(str) == split.name]
    later = one["period"] >= since
    sides = [one.loc[side, "value"].quantile([0.25, 0.5, 0.75]).to_numpy() for side in (~later, later)]
    # By how much the spread jumps there, not how it differs over all the days on both sides.
    factor = math.nan if spread is None else math.exp(spread.sizes[split.at - _SIDE])
    declared = None
    if "version" in one:
        within = one[
            (one["period"] >= periods[first]) & (one["period"] <= periods[min(last + 1, len(periods) - 1)])
        ]
        declared = bool((within["version"] != within["version"].iloc[0]).any())
    return {
        "feature": split.name,
        "what": split.what,
        "since": since,
        "first": periods[first + 1],
        "last": periods[last + 1],
        "size": size,
        "low": size - far * error,
        "high": size + far * error,
        "p": p,
        "factor": factor,
        "median_before": float(sides[0][1]),
        "median_after": float(sides[1][1]),
        "declared": declared,
        "error": error,
        "beyond": split.most / unit,
    }


def _verdict(found: pd.DataFrame, told: pd.DataFrame, periods: int, alpha: float, left_out: list[str]) -> str:
    among = f"{len(told)} feature{'s' if len(told) > 1 else ''} over {periods} periods"
    aside = f" Left out, having no value in some period: {', '.join(left_out)}." if left_out else ""
    if found.empty:
        return f"No lasting change shows among {among} (false alarm {alpha:.0%}).{aside}"
    one = found.iloc[0]
    day, first, last = (str(one[name]).removesuffix(" 00:00:00+00:00") for name in ("since", "first", "last"))
    when = f"on {day}" if first == last else f"about {day} ({first} to {last})"
    factor = one["factor"]
    jump = (
        "its spread isn't known"
        if math.isnan(factor)
        else f"its spread by a factor of {factor:.3g}{_unit(factor)}"
    )
    said = {True: ", as its version said", False: " with no new version"}.get(one["declared"], "")
    others = "" if len(found) == 1 else f" So did {', '.join(found['feature'].iloc[1:])}."
    return (
        f"{one['feature']} changed {when}{said}: its median went from {one['median_before']:.3g} to {one['median_after']:.3g}, "
        f"{jump} ({among}, false alarm {alpha:.0%}).{others}{aside}"
    )


def _unit(factor: float) -> str:
    """The change of units that a factor looks like, if it is within a few percent of one."""
    ways = {known: f"{now} for {before}" for known, (now, before) in _UNITS.items()}
    ways |= {1 / known: f"{before} for {now}" for known, (now, before) in _UNITS.items()}
    nearest = min(ways, key=lambda known: abs(math.log(factor / known)))
    return f" (like {ways[nearest]})" if abs(math.log(factor / nearest)) < _NEAR else ""
