"""What does pooling report of a test whose treated share was raised from day to day?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from toolkit.experiments.simpson import two_ways
from toolkit.rules import count, number, share
from toolkit.world.clock import DAY, START


def ramped(shares: Sequence[float], bases: Sequence[float], *, lift: float) -> dict[str, float]:
    """The lifts that a ramp-up reports, pooled and within days, in expectation.

    Parameters
    ----------
    shares : sequence of float
        The treated share of the impressions each day, strictly between 0 and 1; days are equally busy.
    bases : sequence of float
        The control's rate each day.
    lift : float
        What the treatment adds, relative to the day's rate.

    Returns
    -------
    dict
        As `simpson.pooled_and_stratified`.

    Examples
    --------
    >>> told = ramped([0.01, 0.5], [0.02, 0.01], lift=0.15)
    >>> round(told["stratified_relative"], 2), round(told["pooled_relative"], 2)
    (0.15, -0.3)
    """
    treated, rates = _days(shares, bases, lift)
    users = {"control": 1 - treated, "treatment": treated}
    return two_ways(users, {"control": users["control"] * rates, "treatment": treated * rates * (1 + lift)})


def by_first_share(
    first: Sequence[float], *, second_base: float, lift: float, second: float = 0.5, base: float = 0.1
) -> pd.DataFrame:
    """The reported lift of two days by the share treated on the first, pooled and within days.

    Parameters
    ----------
    first : sequence of float
        Shares on the first day.
    second_base : float
        The second day's rate in multiples of the first one's.
    lift, second, base : float
        As in `ramped`: the treatment's lift, the second day's share, the first day's rate.

    Returns
    -------
    DataFrame
        `first`, `analysis` ("pooled", "within days"), `lift`.

    Examples
    --------
    >>> by_first_share([0.5], second_base=0.5, lift=0.1)["lift"].round(3).tolist()
    [0.1, 0.1]
    """
    rows = []
    for part in first:
        told = ramped([part, second], [base, base * second_base], lift=lift)
        rows += [
            (part, "pooled", told["pooled_relative"]),
            (part, "within days", told["stratified_relative"]),
        ]
    return pd.DataFrame(rows, columns=["first", "analysis", "lift"])


def tables(
    shares: Sequence[float],
    bases: Sequence[float],
    *,
    lift: float,
    users: int = 5_000,
    a_day: int = 10_000,
    rng: int = 0,
) -> dict[str, pd.DataFrame]:
    """A ramp-up's `serving_log` (the columns that `simpson` reads) and `outcomes`.

    A user who is treated once stays so, for the share only rises; users differ in taste.

    Parameters
    ----------
    shares, bases, lift
        As in `ramped`; the shares are of users.
    users, a_day : int
        Users, and impressions a day.
    rng : int

    Examples
    --------
    >>> sorted(tables([0.1, 0.5], [0.1, 0.1], lift=0.1, users=50, a_day=100))
    ['outcomes', 'serving_log']
    """
    treated_share, rates = _days(shares, bases, lift)
    count("users", users, least=2)
    count("a_day", a_day)
    draw = np.random.default_rng(rng)
    taste = draw.uniform(0.5, 1.5, users)
    luck = draw.random(users)
    user = draw.integers(0, users, (len(rates), a_day))
    treated = luck[user] < treated_share[:, None]
    chance = rates[:, None] * taste[user] * (1 + lift * treated)
    y = draw.random(user.shape) < chance
    at = np.sort(draw.random(user.shape), axis=1) + np.arange(len(rates))[:, None]
    log = pd.DataFrame(
        {
            "request_id": np.arange(user.size),
            "item_id": 0,
            "user_id": user.ravel(),
            "ts": START
            + pd.to_timedelta((at.ravel() * DAY.total_seconds() * 1e6).astype(np.int64), unit="us"),
            "arm": np.where(treated, "treatment", "control").ravel(),
        }
    )
    outcomes = log[["request_id", "item_id"]].assign(y=y.ravel().astype(int), label_ts=log["ts"])
    return {"serving_log": log, "outcomes": outcomes}


def _days(shares: Sequence[float], bases: Sequence[float], lift: float) -> tuple[np.ndarray, np.ndarray]:
    if len(shares) != len(bases) or not len(shares):
        raise ValueError(f"bases: got {len(bases)} days; there must be as many as shares, {len(shares)}")
    number("lift", lift, above=-1)
    treated = np.array([share("shares", part, open_low=True, open_high=True) for part in shares])
    rates = np.array([share("bases", rate, open_low=True) for rate in bases])
    if (1 + max(lift, 0)) * rates.max() * 1.5 > 1:
        raise ValueError(f"bases: got {rates.max():g}; with the lift and users' tastes a chance would pass 1")
    return treated, rates
