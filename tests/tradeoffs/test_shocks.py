"""Replays: closed forms on averages, order on real learners, refusal of what looks ahead."""

import math

import duckdb
import numpy as np
import polars as pl
import pytest

from toolkit.tradeoffs.local_level import gain_of, recovery_half_life
from toolkit.tradeoffs.market import market, moving_tastes
from toolkit.tradeoffs.memories import adaptive, recalibrated, updated, weighted, windowed
from toolkit.tradeoffs.shocks import noise_replay, shock_replay

LOG = market(200, rows=40, rng=1)


@pytest.mark.parametrize("life", [2.0, 7.0, 21.0])
def test_an_average_forgets_as_its_gain_says_and_moves_by_it(life):
    found = shock_replay(recalibrated(life), LOG, replays=6, after=40)
    assert found.estimate == pytest.approx(life)
    # On a grid of a twentieth of a day.
    assert found.ci == pytest.approx((life, life), abs=0.051)
    shock = found.table["shock"].to_numpy()
    assert shock[1:] / shock[:-1] == pytest.approx(1 - gain_of(life))
    # All clicks of a day lost: the gain times the day's rate, in the root mean square over replays.
    assert shock[0] == pytest.approx(gain_of(life) * LOG["y"].mean(), rel=0.25)
    assert recovery_half_life(gain_of(life)) == pytest.approx(life)


def test_a_longer_incident_goes_deeper_and_is_forgotten_no_slower():
    short, long = (shock_replay(recalibrated(5), LOG, days=d, replays=6).table["shock"][0] for d in (1, 4))
    gain = gain_of(5)
    assert long / short == pytest.approx((1 - (1 - gain) ** 4) / gain, rel=0.15)


def test_the_gate_passes_fails_or_doesn_t_know():
    told = {limit: shock_replay(recalibrated(7), LOG, replays=6, limit=limit).verdict for limit in (3, 14)}
    assert "fails a limit of 3 days" in told[3]
    assert "passes a limit of 14 days" in told[14]
    never = shock_replay(recalibrated(60), LOG, replays=6, after=10)
    assert never.estimate == math.inf
    assert "isn't forgotten within 10 days" in never.verdict


def test_a_window_forgets_all_at_once_and_weights_bit_by_bit():
    rows, _ = moving_tastes(50, rows=25, rng=2)
    settings = {"days": 2, "replays": 4, "warm": 14, "after": 12}
    window = shock_replay(windowed(8, first=10), rows, **settings).table["shock"]
    assert window[9] < 0.05 * window[0] < 0.3 * window[5]
    weights = shock_replay(weighted(4, first=10), rows, **settings)
    assert 2.5 < weights.estimate < 6.5
    fast, slow = (shock_replay(updated(rate), rows, **settings).table["shock"][0] for rate in (0.1, 0.01))
    assert fast > 2 * slow


def test_two_speeds_go_further_after_an_incident_and_come_back_sooner():
    plain = shock_replay(recalibrated(10), LOG, replays=6)
    quick = shock_replay(adaptive(rate=1 / 60, size=0.15), LOG, replays=6)
    assert quick.estimate < 0.7 * plain.estimate
    assert quick.table["shock"][0] > plain.table["shock"][0]


def test_half_of_the_labels_hit_move_predictions_half_as_far():
    half, whole = (
        shock_replay(recalibrated(5), LOG, hit=hit, replays=40).table["shock"][0] for hit in (0.5, 1)
    )
    assert half == pytest.approx(whole / 2, rel=0.15)


def fickle(rows):
    """An average whose gain is another every day, whatever the labels say: its half-life differs by stretch."""
    day = (rows["ts"].dt.floor("1D") - rows["ts"].iloc[0].floor("1D")).dt.days.to_numpy()
    missed = np.bincount(day, rows["y"] - rows["score"]) / np.bincount(day)
    gain = np.where(rows.groupby(day)["item_id"].first() % 2, 0.15, 0.25)
    told, now = np.zeros(len(missed)), 0.0
    for today, miss in enumerate(missed):
        told[today] = now
        now += gain[today] * (miss - now)
    return rows["score"].to_numpy() + told[day]


