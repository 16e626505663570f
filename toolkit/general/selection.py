"""Which of two scores is better, when labels exist only for what the old one chose to show?

Closed forms for the slice that the old score chose, and the audit of a reader's own log. What
exploration costs, and how sharply it sees, stands in `toolkit.general.exploration`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd
from scipy.integrate import cumulative_simpson, simpson
from scipy.special import ndtr
from scipy.stats import norm

from toolkit.auc import Ranking
from toolkit.finding import Finding
from toolkit.frames import read_columns
from toolkit.general.mismatch import effective_sample_size
from toolkit.resampling import bootstrap, interval
from toolkit.rules import level, number, share

__all__ = [
    "compare_in_slice",
    "correlations_in_slice",
    "correlations_outside_slice",
    "selection_audit",
    "sign_map",
    "slice_path",
]

# Beyond so many standard deviations the normal density adds nothing to a 64-bit sum.
_FAR = 9.0


def variance_kept(p: float) -> float:
    """The variance that is left of a standard normal among its top share `p`.

    Raises
    ------
    ValueError
        If `p` isn't in (0, 1].

    Examples
    --------
    >>> variance_kept(1.0), round(variance_kept(0.1), 3)
    (1.0, 0.169)
    """
    share("p", p, open_low=True)
    if p == 1:
        return 1.0
    cut = norm.isf(p)
    mean = norm.pdf(cut) / p
    return float(1 - mean * (mean - cut))


def correlations_in_slice(r_old: Any, r_new: Any, between: Any, *, p: float) -> tuple[Any, Any]:
    """How two scores correlate with the outcome among the top share `p` by the old score.

    Old score, new score and the outcome's tendency are jointly normal. The old score, on which the
    rows were chosen, follows Thorndike's formula (his case 2); the new one, chosen only through
    the old, Pearson and Lawley's.

    Parameters
    ----------
    r_old, r_new : float, or arrays that broadcast
        Correlations with the outcome among all rows.
    between : float or array
        Correlation of the scores with each other among all rows.
    p : float
        Share of rows that are shown, in (0, 1].

    Returns
    -------
    pair of float or array
        Old, new. Where no three variables can correlate like that, nan.

    References
    ----------
    Thorndike (1949), Personnel Selection.

    Examples
    --------
    >>> old, new = correlations_in_slice(0.5, 0.4, 0.3, p=0.1)
    >>> round(old, 3), round(new, 3)
    (0.231, 0.322)
    """
    kept = variance_kept(p)
    old, new, both = (np.asarray(value, dtype=float) for value in (r_old, r_new, between))
    possible = 1 - old**2 - new**2 - both**2 + 2 * old * new * both > 0
    lost = 1 - kept
    # What is left of the variance of the outcome and of the new score.
    outcome, score = 1 - lost * old**2, 1 - lost * both**2
    in_old = np.where(possible, old * np.sqrt(kept / outcome), np.nan)
    in_new = np.where(possible, (new - lost * old * both) / np.sqrt(outcome * score), np.nan)
    return (float(in_old), float(in_new)) if in_old.ndim == 0 else (in_old, in_new)


def correlations_outside_slice(
    slice_old: float, slice_new: float, between: float, *, p: float
) -> tuple[float, float]:
    """The correlations among all rows that show as these inside the slice: the inverse.

    Parameters
    ----------
    slice_old, slice_new : float
        Correlations with the outcome inside the top share `p` by the old score.
    between : float
        Correlation of the scores with each other among **all** rows: it needs no labels.
    p : float

    Examples
    --------
    >>> old, new = correlations_outside_slice(0.231, 0.3216, 0.3, p=0.1)
    >>> round(old, 2), round(new, 2)
    (0.5, 0.4)
    """
    for name, value in (("slice_old", slice_old), ("slice_new", slice_new), ("between", between)):
        number(name, value, above=-1, below=1)
    kept = variance_kept(p)
    lost = 1 - kept
    old = slice_old / np.sqrt(kept + lost * slice_old**2)
    spread = np.sqrt((1 - lost * old**2) * (1 - lost * between**2))
    return float(old), float(slice_new * spread + lost * old * between)


def compare_in_slice(
    r_old: float, r_new: float, between: float, *, p: float, positives: float = 0.2
) -> pd.DataFrame:
    """Two scores among all rows and inside the slice that the old one chose: correlations and AUC.

    By quadrature. A row is a positive where its normal tendency lies in the top share `positives`
    of all rows; correlations are with that tendency.

    Parameters
    ----------
    r_old, r_new, between : float
        Correlations among all rows: of each score with the tendency, and of the scores.
    p : float
        Share of rows that are shown: those with the highest old score.
    positives : float
        Share of positives among all rows, strictly between 0 and 1.

    Returns
    -------
    DataFrame
        A row a score, "old" and "new": `r`, `r_slice`, `auc`, `auc_slice`.

    Raises
    ------
    ValueError
        If a correlation isn't strictly between -1 and 1, or no three variables can correlate like
        that.

    Examples
    --------
    >>> compare_in_slice(0.5, 0.4, 0.3, p=0.1).round(3).values.tolist()
    [['old', 0.5, 0.231, 0.748, 0.597], ['new', 0.4, 0.322, 0.698, 0.646]]
    """
    for name, value in (("r_old", r_old), ("r_new", r_new), ("between", between)):
        number(name, value, above=-1, below=1)
    number("positives", positives, above=0, below=1)
    inside = correlations_in_slice(r_old, r_new, between, p=p)
    if np.isnan(inside[0]):
        raise ValueError(
            f"between: got {between!r} with r_old {r_old!r} and r_new {r_new!r}; no three variables can "
            "correlate like that"
        )
    cut = float(norm.isf(positives))
    low = -_FAR if p == 1 else float(norm.isf(p))
    return pd.DataFrame(
        {
            "score": ["old", "new"],
            "r": [r_old, r_new],
            "r_slice": inside,
            "auc": [_auc_alone(r, cut, -_FAR) for r in (r_old, r_new)],
            "auc_slice": [_auc_alone(r_old, cut, low), _auc_behind(r_old, r_new, between, cut, low)],
        }
    )


def slice_path(
    r_old: float, r_new: float, between: float, shares: Sequence[float], *, positives: float = 0.2
) -> pd.DataFrame:
    """Both scores' AUC inside smaller and smaller slices: a row a share and score, `p`, `score`, `auc`."""
    parts = [compare_in_slice(r_old, r_new, between, p=p, positives=positives) for p in shares]
    path = pd.concat(parts, keys=list(shares), names=["p", None]).reset_index("p")
    return path[["p", "score", "auc_slice"]].rename(columns={"auc_slice": "auc"})


