import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import polars as pl
import pytest

from toolkit.features.stores import Feature, Row, StoreSettings, StoreUnavailable, open_store

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
TYPED = [
    Feature("f_rate"),
    Feature("f_id", "int64"),
    Feature("f_flag", "bool"),
    Feature("f_name", "text", nullable=True),
    Feature("f_when", "time"),
    Feature("f_single", "float32"),
]


@pytest.fixture
def store(tmp_path):
    opened = open_store(f"parquet://{tmp_path / 'store'}", TYPED)
    yield opened
    opened.close()


def rate(value, hour=0.0, entity="a", late=0.0):
    return Row(entity, "f_rate", value, NOON + hour * HOUR, NOON + (hour + late) * HOUR)


def test_each_row_gets_what_was_known_at_its_own_time_in_the_caller_s_order(store):
    store.put([rate(0.1), rate(0.2, 2, late=1), rate(0.3, 4)])
    labels = pd.DataFrame(
        {
            "entity_id": ["a", "b", "a", "a", "a"],
            "ts": [pd.Timestamp(NOON + h * HOUR) for h in (9, 9, 2.5, 3, -1)],
            "y": [1, 0, 1, 0, 1],
        },
        index=[9, 8, 7, 6, 5],
    )
    told = store.read_as_of(labels, ["f_rate"])
    assert told["f_rate"].fillna(-1).tolist() == [0.3, -1, 0.1, 0.2, -1]
    assert told["y"].tolist() == labels["y"].tolist()
    assert "f_rate" not in labels
    pd.testing.assert_frame_equal(store.read_as_of(pl.from_pandas(labels), ["f_rate"]), told)


def test_it_reads_as_of_what_get_many_serves_at_that_time(tmp_path):
    draw = np.random.default_rng(0)
    settings = StoreSettings(ttl=5 * HOUR, write_lag=HOUR)
    store = open_store(f"parquet://{tmp_path}", TYPED, settings=settings)
    made = {
        (e, h): rate(draw.random(), h, e, late=int(draw.integers(0, 5)))
        for e in "abc"
        for h in range(0, 20, 2)
    }
    store.put(made.values())
    hours = draw.permutation(np.repeat(np.arange(0, 30, 3), 3))
    entities = [*"abc"] * 10
    labels = pd.DataFrame({"entity_id": entities, "ts": [pd.Timestamp(NOON) + int(h) * HOUR for h in hours]})
    told = store.read_as_of(labels, ["f_rate"])["f_rate"]
    for entity, hour, value in zip(entities, hours, told, strict=True):
        reading = store.get_many([entity], ["f_rate"], now=NOON + int(hour) * HOUR)[entity]["f_rate"]
        assert (reading.value == value) if reading else pd.isna(value)
    assert 0 < told.isna().sum() < len(told)
    store.close()


def test_no_type_is_lost_where_some_rows_have_no_value(store):
    now = pd.Timestamp(NOON)
    given = {
        "f_id": 2**53 + 1,
        "f_flag": True,
        "f_name": "Ä",
        "f_when": NOON,
        "f_single": float(np.float32(0.1)),
    }
    store.put([Row("a", feature, value, NOON, NOON) for feature, value in given.items()])
    told = store.read_as_of(pd.DataFrame({"entity_id": ["a", "b"], "ts": [now, now]}), list(given))
    assert told.loc[0, list(given)].tolist() == list(given.values())
    assert told.loc[1, list(given)].isna().all()
    assert told[list(given)].dtypes.astype(str).tolist() == [
        "Int64",
        "boolean",
        "object",
        "datetime64[us, UTC]",
        "float32",
    ]


WRITER = """
import os, signal, sys
import pyarrow.parquet as pq
from datetime import UTC, datetime
from toolkit.features.stores import Feature, Row, open_store
noon = datetime(2026, 3, 2, 12, tzinfo=UTC)
store = open_store(sys.argv[1], [Feature("f_rate")])
store.put([Row(e, "f_rate", 0.25, noon, noon) for e in range(5)])
whole = pq.write_table
def half(table, path):
    whole(table, path)
    os.truncate(path, os.path.getsize(path) // 2)
    os.kill(os.getpid(), signal.SIGKILL)
pq.write_table = half
store.put([Row(e, "f_rate", 0.75, noon, noon) for e in range(10)])
"""


