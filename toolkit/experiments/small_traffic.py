"""Does a model that sees little traffic correct its own mistakes, and what would it bring if it saw more?"""

from __future__ import annotations

import math
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd

from toolkit.experiments.launch import launch_extrapolation
from toolkit.experiments.promises import promised, promised_trend
from toolkit.finding import Finding, figure
from toolkit.frames import IMPRESSION, read_columns, with_outcomes
from toolkit.resampling import Estimate, several
from toolkit.rules import count, level, one_of

__all__ = ["launch_extrapolation", "optimism_curve"]

Tells = Literal["level", "trend"]


def optimism_curve(
    log: Any,
    outcomes: Any,
    *,
    treatment: str = "treatment",
    by: str = "item_id",
    score: str = "score",
    least: int = 1,
    tells: Tells = "level",
    cluster: str = "user_id",
    alpha: float = 0.05,
) -> Finding:
    """By how much the treatment overrates what the rest of the log seldom shows, and whether that shrinks by day.

    Optimism is a pick's score less its outcome. Of every impression of the treatment counts its optimism
    beyond the mean on things that other impressions show too, where it is of a thing that they show less
    often than `least` times, and 0 where not. The mean is what the model promised and didn't get, in good
    matches an impression; a score that is off everywhere doesn't count.

    Parameters
    ----------
    log, outcomes : any frame that Narwhals reads
        `serving_log` and `outcomes`. The score must be a chance of a good match.
    treatment : str
        The arm of the new model.
    by : str
        Of what the impressions are counted: the item, or a feature that groups items; missing values are a
        group.
    score : str
        The score's column.
    least : int
        Impressions outside the treatment's arm from which on a thing counts as known.
    tells : "level" or "trend"
        Whether the estimate is that mean over the whole test, or its change a day.
    cluster : str
        Whose rows depend on each other.
    alpha : float

    Returns
    -------
    Finding
        `table` has one row a day: the treatment's `impressions` of what is seldom shown elsewhere, their
        `share` of all of its, their mean `optimism`, that `elsewhere`, and the day's mean as above,
        `promised`, with its interval. Where the treatment shows nothing of the kind the estimate is 0. Errors
        are the jackknife's by clusters; where one cluster has all that counts there is no interval.

    Raises
    ------
    ValueError
        If a table isn't complete, a score isn't a chance, the treatment has no impression, none of what is
        shown elsewhere too or no good match, or rows of one day only and the trend is asked for.

    Examples
    --------
    >>> day = pd.Timestamp("2026-03-02", tz="UTC")
    >>> log = pd.DataFrame({"request_id": range(400), "item_id": [1, 2] * 200, "user_id": range(400)})
    >>> log["ts"] = [day + pd.Timedelta(days=request // 100) for request in range(400)]
    >>> log["arm"] = ["control"] * 100 + ["treatment"] * 300
    >>> log = log[(log["arm"] == "treatment") | (log["item_id"] == 1)].assign(score=0.5)
    >>> outcomes = log[["request_id", "item_id"]].assign(y=(log["request_id"] // 2 % 2) * (log["item_id"] == 1))
    >>> round(optimism_curve(log, outcomes).estimate, 3)
    0.25
    """
    one_of("tells", tells, get_args(Tells))
    count("least", least)
    level(alpha)
    columns = list(dict.fromkeys([*IMPRESSION, "ts", "arm", by, score, cluster]))
    rows = read_columns(
        log,
        "log",
        columns,
        key=IMPRESSION,
        missing=["arm", by] if by not in (*IMPRESSION, cluster) else ["arm"],
        numbers=[score],
        times=["ts"],
    )
    if not rows[score].between(0, 1).all():
        wrong = rows.loc[~rows[score].between(0, 1), score].iloc[0]
        raise ValueError(f"{score}: got {wrong:g} in log; it must be a chance, from 0 to 1")
    rows["treated"] = rows["arm"] == treatment
    # A missing group is a group of its own.
    rows["group"] = pd.factorize(rows[by], use_na_sentinel=False)[0]
    elsewhere = np.bincount(rows["group"], ~rows["treated"], minlength=rows["group"].max() + 1)
    rows["seldom"] = elsewhere[rows["group"]] < least
    rows["day"] = (rows["ts"] - rows["ts"].min().floor("D")).dt.days
    rows = with_outcomes(rows[rows["treated"]], outcomes)
    rows["cluster"] = rows[cluster]
    seldom = rows["seldom"].to_numpy()
    if not len(rows):
        raise ValueError(f"treatment: got {treatment!r}; no impression in log is of that arm")
    if seldom.all():
        raise ValueError(
            f"least: got {least}; all that the treatment shows is shown elsewhere less often, and its optimism "
            "has nothing to be compared with"
        )
    if not rows["y"].any():
        raise ValueError("y: got no 1 in the treatment's rows; it takes good matches to judge a promise by")
    code, day = several(rows[cluster], cluster), rows["day"].to_numpy()
    scores, y = rows[score].to_numpy(float), rows["y"].to_numpy()
    mean = promised(scores, y, seldom, code)
    trend = promised_trend(scores, y, seldom, day, code)
    if tells == "trend" and math.isnan(trend.value):
        raise ValueError("ts: got one day in the treatment's rows; a trend needs two at least")
    told = mean if tells == "level" else trend
    return Finding(
        told.value,
        told.interval(alpha),
        _verdict(mean, trend, alpha, int(seldom.sum())),
        unit="good matches an impression" if tells == "level" else "good matches an impression, a day",
        se=told.error,
        p=told.p,
        n=len(rows),
        n_clusters=int(code.max()) + 1,
        alpha=alpha,
        table=_by_day(rows.assign(optimism=scores - y), score, alpha),
        assumptions=(
            f"{cluster}s are independent of each other",
            "what is seldom shown elsewhere would be as well scored as the rest, had its outcomes been known",
        ),
        cannot_tell=(
            "whether control avoids these things by a rule, or for lack of a reason to show them",
            "a score that is off there because it was trained on selected rows, where it doesn't shrink by day",
            "a mistake about all of them from luck with each: what is learned from few impressions is shown where "
            "it errs upward, even if it is right on average",
            "what the lift would be without these mistakes: that takes a second share of traffic",
        ),
    )