def sign_map(p: float, between: float, *, steps: Sequence[float]) -> pd.DataFrame:
    """For which pairs of scores does the slice pick the better one? A row a pair that can be.

    Parameters
    ----------
    p, between : float
        As in `correlations_in_slice`.
    steps : sequence of float
        Correlations with the outcome that each score takes in turn; pairs of equals are left out.

    Returns
    -------
    DataFrame
        `r_old`, `r_new`, and `agreement`: how far apart the two correlations are inside the slice,
        negative where the wrong one is ahead.

    Examples
    --------
    >>> sign_map(0.1, 0.3, steps=[0.4, 0.5]).round(2).values.tolist()
    [[0.4, 0.5, 0.25], [0.5, 0.4, -0.09]]
    """
    pairs = pd.DataFrame(
        [(old, new) for old in steps for new in steps if old != new], columns=["r_old", "r_new"]
    )
    in_old, in_new = correlations_in_slice(pairs["r_old"], pairs["r_new"], between, p=p)
    pairs["agreement"] = (in_new - in_old) * np.sign(pairs["r_new"] - pairs["r_old"])
    return pairs.dropna(ignore_index=True)


# A demo's states share most of their slices.
@lru_cache(maxsize=4096)
def _auc_alone(r: float, cut: float, low: float) -> float:
    """AUC of a score among the rows where the score itself exceeds `low`."""
    s = np.linspace(low, low + 2 * _FAR if low == -_FAR else low + _FAR, 801)
    good = ndtr((r * s - cut) / np.sqrt(1 - r**2))
    return _auc_of_densities(s, _bell(s) * good, _bell(s) * (1 - good))


@lru_cache(maxsize=4096)
def _auc_behind(r_old: float, r_new: float, between: float, cut: float, low: float) -> float:
    """AUC of the new score among the rows where the old one exceeds `low`."""
    nodes, weights = np.polynomial.legendre.leggauss(80)
    half = (_FAR - low) / 2
    old = (low + half * (nodes + 1))[:, None]
    new = np.linspace(-_FAR, _FAR, 201)
    # The tendency given both scores, and the new score given the old.
    by_old, by_new = np.linalg.solve([[1, between], [between, 1]], [r_old, r_new])
    noise = np.sqrt(1 - by_old * r_old - by_new * r_new)
    good = ndtr((by_old * old + by_new * new - cut) / noise)
    mass = half * weights[:, None] * _bell(old) * _bell((new - between * old) / np.sqrt(1 - between**2))
    return _auc_of_densities(new, (mass * good).sum(0), (mass * (1 - good)).sum(0))


def _bell(x: np.ndarray) -> np.ndarray:
    """The normal density, but for its constant: only ratios of areas are used."""
    return np.exp(-(x**2) / 2)


def _auc_of_densities(s: np.ndarray, good: np.ndarray, bad: np.ndarray) -> float:
    """The chance that a good row scores above a bad one, from both densities on an even grid (any scale)."""
    below = cumulative_simpson(bad, x=s, initial=0)
    return float(simpson(good * below, x=s) / (simpson(good, x=s) * below[-1]))


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
        p=float(2 * norm.sf(abs(estimate) / se)) if se > 0 else None,
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
