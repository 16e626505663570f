"""What must be said of a feature, so that two engines can't differ about it?"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import narwhals as nw
import pandas as pd
import pyarrow as pa

from toolkit.frames import read_columns
from toolkit.rules import count, number, one_of, share

__all__ = ["AGGREGATES", "DECISIONS", "EDGES", "Specification", "fold", "read_events", "read_requests"]

NUMBERS = ("count", "sum", "mean", "std", "quantile")
# What a window's values may be made into.
AGGREGATES = (*NUMBERS, "latest")
# Which of its two ends a window holds, as mathematics writes intervals.
EDGES = ("[)", "(]", "[]", "()")
# What engines differ about, and the question that a specification answers.
DECISIONS: Mapping[str, str] = {
    "missing": "Do null and NaN count, and as what?",
    "empty": "What is it where the window has no event?",
    "edges": "Does the window hold its first and its last moment?",
    "day": "In whose time zone does a day begin, and how long is it?",
    "ddof": "Is the variance over n or n - 1?",
    "quantile": "Which value is the quantile between two?",
    "division": "Is a whole quotient rounded down or towards zero?",
    "log": "To which base is the logarithm?",
    "rounding": "Where does a half go?",
    "float32": "In how many bits is it kept?",
    "text": "Are case, normal form and blanks part of a text?",
    "categories": "Which number has a category?",
    "hash": "By which function is a text hashed?",
}
# Blanks that are cut off a text's ends.
BLANKS = " \t\r\n\u00a0"
# Floats hold whole numbers up to 2^53 exactly.
_LARGEST = 2**53


@dataclass(frozen=True)
class Specification:
    """One feature of an entity as of a moment: an aggregate of a column of its events, and every decision.

    Parameters
    ----------
    name : str
    column : str
        The events' column: whole numbers (cents, not euros, so that sums are exact in any order), or
        for "latest" also text.
    aggregate : str
        "count", "sum", "mean", "std", "quantile", or "latest" (by `ts`, then `event_id`).
    days : int
        The window's length: of 24 hours each, or whole days of `zone`.
    edges : str
        Whether the window holds its ends: "[)" holds its first moment and not its last.
    zone : str
        Where given, the window is of whole days there and ends at the last midnight before the
        request; otherwise it ends at the request.
    missing : str
        What an event counts as whose value is null or NaN: "skip" or "zero".
    empty : float or None
        The feature's value where the window has no event; missing where None, but a count is 0.
    ddof : int
        For "std": 1 divides by n - 1, 0 by n.
    q, interpolation : float, str
        For "quantile": "linear" between two values, or "nearest rank", the smallest value with at
        least `q` of the values at or below it.
    width : int or None
        Divide by it and round down; for a count, a sum or the latest number.
    log : str
        "e" or "10": the logarithm of 1 plus the value (of 1 where that is negative). Needs `digits`, as
        engines' logarithms differ in the last bit.
    digits : int or None
        Decimals that are kept, a half going to the even neighbour.
    dtype : str
        "float64", or "float32" for a value that is rounded to 32 bits.
    text : str
        "folded" (normal form C, lower case by letter, no blanks at its ends) or "raw".
    categories : tuple of str
        The text becomes its place here, or their number where it isn't among them.
    buckets : int or None
        The text becomes its MD5's first 32 bits modulo `buckets`.

    Raises
    ------
    ValueError
        If a setting is not what it must be, or doesn't go with the aggregate.

    Examples
    --------
    >>> orders = Specification("f_orders", "amount", "count", days=7)
    >>> orders.decisions
    ('missing', 'empty', 'edges', 'day', 'float32')
    >>> Specification("f_spend", "amount", "average", days=7)
    Traceback (most recent call last):
    ValueError: aggregate: got 'average'; it must be one of count, sum, mean, std, quantile, latest
    """

    name: str
    column: str
    aggregate: str
    days: int
    edges: str = "[)"
    zone: str = ""
    missing: str = "skip"
    empty: float | None = None
    ddof: int = 1
    q: float = 0.5
    interpolation: str = "nearest rank"
    width: int | None = None
    log: str = ""
    digits: int | None = None
    dtype: str = "float64"
    text: str = "folded"
    categories: tuple[str, ...] = ()
    buckets: int | None = None
    holds_text: bool = False

    def __post_init__(self) -> None:
        for name in ("name", "column"):
            value = getattr(self, name)
            if not isinstance(value, str) or not value.isidentifier():
                raise ValueError(f"{name}: got {value!r}; it must be a name of letters, digits and _")
        one_of("aggregate", self.aggregate, AGGREGATES)
        count("days", self.days)
        one_of("edges", self.edges, EDGES)
        one_of("missing", self.missing, ("skip", "zero"))
        one_of("interpolation", self.interpolation, ("linear", "nearest rank"))
        one_of("log", self.log, ("", "e", "10"))
        one_of("dtype", self.dtype, ("float64", "float32"))
        one_of("text", self.text, ("folded", "raw"))
        share("q", self.q)
        if self.zone:
            try:
                ZoneInfo(self.zone)
            except (ZoneInfoNotFoundError, ValueError, OSError):
                raise ValueError(
                    f"zone: got {self.zone!r}; it must be a zone's name, as in Europe/Berlin"
                ) from None
        if self.empty is not None:
            number("empty", self.empty)
        if self.ddof not in (0, 1):
            raise ValueError(f"ddof: got {self.ddof!r}; it must be 0 or 1")
        for name, least in (("width", 1), ("digits", 0), ("buckets", 1)):
            if getattr(self, name) is not None:
                count(name, getattr(self, name), least=least)
        if self.digits is not None and self.digits > 9:
            raise ValueError(f"digits: got {self.digits}; it must be 9 at most")
        self._check_that_steps_fit()

    def _check_that_steps_fit(self) -> None:
        if self.width is not None and self.aggregate not in ("count", "sum", "latest"):
            raise ValueError(f"width: got {self.width} for {self.aggregate}; whole numbers alone are divided")
        if self.log and self.digits is None:
            raise ValueError("digits: got None with a log; engines' logarithms differ in the last bit")
        if self.aggregate == "count" and self.empty not in (None, 0):
            raise ValueError(f"empty: got {self.empty} for count; a count of nothing is 0")
        if (self.categories or self.buckets) and not self.holds_text:
            raise ValueError("holds_text: got False; categories and buckets are of texts")
        if self.holds_text and self.aggregate != "latest":
            raise ValueError(f"aggregate: got {self.aggregate!r} of texts; it must be latest")
        if self.holds_text and (self.width or self.log or self.digits is not None):
            raise ValueError("width, log, digits: got one for texts; they are for numbers")
        if self.holds_text and self.missing == "zero":
            raise ValueError("missing: got 'zero' for texts; it must be skip")
        if self.holds_text and self.empty is not None and not self.is_number:
            raise ValueError(f"empty: got {self.empty} for texts; it must be None")
        if self.categories and self.buckets:
            raise ValueError("buckets: got it beside categories; a text becomes one number")
        known = tuple(fold(each) if self.text == "folded" else each for each in self.categories)
        if len(set(known)) < len(known):
            twice = next(each for each in known if known.count(each) > 1)
            raise ValueError(
                f"categories: got {twice!r} twice (as {self.text} texts); each must be there once"
            )

    @property
    def decisions(self) -> tuple[str, ...]:
        """The decisions that can change this feature's values."""
        takes = {
            "missing": True,
            "empty": True,
            "edges": True,
            "day": True,
            "ddof": self.aggregate == "std",
            "quantile": self.aggregate == "quantile",
            "division": self.width is not None,
            "log": bool(self.log),
            "rounding": self.digits is not None,
            "float32": not self.holds_text,
            "text": self.holds_text,
            "categories": bool(self.categories),
            "hash": self.buckets is not None,
        }
        return tuple(name for name, taken in takes.items() if taken)

    @property
    def is_number(self) -> bool:
        """Whether its values are numbers; otherwise texts."""
        return not self.holds_text or bool(self.categories) or self.buckets is not None

    @property
    def if_empty(self) -> float | None:
        """The value where the window has no event."""
        return 0.0 if self.aggregate == "count" else self.empty

    @property
    def known(self) -> tuple[str, ...]:
        """The categories as texts are compared with them."""
        return tuple(fold(each) if self.text == "folded" else each for each in self.categories)


