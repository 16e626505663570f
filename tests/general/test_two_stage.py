"""A light ranker in front: closed forms against SciPy, the simulated funnel against theory."""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import multivariate_normal, norm

from toolkit.general.two_stage import (
    correlation_for,
    correlations_with_quality,
    favourite_survives,
    gains_by_width,
    light_correlation,
    recall,
    rewards_behind,
)

PASSED = [5, 25, 500]


@pytest.mark.parametrize(
    ("correlation", "percent"), [(0.9, 98.9), (0.8, 90.7), (0.7, 78.3), (0.5, 52.3), (0, 10)]
)
def test_the_share_of_the_best_hundredth_behind_a_tenth_is_the_outline_s(correlation, percent):
    assert 100 * recall(correlation) == pytest.approx(percent, abs=0.05)


@pytest.mark.parametrize("correlation", [-0.6, 0.0, 0.35, 0.999])
@pytest.mark.parametrize(("wanted", "passed"), [(0.01, 0.1), (0.3, 0.05)])
def test_the_recall_is_scipy_s_bivariate_normal(correlation, wanted, passed):
    both = multivariate_normal([0, 0], [[1, correlation], [correlation, 1]])
    assert recall(correlation, wanted=wanted, passed=passed) == pytest.approx(
        both.cdf([norm.ppf(wanted), norm.ppf(passed)]) / wanted, abs=1e-6
    )


def test_a_light_ranker_that_agrees_keeps_all_it_has_room_for_and_one_that_passes_all_keeps_all():
    assert recall(1) == 1
    assert recall(1, wanted=0.2, passed=0.1) == 0.5
    assert recall(-1) == 0
    assert recall(-1, wanted=0.95, passed=0.1) == pytest.approx(0.05 / 0.95)
    assert recall(0.3, passed=1) == 1


def test_four_favourites_in_five_need_a_correlation_of_713_thousandths():
    assert correlation_for(0.8) == pytest.approx(0.713, abs=0.0005)
    assert recall(correlation_for(0.31)) == pytest.approx(0.31)


def test_a_single_favourite_survives_a_draw_by_lot_as_often_as_there_are_places():
    assert favourite_survives(0.0, candidates=40, passed=7) == pytest.approx(7 / 40, abs=1e-5)
    assert favourite_survives(0.4, candidates=40, passed=40) == 1


def test_the_survival_of_two_candidates_is_the_orthant_probability():
    # With two candidates the favourite passes first when both differences have one sign: 1/2 + asin(r) / pi.
    for correlation in (-0.5, 0.3, 0.9):
        assert favourite_survives(correlation, candidates=2, passed=1) == pytest.approx(
            0.5 + np.arcsin(correlation) / np.pi, abs=1e-5
        )


def test_the_new_favourite_survives_as_often_as_in_the_prototype():
    known = light_correlation(light_noise=1.0, retrained=False)
    assert known == pytest.approx(1 / np.sqrt(2 * 2.25))
    assert favourite_survives(known, candidates=500, passed=25) == pytest.approx(0.41, abs=0.01)
    assert favourite_survives(known, candidates=500, passed=5) == pytest.approx(0.16, abs=0.005)


def largest_of(candidates):
    """The mean of the largest of some standard normals."""
    return quad(lambda z: z * candidates * norm.pdf(z) * norm.cdf(z) ** (candidates - 1), -6, 9, limit=200)[0]


def test_without_a_funnel_the_gain_is_that_of_the_best_of_five_hundred():
    old, new = (rewards_behind(PASSED, heavy=heavy) for heavy in ("old", "new"))
    # A pick's quality is the largest score times the score's correlation with quality.
    exact = largest_of(500) * np.array([np.sqrt(0.5 / 1.25), np.sqrt(2 / 2.25)])
    assert [old[-1], new[-1]] == pytest.approx(exact, abs=4 * 0.35 / np.sqrt(2000))
    assert exact[1] - exact[0] == pytest.approx(0.939, abs=0.01)


