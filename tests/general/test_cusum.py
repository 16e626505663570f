"""Run lengths against Montgomery's table and simulation; the chart on a metric."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import ttest_ind

from toolkit.general.cusum import cusum, cusum_limit, false_alarm_chance, run_length, threshold_run_length


@pytest.mark.parametrize(
    ("limit", "shift", "length"),
    # Montgomery, two-sided CUSUM with k = .5.
    [
        (4, 0, 168),
        (4, 0.5, 26.6),
        (4, 1, 8.38),
        (4, 2, 3.34),
        (5, 0, 465),
        (5, 0.5, 38.0),
        (5, 1, 10.4),
        (5, 2, 4.01),
    ],
)
def test_run_lengths_are_the_published_ones(limit, shift, length):
    assert run_length(slack=0.5, limit=limit, shift=shift) == pytest.approx(length, rel=0.005)


def test_run_lengths_are_those_of_simulated_charts():
    rng = np.random.default_rng(0)
    for shift, most in ((1.0, 200), (0.0, 4000)):
        sums, rang = np.zeros((2, 1500)), np.zeros(1500, dtype=int)
        for step in range(1, most):
            z = rng.normal(shift, 1, 1500)
            sums = np.maximum(0, sums + np.array([z, -z]) - 0.5)
            rang[(rang == 0) & (sums > 4).any(0)] = step
        assert (rang > 0).all()
        expected = run_length(slack=0.5, limit=4, shift=shift)
        assert rang.mean() == pytest.approx(expected, abs=4 * rang.std() / 1500**0.5)


def test_a_run_length_beyond_all_reason_is_infinite_not_nonsense():
    assert run_length(slack=0.5, limit=40) == run_length(slack=3, limit=10) == np.inf
    # A shift beyond all reason is found with the first value.
    assert run_length(slack=0.5, limit=5, shift=50) == pytest.approx(1)
    assert run_length(slack=0.5, limit=50, shift=1) == pytest.approx(101, abs=1)


def test_a_short_reference_rings_more_often_than_run_lengths_say_and_the_verdict_says_so():
    # With mean and spread known: geometric, but for the first values, in which a sum must grow.
    assert false_alarm_chance(100_000, 200) == pytest.approx(1 - np.exp(-200 / 465), abs=0.03)
    rng, rang = np.random.default_rng(11), 0
    for _ in range(200):
        metric = pd.DataFrame({"ts": range(52), "value": rng.normal(5, 3, 52)})
        rang += cusum(metric[:22], metric[22:]).table["alarm"].any()
    # Three standard errors of a share of one fifth among 200.
    assert rang / 200 == pytest.approx(false_alarm_chance(22, 30), abs=0.085)
    told = cusum(metric[:22], metric[22:]).verdict
    assert (
        f"{false_alarm_chance(22, 30):.0%} of such charts ring within 30 values, with a reference of 22"
        in told
    )


def test_the_limit_gives_its_rate_and_both_directions_are_alike():
    for slack, every in ((0.25, 100), (0.5, 370), (1.0, 1000)):
        limit = cusum_limit(every, slack=slack)
        assert run_length(slack=slack, limit=limit) == pytest.approx(every, rel=1e-6)
    assert run_length(slack=0.5, limit=4, shift=1) == pytest.approx(run_length(slack=0.5, limit=4, shift=-1))


def test_one_value_alone_finds_small_shifts_late_and_large_ones_as_soon():
    # Shewhart's three-sigma chart: 370 without a shift, 43.9 at one standard deviation (Montgomery).
    assert threshold_run_length(370.4) == pytest.approx(370.4)
    assert threshold_run_length(370.4, shift=1) == pytest.approx(43.9, abs=0.05)
    limit = cusum_limit(370.4)
    assert run_length(slack=0.5, limit=limit, shift=1) < 10.5
    assert threshold_run_length(370.4, shift=4) < run_length(slack=0.5, limit=limit, shift=4)


def metric(n, rng, *, mean=0.8, since=None, shift=0.0):
    value = rng.normal(mean, 0.01, n)
    if since is not None:
        value[since:] += shift
    return pd.DataFrame({"ts": pd.date_range("2026-03-02", periods=n, tz="UTC"), "value": value})


def test_the_path_is_the_recursion_and_the_change_is_dated():
    reference = pd.DataFrame({"value": np.tile([-1.0, 1.0], 20)})
    spread = reference["value"].std()
    current = pd.DataFrame(
        {"ts": pd.date_range("2026-03-02", periods=6), "value": spread * np.array([0.2, -3, 2, 2, 2, 2])}
    )
    finding = cusum(reference, current.sample(frac=1, random_state=0))
    assert finding.table["above"].tolist() == pytest.approx([0, 0, 1.5, 3.0, 4.5, 6.0])
    assert finding.table["below"].tolist() == pytest.approx([0, 2.5, 0, 0, 0, 0])
    assert finding.table["alarm"].tolist() == [False] * 5 + [True]
    assert "value rose from about 2026-03-04" in finding.verdict
    assert "once" not in finding.verdict
    assert "every 465 values" in finding.verdict


def test_the_estimate_is_welch_s_difference_of_all_current_values():
    rng = np.random.default_rng(0)
    before, after = metric(60, rng), metric(30, rng, shift=-0.02, since=10)
    finding = cusum(before, after)
    theirs = ttest_ind(after["value"], before["value"], equal_var=False).confidence_interval(0.95)
    assert finding.ci == pytest.approx((theirs.low, theirs.high))
    assert finding.estimate == pytest.approx(after["value"].mean() - before["value"].mean())
    assert "fell from about 2026-03-1" in finding.verdict


def test_alarms_ring_falsely_as_often_as_said_and_intervals_cover():
    rng = np.random.default_rng(4)
    rang, covered, limit = 0, 0, cusum_limit(100)
    for _ in range(100):
        # A long reference, for which the run lengths hold.
        finding = cusum(metric(1000, rng), metric(50, rng), limit=limit)
        rang += bool(finding.table["alarm"].any())
        covered += finding.ci[0] <= 0 <= finding.ci[1]
    # Runs are about geometric: 1 - exp(-50/100), a little less for the start at 0.
    assert rang / 100 == pytest.approx(1 - np.exp(-0.5), abs=0.15)
    assert covered / 100 == pytest.approx(0.95, abs=3 * np.sqrt(0.05 * 0.95 / 100))


REFERENCE, CURRENT = metric(30, np.random.default_rng(0)), metric(5, np.random.default_rng(1))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: cusum(REFERENCE[:10], CURRENT),
            "reference: got 10 values, current 5; there must be 20 and 2",
        ),
        (lambda: cusum(REFERENCE, CURRENT[:1]), "current 1; there must be"),
        (lambda: cusum(REFERENCE.assign(value=1.0), CURRENT), "value: got 1.0 for all of reference"),
        (lambda: cusum(REFERENCE, pd.concat([CURRENT, CURRENT])), "ts: got 5 repeated"),
        (lambda: cusum(REFERENCE, CURRENT.assign(value=np.nan)), "value: got 5 missing"),
        (lambda: cusum(REFERENCE, CURRENT, limit=0), "limit: got 0; it must lie strictly between 0 and 60"),
        (lambda: cusum(REFERENCE, CURRENT, slack=-1), "slack: got -1"),
        (lambda: cusum(REFERENCE, CURRENT, alpha=2), "alpha: got 2"),
        (lambda: cusum_limit(1), "false_every: got 1"),
        (lambda: threshold_run_length(1), "false_every: got 1"),
        (lambda: run_length(slack=0.5, limit=5, shift=np.inf), "shift: got inf"),
        (lambda: run_length(slack=0.5, limit=60), "limit: got 60; it must lie strictly between 0 and 60"),
        (lambda: cusum_limit(11, slack=2.9), "slack: got 2.9; with it no limit rings as often"),
        (lambda: false_alarm_chance(1, 30), "reference: got 1; it must be a whole number, 2 at least"),
        (lambda: false_alarm_chance(20, 0), "periods: got 0"),
    ],
)
def test_bad_input_is_refused_by_name_value_and_rule(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_a_reference_that_is_constant_but_for_rounding_is_refused():
    days = pd.DataFrame({"ts": pd.date_range("2026-03-02", periods=30, tz="UTC"), "value": 0.1})
    with pytest.raises(ValueError, match=r"value: got 0.1 for all of reference"):
        cusum(days[:25], days[25:])
