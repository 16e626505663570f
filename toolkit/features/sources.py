"""In which form does a table come to the engine: a frame, a relation, or a file?"""

from __future__ import annotations

import glob
import tempfile
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import narwhals as nw
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from toolkit.frames import schema_of

__all__ = ["NUMBERS", "TEXT", "TIMES", "Source", "identifier", "literal", "open_engine", "source"]

_NANOSECONDS = "TIMESTAMPTZ_NS"
# What a column may hold, as errors say it.
NUMBERS, TEXT, TIMES = "numbers", "text", "times with their zone"


@dataclass(frozen=True)
class Source:
    """A table that the engine knows by its name: kinds and zones of its columns, and the frame itself if eager.

    `floats` are those of the needed columns that hold floating-point numbers; nan is missing in them.
    """

    name: str
    kinds: Mapping[str, str]
    zones: Mapping[str, str | None]
    floats: frozenset[str] = frozenset()
    eager: Any = None
    arrow: pa.Table | None = None

    def microseconds(self, engine: duckdb.DuckDBPyConnection, column: str) -> np.ndarray:
        """A column of times as whole numbers, in the order of the rows."""
        if self.arrow is None:
            query = f"SELECT epoch_us({identifier(column)}) AS at FROM {self.name}"
            return np.asarray(engine.execute(query).fetchnumpy()["at"])
        return np.asarray(self.arrow[column].cast(pa.int64()))


def open_engine(memory_limit: str | None) -> duckdb.DuckDBPyConnection:
    """An engine of its own in memory, which beyond its limit goes to a folder of its own for temporary files.

    The engine makes the folder when it needs it, and removes it at the end.

    Examples
    --------
    >>> open_engine("500MB").execute("SELECT 1 + 1").fetchone()
    (2,)
    """
    engine = duckdb.connect()
    # Two engines in one folder would write over each other's files.
    folder = Path(tempfile.gettempdir()) / f"duckdb-{uuid.uuid4().hex}"
    engine.execute(f"SET temp_directory = {literal(str(folder))}")
    if memory_limit is not None:
        try:
            engine.execute(f"SET memory_limit = {literal(str(memory_limit))}")
        except duckdb.Error:
            raise ValueError(
                f"memory_limit: got {memory_limit!r}; it must be a size such as '500MB'"
            ) from None
    return engine


def source(engine: duckdb.DuckDBPyConnection, given: Any, name: str, needed: Sequence[str]) -> Source:
    """Make a table known to the engine by a name; of an eager one the needed columns alone.

    Raises
    ------
    ValueError
        If it's no table, there is no such file or it isn't Parquet, or a needed column isn't there.

    Examples
    --------
    >>> engine = open_engine(None)
    >>> source(engine, pa.table({"item_id": [7, 8]}), "rows", ["item_id"]).kinds
    {'item_id': 'numbers'}
    >>> engine.execute("SELECT count(*) FROM rows").fetchone()
    (2,)
    """
    if isinstance(given, str | Path):
        if not glob.glob(str(given)):
            raise ValueError(f"{name}: got {str(given)!r}; there is no such file")
        try:
            engine.read_parquet(str(given)).create_view(name)
        except duckdb.Error:
            raise ValueError(f"{name}: got {str(given)!r}; it must be a Parquet file") from None
    elif isinstance(given, duckdb.DuckDBPyRelation):
        # It may be another connection's: read once, into a table that the engine may put on disk.
        engine.register("batches", given.to_arrow_reader())
        engine.execute(f"CREATE TEMP TABLE {name} AS FROM batches")
    else:
        try:
            frame = nw.from_native(given)
        except TypeError:
            raise ValueError(
                f"{name}: got {type(given).__name__}; it must be a frame that Narwhals reads, a DuckDB "
                "relation or a path"
            ) from None
        eager = frame.collect() if isinstance(frame, nw.LazyFrame) else frame
        schema = schema_of(eager)
        kinds = {column: _kind(dtype) for column, dtype in schema.items()}
        _there(name, kinds, needed)
        zones = {
            column: dtype.time_zone for column, dtype in schema.items() if isinstance(dtype, nw.Datetime)
        }
        # A column of no kind that joins is refused by its kind, next; nor need Arrow know it.
        whole = [column for column in dict.fromkeys(needed) if kinds[column] in (NUMBERS, TEXT, TIMES)]
        arrow = _without_nan(_to_microseconds(_to_arrow(eager.select(*whole))))
        engine.register(name, arrow)
        floats = frozenset(column for column in whole if schema[column].is_float())
        return Source(name, kinds, zones, floats, eager, arrow)
    types = {column: str(kind) for column, kind, *_ in engine.execute(f"DESCRIBE {name}").fetchall()}
    _there(name, types, needed)
    floats = frozenset(column for column in needed if types[column] in ("FLOAT", "DOUBLE"))
    made = {c: f"{identifier(c)}::TIMESTAMPTZ" for c in types if types[c] == _NANOSECONDS}
    made |= {c: f"CASE WHEN NOT isnan({identifier(c)}) THEN {identifier(c)} END" for c in floats}
    if made:
        engine.execute(
            f"ALTER {'VIEW' if isinstance(given, str | Path) else 'TABLE'} {name} RENAME TO {name}_given"
        )
        replaced = ", ".join(f"{how} AS {identifier(column)}" for column, how in made.items())
        engine.execute(f"CREATE TEMP VIEW {name} AS SELECT * REPLACE ({replaced}) FROM {name}_given")
    return Source(name, {column: _sql_kind(kind) for column, kind in types.items()}, {}, floats)


