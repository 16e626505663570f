"""FooBar's ranker earns on fresh rates and not on late ones, and its shadow log is one that a company can write."""

import numpy as np
import pandas as pd
import pytest

from toolkit.general.shadow_logs import (
    deployed,
    exploration_price,
    lift,
    lifts_by_lateness,
    rate_read,
    shadow_log,
)
from toolkit.intro import ab_test
from toolkit.tables import SCHEMA, validate_all
from toolkit.world import Settings, logs, simulate
from toolkit.world.features import rate_at
from toolkit.world.serving import served_by_old
from toolkit.world.slates import live

TRAINED, SERVED = range(17, 31), range(31, 45)


def world_of(seed=0, **settings):
    return simulate(Settings(items=50, **settings), rng=seed)


@pytest.fixture(scope="module", params=[0, 1, 2])
def fast(request):
    return world_of(request.param, half_life=0.25)


def test_where_items_change_within_hours_the_late_pilot_loses_and_the_fresh_build_much(fast):
    told = lifts_by_lateness(fast, SERVED, trained_on=TRAINED).set_index("days_late")["lift"]
    assert told[0] > 0.15
    assert told[1] < -0.02
    assert told[2] < 0


def test_it_goes_away_where_items_change_slowly_or_not_at_all():
    slow = lifts_by_lateness(world_of(half_life=3.0), SERVED, trained_on=TRAINED).set_index("days_late")[
        "lift"
    ]
    assert slow[1] > 0.1
    still = lifts_by_lateness(world_of(quality_weight=0.0), SERVED, trained_on=TRAINED)["lift"]
    # Nothing changes: a later reading is as good, and four weeks of clicks are better than a day's.
    assert np.ptp(still) < 0.01
    assert (still < 0).all()


def test_the_lift_is_the_mean_chance_of_what_would_be_shown(fast):
    old, new = served_by_old(fast, range(40, 41)), deployed(fast, range(40, 41), trained_on=TRAINED, late=0)
    requests = np.arange(fast.settings.requests)
    assert (new.best != old.best).any()
    earned = [fast.p[40][requests, one.best].mean(dtype=float) for one in (new, old)]
    assert lift(new, old) == pytest.approx(earned[0] / earned[1] - 1)
    assert lift(old, old) == 0


def test_an_a_b_test_of_the_pilot_measures_the_lift_within_its_interval(fast):
    arms = {
        "control": served_by_old(fast, SERVED),
        "treatment": deployed(fast, SERVED, trained_on=TRAINED, late=1),
    }
    assigned = logs.assignments(fast, "pilot", SERVED, rng=1)
    found = ab_test(logs.serving_log(arms, assigned), logs.outcomes(arms, assigned))
    assert abs(found.estimate - lift(arms["treatment"], arms["control"])) < 3.5 * found.se


def test_rates_are_read_as_many_days_late_as_each_request_says():
    world = simulate(Settings(items=50, requests=60, days=6))
    slates = live(world, range(3, 5))
    late = np.arange(120) % 3
    read = rate_read(slates, late)
    for row in (0, 1, 2, 59, 60, 119):
        day, request = slates.day[row, 0], slates.request[row, 0]
        expected = rate_at(world, int(day), as_of=True, lag=int(late[row]))[request]
        assert (read[row] == expected).all()
    assert (rate_read(slates, 1) == np.vstack([rate_at(world, d, as_of=True, lag=1) for d in (3, 4)])).all()


def test_the_shadow_log_is_two_of_the_nine_tables_with_features_of_its_own():
    world = simulate(Settings(items=50, requests=200, days=6))
    log, outcomes = shadow_log(world, range(3, 6), late=(0, 1, 2))
    validate_all({"serving_log": log, "outcomes": outcomes})
    extra = set(log) - set(SCHEMA["serving_log"].column)
    assert all(name.startswith("f_") for name in extra)
    assert {"f_rate_daily", "f_rate_stream", "f_stream_age"} <= extra
    assert sorted(log["f_stream_age"].unique()) == [0, 1, 2]
    # Where the stream is a day late it says what the daily job says.
    day_late = log[log["f_stream_age"] == 1]
    assert (day_late["f_rate_stream"] == day_late["f_rate_daily"]).all()
    plain = logs.serving_log({"control": served_by_old(world, range(3, 6))})
    pd.testing.assert_frame_equal(log[list(plain)], plain)
    again, _ = shadow_log(world, range(3, 6), late=(0, 1, 2))
    pd.testing.assert_frame_equal(again, log)


def test_training_after_serving_and_a_lateness_that_is_none_are_refused(fast):
    with pytest.raises(ValueError, match="late: got -1; it must be a whole number"):
        deployed(fast, SERVED, trained_on=TRAINED, late=-1)
    with pytest.raises(
        ValueError, match=r"trained_on: got range\(17, 32\); it must end before range\(31, 45\)"
    ):
        deployed(fast, SERVED, trained_on=range(17, 32), late=1)


def test_the_price_of_exploration_is_what_the_simulation_knows_it_to_be(fast):
    log, outcomes = shadow_log(fast, SERVED)
    old = served_by_old(fast, SERVED)
    best = np.take_along_axis(old.slates.p, old.best[:, None], 1).mean(dtype=float)
    by_chance = old.slates.p.mean(dtype=float)
    expected = fast.settings.exploration * (1 - by_chance / best)
    # The explored rows are some 1,400: their mean label is off by a hundredth or so.
    assert exploration_price(log, outcomes) == pytest.approx(expected, abs=0.005)
    with pytest.raises(ValueError, match=r"explored: got 0 of 28,000 rows; some must be, and some not"):
        exploration_price(log.assign(explored=False), outcomes)
