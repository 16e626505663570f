"""How far would a statistic move, had other users come? The bootstrap that draws whole clusters."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import norm
from scipy.stats import t as student

from toolkit.rules import count, level


class Estimate(NamedTuple):
    """A number with its standard error, and the degrees of freedom of Student's law that goes with it.

    Parameters
    ----------
    value, error : float
        The error is nan where there is none to be had: then there is no interval and no p-value.
    freedom : float
        Infinite where the error is known, or from many units: then the law is normal. 0 where one
        unit has all that counts, which says nothing of others.

    Examples
    --------
    >>> told = Estimate(2.0, 1.0, 10)
    >>> [round(end, 2) for end in told.interval(0.05)], round(told.p, 3)
    ([-0.23, 4.23], 0.073)
    >>> told = Estimate(2.0, 1.0)
    >>> [round(end, 2) for end in told.interval(0.05)], round(told.p, 3)
    ([0.04, 3.96], 0.046)
    """

    value: float
    error: float
    freedom: float = math.inf

    def interval(self, alpha: float) -> tuple[float, float]:
        """The interval at level `1 - alpha`."""
        if not self.error:
            return self.value, self.value
        if not self.freedom:
            return math.nan, math.nan
        known = math.isinf(self.freedom)
        quantile = norm.isf(alpha / 2) if known else student.isf(alpha / 2, self.freedom)
        half = float(quantile) * self.error
        return self.value - half, self.value + half

    @property
    def p(self) -> float | None:
        """The p-value of "it is 0", where there is one."""
        if not (self.error > 0 and self.freedom):
            return None
        away = abs(self.value) / self.error
        return float(2 * (norm.sf(away) if math.isinf(self.freedom) else student.sf(away, self.freedom)))


def bootstrap(
    statistic: Callable[[np.ndarray], Any], clusters: Any, *, replicates: int = 500, rng: Any = 0
) -> np.ndarray:
    """A statistic of rows, with the rows' clusters drawn again and again with replacement.

    Paired by construction: all numbers that `statistic` returns see the same draw.

    Parameters
    ----------
    statistic : callable
        Takes one weight a row (how often its cluster was drawn) and returns a number, or an
        array. A weight of 0 leaves the row out.
    clusters : array of shape (n,)
        What is drawn: each row's user, or another unit that is independent of the others.
    replicates : int
    rng : int or Generator

    Returns
    -------
    array of shape (replicates,) or (replicates, ...)

    Raises
    ------
    ValueError
        If there are fewer than two clusters, a row has none, or `replicates` isn't a positive whole
        number.

    References
    ----------
    Field and Welsh (2007), "Bootstrapping clustered data", JRSS B.

    Examples
    --------
    >>> y = np.array([1.0, 0, 1, 1, 0, 0])
    >>> draws = bootstrap(lambda w: (w @ y) / w.sum(), ["a", "a", "b", "b", "c", "c"], replicates=200)
    >>> draws.shape, bool(abs(draws.mean() - 0.5) < 0.1)
    ((200,), True)
    """
    count("replicates", replicates)
    code, names = pd.factorize(np.asarray(clusters))
    # Factorized, a missing cluster is -1: its rows would get the last cluster's weight.
    if (code < 0).any():
        raise ValueError(f"clusters: got {int((code < 0).sum())} missing of {len(code)}; each row needs one")
    if len(names) < 2:
        raise ValueError(f"clusters: got {len(names)}; the bootstrap needs two at least")
    draw = np.random.default_rng(rng)
    drawn = (
        np.bincount(draw.integers(0, len(names), len(names)), minlength=len(names)) for _ in range(replicates)
    )
    return np.array([statistic(times[code].astype(float)) for times in drawn])


def several(clusters: Any, name: str) -> np.ndarray:
    """Clusters as whole numbers from 0, refused where all rows are of one, which has no spread.

    Raises
    ------
    ValueError
        If there is one cluster only; `name` is what the message calls it.

    Examples
    --------
    >>> several(["u", "v", "u"], "user_id").tolist()
    [0, 1, 0]
    """
    code: np.ndarray = pd.factorize(np.asarray(clusters))[0]
    if not (code > 0).any():
        raise ValueError(f"{name}: got one in all rows; an interval needs two at least")
    return code


def clustered_error(influence: np.ndarray, code: np.ndarray, crossed: np.ndarray | None = None) -> float:
    """The standard error of an estimate to which each row adds its influence, clusters being independent.

    Parameters
    ----------
    influence : array of shape (n,)
        By how much each row moves the estimate, to first order; 0 in sum.
    code : array of shape (n,)
        Each row's cluster as `several` gives it.
    crossed : array of shape (n,), optional
        Each row's cluster of a second kind, which crosses the first (hours and users): rows that share
        either may depend on each other, and those that compete then count against each other. Where
        so few clusters leave no positive variance, it is that of the kind that has less.

    References
    ----------
    Cameron, Gelbach and Miller (2011), Robust Inference with Multiway Clustering, JBES 29.

    Examples
    --------
    The mean of 1, 1, 0, 0, where the first two rows are one user's and the last two another's:

    >>> clustered_error(np.array([0.5, 0.5, -0.5, -0.5]) / 4, np.array([0, 0, 1, 1]))
    0.5
    """
    variance = _clustered(influence, code)
    if crossed is not None:
        both = pd.factorize(code.astype(np.int64) * (int(crossed.max()) + 1) + crossed)[0]
        other = _clustered(influence, crossed)
        crossing = variance + other - _clustered(influence, both)
        variance = crossing if crossing > 0 else min(variance, other)
    return float(np.sqrt(variance))


def _clustered(influence: np.ndarray, code: np.ndarray) -> float:
    sums = np.bincount(code, influence)
    return float(len(sums) / (len(sums) - 1) * (sums**2).sum())


def welch_freedom(squared: Any, freedom: Any) -> Any:
    """The degrees of freedom of a sum of independent estimates whose variances are estimated (Welch, Satterthwaite).

    Parameters
    ----------
    squared, freedom : arrays of shape (parts, ...)
        Each part's squared standard error, and the degrees of freedom of that.

    References
    ----------
    Welch (1947), Biometrika.

    Examples
    --------
    >>> float(welch_freedom([1.0, 1.0], [9, 9]))
    18.0
    """
    parts = np.asarray(squared, dtype=float)
    return parts.sum(0) ** 2 / (parts**2 / np.asarray(freedom)).sum(0)


def interval(draws: Any, *, alpha: float = 0.05) -> tuple[float, float]:
    """The percentile interval of bootstrap replicates; those that are nan (undefined) are left out.

    Parameters
    ----------
    draws : array of shape (replicates,)
        Of one number: a column of what `bootstrap` returns for several.
    alpha : float
        One minus the level of the interval.

    Raises
    ------
    ValueError
        If more than one replicate in twenty is undefined: the interval would be of another population.
        If `draws` holds several numbers a replicate: their interval would mix them.

    Examples
    --------
    >>> interval(np.arange(101.0))
    (2.5, 97.5)
    """
    level(alpha)
    draws = np.asarray(draws, dtype=float)
    if draws.ndim != 1:
        raise ValueError(f"draws: got shape {draws.shape}; it must be one number a replicate")
    there = draws[np.isfinite(draws)]
    if len(there) < 0.95 * len(draws) or not len(there):
        raise ValueError(
            f"draws: got {len(draws) - len(there)} undefined of {len(draws)}; there are too few clusters "
            "of a kind for a bootstrap"
        )
    low, high = np.quantile(there, [alpha / 2, 1 - alpha / 2])
    return float(low), float(high)