def test_a_writer_killed_in_the_middle_of_a_put_leaves_no_half_of_it(tmp_path):
    url = f"parquet://{tmp_path}"
    writer = subprocess.run([sys.executable, "-c", WRITER, url], check=False)
    assert writer.returncode == -signal.SIGKILL
    store = open_store(url, [Feature("f_rate")])
    got = store.get_many(range(10), ["f_rate"], now=NOON)
    assert [got[e]["f_rate"] and got[e]["f_rate"].value for e in range(10)] == [0.25] * 5 + [None] * 5
    store.put([Row(e, "f_rate", 0.75, NOON, NOON) for e in range(10)])
    got = store.get_many(range(10), ["f_rate"], now=NOON)
    assert {got[e]["f_rate"].value for e in range(10)} == {0.75}
    store.close()


def test_two_writers_of_one_folder_never_replace_each_other_s_file(tmp_path, monkeypatch):
    one, other = (open_store(f"parquet://{tmp_path}", TYPED) for _ in range(2))
    one.put([rate(0.1, entity="a")])
    # Both see the folder as it was before either wrote.
    before, now = one._files(), type(one)._files
    stale = {one: before, other: before}
    monkeypatch.setattr(type(one), "_files", lambda self: stale.pop(self, None) or now(self))
    one.put([rate(0.2, entity="b")])
    other.put([rate(0.3, entity="c")])
    monkeypatch.undo()
    got = one.get_many(["a", "b", "c"], ["f_rate"], now=NOON)
    assert [got[e]["f_rate"].value for e in "abc"] == [0.1, 0.2, 0.3]
    assert not list(tmp_path.glob("*.part"))
    one.close(), other.close()


def test_a_put_between_the_reads_of_two_features_is_seen_in_both_or_in_none(store, monkeypatch, tmp_path):
    def put(number):
        flag = Row("a", "f_flag", number > 1, NOON, NOON)
        store.put([rate(float(number)), flag])

    put(1)
    read = type(store)._read

    def and_put(self, *args):
        put(2)
        return read(self, *args)

    monkeypatch.setattr(type(store), "_read", and_put)
    seen = store.get_many(["a"], ["f_rate", "f_flag"], now=NOON)["a"]
    assert [reading.value for reading in seen.values()] == [1.0, False]


def test_a_folder_that_is_gone_is_an_error_and_not_an_empty_store(tmp_path):
    store = open_store(f"parquet://{tmp_path / 'store'}", TYPED)
    store.put([rate(0.1)])
    (tmp_path / "store").rename(tmp_path / "elsewhere")
    with pytest.raises(StoreUnavailable, match=r"couldn't read: .*No such file or directory"):
        store.get_many(["a"], ["f_rate"], now=NOON)
    with pytest.raises(StoreUnavailable, match=r"couldn't put rows: .*No such file or directory"):
        store.put([rate(0.2)])
    (tmp_path / "elsewhere").rename(tmp_path / "store")
    assert store.get_many(["a"], ["f_rate"], now=NOON)["a"]["f_rate"].value == 0.1
    store.close()


def test_a_folder_that_can_t_be_read_is_named(tmp_path):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(
        StoreUnavailable, match=r"^parquet://.*/file: couldn't open it: .*; nothing was changed; see that"
    ):
        open_store(f"parquet://{tmp_path / 'file'}", TYPED)
    (tmp_path / "000000001.parquet").write_text("no Parquet")
    with pytest.raises(
        StoreUnavailable,
        match=r"couldn't open it: .* too small to be a Parquet file; .*holds Parquet files only",
    ):
        open_store(f"parquet://{tmp_path}", TYPED)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ({"entity_id": ["a"]}, r"labels: got columns \['entity_id'\]; it must have ts"),
        (
            {"entity_id": ["a"], "ts": [datetime(2026, 3, 2)]},
            r"ts: got datetime64.* in labels; it must be times with",
        ),
        ({"entity_id": [1.5], "ts": [pd.Timestamp(NOON)]}, "entity_id: got 1.5"),
    ],
)
def test_labels_that_name_no_entity_or_no_time_are_refused(store, labels, message):
    with pytest.raises(ValueError, match=message):
        store.read_as_of(pd.DataFrame(labels), ["f_rate"])
