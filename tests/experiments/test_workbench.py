"""The workbench's own parts: a user's sums by hand, the page's logs as designed, curves by closed form, refusals."""

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy.stats import norm

from toolkit.experiments.workbench import (
    Metric,
    aa_size,
    by_user,
    compare,
    days_needed,
    found_by_size,
    page_logs,
    unread_noise,
)
from toolkit.tables import problems

START = pd.Timestamp("2026-03-02", tz="UTC")


def small():
    """Two users in the test and one outside; a row before, one explored, one at the very assignment."""
    assignments = pd.DataFrame(
        {
            "experiment": ["new", "new", "old"],
            "user_id": [1, 2, 3],
            "arm": ["control", "treatment", "control"],
        }
    ).assign(ts=START)
    log = pd.DataFrame(
        {
            "request_id": range(6),
            "item_id": 7,
            "user_id": [1, 1, 1, 2, 3, 1],
            "ts": START + pd.to_timedelta([-5, 0, 2, 3, 4, 5], unit="h"),
            "arm": [None, "control", "control", "treatment", "control", None],
        }
    )
    outcomes = pd.DataFrame({"request_id": range(6), "item_id": 7, "y": [1, 1, 0, 1, 1, 1]})
    return {"assignments": assignments, "serving_log": log, "outcomes": outcomes}


def test_a_user_s_rows_are_summed_before_and_since_the_assignment():
    table = by_user(**small(), experiment="new").set_index("user_id")
    assert table.loc[1].tolist() == ["control", 1, 2, 1, 1]
    assert table.loc[2].tolist() == ["treatment", 1, 1, 0, 0]
    assert list(table.index) == [1, 2]
    assert list(table.columns) == ["arm", "y", "impressions", "y_before", "impressions_before"]


def test_without_the_arm_that_served_a_user_counts_for_the_assigned_one():
    tables = small()
    told = by_user(**tables | {"serving_log": tables["serving_log"].drop(columns="arm")}, experiment="new")
    assert told[["y", "impressions", "y_before"]].to_numpy().tolist() == [[2, 3, 1], [1, 1, 0]]


@pytest.mark.parametrize("lazily", [duckdb.from_df, lambda frame: pl.from_pandas(frame).lazy()])
def test_lazy_tables_give_a_lazy_table_with_the_same_users(lazily):
    told = by_user(**small(), experiment="new")
    lazy = by_user(**{name: lazily(frame) for name, frame in small().items()}, experiment="new")
    assert isinstance(lazy, duckdb.DuckDBPyRelation | pl.LazyFrame)
    found = lazy.df() if isinstance(lazy, duckdb.DuckDBPyRelation) else lazy.collect().to_pandas()
    pd.testing.assert_frame_equal(found.sort_values("user_id", ignore_index=True), told, check_dtype=False)
    mixed = by_user(**{**small(), "assignments": lazily(small()["assignments"])}, experiment="new")
    pd.testing.assert_frame_equal(mixed, told, check_dtype=False)
    other = {name: lazily(frame) for name, frame in small().items()} | {"assignments": small()["assignments"]}
    pd.testing.assert_frame_equal(by_user(**other, experiment="new"), told, check_dtype=False)


def test_the_page_s_logs_are_those_tables_with_the_columns_that_a_reading_needs():
    logs = page_logs(users=200)
    missing = {
        "serving_log": {"model_id", "feature_version", "score", "position", "propensity", "explored", "shown"}
    }
    for name, table in logs.items():
        found = problems(table, name)
        assert set(found["column"]) == missing.get(name, set())


def test_the_page_s_users_are_as_alike_in_themselves_as_asked_and_as_unequal():
    logs = page_logs(users=20_000, impressions=10, icc=0.1, varying=0.8, rng=1)
    table = by_user(**logs, experiment="home_page")
    y, n = table["y"], table["impressions"]
    rate = y.sum() / n.sum()
    assert rate == pytest.approx(0.1, abs=0.003)
    # Pairs of a user's rows: their covariance is the intraclass correlation times the variance.
    pairs = (n * (n - 1)).sum()
    both = (y * (y - 1)).sum() / pairs
    assert (both - rate**2) / (rate * (1 - rate)) == pytest.approx(0.1, abs=0.012)
    assert n.std() / n.mean() == pytest.approx(np.sqrt(0.8**2 + 1 / 10), rel=0.03)
    # A user keeps the rate: that is what CUPED lives from.
    plain, adjusted = (
        compare(table, metric).se
        for metric in (
            Metric("y", "impressions"),
            Metric("y", "impressions", "y_before", "impressions_before"),
        )
    )
    assert adjusted < 0.9 * plain


