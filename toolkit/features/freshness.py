"""How old was a feature when the model read it?"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd

from toolkit.features.lag import Coverage, matching_lags, read_history
from toolkit.finding import Finding, figure
from toolkit.frames import read_columns
from toolkit.resampling import bootstrap, interval
from toolkit.rules import count, level

__all__ = ["estimate_lag"]

# A lag that explains less than this share of the rows is not what happened to them.
_EXPLAINS = 0.5


def estimate_lag(
    serving: Any,
    history: Any,
    *,
    column: str,
    feature: str,
    entity: str = "item_id",
    by: str = "event_ts",
    cluster: str = "user_id",
    alpha: float = 0.05,
    replicates: int = 200,
    rng: Any = 0,
) -> Finding:
    """The lag at which the feature's history had the very values that were served, for most rows.

    For each row, the lags are found at which its entity's history held exactly the served value; the estimate is
    the lag that fits most rows. No grid: between two changes of some value the share stays the same.

    Parameters
    ----------
    serving : frame
        The serving log: `column`, `entity`, `ts`, `cluster`.
    history : frame
        The feature history.
    column, feature : str
        The feature's name in the log, and in the history.
    entity : str
        The log's column that `entity_id` means.
    by : "event_ts" or "available_ts"
        Whether the lag is counted from the event that a value describes, which is its age, or from when it could
        first be read, which is the serving path's own part in it.
    cluster, alpha, replicates, rng
        For the bootstrap. Values are compared at the precision of `column`.

    Returns
    -------
    Finding
        The lag in hours, 0 where values are served at once: the middle of the stretch of lags that fit most rows. The
        interval is from the lower ends' to the upper ends' percentiles, so it covers the whole stretch. The table has
        the share of rows that this lag, no lag, any lag, and none explain; and the commonest of the values
        that aren't in the history, which is what a store's default looks like.

    Raises
    ------
    ValueError
        If a column is missing or incomplete, the feature isn't in the history, or no row has a value of an
        entity that the history knows.

    Examples
    --------
    >>> from toolkit.general.shadow_logs import deployed
    >>> from toolkit.world import Settings, logs, simulate, warehouse
    >>> world = simulate(Settings(items=20, requests=200, days=9))
    >>> served = deployed(world, range(6, 9), trained_on=range(3, 6), late=1)
    >>> history = warehouse.feature_history(world, range(2, 9))
    >>> told = estimate_lag(logs.serving_log({"new": served}), history, column="f_rate_today", feature="rate_today")
    >>> round(told.estimate, 1)
    24.0
    """
    level(alpha), count("replicates", replicates)
    rows = read_columns(
        serving, "serving", [column, entity, "ts", cluster], numbers=[column], missing=[column], times=["ts"]
    )
    known = read_history(history, feature, by=by)
    there = rows[column].notna()
    rows, absent = rows[there].reset_index(drop=True), int((~there).sum())
    entities = set(known["entity_id"])
    if rows.empty or not rows[entity].isin(entities).any():
        raise ValueError(
            f"{entity}: got no row with a value of {column} whose entity is in the history of {feature}"
        )
    lags = matching_lags(known, rows[entity], rows["ts"], rows[column])
    coverage = Coverage(lags, len(rows))
    low, high, share, at_once = coverage.best(np.ones(len(rows)))
    found = np.zeros(len(rows), dtype=bool)
    found[lags["row"].to_numpy()] = True

    def redone(weights: np.ndarray) -> tuple[float, float, float, float, float]:
        return *coverage.best(weights), float(weights @ found / weights.sum())

    draws = bootstrap(redone, rows[cluster], replicates=replicates, rng=rng)
    alone = rows.loc[~found, column]
    common = alone.mode().iloc[0] if len(alone) else math.nan
    commonest = float((rows[column] == common).mean()) if len(alone) else 0.0
    shares = [
        ("this lag", share, *interval(draws[:, 2], alpha=alpha)),
        ("no lag", at_once, *interval(draws[:, 3], alpha=alpha)),
        ("some lag", float(found.mean()), *interval(draws[:, 4], alpha=alpha)),
        (
            "none: not in the entity's history",
            float(1 - found.mean()),
            *(1 - np.array(interval(draws[:, 4], alpha=alpha)))[::-1],
        ),
    ]
    table = pd.DataFrame(shares, columns=["explained by", "share", "low", "high"])
    if len(alone):
        table.loc[len(table)] = [
            f"  of which the value {figure(float(common))}",
            commonest,
            math.nan,
            math.nan,
        ]
    known_lag = len(lags) > 0
    estimate = math.nan if not known_lag else 0.0 if low == 0 else (low + high) / 2
    middles = np.where(draws[:, 0] == 0, 0.0, draws[:, :2].mean(1))
    # Outward to a ten-thousandth of an hour: finer says nothing of a lag.
    ci = (
        (
            math.floor(1e4 * interval(draws[:, 0], alpha=alpha)[0]) / 1e4,
            math.ceil(1e4 * interval(draws[:, 1], alpha=alpha)[1]) / 1e4,
        )
        if known_lag
        else (math.nan, math.nan)
    )
    return Finding(
        estimate,
        ci,
        _lag_verdict(
            column, estimate, high, share, at_once, float(found.mean()), common, commonest, absent, len(rows)
        ),
        unit="hours",
        se=float(middles.std(ddof=1)) if known_lag and replicates > 1 else math.nan,
        n=len(rows),
        n_clusters=rows[cluster].nunique(),
        alpha=alpha,
        table=table,
        assumptions=(
            "most rows have one lag in common; where lags differ from row to row, this is the commonest",
            f"rows of different {cluster} are independent",
            "the history holds every value that a store could have served",
        ),
        cannot_tell=(
            "a default that the store serves for a missing key from another definition of the feature: neither is in "
            "the history (default_rate and version_matrix tell)",
            "in which part of the path the time is lost, beyond what by='available_ts' takes apart",
            "anything about values that hardly ever change: they fit every lag",
        ),
    )


def _lag_verdict(
    column: str,
    estimate: float,
    high: float,
    share: float,
    at_once: float,
    found: float,
    common: float,
    commonest: float,
    absent: int,
    n: int,
) -> str:
    others = ""
    if found < 0.995:
        others = f" {1 - found:.1%} of the rows have a value that was never in their entity's history"
        others += (
            f", most often {figure(float(common))}: a default?" if commonest > 0.5 * (1 - found) else "."
        )
    if absent:
        others += f" {absent:,} rows without a value are left out."
    if not share >= _EXPLAINS:
        return f"No single lag explains {column}: the best fits {share:.1%} of {n:,} rows.{others}"
    if estimate == 0:
        return f"{column} is served at once: {share:.1%} of the rows have the value of the moment.{others}"
    return (
        f"{column} is served {_in_words(estimate)} late: {share:.1%} of the rows have the value that stood then, "
        f"{at_once:.1%} that of the moment.{others}"
    )


def _in_words(hours: float) -> str:
    return f"{hours:.3g} hours" if hours >= 1 else f"{60 * hours:.2g} minutes"
