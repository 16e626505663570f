"""Does a load survive being run twice? Appending, and writing by key, on a real DuckDB table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pandas as pd

from toolkit.frames import read_columns

if TYPE_CHECKING:
    import duckdb

__all__ = ["append", "create", "load_work", "replace_partition", "upsert"]


def create(connection: duckdb.DuckDBPyConnection, table: str, like: Any, *, key: Sequence[str] = ()) -> None:
    """Make an empty table with a frame's columns; with a key, one that refuses to hold it twice.

    Examples
    --------
    >>> import duckdb
    >>> store = duckdb.connect()
    >>> batch = pd.DataFrame({"id": [1, 2], "y": [0, 1]})
    >>> create(store, "outcomes", batch, key=["id"])
    >>> upsert(store, "outcomes", batch, key=["id"]), upsert(store, "outcomes", batch, key=["id"])
    (2, 2)
    """
    frame = read_columns(like, "like", [*key], keep=True)
    with _registered(connection, frame):
        columns = _run(connection, "DESCRIBE SELECT * FROM batch")
    parts = [f"{_name(name)} {kind}" for name, kind, *_ in columns]
    if key:
        parts.append(f"PRIMARY KEY ({', '.join(map(_name, key))})")
    _run(connection, f"CREATE TABLE {_name(table)} ({', '.join(parts)})")


def append(connection: duckdb.DuckDBPyConnection, table: str, batch: Any) -> int:
    """Add a batch's rows and give the table's number of rows: a second run adds them again.

    Examples
    --------
    >>> import duckdb
    >>> store, batch = duckdb.connect(), pd.DataFrame({"id": [1, 2], "y": [0, 1]})
    >>> create(store, "outcomes", batch)
    >>> append(store, "outcomes", batch), append(store, "outcomes", batch)
    (2, 4)
    """
    with _registered(connection, read_columns(batch, "batch", [], keep=True)):
        _run(connection, f"INSERT INTO {_name(table)} BY NAME SELECT * FROM batch")
    return _rows(connection, table)


def upsert(
    connection: duckdb.DuckDBPyConnection,
    table: str,
    batch: Any,
    *,
    key: Sequence[str],
    newest: str | None = None,
) -> int:
    """Write a batch's rows by their key and give the table's number of rows: a second run changes nothing.

    A row whose key is there replaces the one that is, unless `newest` says that it is older. Copies within
    the batch, which SQL refuses, are reduced to the newest, or the last.

    Parameters
    ----------
    connection : DuckDB connection
    table : str
        Made with this primary key (`create`).
    batch : frame
    key : sequence of str
        Columns that name an event; they come from the producer, or a retry has another.
    newest : str, optional
        Column that orders versions of a row, such as the time at which it was written. With it the result
        doesn't depend on the order of the batches.

    Raises
    ------
    ValueError
        If `key` is empty, or a key's or the ordering column is missing or incomplete.

    Examples
    --------
    A correction, and then an old batch run once more:

    >>> import duckdb
    >>> store = duckdb.connect()
    >>> old, new = (pd.DataFrame({"id": [1], "y": [y], "written": [when]}) for y, when in ((0, 1), (1, 2)))
    >>> create(store, "outcomes", old, key=["id"])
    >>> for batch in (old, new, old):
    ...     rows = upsert(store, "outcomes", batch, key=["id"], newest="written")
    >>> store.execute("SELECT y FROM outcomes").fetchall()
    [(1,)]
    """
    _written_by_key(connection, table, batch, key, newest)
    return _rows(connection, table)


def _written_by_key(
    connection: duckdb.DuckDBPyConnection, table: str, batch: Any, key: Sequence[str], newest: str | None
) -> int:
    """Write a batch by its key and give the number of rows that were put in or changed."""
    if isinstance(key, str) or not len(key):
        raise ValueError(f"key: got {key!r}; it must be a list of one column at least")
    frame = read_columns(batch, "batch", [*key, *([newest] if newest else [])], keep=True)
    if newest:
        frame = frame.sort_values(newest, kind="stable")
    frame = frame.drop_duplicates(list(key), keep="last")
    rest = [column for column in frame if column not in key]
    change = ", ".join(f"{_name(column)} = excluded.{_name(column)}" for column in rest)
    action = f"UPDATE SET {change}" if rest else "NOTHING"
    if rest and newest:
        action += f" WHERE excluded.{_name(newest)} >= {_name(table)}.{_name(newest)}"
    with _registered(connection, frame):
        changed = _run(
            connection,
            f"INSERT INTO {_name(table)} BY NAME SELECT * FROM batch "
            f"ON CONFLICT ({', '.join(map(_name, key))}) DO {action}",
        )
    return int(changed[0][0])


def load_work(batches: Sequence[Any], *, key: Sequence[str], newest: str | None = None) -> pd.DataFrame:
    """What loading batches takes, in rows: appended to one table, and written by key to another.

    Rows, not seconds, since those differ from machine to machine and run to run.

    Parameters
    ----------
    batches : sequence of frames
        In the order in which they are loaded; of the same columns.
    key, newest
        As for `upsert`.

    Returns
    -------
    DataFrame
        A row for each `way`: rows `sent`, `looked_up` in the key's index, `put_in` as new ones, `rewritten`, and `kept`
        in the table at last.

    Examples
    --------
    >>> batch = pd.DataFrame({"id": [1, 2], "y": [0, 1]})
    >>> load_work([batch, batch], key=["id"]).set_index("way").loc["written by key"].tolist()
    [4, 4, 2, 2, 2]
    """
    import duckdb

    if not len(batches):
        raise ValueError("batches: got none; there must be one at least")
    sent = changed = 0
    with duckdb.connect() as store:
        create(store, "appended", batches[0])
        create(store, "by_key", batches[0], key=key)
        for batch in batches:
            before = _rows(store, "appended")
            sent += append(store, "appended", batch) - before
            changed += _written_by_key(store, "by_key", batch, key, newest)
        appended, kept = _rows(store, "appended"), _rows(store, "by_key")
    return pd.DataFrame(
        [
            ("appended", sent, 0, sent, 0, appended),
            ("written by key", sent, sent, kept, changed - kept, kept),
        ],
        columns=["way", "sent", "looked_up", "put_in", "rewritten", "kept"],
    )


def replace_partition(
    connection: duckdb.DuckDBPyConnection, table: str, batch: Any, *, partition: str, value: Any
) -> int:
    """Write a whole partition in place of what it held, in one transaction, and give the table's number of rows.

    For tables without a key. A second run changes nothing; a run that dies leaves the old partition.

    Parameters
    ----------
    partition : str
        Column that names it; every row of the batch must have `value` there.

    Raises
    ------
    ValueError
        If a row is of another partition.

    Examples
    --------
    >>> import duckdb
    >>> store, batch = duckdb.connect(), pd.DataFrame({"day": ["mon", "mon"], "y": [0, 1]})
    >>> create(store, "outcomes", batch)
    >>> [replace_partition(store, "outcomes", batch, partition="day", value="mon") for _ in range(2)]
    [2, 2]
    """
    frame = read_columns(batch, "batch", [partition], keep=True)
    other = int((frame[partition] != value).sum())
    if other:
        raise ValueError(
            f"{partition}: got {other:,} rows of another partition than {value!r}; they would stay at every run"
        )
    with _registered(connection, frame):
        _run(connection, "BEGIN")
        try:
            _run(connection, f"DELETE FROM {_name(table)} WHERE {_name(partition)} = ?", [value])
            _run(connection, f"INSERT INTO {_name(table)} BY NAME SELECT * FROM batch")
        except BaseException:
            _run(connection, "ROLLBACK")
            raise
        _run(connection, "COMMIT")
    return _rows(connection, table)


@contextmanager
def _registered(connection: duckdb.DuckDBPyConnection, frame: pd.DataFrame) -> Iterator[None]:
    connection.register("batch", frame)
    try:
        yield
    finally:
        connection.unregister("batch")


def _rows(connection: duckdb.DuckDBPyConnection, table: str) -> int:
    return int(_run(connection, f"SELECT count(*) FROM {_name(table)}")[0][0])


def _run(
    connection: duckdb.DuckDBPyConnection, sql: str, values: Sequence[Any] = ()
) -> list[tuple[Any, ...]]:
    # All of a result is fetched: a connection with an open one refuses what comes next.
    return connection.execute(sql, list(values)).fetchall()


def _name(name: str) -> str:
    """An identifier as SQL quotes it."""
    return '"' + str(name).replace('"', '""') + '"'
