"""The curve of losses against half-lives: by hand, against the truth, coverage, and what it refuses."""

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pytest

from toolkit.tradeoffs.learners import exponential
from toolkit.tradeoffs.local_level import gain_of, tracking_error
from toolkit.tradeoffs.market import market
from toolkit.tradeoffs.noise_and_change import memory_curve
from toolkit.world.clock import START


def rows_about(level, each, rng):
    """Outcomes whose chance is 1/2 plus the day's level, each of another user."""
    draw = np.random.default_rng(rng)
    day = np.repeat(np.arange(len(level)), each)
    return pd.DataFrame(
        {
            "user_id": np.arange(len(day)),
            "ts": START + pd.to_timedelta(day + 0.5, unit="D"),
            "score": 0.5,
            "y": (draw.random(len(day)) < 0.5 + level[day]).astype(int),
        }
    )


def walk(days, drift, rng):
    """A level that jumps every twentieth day, turned back at 0.3, where chances have room."""
    draw = np.random.default_rng(rng)
    steps = (draw.random(days) < 0.05) * draw.choice([-1, 1], days) * np.sqrt(drift / 0.05)
    level, now = np.empty(days), 0.0
    for day, step in enumerate(steps):
        now = now + step if abs(now + step) <= 0.3 else now - step
        level[day] = now
    return level


def test_the_difference_is_that_of_squared_errors_of_daily_forecasts():
    log = rows_about(walk(400, 0.001, 0), 20, 1)
    found = memory_curve(log, current=3, candidate=8, replicates=20)
    daily = (log["y"] - 0.5).groupby(log["ts"]).mean().to_numpy()
    loss = {}
    for life in (3, 8):
        weights = (1 - gain_of(life)) ** np.arange(400)
        told = [np.average(daily[:t][::-1], weights=weights[:t]) for t in range(1, 400)]
        # The first 28 days, twice `around`, only teach.
        loss[life] = np.mean((daily[28:] - np.array(told)[27:]) ** 2)
    assert found.estimate == pytest.approx(loss[8] - loss[3])
    assert found.n == len(log)
    assert found.n_clusters == 8
    table = found.table.set_index(["period", "half_life"])
    assert (table.xs(3, level="half_life")["against_current"] == 0).all()
    assert len(table) == 3 * 7


def test_losses_by_period_are_those_against_the_truth_whatever_half_says_when_it_moved():
    gaps = {name: [] for name in ("all", "together", "calm", "change")}
    for seed in range(30):
        level = walk(500, 0.003, seed)
        table = memory_curve(
            rows_about(level, 20, 100 + seed), current=3, candidate=12, half_lives=(), replicates=1
        ).table.set_index(["period", "half_life"])["loss"]
        spread = np.sqrt((0.25 - level**2) / 20)[:, None]
        readings = level[:, None] + spread * np.random.default_rng(seed).normal(size=(500, 5))
        true = ((exponential(readings, gain_of(3)) - level[:, None])[28:] ** 2).mean()
        gaps["all"].append(table["all", 3] - true)
        # A quarter of the days are changing ones.
        gaps["together"].append(0.75 * table["calm", 3] + 0.25 * table["change", 3] - true)
        gaps["change"].append(table["change", 12] - table["change", 3])
        gaps["calm"].append(table["calm", 12] - table["calm", 3])
    for name in ("all", "together"):
        assert abs(np.mean(gaps[name])) < 3 * np.std(gaps[name], ddof=1) / 30**0.5
    assert np.mean(gaps["change"]) > 2 * np.mean(gaps["calm"])


def test_in_a_still_market_both_periods_say_the_same():
    calm, change, selected = [], [], []
    for seed in range(20):
        log = market(400, rows=20, rate=0.0, rng=seed)
        table = memory_curve(log, current=2, candidate=8, half_lives=(), replicates=2, rng=seed).table
        lead = table[table["half_life"] == 8].set_index("period")["against_current"]
        calm.append(lead["calm"]), change.append(lead["change"])
        loss = table[table["half_life"] == 8].set_index("period")["loss"]
        selected.append(loss["change"] - loss["calm"])
    difference = np.array(change) - calm
    assert abs(difference.mean()) < 3 * difference.std(ddof=1) / 20**0.5
    # Told from the rows that are judged, changes would be where luck was.
    assert abs(np.mean(selected)) < 3 * np.std(selected, ddof=1) / 20**0.5
    # Noise passed on, in units of a row's variance: the closed form, about.
    saved = tracking_error(gain_of(2), drift=0) - tracking_error(gain_of(8), drift=0)
    assert -np.mean(calm) == pytest.approx(saved * 0.215 / 20, rel=0.15)


