"""What does a feature store promise: which rows it takes, and which value it serves when?

One small interface (`put`, `get_many`, `close`), kept by every store here: SQLite, Redis, and Parquet
files behind DuckDB. `open_store` opens one by its URL.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple, Protocol, runtime_checkable

from toolkit.features.codecs import CODECS, CodecName, Value
from toolkit.features.schema import MOST_ROWS, EntityId, Feature, Row, Schema, microseconds
from toolkit.frames import read_columns
from toolkit.rules import count, one_of

__all__ = [
    "MOST_ROWS",
    "EntityId",
    "Feature",
    "Reading",
    "Readings",
    "Row",
    "Store",
    "StoreSettings",
    "StoreUnavailable",
    "open_store",
    "rows_of",
]

_MICROSECOND = timedelta(microseconds=1)


class Reading(NamedTuple):
    """A value that a store served, with what tells how old it is and which definition made it."""

    value: Value | None
    event_ts: datetime
    available_ts: datetime
    version: int


# What `get_many` gives: for each entity and feature what was served, None where nothing was.
Readings = dict[EntityId, dict[str, Reading | None]]


@runtime_checkable
class Store(Protocol):
    """What every store does.

    `put` writes all of its rows or none; the same rows put again change nothing. `get_many` gives for
    each entity and feature the value of the latest event among the rows that were available at
    `now` less the store's write lag (of one event the last correction), and None where there is none,
    it has outlived the store's time to live, or was evicted.
    """

    @property
    def url(self) -> str:
        """Where the store is, without a password."""
        ...

    def put(self, rows: Iterable[Row]) -> None:
        """Write rows, all or none."""
        ...

    def get_many(self, entity_ids: Sequence[EntityId], features: Sequence[str], *, now: datetime) -> Readings:
        """Read features of entities as they are served at `now`."""
        ...

    def close(self) -> None:
        """Give back files and connections; closing twice is no error."""
        ...


class StoreUnavailable(Exception):
    """A store can't be reached, or didn't answer: which one, what was asked of it, what to do."""

    def __init__(self, url: str, doing: str, cause: object, remedy: str) -> None:
        # The first line of what a library says is the reason; what follows is its query.
        reason = (str(cause).splitlines() or [type(cause).__name__])[0]
        super().__init__(f"{url}: couldn't {doing}: {reason}; {remedy}")
        self.url = url


@dataclass(frozen=True)
class StoreSettings:
    """How a store keeps what it is given.

    Parameters
    ----------
    ttl : timedelta or None
        How long after it was first served a value lives; None: for ever. Told by the reader's `now`,
        not by the machine's clock, so a simulated year takes no year.
    write_lag : timedelta
        How long after `available_ts` a row is first served.
    capacity : int or None
        Most entities that are held; a put that makes more evicts those written longest ago.
    keep : int
        Most values held of one feature of one entity, the latest events: those that wait for their
        time included.
    codec : "msgpack", "json" or "float32"
        How values are written; `toolkit.features.codecs` says what each loses.

    Examples
    --------
    >>> StoreSettings(ttl=timedelta(hours=-1))
    Traceback (most recent call last):
    ValueError: ttl: got datetime.timedelta(days=-1, seconds=82800); it must be longer than 0
    """

    ttl: timedelta | None = None
    write_lag: timedelta = timedelta(0)
    capacity: int | None = None
    keep: int = 8
    codec: CodecName = "msgpack"

    def __post_init__(self) -> None:
        if self.ttl is not None and not (isinstance(self.ttl, timedelta) and self.ttl > timedelta(0)):
            raise ValueError(f"ttl: got {self.ttl!r}; it must be longer than 0")
        if not isinstance(self.write_lag, timedelta) or self.write_lag < timedelta(0):
            raise ValueError(f"write_lag: got {self.write_lag!r}; it must be a time, not negative")
        if self.capacity is not None:
            count("capacity", self.capacity)
        count("keep", self.keep)
        one_of("codec", self.codec, CODECS)

    def window(self, now: datetime) -> tuple[int | None, int]:
        """Microseconds since 1970: a row is served at `now` if it was available after the first and not after the second."""
        last = microseconds("now", now) - self.write_lag // _MICROSECOND
        return (None if self.ttl is None else last - self.ttl // _MICROSECOND), last


def open_store(url: str, features: Iterable[Feature], *, settings: StoreSettings | None = None) -> Store:
    """The store at an address, for these features.

    Parameters
    ----------
    url : str
        `sqlite://path` (`sqlite://:memory:` for one that goes with its connection),
        `redis://host:port/db`, or `parquet://folder`.
    features : iterable of Feature
    settings : StoreSettings, optional

    Raises
    ------
    ValueError
        If the address has another form, or the store has a feature under another type.
    StoreUnavailable
        If the store isn't there.

    Examples
    --------
    >>> from datetime import UTC
    >>> noon = datetime(2026, 3, 2, 12, tzinfo=UTC)
    >>> store = open_store("sqlite://:memory:", [Feature("f_rate")])
    >>> store.put([Row("item 7", "f_rate", 0.25, event_ts=noon, available_ts=noon + timedelta(hours=1))])
    >>> store.get_many(["item 7"], ["f_rate"], now=noon)
    {'item 7': {'f_rate': None}}
    >>> store.get_many(["item 7"], ["f_rate"], now=noon + timedelta(hours=2))["item 7"]["f_rate"].value
    0.25
    >>> store.close()
    """
    kind, there, rest = str(url).partition("://")
    if kind not in ("sqlite", "redis", "rediss", "parquet") or not there or not rest:
        raise ValueError(
            f"url: got {url!r}; it must be sqlite://path, redis://host:port/db or parquet://folder"
        )
    schema, settings = Schema(features), settings or StoreSettings()
    if kind == "sqlite":
        from toolkit.features.sqlite_store import SqliteStore

        return SqliteStore(rest, schema, settings)
    if kind == "parquet":
        from toolkit.features.offline_store import OfflineStore

        return OfflineStore(rest, schema, settings)
    from toolkit.features.redis_store import RedisStore

    return RedisStore(url, schema, settings)


def rows_of(history: Any) -> list[Row]:
    """The rows of a `feature_history` table, ready to put.

    Examples
    --------
    >>> import pandas as pd
    >>> noon = pd.Timestamp("2026-03-02 12:00", tz="UTC")
    >>> history = pd.DataFrame({"entity_id": [7], "feature": ["f_rate"], "event_ts": [noon],
    ...     "available_ts": [noon], "value": [0.25], "version": [1]})
    >>> rows_of(history)[0].value
    0.25
    """
    names = ["entity_id", "feature", "value", "event_ts", "available_ts", "version"]
    frame = read_columns(history, "history", names, times=["event_ts", "available_ts"])
    columns = [
        frame[name].dt.to_pydatetime() if name.endswith("_ts") else frame[name].tolist() for name in names
    ]
    return [Row(*values) for values in zip(*columns, strict=True)]
