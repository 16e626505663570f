"""What becomes of a score when its two halves come from two versions of a model?

A two-tower model scores a pair by the product of a user's and an item's embedding. Nothing but the
training ties the two towers' axes to each other: another training has other axes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd
from scipy.optimize import brentq
from scipy.special import expit
from scipy.stats import norm, ortho_group

from toolkit.auc import auc
from toolkit.rules import count, number, one_of
from toolkit.rules import share as in_unit

__all__ = [
    "Towers",
    "overlap_storage",
    "pairs_log",
    "rollout_curve",
    "rotation",
    "share_for",
    "skewed_auc",
    "train_twice",
]

# The share of items re-embedded at which all users are switched to the new tower.
SWITCHES: dict[str, float] = {"first day": 0.0, "half way": 0.5, "last day": 1.0}
_DIMENSION, _USERS, _ITEMS, _PAIRS = 32, 500, 2000, 20_000
# How much of an embedding is noise of its training, in units of its true part: the old version, the new.
_NOISE = {"v1": 0.53, "v2": 0.3}
# Log-odds of a good match: an intercept, and so much a standard deviation of the true score.
_INTERCEPT, _GAIN = -0.5, 2.5


def skewed_auc(separation: float, share: float, *, angle: float = 90.0) -> float:
    """The AUC when a share of the items has embeddings of another version.

    Scores are normal with the same spread among good and bad rows, their means `separation` spreads
    apart; for skewed items the separation is multiplied by the angle's cosine, and the spread stays. At
    90 degrees, which stands for an independent training, this is
    (1 - s)^2 A + 2 s (1 - s) B + s^2 / 2, where A is the AUC of matching rows and B that of a matching
    row against a skewed one.

    Parameters
    ----------
    separation : float
        d', the distance of the means in standard deviations; not negative.
    share : float
        Share of skewed items, s.
    angle : float
        Between the versions, in degrees from 0 to 180.

    Examples
    --------
    >>> round(skewed_auc(1.5, 0.0), 3), round(skewed_auc(1.5, 0.3), 3)
    (0.856, 0.759)
    """
    number("separation", separation, above=-1e-12)
    skewed = in_unit("share", share)
    kept = math.cos(math.radians(_angle(angle)))
    both = norm.cdf(separation / math.sqrt(2))
    mixed = norm.cdf((1 + kept) * separation / (2 * math.sqrt(2)))
    neither = norm.cdf(kept * separation / math.sqrt(2))
    return float((1 - skewed) ** 2 * both + 2 * skewed * (1 - skewed) * mixed + skewed**2 * neither)


def share_for(auc: float, *, separation: float, angle: float = 90.0) -> float:
    """The share of skewed items at which a model's AUC has fallen to a given one.

    Raises
    ------
    ValueError
        If no share brings it so low, or it is higher to begin with.

    Examples
    --------
    >>> round(share_for(0.80, separation=1.5), 3)
    0.176
    """
    most, least = (skewed_auc(separation, at, angle=angle) for at in (0.0, 1.0))
    if not least <= auc <= most:
        raise ValueError(f"auc: got {auc!r}; it must lie between {least:.4g} and {most:.4g}")
    return float(brentq(lambda at: skewed_auc(separation, at, angle=angle) - auc, 0, 1))


def rotation(dimension: int, angle: float | None = None, *, rng: Any = 0) -> np.ndarray:
    """A rotation by one angle in every plane of a random set of planes; without an angle, any at random.

    Turned by the angle t, a vector's product with its old self is multiplied by cos t. Turned at random, as
    by an independent training, its product with any unit vector has mean 0 and variance 1 / dimension.

    Parameters
    ----------
    dimension : int
        Even where an angle is given: planes have two axes.
    angle : float, optional
        In degrees, from 0 to 180.
    rng : int or Generator

    Returns
    -------
    array of shape (dimension, dimension)

    Examples
    --------
    >>> v = np.array([0.6, 0.8, 0, 0])
    >>> round(float(v @ rotation(4, 60) @ v), 6)
    0.5
    """
    count("dimension", dimension, least=2)
    axes = np.asarray(ortho_group.rvs(dimension, random_state=np.random.default_rng(rng)))
    if angle is None:
        return axes
    if dimension % 2:
        raise ValueError(f"dimension: got {dimension}; it must be even, as the angle turns planes")
    turn = math.radians(_angle(angle))
    plane = [[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]]
    return np.asarray(axes @ np.kron(np.eye(dimension // 2), plane) @ axes.T)


@dataclass(frozen=True, eq=False)
class Towers:
    """Sampled pairs of users and items with their labels, and their score under each pair of versions.

    Made by `train_twice`.
    """

    user: np.ndarray  # (pairs,)
    item: np.ndarray  # (pairs,)
    y: np.ndarray  # (pairs,)
    shard: np.ndarray  # (items,) when in the rollout the item is re-embedded, from 0 to 1
    score: dict[tuple[str, str], np.ndarray]  # by the user's and the item's version

    def served(self, done: float, *, switch: str, dual_write: bool = False) -> tuple[np.ndarray, np.ndarray]:
        """The version of each pair's user and item when a share of the items has been re-embedded."""
        at = SWITCHES[one_of("switch", switch, SWITCHES)]
        if dual_write:
            # Both versions of every item are there until the last one is: users and items move together.
            both = "v2" if done >= 1 else "v1"
            return np.full(len(self.y), both), np.full(len(self.y), both)
        user = "v2" if done >= at and done >= 0 else "v1"
        return np.full(len(self.y), user), np.where(self.shard[self.item] < done, "v2", "v1")

    def scored(self, user_version: np.ndarray, item_version: np.ndarray) -> np.ndarray:
        """Each pair's score under the versions that it meets."""
        made = np.empty(len(self.y))
        for (of_user, of_item), score in self.score.items():
            here = (user_version == of_user) & (item_version == of_item)
            made[here] = score[here]
        return made


