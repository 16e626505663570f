"""Between which candidates does a model choose, and with what inputs?"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from toolkit.world.features import rate_at
from toolkit.world.simulation import World


@dataclass(frozen=True, eq=False)
class Slates:
    """Rows of the simulated history, in slates of which a model shows one row.

    `day`, `request` and `candidate` say where each row stands in the world; all have the shape
    (slates, rows of a slate), which is also that of everything that a slate knows of its rows.
    """

    world: World
    day: np.ndarray
    request: np.ndarray
    candidate: np.ndarray
    # Computed when first asked for, so that another environment of the same slates costs one argmax.
    rates: dict[tuple[bool, int], np.ndarray] = field(default_factory=dict)
    passing: dict[int, np.ndarray] = field(default_factory=dict)
    sums: dict[tuple[float, ...], np.ndarray] = field(default_factory=dict)

    def __getstate__(self) -> dict[str, Any]:
        # A copy sent to a worker, and a digest, don't depend on what has been asked so far.
        rows = {"world": self.world, "day": self.day, "request": self.request, "candidate": self.candidate}
        return {**rows, "rates": {}, "passing": {}, "sums": {}}

    def take(self, of_all: np.ndarray) -> np.ndarray:
        """The rows' part of an array over days, requests and candidates."""
        return of_all[self.day, self.request, self.candidate]

    @cached_property
    def known(self) -> np.ndarray:
        """The pair features, and the item's four-week click rate last; (slates, rows, features)."""
        slow = self.world.rate[self.day, self.take(self.world.item)]
        return np.concatenate([self.take(self.world.x), slow[..., None]], axis=-1, dtype=np.float32)

    @cached_property
    def p(self) -> np.ndarray:
        """The chance that the row is a good match."""
        return self.take(self.world.p)

    @cached_property
    def y(self) -> np.ndarray:
        """Whether the row is a good match."""
        return self.take(self.world.y)

    @cached_property
    def old_score(self) -> np.ndarray:
        """What the decade-old formula makes of the row."""
        return self.take(self.world.old_score)

    @cached_property
    def user(self) -> np.ndarray:
        """The user of each slate's first row."""
        return self.world.user[self.day[:, 0], self.request[:, 0]]

    def rate(self, *, as_of: bool, lag: int) -> np.ndarray:
        """Today's click rate of the rows' items, `lag` days late."""
        if (as_of, lag) not in self.rates:
            values = np.empty(self.day.shape, dtype=np.float32)
            for day in np.unique(self.day):
                here = self.day == day
                of_day = rate_at(self.world, int(day), as_of=as_of, lag=lag)
                values[here] = of_day[self.request[here], self.candidate[here]]
            self.rates[as_of, lag] = values
        return self.rates[as_of, lag]

    def passes(self, count: int) -> np.ndarray:
        """Which rows are among the `count` of their slate that the old formula likes best."""
        if count not in self.passing:
            self.passing[count] = self.old_score >= np.partition(self.old_score, -count, axis=-1)[:, [-count]]
        return self.passing[count]

    def linear(self, weights: tuple[float, ...]) -> np.ndarray:
        """An intercept and a weighted sum of what is `known` of each row."""
        if weights not in self.sums:
            intercept, *rest = np.asarray(weights, dtype=np.float32)
            self.sums[weights] = self.known @ np.asarray(rest) + intercept
        return self.sums[weights]


def live(world: World, days: range) -> Slates:
    """The requests of some days with all their candidates, one slate a request.

    Examples
    --------
    >>> from toolkit.world import Settings, simulate
    >>> live(simulate(Settings(items=50, requests=100, days=3)), range(1, 3)).p.shape
    (200, 20)
    """
    s = world.settings
    place = np.indices((len(days), s.requests, s.candidates)).reshape(3, -1, s.candidates)
    return Slates(world, place[0] + days.start, place[1], place[2])


def logged(world: World, days: range, chosen: np.ndarray) -> Slates:
    """What the old policy showed at the chosen requests, one row a slate.

    Parameters
    ----------
    chosen : array of bool, shape (days, requests)
    """
    place, request = np.nonzero(chosen)
    day = place + days.start
    return Slates(world, day[:, None], request[:, None], world.shown[day, request][:, None])


def dealt(world: World, days: range, chosen: np.ndarray, *, rng: np.random.Generator) -> Slates:
    """What the old policy showed at the chosen requests, each day's dealt at random into full slates.

    Rows that don't fill a slate of their day are left over.
    """
    size = world.settings.candidates
    day_of, request_of = [], []
    for place, day in enumerate(days):
        rows = rng.permutation(np.nonzero(chosen[place])[0])
        rows = rows[: len(rows) // size * size].reshape(-1, size)
        request_of.append(rows)
        day_of.append(np.full(rows.shape, day))
    day_all, request = np.concatenate(day_of), np.concatenate(request_of)
    return Slates(world, day_all, request, world.shown[day_all, request])
