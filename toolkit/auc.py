"""How well does a score separate good from bad? The area under the ROC curve, weighted, fast enough to bootstrap."""

from __future__ import annotations

from typing import Any

import numpy as np


class Ranking:
    """A score's order, sorted once, whose AUC under many sets of weights is then cheap.

    The AUC is the chance that a good row (y = 1) scores above a bad one, ties counting half.

    Parameters
    ----------
    y : array of shape (n,)
        Labels, 0 or 1.
    score : array of shape (n,)

    Examples
    --------
    >>> ranking = Ranking([0, 1, 0, 1], [0.1, 0.4, 0.4, 0.9])
    >>> ranking.auc()
    0.875
    >>> ranking.auc([1, 1, 0, 1])
    1.0
    """

    def __init__(self, y: Any, score: Any) -> None:
        score = np.asarray(score, dtype=float)
        self._order = np.argsort(score, kind="stable")
        self._good = np.asarray(y, dtype=float)[self._order]
        ranked = score[self._order]
        # Where each run of equal scores begins.
        self._starts = (
            np.flatnonzero(np.r_[True, ranked[1:] != ranked[:-1]]) if len(ranked) else np.zeros(0, int)
        )
        self._untied = len(self._starts) == len(ranked)

    def auc(self, weights: Any = None) -> float:
        """The AUC under weights (ones where not given); nan where the good or the bad weigh nothing."""
        weight = (
            np.ones(len(self._good)) if weights is None else np.asarray(weights, dtype=float)[self._order]
        )
        good = weight * self._good
        bad = weight - good
        if not self._untied:
            good, bad = np.add.reduceat(good, self._starts), np.add.reduceat(bad, self._starts)
        pairs = good.sum() * bad.sum()
        if not pairs > 0:
            return float("nan")
        return float(good @ (np.cumsum(bad) - bad / 2) / pairs)


def auc(y: Any, score: Any, weights: Any = None) -> float:
    """The area under the ROC curve; nan where there is no good or no bad row.

    Examples
    --------
    >>> auc([0, 1, 0, 1], [0.1, 0.4, 0.4, 0.9])
    0.875
    """
    return Ranking(y, score).auc(weights)
