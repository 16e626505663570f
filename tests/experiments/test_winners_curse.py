"""Exaggeration in closed form agrees with simulation; corrected sums cover the truth."""

import numpy as np
import pytest
from scipy.stats import norm

from toolkit.experiments.winners_curse import lee_shen_bias, selection_errors, shrink


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


@pytest.mark.parametrize("spread", [0.5, 1.5])
def test_the_interval_of_the_shipped_sum_covers_at_its_level(spread):
    rng = np.random.default_rng(7)
    covered = []
    for _ in range(400):
        truth = rng.normal(0.1, spread, 60)
        seen = truth + rng.normal(size=60)
        mean, covariance = shrink(seen, np.ones(60))
        shipped = seen > 1.96
        if shipped.any():
            error = np.sqrt(covariance[np.ix_(shipped, shipped)].sum())
            covered.append(abs(mean[shipped].sum() - truth[shipped].sum()) <= norm.isf(0.025) * error)
    # Four hundred worlds know a coverage of 95% to a standard error of 1.1 points.
    assert 0.93 - 0.011 <= np.mean(covered) <= 0.97 + 0.011


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: selection_errors(0, 1), "effect: got 0; it must be finite and not 0"),
        (lambda: selection_errors(1, 0), "se: got 0; it must be positive"),
        (lambda: selection_errors(1, 1, alpha=1), "alpha: got 1"),
        (lambda: lee_shen_bias([], []), "at least one"),
        (lambda: lee_shen_bias([1.0], [1.0, 2.0]), r"ses: got shape \(2,\)"),
        (lambda: lee_shen_bias([np.nan], [1.0]), "estimates: got .nan.; they must be finite"),
        (lambda: shrink([1.0, 1.0, 1.0], [1.0, 0.0, 1.0]), r"ses: got \[0.0\]"),
        (lambda: shrink([1.0, 1.0], [1.0, 1.0]), "estimates: got 2; a population's spread needs at least 3"),
    ],
)
def test_bad_input_is_refused_by_name_value_and_rule(call, message):
    with pytest.raises(ValueError, match=message):
        call()
