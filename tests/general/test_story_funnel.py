"""The opening story's models behind a light ranker: the story's own lift, a distilled ranker, the widths."""

import pytest

from toolkit.general.story_funnel import distilled, favourites_kept, lifts_by_width, story_lift
from toolkit.world import Settings
from toolkit.world.mechanisms import MECHANISMS
from toolkit.world.story import tell


@pytest.fixture(scope="module")
def small():
    return tell(Settings(items=200, requests=400, days=33))


def test_the_story_s_lift_is_the_story_s_own_where_the_funnel_is(small):
    production = frozenset(MECHANISMS)
    for model in ("leaky", "point-in-time"):
        assert story_lift(small, model=model) == pytest.approx(small.lift(production, model=model))
        assert story_lift(small, model=model, keep=20) == pytest.approx(
            small.lift(production - {"light_ranker"}, model=model)
        )
    assert story_lift(small, model="leaky", keep=1) == pytest.approx(0)


def test_the_leaky_model_gains_a_little_at_two_candidates_and_from_there_on_falls():
    lifts = lifts_by_width(tell()).set_index(["model", "keep"])["lift"]["leaky"]
    assert lifts[1] == 0 < lifts[2]
    assert lifts.loc[2:].is_monotonic_decreasing
    assert lifts[3] < 0


def test_a_distilled_light_ranker_keeps_more_favourites_and_an_identical_one_all(small):
    light = distilled(small, model="point-in-time")
    before = favourites_kept(small, model="point-in-time")
    assert favourites_kept(small, model="point-in-time", light=light) > before + 0.02
    own = small.scores("point-in-time", frozenset(MECHANISMS))
    assert favourites_kept(small, model="point-in-time", keep=1, light=own) == 1


def test_more_candidates_than_a_request_has_are_refused(small):
    with pytest.raises(ValueError, match="keep: got 21; a request has 20 candidates"):
        story_lift(small, model="leaky", keep=21)


def test_the_frame_for_the_chart_holds_what_the_function_says(small):
    lifts = lifts_by_width(small, keeps=[1, 20]).set_index(["model", "keep"])["lift"]
    assert lifts["leaky", 20] == story_lift(small, model="leaky", keep=20)
