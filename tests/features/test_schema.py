"""A schema takes rows of declared features, and refuses the others by name, value and rule."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from toolkit.features.schema import Feature, Row, Schema, definition, entity_key, microseconds, time_of

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
SCHEMA = Schema([Feature("f_rate"), Feature("f_id", "int64", version=3, nullable=True)])


def rate(value, entity=7):
    return Row(entity, "f_rate", value, NOON, NOON)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Schema([]), "features: got none"),
        (lambda: Schema([Feature("a"), Feature("a", "text")]), "features: got a@1 twice"),
        (lambda: Feature("a@1"), "name: got 'a@1'; a feature's name is text without @"),
        (lambda: Feature(""), "name: got ''"),
        (lambda: Feature("a", "double"), "dtype: got 'double'; it must be one of float64, "),
        (lambda: Feature("a", version=-1), "version: got -1"),
        (
            lambda: SCHEMA.check([rate(0.1, entity=e) for e in range(100_001)]),
            "rows: got 100,001; a put takes",
        ),
        (lambda: SCHEMA.cells([rate(float("nan"))], "json"), "f_rate@1: value: got nan; JSON has no such"),
        (lambda: SCHEMA.ask(["f_id@2"]), "version: got 2 of f_id; the store knows 3"),
        (lambda: entity_key(True), "entity_id: got True"),
        (lambda: entity_key(float("nan")), "entity_id: got nan"),
        (lambda: SCHEMA.keys("abc"), "entity_ids: got 'abc'; it must be a list of ids"),
        (lambda: microseconds("now", "2026-03-02"), "now: got '2026-03-02'; it must be a time with its zone"),
    ],
)
def test_bad_input_is_refused_by_name_value_and_rule(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_a_row_becomes_a_cell_with_its_value_encoded():
    (cell,) = SCHEMA.cells([Row("a", "f_id", 5, NOON, NOON + timedelta(seconds=1), 3)], "json")
    assert cell == ("sa", "f_id@3", microseconds("", NOON), microseconds("", NOON) + 1_000_000, b"5")


def test_a_name_or_a_name_with_its_version_is_asked_for_and_ids_keep_their_order():
    assert list(SCHEMA.ask(["f_id", "f_rate@1"]).values()) == list(SCHEMA.features.values())[::-1]
    assert SCHEMA.keys([np.int64(7), "7", 3]) == {7: "i7", "7": "s7", 3: "i3"}


def test_a_store_agrees_where_what_it_knows_has_the_same_meaning():
    assert definition(SCHEMA.features["f_id@3"]) == "int64, nullable"
    told = SCHEMA.declared("json")
    assert told == {"f_rate@1": "float64", "f_id@3": "int64, nullable", "codec": "json"}
    SCHEMA.agree({}, "x", codec="json")
    SCHEMA.agree({**told, "f_more@1": "text"}, "x", codec="json")
    with pytest.raises(ValueError, match="f_rate@1 as float64; x has it as text: a changed definition"):
        SCHEMA.agree({"f_rate@1": "text"}, "x")
    with pytest.raises(ValueError, match="codec: got msgpack; x holds values in json"):
        SCHEMA.agree(told, "x", codec="msgpack")


def test_microseconds_are_exact_over_the_whole_calendar():
    for when in (datetime.min, datetime.max, datetime(2200, 1, 1, 0, 0, 0, 1)):
        assert time_of(microseconds("ts", when.replace(tzinfo=UTC))) == when.replace(tzinfo=UTC)
