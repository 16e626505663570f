"""Exaggeration in closed form agrees with simulation; corrected sums cover the truth."""

import numpy as np
import pytest
from scipy.stats import norm

from toolkit.experiments.winners_curse import (
    chosen_sum,
    lee_shen_bias,
    selection_errors,
    shipped_sums,
    shrink,
)


def test_significant_estimates_are_an_eighth_too_big_at_80_percent_power():
    errors = selection_errors(norm.isf(0.025) + norm.isf(0.2), 1.0)
    assert errors["power"] == pytest.approx(0.8, abs=1e-5)
    assert errors["type_m"] == pytest.approx(1.125, abs=0.001)


def test_at_17_percent_power_they_are_two_and_a_half_times_too_big():
    errors = selection_errors(norm.isf(0.025) + norm.isf(0.83), 1.0)
    assert errors["power"] == pytest.approx(0.17, abs=0.002)
    assert errors["type_m"] == pytest.approx(2.5, abs=0.06)


def test_the_closed_forms_agree_with_simulation():
    z = np.random.default_rng(0).normal(-0.7, 1, 400_000)
    kept = z[np.abs(z) > norm.isf(0.025)]
    errors = selection_errors(-1.4, 2.0)
    assert errors["power"] == pytest.approx(len(kept) / len(z), abs=0.002)
    assert errors["type_s"] == pytest.approx((kept > 0).mean(), abs=0.005)
    assert errors["type_m"] == pytest.approx(np.abs(kept).mean() / 0.7, abs=0.02)


def test_twenty_null_tests_that_are_shipped_when_good_claim_1_17_standard_errors():
    # E[Z; Z > 1.96] is the normal density at 1.96, .05844; with true effects of 0 the formula is exact.
    assert lee_shen_bias(np.zeros(20), np.ones(20)) == pytest.approx(1.17, abs=0.002)
    z = np.random.default_rng(1).normal(size=(50_000, 20))
    assert np.where(z > 1.96, z, 0).sum(axis=1).mean() == pytest.approx(1.17, abs=0.02)


def test_shrinking_keeps_strong_populations_and_pulls_null_ones_together():
    rng = np.random.default_rng(0)
    strong = rng.normal(0, 10, 200) + rng.normal(size=200)
    mean, covariance = shrink(strong, np.ones(200))
    assert np.corrcoef(mean, strong)[0, 1] > 0.999
    assert mean.std() / strong.std() > 0.98
    assert np.sqrt(np.diag(covariance)) == pytest.approx(np.ones(200), abs=0.05)
    null = rng.normal(size=200)
    assert shrink(null, np.ones(200))[0].std() < 0.35 * null.std()


def test_an_effect_that_stands_out_of_nothing_keeps_its_size():
    # Nineteen estimates like noise and one of 8: a normal population alone would take a quarter of it.
    seen = np.r_[norm.ppf((np.arange(19) + 0.5) / 19), 8.0]
    mean, _ = shrink(seen, np.ones(20))
    assert mean[-1] > 7
    assert np.abs(mean[:-1]).max() < 1


def normal_effects(rng, spread, size):
    return rng.normal(0.1, spread, size)


def sparse_effects(rng, spread, size):
    return np.where(rng.random(size) < 0.1, rng.normal(0, spread, size), 0.0)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("effects", "spread"),
    [(normal_effects, 0.5), (normal_effects, 1.5), (sparse_effects, 4.0)],
    ids=["small", "large", "nine of ten do nothing"],
)
def test_the_interval_of_the_shipped_sum_covers_at_its_level(effects, spread):
    rng = np.random.default_rng(7)
    covered = []
    for _ in range(250):
        truth = effects(rng, spread, 50)
        seen = truth + rng.normal(size=50)
        shipped = seen > 1.96
        if shipped.any():
            _, _, (low, high) = chosen_sum(seen, np.ones(50), shipped)
            covered.append(low <= truth[shipped].sum() <= high)
    # So many worlds know a coverage of 95% to a standard error of 1.4 points. It is an average
    # over populations, and of two intervals the wider: for one population it may be above.
    assert 0.95 - 2.5 * 0.014 <= np.mean(covered) <= 0.99


def test_expected_sums_agree_with_simulation():
    rng = np.random.default_rng(0)
    truth = 1.0 * rng.normal(size=(40_000, 20))
    seen = truth + rng.normal(size=truth.shape)
    shipped = seen > 1.96
    told = shipped_sums(20, 1.0, portfolios=1)
    error = 4 * np.array([3.6, 2.9]) / 200
    assert told["claimed"] == pytest.approx(np.where(shipped, seen, 0).sum(1).mean(), abs=error[0])
    assert told["real"] == pytest.approx(np.where(shipped, truth, 0).sum(1).mean(), abs=error[1])
    taken_off = told["claimed"] - told["Lee and Shen"]
    assert taken_off == pytest.approx(norm.pdf(1.96 - seen).sum(1).mean(), abs=0.02)


def test_nothing_claims_1_17_and_lee_and_shen_take_off_twice_as_much():
    told = shipped_sums(20, 0.0, portfolios=200)
    assert told["claimed"] == pytest.approx(1.17, abs=0.002)
    assert told["real"] == 0
    # By hand: 20 phi(1.96 / sqrt 2) / sqrt 2 = 2.16 is taken off.
    assert told["Lee and Shen"] == pytest.approx(1.169 - 2.161, abs=0.002)
    assert 0 < told["empirical Bayes"] < 0.6 * told["claimed"]


def test_empirical_bayes_ends_near_the_truth_where_effects_are_as_large_as_errors():
    told = shipped_sums(50, 2.0, portfolios=100)
    assert told["empirical Bayes"] == pytest.approx(told["real"], rel=0.03)
    with pytest.raises(TypeError):
        told["real"] = 0.0  # what is kept for the next caller can't be changed


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: selection_errors(0, 1), "effect: got 0; it must be finite and not 0"),
        (lambda: selection_errors(1, 0), "se: got 0; it must lie above 0"),
        (lambda: selection_errors(1, 1, alpha=1), "alpha: got 1"),
        (lambda: lee_shen_bias([], []), "at least one"),
        (lambda: lee_shen_bias([1.0], [1.0], threshold=np.nan), "threshold: got nan; it must be a finite"),
        (lambda: shipped_sums(2, 1.0), "experiments: got 2; it must be a whole number, 3 at least"),
        (lambda: shipped_sums(20, -1.0), "spread: got -1.0; it must not be negative"),
        (lambda: chosen_sum([1.0] * 3, [1.0] * 3, [False] * 3), "chosen: got 0 of 3"),
        (lambda: lee_shen_bias([1.0], [1.0, 2.0]), r"ses: got shape \(2,\)"),
        (lambda: lee_shen_bias([np.nan], [1.0]), "estimates: got .nan.; they must be finite"),
        (lambda: shrink([1.0, 1.0, 1.0], [1.0, 0.0, 1.0]), r"ses: got \[0.0\]"),
        (lambda: shrink([1.0, 1.0], [1.0, 1.0]), "estimates: got 2; a population's spread needs at least 3"),
    ],
)
def test_bad_input_is_refused_by_name_value_and_rule(call, message):
    with pytest.raises(ValueError, match=message):
        call()
