"""A ramp-up: the published turn-round in expectation, simulated logs against it, refusals."""

import pytest

from toolkit.experiments.ramp_up import by_first_share, ramped, tables
from toolkit.experiments.simpson import simpson


def test_the_published_ramp_up_turns_round():
    # Crook et al. (2009): 1% then 50% treated, 2.02% then 1% base, better by .28 and .20 points.
    friday, saturday = 20_000 / 990_000, 0.01
    assert 0.023 - friday == pytest.approx(0.0028, abs=5e-5)
    told = ramped([0.01, 0.5], [friday, saturday], lift=0.2)
    assert told["pooled_relative"] == pytest.approx(-0.27, abs=0.01)
    assert told["stratified_relative"] == pytest.approx(0.2)


@pytest.mark.parametrize(("shares", "bases"), [([0.3, 0.3], [0.2, 0.05]), ([0.01, 0.5], [0.1, 0.1])])
def test_equal_shares_or_equal_days_have_nothing_to_turn(shares, bases):
    told = ramped(shares, bases, lift=0.1)
    assert told["pooled_relative"] == pytest.approx(told["stratified_relative"]) == pytest.approx(0.1)


def test_pooling_flatters_where_the_second_day_is_the_better_one():
    lifts = by_first_share([0.05], second_base=2.0, lift=0.1).set_index("analysis")["lift"]
    assert lifts["pooled"] > 0.3
    assert lifts["within days"] == pytest.approx(0.1)


def test_simulated_logs_are_what_the_expectation_says():
    shares, bases = [0.05, 0.5], [0.2, 0.1]
    logs = tables(shares, bases, lift=0.2, users=20_000, a_day=60_000)
    finding = simpson(logs["serving_log"], logs["outcomes"])
    told = ramped(shares, bases, lift=0.2)
    assert finding.ci[0] < told["pooled"] - told["stratified"] < finding.ci[1]
    assert finding.p < 1e-6
    even = tables([0.5, 0.5], bases, lift=0.2, users=20_000, a_day=60_000)
    assert simpson(even["serving_log"], even["outcomes"]).p > 0.05
    by_user = logs["serving_log"].groupby("user_id")["arm"].agg(["first", "last"])
    assert not ((by_user["first"] == "treatment") & (by_user["last"] == "control")).any()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ramped([0.5], [0.1, 0.1], lift=0), "bases: got 2 days; there must be as many as shares, 1"),
        (lambda: ramped([], [], lift=0), "bases: got 0 days"),
        (lambda: ramped([1.0], [0.1], lift=0), r"shares: got 1.0; it must lie in \(0, 1\)"),
        (lambda: ramped([0.5], [0.0], lift=0), r"bases: got 0.0; it must lie in \(0, 1\]"),
        (lambda: ramped([0.5], [0.9], lift=0), "bases: got 0.9; .* a chance would pass 1"),
        (lambda: ramped([0.5], [0.1], lift=-1), "lift: got -1"),
        (lambda: tables([0.5], [0.1], lift=0, users=1), "users: got 1"),
        (lambda: tables([0.5], [0.1], lift=0, a_day=0), "a_day: got 0"),
    ],
)
def test_bad_settings_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
