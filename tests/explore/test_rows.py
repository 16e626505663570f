"""Specifications made fast: the same as Altair's own, and checked as Altair checks."""

import altair as alt
import numpy as np
import pandas as pd
import pytest

from toolkit.explore.rows import to_spec, to_values

FRAMES = {
    "numbers": pd.DataFrame({"x": [1.5, np.nan, np.inf], "n": [1, 2, -3], "yes": [True, False, True]}),
    "single precision": pd.DataFrame(
        {"x": np.array([0.1, np.nan], "float32"), "n": np.array([1, 2], "int8")}
    ),
    "words": pd.DataFrame({"day": ["Mon", None], "mixed": pd.Series(["a", 1], dtype=object)}),
    "lists": pd.DataFrame({"x": [[1, 2], [3]]}),
    "times": pd.DataFrame({"at": pd.to_datetime(["2026-01-01", None])}),
    "categories": pd.DataFrame({"day": pd.Categorical(["Mon", None])}),
    "nullable": pd.DataFrame({"n": pd.array([1, None], "Int64"), "b": pd.array([True, None], "boolean")}),
    "nothing": pd.DataFrame(),
    "no rows": pd.DataFrame({"x": np.array([], float)}),
    "any index": pd.DataFrame({"x": [1.0, 2.0]}, index=[7, 7]),
    "counted names": pd.DataFrame(np.eye(2)),
}


@pytest.mark.parametrize("name", FRAMES)
def test_values_are_altairs_own_and_of_the_same_types(name):
    made, own = to_values(FRAMES[name]), alt.default_data_transformer(FRAMES[name])
    assert made == own
    assert repr(made) == repr(own)


@pytest.mark.parametrize(
    ("frame", "error"),
    [
        (pd.DataFrame({"x": np.zeros(5001)}), "5000"),
        (pd.DataFrame({"x": [1.0]}, index=pd.MultiIndex.from_tuples([(1, 2)])), "Hierarchical"),
        (pd.DataFrame({3: [1.0], "x": [1.0]}), "must be strings"),
    ],
)
def test_what_altair_refuses_is_refused(frame, error):
    with pytest.raises(Exception, match=error):
        to_values(frame)


def test_specification_is_altairs_own_whatever_the_layers():
    base = alt.Chart(FRAMES["numbers"]).mark_line().encode(x="n:Q", y="x:Q")
    rule = alt.Chart(FRAMES["words"]).mark_text().encode(text="day:N")
    for chart in (base, base + rule, base | rule, base.facet("yes:N")):
        assert to_spec(chart) == chart.to_dict()
    assert alt.data_transformers.active == "default"


def test_a_chart_is_checked_again_where_more_than_its_data_differs():
    data = FRAMES["numbers"]
    to_spec(alt.Chart(data).mark_line().encode(x="n:Q"))
    broken = alt.Chart(data).mark_line().encode(x="n:Q")
    broken.encoding.x._kwds["type"] = "no such type"
    for _ in range(2):
        with pytest.raises(Exception, match="no such type"):
            to_spec(broken)
