"""A load by key survives being run twice, out of order and after a crash; appending doesn't. All on a real DuckDB."""

import itertools

import duckdb
import pandas as pd
import polars as pl
import pytest

from toolkit.shipping.loading import append, create, load_work, replace_partition, upsert

OLD = pd.DataFrame({"request_id": [1, 2, 3], "y": [0, 0, 1], "written": [1, 1, 1]})
NEW = pd.DataFrame({"request_id": [2, 4], "y": [1, 0], "written": [2, 2]})


def held(store, table="outcomes"):
    return store.execute(f"SELECT request_id, y FROM {table} ORDER BY ALL").fetchall()


@pytest.fixture
def store():
    with duckdb.connect() as connection:
        yield connection


def test_a_second_run_of_an_append_doubles_and_one_by_key_changes_nothing(store):
    create(store, "appended", OLD)
    create(store, "outcomes", OLD, key=["request_id"])
    assert [append(store, "appended", OLD) for _ in range(2)] == [3, 6]
    assert [upsert(store, "outcomes", OLD, key=["request_id"]) for _ in range(2)] == [3, 3]
    assert held(store) == [(1, 0), (2, 0), (3, 1)]


@pytest.mark.parametrize("order", list(itertools.product(range(2), repeat=3)))
def test_whatever_the_order_and_the_repeats_the_newest_version_stays(store, order):
    batches = [OLD, NEW]
    create(store, "outcomes", OLD, key=["request_id"])
    for place in (*order, 0, 1, *order):
        upsert(store, "outcomes", batches[place], key=["request_id"], newest="written")
    assert held(store) == [(1, 0), (2, 1), (3, 1), (4, 0)]


def test_without_an_order_the_last_batch_wins(store):
    create(store, "outcomes", OLD, key=["request_id"])
    for batch in (NEW, OLD):
        upsert(store, "outcomes", batch, key=["request_id"])
    assert held(store) == [(1, 0), (2, 0), (3, 1), (4, 0)]


def test_copies_within_a_batch_are_reduced_to_the_newest(store):
    create(store, "outcomes", OLD, key=["request_id"])
    both = pd.concat([NEW, OLD])
    assert upsert(store, "outcomes", both, key=["request_id"], newest="written") == 4
    assert held(store) == [(1, 0), (2, 1), (3, 1), (4, 0)]


def test_a_table_of_keys_alone_can_be_written_twice(store):
    keys = OLD[["request_id"]]
    create(store, "seen", keys, key=["request_id"])
    assert [upsert(store, "seen", keys, key=["request_id"]) for _ in range(2)] == [3, 3]


def test_names_are_quoted_and_any_frame_will_do(store):
    odd = pl.DataFrame({"group": [1], 'a "b"': [2]})
    create(store, "order", odd, key=["group"])
    assert upsert(store, "order", odd, key=["group"]) == 1


def test_a_partition_is_replaced_as_a_whole_or_not_at_all(store):
    day = OLD.assign(day="mon")
    create(store, "outcomes", day)
    append(store, "outcomes", NEW.assign(day="tue"))
    assert [replace_partition(store, "outcomes", day, partition="day", value="mon") for _ in range(2)] == [
        5,
        5,
    ]
    broken = day.assign(extra=1)  # a column that the table lacks, so the insert fails after the deletion
    with pytest.raises(duckdb.Error):
        replace_partition(store, "outcomes", broken, partition="day", value="mon")
    assert len(held(store)) == 5


def test_bad_input_is_refused_by_name_value_and_rule(store):
    create(store, "outcomes", OLD, key=["request_id"])
    with pytest.raises(ValueError, match=r"key: got \[\]; it must be a list of one column at least"):
        upsert(store, "outcomes", OLD, key=[])
    with pytest.raises(ValueError, match=r"batch: got columns .* it must have item_id"):
        upsert(store, "outcomes", OLD, key=["item_id"])
    with pytest.raises(ValueError, match="request_id: got 3 missing of 3"):
        upsert(store, "outcomes", OLD.assign(request_id=None), key=["request_id"])
    with pytest.raises(ValueError, match="written: got 3 missing of 3"):
        upsert(store, "outcomes", OLD.assign(written=None), key=["request_id"], newest="written")
    with pytest.raises(ValueError, match="written: got 3 rows of another partition than 2"):
        replace_partition(store, "outcomes", OLD, partition="written", value=2)


def test_the_work_of_a_load_is_counted_in_rows():
    work = load_work([OLD, NEW, OLD], key=["request_id"], newest="written").set_index("way")
    # OLD puts in 3; NEW puts in 4 and rewrites 2; OLD again rewrites 1 and 3, and 2 is newer.
    assert work.loc["written by key"].tolist() == [8, 8, 4, 3, 4]
    assert work.loc["appended"].tolist() == [8, 0, 8, 0, 8]
    with pytest.raises(ValueError, match="batches: got none; there must be one"):
        load_work([], key=["request_id"])
