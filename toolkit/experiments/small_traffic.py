"""Does a model that sees little traffic correct its own mistakes, and what would it bring if it saw more?"""

from __future__ import annotations

import math
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
from scipy.stats import norm

from toolkit.experiments.launch import launch_extrapolation
from toolkit.finding import Finding, figure
from toolkit.frames import IMPRESSION, read_columns, with_outcomes
from toolkit.resampling import clustered_error, several
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
        `promised`, with its interval. Where the treatment shows nothing of the kind the estimate is 0.

    Raises
    ------
    ValueError
        If a table isn't complete, a score isn't a chance, the treatment has no impression or none of what
        is shown elsewhere too, or the log has one day only and the trend is asked for.

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
    optimism, code = (rows[score] - rows["y"]).to_numpy(float), several(rows[cluster], cluster)
    excess = _Excess(optimism, seldom, rows["day"].to_numpy(float), code)
    if tells == "trend" and math.isnan(excess.slope):
        raise ValueError("ts: got one day in log; a trend needs two at least")
    edge = norm.isf(alpha / 2)
    value, error = (
        (excess.mean, excess.mean_error) if tells == "level" else (excess.slope, excess.slope_error)
    )
    return Finding(
        value,
        (value - edge * error, value + edge * error),
        _verdict(excess, edge, int(seldom.sum())),
        unit="good matches an impression" if tells == "level" else "good matches an impression, a day",
        se=error,
        p=float(2 * norm.sf(abs(value) / error)) if error > 0 else None,
        n=len(rows),
        n_clusters=int(code.max()) + 1,
        alpha=alpha,
        table=_by_day(rows, optimism, edge),
        assumptions=(
            f"{cluster}s are independent of each other",
            "what is seldom shown elsewhere would be as well scored as the rest, had its outcomes been known",
        ),
        cannot_tell=(
            "whether control avoids these things by a rule, or for lack of a reason to show them",
            "a score that is off there because it was trained on selected rows, where it doesn't shrink by day",
            "what the lift would be without these mistakes: that takes a second share of traffic",
        ),
    )


class _Excess:
    """The mean of what was promised and not got, its change a day, and both errors."""

    def __init__(self, optimism: np.ndarray, seldom: np.ndarray, day: np.ndarray, code: np.ndarray) -> None:
        rest = optimism[~seldom].mean()
        amount = seldom * (optimism - rest)
        self.mean = float(amount.mean())
        # The mean on the rest is an estimate too, and counts once for every pick of the other kind.
        on_rest = ~seldom * (optimism - rest) / (~seldom).sum()
        self.mean_error = clustered_error((amount - self.mean) / len(day) - seldom.mean() * on_rest, code)
        x = day - day.mean()
        spread = (x**2).sum()
        self.slope = self.slope_error = math.nan
        if spread > 0:
            self.slope = float(x @ amount / spread)
            influence = x * (amount - self.mean - self.slope * x) / spread
            self.slope_error = clustered_error(influence - (x @ seldom) / spread * on_rest, code)


def _by_day(rows: pd.DataFrame, optimism: np.ndarray, edge: float) -> pd.DataFrame:
    told = []
    for day, here in rows.groupby("day"):
        at, seldom = here.index.to_numpy(), here["seldom"].to_numpy()
        code = pd.factorize(here["cluster"])[0]
        row = {
            "day": int(str(day)) + 1,
            "impressions": int(seldom.sum()),
            "share": seldom.mean(),
            "optimism": optimism[at][seldom].mean() if seldom.any() else math.nan,
            "elsewhere": optimism[at][~seldom].mean() if not seldom.all() else math.nan,
        }
        margin = value = math.nan
        if not seldom.all() and code.any():
            excess = _Excess(optimism[at], seldom, np.zeros(len(at)), code)
            value, margin = excess.mean, edge * excess.mean_error
        told.append({**row, "promised": value, "low": value - margin, "high": value + margin})
    return pd.DataFrame(told)


def _verdict(excess: _Excess, edge: float, picks: int) -> str:
    if not picks:
        return "The treatment shows nothing that the rest of the log seldom shows: no mistake of that kind."
    mean, margin = excess.mean, edge * excess.mean_error
    if abs(mean) <= margin:
        return (
            "No optimism on what the rest of the log seldom shows, beyond that elsewhere: "
            f"{figure(mean, signed=True)} an impression, give or take {figure(margin)}."
        )
    if mean < 0:
        return (
            f"The treatment underrates what the rest of the log seldom shows, by {figure(-mean)} an impression, "
            "and so shows too little of it to find out."
        )
    start = f"On what the rest of the log seldom shows, the treatment promised {figure(mean)} an impression more than it got"
    slope, margin = excess.slope, edge * excess.slope_error
    if math.isnan(slope):
        return f"{start}; one day can't tell whether it learns."
    if slope + margin < 0:
        return f"{start}, and {figure(-slope)} less with each day: it is still learning, and its lift isn't yet what a launch would bring."
    if slope - margin > 0:
        return f"{start}, and {figure(slope)} more with each day."
    return (
        f"{start}; whether that shrinks can't be told ({figure(slope, signed=True)} a day, give or "
        f"take {figure(margin)})."
    )