def _by_day(rows: pd.DataFrame, score: str, alpha: float) -> pd.DataFrame:
    told = []
    for day, here in rows.groupby("day"):
        seldom, optimism = here["seldom"].to_numpy(), here["optimism"].to_numpy()
        code = pd.factorize(here["cluster"])[0]
        value, low, high = math.nan, math.nan, math.nan
        if not seldom.all() and code.any():
            mean = promised(here[score].to_numpy(float), here["y"].to_numpy(), seldom, code)
            value, (low, high) = mean.value, mean.interval(alpha)
        told.append(
            {
                "day": int(str(day)) + 1,
                "impressions": int(seldom.sum()),
                "share": seldom.mean(),
                "optimism": optimism[seldom].mean() if seldom.any() else math.nan,
                "elsewhere": optimism[~seldom].mean() if not seldom.all() else math.nan,
                "promised": value,
                "low": low,
                "high": high,
            }
        )
    return pd.DataFrame(told)


def _verdict(mean: Estimate, trend: Estimate, alpha: float, picks: int) -> str:
    if not picks:
        return "The treatment shows nothing that the rest of the log seldom shows: no mistake of that kind."
    low, high = mean.interval(alpha)
    if math.isnan(low):
        return (
            "Whether the treatment overrates what the rest of the log seldom shows can't be told: one cluster "
            "has all of it, or all of the rest."
        )
    if low <= 0 <= high:
        return (
            "No optimism on what the rest of the log seldom shows was found, beyond that elsewhere: "
            f"{figure(mean.value, signed=True)} an impression, give or take {figure(high - mean.value)}."
        )
    if high < 0:
        return (
            f"The treatment underrates what the rest of the log seldom shows, by {figure(-mean.value)} an "
            "impression, and so shows too little of it to find out."
        )
    start = (
        f"On what the rest of the log seldom shows, the treatment promised {figure(mean.value)} an impression "
        "more than it got"
    )
    slope, (falls, rises) = trend.value, trend.interval(alpha)
    if math.isnan(slope):
        return f"{start}; one day can't tell whether it learns."
    if rises < 0:
        return f"{start}, and {figure(-slope)} less with each day: it is still learning, and its lift isn't yet what a launch would bring."
    if falls > 0:
        return f"{start}, and {figure(slope)} more with each day."
    return (
        f"{start}; whether that shrinks can't be told ({figure(slope, signed=True)} a day, "
        f"{figure(falls, signed=True)} to {figure(rises, signed=True)})."
    )
