"""Power: statsmodels' on equal arms, SciPy's test simulated on unequal ones, inverses of each other, refusals."""

import numpy as np
import pytest
from scipy.stats import norm, ttest_ind_from_stats
from statsmodels.stats.power import TTestIndPower

from toolkit.experiments.power import detectable, power, units_needed


@pytest.mark.parametrize(("effect", "arm"), [(0.5, 64), (0.1, 500), (1.0, 5)])
def test_power_of_equal_arms_is_statsmodels(effect, arm):
    assert power(effect, deviation=1.0, units=2 * arm) == pytest.approx(
        TTestIndPower().power(effect, arm, 0.05), rel=1e-9
    )
    assert power(-3 * effect, deviation=3.0, units=2 * arm) == pytest.approx(
        TTestIndPower().power(effect, arm, 0.05), rel=1e-9
    )


def test_units_needed_are_cohen_s_64_an_arm_at_half_a_deviation():
    # Cohen (1988), table 2.4.1: 64 an arm at d = .5, power .8, level .05.
    assert np.ceil(units_needed(0.5, deviation=1.0) / 2) == 64
    assert units_needed(0.05, deviation=1.0) / 2 == pytest.approx(
        TTestIndPower().solve_power(0.05, power=0.8, alpha=0.05), rel=1e-6
    )


def test_each_is_the_other_s_inverse():
    for treated in (0.5, 0.1):
        effect = detectable(5_000, deviation=2.0, power=0.9, treated=treated)
        assert power(effect, deviation=2.0, units=5_000, treated=treated) == pytest.approx(0.9, abs=1e-9)
        assert units_needed(effect, deviation=2.0, power=0.9, treated=treated) == pytest.approx(
            5_000, rel=1e-9
        )


def test_millions_of_units_need_what_the_normal_says():
    # Which leaves out the other tail, a millionth of the power.
    z = norm.isf(0.025) + norm.isf(0.2)
    assert detectable(1e8, deviation=1.0) == pytest.approx(2 * z / 1e4, rel=1e-5)
    assert units_needed(1e-4, deviation=1.0) == pytest.approx(4 * z**2 * 1e8, rel=1e-5)
    assert power(0.01, deviation=1.0, units=1e9) == 1.0
    # One in a hundred treated: 1 / (p (1 - p)) instead of 4.
    assert units_needed(0.01, deviation=1.0, treated=0.01) == pytest.approx(z**2 * 1e4 / 0.0099, rel=1e-3)


@pytest.mark.parametrize(
    ("few", "many", "effect"), [(20, 60, 0.8), (20, 980, 0.5), (4, 396, 2.0), (10, 30, 0.0)]
)
def test_a_simulated_test_of_unequal_arms_finds_the_effect_as_often_as_told(few, many, effect):
    # Means and variances of normal samples, drawn as such.
    draws, runs = np.random.default_rng(0), 40_000
    told = []
    for mean, n in ((effect, few), (0.0, many)):
        told += [draws.normal(mean, n**-0.5, runs), np.sqrt(draws.chisquare(n - 1, runs) / (n - 1)), n]
    found = (ttest_ind_from_stats(*told, equal_var=False).pvalue < 0.05).mean()
    expected = power(effect, deviation=1.0, units=few + many, treated=few / (few + many))
    # Welch's t is an approximation, good to half a percent.
    assert found == pytest.approx(expected, abs=0.007)


def test_no_effect_is_found_as_often_as_the_level_says():
    assert power(0.0, deviation=1.0, units=100, alpha=0.03) == pytest.approx(0.03)


def test_a_huge_effect_needs_the_least_that_two_arms_can_have():
    assert units_needed(1e6, deviation=1.0) == pytest.approx(4, abs=0.01)


@pytest.mark.parametrize(
    ("work", "told"),
    [
        (lambda: power(np.nan, deviation=1, units=9), "effect: got nan; it must be a finite number"),
        (lambda: power(1, deviation=0, units=9), "deviation: got 0; it must lie above 0"),
        (lambda: power(1, deviation=1, units=3), "units: got 3; the smaller arm must have two at least"),
        (lambda: power(1, deviation=1, units=9, treated=1.0), r"treated: got 1\.0; it must lie strictly"),
        (lambda: power(1, deviation=1, units=9, alpha=0), "alpha: got 0; it must lie strictly"),
        (lambda: units_needed(0, deviation=1), "effect: got 0; no number of units finds it"),
        (lambda: units_needed(1e-9, deviation=1), "effect: got 1e-09; .* it needs over 1e15 units"),
        (lambda: units_needed(1, deviation=1, power=1.0), r"power: got 1\.0; it must lie in \[0, 1\)"),
        (
            lambda: units_needed(1, deviation=1, power=0.04),
            r"power: got 0\.04; it must lie above alpha, 0\.05",
        ),
        (lambda: detectable(100, deviation=1, power=0.01), r"power: got 0\.01; it must lie above alpha"),
        (lambda: detectable(3, deviation=1), "units: got 3; the smaller arm must have two at least"),
    ],
)
def test_bad_settings_are_refused(work, told):
    with pytest.raises(ValueError, match=told):
        work()
