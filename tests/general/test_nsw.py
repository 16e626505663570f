"""On real people, weights recover most of what an experiment knows."""

import pytest

from toolkit.general.nsw import FEATURE_SETS, experiment, nsw, reweighted


def test_the_experiment_s_effect_is_the_published_one():
    # Dehejia and Wahba (1999): 1,794 dollars, standard error 633 to 671 by the formula used.
    finding = experiment()
    assert finding.estimate == pytest.approx(1794, abs=0.5)
    assert finding.se == pytest.approx(671, abs=0.5)


def test_against_the_survey_the_difference_is_naively_negative_and_weights_turn_it():
    finding = reweighted("and squares")
    size = finding.table.set_index("part")["size"]
    assert size["whole difference"] == pytest.approx(-8498, abs=0.5)
    # PEERS: about 1,589 with an effective sample near 103.
    assert finding.estimate == pytest.approx(1589, abs=10)
    assert finding.table["effective_rows"].iloc[0] == pytest.approx(103, abs=1)
    assert finding.ci[0] < 1794 < finding.ci[1]


def test_the_experiment_s_own_controls_are_the_negative_control_of_composition():
    for features in FEATURE_SETS:
        composition = reweighted(features, against="control").table.iloc[1]
        assert composition["low"] < 0 < composition["high"], features


def test_all_men_are_there_once_and_complete():
    people = nsw()
    assert people["sample"].value_counts().to_dict() == {"survey": 15992, "control": 260, "trained": 185}
    assert not people.isna().any().any()
    assert (people["age_squared"] == people["age"].astype(float) ** 2).all()


def test_unknown_names_are_refused():
    with pytest.raises(ValueError, match="features: got 'all'; it must be one of as they come"):
        reweighted("all")
    with pytest.raises(ValueError, match="against: got 'me'; it must be one of survey, control"):
        reweighted(against="me")
