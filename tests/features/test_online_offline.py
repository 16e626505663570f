"""Parity counts every row, names every difference, prices it, and is quiet where there is none."""

import numpy as np
import pandas as pd
import polars as pl
import pytest

from toolkit.auc import auc
from toolkit.features.areas import auc_change
from toolkit.features.online_offline import pair_bound, parity
from toolkit.features.rates import wilson

N = 600


def rows(seed=0, n=N, users=200):
    draw = np.random.default_rng(seed)
    table = pd.DataFrame(
        {
            "request_id": np.arange(n),
            "item_id": draw.integers(0, 50, n),
            "user_id": draw.integers(0, users, n),
            "ts": pd.date_range("2026-03-01", periods=n, freq="min", tz="UTC"),
            "f_a": draw.normal(size=n),
            "f_b": draw.normal(size=n),
            "f_c": draw.normal(size=n),
        }
    )
    chance = 1 / (1 + np.exp(-(table["f_a"] + 0.5 * table["f_b"])))
    return table.assign(y=(draw.random(n) < chance).astype(float))


def score(frame):
    return (frame["f_a"] + 0.5 * frame["f_b"]).fillna(0.0)


def test_equal_tables_have_no_mismatch_and_no_effect():
    right = rows()
    finding = parity(right, right, score=score, y="y")
    assert finding.estimate == 0
    assert finding.table["type"].tolist() == ["none"] * 3
    assert finding.table[["auc_change", "auc_low", "auc_high", "part", "score_change"]].to_numpy().max() == 0
    assert "can't be ruled out" in finding.verdict
    assert 0 < finding.ci[1] < 0.03


def test_the_rate_counts_rows_with_any_mismatch():
    right = rows()
    served = right.copy()
    served.loc[:29, "f_a"] += 1
    served.loc[20:59, "f_b"] *= 3
    finding = parity(served, right)
    assert finding.estimate == 60 / N
    told = finding.table.set_index("column")
    assert told["mismatched"].to_dict() == {"f_a": 30, "f_b": 40, "f_c": 0}
    assert told["type"].to_dict() == {"f_a": "offset", "f_b": "scale", "f_c": "none"}


def test_shapley_parts_sum_to_the_change_that_all_columns_make():
    right, other = rows(), rows(1)
    served = right.assign(f_a=other["f_a"], f_b=other["f_b"], f_c=other["f_c"])
    finding = parity(served, right, score=score, y="y")
    table = finding.table.set_index("column")
    change = auc(right["y"], score(served)) - auc(right["y"], score(right))
    assert table["part"].sum() == pytest.approx(change, abs=1e-12)
    # A column that the model doesn't read differs in every row and costs nothing.
    assert table.loc["f_c", ["rate", "auc_change", "part", "score_change"]].tolist() == [1, 0, 0, 0]
    assert finding.table["column"].tolist()[0] == "f_a", "the largest part first"
    alone = auc(right["y"], score(right.assign(f_a=other["f_a"]))) - auc(right["y"], score(right))
    assert table.loc["f_a", "auc_change"] == pytest.approx(alone, abs=1e-12)


def test_intervals_are_those_whose_coverage_their_own_tests_hold():
    right = rows()
    served = right.assign(f_a=right["f_a"].where(right["user_id"] % 5 > 0, 0.0))
    finding = parity(served, right, score=score, y="y")
    row = finding.table.set_index("column").loc["f_a"]
    change = auc_change(right["y"], score(right), score(served), right["user_id"])
    assert row[["auc_change", "auc_low", "auc_high"]].tolist() == [change.auc, *change.ci()]
    rate = wilson((served["f_a"] != right["f_a"]).to_numpy(), right["user_id"])
    assert (finding.estimate, *finding.ci, finding.se) == (rate.rate, rate.low, rate.high, rate.se)


def test_rows_of_one_side_are_counted_and_told():
    right = rows()
    finding = parity(right.iloc[10:], right.iloc[:-25])
    assert "10 recomputed and not served" in finding.verdict
    assert "25 rows that were served and not recomputed" in finding.verdict
    assert finding.n == N - 35


def test_rows_are_matched_by_key_not_by_place():
    right = rows()
    shuffled = right.sample(frac=1, random_state=0)
    assert parity(shuffled, right).estimate == 0


def test_variants_follow_the_rows_of_recomputed():
    right = rows()
    habit = np.random.default_rng(3).normal(size=N)
    served = right.assign(f_a=habit).sample(frac=0.5, random_state=1)
    finding = parity(served, right, cols=["f_a"], variants={"f_a": {"a habit": habit}})
    assert finding.table["type"].tolist() == ["a habit"]
    with pytest.raises(ValueError, match="variants: got 3 values of f_a, a habit; recomputed has 600 rows"):
        parity(served, right, cols=["f_a"], variants={"f_a": {"a habit": habit[:3]}})


