"""What a factor leaves of a score: the closed forms by simulation and at their ends; monitors and canaries."""

import numpy as np
import pytest
from scipy.stats import norm

from toolkit.auc import auc
from toolkit.shipping.rescaling import (
    LABEL_DAYS,
    MONITORS,
    ROWS,
    auc_spread,
    canary_exposure,
    clipped_correlation,
    monitor_delay,
    monitor_path,
    rescaled_auc,
    rescaled_correlation,
    rows_in_canary,
)


@pytest.mark.parametrize(
    ("factor", "correlation", "area"),
    # The outline's table, computed apart from this code.
    [(100, 0.465, 0.648), (0.01, 0.897, 0.793), (1, 1.0, 0.830)],
)
def test_what_is_left_is_what_the_outline_says(factor, correlation, area):
    assert rescaled_correlation(0.2, factor) == pytest.approx(correlation, abs=0.0006)
    assert rescaled_auc(0.2, factor) == pytest.approx(area, abs=0.0006)


def test_blow_ups_leave_the_feature_alone_and_shrinks_the_rest():
    assert rescaled_correlation(0.2, 1e9) == pytest.approx(0.2**0.5)
    assert rescaled_correlation(0.2, 0.0) == pytest.approx(0.8**0.5)
    # Which is the worse turns round at a half.
    assert rescaled_correlation(0.7, 1e9) > rescaled_correlation(0.7, 0.0)
    assert rescaled_correlation(0.5, -1.0) == pytest.approx(0.0)
    assert np.isnan(rescaled_correlation(1.0, 0.0))


@pytest.mark.parametrize(
    ("factor", "clip"), [(1.8, None), (-1.0, None), (100.0, 3.0), (3.0, 1.0), (0.1, 2.0)]
)
def test_simulated_scores_agree(factor, clip):
    rng = np.random.default_rng(0)
    n, weight, rho = 400_000, 0.3, 0.7
    rest, feature = np.sqrt(1 - weight) * rng.normal(size=n), rng.normal(size=n)
    arriving = factor * feature if clip is None else np.clip(factor * feature, -clip, clip)
    intended, served = rest + np.sqrt(weight) * feature, rest + np.sqrt(weight) * arriving
    expected = (
        rescaled_correlation(weight, factor)
        if clip is None
        else clipped_correlation(weight, factor, clip=clip)
    )
    assert np.corrcoef(intended, served)[0, 1] == pytest.approx(expected, abs=0.004)
    if clip is None:
        y = rho * intended + np.sqrt(1 - rho**2) * rng.normal(size=n) > 0
        assert auc(y, served) == pytest.approx(rescaled_auc(weight, factor), abs=0.004)


def test_a_cut_off_far_out_changes_nothing_and_one_at_a_feature_that_is_gone_neither():
    assert clipped_correlation(0.3, 2.0, clip=40.0) == pytest.approx(rescaled_correlation(0.3, 2.0))
    assert clipped_correlation(0.3, 0.0, clip=3.0) == pytest.approx(rescaled_correlation(0.3, 0.0))


def test_an_auc_s_standard_error_is_that_of_exponential_scores():
    rng = np.random.default_rng(1)
    # Exponential scores whose means differ by the factor r have the AUC r / (1 + r).
    found = [
        auc(np.r_[np.ones(60), np.zeros(240)], np.r_[rng.exponential(3, 60), rng.exponential(1, 240)])
        for _ in range(1500)
    ]
    assert np.std(found) == pytest.approx(auc_spread(0.75, rows=300, positive=0.2), rel=0.08)


def test_the_nearer_to_the_source_the_sooner_it_rings():
    assert monitor_delay(MONITORS[0], weight=0.2, factor=1.1) == pytest.approx(10.4, abs=0.05)
    assert monitor_delay(MONITORS[0], weight=0.2, factor=1.0) == pytest.approx(465, abs=1)
    delays = [monitor_delay(monitor, weight=0.2, factor=1.1) for monitor in MONITORS]
    assert delays == sorted(delays)
    assert monitor_delay("the AUC", weight=0.2, factor=100.0) == pytest.approx(1 + LABEL_DAYS, abs=0.2)


def test_simulated_paths_ring_as_late_as_computed():
    late = []
    for seed in range(300):
        path = monitor_path("the feature's mean", weight=0.2, factor=1.1, day=0, days=120, rng=seed)
        late.append(int(path["alarm"].idxmax()) + 1)
    assert np.mean(late) == pytest.approx(10.4, abs=4 * np.std(late) / 300**0.5)


def test_a_path_is_quiet_before_the_change_and_the_auc_waits_for_its_labels():
    before, after = (
        monitor_path("the AUC", weight=0.2, factor=factor, day=20, rng=0) for factor in (1.0, 100.0)
    )
    same = slice(0, 20 + LABEL_DAYS - 1)
    assert (before.loc[same] == after.loc[same]).all().all()
    assert int(after["alarm"].idxmax()) == 20 + LABEL_DAYS


def test_a_canary_takes_the_rows_of_a_one_sided_test_whatever_its_part():
    rows = rows_in_canary(0.83, 0.793)
    error = auc_spread(0.793, rows=rows)
    power = norm.sf(norm.isf(0.05) - (0.83 - 0.793) / error)
    assert power == pytest.approx(0.8, abs=0.02)
    small, large = (canary_exposure(0.01, weight=0.2, part=part) for part in (0.01, 0.1))
    assert small["rows"] == large["rows"]
    assert small["days"] - LABEL_DAYS == pytest.approx(10 * (large["days"] - LABEL_DAYS))
    assert large["without"] == pytest.approx(ROWS * monitor_delay("the AUC", weight=0.2, factor=0.01))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: rescaled_correlation(1.2, 2), r"weight: got 1.2; it must lie in \[0, 1\]"),
        (lambda: rescaled_correlation(0.2, np.inf), "factor: got inf; it must be a finite number"),
        (lambda: clipped_correlation(0.2, 2.0, clip=0), "clip: got 0; it must lie above 0"),
        (
            lambda: monitor_delay("the weather", weight=0.2, factor=2.0),
            "monitor: got 'the weather'; it must be one of",
        ),
        (lambda: monitor_path("the AUC", weight=0.2, factor=2.0, day=-1), "day: got -1"),
        (lambda: auc_spread(1.0), "auc: got 1.0"),
        (lambda: auc_spread(0.8, rows=2), "rows: got 2; it must be a whole number, 4 at least"),
        (lambda: rows_in_canary(0.7, 0.8), "after: got 0.8; it must lie strictly between 0 and 0.7"),
        (lambda: canary_exposure(1.0, weight=0.2, part=0.1), "after: got"),
        (lambda: canary_exposure(2.0, weight=0.2, part=0.0), r"part: got 0.0; it must lie in \(0, 1\]"),
    ],
)
def test_bad_input_is_refused_by_name_value_and_rule(call, message):
    with pytest.raises(ValueError, match=message):
        call()
