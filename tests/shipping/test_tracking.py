"""The audit of a tracker: counts by hand, agreement with theory, FooBar's own tracker, refusals."""

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pytest

from toolkit.shipping.tracking import tracker_audit
from toolkit.shipping.winner import winner_reads
from toolkit.world import Settings
from toolkit.world.company import tables
from toolkit.world.story import tell


def runs(right, data="d"):
    """A tracker and rows of runs, by the rows (first axis) on which each is right."""
    right = np.asarray(right)
    names = [f"{data}{k}" for k in range(right.shape[1])]
    tracker = pd.DataFrame(
        {
            "run_id": names,
            "config_hash": [name[:-1] for name in names],
            "data_hash": data,
            "seed": range(len(names)),
            "metric": right.mean(axis=0),
            "n_holdout": len(right),
        }
    )
    rows = pd.DataFrame(right, columns=names).rename_axis("row_id").reset_index()
    return tracker, rows.melt("row_id", var_name="run_id")


def equal(seed=0, rows=400, k=30):
    return (np.random.default_rng(seed).random((rows, k)) < 0.7).astype(int)


def test_it_counts_runs_configurations_and_seeds_by_the_data():
    tracker = pd.concat([runs(equal(k=12))[0], runs(equal(1, k=3), data="e")[0]])
    table = tracker_audit(tracker).table.set_index("data_hash")
    assert table["runs"].to_dict() == {"d": 12, "e": 3}
    assert table.loc["d", "configurations"] == 2  # d0 to d9 and d10, d11
    assert table.loc["d", "seeds"] == 12
    first = tracker[tracker["data_hash"] == "d"]
    assert table.loc["d", "best_metric"] == first["metric"].max()


def test_the_optimism_of_equal_runs_is_the_order_statistic():
    expected = winner_reads(30, 400) - 0.7
    known, bound = [], []
    for seed in range(25):
        tracker, rows = runs(equal(seed))
        known.append(tracker_audit(tracker, rows, replicates=150).estimate)
        bound.append(tracker_audit(tracker, replicates=150).estimate)
    assert np.mean(known) == pytest.approx(expected, rel=0.08)
    assert np.mean(bound) == pytest.approx(expected, rel=0.08)


def test_runs_that_err_together_have_less_luck_and_rows_show_it():
    right = equal(k=10)
    alike = np.where(np.random.default_rng(1).random(right.shape) < 0.9, right[:, :1], right)
    tracker, rows = runs(alike)
    known, bound = tracker_audit(tracker, rows), tracker_audit(tracker)
    assert known.estimate < 0.5 * tracker_audit(*runs(right)).estimate
    assert known.estimate < bound.estimate
    assert "at most" in bound.verdict
    assert "at most" not in known.verdict


def test_a_single_run_has_not_been_chosen():
    finding = tracker_audit(*runs(equal(k=1)))
    assert finding.estimate == 0
    assert finding.p is None
    assert finding.ci[0] < 0 < finding.ci[1]


def test_users_are_the_units_where_they_are_named():
    right = np.repeat(equal(rows=100), 4, axis=0)
    tracker, rows = runs(right)
    by_user = rows.assign(user_id=rows["row_id"] // 4)
    naive, clustered = tracker_audit(tracker, rows), tracker_audit(tracker, by_user, cluster="user_id")
    assert clustered.n_clusters == 100
    assert clustered.ci[1] - clustered.ci[0] == pytest.approx(2 * (naive.ci[1] - naive.ci[0]), rel=0.25)


def test_foobar_s_own_tracker_is_read_as_it_is():
    story = tell(Settings(items=100, requests=200, days=33))
    finding = tracker_audit(tables(story)["tracker"].assign(se=0.01), se="se")
    assert finding.table["runs"].tolist() == [9]
    assert finding.table["configurations"].tolist() == [3]
    assert 0 <= finding.estimate < 0.02


def test_any_frame_gives_the_same_answer():
    frames = runs(equal(k=4))
    expected = tracker_audit(*frames)
    for convert in (pl.from_pandas, lambda frame: duckdb.from_df(frame)):
        assert tracker_audit(*map(convert, frames)).summary() == expected.summary()


TRACKER, ROWS = runs(equal(k=3))


@pytest.mark.parametrize(
    ("tracker", "rows", "settings", "message"),
    [
        (TRACKER.drop(columns="metric"), None, {}, "it must have metric"),
        (pd.concat([TRACKER, TRACKER]), None, {}, "run_id: got 3 repeated of 6"),
        (TRACKER.assign(metric=1.5), None, {}, "metric: got 1.5; without `se` it must be a share"),
        (TRACKER.assign(n_holdout=0), None, {}, "n_holdout: got 0; it must be 1 at least"),
        (TRACKER.assign(e=-1.0), None, {"se": "e"}, "e: got -1.0; a standard error isn't negative"),
        (TRACKER, None, {"data_hash": "x"}, "data_hash: got 'x'; it must be one of d"),
        (TRACKER, ROWS[ROWS["run_id"] != "d1"], {}, "rows: got none of 1 runs, as of 'd1'"),
        (TRACKER, ROWS.drop(index=0), {}, "rows: got 1 missing; each run must have the same held-out rows"),
        (TRACKER.assign(metric=0.5), ROWS, {}, "metric: got 0.5 for run 'd0', whose rows' mean is"),
        (TRACKER, ROWS, {"cluster": "user_id"}, "it must have user_id"),
        (TRACKER, ROWS, {"replicates": 10}, "replicates: got 10; it must be a whole number, 100 at least"),
        (TRACKER, ROWS, {"alpha": 2}, "alpha: got 2"),
    ],
)
def test_bad_input_is_refused(tracker, rows, settings, message):
    with pytest.raises(ValueError, match=message):
        tracker_audit(tracker, rows, **settings)


def test_a_run_that_was_right_on_all_rows_had_luck_too():
    perfect = TRACKER.assign(metric=[1.0, 1.0, 1.0], n_holdout=20)
    assert tracker_audit(perfect).ci[1] > 0.02


def test_the_counts_and_clusters_of_rows_must_agree_with_themselves():
    with pytest.raises(
        ValueError, match="n_holdout: got 99 beside 400 held-out rows in rows; they must agree"
    ):
        tracker_audit(TRACKER.assign(n_holdout=99), ROWS)
    with pytest.raises(ValueError, match="user_id: got several for row 0; a held-out row is of one"):
        tracker_audit(TRACKER, ROWS.assign(user_id=range(len(ROWS))), cluster="user_id")


def test_the_rows_are_those_of_the_audited_data():
    both = pd.concat([runs(equal(k=3))[0], runs(equal(1, rows=800, k=2), data="e")[0]])
    assert tracker_audit(both).n == 400
    assert tracker_audit(both, data_hash="e").n == 800


def test_it_says_when_rows_are_taken_for_independent():
    told = "no user has several of the held-out rows"
    assert told in tracker_audit(TRACKER).assumptions
    assert (
        told not in tracker_audit(TRACKER, ROWS.assign(user_id=ROWS["row_id"]), cluster="user_id").assumptions
    )
