"""How does a service in plain Python compute the feature, and how as specified?"""

from __future__ import annotations

import hashlib
import math
import statistics
import struct
from collections import defaultdict
from collections.abc import Collection
from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd
import pyarrow as pa

from toolkit.features.specification import Specification, fold

__all__ = ["SERVER_ZONE", "compute"]

# `datetime.fromtimestamp` takes the machine's zone; a server of FooBar's stands here.
SERVER_ZONE = "America/Los_Angeles"


def compute(
    feature: Specification, events: pa.Table, requests: pd.DataFrame, naive: Collection[str] = ()
) -> pd.Series:
    """The feature's value at each request, in plain Python.

    Parameters
    ----------
    feature : Specification
    events, requests : as `read_events` and `read_requests` give them
    naive : collection of str
        The decisions that are left to Python's habits.

    Examples
    --------
    >>> from toolkit.features.specification import read_events, read_requests
    >>> events = pd.DataFrame({"event_id": [1, 2], "entity_id": [7, 7], "amount": [200.0, 400.0],
    ...     "ts": pd.to_datetime(["2026-03-01 10:00Z", "2026-03-02 10:00Z"])})
    >>> requests = pd.DataFrame({"row_id": [1], "entity_id": [7], "ts": pd.to_datetime(["2026-03-03 10:00Z"])})
    >>> spread = Specification("f_spread", "amount", "std", days=7)
    >>> tables = read_events(events, [spread]), read_requests(requests)
    >>> compute(spread, *tables).round(1).tolist(), compute(spread, *tables, naive={"ddof"}).tolist()
    ([141.4], [100.0])
    """
    held: dict[Any, list[tuple[datetime, Any, Any]]] = defaultdict(list)
    columns = (events[name].to_pylist() for name in ("entity_id", "ts", "event_id", feature.column))
    for entity, ts, event, x in zip(*columns, strict=True):
        held[entity].append((ts, event, x))
    for its in held.values():
        its.sort(key=lambda event: event[:2])
    categories = {text: place for place, text in enumerate(feature.known)}
    first_seen: dict[str, int] = {}
    found = []
    for entity, at in zip(requests["entity_id"], requests["ts"].dt.to_pydatetime(), strict=True):
        begins, ends = _bounds(feature, at, naive)
        inside = [x for ts, _, x in held.get(entity, ()) if _within(feature, ts, begins, ends, naive)]
        kept = [x for x in inside if x is not None]
        if not feature.holds_text and "missing" not in naive:
            kept = [x for x in kept if not math.isnan(x)]
            if feature.missing == "zero":
                kept = [0.0 if x is None or math.isnan(x) else x for x in inside]
        if feature.holds_text:
            found.append(_text(feature, kept, naive, first_seen if "categories" in naive else categories))
        else:
            found.append(_number(feature, kept, naive))
    return pd.Series(found, name=feature.name, dtype=float if feature.is_number else object)


def _bounds(feature: Specification, at: datetime, naive: Collection[str]) -> tuple[datetime, datetime]:
    length = timedelta(days=feature.days)
    if not feature.zone:
        return at - length, at
    zone = ZoneInfo(SERVER_ZONE if "day" in naive else feature.zone)
    today = at.astimezone(zone).date()
    first = today - length

    def midnight(day: Any) -> datetime:
        # In UTC, because times of one zone are compared by their clocks' hands.
        return datetime.combine(day, time(), zone).astimezone(UTC)

    return midnight(first), midnight(today)


def _within(
    feature: Specification, ts: datetime, begins: datetime, ends: datetime, naive: Collection[str]
) -> bool:
    first, last = tuple("[)" if "edges" in naive else feature.edges)
    return (begins <= ts if first == "[" else begins < ts) and (ts <= ends if last == "]" else ts < ends)


def _number(feature: Specification, xs: list[float], naive: Collection[str]) -> float:
    if feature.aggregate == "count":
        value = float(len(xs))
    elif not xs:
        habit = 0.0 if "empty" in naive else feature.if_empty
        return math.nan if habit is None else habit
    elif feature.aggregate == "sum":
        value = float(sum(xs))
    elif feature.aggregate == "mean":
        value = sum(xs) / len(xs)
    elif feature.aggregate == "latest":
        value = xs[-1]
    elif feature.aggregate == "std":
        value = statistics.pstdev(xs) if "ddof" in naive and not _undefined(xs) else _spread(feature, xs)
    else:
        value = _quantile(feature, sorted(xs), naive)
    return value if math.isnan(value) else _steps(feature, value, naive)


def _undefined(xs: list[float]) -> bool:
    return any(math.isnan(x) for x in xs)


def _spread(feature: Specification, xs: list[float]) -> float:
    n = len(xs)
    if n <= feature.ddof or _undefined(xs):
        return math.nan
    total, squares = sum(xs), sum(x * x for x in xs)
    return math.sqrt((n * squares - total * total) / (n * (n - feature.ddof)))


def _quantile(feature: Specification, ordered: list[float], naive: Collection[str]) -> float:
    n = len(ordered)
    if "quantile" in naive:
        return ordered[min(int(feature.q * n), n - 1)]
    if feature.interpolation == "nearest rank":
        return ordered[max(math.ceil(n * feature.q), 1) - 1]
    place = (n - 1) * feature.q
    low = math.floor(place)
    below, above = ordered[low], ordered[min(low + 1, n - 1)]
    return below + (above - below) * (place - low)


def _steps(feature: Specification, value: float, naive: Collection[str]) -> float:
    if feature.width is not None:
        value = float(value // feature.width if "division" in naive else math.floor(value / feature.width))
    if feature.log:
        base_10 = feature.log == "10" and "log" not in naive
        value = (math.log10 if base_10 else math.log)(1 + max(value, 0.0))
    if feature.digits is not None:
        power = 10.0**feature.digits
        value = round(value, feature.digits) if "rounding" in naive else round(value * power) / power
    if feature.dtype == "float32" and "float32" not in naive:
        (value,) = struct.unpack("<f", struct.pack("<f", value))
    return value


def _text(feature: Specification, kept: list[str], naive: Collection[str], places: dict[str, int]) -> Any:
    if not kept:
        return feature.if_empty if "empty" not in naive else None
    text = kept[-1]
    if "text" in naive:
        text = text.strip().casefold()
    elif feature.text == "folded":
        text = fold(text)
    if feature.categories:
        # By habit a new text gets the next free number.
        return float(
            places.setdefault(text, len(places)) if "categories" in naive else places.get(text, len(places))
        )
    if feature.buckets is not None:
        md5 = hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
        return float((hash(text) if "hash" in naive else int(md5[:8], 16)) % feature.buckets)
    return text
