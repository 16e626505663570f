"""Is the test's result ripe: do both arms' labels come equally late?

The diagnostic for the reader's logs, and the mechanism at FooBar that makes labels late. What it
stands on: closed forms and corrections for delayed labels (`delayed_feedback`); what a test's
length costs (`iteration_time`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from toolkit.finding import Finding
from toolkit.frames import IMPRESSION, joinable, read_columns
from toolkit.resampling import Estimate, bootstrap, interval
from toolkit.rules import count, level, number

__all__ = ["label_maturity", "labels_in"]

_DAY = pd.Timedelta(days=1)


def label_maturity(
    serving_log: Any,
    outcomes: Any,
    *,
    as_of: Any,
    ages: Sequence[float] | None = None,
    treatment: str = "treatment",
    cluster: str = "user_id",
    alpha: float = 0.05,
    replicates: int = 500,
    rng: Any = 0,
) -> Finding:
    """How far a test's lift, counted from the labels that have come in, is off for labels still to come.

    Each arm's share of impressions that have converted by an age is estimated from all impressions,
    however young, as Kaplan and Meier do for survival: a young impression counts up to its own age.
    The ratio at the oldest age is the ripe lift; the ratio of labels in hand today is what a
    dashboard shows.

    Parameters
    ----------
    serving_log : frame
        `request_id`, `item_id`, the cluster, `arm`, `ts`; one row an impression. Rows without an
        arm are left out.
    outcomes : frame
        `request_id`, `item_id`, `y`, `label_ts` of impressions whose label had come in by `as_of`.
        An impression that isn't there is open; one with y = 0 is known never to convert.
    as_of : time
        When the outcomes were read.
    ages : sequence of float, optional
        Label ages in days to report; from one (a tenth of the oldest, where that is younger) to nearly
        the oldest in eight steps where not given. The last is
        where labels count as ripe; each arm needs impressions that are older.
    treatment : str
        The arm whose lift over the other one is estimated.
    cluster : str
        Column of what is independent, and drawn by the bootstrap.
    alpha, replicates, rng
        One minus the level of the intervals; draws of the bootstrap, and their randomness.

    Returns
    -------
    Finding
        Today's lift minus the ripe lift, with its interval (bootstrap by cluster, both lifts on the
        same draws). The table has one row a label age: lift with interval, completeness of each
        arm (the share of the conversions by the oldest age that are known at this one), and how
        many impressions are at least so old.

    Raises
    ------
    ValueError
        If columns, keys or labels are bad, there aren't two arms, a label is from before its
        impression or after `as_of`, an arm has no conversion, or no impression is old enough.

    References
    ----------
    Kaplan and Meier (1958), JASA.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> begin, n = pd.Timestamp("2026-03-02", tz="UTC"), 40_000
    >>> log = pd.DataFrame({"request_id": np.arange(n), "item_id": 1, "user_id": np.arange(n) % 9000})
    >>> log["arm"] = np.where(log["user_id"] % 2 == 0, "control", "treatment")
    >>> log["ts"] = begin + pd.to_timedelta(rng.uniform(0, 14, n), unit="D")
    >>> late = pd.to_timedelta(rng.exponential(np.where(log["arm"] == "control", 1.0, 4.0)), unit="D")
    >>> came = log.assign(y=1, label_ts=log["ts"] + late)[rng.random(n) < 0.2]
    >>> read = begin + pd.Timedelta("14D")
    >>> told = label_maturity(log, came[came["label_ts"] <= read], as_of=read, replicates=100)
    >>> told.ci[1] < 0
    True
    """
    level(alpha)
    count("replicates", replicates)
    rows, arms = _rows(serving_log, outcomes, as_of, treatment, cluster)
    oldest = min(float(rows.loc[rows["arm"] == arm, "age"].max()) for arm in arms)
    asked = (
        np.geomspace(min(1.0, oldest / 10), oldest * 0.9, 8).round(3)
        if ages is None
        else np.atleast_1d(np.asarray(ages, dtype=float))
    )
    if len(asked) < 1 or not (asked > 0).all() or not (np.diff(asked) > 0).all():
        raise ValueError(f"ages: got {asked.tolist()}; they must be positive and ascend")
    if asked[-1] > oldest:
        raise ValueError(
            f"ages: got {asked[-1]:g} days; the younger arm's oldest impression is {oldest:.2f} days old"
        )
    curves = {
        arm: _Curve(rows[rows["arm"] == arm], np.flatnonzero(rows["arm"] == arm), asked) for arm in arms
    }
    control = next(arm for arm in arms if arm != treatment)

    def lifts(weights: np.ndarray | None) -> np.ndarray:
        """Lift at each age, today's lift last."""
        parts = [
            np.r_[curves[arm].converted(weights), curves[arm].today(weights)] for arm in (treatment, control)
        ]
        return np.divide(parts[0], parts[1], out=np.full(len(asked) + 1, np.nan), where=parts[1] > 0) - 1

    lift = lifts(None)
    draws = bootstrap(lifts, rows[cluster].to_numpy(), replicates=replicates, rng=rng)
    bounds = [interval(draw, alpha=alpha) for draw in draws.T]
    bias, drawn = float(lift[-1] - lift[-2]), draws[:, -1] - draws[:, -2]
    low, high = interval(drawn, alpha=alpha)
    se = float(np.nanstd(drawn, ddof=1))
    table = pd.DataFrame({"label age, days": asked, "lift": lift[:-1]})
    table["low"], table["high"] = ([bound[end] for bound in bounds[:-1]] for end in (0, 1))
    for arm in (control, treatment):
        share = curves[arm].converted(None)
        table[f"completeness, {arm}"] = share / share[-1]
    table["impressions as old"] = [int((rows["age"] >= age).sum()) for age in asked]
    ripe = f"{lift[-2]:+.1%} once labels are {asked[-1]:g} days old (interval {bounds[-2][0]:+.1%} to {bounds[-2][1]:+.1%})"
    shown = f"labels in hand show a lift of {lift[-1]:+.1%}"
    if low <= 0 <= high:
        verdict = f"Ripe: {shown}, and delay moves it by no more than luck; it is {ripe}."
    elif abs(bias) < float(np.nanstd(draws[:, -2], ddof=1)) / 4:
        verdict = f"Ripe enough: {shown}, off by less than a quarter of its standard error; it is {ripe}."
    else:
        verdict = f"Not ripe: {shown}; it is {ripe}."
    return Finding(
        bias,
        (low, high),
        verdict,
        unit="of relative lift",
        se=se,
        p=Estimate(bias, se).p,
        n=len(rows),
        n_clusters=int(rows[cluster].nunique()),
        alpha=alpha,
        table=table,
        assumptions=(
            f"rows of different {cluster} are independent, split at random",
            "an impression's delay doesn't depend on the day it came",
        ),
        cannot_tell=(
            f"conversions later than {asked[-1]:g} days: the arms may differ there too",
            "a lift that changes with time, from labels that come late, where both happen",
        ),
    )


