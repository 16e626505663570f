"""Is the frontier an artefact of a formula? The same memories in scikit-learn's estimators.

A learner here is a function of rows in time's order: it gives each row a probability that was made
from the labels of earlier days only.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit

from toolkit.rules import count, number
from toolkit.tradeoffs.learners import exponential, two_speed
from toolkit.tradeoffs.local_level import gain_of, recovery_half_life
from toolkit.tradeoffs.market import Fault, corrected, mislabel, moving_tastes

__all__ = ["Learner", "adaptive", "frontier", "recalibrated", "updated", "weighted", "windowed"]

# A way to learn: takes the rows so far in order of time, gives each the score that it had before its own label came.
Learner = Callable[[pd.DataFrame], np.ndarray]


def windowed(days: int, *, first: int = 1) -> Learner:
    """Logistic regression, fitted anew each day on the rows of the last so many.

    Parameters
    ----------
    days : int
        1 at least.
    first : int
        The first day, from 0, that it is fitted for; before it foretells one half.

    Examples
    --------
    >>> from toolkit.tradeoffs.market import moving_tastes
    >>> rows, chance = moving_tastes(40, drift=0.0)
    >>> told = windowed(30)(rows)
    >>> bool(abs(told - chance)[-100:].mean() < 0.05)
    True
    """
    count("days", days), count("first", first)
    return lambda rows: _refitted(rows, lambda age: (age <= days).astype(float), first)


def weighted(half_life: float, *, kept: float = 6.0, first: int = 1) -> Learner:
    """Logistic regression, fitted anew each day on rows whose weight halves with every half-life of their age.

    Parameters
    ----------
    half_life : float
        In days.
    kept : float
        Half-lives after which a row is dropped.
    first : int
        As for `windowed`.

    Examples
    --------
    >>> from toolkit.tradeoffs.market import moving_tastes
    >>> rows, chance = moving_tastes(40, drift=0.0)
    >>> bool(abs(weighted(15)(rows) - chance)[-100:].mean() < 0.05)
    True
    """
    number("half_life", half_life, above=0), number("kept", kept, above=0), count("first", first)

    def weight(age: np.ndarray) -> np.ndarray:
        return np.where(age <= np.ceil(kept * half_life), np.exp2(-(age - 1) / half_life), 0.0)

    return lambda rows: _refitted(rows, weight, first)


def updated(rate: float) -> Learner:
    """Stochastic gradient descent on the log loss, moved by each day's rows (`partial_fit`) and never refitted.

    Parameters
    ----------
    rate : float
        Constant learning rate: the larger, the faster it forgets.

    Examples
    --------
    >>> from toolkit.tradeoffs.market import moving_tastes
    >>> rows, chance = moving_tastes(40, drift=0.0)
    >>> bool(abs(updated(0.02)(rows) - chance)[-100:].mean() < 0.08)
    True
    """
    number("rate", rate, above=0)

    def learn(rows: pd.DataFrame) -> np.ndarray:
        from sklearn.linear_model import SGDClassifier

        features, y = _features(rows), rows["y"].to_numpy(int)
        model = SGDClassifier(
            loss="log_loss", learning_rate="constant", eta0=rate, alpha=0.0, shuffle=False, random_state=0
        )
        told, known = np.full(len(rows), 0.5), False
        for places, _ in _days(rows):
            if known:
                told[places] = _chance(model, features[places])
            model.partial_fit(features[places], y[places], classes=[0, 1])
            known = True
        return told

    return learn


def recalibrated(half_life: float) -> Learner:
    """A frozen score, plus an exponentially weighted average of what it lately missed.

    Each day's mean of y - score moves the correction by the same gain.

    Parameters
    ----------
    half_life : float
        In days; infinite for never.

    Examples
    --------
    >>> from toolkit.tradeoffs.market import market
    >>> rows = market(2, rows=50)
    >>> bool((recalibrated(3.0)(rows)[:50] == rows["score"][:50]).all())
    True
    """
    gain = gain_of(half_life)
    return lambda rows: _moved(rows, lambda missed, _: exponential(missed, gain))


def adaptive(*, rate: float, size: float) -> Learner:
    """A frozen score, plus a correction at two speeds: slow while nothing moves, fast after a jump.

    Parameters
    ----------
    rate, size : float
        Jumps a day and their size in the score's unit, as `two_speed` takes them; the noise of a day's
        mean comes from the score itself.

    Examples
    --------
    >>> from toolkit.tradeoffs.market import market
    >>> told = adaptive(rate=1 / 60, size=0.1)(market(2, rows=50))
    >>> len(told)
    100
    """
    number("rate", rate, above=0, below=1), number("size", size, above=0)
    return lambda rows: _moved(
        rows, lambda missed, noise: two_speed(missed, rate=rate, size=size, noise=noise)
    )


@lru_cache(maxsize=64)
def frontier(
    drift: float,
    kind: Fault = "symmetric",
    rate: float = 0.0,
    *,
    ages: tuple[float, ...] = (1.5, 3.0, 6.0, 12.0),
    rows: int = 100,
    days: int = 16,
    rng: int = 0,
) -> pd.DataFrame:
    """Errors of three kinds of learner on a simulated stream, by how old what they learnt from is on average.

    Parameters
    ----------
    drift : float
        Variance of each weight's step a day, as `moving_tastes` takes it.
    kind, rate
        How labels go wrong and how many, as `mislabel` takes them.
    ages : tuple of float
        Mean ages in days, above 1. A window of N days has (N + 1) / 2; an exponential weight or a
        constant learning rate with gain a a day has 1 / a.
    rows, days : int
        Impressions a day, and days that are judged, after three times the longest age.
    rng : int

    Returns
    -------
    DataFrame
        One row a learner and age: `learner`, `age`, `error` (mean squared, against the true chance),
        and `corrected`, the error after the known rates of wrong labels are taken back.

    Examples
    --------
    >>> told = frontier(0.0, ages=(1.5, 6.0), rows=30)
    >>> bool(told.groupby("age")["error"].mean().diff().iloc[1] < 0)
    True
    """
    from sklearn import config_context

    # The longest window is full by then, and the smallest learning rate has forgotten where it began.
    first = math.ceil(3 * max(ages))
    log, chance = moving_tastes(first + days, rows=rows, drift=drift, rng=rng)
    # From a stream of its own: the same seed would draw the features' luck again.
    log["y"] = mislabel(log, rate, kind=kind, rng=[rng, 1])
    lost, false = (2 * rate, 0.0) if kind == "lost" else (rate, rate)
    judged = np.repeat(np.arange(first + days) >= first, rows)
    records = []
    for age in ages:
        # What a day's rows move a weight by is the rate times the loss's curvature, about .19 a row here.
        learners = {
            "window": windowed(round(2 * age - 1), first=first),
            "exponential weights": weighted(recovery_half_life(1 / age), first=first),
            "partial_fit": updated(1 / (0.19 * rows * age)),
        }
        for name, learner in learners.items():
            # Checks of numbers that were made above would be a quarter of the time.
            with config_context(assume_finite=True, skip_parameter_validation=True):
                told = learner(log)
            right = corrected(told, lost=lost, false=false)
            records.append(
                {
                    "learner": name,
                    "age": age,
                    "error": float(np.mean((told - chance)[judged] ** 2)),
                    "corrected": float(np.mean((right - chance)[judged] ** 2)),
                }
            )
    return pd.DataFrame(records)


def _chance(model: Any, features: np.ndarray) -> np.ndarray:
    """What `predict_proba` says, without its checks, which take longer than a day's rows."""
    return np.asarray(expit(features @ model.coef_[0] + model.intercept_[0]))


