"""How sure is an area under the ROC curve, when a user's rows stand and fall together?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import rankdata
from scipy.stats import t as student

from toolkit.rules import level

__all__ = ["Area", "clustered_area", "contrast"]


@dataclass(frozen=True, eq=False)
class Area:
    """An AUC with what each cluster adds to its error; sums of areas have the sums of these.

    Parameters
    ----------
    auc : float
        The chance that a good row (y = 1) scores above a bad one, ties counting half; nan where there
        is no good or no bad row.
    parts : array of shape (n_clusters,)
        By how much each cluster moves the AUC, to first order; about 0 in sum.
    """

    auc: float
    parts: np.ndarray

    @property
    def se(self) -> float:
        """The standard error: clusters are independent, rows within one needn't be."""
        there = int(np.count_nonzero(self.parts))
        if there < 2 or math.isnan(self.auc):
            return math.nan
        return float(np.sqrt(there / (there - 1) * (self.parts**2).sum()))

    def ci(self, *, alpha: float = 0.05) -> tuple[float, float]:
        """Student's interval, with as many degrees of freedom as clusters that bear on it, less one."""
        level(alpha)
        if math.isnan(self.se):
            return math.nan, math.nan
        half = float(student.isf(alpha / 2, np.count_nonzero(self.parts) - 1)) * self.se
        return self.auc - half, self.auc + half

    @property
    def p(self) -> float:
        """The p-value of "it is 0", for a difference of areas; nan where no error is known."""
        if math.isnan(self.se) or self.se == 0:
            return math.nan
        return float(2 * student.sf(abs(self.auc) / self.se, np.count_nonzero(self.parts) - 1))


def clustered_area(y: Any, score: Any, cluster: Any, *, here: Any = None) -> Area:
    """The AUC of some rows, with each cluster's part in its error (DeLong's, summed over clusters).

    Parameters
    ----------
    y, score : array of shape (n,)
        Labels 0 or 1, and finite scores.
    cluster : array of shape (n,)
        Numbers from 0, as `pandas.factorize` gives them: of one numbering for all areas that are to be
        compared.
    here : array of bool, shape (n,), optional
        Which rows count; all where not given.

    References
    ----------
    DeLong, DeLong and Clarke-Pearson (1988), Biometrics; Obuchowski (1997), "Nonparametric Analysis of
    Clustered ROC Curve Data", Biometrics.

    Examples
    --------
    >>> told = clustered_area([0, 1, 0, 1], [0.1, 0.4, 0.4, 0.9], [0, 0, 1, 1])
    >>> told.auc, told.parts.tolist()
    (0.875, [0.0, 0.0])
    """
    cluster = np.asarray(cluster)
    clusters = int(cluster.max()) + 1 if len(cluster) else 0
    used = np.ones(len(cluster), dtype=bool) if here is None else np.asarray(here, dtype=bool)
    label, value, group = np.asarray(y)[used] == 1, np.asarray(score)[used], cluster[used]
    good, bad = int(label.sum()), int((~label).sum())
    if not good or not bad:
        return Area(math.nan, np.zeros(clusters))
    # How many rows of the other kind each row beats, ties half: its rank among all less that among its own.
    beaten = rankdata(value)
    beaten[label] -= rankdata(value[label])
    beaten[~label] -= rankdata(value[~label])
    auc = float(beaten[label].sum() / (good * bad))
    part = np.where(label, (beaten / bad - auc) / good, (1 - beaten / good - auc) / bad)
    return Area(auc, np.bincount(group, part, minlength=clusters))


def contrast(areas: Sequence[Area], weights: Sequence[float]) -> Area:
    """A weighted sum of areas over the same clusters, such as a difference, with its paired error.

    Examples
    --------
    >>> y, user = [0, 1, 0, 1], [0, 0, 1, 1]
    >>> new, old = (clustered_area(y, score, user) for score in ([1, 2, 3, 4], [1, 4, 2, 3]))
    >>> contrast([new, old], [1, -1]).auc
    -0.25
    """
    auc = sum(weight * area.auc for area, weight in zip(areas, weights, strict=True))
    parts = sum(weight * area.parts for area, weight in zip(areas, weights, strict=True))
    return Area(float(auc), np.asarray(parts, dtype=float))
