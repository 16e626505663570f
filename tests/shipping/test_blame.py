"""A loss is split over the features that made it: parts sum, untouched ones get nothing, noise is no culprit."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy.stats import kstest, norm

from toolkit.auc import auc
from toolkit.shipping.blame import restored, upstream_blame

NAMES = ["f_a", "f_b", "f_c"]


def score(rows):
    return rows["f_a"] + rows["f_b"] + 0.5 * rows["f_c"]


def rows_of(rng, n=400, users=150):
    rows = pd.DataFrame(rng.normal(size=(n, 3)), columns=NAMES)
    chance = 1 / (1 + np.exp(-score(rows)))
    return rows.assign(
        request_id=np.arange(n),
        item_id=0,
        user_id=rng.integers(0, users, n),
        y=(rng.random(n) < chance).astype(int),
    )


def test_parts_sum_to_the_loss_and_what_was_not_touched_gets_exactly_nothing():
    rows = rows_of(np.random.default_rng(0), n=2000)
    served = rows.assign(f_a=100 * rows["f_a"], f_b=rows["f_b"] / 100)
    told = upstream_blame(served, rows, score, features=NAMES, replicates=60).table.set_index("feature")
    loss = auc(rows["y"], score(rows)) - auc(rows["y"], score(served))
    assert told["part"].sum() == pytest.approx(loss)
    assert told.loc["f_c", ["part", "low", "high"]].tolist() == [0, 0, 0]
    assert told["moved"].to_dict() == pytest.approx({"f_a": 1, "f_b": 1, "f_c": 0})
    # Two switches: the mean of being first and being last.
    assert told["part"]["f_b"] == pytest.approx((told["alone"]["f_b"] + told["last"]["f_b"]) / 2)
    # The blow-up hides the shrink.
    assert abs(told["alone"]["f_b"]) < 0.02 < told["last"]["f_b"]


def test_of_two_like_measurements_neither_is_to_blame_as_often_as_said():
    rng, p, covered = np.random.default_rng(1), [], []
    for _ in range(120):
        rows = rows_of(rng)
        # Twice the same quantity, each time with an error of its own: swapping brings nothing on average.
        one, other = (rows.assign(f_a=rows["f_a"] + rng.normal(size=len(rows))) for _ in range(2))
        found = upstream_blame(one, other, score, features=["f_a"], replicates=80)
        p.append(found.p)
        covered.append(found.ci[0] <= 0 <= found.ci[1])
    assert kstest(p, "uniform").pvalue > 0.01
    assert 0.88 <= np.mean(covered) <= 0.995


def test_columns_of_a_team_are_swapped_together():
    rows = rows_of(np.random.default_rng(2), n=1500)
    served = rows.assign(f_a=-rows["f_a"], f_c=-rows["f_c"])
    told = upstream_blame(served, rows, score, features={"team": ["f_a", "f_c"], "b": ["f_b"]}, replicates=60)
    assert told.table["feature"].tolist() == ["team", "b"]
    assert told.estimate == pytest.approx(auc(rows["y"], score(rows)) - auc(rows["y"], score(served)))
    assert told.p < 1e-6
    assert "team +" in told.verdict
    assert "no part is certain of b" in told.verdict


def test_a_change_that_keeps_the_order_can_be_mapped_back_without_recomputing():
    rng = np.random.default_rng(3)
    before, now = rows_of(rng, n=4000), rows_of(rng, n=2000)
    served = now.assign(f_a=np.exp(3 * now["f_a"]))
    mended = restored(served, before, columns=["f_a"])
    assert np.abs(mended["f_a"] - now["f_a"]).quantile(0.9) < 0.15
    assert auc(now["y"], score(mended)) == pytest.approx(auc(now["y"], score(now)), abs=0.005)
    assert (mended["f_b"] == served["f_b"]).all()


def test_rows_are_matched_by_their_key_and_any_frame_will_do():
    rows = rows_of(np.random.default_rng(4))
    served = rows.assign(f_a=100 * rows["f_a"])
    straight = upstream_blame(served, rows, score, features=NAMES, replicates=50)
    mixed = upstream_blame(
        served, pl.from_pandas(rows.sample(frac=1, random_state=0)), score, features=NAMES, replicates=50
    )
    pd.testing.assert_frame_equal(mixed.table, straight.table)


ROWS = rows_of(np.random.default_rng(5), n=60)


def blame(served=ROWS, intended=ROWS, model=score, **settings):
    return upstream_blame(served, intended, model, **{"features": NAMES, "replicates": 50, **settings})


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: blame(intended=ROWS.head(50)), "intended: got none for 10 of 60 rows; each needs one"),
        (lambda: blame(features=[]), r"features: got \[\]; they must be a list or mapping of 1 to 7"),
        (lambda: blame(features="f_a"), "features: got 'f_a'"),
        (lambda: blame(features=["f_z"]), "served: got columns .* it must have f_z"),
        (lambda: blame(served=ROWS.assign(y=1)), "y: got only 1 in served; both 0 and 1 must occur"),
        (lambda: blame(served=ROWS.assign(y=2)), "y: got 2 in served; a label is 0 or 1"),
        (lambda: blame(served=pd.concat([ROWS, ROWS])), "request_id, item_id: got 60 repeated of 120"),
        (lambda: blame(served=ROWS.assign(f_a=np.nan)), "f_a: got 60 missing"),
        (
            lambda: blame(model=lambda rows: np.nan * rows["f_a"]),
            "score: got shape .60,. for 60 rows; one finite number",
        ),
        (lambda: blame(model=lambda rows: [1.0]), "score: got shape .1,. for 60 rows"),
        (lambda: blame(served=ROWS.assign(user_id=1)), "clusters: got 1; the bootstrap needs two"),
        (lambda: blame(replicates=5), "replicates: got 5; it must be a whole number, 50 at least"),
        (lambda: blame(alpha=0), "alpha: got 0"),
        (lambda: restored(ROWS, ROWS, columns=[]), r"columns: got \[\]; it must be a list"),
        (
            lambda: restored(ROWS.drop(columns="f_a"), ROWS, columns=["f_a"]),
            "current: got columns .* it must have f_a",
        ),
    ],
)
def test_bad_input_is_refused_by_name_value_and_rule(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_where_one_feature_made_all_of_it_its_error_is_that_of_the_whole_loss():
    rng = np.random.default_rng(12)
    rows = pd.DataFrame(rng.normal(size=(300, 3)), columns=["f_a", "f_b", "f_c"]).assign(
        user_id=range(300), item_id=0
    )
    rows["request_id"], rows["y"] = (
        rows.index,
        (rows["f_a"] + rows["f_b"] + rng.normal(size=300) > 0).astype(int),
    )
    served = rows.assign(f_b=100 * rows["f_b"])

    def score(frame):
        return frame["f_a"] + frame["f_b"] + frame["f_c"]

    together, alone = (
        upstream_blame(served, rows, score, features=features, replicates=100).table.set_index("feature")
        for features in (["f_a", "f_b", "f_c"], ["f_b"])
    )
    z = norm.isf(0.025 / 3) / norm.isf(0.025)
    wide, narrow = (table.loc["f_b", "high"] - table.loc["f_b", "part"] for table in (together, alone))
    assert wide == pytest.approx(z * narrow)
