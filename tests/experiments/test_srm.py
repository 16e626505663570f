"""The split's test: by hand, against SciPy and a published scorecard, its size and coverage, its refusals."""

import warnings

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from scipy.stats import chisquare, kstest

from toolkit.experiments.srm import farthest_off, ratio_p, srm


def split(*counts, names=("control", "treatment", "third")):
    arms = np.repeat(names[: len(counts)], counts)
    return pd.DataFrame({"user_id": np.arange(len(arms)), "arm": arms})


def test_an_exact_split_has_p_one_and_an_interval_around_nothing():
    finding = srm(split(500, 500))
    assert finding.p == 1
    assert finding.estimate == 0
    assert finding.ci[0] < 0 < finding.ci[1]
    assert finding.n_clusters == 1000


def test_the_published_scorecard():
    assert ratio_p({"control": 821_588, "treatment": 815_482}) == pytest.approx(1.8e-6, rel=0.03)


def test_p_is_chi_square_s_for_any_number_of_arms_and_shares():
    shares = {"control": 0.5, "treatment": 0.3, "third": 0.2}
    finding = srm(split(520, 280, 200), expected=shares)
    peer = chisquare([520, 280, 200], [500, 300, 200])
    assert finding.p == pytest.approx(peer.pvalue)
    assert ratio_p({"control": 520, "treatment": 280, "third": 200}, shares) == pytest.approx(peer.pvalue)
    # By hand: 20 users off in 1,000, in the arm where that is most standard errors (20 / sqrt(210)).
    assert finding.unit == "of the users in treatment"
    assert finding.estimate == pytest.approx(-0.02)


def test_the_farthest_arm_is_so_in_its_own_standard_errors():
    # 20 of sqrt(160) is more than 10 of sqrt(90), though the large arm's count varies most.
    at, off, *_ = farthest_off(np.array([820.0, 90.0, 90.0]), np.array([0.8, 0.1, 0.1]))
    assert at == 0
    assert off == pytest.approx(0.02)


def test_an_arm_that_received_nobody_counts():
    finding = srm(split(100, 100), expected={"control": 0.4, "treatment": 0.4, "third": 0.2})
    assert finding.table["users"].tolist() == [100, 100, 0]
    assert finding.p == pytest.approx(chisquare([100, 100, 0], [80, 80, 40]).pvalue)
    assert "no metric of this test may be read" in finding.verdict


def test_users_count_once_however_often_they_came_and_rows_without_an_arm_do_not():
    users = split(300, 300)
    log = pd.concat([users, users.head(250), users.assign(arm=None, user_id=users["user_id"] + 10_000)])
    assert srm(log).p == 1
    assert srm(log).n == 850


def test_without_a_fault_p_is_uniform_and_19_of_20_intervals_hold_nothing():
    rng = np.random.default_rng(1)
    counts = rng.multinomial(100_000, [0.5, 0.3, 0.2], size=2_000)
    p = [ratio_p(dict(zip("abc", row, strict=True)), {"a": 0.5, "b": 0.3, "c": 0.2}) for row in counts]
    assert kstest(p, "uniform").pvalue > 0.01
    halves = np.array([0.5, 0.5])
    two = [farthest_off(np.array([n, 100_000.0 - n]), halves)[3] for n in rng.binomial(100_000, 0.5, 2_000)]
    assert 0.94 <= np.mean([low <= 0 <= high for low, high in two]) <= 0.96
    # Of three arms the farthest is looked at, and its interval holds for all.
    three = [farthest_off(row.astype(float), np.array([0.5, 0.3, 0.2]))[3] for row in counts]
    assert 0.94 <= np.mean([low <= 0 <= high for low, high in three]) <= 0.97


def test_the_interval_covers_a_true_loss():
    rng = np.random.default_rng(2)
    told = [
        farthest_off(np.array([n, 10_000.0 - n]), np.array([0.5, 0.5]))
        for n in rng.binomial(10_000, 0.53, 2_000)
    ]
    assert 0.94 <= np.mean([ci[0] <= -0.03 <= ci[1] for _, _, _, ci in told]) <= 0.96