class _Curve:
    """The share of an arm's impressions converted by an age, under any weights, sorted once."""

    def __init__(self, rows: pd.DataFrame, places: np.ndarray, ages: np.ndarray) -> None:
        time = rows["time"].to_numpy()
        # At equal times conversions come first: an impression is at risk at its own age.
        order = np.lexsort((~rows["converted"].to_numpy(), time))
        self._places, self._event = places[order], rows["converted"].to_numpy(float)[order]
        self._until = np.searchsorted(time[order], ages, side="right")

    def converted(self, weights: np.ndarray | None) -> np.ndarray:
        """One minus Kaplan and Meier's survival at each age."""
        weight = np.ones(len(self._places)) if weights is None else weights[self._places]
        at_risk = np.cumsum(weight[::-1])[::-1]
        hazard = np.divide(weight * self._event, at_risk, out=np.zeros_like(weight), where=at_risk > 0)
        survival = np.r_[1.0, np.cumprod(1 - hazard)]
        return np.asarray(1 - survival[self._until])

    def today(self, weights: np.ndarray | None) -> float:
        """The share whose conversion is in hand."""
        weight = np.ones(len(self._places)) if weights is None else weights[self._places]
        return float(weight @ self._event / weight.sum()) if weight.sum() else float("nan")


def _rows(
    serving_log: Any, outcomes: Any, as_of: Any, treatment: str, cluster: str
) -> tuple[pd.DataFrame, list[str]]:
    """One row an impression: arm, cluster, age, time at risk and whether it converted by then."""
    log = read_columns(
        serving_log, "serving_log", [*IMPRESSION, cluster, "arm", "ts"], key=IMPRESSION, missing=["arm"]
    )
    known = read_columns(outcomes, "outcomes", [*IMPRESSION, "y", "label_ts"], key=IMPRESSION, labels=["y"])
    try:
        read = pd.Timestamp(as_of)
    except (TypeError, ValueError):
        read = pd.NaT
    if pd.isna(read):
        raise ValueError(f"as_of: got {as_of!r}; it must be a time")
    for name, times in (("ts", log["ts"]), ("label_ts", known["label_ts"])):
        if not pd.api.types.is_datetime64_any_dtype(times) or (times.dt.tz is None) != (read.tz is None):
            raise ValueError(
                f"{name}: got {times.dtype} with as_of {read}; both must be times, with a zone or without"
            )
        if (times > read).any():
            raise ValueError(f"{name}: got {times.max()}; nothing may be later than as_of, {read}")
    log = log[log["arm"].notna()]
    arms = sorted(log["arm"].unique())
    if len(arms) != 2 or treatment not in arms:
        raise ValueError(f"treatment: got {treatment!r}; it must be one of two arms, and there are {arms}")
    # Labels of rows outside the experiment have no impression here; they are no part of the test.
    joinable(log, known, IMPRESSION, names=("serving_log", "outcomes"))
    rows = log.merge(known, on=IMPRESSION, how="left")
    rows["age"] = (read - rows["ts"]) / _DAY
    delay = (rows["label_ts"] - rows["ts"]) / _DAY
    if (delay < 0).any():
        raise ValueError(f"label_ts: got {(delay < 0).sum():,} labels from before their impression")
    rows["converted"] = rows["y"] == 1
    for arm in arms:
        if not rows.loc[rows["arm"] == arm, "converted"].any():
            raise ValueError(f"outcomes: got no conversion in {arm}; a lift needs some in both arms")
    # One that is known never to convert is at risk at every age.
    rows["time"] = np.where(rows["converted"], delay, np.where(rows["y"] == 0, np.inf, rows["age"]))
    return rows, arms