def test_behind_the_funnel_the_gain_is_the_prototype_s_and_a_brute_force_s():
    gains = rewards_behind(PASSED, heavy="new") - rewards_behind(PASSED, heavy="old")
    # Its prototype's error is that of 3,000 requests whose picks' qualities are seen, about 0.02.
    assert gains[:2] == pytest.approx([0.447, 0.707], abs=0.05)
    rng, found = np.random.default_rng(11), []
    for _ in range(1500):
        a, b = rng.normal(size=(2, 500))
        passed = np.argsort(a + rng.normal(size=500))[-25:]
        old, new = a + 0.5 * rng.normal(size=500), a + b + 0.5 * rng.normal(size=500)
        quality = (a + b) / np.sqrt(2)
        found.append(quality[passed[new[passed].argmax()]] - quality[passed[old[passed].argmax()]])
    assert gains[1] == pytest.approx(np.mean(found), abs=4 * np.std(found) / np.sqrt(1500))


def test_retraining_the_light_ranker_recovers_more_than_a_perfect_heavy_one():
    kept = [5, 25]
    now = rewards_behind(kept, heavy="new")
    assert (
        rewards_behind(kept, heavy="new", retrained=True) - now > rewards_behind(kept, heavy="perfect") - now
    ).all()


def test_where_the_filter_takes_less_a_perfect_heavy_ranker_brings_more_than_retraining_the_light_one():
    # Half the noise at 25, or the same noise at 100: retraining gives back no more than the filter took.
    for passed, noise in ((25, 0.5), (100, 1.0)):
        perfect = rewards_behind([passed], heavy="perfect", light_noise=noise)
        taught = rewards_behind([passed], heavy="new", retrained=True, light_noise=noise)
        assert perfect > taught + 0.01
    unfiltered = rewards_behind([500], heavy="new")
    assert rewards_behind([5, 25, 100], heavy="new", retrained=True).max() <= unfiltered[0]


def test_one_survivor_leaves_the_heavy_ranker_without_a_say():
    assert rewards_behind([1], heavy="old", light_noise=0) == pytest.approx(
        rewards_behind([1], heavy="perfect", light_noise=0), abs=0.06
    )


def test_what_passed_shrinks_what_the_light_ranker_knows_and_flatters_the_newcomer():
    closed = correlations_with_quality(0.05).set_index("ranker")
    rng = np.random.default_rng(5)
    a, b = rng.normal(size=(2, 400_000))
    light, quality = a + rng.normal(size=len(a)), (a + b) / np.sqrt(2)
    chosen = light > np.quantile(light, 0.95)
    for ranker, signal in (("old", a), ("new", a + b)):
        score = signal + 0.5 * rng.normal(size=len(a))
        assert closed.loc[ranker, "all"] == pytest.approx(np.corrcoef(score, quality)[0, 1], abs=0.005)
        slice_ = np.corrcoef(score[chosen], quality[chosen])[0, 1]
        assert closed.loc[ranker, "passed"] == pytest.approx(slice_, abs=0.025)
    seen = closed.loc["new"] - closed.loc["old"]
    assert seen["passed"] > seen["all"] + 0.05


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: recall(1.2), "correlation: got 1.2"),
        (lambda: recall(0.5, wanted=0), "wanted: got 0; it must lie in"),
        (lambda: recall(0.5, passed=2), "passed: got 2; it must lie in"),
        (lambda: correlation_for(1.0), "wanted_recall: got 1.0; it must lie strictly between 0 and 1"),
        (lambda: favourite_survives(1.0, candidates=9, passed=2), "correlation: got 1.0"),
        (lambda: favourite_survives(0.1, candidates=1, passed=1), "candidates: got 1"),
        (lambda: favourite_survives(0.1, candidates=5, passed=0), "passed: got 0"),
        (lambda: rewards_behind([501], heavy="new"), "passed: got 501; there are 500 candidates"),
        (lambda: rewards_behind([5], heavy="hope"), "heavy: got 'hope'"),
        (lambda: rewards_behind([5], heavy="new", light_noise=-1), "light_noise: got -1"),
        (lambda: correlations_with_quality(0), "passed: got 0"),
    ],
)
def test_bad_settings_are_refused_by_name_value_and_rule(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_the_frames_for_charts_hold_what_the_functions_say():
    gains = gains_by_width(perfect=True, retrained=True, passed=[5, 500]).set_index(["funnel", "passed"])[
        "gain"
    ]
    behind = rewards_behind([5], heavy="perfect", retrained=True) - rewards_behind([5], heavy="old")
    assert gains["filtered", 5] == pytest.approx(behind[0])
    # With everything passing there is no funnel.
    assert gains["filtered", 500] == pytest.approx(gains["unfiltered", 500])
