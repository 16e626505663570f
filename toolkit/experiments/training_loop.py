"""What does a test say of a model that learns from what the test itself shows?

FooBar's candidates: three in ten belong to families of which logs are silent, or a model's belief wrong. The
model in place ranks by one feature; the new one by a second too, and by a number for each family that it
learns, day by day, from impressions.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, NamedTuple, get_args

import numpy as np
from scipy.special import expit

from toolkit.experiments.family_numbers import FamilyNumbers
from toolkit.rules import count, number, one_of, share

Control = Literal["blocks", "learns"]
Data = Literal["pooled", "own", "diverted", "weighted"]
Inherits = Literal["nothing", "the rule", "the rule as a feature"]

# The log-odds of a plain candidate, the known feature's weight, the candidates of a request.
BASE, KNOWN, CANDIDATES = -2.2, 0.5, 20
_IN_FAMILIES = 0.3  # of the candidates
# Items of a family; days before the first one are counted from the end of a calendar of so many.
COPIES, _DAYS = 10, 10_000
# Days of candidates that are kept for the next experiment, at 3 MB each.
_DAYS_KEPT = 64


@dataclass(frozen=True)
class Experiment:
    """An A/B test of the new model, with all that decides what its model can learn.

    Parameters
    ----------
    traffic : float
        Share of users who see the new model; at 1 it is launched, at 0 there is no test.
    weight : float
        Weight of the feature that only the new model has: by this it is better.
    families : int
        Number of families; the more, the fewer impressions of each.
    effect, spread : float
        Mean and standard deviation of what being of a family adds to the log-odds of a good match.
    belief : float
        What the new model thinks that a family adds, before it has evidence.
    control : "blocks" or "learns"
        The model in place never shows a family's items, by a rule made by hand; or it shows them and learns
        the families' numbers too, from a belief of 0.
    data : "pooled", "own", "diverted" or "weighted"
        A model is trained on every impression; the new one on its own arm's, the one in place on every one;
        each on its own arm's; or the new one on every impression, each weighted by how likely its own arm
        has made it, over that arm's share (Si, 2023).
    exploration : float
        Share of all requests that show a candidate at random.
    inherits : "nothing", "the rule" or "the rule as a feature"
        What the new model takes over from the old rule: it isn't told; it blocks too; or it has
        "blocked by the old rule" as a feature, whose one weight all families share.
    warm_up : int
        Days before the test on which the new model serves, and learns from, `warm_up_traffic` of the users.
    warm_up_traffic : float
    requests : int
        Requests a day.
    days : int
        Days of the test.

    Raises
    ------
    ValueError
        If a setting is out of its range.

    Examples
    --------
    >>> Experiment(traffic=2)
    Traceback (most recent call last):
    ValueError: traffic: got 2; it must lie in [0, 1]
    """

    traffic: float = 0.05
    weight: float = 0.4
    families: int = 300
    effect: float = -2.0
    spread: float = 0.5
    belief: float = 0.0
    control: Control = "blocks"
    data: Data = "pooled"
    exploration: float = 0.0
    inherits: Inherits = "nothing"
    warm_up: int = 0
    warm_up_traffic: float = 0.25
    requests: int = 8000
    days: int = 14

    def __post_init__(self) -> None:
        for name in ("traffic", "warm_up_traffic", "exploration"):
            share(name, getattr(self, name))
        for name in ("weight", "effect", "belief"):
            number(name, getattr(self, name))
        if not number("spread", self.spread) >= 0:
            raise ValueError(f"spread: got {self.spread!r}; it must not be negative")
        for name, least in (("families", 1), ("requests", 1), ("days", 1), ("warm_up", 0)):
            count(name, getattr(self, name), least=least)
        one_of("control", self.control, get_args(Control))
        one_of("data", self.data, get_args(Data))
        one_of("inherits", self.inherits, get_args(Inherits))


class Day(NamedTuple):
    """A day of the loop: what both models would show at every request, and what was shown.

    `value_new`, `value_old` and `value_random` are the mean chances of a good match of what the new model,
    the one in place and a lot would show at *all* requests. The arrays have one number a request.
    """

    value_new: float
    value_old: float
    value_random: float
    traffic: float
    treated: np.ndarray
    explored: np.ndarray
    user: np.ndarray
    family: np.ndarray  # `families`, one more than the last, where it is of none
    copy: np.ndarray  # which of a family's items
    favourite: np.ndarray  # whether it is what the arm's model would show
    score: np.ndarray  # the chance of a good match, by the arm's model
    y: np.ndarray


def run(experiment: Experiment, *, seed: int = 0, part: int = 0) -> list[Day]:
    """The days of a test, those of its warm-up first, each day's models trained on the days before.

    Which candidates come, their worth, the users' order (by which arms are filled) and the luck of each
    candidate depend on the seeds and the day alone: any two experiments meet the same. What a model learns
    is a ridge logistic regression's number for each family, whose prior is what it knew the day before.

    Parameters
    ----------
    experiment : Experiment
    seed : int
        Of FooBar: its families' effects.
    part : int
        Of the population: other users, requests and candidates of the same FooBar.

    Examples
    --------
    >>> first, second = run(Experiment(requests=2000, days=2, traffic=0.5))
    >>> first.value_new < first.value_old, second.value_new > first.value_new
    (True, True)
    """
    luck = np.random.default_rng([seed, 0])
    effects = experiment.effect + experiment.spread * luck.normal(size=experiment.families)
    effects = np.append(effects, 0.0)
    as_feature = experiment.inherits == "the rule as a feature"
    by_new = FamilyNumbers(experiment.families, experiment.belief, shared=as_feature)
    by_old = FamilyNumbers(experiment.families, 0.0)
    days = []
    for day in range(-experiment.warm_up, experiment.days):
        traffic = experiment.traffic if day >= 0 else experiment.warm_up_traffic
        drawn = _drawn(seed, part, day, experiment.requests)
        family = _family(seed, part, day, experiment.requests, experiment.families)
        new_base = _base(seed, part, day, experiment.requests, experiment.weight)
        old_base = _base(seed, part, day, experiment.requests, 0.0)
        bases = new_base, old_base
        added = (
            _blocked(experiment.families) if experiment.inherits == "the rule" else by_new.offsets(),
            _blocked(experiment.families) if experiment.control == "blocks" else by_old.offsets(),
        )
        picks = [
            _by_the_rule(seed, part, day, experiment.requests)
            if blocks
            else (base + offsets.astype(np.float32).take(family)).argmax(1)
            for base, offsets, blocks in zip(
                bases, added, (False, experiment.control == "blocks"), strict=True
            )
        ]
        treated, explored = drawn.place < traffic, drawn.explores < experiment.exploration
        rows = np.arange(experiment.requests)
        chances = [
            expit(BASE + new_base[rows, pick] + effects[family[rows, pick]]) for pick in (*picks, drawn.lot)
        ]
        at = rows, np.where(explored, drawn.lot, np.where(treated, *picks))
        shown, y = (
            family[at],
            drawn.luck[at] < np.where(explored, chances[2], np.where(treated, *chances[:2])),
        )
        seen = [
            BASE + base[at] + np.where(np.isfinite(offsets), offsets, 0.0)[shown]
            for base, offsets in zip(bases, added, strict=True)
        ]
        days.append(
            Day(
                value_new=float(chances[0].mean()),
                value_old=float(chances[1].mean()),
                value_random=float(chances[2].mean()),
                traffic=traffic,
                treated=treated,
                explored=explored,
                user=drawn.user,
                family=shown,
                copy=drawn.copy,
                favourite=at[1] == np.where(treated, *picks),
                score=expit(np.where(treated, *seen)),
                y=y,
            )
        )
        for model, base, weights in (
            (by_new, new_base, _weights(experiment.data, treated, explored, picks, traffic)),
            (by_old, old_base, 1.0 - treated if experiment.data == "diverted" else np.ones(len(rows))),
        ):
            taught = (shown < experiment.families) & (weights > 0)
            model.learn(shown[taught], BASE + base[at][taught], y[taught], weights[taught])
    return days


def _weights(
    data: Data, treated: np.ndarray, explored: np.ndarray, picks: list[np.ndarray], traffic: float
) -> np.ndarray:
    """How much each impression counts in the new model's training."""
    if data == "pooled":
        return np.ones(len(treated))
    if data != "weighted" or not traffic:
        return treated.astype(float)
    # What both would show came from the new model's arm with its share's chance; what one would show, from its own.
    both = explored | (picks[0] == picks[1])
    return np.where(both, 1.0, treated / traffic)


