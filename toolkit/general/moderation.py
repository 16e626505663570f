"""Labels come in where somebody reports: how far off is what they say, and what would an audit cost?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import norm

from toolkit.finding import Finding
from toolkit.frames import read_columns
from toolkit.general.label_noise import clean_auc, noisy_auc, positives_only
from toolkit.resampling import bootstrap, interval
from toolkit.rules import count, level, number, share

__all__ = [
    "audit_gain",
    "audit_plan",
    "audit_size",
    "clean_auc",
    "noisy_auc",
    "positives_only",
    "report_bias",
]


# Fewer reported rows of either outcome give no interval, and fewer reported rows in all no answer.
_FEWEST, _FEWEST_REPORTED = 5, 20


def report_bias(
    audit: Any,
    *,
    threshold: float,
    y: str = "y",
    reported: str = "reported",
    score: str = "score",
    user_id: str = "user_id",
    propensity: str | None = None,
    alpha: float = 0.05,
    replicates: int = 500,
    rng: Any = 0,
) -> Finding:
    """How far prevalence, precision and recall are off when they are counted on reported rows only.

    Parameters
    ----------
    audit : frame
        One row a reviewed post, reported or not, drawn with a known chance.
    threshold : float
        The classifier flags a post whose score is at least this.
    y, reported, score, user_id : str
        Columns: the reviewer's label (1: bad), whether the post was reported (0, 1), the
        classifier's score, and the user, whose posts are drawn together.
    propensity : str, optional
        Column of the chance with which the row was drawn into the audit, where it isn't the same
        for all; each row then stands for one over it.
    alpha, replicates, rng
        Level, replicates and seed of the bootstrap intervals.

    Returns
    -------
    Finding
        Prevalence among reported posts less the prevalence of all, which is exactly
        cov(reported, y) / mean(reported). The table has it for prevalence, precision and recall,
        and for the prevalence within each tenth of the score, lowest first. A row of it with
        fewer than five reported posts that count, or that don't, has no interval.

    Raises
    ------
    ValueError
        If columns or values are missing or not what they must be, fewer than 20 posts are reported or all are,
        a label or a side of the threshold doesn't occur, or the score is constant.

    Examples
    --------
    >>> posts = pd.DataFrame({"user_id": range(400), "y": [1, 0, 0, 0] * 100, "score": [3, 1, 2, 0] * 100})
    >>> posts["reported"] = [1, 0, 0, 0] * 40 + [0, 0, 0, 1] * 10 + [0] * 200
    >>> round(report_bias(posts, threshold=2).estimate, 2)
    0.55
    """
    level(alpha), number("threshold", threshold)
    extra = [] if propensity is None else [propensity]
    rows = read_columns(
        audit,
        "audit",
        [user_id, y, reported, score, *extra],
        labels=[y, reported],
        propensities=extra,
        numbers=[score],
    )
    for column in (y, reported):
        if rows[column].nunique() < 2:
            raise ValueError(f"{column}: got only {rows[column].iloc[0]} in audit; both 0 and 1 must occur")
    if rows[reported].sum() < _FEWEST_REPORTED:
        raise ValueError(
            f"{reported}: got {int(rows[reported].sum())} reported posts in audit; their bias needs "
            f"{_FEWEST_REPORTED} at least"
        )
    scored = rows[score].to_numpy(float)
    if scored.min() == scored.max():
        raise ValueError(f"{score}: got only {scored[0]:g} in audit; a score must vary")
    flagged = scored >= threshold
    if flagged.all() or not flagged.any():
        raise ValueError(
            f"threshold: got {threshold!r} for scores from {scored.min():.4g} to {scored.max():.4g}; "
            "some posts must be flagged, and not all"
        )
    weight = np.ones(len(rows)) if propensity is None else 1 / rows[propensity].to_numpy(float)
    bad, told = rows[y].to_numpy(float), rows[reported].to_numpy(float)
    tenth = _tenths(scored, weight)
    parts = int(tenth.max()) + 1
    code, users = pd.factorize(rows[user_id])
    # What each user adds to the sums: rows, bad, reported, bad and reported; by tenth, and for the flagged.
    pieces = np.stack([weight, weight * bad, weight * told, weight * bad * told], axis=1)
    sums = np.zeros((len(users), parts + 1, 4))
    np.add.at(sums, (code, tenth), pieces)
    np.add.at(sums, (code[flagged], parts), pieces[flagged])
    flat = sums.reshape(len(users), -1)
    truth, claim = _both(sums.sum(0))
    drawn = bootstrap(lambda times: times @ flat, np.arange(len(users)), replicates=replicates, rng=rng)
    truths, claims = _both(drawn.reshape(replicates, parts + 1, 4))
    draws = claims - truths
    names = ["prevalence", "precision", "recall"] + [f"tenth {i + 1}" for i in range(parts)]
    groups = [np.ones(len(rows), bool), flagged, bad == 1, *(tenth == i for i in range(parts))]
    # Which rows of each group count: the bad ones, and for recall the flagged.
    hits = [bad == 1, bad == 1, flagged, *[bad == 1] * parts]
    ends = [interval(draws[:, 0], alpha=alpha)]
    for draw, group, hit in zip(draws.T[1:], groups[1:], hits[1:], strict=True):
        counts = [(group & (told == 1) & side).sum() for side in (hit, ~hit)]
        # Resampling a handful of rows doesn't show how else they might have come.
        ends.append(interval(draw, alpha=alpha) if min(counts) >= _FEWEST else (math.nan, math.nan))
    table = pd.DataFrame(
        {
            "measure": names,
            "reports": claim,
            "audit": truth,
            "bias": claim - truth,
            "low": [low for low, _ in ends],
            "high": [high for _, high in ends],
            "rows": [int(group.sum()) for group in groups],
            "reported": [int(told[group].sum()) for group in groups],
        }
    )
    total = pieces.sum(0)
    rates = (total[3] / total[1], (total[2] - total[3]) / (total[0] - total[1]))
    bias = float(claim[0] - truth[0])
    seen = "no bias is seen" if ends[0][0] <= 0 <= ends[0][1] else f"off by {100 * bias:+.1f} points"
    return Finding(
        bias,
        ends[0],
        f"Reports say {claim[0]:.1%} of posts are bad, the audit {truth[0]:.1%}: {seen}; "
        f"{rates[0]:.2%} of bad posts are reported and {rates[1]:.2%} of good ones.",
        unit="share of posts",
        se=float(draws[:, 0].std(ddof=1)),
        n=len(rows),
        n_clusters=len(users),
        alpha=alpha,
        table=table,
        assumptions=(
            "each post could be drawn into the audit, with the chance given (the same for all where none is)",
            "reviewers are right, and don't know whether a post was reported",
        ),
        cannot_tell=(
            "why a kind of post is reported more: what it is, who sees it, or how often it is shown",
            "bad posts that reviewers don't recognise either",
        ),
    )


def _both(sums: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each measure among all rows, and among reported ones; nan where nothing is counted."""
    tenths, flagged = sums[..., :-1, :], sums[..., -1, :]
    everything = tenths.sum(-2)
    made = []
    with np.errstate(invalid="ignore", divide="ignore"):
        for of, bad in ((0, 1), (2, 3)):
            three = (
                everything[..., bad] / everything[..., of],
                flagged[..., bad] / flagged[..., of],
                flagged[..., bad] / everything[..., bad],
            )
            made.append(
                np.concatenate([np.stack(three, axis=-1), tenths[..., bad] / tenths[..., of]], axis=-1)
            )
    return made[0], made[1]