def test_intervals_of_a_random_half_life_cover():
    settings = {"warm": 20, "after": 12}
    far = shock_replay(fickle, market(1500, rows=6, rate=0.0, rng=5), replays=120, **settings)
    assert far.ci[1] - far.ci[0] < 0.4
    replicas, covered, shocks, lives, errors = 40, 0, 0, [], []
    for seed in range(replicas):
        log = market(270, rows=6, rate=0.0, rng=20 + seed)
        found = shock_replay(fickle, log, replays=8, rng=seed, **settings)
        covered += found.ci[0] <= far.estimate <= found.ci[1]
        third = found.table.iloc[2]
        shocks += third["low"] <= far.table["shock"][2] <= third["high"]
        lives.append(found.estimate), errors.append(found.se)
    tolerated = 3 * np.sqrt(0.05 * 0.95 / replicas)
    assert covered / replicas >= 0.95 - tolerated
    assert shocks / replicas >= 0.95 - tolerated
    assert 0.7 < np.mean(errors) / np.std(lives) < 1.5


def test_the_interval_is_open_where_some_replays_never_forget():
    def sometimes(rows):
        """Forgets a miss at once in stretches that begin on an even day, and never in others."""
        day = (rows["ts"].dt.floor("1D") - rows["ts"].iloc[0].floor("1D")).dt.days.to_numpy()
        missed = np.bincount(day, rows["y"] - 0.5)
        even = (rows["ts"].iloc[0] - LOG["ts"].iloc[0]).days % 2
        told = np.r_[0.0, missed[:-1]] if even else np.r_[0.0, np.cumsum(missed)[:-1]]
        return told[day]

    found = shock_replay(sometimes, LOG, replays=4, warm=20, after=10, limit=5)
    assert found.ci[1] == math.inf
    assert "undecided" in found.verdict or "fails" in found.verdict


def test_a_day_without_rows_is_refused_where_a_shock_is_watched():
    day = (LOG["ts"] - LOG["ts"].iloc[0].floor("1D")).dt.days
    with pytest.raises(ValueError, match="ts: got a day without rows within 46 days of day 60"):
        shock_replay(recalibrated(3), LOG[day != 70], replays=4)


def test_days_are_those_of_the_times_zone_whatever_the_clock_is_set_to():
    log = market(400, rows=40, rng=1)
    midnight = (
        log["ts"]
        .dt.tz_localize(None)
        .dt.tz_localize("Europe/Berlin", ambiguous=True, nonexistent="shift_forward")
    )
    local = log.assign(ts=midnight)
    assert shock_replay(recalibrated(3), local, replays=6).estimate == pytest.approx(3.0)
    days = local["ts"].dt.date.nunique()
    assert len(np.unique(recalibrated(3)(local) - local["score"])) >= days - 2


def test_what_wrong_labels_add_is_covered_by_the_interval():
    chance, rate, rows, gain = 0.2, 0.1, 10, gain_of(3)
    wrong = chance + rate * (1 - 2 * chance)
    # A shift, and more noise passed on by an average.
    added = (wrong - chance) ** 2 + gain / (2 - gain) / rows * (wrong * (1 - wrong) - chance * (1 - chance))
    base = market(280, rows=rows, rng=3).assign(score=chance)
    replicas, covered = 40, 0
    for seed in range(replicas):
        log = base.assign(y=(np.random.default_rng(seed).random(len(base)) < chance).astype(int))
        found = noise_replay(
            recalibrated(3), log, rates=[rate], draws=1, warm=40, replicates=100, rng=1000 + seed
        )
        covered += found.ci[0] <= added <= found.ci[1]
    assert covered / replicas >= 0.95 - 3 * np.sqrt(0.05 * 0.95 / replicas)


