"""A replay earns what the policy would have earned, and costs as many rows a step as there are actions."""

import functools
from functools import cache

import numpy as np
import polars as pl
import pytest

from toolkit.shipping.replay import CountingPolicy, live, replay, rows_for, uniform_log

STEPS, REWARDS = 6, (0.3, 0.7)


class Restarting:
    """A policy that begins anew after some steps, and keeps what each run earned."""

    def __init__(self, make, steps):
        self.make, self.steps, self.runs = make, steps, [[]]
        self.policy, self.chosen = make(), []

    def choose(self, context):
        return self.policy.choose(context)

    def learn(self, context, action, reward):
        self.policy.learn(context, action, reward)
        self.runs[-1].append(reward)
        self.chosen.append(action)
        if len(self.runs[-1]) == self.steps:
            self.runs.append([])
            self.policy = self.make()


@cache
def expected(left, state=((1.0, 2.0), (1.0, 2.0))):
    """What the greedy policy with prior (0.5, 2) earns in so many steps, over all that may come."""
    if not left:
        return 0.0
    means = [total / rows for total, rows in state]
    best = means.index(max(means))

    def after(reward):
        total, rows = state[best]
        return (*state[:best], (total + reward, rows + 1), *state[best + 1 :])

    chance = REWARDS[best]
    return chance * (1 + expected(left - 1, after(1))) + (1 - chance) * expected(left - 1, after(0))


@pytest.mark.parametrize("weights", [None, (0.8, 0.2)], ids=["uniform", "unequal"])
def test_a_learning_policy_earns_what_enumeration_says(weights):
    policy = Restarting(lambda: CountingPolicy(range(2), explore=0.0), STEPS)
    replay(uniform_log(REWARDS, rows=60_000, weights=weights, rng=1), policy, cluster=None)
    earned = np.array([sum(run) for run in policy.runs[:-1]])
    assert len(earned) > 1_900
    error = earned.std(ddof=1) / len(earned) ** 0.5
    assert abs(earned.mean() - expected(STEPS)) < 3.5 * error
    # Close enough to tell it from the better action's, and from the mean of both.
    assert 2.5 * error < min(STEPS * 0.7 - expected(STEPS), expected(STEPS) - STEPS * 0.5)


@pytest.mark.parametrize("actions", [2, 5, 20])
def test_one_row_in_as_many_as_there_are_actions_is_kept(actions):
    log = uniform_log([0.2] * actions, rows=20_000, rng=2)
    told = replay(log, CountingPolicy(range(actions)), cluster=None).table.iloc[0]
    p = 1 / actions
    assert abs(told["share kept"] - p) < 3.5 * (p * (1 - p) / 20_000) ** 0.5
    assert told["rows for one step"] == pytest.approx(told["rows read"] / told["rows kept"])


def test_unequal_propensities_are_evened_out_and_cost_rows():
    weights, rewards = (0.7, 0.2, 0.1), (0.9, 0.5, 0.1)
    log = uniform_log(rewards, rows=40_000, weights=weights, rng=3)
    policy = {"explore": 1.0, "rng": 4}
    even = replay(log, CountingPolicy(range(3), **policy), cluster=None)
    assert abs(even.estimate - 0.5) < 3.5 * even.se
    # All rows match one time in three, and one is kept as often as the rarest action is drawn.
    assert even.table["share kept"].iloc[0] == pytest.approx(0.1, abs=0.005)
    naive = replay(log.assign(propensity=1 / 3), CountingPolicy(range(3), **policy), cluster=None)
    assert naive.estimate == pytest.approx(np.dot(weights, rewards), abs=3.5 * naive.se)
    assert naive.ci[0] > 0.6


def test_its_intervals_hold_what_the_policy_chose_was_worth():
    rewards, inside = (0.3, 0.5, 0.4), 0
    for seed in range(200):
        policy = Restarting(functools.partial(CountingPolicy, range(3), rng=seed), steps=10**6)
        found = replay(uniform_log(rewards, rows=300, rng=seed), policy, cluster=None)
        inside += found.ci[0] <= np.mean([rewards[action] for action in policy.chosen]) <= found.ci[1]
    # 93 to 97 in 100, give or take what two hundred logs can't tell.
    assert 0.92 <= inside / 200 <= 0.98


def test_rows_of_one_user_widen_the_interval():
    log = uniform_log([0.5], rows=900, rng=5)
    alone = replay(log, CountingPolicy([0]), cluster="user_id")
    thrice = log.loc[log.index.repeat(3)].assign(ts=log["ts"].iloc[0])
    assert replay(thrice, CountingPolicy([0])).se == pytest.approx(alone.se)
    assert replay(thrice, CountingPolicy([0]), cluster=None).se == pytest.approx(alone.se / 3**0.5, rel=0.01)


