"""How does an analyst in DuckDB compute the feature, and how as specified?"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import pandas as pd
import pyarrow as pa

from toolkit.features.specification import BLANKS, Specification

__all__ = ["SESSION_ZONE", "compute", "sql"]

# DuckDB takes the machine's zone where a session sets none; FooBar's analysts sit here.
SESSION_ZONE = "America/New_York"


def compute(
    feature: Specification, events: pa.Table, requests: pd.DataFrame, naive: Collection[str] = ()
) -> pd.Series:
    """The feature's value at each request, in DuckDB.

    Parameters
    ----------
    feature : Specification
    events, requests : as `read_events` and `read_requests` give them
    naive : collection of str
        The decisions that are left to DuckDB's habits.

    Examples
    --------
    >>> from toolkit.features.specification import read_events, read_requests
    >>> events = pd.DataFrame({"event_id": [1, 2], "entity_id": [7, 7], "amount": [-250.0, -450.0],
    ...     "ts": pd.to_datetime(["2026-03-01 10:00Z", "2026-03-02 10:00Z"])})
    >>> requests = pd.DataFrame({"row_id": [1], "entity_id": [7], "ts": pd.to_datetime(["2026-03-03 10:00Z"])})
    >>> euros = Specification("f_euros", "amount", "sum", days=7, width=1000)
    >>> tables = read_events(events, [euros]), read_requests(requests)
    >>> compute(euros, *tables).tolist(), compute(euros, *tables, naive={"division"}).tolist()
    ([-1.0], [0.0])
    """
    import duckdb

    asked = pa.table(
        {
            "place": pa.array(range(len(requests)), pa.int64()),
            "row_id": pa.array(requests["row_id"]),
            "entity_id": pa.array(requests["entity_id"]),
            "ts": pa.array(requests["ts"], pa.timestamp("us", tz="UTC")),
        }
    )
    with duckdb.connect() as connection:
        connection.execute(f"SET TimeZone = '{SESSION_ZONE}'")
        connection.execute("SET threads = 1")
        connection.register("events", events)
        connection.register("requests", asked)
        found = [value for _, value in connection.execute(sql(feature, naive)).fetchall()]
    return pd.Series(found, name=feature.name, dtype=float if feature.is_number else object)


def sql(feature: Specification, naive: Collection[str] = ()) -> str:
    """The query that computes the feature from tables `events` and `requests`.

    Examples
    --------
    >>> print(sql(Specification("f_orders", "amount", "count", days=7)))
    WITH asked AS (
      SELECT *, ts - INTERVAL 168 HOUR AS begins, ts AS ends FROM requests
    ), held AS (
      SELECT event_id, entity_id, ts, amount AS x FROM events
      WHERE amount IS NOT NULL AND NOT isnan(amount)
    ), computed AS (
      SELECT place, count(x) AS n, count(x)::DOUBLE AS raw
      FROM asked LEFT JOIN held
        ON held.entity_id = asked.entity_id AND held.ts >= begins AND held.ts < ends
      GROUP BY place
    )
    SELECT place, raw AS value FROM computed ORDER BY place
    """
    # BETWEEN holds both ends.
    first, last = tuple("[]" if "edges" in naive else feature.edges)
    begins, ends = _bounds(feature, naive)
    x, where = _held(feature, naive)
    join = f"held.ts {'>=' if first == '[' else '>'} begins AND held.ts {'<=' if last == ']' else '<'} ends"
    value = _coded(feature, naive) if feature.holds_text else _steps(feature, naive)
    if "empty" not in naive and feature.empty is not None:
        value = f"CASE WHEN n = 0 THEN {feature.empty!r}::DOUBLE ELSE {value} END"
    numbered = ""
    if feature.categories and "categories" in naive:
        numbered = """, numbered AS (
  SELECT text, row_number() OVER (ORDER BY count(*) DESC, text) - 1 AS number FROM folded
  WHERE text IS NOT NULL GROUP BY text
)"""
    folded = f", folded AS (SELECT place, n, {_text(feature, naive)} AS text FROM computed)"
    return f"""WITH asked AS (
  SELECT *, {begins} AS begins, {ends} AS ends FROM requests
), held AS (
  SELECT event_id, entity_id, ts, {x} AS x FROM events{where}
), computed AS (
  SELECT place, count(x) AS n, {_aggregate(feature, naive)} AS raw
  FROM asked LEFT JOIN held
    ON held.entity_id = asked.entity_id AND {join}
  GROUP BY place
){folded if feature.holds_text else ""}{numbered}
SELECT place, {value} AS value FROM {"folded" if feature.holds_text else "computed"}{" LEFT JOIN numbered USING (text)" if numbered else ""} ORDER BY place"""


def _bounds(feature: Specification, naive: Collection[str]) -> tuple[str, str]:
    length = f"INTERVAL {feature.days} DAY"
    if not feature.zone:
        # A day's interval goes by the session's calendar: 23 hours, when its clocks are put forward.
        return f"ts - {length if 'day' in naive else f'INTERVAL {24 * feature.days} HOUR'}", "ts"
    if "day" in naive:
        return f"date_trunc('day', ts) - {length}", "date_trunc('day', ts)"
    day = f"date_trunc('day', timezone('{feature.zone}', ts))"
    return _moment(f"{day} - {length}", feature.zone), _moment(day, feature.zone)


def _moment(midnight: str, zone: str) -> str:
    """The moment of a midnight there; the first where clocks that are put back make two of it."""
    moment = f"timezone('{zone}', {midnight})"
    earlier = f"{moment} - INTERVAL 1 HOUR"
    return f"CASE WHEN timezone('{zone}', {earlier}) = {midnight} THEN {earlier} ELSE {moment} END"


def _held(feature: Specification, naive: Collection[str]) -> tuple[str, str]:
    column = feature.column
    if feature.holds_text:
        return column, f"\n  WHERE {column} IS NOT NULL"
    if "missing" in naive:
        return column, ""
    if feature.missing == "zero":
        return f"CASE WHEN {column} IS NULL OR isnan({column}) THEN 0 ELSE {column} END", ""
    return column, f"\n  WHERE {column} IS NOT NULL AND NOT isnan({column})"


def _aggregate(feature: Specification, naive: Collection[str]) -> str:
    if feature.aggregate == "count":
        return "count(x)::DOUBLE"
    if feature.aggregate in ("sum", "mean"):
        return {"sum": "sum(x)", "mean": "sum(x) / count(x)"}[feature.aggregate]
    if feature.aggregate == "latest":
        return "last(x ORDER BY held.ts, event_id) FILTER (x IS NOT NULL)"
    if feature.aggregate == "std":
        if "ddof" in naive:
            return "stddev(x)"
        n = "count(x)::DOUBLE"
        freedom = f"nullif({n} * greatest({n} - {feature.ddof}, 0), 0)"
        return f"sqrt(({n} * sum(x * x) - sum(x) * sum(x)) / {freedom})"
    if "quantile" in naive:
        return f"quantile(x, {feature.q!r})"
    ordered, q = "list_sort(list(x) FILTER (x IS NOT NULL))", f"{feature.q!r}::DOUBLE"
    if feature.interpolation == "nearest rank":
        return f"{ordered}[greatest(ceil(count(x) * {q}), 1)::BIGINT]"
    place = f"((count(x) - 1) * {q})"
    below = f"{ordered}[floor({place})::BIGINT + 1]"
    above = f"{ordered}[least(floor({place}) + 2, count(x))::BIGINT]"
    return f"{below} + ({above} - {below}) * ({place} - floor({place}))"


def _steps(feature: Specification, naive: Collection[str]) -> str:
    value = "raw"
    if feature.width is not None:
        whole = f"(CASE WHEN isnan(raw) THEN NULL ELSE raw END)::BIGINT // {feature.width}"
        value = f"({whole})::DOUBLE" if "division" in naive else f"floor(raw / {feature.width}::DOUBLE)"
    if feature.log:
        base = "log" if "log" in naive or feature.log == "10" else "ln"
        # Not greatest(), which passes over NULL and would make 0 of it.
        value = f"{base}(1 + CASE WHEN {value} < 0 THEN 0 ELSE {value} END)"
    if feature.digits is not None:
        power = f"1e{feature.digits}::DOUBLE"
        even = f"round_even({value} * {power}, 0) / {power}"
        value = f"round({value}, {feature.digits})" if "rounding" in naive else even
    narrow = feature.dtype == "float32" and "float32" not in naive
    return f"({value})::FLOAT::DOUBLE" if narrow else value


def _text(feature: Specification, naive: Collection[str]) -> str:
    if "text" in naive:
        return "lower(trim(raw))"
    return f"lower(nfc_normalize(trim(raw, {_quoted(BLANKS)})))" if feature.text == "folded" else "raw"


def _coded(feature: Specification, naive: Collection[str]) -> str:
    if feature.categories:
        if "categories" in naive:
            return "number::DOUBLE"
        known = ", ".join(_quoted(each) for each in feature.known)
        place = f"coalesce(list_position([{known}], text) - 1, {len(feature.known)})::DOUBLE"
        return f"CASE WHEN text IS NULL THEN NULL ELSE {place} END"
    if feature.buckets is not None:
        code = "hash(text)" if "hash" in naive else "('0x' || substr(md5(text), 1, 8))::UBIGINT"
        return f"({code} % {feature.buckets})::DOUBLE"
    return "text"


def _quoted(text: Any) -> str:
    return "'" + str(text).replace("'", "''") + "'"
