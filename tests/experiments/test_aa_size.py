"""A/A size: the closed form of the wrong unit, honest splits user by user, SciPy's tests, lazy frames, refusals."""

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy.stats import norm, ttest_ind, ttest_ind_from_stats

from toolkit.experiments.aa_size import ArmSums, aa_size, by_cluster, by_event


def events(users, rows, icc, *, rng=0, offset=0.0):
    """Rows of variance 1, of which the share `icc` is the user's."""
    draws = np.random.default_rng(rng)
    user = np.repeat(np.arange(users), rows)
    own = np.repeat(draws.normal(scale=np.sqrt(icc), size=users), rows)
    return pd.DataFrame(
        {"user_id": user, "y": own + draws.normal(scale=np.sqrt(1 - icc), size=len(user)) + offset}
    )


def table_of(finding):
    return finding.table.set_index("analysed by")


def sums_of(log):
    """The sums by hand, as arrays of one split."""
    user = log.groupby("user_id")["y"].agg(["sum", "size"])
    parts = (
        len(user),
        len(log),
        log["y"].sum(),
        (log["y"] ** 2).sum(),
        (user["sum"] ** 2).sum(),
        (user["sum"] * user["size"]).sum(),
        (user["size"] ** 2).sum(),
    )
    return ArmSums(*(np.array([float(part)]) for part in parts))


def test_twenty_events_a_user_inflate_the_event_s_size_as_the_design_effect_says():
    told = table_of(aa_size(events(3_000, 20, 0.05), tests=5_000))
    expected = 2 * norm.sf(1.959964 / np.sqrt(1 + 19 * 0.05))  # 16%
    # This log's own icc has an error too: a design effect of 1.95 is known to about 2%.
    assert told["significant"]["event"] == pytest.approx(expected, abs=0.02)
    assert told["low"]["cluster"] < 0.05 < told["high"]["cluster"]
    assert told["real se"]["event"] == pytest.approx(told["claimed se"]["cluster"], rel=0.03)


def test_the_effect_goes_away_where_events_are_independent():
    told = table_of(aa_size(events(3_000, 20, 0.0, rng=1), tests=5_000))
    assert told["low"]["event"] - 0.01 < 0.05 < told["high"]["event"] + 0.01


def test_buckets_give_what_honest_splits_user_by_user_give():
    # Skewed, of unequal length: nothing that a normal limit would hide.
    draws = np.random.default_rng(3)
    rows = draws.geometric(0.2, 5_000)
    user = np.repeat(np.arange(5_000), rows)
    log = pd.DataFrame(
        {"user_id": user, "y": draws.lognormal(size=len(user)) * draws.lognormal(size=5_000)[user]}
    )
    dealt = aa_size(log, tests=4_000, buckets=1_000)
    honest = aa_size(log, tests=4_000, buckets=5_000, rng=1)
    for name in ("cluster", "event"):
        ours, true = table_of(dealt).loc[name], table_of(honest).loc[name]
        error = np.sqrt(2 * true["significant"] * (1 - true["significant"]) / 4_000)
        assert ours["significant"] == pytest.approx(true["significant"], abs=3.5 * error)
        # A standard deviation of 4,000 draws is known to about 1.1%.
        assert ours["real se"] == pytest.approx(true["real se"], rel=0.055)
        assert ours["claimed se"] == pytest.approx(true["claimed se"], rel=0.01)


def test_honest_splits_are_those_that_a_loop_over_users_makes():
    log = events(400, 5, 0.3, rng=4)
    means = log.groupby("user_id")["y"].mean().to_numpy()
    treated = np.random.default_rng(5).random((2_000, 400)) < 0.5
    wrong = []
    for values, member in ((means, treated), (log["y"].to_numpy(), np.repeat(treated, 5, axis=1))):
        told = []
        for inside in (member, ~member):
            n = inside.sum(1)
            mean = inside @ values / n
            told += [mean, np.sqrt((inside @ values**2 - n * mean**2) / (n - 1)), n]
        wrong.append(ttest_ind_from_stats(*told, equal_var=False).pvalue < 0.05)
    told = table_of(aa_size(log, tests=10_000))
    for place, name in enumerate(("cluster", "event")):
        rate = wrong[place].mean()
        assert told["significant"][name] == pytest.approx(rate, abs=3.5 * np.sqrt(rate * (1 - rate) / 1_700))


def test_each_arm_s_error_is_scipy_s():
    log = events(50, 4, 0.3, rng=6, offset=3.0)
    arms = log[log["user_id"] < 25], log[log["user_id"] >= 25]
    (mean, squared, _), other = by_event(sums_of(arms[0])), by_event(sums_of(arms[1]))
    expected = ttest_ind(arms[0]["y"], arms[1]["y"], equal_var=False)
    assert (mean - other[0])[0] / np.sqrt(squared + other[1])[0] == pytest.approx(expected.statistic)
    # All users have four rows, so that the mean of rows is that of users.
    users = [arm.groupby("user_id")["y"].mean() for arm in arms]
    expected = ttest_ind(*users, equal_var=False)
    (mean, squared, _), other = by_cluster(sums_of(arms[0])), by_cluster(sums_of(arms[1]))
    assert (mean - other[0])[0] / np.sqrt(squared + other[1])[0] == pytest.approx(expected.statistic)


