"""Late labels: closed forms against integrals and simulation, and corrections that recover the truth."""

import numpy as np
import pytest
from scipy.integrate import quad

from toolkit.general.delayed_feedback import (
    conversion_curve,
    fake_negative_rate,
    fit_delayed,
    known_share,
    lift_by_age,
    lift_measured,
    still_positive,
    true_rate,
)
from toolkit.world.policies import fit_logistic


def test_a_week_with_a_mean_delay_of_two_days_knows_the_outline_s_share():
    assert known_share(2, window=7) == pytest.approx(0.723, abs=0.0005)


@pytest.mark.parametrize(("delay", "window", "wait"), [(2, 7, 0), (5, 14, 3), (0.1, 1, 0)])
def test_the_known_share_is_the_mean_over_ages(delay, window, wait):
    area, _ = quad(lambda age: 1 - np.exp(-age / delay), wait, wait + window)
    assert known_share(delay, window=window, wait=wait) == pytest.approx(area / window)


def test_equal_delays_leave_the_lift_and_waiting_brings_it_back():
    assert lift_measured(0.1, window=7, control_delay=2, treatment_delay=2) == pytest.approx(0.1)
    slow = {"window": 7, "control_delay": 2, "treatment_delay": 4}
    assert lift_measured(0.1, **slow) < 0 < lift_measured(0.1, **slow, wait=7)
    assert lift_measured(0.1, **slow, wait=60) == pytest.approx(0.1, abs=1e-5)
    ages = lift_by_age(0.1, age=[0.01, 2, 60], control_delay=2, treatment_delay=4)
    # At once, conversions come at half the rate; by hand 1.1 (1 - e^-.5) / (1 - e^-1) - 1 at two days.
    assert ages == pytest.approx(
        [1.1 / 2 - 1, 1.1 * (1 - np.exp(-0.5)) / (1 - np.exp(-1)) - 1, 0.1], abs=0.002
    )


def test_chapelle_s_posterior_is_bayes_rule():
    rng = np.random.default_rng(0)
    converts, delay = rng.random(400_000) < 0.3, rng.exponential(2, 400_000)
    unseen = ~(converts & (delay <= 1.5))
    assert still_positive(0.3, age=1.5, mean_delay=2) == pytest.approx(converts[unseen].mean(), abs=0.003)
    assert still_positive(0.3, age=0, mean_delay=2) == pytest.approx(0.3)
    assert conversion_curve(0.3, mean_delay=2, age=1.5) == pytest.approx(
        (converts & (delay <= 1.5)).mean(), abs=0.003
    )


@pytest.mark.parametrize(("rate", "mean"), [(0.05, 2.0), (0.3, 1.0)])
def test_rate_and_delay_are_recovered_from_unripe_labels(rate, mean):
    rates, means = [], []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        age, late = rng.uniform(0, 7, 40_000), rng.exponential(mean, 40_000)
        seen = (rng.random(40_000) < rate) & (late <= age)
        assert seen.mean() < 0.9 * rate
        told = fit_delayed(age, np.where(seen, late, np.nan))
        rates.append(told[0])
        means.append(told[1])
    for values, truth in ((rates, rate), (means, mean)):
        assert np.mean(values) == pytest.approx(truth, abs=4 * np.std(values, ddof=1) / 12**0.5)


def test_fake_negatives_are_undone_exactly():
    rates = np.array([0.0, 0.01, 0.2, 1.0])
    assert fake_negative_rate(rates) == pytest.approx(rates / (1 + rates))
    assert true_rate(fake_negative_rate(rates)) == pytest.approx(rates)


def test_a_model_trained_on_fake_negatives_tells_the_truth_after_the_correction():
    rng = np.random.default_rng(0)
    group = rng.integers(0, 2, 60_000)
    y = rng.random(60_000) < np.where(group, 0.3, 0.1)
    # Every impression once as a negative, every conversion once more as a positive.
    x = np.r_[group, group[y]][:, None]
    labels = np.r_[np.zeros(60_000), np.ones(y.sum())]
    weights = fit_logistic(x, labels, penalty=0.0)
    biased = 1 / (1 + np.exp(-(weights[0] + weights[1] * np.array([0, 1]))))
    rates = [y[group == g].mean() for g in (0, 1)]
    assert true_rate(biased) == pytest.approx(rates, abs=1e-6)
    assert biased[1] < 0.25


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: known_share(0, window=7), "mean_delay: got 0"),
        (lambda: known_share(1, window=0), "window: got 0"),
        (lambda: known_share(1, window=1, wait=-1), "wait: got -1"),
        (lambda: lift_by_age(-1, age=1, control_delay=1, treatment_delay=1), "lift: got -1"),
        (
            lambda: lift_by_age(0, age=0, control_delay=1, treatment_delay=1),
            "age: got 0.0; it must be positive",
        ),
        (lambda: lift_measured(0, window=7, control_delay=1, treatment_delay=0), "mean_delay: got 0"),
        (lambda: still_positive(0.5, age=1, mean_delay=0), "mean_delay: got 0"),
        (lambda: conversion_curve(1.5, mean_delay=1, age=1), "rate: got 1.5"),
        (lambda: fit_delayed([1.0], [1.0, 2.0]), "delay: got shape"),
        (lambda: fit_delayed([0.0], [np.nan]), "age: got 0.0"),
        (lambda: fit_delayed([1.0], [2.0]), "delay: got 2.0 at age 1.0"),
        (lambda: fit_delayed([1.0], [np.nan]), "delay: got no conversion"),
        (lambda: fake_negative_rate(1.1), "rate: got 1.1"),
        (lambda: still_positive(1.5, age=1, mean_delay=2), r"rate: got 1.5; it must lie in \[0, 1\]"),
        (lambda: still_positive(0.5, age=-1, mean_delay=2), "age: got -1.0; it must not be negative"),
        (lambda: conversion_curve(0.1, mean_delay=2, age=-3), "age: got -3.0; it must not be negative"),
        (lambda: fit_delayed([1, 2], [0, 0]), "delay: got 0 for all of 2 conversions"),
        (lambda: true_rate(0.6), r"biased: got 0.6; it must lie in \[0, 1/2\]"),
    ],
)
def test_bad_settings_are_refused_by_name_value_and_rule(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_ages_too_young_to_tell_rate_from_delay_are_refused():
    # Conversions as even over the ages as if nearly all were still to come.
    delay = np.r_[np.linspace(0.001, 1, 20), np.full(980, np.nan)]
    with pytest.raises(ValueError, match="age: got 1 at most, too young for delays of"):
        fit_delayed(np.ones(1000), delay)


def test_the_posterior_holds_at_its_ends():
    assert still_positive(1.0, age=1e6, mean_delay=2) == 1
    assert still_positive(0.5, age=1e6, mean_delay=2) == pytest.approx(0)
    assert still_positive(0.3, age=0, mean_delay=2) == pytest.approx(0.3)
