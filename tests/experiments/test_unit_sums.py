"""Sums by unit: pandas' groupby by hand, lazy like eager, joined where the frames are, refusals."""

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pytest

from toolkit.experiments.unit_sums import impressions, unit_sums


def log_of(rows=300):
    draws = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "request_id": np.arange(rows),
            "item_id": 7,
            "user_id": draws.integers(0, 40, rows),
            "arm": "control",
            "y": draws.normal(5, 2, rows),
        }
    )


def test_sums_are_those_of_a_groupby_around_the_mean():
    log = log_of()
    sums = unit_sums(log, value="y", cluster="user_id")
    centred = (log["y"] - log["y"].mean()).groupby(log["user_id"], sort=False)
    assert sums.center == pytest.approx(log["y"].mean())
    assert sums.rows == pytest.approx(centred.size().to_numpy())
    assert sums.total == pytest.approx(centred.sum().to_numpy())
    assert sums.squares == pytest.approx(centred.apply(lambda y: (y**2).sum()).to_numpy())


@pytest.mark.parametrize("lazily", [duckdb.from_df, lambda log: pl.from_pandas(log).lazy()])
def test_lazy_frames_send_the_same_sums(lazily):
    log = log_of()
    told, lazy = (unit_sums(frame, value="y", cluster="user_id") for frame in (log, lazily(log)))
    assert lazy.center == pytest.approx(told.center)
    for name in ("rows", "total", "squares"):
        assert np.sort(getattr(lazy, name)) == pytest.approx(np.sort(getattr(told, name)))


def test_without_a_cluster_each_row_is_a_unit():
    sums = unit_sums(log_of(10), value="y", cluster=None)
    assert sums.rows.tolist() == [1] * 10
    assert sums.squares == pytest.approx(sums.total**2)


def test_impressions_of_lazy_frames_stay_where_they_are_and_hold_the_same_rows():
    log = log_of()
    served, labels = log.drop(columns="y"), log[["request_id", "item_id", "y"]].sample(frac=1, random_state=1)
    told = impressions(served, labels)
    assert told["y"].tolist() == log["y"].tolist()
    lazy = impressions(duckdb.from_df(served), duckdb.from_df(labels))
    assert isinstance(lazy, duckdb.DuckDBPyRelation)
    keys = ["user_id", "y"]
    pd.testing.assert_frame_equal(
        lazy.df().sort_values(keys, ignore_index=True), told.sort_values(keys, ignore_index=True)
    )
    mixed = impressions(duckdb.from_df(served), pl.from_pandas(labels))
    assert sorted(mixed["y"]) == sorted(log["y"])


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"y": "a"}, "y: got String in log; it must be numbers"),
        ({"y": np.inf}, "y: got a mean of inf in log; each must be finite"),
    ],
)
def test_lazy_values_that_are_no_finite_numbers_are_refused(change, told):
    frame = pl.from_pandas(log_of().assign(**change)).lazy()
    with pytest.raises(ValueError, match=told):
        unit_sums(frame, value="y", cluster="user_id")


def test_an_empty_lazy_frame_and_what_is_no_frame_are_refused():
    with pytest.raises(ValueError, match="log: got no row; it must have one at least"):
        unit_sums(pl.from_pandas(log_of()[:0]).lazy(), value="y", cluster="user_id")
    with pytest.raises(ValueError, match="log: got list; it must be a frame that Narwhals reads"):
        unit_sums([1], value="y", cluster="user_id")
    with pytest.raises(
        ValueError, match="value: got 'arm'; it must be a column of outcomes that serving_log"
    ):
        impressions(log_of(), log_of(), value="arm")
    with pytest.raises(ValueError, match=r"outcomes: got columns .*; it must have y"):
        impressions(duckdb.from_df(log_of()), duckdb.from_df(log_of()[["request_id", "item_id"]]))
