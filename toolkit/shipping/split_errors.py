"""What does each way of testing read where a level drifts: between its neighbours, or ahead of them?

The local level model: the level takes a random step of variance `drift` at each time, and is seen with
noise of variance `noise`. Errors are excess errors, mean squared, of the best prediction: those of
the level, without the noise that no model can foretell.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd

from toolkit.rules import count, number
from toolkit.tradeoffs.local_level import best_gain, tracking_error

__all__ = ["holdout_error", "horizon_error", "levels", "next_step_error", "split_errors"]


def next_step_error(drift: float, *, noise: float = 1.0) -> float:
    """The error of predicting the next level from all that was seen before: P = (q + sqrt(q^2 + 4qr)) / 2.

    The positive root of P = P r / (P + r) + q: what is left after seeing a value, plus a step. It is
    what the best of `toolkit.tradeoffs.local_level`'s learners attains.

    Examples
    --------
    >>> round(next_step_error(0.01), 4), round(next_step_error(1.0), 3)
    (0.1051, 1.618)
    """
    gain = best_gain(drift=drift, noise=noise)
    return tracking_error(gain, drift=drift, noise=noise)


def horizon_error(drift: float, *, noise: float = 1.0, horizon: int = 1, gap: int = 0) -> float:
    """The error of predicting some steps ahead, when the last values weren't known yet: P + (h - 1 + gap) q.

    Parameters
    ----------
    drift, noise : float
    horizon : int
        Steps ahead; 1 is the next one.
    gap : int
        How many of the latest values are missing.

    Examples
    --------
    >>> round(horizon_error(0.01, horizon=7), 4)
    0.1651
    """
    ahead = count("horizon", horizon) - 1 + count("gap", gap, least=0)
    return next_step_error(drift, noise=noise) + ahead * drift


def holdout_error(drift: float, *, noise: float = 1.0) -> float:
    """The error at a value held out at random, with all others known, before it and after it: P / 2.

    The past predicts the level with error P, and so does the future, backwards. Their errors are
    independent, so the best of both has half of it.

    Examples
    --------
    >>> round(holdout_error(0.01), 4)
    0.0526
    """
    return next_step_error(drift, noise=noise) / 2


def split_errors(
    drift: float, *, noise: float = 1.0, horizons: Any = range(1, 15), gap: int = 0
) -> pd.DataFrame:
    """What a random split and a rolling origin read, and what production pays: one row a reading and horizon.

    Parameters
    ----------
    horizons : sequence of int
        How far ahead production predicts, label delay included.
    gap : int
        Steps that the rolling origin leaves out; it reads the same whatever the horizon.

    Returns
    -------
    DataFrame
        `reading`, `horizon`, `error`.

    Examples
    --------
    >>> split_errors(0.01, horizons=[7], gap=6).round(4)["error"].tolist()
    [0.0526, 0.1651, 0.1651]
    """
    rows = []
    for h in horizons:
        rows += [
            ("random split", h, holdout_error(drift, noise=noise)),
            ("rolling origin", h, horizon_error(drift, noise=noise, gap=gap)),
            ("production", h, horizon_error(drift, noise=noise, horizon=h)),
        ]
    return pd.DataFrame(rows, columns=["reading", "horizon", "error"])


def levels(
    n: int, drift: float, *, noise: float = 1.0, series: int = 1, rng: Any = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Drifting levels and what is seen of them: two arrays of shape (n, series).

    Examples
    --------
    >>> level, seen = levels(100, 0.01, series=3)
    >>> level.shape, seen.shape
    ((100, 3), (100, 3))
    """
    count("n", n)
    number("drift", drift, above=-1e-12)
    number("noise", noise, above=-1e-12)
    draw = np.random.default_rng(rng)
    level = np.cumsum(draw.normal(size=(n, count("series", series))) * math.sqrt(drift), axis=0)
    return level, level + draw.normal(size=level.shape) * math.sqrt(noise)
