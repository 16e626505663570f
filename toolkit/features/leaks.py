"""Does a feature know what a request couldn't: a row's own outcome, or its future?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import statsmodels.api as sm

from toolkit.features.areas import clustered_area, contrast
from toolkit.features.asof import asof_join
from toolkit.features.own_label import leak_auc
from toolkit.finding import Finding
from toolkit.frames import read_columns
from toolkit.resampling import several
from toolkit.rules import count, level

__all__ = ["asof_audit", "leak_probe", "too_good"]

_POINTS = "points of the outcome's rate"
# A part of the rows needs so many good and so many bad ones for an AUC that is nearly normal.
_LEAST = 5
_COUNTS = 25


def asof_audit(
    training_table: Any,
    feature_history: Any,
    *,
    feature: str,
    column: str | None = None,
    key: str | Sequence[str] = "item_id",
    entity: str | Sequence[str] | None = None,
    ts: str = "ts",
    y: str = "y",
    cluster: str | None = None,
    alpha: float = 0.05,
) -> Finding:
    """Whether a training table holds more of a row's outcome than could be read at its request.

    Joins to each row the feature's last value that was available then, and regresses the outcome
    on what the table's value adds to it, given that value, by cluster. A table that is merely staler
    than the store differs too, and adds nothing.

    Parameters
    ----------
    training_table, feature_history : any frame that Narwhals reads
        Times bear their zone, the same one. Joined by `asof_join`: of what was available the newest event's value counts.
    feature : str
        The feature's name in the history.
    column : str, optional
        Its column in the training table, complete; the name with `f_` before it where not given.
    key, entity, ts
        As in `asof_join`: columns of the training table that name the entity, those of the history, the time.
    y : str
        The outcome's column, 0 or 1.
    cluster : str, optional
        The column that says which rows hang together; the first key where not given.
    alpha : float
        One minus the level of the interval.

    Returns
    -------
    Finding
        Change of the outcome's rate, in percentage points, for one standard deviation of what the table adds; its table
        counts the rows that differ, and those for which nothing was available yet (these have no
        part in the estimate).

    Raises
    ------
    ValueError
        If a column is missing, incomplete or of the wrong kind, the history doesn't have the feature or has
        two values of it for one entity and time, nothing was available at any row, or rows differ and all
        are of one cluster.

    Examples
    --------
    >>> ts = pd.Timestamp("2026-03-02", tz="UTC") + pd.to_timedelta([1, 2, 3, 4], unit="h")
    >>> history = pd.DataFrame({"entity_id": 7, "feature": "rate", "event_ts": ts, "available_ts": ts,
    ...     "value": [1.0, 2, 3, 4]})
    >>> rows = pd.DataFrame({"item_id": 7, "ts": ts, "y": [0, 1, 0, 1], "f_rate": [1.0, 2, 3, 4]})
    >>> asof_audit(rows, history, feature="rate").verdict
    'None of the 4 rows differs from what was available.'
    """
    level(alpha)
    column = f"f_{feature}" if column is None else column
    keys = [key] if isinstance(key, str) else list(key)
    cluster = keys[0] if cluster is None else cluster
    rows = read_columns(
        training_table,
        "training_table",
        [*keys, ts, y, column, cluster],
        labels=[y],
        numbers=[column],
        times=[ts],
    )
    joined = asof_join(
        rows[[*keys, ts]],
        feature_history,
        key=keys,
        entity=entity,
        ts=ts,
        features=[feature],
        prefix="known ",
    )
    known = joined[f"known {feature}"].to_numpy(float)
    there = np.isfinite(known)
    if not there.any():
        raise ValueError(
            f"feature_history: got no value of {feature!r} that was available at any of the {len(rows):,} rows; "
            "entities or times don't match"
        )
    given = rows[column].to_numpy(float)
    # The store may keep fewer digits than the warehouse.
    same = np.isclose(given, known, rtol=1e-5, atol=1e-6)
    table = pd.DataFrame(
        {
            "rows": ["all", "differ from what was available", "nothing was available"],
            "count": [len(rows), int((there & ~same).sum()), int((~there).sum())],
        }
    )
    none = f"; for {(~there).mean():.0%} of all rows nothing was" if not there.all() else ""
    known, added = known[there], np.where(same, 0.0, given - known)[there]
    # What the table adds beyond what the known value tells.
    beyond = added - np.polyval(np.polyfit(known, added, 1), known) if np.ptp(known) else added - added.mean()
    outcome, units = 100.0 * rows[y].to_numpy()[there], pd.factorize(rows[cluster][there])[0]
    differs = bool((there & ~same).any())
    if differs and not units.any():
        raise ValueError(
            f"{cluster}: got {rows[cluster][there].iloc[0]} in all rows; an error needs two clusters at least"
        )
    # A change of unit leaves what single precision rounds.
    if not differs or beyond.std() <= 1e-5 * given.std():
        told = "By more than a change of scale none" if differs else "None"
        return Finding(
            0.0,
            (0.0, 0.0),
            f"{told} of the {there.sum():,} rows differs from what was available{none}.",
            unit=_POINTS,
            se=0.0,
            n=int(there.sum()),
            table=table,
            alpha=alpha,
        )
    design = sm.add_constant(
        np.column_stack([(added - added.mean()) / added.std(), known]), has_constant="add"
    )
    design = design[:, : 2 + bool(np.ptp(known))]
    fit = sm.OLS(outcome, design).fit(cov_type="cluster", cov_kwds={"groups": units})
    low, high = fit.conf_int(alpha)[1]
    return Finding(
        float(fit.params[1]),
        (float(low), float(high)),
        f"{(~same)[there].mean():.0%} of the rows differ from what was available{none}, and the difference "
        f"{'tells' if low > 0 or high < 0 else 'does not tell'} the row's own outcome.",
        unit=_POINTS,
        se=float(fit.bse[1]),
        p=float(fit.pvalues[1]),
        n=len(outcome),
        n_clusters=int(units.max()) + 1,
        alpha=alpha,
        table=table,
        assumptions=(
            f"{cluster}s are independent of each other",
            "the history holds every value that was readable",
        ),
        cannot_tell=("a row's own label from other events that came later",),
    )


def leak_probe(
    table: Any,
    *,
    feature: str,
    count_col: str,
    y: str = "y",
    cluster: str = "user_id",
    bins: int = 10,
    alpha: float = 0.05,
) -> Finding:
    """Whether a feature separates best where few events stand behind it, as it does when it holds the row's own label.

    The AUC within each part of the rows with like counts, regressed on what one's own label among so
    many other events would add to an AUC of one half (`leak_auc`). A slope of 1 is a sum that holds
    the label and is else noise, 0 is no leak. An honest feature separates worse where it stands on
    few events: its slope is 0 or below.

    Parameters
    ----------
    table : any frame that Narwhals reads
        One row an example. The feature is a sum or a mean of like events, and larger means good.
    feature, count_col, y, cluster : str
        Columns: the feature; how many *other* events of its key stand behind it; the label; what is independent of
        each other. For a feature of an item, cluster by item.
    bins : int
        Parts of like count, with like numbers of rows; fewer where counts repeat.
    alpha : float
        One minus the level of the interval.

    Returns
    -------
    Finding
        The slope; its table has a row a part, with its count, rows, AUC, and the AUC that a leak predicts.

    Raises
    ------
    ValueError
        If a column is missing or of the wrong kind, a count isn't a whole number from 0, or counts differ too little
        for two parts with at least five good and five bad rows.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> y, others = rng.integers(0, 2, 4000), rng.choice([1, 4, 16, 64], 4000)
    >>> rows = pd.DataFrame({"user_id": range(4000), "y": y, "others": others})
    >>> rows["f_sum"] = rng.binomial(others, 0.5) + y
    >>> finding = leak_probe(rows, feature="f_sum", count_col="others")
    >>> bool(finding.ci[0] < 1 < finding.ci[1])
    True
    """
    level(alpha)
    count("bins", bins, least=2)
    rows = read_columns(
        table, "table", [y, feature, count_col, cluster], labels=[y], numbers=[feature, count_col]
    )
    others = rows[count_col].to_numpy(float)
    wrong = (others < 0) | (others % 1 != 0)
    if wrong.any():
        raise ValueError(f"{count_col}: got {others[wrong][0]:g}; it must be a whole number, 0 at least")
    label, value = rows[y].to_numpy(int), rows[feature].to_numpy(float)
    share = float(label.mean())
    code = several(rows[cluster], cluster)
    part = pd.qcut(others, bins, labels=False, duplicates="drop")
    # Where one count has more rows than a part should, the rest falls to one part: then by count itself.
    if len(np.unique(others)) <= bins:
        part = np.unique(others, return_inverse=True)[1]
    records, areas = [], []
    for number in np.unique(part):
        here = np.flatnonzero(part == number)
        good = int(label[here].sum())
        if min(good, len(here) - good) < _LEAST:
            continue
        each, rows_each = np.unique(others[here].astype(int), return_counts=True)
        if len(each) > _COUNTS:
            # So many quantiles stand for a part's counts.
            middles = (np.arange(_COUNTS) + 0.5) / _COUNTS * len(here)
            each = np.sort(others[here].astype(int))[middles.astype(int)]
            rows_each = np.ones(_COUNTS, dtype=int)
        predicted = np.average([leak_auc(int(n), share) for n in each], weights=rows_each)
        found = clustered_area(label, value, code, here=part == number)
        areas.append(found)
        weight = good * (len(here) - good) / len(here)
        records.append((others[here].mean(), len(here), found.auc, float(predicted), weight))
    by_count = pd.DataFrame(records, columns=["others", "rows", "auc", "leak_predicts", "weight"])
    if len(by_count) < 2:
        raise ValueError(
            f"{count_col}: got {len(by_count)} parts with {_LEAST} good and {_LEAST} bad rows; a slope needs two"
        )
    weight = by_count.pop("weight").to_numpy()
    x = by_count["leak_predicts"].to_numpy()
    x = x - np.average(x, weights=weight)
    pull = weight * x / (weight @ x**2)
    slope = contrast(areas, pull)
    low, high = slope.ci(alpha=alpha)
    first, last = by_count.iloc[0], by_count.iloc[-1]
    told = (
        f"AUC {first['auc']:.3f} where {first['others']:.3g} other events stand behind the feature, "
        f"{last['auc']:.3f} where {last['others']:.3g} do"
    )
    if low > 0:
        verdict = (
            f"The feature separates best on rare keys, as one does that holds the row's own label: {told}."
        )
    elif high < 0:
        verdict = f"The feature separates best on busy keys, as an honest one does: {told}."
    else:
        verdict = f"No trend with traffic shows: {told}."
    return Finding(
        slope.auc,
        (low, high),
        verdict,
        unit="of the slope of a leak",
        se=slope.se,
        p=slope.p,
        n=int(by_count["rows"].sum()),
        n_clusters=int(code.max()) + 1,
        alpha=alpha,
        table=by_count,
        assumptions=(
            f"{cluster}s are independent of each other",
            "but for the leak the feature is as good on rare keys as on busy ones, or worse",
        ),
        cannot_tell=(
            "a leak from a feature that is truly better on rare keys",
            "a leak beside a signal that grows as fast with traffic as the leak shrinks",
        ),
    )


def too_good(
    training_table: Any,
    served: Any,
    *,
    feature: str,
    y: str = "y",
    cluster: str = "user_id",
    alpha: float = 0.05,
) -> Finding:
    """By how much one feature separates better in a training table than as it was served on rows drawn at random.

    Parameters
    ----------
    training_table : any frame that Narwhals reads
        Rows as a model was trained on.
    served : any frame that Narwhals reads
        Rows of an exploration slice, with the value that was served and the outcome.
    feature, y, cluster : str
        Columns of both; a cluster that is in both is one.
    alpha : float
        One minus the level of the interval.

    Returns
    -------
    Finding
        The difference of the two AUCs, training less served; a row a table.

    Raises
    ------
    ValueError
        If a column is missing or of the wrong kind, or a table has fewer than five good or five bad rows.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> y = rng.integers(0, 2, 400)
    >>> rows = pd.DataFrame({"user_id": range(400), "y": y, "f_sum": rng.normal(size=400)})
    >>> finding = too_good(rows.assign(f_sum=rows["f_sum"] + y), rows, feature="f_sum")
    >>> bool(finding.ci[0] > 0)
    True
    """
    level(alpha)
    records, labels, values, units = [], [], [], []
    for name, frame in (("training_table", training_table), ("served", served)):
        rows = read_columns(frame, name, [y, feature, cluster], labels=[y], numbers=[feature])
        good = int(rows[y].sum())
        if min(good, len(rows) - good) < _LEAST:
            raise ValueError(
                f"{y}: got {good} good rows of {len(rows)} in {name}; it needs {_LEAST} of each kind"
            )
        records.append((name, len(rows), good / len(rows)))
        labels.append(rows[y].to_numpy(int))
        values.append(rows[feature].to_numpy(float))
        units.append(rows[cluster].to_numpy())
    code = several(np.concatenate(units), cluster)
    label, value = np.concatenate(labels), np.concatenate(values)
    first = np.arange(len(label)) < len(labels[0])
    areas = [clustered_area(label, value, code, here=here) for here in (first, ~first)]
    table = pd.DataFrame(records, columns=["table", "rows", "rate"]).assign(auc=[area.auc for area in areas])
    trained, in_use = table["auc"]
    difference = contrast(areas, [1, -1])
    low, high = difference.ci(alpha=alpha)
    told = f"AUC {trained:.3f} in the training table and {in_use:.3f} as served"
    verdict = f"The feature alone is no better in training than in use: {told}."
    if low > 0:
        verdict = f"The feature alone is too good to be true: {told}."
    elif high < 0:
        verdict = f"The feature alone is worse in training than in use: {told}."
    return Finding(
        difference.auc,
        (low, high),
        verdict,
        unit="AUC",
        se=difference.se,
        p=difference.p,
        n=int(table["rows"].sum()),
        n_clusters=int(code.max()) + 1,
        alpha=alpha,
        table=table,
        assumptions=(
            f"{cluster}s are independent of each other",
            "both tables are of like rows: the training table wasn't picked by a model",
        ),
        cannot_tell=(
            "a leak from a value that is late or missing when it is served",
            "either from a feature whose worth changed between the two times",
        ),
    )
