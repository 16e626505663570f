"""Two trainings of a two-tower model: the outline's closed forms, and the rollout that they foretell."""

import math

import numpy as np
import pytest
from scipy.stats import kstest, norm

from toolkit.auc import auc
from toolkit.features.embeddings import (
    overlap_storage,
    pairs_log,
    rollout_curve,
    rotation,
    share_for,
    skewed_auc,
    train_twice,
)


def test_the_outline_s_numbers():
    assert skewed_auc(1.5, 0.0) == pytest.approx(norm.cdf(1.5 / math.sqrt(2)))
    assert round(skewed_auc(1.5, 0.0), 3) == 0.856
    assert round(skewed_auc(1.5, 0.3), 3) == 0.759
    assert round(share_for(0.80, separation=1.5), 3) == 0.176
    assert skewed_auc(1.5, 1.0) == pytest.approx(0.5)


@pytest.mark.parametrize("share", [0.0, 0.2, 0.7])
def test_at_a_right_angle_it_is_the_outline_s_formula(share):
    a, b = norm.cdf(1.5 / math.sqrt(2)), norm.cdf(0.75 / math.sqrt(2))
    want = (1 - share) ** 2 * a + 2 * share * (1 - share) * b + share**2 / 2
    assert skewed_auc(1.5, share) == pytest.approx(want)


@pytest.mark.parametrize(("share", "angle"), [(0.3, 90), (0.5, 60), (0.8, 150), (0.4, 0)])
def test_the_closed_form_is_what_simulated_scores_give(share, angle):
    rng = np.random.default_rng(0)
    y = rng.random(200_000) < 0.4
    kept = np.where(rng.random(len(y)) < share, math.cos(math.radians(angle)), 1.0)
    score = kept * 1.5 * (y - 0.5) + rng.normal(size=len(y))
    assert auc(y, score) == pytest.approx(skewed_auc(1.5, share, angle=angle), abs=0.005)


def test_turned_by_an_angle_a_product_with_the_old_self_is_multiplied_by_the_cosine():
    rng = np.random.default_rng(1)
    for angle in (0, 30, 60, 90, 180):
        turn = rotation(16, angle, rng=rng)
        assert turn @ turn.T == pytest.approx(np.eye(16), abs=1e-10)
        v = rng.normal(size=16)
        assert v @ turn @ v == pytest.approx(math.cos(math.radians(angle)) * (v @ v))


def test_over_random_planes_any_score_is_multiplied_by_the_cosine_on_average():
    rng = np.random.default_rng(2)
    u, v = rng.normal(size=(2, 8))
    scores = [u @ rotation(8, 60, rng=rng) @ v for _ in range(3000)]
    assert np.mean(scores) == pytest.approx(0.5 * (u @ v), abs=4 * np.std(scores) / math.sqrt(3000))


def test_turned_at_random_scores_have_mean_0_and_variance_1_over_d():
    rng, dimension = np.random.default_rng(3), 16
    u, v = np.eye(dimension)[[0, 3]]
    scores = np.array([u @ rotation(dimension, rng=rng) @ v for _ in range(3000)])
    assert scores.mean() == pytest.approx(0, abs=4 * math.sqrt(1 / dimension / 3000))
    assert scores.var() == pytest.approx(1 / dimension, rel=0.1)
    # A coordinate of a uniform unit vector: (1 + it) / 2 is Beta((d - 1) / 2, (d - 1) / 2).
    half = (dimension - 1) / 2
    assert kstest((1 + scores) / 2, "beta", args=(half, half)).pvalue > 0.01


def test_the_second_training_is_better_and_unlike_versions_tell_nothing():
    towers = train_twice()
    areas = {pair: auc(towers.y, score) for pair, score in towers.score.items()}
    assert areas["v2", "v2"] > areas["v1", "v1"] + 0.03
    assert areas["v1", "v2"] == pytest.approx(0.5, abs=0.02)
    assert areas["v2", "v1"] == pytest.approx(0.5, abs=0.02)


def test_with_axes_in_common_unlike_versions_do_no_harm():
    towers = train_twice(angle=0)
    areas = {pair: auc(towers.y, score) for pair, score in towers.score.items()}
    assert min(areas.values()) == areas["v1", "v1"]


def test_users_and_labels_do_not_hang_on_the_angle():
    one, other = train_twice(angle=0), train_twice(angle=60)
    assert (one.y == other.y).all()
    assert one.score["v2", "v2"] == pytest.approx(other.score["v2", "v2"])


def test_a_switch_half_way_is_worst_half_way_and_a_switch_at_an_end_is_worse_at_that_end():
    lows = {}
    for switch in ("first day", "half way", "last day"):
        curve = rollout_curve(4, switch=switch)
        assert curve["auc"].iloc[0] < curve["auc"].iloc[-1]
        lowest = curve.loc[curve["auc"].idxmin()]
        lows[switch] = (lowest["day"], lowest["unlike"], lowest["auc"])
    assert lows["half way"][0] == pytest.approx(3)
    assert lows["half way"][1] == pytest.approx(0.5, abs=0.03)
    assert lows["first day"][0] == pytest.approx(1)
    assert lows["last day"][0] == pytest.approx(5)
    assert lows["first day"][2] == pytest.approx(0.5, abs=0.02)
    assert lows["last day"][2] == pytest.approx(0.5, abs=0.02)
    assert lows["half way"][2] > 0.55


def test_dual_write_never_falls_below_the_old_version():
    curve = rollout_curve(4, dual_write=True)
    assert curve["unlike"].max() == 0
    assert curve["auc"].min() == curve["auc"].iloc[0]
    assert set(pairs_log(0.5, dual_write=True)["user_version"]) == {"v1"}
    assert set(pairs_log(1.0, dual_write=True)["item_version"]) == {"v2"}


def test_the_second_table_costs_what_it_holds_while_it_is_held():
    told = overlap_storage(1000, 256, days=5)
    assert told == pytest.approx(
        {"gigabytes": 1000 * 256 * 4 / 1e9, "gigabyte_days": 5 * 1000 * 256 * 4 / 1e9}
    )


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: skewed_auc(-1, 0.2), r"separation: got -1; it must lie above"),
        (lambda: skewed_auc(1, 1.2), r"share: got 1\.2; it must lie in \[0, 1\]"),
        (lambda: skewed_auc(1, 0.2, angle=200), r"angle: got 200; it must lie in \[0, 180\] degrees"),
        (lambda: share_for(0.9, separation=1.5), r"auc: got 0\.9; it must lie between 0\.5 and 0\.8556"),
        (lambda: rotation(3, 30), r"dimension: got 3; it must be even"),
        (lambda: rotation(1), r"dimension: got 1; it must be a whole number, 2 at least"),
        (lambda: rollout_curve(0), r"days: got 0; it must lie above 0"),
        (lambda: rollout_curve(3, switch="never"), r"switch: got 'never'; it must be one of first day"),
        (lambda: overlap_storage(0, 3, days=1), r"items: got 0"),
        (lambda: train_twice(seed=-1), r"seed: got -1"),
    ],
)
def test_bad_settings_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