def _refitted(rows: pd.DataFrame, weight: Callable[[np.ndarray], np.ndarray], first: int) -> np.ndarray:
    from sklearn.linear_model import LogisticRegression

    features, y = _features(rows), rows["y"].to_numpy(int)
    days = list(_days(rows))
    of_day = np.concatenate([np.full(len(places), day) for places, day in days])
    told = np.full(len(rows), 0.5)
    for places, day in days:
        if day < first:
            continue
        weights = weight(day - of_day[: places[0]])
        used = weights > 0
        labels = y[: places[0]][used]
        if len(set(labels)) < 2:
            told[places] = labels[0] if len(labels) else 0.5
            continue
        model = LogisticRegression(solver="newton-cholesky", tol=1e-3)
        model.fit(features[: places[0]][used], labels, sample_weight=weights[used])
        told[places] = _chance(model, features[places])
    return told


def _moved(rows: pd.DataFrame, correction: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> np.ndarray:
    if "score" not in rows:
        raise ValueError(f"rows: got columns {list(rows)}; a correction needs score, the chance to correct")
    score = rows["score"].to_numpy(float)
    if not np.isfinite(score).all():
        raise ValueError(f"score: got {score[~np.isfinite(score)][0]}; it must be finite")
    missed = rows["y"].to_numpy(float) - score
    days = list(_days(rows))
    means = np.array([missed[places].mean() for places, _ in days])
    noise = np.array([np.mean(score[places] * (1 - score[places])) / len(places) for places, _ in days])
    steps = correction(means, np.maximum(noise, 1e-12))
    return score + np.repeat(steps, [len(places) for places, _ in days])


def _features(rows: pd.DataFrame) -> np.ndarray:
    names = [name for name in rows if str(name).startswith("f_")]
    if not names:
        raise ValueError(f"rows: got columns {list(rows)}; a learner needs one f_ column at least")
    return rows[names].to_numpy(float)


def _days(rows: pd.DataFrame) -> Iterator[tuple[np.ndarray, int]]:
    """Each day's rows and its number from 0; the rows must stand in time's order."""
    if not rows["ts"].is_monotonic_increasing:
        raise ValueError("rows: got times out of order; a learner goes through them as they came")
    # By the calendar of the times' own zone, whose days may have 23 or 25 hours.
    floor = rows["ts"].dt.tz_localize(None).dt.floor("1D")
    day = (floor - floor.iloc[0]).dt.days.to_numpy()
    edges = np.flatnonzero(np.diff(day)) + 1
    for places in np.split(np.arange(len(day)), edges):
        yield places, int(day[places[0]])
