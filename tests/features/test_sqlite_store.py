import signal
import sqlite3
import subprocess
import sys
from datetime import UTC, datetime

import pytest

from toolkit.features import sqlite_store
from toolkit.features.stores import Feature, Row, StoreUnavailable, open_store

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
FEATURES = [Feature("f_rate")]
ENTITIES = list(range(50))


def rows(value, entities=ENTITIES):
    return [Row(entity, "f_rate", value, NOON, NOON) for entity in entities]


def values(store, entities=ENTITIES):
    got = store.get_many(entities, ["f_rate"], now=NOON)
    return {None if reading["f_rate"] is None else reading["f_rate"].value for reading in got.values()}


# Puts twice, and is killed in the second put, before the statement that begins so.
WRITER = """
import os, signal, sys
from datetime import UTC, datetime
from toolkit.features.stores import Feature, Row, open_store
noon = datetime(2026, 3, 2, 12, tzinfo=UTC)
store = open_store(sys.argv[1], [Feature("f_rate")])
store.put([Row(entity, "f_rate", 0.25, noon, noon) for entity in range(50)])
seen = 0
def killed(statement):
    global seen
    seen += statement.startswith(sys.argv[2])
    if seen == int(sys.argv[3]):
        os.kill(os.getpid(), signal.SIGKILL)
store._connection.set_trace_callback(killed)
store.put([Row(entity, "f_rate", 0.75, noon, noon) for entity in range(100)])
"""


@pytest.mark.parametrize(
    ("statement", "time"),
    [("INSERT OR REPLACE INTO cells", 30), ("INSERT OR REPLACE INTO ent", 1), ("COMMIT", 1)],
)
def test_a_writer_killed_in_the_middle_of_a_put_leaves_no_half_of_it(tmp_path, statement, time):
    url = f"sqlite://{tmp_path / 'store.db'}"
    writer = subprocess.run([sys.executable, "-c", WRITER, url, statement, str(time)], check=False)
    assert writer.returncode == -signal.SIGKILL
    store = open_store(url, FEATURES)
    assert values(store) == {0.25}
    assert values(store, range(50, 100)) == {None}
    # And it takes the same rows again.
    store.put(rows(0.75, range(100)))
    assert values(store, range(100)) == {0.75}
    store.close()


def test_a_full_disk_leaves_no_half_of_a_put(tmp_path):
    store = open_store(f"sqlite://{tmp_path / 'store.db'}", FEATURES)
    store.put(rows(0.25))
    store._connection.execute("PRAGMA max_page_count = 20")
    with pytest.raises(
        StoreUnavailable,
        match=r"sqlite://.*: couldn't put rows: database or disk is full; nothing was changed; see that",
    ):
        store.put(rows(0.75, range(20_000)))
    assert values(store) == {0.25}
    assert values(store, range(50, 1000)) == {None}
    store.put(rows(0.5))
    assert values(store) == {0.5}
    store.close()


def test_a_file_that_another_program_holds_is_named_after_a_while(tmp_path, monkeypatch):
    monkeypatch.setattr(sqlite_store, "_PATIENCE", 0.05)
    store = open_store(f"sqlite://{tmp_path / 'store.db'}", FEATURES)
    holder = sqlite3.connect(tmp_path / "store.db", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(
        StoreUnavailable, match=r"store.db: couldn't put rows: database is locked; .* no other program holds"
    ):
        store.put(rows(0.5))
    # Readers don't wait for writers.
    assert values(store) == {None}
    holder.execute("ROLLBACK")
    holder.close()
    store.put(rows(0.5))
    assert values(store) == {0.5}
    store.close()


def test_a_place_that_can_t_be_a_store_is_named(tmp_path):
    with pytest.raises(
        StoreUnavailable,
        match=r"^sqlite://.*/nowhere/store.db: couldn't open it: unable to open .* folder exists",
    ):
        open_store(f"sqlite://{tmp_path}/nowhere/store.db", FEATURES)
    (tmp_path / "notes.txt").write_text("This is no database, but it is long enough to be read as one." * 20)
    with pytest.raises(StoreUnavailable, match=r"notes.txt: couldn't open it: file is not a database"):
        open_store(f"sqlite://{tmp_path}/notes.txt", FEATURES)
    assert (tmp_path / "notes.txt").read_text().startswith("This is no database")


def test_more_entities_are_asked_for_than_a_statement_takes_parameters(tmp_path):
    store = open_store("sqlite://:memory:", FEATURES)
    store.put(rows(0.5, range(2_000)))
    assert values(store, range(2_000)) == {0.5}
    assert len(store.get_many(range(2_500), ["f_rate"], now=NOON)) == 2_500
    store.close()


def test_a_put_between_the_statements_of_one_read_is_not_half_seen(tmp_path, monkeypatch):
    monkeypatch.setattr(sqlite_store, "_AT_ONCE", 20)
    reader, writer = (open_store(f"sqlite://{tmp_path / 'store.db'}", FEATURES) for _ in range(2))
    writer.put(rows(0.25))
    statements = []

    def and_put(statement):
        if "latest" in statement:
            statements.append(statement)
            if len(statements) == 2:
                writer.put(rows(0.75))

    reader._connection.set_trace_callback(and_put)
    assert values(reader) == {0.25}
    assert len(statements) == 3
    assert values(reader) == {0.75}
    reader.close(), writer.close()
