"""How old were the values that the store served, and how does the model do where it served none?"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit

from toolkit.features.differences import one_kind
from toolkit.features.rates import wilson
from toolkit.finding import Finding, figure
from toolkit.frames import read_columns
from toolkit.resampling import Estimate, clustered_error, several
from toolkit.rules import level, number
from toolkit.world.policies import fit_logistic


def kv_freshness(
    serving: Any,
    *,
    served_ts: str,
    ts: str = "ts",
    y: str | None = "y",
    score: str = "score",
    cluster: str = "item_id",
    limit: float = 24.0,
    alpha: float = 0.05,
) -> Finding:
    """The mean age of the values that a store served, in hours, and how wrong the model is where it served none.

    Parameters
    ----------
    serving : frame
        One row a served row. What was served must have been logged with its time; where only the
        value was, `served_times` finds the time in `feature_history`.
    served_ts : str
        Column of the event time of the value that was served; missing where there was none and the
        default stood in.
    ts, score, cluster : str
        Columns of the request's time, of the model's score (a probability or log-odds, whatever grows
        with it), and of what is independent.
    y : str or None
        Column of the label, from `outcomes`; None where there are none yet.
    limit : float
        Hours that a value may be old.
    alpha : float

    Returns
    -------
    Finding
        The mean age. The table has it again, with the share of values older than `limit`, the share
        of defaults, and, with labels, `residual`: the mean of label less chance among rows with the
        default, where the chance is the one that the score has meant among rows with a value. It is
        below 0 where the model rates unknown keys too high; its `p` is of "it is 0". Shares have Wilson's interval,
        clustered. Clusters are those with a value, which the mean age stands on.

    Raises
    ------
    ValueError
        If a column is missing, a value is from after its request, or nothing was served.

    Examples
    --------
    >>> noon = pd.Timestamp("2026-03-02 12:00", tz="UTC")
    >>> log = pd.DataFrame({"item_id": [1, 2, 3, 4], "ts": noon,
    ...     "f_rate_ts": [noon - pd.Timedelta(hours=h) for h in (1, 2, 3)] + [pd.NaT]})
    >>> finding = kv_freshness(log, served_ts="f_rate_ts", y=None)
    >>> finding.estimate, float(finding.table.set_index("what").loc["default share", "value"])
    (2.0, 0.25)
    """
    level(alpha), number("limit", limit, above=0)
    labelled = [] if y is None else [y, score]
    rows = read_columns(
        serving,
        "serving",
        [ts, served_ts, cluster, *labelled],
        missing=[served_ts],
        times=[ts, served_ts],
        labels=labelled[:1],
        numbers=labelled[1:],
    )
    there = rows[served_ts].notna().to_numpy()
    if not there.any():
        raise ValueError(f"{served_ts}: got {len(rows):,} missing of {len(rows):,}; the store served nothing")
    age = (rows[ts] - rows[served_ts]).dt.total_seconds().to_numpy() / 3600
    if (age[there] < 0).any():
        early = int((age[there] < 0).sum())
        raise ValueError(
            f"{served_ts}: got {early:,} after {ts}; a value from after its request wasn't served to it"
        )
    shares = {f"older than {limit:g} h": (age[there] > limit, there), "default share": (~there, there | True)}
    parts = [("age, hours", *_mean(age[there]), there)]
    chance = None
    if y is not None and not there.all():
        values = rows[y].to_numpy(float), rows[score].to_numpy(float)
        parts.append(("residual", *_residual(*values, there), there | True))
    records = []
    for what, value, push, among in parts:
        units = rows[cluster][among]
        told = Estimate(value, math.nan, 0)
        # Values of one cluster alone don't say how clusters differ.
        if not units.nunique() < 2 <= rows[cluster].nunique():
            code = several(units, cluster)
            told = Estimate(value, clustered_error(push, code), int(code.max()))
        low, high = told.interval(alpha)
        records.append({"what": what, "value": value, "low": low, "high": high})
        if what == "age, hours":
            mean = told
            for name, (hits, of) in shares.items():
                records.append({"what": name, **_share(hits, rows[cluster][of], alpha)})
        if what == "residual":
            chance = records[-1]["p"] = told.p
    table = pd.DataFrame(records)
    return Finding(
        mean.value,
        mean.interval(alpha),
        _verdict(table, limit, chance, alpha),
        unit="hours",
        se=mean.error,
        n=int(there.sum()),
        n_clusters=int(mean.freedom) + 1,
        alpha=alpha,
        table=table,
        assumptions=(
            f"rows of different {cluster} are independent",
            "the time that was logged is that of the event, not that of the write",
            "among rows with a value the chance is logistic in the score",
        ),
        cannot_tell=(
            "misses that do harm, from keys that are worse for other reasons than their miss",
            "a late write, from a feature whose events are rare",
            "what a fresher value would be worth: it needs the value, see the chapter on freshness",
        ),
    )


def served_times(
    serving: Any, history: Any, *, column: str, feature: str, version: int = 1, entity: str = "item_id"
) -> pd.Series:
    """The event time of each served value, found in the history by entity and exact value.

    Of several events with that value the last before the request counts, so an age is at least that.
    Missing where the history has no such value before the request: it was the default.

    Parameters
    ----------
    serving : frame
        `serving_log`.
    history : frame
        `feature_history`.
    column : str
        The feature's column in the log.
    feature, version, entity
        Its name and version in the history, and the log's column of the entity.

    Examples
    --------
    >>> noon = pd.Timestamp("2026-03-02 12:00", tz="UTC")
    >>> history = pd.DataFrame({"entity_id": 7, "feature": "rate", "value": [0.25, 0.5], "version": 1,
    ...     "event_ts": [noon - pd.Timedelta(hours=h) for h in (9, 2)]})
    >>> log = pd.DataFrame({"item_id": 7, "ts": noon, "f_rate": [0.25, 0.0]})
    >>> served_times(log, history, column="f_rate", feature="rate").isna().tolist()
    [False, True]
    """
    rows = read_columns(serving, "serving", [entity, "ts", column], missing=[column], times=["ts"])
    names = ["entity_id", "feature", "event_ts", "value", "version"]
    told = read_columns(history, "history", names, times=["event_ts"])
    told = told[(told["feature"] == feature) & (told["version"] == version)]
    if told.empty:
        raise ValueError(f"feature: got {feature!r}, version {version}; history has no row of it")
    told = told.rename(columns={"entity_id": entity, "value": column})[[entity, column, "event_ts"]]
    one_kind(rows[entity], told[entity], sides=("serving", "history"))
    # One unit of time, as merge_asof wants it.
    asked = rows.assign(ts=rows["ts"].astype("datetime64[us, UTC]")).reset_index()
    told = told.assign(ts=told["event_ts"].astype("datetime64[us, UTC]")).drop(columns="event_ts")
    told["event_ts"] = told["ts"]
    asked = asked[asked[column].notna()].sort_values("ts", kind="stable")
    found = pd.merge_asof(asked, told.sort_values("ts", kind="stable"), on="ts", by=[entity, column])
    return found.set_index("index")["event_ts"].reindex(range(len(rows))).rename(f"{column}_ts")


def _share(hits: np.ndarray, clusters: pd.Series, alpha: float) -> dict[str, float]:
    """A share with Wilson's interval; without one where all rows are of one cluster."""
    if clusters.nunique() < 2:
        return {"value": float(hits.mean()), "low": math.nan, "high": math.nan}
    told = wilson(hits, clusters, alpha=alpha)
    return {"value": told.rate, "low": told.low, "high": told.high}