def test_polars_frames_give_what_pandas_frames_give():
    right = rows()
    served = right.assign(f_a=right["f_a"].astype("float32"))
    told = parity(served, right).table
    pd.testing.assert_frame_equal(parity(pl.from_pandas(served), pl.from_pandas(right)).table, told)
    assert told["type"].tolist()[0] == "float32"


def test_a_served_value_of_32_bits_is_a_mismatch_until_the_tolerance_allows_it():
    right = rows()
    served = right.assign(f_a=right["f_a"].astype("float32"))
    assert parity(served, right).estimate > 0.9
    assert parity(served, right, rtol=1e-6).estimate == 0


def test_a_bound_holds_for_any_scores():
    draw = np.random.default_rng(0)
    for _ in range(50):
        y = (draw.random(40) < 0.4).astype(float)
        if y.min() == y.max():
            continue
        before = draw.normal(size=40)
        touched = draw.random(40) < 0.2
        after = np.where(touched, draw.normal(size=40) * 10, before)
        assert abs(auc(y, after) - auc(y, before)) <= pair_bound(touched, y) + 1e-12
    assert np.isnan(pair_bound([True], [1]))


@pytest.mark.parametrize(
    ("change", "settings", "message"),
    [
        ({}, {"rtol": -1}, "rtol: got -1"),
        ({}, {"alpha": 0}, "alpha: got 0"),
        ({}, {"y": "y"}, "score: got None with y"),
        ({}, {"cols": []}, r"cols: got \[\]; it must be a list of columns"),
        ({}, {"keys": "item_id"}, "keys: got 'item_id'; it must be a list of columns, each once"),
        ({}, {"keys": []}, r"keys: got \[\]; it must be a list of columns"),
        (
            {"ts": pd.Timestamp("2026-03-01")},
            {"entity": "user_id", "ts": "ts"},
            "ts: got datetime64.* in serving; it must be times with their zone",
        ),
        (
            {"request_id": pd.date_range("2026-03-01", periods=N, freq="min")},
            {},
            r"request_id: got .* in serving and int64 in recomputed; a key must be of one kind",
        ),
        ({}, {"cols": "f_a"}, "cols: got 'f_a'; it must be a list of columns"),
        ({}, {"unit": "session"}, "session: got no such column in serving or recomputed"),
        (
            {"request_id": 1, "item_id": 1},
            {},
            "request_id, item_id: got 599 repeated of 600; each must be in serving once",
        ),
        ({"f_a": "x"}, {}, "f_a: got text served and numbers recomputed; they must be of one kind"),
        ({"f_d": 1.0}, {}, "recomputed: got columns .*; it must have f_d"),
        ({}, {"score": lambda f: f["f_a"][1:]}, "score: got shape .*; one number each"),
        (
            {"f_a": np.nan},
            {"score": lambda f: f["f_a"]},
            "score: got 600 of 600 not finite with f_a as served",
        ),
        ({}, {"score": score, "y": "item_id"}, "y: got labels of one kind, or others than 0 and 1"),
        ({}, {"keys": ["request_id", "f_a"]}, "keys: got 'f_a', which is among the columns compared"),
        ({}, {"score": score, "y": "f_c"}, "y: got 'f_c', which is among the columns compared"),
    ],
)
def test_bad_input_is_refused(change, settings, message):
    right = rows()
    with pytest.raises(ValueError, match=message):
        parity(right.assign(**change), right, **settings)


def test_what_is_no_table_or_has_no_feature_is_refused():
    right = rows()
    with pytest.raises(ValueError, match="serving: got list; it must be a frame"):
        parity([1], right)
    with pytest.raises(ValueError, match=r"cols: got none, and no column is named f_\*"):
        parity(right[["request_id"]], right[["request_id"]])
    with pytest.raises(
        ValueError, match="request_id: got no row on both sides, of 600 served and 600 recomputed"
    ):
        parity(right.assign(request_id=right["request_id"] + N), right, keys=["request_id"])
    text = right.assign(request_id=right["request_id"].astype(str))
    with pytest.raises(
        ValueError, match=r"request_id: got .* in serving and int64 in recomputed; a key must"
    ):
        parity(text, right, keys=["request_id"])
    naive = right.assign(f_t=right["ts"].dt.tz_localize(None))
    with pytest.raises(ValueError, match="f_t: got times without a zone"):
        parity(naive, naive, cols=["f_t"])
