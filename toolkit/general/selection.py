"""Which of two scores is better, when labels exist only for what the old one chose to show?

The audit of a reader's own log. The closed forms behind it stand in `range_restriction`, what
exploration costs and how sharply it sees in `exploration`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from toolkit.auc import Ranking
from toolkit.finding import Finding
from toolkit.frames import read_columns
from toolkit.general.mismatch import effective_sample_size
from toolkit.general.range_restriction import (
    compare_in_slice,
    correlations_in_slice,
    correlations_outside_slice,
    sign_map,
    slice_path,
)
from toolkit.resampling import Estimate, bootstrap, interval
from toolkit.rules import count, level

__all__ = [
    "compare_in_slice",
    "correlations_in_slice",
    "correlations_outside_slice",
    "selection_audit",
    "sign_map",
    "slice_path",
]


def selection_audit(
    log: Any,
    *,
    y: str = "y",
    score_old: str = "score_old",
    score_new: str = "score_new",
    propensity: str = "propensity",
    explored: str = "explored",
    cluster: str = "user_id",
    alpha: float = 0.05,
    replicates: int = 500,
    rng: Any = 0,
) -> Finding:
    """How much a log that the old model chose flatters the new model's AUC over the old one's.

    Parameters
    ----------
    log : frame
        One row an impression that has its label: `y` (0 or 1), both models' scores, the
        `propensity` with which the logging policy showed it, whether it was `explored` (drawn at
        random whatever its score), and the `cluster` that rows share (the user).
    alpha : float
    replicates : int
        Bootstrap draws of whole clusters; the same draws for all numbers.
    rng : int or Generator
    y, score_old, score_new, propensity, explored, cluster : str
        Columns of the log.

    Returns
    -------
    Finding
        Estimate: new less old on the log, less the same on the exploration slice; 0 where
        selection doesn't move the comparison. The table has a row for the log as it is, the log
        weighted by 1 / propensity, and the exploration slice: both AUCs, their difference with its
        interval, rows, effective sample size, and the old score's variance relative to the slice's.

    Raises
    ------
    ValueError
        If columns or values are missing or not what they must be, a score is constant, or the log
        or its exploration slice lacks positives or negatives.

    References
    ----------
    Thorndike (1949), Personnel Selection; Bottou et al. (2013), JMLR 14.

    Examples
    --------
    >>> draw = np.random.default_rng(0)
    >>> n = 100_000
    >>> new, old = draw.normal(size=(2, n))
    >>> y = (0.5 * old + 0.4 * new + 0.77 * draw.normal(size=n) > 0.84).astype(int)
    >>> rows = pd.DataFrame({"y": y, "score_old": old, "score_new": new, "user_id": np.arange(n)})
    >>> rows["explored"] = draw.random(n) < 0.02
    >>> rows["propensity"] = np.where(rows["score_old"] > 1.28, 1.0, 0.02)
    >>> shown = rows[(rows["score_old"] > 1.28) | rows["explored"]]
    >>> finding = selection_audit(shown, replicates=50)
    >>> finding.ci[0] > 0
    True
    """
    level(alpha)
    count("replicates", replicates)
    columns = [y, score_old, score_new, propensity, explored, cluster]
    table = read_columns(
        log,
        "log",
        columns,
        labels=[y, explored],
        propensities=[propensity],
        numbers=[score_old, score_new],
    )
    for score in (score_old, score_new):
        if table[score].min() == table[score].max():
            raise ValueError(f"{score}: got {table[score].iloc[0]} in every row; a constant ranks nothing")
    good, drawn = table[y].to_numpy(float), table[explored].to_numpy(bool)
    for name, rows in (("log", good), (explored, good[drawn])):
        if not 0 < rows.sum() < len(rows):
            raise ValueError(
                f"{name}: got {int(rows.sum()):,} positives among {len(rows):,} rows; an AUC needs both kinds"
            )
    weight = 1 / table[propensity].to_numpy(float)
    scores = [table[score].to_numpy(float) for score in (score_old, score_new)]
    everywhere = [Ranking(good, score) for score in scores]
    at_random = [Ranking(good[drawn], score[drawn]) for score in scores]

    def aucs(times: np.ndarray) -> list[list[float]]:
        return [
            [ranking.auc(times) for ranking in everywhere],
            [ranking.auc(times * weight) for ranking in everywhere],
            [ranking.auc(times[drawn]) for ranking in at_random],
        ]

    told = np.array(aucs(np.ones(len(table))))
    draws = bootstrap(aucs, table[cluster], replicates=replicates, rng=rng)
    difference, drawn_differences = told[:, 1] - told[:, 0], draws[..., 1] - draws[..., 0]
    ends = [interval(drawn_differences[:, row], alpha=alpha) for row in range(3)]
    flattery = drawn_differences[:, 0] - drawn_differences[:, 2]
    estimate, ci = float(difference[0] - difference[2]), interval(flattery, alpha=alpha)
    se = float(np.nanstd(flattery, ddof=1))
    old = scores[0]
    spread = np.var(old[drawn])
    centre = np.average(old, weights=weight)
    result = pd.DataFrame(
        {
            "rows": ["logged", "weighted by 1 / propensity", "exploration slice"],
            "auc_old": told[:, 0],
            "auc_new": told[:, 1],
            "difference": difference,
            "low": [low for low, _ in ends],
            "high": [high for _, high in ends],
            "n": [len(table), len(table), int(drawn.sum())],
            "effective": [float(len(table)), effective_sample_size(weight), float(drawn.sum())],
            "variance_ratio": np.array([np.var(old), np.average((old - centre) ** 2, weights=weight), spread])
            / spread,
        }
    )
    return Finding(
        estimate,
        ci,
        _selection_verdict(difference, ends, ci),
        unit="AUC",
        se=se,
        p=Estimate(estimate, se).p,
        n=len(table),
        n_clusters=int(table[cluster].nunique()),
        alpha=alpha,
        table=result,
        assumptions=(
            "explored rows were drawn at random, whatever their scores, from what the models will rank",
            "clusters are independent, and large samples: intervals are percentiles of a bootstrap",
        ),
        cannot_tell=(
            "selection, from a feature that knows the label on logged rows only (audit features as of the request)",
            "how well a score ranks within a request, from how well it tells requests apart",
        ),
    )


def _selection_verdict(
    difference: np.ndarray, ends: list[tuple[float, float]], ci: tuple[float, float]
) -> str:
    logged, drawn = (f"{difference[row]:+.3f}" for row in (0, 2))
    moved = ci[0] > 0 or ci[1] < 0
    if difference[0] * difference[2] < 0:
        first, second = ("new", "old") if difference[0] > 0 else ("old", "new")
        sure = ends[2][0] > 0 or ends[2][1] < 0
        advice = (
            "believe the slice" if sure else "the slice is the one to believe, but isn't sure of its sign"
        )
        return (
            f"The log prefers the {first} model (new less old {logged}), the exploration slice the {second} "
            f"one ({drawn}): {advice}{'' if moved else ', and luck may explain the gap'}."
        )
    told = f"new less old is {logged} on logged rows, {drawn} on the exploration slice"
    if moved:
        return f"Selection {'flatters' if ci[0] > 0 else 'wrongs'} the new model: {told}."
    return f"No effect of selection is visible: {told}."