class _Drawn(NamedTuple):
    known: np.ndarray
    extra: np.ndarray
    which: np.ndarray  # which family, as a number in [0, 1); 2 for none
    luck: np.ndarray
    user: np.ndarray
    place: np.ndarray  # the user's place in the order by which arms are filled, in [0, 1)
    explores: np.ndarray
    lot: np.ndarray
    copy: np.ndarray


@lru_cache(maxsize=_DAYS_KEPT)
def _drawn(seed: int, part: int, day: int, requests: int) -> _Drawn:
    draw = np.random.default_rng([seed, 1, part, day % _DAYS])
    shape = (requests, CANDIDATES)
    known, extra = draw.standard_normal((2, *shape), dtype=np.float32)
    which = draw.random(shape, dtype=np.float32)
    user = draw.integers(0, users(requests), requests)
    order = np.random.default_rng([seed, 2, part]).permutation(users(requests)) / users(requests)
    return _Drawn(
        known,
        extra,
        np.where(which < _IN_FAMILIES, which / np.float32(_IN_FAMILIES), np.float32(2)),
        draw.random(shape, dtype=np.float32),
        user,
        order[user],
        draw.random(requests),
        draw.integers(0, CANDIDATES, requests),
        draw.integers(0, COPIES, requests),
    )


@lru_cache(maxsize=_DAYS_KEPT)
def _base(seed: int, part: int, day: int, requests: int, weight: float) -> np.ndarray:
    """Each candidate's score without its family."""
    drawn = _drawn(seed, part, day, requests)
    return np.asarray(np.float32(KNOWN) * drawn.known + np.float32(weight) * drawn.extra)


@lru_cache(maxsize=_DAYS_KEPT)
def _by_the_rule(seed: int, part: int, day: int, requests: int) -> np.ndarray:
    """What the model in place shows where it blocks every family."""
    outside = _drawn(seed, part, day, requests).which > 1
    return np.where(outside, _base(seed, part, day, requests, 0.0), -np.inf).argmax(1)


@lru_cache(maxsize=_DAYS_KEPT)
def _family(seed: int, part: int, day: int, requests: int, families: int) -> np.ndarray:
    """Each candidate's family; `families`, one more than the last, for none."""
    which = _drawn(seed, part, day, requests).which
    return np.minimum(which * np.float32(families), families).astype(np.int32)


def users(requests: int) -> int:
    """How many users ask so often a day: each asks every other day on average.

    Examples
    --------
    >>> users(8000)
    16000
    """
    return 2 * requests


def _blocked(families: int) -> np.ndarray:
    return np.append(np.full(families, -np.inf), 0.0)
