"""The data dictionary says of each table what the schema and the simulated company say."""

import pandas as pd
import pytest

from toolkit.publish import dictionary
from toolkit.tables import SCHEMA, data_dictionary, problems

TOLD = dictionary.markdown()


def section(name):
    return TOLD.split(f"(table-{name})=")[1].split("(table-")[0]


@pytest.mark.parametrize("name", SCHEMA)
def test_a_table_has_its_writer_its_columns_and_a_row_that_fits_the_schema(name):
    told, row = section(name), dictionary.example_rows()[name]
    assert SCHEMA[name].written_by
    assert f"Written by {SCHEMA[name].written_by}." in told
    for column, rule, meaning in data_dictionary(name).itertuples(index=False):
        assert f"`{column}` | {rule} | {meaning} | " in told
        if column != "f_*":
            assert f"`{column}` | {rule} | {meaning} | {dictionary.shown(row[column])}\n" in told + "\n"
    assert problems(pd.DataFrame([row]), name).empty


def test_example_rows_show_a_value_wherever_some_row_has_all_of_them():
    for name, row in dictionary.example_rows().items():
        assert not [column for column, value in row.items() if dictionary.shown(value) == "missing"], name


def test_keys_and_parents_are_told():
    assert "Key: `request_id` and `item_id`." in section("serving_log")
    assert "Key: `row_id`. No two rows share it." in section("training_table")
    assert "It has no key: rows may be alike." in section("downstream")
    assert "belongs to the one of [serving_log](#table-serving_log)" in section("outcomes")
    assert "`available_ts` is never before `event_ts`." in section("feature_history")
    assert "belongs to" not in section("funnel")


def test_tables_meet_where_they_have_the_columns():
    by_request, by_user = dictionary.meetings().splitlines()[2:4]
    for name, table in SCHEMA.items():
        assert (f"#table-{name})" in by_request) == ({"request_id", "item_id"} <= set(table.column)), name
        assert (f"#table-{name})" in by_user) == ("user_id" in table.column), name


def test_diagnostics_that_read_a_table_are_named_under_it():
    assert "{entry}`toolkit.experiments.srm.srm srm`" in section("assignments")
    assert "srm`" not in section("outcomes")
