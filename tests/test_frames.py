"""A reader's table comes in the same from any library, or is refused by name, value and rule."""

from decimal import Decimal

import duckdb
import narwhals as nw
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from toolkit.frames import read_columns, schema_of, with_outcomes

TABLE = pd.DataFrame(
    {
        "user_id": [1, 2, 3, 4],
        "arm": ["control", "control", "treatment", None],
        "y": [0.0, 1.0, None, 1.0],
        "shown": [True, False, True, True],
        "propensity": [0.5, 0.25, 1.0, 0.5],
    }
)
LIBRARIES = {
    "pandas": lambda table: table,
    "pandas with nullable types": lambda table: table.convert_dtypes(),
    "pandas with Arrow types": lambda table: table.convert_dtypes(dtype_backend="pyarrow"),
    "pandas with categories": lambda table: table.assign(arm=table["arm"].astype("category")),
    "Polars": pl.from_pandas,
    "Polars, lazily": lambda table: pl.from_pandas(table).lazy(),
    "PyArrow": lambda table: pa.Table.from_pandas(table, preserve_index=False),
    "DuckDB": lambda table: duckdb.from_df(table),
}


@pytest.mark.parametrize("library", LIBRARIES)
def test_every_library_s_frame_gives_equal_columns(library):
    read = read_columns(
        LIBRARIES[library](TABLE),
        "log",
        list(TABLE),
        key=["user_id"],
        missing=["arm", "y"],
        labels=["y"],
        propensities=["propensity"],
        numbers=["user_id"],
    )
    assert {name: dtype.kind for name, dtype in read.drop(columns="arm").dtypes.items()} == {
        "user_id": "i",
        "y": "f",
        "shown": "b",
        "propensity": "f",
    }
    for column in TABLE:
        gone = TABLE[column].isna()
        assert (read[column].isna() == gone).all(), column
        assert read[column][~gone].tolist() == TABLE[column][~gone].tolist(), column


def test_categories_without_rows_are_no_arms():
    arm = pd.Categorical(["a", "b"], categories=["a", "b", "never"])
    read = read_columns(pd.DataFrame({"arm": arm, "y": [0, 1]}), "log", ["arm", "y"])
    assert sorted(read.groupby("arm", observed=False).groups) == ["a", "b"]


def test_booleans_with_gaps_are_labels():
    read = read_columns(pl.DataFrame({"y": [True, None, False]}), "log", ["y"], missing=["y"], labels=["y"])
    assert read["y"].tolist()[::2] == [1.0, 0.0]
    assert np.isnan(read["y"][1])


def test_decimals_and_sums_of_a_database_are_numbers():
    # DuckDB takes 0.5 for a decimal, and sums whole numbers into 128 bits.
    table = duckdb.sql("SELECT 0.5 AS p, sum(i) AS clicks FROM range(4) rows(i)")
    read = read_columns(table, "log", ["p", "clicks"], propensities=["p"], numbers=["clicks"])
    assert read.to_dict("list") == {"p": [0.5], "clicks": [6.0]}


def test_rows_are_numbered_anew_and_the_reader_s_frame_stays_as_it_is():
    given = pd.DataFrame({"y": [1, 2, 3]}, index=[5, 5, 9])
    read = read_columns(given, "log", ["y"])
    assert read.index.tolist() == [0, 1, 2]
    read["y"] = 0
    assert given["y"].tolist() == [1, 2, 3]


def test_only_what_is_asked_for_comes_unless_all_is_kept():
    assert list(read_columns(TABLE, "log", ["user_id", "shown"])) == ["user_id", "shown"]
    assert list(read_columns(TABLE, "log", ["shown"], keep=True)) == list(TABLE)


