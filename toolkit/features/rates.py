"""How often does something happen a row, and how sure is that where users repeat?"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import norm
from scipy.stats import t as student

from toolkit.rules import level

__all__ = ["Rate", "score_interval", "wilson"]


@dataclass(frozen=True)
class Rate:
    """A share of rows with its interval.

    Parameters
    ----------
    rate, low, high : float
    se : float
        Standard error of the rate, with the clusters' correlation.
    design_effect : float
        How many times more rows it takes than if all were independent.
    """

    rate: float
    low: float
    high: float
    se: float
    design_effect: float


def wilson(hits: Any, clusters: Any = None, *, alpha: float = 0.05) -> Rate:
    """The share of hits with Wilson's interval, on as many rows as they are worth where clusters repeat.

    Parameters
    ----------
    hits : array of bool of shape (n,)
    clusters : array of shape (n,), optional
        The user of each row. Rows of one user count for less than as many of others, by the
        design effect; where all rows are hits or none is, a cluster counts as one row.
    alpha : float

    Raises
    ------
    ValueError
        If there is no row, a hit isn't true or false, or clusters differ in number or are fewer than two.

    References
    ----------
    Wilson (1927), JASA; Korn and Graubard (1998), "Confidence Intervals for Proportions with Small
    Expected Number of Positive Counts Estimated from Survey Data", Survey Methodology.

    Examples
    --------
    >>> found = wilson([True] * 2 + [False] * 8)
    >>> round(found.low, 4), round(found.high, 4)
    (0.0567, 0.5098)
    >>> wilson([True] * 2 + [False] * 8, list("aabbccddee")).design_effect > 1
    True
    """
    level(alpha)
    values = np.asarray(hits)
    if values.ndim != 1 or not len(values) or values.dtype.kind != "b":
        raise ValueError(
            f"hits: got {values.dtype} of shape {values.shape}; it must be true or false, one a row"
        )
    n, rate = len(values), float(values.mean())
    effect, quantile = 1.0, float(norm.isf(alpha / 2))
    if clusters is not None:
        code, names = pd.factorize(np.asarray(clusters))
        if len(code) != n or (code < 0).any():
            raise ValueError(f"clusters: got {int((code >= 0).sum())} for {n} rows; each row needs one")
        if len(names) < 2:
            raise ValueError(f"clusters: got {len(names)}; it takes two at least")
        if len(names) < n:
            quantile = float(student.isf(alpha / 2, len(names) - 1))
            effect = _design_effect(values, code, len(names))
    worth = n / effect
    low, high = score_interval(rate, worth=worth, quantile=quantile)
    return Rate(rate, low, high, math.sqrt(rate * (1 - rate) / worth), effect)


def score_interval(rate: float, *, worth: float, quantile: float) -> tuple[float, float]:
    """Wilson's interval of a share of which the number of independent trials that it is worth is known.

    Parameters
    ----------
    rate : float
    worth : float
        Independent trials, not always a whole number.
    quantile : float
        The upper one of the law: the normal's, or Student's where `worth` was itself estimated.

    Examples
    --------
    >>> [round(end, 4) for end in score_interval(0.2, worth=10, quantile=1.959964)]
    [0.0567, 0.5098]
    """
    centre = (rate + quantile**2 / (2 * worth)) / (1 + quantile**2 / worth)
    half = (
        quantile
        / (1 + quantile**2 / worth)
        * math.sqrt(rate * (1 - rate) / worth + (quantile / worth / 2) ** 2)
    )
    # At an end the exact bound is the rate itself; the sum above would miss it in the last bit.
    return (0.0 if rate == 0 else centre - half), (1.0 if rate == 1 else centre + half)


def _design_effect(values: np.ndarray, code: np.ndarray, groups: int) -> float:
    n, rate = len(values), values.mean()
    if rate in (0, 1):
        return n / groups
    off = np.bincount(code, values - rate, minlength=groups)
    variance = groups / (groups - 1) * float(off @ off) / n**2
    return float(max(1.0, variance / (rate * (1 - rate) / n)))