def test_only_kept_rows_are_learnt_from_in_order_of_time_and_only_the_context_is_shown():
    class Watching:
        def __init__(self):
            self.seen, self.learnt = [], []

        def choose(self, context):
            self.seen.append(context)
            return context["best"]

        def learn(self, context, action, reward):
            self.learnt.append((action, reward))

    log = uniform_log([0.5, 0.5, 0.5], rows=30, rng=6).assign(best=1)
    policy = Watching()
    told = replay(log.sample(frac=1, random_state=0), policy, context=["best"])
    assert policy.seen == [{"best": 1}] * 30
    kept = log[log["item_id"] == 1]
    assert policy.learnt == list(zip(kept["item_id"], kept["y"], strict=True))
    assert told.estimate == kept["y"].mean()
    assert replay(pl.from_pandas(log), Watching(), context=["best"]) == told


def test_so_many_kept_rows_end_it():
    log = uniform_log([0.5, 0.5], rows=200, rng=7)
    told = replay(log, CountingPolicy(range(2)), kept=10)
    assert told.n == told.table["rows kept"].iloc[0] == 10
    assert told.table["rows read"].iloc[0] < 60


def test_the_rows_that_an_error_needs_give_that_error():
    needed = rows_for(0.02, actions=4, rate=0.3)
    log = uniform_log([0.3] * 4, rows=round(needed), rng=8)
    assert replay(log, CountingPolicy(range(4))).se == pytest.approx(0.02, rel=0.1)
    assert rows_for(0.02, actions=4, rate=0.3, explored=0.1) == pytest.approx(10 * needed)


LOG = uniform_log([0.5, 0.5], rows=20)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: replay(LOG.drop(columns="y"), CountingPolicy([0])), "log: got columns .*; it must have y"),
        (lambda: replay(LOG.assign(propensity=0.0), CountingPolicy([0])), "propensity: got 0.0 in log"),
        (lambda: replay(LOG, CountingPolicy([0]), floor=0.6), "floor: got 0.6; the log has a propensity of 0.5"),
        (lambda: replay(LOG, CountingPolicy([0]), floor=0.0), r"floor: got 0.0; it must lie in \(0, 1\]"),
        (lambda: replay(LOG, CountingPolicy([0]), kept=1), "kept: got 1; it must be a whole number, 2 at least"),
        (lambda: replay(LOG, CountingPolicy([0]), kept=19), "kept: got 19; in 20 rows the policy did the same"),
        (lambda: replay(LOG, CountingPolicy([7])), "policy: got 7 as its choice, which is no item_id of the log"),
        (lambda: replay(LOG, CountingPolicy(["0"])), "policy: got '0' as its choice, which is no item_id of the log"),
        (lambda: replay(LOG, CountingPolicy([0]), floor=1e-9), "policy: got 0 kept of 20 rows; a mean needs two"),
        (lambda: replay(LOG.assign(propensity=1.0), CountingPolicy([0])), "propensity: got 1 in all rows, though 2"),
        (lambda: live(CountingPolicy([-1]), [0.1, 0.2], steps=5), "policy: got -1 as its choice; it must be a place in 2"),
        (lambda: replay(LOG.assign(user_id=1), CountingPolicy([0])), "user_id: got one in all rows"),
        (lambda: replay(LOG, CountingPolicy([0]), alpha=1), "alpha: got 1"),
        (lambda: CountingPolicy([]), "actions: got 0; it must be a whole number, 1 at least"),
        (lambda: CountingPolicy([0], explore=2), "explore: got 2"),
        (lambda: CountingPolicy([0], prior=(0.5, 0.0)), "prior: got 0.0; it must lie above 0"),
        (lambda: uniform_log([1.2], rows=3), "rewards: got 1.2"),
        (lambda: uniform_log([0.2], rows=0), "rows: got 0"),
        (lambda: uniform_log([0.2, 0.3], rows=3, weights=[0.5, 0.6]), "weights: got .*; they must be positive"),
        (lambda: rows_for(0, actions=2, rate=0.1), "error: got 0"),
        (lambda: rows_for(0.1, actions=2, rate=1), "rate: got 1"),
    ],
)  # fmt: skip
def test_what_it_cannot_work_with_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_a_live_run_earns_what_enumeration_says():
    runs = [
        live(CountingPolicy(range(2), explore=0.0), REWARDS, steps=STEPS, rng=seed) for seed in range(1_500)
    ]
    assert STEPS * np.mean(runs) == pytest.approx(
        expected(STEPS), abs=3.5 * STEPS * np.std(runs) / 1_500**0.5
    )


def test_rewards_that_are_all_equal_have_no_interval():
    log = uniform_log([0.0, 0.0], rows=300)
    finding = replay(log, CountingPolicy(range(2)), cluster=None)
    assert finding.estimate == 0
    assert np.isnan(finding.ci).all()
    assert "no interval" in finding.verdict
