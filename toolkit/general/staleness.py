"""How much of a model's quality is lost with its age, seen on the same days?

The diagnostic for the reader's logs. What it stands on: closed forms and the price of retraining
(`ageing`), drift of columns (`drift`), a metric watched over time (`cusum`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
from scipy.special import entr, xlogy

from toolkit.auc import Ranking
from toolkit.finding import Finding
from toolkit.frames import read_columns
from toolkit.resampling import Estimate, bootstrap, interval
from toolkit.rules import count, level, one_of

__all__ = ["metric_by_age", "staleness_curve"]

Metric = Literal["AUC", "NE"]


def staleness_curve(
    log: Any,
    *,
    metric: Metric = "AUC",
    y: str = "y",
    score: str = "score",
    trained: str = "model_trained_at",
    ts: str = "ts",
    cluster: str = "user_id",
    key: Sequence[str] = ("request_id", "item_id"),
    unit: str = "1D",
    within: str = "1D",
    alpha: float = 0.05,
    replicates: int = 500,
    rng: Any = 0,
) -> Finding:
    """What a model loses with its age: the metric of older snapshots against younger ones on the same days.

    The metric of each day and snapshot is regressed on the day and on the snapshot's age, so that a
    day that is hard for all of them says nothing of age.

    Parameters
    ----------
    log : frame
        One row an impression and snapshot that scored it (shadow scoring): label, score, when the
        snapshot was trained, when the request came in, its user.
    metric : "AUC" or "NE"
        Area under the ROC curve; or normalised entropy, the mean log loss over that of the day's
        base rate (lower is better; scores must then be probabilities).
    cluster : str
        What the bootstrap draws.
    key : sequence of str
        What identifies an impression; with `trained`, a row.
    unit : str
        Width of an age bin, as pandas writes it: "1D", "1h".
    within : str
        Snapshots are compared within the same one of these; "1D" for the same day. Shorter, it also
        takes out the time of day, with fewer rows a comparison.
    replicates : int
        Bootstrap replicates.
    y, score, trained, ts : str
        Columns of the label, of the score, of when the snapshot was trained, of when the request came in.
    alpha : float
        One minus the level of the intervals.
    rng : int or Generator
        For the bootstrap.

    Returns
    -------
    Finding
        The metric at the oldest age minus that at the youngest. The table has one row an age:
        `change` against the youngest with its interval, `alone` (the metric of that age on whatever
        days it was scored, which mixes age with the calendar), days and rows.

    Raises
    ------
    ValueError
        If columns, values or times are bad, a snapshot scored what came before its training, a day's
        snapshot has only one kind of label, or two ages can't be compared on any chain of days.

    References
    ----------
    He et al. (2014), "Practical Lessons from Predicting Clicks on Ads at Facebook", ADKDD
    (normalised entropy; data freshness).

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> log = pd.DataFrame({"request_id": np.arange(4000), "item_id": 1, "user_id": np.arange(4000) % 900})
    >>> log["ts"] = pd.Timestamp("2026-03-09", tz="UTC") + pd.to_timedelta(np.arange(4000), unit="min")
    >>> log["y"] = rng.integers(0, 2, 4000)
    >>> young = log.assign(score=log["y"] + rng.normal(0, 1, 4000))
    >>> old = log.assign(score=log["y"] + rng.normal(0, 4, 4000))
    >>> both = pd.concat([young.assign(model_trained_at=log["ts"].dt.floor("D")),
    ...     old.assign(model_trained_at=log["ts"].dt.floor("D") - pd.Timedelta("7D"))])
    >>> print(staleness_curve(both, replicates=50).verdict)
    7 days after training the AUC is 0.199 lower than 0 days after, on the same days: the model goes stale.
    """
    level(alpha)
    count("replicates", replicates)
    cells, table = _cells(
        log, metric=metric, y=y, score=score, trained=trained, ts=ts, cluster=cluster, key=key,
        unit=unit, within=within,
    )  # fmt: skip
    ages = np.unique(cells["age"])
    solve = _contrasts(cells, ages)
    measures = [_measure(metric, table, rows, y, score) for rows in cells["place"]]
    places = list(cells["place"])

    def changes(weights: np.ndarray) -> np.ndarray:
        # Without the rounding's remainder, which would be a change of one sign in all draws.
        drawn = [measure(weights[rows]) for measure, rows in zip(measures, places, strict=True)]
        return np.asarray(solve @ drawn).round(12)

    values = np.array([measure(None) for measure in measures])
    change = np.asarray(solve @ values).round(12)
    draws = bootstrap(changes, table[cluster].to_numpy(), replicates=replicates, rng=rng)
    bounds = [interval(draw, alpha=alpha) for draw in draws.T]
    curve = pd.DataFrame({"age": ages})
    curve["change"] = np.r_[0.0, change]
    curve["low"], curve["high"] = (np.r_[0.0, [bound[end] for bound in bounds]] for end in (0, 1))
    weight = cells["weight"].to_numpy()
    for place, age in enumerate(ages):
        here = (cells["age"] == age).to_numpy()
        curve.loc[place, "alone"] = float(np.average(values[here], weights=weight[here]))
        curve.loc[place, "days"] = int(here.sum())
        curve.loc[place, "rows"] = int(cells.loc[here, "rows"].sum())
    curve = curve.astype({"days": int, "rows": int})
    estimate, (low, high) = float(change[-1]), bounds[-1]
    se = float(np.nanstd(draws[:, -1], ddof=1))
    return Finding(
        estimate,
        (low, high),
        _verdict(metric, ages, unit, estimate, low, high),
        unit=metric,
        se=se,
        p=Estimate(estimate, se).p,
        n=len(table),
        n_clusters=int(table[cluster].nunique()),
        alpha=alpha,
        table=curve,
        assumptions=(
            f"rows of different {cluster} are independent",
            "age costs the same on every day, and the days' labels are complete",
        ),
        cannot_tell=(
            "a snapshot that is old, from one trained on worse data: keep the training window's length the same",
            "what a fresher model would gain that also shows other items: the rows are those that were shown",
        ),
    )


def metric_by_age(
    log: Any,
    *,
    metric: Metric = "AUC",
    y: str = "y",
    score: str = "score",
    trained: str = "model_trained_at",
    ts: str = "ts",
    cluster: str = "user_id",
    key: Sequence[str] = ("request_id", "item_id"),
    unit: str = "1D",
    within: str = "1D",
) -> pd.DataFrame:
    """The metric of each day and age of snapshot: `ts` (the day), `age`, `value`, `rows`.

    Parameters, and what is refused, as in `staleness_curve`.

    Examples
    --------
    >>> noon = pd.Timestamp("2026-03-02 12:00", tz="UTC")
    >>> log = pd.DataFrame({"request_id": range(4), "item_id": 7, "user_id": range(4), "ts": noon,
    ...     "model_trained_at": noon - pd.Timedelta("36h"), "y": [0, 0, 1, 1], "score": [1, 2, 2, 3]})
    >>> metric_by_age(log)["value"].tolist()
    [0.875]
    """
    cells, table = _cells(
        log, metric=metric, y=y, score=score, trained=trained, ts=ts, cluster=cluster, key=key,
        unit=unit, within=within,
    )  # fmt: skip
    cells["value"] = [_measure(metric, table, rows, y, score)(None) for rows in cells["place"]]
    return cells[["ts", "age", "value", "rows"]]


def _cells(
    log: Any,
    *,
    metric: Metric,
    y: str,
    score: str,
    trained: str,
    ts: str,
    cluster: str,
    key: Sequence[str],
    unit: str,
    within: str,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """One row a day and age with its rows' places, and the rows."""
    one_of("metric", metric, ("AUC", "NE"))
    widths = {name: _width(name, width) for name, width in (("unit", unit), ("within", within))}
    table = read_columns(
        log,
        "log",
        list(dict.fromkeys([*key, cluster, ts, trained, y, score])),
        key=[*key, trained],
        labels=[y],
        numbers=[score],
    )
    for name in (ts, trained):
        if not pd.api.types.is_datetime64_any_dtype(table[name]):
            raise ValueError(f"{name}: got {table[name].dtype} in log; it must be a time")
    if (table[ts].dt.tz is None) != (table[trained].dt.tz is None):
        raise ValueError(
            f"{trained}: got a time zone in one of {ts} and {trained}; both must have one, or none"
        )
    if metric == "AUC" and table[score].min() == table[score].max():
        raise ValueError(f"{score}: got {table[score].iloc[0]} in every row; a constant ranks nothing")
    if metric == "NE" and not ((table[score] > 0) & (table[score] < 1)).all():
        bad = table.loc[~((table[score] > 0) & (table[score] < 1)), score].iloc[0]
        raise ValueError(
            f"{score}: got {bad} in log; for NE a score is a probability strictly between 0 and 1"
        )
    age = (table[ts] - table[trained]) / widths["unit"]
    if (age < 0).any():
        raise ValueError(
            f"{trained}: got {(age < 0).sum():,} of {len(table):,} rows from before their model's training; "
            "a snapshot is judged on what came later"
        )
    table["age"], table["block"] = np.floor(age).astype(int), table[ts].dt.floor(widths["within"])
    rows = []
    for (block, of_age), places in table.groupby(["block", "age"]).indices.items():
        labels = table[y].to_numpy()[places]
        good = int(labels.sum())
        if good in (0, len(labels)):
            raise ValueError(
                f"{y}: got only {labels[0]} on {block} at age {of_age}; a metric needs both labels "
                "(choose a longer `within`)"
            )
        # What a cell's metric is worth: the harmonic mean of how many good and bad rows it has.
        rows.append((block, of_age, len(labels), good * (len(labels) - good) / len(labels), places))
    return pd.DataFrame(rows, columns=["ts", "age", "rows", "weight", "place"]), table


