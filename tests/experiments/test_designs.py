"""Design effects, sizes and powers: published numbers, statsmodels, simulation, refusals."""

import numpy as np
import pytest
from scipy.stats import norm
from statsmodels.stats.power import TTestIndPower

from toolkit.experiments.designs import (
    budget_split_power,
    cluster_power,
    days_needed,
    design_effect,
    few_clusters_size,
    naive_size,
    switchback_effect,
    switchback_power,
)
from toolkit.experiments.power import power


def test_the_published_numbers():
    assert naive_size(design_effect(20, 0.05)) == pytest.approx(0.16, abs=0.001)
    assert design_effect(50, 0.2) == pytest.approx(10.8)
    assert naive_size(10.8) == pytest.approx(0.551, abs=0.0005)


def test_rows_alone_or_without_anything_in_common_have_no_design_effect():
    assert design_effect(1, 0.9) == design_effect(50, 0) == 1
    assert naive_size(1) == pytest.approx(0.05)


@pytest.mark.parametrize("sizes", [(20,), (4, 36)])
def test_the_design_effect_is_the_variance_s_factor_and_the_size_its_consequence(sizes):
    rng = np.random.default_rng(0)
    each = np.resize(sizes, 40)
    of = np.repeat(np.arange(40), each)
    draws = 4_000
    y = np.sqrt(0.05) * rng.normal(size=(draws, 40))[:, of] + np.sqrt(0.95) * rng.normal(
        size=(draws, len(of))
    )
    effect = design_effect(each.mean(), 0.05, cv=each.std() / each.mean())
    assert y.mean(1).var() * len(of) == pytest.approx(effect, rel=0.07)
    z = y.mean(1) * np.sqrt(len(of)) / y.std(1)
    assert np.mean(np.abs(z) > 1.96) == pytest.approx(naive_size(effect), abs=0.02)


def test_few_clusters_need_t():
    rng = np.random.default_rng(0)
    y = rng.normal(size=(150_000, 2, 5))
    z = (y[:, 0].mean(1) - y[:, 1].mean(1)) / np.sqrt(y.var(2, ddof=1).sum(1) / 5)
    assert np.mean(np.abs(z) > norm.isf(0.025)) == pytest.approx(few_clusters_size(10), abs=0.002)
    assert few_clusters_size(10_000) == pytest.approx(0.05, abs=1e-4)


def test_the_power_of_clusters_is_the_t_test_s_of_their_means():
    # A cluster's mean of 20 rows varies by the design effect over 20.
    spread = np.sqrt(design_effect(20, 0.05) / 20)
    peer = TTestIndPower().power(0.15 / spread, nobs1=15, alpha=0.05)
    assert cluster_power(0.15, sd=1, clusters=30, size=20, icc=0.05) == pytest.approx(peer, abs=1e-6)


def test_a_switchback_s_power_is_that_of_its_simulation_shocks_that_last_included():
    rng = np.random.default_rng(1)
    periods, events, icc = 60, 40, 0.1
    shock = rng.normal(size=(4_000, periods))
    for at in range(1, periods):  # shocks half of which lasts into the next period
        shock[:, at] = 0.5 * shock[:, at - 1] + np.sqrt(0.75) * shock[:, at]
    mean = np.sqrt(icc) * shock + np.sqrt((1 - icc) / events) * rng.normal(size=shock.shape)
    order = rng.random(shock.shape).argsort(1)
    treated = order < periods // 2
    y = np.where(treated, mean + 0.2, mean)
    arms = [np.where(arm, y, np.nan) for arm in (treated, ~treated)]
    difference = np.nanmean(arms[0], 1) - np.nanmean(arms[1], 1)
    se = np.sqrt(sum(np.nanvar(arm, 1, ddof=1) for arm in arms) / (periods / 2))
    found = np.mean(np.abs(difference / se) > 2.0017)
    told = switchback_power(0.2, sd=1, periods=periods, events=events, icc=icc)
    assert told == pytest.approx(found, abs=0.03)


