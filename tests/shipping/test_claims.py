"""A claim against fresh rows: by hand, size and coverage, power beside its closed form, refusals."""

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy.stats import kstest, ttest_ind

from toolkit.shipping.claims import claimed_vs_fresh
from toolkit.shipping.winner import flag_power


def sample(values, run="best", users=None):
    frame = pd.DataFrame({"run_id": run, "row_id": np.arange(len(values)), "value": values})
    return frame if users is None else frame.assign(user_id=users)


def test_the_gap_and_its_test_are_welch_s():
    rng = np.random.default_rng(0)
    one, other = rng.normal(0.3, 1, 60), rng.normal(0.0, 2, 90)
    finding = claimed_vs_fresh(sample(one), sample(other), run="best")
    peer = ttest_ind(one, other, equal_var=False)
    assert finding.estimate == pytest.approx(one.mean() - other.mean())
    assert finding.p == pytest.approx(peer.pvalue, rel=1e-6)
    assert finding.ci == pytest.approx(tuple(peer.confidence_interval(0.95)), rel=1e-6)


def test_a_gain_is_paired_row_by_row_in_whatever_order_the_rows_come():
    rng = np.random.default_rng(1)
    base = rng.normal(size=50)
    both = pd.concat([sample(base + 0.1), sample(base, run="first").sample(frac=1, random_state=0)])
    finding = claimed_vs_fresh(both, both, run="best", baseline="first")
    assert finding.table["mean"].tolist() == pytest.approx([0.1, 0.1])
    assert finding.se == pytest.approx(0, abs=1e-12)
    assert finding.estimate == pytest.approx(0)


def test_p_is_uniform_and_the_interval_covers_where_the_run_was_named_beforehand():
    rng, found = np.random.default_rng(2), []
    for _ in range(200):
        users = [np.repeat(np.arange(60), 2), np.repeat(np.arange(80), 2)]
        frames = [
            sample(rng.normal(size=len(user) // 2)[user] + rng.normal(size=len(user)), users=user)
            for user in users
        ]
        found.append(claimed_vs_fresh(*frames, run="best", cluster="user_id"))
    assert kstest([each.p for each in found], "uniform").pvalue > 0.01
    assert 0.93 <= np.mean([each.ci[0] <= 0 <= each.ci[1] for each in found]) <= 0.97
    assert found[0].n_clusters == 140


def test_a_winner_is_flagged_as_often_as_the_closed_form_says():
    rng, flagged = np.random.default_rng(3), []
    for _ in range(120):
        right = (rng.random((400, 60)) < 0.7).astype(int)
        fresh = (rng.random(800) < 0.7).astype(int)
        finding = claimed_vs_fresh(sample(right[:, right.mean(axis=0).argmax()]), sample(fresh), run="best")
        flagged.append(finding.ci[0] > 0)
    power = flag_power(60, 400, 800)
    assert np.mean(flagged) == pytest.approx(power, abs=3 * np.sqrt(power * (1 - power) / 120))


def test_the_verdict_says_which_way():
    high, low = sample([1] * 90 + [0] * 10), sample([1] * 60 + [0] * 40)
    assert "too good by" in claimed_vs_fresh(high, low, run="best").verdict
    assert "too modest by" in claimed_vs_fresh(low, high, run="best").verdict
    assert "no difference shows" in claimed_vs_fresh(high, high, run="best").verdict


def test_values_that_do_not_differ_say_nothing_of_how_sure_the_gap_is():
    constant = claimed_vs_fresh(sample([1] * 5), sample([0] * 5), run="best")
    assert constant.estimate == 1
    assert constant.p is None
    assert np.isnan(constant.ci).all()
    assert "nothing says how sure" in constant.verdict


def test_any_frame_gives_the_same_answer():
    frames = sample([1, 0, 1, 1]), sample([0, 0, 1, 1, 0])
    expected = claimed_vs_fresh(*frames, run="best")
    for convert in (pl.from_pandas, lambda frame: duckdb.from_df(frame)):
        assert claimed_vs_fresh(*map(convert, frames), run="best") == expected


@pytest.mark.parametrize(
    ("change", "settings", "message"),
    [
        (lambda f: f, {"run": "b"}, "run: got 'b'; claimed must have rows of it"),
        (lambda f: f, {"run": "best", "baseline": "b"}, "baseline: got 'b'; claimed must have rows of it"),
        (lambda f: pd.concat([f, f]), {"run": "best"}, "run_id, row_id: got 4 repeated of 8"),
        (lambda f: f.drop(columns="value"), {"run": "best"}, "it must have value"),
        (lambda f: f.assign(value=np.nan), {"run": "best"}, "value: got 4 missing of 4"),
        (lambda f: f.head(1), {"run": "best"}, "row_id: got one in all rows"),
        (
            lambda f: pd.concat([f, sample([1, 0], run="first")]),
            {"run": "best", "baseline": "first"},
            "baseline: got 2 rows of 'first' in claimed; it must have those of 'best'",
        ),
        (lambda f: f, {"run": "best", "alpha": 0}, "alpha: got 0"),
    ],
)
def test_bad_input_is_refused(change, settings, message):
    with pytest.raises(ValueError, match=message):
        claimed_vs_fresh(change(sample([1, 0, 1, 1])), sample([1, 0]), **settings)