def test_what_looks_ahead_and_what_doesn_t_learn_is_refused():
    def ahead(rows):
        return np.full(len(rows), rows["y"].mean())

    with pytest.raises(ValueError, match="model: it looks ahead"):
        shock_replay(ahead, LOG, replays=4)
    with pytest.raises(ValueError, match="model: the incident changed none"):
        shock_replay(recalibrated(math.inf), LOG, replays=4)
    with pytest.raises(ValueError, match=r"model: got predictions of shape \(3,\)"):
        shock_replay(lambda rows: np.zeros(3), LOG, replays=4)


def test_noise_adds_nothing_at_rate_0_and_to_what_never_learns():
    found = noise_replay(recalibrated(5), LOG, rates=[0.0, 0.2], draws=1)
    zero = found.table.iloc[0]
    assert (zero[["wrong", "added", "low", "high", "shift", "scatter"]] == 0).all()
    assert found.table["wrong"].iloc[1] == pytest.approx(0.2, abs=0.02)
    still = noise_replay(recalibrated(math.inf), LOG, rates=[0.3], draws=1)
    assert still.estimate == 0
    assert still.p is None
    assert "doesn't show" in still.verdict


def test_lost_clicks_shift_predictions_by_their_share_and_a_long_memory_scatters_less():
    lost = noise_replay(recalibrated(10), LOG, kind="lost", rates=[0.2], draws=3)
    judged = LOG["ts"] >= LOG["ts"].min().floor("D") + np.timedelta64(60, "D")
    assert lost.table["shift"][0] == pytest.approx(-0.4 * LOG.loc[judged, "y"].mean(), rel=0.1)
    assert lost.ci[0] > 0
    fast, slow = (
        noise_replay(recalibrated(life), LOG, kind="burst", rates=[0.2], draws=3).table["scatter"][0]
        for life in (1, 15)
    )
    assert fast > 1.5 * slow


@pytest.mark.parametrize("kind", ["polars", "duckdb"])
def test_any_frame_gives_the_same(kind):
    given = {"polars": pl.from_pandas, "duckdb": lambda frame: duckdb.from_df(frame)}[kind](LOG)
    assert shock_replay(recalibrated(3), given, replays=4).estimate == pytest.approx(3.0)
    settings = {"rates": [0.1], "draws": 1}
    assert noise_replay(recalibrated(3), given, **settings).estimate == pytest.approx(
        noise_replay(recalibrated(3), LOG, **settings).estimate
    )


MODEL = recalibrated(3)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: shock_replay(MODEL, LOG.drop(columns="y")), "it must have y"),
        (lambda: shock_replay(MODEL, LOG.assign(y=3)), "y: got 3 in log"),
        (
            lambda: shock_replay(MODEL, LOG[:400]),
            "ts: got 10 days; for 12 replays there must be 117 at least",
        ),
        (lambda: shock_replay(MODEL, LOG, label=2), "label: got 2"),
        (lambda: shock_replay(MODEL, LOG, hit=0), "hit: got 0"),
        (lambda: shock_replay(MODEL, LOG, days=0), "days: got 0"),
        (lambda: shock_replay(MODEL, LOG, limit=0), "limit: got 0"),
        (lambda: shock_replay(MODEL, LOG, replays=2), "replays: got 2"),
        (lambda: shock_replay(MODEL, LOG, alpha=0), "alpha: got 0"),
        (lambda: noise_replay(MODEL, LOG, rates=[]), r"rates: got \[\]; they must ascend"),
        (lambda: noise_replay(MODEL, LOG, rates=[0.2, 0.1]), r"rates: got \[0.2, 0.1\]"),
        (lambda: noise_replay(MODEL, LOG, rates=[0.7]), "rate: got 0.7"),
        (lambda: noise_replay(MODEL, LOG, kind="gone"), "kind: got 'gone'"),
        (lambda: noise_replay(MODEL, LOG[:400]), "ts: got 10 days; there must be 76 at least"),
        (lambda: noise_replay(MODEL, LOG, draws=0), "draws: got 0"),
    ],
)
def test_bad_input_is_refused_by_name_value_and_rule(call, message):
    with pytest.raises(ValueError, match=message):
        call()
