"""What do sensors read on a bench and in a pocket? Simulated readings, and models small enough to solve exactly."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from toolkit.rules import count, number
from toolkit.world.clock import START

# Variance of a reading's noise, where the signal's within a kind of account is 1. Hands and pockets shake the
# motion sensor; when keys were pressed is known as well in the field as on the bench.
LAB = {"f_motion": 0.05, "f_rhythm": 0.3}
FIELD = {"f_motion": 3.0, "f_rhythm": 0.3}
# By how much an automated account's mean lies below a person's: a phone in a rack moves less and types evenly.
_LOWER = {"f_motion": 2.2, "f_rhythm": 1.2}
_AUTOMATED = 0.3


def readings(
    noise: Mapping[str, float], *, users: int = 800, each: int = 4, first: int = 0, rng: Any = 0
) -> pd.DataFrame:
    """Sensor readings of users' phones, and whether the account is automated.

    Parameters
    ----------
    noise : mapping of column to variance
        `LAB` or `FIELD`, or another with the same columns.
    users, each : int
        Users, and readings of each within a few minutes, so that nothing but noise changes.
    first : int
        Number of the first user.
    rng : int or Generator

    Returns
    -------
    DataFrame
        One row a reading: `user_id`, `ts`, `y` (1: automated), `f_motion`, `f_rhythm`.

    Examples
    --------
    >>> readings(LAB, users=3, each=2)["user_id"].tolist()
    [0, 0, 1, 1, 2, 2]
    """
    count("users", users, least=2), count("each", each)
    if set(noise) != set(_LOWER):
        raise ValueError(f"noise: got {sorted(noise)}; it must have {', '.join(_LOWER)}")
    draw = np.random.default_rng(rng)
    y = (draw.random(users) < _AUTOMATED).astype(int)
    user = np.repeat(np.arange(users), each)
    start = draw.uniform(0, 86_400, users)[user] + 60 * np.tile(np.arange(each), users)
    columns = {}
    for column, lower in _LOWER.items():
        signal = draw.normal(size=users) - lower * y
        spread = math.sqrt(number(column, noise[column], above=-1e-12))
        columns[column] = signal[user] + spread * draw.normal(size=len(user))
    return pd.DataFrame(
        {
            "user_id": first + user,
            "ts": START + pd.to_timedelta(start.round(), unit="s"),
            "y": y[user],
            **columns,
        }
    )


def two_sensors(field: Sequence[float], *, lab: float, steady: float, injected: float) -> pd.DataFrame:
    """Errors of linear models on two sensors of one signal, as the first sensor's noise grows, exactly.

    Parameters
    ----------
    field : sequence of float
        Variances of the first sensor's noise where the models are used; the signal's is 1.
    lab, steady : float
        Variances of the first sensor's noise in the lab, and of the second's everywhere.
    injected : float
        Variance of the noise added to the first sensor in training.

    Returns
    -------
    DataFrame
        One row a model and noise: `model`, `noise`, `error` (mean squared, of the signal).

    Examples
    --------
    >>> told = two_sensors([0.0, 1.0], lab=0.0, steady=1.0, injected=1.0).set_index(["model", "noise"])["error"]
    >>> round(float(told["trained in the lab", 1.0]), 3), round(float(told["noise injected", 1.0]), 3)
    (1.0, 0.333)
    """
    for name, value in (("lab", lab), ("steady", steady), ("injected", injected)):
        number(name, value, above=-1e-12)
    models = {
        "trained in the lab": _weights(lab, steady),
        "noise injected": _weights(lab + injected, steady),
        "steady sensor alone": (0.0, 1 / (1 + steady)),
    }
    return pd.DataFrame(
        [
            {"model": name, "noise": float(s), "error": (1 - a - b) ** 2 + a**2 * s + b**2 * steady}
            for name, (a, b) in models.items()
            for s in field
        ]
    )


def _weights(first: float, second: float) -> tuple[float, float]:
    """Least squares on two readings of a signal of variance 1: each weighs in by its precision."""
    total = first * second + first + second
    if total == 0:
        return 0.5, 0.5
    return second / total, first / total


def polynomial_errors(
    field: Sequence[float], *, degree: int, lab: float, injected: float, rows: int = 80, rng: Any = 3
) -> np.ndarray:
    """Mean squared errors of a polynomial fitted in the lab, against the noise of the readings that it is used on.

    The outcome is sin(2 x) plus noise of standard deviation 0.3, for a standard normal signal x; the
    model sees a reading of x. Predictions are held to the outcomes' range in the lab.

    Parameters
    ----------
    field : sequence of float
        Variances of the reading's noise where the model is used.
    degree : int
    lab, injected : float
        Variances of the noise in the lab's readings, and of what is added to them in training: in
        the limit of many copies, computed by quadrature.
    rows : int
        Readings in the lab.
    rng : int or Generator
        For the lab's readings; the errors are exact given them.

    Returns
    -------
    array of shape (len(field),)

    Examples
    --------
    A straight line learns the slope 2 exp(-2) = 0.27. Its error is 0.43 without noise, and 0.27 squared more
    for each unit of variance, 0.57 at two:

    >>> polynomial_errors([0.0, 2.0], degree=1, lab=0.0, injected=0.0, rows=5000).round(1).tolist()
    [0.4, 0.6]

    A wiggly polynomial is helped by noise in training:

    >>> plain, prepared = (polynomial_errors([3.0], degree=9, lab=0.05, injected=v)[0] for v in (0, 3))
    >>> bool(prepared < plain)
    True
    """
    count("degree", degree), count("rows", rows, least=degree + 1)
    draw = np.random.default_rng(rng)
    signal, reading_noise, outcome_noise = draw.normal(size=(3, rows))
    reading = signal + math.sqrt(number("lab", lab, above=-1e-12)) * reading_noise
    outcome = np.sin(2 * signal) + 0.3 * outcome_noise
    nodes, weights = _normal_nodes(25)
    seen = reading[:, None] + math.sqrt(number("injected", injected, above=-1e-12)) * nodes
    root = np.sqrt(np.broadcast_to(weights, seen.shape).ravel())
    design = np.polynomial.hermite_e.hermevander(seen.ravel() / 2, degree)
    fitted = np.linalg.lstsq(design * root[:, None], np.repeat(outcome, len(nodes)) * root, rcond=None)[0]
    x, x_weights = _normal_nodes(60)
    e, e_weights = _normal_nodes(60)
    # Axes: noise, signal, reading's error.
    read = x[:, None] + np.sqrt(np.asarray(field, dtype=float))[:, None, None] * e
    said = np.clip(np.polynomial.hermite_e.hermeval(read / 2, fitted), outcome.min(), outcome.max())
    return ((said - np.sin(2 * x)[:, None]) ** 2 @ e_weights) @ x_weights


def _normal_nodes(size: int) -> tuple[np.ndarray, np.ndarray]:
    nodes, weights = np.polynomial.hermite_e.hermegauss(size)
    return nodes, weights / weights.sum()
