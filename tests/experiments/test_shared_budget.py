"""FooBar's budget: queues against a loop, measured against true lifts, the split budget, the four tables."""

import numpy as np
import pytest

from toolkit.experiments.capacity import exaggeration
from toolkit.experiments.shared_budget import Demand, by_capacity, measured_and_true, orders, tables
from toolkit.tables import validate_all

BIG = Demand(users=20_000, a_day=20_000)


def test_the_queue_is_first_come_first_served_hour_by_hour():
    demand = Demand(users=40, a_day=500, days=2, rate=0.3)
    mine = demand.treated(0.5)
    for design in ("shared", "split"):
        got = orders(demand, mine, lift=0.5, capacity=4, design=design)
        left: dict = {}
        wants = orders(demand, mine, lift=0.5)
        for at in range(len(wants)):
            key = demand.hour[at], bool(mine[demand.user[at]]) if design == "split" else None
            hour, budget = demand.hour[at], 4
            if design == "split":
                to_new = int(4 * mine.mean() * (hour + 1) + 0.5) - int(4 * mine.mean() * hour + 0.5)
                budget = to_new if key[1] else 4 - to_new
            used = left.get(key, 0)
            assert got[at] == (wants[at] and used + 1 <= budget)
            left[key] = used + bool(got[at])


def test_with_the_budget_always_used_up_the_test_shows_the_lift_and_the_launch_brings_nothing():
    told = measured_and_true(BIG, lift=0.2, capacity=8)
    assert told["exhausted"] > 0.98
    assert told["true"] == pytest.approx(0, abs=0.005)
    # 2,700 orders, half an arm: two standard errors.
    assert told["measured"] == pytest.approx(0.2, abs=0.1)


@pytest.mark.parametrize("capacity", [40, 60, 90])
def test_where_it_is_used_up_for_a_share_c_the_lift_is_exaggerated_by_1_over_1_less_c(capacity):
    told = measured_and_true(BIG, lift=0.2, capacity=capacity)
    assert 0.5 < told["exhausted"] < 0.85
    assert told["true"] == pytest.approx(told["formula"], abs=0.015)
    # Hours that only the launch exhausts make the true lift somewhat less than the formula's.
    assert told["true"] <= told["formula"] + 0.002
    assert told["measured"] / told["true"] == pytest.approx(exaggeration(told["exhausted"]), rel=0.2)


def test_hours_that_only_the_launch_exhausts_take_more_of_the_lift_than_the_formula():
    told = measured_and_true(BIG, lift=0.2, capacity=120)
    assert told["formula"] - 0.03 < told["true"] < told["formula"] - 0.01


def test_without_a_limit_both_are_the_lift():
    told = measured_and_true(BIG, lift=0.2)
    assert told["exhausted"] == 0
    assert told["measured"] == pytest.approx(0.2, abs=0.03)
    assert told["true"] == pytest.approx(0.2, abs=0.01)


@pytest.mark.parametrize("capacity", [10, 60, 90, 120, 200])
def test_a_split_budget_measures_the_truth(capacity):
    told = measured_and_true(BIG, lift=0.2, capacity=capacity, design="split")
    assert told["measured"] == pytest.approx(told["true"], abs=0.035)


def test_no_lift_is_measured_as_none():
    assert measured_and_true(BIG, lift=0.0, capacity=60)["measured"] == pytest.approx(0, abs=0.04)
    assert measured_and_true(BIG, lift=0.0, capacity=60)["true"] == 0


def test_larger_shares_keep_who_was_treated_and_seeds_repeat():
    assert (BIG.treated(0.1) <= BIG.treated(0.5)).all()
    assert BIG.treated(0.1).mean() == pytest.approx(0.1, abs=0.01)
    again = Demand(users=20_000, a_day=20_000)
    assert np.array_equal(again.at, BIG.at)
    assert not np.array_equal(Demand(users=20_000, a_day=20_000, rng=1).at, BIG.at)


def test_the_tables_are_foobar_s():
    test = tables(Demand(users=200, a_day=2_000, days=3), lift=0.2, capacity=8)
    validate_all(test)
    resources = test["resources"]
    assert (resources["used"] <= 8).all()
    assert resources["used"].sum() == test["outcomes"]["y"].sum()
    free = tables(Demand(users=200, a_day=2_000, days=3), lift=0.2)["resources"]
    assert 0.4 < (free["used"] >= free["capacity"]).mean() < 0.7
    assert (free["used"] > free["capacity"]).any()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Demand(users=1), "users: got 1; it must be a whole number, 2 at least"),
        (lambda: Demand(rate=0.5), r"rate: got 0.5; it must lie in \(0, 0.3\]"),
        (lambda: Demand(rate=0), "rate: got 0"),
        (lambda: Demand(days=0), "days: got 0"),
        (lambda: orders(BIG, True, lift=2), r"lift: got 2; it must lie in \(-1, 1\]"),
        (lambda: orders(BIG, True, lift=-1), "lift: got -1"),
        (lambda: orders(BIG, True, lift=0, capacity=0), "capacity: got 0"),
        (lambda: orders(BIG, True, lift=0, design="hope"), "design: got 'hope'"),
        (lambda: measured_and_true(BIG, lift=0, treated_share=1), "treated_share: got 1"),
        (lambda: BIG.treated(2), "treated_share: got 2"),
    ],
)
def test_bad_settings_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_the_sweep_has_each_budget_s_two_lifts():
    demand = Demand(users=500, a_day=2_000, days=2)
    table = by_capacity(0.2, "split", capacities=(4, 20), demand=demand)
    told = measured_and_true(demand, lift=0.2, capacity=4, design="split")
    assert table["lift"].tolist()[:2] == [told["measured"], told["true"]]
