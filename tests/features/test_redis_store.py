import os
import re
import signal
import sys
import threading
import time
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest
from conftest import need_redis
from redis_server import free_port, redis_server

from toolkit.features import redis_store
from toolkit.features.stores import Feature, Row, StoreUnavailable, open_store

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
FEATURES = [Feature("f_rate"), Feature("f_count", "int64")]


@pytest.fixture(autouse=True)
def _server_installed():
    need_redis()


@contextmanager
def opened(url):
    store = open_store(url, FEATURES)
    yield store
    store.close()


def batch(number, size=2_000):
    """Rows of one put: two features of each of many entities, all saying which put it was."""
    entities = [f"{number}-{place}" for place in range(size)]
    return [Row(e, f.name, number, NOON, NOON) for e in entities for f in FEATURES]


def written(store, number, size=2_000):
    """How many of a put's values are there."""
    entities = [f"{number}-{place}" for place in range(size)]
    got = store.get_many(entities, ["f_rate", "f_count"], now=NOON)
    return sum(reading is not None for readings in got.values() for reading in readings.values())


def test_a_server_killed_in_the_middle_of_a_put_leaves_no_half_of_it_and_the_store_recovers(tmp_path):
    port, keep = free_port(), ("--appendonly", "yes", "--appendfsync", "always")
    with redis_server(tmp_path, *keep, port=port) as (url, server):
        store = open_store(url, FEATURES)
        done, told = [], []

        def write():
            try:
                for number in range(10_000):
                    store.put(batch(number))
                    done.append(number)
            except StoreUnavailable as error:
                told.append(str(error))

        writer = threading.Thread(target=write)
        writer.start()
        while len(done) < 3:
            time.sleep(0.001)
        server.send_signal(signal.SIGKILL)
        writer.join(timeout=20)
        assert not writer.is_alive()
    assert re.match(
        rf"{url}: couldn't put rows: .*; the rows are there all or none, so put them again; see that the server runs",
        told[0],
    )
    with redis_server(tmp_path, *keep, port=port):
        # The same store object, on a new connection.
        assert {written(store, number) for number in done} == {4_000}
        assert written(store, len(done)) in (0, 4_000)
        store.put(batch(len(done)))
        assert written(store, len(done)) == 4_000
        store.close()


def test_a_put_whose_last_bytes_never_reached_the_disk_is_not_there_at_all(tmp_path):
    keep = ("--appendonly", "yes", "--appendfsync", "always")
    with redis_server(tmp_path, *keep) as (url, _), opened(url) as store:
        store.put(batch(0, 10))
        store.put(batch(1, 10))
    (log,) = (tmp_path / "appendonlydir").glob("*.incr.aof")
    os.truncate(log, log.stat().st_size - 100)
    with redis_server(tmp_path, "--appendonly", "yes") as (url, _), opened(url) as store:
        assert (written(store, 0, 10), written(store, 1, 10)) == (20, 0)


def test_a_server_without_room_refuses_a_put_as_a_whole_and_still_serves(tmp_path):
    small = ("--maxmemory", "3mb", "--maxmemory-policy", "noeviction")
    with redis_server(tmp_path, *small) as (url, _), opened(url) as store:
        done = []

        def fill():
            for number in range(200):
                store.put(batch(number, 500))
                done.append(number)

        with pytest.raises(StoreUnavailable, match=r"couldn't put rows: .*maxmemory"):
            fill()
        assert {written(store, number, 500) for number in done} == {1_000}
        assert written(store, len(done), 500) == 0


def test_what_the_server_s_own_policy_evicted_reads_as_none(tmp_path):
    small = ("--maxmemory", "3mb", "--maxmemory-policy", "allkeys-random")
    with redis_server(tmp_path, *small) as (url, _), opened(url) as store:
        for number in range(8):
            store.put(batch(number, 1_000))
        held = sum(written(store, number, 1_000) for number in range(8))
        assert 0 < held < 16_000


def test_a_server_that_hangs_is_named_and_the_put_can_be_made_again(tmp_path, monkeypatch):
    monkeypatch.setattr(redis_store, "_PATIENCE", 0.2)
    with redis_server(tmp_path) as (url, server), opened(url) as store:
        server.send_signal(signal.SIGSTOP)
        try:
            with pytest.raises(StoreUnavailable, match=r"couldn't put rows: Timeout .*put them again"):
                store.put(batch(0, 10))
            with pytest.raises(StoreUnavailable, match="couldn't read: Timeout"):
                written(store, 0, 10)
        finally:
            server.send_signal(signal.SIGCONT)
        assert written(store, 0, 10) in (0, 20)
        store.put(batch(0, 10))
        assert written(store, 0, 10) == 20


def test_a_server_that_isn_t_there_is_named_with_what_to_do():
    url = f"redis://127.0.0.1:{free_port()}/0"
    with pytest.raises(
        StoreUnavailable,
        match=rf"^{url}: couldn't open it: .*; see that the server runs \(redis-cli -u {url} ping\)",
    ):
        open_store(url, FEATURES)


def test_no_error_shows_a_password(tmp_path):
    with redis_server(tmp_path, "--requirepass", "right") as (url, _):
        secret = url.replace("redis://", "redis://:wrong-secret@")
        with pytest.raises(StoreUnavailable) as told:
            open_store(secret, FEATURES)
        assert "wrong-secret" not in str(told.value)
        assert str(told.value).startswith(f"{url}: couldn't open it")
        with opened(url.replace("redis://", "redis://:right@")) as store:
            assert store.url == url
            store.put(batch(0, 1))


def test_an_address_that_redis_can_t_read_is_refused():
    with pytest.raises(ValueError, match=r"url: got 'redis://localhost:port/0'; "):
        open_store("redis://localhost:port/0", FEATURES)


def test_without_the_package_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "redis", None)
    with pytest.raises(
        StoreUnavailable, match=r"couldn't open it: .*; install the package: pip install redis"
    ):
        open_store("redis://localhost:6379/0", FEATURES)
