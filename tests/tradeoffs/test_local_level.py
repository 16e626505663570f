"""Closed forms against each other, against recursions and against simulation."""

import math

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from toolkit.tradeoffs.learners import exponential, moving
from toolkit.tradeoffs.local_level import (
    best_gain,
    best_window,
    calm_share,
    gain_of,
    incident_cost,
    jump_drift,
    least_regret_gain,
    recovery_half_life,
    tracking_error,
    window_error,
)


@pytest.mark.parametrize(("drift", "noise"), [(1.0, 1.0), (0.01, 1.0), (0.3, 2.5)])
def test_the_best_gain_is_where_kalman_s_recursion_ends_and_where_the_error_is_least(drift, noise):
    variance = 1.0
    for _ in range(2000):
        gain = variance / (variance + noise)
        variance = variance * (1 - gain) + drift
    assert best_gain(drift=drift, noise=noise) == pytest.approx(gain)
    assert tracking_error(gain, drift=drift, noise=noise) == pytest.approx(variance)
    least = minimize_scalar(
        lambda a: tracking_error(a, drift=drift, noise=noise), bounds=(1e-6, 1), method="bounded"
    )
    assert least.x == pytest.approx(gain, abs=1e-4)


def test_the_numbers_that_the_chapter_stands_on():
    assert best_gain(drift=1.0) == pytest.approx((math.sqrt(5) - 1) / 2)
    drift = jump_drift(1 / 60, 1.0)
    best = best_gain(drift=drift)
    assert best == pytest.approx(0.121, abs=5e-4)
    assert tracking_error(best, drift=drift) == pytest.approx(0.138, abs=5e-4)
    assert tracking_error(best, drift=0.0) == pytest.approx(0.0644, abs=5e-5)
    assert tracking_error(0.03, drift=0.0) == pytest.approx(0.0152, abs=5e-5)
    assert tracking_error(0.03, drift=drift) == pytest.approx(0.297, abs=5e-4)
    assert calm_share(14, rate=1 / 60) == pytest.approx(0.792, abs=5e-4)
    assert best_gain(drift=0.001) == pytest.approx(0.0311, abs=5e-5)
    assert recovery_half_life(best_gain(drift=0.001)) == pytest.approx(21.9, abs=0.05)
    assert recovery_half_life(best_gain(drift=0.01)) == pytest.approx(6.9, abs=0.05)


def test_the_best_window_is_the_best_of_all_and_worse_than_the_best_average():
    errors = [window_error(n, drift=0.01) for n in range(1, 200)]
    assert best_window(drift=0.01) == 1 + int(np.argmin(errors)) == 17
    ratio = min(errors) / tracking_error(best_gain(drift=0.01), drift=0.01)
    assert ratio == pytest.approx(1.147, abs=5e-4)
    assert best_window(drift=100.0) == 1


def test_simulated_errors_are_the_formulas():
    draw = np.random.default_rng(0)
    level = np.cumsum(0.3 * draw.normal(size=(3000, 60)), axis=0)
    readings = level + draw.normal(size=level.shape)
    for told, formula in (
        (exponential(readings, 0.2), tracking_error(0.2, drift=0.09)),
        (moving(readings, 6), window_error(6, drift=0.09)),
    ):
        by_path = ((told - level)[200:] ** 2).mean(0)
        assert by_path.mean() == pytest.approx(formula, abs=4 * by_path.std() / 60**0.5)


@pytest.mark.parametrize("days", [1, 2, 5])
def test_an_incident_costs_what_a_learner_without_noise_pays(days):
    readings = np.zeros(400)
    readings[10 : 10 + days] = 3.0
    assert incident_cost(0.1, days=days, size=3.0) == pytest.approx((exponential(readings, 0.1) ** 2).sum())


def test_half_lives_and_gains_are_each_other_s_inverse():
    assert recovery_half_life(gain_of(5.0)) == pytest.approx(5.0)
    assert gain_of(math.inf) == 0
    assert recovery_half_life(1.0) == 0


def test_the_least_regret_is_where_both_regrets_are_equal():
    gain = least_regret_gain(size=2.0, days=14)

    def after(a):
        return tracking_error(a, drift=0.0) + 4 * np.mean([(1 - a) ** (2 * k) for k in range(1, 15)])

    least = min(after(a) for a in np.linspace(0.001, 1, 4000))
    assert after(gain) - least == pytest.approx(tracking_error(gain, drift=0.0), abs=1e-5)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: best_gain(drift=0), "drift: got 0; it must lie above 0"),
        (lambda: best_gain(drift=1, noise=-1), "noise: got -1"),
        (lambda: tracking_error(0, drift=1), r"gain: got 0; it must lie in \(0, 1\]"),
        (lambda: tracking_error(0.5, drift=-1), "drift: got -1; it must not be negative"),
        (lambda: window_error(0, drift=1), "length: got 0"),
        (lambda: jump_drift(1.5, 1), "rate: got 1.5"),
        (lambda: calm_share(14, rate=-1), "rate: got -1; it must not be negative"),
        (lambda: recovery_half_life(0), "gain: got 0"),
        (lambda: gain_of(0), "half_life: got 0"),
        (lambda: incident_cost(0.1, days=0, size=1), "days: got 0"),
        (lambda: least_regret_gain(size=0, days=14), "size: got 0; a jump of no size"),
    ],
)
def test_bad_input_is_refused_by_name_value_and_rule(call, message):
    with pytest.raises(ValueError, match=message):
        call()
