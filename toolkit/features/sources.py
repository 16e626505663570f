"""In which form does a table come to the engine: a frame, a relation, or a file?"""

from __future__ import annotations

import glob
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import narwhals as nw
import numpy as np
import pyarrow as pa

__all__ = ["NUMBERS", "TEXT", "TIMES", "Source", "identifier", "literal", "open_engine", "source"]

_NANOSECONDS = "TIMESTAMPTZ_NS"
NUMBERS, TEXT, TIMES = "numbers", "text", "times with their zone"


@dataclass(frozen=True)
class Source:
    """A table that the engine knows by its name: kinds and zones of its columns, and the frame itself if eager."""

    name: str
    kinds: Mapping[str, str]
    zones: Mapping[str, str | None]
    eager: Any = None
    arrow: pa.Table | None = None

    def microseconds(self, engine: duckdb.DuckDBPyConnection, column: str) -> np.ndarray:
        """A column of times as whole numbers, in the order of the rows."""
        if self.arrow is None:
            query = f"SELECT epoch_us({identifier(column)}) AS at FROM {self.name}"
            return np.asarray(engine.execute(query).fetchnumpy()["at"])
        return np.asarray(self.arrow[column].cast(pa.int64()))


def open_engine(memory_limit: str | None) -> duckdb.DuckDBPyConnection:
    """An engine of its own in memory, which goes to the system's folder for temporary files beyond its limit.

    Examples
    --------
    >>> open_engine("500MB").execute("SELECT 1 + 1").fetchone()
    (2,)
    """
    engine = duckdb.connect()
    engine.execute(f"SET temp_directory = {literal(tempfile.gettempdir())}")
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
        If it's no table, there is no such file, or a needed column isn't there.

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
        engine.read_parquet(str(given)).create_view(name)
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
        kinds = {column: _kind(dtype) for column, dtype in eager.schema.items()}
        _there(name, kinds, needed)
        zones = {
            column: dtype.time_zone
            for column, dtype in eager.schema.items()
            if isinstance(dtype, nw.Datetime)
        }
        # A column of no kind that joins is refused by its kind, next; nor need Arrow know it.
        whole = [column for column in dict.fromkeys(needed) if kinds[column] in (NUMBERS, TEXT, TIMES)]
        arrow = _to_microseconds(eager.select(*whole).to_arrow())
        engine.register(name, arrow)
        return Source(name, kinds, zones, eager, arrow)
    types = {column: str(kind) for column, kind, *_ in engine.execute(f"DESCRIBE {name}").fetchall()}
    _there(name, types, needed)
    finer = [f"{identifier(c)}::TIMESTAMPTZ AS {identifier(c)}" for c in types if types[c] == _NANOSECONDS]
    if finer:
        engine.execute(
            f"ALTER {'VIEW' if isinstance(given, str | Path) else 'TABLE'} {name} RENAME TO {name}_finer"
        )
        engine.execute(f"CREATE TEMP VIEW {name} AS SELECT * REPLACE ({', '.join(finer)}) FROM {name}_finer")
    return Source(name, {column: _sql_kind(kind) for column, kind in types.items()}, {})


def _to_microseconds(table: pa.Table) -> pa.Table:
    """A table's times in the unit that the engine counts in; what is finer is cut off."""
    fields = [
        field.with_type(pa.timestamp("us", field.type.tz)) if pa.types.is_timestamp(field.type) else field
        for field in table.schema
    ]
    return table.cast(pa.schema(fields), safe=False)


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
