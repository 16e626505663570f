"""Does one experiment's split know of another's?"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from scipy.optimize import brentq
from scipy.stats import chi2, ncx2, norm

from toolkit.experiments.splits import pair_counts
from toolkit.finding import Finding
from toolkit.rules import level

_FEWEST = 5
# Below this p V is so far from 0 that it is about normal; nearer to 0 it follows the noncentral chi-square.
_CLEAR = 1e-6


def orthogonality(
    a: Any,
    b: Any,
    *,
    experiment_a: str | None = None,
    experiment_b: str | None = None,
    alarm: float = 0.001,
    alpha: float = 0.05,
) -> Finding:
    """How far a user's arm in one experiment tells that user's arm in another: Cramér's V, by user.

    Parameters
    ----------
    a, b : frames
        Each experiment's assignments: `user_id` and `arm`, one row a user; `experiment` where one
        frame holds both. Two lazy frames of one library are joined where they are. Requests instead of users would make an alarm of nothing: a user's
        requests all have that user's two arms.
    experiment_a, experiment_b : str, optional
        Which experiment, where a frame has several.
    alarm : float
        Level below which p is an alarm.
    alpha : float

    Returns
    -------
    Finding
        With two arms in each, V has a sign: it is the correlation of the two second arms (in order
        of name), which times A's effect is what B's result carries of A. With more, V lies from 0 to
        1 and near 0 its interval inverts the noncentral chi-square. The table has one row an arm of B:
        users in both, and the share of each arm of A among them.

    Raises
    ------
    ValueError
        If columns or values are missing, a user is there twice, the frames' users are of different types, an experiment isn't named where
        there are several, an experiment has one arm only among the users in both, or an arm pair
        expects fewer than five users.

    References
    ----------
    Cramér (1946), Mathematical Methods of Statistics; Kohavi, Tang and Xu (2020).

    Examples
    --------
    >>> import pandas as pd
    >>> users = np.arange(4_000)
    >>> a = pd.DataFrame({"user_id": users, "arm": np.where(users % 2, "treatment", "control")})
    >>> b = pd.DataFrame({"user_id": users, "arm": np.where(users % 4 > 1, "treatment", "control")})
    >>> orthogonality(a, b).estimate, orthogonality(a, a).estimate
    (0.0, 1.0)
    """
    level(alpha)
    level(alarm, name="alarm")
    both = pair_counts(a, b, experiment_a=experiment_a, experiment_b=experiment_b)
    n = int(both["users"].sum())
    for side in ("a", "b"):
        if both[f"arm_{side}"].nunique() < 2:
            raise ValueError(
                f"{side}: got one arm or none among the {n:,} users in both; it must have two at least"
            )
    counts = both.pivot_table(index="arm_b", columns="arm_a", values="users", aggfunc="sum", fill_value=0)
    counts.columns = counts.columns.astype(str)
    estimate, se, ci, p = dependence(counts.to_numpy(float), alpha=alpha)
    rows = counts.div(counts.sum(axis=1), axis=0).add_prefix("share of a in ")
    rows.insert(0, "users", counts.sum(axis=1))
    rows.columns.name = None
    verdict = (
        f"The splits aren't independent (V = {estimate:.3f}): what A does to its users is part of B's result."
        if p < alarm
        else f"The {n:,} users in both show no dependence; a V outside {ci[0]:.3f} to {ci[1]:.3f} is unlikely."
    )
    return Finding(
        estimate,
        ci,
        verdict,
        unit="Cramér's V",
        se=se,
        p=p,
        n=n,
        n_clusters=n,
        alpha=alpha,
        table=rows.rename_axis("arm of b").reset_index(),
        assumptions=("users are independent of each other",),
        cannot_tell=(
            "an interaction: A changing what B does, which independent splits don't prevent",
            "users who are in one of the two only, as in layers that exclude each other",
            "experiments that nobody named",
        ),
    )


def dependence(
    observed: np.ndarray, *, alpha: float = 0.05
) -> tuple[float, float, tuple[float, float], float]:
    """Cramér's V of a table of users, its standard error and interval, and p of independence.

    Parameters
    ----------
    observed : array of shape (arms of b, arms of a)
        Users by their two arms. V of two by two has a sign, as in `orthogonality`; the standard error
        of a larger table's is nan near 0, where V isn't normal.
    alpha : float

    Raises
    ------
    ValueError
        If a pair of arms expects fewer than five users.

    Examples
    --------
    >>> v, se, ci, p = dependence(np.array([[60.0, 40.0], [40.0, 60.0]]))
    >>> round(v, 3), round(se, 3), round(p, 4)
    (0.2, 0.069, 0.0047)
    """
    n = observed.sum()
    wanted = observed.sum(1, keepdims=True) * observed.sum(0, keepdims=True) / n
    if wanted.min() < _FEWEST:
        raise ValueError(f"users: got {n:,.0f} in both; each pair of arms must expect {_FEWEST} at least")
    statistic = float(((observed - wanted) ** 2 / wanted).sum())
    freedom = (observed.shape[0] - 1) * (observed.shape[1] - 1)
    p = float(chi2.sf(statistic, freedom))
    if observed.shape == (2, 2):
        # Each user is one of four kinds: second arm or not, in either experiment, standardised.
        second = [observed.sum(axis)[1] / n for axis in (1, 0)]
        b, a = (np.array([-share, 1 - share]) / math.sqrt(share * (1 - share)) for share in second)
        both = np.outer(b, a)
        v = float((both * observed).sum() / n)
        influence = both - v / 2 * (b[:, None] ** 2 + a[None, :] ** 2)
        se = math.sqrt((observed * influence**2).sum() / (n - 1) / n)
        half, v = float(norm.isf(alpha / 2)) * se, round(v, 12)
        return v, se, (max(v - half, -1.0), min(v + half, 1.0)), p
    scale = n * (min(observed.shape) - 1)
    v = math.sqrt(statistic / scale)
    if p < _CLEAR:
        se = _error_of_v(observed / n, n, v)
        centre, half = math.sqrt((statistic - freedom) / scale), float(norm.isf(alpha / 2)) * se
        return v, se, (max(centre - half, 0.0), min(centre + half, 1.0)), p
    low, high = (
        math.sqrt(_noncentrality(statistic, freedom, chance) / scale) for chance in (1 - alpha / 2, alpha / 2)
    )
    return v, math.nan, (low, min(high, 1.0)), p


def _error_of_v(part: np.ndarray, n: float, v: float) -> float:
    """The delta method for Cramér's V: what one more user of each kind adds to phi squared."""
    row, column = part.sum(1, keepdims=True), part.sum(0, keepdims=True)
    over = part / (row * column)
    added = (
        2 * over - (over * part).sum(1, keepdims=True) / row - (over * part).sum(0, keepdims=True) / column
    )
    spread = math.sqrt((part * added**2).sum() - (part * added).sum() ** 2)
    return spread / math.sqrt(n) / (2 * v * (min(part.shape) - 1))


def _noncentrality(statistic: float, freedom: int, chance: float) -> float:
    """The noncentrality at which a statistic this large or smaller has the chance; 0 where there is none."""
    if chi2.cdf(statistic, freedom) <= chance:
        return 0.0
    top = statistic + 10 * math.sqrt(statistic + freedom) + 50
    return float(brentq(lambda size: ncx2.cdf(statistic, freedom, size) - chance, 1e-12, top))
