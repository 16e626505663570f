"""What would FooBar's cheaper ranker have scored and shown at the requests that the old one answered?

The cheaper ranker does without the old formula's three features of the pair, which cost most to
compute, and has three others. It is fitted on logged rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import expit

from toolkit.auc import auc
from toolkit.world import logs
from toolkit.world.policies import fit_logistic
from toolkit.world.serving import served_by_old
from toolkit.world.simulation import World

__all__ = ["Replay", "replay"]

# Three features of the pair that the old formula lacks, and its click rate over four weeks.
FEATURES = ("f_3", "f_4", "f_5", "f_rate_28d")


@dataclass(frozen=True, eq=False)
class Replay:
    """The old model's log with what the new one makes of its rows, and the truth that no log holds."""

    log: pd.DataFrame  # serving_log with y, score_old, score_new, target_prob, q_logged, q_target
    true_auc: dict[str, float]  # "old", "new": over all candidates of every fifth request
    true_value: dict[
        str, float
    ]  # mean chance of a good match: "old", "new" (as served), "unexplored", "random"
    agreement: float  # share of requests at which both rankers prefer the same candidate

    @property
    def change(self) -> float:
        """The new ranker's true value relative to the old one's, less 1."""
        return self.true_value["new"] / self.true_value["old"] - 1


def replay(world: World, *, fit: range, days: range) -> Replay:
    """Fit the cheaper ranker on some days' logged rows, and replay it on other days.

    Both policies give the world's share of exploration to candidates drawn at random.

    Parameters
    ----------
    world : World
        Logged under the old model; at least 6 pair features.
    fit, days : range
        Days of training and of the replayed log.

    Examples
    --------
    >>> from toolkit.world import Settings, simulate
    >>> world = simulate(Settings(items=50, requests=400, days=20))
    >>> told = replay(world, fit=range(5, 10), days=range(10, 20))
    >>> len(told.log), sorted(told.true_value)
    (4000, ['new', 'old', 'random', 'unexplored'])
    """
    before, served = served_by_old(world, fit), served_by_old(world, days)
    shown_before = logs.serving_log({"control": before})
    weights = fit_logistic(shown_before[list(FEATURES)], logs.outcomes({"control": before})["y"])
    score = weights[0] + sum(
        weight * served.features[name] for weight, name in zip(weights[1:], FEATURES, strict=True)
    )
    rows = np.arange(len(score))
    settings = world.settings
    by_chance = settings.exploration / settings.candidates
    prefers = score.argmax(1)

    def policy(favourite: np.ndarray) -> np.ndarray:
        chosen = np.arange(settings.candidates) == favourite[:, None]
        return by_chance + (1 - settings.exploration) * chosen

    target, q = policy(prefers), expit(score)
    log = logs.serving_log({"control": served}).merge(
        logs.outcomes({"control": served}), on=["request_id", "item_id"], validate="one_to_one"
    )
    log = log.rename(columns={"score": "score_old"})
    log["score_new"] = score[rows, served.shown]
    log["target_prob"] = target[rows, served.shown]
    log["q_logged"] = q[rows, served.shown]
    log["q_target"] = (target * q).sum(1)
    p, some = served.slates.p, slice(None, None, 5)
    y = served.slates.y[some].ravel()
    return Replay(
        log=log,
        true_auc={"old": auc(y, served.score[some].ravel()), "new": auc(y, score[some].ravel())},
        true_value={
            "old": float((policy(served.best) * p).sum(1).mean()),
            "new": float((target * p).sum(1).mean()),
            "unexplored": float(p[rows, served.best].mean()),
            "random": float(p.mean()),
        },
        agreement=float((prefers == served.best).mean()),
    )
