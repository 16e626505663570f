import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pytest
import statsmodels.api as sm
from scipy.stats import kstest

from toolkit.features.default_rate import default_rate, largest_error, share_difference

DAY = pd.Timestamp("2026-03-02", tz="UTC")


def rows(missing, items, *, users=None, value=-1.5, day=0.0):
    users = np.arange(len(items)) if users is None else users
    made = pd.DataFrame({"item_id": items, "user_id": users, "f_rate": np.where(missing, 0.0, value)})
    return made.assign(ts=DAY + pd.to_timedelta(day, unit="D"))


def drawn(rng, *, more=0.0, keys=80, users=0):
    """Rows of keys of very different traffic, each with a chance of its own to be missing in both tables."""
    weight = rng.gamma(0.7, size=keys)
    chance = rng.beta(2, 8, size=keys)
    whim = rng.beta(2, 8, size=max(users, 1))
    served = np.arange(2_000) < 1_200
    item, user = rng.choice(keys, 2_000, p=weight / weight.sum()), rng.integers(0, max(users, 1), 2_000)
    rate = (chance[item] + whim[user]) / 2 if users else chance[item]
    return rng.random(2_000) < rate + more * served, item, user, served


def simulated(rng, **settings):
    hits, item, user, served = drawn(rng, **settings)
    return [rows(hits[here], item[here], users=user[here]) for here in (served, ~served)]


def test_the_difference_and_its_interval_are_those_of_independent_rows_where_each_has_its_own_key():
    serving = rows(np.arange(400) < 60, np.arange(400))
    train = rows(np.arange(500) < 20, np.arange(1000, 1500))
    finding = default_rate(serving, train, feature="f_rate")
    assert finding.estimate == pytest.approx(60 / 400 - 20 / 500)
    by_hand = np.sqrt(0.15 * 0.85 / 400 + 0.04 * 0.96 / 500)
    assert finding.se == pytest.approx(by_hand, rel=0.002)
    assert finding.n_clusters == 900


def test_one_way_and_two_way_errors_are_those_of_statsmodels():
    rng = np.random.default_rng(0)
    item, user = rng.integers(0, 30, 600), rng.integers(0, 40, 600)
    y = rng.normal(size=30)[item] + rng.normal(size=40)[user] + rng.normal(size=600)
    push = (y - y.mean()) / 600
    ols = sm.OLS(y, np.ones(600))
    one = ols.fit(cov_type="cluster", cov_kwds={"groups": item, "df_correction": False})
    # Their factor has (n - 1) / (n - 1), ours none: the same for a mean.
    assert largest_error(push, [item])[0] == pytest.approx(one.bse[0], rel=1e-6)
    two = ols.fit(
        cov_type="cluster", cov_kwds={"groups": np.column_stack([item, user]), "df_correction": False}
    )
    assert largest_error(push, [item, user])[0] == pytest.approx(two.bse[0], rel=0.01)


def test_a_key_s_own_misses_cancel_between_the_tables():
    rng = np.random.default_rng(1)
    serving, train = simulated(rng)
    shared = default_rate(serving, train, feature="f_rate").se
    apart = default_rate(serving, train.assign(item_id=train["item_id"] + 1000), feature="f_rate").se
    assert shared < apart


def test_it_says_which_keys_are_missing():
    young, old = np.arange(40), np.arange(100, 160)
    history = pd.concat(
        [
            pd.DataFrame({"entity_id": young, "available_ts": DAY - pd.Timedelta(hours=5)}),
            pd.DataFrame({"entity_id": old, "available_ts": DAY - pd.Timedelta(days=50)}),
        ]
    )
    items = np.r_[np.repeat(young, 3), np.repeat(old, 3)]
    serving = rows(items < 30, items)
    train = rows(np.zeros(60, dtype=bool), old)
    finding = default_rate(serving, train, feature="f_rate", history=history)
    told = finding.table.set_index("key age")
    assert told["serving"].to_dict() == {"under 1 d": 0.75, "28 d and over": 0.0}
    assert told["served"].tolist() == [120, 180]
    assert np.isnan(told.loc["under 1 d", "train"])
    assert finding.verdict.endswith("Most often with keys of an age of under 1 d, 75.0%.")
    # A key that the history doesn't know is new.
    assert default_rate(serving, train, feature="f_rate", history=history[history["entity_id"] >= 100]).table[
        "served"
    ].tolist() == [120, 180]


def test_where_neither_table_has_a_default_the_interval_stays_open():
    finding = default_rate(rows(False, np.arange(100)), rows(False, np.arange(50)), feature="f_rate")
    assert (finding.estimate, finding.p) == (0.0, 1.0)
    # No miss among 100 keys: up to 1 - .025^(1/100).
    assert finding.ci[1] == pytest.approx(1 - 0.025**0.01)
    assert "no difference is seen, though one of" in finding.verdict


def test_nulls_count_and_are_the_only_ones_where_there_is_no_default():
    serving = rows(np.arange(40) < 10, np.arange(40))
    serving.loc[10:14, "f_rate"] = np.nan
    train = rows(False, np.arange(40))
    assert default_rate(serving, train, feature="f_rate").estimate == pytest.approx(15 / 40)
    assert default_rate(serving, train, feature="f_rate", default=None).estimate == pytest.approx(5 / 40)


def test_fewer_than_in_training_is_said_too():
    finding = default_rate(
        rows(False, np.arange(90)), rows(np.arange(90) < 40, np.arange(90)), feature="f_rate"
    )
    assert finding.ci[1] < 0
    assert "training misses more than serving does" in finding.verdict


