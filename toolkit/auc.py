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
        May be infinite (never, or always, shown), but not nan.

    Raises
    ------
    ValueError
        If labels and scores differ in number, a label isn't 0 or 1, or a score is nan.

    Examples
    --------
    >>> ranking = Ranking([0, 1, 0, 1], [0.1, 0.4, 0.4, 0.9])
    >>> ranking.auc()
    0.875
    >>> ranking.auc([1, 1, 0, 1])
    1.0
    """

    def __init__(self, y: Any, score: Any) -> None:
        score, good = np.asarray(score, dtype=float), np.asarray(y, dtype=float)
        if score.ndim != 1 or score.shape != good.shape:
            raise ValueError(f"score: got shape {score.shape} for labels of shape {good.shape}; one each")
        wrong = ~np.isin(good, [0, 1])
        if wrong.any():
            raise ValueError(f"y: got {good[wrong][0]:g}; a label is 0 or 1")
        # Sorting puts nan above every score: such rows would count as the best.
        if np.isnan(score).any():
            raise ValueError(
                f"score: got {int(np.isnan(score).sum())} nan of {len(score)}; it must be a number"
            )
        self._order = np.argsort(score, kind="stable")
        self._good = good[self._order]
        ranked = score[self._order]
        # Where each run of equal scores begins.
        self._starts = (
            np.flatnonzero(np.r_[True, ranked[1:] != ranked[:-1]]) if len(ranked) else np.zeros(0, int)
        )
        self._untied = len(self._starts) == len(ranked)

    def auc(self, weights: Any = None) -> float:
        """The AUC under weights (ones where not given); nan where the good or the bad weigh nothing.

        Raises
        ------
        ValueError
            If there isn't one weight a row, or one is negative or nan.
        """
        given = np.ones(len(self._good)) if weights is None else np.asarray(weights, dtype=float)
        if given.shape != self._good.shape:
            raise ValueError(f"weights: got shape {given.shape} for {len(self._good)} rows; one each")
        if not given.min(initial=0.0) >= 0:
            raise ValueError(f"weights: got {given.min():g}; a weight is not negative")
        weight = given[self._order]
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
