"""Pooled against stratified: a published table, by hand, size and coverage, refusals."""

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from scipy.stats import kstest, norm

from toolkit.experiments.simpson import by_stratum, pooled_and_stratified, simpson

DAYS = pd.date_range("2026-03-06", periods=2, freq="D", tz="UTC")
PUBLISHED = pd.DataFrame(
    {
        "users_control": [990_000, 500_000],
        "events_control": [20_000, 5_000],
        "users_treatment": [10_000, 500_000],
        "events_treatment": [230, 6_000],
    }
)


def logs(shares=(0.5, 0.5), bases=(0.3, 0.1), effect=0.0, users=300, each=4, rng=0):
    """Two days; users are assigned by day (a ramp-up that re-assigns), a user comes several times a day."""
    draw = np.random.default_rng(rng)
    taste = draw.uniform(0.7, 1.3, users)
    luck = draw.random(users)
    parts = []
    for day, (treated_share, base) in enumerate(zip(shares, bases, strict=True)):
        user = draw.integers(0, users, users * each)
        treated = luck[user] < treated_share
        parts.append(
            pd.DataFrame(
                {
                    "user_id": user,
                    "arm": np.where(treated, "treatment", "control"),
                    "ts": DAYS[day],
                    "y": (draw.random(len(user)) < base * taste[user] + effect * treated).astype(int),
                }
            )
        )
    log = pd.concat(parts, ignore_index=True).assign(item_id=1)
    log.insert(0, "request_id", np.arange(len(log)))
    return log.drop(columns="y"), log[["request_id", "item_id", "y"]]


def test_the_published_two_days_turn_round_when_pooled():
    counts = pooled_and_stratified(PUBLISHED)
    by_day = (
        PUBLISHED["events_treatment"] / PUBLISHED["users_treatment"]
        - PUBLISHED["events_control"] / PUBLISHED["users_control"]
    )
    assert (100 * by_day).round(2).tolist() == [0.28, 0.20]
    assert counts["pooled_relative"] == pytest.approx(-0.27, abs=0.005)
    # Both days weigh a million: the mean of the two differences.
    assert counts["stratified"] == pytest.approx(by_day.mean())


def test_the_finding_agrees_with_the_counts():
    log, outcomes = logs(shares=(0.1, 0.5), effect=0.02)
    finding = simpson(log, outcomes)
    rows = log.merge(outcomes)
    counts = rows.pivot_table(index="ts", columns="arm", values="y", aggfunc=["size", "sum"])
    table = pd.DataFrame(
        {
            f"{name}_{arm}": counts[column][arm].to_numpy()
            for name, column in (("users", "size"), ("events", "sum"))
            for arm in ("control", "treatment")
        }
    )
    counted = pooled_and_stratified(table)
    shown = finding.table.set_index("stratum")["difference"]
    assert shown["pooled"] == pytest.approx(counted["pooled"])
    assert shown["stratified"] == pytest.approx(counted["stratified"])
    assert finding.estimate == pytest.approx(counted["pooled"] - counted["stratified"])


def test_a_ramp_up_is_found_and_its_strata_are_right():
    log, outcomes = logs(shares=(0.05, 0.5), effect=0.02, users=4_000)
    finding = simpson(log, outcomes)
    assert finding.p < 1e-6
    assert finding.estimate < 0
    assert "believe the strata" in finding.verdict
    within = finding.table.set_index("stratum").loc["stratified"]
    assert within["low"] < 0.02 < within["high"]


def told(rng, shares=(0.5, 0.5), bases=(0.3, 0.1), users=300, each=4):
    """`by_stratum` of such days, on arrays."""
    draw = np.random.default_rng(rng)
    taste, luck = draw.uniform(0.7, 1.3, users), draw.random(users)
    user, day = draw.integers(0, users, (2, users * each)).ravel(), np.repeat([0, 1], users * each)
    treated = luck[user] < np.array(shares)[day]
    y = (draw.random(len(user)) < np.array(bases)[day] * taste[user]).astype(float)
    return by_stratum(y, treated, day, pd.factorize(user)[0], names=["Fri", "Sat"])


