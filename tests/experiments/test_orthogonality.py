"""Two splits' dependence: against SciPy and the bootstrap, size and coverage, requests against users, refusals."""

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from scipy.stats import chi2_contingency, kstest, norm
from scipy.stats.contingency import association

from toolkit.experiments.orthogonality import dependence, orthogonality

ARMS = np.array(["control", "treatment", "third"])


def pair(users=2_000, correlation=0.0, arms=2, rng=0, copy=0.0):
    """Two experiments' assignments; a share of users has the same arm in both by construction."""
    draw = np.random.default_rng(rng)
    a, b = draw.integers(0, arms, (2, users))
    b = np.where(draw.random(users) < max(correlation, copy), a, b)
    return tuple(pd.DataFrame({"user_id": np.arange(users), "arm": ARMS[side]}) for side in (a, b))


@pytest.mark.parametrize("arms", [2, 3])
def test_v_and_p_are_scipy_s(arms):
    a, b = pair(arms=arms, copy=0.1)
    finding = orthogonality(a, b)
    table = pd.crosstab(a["arm"], b["arm"]).to_numpy()
    assert finding.estimate == pytest.approx(association(table, method="cramer"))
    assert finding.p == pytest.approx(chi2_contingency(table, correction=False).pvalue)


def test_the_sign_says_which_arms_go_together():
    a, b = pair(copy=0.3)
    other = b.assign(arm=np.where(b["arm"] == "control", "treatment", "control"))
    assert orthogonality(a, b).estimate == pytest.approx(-orthogonality(a, other).estimate)
    assert orthogonality(a, other).estimate < -0.2


def test_the_interval_is_the_bootstrap_s():
    a, b = pair(users=1_000, copy=0.4)
    x, y = ((side["arm"] == "treatment").to_numpy(float) for side in (a, b))
    rng = np.random.default_rng(0)
    draws = [np.corrcoef(x[i], y[i])[0, 1] for i in (rng.integers(0, 1_000, 1_000) for _ in range(800))]
    assert orthogonality(a, b).se == pytest.approx(np.std(draws), rel=0.08)


def counted(users, copy, arms, tests):
    """Tables of users by their two arms, of whom a share was given the same arm twice."""
    chance = (1 - copy) / arms**2 + copy / arms * np.eye(arms)
    tables = np.random.default_rng(5).multinomial(users, chance.ravel(), size=tests)
    return tables.reshape(tests, arms, arms).astype(float)


@pytest.mark.parametrize("copy", [0.0, 0.5])
def test_19_of_20_intervals_hold_the_truth_and_p_is_uniform_without_dependence(copy):
    told = [dependence(table) for table in counted(2_000, copy, 2, 2_000)]
    assert 0.94 <= np.mean([ci[0] <= copy <= ci[1] for _, _, ci, _ in told]) <= 0.96
    if not copy:
        assert kstest([p for *_, p in told], "uniform").pvalue > 0.01


def test_three_arms_intervals_hold_v():
    # A copied share of users is V, for any number of equal arms.
    for copy in (0.06, 0.3):
        told = [dependence(table) for table in counted(2_000, copy, 3, 500)]
        assert 0.93 <= np.mean([ci[0] <= copy <= ci[1] for _, _, ci, _ in told]) <= 0.97
    nothing = [dependence(table) for table in counted(2_000, 0.0, 3, 400)]
    assert kstest([p for *_, p in nothing], "uniform").pvalue > 0.01
    # V can't be negative: at 0 only the lower end can be wrong.
    assert np.mean([ci[0] == 0 for _, _, ci, _ in nothing]) == pytest.approx(0.975, abs=0.015)


def test_requests_taken_for_users_make_alarms_of_nothing():
    # Ten requests a user multiply the table and chi-square by ten: p < .001 at z > 3.29 / sqrt(10).
    p = [dependence(10 * table)[3] for table in counted(2_000, 0.0, 2, 2_000)]
    assert np.mean(np.array(p) < 0.001) == pytest.approx(
        2 * norm.sf(norm.isf(0.0005) / np.sqrt(10)), abs=0.03
    )


def test_requests_for_users_would_be_refused_and_would_have_made_false_alarms():
    a, b = pair(users=500)
    twice = pd.concat([a, a], ignore_index=True)
    with pytest.raises(
        ValueError, match="user_id: got 500 repeated of 1,000 in a; one row a user, not an event"
    ):
        orthogonality(twice, b)
    with pytest.raises(ValueError, match="in b; one row a user"):
        orthogonality(a, twice)


@pytest.mark.parametrize(
    "make", [pl.from_pandas, pa.Table.from_pandas, lambda frame: pl.from_pandas(frame).lazy()]
)
def test_any_frame_will_do(make):
    a, b = pair(copy=0.2)
    assert orthogonality(make(a), make(b)) == orthogonality(a, b)


def test_duckdb_will_do():
    a, b = pair()
    lazily = orthogonality(duckdb.sql("select * from a"), duckdb.sql("select * from b"))
    assert lazily.p == pytest.approx(orthogonality(a, b).p)


def test_users_of_one_experiment_only_do_not_count():
    a, b = pair()
    finding = orthogonality(a.head(1_500), b.tail(1_500))
    assert finding.n == 1_000


def test_the_table_has_a_row_for_each_arm_of_b_and_says_who_of_a_is_in_it():
    a, b = pair()[0], pair(arms=3)[1]
    table = orthogonality(a, b).table.set_index("arm of b")
    assert table["users"].to_dict() == b["arm"].value_counts().to_dict()
    in_third = a["arm"][(b["arm"] == "third").to_numpy()]
    assert table["share of a in treatment"]["third"] == pytest.approx((in_third == "treatment").mean())


def test_both_experiments_may_come_in_one_frame():
    a, b = pair()
    both = pd.concat([a.assign(experiment="a"), b.assign(experiment="b")])
    told = orthogonality(both, both, experiment_a="a", experiment_b="b")
    assert told.estimate == orthogonality(a, b).estimate


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"alpha": 0}, "alpha: got 0"),
        ({"alarm": 2}, "alarm: got 2"),
        ({"experiment_a": "x"}, "experiment: got 'x'; a have no such column"),
    ],
)
def test_bad_settings_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        orthogonality(*pair(users=100), **change)


def test_bad_frames_are_refused():
    a, b = pair(users=100)
    with pytest.raises(ValueError, match="b: got one arm or none among the 100 users in both"):
        orthogonality(a, b.assign(arm="control"))
    with pytest.raises(ValueError, match="a: got one arm or none among the 0 users"):
        orthogonality(a, b.assign(user_id=b["user_id"] + 1000))
    with pytest.raises(ValueError, match="users: got 12 in both; each pair of arms must expect 5 at least"):
        orthogonality(a.head(12), b)
    with pytest.raises(ValueError, match="a: got columns"):
        orthogonality(a.drop(columns="arm"), b)
