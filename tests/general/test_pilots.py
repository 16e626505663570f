"""A pilot is worth what integrals and simulated projects say, and nothing where the answer is known."""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

from toolkit.general.pilots import (
    at_face_value,
    expected_gain,
    pilot_correlation,
    pilot_voi,
    policies,
    policies_by_mean,
    simulated_policies,
)


def test_the_outline_s_values_of_a_pilot_come_out():
    assert expected_gain(-0.5, 1.0) == pytest.approx(0.1978, abs=5e-5)
    assert pilot_voi(-0.5, 1.0) == pytest.approx(0.1978, abs=5e-5)
    assert pilot_voi(-0.5, 1.0, correlation=0.7) == pytest.approx(0.0976, abs=5e-5)
    weak = pilot_voi(-0.5, 1.0, correlation=0.3)
    assert weak == pytest.approx(0.0059, abs=5e-5)
    assert weak / pilot_voi(-0.5, 1.0) == pytest.approx(0.03, abs=0.001)
    assert pilot_voi(-1.0, 1.0) == pytest.approx(0.0833, abs=5e-5)


@pytest.mark.parametrize(("mean", "sd"), [(-0.5, 1.0), (2.0, 3.0), (0.0, 0.2)])
def test_the_gain_is_the_integral_over_positive_values(mean, sd):
    area = quad(lambda v: v * norm.pdf(v, mean, sd), 0, mean + 12 * sd)[0]
    assert expected_gain(mean, sd) == pytest.approx(area, abs=1e-8)


def test_without_spread_one_builds_or_does_not():
    assert (expected_gain(-1, 0), expected_gain(2, 0)) == (0, 2)


def test_information_is_worth_the_same_on_both_sides_and_nothing_without_correlation():
    for mean in (0.2, 1.0, 2.5):
        assert pilot_voi(mean, 1, correlation=0.6) == pytest.approx(pilot_voi(-mean, 1, correlation=0.6))
    assert pilot_voi(-0.5, 1, correlation=0, cost=0.02) == pytest.approx(-0.02)
    assert pilot_voi(-0.5, 1, correlation=0.7, cost=0.1) < 0
    # In another unit it's the same decision.
    assert pilot_voi(-5, 10, correlation=0.7) == pytest.approx(10 * pilot_voi(-0.5, 1, correlation=0.7))


def test_nobody_needs_a_pilot_more_than_two_standard_deviations_from_zero():
    assert pilot_voi(2.0, 1.0) < 0.01
    assert pilot_voi(0.0, 1.0) == pytest.approx(1 / np.sqrt(2 * np.pi))


@pytest.mark.parametrize("mean", [-1.0, -0.5, 0.0, 1.0])
@pytest.mark.parametrize("correlation", [0.0, 0.3, 0.7, 0.99])
def test_two_thousand_simulated_projects_agree_with_the_closed_form(mean, correlation):
    exact = policies(mean, 1.5, correlation=correlation, build_cost=2.0)
    simulated = simulated_policies(mean, 1.5, correlation=correlation, build_cost=2.0, rng=3)
    assert list(exact["policy"]) == list(simulated["policy"])
    assert (np.abs(exact["value"] - simulated["value"]) <= 3.5 * simulated["se"] + 1e-12).all()
    errors = np.sqrt(exact["built"] * (1 - exact["built"]) / 2000)
    assert (np.abs(exact["built"] - simulated["built"]) <= 3.5 * errors + 1e-12).all()


def test_no_other_threshold_on_the_reading_earns_more():
    rng = np.random.default_rng(0)
    standard, noise = rng.normal(size=(2, 400_000))
    value, reading = -0.5 + standard, 0.6 * standard + 0.8 * noise
    best = max((value * (reading > cut)).mean() for cut in np.linspace(-1, 3, 41))
    gated = policies(-0.5, 1.0, correlation=0.6, build_cost=0.0).set_index("policy")["value"]
    assert gated["pilot"] == pytest.approx(best, abs=0.003)


def best(mean, correlation, build_cost):
    told = policies(mean, 1.0, correlation=correlation, build_cost=build_cost)
    return told["policy"][told["value"].idxmax()]


def test_each_policy_is_best_somewhere():
    assert best(2.5, 0.3, 1.0) == "always"
    assert best(-2.5, 0.3, 1.0) == "never"
    assert best(-0.5, 0.3, 1.0) == "shadow logs"
    assert best(-0.5, 0.99, 1.0) == "pilot"
    # Where logs cost more than they tell, a pilot that is nearly as good decides, or nobody asks.
    assert best(-0.2, 0.8, 2.0) == "pilot"
    assert best(-0.2, 0.3, 5.0) == "never"


