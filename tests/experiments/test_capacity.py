"""Lifts in slack and in exhausted periods: by hand, the budget's own, size and coverage, refusals."""

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from scipy.stats import kstest, norm

from toolkit.experiments.capacity import by_state, capacity_interference, exaggeration
from toolkit.experiments.shared_budget import Demand, orders, tables

DEMAND = Demand(users=20_000, a_day=20_000)
LIMITED = tables(DEMAND, lift=0.3, capacity=70)
NAMES = ("serving_log", "outcomes", "resources")


def test_by_hand():
    hours = pd.date_range("2026-03-02", periods=2, freq="h", tz="UTC")
    log = pd.DataFrame(
        {
            "request_id": range(8),
            "item_id": 1,
            "user_id": range(8),
            # The first of each four comes at the very begin of its hour.
            "ts": hours.repeat(4) + pd.to_timedelta([0, 1, 2, 3] * 2, unit="min"),
            "arm": ["treatment", "treatment", "control", "control"] * 2,
        }
    )
    outcomes = log[["request_id", "item_id"]].assign(y=[3, 1, 1, 1, 2, 0, 0, 2])
    resources = pd.DataFrame({"ts": hours, "resource": "budget", "capacity": 10, "used": [4, 10]})
    finding = capacity_interference(log, outcomes, resources)
    shown = finding.table.set_index("state")
    assert shown["lift"].to_dict() == {"slack": 1.0, "exhausted": 0.0, "all": 0.5, "at launch, at least": 0.5}
    assert shown["of_outcomes"]["exhausted"] == 0.5
    assert finding.estimate == -1
    # Users are alone in their cells: the variance of a mean of two is half the cell's.
    assert finding.se == pytest.approx(np.sqrt(8 / 7 * (2 + 0 + 2 + 2) / 4))
    # At 40% of the capacity both hours would be exhausted.
    with pytest.raises(
        ValueError, match="0 impressions of the treatment and 0 of the control in slack periods"
    ):
        capacity_interference(log, outcomes, resources, used_up=0.4)


def test_the_least_lift_at_launch_is_the_measured_one_over_the_exaggeration():
    shown = capacity_interference(*(LIMITED[name] for name in NAMES)).table.set_index("state")
    c = shown["of_outcomes"]["exhausted"]
    # Equal relative lifts: both arms queue alike.
    assert shown["relative"]["slack"] == pytest.approx(shown["relative"]["exhausted"], abs=0.09)
    told = shown["lift"]["all"] / shown["lift"]["at launch, at least"]
    assert told == pytest.approx(exaggeration(c), rel=0.15)
    old, new = (orders(DEMAND, arm, lift=0.3, capacity=70).mean() for arm in (False, True))
    assert shown["low"]["at launch, at least"] < new - old < shown["high"]["at launch, at least"]
    assert new - old < 0.5 * shown["lift"]["all"]


def test_in_exhausted_hours_the_lift_is_smaller_and_without_a_limit_it_is_the_same():
    limited = capacity_interference(*(LIMITED[name] for name in NAMES))
    assert limited.p < 0.05
    assert limited.estimate < 0
    free = tables(DEMAND, lift=0.3)
    quiet = capacity_interference(*(free[name] for name in NAMES))
    assert quiet.p > 0.05
    assert "a difference that may be luck" in quiet.verdict
    assert "nothing is held to that capacity" in quiet.verdict
    assert "at launch the lift of" in limited.verdict


def told(seed, lift=(0.0, 0.0), users=300, each=8):
    draw = np.random.default_rng(seed)
    user = draw.integers(0, users, users * each)
    treated = draw.permutation(users) < users // 2
    taste = draw.normal(1, 0.5, users)
    out = draw.random(len(user)) < 0.4
    gain = np.where(out, lift[1], lift[0]) * treated[user]
    y = np.where(out, 0.6, 1.0) * taste[user] + gain + draw.normal(size=len(user))
    return by_state(y, treated[user], out, pd.factorize(user)[0])