def test_users_who_are_all_alike_leave_nothing_to_adjust_and_no_wrong_unit():
    logs = page_logs(users=2_000, icc=0.0, rng=2)
    table = by_user(**logs, experiment="home_page")
    ratio = compare(table, Metric("y", "impressions", "y_before", "impressions_before")).se
    assert ratio == pytest.approx(compare(table, Metric("y", "impressions")).se, rel=0.01)
    shown = logs["serving_log"].dropna(subset="arm")
    rates = aa_size(shown, logs["outcomes"], tests=3_000).table.set_index("analysed by")["significant"]
    assert rates["event"] == pytest.approx(0.05, abs=0.025)


def test_a_lift_on_the_page_is_measured():
    logs = page_logs(users=20_000, lift=0.2, rng=3)
    found = compare(by_user(**logs, experiment="home_page"), Metric("y", "impressions"), relative=True)
    assert found.ci[0] < 0.2 < found.ci[1]
    assert found.p < 1e-4


def test_the_wrong_unit_s_size_is_the_outline_s():
    # m = 20, icc = .05: 16%; m = 50, icc = .2: a design effect of 10.8 and 55.1%.
    told = unread_noise([20], icc=0.05).iloc[0]
    assert told["size"] == pytest.approx(0.16, abs=0.001)
    told = unread_noise([50], icc=0.2).iloc[0]
    assert told["width"] ** 2 == pytest.approx(10.8)
    assert told["size"] == pytest.approx(0.551, abs=0.0005)
    # Kish: 1 + (m (1 + cv^2) - 1) icc.
    assert unread_noise([10], icc=0.1, varying=1.5)["width"].iloc[0] ** 2 == pytest.approx(4.15)
    assert unread_noise([1, 9], icc=0.0)["size"].tolist() == pytest.approx([0.05, 0.05])


def test_unequal_users_widen_the_interval_as_kish_says():
    logs = page_logs(users=30_000, impressions=8, icc=0.1, varying=0.8, rng=4)
    shown = logs["serving_log"].dropna(subset="arm")
    told = aa_size(shown, logs["outcomes"], tests=200).table.set_index("analysed by")["claimed se"]
    # Poisson visits add 1/8 to the squared coefficient of variation.
    expected = unread_noise([8], icc=0.1, varying=np.sqrt(0.64 + 1 / 8))["width"].iloc[0]
    assert told["cluster"] / told["event"] == pytest.approx(expected, rel=0.03)


def test_days_go_with_the_variance_that_is_left():
    days = days_needed([0.0, 0.7, 0.9], lift=0.05, noise=2.0, users_a_day=100)["days"]
    assert (days / days[0]).tolist() == pytest.approx([1, 0.51, 0.19], rel=1e-3)
    z = norm.isf(0.025) + norm.isf(0.2)
    assert days[0] == pytest.approx(4 * z**2 * (2.0 / 0.05) ** 2 / 100, rel=1e-3)


def test_a_test_without_an_effect_is_significant_at_its_level():
    assert found_by_size([100, 10_000], lift=0.0, noise=1.0)["found"].tolist() == pytest.approx([0.05, 0.05])
    sizes = found_by_size([100, 1_000, 10_000], lift=0.05, noise=1.0)["found"]
    assert sizes.is_monotonic_increasing


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"users": 1}, "users: got 1; it must be a whole number, 2 at least"),
        ({"days": 0}, "days: got 0; it must be a whole number"),
        ({"impressions": 0}, "impressions: got 0; it must lie above 0"),
        ({"rate": 1.0}, r"rate: got 1\.0; it must lie strictly between 0 and 1"),
        ({"icc": 1.0}, r"icc: got 1\.0; it must lie in \[0, 1\)"),
        ({"varying": -1}, "varying: got -1; it must not be negative"),
        ({"lift": -1}, "lift: got -1; it must lie above -1"),
        ({"salt": "a:b"}, "salt: got 'a:b'; it must be a text"),
    ],
)
def test_bad_settings_of_the_page_are_refused(settings, told):
    with pytest.raises(ValueError, match=told):
        page_logs(**settings)


