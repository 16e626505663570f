"""The lag of what was served: on the world's tables, and calibrated."""

import math

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pytest

from toolkit.features.freshness import estimate_lag
from toolkit.general.shadow_logs import deployed
from toolkit.world import Settings, logs, simulate, warehouse
from toolkit.world.company import tables
from toolkit.world.story import tell

NAMED = {"column": "f_rate_today", "feature": "rate_today"}


def world(half_life=1.0, requests=500):
    return simulate(Settings(items=60, requests=requests, days=16, half_life=half_life))


WORLD = world()
HISTORY = warehouse.feature_history(WORLD, range(1, 16))


def served(late, of=WORLD):
    return logs.serving_log({"new": deployed(of, range(10, 16), trained_on=range(4, 10), late=late)})


@pytest.mark.parametrize("late", [1, 2])
def test_it_finds_the_days_by_which_production_is_late(late):
    told = estimate_lag(served(late), HISTORY, **NAMED)
    assert told.estimate == pytest.approx(24 * late, abs=0.1)
    assert told.ci[0] < 24 * late <= told.ci[1]
    assert told.table.set_index("explained by")["share"]["this lag"] == 1
    assert told.verdict.startswith(f"f_rate_today is served {24 * late} hours late: 100.0%")


def test_served_at_once_it_is_0_also_where_the_history_itself_moves():
    for half_life in (0.1, 1e6):
        drifting = world(half_life)
        told = estimate_lag(served(0, drifting), warehouse.feature_history(drifting, range(1, 16)), **NAMED)
        assert told.estimate == 0
        assert told.ci[0] == 0
        assert told.verdict.startswith("f_rate_today is served at once")


def test_on_the_nine_tables_it_takes_pipeline_and_serving_apart_and_sees_the_default():
    story = tell(Settings(items=60, requests=400, days=33))
    nine = tables(story)
    log = nine["serving_log"].query("model_id == 'leaky'")
    by_event = estimate_lag(log, nine["feature_history"], **NAMED)
    by_reading = estimate_lag(log, nine["feature_history"], **NAMED, by="available_ts")
    assert by_event.estimate == pytest.approx(24, abs=0.2)
    assert by_reading.estimate == 0
    default = float((log["f_rate_today"] == 0).mean())
    assert by_event.table["share"].iloc[-1] == pytest.approx(default)
    assert by_event.table["share"].iloc[3] == pytest.approx(default, abs=0.01)
    assert "most often 0: a default?" in by_event.verdict
    shares = by_event.table.iloc[:4]
    assert (shares["low"] <= shares["share"]).all()
    assert (shares["share"] <= shares["high"]).all()
    assert shares["share"].iloc[2:].sum() == pytest.approx(1)


def test_values_of_another_definition_have_no_lag():
    other = served(1).assign(f_rate_today=lambda log: 1.3 * log["f_rate_today"])
    told = estimate_lag(other, HISTORY, **NAMED)
    assert told.verdict.startswith("No single lag explains f_rate_today")
    assert "default" not in told.verdict


def stale_log(rng, lag, *, users=60, rows=300, other=0.0, other_lag=5.0, missing=0.2):
    """A log of values that are `lag` hours old, a share of another lag, and some replaced by 0."""
    entities, span = 20, 240
    event = np.sort(rng.uniform(0, span, 2500))
    history = pd.DataFrame(
        {
            "entity_id": rng.integers(0, entities, 2500),
            "feature": "rate_today",
            "value": rng.normal(size=2500),
        }
    )
    begin = pd.Timestamp("2026-03-02", tz="UTC")
    history["event_ts"] = history["available_ts"] = begin + pd.to_timedelta(event, unit="h")
    user = rng.integers(0, users, rows)
    # Which lag a row meets is its user's, as where a user always reads one replica.
    late = np.where(rng.random(users) < other, other_lag, lag)[user]
    log = pd.DataFrame({"user_id": user, "item_id": rng.integers(0, entities, rows)})
    when = rng.uniform(120, span, rows)
    log["ts"] = begin + pd.to_timedelta(when, unit="h")
    of = {
        e: (part["event_ts"].to_numpy(), part["value"].to_numpy()) for e, part in history.groupby("entity_id")
    }
    asked = (begin + pd.to_timedelta(when - late, unit="h")).to_numpy()
    value = [of[e][1][np.searchsorted(of[e][0], t) - 1] for e, t in zip(log["item_id"], asked, strict=True)]
    log["f_rate_today"] = np.where(rng.random(rows) < missing, 0.0, value)
    return log, history


# Where all rows share a lag, the stretch of fitting lags holds it always: that takes few runs.
@pytest.mark.parametrize(("other", "runs"), [(0.0, 15), (0.3, 60)])
def test_intervals_hold_the_lag_that_most_rows_have(other, runs):
    covered = []
    for seed in range(runs):
        log, history = stale_log(np.random.default_rng(seed), 17.0, other=other)
        told = estimate_lag(log, history, **NAMED, replicates=60, rng=seed)
        covered.append(told.ci[0] <= 17 <= told.ci[1])
        # Where users differ in their lag, few users may leave open which one most rows have.
        assert other or told.ci[1] - told.ci[0] < 1.5
    assert np.mean(covered) >= (0.93 if other else 1)


def test_the_lag_is_the_same_from_any_library():
    log, history = stale_log(np.random.default_rng(1), 6.0)
    want = estimate_lag(log, history, **NAMED)
    for make in (pl.from_pandas, duckdb.from_df):
        assert estimate_lag(make(log), make(history), **NAMED).estimate == pytest.approx(want.estimate)
    holes = log.assign(f_rate_today=log["f_rate_today"].where(log.index % 10 > 0))
    told = estimate_lag(holes, history, **NAMED)
    assert told.estimate == pytest.approx(want.estimate, abs=0.1)
    assert "30 rows without a value are left out" in told.verdict


@pytest.mark.parametrize(
    ("change", "settings", "message"),
    [
        ({}, {"by": "ts"}, r"by: got 'ts'"),
        ({}, {"feature": "age"}, r"feature: got 'age'; history has rate_today"),
        ({}, {"column": "f_9"}, r"serving: got columns .*; it must have f_9"),
        ({}, {"replicates": 0}, r"replicates: got 0"),
        ({}, {"alpha": 1.2}, r"alpha: got 1\.2"),
        (
            {"item_id": 999},
            {},
            r"item_id: got no row with a value of f_rate_today whose entity is in the history",
        ),
        ({"ts": pd.Timestamp("2026-03-02")}, {}, r"ts: got .* in serving; it must be times with their zone"),
        ({"f_rate_today": math.inf}, {}, r"f_rate_today: got inf in serving; it must be finite"),
        ({"f_rate_today": math.nan}, {}, r"item_id: got no row with a value"),
        ({"user_id": 1}, {}, r"clusters: got 1; the bootstrap needs two at least"),
    ],
)
def test_a_bad_log_is_refused(change, settings, message):
    log, history = stale_log(np.random.default_rng(0), 6.0)
    with pytest.raises(ValueError, match=message):
        estimate_lag(log.assign(**change), history, **{**NAMED, **settings})
