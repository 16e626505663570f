"""What happens to false positives when many metrics, segments or variants are tested at once?"""

from __future__ import annotations

from typing import Any, Literal, get_args

import numpy as np
from scipy.stats import false_discovery_control, norm

from toolkit.rules import count, level, one_of, share

Correction = Literal["none", "Bonferroni", "Holm", "BH", "BY"]

STATSMODELS = {"Bonferroni": "bonferroni", "Holm": "holm", "BH": "fdr_bh", "BY": "fdr_by"}


def family_error(metrics: int, *, correlation: float = 0.0, alpha: float = 0.05) -> float:
    """The chance that at least one of m metrics is "significant" when nothing has an effect.

    Exact for metrics that all correlate equally, by integrating over what they share.

    Parameters
    ----------
    metrics : int
        How many are tested, each at level `alpha`.
    correlation : float
        Between each two of them; in [0, 1).

    Examples
    --------
    >>> [round(family_error(20, correlation=r), 3) for r in (0, 0.5, 0.9)]
    [0.642, 0.419, 0.155]
    """
    count("metrics", metrics)
    share("correlation", correlation, open_high=True)
    level(alpha)
    limit = norm.isf(alpha / 2)
    own = np.sqrt(1 - correlation)
    # Given what they share, all are quiet or not: over a stretch around the limit that is as narrow
    # as their own parts. Both signs of the shared part are alike.
    bend, width = limit / max(np.sqrt(correlation), 0.1), 8 * own
    cuts = np.clip([0.0, bend - width, bend, bend + width, 9.0], 0.0, 9.0)
    nodes, weights = np.polynomial.legendre.leggauss(100)
    half = np.diff(cuts)[:, None] / 2
    shared = cuts[:-1, None] + half * (1 + nodes)
    quiet = norm.cdf((limit - np.sqrt(correlation) * shared) / own)
    quiet -= norm.cdf((-limit - np.sqrt(correlation) * shared) / own)
    return float(1 - 2 * (half * weights * norm.pdf(shared) * quiet**metrics).sum())


def metric_family(
    tests: int, metrics: int, *, correlation: float, moved: int = 0, drift: float = 2.8, rng: Any = 0
) -> np.ndarray:
    """Z-statistics of many tests that read m equally correlated metrics each.

    Parameters
    ----------
    tests, metrics : int
        Shape of the result.
    correlation : float
        Between each two metrics; in [0, 1).
    moved : int
        How many of the metrics, the first ones, have a true effect.
    drift : float
        Expected z-statistic of those.
    rng : int or Generator

    Returns
    -------
    array of shape (tests, metrics)

    Examples
    --------
    >>> z = metric_family(5000, 2, correlation=0.5, moved=1)
    >>> [round(float(metric), 1) for metric in z.mean(axis=0)]
    [2.8, 0.0]
    """
    share("correlation", correlation, open_high=True)
    if count("moved", moved, least=0) > count("metrics", metrics):
        raise ValueError(f"moved: got {moved!r}; there are {metrics} metrics")
    draws = np.random.default_rng(rng)
    shared = draws.normal(size=(tests, 1))
    z = np.sqrt(correlation) * shared + np.sqrt(1 - correlation) * draws.normal(size=(tests, metrics))
    z[:, :moved] += drift
    return z


def family_outcomes(
    metrics: int,
    *,
    correlation: float,
    correction: Correction,
    moved: int = 0,
    drift: float = 2.8,
    alpha: float = 0.05,
    tests: int = 4000,
    rng: Any = 0,
) -> dict[str, float]:
    """What a correction does to families of metrics of which some moved.

    Exact for a single metric, and for a correction that compares every p-value with one line (none,
    Bonferroni); Holm's first step is Bonferroni's, so a family without any effect is exact there
    too. The rest is simulated.

    Returns
    -------
    dict
        `any_false`: share of families with at least one false winner (0 where all moved);
        `found`: share of the moved metrics that are found (nan where none moved).

    Examples
    --------
    >>> round(family_outcomes(20, correlation=0.0, correction="none")["any_false"], 3)
    0.642
    """
    one_of("correction", correction, get_args(Correction))
    still = count("metrics", metrics) - count("moved", moved, least=0)
    if correction in ("none", "Bonferroni") or metrics == 1 or (correction == "Holm" and not moved):
        line = level(alpha) / (1 if correction == "none" else metrics)
        limit = norm.isf(line / 2)
        return {
            "any_false": family_error(still, correlation=correlation, alpha=line) if still > 0 else 0.0,
            "found": float(norm.sf(limit - drift) + norm.cdf(-limit - drift)) if moved else float("nan"),
        }
    z = metric_family(tests, metrics, correlation=correlation, moved=moved, drift=drift, rng=rng)
    won = rejected(2 * norm.sf(np.abs(z)), correction, alpha=alpha)
    return {
        "any_false": float(won[:, moved:].any(axis=1).mean()) if still else 0.0,
        "found": float(won[:, :moved].mean()) if moved else float("nan"),
    }


def rejected(pvalues: np.ndarray, correction: Correction, *, alpha: float = 0.05) -> np.ndarray:
    """Which p-values of each row are significant after a correction for the row's family.

    Bonferroni and Holm keep the chance of any false one below alpha; BH (Benjamini and Hochberg
    1995) and BY (Benjamini and Yekutieli 2001) the expected share of false among the significant.

    Parameters
    ----------
    pvalues : array of shape (families, tests)

    Examples
    --------
    >>> int(rejected(np.array([[0.01, 0.02, 0.03, 0.5]]), "BH").sum())
    3
    """
    one_of("correction", correction, get_args(Correction))
    level(alpha)
    values = np.atleast_2d(pvalues)
    if correction == "none":
        return values <= alpha
    if correction == "Bonferroni":
        return values <= alpha / values.shape[1]
    if correction in ("BH", "BY"):
        return false_discovery_control(values, axis=1, method=correction.lower()) <= alpha
    return holm(values) <= alpha


def holm(pvalues: Any) -> np.ndarray:
    """Holm's adjusted p-values: what each must be below for its family to keep a level (Holm 1979).

    Parameters
    ----------
    pvalues : array of shape (..., tests)
        One family a row.

    Returns
    -------
    array of the same shape
        From 0 to 1.

    Examples
    --------
    >>> holm([0.04, 0.01, 0.02]).tolist()
    [0.04, 0.03, 0.04]
    """
    # Statsmodels collects garbage in each call: 50 ms a row, which thousands of families can't afford.
    values = np.asarray(pvalues, dtype=float)
    order = values.argsort(axis=-1)
    stepped = np.take_along_axis(values, order, -1) * np.arange(values.shape[-1], 0, -1)
    adjusted = np.empty(values.shape)
    np.put_along_axis(adjusted, order, np.maximum.accumulate(stepped, axis=-1).clip(max=1), -1)
    return adjusted
