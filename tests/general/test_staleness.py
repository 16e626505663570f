"""The curve of quality against age: by hand, size, coverage, and what it refuses."""

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy.stats import norm
from sklearn.metrics import log_loss, roc_auc_score

from toolkit.general.snapshots import shadow_scores
from toolkit.general.staleness import metric_by_age, staleness_curve
from toolkit.world import Settings, simulate

START = pd.Timestamp("2026-03-02", tz="UTC")


def shadow(days=4, users=150, each=6, *, decay=0.0, hard=0.0, ages=(0, 2), rng=0, seen=None):
    """Binormal scores: the distance of good from bad falls by `decay` an age and by `hard` a day.

    `seen` keeps, of each day, only the ages that it maps to.
    """
    draw = np.random.default_rng(rng)
    parts = []
    n = users * each
    # A user's rows share a part of their luck on all days and snapshots.
    taste = draw.normal(size=users)
    for day in range(days):
        user = np.repeat(np.arange(users), each)
        y = (draw.random(n) < 0.4).astype(int)
        luck = 0.6 * taste[user] + 0.8 * draw.normal(size=n)
        rows = {"request_id": day * n + np.arange(n), "item_id": 1, "user_id": user, "y": y}
        rows["ts"] = START + pd.to_timedelta(day + np.arange(n) / n, unit="D")
        for age in ages if seen is None else seen[day]:
            # The snapshots' errors overlap, as those of real ones do.
            error = 0.8 * luck + 0.6 * draw.normal(size=n)
            score = (1.5 - decay * age - hard * day) * y + error
            parts.append(
                pd.DataFrame(
                    {**rows, "score": score, "model_trained_at": START + (day - age) * pd.Timedelta("1D")}
                )
            )
    return pd.concat(parts, ignore_index=True)


def area(distance):
    return norm.cdf(distance / np.sqrt(2))


def test_in_a_balanced_log_the_change_is_the_weighted_mean_of_daily_differences():
    log = shadow(days=2, decay=0.3)
    finding = staleness_curve(log, replicates=20)
    cells = log.assign(day=log["ts"].dt.floor("D")).groupby(["day", "model_trained_at"])
    by_hand = {key: roc_auc_score(rows["y"], rows["score"]) for key, rows in cells}
    # Each day has the same labels for both snapshots, so that the day's weight is that of its labels.
    differences, weights = [], []
    for day, rows in log.groupby(log["ts"].dt.floor("D")):
        differences.append(by_hand[day, day - pd.Timedelta("2D")] - by_hand[day, day])
        good = rows["y"].mean()
        weights.append(good * (1 - good))
    assert finding.estimate == pytest.approx(np.average(differences, weights=weights))
    assert finding.table["days"].tolist() == [2, 2]
    assert finding.n == len(log)
    assert finding.n_clusters == 150


def test_alone_is_an_age_s_mean_over_its_days_by_what_each_is_worth():
    log = shadow(days=2, hard=0.5)
    # Of the second day a fifth of the rows, and few good ones among them.
    second = log["ts"] >= START + pd.Timedelta("1D")
    log = log[~second | (log["request_id"] % 5 == 0) & ((log["y"] == 0) | (log["request_id"] % 2 == 0))]
    table = staleness_curve(log, replicates=2).table
    by_hand = []
    for _, rows in log.groupby(np.floor((log["ts"] - log["model_trained_at"]) / pd.Timedelta("1D"))):
        days = [day for _, day in rows.groupby(rows["ts"].dt.floor("D"))]
        # The harmonic mean of good and bad rows, but for a factor.
        worth = [1 / (1 / day["y"].sum() + 1 / (1 - day["y"]).sum()) for day in days]
        by_hand.append(np.average([roc_auc_score(day["y"], day["score"]) for day in days], weights=worth))
    assert table["alone"].tolist() == pytest.approx(by_hand)


def test_days_that_are_hard_for_all_are_taken_out_where_ages_overlap():
    # One model a day that is never replaced grows old while the days grow hard: alone, all is "age".
    seen = {day: [0, day] if day else [0] for day in range(4)}
    log = shadow(days=4, users=1500, decay=0.0, hard=0.3, seen=seen)
    told = staleness_curve(log, replicates=100).table.set_index("age")
    assert told.loc[3, "alone"] - told.loc[0, "alone"] < -0.04
    assert told.loc[3, "low"] < 0 < told.loc[3, "high"]


def test_a_loss_is_found_and_said():
    finding = staleness_curve(shadow(users=600, decay=0.3), replicates=100)
    assert finding.estimate == pytest.approx(area(0.9) - area(1.5), abs=0.02)
    assert "goes stale" in finding.verdict
    quiet = staleness_curve(shadow(users=600), replicates=100)
    assert "no staleness shows" in quiet.verdict
    assert quiet.ci[0] <= 0 <= quiet.ci[1]


@pytest.mark.slow
def test_intervals_cover_and_quiet_worlds_stay_quiet():
    replicas, covered, alarms = 120, 0, 0
    for seed in range(replicas):
        # Every other world goes stale; in the others the truth is 0, and to cover it is to be quiet.
        decay = 0.2 * (seed % 2)
        log = shadow(days=1, users=100, each=4, decay=decay, rng=seed)
        finding = staleness_curve(log, replicates=100)
        covered += finding.ci[0] <= area(1.5 - 2 * decay) - area(1.5) <= finding.ci[1]
        alarms += not decay and finding.p <= 0.05
    assert covered / replicas == pytest.approx(0.95, abs=3 * np.sqrt(0.05 * 0.95 / replicas))
    assert alarms / (replicas / 2) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / (replicas / 2))


