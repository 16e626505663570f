"""Moments: NumPy's covariance by group, sums by cluster by hand, halves that add up, names of any kind."""

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from toolkit.experiments.moments import ROWS, grouped

LIBRARIES = {
    "pandas": lambda frame: frame,
    "polars": pl.from_pandas,
    "arrow": lambda frame: pa.Table.from_pandas(frame, preserve_index=False),
    "lazy polars": lambda frame: pl.from_pandas(frame).lazy(),
    "duckdb": duckdb.from_df,
}


def frame_of(rows=30_000, *, strata=2):
    draws = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "arm": draws.choice(["a", "b"], rows),
            "stratum": draws.integers(0, strata, rows),
            "sum0": draws.normal(3, 1, rows),
            "y y": draws.normal(-2, 5, rows),
        }
    )


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("strata", [1, 2, 7])
def test_moments_are_numpy_s_whatever_the_library_and_the_number_of_groups(library, strata):
    frame = frame_of(strata=strata)
    told = grouped(LIBRARIES[library](frame), ["y y", "sum0"], arm="arm", stratum="stratum")
    assert len(told) == 2 * strata
    for (arm, stratum), moments in told.items():
        part = frame.loc[(frame["arm"] == arm) & (frame["stratum"] == stratum), ["y y", "sum0"]]
        assert (moments.units, moments.rows) == (len(part), len(part))
        assert moments.mean == pytest.approx(part.mean().to_numpy(), rel=1e-12)
        assert moments.covariance == pytest.approx(np.cov(part.to_numpy().T), rel=1e-11)


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_cluster_s_rows_are_summed_and_counted(library):
    events = pd.DataFrame(
        {"u": [1, 2, 1, 3, 9], "arm": ["a", "a", "a", "b", None], "y": [1.0, 2.0, 4.0, 7.0, 8.0]}
    )
    told = grouped(LIBRARIES[library](events), ["y", ROWS], arm="arm", cluster="u")
    assert set(told) == {("a", "all"), ("b", "all")}
    both = told["a", "all"]
    assert (both.units, both.rows) == (2, 3)
    assert both.mean.tolist() == [3.5, 1.5]
    assert both.products == pytest.approx(np.array([[4.5, 1.5], [1.5, 0.5]]))


def test_parts_add_up_to_the_whole():
    frame = frame_of()
    parts = list(grouped(frame, ["sum0", "y y"], arm="arm", stratum="stratum").values())
    whole = parts[0] + parts[1] + parts[2] + parts[3]
    assert whole.covariance == pytest.approx(np.cov(frame[["sum0", "y y"]].to_numpy().T), rel=1e-11)


def test_columns_of_other_number_types_are_read():
    frame = pd.DataFrame(
        {"arm": [True, False] * 4, "y": pd.array(range(8), dtype="Int64"), "z": [True, False] * 4}
    )
    told = grouped(frame, ["y", "z"], arm="arm")
    assert told[True, "all"].mean.tolist() == [3.0, 1.0]
    decimals = duckdb.sql(
        "select i % 2 = 0 as arm, i::DECIMAL(9, 2) as y, 1::HUGEINT as z from range(8) t(i)"
    )
    assert grouped(decimals, ["y", "z"], arm="arm")[False, "all"].mean.tolist() == [4.0, 1.0]


@pytest.mark.parametrize("library", LIBRARIES)
def test_missing_values_are_counted(library):
    frame = frame_of(100)
    frame.loc[:4, "sum0"] = np.nan
    broken = LIBRARIES[library](frame)
    with pytest.raises(ValueError, match=r"sum0: got (5 missing|sums that aren't finite)"):
        grouped(broken, ["sum0"], arm="arm")


@pytest.mark.parametrize("library", LIBRARIES)
def test_of_several_strata_each_combination_is_one(library):
    frame = frame_of(5_000).assign(more=lambda f: f["stratum"].where(f["sum0"] > 3, 7))
    told = grouped(LIBRARIES[library](frame), ["sum0"], arm="arm", stratum=["stratum", "more"])
    parts = frame.groupby(["arm", "stratum", "more"])["sum0"].agg(["size", "mean"])
    assert {(arm, *part): each.units for (arm, part), each in told.items()} == parts["size"].to_dict()
    assert told["a", (0, 7)].mean[0] == pytest.approx(parts.loc[("a", 0, 7), "mean"])
