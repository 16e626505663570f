"""Sample sizes against the outline and simulation; a frozen model's power has its best length."""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import minimize_scalar
from scipy.stats import norm

from toolkit.general.iteration_time import (
    best_length,
    cuped_saving,
    days_needed,
    iterations_a_year,
    lift_left,
    power_by_day,
    power_curve,
    sample_size,
)


def test_five_percent_of_five_percent_needs_the_outline_s_users():
    assert round(sample_size(0.05, 0.05)) == 119_303
    # 2 (z + z)^2 p (1 - p) / (p lift)^2 by hand.
    z = norm.isf(0.025) + norm.isf(0.2)
    assert sample_size(0.1, 0.03) == pytest.approx(2 * z**2 * 0.9 / (0.1 * 0.03**2), rel=1e-4)


def test_cuped_saves_the_squared_correlation_of_users_and_of_variance():
    assert cuped_saving(0.7) == pytest.approx(0.49)
    assert sample_size(0.05, 0.05, correlation=0.7) == pytest.approx(0.51 * sample_size(0.05, 0.05), rel=1e-6)
    rng = np.random.default_rng(0)
    before, noise = rng.normal(size=(2, 100_000))
    after = 0.7 * before + np.sqrt(0.51) * noise
    slope = np.cov(before, after)[0, 1] / before.var(ddof=1)
    assert (after - slope * before).var() / after.var() == pytest.approx(0.51, abs=0.01)


def test_power_at_the_planned_size_is_the_planned_power():
    days = 2 * sample_size(0.05, 0.05) / 10_000
    assert power_by_day(days, rate=0.05, lift=0.05, users=10_000) == pytest.approx(0.8, abs=1e-4)


def test_the_mean_of_a_fading_lift_is_the_integral():
    area, _ = quad(lambda day: 2 ** (-day / 9), 0, 20)
    assert lift_left(20, half_life=9) == pytest.approx(area / 20)
    assert lift_left(20) == 1.0


def test_power_of_a_frozen_model_is_that_of_simulated_tests():
    rng = np.random.default_rng(1)
    n, days, half_life, rate, lift = 2_000, 10, 5, 0.3, 0.12
    daily = rate * (1 + lift * lift_left(1, half_life) * 2 ** (-np.arange(days) / half_life))
    treated = rng.binomial(n, daily, (3000, days)).sum(1) / (n * days)
    control = rng.binomial(n * days, rate, 3000) / (n * days)
    z = (treated - control) / np.sqrt(2 * rate * (1 - rate) / (n * days))
    share = (np.abs(z) > norm.isf(0.025)).mean()
    expected = power_by_day(days, rate=rate, lift=lift, users=2 * n, half_life=half_life)
    assert expected == pytest.approx(share, abs=0.03)


def test_a_frozen_model_has_a_best_length():
    best = minimize_scalar(
        lambda day: -power_by_day(day, rate=0.05, lift=0.05, users=5000, half_life=7),
        bounds=(1, 60),
        method="bounded",
    ).x
    assert best_length(7) == pytest.approx(best, abs=0.01)
    x = best_length(1) * np.log(2)
    assert np.exp(x) == pytest.approx(1 + 2 * x)


def test_days_come_in_whole_weeks_and_end_where_the_model_does():
    plan = {"rate": 0.05, "lift": 0.05, "users": 10_000}
    assert days_needed(**plan) == 28
    assert days_needed(**plan, correlation=0.7) == 14
    assert np.isnan(days_needed(**plan, half_life=7))
    slow = days_needed(**plan, half_life=60)
    assert slow > 28
    assert power_by_day(slow, **plan, half_life=60) >= 0.8 > power_by_day(slow - 7, **plan, half_life=60)
    assert days_needed(**plan, half_life=1e9) == 28


def test_iterations_a_year_and_the_curve():
    assert iterations_a_year(28, build=5, wait=3.5) == pytest.approx(10)
    curve = power_curve(rate=0.05, lift=0.05, users=10_000, half_life=7)
    frozen, ageless = (curve[curve["model"] == name] for name in ("frozen, ageing", "not ageing"))
    assert frozen["power"].idxmax() not in (frozen.index[0], frozen.index[-1])
    assert ageless["power"].is_monotonic_increasing


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: sample_size(0, 0.1), r"rate: got 0; it must lie in \(0, 1\)"),
        (lambda: sample_size(0.1, 0), "lift: got 0; no sample"),
        (lambda: sample_size(0.1, -1), "lift: got -1"),
        (lambda: sample_size(0.1, 0.1, power=1), "power: got 1"),
        (lambda: sample_size(0.1, 0.1, alpha=0), "alpha: got 0"),
        (lambda: cuped_saving(1), "correlation: got 1"),
        (lambda: lift_left(0), "days: got 0.0; it must be positive"),
        (lambda: lift_left(1, half_life=0), "half_life: got 0"),
        (lambda: best_length(-1), "half_life: got -1"),
        (lambda: power_by_day(1, rate=0.1, lift=0.1, users=0), "users: got 0"),
        (lambda: days_needed(rate=0.1, lift=0.1, users=10, power=0), "power: got 0"),
        (lambda: days_needed(rate=0.1, lift=0.1, users=10, whole=0), "whole: got 0"),
        (lambda: iterations_a_year(-1), "days: got -1"),
        (lambda: iterations_a_year(0), "days: got 0 in all"),
        (lambda: days_needed(rate=0.05, lift=0.05, users=-10), "users: got -10; it must lie above 0"),
        (
            lambda: days_needed(rate=0.05, lift=0.05, users=10, whole=2.5),
            "whole: got 2.5; it must be a whole",
        ),
        (lambda: sample_size(0.9, 0.5), "lift: got 0.5 over a rate of 0.9; no more than all users can act"),
        (
            lambda: sample_size(0.1, 0.1, power=0.04),
            "power: got 0.04; it must lie strictly between 0.05 and 1",
        ),
        (lambda: power_curve(half_life=7, points=0), "points: got 0"),
    ],
)
def test_bad_settings_are_refused_by_name_value_and_rule(call, message):
    with pytest.raises(ValueError, match=message):
        call()
