"""What do the old model, the notebook's winner and its point-in-time twin earn, and in which environment?

One world, three models, two environments: the notebook's and production's, which differ in the
six switches of `toolkit.world.mechanisms`.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, Literal, get_args

import numpy as np
from sklearn.metrics import roc_auc_score

from toolkit.world.mechanisms import MECHANISMS
from toolkit.world.policies import OLD_RATE_WEIGHT, OLD_WEIGHTS, fit_logistic
from toolkit.world.settings import Settings
from toolkit.world.simulation import simulate
from toolkit.world.slates import Slates, dealt, live, logged

Model = Literal["old", "leaky", "point-in-time"]

# The team reads a fortnight and a day of logs and holds out a fifth of their rows at random; the test
# runs as long, right after.
LOG_DAYS, HOLDOUT = 15, 0.2
# What production puts in front of the model, and what it serves for a key that it doesn't find.
LIGHT_RANKER_KEEPS, SERVED_WHEN_MISSING = 5, 0.0


@dataclass(frozen=True, eq=False)
class Story:
    """Three models in one world, to be ranked in any environment between notebook and production.

    Made by `tell`.
    """

    missing: float  # share of keys that the online store doesn't find
    coefficients: dict[Model, np.ndarray]  # intercept, pair features, four-week rate, today's rate
    train: Slates  # one row a slate
    holdout: Slates  # one row a slate
    notebook: Slates  # the held-out rows in slates
    production: Slates  # the test's requests
    lost: tuple[np.ndarray, np.ndarray]  # notebook's and production's draws: below `missing`, no key
    # Filled when asked for: the same pick serves several environments.
    picked: dict[tuple[Model, float, frozenset[str]], np.ndarray] = field(default_factory=dict)

    def __getstate__(self) -> dict[str, Any]:
        # As of its slates: what has been asked so far is no part of the story.
        return {**self.__dict__, "picked": {}}

    def scores(self, model: Model, switches: Collection[str] = ()) -> np.ndarray:
        """The scores that a model gives all rows of an environment's slates."""
        self._known(model, switches)
        slates = self._slates(switches)
        if not self._rate_weight(model):
            return self._score(model, slates, np.zeros(1, dtype=np.float32))
        return self._score(model, slates, self.rate(switches))

    def rate(self, switches: Collection[str]) -> np.ndarray:
        """Today's click rate of all rows of an environment's slates, as a model is given it."""
        rate = self._slates(switches).rate(as_of="as_of" in switches, lag=int("lag" in switches))
        if "missing" not in switches:
            return rate
        return np.where(self.lost["population" in switches] < self.missing, SERVED_WHEN_MISSING, rate)

    def picks(self, model: Model, switches: Collection[str] = ()) -> np.ndarray:
        """Which row of each slate the model shows in an environment."""
        self._known(model, switches)
        # Labels don't move a pick, and the old model has no use for the fresh feature.
        matters = {"population", "light_ranker"}
        if self._rate_weight(model):
            matters |= {"as_of", "lag", "missing"}
        key = (model, self.missing, frozenset(switches) & matters)
        if key not in self.picked:
            score = self.scores(model, switches)
            if "light_ranker" in switches:
                score = np.where(self._slates(switches).passes(LIGHT_RANKER_KEEPS), score, -np.inf)
            self.picked[key] = score.argmax(-1).astype(np.int16)
        return self.picked[key]

    def rewards(self, model: Model, switches: Collection[str] = ()) -> np.ndarray:
        """The reward of the row that the model shows, for each slate of an environment.

        Parameters
        ----------
        model : "old", "leaky" or "point-in-time"
        switches : collection of str
            The mechanisms at their production setting; the others are as in the notebook.

        Returns
        -------
        array of shape (slates,)

        Raises
        ------
        ValueError
            If the model or a switch isn't known.
        """
        picked = self.picks(model, switches)[:, None]
        slates = self._slates(switches)
        outcome = slates.p if "labels" in switches else slates.y
        return np.take_along_axis(outcome, picked, -1)[:, 0].astype(float)

    def lift(self, switches: Collection[str] = (), *, model: Model = "leaky", relative: bool = True) -> float:
        """The mean reward of a model over the old one's in an environment, relative to the old one's or not."""
        new, old = self.rewards(model, switches).mean(), self.rewards("old", switches).mean()
        return float(new / old - 1 if relative else new - old)

    def auc(self, model: Model, *, held_out: bool) -> float:
        """Area under the ROC curve: on the held-out rows as the notebook sees them, or on all live candidates as served."""
        if held_out:
            # Each model is judged on the feature that it was trained on.
            honest = model == "point-in-time"
            rows = self.holdout
            return float(
                roc_auc_score(
                    rows.y.ravel(),
                    self._score(model, rows, rows.rate(as_of=honest, lag=int(honest))).ravel(),
                )
            )
        score = self.scores(model, {"population", "as_of", "lag", "missing"})
        return float(roc_auc_score(self.production.y.ravel(), score.ravel()))

    def _score(self, model: Model, slates: Slates, rate: np.ndarray) -> np.ndarray:
        return slates.linear(tuple(self.coefficients[model][:-1])) + self._rate_weight(model) * rate

    def _rate_weight(self, model: Model) -> np.float32:
        return np.float32(self.coefficients[model][-1])

    def _slates(self, switches: Collection[str]) -> Slates:
        return self.production if "population" in switches else self.notebook

    def _known(self, model: str, switches: Collection[str]) -> None:
        if model not in get_args(Model):
            raise ValueError(f"model: got {model!r}; it must be one of {', '.join(get_args(Model))}")
        for switch in switches:
            if switch not in MECHANISMS:
                raise ValueError(f"switches: got {switch!r}; it must be one of {', '.join(MECHANISMS)}")


