"""What does an A/B test measure when both arms draw on one budget?

FooBar pays the delivery of a limited number of orders an hour, first come, first served. A request
*would* become such an order with a chance of its own, which the new model multiplies; it *is* one
while the hour's budget lasts.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, Literal

import numpy as np
import pandas as pd

from toolkit.rules import count, number, one_of, share
from toolkit.world.clock import DAY, START

Design = Literal["shared", "split"]
EXPERIMENT = "free_delivery"
# Evenings are busier than nights, by this share of the mean.
_SWING = 0.8
_HOURS = 24


@dataclass(frozen=True)
class Demand:
    """What users would order, were there no limit: requests in order of time, with their random numbers.

    Two launches, or a test, on one demand differ by nothing but the model and the budget.

    Parameters
    ----------
    users : int
    a_day : int
        Requests a day.
    days : int
    rate : float
        Mean chance that a request becomes an order, in (0, 0.3].
    rng : int
        The same number gives the same demand.

    Examples
    --------
    >>> int(Demand(users=100, a_day=240, days=1).hour.max())
    23
    """

    users: int = 4_000
    a_day: int = 10_000
    days: int = 14
    rate: float = 0.1
    rng: int = 0

    def __post_init__(self) -> None:
        for name in ("users", "a_day", "days"):
            count(name, getattr(self, name), least=2 if name == "users" else 1)
        number("rate", self.rate, above=0)
        if self.rate > 0.3:
            raise ValueError(f"rate: got {self.rate}; it must lie in (0, 0.3], or users' chances pass 1")

    @cached_property
    def _drawn(self) -> tuple[np.ndarray, ...]:
        draw = np.random.default_rng(self.rng)
        active = draw.gamma(2.0, size=self.users)
        taste = draw.beta(4.0, 16.0, size=self.users) * 5  # mean 1
        n = self.a_day * self.days
        user = draw.choice(self.users, n, p=active / active.sum())
        wave = 1 + _SWING * np.sin(2 * np.pi * (np.arange(_HOURS) - 13) / _HOURS)
        hour = draw.choice(_HOURS, n, p=wave / wave.sum()) + _HOURS * np.repeat(
            np.arange(self.days), self.a_day
        )
        at = hour + draw.random(n)
        order = np.argsort(at, kind="stable")
        return (
            user[order],
            at[order],
            (self.rate * taste)[user[order]],
            draw.random(n),
            active,
            draw.random(self.users),
        )

    @property
    def user(self) -> np.ndarray:
        """Who asks, a request."""
        return self._drawn[0]

    @property
    def at(self) -> np.ndarray:
        """When, in hours since the start."""
        return self._drawn[1]

    @property
    def hour(self) -> np.ndarray:
        """In which hour since the start."""
        whole: np.ndarray = self._drawn[1].astype(int)
        return whole

    def treated(self, treated_share: float = 0.5) -> np.ndarray:
        """Which users are in the treatment, by a number of their own: a larger share keeps the smaller one's."""
        mask: np.ndarray = self._drawn[5] < share("treated_share", treated_share)
        return mask


def orders(
    demand: Demand, treated: Any, *, lift: float, capacity: int | None = None, design: Design = "shared"
) -> np.ndarray:
    """Which requests become orders.

    Parameters
    ----------
    demand : Demand
    treated : array of bool of shape (users,), or bool
        Who has the new model: True for a launch, False for none.
    lift : float
        What the new model adds to a request's chance, relative to it; in (-1, 1].
    capacity : int, optional
        Orders that an hour's budget pays; without, all.
    design : "shared" or "split"
        One budget for all; or to each arm its users' share of it.

    Returns
    -------
    array of bool of shape (requests,)

    Examples
    --------
    >>> demand = Demand(users=100, a_day=2_400, days=1)
    >>> int(orders(demand, True, lift=0.5, capacity=2).sum()) <= 48
    True
    """
    number("lift", lift, above=-1)
    if lift > 1:
        raise ValueError(f"lift: got {lift}; it must lie in (-1, 1]")
    one_of("design", design, ("shared", "split"))
    mine = np.broadcast_to(np.asarray(treated, dtype=bool), (demand.users,))
    new = mine[demand.user]
    wants: np.ndarray = demand._drawn[3] < demand._drawn[2] * (1 + lift * new)
    if capacity is None:
        return wants
    count("capacity", capacity)
    if design == "shared" or mine.all() or not mine.any():
        return wants & (_place(wants, demand.hour) <= capacity)
    # Whole orders, hour by hour: what an hour's rounding takes from an arm, a later hour's gives back.
    granted = np.floor(capacity * float(mine.mean()) * np.arange(demand.hour[-1] + 2) + 0.5)
    budget = np.diff(granted)[demand.hour]
    return (wants & new & (_place(wants & new, demand.hour) <= budget)) | (
        wants & ~new & (_place(wants & ~new, demand.hour) <= capacity - budget)
    )


