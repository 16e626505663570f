"""What becomes of two scores' correlations and AUCs inside the slice that one of them chose?

Restriction of range, in closed form and by quadrature.
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

from toolkit.rules import number, share

# Beyond so many standard deviations the normal density adds nothing to a 64-bit sum.
_FAR = 9.0
# Behind a cut further out the quadrature would have no room.
LEAST_SHOWN = 1e-6


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
    for name, values in (("r_old", old), ("r_new", new), ("between", both)):
        if not (np.abs(values) <= 1).all():
            wrong = values[~(np.abs(values) <= 1)].flat[0]
            raise ValueError(f"{name}: got {wrong}; a correlation lies in [-1, 1]")
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

    Raises
    ------
    ValueError
        If a correlation isn't strictly between -1 and 1, or no three variables can correlate like
        that.

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
    new = slice_new * spread + lost * old * between
    if not 1 - old**2 - new**2 - between**2 + 2 * old * new * between > 0:
        raise ValueError(
            f"slice_new: got {slice_new!r} with slice_old {slice_old!r} and between {between!r}; no three variables "
            "can correlate like that"
        )
    return float(old), float(new)


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
        Share of rows that are shown: those with the highest old score; one in a million at least.
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
    if not p >= LEAST_SHOWN:
        raise ValueError(f"p: got {p!r}; it must be {LEAST_SHOWN:g} at least, where the quadrature is exact")
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
    """Both scores' AUC inside smaller and smaller slices: a row a share and score, `p`, `score`, `auc`.

    Examples
    --------
    The old score is better on all rows, and looks worse in the slice that it chose:

    >>> path = slice_path(0.5, 0.4, 0.3, [1.0, 0.1]).set_index(["p", "score"])["auc"]
    >>> bool(path[1.0, "old"] > path[1.0, "new"]), bool(path[0.1, "old"] > path[0.1, "new"])
    (True, False)
    """
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
    [[0.4, 0.5, 0.27], [0.5, 0.4, -0.09]]
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