@lru_cache(maxsize=8)
def train_twice(*, angle: float = 90.0, seed: int = 0) -> Towers:
    """Two trainings of a two-tower model for one world: the second is better, and its axes are turned.

    Users and items have true positions; each training adds noise to them, the second less. The chance
    of a good match grows with the product of the true positions. The same seed gives the same pairs and labels at
    every angle.

    Parameters
    ----------
    angle : float
        Between the two trainings' axes, in degrees. Independent trainings are near 90 in high dimension.
    seed : int

    Examples
    --------
    >>> towers = train_twice()
    >>> auc(towers.y, towers.score["v2", "v2"]) > auc(towers.y, towers.score["v1", "v1"]) > 0.75
    True
    """
    draw = np.random.default_rng(count("seed", seed, least=0))
    turn = rotation(_DIMENSION, angle, rng=draw)
    truth = {name: _unit(draw.normal(size=(n, _DIMENSION))) for name, n in (("u", _USERS), ("i", _ITEMS))}
    user, item = draw.integers(0, _USERS, _PAIRS), draw.integers(0, _ITEMS, _PAIRS)
    true_score = math.sqrt(_DIMENSION) * (truth["u"][user] * truth["i"][item]).sum(1)
    y = (draw.random(_PAIRS) < expit(_INTERCEPT + _GAIN * true_score)).astype(np.int64)
    trained = {}
    for version, noise in _NOISE.items():
        for side, positions in truth.items():
            made = _unit(positions + noise / math.sqrt(_DIMENSION) * draw.normal(size=positions.shape))
            trained[side, version] = made @ turn.T if version == "v2" else made
    score = {(u, i): (trained["u", u][user] * trained["i", i][item]).sum(1) for u in _NOISE for i in _NOISE}
    return Towers(user, item, y, draw.random(_ITEMS), score)


