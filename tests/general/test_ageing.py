"""A model's age against simulation, quadrature and hand computation; the price of retraining."""

import numpy as np
import pytest
from scipy.integrate import quad

from toolkit.auc import auc
from toolkit.general.ageing import (
    aged_auc,
    average_auc,
    median_split_auc,
    retraining_costs,
    sawtooth,
    usable_age,
)


def test_fresh_and_one_half_life_old_are_the_outline_s_numbers():
    assert aged_auc(0.7, age=0, half_life=6) == pytest.approx(0.830, abs=0.0005)
    assert aged_auc(0.7, age=6, half_life=6) == pytest.approx(0.659, abs=0.0005)


@pytest.mark.parametrize("correlation", [-0.4, 0.35, 0.7, 0.95])
def test_the_median_split_s_area_is_that_of_simulated_pairs(correlation):
    rng = np.random.default_rng(1)
    quantity, noise = rng.normal(size=(2, 200_000))
    score = correlation * quantity + np.sqrt(1 - correlation**2) * noise
    # Four standard errors of an AUC of 100,000 against 100,000.
    assert median_split_auc(correlation) == pytest.approx(auc(quantity > 0, score), abs=0.0052)


def test_a_score_that_knows_all_or_nothing_is_perfect_or_a_coin():
    assert median_split_auc([0.0, 1.0, -1.0]).tolist() == pytest.approx([0.5, 1.0, 0.0])
    assert aged_auc(0.7, age=1e6, half_life=6) == pytest.approx(0.5)


@pytest.mark.parametrize(("period", "delay"), [(24, 0), (1, 12), (168, 6)])
def test_the_average_over_the_sawtooth_is_the_integral(period, delay):
    area, _ = quad(lambda age: aged_auc(0.7, age=age, half_life=6), delay, delay + period, limit=200)
    assert average_auc(0.7, half_life=6, period=period, delay=delay) == pytest.approx(area / period, abs=1e-7)


def test_slow_quality_or_frequent_training_costs_nothing():
    fresh = median_split_auc(0.7)
    assert average_auc(0.7, half_life=1e9, period=168) == pytest.approx(fresh, abs=1e-6)
    assert average_auc(0.7, half_life=6, period=1e-6) == pytest.approx(fresh, abs=1e-6)


def test_the_usable_age_is_where_the_curve_is_at_the_least():
    age = usable_age(0.7, half_life=6, least=0.7)
    assert aged_auc(0.7, age=age, half_life=6) == pytest.approx(0.7)
    assert np.isnan(usable_age(0.3, half_life=6, least=0.7))


def test_the_sawtooth_jumps_at_each_replacement_and_starts_fresh():
    path = sawtooth(0.7, half_life=6, period=24, delay=3, until=60)
    assert path["age"].min() == 3
    assert path["age"].max() == 27
    assert path["time"].is_monotonic_increasing
    jumps = path[path["time"].duplicated(keep=False)]
    assert jumps["time"].unique().tolist() == [24, 48]
    assert jumps["age"].tolist() == [27, 3, 27, 3]
    whole = sawtooth(0.7, half_life=6, period=24, until=48)
    assert whole["age"].iloc[-1] == 24
    assert (whole["time"] == 48).sum() == 1


def test_the_price_of_a_period_by_hand():
    # A straight loss of .02 an age: the mean over 0 to 3 is .03; over 1 to 4 it is .05.
    ages, losses = [0, 1, 5], [0.0, 0.02, 0.10]
    costs = retraining_costs(ages, losses, periods=[3], value=100, cost=6)
    assert costs.iloc[0].tolist() == pytest.approx([3, 0.03, 3.0, 2.0, 5.0])
    later = retraining_costs(ages, losses, periods=[3], value=100, cost=6, delay=1)
    assert later["loss"][0] == pytest.approx(0.05)


def test_losses_of_whole_days_are_averaged_over_the_days_served():
    # Days 0, 1, 2 and 4 were measured; day 3 lies half way between its neighbours.
    told = retraining_costs(
        [0, 1, 2, 4], [0.0, 0.2, 0.3, 0.5], periods=[1, 2, 5], value=1, cost=0, width=1, delay=0
    )
    assert told["loss"].tolist() == pytest.approx([0, 0.1, (0.2 + 0.3 + 0.4 + 0.5) / 5])
    late = retraining_costs(
        [0, 1, 2, 4], [0, 0.2, 0.3, 0.5], periods=[1.5], value=1, cost=0, width=1, delay=1
    )
    assert late["loss"].tolist() == pytest.approx([(0.2 + 0.3 / 2) / 1.5])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: median_split_auc(1.2), r"correlation: got 1.2; it must lie in \[-1, 1\]"),
        (lambda: aged_auc(0.7, age=-1, half_life=1), "age: got -1.0; it must not be negative"),
        (lambda: aged_auc(0.7, age=1, half_life=0), "half_life: got 0; it must lie above 0"),
        (lambda: average_auc(0.7, half_life=1, period=0), "period: got 0; it must lie above 0"),
        (lambda: average_auc(0.7, half_life=1, period=1, delay=-1), "delay: got -1"),
        (lambda: usable_age(0.7, half_life=1, least=0.5), "least: got 0.5; it must lie strictly between"),
        (lambda: sawtooth(0.7, half_life=1, period=1, until=0), "until: got 0"),
        (lambda: retraining_costs([0], [0], periods=[1], value=1, cost=1), "ages: got .* two at least"),
        (lambda: retraining_costs([0, 2, 1], [0, 0, 0], periods=[1], value=1, cost=1), "they must ascend"),
        (lambda: retraining_costs([0, 2], [0, 1], periods=[0], value=1, cost=1), "periods: got .* positive"),
        (lambda: retraining_costs([0, 2], [0, 1], periods=[3], value=1, cost=1), "measured from 0 to 2"),
        (lambda: retraining_costs([0, 2], [0, 1], periods=[1], value=-1, cost=1), "value: got -1"),
        (lambda: retraining_costs([0, 2], [0, 1], periods=[1], value=1, cost=np.nan), "cost: got nan"),
        (lambda: retraining_costs([0, 2], [0, np.nan], periods=[1], value=1, cost=1), "losses: got nan"),
        (
            lambda: retraining_costs([0, 2], [0, 1], periods=[4], value=1, cost=1, width=1),
            "periods: got ages from 0 to 4; the curve was measured from 0 to 3",
        ),
        (lambda: sawtooth(0.7, half_life=2, period=1, until=2, points=1), "points: got 1"),
        (lambda: aged_auc(2.0, age=1, half_life=2), "correlation: got 2.0; it must lie"),
    ],
)
def test_bad_settings_are_refused_by_name_value_and_rule(call, message):
    with pytest.raises(ValueError, match=message):
        call()
