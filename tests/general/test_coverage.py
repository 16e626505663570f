"""The coverage loop: its fixed points, its exact multiplier, and what makes it settle or swing."""

import numpy as np
import pytest

from toolkit.general.coverage import (
    audit_sample,
    halving,
    kappa_for,
    labels_seen,
    learned,
    loop_decay,
    moderated_weeks,
    multiplier,
    steady_coverage,
    weeks_of_coverage,
)


def one_retrain(coverage, kappa, steepness=1.0, audit=0.0):
    return learned(labels_seen(coverage, kappa, audit=audit), steepness=steepness)


def test_the_outline_s_numbers_of_the_loop_come_out():
    # kappa c^2 - (1 + 2 kappa) c + kappa = 0 for a steepness of one.
    for kappa in (2, 10, 90):
        root = (1 + 2 * kappa - np.sqrt(1 + 4 * kappa)) / (2 * kappa)
        assert steady_coverage(kappa) == pytest.approx(root)
    assert steady_coverage(10) == pytest.approx(0.730, abs=0.0005)
    assert steady_coverage(10, audit=1) == pytest.approx(10 / 11)
    assert steady_coverage(90) == pytest.approx(0.9)
    assert halving(multiplier(90)) == pytest.approx(6.58, abs=0.01)
    assert kappa_for(0.8) == pytest.approx(20)


@pytest.mark.parametrize(("kappa", "steepness"), [(10, 1), (90, 1), (10, 2), (3, 0.5), (40, 3)])
@pytest.mark.parametrize("audit", [0.0, 0.1, 0.5])
def test_the_multiplier_is_the_slope_of_the_map_and_without_audit_minus_h_c(kappa, steepness, audit):
    steady = steady_coverage(kappa, steepness=steepness, audit=audit)
    step = 1e-6
    slope = (
        one_retrain(steady + step, kappa, steepness, audit)
        - one_retrain(steady - step, kappa, steepness, audit)
    ) / (2 * step)
    assert multiplier(kappa, steepness=steepness, audit=audit) == pytest.approx(slope, rel=1e-5)
    if audit == 0:
        assert multiplier(kappa, steepness=steepness) == pytest.approx(-steepness * steady)


def test_a_critical_mass_makes_a_cycle_of_feast_and_famine():
    told = weeks_of_coverage(10, steepness=2, weeks=200)["coverage"].to_numpy()
    high, low = max(told[-2:]), min(told[-2:])
    assert high == pytest.approx(0.99, abs=0.001)
    assert low == pytest.approx(0.01, abs=0.001)
    # A cycle of two: each is what the other's labels give.
    assert one_retrain(high, 10, 2) == pytest.approx(low)
    assert one_retrain(low, 10, 2) == pytest.approx(high)


def test_a_shock_at_kappa_ninety_halves_every_six_or_seven_retrains():
    told = weeks_of_coverage(90, weeks=40, start=0.901)["coverage"].to_numpy() - 0.9
    for week in (0, 10, 20):
        assert abs(told[week + 7]) < 0.5 * abs(told[week]) < abs(told[week + 6])


def test_an_audit_takes_the_loop_away():
    gains = [multiplier(10, steepness=2, audit=audit) for audit in (0, 0.1, 0.5, 1)]
    assert gains[0] < -1 < gains[1] < gains[2] < gains[3] == 0
    told = weeks_of_coverage(10, steepness=2, audit=1, weeks=5)["coverage"]
    assert told.iloc[1:].nunique() == 1


@pytest.mark.parametrize("window", [1, 2, 3, 4])
def test_a_window_is_stable_exactly_below_its_own_length(window):
    assert loop_decay(-window + 0.01, window) < 1 < loop_decay(-window - 0.01, window)


def test_the_decay_of_a_window_is_that_of_the_simulated_loop():
    steady, gain = steady_coverage(10, steepness=2), multiplier(10, steepness=2)
    told = weeks_of_coverage(10, steepness=2, window=2, weeks=60, start=steady + 1e-5)["coverage"] - steady
    size = np.abs(told.to_numpy()).reshape(-1, 10).max(axis=1)
    assert (size[5] / size[1]) ** (1 / 40) == pytest.approx(loop_decay(gain, 2), abs=0.01)


def test_a_settling_loop_settles_later_with_a_longer_window():
    assert loop_decay(multiplier(2), 4) > loop_decay(multiplier(2), 1)


def test_a_dashboard_s_log_odds_are_the_true_ones_plus_a_constant():
    weekly = weeks_of_coverage(10, weeks=30, start=0.5, noise=0.3)
    shown = moderated_weeks(weekly, messages=50_000_000)["coverage"]
    odds = np.log(shown / (1 - shown)) - np.log(weekly["coverage"] / (1 - weekly["coverage"]))
    assert odds.to_numpy() == pytest.approx(np.full(30, -np.log(0.3)), abs=0.02)


def test_reports_in_an_audit_are_what_is_left_of_the_bad_and_noticed():
    sample = audit_sample(np.full(2, 0.4), rows=100_000, prevalence=0.05, report_rate=0.3)
    assert sample["y"].mean() == pytest.approx(0.05, abs=0.002)
    assert sample["reported"].mean() == pytest.approx(0.05 * 0.6 * 0.3, abs=0.001)
    assert not (sample["reported"].astype(bool) & sample["action"]).any()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: steady_coverage(0), "kappa: got 0; it must lie above 0"),
        (lambda: multiplier(10, steepness=0), "steepness: got 0"),
        (lambda: labels_seen(1.5, 10), "coverage: got 1.5"),
        (lambda: learned(-1), "labels: got -1; they must not be negative"),
        (lambda: multiplier(10, audit=2), r"audit: got 2; it must lie in \[0, 1\]"),
        (lambda: kappa_for(1.0), "coverage: got 1.0; it must lie strictly between 0 and 1"),
        (lambda: loop_decay(-1, 0), "window: got 0; it must be a whole number, 1 at least"),
        (lambda: weeks_of_coverage(10, start=2), "start: got 2"),
        (lambda: weeks_of_coverage(10, noise=-1), "noise: got -1; it must not be negative"),
        (lambda: weeks_of_coverage(10, weeks=0), "weeks: got 0"),
        (lambda: moderated_weeks(weeks_of_coverage(10), prevalence=2), "prevalence: got 2"),
        (lambda: moderated_weeks(weeks_of_coverage(10), audited=0), "audited: got 0"),
        (lambda: audit_sample([0.5, 1.5]), "coverage: got 1.5"),
        (lambda: audit_sample([0.5], rows=0), "rows: got 0"),
    ],
)
def test_bad_settings_are_refused_by_name_value_and_rule(call, message):
    with pytest.raises(ValueError, match=message):
        call()