def test_foobar_s_snapshots_go_stale_while_quality_moves_and_don_t_when_it_stands():
    found = {}
    for half_life in (1.0, 1e6):
        world = simulate(Settings(items=200, half_life=half_life))
        found[half_life] = staleness_curve(
            shadow_scores(world, range(36, 45), ages=[0, 2, 5]), replicates=100
        )
    assert found[1.0].ci[1] < -0.02
    assert "no staleness shows" in found[1e6].verdict


@pytest.mark.parametrize("kind", ["polars", "pyarrow", "duckdb"])
def test_any_frame_gives_the_same_metric(kind):
    log = shadow(users=40)
    given = {
        "polars": pl.from_pandas,
        "pyarrow": lambda frame: pl.from_pandas(frame).to_arrow(),
        "duckdb": lambda frame: duckdb.from_df(frame),
    }[kind](log)
    pd.testing.assert_frame_equal(
        metric_by_age(given).astype({"ts": str}), metric_by_age(log).astype({"ts": str})
    )


def test_normalised_entropy_is_log_loss_over_that_of_the_base_rate():
    log = shadow(users=40)
    log["score"] = norm.cdf(log["score"])
    cells = metric_by_age(log, metric="NE")
    first = log[(log["ts"] < START + pd.Timedelta("1D")) & (log["model_trained_at"] == START)]
    base = np.full(len(first), first["y"].mean())
    by_hand = log_loss(first["y"], first["score"]) / log_loss(first["y"], base)
    assert cells["value"][0] == pytest.approx(by_hand)
    assert "stale" in staleness_curve(log, metric="NE", replicates=20).verdict


def test_hours_are_ages_too():
    log = shadow(users=200)
    hourly = metric_by_age(log, unit="6h")
    assert sorted(hourly["age"].unique()) == [0, 1, 2, 3, 8, 9, 10, 11]


LOG = shadow(users=20)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: staleness_curve(LOG.drop(columns="score")), "it must have score"),
        (lambda: staleness_curve(LOG.assign(y=2)), "y: got 2 in log; a label is 0 or 1"),
        (lambda: staleness_curve(LOG.assign(user_id=None)), "user_id: got .* missing"),
        (lambda: staleness_curve(LOG.assign(score=np.inf)), "score: got inf"),
        (
            lambda: staleness_curve(pd.concat([LOG, LOG])),
            "request_id, item_id, model_trained_at: got .* repeated",
        ),
        (lambda: staleness_curve(LOG.assign(ts="now")), "ts: got .* in log; it must be a time"),
        (
            lambda: staleness_curve(LOG.assign(ts=LOG["ts"].dt.tz_localize(None))),
            "model_trained_at: got a time zone",
        ),
        (
            lambda: staleness_curve(
                LOG.assign(model_trained_at=LOG["model_trained_at"] + pd.Timedelta("9D"))
            ),
            "rows from before their model's training",
        ),
        (lambda: staleness_curve(LOG, within="1min"), r"y: got only . on .* \(choose a longer `within`"),
        (
            lambda: staleness_curve(LOG[LOG["model_trained_at"] == START]),
            "can't be compared on the same days",
        ),
        (lambda: staleness_curve(shadow(ages=[1], users=20)), r"log: got one age \(1\)"),
        (lambda: staleness_curve(LOG, metric="F1"), "metric: got 'F1'; it must be one of AUC, NE"),
        (lambda: staleness_curve(LOG, metric="NE"), "score: got .* for NE a score is a probability"),
        (lambda: staleness_curve(LOG, unit="soon"), "unit: got 'soon'"),
        (lambda: staleness_curve(LOG, within="-1D"), "within: got '-1D'"),
        (lambda: staleness_curve(LOG, alpha=1), "alpha: got 1"),
        (lambda: staleness_curve(LOG.assign(user_id=1)), "clusters: got 1"),
        (lambda: staleness_curve(LOG, replicates=0), "replicates: got 0"),
    ],
)
def test_bad_input_is_refused_by_name_value_and_rule(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_scores_that_rank_nothing_give_no_alarm():
    day = pd.Timestamp("2026-03-09 12:00", tz="UTC")
    log = pd.DataFrame({"request_id": range(300), "item_id": 1, "user_id": range(300), "ts": day})
    log["ts"] += pd.to_timedelta(np.arange(300) % 3, unit="D")
    log["y"] = np.arange(300) % 5 == 0
    both = pd.concat(
        [log.assign(model_trained_at=log["ts"] - pd.Timedelta(days=age), score=age) for age in (0, 7)]
    )
    # Each snapshot's area is a half; a weighted mean of halves may be off by 1e-17, in every draw alike.
    told = staleness_curve(both, replicates=50)
    assert told.estimate == 0
    assert told.ci == (0, 0)
    assert "goes stale" not in told.verdict
    with pytest.raises(ValueError, match="score: got 1 in every row; a constant ranks nothing"):
        staleness_curve(both.assign(score=1))
