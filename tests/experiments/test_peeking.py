"""The audit of a watched test: Pocock's constants, the recursion's chances, its level by simulation, refusals."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import kstest, norm

from toolkit.experiments.group_sequential import crossing
from toolkit.experiments.peeking import peeking_audit


def looks_table(z, start="2026-03-02"):
    shares = np.arange(1, len(z) + 1) / len(z)
    se = 0.01 / np.sqrt(shares)
    days = pd.date_range(start, periods=len(z), tz="UTC")
    return pd.DataFrame({"ts": days, "estimate": z * se, "se": se})


def test_the_audit_s_interval_is_pocock_s_and_its_luck_the_recursion_s():
    finding = peeking_audit(looks_table(np.full(5, 2.0)))
    assert (finding.ci[1] - finding.estimate) / finding.se == pytest.approx(2.413, abs=0.0006)
    assert "14.2% of the time" in finding.verdict
    assert "does not hold" in finding.verdict
    assert "only if look 5 was to be the end" in finding.verdict
    assert finding.table["significant_alone"].all()
    assert not finding.table["significant_together"].any()


def test_planned_looks_count_before_they_happen():
    three = looks_table(np.full(5, 2.0)).head(3)
    finding = peeking_audit(three, planned=5)
    assert (finding.ci[1] - finding.estimate) / finding.se == pytest.approx(2.413, abs=0.0006)
    assert "After 3 of 5 looks" in finding.verdict
    assert "14.2% of the time" in finding.verdict
    assert "planned" not in finding.verdict
    assert finding.p == pytest.approx(crossing([2.0] * 5)["stopped"].iloc[-1], abs=1e-9)
    by_information = peeking_audit(three, planned=[4 / 3, 5 / 3])
    assert by_information.ci == pytest.approx(finding.ci)
    assert list(finding.table["information"]) == pytest.approx([0.2, 0.4, 0.6])
    assert peeking_audit(three, planned=3).ci == pytest.approx(peeking_audit(three).ci)


def test_one_look_is_left_as_it_is():
    finding = peeking_audit(looks_table(np.array([2.1])))
    assert finding.p == pytest.approx(2 * norm.sf(2.1), abs=1e-9)
    assert (finding.ci[1] - finding.estimate) / finding.se == pytest.approx(norm.isf(0.025), abs=1e-6)
    assert "5.0% of the time" in finding.verdict


def test_hourly_looks_with_quiet_nights_are_audited_like_any_others():
    information = np.cumsum(np.tile(np.r_[np.full(8, 0.002), np.ones(16)], 2))
    information /= information[-1]
    se = 0.01 / np.sqrt(information)
    days = pd.date_range("2026-03-02", periods=len(se), freq="h", tz="UTC")
    finding = peeking_audit(pd.DataFrame({"ts": days, "estimate": 2.2 * se, "se": se}))
    walks = np.cumsum(np.sqrt(np.diff(information, prepend=0)) * normal_draws(40_000, len(se)), axis=1)
    largest = np.abs(walks / np.sqrt(information)).max(axis=1)
    constant = (finding.ci[1] - finding.estimate) / finding.se
    assert (largest >= constant).mean() == pytest.approx(0.05, abs=3.5 * np.sqrt(0.05 * 0.95 / 40_000))
    assert finding.p == pytest.approx((largest >= 2.2).mean(), abs=3.5 * 0.5 / 200)


def normal_draws(tests, looks):
    return np.random.default_rng(2).normal(size=(tests, looks))


def fortnights(tests=40_000):
    """Z-statistics of tests without effect at fourteen looks."""
    return np.cumsum(normal_draws(tests, 14), axis=1) / np.sqrt(np.arange(1, 15))


def boundary(finding):
    """The z-statistic at which the audit's interval begins to leave out 0."""
    return (finding.ci[1] - finding.estimate) / finding.se


