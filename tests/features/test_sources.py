"""A table comes to the engine as frame, relation or file, with its kinds of columns told alike."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from toolkit.features.sources import NUMBERS, TEXT, TIMES, identifier, literal, open_engine, source

FRAME = pd.DataFrame(
    {"item_id": [7, 8], "name": ["a", "b"], "ts": pd.to_datetime(["2026-03-02", "2026-03-03"], utc=True)}
)


def test_kinds_are_the_same_whatever_held_the_table(tmp_path):
    FRAME.to_parquet(tmp_path / "rows.parquet")
    wanted = {"item_id": NUMBERS, "name": TEXT, "ts": TIMES}
    other = open_engine(None)
    for given in (FRAME, tmp_path / "rows.parquet", other.from_df(FRAME)):
        engine = open_engine(None)
        found = source(engine, given, "rows", list(FRAME))
        assert dict(found.kinds) == wanted
        expected = FRAME["ts"].dt.as_unit("us").astype("int64")
        np.testing.assert_array_equal(found.microseconds(engine, "ts"), expected)


def test_categories_are_text_and_whole_numbers_of_every_size_are_numbers():
    frame = pd.DataFrame({"name": pd.Categorical(["a", "b"]), "few": np.array([1, 2], dtype="uint8")})
    engine = open_engine(None)
    assert set(source(engine, frame, "rows", list(frame)).kinds.values()) == {TEXT, NUMBERS}
    again = source(
        open_engine(None), engine.sql("SELECT name::ENUM('a', 'b') AS name, few FROM rows"), "rows", []
    )
    assert dict(again.kinds) == {"name": TEXT, "few": NUMBERS}


@pytest.mark.parametrize("name", ['a "b"', "it's", "plain"])
def test_names_and_texts_come_back_from_the_engine_as_they_were(name):
    found = open_engine(None).execute(f"SELECT {literal(name)} AS {identifier(name)}").df()
    assert found.to_dict("list") == {name: [name]}


def test_engines_that_spill_at_once_don_t_share_a_folder_and_leave_none_behind():
    engines = [open_engine("20MB") for _ in range(2)]
    folders = [
        Path(each.sql("SELECT current_setting('temp_directory')").fetchall()[0][0]) for each in engines
    ]
    assert folders[0] != folders[1]
    engines[0].execute("CREATE TABLE t AS SELECT range AS a, hash(range) AS b FROM range(2_000_000)")
    assert list(folders[0].iterdir())
    assert not folders[1].exists()
    for each in engines:
        each.close()
    assert not folders[0].exists()


def test_an_engine_keeps_to_its_limit():
    told = open_engine("100MB").execute("SELECT current_setting('memory_limit')").fetchone()
    assert told is not None
    assert told[0].startswith("95.3")


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "+01:00"])
@pytest.mark.parametrize("gap", [False, True])
def test_what_is_taken_as_it_lies_in_memory_is_what_arrow_makes_of_it(unit, zone, gap):
    at = pd.to_datetime(["2026-03-02 03:00:01", None if gap else "1960-06-01 00:00:00"])
    frame = pd.DataFrame(
        {
            "ts": at.tz_localize(zone).as_unit(unit),
            "value": [0.5, np.nan],
            "narrow": np.array([1, 2], dtype=np.float32),
            "whole": pd.array([1, None], dtype="Int64"),
            "name": ["a", None],
        }
    )
    for given in (frame, frame.iloc[::-1]):
        made, wanted = (
            source(open_engine(None), given, "rows", list(frame)).arrow,
            pa.Table.from_pandas(given),
        )
        for column, kind in (
            ("ts", pa.timestamp("us", zone)),
            ("value", pa.float64()),
            ("narrow", pa.float32()),
        ):
            assert made[column].to_pylist() == wanted[column].cast(kind).to_pylist()
            assert made[column].type == kind
        assert made["whole"].to_pylist() == wanted["whole"].to_pylist()
        assert made["name"].to_pylist() == wanted["name"].to_pylist()
