"""What the treatment promised and didn't get: by hand, clusters, FooBar's two worlds, any frame, refusals."""

import math

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pytest

from toolkit.experiments.loop_logs import loop_tables
from toolkit.experiments.small_traffic import optimism_curve
from toolkit.experiments.training_loop import Experiment

START = pd.Timestamp("2026-03-02", tz="UTC")


def a_test(seed=0, *, rows=1500, users=150, days=5, off=0.0, fades=0.0, everywhere=0.0, taste=0.0):
    """A treatment whose scores are right but by `off` on the items 50 to 99, which control never shows.

    The mistake grows by `fades` a day; `everywhere` is what all scores are too high by; `taste` is the
    spread of what users add to the chance.
    """
    rng = np.random.default_rng(seed)
    arm = np.where(np.arange(users) % 2, "treatment", "control")
    own = rng.uniform(-taste, taste, users)
    user, day = rng.integers(0, users, rows), rng.integers(0, days, rows)
    treated = arm[user] == "treatment"
    item = np.where(treated & (rng.random(rows) < 0.4), rng.integers(50, 100, rows), rng.integers(0, 3, rows))
    chance = rng.uniform(0.3, 0.5, rows)
    log = pd.DataFrame(
        {
            "request_id": np.arange(rows),
            "item_id": item,
            "user_id": user,
            "ts": START + pd.to_timedelta(day * 86_400 + 600, unit="s"),
            "arm": arm[user],
            "score": chance + everywhere + (item >= 50) * (off + fades * day),
        }
    )
    y = (rng.random(rows) < chance + own[user]).astype(int)
    return log, log[["request_id", "item_id"]].assign(y=y)


def test_it_is_the_optimism_beyond_that_elsewhere_an_impression_by_hand():
    log, outcomes = a_test(off=0.2, everywhere=0.1)
    found = optimism_curve(log, outcomes)
    rows = log.merge(outcomes)[log["arm"] == "treatment"]
    seldom = rows["item_id"] >= 50
    optimism = rows["score"] - rows["y"]
    by_hand = seldom.mean() * (optimism[seldom].mean() - optimism[~seldom].mean())
    assert found.estimate == pytest.approx(by_hand)
    assert found.n == len(rows)
    assert found.n_clusters == rows["user_id"].nunique()
    assert found.ci[0] <= 0.4 * 0.2 <= found.ci[1]
    assert "promised" in found.verdict
    assert (found.table["impressions"].sum(), len(found.table)) == (seldom.sum(), 5)
    assert found.table["share"].mean() == pytest.approx(0.4, abs=0.05)
    assert found.table["day"].tolist() == [1, 2, 3, 4, 5]


def test_a_score_that_is_off_everywhere_doesn_t_count():
    log, outcomes = a_test()
    shifted = optimism_curve(log.assign(score=log["score"] + 0.3), outcomes)
    assert shifted.estimate == pytest.approx(optimism_curve(log, outcomes).estimate)


def test_one_user_s_picks_tell_nothing():
    log, outcomes = a_test()
    lone = log["user_id"].where(log["item_id"] < 50, 1)
    found = optimism_curve(log.assign(user_id=lone), outcomes)
    assert "can't be told: one cluster" in found.verdict
    assert (found.p, math.isnan(found.ci[0])) == (None, True)


def test_rows_taken_for_independent_would_be_too_sure():
    # Users who like everything, or nothing, and who see only one kind of item.
    errors = {}
    rng = np.random.default_rng(0)
    log, outcomes = a_test(rows=4000, users=40)
    fond = rng.random(40) < 0.5
    log["item_id"] = np.where(log["arm"] == "treatment", 50 * (log["user_id"] % 4 == 1), 0)
    outcomes = outcomes.assign(item_id=log["item_id"], y=fond[log["user_id"]].astype(int))
    for cluster in ("user_id", "request_id"):
        errors[cluster] = optimism_curve(log, outcomes, cluster=cluster).se
    assert errors["user_id"] > 5 * errors["request_id"]


def test_the_verdict_follows_the_trend():
    for fades, said in ((-0.06, "less with each day"), (0.06, "more with each day"), (0.0, "can't be told")):
        log, outcomes = a_test(rows=8000, off=0.25, fades=fades)
        assert said in optimism_curve(log, outcomes).verdict
    assert "underrates" in optimism_curve(*a_test(rows=8000, off=-0.2)).verdict
    assert "No optimism" in optimism_curve(*a_test()).verdict
    one_day = optimism_curve(*a_test(days=1, off=0.3))
    assert "one day can't tell" in one_day.verdict
    assert math.isfinite(one_day.estimate)


def test_a_fall_that_luck_explains_is_no_learning():
    falls = 0
    for seed in range(6):
        tables = a_test(seed, rows=3000, off=0.25)
        trend = optimism_curve(*tables, tells="trend")
        if trend.ci[0] < 0 < trend.ci[1]:
            assert "can't be told" in optimism_curve(*tables).verdict
            falls += trend.estimate < 0
    assert falls


