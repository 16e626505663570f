"""The offline store: every value that a feature took, in Parquet files, read as of any time by DuckDB."""

from __future__ import annotations

import os
import re
import tempfile
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd

from toolkit.features.codecs import DTYPES, Dtype
from toolkit.features.schema import (
    EntityId,
    Feature,
    Row,
    Schema,
    definition,
    entity_key,
    microseconds,
    time_of,
)
from toolkit.features.stores import Reading, Readings, StoreSettings, StoreUnavailable
from toolkit.frames import read_columns

_MICROSECOND = timedelta(microseconds=1)
# How a value of each type leaves DuckDB, and the pandas type that holds it with missing ones among them.
_VALUE = {dtype: f"as_{dtype}" for dtype in DTYPES} | {"time": "epoch_us(as_time)"}
_PANDAS: dict[Dtype, Any] = {
    "float64": "float64",
    "float32": "float32",
    "int64": "Int64",
    "bool": "boolean",
    "text": object,
    "time": "datetime64[us, UTC]",
}


class OfflineStore:
    """A feature store that forgets nothing: each put is one Parquet file more in a folder.

    A file is written beside its place and then moved there, so it is there whole or not at all. Rows
    keep their types: one column for each type, `as_float64` to `as_time`. It holds no codec, and evicts
    nothing. Threads may share a store; they take turns.

    Parameters
    ----------
    folder : str
        Made if it isn't there.
    schema : Schema
    settings : StoreSettings
        Only `ttl` and `write_lag` matter.

    Raises
    ------
    ValueError
        If a capacity is set.
    """

    def __init__(self, folder: str, schema: Schema, settings: StoreSettings) -> None:
        if settings.capacity is not None:
            raise ValueError(f"capacity: got {settings.capacity!r}; an offline store keeps everything")
        self._folder, self._schema, self._settings = Path(folder), schema, settings
        self._connection: Any = None
        self._open, self._turn = True, threading.RLock()
        self._agreed: set[Path] = set()
        with self._reporting("open it"):
            self._folder.mkdir(parents=True, exist_ok=True)
            self._agree(self._files())

    @property
    def url(self) -> str:
        """Where the store is."""
        return f"parquet://{self._folder}"

    def put(self, rows: Iterable[Row]) -> None:
        """Write rows as one new file, all or none."""
        checked = self._schema.check(rows)
        with self._reporting("put rows"):
            if checked:
                self._write(checked)

    def get_many(self, entity_ids: Sequence[EntityId], features: Sequence[str], *, now: datetime) -> Readings:
        """Read features of entities as they were served at `now`."""
        asked = self._schema.ask(features)
        self._settings.window(now)
        keys = self._schema.keys(entity_ids)
        served: Readings = {entity: {} for entity in keys}
        labels = [(key, microseconds("now", now)) for key in keys.values()]
        for name, found in self._as_of(labels, asked).items():
            for entity, reading in zip(keys, found, strict=True):
                served[entity][name] = reading
        return served

    def read_as_of(self, labels: Any, features: Sequence[str]) -> pd.DataFrame:
        """The values as they were served at each row's own time: the rows, in their order, with a column a feature.

        Parameters
        ----------
        labels : frame
            `entity_id` and `ts`; other columns stay.
        features : sequence of str

        Returns
        -------
        DataFrame
            Missing where no value was served.
        """
        asked = self._schema.ask(features)
        rows = read_columns(labels, "labels", ["entity_id", "ts"], times=["ts"], keep=True)
        keyed = [
            (entity_key(entity), microseconds("ts", ts))
            for entity, ts in zip(rows["entity_id"], rows["ts"], strict=True)
        ]
        for name, found in self._as_of(keyed, asked).items():
            values = [None if reading is None else reading.value for reading in found]
            rows[name] = pd.Series(values, index=rows.index, dtype=_PANDAS[asked[name].dtype])
        return rows

    def close(self) -> None:
        """Give back DuckDB's memory; closing twice is no error."""
        with self._turn:
            self._open = False
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _as_of(
        self, labels: list[tuple[str, int]], features: dict[str, Feature]
    ) -> dict[str, list[Reading | None]]:
        """What was served to each label of each feature: its entity's latest event that could be read at its time."""
        if not labels:
            return {name: [] for name in features}
        with self._reporting("read"):
            # Once for all features: between two looks another may have put, and a reader sees all of a put or none.
            files = [str(file) for file in self._files()]
            if not files:
                return {name: [None] * len(labels) for name in features}
            entities, times = zip(*labels, strict=True)
            # Times are whole microseconds: DuckDB reckons with zones only where its ICU extension is installed.
            asked = pd.DataFrame({"row": range(len(labels)), "entity": entities, "last": times})
            asked["last"] -= self._settings.write_lag // _MICROSECOND
            connection = self._connected()
            connection.register("asked", asked)
            try:
                return {name: self._read(connection, files, feature) for name, feature in features.items()}
            finally:
                connection.unregister("asked")

    def _read(self, connection: Any, files: list[str], feature: Feature) -> list[Reading | None]:
        """What was served of one feature to each row that is asked."""
        # A row that was put again is in two files: the later one counts.
        found = connection.execute(
            f"""
            SELECT last, epoch_us(event_ts), epoch_us(available_ts), {_VALUE[feature.dtype]}
            FROM asked LEFT JOIN (
                SELECT * FROM read_parquet($files, filename = true) WHERE feature = $feature
            ) AS history
            ON asked.entity = history.entity AND epoch_us(available_ts) <= last
            QUALIFY row_number() OVER (
                PARTITION BY row ORDER BY event_ts DESC NULLS LAST, available_ts DESC, filename DESC) = 1
            ORDER BY row
            """,
            {"files": files, "feature": feature.id},
        ).fetchall()
        # What has outlived the time to live is dropped only now: an older value is no substitute.
        ttl = None if self._settings.ttl is None else self._settings.ttl // _MICROSECOND
        return [
            None
            if event is None or (ttl is not None and available <= last - ttl)
            else Reading(
                time_of(value) if feature.dtype == "time" and value is not None else value,
                time_of(event),
                time_of(available),
                feature.version,
            )
            for last, event, available, value in found
        ]

    def _write(self, checked: list[tuple[Row, Feature]]) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        stamp = pa.timestamp("us", tz="UTC")
        types = dict(
            zip(DTYPES, (pa.float64(), pa.float32(), pa.int64(), pa.bool_(), pa.string(), stamp), strict=True)
        )
        columns: dict[str, Any] = {
            "entity": pa.array([entity_key(row.entity_id) for row, _ in checked], pa.string()),
            "feature": pa.array([feature.id for _, feature in checked], pa.string()),
            "definition": pa.array([definition(feature) for _, feature in checked], pa.string()),
            "event_ts": pa.array([_instant(row.event_ts) for row, _ in checked], stamp),
            "available_ts": pa.array([_instant(row.available_ts) for row, _ in checked], stamp),
        }
        for dtype, kind in types.items():
            values = [row.value if feature.dtype == dtype else None for row, feature in checked]
            columns[f"as_{dtype}"] = pa.array(values, kind)
        handle, beside = tempfile.mkstemp(dir=self._folder, suffix=".part")
        try:
            pq.write_table(pa.table(columns), beside)
            os.fsync(handle)
            while True:
                files = self._files()
                self._agree(files)
                number = int(files[-1].stem) + 1 if files else 1
                place = self._folder / f"{number:09d}.parquet"
                try:
                    # Unlike a rename, a link never replaces the file of another writer. Where one was faster, its
                    # features are looked at first.
                    os.link(beside, place)
                except FileExistsError:
                    continue
                self._agreed.add(place)
                return
        finally:
            os.close(handle)
            os.unlink(beside)

    def _agree(self, files: list[Path]) -> None:
        """Refuse files in which a name and version means something else; each is looked at once."""
        new = set(files) - self._agreed
        if new:
            found = self._connected().execute(
                "SELECT DISTINCT feature, definition FROM read_parquet($files)",
                {"files": [str(file) for file in sorted(new)]},
            )
            self._schema.agree(dict(found.fetchall()), self.url)
            self._agreed |= new

    def _files(self) -> list[Path]:
        # A folder that is gone is an error here; `glob` would find nothing in it.
        return sorted(file for file in self._folder.iterdir() if re.fullmatch(r"\d{9}\.parquet", file.name))

    def _connected(self) -> Any:
        if self._connection is None:
            import duckdb

            self._connection = duckdb.connect(config={"threads": 1})
        return self._connection

    @contextmanager
    def _reporting(self, doing: str) -> Iterator[None]:
        """What goes wrong says which store it was, and what to do."""
        import duckdb

        with self._turn:
            if not self._open:
                raise StoreUnavailable(self.url, doing, "it is closed", "open it again with open_store")
            try:
                yield
            except (OSError, duckdb.Error) as error:
                remedy = "nothing was changed; see that the folder exists, may be written to and holds Parquet files only"
                raise StoreUnavailable(self.url, doing, error, remedy) from error


def _instant(ts: datetime) -> datetime:
    # Nanoseconds are cut as in every store; PyArrow would refuse them.
    return time_of(microseconds("ts", ts))