def test_a_reader_s_own_test_sees_the_sums_of_the_values_as_they_are():
    # Users who come more often act more: sums of products then don't cancel.
    log = events(600, 3, 0.2, rng=7, offset=10.0)[lambda f: f.index % 7 > 0]
    log["y"] += log.groupby("user_id")["y"].transform("size")
    seen = []

    def own(control, treatment):
        seen.append((control, treatment))
        a, b = by_event(control), by_event(treatment)
        return 2 * norm.sf(np.abs(b[0] - a[0]) / np.sqrt(a[1] + b[1]))

    told = aa_size(log, tests=500, test=own, share=0.2)
    assert told.estimate == pytest.approx(table_of(told)["significant"]["event"], abs=0.003)
    assert told.estimate == table_of(told)["significant"]["your test"]
    whole = sums_of(log)
    for name in vars(whole):
        both = getattr(seen[0][0], name) + getattr(seen[0][1], name)
        assert both == pytest.approx(np.full(100, getattr(whole, name)[0]), rel=1e-9)
    # The treatment is the second, and has the share that was asked for.
    assert seen[0][1].units.mean() == pytest.approx(0.2 * 600, abs=5)


def test_the_interval_holds_the_rate_at_nominal_under_dealt_buckets():
    log = events(6_000, 1, 0.0, rng=8)
    found = [aa_size(log, tests=500, buckets=1_024, rng=seed) for seed in range(60)]
    covered = sum(each.ci[0] <= 0.05 <= each.ci[1] for each in found)
    assert covered >= 52  # of 60 at 95%: fewer has a chance below 1 in 100
    assert np.std([each.estimate for each in found]) == pytest.approx(np.sqrt(0.05 * 0.95 / 500), rel=0.3)


def test_a_large_mean_takes_nothing_from_the_spread():
    small, large = (aa_size(events(500, 4, 0.2, rng=9, offset=offset), tests=500) for offset in (0.0, 1e7))
    pd.testing.assert_frame_equal(small.table, large.table, rtol=1e-6)


def test_lazy_frames_give_what_eager_ones_do():
    log = events(500, 4, 0.2, rng=10)
    told = aa_size(log, tests=500)
    for frame in (pl.from_pandas(log), pl.from_pandas(log).lazy(), duckdb.from_df(log)):
        pd.testing.assert_frame_equal(aa_size(frame, tests=500).table, told.table, rtol=1e-9)


def test_outcomes_are_joined_where_the_frames_are():
    log = events(500, 4, 0.2, rng=11)
    log["request_id"], log["item_id"] = np.arange(len(log)), 7
    served, labels = log[["request_id", "item_id", "user_id"]], log[["request_id", "item_id", "y"]][::-1]
    told = aa_size(log[["user_id", "y"]], tests=500)
    pd.testing.assert_frame_equal(aa_size(served, labels, tests=500).table, told.table, rtol=1e-9)
    lazy = aa_size(duckdb.from_df(served), duckdb.from_df(labels), tests=500)
    pd.testing.assert_frame_equal(lazy.table, told.table, rtol=1e-9)
    with pytest.raises(ValueError, match="outcomes: got none for 1 rows; each needs one"):
        aa_size(duckdb.from_df(served), duckdb.from_df(labels[1:]), tests=500)
    twice = pd.concat([labels, labels[:1]])
    with pytest.raises(ValueError, match=r"request_id, item_id: got 1 repeated .* in outcomes once"):
        aa_size(duckdb.from_df(served), duckdb.from_df(twice), tests=500)


@pytest.mark.parametrize(
    ("change", "settings", "told"),
    [
        ({}, {"nominal": 1.0}, r"nominal: got 1\.0; it must lie strictly between 0 and 1"),
        ({}, {"alpha": 0.0}, r"alpha: got 0\.0; it must lie strictly"),
        ({}, {"share": 1.0}, r"share: got 1\.0; it must lie strictly between 0 and 1"),
        ({}, {"tests": 10}, "tests: got 10; it must be a whole number, 100 at least"),
        ({}, {"buckets": 1}, "buckets: got 1; it must be a whole number, 2 at least"),
        ({}, {"test": "user"}, "test: got 'user'; it must be cluster, event or a function"),
        ({}, {"share": 0.01}, "user_id: got 100; the smaller arm must have 10 on average"),
        ({}, {"value": "z"}, r"log: got columns .*; it must have z"),
        ({"y": 1.0}, {}, r"y: got 1\.0 in all rows; a test needs values that differ"),
        ({"y": 0.1}, {}, r"y: got 0\.\d+ in all rows; a test needs values that differ"),
        ({"user_id": [1, "1"] * 100}, {}, "user_id: got ids that are text and others that aren't in log"),
        ({"y": np.nan}, {}, "y: got 200 missing of 200; log must be complete"),
        ({"y": "a"}, {}, "y: got .* in log; it must be numbers"),
        ({}, {"test": lambda a, b: 0.5}, r"test: got values of shape \(\); it must return one p-value"),
    ],
)
def test_bad_input_is_refused(change, settings, told):
    with pytest.raises(ValueError, match=told):
        aa_size(events(100, 2, 0.1).assign(**change), **{"tests": 100, **settings})


def test_missing_values_of_a_lazy_frame_are_refused():
    log = events(100, 2, 0.1)
    for column, told in (("y", "y: got 1 missing of 200"), ("user_id", "user_id: got 1 missing of 200")):
        broken = (
            pl.from_pandas(log)
            .with_row_index()
            .with_columns(pl.when(pl.col("index") > 0).then(pl.col(column)).alias(column))
        )
        with pytest.raises(ValueError, match=told):
            aa_size(broken.lazy(), tests=100)
