"""What would a fresher feature be worth?"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from toolkit.features.areas import Area, clustered_area, contrast
from toolkit.features.lag import read_history, read_late
from toolkit.finding import Finding
from toolkit.frames import read_columns
from toolkit.rules import level

__all__ = ["value_of_freshness"]

Model = Callable[[pd.DataFrame], Any]


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
        As in `toolkit.features.freshness.estimate_lag`.
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
        negative, the judged or training rows have labels of one kind, the judged ones are of one cluster, or a model
        doesn't give one finite score a row.

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
    asked = pd.concat(
        [frame[[entity, "ts"]].assign(ts=frame["ts"].dt.tz_convert("UTC")) for frame in (judged, taught)],
        ignore_index=True,
    )
    read = read_late(known, asked[entity], asked["ts"], steps)
    values = {"rows": read[: len(judged)], "train": read[len(judged) :]}
    complete = {name: ~np.isnan(late).any(1) for name, late in values.items()}
    judged, taught = judged[complete["rows"]], taught[complete["train"]]
    for name, frame in (("rows", judged), ("train", taught)):
        if frame[y].nunique() < 2:
            raise ValueError(
                f"{y}: got {len(frame)} {name} with a value at every lag; both 0 and 1 must occur"
            )
    user = pd.factorize(judged[cluster])[0]
    if user.max() < 1:
        raise ValueError(f"{cluster}: got 1 in rows with a value at every lag; there must be two at least")
    label = judged[y].to_numpy()
    areas: dict[tuple[int, str], Area] = {}
    fresh: Model | None = None
    for place in range(len(steps)):
        shown = judged.assign(**{column: values["rows"][complete["rows"], place]})
        model = fit(taught.assign(**{column: values["train"][complete["train"], place]}))
        fresh = model if fresh is None else fresh
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
        p=change.p,
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
    if math.isnan(low):
        said = f"These rows can't tell what {column} is worth from {last} hours to {first}: read later it orders none otherwise, or they are too few."
    elif high < 0:
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
