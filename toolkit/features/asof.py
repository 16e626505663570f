"""What could be read of a feature at the time of each row?

A value describes an event (`event_ts`) and can be read from `available_ts` on. A row gets the value of
the newest event among those that could be read at its time, whatever order they came in.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import duckdb
import narwhals as nw
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from toolkit.features.repeats import IN_AN_ARRAY, check_once, tied_in_time
from toolkit.features.sources import NUMBERS, TEXT, TIMES, Source, identifier, literal, open_engine, source

__all__ = ["asof_join"]

# From here on a float leaves whole numbers out.
_EXACT = 2**53
_UTC = {"UTC", "Etc/UTC", "Z", "+00:00", "GMT"}
_LAG = "epoch_us(available_ts) - epoch_us(event_ts)"
# No caller's column is called that.
_PLACE = '"place among the rows"'


def asof_join(
    rows: Any,
    feature_history: Any,
    *,
    key: str | Sequence[str] = "item_id",
    entity: str | Sequence[str] | None = None,
    ts: str = "ts",
    features: Sequence[str] | None = None,
    max_age: timedelta | str | None = None,
    prefix: str = "f_",
    memory_limit: str | None = None,
) -> Any:
    """Each row with the features' values that could be read at its time (a point-in-time join).

    Of the events whose value was available at the row's time, that time included, the newest counts
    (the latest `event_ts`). A correction is a further value of the same event that became available
    later: it counts from then on. An old event that comes in late doesn't hide a newer one. A value
    that is missing is a value: it hides the ones before it.

    Parameters
    ----------
    rows : any frame that Narwhals reads, DuckDB relation, or path of a Parquet file
        One row an example. Any order.
    feature_history : likewise
        One row a value: the entity, `feature`, `event_ts`, `available_ts`, `value`. Any order.
    key : str or sequence of str
        Columns of `rows` that name the entity.
    entity : str or sequence of str, optional
        Columns of `feature_history` that name it; where not given, `entity_id` for one key column, and
        the key's own names for several.
    ts : str
        The column of `rows` with the time; to the microsecond, as all times.
    features : sequence of str, optional
        Which to join; all of the history's, in alphabetical order, where not given.
    max_age : timedelta or str, optional
        How old the event may be at the row's time, itself included ("36h"); an older one reads as missing.
    prefix : str
        Before the feature's name in the result.
    memory_limit : str, optional
        What the engine may hold in memory ("500MB"); beyond it, it goes to disk.

    Returns
    -------
    frame
        Every one of the rows, in their order and under their index, with a column a feature; missing
        where nothing was available. For an eager frame, one of the same library; for a lazy one, what
        collecting it makes; for a relation or a path, a DuckDB relation that computes when it's read,
        so that `.to_parquet(...)` streams.

    Raises
    ------
    ValueError
        Before any work: if a column is missing or of the wrong kind, a time bears no zone or another
        one than `ts`, a key, time or feature is missing in a row (nan is), a key is a float of 2**53 or more,
        a value was available before its event, there are two values of one feature for one entity and both
        times, a feature isn't in the history, or a result's column is in `rows` already.

    Examples
    --------
    >>> day = pd.Timestamp("2026-03-02", tz="UTC") + pd.to_timedelta(range(4), unit="D")
    >>> history = pd.DataFrame({"entity_id": 7, "feature": "rate", "event_ts": day[:2],
    ...     "available_ts": day[1:3], "value": [0.1, 0.3]})
    >>> rows = pd.DataFrame({"item_id": 7, "ts": day[[3, 1, 0]]})
    >>> asof_join(rows, history)["f_rate"].tolist()
    [0.3, 0.1, nan]
    """
    keys = [key] if isinstance(key, str) else list(key)
    entities = _entities(keys, entity)
    age = _microseconds(max_age)
    if isinstance(features, str):
        raise ValueError(f"features: got {features!r}; it must be a list of names")
    engine = open_engine(memory_limit)
    asked = source(engine, rows, "rows", [*keys, ts])
    columns = [*entities, "feature", "event_ts", "available_ts", "value"]
    known = source(engine, feature_history, "feature_history", columns)
    _check_kinds(asked, known, keys, entities, ts)
    _check_complete(engine, [*keys, ts])
    _check_exact(engine, asked, keys)
    _check_exact(engine, known, entities)
    # Repeated values are looked for beside the join: that keeps one core busy, for less time than the join.
    with ThreadPoolExecutor(1) as beside:
        tied: Future[np.ndarray] | None = None
        if known.arrow is not None and len(known.arrow) <= IN_AN_ARRAY:
            tied = beside.submit(tied_in_time, known.microseconds(engine, "available_ts"))
        told = _features_told(engine, known, entities)
        names = _check_features(features, told)
        _check_apart(asked, names, prefix)
        query = _query(asked, told, list(zip(keys, entities, strict=True)), ts, names, age, prefix)
        if asked.arrow is None:
            check_once(engine, known, entities, names, None if tied is None else tied.result())
            return engine.sql(query)
        places = pa.array(np.arange(len(asked.arrow), dtype=np.int64))
        engine.register("rows", asked.arrow.append_column(_PLACE.strip('"'), places))
        # The places say where each value belongs, so the engine needn't keep an order.
        engine.execute("SET preserve_insertion_order = false")
        found = engine.execute(query).fetchnumpy()
        check_once(engine, known, entities, names, None if tied is None else tied.result())
    place = found.pop(_PLACE.strip('"'))
    added = zip(names, found.values(), strict=True)
    return _added(asked.eager, {f"{prefix}{name}": _in_order(values, place) for name, values in added})


def _check_kinds(asked: Source, known: Source, keys: Sequence[str], entities: Sequence[str], ts: str) -> None:
    wanted = {"feature": TEXT, "value": NUMBERS, "event_ts": TIMES, "available_ts": TIMES}
    for table, column, rule in (
        (asked, ts, TIMES),
        *((known, column, rule) for column, rule in wanted.items()),
    ):
        if table.kinds[column] != rule:
            raise ValueError(f"{column}: got {table.kinds[column]} in {table.name}; it must be {rule}")
    for key, entity in zip(keys, entities, strict=True):
        ours, theirs = asked.kinds[key], known.kinds[entity]
        if ours != theirs or ours not in (NUMBERS, TEXT, "UUID"):
            raise ValueError(
                f"{key}: got {ours} in rows and {theirs} in {entity} of feature_history; both must be "
                "numbers, or both text"
            )
    zones = {
        column: "UTC" if table.zones[column] in _UTC else table.zones[column]
        for table, column in ((asked, ts), (known, "event_ts"), (known, "available_ts"))
        if column in table.zones
    }
    if len(set(zones.values())) > 1:
        told = ", ".join(f"{zone} in {column}" for column, zone in zones.items())
        raise ValueError(f"{ts}: got {told}; all times must be in one zone")


def _check_complete(engine: duckdb.DuckDBPyConnection, columns: Sequence[str]) -> None:
    counts = ", ".join(f"count(*) - count({identifier(column)})" for column in columns)
    rows, *missing = _one(engine, f"SELECT count(*), {counts} FROM rows")
    for column, count in zip(columns, missing, strict=True):
        if count:
            raise ValueError(f"{column}: got {count:,} missing of {rows:,}; rows must be complete")


def _check_exact(engine: duckdb.DuckDBPyConnection, table: Source, columns: Sequence[str]) -> None:
    """Refuse keys that came as floats and are too large for a float to tell one from the next."""
    for column in table.floats.intersection(columns):
        (largest,) = _one(engine, f"SELECT max(abs({identifier(column)})) FROM {table.name}")
        if largest is not None and largest >= _EXACT:
            raise ValueError(
                f"{column}: got {largest:g} in {table.name} as a float, which tells whole numbers apart "
                f"below {_EXACT:,} alone; it must be a whole number or text"
            )


def _check_apart(asked: Source, names: Sequence[str], prefix: str) -> None:
    """Refuse a result's column that is in the rows already; the engine's own tables know no capitals."""

    def seen(column: str) -> str:
        return column.lower() if asked.eager is None else column

    taken, made = {seen(column) for column in asked.kinds}, set[str]()
    for name in names:
        column = seen(f"{prefix}{name}")
        if column in taken:
            raise ValueError(f"prefix: got {prefix!r}; rows have a column {prefix}{name} already")
        if column in made:
            raise ValueError(f"features: got {name!r} and another that differs in capitals alone; join one")
        made.add(column)


def _features_told(engine: duckdb.DuckDBPyConnection, known: Source, entities: Sequence[str]) -> pd.DataFrame:
    """Of each feature in the history: the least and longest time until a value could be read."""
    columns = [*entities, "event_ts", "available_ts"]
    if known.arrow is not None and not any(known.arrow[c].null_count for c in [*columns, "feature"]):
        # Where all values took equally long, two arrays tell it sooner than the engine does.
        lag = known.microseconds(engine, "available_ts") - known.microseconds(engine, "event_ts")
        if len(lag) and lag.min() == lag.max() >= 0:
            names = known.arrow["feature"]
            # To compare with one name takes half the time of telling many apart.
            alone = pc.all(pc.equal(names, names[0])).as_py()
            features = sorted(pc.unique(names[:1] if alone else names).to_pylist())
            return pd.DataFrame({"least": lag.min(), "most": lag.min()}, index=features)
    missing = [f"count(*) - count({identifier(column)})" for column in columns]
    told = engine.execute(
        f"SELECT feature::VARCHAR, count(*), min({_LAG}), max({_LAG}), {', '.join(missing)}"
        " FROM feature_history GROUP BY feature ORDER BY feature"
    ).fetchall()
    if not told:
        raise ValueError("feature_history: got no row; it must have one at least")
    table = pd.DataFrame(told, columns=["feature", "values", "least", "most", *columns]).set_index("feature")
    total = int(table["values"].sum())
    absent = {"feature": int(table["values"][table.index.isna()].sum())}
    absent |= {column: int(table[column].sum()) for column in columns}
    for column, count in absent.items():
        if count:
            raise ValueError(
                f"{column}: got {count:,} missing of {total:,}; feature_history must be complete"
            )
    if (table["least"] < 0).any():
        feature = table.index[table["least"] < 0][0]
        early = timedelta(microseconds=-int(table.loc[feature, "least"]))
        raise ValueError(
            f"available_ts: got a value of {feature!r} that was available {early} before its event; "
            "none may be"
        )
    return table


def _check_features(features: Sequence[str] | None, told: pd.DataFrame) -> list[str]:
    names = list(told.index) if features is None else list(dict.fromkeys(features))
    for name in names:
        if name not in told.index:
            raise ValueError(f"feature: got {name!r}; feature_history has no such feature")
    if not names:
        raise ValueError("features: got none; it must name one at least")
    return names


def _query(
    asked: Source,
    told: pd.DataFrame,
    pairs: Sequence[tuple[str, str]],
    ts: str,
    names: Sequence[str],
    age: int | None,
    prefix: str,
) -> str:
    """One statement: an ASOF JOIN a feature, and for an eager frame only the places and the values."""
    entities = [identifier(entity) for _, entity in pairs]
    values, joins = [], []
    for number, name in enumerate(names):
        late = told.loc[name, "least"] != told.loc[name, "most"]
        history = (_newest if late else _as_it_came)(entities, name if len(told) > 1 else None)
        on = [f"r.{identifier(key)} = h{number}.{identifier(entity)}" for key, entity in pairs]
        on.append(f"r.{identifier(ts)} >= h{number}.available_ts")
        joins.append(f"ASOF LEFT JOIN ({history}) h{number} ON {' AND '.join(on)}")
        value = f"h{number}.value::DOUBLE"
        if age is not None:
            young = f"epoch_us(r.{identifier(ts)}) - epoch_us(h{number}.event_ts) <= {age}"
            value = f"CASE WHEN {young} THEN {value} END"
        # A frame's columns get their names later: the engine knows no capitals.
        values.append(f"{value} AS {identifier(prefix + name) if asked.eager is None else f'v{number}'}")
    columns = ", ".join(dict.fromkeys([*(identifier(key) for key, _ in pairs), identifier(ts)]))
    lazy = asked.eager is None
    numbered = f"*, row_number() OVER () AS {_PLACE}" if lazy else f"{columns}, {_PLACE}"
    return (
        f"SELECT {f'r.* EXCLUDE {_PLACE}' if lazy else f'r.{_PLACE}'}, {', '.join(values)}"
        f" FROM (SELECT {numbered} FROM rows) r"
        f" {' '.join(joins)}{f' ORDER BY r.{_PLACE}' if lazy else ''}"
    )


def _as_it_came(entities: Sequence[str], name: str | None) -> str:
    """Where every value took equally long, the last one available is the newest event's."""
    where = "" if name is None else f" WHERE feature = {literal(name)}"
    return f"SELECT {', '.join(entities)}, event_ts, available_ts, value FROM feature_history{where}"


