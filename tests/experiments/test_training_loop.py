"""The closed loop: its first day by integrals, the outline's lifts, controls, refusals."""

import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import binom, chisquare, norm

from toolkit.experiments.training_loop import BASE, CANDIDATES, KNOWN, Experiment, _weights, run, users

SMALL = {"requests": 2000, "days": 4}


def best_of(spread, *, candidates=CANDIDATES, inside=0.3):
    """Quantiles of the best of the candidates outside the families, by the law of a binomial maximum."""
    chance = (np.arange(4000) + 0.5) / 4000
    many = np.arange(1, candidates + 1)
    law = binom.pmf(many, candidates, 1 - inside)
    grid = np.linspace(-4, 6, 20_001)
    below = (law[:, None] * norm.cdf(grid) ** many[:, None]).sum(0) / law.sum()
    return spread * np.interp(chance, below, grid)


def test_the_first_day_is_that_of_the_integrals():
    day = run(Experiment(inherits="the rule"))[0]
    nodes, weights = np.polynomial.hermite_e.hermegauss(21)
    old = expit(BASE + best_of(KNOWN)[:, None] + 0.4 * nodes) @ weights / weights.sum()
    assert day.value_old == pytest.approx(old.mean(), abs=0.003)
    # A score of two independent features, and a model that knows both: what it ranks by is the truth.
    assert day.value_new == pytest.approx(expit(BASE + best_of(np.hypot(KNOWN, 0.4))).mean(), abs=0.003)


def test_experiments_meet_the_same_candidates_and_luck_and_arms_are_nested():
    few, many = (run(Experiment(traffic=share, **SMALL)) for share in (0.05, 0.5))
    assert few[0].value_new == many[0].value_new
    for one, other in zip(few, many, strict=True):
        assert one.value_old == other.value_old
        assert (other.treated[one.treated]).all()
        # Who is in control in both sees the same, with the same luck.
        both = ~other.treated
        assert (one.y[both] == other.y[both]).all()
    assert few[0].treated.mean() == pytest.approx(0.05, abs=0.015)
    again = run(Experiment(traffic=0.05, **SMALL))
    assert [day.value_new for day in again] == [day.value_new for day in few]
    other_users = run(Experiment(traffic=0.05, **SMALL), part=1)
    assert other_users[0].value_new != few[0].value_new


def test_a_user_stays_in_one_arm():
    days = run(Experiment(traffic=0.3, **SMALL))
    user, treated = (np.concatenate([getattr(day, name) for day in days]) for name in ("user", "treated"))
    share = np.bincount(user, treated) / np.maximum(np.bincount(user), 1)
    assert set(share) <= {0.0, 1.0}
    assert user.max() < users(2000)


def test_own_data_are_all_that_pooled_data_say_of_what_control_never_shows():
    pooled, own = (run(Experiment(traffic=0.2, data=data, **SMALL)) for data in ("pooled", "own"))
    assert [day.value_new for day in pooled] == [day.value_new for day in own]


def test_weighted_data_are_all_data_at_a_launch_and_closer_to_it_before():
    turned = {"effect": 1.0, "belief": -1.0, "control": "learns", "requests": 4000, "days": 6}
    last = {
        (data, share): run(Experiment(traffic=share, data=data, **turned))[-1].value_new
        for data, share in (
            ("pooled", 1.0),
            ("weighted", 1.0),
            ("pooled", 0.5),
            ("own", 0.5),
            ("weighted", 0.5),
        )
    }
    launch = last["pooled", 1.0]
    assert last["weighted", 1.0] == launch
    off = {data: abs(last[data, 0.5] - launch) for data in ("pooled", "own", "weighted")}
    assert off["weighted"] < min(off["pooled"], off["own"])


def test_a_row_that_only_its_own_arm_shows_stands_for_one_over_that_arm_s_share():
    treated, explored = np.array([True, False, True, False]), np.array([False, False, False, True])
    picks = [np.array([1, 1, 2, 2]), np.array([1, 2, 3, 3])]
    told = {data: _weights(data, treated, explored, picks, 0.25).tolist() for data in ("weighted", "own")}
    assert told == {"weighted": [1, 0, 4, 1], "own": [1, 0, 1, 0]}


def test_the_rule_inherited_or_shared_leaves_nothing_that_the_share_decides():
    for inherits in ("the rule", "the rule as a feature"):
        values = [
            [day.value_new for day in run(Experiment(traffic=share, inherits=inherits, **SMALL))]
            for share in (0.05, 1.0)
        ]
        assert values[0][1:] == pytest.approx(values[1][1:], rel=0.03)


def test_exploration_shows_each_candidate_alike():
    day = run(Experiment(exploration=0.5, traffic=0.0, requests=8000, days=1))[0]
    assert day.explored.mean() == pytest.approx(0.5, abs=0.02)
    assert day.favourite[~day.explored].all()
    assert day.favourite[day.explored].mean() == pytest.approx(1 / CANDIDATES, abs=0.012)
    inside = (day.family[day.explored] < 300).mean()
    assert inside == pytest.approx(0.3, abs=0.025)
    assert (day.family[~day.explored] == 300).all()
    few = run(Experiment(exploration=1.0, families=3, requests=8000, days=1))[0]
    assert chisquare(np.bincount(few.family), [800, 800, 800, 5600]).pvalue > 0.01


def test_a_warm_up_comes_before_the_test_s_own_days():
    warm = Experiment(traffic=0.02, warm_up=2, warm_up_traffic=0.8, **SMALL)
    days = run(warm)
    assert [day.treated.mean() > 0.5 for day in days] == [True, True, False, False, False, False]
    cold = run(Experiment(traffic=0.02, **SMALL))
    assert days[2].value_old == cold[0].value_old
    assert days[2].value_new > cold[0].value_new


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"traffic": -0.1}, r"traffic: got -0.1; it must lie in \[0, 1\]"),
        ({"warm_up_traffic": 2}, "warm_up_traffic: got 2"),
        ({"exploration": 1.5}, "exploration: got 1.5"),
        ({"weight": float("nan")}, "weight: got nan; it must be a finite number"),
        ({"effect": "bad"}, "effect: got 'bad'"),
        ({"belief": float("inf")}, "belief: got inf"),
        ({"spread": -1}, "spread: got -1; it must not be negative"),
        ({"families": 0}, "families: got 0; it must be a whole number, 1 at least"),
        ({"requests": 2.5}, "requests: got 2.5"),
        ({"days": 0}, "days: got 0"),
        ({"warm_up": -1}, "warm_up: got -1"),
        ({"control": "allows"}, "control: got 'allows'; it must be one of blocks, learns"),
        ({"data": "all"}, "data: got 'all'; it must be one of pooled, own, diverted, weighted"),
        ({"inherits": "it"}, "inherits: got 'it'; it must be one of nothing, the rule"),
    ],
)
def test_bad_settings_are_named(settings, message):
    with pytest.raises(ValueError, match=message):
        Experiment(**settings)