def measured_and_true(
    demand: Demand,
    *,
    lift: float,
    capacity: int | None = None,
    treated_share: float = 0.5,
    design: Design = "shared",
) -> dict[str, float]:
    """What the test says and what the launch brings, both as a share of the old model's orders.

    Parameters
    ----------
    demand : Demand
    lift, capacity, design
        As in `orders`.
    treated_share : float
        Strictly between 0 and 1.

    Returns
    -------
    dict
        `measured` (orders a request, treatment over control, less 1), `true` (all users under the new
        model over all users under the old one, on the same demand, less 1), `exhausted` (the share c
        of the old model's orders in hours whose budget it used up itself), and `formula`,
        `lift * (1 - c)`: the true lift if no further hour becomes exhausted.

    Examples
    --------
    >>> told = measured_and_true(Demand(users=2_000, a_day=20_000, days=3, rng=1), lift=0.5, capacity=12)
    >>> f"{told['measured']:.0%} measured, {told['true']:.0%} true"
    '48% measured, 0% true'
    """
    number("treated_share", treated_share, above=0, below=1)
    mine = demand.treated(treated_share)
    new = mine[demand.user]
    seen = orders(demand, mine, lift=lift, capacity=capacity, design=design)
    old, launched = (orders(demand, arm, lift=lift, capacity=capacity) for arm in (False, True))
    c = 0.0
    if capacity is not None:
        by_hour = np.bincount(demand.hour, old)
        c = float(by_hour[by_hour >= capacity].sum() / by_hour.sum())
    return {
        "measured": float(seen[new].mean() / seen[~new].mean() - 1),
        "true": float(launched.mean() / old.mean() - 1),
        "exhausted": c,
        "formula": lift * (1 - c),
    }


@lru_cache(maxsize=64)
def by_capacity(
    lift: float, design: Design = "shared", *, capacities: tuple[int, ...], demand: Demand
) -> pd.DataFrame:
    """What the test says and the launch brings, for budgets from scarce to ample.

    Parameters
    ----------
    lift, design, demand
        As in `measured_and_true`.
    capacities : tuple of int
        Orders that an hour's budget pays.

    Returns
    -------
    DataFrame
        `capacity`, `exhausted`, `what` ("the test says", "the launch brings"), `lift`.

    Examples
    --------
    >>> table = by_capacity(0.2, capacities=(5, 50), demand=Demand(users=100, a_day=500, days=1))
    >>> table["capacity"].tolist()
    [5, 5, 50, 50]
    """
    rows = []
    for capacity in capacities:
        told = measured_and_true(demand, lift=lift, capacity=capacity, design=design)
        rows += [
            (capacity, told["exhausted"], name, told[key])
            for name, key in (("the test says", "measured"), ("the launch brings", "true"))
        ]
    return pd.DataFrame(rows, columns=["capacity", "exhausted", "what", "lift"])


def tables(
    demand: Demand,
    *,
    lift: float,
    capacity: int | None = None,
    treated_share: float = 0.5,
    design: Design = "shared",
) -> dict[str, pd.DataFrame]:
    """The test's `assignments`, `serving_log`, `outcomes` and `resources`, as FooBar writes them.

    Without a capacity nothing is limited, and the budget that `resources` reports is one that nobody
    is held to: the median hour's use, so that half of the hours look exhausted. That is the negative control.

    Examples
    --------
    >>> test = tables(Demand(users=50, a_day=240, days=1), lift=0.2, capacity=2)
    >>> int(test["resources"]["used"].max())
    2
    """
    mine = demand.treated(treated_share)
    y = orders(demand, mine, lift=lift, capacity=capacity, design=design)
    ts = START + pd.to_timedelta((demand.at * 3600e6).astype(np.int64), unit="us")
    arm = np.where(mine, "treatment", "control")
    n = len(y)
    asked, first = np.unique(demand.user, return_index=True)
    used = np.bincount(demand.hour, y, minlength=demand.days * _HOURS)
    limit = float(np.median(used)) if capacity is None else float(capacity)
    request = np.arange(n)
    return {
        "assignments": pd.DataFrame(
            {"experiment": EXPERIMENT, "user_id": asked, "arm": arm[asked], "ts": ts[first]}
        ),
        "serving_log": pd.DataFrame(
            {
                "request_id": request,
                "user_id": demand.user,
                "item_id": 0,
                "ts": ts,
                "arm": arm[demand.user],
                "model_id": np.where(mine, "new", "old")[demand.user],
                "feature_version": 1,
                "score": demand._drawn[2],
                "position": 1,
                "propensity": 1.0,
                "explored": False,
                "shown": True,
            }
        ),
        "outcomes": pd.DataFrame({"request_id": request, "item_id": 0, "y": y.astype(int), "label_ts": ts}),
        "resources": pd.DataFrame(
            {
                "ts": START + np.arange(demand.days * _HOURS) * (DAY / _HOURS),
                "resource": "free_delivery",
                "capacity": limit,
                "used": used,
            }
        ),
    }


def _place(wants: np.ndarray, hour: np.ndarray) -> np.ndarray:
    """Each request's place in its hour's queue, counting those that want."""
    queue = np.cumsum(wants)
    starts = np.searchsorted(hour, np.arange(hour[-1] + 1))
    before = np.where(starts > 0, queue[np.maximum(starts, 1) - 1], 0)
    place: np.ndarray = queue - before[hour]
    return place
