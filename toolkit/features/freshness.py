"""How old is a feature when the model reads it, and what would a fresher one be worth?"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from toolkit.features.areas import Area, clustered_area, contrast
from toolkit.features.lag import Coverage, matching_lags, read_history, read_late
from toolkit.finding import Finding, figure
from toolkit.frames import read_columns
from toolkit.resampling import bootstrap, interval
from toolkit.rules import count, level

__all__ = ["estimate_lag", "value_of_freshness"]

# A lag that explains less than this share of the rows is not what happened to them.
_EXPLAINS = 0.5

Model = Callable[[pd.DataFrame], Any]


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
    ci = (
        (interval(draws[:, 0], alpha=alpha)[0], interval(draws[:, 1], alpha=alpha)[1])
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


def value_of_freshness(
    rows: Any,
    history: Any,
    fit: Callable[[pd.DataFrame], Model],
    *,
    train: Any,
    column: str,
    feature: str,
    lags: Sequence[Any] = ("0h", "24h", "48h"),
    entity: str = "item_id",
    y: str = "y",
    cluster: str = "user_id",
    by: str = "event_ts",
    alpha: float = 0.05,
) -> Finding:
    """The AUC that is lost when a feature is read so much later, with the model trained fresh and trained as stale.

    The feature is read from its history as it stood a lag before each row, strictly before. All lags are judged on the
    same rows, so their differences are paired.

    Parameters
    ----------
    rows, train : frame
        Labelled rows to judge on and to train on: the log joined to the outcomes, with `entity`, `ts`, `y`, and what
        `fit` needs; `cluster` in `rows`.
    history : frame
        The feature history.
    fit : callable
        Takes a frame of rows and returns a model: a callable that scores a frame.
    column, feature : str
        The feature's name in the rows, where it is replaced, and in the history.
    lags : sequence of durations
        The first is what the others are compared with.
    entity, y, cluster, by
        As in `estimate_lag`.
    alpha : float
        One minus the level of each interval.

    Returns
    -------
    Finding
        The change of the AUC from the first lag to the last, the model trained at the lag that it is served. The
        table has every lag with both trainings: `trained` "as stale" as served, or "fresh", at the first lag.
        Intervals are of these trained models: how they would differ, had other users come to be judged on.

    Raises
    ------
    ValueError
        If a column is missing or incomplete, the feature isn't in the history, there are fewer than two lags or one is
        negative, the judged or training rows have labels of one kind, or a model doesn't give one finite score a row.

    Examples
    --------
    >>> from toolkit.world import Settings, logs, simulate, warehouse
    >>> from toolkit.world.policies import fit_logistic
    >>> from toolkit.world.serving import served_by_old
    >>> world = simulate(Settings(items=20, requests=300, days=12))
    >>> old = {"control": served_by_old(world, range(4, 12))}
    >>> log = logs.serving_log(old).merge(logs.outcomes(old), on=["request_id", "item_id"])
    >>> def fit(rows):
    ...     weights = fit_logistic(rows[["f_0", "f_rate_today"]], rows["y"])
    ...     return lambda new: new[["f_0", "f_rate_today"]].to_numpy() @ weights[1:]
    >>> history = warehouse.feature_history(world, range(1, 12))
    >>> told = value_of_freshness(log[1200:], history, fit, train=log[:1200], column="f_rate_today", feature="rate_today")
    >>> told.estimate < 0
    True
    """
    level(alpha)
    steps = _durations(lags)
    needed = [entity, "ts", y]
    judged, taught = (
        read_columns(frame, name, [*needed, *extra], labels=[y], times=["ts"], keep=True)
        for frame, name, extra in ((rows, "rows", [cluster]), (train, "train", []))
    )
    known = read_history(history, feature, by=by)
    values = {
        name: np.column_stack([read_late(known, frame[entity], frame["ts"], lag) for lag in steps])
        for name, frame in (("rows", judged), ("train", taught))
    }
    complete = {name: ~np.isnan(read).any(1) for name, read in values.items()}
    judged, taught = judged[complete["rows"]], taught[complete["train"]]
    for name, frame in (("rows", judged), ("train", taught)):
        if frame[y].nunique() < 2:
            raise ValueError(
                f"{y}: got {len(frame)} {name} with a value at every lag; both 0 and 1 must occur"
            )
    user = pd.factorize(judged[cluster])[0]
    label = judged[y].to_numpy()
    areas: dict[tuple[int, str], Area] = {}
    fresh: Model | None = None
    for place in range(len(steps)):
        shown = judged.assign(**{column: values["rows"][complete["rows"], place]})
        model = fit(taught.assign(**{column: values["train"][complete["train"], place]}))
        fresh = fresh or model
        for name, one in (("as stale", model), ("fresh", fresh)):
            areas[place, name] = clustered_area(label, _scores(one, shown), user)
    records = []
    for (place, name), area in areas.items():
        if place == 0 and name == "fresh":
            continue
        change = contrast([area, areas[0, "as stale"]], [1, -1])
        ends = change.ci(alpha=alpha) if place else (math.nan, math.nan)
        records.append(
            (steps[place] / pd.Timedelta("1h"), name if place else "both", area.auc, change.auc, *ends)
        )
    table = pd.DataFrame(records, columns=["lag_hours", "trained", "auc", "change", "low", "high"])
    last = len(steps) - 1
    change = contrast([areas[last, "as stale"], areas[0, "as stale"]], [1, -1])
    mismatch = contrast([areas[last, "fresh"], areas[last, "as stale"]], [1, -1])
    left_out = int((~complete["rows"]).sum())
    return Finding(
        change.auc,
        change.ci(alpha=alpha),
        _value_verdict(column, change, mismatch, steps, alpha, left_out),
        unit="AUC",
        se=change.se,
        p=None if math.isnan(change.p) else change.p,
        n=len(judged),
        n_clusters=int(user.max()) + 1,
        alpha=alpha,
        table=table,
        assumptions=(
            f"rows of different {cluster} are independent, and weren't trained on",
            "the history holds every value that a store could have served",
        ),
        cannot_tell=(
            "what fresher values would be worth on rows that the old policy didn't show",
            "the value of fresher than the history's first lag",
            "a loss of calibration: the AUC sees the order only",
        ),
    )


def _durations(lags: Sequence[Any]) -> list[pd.Timedelta]:
    if isinstance(lags, str) or len(lags) < 2:
        raise ValueError(f"lags: got {lags!r}; it must be a list of two at least")
    steps = []
    for lag in lags:
        try:
            step = pd.Timedelta(lag)
        except ValueError:
            raise ValueError(f"lags: got {lag!r}; it must be a duration such as 24h") from None
        if pd.isna(step) or step < pd.Timedelta(0):
            raise ValueError(f"lags: got {lag!r}; it must not be negative")
        steps.append(step)
    return steps


def _scores(model: Model, rows: pd.DataFrame) -> np.ndarray:
    scores = np.asarray(model(rows), dtype=float)
    if scores.shape != (len(rows),) or not np.isfinite(scores).all():
        raise ValueError(
            f"fit: got scores of shape {scores.shape} for {len(rows)} rows; one finite score each"
        )
    return scores


def _value_verdict(
    column: str, change: Area, mismatch: Area, steps: Sequence[pd.Timedelta], alpha: float, left_out: int
) -> str:
    low, high = change.ci(alpha=alpha)
    first, last = (f"{step / pd.Timedelta('1h'):.4g}" for step in (steps[0], steps[-1]))
    if high < 0:
        said = f"Read {last} hours late instead of {first}, {column} costs {-change.auc:.3f} AUC with the model trained as stale"
        least, most = (-end for end in mismatch.ci(alpha=alpha)[::-1])
        said += (
            f", and {-mismatch.auc:.3f} ({least:.3f} to {most:.3f}) more where it was trained fresh."
            if mismatch.auc < 0
            else "."
        )
    elif low > 0:
        said = f"Read {last} hours late, {column} serves better than at {first}: {change.auc:.3f} AUC more."
    else:
        said = f"No value of freshness shows in {column} from {last} hours to {first}; up to {max(0.0, -low):.3f} AUC can't be ruled out."
    if left_out:
        said += f" {left_out:,} rows from before the history began are left out."
    return said
