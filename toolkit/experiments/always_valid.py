"""Which interval may be looked at after every single observation?

The normal mixture (Robbins 1970; the mSPRT of Johari et al. 2017): an interval for the running
mean that holds at all sample sizes at once, however the test is stopped.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from scipy.special import lambertw


def mixture_half_width(se: Any, *, tau: float, alpha: float = 0.05) -> Any:
    """Half the width of the normal-mixture interval around an estimate with a given standard error.

    Parameters
    ----------
    se : float or array
        Standard error of the estimate at each look; positive.
    tau : float
        Standard deviation of the effects that one expects, in the estimate's unit; positive. The
        interval is narrowest where the standard error is a fraction of it (see `tightest_tau`).
    alpha : float
        One minus the chance that the interval holds the truth at every look at once.

    Raises
    ------
    ValueError
        If `se` or `tau` isn't positive, or `alpha` isn't between 0 and 1.

    References
    ----------
    Johari, Koomen, Pekelis and Walsh (2017), "Peeking at A/B Tests", KDD.
    Howard, Ramdas, McAuliffe and Sekhon (2021), "Time-uniform, nonparametric, nonasymptotic
    confidence sequences", Annals of Statistics.

    Examples
    --------
    At n = 100 and tau equal to the observations' standard deviation the price is 67% of width:

    >>> round(float(mixture_half_width(0.1, tau=1.0) / (1.959964 * 0.1)), 2)
    1.67
    """
    errors = np.asarray(se, dtype=float)
    if not np.all(errors > 0):
        raise ValueError(f"se: got {errors[~(errors > 0)][:3].tolist()}; a standard error must be positive")
    if not tau > 0:
        raise ValueError(f"tau: got {tau!r}; it must be positive")
    if not 0 < alpha < 1:
        raise ValueError(f"alpha: got {alpha!r}; it must lie strictly between 0 and 1")
    ratio = (errors / tau) ** 2
    return errors * np.sqrt((1 + ratio) * (np.log1p(1 / ratio) - 2 * np.log(alpha)))


def tightest_tau(se: float, *, alpha: float = 0.05) -> float:
    """The tau whose interval is narrowest when the standard error is `se`.

    Choose it by the standard error that is planned, before the data: chosen afterwards it would
    be one more look.

    References
    ----------
    Howard et al. (2021), Annals of Statistics, proposition 3.

    Examples
    --------
    >>> round(tightest_tau(0.1), 3)
    0.281
    """
    if not se > 0:
        raise ValueError(f"se: got {se!r}; a standard error must be positive")
    if not 0 < alpha < 1:
        raise ValueError(f"alpha: got {alpha!r}; it must lie strictly between 0 and 1")
    return float(se * np.sqrt(-lambertw(-(alpha**2) / np.e, k=-1).real - 1))


def sequential_path(values: Any, *, tau: float, alpha: float = 0.05, burn_in: int = 30) -> pd.DataFrame:
    """The running mean of a stream with an interval that holds at all of its lengths at once.

    Parameters
    ----------
    values : array of shape (n,)
        One number an independent unit, in the order of arrival.
    tau : float
        As in `mixture_half_width`.
    burn_in : int
        Units before the first interval: the variance is estimated from the stream, so the
        guarantee is asymptotic and the first few units have none.

    Returns
    -------
    DataFrame with one row a unit
        `n`, `mean`, `low`, `high`; the interval is unbounded before `burn_in`, and where all
        values so far are equal.

    Examples
    --------
    >>> path = sequential_path(np.random.default_rng(0).normal(size=1000), tau=0.3)
    >>> bool((path["low"] <= 0).all() and (path["high"] >= 0).all())
    True
    """
    stream = np.asarray(values, dtype=float)
    if stream.ndim != 1 or len(stream) < 2:
        raise ValueError(f"values: got shape {stream.shape}; it must be one row of at least two numbers")
    if not np.isfinite(stream).all():
        raise ValueError(f"values: got {int((~np.isfinite(stream)).sum())} that are not finite; drop none silently")
    if burn_in < 2:
        raise ValueError(f"burn_in: got {burn_in!r}; a variance needs at least 2")
    count = np.arange(1, len(stream) + 1, dtype=float)
    # Centred on the first values, or squares of a large mean would swallow a small variance.
    shift = stream[: max(burn_in, 2)].mean()
    centred = stream - shift
    mean = np.cumsum(centred) / count
    variance = np.cumsum(centred * centred) / count - mean * mean
    se = np.sqrt(np.maximum(variance, 0.0) / np.maximum(count - 1, 1))
    half = np.full(len(stream), np.inf)
    known = (count >= burn_in) & (se > 0)
    half[known] = mixture_half_width(se[known], tau=tau, alpha=alpha) if known.any() else np.inf
    mean += shift
    return pd.DataFrame({"n": count.astype(np.int64), "mean": mean, "low": mean - half, "high": mean + half}, copy=False)
