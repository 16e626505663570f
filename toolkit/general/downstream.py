"""What does a change of a model's scores do to a system that reads them?

A consumer predicts x from an upstream score s = a (x + e), where e is noise; both are normal, x with
variance 1. Its prediction is a fixed multiple of the score, fitted once.
"""

from __future__ import annotations

from typing import Literal, get_args

import pandas as pd
from scipy.optimize import brentq
from scipy.stats import norm

from toolkit.rules import number, one_of

Consumer = Literal["stale", "behind a shim", "retrained"]

# What the consumer was fitted on: noise as large as the signal, on the scale of x.
FITTED_NOISE, FITTED_SCALE = 1.0, 1.0


def coefficient(noise: float, scale: float = FITTED_SCALE) -> float:
    """What the consumer multiplies the score by when fitted by least squares.

    Parameters
    ----------
    noise : float
        Variance of e.
    scale : float
        The factor a.

    Examples
    --------
    >>> coefficient(1.0)
    0.5
    """
    _check(noise, scale)
    return 1 / (scale * (1 + noise))


def consumer_error(noise: float, scale: float = 1.0, *, multiplier: float) -> float:
    """The consumer's mean squared error, in variances of x, with a given coefficient.

    Examples
    --------
    >>> consumer_error(0.5, multiplier=coefficient(1.0))
    0.375
    """
    _check(noise, scale)
    slope = number("multiplier", multiplier) * scale
    return (1 - slope) ** 2 + slope**2 * noise


def upgraded_error(noise: float, scale: float = 1.0, *, consumer: Consumer = "stale") -> float:
    """The consumer's error after the upstream score changed, by what was done about the consumer.

    Parameters
    ----------
    noise, scale : float
        Of the new score.
    consumer : "stale", "behind a shim" or "retrained"
        Stale: its coefficient is that of the old score. Behind a shim: the new score's quantiles
        are mapped on the old one's first. Retrained: fitted anew.

    Examples
    --------
    >>> round(upgraded_error(0.5, 2 / 3), 12)
    0.5
    """
    one_of("consumer", consumer, get_args(Consumer))
    if consumer == "retrained":
        return consumer_error(noise, scale, multiplier=coefficient(noise, scale))
    if consumer == "behind a shim":
        # Two normal scores with one mean: mapping quantiles is scaling by their standard deviations.
        scale *= score_sd(FITTED_NOISE, FITTED_SCALE) / score_sd(noise, scale)
    return consumer_error(noise, scale, multiplier=coefficient(FITTED_NOISE))


def cancelling_scale(noise: float) -> float:
    """The scale, below that of the old score, at which a stale consumer gains nothing from less noise.

    Examples
    --------
    >>> round(cancelling_scale(0.5), 4)
    0.6667
    """
    number("noise", noise, above=-1e-12, below=FITTED_NOISE)
    before = upgraded_error(FITTED_NOISE)
    return float(brentq(lambda scale: upgraded_error(noise, scale) - before, 1e-9, 1.0, xtol=1e-12))


def score_sd(noise: float, scale: float = 1.0) -> float:
    """The standard deviation of the score.

    Examples
    --------
    Signal and noise of variances 1 and 3 make 4, of which half the root is left:

    >>> score_sd(3.0, 0.5)
    1.0
    """
    _check(noise, scale)
    return float(scale * (1 + noise) ** 0.5)


def action_rate(threshold: float, *, sd: float) -> float:
    """The share of scores above a fixed threshold, for a normal score with mean 0.

    Examples
    --------
    >>> round(action_rate(1.0, sd=1.0), 4)
    0.1587
    """
    number("sd", sd, above=0)
    return float(norm.sf(number("threshold", threshold) / sd))


def error_by_scale(noise: float, scales: list[float], consumer: Consumer) -> pd.DataFrame:
    """One row a scale of the new score: `scale`, `error`, `consumer`.

    Examples
    --------
    The stale consumer takes half of the score, right at scale 1 and noise 1. At scale 2 it takes all of
    the noise for signal; a retrained one divides the scale out:

    >>> [error_by_scale(1.0, [1.0, 2.0], consumer)["error"].tolist() for consumer in ("stale", "retrained")]
    [[0.5, 1.0], [0.5, 0.5]]
    """
    rows = [(scale, upgraded_error(noise, scale, consumer=consumer), consumer) for scale in scales]
    return pd.DataFrame(rows, columns=["scale", "error", "consumer"])


def densities(noise: float, scale: float, points: list[float]) -> pd.DataFrame:
    """The old and the new score's density at some points: `score`, `density`, `version`.

    Examples
    --------
    At its mean a normal density is 0.3989 over its standard deviation: here the root of 2, then 1.

    >>> densities(0.0, 1.0, [0.0])["density"].round(4).tolist()
    [0.2821, 0.3989]
    """
    parts = [
        pd.DataFrame({"score": points, "density": norm.pdf(points, scale=sd), "version": version})
        for version, sd in (
            ("old score", score_sd(FITTED_NOISE, FITTED_SCALE)),
            ("new score", score_sd(noise, scale)),
        )
    ]
    return pd.concat(parts, ignore_index=True)


def _check(noise: float, scale: float) -> None:
    number("noise", noise, above=-1e-12)
    number("scale", scale, above=0)
