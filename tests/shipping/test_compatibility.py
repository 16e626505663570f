"""Flips of an update: by hand and beside peers, size and coverage, segments that hold together, refusals."""

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy.stats import binom, binomtest, kstest
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests

from toolkit.experiments.families import holm
from toolkit.shipping.compatibility import flips, worst_of_equals


def cases(right, broken, repaired, wrong, **columns):
    """So many cases of each kind."""
    kinds = np.repeat([0, 1, 2, 3], [right, broken, repaired, wrong])
    return of_kinds(kinds).assign(**columns)


def of_kinds(kinds):
    return pd.DataFrame(
        {
            "reference": np.isin(kinds, [0, 1]).astype(int),
            "current": np.isin(kinds, [0, 2]).astype(int),
            "y": 1,
        }
    )


def simulated(rng, n, *, broken=0.06, repaired=0.06, repeats=1):
    kinds = rng.choice(4, n // repeats, p=[0.85 - broken, broken, repaired, 0.15 - repaired])
    return of_kinds(np.repeat(kinds, repeats)).assign(user_id=np.repeat(np.arange(n // repeats), repeats))


def test_shares_and_test_are_those_of_the_table():
    finding = flips(cases(700, 40, 70, 190))
    assert finding.estimate == 0.04
    assert finding.p == pytest.approx(mcnemar([[700, 40], [70, 190]], exact=False, correction=False).pvalue)
    assert finding.ci == pytest.approx(binomtest(40, 1000).proportion_ci(method="wilson"))
    row = finding.table.iloc[0]
    assert (row["old"], row["new"], row["change"]) == pytest.approx((0.74, 0.77, 0.03))
    assert "5.4% of those that were right" in finding.verdict


def test_few_flips_are_tested_exactly():
    assert flips(cases(80, 3, 9, 8)).p == pytest.approx(binomtest(3, 12).pvalue)
    assert flips(cases(80, 0, 0, 8)).p == 1


def test_answers_may_be_of_any_kind():
    frame = pd.DataFrame({"reference": ["a", "b", "c"], "current": ["a", "c", "c"], "y": ["a", "b", "c"]})
    assert flips(frame).estimate == pytest.approx(1 / 3)


@pytest.mark.parametrize(("repeats", "cluster"), [(1, None), (3, "user_id")])
def test_p_is_uniform_and_the_change_is_covered_where_as_many_break_as_are_repaired(repeats, cluster):
    rng = np.random.default_rng(0)
    found = [flips(simulated(rng, 3000 * repeats, repeats=repeats), cluster=cluster) for _ in range(150)]
    assert kstest([each.p for each in found], "uniform").pvalue > 0.01
    held = [each.table["low"].iloc[0] <= 0 <= each.table["high"].iloc[0] for each in found]
    assert 0.92 <= np.mean(held) <= 0.98


@pytest.mark.parametrize("repeats", [1, 3])
def test_the_interval_of_the_broken_share_covers_it_exactly_as_often_as_it_says(repeats):
    # The interval hangs on the count alone, so that its coverage is a sum over counts.
    coverage = 0.0
    for broken in range(60, 125):
        frame = cases(800 - broken, broken, 60, 140)
        frame = frame.loc[frame.index.repeat(repeats)].assign(user_id=np.repeat(np.arange(1000), repeats))
        low, high = flips(frame, cluster=None if repeats == 1 else "user_id").ci
        coverage += binom.pmf(broken, 1000, 0.09) * (low <= 0.09 <= high)
    assert 0.93 <= coverage <= 0.97


def test_the_segments_p_values_are_holm_s():
    ps = [0.01, 0.04, 0.03, 0.5, 0.005]
    assert holm(ps) == pytest.approx(multipletests(ps, method="holm")[1].tolist())


def test_cases_of_one_user_taken_for_independent_would_find_changes_that_are_none():
    rng = np.random.default_rng(1)
    assert np.mean([flips(simulated(rng, 3000, repeats=5)).p < 0.05 for _ in range(100)]) > 0.15


def test_among_equal_segments_none_is_found_more_often_than_the_level():
    rng = np.random.default_rng(2)
    false, held = [], []
    for _ in range(60):
        frame = simulated(rng, 3000).assign(customer=rng.integers(0, 15, 3000))
        each = flips(frame, segment="customer").table.iloc[1:]
        false.append((each["p"] < 0.05).any())
        held.append(((each["low"] <= 0) & (each["high"] >= 0)).all())
    # At most 5%, give or take the error of 60 simulations.
    assert np.mean(false) <= 0.12
    assert np.mean(held) >= 0.88


def test_a_segment_that_loses_is_named_and_comes_first():
    frame = pd.concat(
        [
            cases(300, 10, 20, 70, customer="a"),
            cases(100, 40, 5, 5, customer="b"),
            cases(50, 2, 3, 5, customer="c"),
        ]
    )
    finding = flips(frame, segment="customer")
    # By the change of accuracy: -35/150, 1/60, 10/400.
    assert finding.table["segment"].tolist() == ["all", "b", "c", "a"]
    assert "of 3 segments 1 loses beyond luck, the worst is customer b with -23.3 points" in finding.verdict
    # Holm: the smallest of three times three.
    assert finding.table["p"].iloc[1] == pytest.approx(
        3 * mcnemar([[100, 40], [5, 5]], exact=False, correction=False).pvalue
    )


def test_the_worst_of_equal_segments_is_what_simulated_ones_show():
    rng = np.random.default_rng(3)
    counts = rng.multinomial(200, [0.072, 0.092, 0.836], size=(2000, 50))
    worst = ((counts[..., 1] - counts[..., 0]) / 200).min(axis=1).mean()
    assert worst_of_equals(50, 200, 0.072, 0.092) == pytest.approx(worst, abs=0.002)


def test_any_frame_gives_the_same_answer():
    frame = cases(10, 2, 3, 4, customer="a")
    expected = flips(frame, segment="customer")
    for convert in (pl.from_pandas, lambda each: duckdb.from_df(each)):
        assert str(flips(convert(frame), segment="customer")) == str(expected)


def test_a_segment_of_one_user_has_no_interval_to_speak_of():
    frame = cases(6, 2, 2, 0, customer=["a"] * 5 + ["b"] * 5, user_id=[1] * 5 + [2, 3, 4, 5, 6])
    table = flips(frame, segment="customer", cluster="user_id").table.set_index("segment")
    assert table.loc["a", ["low", "high", "p"]].tolist() == [-1, 1, 1]


@pytest.mark.parametrize(
    ("frame", "settings", "message"),
    [
        (cases(1, 1, 1, 1).drop(columns="y"), {}, "it must have y"),
        (cases(1, 1, 1, 1).head(0), {}, "decisions: got no row"),
        (cases(1, 1, 1, 1, reference=np.nan), {}, "reference: got 4 missing of 4"),
        (cases(1, 1, 1, 1), {"segment": "customer"}, "it must have customer"),
        (cases(1, 1, 1, 1, user_id=1), {"cluster": "user_id"}, "user_id: got one in all rows"),
        (cases(1, 1, 1, 1), {"alpha": 1}, "alpha: got 1"),
    ],
)
def test_bad_input_is_refused(frame, settings, message):
    with pytest.raises(ValueError, match=message):
        flips(frame, **settings)


def test_bad_numbers_of_segments_are_refused():
    with pytest.raises(ValueError, match="segments: got 0"):
        worst_of_equals(0, 200, 0.1, 0.1)
    with pytest.raises(ValueError, match="cases: got 0"):
        worst_of_equals(5, 0, 0.1, 0.1)
    with pytest.raises(ValueError, match=r"repaired: got 1\.1"):
        worst_of_equals(5, 10, 0.1, 1.1)
    with pytest.raises(ValueError, match=r"repaired: got 0\.7"):
        worst_of_equals(5, 10, 0.6, 0.7)


def test_two_users_with_a_broken_case_each_are_no_evidence():
    frame = pd.concat([cases(0, 2, 0, 0, customer="a"), cases(20, 0, 0, 5, customer="b")])
    frame = frame.assign(user_id=range(len(frame)))
    row = flips(frame, segment="customer", cluster="user_id").table.set_index("segment").loc["a"]
    # Both signs alike by a fair coin: one half, times two segments.
    assert row["p"] == 1
    assert row["high"] > 0


def test_users_with_one_case_each_are_cases():
    frame = cases(80, 3, 9, 8).assign(user_id=range(100))
    assert flips(frame, cluster="user_id").p == pytest.approx(binomtest(3, 12).pvalue)
    many = cases(700, 40, 70, 190).assign(user_id=range(1000))
    assert flips(many, cluster="user_id").p == pytest.approx(flips(many).p)


def test_the_signs_of_a_few_users_are_flipped_exactly():
    # Net changes -3, -2, +1: of eight signings, those as far from 0 as 4 are +-(3+2-1) and +-(3+2+1).
    frame = pd.concat(
        [
            cases(5, 3, 0, 0, user_id="a"),
            cases(5, 2, 0, 0, user_id="b"),
            cases(5, 0, 1, 0, user_id="c"),
            cases(5, 1, 1, 0, user_id="d"),
        ]
    )
    assert flips(frame, cluster="user_id").p == pytest.approx(4 / 8)


def test_few_users_of_unequal_size_are_covered():
    rng, held, small = np.random.default_rng(5), [], []
    weight = 1 / np.arange(1, 21)
    for _ in range(150):
        chances = rng.dirichlet(9 * np.array([0.79, 0.06, 0.06, 0.09]), 20)
        user = rng.choice(20, 400, p=weight / weight.sum())
        kinds = (rng.random(400)[:, None] > chances[user].cumsum(axis=1)).sum(axis=1).clip(max=3)
        finding = flips(of_kinds(kinds).assign(user_id=user), cluster="user_id")
        row = finding.table.iloc[0]
        held.append(row["low"] <= 0 <= row["high"])
        small.append(finding.p < 0.05)
    assert np.mean(held) >= 0.91
    assert np.mean(small) <= 0.09


@pytest.mark.parametrize(
    ("frame", "settings", "message"),
    [
        (
            cases(1, 1, 1, 1).assign(reference="1"),
            {},
            "reference: got .* beside int64 of y; they must be of one",
        ),
        (
            cases(1, 1, 1, 1).assign(current="1"),
            {},
            "current: got .* beside int64 of y; they must be of one kind",
        ),
        (cases(1, 1, 1, 1).assign(reference=0.7, current=0.8), {}, "got no right answer among 4"),
        (
            cases(1, 1, 1, 1).assign(user_id=list("aabb")),
            {"segment": "user_id", "cluster": "user_id"},
            "cluster: got 'user_id', of which each user_id has one",
        ),
    ],
)
def test_answers_and_units_that_cannot_be_compared_are_refused(frame, settings, message):
    with pytest.raises(ValueError, match=message):
        flips(frame, **settings)
