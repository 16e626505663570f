"""Does a reader's own table fit the nine that every diagnostic reads (`toolkit.nine_tables`)?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import narwhals as nw
import pandas as pd

from toolkit.frames import schema_of
from toolkit.nine_tables import KINDS, SCHEMA, Column, Kind, Table, data_dictionary, nine

__all__ = ["SCHEMA", "Column", "Kind", "Table", "data_dictionary", "problems", "validate", "validate_all"]


def problems(frame: Any, table: str | Table) -> pd.DataFrame:
    """What is wrong with a table, by the schema: one row a broken rule, none for a good table.

    Parameters
    ----------
    frame : any frame that Narwhals reads
        Eager or lazy; only counts are fetched from a lazy one.
    table : str or Table
        Which of the nine tables it should be, or a schema of one's own.

    Returns
    -------
    DataFrame
        `column`, `rule` that it breaks, `rows` that break it (None where the whole column does).

    Raises
    ------
    ValueError
        If there is no such table, or `frame` isn't a frame.

    Examples
    --------
    >>> frame = pd.DataFrame({"request_id": [1, 1], "item_id": [7, 7], "y": [0, 2]})
    >>> for column, rule, rows in problems(frame, "outcomes").itertuples(index=False):
    ...     print(f"{column}: {rule}")
    label_ts: it is missing
    y: 0 or 1
    request_id, item_id: each at most once
    """
    schema = table if isinstance(table, Table) else nine(table)
    lazy = _lazy(frame, schema.name)
    types = schema_of(lazy)
    found: list[tuple[str, str, int | None]] = []
    checks: dict[str, tuple[str, str, nw.Expr]] = {}
    whole = []
    features = [name for name in types if name.startswith("f_")] if schema.features else []
    for column in (
        *schema.columns,
        *(Column(name, "number", "", may_be_missing="where it isn't used") for name in features),
    ):
        if column.name not in types:
            found.append((column.name, "it is missing", None))
            continue
        if not _is_kind(types[column.name], column.kind):
            found.append((column.name, f"{KINDS[column.kind]}; it is {types[column.name]}", None))
            continue
        whole.append(column.name)
        for rule, broken in _broken(column, types[column.name]).items():
            checks[f"check {len(checks)}"] = (column.name, rule, broken)
    for before, after in schema.not_before:
        if {before, after} <= set(whole):
            late = nw.col(after) < nw.col(before)
            checks[f"check {len(checks)}"] = (after, f"not before {before}", late)
    if checks:
        counts = lazy.select(**{name: check[2].cast(nw.Int64).sum() for name, check in checks.items()})
        row = counts.collect().rows(named=True)[0]
        found += [(column, rule, int(row[name])) for name, (column, rule, _) in checks.items() if row[name]]
    if schema.key and set(schema.key) <= set(whole):
        repeated = (
            lazy.group_by(*schema.key)
            .agg(nw.len().alias("n"))
            .filter(nw.col("n") > 1)
            .select(nw.len())
            .collect()
        )
        if repeated.item():
            found.append((", ".join(schema.key), "each at most once", int(repeated.item())))
    return pd.DataFrame(found, columns=["column", "rule", "rows"]).astype({"rows": "Int64"})


def validate(frame: Any, table: str) -> None:
    """Refuse a table that breaks the schema, naming every broken rule.

    Raises
    ------
    ValueError
        With the table, the columns, the rules and how many rows break each.

    Examples
    --------
    >>> validate(pd.DataFrame({"request_id": [1], "item_id": [7], "y": [2]}), "outcomes")
    Traceback (most recent call last):
    ValueError: outcomes: label_ts: it is missing; y: 0 or 1 (broken by 1 row)
    """
    found = problems(frame, table)
    if len(found):
        texts = [
            f"{column}: {rule}"
            + ("" if pd.isna(rows) else f" (broken by {rows:,} {'row' if rows == 1 else 'rows'})")
            for column, rule, rows in found.itertuples(index=False)
        ]
        raise ValueError(f"{table}: {'; '.join(texts)}")


def validate_all(frames: Mapping[str, Any]) -> None:
    """Refuse a set of tables of which one breaks the schema, or refers to rows that another lacks.

    Parameters
    ----------
    frames : mapping of table name to frame
        Any of the nine.

    Raises
    ------
    ValueError
        As `validate`; or with the table, its parent, and how many rows the parent lacks.

    Examples
    --------
    >>> day = pd.Timestamp("2026-03-02", tz="UTC")
    >>> users = pd.DataFrame({"experiment": "new", "user_id": [1, 1], "arm": "control", "ts": day})
    >>> validate_all({"assignments": users})
    Traceback (most recent call last):
    ValueError: assignments: experiment, user_id: each at most once (broken by 1 row)
    """
    for name, frame in frames.items():
        validate(frame, name)
    for name, frame in frames.items():
        parent = SCHEMA[name].parent
        if parent is None or parent[0] not in frames:
            continue
        key = list(parent[1])
        there = _lazy(frames[parent[0]], parent[0]).select(key).unique()
        lost = (
            _lazy(frame, name).select(key).join(there, on=key, how="anti").select(nw.len()).collect().item()
        )
        if lost:
            raise ValueError(f"{name}: {', '.join(key)}: {lost:,} rows aren't in {parent[0]}")


def _lazy(frame: Any, name: str) -> nw.LazyFrame[Any]:
    try:
        return nw.from_native(frame).lazy()
    except TypeError:
        raise ValueError(
            f"{name}: got {type(frame).__name__}; it must be a frame that Narwhals reads"
        ) from None


def _is_kind(dtype: Any, kind: Kind) -> bool:
    text = dtype in (nw.String, nw.Categorical, nw.Enum, nw.Object)
    if kind == "id":
        return bool(dtype.is_integer() or text)
    if kind in ("count", "label"):
        return bool(dtype.is_integer() or (kind == "label" and dtype == nw.Boolean))
    if kind == "flag":
        return bool(dtype == nw.Boolean)
    if kind == "text":
        return text
    if kind == "time":
        return bool(dtype == nw.Datetime and dtype.time_zone is not None)
    return bool(dtype.is_numeric())


def _broken(column: Column, dtype: Any) -> dict[str, nw.Expr]:
    """For each rule of a column, which rows break it."""
    value, rules = nw.col(column.name), {}
    if not column.may_be_missing:
        rules["never missing"] = value.is_null()
    there = ~value.is_null()
    if dtype.is_float():
        # Where missing is allowed, NaN is how pandas says it.
        bad = ~value.is_finite() if not column.may_be_missing else ~(value.is_finite() | value.is_nan())
        rules["finite"] = there & bad
    if column.kind == "label" and dtype != nw.Boolean:
        rules["0 or 1"] = there & ~value.is_in([0, 1])
    low = 0 if column.kind == "count" and column.low is None else column.low
    if low is not None:
        rules[f"at least {low:g}"] = there & (value < low)
    if column.above is not None:
        rules[f"above {column.above:g}"] = there & (value <= column.above)
    if column.high is not None:
        rules[f"at most {column.high:g}"] = there & (value > column.high)
    return rules
