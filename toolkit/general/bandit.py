"""How wrong is each off-policy estimator, in a world small enough to know it exactly?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from scipy.special import expit

from toolkit.rules import count, number, one_of, share

__all__ = ["Bandit", "moved_target"]

Model = Literal["right", "rough", "optimistic"]


@dataclass(frozen=True, eq=False)
class Bandit:
    """A world of equally likely contexts and a few actions, each with its chance of a reward.

    All arrays have the shape (contexts, actions).
    """

    reward: np.ndarray  # chance of a reward
    logging: np.ndarray  # probabilities with which the logging policy acts
    target: np.ndarray  # probabilities with which the target policy would act
    model: np.ndarray  # what a model takes the chance of a reward for
    written: np.ndarray  # the propensities that the log holds; `logging`, where they are right

    @property
    def value(self) -> float:
        """The target policy's mean reward."""
        return float((self.target * self.reward).sum(1).mean())

    def effective_sample_size(self, rows: int) -> float:
        """About how many of so many logged rows the target has (expected weight squared over square)."""
        weight = self.target / self.written
        return rows * self._mean(weight) ** 2 / self._mean(weight**2)

    def errors(self, rows: int, *, clip: float | None = None) -> pd.DataFrame:
        """Bias, standard deviation and root mean squared error of each estimator on so many rows.

        Exact, but for SNIPS, which is a ratio: there by the delta method.

        Parameters
        ----------
        rows : int
        clip : float, optional
            Largest weight of clipped IPS; the square root of `rows` where not given.

        Returns
        -------
        DataFrame
            A row an estimator: `estimator`, `bias`, `sd`, `rmse`.
        """
        count("rows", rows)
        limit = float(np.sqrt(rows)) if clip is None else number("clip", clip, above=0)
        weight, none = self.target / self.written, np.zeros_like(self.reward)
        model = np.broadcast_to((self.target * self.model).sum(1, keepdims=True), self.reward.shape)
        parts = {
            "IPS": (none, weight, none),
            "clipped IPS": (none, np.minimum(weight, limit), none),
            "DM": (model, none, none),
            "DR": (model, weight, self.model),
        }
        told = {name: self._moments(*part) for name, part in parts.items()}
        scale = self._mean(weight)
        ratio = self._mean(weight * self.reward) / scale
        curved = self._mean(weight**2 * (self.reward - ratio)) / scale**2
        told["SNIPS"] = (ratio - curved / rows, self._moments(none, weight / scale, none + ratio)[1])
        table = pd.DataFrame(
            [
                (name, told[name][0] - self.value, np.sqrt(told[name][1] / rows))
                for name in ("IPS", "SNIPS", "clipped IPS", "DM", "DR")
            ],
            columns=["estimator", "bias", "sd"],
        )
        table["rmse"] = np.hypot(table["bias"], table["sd"])
        return table

    def log(self, rows: int, *, rng: Any = 0, rows_a_user: int = 1) -> pd.DataFrame:
        """What the logging policy writes down of so many rows, for `toolkit.general.off_policy.ope`."""
        draw = np.random.default_rng(rng)
        contexts, actions = self.reward.shape
        x = draw.integers(0, contexts, rows)
        a = (self.logging[x].cumsum(1) < draw.random((rows, 1))).sum(1).clip(max=actions - 1)
        return pd.DataFrame(
            {
                "user_id": np.arange(rows) // rows_a_user,
                "y": (draw.random(rows) < self.reward[x, a]).astype(np.int64),
                "propensity": self.written[x, a],
                "target_prob": self.target[x, a],
                "q_logged": self.model[x, a],
                "q_target": (self.target * self.model).sum(1)[x],
            }
        )

    def _mean(self, of_logged: np.ndarray) -> float:
        return float((self.logging * of_logged).sum(1).mean())

    def _moments(self, base: np.ndarray, weight: np.ndarray, centre: np.ndarray) -> tuple[float, float]:
        """Mean and variance, over logged rows, of base + weight (y - centre)."""
        if_bad, if_good = base - weight * centre, base + weight * (1 - centre)
        mean = self._mean(if_bad + weight * self.reward)
        # About the mean, so that nothing cancels.
        spread = (1 - self.reward) * (if_bad - mean) ** 2 + self.reward * (if_good - mean) ** 2
        return mean, self._mean(spread)


def moved_target(
    distance: float,
    *,
    epsilon: float,
    model: Model = "rough",
    contexts: int = 400,
    actions: int = 10,
    written_epsilon: float | None = None,
    rng: Any = 0,
) -> Bandit:
    """A logging policy with some exploration, and a target that acts otherwise in a share of the contexts.

    Parameters
    ----------
    distance : float
        Share of contexts in which the target prefers another action: the best of the others.
    epsilon : float
        Share of exploration in both policies, in (0, 1].
    model : "right", "rough" or "optimistic"
        Knows each chance; knows it with noise; or, like a model trained on what was shown, thinks
        too well of what the logging policy doesn't prefer.
    written_epsilon : float, optional
        Propensities are written down as if exploration had this share; `epsilon` where not given.
    rng : int or Generator

    Examples
    --------
    >>> near, far = (moved_target(distance, epsilon=0.1) for distance in (0.0, 0.5))
    >>> round(near.effective_sample_size(10_000)), round(far.effective_sample_size(10_000))
    (10000, 238)
    """
    share("distance", distance)
    share("epsilon", epsilon, open_low=True)
    one_of("model", model, ("right", "rough", "optimistic"))
    written = epsilon if written_epsilon is None else share("written_epsilon", written_epsilon, open_low=True)
    count("contexts", contexts)
    count("actions", actions, least=2)
    draw = np.random.default_rng(rng)
    tendency = draw.normal(-1.5, 0.7, (contexts, actions))
    noise = draw.normal(0, 0.5, (contexts, actions))
    seen = draw.normal(0, 0.7, (contexts, actions))
    chance = expit(tendency)
    preferred = (tendency + seen).argmax(1)
    others = tendency.copy()
    others[np.arange(contexts), preferred] = -np.inf
    wanted = np.where(np.arange(contexts) < round(distance * contexts), others.argmax(1), preferred)
    if model == "right":
        taken_for = chance
    elif model == "rough":
        taken_for = expit(tendency + noise)
    else:
        rarely = np.arange(actions) != preferred[:, None]
        taken_for = expit(tendency + 0.5 * rarely)

    def policy(favourite: np.ndarray, explored: float) -> np.ndarray:
        return explored / actions + (1 - explored) * (np.arange(actions) == favourite[:, None])

    return Bandit(
        reward=chance,
        logging=policy(preferred, epsilon),
        target=policy(wanted, epsilon),
        model=taken_for,
        written=policy(preferred, written),
    )