def _contrasts(cells: pd.DataFrame, ages: np.ndarray) -> np.ndarray:
    """The matrix that takes the cells' metrics to each later age's change against the youngest."""
    if len(ages) < 2:
        raise ValueError(f"log: got one age ({ages[0]}); a curve needs snapshots of two ages at least")
    days = pd.get_dummies(cells["ts"]).to_numpy(float)
    later = (cells["age"].to_numpy()[:, None] == ages[1:]).astype(float)
    design = np.hstack([days, later])
    if np.linalg.matrix_rank(design) < design.shape[1]:
        raise ValueError(
            f"log: got ages {ages.tolist()} that can't be compared on the same days; let snapshots of several "
            "ages score the same requests"
        )
    root = np.sqrt(cells["weight"].to_numpy())
    return np.asarray(np.linalg.pinv(design * root[:, None])[days.shape[1] :] * root)


def _measure(
    metric: Metric, table: pd.DataFrame, rows: np.ndarray, y: str, score: str
) -> Callable[[np.ndarray | None], float]:
    """The metric of some rows as a function of their weights."""
    labels = table[y].to_numpy(float)[rows]
    scores = table[score].to_numpy(float)[rows]
    if metric == "AUC":
        return Ranking(labels, scores).auc
    loss = -(xlogy(labels, scores) + xlogy(1 - labels, 1 - scores))

    def entropy(weights: np.ndarray | None) -> float:
        weight = np.ones(len(labels)) if weights is None else weights
        total = weight.sum()
        rate = weight @ labels / total if total else 0.0
        base = entr(rate) + entr(1 - rate)
        return float(weight @ loss / total / base) if base > 0 else float("nan")

    return entropy


def _verdict(metric: Metric, ages: np.ndarray, unit: str, change: float, low: float, high: float) -> str:
    name = {"1D": "days", "1h": "hours"}.get(unit, f"x {unit}")
    where = f"{ages[-1]} {name} after training the {metric} is {abs(change):.3f}"
    against = f"than {ages[0]} {name} after, on the same days"
    if low <= 0 <= high:
        return f"{where} {'higher' if change > 0 else 'lower'} {against}, which luck explains: no staleness shows."
    direction = "higher" if change > 0 else "lower"
    worse = (change < 0) == (metric == "AUC")
    return f"{where} {direction} {against}: the model {'goes stale' if worse else 'gets better with age'}."


def _width(name: str, value: str) -> pd.Timedelta:
    try:
        width = pd.Timedelta(value)
    except ValueError:
        width = pd.NaT
    if pd.isna(width) or not width > pd.Timedelta(0):
        raise ValueError(f"{name}: got {value!r}; it must be a positive length of time such as '1D' or '1h'")
    return width