def _mean(values: np.ndarray) -> tuple[float, np.ndarray]:
    """A mean, and how far each row moves it."""
    mean = float(values.mean())
    return mean, (values - mean) / len(values)


def _residual(y: np.ndarray, score: np.ndarray, there: np.ndarray) -> tuple[float, np.ndarray]:
    """The mean of label less chance among rows with the default, and how far each row moves it.

    The chance is fitted to rows with a value, which then move it too.
    """
    if np.unique(y[there]).size < 2:
        raise ValueError(f"y: got only {y[there][0]:g} among rows with a value; both 0 and 1 must occur")
    centre, spread = score[there].mean(), score[there].std()
    if np.ptp(score[there]) == 0:
        raise ValueError(f"score: got {centre:g} in all rows with a value; it must vary")
    design = np.column_stack([np.ones(len(score)), (score - centre) / spread])
    chance = expit(design @ fit_logistic(design[there, 1:], y[there], penalty=0.0))
    slope = chance * (1 - chance)
    residual, missing = y - chance, ~there
    curvature = (design[there] * slope[there, None]).T @ design[there]
    # As the fit moves with a row that has a value, so do the chances of those without.
    carried = np.linalg.solve(curvature, (design[missing] * slope[missing, None]).mean(0))
    mean = float(residual[missing].mean())
    return mean, np.where(missing, (residual - mean) / missing.sum(), -(design @ carried) * residual)


def _verdict(table: pd.DataFrame, limit: float, chance: float | None, alpha: float) -> str:
    told = table.set_index("what")
    said = (
        f"What was served is {figure(told.loc['age, hours', 'value'])} hours old in the mean, "
        f"{told['value'].iloc[1]:.1%} of it older than {limit:g}; {told.loc['default share', 'value']:.1%} of the rows got the default."
    )
    if chance is None:
        return said
    residual = told.loc["residual"]
    if chance < alpha:
        way = "worse" if residual["value"] < 0 else "better"
        return (
            f"{said} With the default, items do {way} than their score says, by {abs(residual['value']):.3f}."
        )
    return (
        f"{said} With the default, scores are as right as with a value, as far as can be told "
        f"({residual['low']:+.3f} to {residual['high']:+.3f})."
    )
