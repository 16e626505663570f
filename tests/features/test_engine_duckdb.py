"""The habits of DuckDB are those that the table of habits says, and its texts fold as Python's."""

import unicodedata

import duckdb
import pyarrow as pa
import pytest

from toolkit.features.specification import fold


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("(-7) // 2", -3),
        ("log(100.0::DOUBLE)", 2.0),
        ("round(2.5::DOUBLE)", 3.0),
        ("round_even(2.5::DOUBLE, 0)", 2.0),
        ("greatest(NULL, 0)", 0),
        ("length(trim(e'\\ta '))", 2),
        ("lower('ΑΣ')", "ασ"),
        ("16777217::FLOAT::BIGINT", 16777216),
        ("0.1::FLOAT = 0.1", True),
        ("0.1::FLOAT::DOUBLE = 0.1::DOUBLE", False),
        ("(SELECT quantile(x, 0.5) FROM (VALUES (1.0::DOUBLE), (2), (4), (9)) t(x))", 2.0),
        ("(SELECT stddev(x) FROM (VALUES (1), (3)) t(x))", 2**0.5),
        ("(SELECT count(x) FROM (VALUES ('NaN'::DOUBLE), (NULL), (1)) t(x))", 2),
        ("2 BETWEEN 1 AND 2 AND 1 BETWEEN 1 AND 2", True),
    ],
)
def test_duckdb_habits_are_as_told(expression, expected):
    assert duckdb.sql(f"SELECT {expression}").fetchall() == [(expected,)]


def test_a_day_s_interval_is_as_long_as_the_session_s_day():
    # The clocks of New York were put forward on 8 March 2026.
    with duckdb.connect() as connection:
        for zone, hours in [("UTC", 24.0), ("America/New_York", 23.0)]:
            connection.execute(f"SET TimeZone = '{zone}'")
            at = "TIMESTAMPTZ '2026-03-09 00:00:00-04'"
            (found,) = connection.execute(f"SELECT epoch({at}) - epoch({at} - INTERVAL 1 DAY)").fetchone()
            assert found / 3600 == hours


def test_duckdb_folds_the_letters_of_european_scripts_as_python_does():
    letters = [
        chr(code)
        for span in (range(1, 0x530), range(0x1E00, 0x2000))
        for code in span
        if unicodedata.category(chr(code)) != "Cn"
    ]
    table = pa.table({"place": range(len(letters)), "letter": ["x" + letter + "x" for letter in letters]})
    with duckdb.connect() as connection:
        connection.register("letters", table)
        found = connection.execute(
            "SELECT lower(nfc_normalize(letter)) FROM letters ORDER BY place"
        ).fetchall()
    assert [text for (text,) in found] == [fold("x" + letter + "x") for letter in letters]
