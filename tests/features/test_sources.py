"""A table comes to the engine as frame, relation or file, with its kinds of columns told alike."""

from pathlib import Path

import numpy as np
import pandas as pd
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
