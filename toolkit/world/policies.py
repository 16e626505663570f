"""How do FooBar's rankers score a candidate: the decade-old formula, and a fitted logistic model?"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import expit

# The old formula: three pair features and the item's click rate over four weeks.
OLD_WEIGHTS = (0.5, 0.4, 0.3)
OLD_RATE_WEIGHT = 0.8


def fit_logistic(features: Any, labels: Any, *, penalty: float = 1.0, iterations: int = 12) -> np.ndarray:
    """Coefficients of a ridge-penalised logistic regression, the unpenalised intercept first.

    Newton's method, for at most a dozen columns: a demo fits it in milliseconds.

    Parameters
    ----------
    features : array of shape (n, d)
    labels : array of shape (n,)
        0 or 1, both present.
    penalty : float
        Half the squared coefficients are charged this much; not negative.

    Returns
    -------
    array of shape (1 + d,)

    Raises
    ------
    ValueError
        If shapes disagree, a label isn't 0 or 1, or all are equal.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> x = rng.normal(size=(20_000, 1))
    >>> y = rng.random(20_000) < expit(-1 + 2 * x[:, 0])
    >>> fit_logistic(x, y).round(1).tolist()
    [-1.0, 2.0]
    """
    x, y = np.asarray(features, dtype=float), np.asarray(labels, dtype=float)
    if x.ndim != 2 or y.shape != x.shape[:1]:
        raise ValueError(f"labels: got shape {y.shape} for features of shape {x.shape}; one label a row")
    if not np.isin(y, (0, 1)).all() or y.min() == y.max():
        raise ValueError(
            f"labels: got values {np.unique(y)[:5].tolist()}; both 0 and 1 must occur, and no other"
        )
    if not penalty >= 0:
        raise ValueError(f"penalty: got {penalty!r}; it must not be negative")
    design = np.column_stack([np.ones(len(x)), x])
    ridge = np.diag([0.0, *[penalty] * x.shape[1]])
    coefficients = np.zeros(design.shape[1])
    for _ in range(iterations):
        rate = expit(design @ coefficients)
        gradient = design.T @ (y - rate) - ridge @ coefficients
        hessian = (design * (rate * (1 - rate))[:, None]).T @ design + ridge
        coefficients = coefficients + np.linalg.solve(hessian, gradient)
    return coefficients
