"""When did a feature become another one, by how much, and how sure is the day?"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import ndtri
from scipy.stats import rankdata

from toolkit.finding import Finding
from toolkit.frames import read_columns
from toolkit.rules import count, level
from toolkit.shipping.steps import StepScan, largest_by_luck

__all__ = ["changepoint"]

# Periods that are needed altogether.
_DAYS = 12
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
    feature's values), and the logarithm of the quartiles' distance. For each series a step on the likeliest day is
    compared with none at all, either with the carry-over from period to period (an autoregression of first order)
    that suits it best. How large the largest of all ratios is by luck comes from simulated series without a step, with the
    carry-over that was found, taken one and a half standard errors higher, and features that go together as these do
    (`toolkit.shipping.steps`). In simulations of 30 and 60 periods and one to four features, 5% of false alarms were
    1 to 8%, from independent periods to a random walk. With surprises of heavy tails (Student's t of 5 degrees of
    freedom) they were 5 to 6% up to a carry-over of a half and 16 to 22% from 0.8 on: there one large surprise is a
    step, and `toolkit.features.changes.undeclared_change` asks the better question.

    Parameters
    ----------
    history : frame
        The feature history: `entity_id`, `feature`, `event_ts`, `value`; `version` where there is one.
    every : str
        The period that is summed up, as pandas writes it.
    alpha : float
        Chance of a false alarm over all features and days.
    replicates : int
        Simulated histories without a change.
    rng : int or Generator

    Returns
    -------
    Finding
        The change that luck explains least: of the level in standard deviations of the values' scores, or of the
        spread as a factor's logarithm. Its interval holds for all features and days at once, so it leaves
        0 out exactly where p, which is for the family too, is at most alpha. The table has a row a feature: `what` changed, `since` with the
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
    scans = {each: StepScan.of(values) for each, values in series.items()}
    units, chances = largest_by_luck(list(scans.values()), replicates=replicates, rng=rng)
    records = [
        _record(*each, scans, unit, chances, alpha, periods, rows)
        for each, unit in zip(scans, units, strict=True)
    ]
    table = pd.DataFrame(records).sort_values("beyond", ascending=False, kind="stable", ignore_index=True)
    worst = table.iloc[0]
    told = table.drop_duplicates("feature").drop(columns=["beyond"]).reset_index(drop=True)
    found = told[told["p"] <= alpha]
    return Finding(
        float(worst["size"]),
        (float(worst["low"]), float(worst["high"])),
        _verdict(found, told, len(periods), alpha, left_out),
        unit="standard deviations" if worst["what"] == "level" else "in the logarithm of the spread",
        p=float(worst["p"]),
        n=len(rows),
        n_clusters=len(periods),
        alpha=alpha,
        table=told,
        assumptions=(
            "a feature has one lasting change at most, for all entities at once",
            "beside it, a period hands on to the next a share of its departure, and nothing more",
            "what a period adds of its own is about normal",
        ),
        cannot_tell=(
            "a new definition from a change of the world that stays",
            "a change within the first or the last few periods",
            "where most is carried over, a change from one large surprise",
            "a change that is rolled out bit by bit from a level that wanders",
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


def _record(
    name: str,
    what: str,
    scans: dict[tuple[str, str], StepScan],
    unit: float,
    chances: np.ndarray,
    alpha: float,
    periods: pd.DatetimeIndex,
    rows: pd.DataFrame,
) -> dict[str, Any]:
    scan, spread = scans[name, what], scans.get((name, "spread"))
    as_large = len(chances) - int(np.searchsorted(chances, scan.ratio / unit - 1e-12))
    # The ratio that makes p just alpha: an interval up to it leaves out 0 when p is at most alpha.
    rank = math.floor(alpha * (1 + len(chances)) + 1e-9)
    most = float(chances[-rank]) if rank else math.inf
    low, high = scan.sizes_within(unit * most - 1e-9)
    first, last = scan.days(alpha)
    since = periods[scan.at]
    one = rows[rows["feature"].astype(str) == name]
    later = one["period"] >= since
    sides = [one.loc[side, "value"].quantile([0.25, 0.5, 0.75]).to_numpy() for side in (~later, later)]
    # By how much the spread jumps there, not how it differs over all the days on both sides.
    factor = math.nan if spread is None else math.exp(spread.size_at(scan.at))
    declared = None
    if "version" in one:
        within = one[(one["period"] >= periods[first - 1]) & (one["period"] <= periods[last])]
        declared = bool((within["version"] != within["version"].iloc[0]).any())
    return {
        "feature": name,
        "what": what,
        "since": since,
        "first": periods[first],
        "last": periods[last],
        "size": scan.size,
        "low": low,
        "high": high,
        "p": (1 + as_large) / (1 + len(chances)),
        "factor": factor,
        "median_before": float(sides[0][1]),
        "median_after": float(sides[1][1]),
        "declared": declared,
        "beyond": scan.ratio / unit,
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