def test_a_washout_costs_its_share_of_events_and_less_where_they_have_much_in_common():
    assert switchback_effect(100, 0, washout=0.25) == pytest.approx(1 / 0.75)
    assert switchback_effect(1e6, 0.5, washout=0.25) / switchback_effect(1e6, 0.5) == pytest.approx(
        1, abs=1e-5
    )


def test_a_split_budget_s_power_is_that_of_the_lift_that_is_left():
    for exhausted in (0, 0.6):
        peer = power(0.1 * (1 - exhausted), deviation=1, units=4_000)
        assert budget_split_power(0.1, sd=1, users=4_000, exhausted=exhausted) == pytest.approx(
            peer, abs=2e-3
        )


def test_a_split_budget_that_varies_less_than_its_error_has_that_simulation_s_power():
    z = np.random.default_rng(0).normal(size=200_000)
    for shift in (0.0, 1.3, 2.7):
        told = budget_split_power(shift * np.sqrt(4 / 4_000), sd=1, users=4_000, exhausted=0, variation=0.65)
        assert told == pytest.approx(np.mean(np.abs(shift + 0.65 * z) > 1.96), abs=0.004)


def test_after_the_days_needed_the_power_is_what_was_wanted():
    days = days_needed(0.05, sd=1, a_day=500, design_effect=1.95, treated=0.4, power=0.9)
    reached = power(0.05, deviation=1.95**0.5, units=500 * days, treated=0.4)
    assert reached == pytest.approx(0.9, abs=1e-6)
    assert days_needed(0, sd=1, a_day=10) == float("inf")
    # Half of the effect is left: four times as long.
    assert days_needed(0.05, sd=1, a_day=500) / days_needed(0.1, sd=1, a_day=500) == pytest.approx(
        4, rel=0.01
    )


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: design_effect(0.5, 0.1), "size: got 0.5; it must be 1 at least"),
        (lambda: design_effect(5, 1.1), r"icc: got 1.1; it must lie in \[0, 1\]"),
        (lambda: design_effect(5, 0.1, cv=-1), "cv: got -1"),
        (lambda: naive_size(0.9), "effect: got 0.9; it must be 1 at least"),
        (lambda: naive_size(2, alpha=0), "alpha: got 0"),
        (lambda: few_clusters_size(2), "clusters: got 2; it must be a whole number, 3 at least"),
        (lambda: switchback_effect(10, 0.1, washout=1), r"washout: got 1; it must lie in \[0, 1\)"),
        (lambda: switchback_effect(1, 0.1, washout=0.5), "size: got 0.5"),
        (lambda: cluster_power(0.1, sd=0, clusters=4, size=5, icc=0), "sd: got 0; it must lie above 0"),
        (lambda: switchback_power(float("nan"), sd=1, periods=4, events=5, icc=0), "effect: got nan"),
        (lambda: budget_split_power(0.1, sd=1, users=10, exhausted=0, treated=1), "treated: got 1"),
        (lambda: budget_split_power(0.1, sd=1, users=1, exhausted=0), "users: got 1; it must be 2 at least"),
        (lambda: budget_split_power(0.1, sd=1, users=9, exhausted=0, variation=0), "variation: got 0"),
        (lambda: days_needed(0.1, sd=1, a_day=5, design_effect=0.5), "design_effect: got 0.5"),
        (lambda: cluster_power(0.1, sd=1, clusters=3, size=5, icc=0), "clusters: got 3"),
        (lambda: switchback_power(0.1, sd=1, periods=3, events=5, icc=0), "periods: got 3"),
        (lambda: budget_split_power(0.1, sd=1, users=10, exhausted=2), "exhausted: got 2"),
        (lambda: days_needed(0.1, sd=1, a_day=0), "a_day: got 0"),
        (lambda: days_needed(0.1, sd=1, a_day=5, power=1), "power: got 1"),
    ],
)
def test_bad_settings_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
