"""What does a test report whose treatment lost users before they could be counted?"""

from __future__ import annotations

import numpy as np
import pandas as pd

from toolkit.rules import share


def lose_users(log: pd.DataFrame, *, crash: float, arm: str = "treatment", rng: int = 0) -> pd.DataFrame:
    """A serving log without the users of one arm whose app crashed: at each of their requests, with a chance.

    Who crashed is gone from the log altogether, as where a client reports at the end of a session. So
    the busiest are lost first, and what is left isn't like the control.

    Parameters
    ----------
    log : DataFrame
        `user_id` and `arm`.
    crash : float
        Chance that a request of that arm crashes, in [0, 1).
    arm : str
        Which arm.
    rng : int

    Examples
    --------
    >>> log = pd.DataFrame({"user_id": np.arange(1000) % 100, "arm": "treatment"})
    >>> lose_users(log, crash=0.1)["user_id"].nunique() < 60
    True
    """
    share("crash", crash, open_high=True)
    if arm not in set(log["arm"]):
        raise ValueError(f"arm: got {arm!r}; log has {', '.join(sorted(log['arm'].dropna().unique()))}")
    crashed = (np.random.default_rng(rng).random(len(log)) < crash) & (log["arm"] == arm).to_numpy()
    return log[~log["user_id"].isin(log["user_id"][crashed])].reset_index(drop=True)


def per_assigned(
    log: pd.DataFrame, outcomes: pd.DataFrame, *, seen_only: bool, assignments: pd.DataFrame
) -> float:
    """The lift of outcomes a user, over the users who are in the log or over all who were assigned.

    Parameters
    ----------
    log, outcomes, assignments : DataFrames
        The test's tables.
    seen_only : bool
        Divide by the users of the log; else by the assigned ones.

    Examples
    --------
    >>> log = pd.DataFrame({"request_id": [1, 2, 3], "item_id": 0, "user_id": [1, 2, 3],
    ...     "arm": ["control", "control", "treatment"]})
    >>> users = pd.DataFrame({"user_id": [1, 2, 3, 4], "arm": ["control"] * 2 + ["treatment"] * 2})
    >>> y = log[["request_id", "item_id"]].assign(y=1)
    >>> [round(per_assigned(log, y, seen_only=seen, assignments=users), 2) for seen in (True, False)]
    [0.0, -0.5]
    """
    sums = log.merge(outcomes, on=["request_id", "item_id"]).groupby("arm")["y"].sum()
    users = (log if seen_only else assignments).groupby("arm")["user_id"].nunique()
    mean = sums / users
    return float(mean["treatment"] / mean["control"] - 1)