@pytest.mark.parametrize("lift", [(0.0, 0.0), (0.5, 0.2)])
def test_19_of_20_intervals_hold_the_truth_and_p_is_uniform_without_interference(lift):
    tables_, errors = zip(*(told(seed, lift) for seed in range(350)), strict=True)
    z = np.array([t["lift"][1] - t["lift"][0] for t in tables_])
    z = (z - (lift[1] - lift[0])) / errors
    assert 0.93 <= np.mean(np.abs(z) < 1.96) <= 0.97
    if lift == (0.0, 0.0):
        assert kstest(2 * norm.sf(np.abs(z)), "uniform").pvalue > 0.01
    truths = (lift[0], lift[1], 0.6 * lift[0] + 0.4 * lift[1], 0.6 * lift[0])
    for row, truth in enumerate(truths):
        within = [abs(t["lift"][row] - truth) < 1.96 * t["se"][row] for t in tables_]
        assert 0.925 <= np.mean(within) <= 0.975


@pytest.mark.parametrize(
    "make", [pl.from_pandas, pa.Table.from_pandas, lambda frame: pl.from_pandas(frame).lazy()]
)
def test_any_frame_will_do(make):
    small = tables(Demand(users=100, a_day=1_000, days=2), lift=0.3, capacity=4)
    frames = [small[name] for name in NAMES]
    assert capacity_interference(*(make(frame) for frame in frames)) == capacity_interference(*frames)


def test_duckdb_will_do():
    small = tables(Demand(users=100, a_day=1_000, days=2), lift=0.3, capacity=4)
    frames = [small[name] for name in NAMES]
    con = duckdb.connect()
    lazily = [con.from_df(frame) for frame in frames]
    assert capacity_interference(*lazily).estimate == pytest.approx(capacity_interference(*frames).estimate)


def test_impressions_outside_the_periods_and_without_an_arm_do_not_count():
    small = tables(Demand(users=100, a_day=1_000, days=2), lift=0.3, capacity=4)
    log, outcomes, resources = (small[name] for name in NAMES)
    late = resources[resources["ts"] >= resources["ts"].iloc[24]]
    finding = capacity_interference(log, outcomes, late)
    assert finding.n == 1_000
    assert any("1,000 impressions outside all periods" in text for text in finding.assumptions)
    some = log.assign(arm=log["arm"].where(log["user_id"] > 10))
    assert capacity_interference(some, outcomes, resources).n == (log["user_id"] > 10).sum()


def test_the_least_lift_varies_with_the_share_of_slack_too():
    # Without any other luck, 5 times a share of 1,000 users: by hand from the binomial.
    out = np.arange(1_000) % 5 < 2
    treated = np.arange(1_000) // 5 % 2 == 0
    table, _ = by_state(5.0 * treated, treated, out, np.arange(1_000))
    assert table["lift"].tolist() == [5, 5, 5, 3]
    assert table["se"].iloc[-1] == pytest.approx(5 * np.sqrt(0.6 * 0.4 / 999))


def test_a_gap_between_periods_is_in_none_of_them():
    small = tables(Demand(users=100, a_day=1_000, days=2), lift=0.3, capacity=4)
    log, outcomes, resources = (small[name] for name in NAMES)
    hour = (log["ts"] - resources["ts"].iloc[0]) // pd.Timedelta("1h")
    for gone in ([20], list(range(20, 30))):
        finding = capacity_interference(log, outcomes, resources.drop(index=gone))
        assert finding.n == (~hour.isin(gone)).sum()


