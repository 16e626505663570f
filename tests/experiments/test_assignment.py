"""Assignment by hash: golden values, uniform and independent by chi-square, the same in any process, refusals."""

import hashlib
import os
import subprocess
import sys

import duckdb
import numpy as np
import pandas as pd
import pytest
from scipy.stats import chi2, kstest

from toolkit.experiments.assignment import assign, points

# From sha256sum of "salt:id" at a shell: the first 13 hexadecimal digits. They must never change:
# a user who changes arm ends every running experiment.
GOLDEN = {
    ("new_ranker", "1"): "52f0779acd527",
    ("new_ranker", "42"): "aed4499ee25fa",
    ("new_ranker", "é"): "557cd7bd5c652",
    ("a", "1"): "2b2c40a6706d9",
}


def test_points_are_the_checked_in_ones_on_every_platform():
    for (salt, user), digits in GOLDEN.items():
        assert points([user], salt=salt)[0] == int(digits, 16) / 16**13


def test_another_process_with_another_hash_seed_gives_the_same_arms():
    code = "from toolkit.experiments.assignment import assign; print(''.join(a[0] for a in assign(range(50), salt='s')))"
    told = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for seed in ("1", "2")
    }
    assert told == {"".join(arm[0] for arm in assign(range(50), salt="s"))}


def test_a_database_gives_the_same_points():
    users = ["é", "7", "x:y", "Ü-1"]
    sql = "select ('0x' || left(sha256(? || ':' || ?), 13))::BIGINT / 2**52"
    # On a connection of its own: an unread result would block other tests' relations.
    with duckdb.connect() as database:
        told = [database.execute(sql, ["new_ranker", user]).fetchall()[0][0] for user in users]
    assert points(users, salt="new_ranker").tolist() == told


def test_a_whole_number_and_its_digits_are_one_user_and_repeats_keep_their_arm():
    numbers = np.random.default_rng(0).integers(0, 500, 2_000)
    arms = assign(numbers, salt="s")
    assert (arms == assign(numbers.astype(str), salt="s")).all()
    assert (arms == assign(pd.Series(numbers, dtype="Int64"), salt="s")).all()
    assert (arms == assign(pd.Series(numbers).astype("category"), salt="s")).all()
    assert pd.Series(arms).groupby(numbers).nunique().max() == 1


def test_arms_are_uniform_over_many_salts():
    # The sum of independent chi-squares is one; a salt with a bias of its own, or all with a small
    # one, would be seen.
    users, salts = np.arange(5_000), 100
    expected = 5_000 * np.array([0.6, 0.3, 0.1])
    shares = {"a": 0.6, "b": 0.3, "c": 0.1}
    counts = np.array(
        [
            pd.Series(assign(users, salt=f"s{k}", shares=shares)).value_counts()[list("abc")]
            for k in range(salts)
        ]
    )
    statistics = ((counts - expected) ** 2 / expected).sum(1)
    assert 0.001 < chi2.sf(statistics.sum(), 2 * salts) < 0.999
    assert kstest(statistics, chi2(2).cdf).pvalue > 0.001
    assert kstest(points(users, salt="s0"), "uniform").pvalue > 0.001


def test_two_salts_split_users_independently():
    users = np.arange(5_000)
    treated = np.array([assign(users, salt=f"s{k}") == "treatment" for k in range(40)], dtype=float)
    correlation = np.corrcoef(treated)[np.triu_indices(40, 1)]
    # Squared and times n, each is about chi-square with one degree of freedom.
    assert 0.001 < chi2.sf((5_000 * correlation**2).sum(), len(correlation)) < 0.999
    assert kstest(5_000 * correlation**2, chi2(1).cdf).pvalue > 0.001


def test_neighbouring_ids_have_unrelated_points():
    drawn = points(np.arange(20_000), salt="s")
    assert abs(np.corrcoef(drawn[:-1], drawn[1:])[0, 1]) < 4 / np.sqrt(20_000)


def test_raising_the_second_arm_s_share_leaves_its_users_in_it():
    users = np.arange(5_000)
    few = assign(users, salt="s", shares={"control": 0.99, "treatment": 0.01})
    many = assign(users, salt="s", shares={"control": 0.5, "treatment": 0.5})
    assert (few == "treatment").sum() > 20
    assert set(users[few == "treatment"]) <= set(users[many == "treatment"])


def test_one_arm_gets_everybody():
    assert set(assign([1, 2, 3], salt="s", shares={"all": 1.0})) == {"all"}


@pytest.mark.parametrize(
    ("users", "told"),
    [
        ([1.5, 2.0], "user_ids: got floating; they must be all whole numbers or all text"),
        ([True, False], "user_ids: got boolean; they must be all"),
        ([1, "1"], "user_ids: got mixed-integer; they must be all"),
        ([b"a"], "user_ids: got bytes; they must be all"),
        (["a", None], "user_ids: got 1 missing of 2; each user has one"),
        ([], "user_ids: got none; there must be one at least"),
        ("abc", "user_ids: got str; it must be one row of ids"),
        (np.ones((2, 2), dtype=int), "user_ids: got ndarray; it must be one row of ids"),
    ],
)
def test_ids_that_are_no_ids_are_refused(users, told):
    with pytest.raises(ValueError, match=told):
        assign(users, salt="s")


@pytest.mark.parametrize("salt", ["", "a:b", 7, None])
def test_a_salt_that_could_be_confused_is_refused(salt):
    with pytest.raises(
        ValueError, match=r"salt: got .*; it must be a text that isn't empty and has no colon"
    ):
        assign([1], salt=salt)


@pytest.mark.parametrize(
    ("shares", "told"),
    [
        ({"control": 0.5, "treatment": 0.4}, r"shares: got a sum of 0\.9; it must be 1"),
        ({"control": 1.0, "treatment": 0.0}, r"shares\['treatment'\]: got 0\.0; it must lie above 0"),
        ({}, r"shares: got \{\}; it must be a mapping of arm to share"),
        ([0.5, 0.5], r"shares: got \[0\.5, 0\.5\]; it must be a mapping"),
    ],
)
def test_shares_that_are_no_split_are_refused(shares, told):
    with pytest.raises(ValueError, match=told):
        assign([1], salt="s", shares=shares)


def test_the_documented_algorithm_is_the_one_that_runs():
    digest = hashlib.sha256("salt 2:münchen".encode()).hexdigest()
    assert points(["münchen"], salt="salt 2")[0] == int(digest[:13], 16) / 2**52