def rollout_curve(
    days: float,
    *,
    angle: float = 90.0,
    switch: str = "half way",
    dual_write: bool = False,
    until: float = 12.0,
    seed: int = 0,
) -> pd.DataFrame:
    """The AUC while items are re-embedded shard by shard and users are switched at once.

    Parameters
    ----------
    days : float
        From the first shard to the last; the rollout begins on day 1.
    angle : float
        Between the versions' axes, in degrees.
    switch : "first day", "half way" or "last day"
        When all users get the new tower.
    dual_write : bool
        Whether the new embeddings are written beside the old ones and used when all are there.
    until : float
        Last day of the curve.
    seed : int

    Returns
    -------
    DataFrame
        `day`, `unlike` (the share of pairs whose versions differ), `auc`.

    Examples
    --------
    >>> told = rollout_curve(5)
    >>> int(told["day"][told["auc"].idxmin()]) in (3, 4)
    True
    """
    number("days", days, above=0)
    path = pd.DataFrame(_path(angle, switch, dual_write, seed), columns=["done", "unlike", "auc"])
    day = (1 + path["done"] * days).where(path["done"].between(-0.1, 1.1), path["done"].clip(0, 1) * until)
    return path.assign(day=day.clip(lower=0))[["day", "unlike", "auc"]][day <= until].reset_index(drop=True)


@lru_cache(maxsize=64)
def _path(angle: float, switch: str, dual_write: bool, seed: int) -> list[tuple[float, float, float]]:
    """How much is done, the share of unlike pairs, the AUC; long before and long after, done is -1 and 2."""
    towers, path = train_twice(angle=angle, seed=seed), []
    # Just before a step too where users may be switched, so that a switch is a cliff.
    for done in sorted([-1.0, -1e-9, *np.linspace(0, 1, 9), 0.5 - 1e-9, 1 - 1e-9, 2.0]):
        user_version, item_version = towers.served(done, switch=switch, dual_write=dual_write)
        score = towers.scored(user_version, item_version)
        path.append((done, float((user_version != item_version).mean()), auc(towers.y, score)))
    return path


def pairs_log(
    done: float, *, angle: float = 90.0, switch: str = "half way", dual_write: bool = False, seed: int = 0
) -> pd.DataFrame:
    """What production would log at one moment of the rollout: one row a scored pair, with both versions and the label.

    Examples
    --------
    >>> pairs_log(0.4)[["user_version", "item_version"]].drop_duplicates().sort_values("item_version").to_numpy().tolist()
    [['v1', 'v1'], ['v1', 'v2']]
    """
    towers = train_twice(angle=angle, seed=seed)
    user_version, item_version = towers.served(done, switch=switch, dual_write=dual_write)
    return pd.DataFrame(
        {
            "user_id": towers.user,
            "item_id": towers.item,
            "user_version": user_version,
            "item_version": item_version,
            "score": towers.scored(user_version, item_version),
            "y": towers.y,
        }
    )


def overlap_storage(items: int, dimension: int, *, days: float, bytes_each: int = 4) -> dict[str, float]:
    """What it takes to hold two versions of all embeddings for some days.

    Returns
    -------
    dict
        `gigabytes`, of one version; `gigabyte_days`, of the second one while both are held.

    Examples
    --------
    >>> overlap_storage(10_000_000, 256, days=5)
    {'gigabytes': 10.24, 'gigabyte_days': 51.2}
    """
    size = count("items", items) * count("dimension", dimension) * count("bytes_each", bytes_each) / 1e9
    return {"gigabytes": size, "gigabyte_days": size * number("days", days, above=-1e-12)}


def _unit(vectors: np.ndarray) -> np.ndarray:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


def _angle(value: float) -> float:
    if not 0 <= number("angle", value) <= 180:
        raise ValueError(f"angle: got {value!r}; it must lie in [0, 180] degrees")
    return float(value)
