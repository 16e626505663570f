"""Labels come in where somebody reports: how far off is what they say, and what would an audit cost?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import norm

from toolkit.features.rates import score_interval
from toolkit.finding import Finding
from toolkit.frames import read_columns
from toolkit.general.label_noise import clean_auc, noisy_auc, positives_only
from toolkit.general.mismatch import effective_sample_size
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


# With fewer reported rows there is no answer; with fewer rows of an outcome, users' likeness can't be measured.
_FEWEST_REPORTED, _FEWEST = 20, 5


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
    alpha : float
        One minus the level of each interval.

    Returns
    -------
    Finding
        Prevalence among reported posts less the prevalence of all, which is exactly
        cov(reported, y) / mean(reported). The table has it for prevalence, precision and recall,
        and for the prevalence within each tenth of the score, lowest first. Intervals are
        Newcombe's, from Wilson's of the reported and of the other posts, so that few or no bad
        posts among either make them wide; where one of the two has no post, there is none.

    Raises
    ------
    ValueError
        If columns or values are missing or not what they must be, fewer than 20 posts are reported or all are,
        a label or a side of the threshold doesn't occur, the score is constant, or there is one user.

    References
    ----------
    Newcombe (1998), "Interval estimation for the difference between independent proportions",
    Statistics in Medicine.

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
    user, users = pd.factorize(rows[user_id])
    if len(users) < 2:
        raise ValueError(f"{user_id}: got {len(users)} in audit; an interval needs two users at least")
    names = ["prevalence", "precision", "recall"] + [f"tenth {i + 1}" for i in range(parts)]
    groups = [np.ones(len(rows), bool), flagged, bad == 1, *(tenth == i for i in range(parts))]
    # Which rows of each group count: the bad ones, and for recall the flagged.
    hits = [bad, bad, flagged.astype(float), *[bad] * parts]
    gaps = [
        _gap(hit[group], told[group], weight[group], user[group], alpha)
        for group, hit in zip(groups, hits, strict=True)
    ]
    table = pd.DataFrame(
        {
            "measure": names,
            "reports": [gap.claim for gap in gaps],
            "audit": [gap.truth for gap in gaps],
            "bias": [gap.bias for gap in gaps],
            "low": [gap.ci[0] for gap in gaps],
            "high": [gap.ci[1] for gap in gaps],
            "rows": [int(group.sum()) for group in groups],
            "reported": [int(told[group].sum()) for group in groups],
        }
    )
    rates = [float(weight @ (told * kind) / (weight @ kind)) for kind in (bad, 1 - bad)]
    whole = gaps[0]
    if not whole.ci[0] <= 0 <= whole.ci[1]:
        seen = f"off by {100 * whole.bias:+.1f} points"
    elif whole.few:
        found = " and ".join(
            f"{int(bad[told == side].sum())} bad of {int((told == side).sum()):,} {kind}"
            for side, kind in ((1, "reported posts"), (0, "others"))
        )
        seen = f"too few to say ({found})"
    else:
        seen = "no bias is seen"
    return Finding(
        whole.bias,
        whole.ci,
        f"Reports say {whole.claim:.1%} of posts are bad, the audit {whole.truth:.1%}: {seen}; "
        f"{rates[0]:.2%} of bad posts are reported and {rates[1]:.2%} of good ones.",
        unit="share of posts",
        se=whole.se,
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


@dataclass(frozen=True)
class _Gap:
    """A share among reported rows against that among all."""

    claim: float
    truth: float
    ci: tuple[float, float] = (math.nan, math.nan)
    se: float = math.nan
    few: bool = True

    @property
    def bias(self) -> float:
        return self.claim - self.truth


def _gap(hit: np.ndarray, told: np.ndarray, weight: np.ndarray, user: np.ndarray, alpha: float) -> _Gap:
    """The gap is the unreported share times the difference of reported and other rows: so is its interval."""
    truth = float(weight @ hit / weight.sum())
    if not told.any() or told.all():
        return _Gap(truth if told.any() else math.nan, truth)
    z = float(norm.isf(alpha / 2))
    code, users = pd.factorize(user)
    sides = [_side(hit[rows], weight[rows], code[rows], len(users), z) for rows in (told == 1, told == 0)]
    (claim, low, high, moves, few), (rest, rest_low, rest_high, rest_moves, rest_few) = sides
    # What a user's reported and other rows have in common cancels in the difference.
    norms = math.sqrt(float(moves @ moves) * float(rest_moves @ rest_moves))
    alike = float(moves @ rest_moves) / norms if norms > 0 else 0.0
    reported = float(weight @ told / weight.sum())
    left = 1 - reported
    known_share = np.bincount(code, weight * (told - reported)) / weight.sum()
    difference = claim - rest
    drift = (difference * z) ** 2 * float(known_share @ known_share)

    def half(first: float, second: float) -> float:
        squares = first**2 + second**2 - 2 * alike * first * second
        return math.sqrt(max(0.0, left**2 * squares) + drift)

    se = math.sqrt(float(((left * (moves - rest_moves) - difference * known_share) ** 2).sum()))
    return _Gap(
        claim,
        truth,
        (
            left * difference - half(claim - low, rest_high - rest),
            left * difference + half(high - claim, rest - rest_low),
        ),
        math.nan if few or rest_few else se,
        few or rest_few,
    )


def _side(
    hit: np.ndarray, weight: np.ndarray, user: np.ndarray, users: int, z: float
) -> tuple[float, float, float, np.ndarray, bool]:
    """A weighted share, Wilson's interval for as many trials as its rows are worth, and what each user moves."""
    total = float(weight.sum())
    share_of = float(weight @ hit / total)
    moves = np.bincount(user, weight * (hit - share_of), minlength=users) / total
    few = min(float(hit.sum()), float((1 - hit).sum())) < _FEWEST
    if few:
        # Too few to see how alike a user's rows are: as alike as can be.
        worth = effective_sample_size(np.bincount(user, weight))
    else:
        worth = min(
            share_of * (1 - share_of) / max(float(moves @ moves), 1e-300),
            effective_sample_size(weight),
        )
    return share_of, *score_interval(share_of, worth=worth, quantile=z), moves, few


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