def test_a_reading_at_face_value_earns_what_simulated_readings_do():
    rng = np.random.default_rng(1)
    value = -0.5 + 2 * rng.normal(size=400_000)
    for correlation, handicap in ((0.3, 0.0), (0.7, 1.5), (0.7, -1.0)):
        noise = 2 * np.sqrt(1 / correlation**2 - 1) * rng.normal(size=value.size)
        earned = np.where(value - handicap + noise > 0, value, 0.0)
        assert np.corrcoef(value, value + noise)[0, 1] == pytest.approx(correlation, abs=0.005)
        told = at_face_value(-0.5, 2.0, correlation=correlation, handicap=handicap)
        assert told == pytest.approx(earned.mean(), abs=0.012)
    assert at_face_value(-0.5, 2.0, correlation=1.0) == pytest.approx(expected_gain(-0.5, 2.0))


def test_face_value_never_beats_the_expectation_and_a_handicap_kills_good_builds():
    for mean in (-1, 0, 0.5):
        exact = expected_gain(mean, 0.4)
        for handicap in (0, 0.5, 2):
            assert at_face_value(mean, 1, correlation=0.4, handicap=handicap) <= exact + 1e-12
    believed = at_face_value(0.5, 1, correlation=0.7, handicap=3)
    assert believed < 0.2 * at_face_value(0.5, 1, correlation=0.7)


def test_the_demo_s_lines_are_the_policies_less_the_better_default():
    table = policies_by_mean(correlation=0.7, build_cost=1.0, steps=6).set_index(["policy", "mean"])["added"]
    assert table["always"].to_dict() == {-3: -3, 0: 0, 3: 0}
    assert table["never"].to_dict() == {-3: 0, 0: 0, 3: -3}
    assert table["pilot", 1] == pytest.approx(pilot_voi(1.0, 1.0, correlation=0.7, cost=0.02), abs=5e-5)
    believed = policies_by_mean(correlation=0.7, build_cost=1.0, handicap=1.0, steps=6)
    believed = believed.set_index(["policy", "mean"])["added"]
    told = at_face_value(1, 1, correlation=0.7, handicap=1) - 1 - 0.02
    assert believed["pilot", 1] == pytest.approx(told, abs=5e-5)
    assert believed["shadow logs"].equals(table["shadow logs"])


@pytest.mark.parametrize(("latency", "spread"), [(0.5, 0.5), (1.0, 1.0), (2.0, 0.3)])
def test_the_pilot_s_correlation_is_that_of_simulated_projects(latency, spread):
    rng = np.random.default_rng(2)
    fresh = rng.gamma(4.0, 0.1, 400_000)  # standard deviation one half of the mean
    pilot = fresh * 4.0 ** (-latency / np.exp(spread * rng.normal(size=fresh.size)))
    told = pilot_correlation(latency, half_life_spread=spread, value_spread=0.5)
    assert told == pytest.approx(np.corrcoef(fresh, pilot)[0, 1], abs=0.01)


def test_a_handicap_that_all_projects_share_takes_no_correlation():
    assert pilot_correlation(3.0, half_life_spread=0.0) == pytest.approx(1)
    assert pilot_correlation(0.0, half_life_spread=2.0) == pytest.approx(1)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: expected_gain(float("nan"), 1), "mean: got nan; it must be a finite number"),
        (lambda: expected_gain(0, -1), "sd: got -1; it must be finite and not negative"),
        (lambda: pilot_voi(0, 0), "sd: got 0; it must lie above 0"),
        (lambda: pilot_voi(0, 1, correlation=1.2), r"correlation: got 1.2; it must lie in \[0, 1\]"),
        (lambda: pilot_voi(0, 1, cost=-1), "cost: got -1; it must be finite and not negative"),
        (lambda: at_face_value(0, 1, correlation=0), r"correlation: got 0; it must lie in \(0, 1\]"),
        (lambda: at_face_value(0, 1, correlation=1, handicap=float("inf")), "handicap: got inf"),
        (lambda: policies(0, 1, correlation=2), "correlation: got 2"),
        (lambda: policies(0, 1, correlation=0.5, build_cost=-1), "build_cost: got -1"),
        (lambda: simulated_policies(0, 1, correlation=0.5, projects=1), "projects: got 1"),
        (lambda: simulated_policies(0, -1, correlation=0.5), "sd: got -1"),
        (lambda: pilot_correlation(-1, half_life_spread=1), "latency: got -1"),
        (lambda: pilot_correlation(1, half_life_spread=-1), "half_life_spread: got -1"),
        (lambda: pilot_correlation(1, half_life_spread=1, value_spread=0), "value_spread: got 0"),
    ],
)
def test_bad_settings_are_refused_by_name_value_and_rule(call, message):
    with pytest.raises(ValueError, match=message):
        call()
