import math

import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import norm

from toolkit.auc import auc
from toolkit.features.misses import (
    DEFAULTS,
    _level,
    catalogue,
    learned_default,
    miss_auc,
    neutral_equivalent,
    served,
)
from toolkit.world import Settings, simulate
from toolkit.world.policies import fit_logistic


@pytest.fixture(scope="module")
def made():
    world = simulate(Settings(items=300, requests=500, days=11))
    return catalogue(world, range(8, 11), trained_on=range(2, 8))


def test_the_outline_s_numbers():
    assert miss_auc(1.5, 0.0) == pytest.approx(norm.cdf(1.5 / math.sqrt(2)))
    assert round(miss_auc(1.5, 0.2), 3) == 0.815
    assert round(miss_auc(1.5, 0.2, default="extreme"), 3) == 0.728
    assert round(miss_auc(1.5, 0.05, default="extreme"), 3) == 0.821
    assert round(neutral_equivalent(1.5, 0.05), 3) == 0.175


def drawn(separation, miss, among_bad, rng, n=400_000):
    y = rng.random(n) < 0.5
    x = rng.normal(size=n) + separation * y
    return y, x, rng.random(n) < np.where(y, miss, among_bad)


@pytest.mark.parametrize(
    ("miss", "among_bad", "default"), [(0.2, 0.2, 0.0), (0.1, 0.4, -0.7), (0.5, 0.05, 2.0), (0.3, 0.3, 9.0)]
)
def test_the_closed_form_is_what_a_simulation_measures(miss, among_bad, default):
    y, x, gone = drawn(1.5, miss, among_bad, np.random.default_rng(0))
    measured = auc(y, np.where(gone, default, x))
    assert measured == pytest.approx(miss_auc(1.5, miss, among_bad=among_bad, default=default), abs=0.003)


def test_what_is_learned_of_a_miss_is_what_a_logistic_model_with_an_indicator_learns():
    y, x, gone = drawn(1.5, 0.05, 0.3, np.random.default_rng(1))
    design = np.column_stack([np.where(gone, 0, x), gone])
    _, slope, jump = fit_logistic(design, y)
    # A missing row's score, slope 0 plus the jump, is that of a row at jump / slope.
    assert jump / slope == pytest.approx(learned_default(1.5, 0.05, among_bad=0.3), abs=0.03)
    measured = auc(y, design @ [slope, jump])
    assert measured == pytest.approx(miss_auc(1.5, 0.05, among_bad=0.3, default="learned"), abs=0.002)


def test_informative_misses_raise_the_auc_offline_and_the_same_default_lowers_it_online():
    learned = learned_default(1.5, 0.05, among_bad=0.3)
    offline = miss_auc(1.5, 0.05, among_bad=0.3, default=learned)
    online = miss_auc(1.5, 0.2, default=learned)
    assert offline > miss_auc(1.5, 0.0) > miss_auc(1.5, 0.2) > online


def test_no_other_default_is_better_than_the_learned_one():
    best = miss_auc(1.5, 0.1, among_bad=0.3, default="learned")
    others = [miss_auc(1.5, 0.1, among_bad=0.3, default=d) for d in np.linspace(-3, 4, 50)]
    assert max(others) <= best + 1e-12


def test_the_ends_are_what_they_must_be():
    assert miss_auc(1.5, 1.0) == pytest.approx(0.5)
    assert miss_auc(0.0, 0.3, default=7.0) == pytest.approx(0.5)
    assert miss_auc(1.5, 0.2, default="extreme") == pytest.approx(miss_auc(1.5, 0.2, default=50.0))
    assert learned_default(1.5, 0.0, among_bad=0.2) == -math.inf
    assert learned_default(1.5, 0.2, among_bad=0.0) == math.inf
    assert math.isnan(neutral_equivalent(0.1, 0.9)) or neutral_equivalent(0.1, 0.9) <= 1


def test_without_misses_no_default_and_no_training_makes_a_difference(made):
    told = [
        served(made, miss=0.0, default=d, popularity=k, trained_with=t)
        for d in DEFAULTS
        for k in (0, 2)
        for t in (False, True)
    ]
    assert all((one == told[0]).all() for one in told)
    assert told[0]["unknown"] == 0


def test_a_default_outside_the_bulk_costs_most_and_training_with_the_misses_heals_it(made):
    whole = served(made, miss=0.0)["reward"]
    lost = {d: 1 - served(made, miss=0.1, default=d)["reward"] / whole for d in DEFAULTS}
    assert lost["zero"] > 0.2
    assert max(lost["mean"], lost["learned"]) < 0.05
    healed = {d: 1 - served(made, miss=0.1, default=d, trained_with=True)["reward"] / whole for d in DEFAULTS}
    assert max(healed.values()) < 0.05


def test_one_candidate_missing_is_enough_to_be_shown(made):
    told = served(made, miss=0.05, default="zero")
    # A slate of 20 has none missing with chance .95^20.
    assert 0.3 < told["unknown"] < 1 - 0.95**20 + 0.03


def test_the_share_of_misses_is_the_one_that_was_asked_for_and_falls_on_the_unpopular(made):
    for popularity in (0.0, 1.0, 2.0):
        chance = expit(_level(made.popularity, 0.1, popularity) - popularity * made.popularity)
        assert chance.mean() == pytest.approx(0.1, abs=0.002)
        assert (chance[made.popularity > 1].mean() < 0.05) == (popularity > 0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: miss_auc(1.5, 1.4), r"miss: got 1.4; it must lie in \[0, 1\]"),
        (lambda m: miss_auc(1.5, 0.1, among_bad=-1), "among_bad: got -1"),
        (lambda m: miss_auc(math.nan, 0.1), "separation: got nan"),
        (
            lambda m: miss_auc(1.5, 0.1, default="zero"),
            "default: got 'zero'; it must be a number, or neutral",
        ),
        (lambda m: miss_auc(1.5, 0.1, default=math.nan), "default: got nan"),
        (lambda m: learned_default(0.0, 0.1), "separation: got 0.0; it must lie above 0"),
        (lambda m: neutral_equivalent(1.5, 2), "miss: got 2"),
        (lambda m: served(m, miss=1.0), r"miss: got 1.0; it must lie in \[0, 1\)"),
        (
            lambda m: served(m, miss=0.1, default="median"),
            "default: got 'median'; it must be one of zero, mean",
        ),
        (lambda m: served(m, miss=0.1, popularity=math.inf), "popularity: got inf"),
    ],
)
def test_bad_input_is_refused_by_name_value_and_rule(made, call, message):
    with pytest.raises(ValueError, match=message):
        call(made)


def test_training_must_lie_before_serving_and_after_the_first_day():
    world = simulate(Settings(items=50, requests=50, days=4))
    for days in (range(1, 4), range(0, 2)):
        with pytest.raises(ValueError, match="trained_on: got range"):
            catalogue(world, range(3, 4), trained_on=days)