def test_intervals_cover_and_p_is_uniform_where_both_are_equally_good():
    # The drift at which half-lives of 3 and 8 steps have the same error.
    fast, slow, noise = gain_of(3), gain_of(8), 0.24 / 20
    equal = (
        noise * (fast / (2 - fast) - slow / (2 - slow)) / (1 / (slow * (2 - slow)) - 1 / (fast * (2 - fast)))
    )
    level = walk(150_000, equal, 99)
    readings = level + np.sqrt((0.25 - level**2) / 20) * np.random.default_rng(98).normal(size=len(level))
    loss = {gain: ((exponential(readings, gain) - level) ** 2).mean() for gain in (fast, slow)}
    truth = loss[slow] - loss[fast]
    replicas, covered, small = 60, 0, 0
    for seed in range(replicas):
        found = memory_curve(
            rows_about(walk(900, equal, seed), 20, seed),
            current=3,
            candidate=8,
            half_lives=(),
            replicates=100,
        )
        covered += found.ci[0] <= truth <= found.ci[1]
        small += found.p <= 0.05
    assert covered / replicas >= 0.95 - 3 * np.sqrt(0.05 * 0.95 / replicas)
    assert small / replicas <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / replicas)


def test_with_few_changes_intervals_still_cover_nearly_nine_times_in_ten():
    # Ten jumps in 600 steps: what the docstring owns up to.
    gap = {"current": 3, "candidate": 8, "half_lives": (), "replicates": 100}
    settings = {"rows": 20, "rate": 1 / 60, "size": 0.8}
    told = [memory_curve(market(600, rng=seed, **settings), **gap) for seed in range(40)]
    truth = np.mean(
        [memory_curve(market(3000, rng=900 + seed, **settings), **gap).estimate for seed in range(6)]
    )
    covered = np.mean([found.ci[0] <= truth <= found.ci[1] for found in told])
    assert 0.8 <= covered <= 1.0


def test_gaps_and_users_of_other_times_are_no_surprise():
    log = market(320, rows=8, rng=4)
    day = (log["ts"] - START).dt.days
    # Warnings are errors: a stretch without rows divides nothing by 0.
    gap = memory_curve(log[(day < 150) | (day > 190)], current=2, candidate=5, replicates=20)
    assert np.isfinite([gap.estimate, *gap.ci]).all()
    with pytest.raises(ValueError, match="user_id: got no step with rows of both halves"):
        memory_curve(log.assign(user_id=(day < 160).astype(int)), current=2, candidate=5)
    with pytest.raises(ValueError, match="y: got 0 in all rows"):
        memory_curve(log.assign(y=0), score=None, current=2, candidate=5)


def test_the_verdict_names_the_better_memory_and_hours_are_steps_too():
    log = market(500, rows=40, rate=1 / 30, size=1.2, rng=1)
    found = memory_curve(log, current=2, candidate=25, replicates=100)
    assert found.ci[0] > 0
    assert "half-life of 25 days against one of 2" in found.verdict
    assert "worse over all" in found.verdict
    hourly = log.assign(ts=START + (log["ts"] - START) / 24)
    again = memory_curve(hourly, current=2, candidate=25, replicates=100, step="1h")
    assert again.estimate == pytest.approx(found.estimate)
    assert "25 hours" in again.verdict
    rate = memory_curve(log, current=2, candidate=25, score=None, replicates=2)
    assert rate.estimate == pytest.approx(found.estimate, rel=0.3)


@pytest.mark.parametrize("kind", ["polars", "pyarrow", "duckdb"])
def test_any_frame_gives_the_same(kind):
    log = market(300, rows=10, rng=2)
    given = {
        "polars": pl.from_pandas,
        "pyarrow": lambda frame: pl.from_pandas(frame).to_arrow(),
        "duckdb": lambda frame: duckdb.from_df(frame),
    }[kind](log)
    settings = {"current": 2, "candidate": 5, "replicates": 2}
    assert memory_curve(given, **settings).estimate == pytest.approx(memory_curve(log, **settings).estimate)


LOG = market(300, rows=6)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: memory_curve(LOG.drop(columns="score"), current=2, candidate=5), "it must have score"),
        (lambda: memory_curve(LOG.assign(y=2), current=2, candidate=5), "y: got 2 in log"),
        (lambda: memory_curve(LOG.assign(score=1.5), current=2, candidate=5), "score: got 1.5 in log"),
        (lambda: memory_curve(LOG.assign(ts=1), current=2, candidate=5), "ts: got int64 in log"),
        (lambda: memory_curve(LOG.assign(user_id=1), current=2, candidate=5), "user_id: got one in all rows"),
        (lambda: memory_curve(LOG, current=2, candidate=2), "candidate: got 2, which is current"),
        (lambda: memory_curve(LOG, current=0, candidate=2), "half_life: got 0"),
        (lambda: memory_curve(LOG, current=2, candidate=50), r"ts: got 300 steps; .* 900 at least"),
        (lambda: memory_curve(LOG, current=2, candidate=5, step="soon"), "step: got 'soon'"),
        (lambda: memory_curve(LOG, current=2, candidate=5, changing=1), "changing: got 1"),
        (lambda: memory_curve(LOG, current=2, candidate=5, around=0), "around: got 0"),
        (lambda: memory_curve(LOG, current=2, candidate=5, blocks=2), "blocks: got 2"),
        (lambda: memory_curve(LOG, current=2, candidate=5, alpha=2), "alpha: got 2"),
        (lambda: memory_curve(LOG, current=2, candidate=5, replicates=0), "replicates: got 0"),
    ],
)
def test_bad_input_is_refused_by_name_value_and_rule(call, message):
    with pytest.raises(ValueError, match=message):
        call()
