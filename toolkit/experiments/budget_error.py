"""Does a test's standard error hold where the arms share a budget, or have one each?"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pandas as pd

from toolkit.experiments.shared_budget import Demand, Design, orders
from toolkit.resampling import clustered_error
from toolkit.rules import count


@lru_cache(maxsize=16)
def repeated(
    design: Design,
    *,
    lift: float,
    capacity: int | None,
    users: int = 1_000,
    a_day: int = 2_000,
    days: int = 4,
    tests: int = 200,
) -> dict[str, float]:
    """One test of a budget again and again, each time with other users: what varies, and what the error says.

    Parameters
    ----------
    design : "shared" or "split"
    lift, capacity
        As in `shared_budget.orders`.
    users, a_day, days : int
        As in `shared_budget.Demand`.
    tests : int
        2 at least.

    Returns
    -------
    dict
        Of the difference in orders a request: its mean `estimate`, its real standard deviation `sd`,
        the mean `error` that takes users for independent, the ratio `variation` of the two, and the
        share of tests that are `significant` at 5%. The same with rows that share an hour depending
        on each other too: `error_by_hour_too`, `variation_by_hour_too`, `significant_by_hour_too`.

    Examples
    --------
    >>> told = repeated("split", lift=0.0, capacity=9, tests=20)
    >>> told["variation"] < told["variation_by_hour_too"]
    True
    """
    count("tests", tests, least=2)
    estimates = np.empty(tests)
    errors = {"": np.empty(tests), "_by_hour_too": np.empty(tests)}
    for seed in range(tests):
        demand = Demand(users=users, a_day=a_day, days=days, rng=seed)
        mine = demand.treated()
        y = orders(demand, mine, lift=lift, capacity=capacity, design=design).astype(float)
        new = mine[demand.user]
        means = y[new].mean(), y[~new].mean()
        influence = np.where(new, (y - means[0]) / new.sum(), -(y - means[1]) / (~new).sum())
        estimates[seed] = means[0] - means[1]
        user = pd.factorize(demand.user)[0]
        for name, crossed in (("", None), ("_by_hour_too", demand.hour)):
            errors[name][seed] = clustered_error(influence, user, crossed)
    sd = float(estimates.std(ddof=1))
    told = {"estimate": float(estimates.mean()), "sd": sd}
    for name, error in errors.items():
        told[f"error{name}"] = float(error.mean())
        told[f"variation{name}"] = sd / float(error.mean())
        told[f"significant{name}"] = float(np.mean(np.abs(estimates) > 1.96 * error))
    return told
