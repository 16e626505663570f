"""Prices of learners: the closed forms, by period."""

import numpy as np
import pytest

from toolkit.tradeoffs.learners import exponential
from toolkit.tradeoffs.local_level import incident_cost, jump_drift, tracking_error
from toolkit.tradeoffs.prices import price_list


def one(gain):
    return {"one": lambda readings: exponential(readings, gain)}


def test_without_incidents_all_days_cost_the_closed_form():
    told = price_list(one(0.2), rate=1 / 30, size=2.0, days=1500, paths=60).iloc[0]
    assert told["all"] == pytest.approx(tracking_error(0.2, drift=jump_drift(1 / 30, 2.0)), rel=0.05)
    assert told["calm"] < told["all"] < told["jump"]
    assert np.isnan(told["incident"])


def test_in_a_still_world_all_is_calm():
    told = price_list(one(0.2), rate=0.0, size=2.0, days=1500).iloc[0]
    assert told["all"] == told["calm"] == pytest.approx(tracking_error(0.2, drift=0.0), rel=0.05)
    assert np.isnan(told["jump"])


def test_rare_incidents_add_their_rate_times_their_cost():
    rate = 1 / 200
    told = price_list(
        one(0.3), rate=0.0, size=1.0, incidents=rate, incident_days=2, incident_size=6.0, days=3000, paths=60
    ).iloc[0]
    added = rate * incident_cost(0.3, days=2, size=6.0)
    assert told["all"] - tracking_error(0.3, drift=0.0) == pytest.approx(added, rel=0.1)


def test_incidents_spoil_neither_calm_days_nor_those_after_a_jump():
    settings = {"rate": 1 / 60, "size": 1.0, "within": 4, "days": 1500, "incident_days": 5}
    none = price_list(one(0.9), **settings).iloc[0]
    # A gain of .9 has got over them within the four days that follow.
    some = price_list(one(0.9), incidents=1 / 100, incident_size=50.0, **settings).iloc[0]
    assert some["calm"] == pytest.approx(none["calm"], rel=0.1)
    assert some["jump"] == pytest.approx(none["jump"], rel=0.1)
    assert some["incident"] > 100 * some["calm"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rate": 2, "size": 1}, "rate: got 2"),
        ({"rate": 0.1, "size": 1, "incidents": -1}, "incidents: got -1"),
        ({"rate": 0.1, "size": 1, "noise": 0}, "noise: got 0"),
        ({"rate": 0.1, "size": 1, "days": 5}, "days: got 5"),
        ({"rate": 0.1, "size": 1, "within": 0}, "within: got 0"),
        ({"rate": 0.1, "size": 1, "incident_days": 0}, "incident_days: got 0"),
    ],
)
def test_bad_input_is_refused_by_name_value_and_rule(settings, message):
    with pytest.raises(ValueError, match=message):
        price_list(one(0.2), **settings)


def test_no_learner_is_refused():
    with pytest.raises(ValueError, match="learners: got none"):
        price_list({}, rate=0.1, size=1)
