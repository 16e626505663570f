"""The nine tables fit their schema, agree with each other, and hold nothing that a company can't see."""

import numpy as np
import pandas as pd
import pytest

from toolkit.tables import SCHEMA, problems, validate_all
from toolkit.world import Settings
from toolkit.world.company import tables
from toolkit.world.oracle import oracle
from toolkit.world.story import tell

STORY = tell(Settings(items=60, requests=300, days=34, exploration=0.1))
NINE = tables(STORY)
HONEST = tables(STORY, model="point-in-time")


def test_all_nine_are_there_and_fit():
    assert set(NINE) == set(SCHEMA)
    validate_all(NINE)
    validate_all(HONEST)


def test_the_same_seed_gives_the_same_tables():
    for name, frame in tables(STORY).items():
        pd.testing.assert_frame_equal(frame, NINE[name])


def test_no_table_holds_a_truth_about_what_was_not_shown():
    truth = oracle(STORY.production.world, range(34)).set_index(["request_id", "item_id"])
    hidden = {"p", "quality", "static", "oracle"}
    for name, frame in NINE.items():
        assert not hidden & set(frame.columns), name
    # Outcomes exist for shown rows alone, and there they are the oracle's.
    labels = NINE["outcomes"].set_index(["request_id", "item_id"])["y"]
    assert len(labels) == len(NINE["serving_log"])
    assert (labels == truth.loc[labels.index, "y"]).all()
    # No column of any table is the chance itself, under another name.
    log = NINE["serving_log"].set_index(["request_id", "item_id"])
    p = truth.loc[log.index, "p"].to_numpy()
    for name in log.select_dtypes("number"):
        assert not np.allclose(log[name].to_numpy(float), p), name


def test_an_as_of_join_of_the_history_gives_the_point_in_time_table_exactly():
    # pandas' own as-of join is the reference.
    history = HONEST["feature_history"]
    stream = history[history["feature"] == "rate_today"].sort_values("available_ts")
    rows = HONEST["training_table"]
    joined = pd.merge_asof(
        rows, stream, left_on="ts", right_on="available_ts", left_by="item_id", right_by="entity_id"
    )
    assert joined["value"].to_numpy() == pytest.approx(rows["f_rate_today"].to_numpy(), abs=1e-5)


def test_the_leaky_table_holds_the_warehouse_s_row_of_the_same_day():
    history = NINE["feature_history"]
    daily = history[history["feature"] == "rate_daily"]
    rows = NINE["training_table"].assign(date=lambda table: table["ts"].dt.floor("D"))
    joined = rows.merge(daily, left_on=["item_id", "date"], right_on=["entity_id", "event_ts"])
    assert joined["value"].to_numpy() == pytest.approx(rows["f_rate_today"].to_numpy(), abs=1e-5)
    assert (joined["available_ts"] > joined["ts"]).all(), "none could be read at its request"


def test_treated_users_are_served_the_store_s_late_values_and_zeros():
    log, history = NINE["serving_log"], NINE["feature_history"]
    treated = log[(log["arm"] == "treatment")]
    stream = history[history["feature"] == "rate_today"].sort_values("available_ts")
    joined = pd.merge_asof(
        treated, stream, left_on="ts", right_on="available_ts", left_by="item_id", right_by="entity_id"
    )
    served, stored = treated["f_rate_today"].to_numpy(), joined["value"].to_numpy()
    lost = served == 0
    assert served[~lost] == pytest.approx(stored[~lost], abs=1e-5)
    # A key is lost one time in ten, and a lost one wins its request far more often than that.
    assert lost.mean() > 0.3


def test_the_test_follows_the_logs_that_the_model_was_trained_on():
    log, training = NINE["serving_log"], NINE["training_table"]
    before = log[log["ts"] < training["snapshot_ts"].iloc[0]]
    assert len(before) == len(training)
    assert before["model_id"].eq("old").all()
    assert before["arm"].isna().all()
    merged = training.merge(NINE["outcomes"], on=["request_id", "item_id"], suffixes=("", "_logged"))
    assert len(merged) == len(training)
    assert (merged["y"] == merged["y_logged"]).all()
    assert NINE["assignments"]["ts"].min() >= training["snapshot_ts"].iloc[0]


def test_the_tracker_s_runs_are_real_fits_and_the_leaky_one_leads():
    runs = NINE["tracker"]
    assert len(runs) == 9
    leaky = runs["run_id"].str.startswith("today")
    assert runs.loc[leaky, "metric"].min() > runs.loc[~leaky, "metric"].max()
    assert runs["config_hash"].nunique() == 3
    assert set(runs["data_hash"]) == {runs["data_hash"].iloc[0]}
    assert HONEST["tracker"]["data_hash"].iloc[0] != runs["data_hash"].iloc[0]
    assert (runs["n_holdout"] == (NINE["training_table"]["split"] == "holdout").sum()).all()


def test_a_broken_reference_between_tables_is_named():
    lost = {**NINE, "serving_log": NINE["serving_log"].iloc[5:]}
    with pytest.raises(ValueError, match="outcomes: request_id, item_id: 5 rows aren't in serving_log"):
        validate_all(lost)
    assert problems(lost["serving_log"], "serving_log").empty
