"""A table that breaks a rule is told which, in which column, by how many rows, whatever library holds it."""

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from toolkit.tables import problems, validate, validate_all

TS = pd.Timestamp("2026-03-02", tz="UTC") + pd.to_timedelta([0, 1, 2], unit="h")
LOG = pd.DataFrame(
    {
        "request_id": [1, 2, 3],
        "user_id": ["a", "b", "a"],
        "item_id": [7, 8, 7],
        "ts": TS,
        "arm": ["control", "treatment", None],
        "model_id": "old",
        "feature_version": 1,
        "f_rate": [0.5, np.nan, -1.0],
        "score": [0.1, 0.2, 0.3],
        "position": 1,
        "propensity": [0.5, 1.0, 0.01],
        "explored": [False, False, True],
        "shown": True,
    }
)
HISTORY = pd.DataFrame(
    {
        "entity_id": 7,
        "feature": "rate",
        "event_ts": TS,
        "available_ts": TS + pd.Timedelta(hours=1),
        "value": 0.5,
        "version": 1,
    }
)


@pytest.mark.parametrize(
    "holder",
    [pd.DataFrame, pl.from_pandas, lambda frame: pl.from_pandas(frame).lazy(), pa.Table.from_pandas],
    ids=["pandas", "polars", "lazy polars", "pyarrow"],
)
def test_a_good_table_has_no_problem_in_any_library(holder):
    assert problems(holder(LOG), "serving_log").empty
    assert problems(holder(HISTORY), "feature_history").empty


def test_a_duckdb_relation_is_checked_where_it_is():
    with duckdb.connect() as engine:
        relation = engine.from_df(LOG)
        assert problems(relation, "serving_log").empty
        bad = engine.from_df(LOG.assign(propensity=[0.0, 1.5, 0.5]))
        found = problems(bad, "serving_log")
    assert found["rule"].tolist() == ["above 0", "at most 1"]


@pytest.mark.parametrize(
    ("change", "column", "rule", "rows"),
    [
        ({"propensity": [0.0, 0.5, 1.0]}, "propensity", "above 0", 1),
        ({"propensity": [0.5, 1.1, 1.2]}, "propensity", "at most 1", 2),
        ({"score": [0.1, np.nan, 0.2]}, "score", "never missing", 1),
        ({"score": [0.1, np.inf, 0.2]}, "score", "finite", 1),
        ({"f_rate": [0.1, -np.inf, 0.2]}, "f_rate", "finite", 1),
        ({"position": [0, 1, 1]}, "position", "at least 1", 1),
        ({"feature_version": [-1, 1, 1]}, "feature_version", "at least 0", 1),
        ({"ts": TS.tz_localize(None)}, "ts", "timestamp with a time zone; it is Datetime", None),
        ({"ts": ["yesterday"] * 3}, "ts", "timestamp with a time zone; it is String", None),
        ({"explored": [0, 0, 1]}, "explored", "true or false; it is Int64", None),
        ({"score": ["a", "b", "c"]}, "score", "finite number; it is String", None),
        ({"item_id": [7.0, 8.0, 7.0]}, "item_id", "whole number or text; it is Float64", None),
        ({"f_rate": ["x", "y", "z"]}, "f_rate", "finite number; it is String", None),
        ({"request_id": [1, 1, 1], "item_id": [7, 7, 8]}, "request_id, item_id", "each at most once", 1),
    ],
)
def test_each_broken_rule_is_named_with_its_column_and_rows(change, column, rule, rows):
    for holder in (pd.DataFrame, pl.from_pandas):
        found = problems(holder(LOG.assign(**change)), "serving_log")
        assert len(found) == 1, found
        assert found["column"][0] == column
        assert found["rule"][0].startswith(rule)
        assert (None if pd.isna(found["rows"][0]) else found["rows"][0]) == rows


def test_a_value_can_t_be_read_before_its_event():
    early = HISTORY.assign(available_ts=TS - pd.Timedelta(seconds=1))
    found = problems(early, "feature_history")
    assert found.to_dict("records") == [{"column": "available_ts", "rule": "not before event_ts", "rows": 3}]


def test_labels_are_0_and_1():
    outcomes = pd.DataFrame({"request_id": [1, 2, 3], "item_id": 7, "y": [0, 1, 2], "label_ts": TS})
    with pytest.raises(ValueError, match=r"outcomes: y: 0 or 1 \(broken by 1 row\)$"):
        validate(outcomes, "outcomes")
    validate(outcomes.assign(y=[True, False, True]), "outcomes")


def test_an_empty_table_has_no_row_that_breaks_a_rule():
    assert problems(LOG.iloc[:0], "serving_log").empty


def test_several_problems_are_told_at_once():
    bad = LOG.drop(columns="arm").assign(propensity=[0.0, 0.0, 1.0])
    with pytest.raises(ValueError, match=r"arm: it is missing; propensity: above 0 \(broken by 2 rows\)"):
        validate(bad, "serving_log")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: problems(LOG, "log"), "table: got 'log'; it must be one of serving_log, outcomes"),
        (lambda: problems([1], "outcomes"), "outcomes: got list; it must be a frame"),
        (lambda: validate_all({"x": LOG}), "table: got 'x'"),
    ],
)
def test_bad_calls_are_refused_by_name_value_and_rule(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_times_of_new_york_fit_the_schema():
    ts = pd.Timestamp("2026-03-02", tz="America/New_York")
    users = pd.DataFrame({"experiment": "e", "user_id": [1], "arm": "control", "ts": pd.Series([ts])})
    assert problems(users, "assignments").empty
