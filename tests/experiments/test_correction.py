"""The closed form of what a share of traffic corrects: published values, inverses, bounds, refusals."""

import numpy as np
import pytest
from scipy.optimize import brentq

from toolkit.exercises import check
from toolkit.exercises.small_traffic import EXERCISES
from toolkit.experiments.correction import correction, corrections, days_to_correct, evidence, traffic_for


def test_the_outline_s_two_shares_come_out():
    assert correction(0.01) == pytest.approx(199 / 1199)
    assert correction(1.0) == pytest.approx(10 / 11)


def test_it_is_the_posterior_s_weight_of_the_evidence_by_simulation():
    rng = np.random.default_rng(0)
    # Mistakes of variance 1, outcomes of variance 50: an impression weighs a fiftieth of the belief.
    mistakes, shown = rng.normal(size=200_000), 25
    means = mistakes + rng.normal(size=mistakes.size) * np.sqrt(50 / shown)
    weight = (means @ mistakes) / (means @ means)
    assert correction(1.0, requests=shown, worth=50) == pytest.approx(weight, abs=0.005)


@pytest.mark.parametrize("items", [2, 100, 10_000])
@pytest.mark.parametrize("wanted", [0.5, 0.8])
def test_the_share_is_the_inverse_of_the_correction(items, wanted):
    share = traffic_for(wanted, items=items)
    if share:
        root = brentq(lambda f: correction(f, items=items) - wanted, 0, 1)
        assert share == pytest.approx(root)
    else:
        assert correction(0.0, items=items) >= wanted


def test_what_control_shows_at_every_request_needs_no_share():
    assert evidence(0.0, requests=500, items=1) == evidence(1.0, requests=500, items=1) == 500
    assert traffic_for(0.5, items=1) == 0


def test_the_curve_rises_to_a_launch_and_days_add_up():
    curve = corrections(items=10)
    assert curve["corrected"].is_monotonic_increasing
    assert curve.iloc[-1].tolist() == [1.0, correction(1.0, items=10)]
    # After d days n is d times a day's.
    days = days_to_correct(0.9, 0.05)
    assert correction(0.05, requests=10_000 * days) == pytest.approx(0.9)


def test_the_exercises_answers_are_right_and_hand_made():
    assert check("small_traffic/half", (0.1 - 0.01) / 0.99).right
    assert check("small_traffic/days", 9000 / 199).right
    for exercise in EXERCISES.values():
        for value, tolerance, _ in exercise.wrong_answers():
            assert abs(value - exercise.expected()) > tolerance + exercise.tolerance


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: correction(1.2), r"traffic: got 1.2; it must lie in \[0, 1\]"),
        (lambda: correction(0.1, worth=0), "worth: got 0; it must lie above 0"),
        (lambda: evidence(0.1, requests=0, items=3), "requests: got 0; it must lie above 0"),
        (lambda: evidence(0.1, requests=5, items=0), "items: got 0; it must be a whole number"),
        (lambda: traffic_for(0.95), "wanted: got 0.95; all of the traffic corrects 0.909"),
        (lambda: traffic_for(1.0), "wanted: got 1.0; it must lie strictly between 0 and 1"),
        (lambda: days_to_correct(0.0, 0.1), "wanted: got 0.0"),
        (lambda: days_to_correct(0.5, 0.1, worth=-1), "worth: got -1"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
