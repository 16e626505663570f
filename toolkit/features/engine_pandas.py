"""How does a pandas user compute the feature, and how as specified?"""

from __future__ import annotations

import hashlib
from collections.abc import Collection

import numpy as np
import pandas as pd
import pyarrow as pa

from toolkit.features.specification import Specification, fold

__all__ = ["compute"]


def compute(
    feature: Specification, events: pa.Table, requests: pd.DataFrame, naive: Collection[str] = ()
) -> pd.Series:
    """The feature's value at each request, in pandas.

    Parameters
    ----------
    feature : Specification
    events, requests : as `read_events` and `read_requests` give them
    naive : collection of str
        The decisions that are left to pandas' habits.

    Examples
    --------
    >>> from toolkit.features.specification import read_events, read_requests
    >>> events = pd.DataFrame({"event_id": [1, 2], "entity_id": [7, 7], "amount": [250.0, 350.0],
    ...     "ts": pd.to_datetime(["2026-03-01 10:00Z", "2026-03-02 10:00Z"])})
    >>> requests = pd.DataFrame({"row_id": [1], "entity_id": [7], "ts": pd.to_datetime(["2026-03-02 10:00Z"])})
    >>> orders = Specification("f_orders", "amount", "count", days=7)
    >>> tables = read_events(events, [orders]), read_requests(requests)
    >>> compute(orders, *tables).tolist(), compute(orders, *tables, naive={"edges"}).tolist()
    ([1.0], [2.0])
    """
    held = events.select(["event_id", "entity_id", "ts", feature.column]).to_pandas()
    held = held.rename(columns={feature.column: "x"})
    if feature.missing == "zero" and "missing" not in naive:
        held["x"] = held["x"].fillna(0.0)
    begins, ends = _bounds(feature, requests["ts"], naive)
    asked = requests[["row_id", "entity_id"]].assign(begins=begins, ends=ends)
    pairs = asked.merge(held, on="entity_id")
    # A rolling window of pandas leaves out its first moment and holds its last.
    first, last = tuple("(]" if "edges" in naive else feature.edges)
    after = pairs["ts"] >= pairs["begins"] if first == "[" else pairs["ts"] > pairs["begins"]
    before = pairs["ts"] <= pairs["ends"] if last == "]" else pairs["ts"] < pairs["ends"]
    inside = pairs[after & before]
    if feature.holds_text:
        values = _texts(feature, inside, naive)
    else:
        values = _steps(feature, _aggregate(feature, inside, naive), naive)
    found = values.reindex(requests["row_id"])
    if "empty" not in naive and feature.if_empty is not None:
        # A window with events whose value isn't defined (the spread of one) stays missing.
        held_any = inside.loc[inside["x"].notna(), "row_id"].unique()
        found[found.isna() & ~found.index.isin(held_any)] = feature.if_empty
    return found.reset_index(drop=True).rename(feature.name)


def _bounds(feature: Specification, ts: pd.Series, naive: Collection[str]) -> tuple[pd.Series, pd.Series]:
    length = pd.Timedelta(days=feature.days)
    if not feature.zone:
        return ts - length, ts
    if "day" in naive:
        ends = ts.dt.normalize()
        return ends - length, ends
    # By the calendar, not by hours: a day of a zone may have 23 or 25.
    midnight = ts.dt.tz_convert(feature.zone).dt.tz_localize(None).dt.normalize()

    def moment(local: pd.Series) -> pd.Series:
        placed = local.dt.tz_localize(
            feature.zone, ambiguous=np.ones(len(local), bool), nonexistent="shift_forward"
        )
        return placed.dt.tz_convert("UTC")

    return moment(midnight - length), moment(midnight)


def _aggregate(feature: Specification, inside: pd.DataFrame, naive: Collection[str]) -> pd.Series:
    by_row = inside.groupby("row_id")["x"]
    if feature.aggregate == "count":
        return by_row.count().astype(float)
    if feature.aggregate == "sum":
        return by_row.sum(min_count=0 if "missing" in naive else 1)
    if feature.aggregate == "mean":
        return by_row.mean()
    if feature.aggregate == "latest":
        return inside.sort_values(["ts", "event_id"], kind="stable").groupby("row_id")["x"].last()
    if feature.aggregate == "std":
        if "ddof" in naive:
            return by_row.std()
        # Sums of whole numbers are exact, so that one division and one root are all that is rounded.
        n, total = by_row.count().astype(float), by_row.sum()
        squares = (inside["x"] ** 2).groupby(inside["row_id"]).sum()
        spread = np.sqrt((n * squares - total**2) / (n * (n - feature.ddof)).where(n > feature.ddof))
        return spread
    if "quantile" in naive:
        return by_row.quantile(feature.q)
    return by_row.agg(lambda values: _quantile(feature, np.sort(values.dropna().to_numpy())))


def _quantile(feature: Specification, ordered: np.ndarray) -> float:
    n = len(ordered)
    if not n:
        return float("nan")
    if feature.interpolation == "nearest rank":
        return float(ordered[max(int(np.ceil(n * feature.q)), 1) - 1])
    place = (n - 1) * feature.q
    low = int(np.floor(place))
    below, above = ordered[low], ordered[min(low + 1, n - 1)]
    return float(below + (above - below) * (place - low))


def _steps(feature: Specification, values: pd.Series, naive: Collection[str]) -> pd.Series:
    if feature.width is not None:
        values = values // feature.width if "division" in naive else np.floor(values / feature.width)
    if feature.log:
        base_10 = feature.log == "10" and "log" not in naive
        values = (np.log10 if base_10 else np.log)(1 + values.clip(lower=0))
    if feature.digits is not None:
        power = 10.0**feature.digits
        values = values.round(feature.digits) if "rounding" in naive else np.rint(values * power) / power
    narrow = feature.dtype == "float32" or "float32" in naive
    return values.astype("float32").astype(float) if narrow else values


def _texts(feature: Specification, inside: pd.DataFrame, naive: Collection[str]) -> pd.Series:
    ordered = inside.sort_values(["ts", "event_id"], kind="stable")
    latest = ordered.groupby("row_id")["x"].last().dropna().astype(object)
    if "text" in naive:
        latest = latest.str.lower()
    elif feature.text == "folded":
        latest = latest.map(fold)
    if feature.categories:
        if "categories" in naive:
            # In alphabetical order, of those that this batch happens to hold.
            return latest.astype("category").cat.codes.astype(float)
        places = {each: float(place) for place, each in enumerate(feature.known)}
        return latest.map(lambda each: places.get(each, float(len(places)))).astype(float)
    if feature.buckets is not None:
        if "hash" in naive:
            codes = pd.util.hash_array(latest.to_numpy(object)) % np.uint64(feature.buckets)
            return pd.Series(codes.astype(float), index=latest.index)
        return latest.map(
            lambda each: float(
                int(hashlib.md5(each.encode(), usedforsecurity=False).hexdigest()[:8], 16) % feature.buckets
            )
        ).astype(float)
    return latest
