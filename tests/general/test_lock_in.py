"""Lock-in: closed forms against simulation, exact recursions, and the rules that end it."""

import numpy as np
import pytest
from scipy.stats import kstest

from toolkit.general.lock_in import (
    best_exploration,
    burial,
    exploration_cost,
    exposure_shares,
    histories,
    lock_in_loss,
    loss_over_horizon,
    worse_locked_in,
)


def near(share, n):
    """Three standard errors of a share of n histories."""
    return 3 * np.sqrt(share * (1 - share) / n)


@pytest.mark.parametrize(("better", "worse"), [(0.10, 0.05), (0.3, 0.25), (0.2, 0.2)])
def test_ranking_by_clicks_locks_the_worse_item_in_as_often_as_its_share_of_the_rates(better, worse):
    expected = worse / (better + worse)
    assert worse_locked_in(better, worse) == pytest.approx(expected)
    shown = histories(better, worse, impressions=400, paths=4_000, rng=1)
    assert (~shown[-1]).mean() == pytest.approx(expected, abs=near(expected, 4_000))
    # For ever: whoever led after the first click leads at the end.
    assert (shown[-200:] == shown[-1]).mean() > 0.999


def test_the_outline_s_numbers_of_lock_in_come_out():
    assert worse_locked_in(0.10, 0.05) == pytest.approx(1 / 3)
    assert lock_in_loss(0.10, 0.05) == pytest.approx(0.05 / 3)
    assert exploration_cost(0.10, 0.05, 0.1) == pytest.approx(0.0025)
    assert burial(0.6) == pytest.approx(2 / 3)
    assert burial(0.6, optimism=5) == pytest.approx(0.088, abs=0.0005)


@pytest.mark.parametrize("optimism", [0, 1, 5])
def test_burial_is_what_greedy_choice_by_posterior_mean_does(optimism):
    # The choice itself, step by step, with a prior of 1 + optimism clicks and 1 miss.
    rng = np.random.default_rng(0)
    clicks, misses = np.full(3_000, 1.0 + optimism), np.full(3_000, 1.0)
    alive = np.ones(3_000, dtype=bool)
    for _ in range(1_200):
        clicked = rng.random(3_000) < 0.6
        clicks += alive & clicked
        misses += alive & ~clicked
        alive &= clicks / (clicks + misses) >= 0.5
    assert (~alive).mean() == pytest.approx(burial(0.6, optimism=optimism), abs=near(0.5, 3_000))


def test_a_worse_or_equal_item_is_buried_for_sure():
    assert burial(0.5) == burial(0.3, optimism=9) == 1


def test_equal_items_shown_in_proportion_to_clicks_end_uniformly_distributed():
    # With every impression clicked, the number of showings is exactly uniform on 0 to n (Polya).
    shown = histories(1.0, 1.0, rule="in proportion to clicks", start=1, impressions=300, paths=4_000)
    shares = (shown.sum(axis=0) + np.random.default_rng(3).random(4_000)) / 301
    assert kstest(shares, "uniform").pvalue > 0.01
    assert shown.mean(axis=0).std() == pytest.approx(np.sqrt(1 / 12), abs=0.01)


def test_neither_exploration_nor_rates_alone_end_lock_in_but_both_do():
    def behind(**settings):
        return (histories(0.1, 0.05, impressions=2_000, paths=400, **settings)[-400:].mean(0) < 0.5).mean()

    third = near(1 / 3, 400)
    assert behind(exploration=0.1) == pytest.approx(1 / 3, abs=third)
    assert behind(rule="click rate") == pytest.approx(1 / 3, abs=third)
    assert behind(rule="click rate", exploration=0.1) < 0.05
    assert behind(rule="click rate", start=5) < 0.05


def test_exploration_alone_keeps_the_impressions_that_the_formula_says():
    # A locked loser is shown half of the explored impressions, a leader all others.
    shown = histories(0.1, 0.05, exploration=0.2, impressions=2_000, paths=400)[1_000:].mean(0)
    led = shown > 0.5
    assert shown[led].mean() == pytest.approx(0.9, abs=0.01)
    assert shown[~led].mean() == pytest.approx(0.1, abs=0.01)


def test_the_loss_over_a_horizon_is_that_of_its_story():
    rng = np.random.default_rng(2)
    exploration, horizon = 0.04, 5_000
    starts_wrong = rng.random(40_000) < 1 / 3
    freed = np.minimum(rng.geometric(exploration * 0.1 / 2, 40_000), horizon)
    told = exploration / 2 * 0.05 + (1 - exploration) * 0.05 * (starts_wrong * freed / horizon).mean()
    assert loss_over_horizon(0.10, 0.05, exploration, horizon) == pytest.approx(told, rel=0.03)
    assert loss_over_horizon(0.10, 0.05, 0.0, horizon) == pytest.approx(lock_in_loss(0.10, 0.05))
    # All at random: half of the difference, whoever leads. One impression: no time to be freed.
    assert loss_over_horizon(0.10, 0.05, 1.0, horizon) == pytest.approx(0.025)
    assert loss_over_horizon(0.10, 0.05, 0.4, 1) == pytest.approx(0.2 * 0.05 + 0.6 * 0.05 / 3)


@pytest.mark.parametrize("horizon", [1_000, 10_000, 1_000_000])
def test_the_best_exploration_is_the_minimum_and_near_its_square_root_law(horizon):
    best = best_exploration(0.10, 0.05, horizon)
    losses = [loss_over_horizon(0.10, 0.05, best * factor, horizon) for factor in (0.8, 1.0, 1.25)]
    assert losses[1] == min(losses)
    assert best == pytest.approx(2 * np.sqrt(1 / 3 / (0.1 * horizon)), rel=0.03)


def test_a_short_horizon_is_not_worth_exploring():
    assert best_exploration(0.10, 0.05, 10) == 0


def test_shares_are_running_means_at_a_few_impressions():
    shown = np.array([[True, False], [True, True], [False, True], [True, True]])
    table = exposure_shares(shown, points=3)
    assert table["impression"].tolist() == [1, 2, 4, 1, 2, 4]
    assert table["share"].tolist() == [1.0, 1.0, 0.75, 0.0, 0.5, 0.75]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: worse_locked_in(0.1, 0.2), "worse: got 0.2; it must not lie above better, 0.1"),
        (lambda: worse_locked_in(0.1, 0.0), r"worse: got 0.0; it must lie in \(0, 1\]"),
        (lambda: exploration_cost(0.1, 0.05, 2), r"exploration: got 2; it must lie in \[0, 1\]"),
        (lambda: burial(1.5), "rate: got 1.5"),
        (lambda: burial(0.6, optimism=-1), "optimism: got -1; it must be a whole number, 0 at least"),
        (lambda: loss_over_horizon(0.1, 0.05, 0.1, 0), "horizon: got 0"),
        (lambda: best_exploration(0.1, 0.1, 100), "worse: got 0.1; it must lie below better"),
        (lambda: histories(0.1, 0.05, rule="hope"), "rule: got 'hope'; it must be one of most clicks"),
        (lambda: histories(0.1, 0.05, start=0.5), "start: got 0.5"),
        (lambda: histories(0.1, 0.05, paths=0), "paths: got 0"),
    ],
)
def test_bad_settings_are_refused_by_name_value_and_rule(call, message):
    with pytest.raises(ValueError, match=message):
        call()
