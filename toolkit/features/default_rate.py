"""How much more often than in training does a model get the default instead of a value?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from toolkit.features.differences import one_kind
from toolkit.features.rates import wilson
from toolkit.finding import Finding
from toolkit.frames import read_columns
from toolkit.resampling import Estimate, clustered_error, several
from toolkit.rules import level, number

# Upper ends of the bins of a key's age, in days.
_AGES = (1.0, 7.0, 28.0)
# With fewer clusters the standard error is itself too unsure for an interval to hold its level.
_FEW = 30


def default_rate(
    serving: Any,
    train: Any,
    *,
    feature: str,
    default: float | None = 0.0,
    entity: str = "item_id",
    cluster: Sequence[str] = ("item_id",),
    ts: str = "ts",
    history: Any = None,
    ages: Sequence[float] = _AGES,
    alpha: float = 0.05,
) -> Finding:
    """The share of served rows in which a feature is its default, less that share in training.

    Rows of one key share its misses, within each table and across the two, so the interval is
    clustered: by the key, or by key and user at once.

    Parameters
    ----------
    serving, train : frame
        `serving_log` and `training_table`: the feature's column, `entity`, `ts` and the clusters.
    feature : str
        Its column, `f_...`. A missing value counts as a default.
    default : float or None
        The value that stands in; None where a missing value is handed to the model as such.
    entity : str
        The key that the store is asked for.
    cluster : sequence of str
        One or two columns that both tables have.
    ts : str
    history : frame, optional
        `feature_history`: when a key's first value could be read, which is when the key was new. Without
        it a key is new when it is first seen in either table.
    ages : sequence of float
        Upper ends of the bins of a key's age, in days, ascending.
    alpha : float

    Returns
    -------
    Finding
        The difference of shares; p is of "as often as in training". The table has one row a bin of
        the key's age: rows, the share of defaults in serving with its interval, and in training
        (missing where training has no such key). Intervals of the bins are Wilson's, clustered by key.

    Raises
    ------
    ValueError
        If a column is missing, or `cluster` names more than two.

    References
    ----------
    Cameron, Gelbach and Miller (2011), "Robust Inference with Multiway Clustering", JBES.

    Examples
    --------
    >>> day = pd.Timestamp("2026-03-02", tz="UTC")
    >>> train = pd.DataFrame({"item_id": range(100), "ts": day, "f_rate": -1.5})
    >>> serving = train.assign(f_rate=[0.0] * 20 + [-1.5] * 80)
    >>> finding = default_rate(serving, train, feature="f_rate")
    >>> round(finding.estimate, 2), [round(end, 2) for end in finding.ci]
    (0.2, [0.11, 0.28])
    """
    level(alpha)
    if isinstance(cluster, str) or not 1 <= len(cluster) <= 2:
        raise ValueError(f"cluster: got {cluster!r}; it must be a list of one column or two")
    if default is not None:
        number("default", default)
    if not len(ages) or list(ages) != sorted(set(ages)) or not ages[0] > 0:
        raise ValueError(f"ages: got {list(ages)!r}; they must be positive and ascending")
    columns = list(dict.fromkeys([entity, ts, feature, *cluster]))
    frames = {
        name: read_columns(frame, name, columns, missing=[feature], times=[ts])
        for name, frame in (("serving", serving), ("train", train))
    }
    for name, frame in frames.items():
        value = frame[feature]
        if default is not None and value.notna().any() and not pd.api.types.is_numeric_dtype(value):
            raise ValueError(
                f"{feature}: got {value.dtype} in {name}; no such value equals {default:g}, a number"
            )
        frame["default"] = (value.isna() if default is None else value.isna() | (value == default)).astype(
            float
        )
    for name in dict.fromkeys([entity, *cluster]):
        one_kind(frames["serving"][name], frames["train"][name], sides=("serving", "train"))
    both = pd.concat(frames, names=["table"]).reset_index("table").reset_index(drop=True)
    in_serving = (both["table"] == "serving").to_numpy()
    rates = {name: float(frame["default"].mean()) for name, frame in frames.items()}
    told = share_difference(both["default"], in_serving, [both[name] for name in cluster], alpha=alpha)
    table = _by_age(both, in_serving, entity, ts, history, ages, alpha)
    return Finding(
        told.estimate,
        (told.low, told.high),
        _verdict(feature, rates, told, told.p < alpha, table),
        unit="share of rows",
        se=told.se,
        p=told.p,
        n=len(both),
        n_clusters=told.clusters,
        alpha=alpha,
        table=table,
        assumptions=(
            f"rows of different {' and '.join(cluster)} are independent",
            "the training rows show how the model learnt to read the default",
        ),
        cannot_tell=(
            "a value that happens to equal the default, from a miss",
            "a key that isn't in the store, from a read that timed out",
            "how much the misses cost: that is the residual of kv_freshness, or a test",
        ),
    )


class Difference(NamedTuple):
    """A difference of two shares, with its interval, standard error and p-value of "none", and the clusters behind them."""

    estimate: float
    low: float
    high: float
    se: float
    p: float
    clusters: int


def share_difference(hits: Any, served: Any, clusters: Sequence[Any], *, alpha: float = 0.05) -> Difference:
    """The share of hits among served rows less that among the others, where rows of a cluster belong together.

    Where all rows of a kind are alike they don't tell how much its share varies. Then its end is that
    share at which so many clusters would all be alike with a chance of `alpha` / 2, and p is no less than
    twice their chance of being alike at the other kind's share.

    Parameters
    ----------
    hits : array of 0 and 1 of shape (n,)
    served : array of bool of shape (n,)
        Which kind a row is of; both must occur.
    clusters : sequence of one or two arrays of shape (n,)
    alpha : float

    Examples
    --------
    >>> told = share_difference([1, 1, 0, 0, 0, 0], [True, True, True, False, False, False], [range(6)])
    >>> round(told.estimate, 3), told.clusters
    (0.667, 6)
    """
    values, first = np.asarray(hits, dtype=float), np.asarray(served, dtype=bool)
    rate, other = float(values[first].mean()), float(values[~first].mean())
    # Of each row, how far it moves the difference.
    push = np.where(first, (values - rate) / first.sum(), (other - values) / (~first).sum())
    error, groups = largest_error(push, clusters)
    difference = rate - other
    counts = [len(pd.unique(np.asarray(clusters[0])[rows])) for rows in (first, ~first)]
    unseen, others = (1 - (alpha / 2) ** (1 / number) for number in counts)
    if error:
        told = Estimate(difference, error, groups - 1)
        half, chance = told.interval(alpha)[1] - difference, told.p or 0.0
        # Of what alike rows can't tell, only the side exists on which a share can lie.
        below = (unseen if rate == 1 else 0.0) + (others if other == 0 else 0.0)
        above = (unseen if rate == 0 else 0.0) + (others if other == 1 else 0.0)
        for alike, share, number in ((rate, other, counts[0]), (other, rate, counts[1])):
            if alike in (0, 1):
                chance = max(chance, min(1.0, 2 * (1 - abs(alike - share)) ** number))
        low, high = difference - math.hypot(half, below), difference + math.hypot(half, above)
        return Difference(difference, low, high, error, chance, groups)
    low = difference - (unseen if rate else 0.0) - (0.0 if other else others)
    high = difference + (0.0 if rate else unseen) + (others if other else 0.0)
    chance = min(1.0, 2 * 0.5 ** min(counts)) if difference else 1.0
    return Difference(difference, low, high, error, chance, groups)


def largest_error(push: Any, clusters: Sequence[Any]) -> tuple[float, int]:
    """The standard error by clusters, of two kinds the largest of each alone and both; and how many clusters.

    Of two kinds both ways together may come out too small in a small sample; each alone is then a floor,
    and the fewer clusters count.

    Parameters
    ----------
    push : array of shape (n,)
        How far each row moves the statistic: its influence, summing to about 0.
    clusters : sequence of one or two arrays of shape (n,)

    Examples
    --------
    Of a mean of independent rows it is the usual standard error:

    >>> y = np.array([1.0, 2, 3, 4])
    >>> error, _ = largest_error((y - y.mean()) / 4, [range(4)])
    >>> bool(np.isclose(error, y.std(ddof=1) / 2))
    True
    """
    codes = [several(names, "cluster") for names in clusters]
    errors = [clustered_error(push, code) for code in codes]
    if len(codes) == 2:
        errors.append(clustered_error(push, *codes))
    return max(errors), min(int(code.max()) + 1 for code in codes)


def _by_age(
    both: pd.DataFrame,
    in_serving: np.ndarray,
    entity: str,
    ts: str,
    history: Any,
    ages: Sequence[float],
    alpha: float,
) -> pd.DataFrame:
    """Shares of defaults by how old the key was when it was asked for."""
    if history is None:
        born = both.groupby(entity)[ts].min()
    else:
        told = read_columns(history, "history", ["entity_id", "available_ts"], times=["available_ts"])
        born = told.groupby("entity_id")["available_ts"].min()
    # A key that has no history yet is new.
    age = (both[ts] - both[entity].map(born)).dt.total_seconds().fillna(0.0).to_numpy() / 86_400
    place = np.searchsorted(ages, age, side="right")
    ends = [f"under {ages[0]:g} d", *(f"{a:g} to {b:g} d" for a, b in zip(ages, ages[1:], strict=False))]
    rows = []
    for bin_, name in enumerate([*ends, f"{ages[-1]:g} d and over"]):
        here = (place == bin_) & in_serving
        then = (place == bin_) & ~in_serving
        if not here.any() and not then.any():
            continue
        row = {
            "key age": name,
            "served": int(here.sum()),
            "serving": math.nan,
            "low": math.nan,
            "high": math.nan,
        }
        if here.any():
            part = both[here]
            rate = float(part["default"].mean())
            row["serving"] = rate
            if len(part[entity].unique()) > 1:
                told = wilson(part["default"] == 1, part[entity], alpha=alpha)
                row |= {"low": told.low, "high": told.high}
        row["train"] = float(both["default"][then].mean()) if then.any() else math.nan
        rows.append(row)
    return pd.DataFrame(rows)


def _verdict(
    feature: str,
    rates: dict[str, float],
    told: Difference,
    differs: bool,
    table: pd.DataFrame,
) -> str:
    said = f"{feature} is its default in {rates['serving']:.1%} of served rows and {rates['train']:.1%} of training rows"
    if not differs:
        said += f": no difference is seen, though one of {max(abs(told.low), abs(told.high)):.1%} can't be ruled out."
    elif rates["serving"] > rates["train"]:
        said += "; the model meets it more often than it learnt to."
        there = table.dropna(subset=["serving"])
        if len(there) > 1:
            worst = there.loc[there["serving"].idxmax()]
            if worst["low"] > rates["serving"]:
                said += f" Most often with keys of an age of {worst['key age']}, {worst['serving']:.1%}."
    else:
        said += "; training misses more than serving does."
    if told.clusters < _FEW:
        said += f" Only {told.clusters} clusters, so the interval is rough."
    return said
