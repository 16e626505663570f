"""A specification refuses what can't be computed, and the tables what doesn't fit it."""

import unicodedata

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from toolkit.features.specification import DECISIONS, Specification, fold, read_events, read_requests

ORDERS = Specification("f_orders", "amount", "count", days=7)
TS = pd.to_datetime(["2026-03-01 10:00Z", "2026-03-02 10:00Z"])


def events(**columns):
    given = {"event_id": [1, 2], "entity_id": [7, 7], "ts": TS, "amount": [250.0, 350.0], **columns}
    return pd.DataFrame(given)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"name": "f orders"}, "name: got 'f orders'; it must be a name"),
        ({"column": "x; DROP TABLE"}, "column: got 'x; DROP TABLE'; it must be a name"),
        ({"aggregate": "average"}, "aggregate: got 'average'; it must be one of count, sum"),
        ({"days": 0}, "days: got 0; it must be a whole number, 1 at least"),
        ({"edges": "["}, r"edges: got '\['; it must be one of"),
        ({"zone": "Europe/Atlantis"}, "zone: got 'Europe/Atlantis'; it must be a zone's name"),
        ({"missing": "drop"}, "missing: got 'drop'; it must be one of skip, zero"),
        ({"empty": float("nan")}, "empty: got nan; it must be a finite number"),
        ({"aggregate": "count", "empty": 3.0}, "empty: got 3.0 for count; a count of nothing is 0"),
        ({"ddof": 2}, "ddof: got 2; it must be 0 or 1"),
        ({"q": 1.5}, r"q: got 1.5; it must lie in \[0, 1\]"),
        ({"interpolation": "midpoint"}, "interpolation: got 'midpoint'; it must be one of"),
        ({"aggregate": "mean", "width": 10}, "width: got 10 for mean; whole numbers alone are divided"),
        ({"log": "2"}, "log: got '2'; it must be one of"),
        ({"log": "e"}, "digits: got None with a log"),
        ({"digits": 12}, "digits: got 12; it must be 9 at most"),
        ({"dtype": "float16"}, "dtype: got 'float16'; it must be one of"),
        ({"text": "upper"}, "text: got 'upper'; it must be one of folded, raw"),
        ({"buckets": 8}, "holds_text: got False; categories and buckets are of texts"),
        ({"holds_text": True, "aggregate": "sum"}, "aggregate: got 'sum' of texts; it must be latest"),
        ({"holds_text": True, "digits": 2}, "width, log, digits: got one for texts"),
        ({"holds_text": True, "missing": "zero"}, "missing: got 'zero' for texts"),
        ({"holds_text": True, "empty": 0.0}, "empty: got 0.0 for texts"),
        ({"holds_text": True, "categories": ("a",), "buckets": 8}, "buckets: got it beside categories"),
        ({"holds_text": True, "categories": ("Café", "CAFE\u0301")}, "categories: got 'café' twice"),
    ],
)
def test_a_specification_that_makes_no_sense_is_refused(settings, message):
    given = {"name": "f", "column": "x", "aggregate": "latest", "days": 7, **settings}
    with pytest.raises(ValueError, match=message):
        Specification(**given)


def test_a_feature_names_the_decisions_that_can_change_it():
    assert ORDERS.decisions == ("missing", "empty", "edges", "day", "float32")
    text = Specification("f", "city", "latest", days=1, holds_text=True, buckets=8)
    assert text.decisions == ("missing", "empty", "edges", "day", "text", "hash")
    assert set(text.decisions) <= set(DECISIONS)
    assert (text.is_number, Specification("f", "city", "latest", days=1, holds_text=True).is_number) == (
        True,
        False,
    )


def test_folding_is_idempotent_and_does_not_depend_on_the_normal_form():
    letters = [chr(c) for c in range(1, 0x530) if unicodedata.category(chr(c)) != "Cn"]
    for letter in letters:
        assert fold(fold(letter)) == fold(letter)
        assert fold(unicodedata.normalize("NFD", letter)) == fold(letter)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"event_id": [1, 1]}, "event_id: got 1 repeated of 2; each must be in events once"),
        ({"entity_id": [7, None]}, "entity_id: got 1 missing of 2; events must be complete"),
        ({"ts": TS.tz_localize(None)}, "ts: got .* in events; it must be times with their zone"),
        (
            {"ts": [pd.Timestamp("2026-03-01 10:00+01:00"), pd.Timestamp("2026-03-01 10:00+02:00")]},
            "ts: got object in events; it must be times with their zone",
        ),
        ({"amount": [2.5, 3.0]}, r"amount: got 2.5 in events; it must be whole \(count cents"),
        ({"amount": ["a", "b"]}, "amount: got .*string in events; the feature is of whole numbers"),
        ({"amount": [1.0, np.inf]}, "amount: got inf in events; it must be whole"),
        ({"amount": [1.0, 2.0**54]}, r"amount: got .* the number itself must stay within 2\*\*53"),
    ],
)
def test_events_that_do_not_fit_are_refused(columns, message):
    with pytest.raises(ValueError, match=message):
        read_events(events(**columns), [ORDERS])


def test_sums_that_would_not_be_exact_are_refused():
    large = events(amount=[2.0**52, 2.0**52])
    with pytest.raises(ValueError, match=r"a sum must stay within 2\*\*53"):
        read_events(
            pd.concat([large, events(event_id=[3, 4])]), [Specification("f", "amount", "mean", days=1)]
        )
    with pytest.raises(ValueError, match="n times a sum of squares must stay"):
        read_events(events(amount=[1e8, 1.0]), [Specification("f", "amount", "std", days=1)])


def test_a_column_holds_texts_or_numbers():
    text = Specification("f_text", "amount", "latest", days=1, holds_text=True)
    with pytest.raises(ValueError, match="holds_text: got both of amount"):
        read_events(events(), [ORDERS, text])
    with pytest.raises(ValueError, match="amount: got double in events; the feature is of texts"):
        read_events(events(), [text])


def test_null_and_nan_are_kept_apart():
    table = pa.table(
        {"event_id": [1, 2], "entity_id": [7, 7], "ts": pa.array(TS), "amount": [None, float("nan")]}
    )
    read = read_events(table, [ORDERS])["amount"]
    assert read.null_count == 1
    assert np.isnan(read[1].as_py())


def test_requests_are_refused_without_zones_or_with_repeated_rows():
    given = pd.DataFrame({"row_id": [1, 1], "entity_id": [7, 7], "ts": TS})
    with pytest.raises(ValueError, match="row_id: got 1 repeated of 2"):
        read_requests(given)
    with pytest.raises(ValueError, match=r"ts: got .*; it must be times with their zone"):
        read_requests(given.assign(row_id=[1, 2], ts=TS.tz_localize(None)))
