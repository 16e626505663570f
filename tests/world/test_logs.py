"""The logs hold what a company can see, and propensities are the policy's own."""

import numpy as np
import pandas as pd
import pytest

from toolkit.world import Settings, logs, simulate
from toolkit.world.serving import served_by_old

WORLD = simulate(Settings(items=40, requests=400, days=8, candidates=8, users=100, exploration=0.2), rng=1)
DAYS = range(3, 8)
OLD = {"control": served_by_old(WORLD, DAYS)}
BOTH = dict.fromkeys(["control", "treatment"], served_by_old(WORLD, DAYS))
AA = logs.assignments(WORLD, "aa", DAYS, rng=0)


def test_there_is_an_outcome_for_what_was_shown_and_for_nothing_else():
    log, labels = logs.serving_log(OLD), logs.outcomes(OLD)
    assert len(labels) == len(log) == 5 * 400
    assert log[["request_id", "item_id"]].equals(labels[["request_id", "item_id"]])
    day, request = np.divmod(log["request_id"].to_numpy(), 400)
    assert (log["item_id"] == WORLD.item[day, request, WORLD.shown[day, request]]).all()
    assert (labels["y"] == WORLD.y[day, request, WORLD.shown[day, request]]).all()


def test_logged_propensities_recover_what_another_policy_would_have_earned():
    # Inverse-propensity weighting to the uniform policy, whose value the world knows.
    log = logs.serving_log(OLD).merge(logs.outcomes(OLD))
    weighted = log["y"] / 8 / log["propensity"]
    truth = WORLD.y[3:].mean()
    assert weighted.mean() == pytest.approx(truth, abs=4 * weighted.std() / np.sqrt(len(log)))


def test_propensities_of_all_candidates_sum_to_one():
    log = logs.serving_log(OLD)
    # The best of 8 has .8 + .2/8, the others .2/8 each: in all 1.
    assert set(log["propensity"].round(12)) == {0.825, 0.025}


def test_requests_are_in_order_of_time_and_users_are_assigned_once_at_their_first():
    log = logs.serving_log(OLD)
    assert log["ts"].is_monotonic_increasing
    assert str(log["ts"].dt.tz) == "UTC"
    assert AA["user_id"].is_unique
    first = log.groupby("user_id")["ts"].min()
    assert (AA.set_index("user_id")["ts"] == first).all()
    assert set(AA["arm"]) == {"control", "treatment"}


def test_a_user_s_impressions_are_in_the_user_s_arm_and_explored_ones_in_none():
    log = logs.serving_log(BOTH, AA)
    assert log["request_id"].tolist() == logs.serving_log(OLD)["request_id"].tolist()
    assert log.loc[log["explored"], "arm"].isna().all()
    chosen = log[~log["explored"]].merge(AA[["user_id", "arm"]], on="user_id", suffixes=("", "_assigned"))
    assert (chosen["arm"] == chosen["arm_assigned"]).all()


def test_the_funnel_ranks_what_passed_and_nothing_else():
    passed = np.zeros((2000, 8), dtype=bool)
    passed[:, 2:5] = True
    one = {"control": served_by_old(WORLD, DAYS)}
    narrow = {"control": type(one["control"])(**{**vars(one["control"]), "passed": passed})}
    table = logs.funnel(narrow, share=1.0, unfiltered=0.25, rng=0)
    inside = table[table["passed_light"]]
    assert inside.groupby("request_id")["rank"].apply(sorted).map(tuple).unique().tolist() == [(1, 2, 3)]
    best = inside.loc[inside["rank"] == 1].set_index("request_id")["heavy_score"]
    assert (best == inside.groupby("request_id")["heavy_score"].max()).all()
    assert table.loc[~table["passed_light"], "rank"].isna().all()
    # A quarter of the requests are scored whole; of the others only what passed.
    whole = table["heavy_score"].notna().groupby(table["request_id"]).sum()
    assert set(whole) == {3, 8}
    assert (whole == 8).mean() == pytest.approx(0.25, abs=0.05)
    # What is shown is the best of what passed.
    log = logs.serving_log(narrow)
    chosen = log[~log["explored"]].set_index("request_id")["item_id"]
    expected = inside[inside["rank"] == 1].set_index("request_id")["item_id"]
    assert chosen.equals(expected.loc[chosen.index])


def test_the_resources_count_every_candidate_scored():
    table = logs.resources(BOTH, AA, capacity=1000)
    assert table["used"].sum() == 2000 * 8
    assert len(table) == 5 * 24
    assert (table["capacity"] == 1000).all()


def test_the_downstream_service_keeps_its_weights_when_the_upstream_scale_changes():
    log, labels = logs.serving_log(OLD), logs.outcomes(OLD)
    since = log["ts"].iloc[1000]
    table = logs.downstream(log, labels, since=since)
    assert table.loc[log["ts"] < since, "action"].mean() == pytest.approx(0.2, abs=0.01)
    louder = log.assign(score=np.where(log["ts"] < since, log["score"], 3 * log["score"] + 5))
    loud = logs.downstream(louder, labels, since=since)
    before, after = log["ts"] < since, log["ts"] >= since
    assert np.allclose(loud.loc[before, "score"], table.loc[before, "score"])
    assert loud.loc[after, "action"].mean() > 0.9


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: logs.assignments(WORLD, "aa", DAYS, share=1.0), "share: got 1.0"),
        (lambda: logs.serving_log(BOTH), "assigned: got None for 2 arms"),
        (lambda: logs.serving_log(OLD, AA), r"assigned: got arms \['treatment'\]"),
        (lambda: logs.funnel(OLD, share=0.1, unfiltered=0.2), "unfiltered: got 0.2 with share 0.1"),
    ],
)
def test_bad_input_is_refused_by_name_value_and_rule(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_the_same_seed_writes_the_same_logs():
    assert logs.funnel(BOTH, AA, rng=3).equals(logs.funnel(BOTH, AA, rng=3))
    pd.testing.assert_frame_equal(AA, logs.assignments(WORLD, "aa", DAYS, rng=0))
