"""Users by arm: eager and lazy frames count the same, whole tables never come in, refusals are the same."""

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pytest

from toolkit.experiments.splits import arm_counts, of_experiment, pair_counts

DRAW = np.random.default_rng(0)
USERS = pd.DataFrame({"user_id": np.arange(400), "arm": DRAW.choice(["a", "b", "c"], 400)})
LOG = USERS.loc[DRAW.integers(0, 400, 3_000)].assign(
    platform=lambda rows: DRAW.choice(["app", "web"], len(rows)),
    arm=lambda rows: rows["arm"].where(rows["user_id"] > 30),
)
KINDS = [lambda frame: frame, duckdb.from_df, lambda frame: pl.from_pandas(frame).lazy(), pl.from_pandas]


@pytest.mark.parametrize("make", KINDS)
def test_users_count_once_an_arm_and_in_each_value_where_they_were_seen(make):
    counts, rows = arm_counts(make(LOG), "log")
    with_arm = LOG[LOG["arm"].notna()]
    assert dict(zip(counts["arm"], counts["users"], strict=True)) == (
        with_arm.groupby("arm")["user_id"].nunique().to_dict()
    )
    assert rows == len(with_arm)
    parts, _ = arm_counts(make(LOG), "log", by="platform")
    wanted = with_arm.groupby(["platform", "arm"])["user_id"].nunique()
    assert parts.set_index(["group", "arm"])["users"].to_dict() == wanted.to_dict()


@pytest.mark.parametrize("make", KINDS)
def test_pairs_are_of_users_in_both(make):
    other = USERS.assign(arm=DRAW.permutation(USERS["arm"])).iloc[100:]
    counts = pair_counts(make(USERS), make(other))
    wanted = USERS.merge(other, on="user_id").groupby(["arm_x", "arm_y"]).size()
    assert counts.set_index(["arm_a", "arm_b"])["users"].to_dict() == wanted.to_dict()
    assert counts["users"].sum() == 300


@pytest.mark.parametrize("make", KINDS)
def test_one_experiment_s_rows_come_back(make):
    both = pd.concat([USERS.assign(experiment="x"), USERS.head(150).assign(experiment="y")])
    assert arm_counts(make(both), "log", experiment="y")[0]["users"].sum() == 150
    assert pair_counts(make(both), make(both), experiment_a="x", experiment_b="y")["users"].sum() == 150
    with pytest.raises(ValueError, match="experiment: got None for log of x, y; it must name one"):
        of_experiment(make(both), None, "log")
    with pytest.raises(ValueError, match="experiment: got 'z'; log have x, y"):
        of_experiment(make(both), "z", "log")
    with pytest.raises(ValueError, match="experiment: got 'z'; log have no such column"):
        of_experiment(make(USERS), "z", "log")


@pytest.mark.parametrize("make", KINDS)
@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda make: arm_counts(make(USERS), "log", by="arm"), "by: got 'arm'"),
        (lambda make: arm_counts(make(USERS), "log", by="city"), "log: got columns"),
        (lambda make: arm_counts(make(USERS.head(0)), "log"), "log: got no row"),
        (
            lambda make: arm_counts(
                make(USERS.assign(user_id=USERS["user_id"].where(USERS.index > 4))), "log"
            ),
            "user_id: got 5 missing of 400; log must be complete",
        ),
        (
            lambda make: arm_counts(make(USERS.assign(user_id=USERS["user_id"] // 400)), "log"),
            "arm: got two for 1 users of log",
        ),
        (
            lambda make: pair_counts(make(USERS), make(pd.concat([USERS, USERS.head(3)]))),
            "user_id: got 3 repeated of 403 in b; one row a user",
        ),
        (
            lambda make: pair_counts(make(USERS), make(USERS.assign(user_id=USERS["user_id"].astype(str)))),
            "user_id: got whole numbers in a and String in b; both must be of one type",
        ),
    ],
)
def test_bad_input_is_refused_by_name_value_and_rule(make, call, message):
    with pytest.raises(ValueError, match=message):
        call(make)
