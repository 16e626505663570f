"""The online store over the network: Redis, by its URL. Needs the package `redis` (the extra of that name)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from toolkit.features.codecs import decode
from toolkit.features.schema import EntityId, Row, Schema, time_of
from toolkit.features.stores import Reading, Readings, StoreSettings, StoreUnavailable

# Redis runs a script whole, with nothing between its commands, and writes it to the append-only file as
# one transaction. Each feature of an entity is a sorted set whose members begin with the event's time
# and the time of availability: with equal scores Redis sorts members by their bytes.
_PUT = """
local keep, capacity = tonumber(ARGV[1]), tonumber(ARGV[2])
local stamp = redis.call('INCR', 'fs:stamp')
for place = 3, #ARGV, 4 do
  local entity, feature, order, data = ARGV[place], ARGV[place + 1], ARGV[place + 2], ARGV[place + 3]
  local key = 'fs:cells:' .. #entity .. ':' .. entity .. ':' .. feature
  redis.call('ZREMRANGEBYLEX', key, '[' .. order .. ':', '(' .. order .. ';')
  redis.call('ZADD', key, 0, order .. ':' .. data)
  redis.call('ZREMRANGEBYRANK', key, 0, -keep - 1)
  redis.call('ZADD', 'fs:written', stamp, entity)
end
local surplus = redis.call('ZCARD', 'fs:written') - capacity
if capacity > 0 and surplus > 0 then
  local features = redis.call('HKEYS', 'fs:features')
  for _, entity in ipairs(redis.call('ZRANGE', 'fs:written', 0, surplus - 1)) do
    for _, feature in ipairs(features) do
      redis.call('DEL', 'fs:cells:' .. #entity .. ':' .. entity .. ':' .. feature)
    end
    redis.call('ZREM', 'fs:written', entity)
  end
end
"""
# Names and meanings by turns. Nothing is declared where one is known by another meaning; what was known is the
# answer. One script, so that of two who declare at once the second sees the first.
_DECLARE = """
local held = redis.call('HGETALL', 'fs:features')
local known = {}
for place = 1, #held, 2 do
  known[held[place]] = held[place + 1]
end
for place = 1, #ARGV, 2 do
  if known[ARGV[place]] and known[ARGV[place]] ~= ARGV[place + 1] then
    return held
  end
end
for place = 1, #ARGV, 2 do
  redis.call('HSETNX', 'fs:features', ARGV[place], ARGV[place + 1])
end
return held
"""
# What each sorted set holds, latest event first. A script too: a reader never sees half of a put, and a
# server that is out of memory still answers (in a transaction it wouldn't).
_GET = """
local held = {}
for place = 1, #ARGV do
  held[place] = redis.call('ZREVRANGE', ARGV[place], 0, -1)
end
return held
"""
# Makes every time of Python's calendar positive, so that digits sort as numbers do.
_SHIFT = 10**17
_DIGITS = 18
# Seconds to wait for an answer.
_PATIENCE = 5.0


class RedisStore:
    """A feature store in a Redis server; a put is one script, which Redis runs whole or not at all.

    Eviction is the store's own, as in SQLite: each put stamps its entities; above the capacity those
    with the oldest stamp go, with all their values. A `maxmemory` policy of the server may evict besides;
    it takes single features of an entity. Redis's own expiry isn't used: values expire by the reader's
    `now`, so that a simulated clock can be used.

    Parameters
    ----------
    url : str
        redis://host:port/db, or rediss:// for an encrypted connection.
    schema : Schema
    settings : StoreSettings
    """

    def __init__(self, url: str, schema: Schema, settings: StoreSettings) -> None:
        self._url, self._schema, self._settings = _without_password(url), schema, settings
        try:
            import redis
            from redis.backoff import NoBackoff
            from redis.retry import Retry
        except ImportError as error:
            raise StoreUnavailable(
                self._url, "open it", error, "install the package: pip install redis, or use sqlite://path"
            ) from None
        self._client: Any = None
        self._error = redis.exceptions.RedisError
        try:
            self._client = redis.Redis.from_url(
                url,
                socket_timeout=_PATIENCE,
                socket_connect_timeout=_PATIENCE,
                # Once more, on a new connection: the server may have been started anew in between.
                retry=Retry(NoBackoff(), 1),
            )
        except ValueError as bad:
            raise ValueError(f"url: got {self._url!r}; {bad}") from None
        try:
            with self._reporting("open it"):
                self._put = self._client.register_script(_PUT)
                self._get = self._client.register_script(_GET)
                declare = self._client.register_script(_DECLARE)
                declared = schema.declared(settings.codec)
                held = [
                    text.decode() for text in declare(args=[x for pair in declared.items() for x in pair])
                ]
            schema.agree(dict(zip(held[::2], held[1::2], strict=True)), self._url, codec=settings.codec)
        except BaseException:
            self.close()
            raise

    @property
    def url(self) -> str:
        """Where the store is, without a password."""
        return self._url

    def put(self, rows: Iterable[Row]) -> None:
        """Write rows by one script, all or none."""
        cells = self._schema.cells(rows, self._settings.codec)
        sent: list[Any] = [self._settings.keep, self._settings.capacity or 0]
        for cell in cells:
            sent += [cell.entity, cell.feature, _order(cell.event_us) + _order(cell.available_us), cell.data]
        with self._reporting("put rows"):
            if cells:
                self._put(args=sent)

    def get_many(self, entity_ids: Sequence[EntityId], features: Sequence[str], *, now: datetime) -> Readings:
        """Read features of entities as they are served at `now`, in one round trip."""
        asked = self._schema.ask(features)
        keys = {entity: key.encode() for entity, key in self._schema.keys(entity_ids).items()}
        after, last = self._settings.window(now)
        with self._reporting("read"):
            cells = [
                b"fs:cells:%d:%s:%s" % (len(key), key, feature.id.encode())
                for key in keys.values()
                for feature in asked.values()
            ]
            held = iter(self._get(args=cells) if cells else [])
        served: Readings = {}
        for entity in keys:
            served[entity] = {}
            for name, feature in asked.items():
                served[entity][name] = None
                for member in next(held):
                    event, available = (
                        int(member[place : place + _DIGITS]) - _SHIFT for place in (0, _DIGITS)
                    )
                    if available > last:
                        continue
                    if after is None or available > after:
                        value = decode(member[2 * _DIGITS + 1 :], self._settings.codec, dtype=feature.dtype)
                        served[entity][name] = Reading(
                            value, time_of(event), time_of(available), feature.version
                        )
                    break
        return served

    def close(self) -> None:
        """Give back the connections; closing twice is no error."""
        if self._client is not None:
            self._client.close()
            self._client = None

    @contextmanager
    def _reporting(self, doing: str) -> Iterator[None]:
        """What goes wrong says which store it was, and what to do."""
        if self._client is None:
            raise StoreUnavailable(self._url, doing, "it is closed", "open it again with open_store")
        try:
            yield
        except self._error as error:
            unsure = "the rows are there all or none, so put them again; " if doing == "put rows" else ""
            remedy = f"{unsure}see that the server runs (redis-cli -u {self._url} ping), or use sqlite://path"
            raise StoreUnavailable(self._url, doing, error, remedy) from error


def _order(us: int) -> str:
    return f"{us + _SHIFT:0{_DIGITS}d}"


def _without_password(url: str) -> str:
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
