"""Why does the model that won in the notebook lose its A/B test?

One pair of models, two environments: the notebook's evaluation and production's, which differ in
the six switches of `toolkit.world.mechanisms`.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal, get_args

import numpy as np
import pandas as pd
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from toolkit.attribution import Attribution, shapley
from toolkit.finding import Finding
from toolkit.world import Settings, World, simulate
from toolkit.world.features import rate_at
from toolkit.world.mechanisms import MECHANISMS
from toolkit.world.policies import OLD_RATE_WEIGHT, OLD_WEIGHTS, fit_logistic

Model = Literal["old", "leaky", "point-in-time"]

# The team reads this many days of logs, and holds out a fifth of their rows at random.
LOG_DAYS, HOLDOUT = 15, 0.2
_POINTS = "points of click rate"
# What production puts in front of the model, and what it serves for a key that it doesn't find.
LIGHT_RANKER_KEEPS, SERVED_WHEN_MISSING = 5, 0.0


@dataclass(frozen=True, eq=False)
class Story:
    """The old model, the notebook's winner and the same architecture trained point-in-time, in one world.

    Made by `tell`. Arrays are indexed by logged day, request and candidate.
    """

    world: World
    days: range
    missing: float
    holdout: np.ndarray  # (days, requests) rows that the team held out
    lost: np.ndarray  # (days, requests, candidates) draws below `missing` are missing keys
    rates: dict[tuple[bool, bool], np.ndarray]  # the fresh feature by (as_of, late), filled when asked for
    coefficients: dict[str, np.ndarray]
    partial: dict[str, np.ndarray]  # scores without the fresh feature
    passes: np.ndarray  # (days, requests, candidates) what the light ranker lets through
    slates: tuple[np.ndarray, np.ndarray, np.ndarray]  # day, request and shown candidate of held-out slates

    def scores(self, model: Model, switches: Collection[str]) -> np.ndarray:
        """The scores that a model gives all candidates in an environment."""
        weight = self.coefficients[model][-1]
        if weight == 0:
            return self.partial[model]
        rate = self.rate(as_of="as_of" in switches, late="lag" in switches)
        if "missing" in switches:
            rate = np.where(self.lost < self.missing, SERVED_WHEN_MISSING, rate)
        return self.partial[model] + weight * rate

    def rate(self, *, as_of: bool, late: bool) -> np.ndarray:
        """The fresh feature of all candidates; gathered once, so that an environment costs one argmax."""
        if (as_of, late) not in self.rates:
            self.rates[as_of, late] = _rates(self.world, self.days, as_of=as_of, late=late)
        return self.rates[as_of, late]

    def rewards(self, model: Model, switches: Collection[str] = ()) -> np.ndarray:
        """The reward of the model's top pick, for each request (or held-out slate) in an environment.

        Parameters
        ----------
        model : "old", "leaky" or "point-in-time"
        switches : collection of str
            The mechanisms at their production setting; the others are as in the notebook.

        Returns
        -------
        array of shape (n_requests,) or (n_slates,)

        Raises
        ------
        ValueError
            If the model or a switch isn't known.
        """
        _known("model", model, get_args(Model))
        for switch in switches:
            _known("switches", switch, tuple(MECHANISMS))
        score = self.scores(model, switches)
        outcome = self.world.p[self._span] if "labels" in switches else self.world.y[self._span]
        passes = self.passes
        if "population" not in switches:
            day, request, candidate = self.slates
            score, outcome = score[day, request, candidate], outcome[day, request, candidate]
            if "light_ranker" in switches:
                passes = _best(self.world.old_score[self._span][day, request, candidate], LIGHT_RANKER_KEEPS)
        if "light_ranker" in switches:
            score = np.where(passes, score, -np.inf)
        picked = score.argmax(-1)[..., None]
        return np.take_along_axis(outcome, picked, -1)[..., 0].astype(float).ravel()

    def lift(self, switches: Collection[str] = (), *, model: Model = "leaky", relative: bool = True) -> float:
        """The mean reward of a model over the old one's in an environment, relative to the old one's or not."""
        new, old = self.rewards(model, switches).mean(), self.rewards("old", switches).mean()
        return float(new / old - 1 if relative else new - old)

    def auc(self, model: Model, *, held_out: bool) -> float:
        """Area under the ROC curve: on the held-out rows as the notebook sees them, or in production on all candidates."""
        if not held_out:
            served = {"as_of": model == "point-in-time", "lag": True}
            switches = {name for name, on in served.items() if on} | (
                {"missing"} if model == "leaky" else set()
            )
            return float(
                roc_auc_score(self.world.y[self._span].ravel(), self.scores(model, switches).ravel())
            )
        # Each model is judged on the feature that it was trained on.
        switches = {"as_of", "lag"} if model == "point-in-time" else set()
        day, request = np.nonzero(self.holdout)
        shown = self.world.shown[self._span][day, request]
        labels = self.world.y[self._span][day, request, shown]
        return float(roc_auc_score(labels, self.scores(model, switches)[day, request, shown]))

    def attribution(self, *, model: Model = "leaky", replicates: int = 200, rng: int = 0) -> Attribution:
        """The way from the notebook's lift to production's, split over the switches (in reward units).

        Intervals are from a paired bootstrap over users (held-out slates in the notebook's
        population), the same draws for every environment.
        """
        users = self.world.user[self._span].ravel()
        draws = np.random.default_rng(rng)
        weights = {}
        for kind, count in (("users", self.world.settings.users), ("slates", len(self.slates[0]))):
            weights[kind] = np.vstack(
                [np.ones(count), draws.multinomial(count, np.full(count, 1 / count), replicates)]
            )

        def value(switches: frozenset[str]) -> np.ndarray:
            difference = self.rewards(model, switches) - self.rewards("old", switches)
            if "population" not in switches:
                return weights["slates"] @ difference / weights["slates"].sum(1)
            by_user = np.bincount(users, difference, minlength=self.world.settings.users)
            asked = np.bincount(users, minlength=self.world.settings.users)
            return (weights["users"] @ by_user) / (weights["users"] @ asked)

        return shapley(value, list(MECHANISMS))

    def ab_test(self, *, model: Model = "leaky", rng: int = 1) -> Finding:
        """The A/B test: half of the users get the model, in production; the measured relative lift.

        Rewards are the outcomes of what was shown, the interval is by user (delta method).
        """
        arm = np.random.default_rng(rng).permutation(self.world.settings.users) % 2
        users = self.world.user[self._span].ravel()
        everything = set(MECHANISMS) - {"labels"}
        reward = np.where(arm[users] == 1, self.rewards(model, everything), self.rewards("old", everything))
        counts = np.bincount(users, minlength=len(arm))
        sums = np.bincount(users, reward, minlength=len(arm))
        rows, moments = [], []
        for name, which in (("control", arm == 0), ("treatment", arm == 1)):
            mean = sums[which].sum() / counts[which].sum()
            residual = sums[which] - mean * counts[which]
            error = np.sqrt(residual @ residual) / counts[which].sum()
            moments.append((mean, error))
            rows.append((name, int((counts[which] > 0).sum()), int(counts[which].sum()), mean, error))
        (control, control_se), (treatment, treatment_se) = moments
        lift = treatment / control - 1
        se = float(np.hypot(treatment_se, treatment * control_se / control) / control)
        half = 1.959964 * se
        return Finding(
            float(lift),
            (float(lift - half), float(lift + half)),
            f"Users of the new model act {abs(lift):.1%} {'more' if lift > 0 else 'less'} often than the others.",
            se=se,
            p=float(2 * norm.sf(abs(lift) / se)),
            n=len(users),
            n_clusters=int((counts > 0).sum()),
            table=pd.DataFrame(rows, columns=["arm", "users", "requests", "reward", "se"]),
            assumptions=("users were split at random, and one user's arm doesn't change another's reward",),
            cannot_tell=("which of the differences between notebook and production made it",),
        )

    def claimed_to_measured(self, *, model: Model = "leaky", rng: int = 1) -> tuple[float, dict[str, float]]:
        """The notebook's claimed lift, and the labelled parts that lead from it to the measured one.

        In reward units. The last part is the luck of the A/B test: what it measured less what it
        would measure without end. Claim and parts sum to the measured lift.
        """
        found = self.attribution(model=model, replicates=0)
        measured = self.ab_test(model=model, rng=rng).table
        assert measured is not None
        control, treatment = measured["reward"]
        parts = {MECHANISMS[name].label: part for name, part in found.parts.items()}
        return found.start, {**parts, "Luck of the A/B test": float(treatment - control - found.end)}

    def audit(self, model: Model) -> Finding:
        """Whether a model's training table holds more of a row's outcome than was known at its request.

        Recomputes the feature as of each row's request, and regresses the outcome on what the
        table's value adds to it, by user.

        Parameters
        ----------
        model : "leaky" or "point-in-time"
            Whose training table to audit. The point-in-time table is the negative control: it adds
            nothing, in any row.

        Returns
        -------
        Finding
            Change of the outcome's rate for one standard deviation of what the table adds.
        """
        import statsmodels.api as sm

        _known("model", model, ("leaky", "point-in-time"))
        clean = model == "point-in-time"
        shown = self.world.shown[self._span][..., None]
        recomputed = _rates(self.world, self.days, as_of=True, late=clean)
        added = (
            np.take_along_axis(self.rate(as_of=clean, late=clean) - recomputed, shown, -1)
            .ravel()
            .astype(float)
        )
        outcome = np.take_along_axis(self.world.y[self._span], shown, -1).ravel().astype(float)
        users = self.world.user[self._span].ravel()
        differ = float((added != 0).mean())
        if differ == 0:
            verdict = f"No row of {len(added):,} differs from what was known."
            return Finding(0.0, (0.0, 0.0), verdict, unit=_POINTS, se=0.0, n=len(outcome))
        standard = (added - added.mean()) / added.std()
        fit = sm.OLS(outcome, sm.add_constant(standard)).fit(cov_type="cluster", cov_kwds={"groups": users})
        low, high = 100 * fit.conf_int()[1]
        return Finding(
            float(100 * fit.params[1]),
            (float(low), float(high)),
            f"{differ:.0%} of the rows differ from what was known, and the difference "
            f"{'tells' if low > 0 else 'does not tell'} the row's own outcome.",
            se=float(100 * fit.bse[1]),
            p=float(fit.pvalues[1]),
            assumptions=("users are independent of each other", "the feature can be recomputed as of a time"),
            cannot_tell=("a row's own label, from other events of the day's future",),
            unit=_POINTS,
            n=len(outcome),
            n_clusters=len(np.unique(users)),
        )

    @property
    def _span(self) -> slice:
        return slice(self.days.start, self.days.stop)


def tell(settings: Settings | None = None, *, missing: float = 0.1, seed: int = 0) -> Story:
    """Simulate the company, then train the notebook's winner and its point-in-time twin on its logs.

    Parameters
    ----------
    settings : Settings, optional
        The baseline world where not given; at least 18 days, of which the last 15 are logged.
    missing : float
        Share of keys that the online store doesn't find.
    seed : int

    Raises
    ------
    ValueError
        If `missing` isn't a share, or the history is too short for the logs.

    Examples
    --------
    >>> story = tell(Settings(items=200, requests=300, days=20))
    >>> story.auc("leaky", held_out=True) > story.auc("old", held_out=True)
    True
    """
    s = settings or Settings()
    if not 0 <= missing <= 1:
        raise ValueError(f"missing: got {missing!r}; it must lie in [0, 1]")
    if s.days < LOG_DAYS + 3:
        raise ValueError(f"days: got {s.days}; the story needs {LOG_DAYS + 3} at least")
    return replace(_told(s, seed), missing=missing)


@lru_cache(maxsize=4)
def _told(s: Settings, seed: int) -> Story:
    world = simulate(s, rng=seed)
    days = range(s.days - LOG_DAYS, s.days)
    span = slice(days.start, days.stop)
    for_holdout, for_lost, for_slates = (
        np.random.default_rng(child) for child in np.random.SeedSequence([seed, 1]).spawn(3)
    )
    holdout = for_holdout.random((LOG_DAYS, s.requests)) < HOLDOUT
    rates = {
        (as_of, late): _rates(world, days, as_of=as_of, late=late)
        for as_of, late in ((False, False), (True, True))
    }
    slow = np.stack([world.rate[day][world.item[day]] for day in days]).astype(np.float32)
    known = np.concatenate([world.x[span], slow[..., None]], axis=-1)
    shown = world.shown[span][..., None]
    train = ~holdout
    labels = np.take_along_axis(world.y[span], shown, -1)[..., 0][train]
    features = np.take_along_axis(known, shown[..., None], -2)[..., 0, :][train]
    count = len(s.weights)
    coefficients = {"old": np.r_[0.0, OLD_WEIGHTS, np.zeros(count - 3), OLD_RATE_WEIGHT, 0.0]}
    for model, key in (("leaky", (False, False)), ("point-in-time", (True, True))):
        fresh = np.take_along_axis(rates[key], shown, -1)[..., 0][train]
        coefficients[model] = fit_logistic(np.column_stack([features, fresh]), labels)
    partial = {
        name: known @ c[1:-1].astype(np.float32) + np.float32(c[0]) for name, c in coefficients.items()
    }
    return Story(
        world=world,
        days=days,
        missing=0.0,
        holdout=holdout,
        lost=for_lost.random((LOG_DAYS, s.requests, s.candidates), dtype=np.float32),
        rates=rates,
        coefficients=coefficients,
        partial=partial,
        passes=_best(world.old_score[span], LIGHT_RANKER_KEEPS),
        slates=_slates(world, days, holdout, for_slates),
    )


def _rates(world: World, days: range, *, as_of: bool, late: bool) -> np.ndarray:
    return np.stack([rate_at(world, day, as_of=as_of, lag=int(late)) for day in days]).astype(np.float32)


def _slates(
    world: World, days: range, holdout: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Held-out rows of each day, dealt at random into slates as long as a request's candidates."""
    size = world.settings.candidates
    day_of, request_of = [], []
    for place, _ in enumerate(days):
        rows = rng.permutation(np.nonzero(holdout[place])[0])
        rows = rows[: len(rows) // size * size].reshape(-1, size)
        request_of.append(rows)
        day_of.append(np.full(rows.shape, place))
    day, request = np.concatenate(day_of), np.concatenate(request_of)
    return day, request, world.shown[days.start : days.stop][day, request]


def _best(scores: np.ndarray, count: int) -> np.ndarray:
    """Which candidates are among the `count` best of their request."""
    return scores >= np.partition(scores, -count, axis=-1)[..., [-count]]


def _known(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ValueError(f"{name}: got {value!r}; it must be one of {', '.join(allowed)}")
