"""A random holdout reads half the error of an honest next step, by algebra and by simulation."""

import numpy as np
import pytest
from scipy.linalg import solveh_banded

from toolkit.shipping.split_errors import (
    holdout_error,
    horizon_error,
    levels,
    next_step_error,
    split_errors,
)


def filtered(seen, drift, noise=1.0):
    """The Kalman filter's predictions of the next level, its variance run to its limit rather than known."""
    variance, mean, told = 1e6, np.zeros(seen.shape[1]), []
    for value in seen:
        told.append(mean)
        gain = variance / (variance + noise)
        mean = mean + gain * (value - mean)
        variance = variance * (1 - gain) + drift
    return np.array(told), variance


def smoothed(seen, drift, hidden, noise=1.0):
    """The levels' best estimates from all values but the hidden ones, past and future, by least squares."""
    n = len(seen)
    weight = np.where(hidden, 0.0, 1 / noise)
    bands = np.zeros((2, n))
    bands[0, 1:] = -1 / drift
    bands[1] = weight + np.r_[1, np.full(n - 2, 2), 1] / drift
    return solveh_banded(bands, weight[:, None] * seen)


@pytest.mark.parametrize("drift", [0.01, 1.0])
def test_the_error_is_where_the_filters_variance_settles(drift):
    assert filtered(np.zeros((2_000, 1)), drift)[1] == pytest.approx(next_step_error(drift), rel=1e-9)


def test_the_numbers_of_the_chapter_and_the_golden_ratio():
    assert next_step_error(0.01) == pytest.approx(0.1051, abs=5e-5)
    assert holdout_error(0.01) == pytest.approx(0.0526, abs=5e-5)
    assert horizon_error(0.01, horizon=7) == pytest.approx(0.1651, abs=5e-5)
    assert next_step_error(2.0, noise=2.0) == pytest.approx(2 * (1 + 5**0.5) / 2)
    # Leaving six values out at one step ahead asks the same as predicting seven ahead.
    assert horizon_error(0.3, gap=6) == horizon_error(0.3, horizon=7)


@pytest.mark.parametrize("drift", [0.01, 0.3])
def test_simulated_predictions_err_as_the_closed_forms_say(drift):
    level, seen = levels(1_000, drift, series=400, rng=1)
    middle = slice(200, 800)
    told = filtered(seen, drift)[0]
    for horizon in (1, 7):
        ahead = ((told[200:800] - level[200 + horizon - 1 : 800 + horizon - 1]) ** 2).mean()
        assert ahead == pytest.approx(horizon_error(drift, horizon=horizon), rel=0.03)
    # One value hidden in a hundred, so that its neighbours are known.
    hidden = np.arange(1_000) % 100 == 50
    read = (smoothed(seen, drift, hidden) - level)[middle][hidden[middle]]
    assert (read**2).mean() == pytest.approx(holdout_error(drift), rel=0.06)


def test_a_fifth_held_out_reads_little_more_than_one_value_and_much_less_than_a_step_ahead():
    level, seen = levels(1_000, 0.01, series=200, rng=2)
    hidden = np.random.default_rng(3).random(1_000) < 0.2
    read = float(((smoothed(seen, 0.01, hidden) - level)[hidden] ** 2).mean())
    assert holdout_error(0.01) < read < 1.25 * holdout_error(0.01)


def test_it_goes_away_where_nothing_moves():
    assert next_step_error(1e-10) < 1e-4
    level, seen = levels(50, 0.0, noise=0.0)
    assert (level == 0).all()
    assert (seen == 0).all()


def test_the_table_of_readings_has_one_row_a_reading_and_horizon():
    told = split_errors(0.01, horizons=[1, 7], gap=6).set_index(["reading", "horizon"])["error"]
    assert told["rolling origin", 7] == told["production", 7] > told["production", 1]
    assert told["production", 1] == 2 * told["random split", 1]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: next_step_error(0), "drift: got 0; it must lie above 0"),
        (lambda: holdout_error(0.1, noise=-1), "noise: got -1; it must lie above 0"),
        (lambda: horizon_error(0.1, horizon=0), "horizon: got 0; it must be a whole number, 1 at least"),
        (lambda: horizon_error(0.1, gap=-1), "gap: got -1; it must be a whole number, 0 at least"),
        (lambda: levels(0, 0.1), "n: got 0; it must be a whole number, 1 at least"),
        (lambda: levels(5, -0.1), "drift: got -0.1"),
    ],
)
def test_settings_that_none_can_be_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
