"""Users lost from one arm: who, how many, what the metric then says, refusals."""

import numpy as np
import pandas as pd
import pytest

from toolkit.experiments.lost_users import lose_users, per_assigned
from toolkit.experiments.shared_budget import Demand, tables
from toolkit.experiments.srm import srm

TEST = tables(Demand(users=4_000, a_day=10_000, days=4), lift=0.0)


def test_users_are_lost_as_often_as_one_of_their_requests_crashes():
    log = pd.DataFrame({"user_id": np.repeat(np.arange(20_000), 5), "arm": "treatment"})
    assert lose_users(log, crash=0.02)["user_id"].nunique() / 20_000 == pytest.approx(0.98**5, abs=0.008)


def test_the_busy_go_first_and_the_metric_falls_though_the_model_changes_nothing():
    log = lose_users(TEST["serving_log"], crash=0.02)
    per_user = log.groupby("arm")["user_id"].agg(["size", "nunique"])
    requests = per_user["size"] / per_user["nunique"]
    assert requests["treatment"] < 0.95 * requests["control"]
    lift = per_assigned(log, TEST["outcomes"], seen_only=True, assignments=TEST["assignments"])
    assert lift < -0.03
    assert per_assigned(log, TEST["outcomes"], seen_only=False, assignments=TEST["assignments"]) < lift
    assert srm(log).p < 0.001
    assert srm(TEST["assignments"]).p > 0.01


def test_without_crashes_nobody_is_lost():
    assert len(lose_users(TEST["serving_log"], crash=0)) == len(TEST["serving_log"])
    assert srm(lose_users(TEST["serving_log"], crash=0)).p > 0.01


def test_bad_settings_are_refused():
    with pytest.raises(ValueError, match=r"crash: got 1; it must lie in \[0, 1\)"):
        lose_users(TEST["serving_log"], crash=1)
    with pytest.raises(ValueError, match="arm: got 'new'; log has control, treatment"):
        lose_users(TEST["serving_log"], crash=0.1, arm="new")
