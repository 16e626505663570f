"""The small models of a sensor: exact where a closed form exists, and what a user reads is what was asked for."""

import numpy as np
import pytest

from toolkit.general.devices import FIELD, LAB, polynomial_errors, readings, two_sensors
from toolkit.general.sensor_noise import excess_error


def test_readings_have_the_noise_that_was_asked_for_and_one_label_a_user():
    rows = readings(FIELD, users=4000, each=5, rng=0)
    assert (rows.groupby("user_id")["y"].nunique() == 1).all()
    within = rows.groupby("user_id")[["f_motion", "f_rhythm"]].var().mean()
    assert within["f_motion"] == pytest.approx(FIELD["f_motion"], rel=0.03)
    assert within["f_rhythm"] == pytest.approx(FIELD["f_rhythm"], rel=0.03)
    # Within minutes, so that only the noise can change.
    assert (rows.groupby("user_id")["ts"].agg(np.ptp).dt.total_seconds() <= 241).all()


def test_with_a_useless_second_sensor_two_are_one():
    field = [0.0, 0.5, 2.0]
    told = two_sensors(field, lab=0.0, steady=1e9, injected=1.0).set_index(["model", "noise"])["error"]
    for noise in field:
        assert told["trained in the lab", noise] == pytest.approx(excess_error(noise), abs=1e-6)
        assert told["noise injected", noise] == pytest.approx(excess_error(noise, trained_at=1.0), abs=1e-6)


def test_two_sensors_are_least_squares_in_simulation():
    rng = np.random.default_rng(1)
    signal, first, second, used = rng.normal(size=(4, 1_000_000))
    x = np.column_stack([signal + (0.1 + 0.4) ** 0.5 * first, signal + 0.7**0.5 * second])
    weights = np.linalg.lstsq(x, signal, rcond=None)[0]
    reading = np.column_stack([signal + 1.5**0.5 * used, x[:, 1]])
    told = two_sensors([1.5], lab=0.1, steady=0.7, injected=0.4).set_index("model")["error"]
    assert np.mean((signal - reading @ weights) ** 2) == pytest.approx(told["noise injected"], rel=0.01)
    assert told["steady sensor alone"] == pytest.approx(0.7 / 1.7)


def test_the_model_that_is_best_on_the_bench_is_worst_in_the_field_and_injection_mends_it():
    told = two_sensors([0.05, 2.0], lab=0.05, steady=0.5, injected=1.95).set_index(["model", "noise"])[
        "error"
    ]
    bench, field = told.xs(0.05, level="noise"), told.xs(2.0, level="noise")
    assert bench["trained in the lab"] < bench["noise injected"] < bench["steady sensor alone"]
    assert field["noise injected"] < field["steady sensor alone"] < field["trained in the lab"]


def test_a_straight_line_on_a_quiet_sensor_is_the_regression_of_the_sine():
    # Slope E[x sin 2x] = 2 exp(-2); error E[sin^2 2x] - slope^2 = (1 - exp(-8)) / 2 - 4 exp(-4).
    error = polynomial_errors([0.0], degree=1, lab=0.0, injected=0.0, rows=100_000)
    assert error[0] == pytest.approx((1 - np.exp(-8)) / 2 - 4 * np.exp(-4), abs=0.002)


def test_injection_by_quadrature_is_injection_by_many_copies():
    rng = np.random.default_rng(3)
    signal, noise, outcome = rng.normal(size=(3, 80))
    y = np.sin(2 * signal) + 0.3 * outcome
    seen = np.repeat(signal + 0.1**0.5 * noise, 20_000)
    seen = seen + 0.5**0.5 * np.random.default_rng(4).normal(size=len(seen))
    cubic = np.polyfit(seen, np.repeat(y, 20_000), 3)
    x, error = np.random.default_rng(5).normal(size=(2, 400_000))
    said = np.clip(np.polyval(cubic, x + error), y.min(), y.max())
    told = polynomial_errors([1.0], degree=3, lab=0.1, injected=0.5)
    assert told[0] == pytest.approx(np.mean((said - np.sin(2 * x)) ** 2), rel=0.02)


def test_complexity_wins_on_the_bench_and_loses_in_the_field():
    bench = {d: polynomial_errors([0.0, 2.0], degree=d, lab=0.0, injected=0.0) for d in (1, 3, 9)}
    assert bench[9][0] < bench[3][0] < bench[1][0]
    assert bench[9][1] > bench[3][1] > bench[1][1]
    noisy = polynomial_errors([0.0, 2.0], degree=9, lab=0.0, injected=1.0)
    assert noisy[0] > bench[9][0]
    assert noisy[1] < bench[1][1]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: readings({"f_motion": 1.0}), "noise: got .* it must have f_motion, f_rhythm"),
        (lambda: readings({**LAB, "f_motion": -1.0}), "f_motion: got -1.0"),
        (lambda: readings(LAB, users=1), "users: got 1"),
        (lambda: two_sensors([1.0], lab=-1, steady=1, injected=0), "lab: got -1"),
        (lambda: polynomial_errors([0.0], degree=0, lab=0, injected=0), "degree: got 0"),
        (lambda: polynomial_errors([0.0], degree=9, lab=0, injected=0, rows=5), "rows: got 5"),
        (lambda: polynomial_errors([0.0], degree=1, lab=np.nan, injected=0), "lab: got nan"),
    ],
)
def test_bad_input_is_refused_by_name_value_and_rule(call, message):
    with pytest.raises(ValueError, match=message):
        call()
