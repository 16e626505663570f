"""What does experiment B report of experiment A's effect, when both split users by one hash?"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd

from toolkit.experiments.assignment import points
from toolkit.rules import count, number, share

# A hash gives each user one of so many buckets; half of them are an experiment's treatment.
BUCKETS = 20


def buckets(users: int, *, salt: str) -> np.ndarray:
    """The bucket of each user from 0 on, by the experiment's salt (`assignment.points`).

    Parameters
    ----------
    users : int
    salt : str

    Examples
    --------
    >>> buckets(5, salt="new_ranker").tolist() == buckets(6, salt="new_ranker").tolist()[:5]
    True
    """
    ids = np.arange(count("users", users))
    result: np.ndarray = (points(ids, salt=salt) * BUCKETS).astype(int)
    return result


@lru_cache(maxsize=32)
def by_overlap(effect_a: float, *, own_salt: bool, users: int) -> pd.DataFrame:
    """What B, which does nothing, reports for each number of buckets in common with A.

    Parameters
    ----------
    effect_a : float
        Orders a user that A's treatment adds to one.
    own_salt : bool
        Whether B hashes users by a salt of its own.
    users : int

    Returns
    -------
    DataFrame
        `common` of ten, `estimate` with its 95% interval `low` to `high`, and `carried`, what A's
        effect times the correlation says.

    Examples
    --------
    >>> by_overlap(0.1, own_salt=True, users=500)["common"].tolist()
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]
    """
    a = buckets(users, salt="experiment A")
    b = buckets(users, salt="experiment B") if own_salt else a
    rows = []
    for common in range(BUCKETS // 2 + 1):
        estimate, se = difference(two_experiments(a, b, common=common, effect_a=effect_a), "arm_b")
        known = 0.0 if own_salt else carried(effect_a, correlation(common))
        rows.append((common, estimate, estimate - 1.96 * se, estimate + 1.96 * se, known))
    return pd.DataFrame(rows, columns=["common", "estimate", "low", "high", "carried"])


def treated_buckets(bucket: Any, *, first: int = 0) -> np.ndarray:
    """Who is in the treatment: whose bucket is among the ten from the first, past the last from 0 again.

    Parameters
    ----------
    bucket : array of int of shape (users,)
        From 0 to 19.
    first : int

    Examples
    --------
    >>> treated_buckets([0, 9, 10, 19], first=10).tolist()
    [False, False, True, True]
    """
    codes = np.asarray(bucket)
    if codes.size == 0 or codes.min() < 0 or codes.max() >= BUCKETS:
        raise ValueError(f"bucket: got {codes.tolist()[:5]}; each must lie from 0 to {BUCKETS - 1}")
    mask: np.ndarray = (codes - count("first", first, least=0)) % BUCKETS < BUCKETS // 2
    return mask


def correlation(common: int) -> float:
    """The correlation of two arms that split one hash in half and have so many of ten buckets in common.

    Parameters
    ----------
    common : int
        From 0 to 10.

    Examples
    --------
    >>> correlation(10), correlation(5), correlation(0)
    (1.0, 0.0, -1.0)
    """
    half = BUCKETS // 2
    if count("common", common, least=0) > half:
        raise ValueError(f"common: got {common}; it must be a whole number, {half} at most")
    return 2 * common / half - 1


def carried(effect: float, correlation: float, *, treated_a: float = 0.5, treated_b: float = 0.5) -> float:
    """What of A's effect is in B's difference: the effect, times how much more A there is in B's treatment.

    Parameters
    ----------
    effect : float
        Of A's treatment.
    correlation : float
        Of the two arms over users (`orthogonality`), from -1 to 1.
    treated_a, treated_b : float
        Shares of users in either treatment. Where they are equal, it is effect times correlation.

    Examples
    --------
    >>> round(carried(0.03, 0.2), 4)
    0.006
    """
    number("effect", effect)
    if not -1 <= number("correlation", correlation) <= 1:
        raise ValueError(f"correlation: got {correlation!r}; it must lie in [-1, 1]")
    spreads = []
    for name, value in (("treated_a", treated_a), ("treated_b", treated_b)):
        treated = share(name, value, open_low=True, open_high=True)
        spreads.append(math.sqrt(treated * (1 - treated)))
    return effect * correlation * spreads[0] / spreads[1] + 0.0  # no minus before a zero


def two_experiments(
    bucket_a: Any,
    bucket_b: Any,
    *,
    common: int,
    effect_a: float,
    effect_b: float = 0.0,
    mean: float = 1.0,
    rng: int = 0,
) -> pd.DataFrame:
    """Users of two experiments that run at once, one row a user: `user_id`, both arms, and orders.

    Parameters
    ----------
    bucket_a, bucket_b : arrays of int of shape (users,)
        Each experiment's hash of the users; the same one where they share a salt.
    common : int
        How many of its ten buckets B's treatment would share with A's, were the hash the same.
    effect_a, effect_b : float
        Orders a user that each treatment adds; they add up.
    mean : float
        Orders a user without either; positive.
    rng : int

    Returns
    -------
    DataFrame
        `user_id`, `arm_a`, `arm_b`, `orders` (Poisson).

    Examples
    --------
    >>> hash_of_a = np.arange(2_000) % 20
    >>> users = two_experiments(hash_of_a, hash_of_a, common=10, effect_a=0.2)
    >>> (users["arm_a"] == users["arm_b"]).all().item()
    True
    """
    correlation(common)
    number("mean", mean, above=0)
    if mean + min(0, number("effect_a", effect_a)) + min(0, number("effect_b", effect_b)) <= 0:
        raise ValueError(f"effect_a: got {effect_a!r}; with effect_b it must leave a mean above 0")
    in_a = treated_buckets(bucket_a)
    in_b = treated_buckets(bucket_b, first=BUCKETS // 2 - common)
    if len(in_a) != len(in_b):
        raise ValueError(
            f"bucket_b: got {len(in_b):,} users; it must be as many as bucket_a's, {len(in_a):,}"
        )
    draw = np.random.default_rng(rng)
    arm = np.array(["control", "treatment"])
    return pd.DataFrame(
        {
            "user_id": np.arange(len(in_a)),
            "arm_a": arm[in_a.astype(int)],
            "arm_b": arm[in_b.astype(int)],
            "orders": draw.poisson(mean + effect_a * in_a + effect_b * in_b),
        }
    )


def difference(users: pd.DataFrame, arm: str) -> tuple[float, float]:
    """The difference of the two arms' orders a user, and its standard error.

    Examples
    --------
    >>> users = pd.DataFrame({"arm": ["control"] * 2 + ["treatment"] * 2, "orders": [0, 2, 1, 3]})
    >>> difference(users, "arm")
    (1.0, 1.4142135623730951)
    """
    by = users.groupby(arm)["orders"]
    means, errors = by.mean(), by.var() / by.size()
    return float(means["treatment"] - means["control"]), float(math.sqrt(errors.sum()))
