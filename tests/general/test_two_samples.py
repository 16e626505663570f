"""A classifier between two samples: its null, and what averaging over folds would do to it."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import kstest, norm

from toolkit.auc import auc
from toolkit.general.two_samples import mann_whitney_se, two_sample_auc


def normals(n, rng, *, correlation=0.0, shift=0.0):
    values = shift + rng.multivariate_normal([0, 0], [[1, correlation], [correlation, 1]], n)
    return pd.DataFrame(values, columns=["a", "b"])


def test_the_null_s_spread_is_that_of_shuffled_labels():
    rng = np.random.default_rng(0)
    y = np.r_[np.ones(40), np.zeros(60)]
    areas = [auc(y, rng.permutation(100)) for _ in range(4000)]
    assert np.std(areas) == pytest.approx(mann_whitney_se(40, 60), rel=0.04)


@pytest.mark.slow
def test_p_is_uniform_when_nothing_moved_and_averaged_folds_would_not_be():
    rng = np.random.default_rng(1)
    ps, averaged = [], []
    for seed in range(100):
        before, after = normals(150, rng)[["a"]], normals(150, rng)[["a"]]
        ps.append(two_sample_auc(before, after, cluster=None, iterations=5, rng=seed).p)
        # The sign of the difference of means, learned from each half and judged on the other.
        halves = [(x["a"].to_numpy()[:75], x["a"].to_numpy()[75:]) for x in (before, after)]
        areas = []
        for train, judge in ((0, 1), (1, 0)):
            sign = np.sign(halves[1][train].mean() - halves[0][train].mean())
            areas.append(auc(np.repeat([0, 1], 75), sign * np.r_[halves[0][judge], halves[1][judge]]))
        averaged.append(abs(np.mean(areas) - 0.5) / mann_whitney_se(150, 150))
    assert kstest(ps, "uniform").pvalue > 0.01
    # Both directions agree by luck, so that a null over all rows rings far more than once in twenty.
    assert np.mean(np.array(averaged) > norm.isf(0.025)) > 0.08


def test_columns_that_move_only_together_are_found():
    rng = np.random.default_rng(0)
    finding = two_sample_auc(normals(2000, rng), normals(2000, rng, correlation=0.8), cluster=None)
    assert finding.p < 1e-4
    assert "can be told" in finding.verdict
    alone = finding.table.set_index("columns")["auc"]
    assert alone["all together"] > 0.65
    assert alone.drop("all together").max() < 0.55


def test_the_area_and_its_interval_are_those_of_a_known_shift():
    rng = np.random.default_rng(3)
    before, after = (pd.DataFrame({"a": rng.normal(m, 1, 4000)}) for m in (0, 1))
    finding = two_sample_auc(before, after, cluster=None)
    assert finding.estimate == pytest.approx(norm.cdf(1 / np.sqrt(2)), abs=0.02)
    # Hanley and McNeil's standard error at this area, for about 2,000 against 2,000.
    a, n = finding.estimate, 2000
    q1, q2 = a / (2 - a), 2 * a * a / (1 + a)
    by_hand = np.sqrt((a * (1 - a) + (n - 1) * (q1 - a * a) + (n - 1) * (q2 - a * a)) / n**2)
    assert finding.se == pytest.approx(by_hand, rel=0.1)


def test_users_whose_rows_are_alike_don_t_ring_and_text_and_gaps_are_taken():
    rng = np.random.default_rng(0)
    alarms = 0
    for seed in range(25):
        frames = []
        for base in (0, 1000):
            user = np.repeat(np.arange(60), 8)
            x = rng.normal(size=60)[user] + 0.1 * rng.normal(size=480)
            frames.append(pd.DataFrame({"user_id": user + base, "x": x}))
        alarms += two_sample_auc(*frames, iterations=10, rng=seed).p <= 0.05
    assert alarms <= 5
    before = pd.DataFrame({"c": ["a", None] * 500, "n": [1.0, np.nan] * 500})
    after = pd.DataFrame({"c": ["a", "b"] * 500, "n": [1.0, np.nan] * 500})
    told = two_sample_auc(before, after, cluster=None).table.set_index("columns")["auc"]
    # Missing tells the one, b the other, and a neither: 1/4 + 1/4 + 1/4 + 1/8 of the pairs.
    assert told["c"] == pytest.approx(0.875, abs=0.03)
    assert told["n"] == pytest.approx(0.5, abs=0.03)


FRAME = pd.DataFrame({"user_id": np.arange(40), "a": np.arange(40.0)})


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: two_sample_auc(FRAME.drop(columns="user_id"), FRAME), "it must have user_id"),
        (lambda: two_sample_auc(FRAME[["user_id"]], FRAME), "reference: got no column to compare"),
        (lambda: two_sample_auc(FRAME, FRAME.assign(a="x")), "a: got .* both must be alike"),
        (lambda: two_sample_auc(FRAME, FRAME.iloc[:0]), "current: got no row"),
        (lambda: two_sample_auc(FRAME, FRAME[:1]), "each half needs rows of both frames"),
        (lambda: two_sample_auc(FRAME, FRAME, rows=10), "rows: got 10"),
        (lambda: two_sample_auc(FRAME, FRAME, iterations=0), "iterations: got 0"),
        (lambda: two_sample_auc(FRAME, FRAME, alpha=1), "alpha: got 1"),
        (lambda: mann_whitney_se(0, 3), "n: got 0"),
    ],
)
def test_bad_input_is_refused_by_name_value_and_rule(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_ties_shrink_the_null_to_that_of_shuffled_labels():
    rng = np.random.default_rng(3)
    y, score = np.r_[np.ones(40), np.zeros(60)], np.r_[np.zeros(80), np.ones(15), np.full(5, 2.0)]
    areas = [auc(y, rng.permutation(score)) for _ in range(4000)]
    assert np.std(areas) == pytest.approx(mann_whitney_se(40, 60, ties=[80, 15, 5]), rel=0.04)
    assert mann_whitney_se(40, 60, ties=np.ones(100)) == mann_whitney_se(40, 60)


def test_a_flag_that_stands_still_rings_once_in_twenty_not_never():
    rng, rang = np.random.default_rng(4), 0
    for seed in range(150):
        before, after = (pd.DataFrame({"flag": rng.random(400) < 0.1}) for _ in range(2))
        rang += two_sample_auc(before, after, cluster=None, iterations=2, rng=seed).p <= 0.05
    # Without counting ties it rang once in 200. Three standard errors.
    assert rang / 150 == pytest.approx(0.05, abs=0.053)
    assert rang >= 3


def test_a_column_of_one_value_tells_nothing():
    frame = pd.DataFrame({"plan": ["a"] * 200})
    finding = two_sample_auc(frame, frame, cluster=None)
    assert (finding.estimate, finding.p) == (0.5, 1.0)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([1.0, np.inf] * 100, "x: got an infinite number; it must be finite or missing"),
        (pd.date_range("2026-03-02", periods=200), "x: got datetime64.*; a time always moves"),
        ([[1]] * 200, "x: got a list in each row; it must be one value"),
    ],
)
def test_columns_that_no_classifier_can_take_are_refused(values, message):
    frame = pd.DataFrame({"x": values})
    with pytest.raises(ValueError, match=message):
        two_sample_auc(frame, frame, cluster=None)


def test_sizes_of_ties_are_checked():
    with pytest.raises(
        ValueError, match=r"ties: got \[150.0\]; sizes are 1 at least, and add up to 100 at most"
    ):
        mann_whitney_se(40, 60, ties=[150])


def test_a_handful_of_rows_has_no_area():
    draw = np.random.default_rng(0)
    many, few = (pd.DataFrame({"x": draw.normal(size=size)}) for size in (500, 12))
    with pytest.raises(ValueError, match=r"reference: got . rows in the half that is judged; .* takes 10"):
        two_sample_auc(few, many, cluster=None)