def test_with_equal_shares_p_is_uniform_and_19_of_20_intervals_hold_nothing():
    tables, errors = zip(*(told(seed) for seed in range(350)), strict=True)
    z = {
        name: np.array(
            [
                t.set_index("stratum").loc[name, "difference"] / t.set_index("stratum").loc[name, "se"]
                for t in tables
            ]
        )
        for name in ("stratified", "pooled")
    }
    added = np.array([t["difference"].iloc[-1] - t["difference"].iloc[-2] for t in tables]) / np.array(errors)
    assert kstest(2 * norm.sf(np.abs(added)), "uniform").pvalue > 0.01
    for statistic in (added, *z.values()):
        assert 0.93 <= np.mean(np.abs(statistic) < 1.96) <= 0.97


def test_the_interval_holds_what_a_ramp_up_adds():
    # Expected shares .1 and .5 of equal days: by hand from the bases.
    treated, control = np.array([0.1, 0.5]), np.array([0.9, 0.5])
    truth = (treated / treated.sum() - control / control.sum()) @ np.array([0.3, 0.1])
    held = []
    for seed in range(400):
        table, se = told(seed, shares=(0.1, 0.5))
        held.append(abs(table["difference"].iloc[-1] - table["difference"].iloc[-2] - truth) < 1.96 * se)
    assert 0.93 <= np.mean(held) <= 0.97


def test_the_stratified_difference_varies_with_what_the_days_weigh_too():
    # 5 on the first day, nothing on the second, no other luck: 5 times a share of 1,000, by hand.
    day, treated = (np.arange(1_000) % 5 >= 2).astype(int), np.arange(1_000) // 5 % 2 == 0
    table, _ = by_stratum(5.0 * treated * (day == 0), treated, day, np.arange(1_000), names=["Fri", "Sat"])
    within = table.set_index("stratum").loc["stratified"]
    assert within["difference"] == pytest.approx(5 * 0.4)
    assert within["se"] == pytest.approx(5 * np.sqrt(0.4 * 0.6 / 999))


def test_days_alike_have_nothing_to_add_whatever_the_shares():
    told_z = []
    for seed in range(200):
        table, se = told(seed, shares=(0.1, 0.5), bases=(0.2, 0.2))
        told_z.append((table["difference"].iloc[-1] - table["difference"].iloc[-2]) / se)
    assert np.mean(np.abs(told_z) > 1.96) < 0.08


@pytest.mark.parametrize(
    "make", [pl.from_pandas, pa.Table.from_pandas, lambda frame: pl.from_pandas(frame).lazy()]
)
def test_any_frame_will_do(make):
    log, outcomes = logs(users=50)
    assert simpson(make(log), make(outcomes)) == simpson(log, outcomes)


def test_duckdb_and_a_stratum_of_one_s_own_will_do():
    log, outcomes = logs(users=50)
    phased = log.assign(phase=np.where(log["ts"] == DAYS[0], 1, 2)).drop(columns="ts")
    con = duckdb.connect()
    lazily = simpson(con.from_df(phased), con.from_df(outcomes), day="phase")
    assert lazily.estimate == pytest.approx(simpson(log, outcomes).estimate)


def test_bad_input_is_refused_by_name_value_and_rule():
    log, outcomes = logs(users=50)
    with pytest.raises(ValueError, match="alpha: got 2"):
        simpson(log, outcomes, alpha=2)
    with pytest.raises(ValueError, match="treatment: got 'new'; it must be one of two arms"):
        simpson(log, outcomes, treatment="new")
    with pytest.raises(ValueError, match="outcomes: got none for"):
        simpson(log, outcomes.head(10))
    with pytest.raises(
        ValueError, match="arm: got none of the treatment on 2026-03-06; each stratum needs both arms"
    ):
        simpson(log[(log["ts"] != DAYS[0]) | (log["arm"] == "control")], outcomes)
    with pytest.raises(ValueError, match="user_id: got one in all rows"):
        simpson(log.assign(user_id=1), outcomes)
    with pytest.raises(ValueError, match=r"ts: got .* times with their zone"):
        simpson(log.assign(ts=1), outcomes)
    with pytest.raises(ValueError, match="counts: got columns"):
        pooled_and_stratified(PUBLISHED[["users_control"]])
    with pytest.raises(ValueError, match="users_treatment: got 0; each stratum needs users of both arms"):
        pooled_and_stratified(PUBLISHED.assign(users_treatment=[0, 1]))
