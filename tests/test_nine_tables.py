"""The schema: every column of the nine tables has a rule and a meaning, and a wrong name is refused."""

import pytest

from toolkit.nine_tables import SCHEMA, data_dictionary, nine


def test_the_dictionary_names_every_column_and_what_it_may_be():
    for name, table in SCHEMA.items():
        told = data_dictionary(name).set_index("column")
        assert set(told.index) >= {column.name for column in table.columns}
        assert told["meaning"].str.len().min() > 0
    assert data_dictionary("serving_log").set_index("column").loc["propensity", "a value is"] == (
        "finite number, in (0, 1]"
    )


@pytest.mark.parametrize("call", [nine, data_dictionary])
def test_a_table_that_is_none_of_the_nine_is_refused(call):
    with pytest.raises(ValueError, match="table: got 'x'; it must be one of serving_log, outcomes"):
        call("x")