def test_it_tells_the_difference_of_shares_of_its_rows():
    serving, train = simulated(np.random.default_rng(4), more=0.1, users=60)
    for cluster in (["item_id"], ["item_id", "user_id"]):
        finding = default_rate(serving, train, feature="f_rate", cluster=cluster)
        both = pd.concat([serving, train])
        told = share_difference(
            both["f_rate"] == 0, np.arange(len(both)) < len(serving), [both[name] for name in cluster]
        )
        assert (finding.estimate, *finding.ci, finding.se, finding.p, finding.n_clusters) == told


@pytest.mark.parametrize(("more", "users"), [(0.0, 0), (0.15, 0), (0.0, 60)])
def test_its_intervals_cover_and_its_p_is_uniform_where_nothing_differs(more, users):
    rng = np.random.default_rng(2)
    inside, runs, chances = 0, 800, []
    for _ in range(runs):
        hits, item, user, served = drawn(rng, more=more, users=users)
        told = share_difference(hits, served, [item, user] if users else [item])
        inside += told.low <= more <= told.high
        chances.append(told.p)
    # Two and a half standard errors of the simulation around 93% to 97%.
    assert 0.93 - 0.022 < inside / runs < 0.97 + 0.016
    if not more:
        assert kstest(chances, "uniform").pvalue > 0.005


def test_where_each_table_is_all_alike_the_interval_isn_t_a_point():
    finding = default_rate(rows(True, np.arange(20)), rows(False, np.arange(100, 150)), feature="f_rate")
    assert finding.estimate == 1
    # All of 20 keys, none of 50: at least .025^(1/20), at most 1 - .025^(1/50).
    assert finding.ci == pytest.approx((0.025 ** (1 / 20) - (1 - 0.025 ** (1 / 50)), 1.0))
    assert finding.p == 2 * 0.5**20
    few = default_rate(rows(True, np.arange(2)), rows(False, np.arange(10, 12)), feature="f_rate")
    assert few.p == 0.5
    always = default_rate(rows(True, np.arange(20)), rows(True, np.arange(100, 150)), feature="f_rate")
    assert (always.ci, always.p) == (pytest.approx((-(1 - 0.025 ** (1 / 20)), 1 - 0.025 ** (1 / 50))), 1.0)


@pytest.mark.parametrize("convert", [pl.from_pandas, duckdb.from_df])
def test_any_frame_will_do(convert):
    pair = simulated(np.random.default_rng(3))
    there = default_rate(*map(convert, pair), feature="f_rate")
    assert there.estimate == pytest.approx(default_rate(*pair, feature="f_rate").estimate)


GOOD = rows(np.arange(40) < 5, np.arange(40))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: default_rate(GOOD, GOOD, feature="f_x"), "serving: got columns .* it must have f_x"),
        (
            lambda: default_rate(GOOD, GOOD.drop(columns="user_id"), feature="f_rate", cluster=["user_id"]),
            "train: got columns",
        ),
        (lambda: default_rate(GOOD, GOOD.iloc[:0], feature="f_rate"), "train: got no row"),
        (
            lambda: default_rate(GOOD, GOOD, feature="f_rate", cluster="item_id"),
            "cluster: got 'item_id'; it must be a list",
        ),
        (
            lambda: default_rate(GOOD, GOOD, feature="f_rate", cluster=["a", "b", "c"]),
            "cluster: got .* one column or two",
        ),
        (
            lambda: default_rate(GOOD.assign(item_id="a"), GOOD, feature="f_rate"),
            "item_id: got .* in serving and int64 in train; a key must be of one kind",
        ),
        (lambda: default_rate(GOOD, GOOD, feature="f_rate", default=np.nan), "default: got nan"),
        (
            lambda: default_rate(GOOD, GOOD, feature="f_rate", ages=[7, 1]),
            r"ages: got \[7, 1\]; they must be positive",
        ),
        (lambda: default_rate(GOOD, GOOD, feature="f_rate", alpha=1), "alpha: got 1"),
        (
            lambda: default_rate(GOOD.assign(item_id=1), GOOD.assign(item_id=1), feature="f_rate"),
            "cluster: got one in all rows; an interval needs two",
        ),
        (
            lambda: default_rate(GOOD.assign(ts=DAY.tz_localize(None)), GOOD, feature="f_rate"),
            "ts: got .* must be times with",
        ),
    ],
)
def test_bad_input_is_refused_by_name_value_and_rule(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_texts_are_no_default_and_one_served_row_is_no_evidence():
    day = pd.Timestamp("2026-03-02", tz="UTC")
    train = pd.DataFrame({"item_id": range(200), "ts": day, "f_rate": [0.0] * 4 + [1.0] * 196})
    with pytest.raises(ValueError, match=r"f_rate: got .* in serving; no such value equals 0, a number"):
        default_rate(train.assign(f_rate=train["f_rate"].astype(str)), train, feature="f_rate")
    # 0 of 1 says nothing of a share of 2%: (1 - 0.02) of such rows are without a default.
    told = default_rate(train.tail(1), train, feature="f_rate")
    assert told.p == 1
    assert told.ci[0] < 0 < told.ci[1]
    # 0 of 196 against 2%: twice the chance of none, 2 * 0.98 ** 196, at least.
    told = default_rate(train.tail(196).assign(item_id=range(1000, 1196)), train, feature="f_rate")
    assert told.p >= 2 * 0.98**196 * (1 - 1e-9)
