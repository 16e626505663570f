"""What happened at FooBar International, and what would have happened otherwise?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import expit, logit

from toolkit.world.policies import OLD_RATE_WEIGHT, OLD_WEIGHTS
from toolkit.world.settings import Settings

# The four-week click rate starts from a prior of 2 clicks in 20 impressions.
_PRIOR_CLICKS, _PRIOR_IMPRESSIONS, _WEEKS = 2.0, 20.0, 28


@dataclass(frozen=True, eq=False)
class World:
    """The simulated history: every candidate of every request, shown or not, with its outcome.

    Arrays are indexed by day, request within the day (in order of time) and candidate. `p` and
    `y` are the ground truth: the chance of a good match and whether it would have been one.
    Because `y` is drawn once for every candidate, any two policies are compared on the same
    potential outcomes.
    """

    settings: Settings
    seed: int
    static: np.ndarray  # (items,) what never changes
    quality: np.ndarray  # (days, items) what changes, variance 1
    item: np.ndarray  # (days, requests, candidates)
    x: np.ndarray  # (days, requests, candidates, features)
    p: np.ndarray  # (days, requests, candidates)
    y: np.ndarray  # (days, requests, candidates)
    user: np.ndarray  # (days, requests)
    second: np.ndarray  # (days, requests) second of the day, ascending
    rate: np.ndarray  # (days, items) log-odds of the four-week click rate, as of the day's start
    old_score: np.ndarray  # (days, requests, candidates)
    shown: np.ndarray  # (days, requests) index of the candidate that the old policy showed
    explored: np.ndarray  # (days, requests) whether it was drawn at random
    impressions: np.ndarray  # (days, items)
    clicks: np.ndarray  # (days, items)

    def shown_item(self, day: int) -> np.ndarray:
        """The item shown at each request of a day."""
        return self.item[day, np.arange(self.settings.requests), self.shown[day]]

    def shown_outcome(self, day: int) -> np.ndarray:
        """Whether what was shown was a good match, at each request of a day."""
        return self.y[day, np.arange(self.settings.requests), self.shown[day]]


def simulate(settings: Settings | None = None, *, rng: Any = 0) -> World:
    """Run the company for its whole history under the old policy.

    Parameters
    ----------
    settings : Settings, optional
        The baseline world where not given.
    rng : int or Generator
        The same seed gives the same bytes in any process. Each part of the world draws from a
        stream of its own, so that two worlds that differ in one setting share all other draws.

    Raises
    ------
    ValueError
        If `rng` is neither a Generator nor a whole number that isn't negative.

    Examples
    --------
    >>> world = simulate(Settings(items=50, requests=100, days=3))
    >>> world.p.shape
    (3, 100, 20)
    """
    s = settings or Settings()
    seed = _seed(rng)
    streams = [np.random.default_rng(child) for child in np.random.SeedSequence(seed).spawn(8)]
    for_static, for_quality, for_items, for_x, for_outcomes, for_choice, for_users, for_times = streams
    shape = (s.days, s.requests, s.candidates)
    static = s.static_spread * for_static.normal(size=s.items)
    quality = _quality(s, for_quality)
    # Each candidate from a shelf of its own, so that no request holds an item twice; items are alike on all
    # shelves. A place on the shelf rather than a number, so that a larger catalogue keeps the draws.
    shelf = np.arange(s.candidates + 1) * s.items // s.candidates
    item = (shelf[:-1] + (for_items.random(shape) * np.diff(shelf)).astype(np.int64)).astype(np.int32)
    x = for_x.standard_normal((*shape, len(s.weights)), dtype=np.float32)
    p = x @ np.asarray(s.weights, dtype=np.float32) + static[item]
    p += s.intercept + s.quality_weight * np.take_along_axis(quality, item.reshape(s.days, -1), 1).reshape(
        shape
    )
    p = expit(p)
    y = for_outcomes.random(shape) < p
    user = for_users.integers(0, s.users, shape[:2])
    second = np.sort(for_times.random(shape[:2]), axis=1) * 86_400
    explored = for_choice.random(shape[:2]) < s.exploration
    random_choice = for_choice.integers(0, s.candidates, shape[:2])
    old_score = x[..., :3] @ np.asarray(OLD_WEIGHTS, dtype=np.float32)
    rate = np.empty((s.days, s.items))
    shown = np.empty(shape[:2], dtype=np.int32)
    impressions, clicks = np.zeros((2, s.days, s.items))
    request = np.arange(s.requests)
    for day in range(s.days):
        weeks = slice(max(0, day - _WEEKS), day)
        rate[day] = logit(
            (clicks[weeks].sum(0) + _PRIOR_CLICKS) / (impressions[weeks].sum(0) + _PRIOR_IMPRESSIONS)
        )
        old_score[day] += OLD_RATE_WEIGHT * rate[day][item[day]]
        shown[day] = np.where(explored[day], random_choice[day], old_score[day].argmax(1))
        seen = item[day, request, shown[day]]
        impressions[day] = np.bincount(seen, minlength=s.items)
        clicks[day] = np.bincount(seen, y[day, request, shown[day]], minlength=s.items)
    return World(
        s,
        seed,
        static,
        quality,
        item,
        x,
        p,
        y,
        user,
        second,
        rate,
        old_score,
        shown,
        explored,
        impressions,
        clicks,
    )


def _quality(s: Settings, rng: np.random.Generator) -> np.ndarray:
    """First-order autoregression with variance 1 and the settings' half-life."""
    keep = 2 ** (-1 / s.half_life)
    quality = rng.normal(size=(s.days, s.items))
    for day in range(1, s.days):
        quality[day] = keep * quality[day - 1] + np.sqrt(1 - keep**2) * quality[day]
    return quality


def _seed(rng: Any) -> int:
    if isinstance(rng, np.random.Generator):
        return int(rng.integers(2**63))
    if isinstance(rng, bool) or not isinstance(rng, int | np.integer) or rng < 0:
        raise ValueError(f"rng: got {rng!r}; it must be a Generator or a whole number that isn't negative")
    return int(rng)