def fold(text: str) -> str:
    """A text in normal form C, in lower case letter by letter, without blanks at its ends.

    Letter by letter, as databases do it: Python's own `lower` makes two letters of some, and looks at
    the neighbours of others.

    Examples
    --------
    >>> fold("  CAFE\\u0301") == fold("caf\\u00e9")
    True
    """
    letters = (letter.lower()[0] for letter in unicodedata.normalize("NFC", text.strip(BLANKS)))
    return "".join(letters)


def read_events(events: Any, features: Sequence[Specification], *, name: str = "events") -> pa.Table:
    """The events as one Arrow table, null and NaN kept apart, refused where they don't fit the features.

    Parameters
    ----------
    events : frame
        One row an event: `event_id`, `entity_id`, `ts`, and the features' columns.
    features : sequence of Specification
    name : str
        What errors call the frame.

    Raises
    ------
    ValueError
        If a column is missing, an event is there twice or has no entity or time, a time has no zone, or
        a value doesn't fit: numbers must be whole, and so small that sums of them are exact.

    Examples
    --------
    >>> events = pd.DataFrame({"event_id": [1], "entity_id": [7], "amount": [250.0],
    ...     "ts": pd.to_datetime(["2026-03-01 10:00Z"])})
    >>> read_events(events, [Specification("f_orders", "amount", "count", days=7)]).column_names
    ['event_id', 'entity_id', 'ts', 'amount']
    """
    kinds: dict[str, bool] = {}
    for feature in features:
        if kinds.setdefault(feature.column, feature.holds_text) != feature.holds_text:
            raise ValueError(f"holds_text: got both of {feature.column}; a column holds texts or numbers")
    columns = list(kinds)
    keys = ["event_id", "entity_id", "ts"]
    read_columns(events, name, [*keys, *columns], key=["event_id"], missing=columns, times=["ts"], numbers=())
    selected = nw.from_native(events).select(*keys, *columns)
    eager = selected.collect() if isinstance(selected, nw.LazyFrame) else selected
    table = eager.to_arrow().combine_chunks()
    arrays = [
        _without_categories(table["event_id"]),
        _without_categories(table["entity_id"]),
        table["ts"].cast(pa.timestamp("us", tz="UTC"), safe=False),
    ]
    busiest = int(table["entity_id"].value_counts().field("counts").to_numpy().max())
    for column in columns:
        aggregates = {feature.aggregate for feature in features if feature.column == column}
        values = table[column]
        read = _texts(values, column) if kinds[column] else _whole(values, column, busiest, aggregates)
        arrays.append(read)
    return pa.table(arrays, names=[*keys, *columns])