def test_no_outcomes_and_no_spread_are_told():
    small = tables(Demand(users=100, a_day=1_000, days=2), lift=0.3, capacity=4)
    log, outcomes, resources = (small[name] for name in NAMES)
    none = capacity_interference(log, outcomes.assign(y=0), resources)
    assert none.p == 1
    assert none.verdict.endswith("The control has no outcome at all.")
    exhausted = (resources["used"] >= resources["capacity"]).to_numpy()
    hour = ((log["ts"] - resources["ts"].iloc[0]) // pd.Timedelta("1h")).to_numpy()
    certain = exhausted[hour] & (log["arm"] == "treatment").to_numpy()
    assert capacity_interference(log, outcomes.assign(y=certain.astype(int)), resources).p == 0


def test_luck_that_fills_a_period_raises_rates_and_lifts_there_but_no_relative_lift():
    # Equal hours of 50 outcomes: the means above and below the median differ by 2 sqrt(2 / pi) / sqrt(50).
    draw = np.random.default_rng(3)
    hours = 40_000
    y = draw.poisson([22.5, 27.5], (hours, 2))
    out = y.sum(1) > 50
    table, _ = by_state(
        y.ravel().astype(float), np.tile([False, True], hours), out.repeat(2), np.arange(2 * hours)
    )
    table = table.set_index("state")
    wanted = 2 * np.sqrt(2 / np.pi / 50)
    for column, tolerance in (("control", 0.01), ("lift", 0.06)):
        inflation = table[column]["exhausted"] / table[column]["slack"] - 1
        assert inflation == pytest.approx(wanted / (1 - wanted / 2), abs=tolerance), column
    assert table["relative"]["exhausted"] == pytest.approx(table["relative"]["slack"], abs=0.01)


def test_where_nothing_is_limited_false_alarms_stay_near_the_level():
    z = []
    for seed in range(150):
        demand = Demand(users=500, a_day=1_000, days=5, rng=seed)
        treated = demand.treated()[demand.user]
        y = orders(demand, demand.treated(), lift=0.3).astype(float)
        used = np.bincount(demand.hour, y, minlength=120)
        out = (used >= np.median(used))[demand.hour]
        table, se = by_state(y, treated, out, pd.factorize(demand.user)[0])
        z.append((table["lift"][1] - table["lift"][0]) / se)
    assert np.mean(np.abs(z) > 1.96) == pytest.approx(0.05, abs=0.04)


def test_the_exaggeration_is_one_over_one_less_c():
    assert [exaggeration(c) for c in (0, 0.5, 0.75)] == [1, 2, 4]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"alpha": 0}, "alpha: got 0"),
        ({"used_up": 0}, r"used_up: got 0; it must lie in \(0, 1\]"),
        ({"treatment": "new"}, "treatment: got 'new'"),
        ({"resource": "gpu"}, "resource: got 'gpu'; resources have free_delivery"),
    ],
)
def test_bad_settings_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        capacity_interference(*(LIMITED[name].head(500) for name in NAMES), **change)


def test_bad_frames_are_refused():
    log, outcomes, resources = (LIMITED[name].head(500) for name in NAMES)
    two = pd.concat([resources, resources.assign(resource="gpu")])
    with pytest.raises(
        ValueError, match="resource: got None for resources free_delivery, gpu; it must name one"
    ):
        capacity_interference(log, outcomes, two)
    with pytest.raises(ValueError, match="outcomes: got none for"):
        capacity_interference(log, outcomes.head(10), resources)
    with pytest.raises(ValueError, match="capacity: got 0 in resources; it must be positive"):
        capacity_interference(log, outcomes, resources.assign(capacity=0))
    with pytest.raises(ValueError, match="no impression is in one of them"):
        capacity_interference(log, outcomes, resources.assign(ts=resources["ts"] + pd.Timedelta("9D")))
    with pytest.raises(ValueError, match="ts, resource: got 1 repeated"):
        capacity_interference(log, outcomes, pd.concat([resources, resources.head(1)]))
    with pytest.raises(ValueError, match="user_id: got one in all rows"):
        capacity_interference(log.assign(user_id=1), outcomes, resources)
    with pytest.raises(ValueError, match=r"exhausted: got 1; it must lie in \[0, 1\)"):
        exaggeration(1)


def test_outcomes_that_never_vary_and_resources_named_by_numbers_are_refused_in_words():
    ts = pd.date_range("2026-03-02", periods=40, freq="h", tz="UTC")
    log = pd.DataFrame({"request_id": range(40), "item_id": 1, "user_id": range(40), "ts": ts})
    log["arm"] = ["control", "treatment"] * 20
    outcomes = log[["request_id", "item_id"]].assign(y=1)
    used = pd.DataFrame({"ts": ts, "resource": 1, "capacity": 1.0, "used": np.arange(40) // 2 % 2})
    with pytest.raises(ValueError, match="y: got 1 in every row"):
        capacity_interference(log, outcomes, used)
    with pytest.raises(ValueError, match="resource: got None for resources 1, 2; it must name one"):
        capacity_interference(log, outcomes, pd.concat([used, used.assign(resource=2)]))