def _newest(entities: Sequence[str], name: str | None) -> str:
    """Only the values that were the newest event's when they became available: the last of them counts."""
    return (
        f"SELECT {', '.join(entities)}, event_ts, available_ts, value FROM ({_as_it_came(entities, name)})"
        f" WINDOW w AS (PARTITION BY {', '.join(entities)} ORDER BY available_ts, event_ts"
        " ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)"
        " QUALIFY max(event_ts) OVER w = event_ts AND lead(available_ts) OVER"
        f" (PARTITION BY {', '.join(entities)} ORDER BY available_ts, event_ts)"
        " IS DISTINCT FROM available_ts"
    )


def _in_order(values: Any, place: np.ndarray) -> np.ndarray:
    """The values in the order of the rows; nan where there was none."""
    result = np.empty(len(place))
    result[place] = np.ma.filled(values, np.nan)
    return result


def _added(frame: Any, columns: Mapping[str, np.ndarray]) -> Any:
    native = frame.to_native()
    if frame.implementation.is_pandas_like():
        return native.assign(**columns)
    # Where a library tells missing from nan, what wasn't there is missing.
    made = [
        nw.new_series(name, values, backend=frame.implementation).fill_nan(None)
        for name, values in columns.items()
    ]
    return frame.with_columns(*made).to_native()


