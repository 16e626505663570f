"""Retraining under answers: the map's limits, what senders leave of a gain, and that it all turns off."""

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import brentq, minimize_scalar
from scipy.stats import norm

from toolkit import tables
from toolkit.general.strategic import (
    after_launch,
    best_model,
    flagged_share,
    own_error,
    retrain,
    senders,
    stable_model,
    weeks_of_messages,
)
from toolkit.world.policies import fit_logistic


def test_retraining_converges_to_the_stable_model_which_is_not_the_best():
    models = retrain(0.2, 0.3, rounds=60)
    assert models[-1] == pytest.approx(0.2857, abs=5e-5)
    assert models[-1] == pytest.approx(stable_model(0.2, 0.3))
    # Each retrain leaves the share epsilon of the distance.
    gaps = models - stable_model(0.2, 0.3)
    assert gaps[1:10] / gaps[:9] == pytest.approx(np.full(9, 0.3))
    assert best_model(0.2, 0.3) == pytest.approx(0.5)


def test_the_best_model_has_the_least_error_on_the_data_that_it_makes():
    found = minimize_scalar(lambda theta: own_error(theta, 0.2, 0.3), bounds=(-0.9, 0.9), method="bounded")
    assert found.x == pytest.approx(best_model(0.2, 0.3), abs=1e-5)
    assert own_error(stable_model(0.2, 0.3), 0.2, 0.3) == pytest.approx(0.25 - stable_model(0.2, 0.3) ** 2)


def test_least_squares_on_the_coins_of_a_model_is_the_next_model():
    rng = np.random.default_rng(0)
    x = rng.choice([-1.0, 1.0], 400_000)
    y = rng.random(400_000) < 0.5 + (0.2 + 0.3 * 0.4) * x
    fitted = (x * (y - 0.5)).mean()
    assert fitted == pytest.approx(retrain(0.2, 0.3, start=0.4, rounds=1)[1], abs=3 * 0.5 / 400_000**0.5)
    assert ((y - 0.5 - 0.4 * x) ** 2).mean() == pytest.approx(own_error(0.4, 0.2, 0.3), abs=0.001)


@pytest.mark.parametrize(
    ("sensitivity", "settles"), [(0.95, True), (-0.95, True), (1.05, False), (-1.05, False)]
)
def test_retraining_settles_exactly_where_the_sensitivity_is_smaller_than_one(sensitivity, settles):
    steps = np.abs(np.diff(retrain(0.2, sensitivity, rounds=200)))
    assert (steps[-1] < 1e-4) == settles


def test_the_flagged_share_falls_from_phi_to_phi_less_the_budget():
    assert flagged_share(0.7) == pytest.approx(norm.cdf(1 - 0.7))
    assert flagged_share(0.7, budget=0.4) == pytest.approx(norm.cdf(1 - 0.7 - 0.4))
    half = (norm.cdf(0.3) + norm.cdf(-0.1)) / 2
    assert flagged_share(0.7, budget=0.4, strategic=0.5) == pytest.approx(half)


def test_simulated_senders_leave_the_share_that_the_formula_says():
    sent = senders(messages=100_000, users=100_000, bad=1.0, strategic=0.6, budget=0.5, threshold=1.2)
    caught = (sent["score"] >= 1.2).mean()
    assert caught == pytest.approx(flagged_share(1.2, budget=0.5, strategic=0.6), abs=0.006)
    # They are now where they weren't: between the threshold and a tenth below it.
    plain = senders(messages=100_000, users=100_000, bad=1.0, budget=0.0, threshold=1.2)
    gathered = sent["score"].between(1.1, 1.2).mean() - plain["score"].between(1.1, 1.2).mean()
    assert gathered == pytest.approx((plain["score"] >= 1.2).mean() - caught, abs=0.005)


def test_the_launch_catches_what_two_independent_features_catch():
    week = after_launch(budget=1, strategic=1, mutable=True, retrained=True).iloc[0]
    assert week["caught"] == pytest.approx(norm.cdf(np.sqrt(2) - norm.isf(0.05)))
    assert week["before"] == pytest.approx(norm.cdf(1 - norm.isf(0.05)))


def test_without_retraining_a_changed_feature_ends_below_the_old_model_and_the_holdout_does_not_see_it():
    told = after_launch(budget=1, strategic=1, mutable=True, retrained=False)
    # Senders lower the new feature by its weight in the score, 1 / sqrt(2).
    expected = norm.cdf((1 + (1 - 0.5**0.5)) / 2**0.5 - norm.isf(0.05))
    assert told["caught"].iloc[1:].to_numpy() == pytest.approx(np.full(12, expected))
    assert expected < told["before"].iloc[0]
    assert (told["holdout"] == told["caught"].iloc[0]).all()


