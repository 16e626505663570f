"""How large is a population stability index (PSI), and what would luck make of it?

PSI compares the shares of a column's bins. Its usual thresholds ignore how many rows made them:
here it has the distribution that it has when nothing moved.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
from scipy.optimize import brentq
from scipy.special import chdtr, chndtr
from scipy.stats import chi2, ncx2, norm

from toolkit.rules import count, level, number

__all__ = ["psi", "psi_distribution", "psi_interval", "value_codes"]

# Above this many units of noise the square root of PSI is normal for all purposes.
_LARGE = 5_000.0


def psi(reference: Any, current: Any) -> float:
    """The population stability index of two rows of counts, a count a bin.

    The sum over bins of (share - other share) log(share / other share). Half a row is added to
    every bin, so that an empty one gives a finite index; without it the index is also too large in
    small samples.

    Parameters
    ----------
    reference, current : arrays of shape (bins,)
        Not negative; each with a row at least.

    Examples
    --------
    >>> psi([50, 50], [50, 50])
    0.0
    >>> round(psi([5000, 5000], [6000, 4000]), 4)
    0.0405
    """
    shares = []
    for name, counts in (("reference", reference), ("current", current)):
        given = np.asarray(counts, dtype=float)
        if not (given >= 0).all() or not given.sum() > 0:
            raise ValueError(f"{name}: got {given.tolist()}; counts aren't negative, and not all 0")
        shares.append((given + 0.5) / (given.sum() + 0.5 * len(given)))
    a, b = shares
    if len(a) != len(b):
        raise ValueError(f"current: got {len(b)} bins; reference has {len(a)}")
    return float(((a - b) * np.log(a / b)).sum())


def value_codes(values: pd.Series, name: str) -> np.ndarray:
    """A number for each row's value, equal values alike, -1 where it is missing.

    Raises
    ------
    ValueError
        If a value can't be compared with others, as a list can't.

    Examples
    --------
    >>> value_codes(pd.Series(["b", None, "a", "b"]), "plan").tolist()
    [0, -1, 1, 0]
    """
    try:
        return np.asarray(pd.factorize(values)[0])
    except TypeError:
        kind = type(values.dropna().iloc[0]).__name__
        raise ValueError(
            f"{name}: got a {kind} in each row; it must be one value: leave it out of `columns`"
        ) from None


def psi_distribution(n: float, m: float, *, bins: int = 10, psi: float = 0.0) -> Any:
    """How PSI is distributed over samples of n and m independent rows, where its true value is `psi`.

    (1/n + 1/m) times a chi-square with bins - 1 degrees of freedom, for any bins; noncentral where
    something moved.

    Parameters
    ----------
    n, m : float
        Rows of the reference and of the current sample.
    bins : int
        2 at least.
    psi : float
        The true index; 0 where nothing moved.

    Returns
    -------
    frozen SciPy distribution
        With `ppf`, `sf`, `pdf`.

    References
    ----------
    Yurdakul and Naranjo, "Statistical properties of the population stability index", Journal of
    Risk Model Validation.

    Examples
    --------
    >>> round(float(psi_distribution(100, 100).ppf(0.95)), 3)
    0.338
    >>> round(float(psi_distribution(1000, 1000).ppf(0.95)), 3)
    0.034
    """
    count("bins", bins, least=2)
    if not (n > 0 and m > 0):
        raise ValueError(f"n, m: got {n!r}, {m!r}; both must be positive")
    if not (math.isfinite(psi) and psi >= 0):
        raise ValueError(f"psi: got {psi!r}; it must be finite and not negative")
    noise = 1 / n + 1 / m
    return ncx2(bins - 1, psi / noise, scale=noise) if psi > 0 else chi2(bins - 1, scale=noise)


def psi_interval(
    value: float, noise: float, *, freedom: float = 9, alpha: float = 0.05
) -> tuple[float, float]:
    """The true indices under which a measured PSI wouldn't be surprising, by inverting its distribution.

    Parameters
    ----------
    value : float
        The measured index.
    noise : float
        1/n + 1/m for independent rows.
    freedom : float
        Degrees of freedom; bins - 1 for independent rows.

    Examples
    --------
    >>> low, high = psi_interval(0.3, 1 / 100 + 1 / 100)
    >>> round(low, 3), round(high, 3)
    (0.0, 0.482)
    """
    level(alpha)
    number("value", value, above=-1e-9)
    number("noise", noise, above=0)
    if not freedom > 0:
        return 0.0, 0.0
    statistic = max(value, 0.0) / noise
    if statistic > _LARGE:
        root, half = math.sqrt(statistic - freedom), float(norm.isf(alpha / 2))
        return noise * (root - half) ** 2, noise * (root + half) ** 2

    def end(chance: float) -> float:
        # The chance of less falls as the true index grows; at 0 it may be too low already.
        if chdtr(freedom, statistic) <= chance:
            return 0.0
        most = statistic + 40 + 12 * math.sqrt(statistic + 10)
        return float(brentq(lambda true: chndtr(statistic, freedom, true) - chance, 1e-9, most))

    return noise * end(1 - alpha / 2), noise * end(alpha / 2)
