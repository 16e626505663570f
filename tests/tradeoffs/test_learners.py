"""Averages by hand; two speeds against Kalman's filter, and against any single gain."""

import numpy as np
import pytest

from toolkit.tradeoffs.learners import exponential, moving, two_speed
from toolkit.tradeoffs.local_level import best_gain, jump_drift, tracking_error


def test_estimates_are_made_before_the_reading():
    readings = np.random.default_rng(0).normal(size=(40, 3))
    other = readings.copy()
    other[20:] += 5.0
    for learner in (
        lambda y: exponential(y, 0.3),
        lambda y: moving(y, 5),
        lambda y: two_speed(y, rate=0.02, size=1.0, oldest=10),
    ):
        assert (learner(readings)[:21] == learner(other)[:21]).all()
        assert (learner(readings)[21] != learner(other)[21]).all()
        assert learner(readings[:, 0]) == pytest.approx(learner(readings)[:, 0])


def test_a_moving_mean_is_pandas_own():
    import pandas as pd

    readings = np.random.default_rng(1).normal(size=50)
    expected = pd.Series(readings).rolling(7, min_periods=1).mean().shift(1, fill_value=0.0)
    assert moving(readings, 7) == pytest.approx(expected.to_numpy())


def test_where_jumps_are_hardly_to_be_expected_two_speeds_are_the_mean_of_all():
    readings = np.random.default_rng(2).normal(size=30)
    told = two_speed(readings, rate=1e-9, size=1.0)
    # Kalman's filter of a level that stands still, begun with variance 1 about 0: the sum over n + 1.
    expected = np.r_[0.0, np.cumsum(readings)[:-1] / (np.arange(1, 30) + 1)]
    assert told == pytest.approx(expected, abs=1e-5)


def test_the_first_steps_are_bayes_rule_by_hand():
    rate, size, reading = 0.2, 2.0, 3.0
    told = two_speed([reading, 0.0], rate=rate, size=size)[1]
    # The level is 0 +- 2 by the start; had it jumped on the first day, it's 0 with variance 8.
    weights, means = [], []
    for chance, variance in ((1 - rate, 4.0), (rate, 8.0)):
        weights.append(chance * np.exp(-(reading**2) / 2 / (variance + 1)) / np.sqrt(variance + 1))
        means.append(reading * variance / (variance + 1))
    assert told == pytest.approx(np.average(means, weights=weights))


def test_two_speeds_leave_the_frontier_where_jumps_are_large():
    draw = np.random.default_rng(3)
    shape = (600, 30)
    level = np.cumsum((draw.random(shape) < 1 / 60) * draw.choice([-3.0, 3.0], shape), axis=0)
    readings = level + draw.normal(size=shape)
    drift = jump_drift(1 / 60, 3.0)
    best = tracking_error(best_gain(drift=drift), drift=drift)
    told = ((two_speed(readings, rate=1 / 60, size=3.0, oldest=60) - level)[100:] ** 2).mean(0)
    assert told.mean() + 3 * told.std() / 30**0.5 < best
    calm = draw.normal(size=shape)
    quiet = (two_speed(calm, rate=1 / 60, size=3.0, oldest=60)[100:] ** 2).mean()
    assert quiet < 0.3 * tracking_error(best_gain(drift=drift), drift=0.0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: exponential([1.0], 1.5), r"gain: got 1.5; it must lie in \[0, 1\]"),
        (lambda: exponential([], 0.5), r"values: got shape \(0,\)"),
        (lambda: exponential([[[1.0]]], 0.5), r"values: got shape \(1, 1, 1\)"),
        (lambda: exponential([np.nan], 0.5), "values: got nan; readings must be finite"),
        (lambda: moving([1.0], 0), "length: got 0"),
        (lambda: two_speed([1.0], rate=0, size=1), "rate: got 0"),
        (lambda: two_speed([1.0], rate=0.1, size=0), "size: got 0"),
        (lambda: two_speed([1.0], rate=0.1, size=1, noise=0), "noise: got 0; a reading's variance"),
        (lambda: two_speed([1.0], rate=0.1, size=1, oldest=1), "oldest: got 1"),
    ],
)
def test_bad_input_is_refused_by_name_value_and_rule(call, message):
    with pytest.raises(ValueError, match=message):
        call()