def test_the_segment_that_lost_users_is_named():
    rng = np.random.default_rng(0)
    users = pd.DataFrame(
        {"user_id": np.arange(20_000), "arm": np.where(rng.random(20_000) < 0.5, "control", "treatment")}
    )
    users["platform"] = np.where(rng.random(20_000) < 0.3, "old app", "web")
    gone = (users["platform"] == "old app") & (users["arm"] == "treatment") & (rng.random(20_000) < 0.3)
    finding = srm(users[~gone], by="platform")
    assert finding.p < 0.001
    assert finding.verdict.endswith("By platform, the alarm is in old app.")
    assert "By platform" not in srm(users, by="platform").verdict
    assert set(finding.table["group"]) == {"all", "old app", "web"}


def test_one_of_ten_segments_must_alarm_among_ten():
    # 555 of 1,000: p = 5e-4, an alarm for a segment alone, not for the most unlucky of ten.
    users = pd.concat(
        [split(555, 445).assign(segment=0)] + [split(500, 500).assign(segment=k) for k in range(1, 10)]
    )
    users["user_id"] = np.arange(len(users))
    finding = srm(users, by="segment")
    assert 1e-4 < finding.table.set_index("group")["p"]["0"].iloc[0] < 1e-3
    assert "By segment" not in finding.verdict


@pytest.mark.parametrize(
    "make", [pl.from_pandas, pa.Table.from_pandas, lambda frame: pl.from_pandas(frame).lazy()]
)
def test_any_frame_will_do(make):
    frame = split(520, 480)
    assert srm(make(frame)) == srm(frame)


def test_duckdb_will_do():
    frame = split(520, 480)
    assert srm(duckdb.sql("select * from frame")).p == pytest.approx(srm(frame).p)


def test_one_of_several_experiments_is_read():
    both = pd.concat([split(500, 500).assign(experiment="a"), split(600, 400).assign(experiment="b")])
    assert srm(both, experiment="a").p == 1
    assert srm(both, experiment="b").p < 1e-9
    with pytest.raises(ValueError, match="experiment: got 'c'; assignments have a, b"):
        srm(duckdb.from_df(both), experiment="c")
    assert srm(duckdb.from_df(both), experiment="b").table["users"].tolist() == [600, 400]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: srm(split(10, 10), expected={"control": 0.5, "treatment": 0.4}),
            "expected: got .* 1 in sum",
        ),
        (lambda: srm(split(10, 10), expected={"control": 1.0}), "expected: got arms .*two at least"),
        (
            lambda: srm(split(10, 10), expected={"control": 0.5, "new": 0.5}),
            "arm: got 'treatment'; the design has",
        ),
        (lambda: srm(split(3, 3)), "assignments: got 6 users; .* expect 5 at least"),
        (lambda: srm(split(10)), "expected: got arms"),
        (lambda: srm(split(10, 10), alpha=1.0), "alpha: got 1.0"),
        (lambda: srm(split(10, 10), alarm=0), "alarm: got 0"),
        (lambda: srm(split(10, 10), experiment="a"), "experiment: got 'a'; assignments have no such column"),
        (
            lambda: srm(split(10, 10).assign(experiment="b"), experiment="a"),
            "experiment: got 'a'; assignments have b",
        ),
        (
            lambda: srm(split(10, 10).assign(experiment=["a"] * 10 + ["b"] * 10)),
            "experiment: got None for assignments of a, b",
        ),
        (lambda: srm(split(10, 10).assign(user_id=1)), "arm: got two for 1 users of assignments"),
        (lambda: srm(pd.DataFrame({"user_id": [1]})), "assignments: got columns"),
        (lambda: srm(split(10, 10), by="platform"), "assignments: got columns"),
        (lambda: srm(split(10, 10), by="arm"), "by: got 'arm'; it must be another column"),
        (
            lambda: srm(split(10, 10), expected=[0.5, 0.5]),
            r"expected: got \[0.5, 0.5\]; .* each arm its share",
        ),
        (lambda: srm(split(10, 10), expected={"control": "half", "treatment": 0.5}), "got 'half'"),
        (lambda: ratio_p({"a": 2, "b": 1}), "counts: got .* expect 5"),
        (lambda: ratio_p({"a": 20}), "expected: got arms"),
    ],
)
def test_bad_input_is_refused_by_name_value_and_rule(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_rows_without_any_arm_are_refused_without_a_warning():
    users = pd.DataFrame({"user_id": range(100), "arm": np.nan})
    with warnings.catch_warnings(action="error"), pytest.raises(ValueError, match="assignments: got 0 users"):
        srm(users, expected={"control": 0.5, "treatment": 0.5})
