"""What does a model in production see, score and show?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from toolkit.world.simulation import World
from toolkit.world.slates import Slates, live


@dataclass(frozen=True, eq=False)
class Served:
    """What one model would do at every live request of some days.

    Arrays are indexed by request and candidate, like the slates.
    """

    model_id: str
    feature_version: int
    slates: Slates
    features: dict[str, np.ndarray]  # as served, by their names in the logs
    light_score: np.ndarray  # what the light ranker makes of each candidate
    passed: np.ndarray  # whether the light ranker let the candidate through
    score: np.ndarray  # what the model makes, or would make, of each candidate

    @property
    def explored(self) -> np.ndarray:
        """Which requests were given to exploration, before any model was asked."""
        return self.slates.world.explored[self.slates.day[:, 0], self.slates.request[:, 0]]

    @property
    def best(self) -> np.ndarray:
        """The candidate that the model would show at each request."""
        return np.where(self.passed, self.score, -np.inf).argmax(1)

    @property
    def shown(self) -> np.ndarray:
        """The candidate that is shown: the model's, or one drawn at random."""
        drawn = self.slates.world.shown[self.slates.day[:, 0], self.slates.request[:, 0]]
        return np.where(self.explored, drawn, self.best)


def pair_features(slates: Slates) -> dict[str, np.ndarray]:
    """The features that every model of the company has: of the pair, and the item's four-week click rate."""
    pairs = slates.known.shape[-1] - 1
    return {
        **{f"f_{place}": slates.known[..., place] for place in range(pairs)},
        "f_rate_28d": slates.known[..., -1],
    }


def served_by_old(world: World, days: range) -> Served:
    """What the decade-old formula does: no light ranker in front, every candidate scored.

    Examples
    --------
    >>> from toolkit.world import Settings, simulate
    >>> world = simulate(Settings(items=50, requests=100, days=3))
    >>> bool((served_by_old(world, range(1, 3)).shown.reshape(2, 100) == world.shown[1:]).all())
    True
    """
    slates = live(world, days)
    return Served(
        model_id="old",
        feature_version=1,
        slates=slates,
        features=pair_features(slates),
        light_score=slates.old_score,
        passed=np.ones(slates.day.shape, dtype=bool),
        score=slates.old_score,
    )
