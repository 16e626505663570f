"""The online store in one file: SQLite, the default."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime

from toolkit.features.codecs import decode
from toolkit.features.schema import EntityId, Row, Schema, time_of
from toolkit.features.stores import Reading, Readings, StoreSettings, StoreUnavailable

_TABLES = """
CREATE TABLE IF NOT EXISTS features (id TEXT PRIMARY KEY, definition TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS entities (entity TEXT PRIMARY KEY, written INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS by_written ON entities (written);
CREATE TABLE IF NOT EXISTS cells (
    entity TEXT, feature TEXT, event_us INTEGER, available_us INTEGER, data BLOB NOT NULL,
    PRIMARY KEY (entity, feature, event_us, available_us)
) WITHOUT ROWID;
"""
# All but the `keep` latest events of one entity's feature.
_TRIM = """
DELETE FROM cells WHERE entity = ?1 AND feature = ?2 AND (event_us, available_us) < (
    SELECT event_us, available_us FROM cells WHERE entity = ?1 AND feature = ?2
    ORDER BY event_us DESC, available_us DESC LIMIT 1 OFFSET ?3 - 1)
"""
# Of each entity and feature the latest event that could be read, in its last correction. Beside max() SQLite gives the
# other columns of the row that has it.
_LATEST = """
WITH latest AS (
    SELECT entity, feature, max(event_us) AS event_us FROM cells
    WHERE entity IN ({}) AND feature IN ({}) AND available_us <= ? GROUP BY entity, feature)
SELECT entity, feature, event_us, max(available_us), data FROM cells JOIN latest USING (entity, feature, event_us)
WHERE available_us <= ? GROUP BY entity, feature
"""
# In one statement SQLite takes a limited number of parameters.
_AT_ONCE = 500
# Seconds to wait for another writer to end.
_PATIENCE = 5.0


class SqliteStore:
    """A feature store in an SQLite file; a put is one transaction.

    Eviction: each put stamps its entities; above the capacity those with the oldest stamp go, with all
    their values. Threads may share a store; they take turns.

    Parameters
    ----------
    path : str
        ":memory:" for a store that goes with its connection.
    schema : Schema
    settings : StoreSettings
    """

    def __init__(self, path: str, schema: Schema, settings: StoreSettings) -> None:
        self._path, self._schema, self._settings = path, schema, settings
        self._connection: sqlite3.Connection | None = None
        self._turn = threading.RLock()
        with self._reporting("open it"):
            # Transactions are begun and ended here, not by the driver.
            self._connection = sqlite3.connect(
                path, timeout=_PATIENCE, isolation_level=None, check_same_thread=False
            )
            _to_write_ahead(self._connection)
            self._connection.executescript(_TABLES)
        try:
            with self._reporting("declare its features") as connection:
                self._declare(connection)
        except BaseException:
            self.close()
            raise

    @property
    def url(self) -> str:
        """Where the store is."""
        return f"sqlite://{self._path}"

    def put(self, rows: Iterable[Row]) -> None:
        """Write rows in one transaction, all or none."""
        cells = self._schema.cells(rows, self._settings.codec)
        with self._reporting("put rows") as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                connection.executemany("INSERT OR REPLACE INTO cells VALUES (?, ?, ?, ?, ?)", cells)
                keys = {(cell.entity, cell.feature, self._settings.keep) for cell in cells}
                connection.executemany(_TRIM, keys)
                (stamp,) = connection.execute("SELECT coalesce(max(written), 0) + 1 FROM entities").fetchone()
                entities = sorted({cell.entity for cell in cells})
                connection.executemany(
                    "INSERT OR REPLACE INTO entities VALUES (?, ?)", [(entity, stamp) for entity in entities]
                )
                self._evict(connection)
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    def get_many(self, entity_ids: Sequence[EntityId], features: Sequence[str], *, now: datetime) -> Readings:
        """Read features of entities as they are served at `now`."""
        asked = self._schema.ask(features)
        keys = self._schema.keys(entity_ids)
        after, last = self._settings.window(now)
        ids, found = sorted({feature.id for feature in asked.values()}), {}
        wanted = sorted(set(keys.values()))
        with self._reporting("read") as connection:
            # One transaction: a reader never sees half of a put.
            connection.execute("BEGIN")
            try:
                for begin in range(0, len(wanted), _AT_ONCE):
                    some = wanted[begin : begin + _AT_ONCE]
                    statement = _LATEST.format(", ".join("?" * len(some)), ", ".join("?" * len(ids)))
                    for entity, feature_id, *cell in connection.execute(statement, [*some, *ids, last, last]):
                        found[entity, feature_id] = cell
            finally:
                connection.execute("ROLLBACK")
        served: Readings = {}
        for entity, key in keys.items():
            served[entity] = {}
            for name, feature in asked.items():
                event, available, data = found.get((key, feature.id), (0, None, b""))
                alive = available is not None and (after is None or available > after)
                served[entity][name] = (
                    Reading(
                        decode(data, self._settings.codec, dtype=feature.dtype),
                        time_of(event),
                        time_of(available),
                        feature.version,
                    )
                    if alive
                    else None
                )
        return served

    def close(self) -> None:
        """Close the file; closing twice is no error."""
        with self._turn:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _declare(self, connection: sqlite3.Connection) -> None:
        """Write down what each name means, refused where one is known by another meaning."""
        declared = self._schema.declared(self._settings.codec)
        known = dict(connection.execute("SELECT id, definition FROM features"))
        if declared.items() <= known.items():
            return  # A reader needn't wait for a writer.
        connection.execute("BEGIN IMMEDIATE")
        try:
            # Again, as another may have declared in between; now none can.
            known = dict(connection.execute("SELECT id, definition FROM features"))
            self._schema.agree(known, self.url, codec=self._settings.codec)
            connection.executemany("INSERT OR IGNORE INTO features VALUES (?, ?)", declared.items())
            connection.execute("COMMIT")
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")

    def _evict(self, connection: sqlite3.Connection) -> None:
        if self._settings.capacity is None:
            return
        (held,) = connection.execute("SELECT count(*) FROM entities").fetchone()
        gone = connection.execute(
            "SELECT entity FROM entities ORDER BY written, entity LIMIT ?",
            [max(0, held - self._settings.capacity)],
        ).fetchall()
        connection.executemany("DELETE FROM cells WHERE entity = ?", gone)
        connection.executemany("DELETE FROM entities WHERE entity = ?", gone)

    @contextmanager
    def _reporting(self, doing: str) -> Iterator[sqlite3.Connection]:
        """The connection; what goes wrong with it says which store it was and what to do."""
        with self._turn:
            if self._connection is None and doing != "open it":
                raise StoreUnavailable(self.url, doing, "it is closed", "open it again with open_store")
            try:
                yield self._connection  # type: ignore[misc]
            except sqlite3.Error as error:
                if doing == "open it":
                    self.close()
                remedy = "see that its folder exists, may be written to and has room, and that no other program holds it"
                raise StoreUnavailable(self.url, doing, error, f"nothing was changed; {remedy}") from error


def _to_write_ahead(connection: sqlite3.Connection) -> None:
    """Let readers and a writer work at once. Two who turn a new file over at once don't wait for each other by themselves."""
    until = time.monotonic() + _PATIENCE
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
            time.sleep(0.01)