def _entities(keys: Sequence[str], entity: str | Sequence[str] | None) -> list[str]:
    if entity is None:
        names = ["entity_id"] if len(keys) == 1 else list(keys)
    else:
        names = [entity] if isinstance(entity, str) else list(entity)
    if not keys or len(names) != len(keys):
        raise ValueError(f"entity: got {names} for the key {list(keys)}; they must be as many, one at least")
    return names


def _microseconds(max_age: timedelta | str | None) -> int | None:
    if max_age is None:
        return None
    # A bare number would be nanoseconds to pandas, and hours to whoever wrote it.
    bare = not isinstance(max_age, str | timedelta | np.timedelta64) or str(max_age).strip().isdecimal()
    try:
        age = pd.NaT if bare else pd.Timedelta(max_age)
    except (ValueError, TypeError):
        age = pd.NaT
    if age is pd.NaT or age < pd.Timedelta(0):
        raise ValueError(
            f"max_age: got {max_age!r}; it must be a time with its unit such as '36h', not below 0"
        )
    return int(age // pd.Timedelta(1, "us"))


def _one(engine: duckdb.DuckDBPyConnection, query: str) -> tuple[Any, ...]:
    # All of it: a result that isn't read to its end keeps the engine from the caller's relation.
    (found,) = engine.execute(query).fetchall()
    return tuple(found)