def test_foobar_s_treatment_learns_and_one_that_keeps_the_rule_has_nothing_to():
    made = loop_tables({"test": Experiment(traffic=0.25)})
    level = optimism_curve(made["serving_log"], made["outcomes"])
    trend = optimism_curve(made["serving_log"], made["outcomes"], tells="trend")
    assert level.ci[0] > 0.01
    assert trend.ci[1] < 0
    # Families are what control never shows, and they can be counted by their number too.
    by_family = optimism_curve(made["serving_log"], made["outcomes"], by="f_family")
    assert by_family.estimate == pytest.approx(level.estimate)
    kept = loop_tables({"test": Experiment(traffic=0.25, inherits="the rule")})
    found = optimism_curve(kept["serving_log"], kept["outcomes"])
    assert (found.estimate, found.ci, found.p) == (0.0, (0.0, 0.0), None)
    assert "nothing that the rest of the log seldom shows" in found.verdict


def test_explored_rows_count_as_shown_elsewhere():
    log, outcomes = a_test(off=0.2)
    explored = log[log["item_id"] >= 50].iloc[::2].assign(arm=None)
    mixed = pd.concat([log.drop(explored.index), explored])
    fewer = optimism_curve(mixed, outcomes, least=5)
    assert fewer.table["impressions"].sum() < (mixed["arm"].eq("treatment") & (mixed["item_id"] >= 50)).sum()


def test_a_thing_that_others_show_least_times_is_known():
    log, outcomes = a_test()
    treated = log["arm"] == "treatment"
    shown = log.loc[~treated, "item_id"].value_counts()
    rarest, times = shown.idxmin(), int(shown.min())
    picks = [
        optimism_curve(log, outcomes, least=least).table["impressions"].sum() for least in (times, times + 1)
    ]
    assert picks[0] == (treated & (log["item_id"] >= 50)).sum()
    assert picks[1] - picks[0] == (treated & (log["item_id"] == rarest)).sum()


@pytest.mark.parametrize("kind", ["polars", "lazy", "pyarrow", "duckdb"])
def test_any_frame_gives_the_same_answer(kind):
    make = {
        "polars": pl.from_pandas,
        "lazy": lambda frame: pl.from_pandas(frame).lazy(),
        "pyarrow": lambda frame: pl.from_pandas(frame).to_arrow(),
        "duckdb": lambda frame: duckdb.from_df(frame),
    }[kind]
    log, outcomes = a_test(rows=400)
    theirs, ours = optimism_curve(make(log), make(outcomes)), optimism_curve(log, outcomes)
    assert theirs.summary() == ours.summary()
    pd.testing.assert_frame_equal(theirs.table, ours.table, check_dtype=False)


LOG, OUTCOMES = a_test(rows=400)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: optimism_curve(LOG.drop(columns="score"), OUTCOMES), "log: got columns .* must have score"),
        (lambda: optimism_curve(3, OUTCOMES), "log: got int; it must be a frame"),
        (
            lambda: optimism_curve(LOG.assign(score=3.2), OUTCOMES),
            "score: got 3.2 in log; it must be a chance",
        ),
        (lambda: optimism_curve(LOG.assign(score=np.nan), OUTCOMES), "score: got 400 missing"),
        (lambda: optimism_curve(LOG, OUTCOMES.iloc[200:]), "outcomes: got none for .* each needs one"),
        (lambda: optimism_curve(LOG, OUTCOMES, treatment="B"), "treatment: got 'B'; no impression in log"),
        (
            lambda: optimism_curve(LOG, OUTCOMES, least=10_000),
            "least: got 10000; all that the treatment shows is shown elsewhere less often",
        ),
        (lambda: optimism_curve(LOG, OUTCOMES, least=0), "least: got 0; it must be a whole number"),
        (
            lambda: optimism_curve(LOG, OUTCOMES, tells="all"),
            "tells: got 'all'; it must be one of level, trend",
        ),
        (lambda: optimism_curve(LOG, OUTCOMES.assign(y=0)), "y: got no 1 in the treatment's rows"),
        (lambda: optimism_curve(LOG, OUTCOMES, alpha=0), "alpha: got 0"),
        (lambda: optimism_curve(LOG, OUTCOMES, by="f_shop"), "log: got columns .* must have f_shop"),
        (
            lambda: optimism_curve(LOG.assign(ts=START), OUTCOMES, tells="trend"),
            "ts: got one day in the treatment's rows; a trend needs two at least",
        ),
        (lambda: optimism_curve(LOG.assign(user_id=1), OUTCOMES), "user_id: got one in all rows"),
        (
            lambda: optimism_curve(LOG.assign(ts=LOG["ts"].dt.tz_localize(None)), OUTCOMES),
            "ts: got .* in log; it must be times with their zone",
        ),
        (lambda: optimism_curve(pd.concat([LOG, LOG]), OUTCOMES), "request_id, item_id: got 400 repeated"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