def read(columns, **settings):
    return lambda: read_columns(pd.DataFrame(columns), "log", list(columns), **settings)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: read_columns([1, 2], "log", ["y"]), "log: got list; it must be a frame that Narwhals reads"),
        (lambda: read_columns(None, "log", ["y"]), "log: got NoneType; it must be a frame"),
        (lambda: read_columns(TABLE["y"], "log", ["y"]), "log: got Series; it must be a frame"),
        (
            lambda: read_columns(TABLE[["y"]], "log", ["y", "ts", "arm"]),
            r"log: got columns \['y'\]; it must have ts, arm",
        ),
        (lambda: read_columns(TABLE[:0], "log", ["y"]), "log: got no row; it must have one at least"),
        (lambda: read_columns(TABLE, "log", ["y"]), "y: got 1 missing of 4; log must be complete"),
        (read({"arm": ["a", None]}), "arm: got 1 missing of 2; log must be complete"),
        (
            read({"u": [1, 1, 2], "d": [1, 1, 1]}, key=["u", "d"]),
            "u, d: got 1 repeated of 3; each must be in log once",
        ),
        (read({"y": [0, 2]}, labels=["y"]), "y: got 2 in log; a label is 0 or 1"),
        (read({"y": [0, 0.5, None]}, labels=["y"], missing=["y"]), "y: got 0.5 in log; a label is 0 or 1"),
        (read({"y": ["0", "1"]}, labels=["y"]), "y: got .* in log; it must be numbers"),
        (read({"p": [0.5, 0.0]}, propensities=["p"]), r"p: got 0.0 in log; a propensity lies in \(0, 1\]"),
        (read({"p": [0.5, 1.1]}, propensities=["p"]), r"p: got 1.1 in log; a propensity lies in \(0, 1\]"),
        (read({"x": [1, np.inf]}, numbers=["x"]), "x: got inf in log; it must be finite"),
        (read({"x": [1, 2 + 1j]}, numbers=["x"]), "x: got complex128 in log; it must be numbers"),
        (
            lambda: read_columns(pd.DataFrame([[1, 2]], columns=["y", "y"]), "log", ["y"]),
            "log: got a column's name twice; each must be there once",
        ),
    ],
)
def test_what_it_refuses(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_each_impression_finds_its_own_outcome_and_none_is_dropped():
    rows = pd.DataFrame({"request_id": [3, 1, 1], "item_id": [5, 5, 6], "arm": list("abc")})
    outcomes = pd.DataFrame(
        {"request_id": [1, 1, 3, 9], "item_id": [6, 5, 5, 5], "y": [1, 0, 1, 0], "label_ts": range(4)}
    )
    found = with_outcomes(rows, outcomes, optional=["label_ts"])
    assert found["y"].tolist() == [1, 0, 1]
    assert found["label_ts"].tolist() == [2, 1, 0]
    assert found["arm"].tolist() == list("abc")
    with pytest.raises(ValueError, match="outcomes: got none for 2 of 3 rows; each needs one"):
        with_outcomes(rows, outcomes.iloc[1:2])
    with pytest.raises(ValueError, match="request_id, item_id: got 1 repeated of 5"):
        with_outcomes(rows, outcomes.iloc[[0, 0, 1, 2, 3]])
    with pytest.raises(ValueError, match=r"y: got 2\.5 in outcomes; a label is 0 or 1"):
        with_outcomes(rows, outcomes.assign(y=2.5))
    assert with_outcomes(rows, outcomes.assign(spend=2.5), value="spend", label=False)["spend"].sum() == 7.5


def test_decimals_of_a_driver_are_numbers_and_no_categories():
    read = read_columns(pd.DataFrame({"price": [Decimal("1.5"), None]}), "log", ["price"], missing=["price"])
    assert read["price"].dtype == float
    assert read["price"][0] == 1.5


def test_times_and_texts_that_pandas_keeps_as_arrow_or_nullable_are_times_and_texts():
    noon = pd.Series(pd.to_datetime(["2026-03-02 12:00", "2026-03-03 12:00"])).dt.tz_localize(
        "America/New_York"
    )
    given = pd.DataFrame({"ts": noon, "plan": ["a", None]})
    for made in (given.convert_dtypes(), given.convert_dtypes(dtype_backend="pyarrow")):
        read = read_columns(made, "log", ["ts", "plan"], times=["ts"], missing=["plan"])
        assert (read["ts"] == noon).all()
        # A comparison with a missing text is false, not missing.
        assert (read["plan"] != read["plan"].shift()).dtype == bool


def test_keys_of_two_kinds_are_refused_by_name():
    log = pd.DataFrame({"request_id": [1, 2], "item_id": 7})
    outcomes = pd.DataFrame({"request_id": ["1", "2"], "item_id": 7, "y": 1})
    with pytest.raises(
        ValueError, match=r"request_id: got int64 in serving_log and .* in outcomes; it must be of"
    ):
        with_outcomes(log, outcomes)


@pytest.mark.parametrize("zone", ["America/New_York", "Etc/GMT+5", "UTC", "Europe/Berlin"])
def test_a_zone_is_known_whatever_its_name(zone):
    ts = pd.Series(pd.to_datetime(["2026-03-02"])).dt.tz_localize(zone)
    assert schema_of(nw.from_native(pd.DataFrame({"ts": ts})))["ts"].time_zone == zone