def _to_arrow(frame: nw.DataFrame[Any]) -> pa.Table:
    """A frame as an Arrow table; floats and complete times of pandas as they lie in memory.

    Arrow would look through each of them for what's missing, which costs a tenth of a join.
    """
    if not frame.implementation.is_pandas():
        return frame.to_arrow()
    columns: dict[str, Any] = {}
    for name in frame.columns:
        series = frame[name].to_native()
        if isinstance(series.dtype, np.dtype) and series.dtype.kind == "f":
            columns[name] = pa.array(series.to_numpy())
        elif isinstance(series.dtype, pd.DatetimeTZDtype) and not series.hasnans:
            since_1970 = series.to_numpy(dtype=f"datetime64[{series.dtype.unit}]").view(np.int64)
            columns[name] = pa.array(since_1970).view(pa.Array.from_pandas(series.iloc[:0]).type)
        else:
            columns[name] = pa.Array.from_pandas(series)
    return pa.table(columns)


def _to_microseconds(table: pa.Table) -> pa.Table:
    """A table's times in the unit that the engine counts in; what is finer is cut off."""
    fields = [
        field.with_type(pa.timestamp("us", field.type.tz)) if pa.types.is_timestamp(field.type) else field
        for field in table.schema
    ]
    return table.cast(pa.schema(fields), safe=False)


def _without_nan(table: pa.Table) -> pa.Table:
    """A table whose floating-point columns have missing values for nan, as some libraries keep both."""
    for place, field in enumerate(table.schema):
        if pa.types.is_floating(field.type):
            column = table.column(place)
            absent = pc.is_nan(column)
            if pc.any(absent).as_py():
                none = pa.scalar(None, field.type)
                table = table.set_column(place, field, pc.if_else(absent, none, column))
    return table


def _there(name: str, columns: Mapping[str, str], needed: Sequence[str]) -> None:
    absent = [column for column in needed if column not in columns]
    if absent:
        raise ValueError(f"{name}: got columns {list(columns)}; it must have {', '.join(absent)}")


def _kind(dtype: Any) -> str:
    if dtype.is_numeric():
        return NUMBERS
    if dtype in (nw.String, nw.Categorical, nw.Enum):
        return TEXT
    return TIMES if dtype == nw.Datetime and dtype.time_zone is not None else str(dtype)


def _sql_kind(kind: str) -> str:
    if kind in ("TIMESTAMP WITH TIME ZONE", _NANOSECONDS):
        return TIMES
    if kind == "VARCHAR" or kind.startswith("ENUM"):
        return TEXT
    number = kind.startswith(("DECIMAL", "FLOAT", "DOUBLE")) or kind.endswith("INT") or kind == "INTEGER"
    return NUMBERS if number or kind == "UINTEGER" else kind


def identifier(column: str) -> str:
    """A column's name as SQL quotes it.

    Examples
    --------
    >>> print(identifier("the rate"))
    "the rate"
    """
    return '"' + column.replace('"', '""') + '"'


def literal(value: str) -> str:
    """A text as SQL quotes it.

    Examples
    --------
    >>> print(literal("today's"))
    'today''s'
    """
    return "'" + value.replace("'", "''") + "'"