def test_retraining_settles_at_the_fixed_point_of_its_own_map():
    told = after_launch(budget=0.8, strategic=0.5, mutable=True, retrained=True, weeks=60)
    fixed = brentq(lambda w: 1 - 0.5 * 0.8 * w / np.hypot(1, w) - w, 0, 1)
    assert told["weight"].iloc[-1] == pytest.approx(fixed, abs=1e-6)
    assert told["before"].iloc[0] < told["caught"].iloc[-1] < told["holdout"].iloc[0]


def test_a_large_budget_makes_model_and_senders_chase_each_other():
    told = after_launch(budget=2, strategic=1, mutable=True, retrained=True, weeks=60)
    assert told["caught"].tail(4).max() - told["caught"].tail(4).min() > 0.2


@pytest.mark.parametrize(
    "off", [{"mutable": False}, {"budget": 0}, {"strategic": 0}], ids=["immutable", "no budget", "nobody"]
)
@pytest.mark.parametrize("retrained", [False, True])
def test_the_gain_persists_where_senders_cannot_do_not_or_need_not_answer(off, retrained):
    settings = {"budget": 1, "strategic": 1, "mutable": True, "retrained": retrained, **off}
    told = after_launch(**settings)
    assert told["caught"].to_numpy() == pytest.approx(np.full(13, told["caught"].iloc[0]))


def test_messages_have_the_tables_columns_and_their_labels():
    log, labels = weeks_of_messages(weeks=3, messages=200)
    assert tables.problems(labels, "outcomes").empty
    ours = {"request_id", "user_id", "item_id", "ts", "f_links", "f_account_age"}
    assert set(log.columns) == ours
    wrong = tables.problems(log, "serving_log")
    assert set(wrong["rule"]) == {"it is missing"}, "only columns that these messages don't need are missing"


def test_only_bad_messages_of_senders_who_have_learned_move_and_by_the_budget():
    moved, labels = weeks_of_messages(weeks=4, messages=20_000, users=50_000, pace=0.25, rng=3)
    still = weeks_of_messages(weeks=4, messages=20_000, users=50_000, pace=0.25, budget=0.0, rng=3)[0]
    bad = labels["y"].to_numpy() == 1
    by = (still["f_links"] - moved["f_links"]).round(9)
    assert (by[~bad] == 0).all()
    assert set(by[bad]) == {0.0, 1.0}
    # A quarter of those who haven't yet learns each week, from the second on: .8 (1 - .75^week) have.
    week = np.repeat(np.arange(4), 20_000)
    for one in range(4):
        share, n = 0.8 * (1 - 0.75**one), (bad & (week == one)).sum()
        assert by[bad & (week == one)].mean() == pytest.approx(
            share, abs=4 * (share * (1 - share) / n) ** 0.5
        )
    weights = fit_logistic(still[["f_links", "f_account_age"]], labels["y"], penalty=0.0)
    assert weights == pytest.approx([-2, 1, 1], abs=0.05)


def test_without_a_budget_messages_don_t_change():
    first = weeks_of_messages(budget=0.0, rng=5)[0]
    assert (first["f_links"].groupby(first["ts"].dt.isocalendar().week).mean().abs() < 0.08).all()
    second = weeks_of_messages(budget=0.0, strategic=0.0, rng=5)[0]
    pd.testing.assert_frame_equal(first, second)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: retrain(0.2, np.inf), "sensitivity: got inf; it must be a finite number"),
        (lambda: retrain(0.2, 0.3, rounds=0), "rounds: got 0"),
        (lambda: stable_model(0.2, 1), "sensitivity: got 1; it must lie strictly between -1 and 1"),
        (lambda: best_model(0.2, 0.5), "sensitivity: got 0.5; it must lie below 0.5"),
        (lambda: own_error(1.5, 0.2, 0.3), r"theta: got 1.5; the chance 1/2 \+ 0.65"),
        (lambda: flagged_share(1, budget=-1), "budget: got -1; it must not be negative"),
        (lambda: flagged_share(1, strategic=2), "strategic: got 2"),
        (lambda: after_launch(budget=-1, strategic=1, mutable=True, retrained=True), "budget: got -1"),
        (lambda: after_launch(budget=1, strategic=1, mutable=True, retrained=True, gain=0), "gain: got 0"),
        (lambda: after_launch(budget=1, strategic=1, mutable=True, retrained=True, weeks=0), "weeks: got 0"),
        (lambda: flagged_share(np.nan), "threshold: got nan"),
        (lambda: senders(threshold=np.inf), "threshold: got inf"),
        (lambda: weeks_of_messages(budget=-1), "budget: got -1; it must not be negative"),
        (lambda: senders(messages=0), "messages: got 0"),
        (lambda: senders(budget=-1), "budget: got -1"),
        (lambda: weeks_of_messages(pace=2), "pace: got 2"),
        (lambda: weeks_of_messages(weeks=1.5), "weeks: got 1.5"),
    ],
)
def test_bad_settings_are_refused_by_name_value_and_rule(call, message):
    with pytest.raises(ValueError, match=message):
        call()