def tell(settings: Settings | None = None, *, missing: float = 0.1, seed: int = 0) -> Story:
    """Simulate the company, then train the notebook's winner and its point-in-time twin on its logs.

    Parameters
    ----------
    settings : Settings, optional
        The baseline world where not given; at least 33 days: 15 of logs, then 15 of the test.
    missing : float
        Share of keys that the online store doesn't find.
    seed : int

    Raises
    ------
    ValueError
        If `missing` isn't a share, or the history is too short.

    Examples
    --------
    >>> story = tell(Settings(items=200, requests=300, days=33))
    >>> story.auc("leaky", held_out=True) > story.auc("old", held_out=True)
    True
    """
    s = settings or Settings()
    if not 0 <= missing <= 1:
        raise ValueError(f"missing: got {missing!r}; it must lie in [0, 1]")
    if s.days < 2 * LOG_DAYS + 3:
        raise ValueError(f"days: got {s.days}; the story needs {2 * LOG_DAYS + 3} at least")
    return replace(_told(s, seed), missing=missing)


@lru_cache(maxsize=4)
def _told(s: Settings, seed: int) -> Story:
    world = simulate(s, rng=seed)
    log_days = range(s.days - 2 * LOG_DAYS, s.days - LOG_DAYS)
    for_holdout, for_lost, for_slates = (
        np.random.default_rng(child) for child in np.random.SeedSequence([seed, 1]).spawn(3)
    )
    held_out = for_holdout.random((LOG_DAYS, s.requests)) < HOLDOUT
    train, holdout = logged(world, log_days, ~held_out), logged(world, log_days, held_out)
    notebook = dealt(world, log_days, held_out, rng=for_slates)
    production = live(world, range(s.days - LOG_DAYS, s.days))
    pairs = len(s.weights)
    coefficients: dict[Model, np.ndarray] = {
        "old": np.r_[0.0, OLD_WEIGHTS, np.zeros(pairs - 3), OLD_RATE_WEIGHT, 0.0]
    }
    honest: dict[Model, bool] = {"leaky": False, "point-in-time": True}
    for model, as_of in honest.items():
        rate = train.rate(as_of=as_of, lag=int(as_of))
        features = np.column_stack([train.known[:, 0], rate[:, 0]])
        coefficients[model] = fit_logistic(features, train.y[:, 0])
    lost = (
        for_lost.random(production.day.shape, dtype=np.float32),
        for_lost.random(notebook.day.shape, dtype=np.float32),
    )[::-1]
    return Story(0.0, coefficients, train, holdout, notebook, production, lost)
