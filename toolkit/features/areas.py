"""How sure is an area under the ROC curve, when a user's rows stand and fall together?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from toolkit.resampling import Estimate
from toolkit.rules import level

__all__ = ["Area", "auc_change", "clustered_area", "contrast"]


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
        return self._told.interval(alpha)

    @property
    def p(self) -> float | None:
        """The p-value of "it is 0", for a difference of areas; none where no error is known."""
        return self._told.p

    @property
    def _told(self) -> Estimate:
        return Estimate(self.auc, self.se, max(0, int(np.count_nonzero(self.parts)) - 1))


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


def auc_change(y: Any, before: Any, after: Any, clusters: Any = None) -> Area:
    """The AUC of `after` less that of `before` on the same rows, with its paired error by clusters.

    Parameters
    ----------
    y, before, after : arrays of shape (n,)
        Labels, 0 or 1, and two scores.
    clusters : array of shape (n,), optional
        The user of each row; each row its own where None.

    Returns
    -------
    Area
        Without error (nan) where no row moves the AUC.

    Raises
    ------
    ValueError
        If the arrays differ in length, a label isn't 0 or 1 or doesn't occur, a score isn't finite, or
        there are fewer than two clusters.

    Examples
    --------
    >>> found = auc_change([0, 1, 0, 1], [0.1, 0.4, 0.5, 0.9], [0.1, 0.6, 0.5, 0.9])
    >>> found.auc, found.ci()[0] < 0.25 < found.ci()[1]
    (0.25, True)
    """
    label, scores = np.asarray(y, dtype=float), [np.asarray(each, dtype=float) for each in (before, after)]
    for name, values in zip(("before", "after"), scores, strict=True):
        if values.shape != label.shape or not np.isfinite(values).all():
            raise ValueError(
                f"{name}: got shape {values.shape} for {label.shape} labels; one finite score each"
            )
    if not np.isin(label, [0, 1]).all() or len(np.unique(label)) < 2:
        raise ValueError("y: got labels of one kind, or others than 0 and 1; both must occur")
    code, names = pd.factorize(np.arange(len(label)) if clusters is None else np.asarray(clusters))
    if len(code) != len(label) or (code < 0).any() or len(names) < 2:
        raise ValueError(
            f"clusters: got {len(names)} for {len(label)} rows; each row needs one, of two at least"
        )
    old, new = (clustered_area(label, score, code) for score in scores)
    return contrast([new, old], [1, -1])