def read_requests(requests: Any, *, name: str = "requests") -> pd.DataFrame:
    """The moments as of which features are wanted: `row_id`, `entity_id`, `ts` in UTC.

    Raises
    ------
    ValueError
        If a column is missing or not complete, a row is there twice, or a time has no zone.

    Examples
    --------
    >>> read_requests(pd.DataFrame({"row_id": [1], "entity_id": [7], "ts": ["2026-03-01"]}))
    Traceback (most recent call last):
    ValueError: ts: got str in requests; it must be times with their zone (pd.to_datetime with utc=True gives
    them; it takes times without a zone for UTC)
    """
    table = read_columns(requests, name, ["row_id", "entity_id", "ts"], key=["row_id"], times=["ts"])
    table["ts"] = table["ts"].dt.tz_convert("UTC").astype("datetime64[us, UTC]")
    return table


def _without_categories(values: pa.ChunkedArray) -> pa.ChunkedArray:
    return values.cast(values.type.value_type) if pa.types.is_dictionary(values.type) else values


def _texts(values: pa.ChunkedArray, column: str) -> pa.ChunkedArray:
    values = _without_categories(values)
    if not (
        pa.types.is_string(values.type)
        or pa.types.is_large_string(values.type)
        or pa.types.is_null(values.type)
    ):
        raise ValueError(f"{column}: got {values.type} in events; the feature is of texts")
    return values.cast(pa.string())


def _whole(values: pa.ChunkedArray, column: str, busiest: int, aggregates: set[str]) -> pa.ChunkedArray:
    kind = values.type
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_null(kind)):
        raise ValueError(f"{column}: got {kind} in events; the feature is of whole numbers")
    values = values.cast(pa.float64(), safe=False)
    there = values.to_pandas().dropna()
    fraction = there[there % 1 != 0]
    if len(fraction):
        raise ValueError(
            f"{column}: got {fraction.iloc[0]} in events; it must be whole (count cents, not euros), as sums "
            "of fractions depend on their order"
        )
    largest = float(there.abs().max()) if len(there) else 0.0
    reached = {
        "the number itself": largest,
        "a sum": largest * busiest if aggregates & {"sum", "mean"} else 0,
        "n times a sum of squares": (largest * busiest) ** 2 if "std" in aggregates else 0,
    }
    for what, size in reached.items():
        if size > _LARGEST:
            raise ValueError(
                f"{column}: got {largest:.0f} in events, where an entity has {busiest:,}; {what} must stay within "
                "2**53, so that it is exact"
            )
    return values
