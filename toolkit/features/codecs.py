"""How does a value become bytes on its way to a store, and what of it is lost there?

Three encodings that online stores are fed with: JSON, a float32 of four bytes, MessagePack. Protocol
Buffers are left out: their scalar types keep what MessagePack keeps (double, int64, bool, string,
Timestamp), at the price of a schema compiler in the build; what they lose, a field that is absent and
a field that is zero reading the same, is the default value of `toolkit.features.storage`.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, Literal

import numpy as np
import pandas as pd

from toolkit.rules import one_of

Dtype = Literal["float64", "float32", "int64", "bool", "text", "time"]
Value = float | int | bool | str | datetime
CodecName = Literal["json", "float32", "msgpack"]

DTYPES: tuple[Dtype, ...] = ("float64", "float32", "int64", "bool", "text", "time")
CODECS: tuple[CodecName, ...] = ("json", "float32", "msgpack")

_RULES = {
    "float64": "a number that a double holds exactly",
    "float32": "a number that a float32 can hold",
    "int64": "a whole number from -2^63 to 2^63 - 1",
    "bool": "true or false",
    "text": "a string of whole characters",
    "time": "a time with its zone, whole microseconds",
}
# Above it, single precision has no finite number.
_FLOAT32_MAX = float(np.finfo(np.float32).max)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def fitted(value: Any, dtype: Dtype, *, name: str = "value") -> Value:
    """A value as its declared type holds it: a plain Python value, refused where it doesn't fit.

    Only what is declared may be lost: a "float32" is rounded to one. Nothing else is converted: text
    isn't parsed, a float isn't cut to a whole number, a whole number that a double can't hold isn't rounded.

    Raises
    ------
    ValueError
        If the value isn't of the type.

    Examples
    --------
    >>> fitted(0.1, "float32")
    0.10000000149011612
    >>> fitted(2**53 + 1, "float64", name="f_user")
    Traceback (most recent call last):
    ValueError: f_user: got 9007199254740993; a float64 is a number that a double holds exactly
    """
    one_of("dtype", dtype, DTYPES)
    fits = _fit(value.item() if isinstance(value, np.generic) else value, dtype)
    if fits is None:
        raise ValueError(f"{name}: got {value!r}; a {dtype} is {_RULES[dtype]}")
    return fits


def encode(value: Value | None, codec: CodecName, *, dtype: Dtype) -> bytes:
    """A value that fits its type, as bytes; None is "known to be empty".

    Raises
    ------
    ValueError
        If the codec has no bytes for it: JSON for nan and infinity, float32 for None, text and times.

    Examples
    --------
    >>> encode(0.5, "json", dtype="float64"), len(encode(0.5, "float32", dtype="float64"))
    (b'0.5', 4)
    >>> encode(float("nan"), "json", dtype="float64")
    Traceback (most recent call last):
    ValueError: value: got nan; JSON has no such number
    """
    one_of("codec", codec, CODECS)
    if codec == "json":
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError(f"value: got {value!r}; JSON has no such number")
        return json.dumps(value.isoformat() if isinstance(value, datetime) else value).encode()
    if codec == "float32":
        if value is None or dtype in ("text", "time"):
            raise ValueError(f"value: got {value!r} ({dtype}); four bytes of a float32 can't say that")
        number = float(value)  # type: ignore[arg-type]
        if math.isfinite(number) and abs(number) > _FLOAT32_MAX:
            raise ValueError(f"value: got {value!r}; it is beyond what a float32 holds")
        return struct.pack("<f", number)
    import msgpack

    packed: bytes = msgpack.packb(value, datetime=True)
    return packed


def decode(data: bytes, codec: CodecName, *, dtype: Dtype) -> Value | None:
    """The value that the bytes stand for, in the declared type.

    Raises
    ------
    ValueError
        If the bytes aren't those of such a value.

    Examples
    --------
    >>> decode(encode(16_777_217, "float32", dtype="int64"), "float32", dtype="int64")
    16777216
    """
    one_of("codec", codec, CODECS)
    try:
        value = _unpacked(data, codec)
        if value is None:
            return None
        if dtype == "time" and isinstance(value, str):
            value = datetime.fromisoformat(value)
        if dtype in ("float64", "float32") and isinstance(value, int):
            value = float(value)
        if codec == "float32" and dtype in ("int64", "bool"):
            value = bool(value) if dtype == "bool" else int(value)
        return fitted(value, dtype)
    except (ValueError, TypeError, struct.error, OverflowError) as bad:
        raise ValueError(f"data: got {data[:20]!r}; it is no {dtype} in {codec}") from bad


@dataclass(frozen=True)
class _Case:
    what: str
    value: Any
    dtype: Dtype


_CASES = (
    _Case("a tenth", 0.1, "float64"),
    _Case("not a number", math.nan, "float64"),
    _Case("infinity", math.inf, "float64"),
    _Case("1e39", 1e39, "float64"),
    _Case("an id above 2^24", 2**24 + 1, "int64"),
    _Case("an id above 2^53", 2**53 + 1, "int64"),
    _Case("text", "Zürich", "text"),
    _Case("a time in New York", datetime(2013, 3, 10, 1, 30, tzinfo=timezone(timedelta(hours=-5))), "time"),
)


def losses(cases: Sequence[tuple[str, Any, Dtype]] | None = None) -> pd.DataFrame:
    """What each codec makes of some hard values: "kept", the value it becomes, or "refused".

    A column more, `json in a browser`, is JSON read by a parser that knows doubles only, as
    JavaScript and many C++ readers do.

    Parameters
    ----------
    cases : sequence of (what, value, dtype), optional
        The book's cases where not given.

    Returns
    -------
    DataFrame
        One row a case: `value`, `dtype`, and one column a codec.

    Examples
    --------
    >>> losses([("an id above 2^53", 2**53 + 1, "int64")]).iloc[0][["json", "json in a browser", "msgpack"]].tolist()
    ['kept', 'becomes 9007199254740992', 'kept']
    """
    rows = []
    for case in _CASES if cases is None else [_Case(*case) for case in cases]:
        value = fitted(case.value, case.dtype)
        row: dict[str, str] = {"value": case.what, "dtype": case.dtype}
        for codec in CODECS:
            row[codec] = _outcome(value, codec, case.dtype)
            if codec == "json":
                row["json in a browser"] = _outcome(value, codec, case.dtype, browser=True)
        rows.append(row)
    return pd.DataFrame(rows)


def sizes(values: Mapping[Dtype, Value]) -> pd.DataFrame:
    """Bytes that one value of each type takes: one row a type, one column a codec, missing where it can't.

    Examples
    --------
    >>> sizes({"float64": 0.1}).iloc[0].astype(str).tolist()
    ['float64', '3', '4', '9']
    """
    rows: list[dict[str, Any]] = []
    for dtype, value in values.items():
        row: dict[str, Any] = {"dtype": dtype}
        for codec in CODECS:
            try:
                row[codec] = len(encode(fitted(value, dtype), codec, dtype=dtype))
            except ValueError:
                row[codec] = pd.NA
        rows.append(row)
    return pd.DataFrame(rows).astype(dict.fromkeys(CODECS, "Int64"))


def is_unicode(text: str) -> bool:
    """Whether a text has bytes: half a pair of surrogates, as broken JSON leaves them, has none.

    Examples
    --------
    >>> is_unicode("Zürich"), is_unicode(chr(0xD83D))
    (True, False)
    """
    return text.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in text)


def _fit(value: Any, dtype: Dtype) -> Value | None:
    """The plain value, or None where it doesn't fit."""
    number = isinstance(value, float | int) and not isinstance(value, bool)
    if dtype == "bool":
        return value if isinstance(value, bool) else None
    if dtype == "text":
        return str(value) if isinstance(value, str) and is_unicode(value) else None
    if dtype == "int64":
        whole = number and isinstance(value, int) and -(2**63) <= value < 2**63
        return int(value) if whole else None
    if dtype == "time":
        there = isinstance(value, datetime) and value is not pd.NaT and value.tzinfo is not None
        if not there or getattr(value, "nanosecond", 0) > 0:
            return None
        return value.to_pydatetime() if isinstance(value, pd.Timestamp) else value
    if not number:
        return None
    if isinstance(value, int) and (abs(value) > 2**1000 or int(float(value)) != value):
        return None
    if dtype == "float32":
        if math.isfinite(value) and abs(value) > _FLOAT32_MAX:
            return None
        return float(np.float32(value))
    return float(value)


def _unpacked(data: bytes, codec: CodecName) -> Any:
    if codec == "json":
        return json.loads(data)
    if codec == "float32":
        return struct.unpack("<f", data)[0]
    import msgpack

    try:
        return msgpack.unpackb(data, timestamp=3)
    except msgpack.exceptions.UnpackException as bad:
        raise ValueError(str(bad)) from bad


def _outcome(value: Value, codec: CodecName, dtype: Dtype, *, browser: bool = False) -> str:
    try:
        data = encode(value, codec, dtype=dtype)
    except ValueError:
        return "refused"
    back = decode(data, codec, dtype=dtype)
    if browser and isinstance(back, int) and not isinstance(back, bool):
        back = int(float(back))
    same = back == value or (back != back and value != value)
    if not same:
        return f"becomes {back:.10g}" if isinstance(back, float) else f"becomes {back}"
    if isinstance(value, datetime) and isinstance(back, datetime) and back.utcoffset() != value.utcoffset():
        return "loses its zone"
    return "kept"
