"""What FooBar writes of its tests: tables that fit the schema, arms by user, explored rows in no arm."""

import numpy as np
import pytest

from toolkit.experiments.loop_logs import loop_tables
from toolkit.experiments.training_loop import Experiment, run
from toolkit.tables import validate_all

TWO = {
    "few": Experiment(traffic=0.1, requests=1000, days=3, exploration=0.05),
    "many": Experiment(traffic=0.5, requests=1000, days=3, warm_up=2),
}


@pytest.fixture(scope="module")
def made():
    return loop_tables(TWO)


def test_the_tables_fit_their_schema(made):
    validate_all(made)
    assert len(made["serving_log"]) == 6000


def test_each_user_is_in_one_test_and_one_arm(made):
    users = made["assignments"]
    assert not users["user_id"].duplicated().any()
    log = made["serving_log"].merge(users, on="user_id", suffixes=("", "_assigned"))
    shown = log[~log["explored"]]
    assert len(log) == 6000
    assert (shown["arm"] == shown["arm_assigned"]).all()
    assert log.loc[log["explored"], "arm"].isna().all()
    shares = users.groupby("experiment")["arm"].apply(lambda arm: (arm == "treatment").mean())
    assert shares.to_dict() == pytest.approx({"few": 0.1, "many": 0.5}, abs=0.03)


def test_propensities_are_the_shares_at_which_a_candidate_comes_up(made):
    log = made["serving_log"].query("user_id < 2000")
    # With exploration at 5% of twenty candidates, a favourite comes up at 95.25%.
    assert sorted(log["propensity"].round(6).unique()) == [0.0025, 0.9525]
    assert (log.loc[~log["explored"], "propensity"] > 0.9).all()


def test_outcomes_and_scores_are_those_of_the_loop(made):
    log = made["serving_log"].merge(made["outcomes"])
    days = run(TWO["many"], part=1)[2:]
    many = log[log["user_id"] >= 2000]
    assert many["y"].tolist() == np.concatenate([day.y for day in days]).astype(int).tolist()
    assert many["score"].tolist() == np.concatenate([day.score for day in days]).tolist()


def test_control_never_shows_a_family_and_its_items_are_the_family_s_own(made):
    log = made["serving_log"]
    inside = log["f_family"].notna()
    assert not (inside & (log["arm"] == "control")).any()
    assert (log.loc[inside, "item_id"] // 10 == log.loc[inside, "f_family"]).all()
    assert (log.loc[~inside, "item_id"] >= 3000).all()


def test_tests_of_two_foobars_and_of_none_are_refused():
    with pytest.raises(ValueError, match=r"experiments: got families \[30, 300\]; all must be of one FooBar"):
        loop_tables({"a": Experiment(), "b": Experiment(families=30)})
    with pytest.raises(ValueError, match=r"experiments: got families \[\]"):
        loop_tables({})