@pytest.mark.parametrize(
    ("work", "told"),
    [
        (lambda: unread_noise([0.5], icc=0.1), r"rows: got 0\.5; a user has one at least"),
        (lambda: unread_noise([2], icc=1.1), r"icc: got 1\.1; it must lie in \[0, 1\]"),
        (lambda: unread_noise([2], icc=0.1, varying=-1), "varying: got -1; it must not be negative"),
        (
            lambda: days_needed([1.0], lift=0.1, noise=1, users_a_day=1),
            r"correlations: got 1\.0; it must lie strictly",
        ),
        (lambda: days_needed([0.0], lift=0.1, noise=0, users_a_day=1), "noise: got 0; it must lie above 0"),
        (
            lambda: days_needed([0.0], lift=0.1, noise=1, users_a_day=0),
            "users_a_day: got 0; it must lie above 0",
        ),
        (
            lambda: days_needed([0.0], lift=0, noise=1, users_a_day=1),
            "effect: got 0; no number of units finds it",
        ),
    ],
)
def test_bad_settings_of_the_curves_are_refused(work, told):
    with pytest.raises(ValueError, match=told):
        work()


@pytest.mark.parametrize("lazily", [lambda frame: frame, duckdb.from_df])
def test_tables_that_do_not_fit_are_refused(lazily):
    def work(experiment="new", **change):
        return by_user(**{n: lazily(f) for n, f in (small() | change).items()}, experiment=experiment)

    with pytest.raises(ValueError, match="experiment: got 'none'; assignments have none of that name"):
        work("none")
    twice = pd.concat([small()["assignments"]] * 2)
    with pytest.raises(ValueError, match="user_id: got 2 repeated of 4; there must be one row a user"):
        work(assignments=twice)
    with pytest.raises(ValueError, match="outcomes: got none for 1"):
        work(outcomes=small()["outcomes"][1:])
    log, assigned = small()["serving_log"], small()["assignments"]
    with pytest.raises(
        ValueError, match="arm: got 3 impressions in serving_log by another arm than the user"
    ):
        work(serving_log=log.assign(arm="treatment"))
    for column in ("ts", "user_id"):
        with pytest.raises(ValueError, match=rf"{column}: got 1 missing.*; serving_log must be complete"):
            work(serving_log=log.assign(**{column: log[column].where(log["request_id"] > 0)}))
    for column in ("ts", "user_id", "arm"):
        with pytest.raises(ValueError, match=rf"{column}: got 1 missing.*; assignments must be complete"):
            work(assignments=assigned.assign(**{column: assigned[column].where(assigned["user_id"] > 1)}))
    for name, table in (("serving_log", log), ("assignments", assigned)):
        with pytest.raises(ValueError, match=f"ts: got .* in {name}; it must be times with their zone"):
            work(**{name: table.assign(ts=table["ts"].dt.tz_localize(None))})
    with pytest.raises(ValueError, match="user_id: got text in assignments and whole numbers in serving_log"):
        work(assignments=assigned.assign(user_id=assigned["user_id"].astype(str)))
    with pytest.raises(ValueError, match=r"y: got .* in outcomes; it must be numbers"):
        work(outcomes=small()["outcomes"].assign(y="a"))
    for column in ("impressions", "ts", "arm"):
        with pytest.raises(ValueError, match=f"value: got '{column}'; it must be a column of outcomes"):
            by_user(**small(), experiment="new", value=column)
    with pytest.raises(ValueError, match=r"serving_log: got columns .*; it must have ts"):
        work(serving_log=small()["serving_log"].drop(columns="ts"))
    with pytest.raises(ValueError, match=r"assignments: got columns .*; it must have arm"):
        work(assignments=small()["assignments"].drop(columns="arm"))


def test_times_of_new_york_are_times_with_their_zone():
    day = pd.Timestamp("2026-03-02", tz="America/New_York")
    users = pd.DataFrame({"experiment": "e", "user_id": [1, 2], "arm": ["control", "treatment"], "ts": day})
    log = pd.DataFrame({"request_id": [1, 2], "item_id": 7, "user_id": [1, 2], "ts": day})
    outcomes = log[["request_id", "item_id"]].assign(y=[1, 0])
    assert by_user(users, log, outcomes, experiment="e")["y"].tolist() == [1, 0]
