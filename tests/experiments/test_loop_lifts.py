"""Lifts and prices of the closed loop: the outline's table, both directions, prices by hand, negative controls."""

from dataclasses import replace

import numpy as np
import pytest

from toolkit.experiments.loop_lifts import (
    by_day,
    compared,
    lift_by_day,
    lift_error,
    mean_lift,
    price,
)
from toolkit.experiments.training_loop import Experiment, run

TURNED = Experiment(traffic=0.5, effect=1.0, belief=-1.0, control="learns")


@pytest.mark.parametrize(("share", "lift"), [(0.01, -0.023), (0.05, 0.026), (0.25, 0.096), (1.0, 0.136)])
def test_the_outline_s_lifts_come_out(share, lift):
    # Its own spread over worlds is about half a point.
    assert mean_lift(Experiment(traffic=share)) == pytest.approx(lift, abs=0.012)


def test_the_first_day_is_the_same_at_every_share():
    firsts = {lift_by_day(Experiment(traffic=share))[0] for share in (0.01, 0.25, 1.0)}
    assert len(firsts) == 1
    assert firsts.pop() == pytest.approx(-0.042, abs=0.01)


def test_without_a_mistake_the_share_decides_nothing():
    harmless = Experiment(effect=0.0, spread=0.0)
    lifts = [mean_lift(replace(harmless, traffic=share)) for share in (0.01, 0.25, 1.0)]
    assert np.ptp(lifts) < 0.025
    assert min(lifts) > 0.2


def test_control_s_data_hold_up_what_a_launch_drops():
    says, brings = mean_lift(TURNED), mean_lift(TURNED, launch=True)
    assert says > 0.02
    assert brings < -0.1
    # The launched company is compared with one in which nobody has ever seen the new model.
    new = run(replace(TURNED, traffic=1.0))
    old = run(replace(TURNED, traffic=0.0))
    by_hand = sum(day.value_new for day in new) / sum(day.value_old for day in old) - 1
    assert brings == pytest.approx(by_hand)
    assert lift_by_day(TURNED, launch=True)[0] == pytest.approx(lift_by_day(TURNED)[0])


def test_prices_are_those_of_the_days_values():
    experiment = Experiment(traffic=0.2, exploration=0.1, warm_up=1, requests=2000, days=3)
    days = run(experiment)
    lost, usual = 0.0, [day.value_old for day in days]
    for day, share in zip(days, (0.25, 0.2, 0.2, 0.2), strict=True):
        chosen = share * day.value_new + (1 - share) * day.value_old
        lost += day.value_old - 0.9 * chosen - 0.1 * day.value_random
    assert price(experiment) == pytest.approx(lost / np.mean(usual))


def test_where_control_learns_a_price_is_counted_from_a_company_without_the_test():
    experiment = replace(TURNED, requests=2000, days=3)
    usual = [day.value_old for day in run(replace(experiment, traffic=0.0))]
    with_test = [0.5 * day.value_new + 0.5 * day.value_old for day in run(experiment)]
    # What control learns from the test makes it another one than the company's without.
    assert [day.value_old for day in run(experiment)] != usual
    assert price(experiment) == pytest.approx((sum(usual) - sum(with_test)) / np.mean(usual))


def test_designs_stand_beside_each_other_with_their_risk():
    small = Experiment(requests=2000, days=3)
    table = compared({"as it is": small, "whole": replace(small, traffic=1.0)}).set_index("design")
    assert table["off"]["whole"] == 0
    assert table["off"]["as it is"] == pytest.approx(table["tested"].iloc[0] - table["launched"].iloc[0])
    # Worth nothing, the new model only has its mistakes: the more see it, the dearer.
    assert 0 < table["risk"]["as it is"] < table["risk"]["whole"]
    assert table["risk"]["whole"] == pytest.approx(price(replace(small, traffic=1.0, weight=0.0)))


def test_the_chart_s_rows_are_both_curves():
    small = Experiment(requests=2000, days=3)
    rows = by_day(small).set_index(["how", "day"])["lift"]
    assert rows["tested"].tolist() == lift_by_day(small).tolist()
    assert rows["launched"].tolist() == lift_by_day(small, launch=True).tolist()


def test_the_error_is_that_of_two_independent_rates():
    small = Experiment(traffic=0.25, requests=2000, days=3)
    rate = np.mean([day.value_old for day in run(small)])
    by_hand = np.sqrt((1 - rate) / rate * (1 / 1500 + 1 / 4500))
    assert lift_error(small) == pytest.approx(by_hand)
    with pytest.raises(ValueError, match=r"traffic: got 1.0; it must lie strictly between 0 and 1"):
        lift_error(replace(small, traffic=1.0))
