"""Does one experiment's split know of another's?"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
from scipy.optimize import brentq
from scipy.stats import chi2, ncx2, norm

from toolkit.experiments.srm import of_experiment
from toolkit.finding import Finding
from toolkit.frames import read_columns
from toolkit.resampling import clustered_error
from toolkit.rules import level

_FEWEST = 5


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
        frame holds both. Requests instead of users would make an alarm of nothing: a user's
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
        1 and its interval inverts the noncentral chi-square. The table has one row an arm of B:
        users in both, and the share of each arm of A among them.

    Raises
    ------
    ValueError
        If columns or values are missing, a user is there twice, an experiment isn't named where
        there are several, an experiment has one arm only among the users in both, or an arm pair
        expects fewer than five users.

    References
    ----------
    Cramér (1946), Mathematical Methods of Statistics; Kohavi, Tang and Xu (2020).

    Examples
    --------
    >>> users = np.arange(4_000)
    >>> a = pd.DataFrame({"user_id": users, "arm": np.where(users % 2, "treatment", "control")})
    >>> b = pd.DataFrame({"user_id": users, "arm": np.where(users % 4 > 1, "treatment", "control")})
    >>> orthogonality(a, b).estimate, orthogonality(a, a).estimate
    (0.0, 1.0)
    """
    level(alpha)
    level(alarm, name="alarm")
    sides = []
    for frame, name, experiment in ((a, "a", experiment_a), (b, "b", experiment_b)):
        table = read_columns(frame, name, ["user_id", "arm"], optional=["experiment"])
        table = of_experiment(table, experiment, name)
        if table["user_id"].duplicated().any():
            again = int(table["user_id"].duplicated().sum())
            raise ValueError(
                f"user_id: got {again:,} repeated of {len(table):,} in {name}; one row a user, not an event"
            )
        sides.append(table[["user_id", "arm"]])
    both = sides[0].merge(sides[1], on="user_id", suffixes=("_a", "_b"))
    for side in ("a", "b"):
        if both[f"arm_{side}"].nunique() < 2:
            raise ValueError(
                f"{side}: got one arm or none among the {len(both):,} users in both; it must have two at least"
            )
    counts = pd.crosstab(both["arm_b"], both["arm_a"])
    observed = counts.to_numpy(float)
    n = len(both)
    wanted = observed.sum(1, keepdims=True) * observed.sum(0, keepdims=True) / n
    if wanted.min() < _FEWEST:
        raise ValueError(f"users: got {n:,} in both; each pair of arms must expect {_FEWEST} at least")
    statistic = float(((observed - wanted) ** 2 / wanted).sum())
    freedom = (observed.shape[0] - 1) * (observed.shape[1] - 1)
    p = float(chi2.sf(statistic, freedom))
    if observed.shape == (2, 2):
        estimate, se = _signed(both)
        half = float(norm.isf(alpha / 2)) * se
        ci = (max(estimate - half, -1.0), min(estimate + half, 1.0))
    else:
        scale = n * (min(observed.shape) - 1)
        estimate, se = math.sqrt(statistic / scale), math.nan
        ci = (
            math.sqrt(_noncentrality(statistic, freedom, 1 - alpha / 2) / scale),
            min(math.sqrt(_noncentrality(statistic, freedom, alpha / 2) / scale), 1.0),
        )
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


def _signed(both: pd.DataFrame) -> tuple[float, float]:
    """The correlation of the two second arms, and its standard error by its influence function."""
    z = []
    for side in ("arm_a", "arm_b"):
        second = (both[side] == sorted(both[side].unique())[1]).to_numpy(float)
        z.append((second - second.mean()) / second.std())
    correlation = float((z[0] * z[1]).mean())
    influence = (z[0] * z[1] - correlation / 2 * (z[0] ** 2 + z[1] ** 2)) / len(both)
    return round(correlation, 12), clustered_error(influence, np.arange(len(both)))


def _noncentrality(statistic: float, freedom: int, chance: float) -> float:
    """The noncentrality at which a statistic this large or smaller has the chance; 0 where there is none."""
    if chi2.cdf(statistic, freedom) <= chance:
        return 0.0
    top = statistic + 10 * math.sqrt(statistic + freedom) + 50
    return float(brentq(lambda size: ncx2.cdf(statistic, freedom, size) - chance, 1e-12, top))
