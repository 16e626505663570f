"""FooBar's search: every run on the same rows, the locked ones apart, the metric its rows' mean."""

import numpy as np
import pytest

from toolkit.shipping.model_search import configurations, preferences, search
from toolkit.world import Settings
from toolkit.world.company import training_table
from toolkit.world.story import tell


@pytest.fixture(scope="module")
def training():
    return training_table(tell(Settings(items=100, requests=200, days=33)), "point-in-time")


def test_runs_share_their_rows_and_the_locked_ones_are_others(training):
    found = search(training, configurations(), seeds=[0, 1], holdout=100)
    assert len(found.tracker) == 12
    assert found.tracker["data_hash"].nunique() == 1
    assert found.tracker["config_hash"].nunique() == 6
    held, locked = set(found.rows["row_id"]), set(found.locked["row_id"])
    assert len(held) == 100
    assert not held & locked
    positives = int(training.loc[training["split"] == "holdout", "y"].sum())
    assert len(held | locked) == positives
    means = found.rows.groupby("run_id", sort=False)["value"].mean()
    assert means.tolist() == pytest.approx(found.tracker["metric"].tolist())


def test_each_feature_that_is_added_is_worth_something(training):
    tried = configurations(useful=True)
    assert [len(columns) for columns in tried.values()] == [1, 2, 3, 4]
    found = search(training, tried, seeds=[0], holdout=50, rows=2000)
    worth = found.locked.groupby("run_id", sort=False)["value"].mean()
    assert worth.iloc[-1] > worth.iloc[0] + 0.03


def test_a_holdout_that_leaves_nothing_to_lock_away_is_refused(training):
    rows = int(training.loc[training["split"] == "holdout", "y"].sum())
    with pytest.raises(ValueError, match=f"holdout: got {rows}; it must be fewer than the {rows}"):
        search(training, configurations(), holdout=rows)


def test_preferences_pair_a_user_s_own_requests_and_right_is_the_good_one(training):
    # The label itself as a feature: always right; its opposite isn't learnt otherwise.
    told = training.assign(
        known=training["y"] + 0.0, noise=np.random.default_rng(0).normal(size=len(training))
    )
    log = told[["request_id", "item_id"]].assign(user_id=told["request_id"] % 50)
    pairs = preferences(told, log, reference=["noise"], current=["known"])
    assert (pairs["current"] == pairs["y"]).all()
    assert (pairs["reference"] == pairs["y"]).mean() == pytest.approx(0.5, abs=0.1)
    held = told[told["split"] == "holdout"]
    by_user = held.groupby(held["request_id"] % 50)["y"]
    assert len(pairs) == int((by_user.sum() * (by_user.size() - by_user.sum())).sum())
    label, user = held.set_index("request_id")["y"], log.set_index("request_id")["user_id"]
    assert (label[pairs["y"]] == 1).all()
    assert (user[pairs["reference"]].to_numpy() == pairs["user_id"].to_numpy()).all()
