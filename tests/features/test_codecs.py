import json
import math
import struct
from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pandas as pd
import pytest

from toolkit.features.codecs import decode, encode, fitted, losses, sizes

EAST = timezone(timedelta(hours=5, minutes=45))


def through(value, codec, dtype):
    return decode(encode(value, codec, dtype=dtype), codec, dtype=dtype)


@pytest.mark.parametrize(
    ("dtype", "value"),
    [
        ("float64", 0.1),
        ("float64", 1.7976931348623157e308),
        ("float64", 5e-324),
        ("float64", -0.0),
        ("float32", float(np.float32(0.1))),
        ("int64", 2**63 - 1),
        ("int64", 2**53 + 1),
        ("bool", True),
        ("text", "Zürich \U0001f600"),
        ("text", None),
    ],
)
def test_json_and_msgpack_keep_every_number_and_text_to_the_bit(dtype, value):
    for codec in ("json", "msgpack"):
        back = through(value, codec, dtype)
        assert back == value
        assert type(back) is type(value)
        if value == 0:
            assert math.copysign(1, back) == -1


def test_json_has_no_nan_and_no_infinity_and_msgpack_has():
    for value in (math.nan, math.inf, -math.inf):
        with pytest.raises(ValueError, match=r"value: got .*; JSON has no such number"):
            encode(value, "json", dtype="float64")
        back = through(value, "msgpack", "float64")
        assert back == value or (math.isnan(back) and math.isnan(value))


def test_what_json_writes_any_parser_reads():
    assert json.loads(encode("Zürich", "json", dtype="text"), parse_constant=pytest.fail) == "Zürich"


def test_every_second_whole_number_above_2_to_the_24_is_lost_in_a_float32():
    ids = range(2**24, 2**24 + 2_000)
    kept = [number for number in ids if through(number, "float32", "int64") == number]
    assert kept == list(ids)[::2]
    assert all(through(number, "float32", "int64") == number for number in range(2**24 - 1_000, 2**24 + 1))


def test_a_float32_is_off_by_at_most_half_a_step():
    values = np.random.default_rng(0).normal(size=500)
    back = np.array([through(float(value), "float32", "float64") for value in values])
    assert 0 < np.abs(back / values - 1).max() <= 2**-24
    assert (back == values.astype(np.float32)).all()


def test_a_time_keeps_its_instant_and_in_msgpack_loses_its_zone():
    value = datetime(2026, 3, 2, 1, 2, 3, 456_789, tzinfo=EAST)
    for codec in ("json", "msgpack"):
        assert through(value, codec, "time") == value
    assert through(value, "json", "time").utcoffset() == EAST.utcoffset(None)
    assert through(value, "msgpack", "time").utcoffset() == timedelta(0)


def test_the_table_of_losses_names_them():
    told = losses().set_index("value")
    assert told.loc["a tenth"].tolist() == ["float64", "kept", "kept", "becomes 0.1000000015", "kept"]
    assert told.loc["not a number"].tolist() == ["float64", "refused", "refused", "kept", "kept"]
    assert told.loc["1e39", "float32"] == "refused"
    assert told.loc["an id above 2^24", "float32"] == "becomes 16777216"
    assert told.loc["an id above 2^53"].tolist()[1:] == [
        "kept",
        "becomes 9007199254740992",
        "becomes 9007199254740992",
        "kept",
    ]
    assert told.loc["text", ["json", "float32", "msgpack"]].tolist() == ["kept", "refused", "kept"]
    assert told.loc["a time in New York", ["json", "msgpack"]].tolist() == ["kept", "loses its zone"]


def test_sizes_are_those_of_the_formats():
    told = sizes({"float64": 0.1, "int64": 2**40, "text": "abc"}).set_index("dtype")
    # MessagePack: a byte that names the type, then 8 bytes; text its length in that byte.
    assert told["msgpack"].tolist() == [9, 9, 4]
    assert told["float32"].fillna(0).tolist() == [4, 4, 0]
    assert told["json"].tolist() == [3, 13, 5]


@pytest.mark.parametrize(
    ("value", "dtype", "expected"),
    [
        (3, "float64", 3.0),
        (np.float64(0.5), "float64", 0.5),
        (np.int64(3), "int64", 3),
        (np.bool_(True), "bool", True),
        (np.str_("x"), "text", "x"),
        (0.1, "float32", float(np.float32(0.1))),
        (math.inf, "float32", math.inf),
        (pd.Timestamp("2026-03-02", tz="UTC"), "time", datetime(2026, 3, 2, tzinfo=UTC)),
    ],
)
def test_a_value_that_fits_becomes_a_plain_one(value, dtype, expected):
    told = fitted(value, dtype)
    assert told == expected
    assert type(told) is type(expected)


@pytest.mark.parametrize(
    ("value", "dtype"),
    [
        (None, "float64"),
        ("1", "float64"),
        (True, "float64"),
        (2**53 + 1, "float64"),
        (10**400, "float64"),
        (3.5e38, "float32"),
        (-3.5e38, "float32"),
        (1.0, "int64"),
        (2**63, "int64"),
        (1, "bool"),
        (b"x", "text"),
        (datetime(2026, 3, 2), "time"),
        (pd.Timestamp(1, tz="UTC"), "time"),
        (pd.NaT, "time"),
        (pd.NA, "float64"),
        ([1.0], "float64"),
        (np.array([1.0, 2.0]), "float64"),
    ],
)
def test_a_value_that_doesn_t_fit_is_refused_by_name_value_and_rule(value, dtype):
    with pytest.raises(ValueError, match=f"f_x: got .*; a {dtype} is "):
        fitted(value, dtype, name="f_x")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: encode("a", "float32", dtype="text"), r"value: got 'a' \(text\); four bytes"),
        (lambda: encode(None, "float32", dtype="float64"), "value: got None"),
        (
            lambda: encode(1e39, "float32", dtype="float64"),
            r"value: got 1e\+39; it is beyond what a float32 holds",
        ),
        (lambda: encode(-1e39, "float32", dtype="float64"), r"value: got -1e\+39; it is beyond"),
        (
            lambda: encode(1, "pickle", dtype="int64"),
            "codec: got 'pickle'; it must be one of json, float32, msgpack",
        ),
        (lambda: fitted(1, "double"), "dtype: got 'double'; it must be one of float64"),
        (lambda: decode(b"\xc1", "msgpack", dtype="int64"), "data: got .*; it is no int64 in msgpack"),
        (lambda: decode(b"", "msgpack", dtype="int64"), "data: got b''; it is no int64"),
        (lambda: decode(b"{", "json", dtype="int64"), "it is no int64 in json"),
        (lambda: decode(b"0.5", "json", dtype="int64"), "it is no int64 in json"),
        (lambda: decode(b"\x00", "float32", dtype="float64"), "it is no float64 in float32"),
        (lambda: decode(struct.pack("<f", math.nan), "float32", dtype="int64"), "it is no int64 in float32"),
        (lambda: decode(b'"later"', "json", dtype="time"), "it is no time in json"),
    ],
)
def test_bad_input_is_refused_by_name_value_and_rule(call, message):
    with pytest.raises(ValueError, match=message):
        call()
