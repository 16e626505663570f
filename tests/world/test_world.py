"""The simulated company: same seed, same bytes; outcomes known for all; features as a slow reference has them."""

import hashlib
import subprocess
import sys

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from toolkit.world import Settings, simulate
from toolkit.world.features import PRIOR_IMPRESSIONS, PRIOR_RATE, rate_at
from toolkit.world.policies import fit_logistic

SMALL = Settings(items=40, requests=150, days=6, candidates=8, users=60)


@pytest.fixture(scope="module")
def world():
    return simulate(SMALL, rng=3)


def digest(world):
    parts = [world.p, world.y, world.x, world.item, world.shown, world.user]
    return hashlib.sha256(b"".join(np.ascontiguousarray(part).tobytes() for part in parts)).hexdigest()


def test_a_seed_gives_the_same_bytes_in_another_process(world):
    code = "import sys; sys.path.insert(0, 'tests/world'); from test_world import *; print(digest(simulate(SMALL, rng=3)))"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert other.stdout.strip() == digest(world)
    assert digest(simulate(SMALL, rng=4)) != digest(world)


def test_worlds_that_differ_in_one_setting_share_all_other_draws(world):
    slower = simulate(Settings(**{**vars(SMALL), "half_life": 5.0}), rng=3)
    for name in ("static", "item", "x", "user", "second", "explored"):
        assert np.array_equal(getattr(slower, name), getattr(world, name)), name
    assert not np.array_equal(slower.quality, world.quality)


def test_outcomes_happen_as_often_as_their_chances_say():
    world = simulate(Settings(days=5), rng=0)
    expected = world.p.mean()
    assert world.y.mean() == pytest.approx(expected, abs=4 * np.sqrt(expected / world.y.size))
    high = world.p > 0.3
    assert world.y[high].mean() == pytest.approx(world.p[high].mean(), abs=0.01)


def test_quality_has_variance_1_and_the_half_life_that_was_set():
    world = simulate(Settings(items=4000, requests=1, days=30, half_life=3.0), rng=0)
    assert world.quality.var() == pytest.approx(1, abs=0.03)
    correlation = np.corrcoef(world.quality[20], world.quality[23])[0, 1]
    assert correlation == pytest.approx(0.5, abs=0.05)


def test_a_larger_catalogue_keeps_each_candidate_s_place():
    small, large = (simulate(Settings(**{**vars(SMALL), "items": n}), rng=3) for n in (40, 80))
    assert np.array_equal(large.item // 2, small.item)


def test_the_as_of_rate_counts_what_came_before_the_request(world):
    day, request = 4, 77
    for candidate in range(3):
        item = world.item[day, request, candidate]
        seen = good = 0.0
        for earlier in range(request):
            if world.shown_item(day)[earlier] == item:
                seen += 1
                good += world.shown_outcome(day)[earlier]
        seen += 0.5 * (world.shown_item(day - 1) == item).sum()
        good += 0.5 * world.shown_outcome(day - 1)[world.shown_item(day - 1) == item].sum()
        rate = (good + PRIOR_IMPRESSIONS * PRIOR_RATE) / (seen + PRIOR_IMPRESSIONS)
        value = rate_at(world, day, as_of=True)[request, candidate]
        assert value == pytest.approx(np.log(rate / (1 - rate)))


def test_the_daily_rate_knows_the_row_s_own_label_and_the_as_of_rate_does_not(world):
    # Turning one outcome changes the day's table for that row, and no as-of value up to it.
    day, request = 4, 20
    daily, known = rate_at(world, day, as_of=False), rate_at(world, day, as_of=True)
    turned = simulate(SMALL, rng=3)
    place = (day, request, turned.shown[day, request])
    turned.y[place] = ~turned.y[place]
    turned.clicks[day, turned.item[place]] += 1 if turned.y[place] else -1
    assert rate_at(turned, day, as_of=False)[request, place[2]] != daily[request, place[2]]
    assert np.array_equal(rate_at(turned, day, as_of=True)[: request + 1], known[: request + 1])


def test_a_lag_serves_the_value_that_stood_a_day_earlier(world):
    late = rate_at(world, 4, as_of=False, lag=1)
    item = world.item[4, 10, 2]
    rate = (world.clicks[3, item] + PRIOR_IMPRESSIONS * PRIOR_RATE) / (
        world.impressions[3, item] + PRIOR_IMPRESSIONS
    )
    assert late[10, 2] == pytest.approx(np.log(rate / (1 - rate)))


def test_the_old_policy_shows_its_best_candidate_unless_it_explores(world):
    best = world.old_score.argmax(-1)
    assert np.array_equal(world.shown[~world.explored], best[~world.explored])
    baseline = simulate(Settings(days=20, items=50), rng=0)
    assert baseline.explored.mean() == pytest.approx(
        0.05, abs=4 * np.sqrt(0.05 * 0.95 / baseline.explored.size)
    )


def test_the_logistic_fit_agrees_with_scikit_learn():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(3000, 3))
    y = rng.random(3000) < 1 / (1 + np.exp(1 - x @ [1.0, -0.5, 0.2]))
    ours = fit_logistic(x, y, penalty=2.0)
    theirs = LogisticRegression(C=0.5, tol=1e-10, max_iter=1000).fit(x, y)
    assert ours == pytest.approx(np.r_[theirs.intercept_, theirs.coef_[0]], abs=1e-5)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Settings(items=1), "items: got 1; it must be a whole number of at least 2"),
        (lambda: Settings(requests=2.5), "requests: got 2.5"),
        (lambda: Settings(half_life=0.0), "half_life: got 0.0; it must be positive"),
        (lambda: Settings(exploration=1.5), r"exploration: got 1.5; it must lie in \[0, 1\]"),
        (lambda: Settings(intercept=float("nan")), "intercept: got nan; it must be finite"),
        (lambda: Settings(weights=(1.0,)), r"weights: got \(1.0,\)"),
        (lambda: Settings(static_spread=-1.0), "static_spread: got -1.0"),
        (lambda: simulate(SMALL, rng=-1), "rng: got -1"),
        (lambda: simulate(SMALL, rng="a"), "rng: got 'a'"),
        (lambda: rate_at(simulate(SMALL), 6, as_of=True), "day: got 6"),
        (lambda: rate_at(simulate(SMALL), 2, as_of=True, lag=3), "lag: got 3 on day 2"),
        (lambda: fit_logistic([[1.0]], [1.0]), "labels: got values"),
        (lambda: fit_logistic([[1.0]], [1.0, 0.0]), "labels: got shape"),
        (lambda: fit_logistic([[1.0], [2.0]], [1.0, 0.0], penalty=-1), "penalty: got -1"),
    ],
)
def test_bad_input_is_refused_by_name_value_and_rule(call, message):
    with pytest.raises(ValueError, match=message):
        call()