def labels_in(
    serving_log: Any,
    outcomes: Any,
    *,
    as_of: Any,
    mean_delay: Mapping[str, float],
    closes: float = 30.0,
    rng: Any = 0,
) -> pd.DataFrame:
    """The outcomes that have come in by a time, where conversions come late: FooBar's switch for label delay.

    Parameters
    ----------
    serving_log, outcomes : DataFrames
        With every outcome known at once.
    as_of : time
        When the table is read.
    mean_delay : mapping of arm to float
        Mean of the exponential delay of each arm's conversions, in days. Rows without an arm have
        the delay of the first.
    closes : float
        Days after which an impression that hasn't converted gets its y = 0.
    rng : int or Generator
        One draw for each impression, the same whatever the delays.

    Returns
    -------
    DataFrame
        `request_id`, `item_id`, `y`, `label_ts`, only of labels that were there by `as_of`; a
        conversion that comes after an impression was closed stays a 0.

    Examples
    --------
    >>> start = pd.Timestamp("2026-03-02", tz="UTC")
    >>> log = pd.DataFrame({"request_id": range(100), "item_id": 7, "arm": "control", "ts": start})
    >>> truth = log[["request_id", "item_id"]].assign(y=1)
    >>> soon, late = (len(labels_in(log, truth, as_of=start + pd.Timedelta(days=d), mean_delay={"control": 2.0})) for d in (1, 20))
    >>> soon < late, late
    (True, 100)
    """
    for delay in mean_delay.values():
        number("mean_delay", delay, above=0)
    number("closes", closes, above=0)
    log = read_columns(
        serving_log, "serving_log", [*IMPRESSION, "arm", "ts"], key=IMPRESSION, missing=["arm"]
    )
    truth = read_columns(outcomes, "outcomes", [*IMPRESSION, "y"], key=IMPRESSION, labels=["y"])
    rows = log.merge(truth, on=IMPRESSION, validate="one_to_one")
    unknown = set(rows["arm"].dropna()) - set(mean_delay)
    if unknown:
        raise ValueError(f"mean_delay: got arms {sorted(mean_delay)}; the log has {sorted(unknown)}")
    mean = rows["arm"].map(mean_delay).fillna(next(iter(mean_delay.values()))).to_numpy(float)
    waited = np.random.default_rng(rng).exponential(size=len(rows)) * mean
    rows["y"] = ((rows["y"] == 1) & (waited <= closes)).astype(np.int64)
    late = pd.to_timedelta(np.where(rows["y"] == 1, waited, closes), unit="D")
    rows["label_ts"] = rows["ts"] + late.round("us")
    return rows.loc[rows["label_ts"] <= pd.Timestamp(as_of), [*IMPRESSION, "y", "label_ts"]].reset_index(
        drop=True
    )