def test_watched_tests_keep_the_level_and_their_interval_covers_wherever_they_stop():
    z = fortnights()
    error = 3.5 * np.sqrt(0.05 * 0.95 / len(z))
    constant = boundary(peeking_audit(looks_table(z[0])))
    # The interval leaves out 0 at some of the looks in 5% of the tests: whoever stops there is in them.
    assert (np.abs(z) >= constant).any(axis=1).mean() == pytest.approx(0.05, abs=error)
    for path in z[:25]:
        finding = peeking_audit(looks_table(path))
        assert boundary(finding) == pytest.approx(constant)
        assert list(finding.table["significant_together"]) == list(np.abs(path) >= constant)
        assert (finding.p <= 0.05) == (abs(path[-1]) >= constant)


def test_a_test_stopped_when_it_looked_significant_keeps_the_level_if_all_planned_looks_count():
    z = fortnights()
    crossed = np.abs(z) >= norm.isf(0.025)
    at = np.where(crossed.any(axis=1), crossed.argmax(axis=1), 13)
    stopped = np.abs(z[np.arange(len(z)), at])
    tables = [looks_table(np.ones(14)).head(look) for look in range(1, 15)]
    planned = np.array([boundary(peeking_audit(table, planned=14)) for table in tables])
    so_far = np.array([boundary(peeking_audit(table)) for table in tables])
    # The level is kept with room to spare, as stopping is early; by the looks so far alone it isn't.
    assert (stopped >= planned[at]).mean() <= 0.05
    assert (stopped >= so_far[at]).mean() > 0.08
    # Stopped at the planned boundary itself, the level is met.
    assert (np.abs(z) >= planned).any(axis=1).mean() == pytest.approx(0.05, abs=0.004)


def test_p_is_the_chance_of_a_look_as_extreme_as_the_last():
    # Three looks, unevenly spaced, by simulation; one look, by hand.
    se = 0.01 / np.sqrt([0.2, 0.9, 1.0])
    days = pd.date_range("2026-03-02", periods=3, tz="UTC")
    steps = normal_draws(200_000, 3) * np.sqrt([0.2, 0.7, 0.1])
    largest = np.abs(np.cumsum(steps, axis=1) / np.sqrt([0.2, 0.9, 1.0])).max(axis=1)
    for last in (0.5, 1.5, 2.5):
        table = pd.DataFrame({"ts": days, "estimate": last * se, "se": se})
        expected = (largest >= last).mean()
        assert peeking_audit(table).p == pytest.approx(expected, abs=3.5 * 0.5 / 200_000**0.5)
    one = [peeking_audit(looks_table(z)).p for z in normal_draws(200, 1)]
    assert kstest(one, "uniform").pvalue > 0.01


LOOKS = looks_table(np.ones(3))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: peeking_audit(LOOKS.drop(columns="se")), "looks: got columns .*; it must have se"),
        (lambda: peeking_audit(LOOKS.iloc[:0]), "looks: got no row"),
        (lambda: peeking_audit(pd.concat([LOOKS, LOOKS])), "ts: got .* twice; one row a look"),
        (lambda: peeking_audit(LOOKS.assign(se=[1.0, 0.5, 0.6])), "se: got 0.5 and then 0.6; it must fall"),
        (
            lambda: peeking_audit(LOOKS.assign(se=[1.0, 0.5, 0.0])),
            "se: got 0.0; standard errors must be positive",
        ),
        (lambda: peeking_audit(LOOKS.assign(estimate=[1.0, np.nan, 1.0])), "estimate: got 1 missing of 3"),
        (lambda: peeking_audit(LOOKS.assign(estimate=[1.0, np.inf, 1.0])), "estimate: got inf in looks"),
        (lambda: peeking_audit(LOOKS, alpha=0), "alpha: got 0"),
        (lambda: peeking_audit(LOOKS, planned=2), "planned: got 2; it must be a whole number, 3 at least"),
        (
            lambda: peeking_audit(LOOKS, planned=[0.9]),
            r"planned: got \[0.9\]; information must ascend from 1",
        ),
        (lambda: peeking_audit([1, 2]), "looks: got list; it must be a frame"),
    ],
)
def test_bad_input_is_refused_by_name_value_and_rule(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("size", [30.0, 1e9])
def test_an_estimate_far_beyond_any_bound_is_told_at_once(size):
    days = pd.DataFrame({"ts": range(4), "estimate": size, "se": 1 / np.sqrt(np.arange(1, 5))})
    assert 0 <= peeking_audit(days).p < 1e-80
