"""Two experiments on one hash: correlation and carried effect against counting and simulation, refusals."""

import numpy as np
import pytest

from toolkit.experiments.orthogonality import orthogonality
from toolkit.experiments.overlaps import (
    buckets,
    by_overlap,
    carried,
    correlation,
    difference,
    treated_buckets,
    two_experiments,
)

HASH = np.random.default_rng(0).integers(0, 20, 200_000)
OTHER = np.random.default_rng(1).integers(0, 20, 200_000)


@pytest.mark.parametrize("common", [0, 3, 5, 8, 10])
def test_the_correlation_is_that_of_all_twenty_buckets(common):
    buckets = np.arange(20)
    a, b = treated_buckets(buckets), treated_buckets(buckets, first=10 - common)
    assert (a & b).sum() == common
    assert correlation(common) == pytest.approx(np.corrcoef(a, b)[0, 1])


@pytest.mark.parametrize(("common", "effect_b"), [(10, 0.0), (7, 0.1), (5, 0.0), (0, 0.0)])
def test_b_reports_its_own_effect_and_what_it_carries_of_a(common, effect_b):
    users = two_experiments(HASH, HASH, common=common, effect_a=0.1, effect_b=effect_b)
    estimate, se = difference(users, "arm_b")
    assert estimate == pytest.approx(effect_b + carried(0.1, correlation(common)), abs=3.5 * se)
    assert se < 0.006


@pytest.mark.parametrize("common", [0, 10])
def test_with_a_salt_of_its_own_b_carries_nothing(common):
    users = two_experiments(HASH, OTHER, common=common, effect_a=0.1)
    estimate, se = difference(users, "arm_b")
    assert abs(estimate) < 3 * se


def test_with_unequal_shares_the_carried_effect_is_the_slope():
    rng = np.random.default_rng(2)
    a = rng.random(400_000) < 0.2
    b = np.where(rng.random(400_000) < 0.3, a, rng.random(400_000) < 0.2)
    b = b & (rng.random(400_000) < 0.5)
    more_a = a[b].mean() - a[~b].mean()
    told = carried(2.0, np.corrcoef(a, b)[0, 1], treated_a=a.mean(), treated_b=b.mean())
    assert told == pytest.approx(2.0 * more_a)


def test_orthogonality_finds_what_is_shared():
    users = two_experiments(HASH[:20_000], HASH[:20_000], common=7, effect_a=0.0)
    a, b = (users[["user_id", f"arm_{side}"]].set_axis(["user_id", "arm"], axis=1) for side in "ab")
    assert orthogonality(a, b).estimate == pytest.approx(correlation(7), abs=0.03)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: correlation(11), "common: got 11; it must be a whole number, 10 at most"),
        (lambda: correlation(-1), "common: got -1"),
        (lambda: treated_buckets([0, 20]), r"bucket: got \[0, 20\]; each must lie from 0 to 19"),
        (lambda: treated_buckets([0], first=-1), "first: got -1"),
        (lambda: carried(0.1, 1.5), r"correlation: got 1.5; it must lie in \[-1, 1\]"),
        (lambda: carried(float("inf"), 0.5), "effect: got inf"),
        (lambda: carried(0.1, 0.5, treated_a=1), r"treated_a: got 1; it must lie in \(0, 1\)"),
        (lambda: two_experiments([1], [1, 2], common=5, effect_a=0), "bucket_b: got 2 users"),
        (lambda: two_experiments([1], [1], common=5, effect_a=-1), "effect_a: got -1"),
        (lambda: two_experiments([1], [1], common=5, effect_a=0, mean=0), "mean: got 0"),
    ],
)
def test_bad_settings_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_buckets_are_the_hash_s_and_the_sweep_is_the_single_test_s():
    assert np.bincount(buckets(20_000, salt="x"), minlength=20) == pytest.approx(1_000, abs=130)
    shared, own = (by_overlap(0.1, own_salt=own, users=40_000) for own in (False, True))
    for table in (shared, own):
        assert ((table["low"] < table["carried"]) & (table["carried"] < table["high"])).mean() > 0.7
    assert shared["estimate"].iloc[-1] > 0.05 > abs(own["estimate"]).max()
    a = buckets(40_000, salt="experiment A")
    assert difference(two_experiments(a, a, common=7, effect_a=0.1), "arm_b")[0] == shared["estimate"][7]