def _tenths(score: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Which tenth of the weighted scores each row is in, from 0; equal scores are in one."""
    order = np.argsort(score, kind="stable")
    before = np.cumsum(weight[order]) / weight.sum()
    # The largest score of each tenth but the last.
    edges = np.unique(score[order][np.searchsorted(before, np.arange(1, 10) / 10 - 1e-12)])
    return np.unique(np.searchsorted(edges, score), return_inverse=True)[1]


def audit_size(prevalence: float, half_width: float, *, alpha: float = 0.05) -> int:
    """How many posts drawn at random give a prevalence within a half-width: z^2 p (1 - p) / d^2, rounded up.

    Parameters
    ----------
    prevalence : float
        The prevalence that one expects; 0.5 where nothing is known.
    half_width : float
        Half the length of the interval that one wants.

    Examples
    --------
    >>> audit_size(0.1, 0.01)
    3458
    """
    share("prevalence", prevalence, open_low=True, open_high=True)
    number("half_width", half_width, above=0, below=1)
    z = float(norm.isf(level(alpha) / 2))
    return math.ceil(z**2 * prevalence * (1 - prevalence) / half_width**2)


def audit_plan(shares: Sequence[float], rates: Sequence[float], *, rows: int) -> pd.DataFrame:
    """Where to spend an audit's rows: in each stratum as its share times its spread (Neyman).

    Parameters
    ----------
    shares : sequence of float
        Share of posts in each stratum, positive, summing to 1.
    rates : sequence of float
        Prevalence that one expects in each, in [0, 1].
    rows : int
        Posts that can be reviewed.

    Returns
    -------
    DataFrame
        One row a stratum: `share`, `rate`, `rows` (fractions not rounded).

    Raises
    ------
    ValueError
        If shares aren't a split of 1, rates no shares, or none of them leaves anything to find out.

    References
    ----------
    Neyman (1934), JRSS.

    Examples
    --------
    >>> audit_plan([0.9, 0.1], [0.02, 0.5], rows=1000)["rows"].round().tolist()
    [716.0, 284.0]
    """
    part, spread = _strata(shares, rates)
    count("rows", rows)
    return pd.DataFrame(
        {"share": part, "rate": np.asarray(rates, float), "rows": rows * part * spread / (part @ spread)}
    )


def audit_gain(shares: Sequence[float], rates: Sequence[float]) -> float:
    """How many posts drawn at random one post of the stratified `audit_plan` is worth.

    Examples
    --------
    >>> round(audit_gain([0.9, 0.1], [0.02, 0.5]), 2)
    2.05
    >>> round(audit_gain([0.5, 0.5], [0.1, 0.1]), 9)
    1.0
    """
    part, spread = _strata(shares, rates)
    mean = float(part @ np.asarray(rates, float))
    return float(mean * (1 - mean) / (part @ spread) ** 2)


def _strata(shares: Sequence[float], rates: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    part, rate = np.asarray(shares, dtype=float), np.asarray(rates, dtype=float)
    if part.ndim != 1 or part.shape != rate.shape:
        raise ValueError(f"rates: got {rate.size} for {part.size} shares; one a stratum")
    if not (part > 0).all() or not math.isclose(part.sum(), 1, abs_tol=1e-6):
        raise ValueError(f"shares: got {part.tolist()}; they must be positive and sum to 1")
    if not ((rate >= 0) & (rate <= 1)).all():
        raise ValueError(f"rates: got {rate.tolist()}; each must lie in [0, 1]")
    spread = np.sqrt(rate * (1 - rate))
    if not (spread > 0).any():
        raise ValueError(f"rates: got {rate.tolist()}; where all are 0 or 1 there is nothing to find out")
    return part, spread
