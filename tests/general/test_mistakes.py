"""Training mixes: which of them sees where the model is wrong, and what grows with traffic."""

import numpy as np
import pytest
from scipy.special import expit

from toolkit.general.mistakes import error_left, labels_where_wrong, matching_exploration, shown_share

SCALE = {"requests": 50_000.0, "region": 0.05}


def test_a_right_model_shows_a_region_at_its_own_share():
    assert shown_share(0.05, 0.0) == pytest.approx(0.05)


def test_the_odds_of_being_shown_move_with_the_error():
    up, down = shown_share(0.05, 0.7), shown_share(0.05, -0.7)
    assert (up / (1 - up)) / (down / (1 - down)) == pytest.approx(np.exp(3 * 1.4))


def test_labels_where_wrong_are_the_outline_s_three_products():
    unseen = -12.0
    assert labels_where_wrong("traffic", error=unseen, **SCALE) == pytest.approx(0, abs=1e-9)
    explored = labels_where_wrong("explored", error=unseen, exploration=0.02, **SCALE)
    assert explored == pytest.approx(0.02 * 0.05 * 50_000)
    # Shown at its own share either way, exploration neither adds nor takes away.
    assert labels_where_wrong("explored", error=0.0, exploration=0.4, **SCALE) == pytest.approx(0.05 * 50_000)
    for error in (unseen, 2.0):
        assert labels_where_wrong("pipeline", error=error, pipeline=500, **SCALE) == pytest.approx(0.05 * 500)
    assert labels_where_wrong("traffic", error=2.0, **SCALE) == pytest.approx(50_000 * shown_share(0.05, 2.0))


def test_the_share_of_an_error_that_n_labels_leave_is_that_of_a_normal_posterior():
    told = error_left("pipeline", error=-2.0, pipeline=400, **SCALE)
    p = expit(-2.0)
    # Precision of the prior 1, of a label p (1 - p) on the scale of log-odds; 20 labels a week.
    assert told["left"].iloc[:3].to_numpy() == pytest.approx([1 / (1 + p * (1 - p) * n) for n in (0, 20, 40)])


def test_own_traffic_corrects_too_good_an_opinion_at_once_and_too_bad_a_one_hardly():
    assert error_left("traffic", error=2.0, **SCALE)["left"].iloc[1] < 0.01
    assert error_left("traffic", error=-4.0, **SCALE)["left"].iloc[-1] > 0.95
    assert error_left("explored", error=-4.0, **SCALE)["left"].iloc[-1] < 0.05


def test_it_goes_away_where_the_error_is_small_or_traffic_large():
    assert error_left("traffic", error=-2.0, requests=1_000_000, region=0.05)["left"].iloc[-1] < 0.01


def test_a_pipeline_does_not_grow_with_traffic_and_exploration_does():
    small, large = ({"requests": n, "region": 0.05, "error": -4.0} for n in (1_000, 1_000_000))
    assert error_left("pipeline", **small)["left"].equals(error_left("pipeline", **large)["left"])
    assert error_left("explored", **small)["left"].iloc[4] > error_left("pipeline", **small)["left"].iloc[4]
    assert error_left("explored", **large)["left"].iloc[4] < error_left("pipeline", **large)["left"].iloc[4]


def test_the_matching_exploration_brings_as_many_labels_as_the_pipeline():
    share = matching_exploration(requests=50_000, pipeline=500)
    unseen = labels_where_wrong("explored", error=-12.0, exploration=share, **SCALE)
    assert unseen == pytest.approx(labels_where_wrong("pipeline", error=-12.0, pipeline=500, **SCALE))
    assert matching_exploration(requests=100, pipeline=500) == 1


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: shown_share(1.0, 0.0), "region: got 1.0"),
        (lambda: labels_where_wrong("hope", error=0, **SCALE), "mix: got 'hope'; it must be one of traffic"),
        (lambda: labels_where_wrong("explored", error=0, exploration=2, **SCALE), "exploration: got 2"),
        (lambda: labels_where_wrong("pipeline", error=0, pipeline=-1, **SCALE), "pipeline: got -1"),
        (lambda: labels_where_wrong("traffic", error=0, requests=0, region=0.1), "requests: got 0"),
        (lambda: error_left("traffic", error=0, weeks=0, **SCALE), "weeks: got 0"),
        (lambda: matching_exploration(requests=10, pipeline=0), "pipeline: got 0"),
    ],
)
def test_bad_settings_are_refused_by_name_value_and_rule(call, message):
    with pytest.raises(ValueError, match=message):
        call()
