"""Were users split between the arms as designed?"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import chi2, norm

from toolkit.experiments.splits import arm_counts
from toolkit.finding import Finding, figure
from toolkit.rules import level, number

# Below this expected count in an arm chi-square's p isn't to be trusted.
_FEWEST = 5


def srm(
    assignments: Any,
    *,
    expected: Mapping[str, float] | None = None,
    experiment: str | None = None,
    by: str | None = None,
    alarm: float = 0.001,
    alpha: float = 0.05,
) -> Finding:
    """The share of users in an arm less the designed one, and the test of the whole split (sample ratio mismatch).

    Parameters
    ----------
    assignments : frame
        `user_id` and `arm`, and `experiment` where it is there. A user may be in it many times, in
        one arm: a serving log shows whether the users who were *seen* are split as designed. Rows
        without an arm don't count. A lazy frame counts by itself and sends the counts alone.
    expected : mapping of arm to share, optional
        The designed shares, positive and 1 in sum; equal ones for the arms that are there where
        not given. An arm of the design that received nobody counts with none.
    experiment : str, optional
        Which experiment, where there are several.
    by : str, optional
        A column (platform, country, day of entry) by whose values the split is tested too: where a
        loss is at home in one of them, it says where to look. A user seen in two counts in both;
        values with fewer users than the test takes have no p.
    alarm : float
        Level below which p is an alarm: much stricter than a metric's, for the test runs every day
        and a mismatch voids every metric.
    alpha : float
        One minus the level of the interval; with more than two arms it holds for all of them
        together.

    Returns
    -------
    Finding
        The estimate is that of the arm that is farthest off in standard errors; with two arms, of
        the one that the design names last. The table has every arm, in all users and in each value
        of `by`: `users`, `expected`, `share`, `designed`, and the group's `p`.

    Raises
    ------
    ValueError
        If columns or values are missing, a user is in two arms, there are several experiments and
        none is named, the shares are no split of 1, an arm isn't in the design, or an arm of the
        design expects fewer than five users.

    References
    ----------
    Fabijan et al. (2019), KDD; Kohavi, Tang and Xu (2020), Trustworthy Online Controlled
    Experiments.

    Examples
    --------
    >>> users = pd.DataFrame({"user_id": range(9_700), "arm": ["control"] * 5_000 + ["treatment"] * 4_700})
    >>> round(srm(users).p, 4)
    0.0023
    """
    level(alpha)
    level(alarm, name="alarm")
    counts, rows = arm_counts(assignments, "assignments", experiment=experiment)
    shares = _shares(expected, counts["arm"])
    whole = table = _counted(counts, shares, "all")
    parts: list[pd.DataFrame] = []
    if by is not None:
        groups, _ = arm_counts(assignments, "assignments", experiment=experiment, by=by)
        parts = [_counted(part, shares, value) for value, part in groups.groupby("group", sort=True)]
        table = pd.concat([whole, *parts], ignore_index=True)
    n = int(whole["users"].sum())
    p = float(whole["p"].iloc[0])
    if math.isnan(p):
        raise ValueError(f"assignments: got {n:,} users; an arm of the design must expect {_FEWEST} at least")
    at, off, se, ci = farthest_off(whole["users"].to_numpy(float), whole["designed"].to_numpy(), alpha=alpha)
    far = whole.iloc[at]
    counts = " / ".join(f"{users:,}" for users in whole["users"])
    verdict = (
        f"The split {counts} is not the designed one ({far['arm']}: {far['share']:.2%} instead of "
        f"{far['designed']:.2%}): no metric of this test may be read before the loss is found."
        if p < alarm
        else f"The split {counts} is one that the design would give by luck (p = {figure(p)})."
    )
    if by is not None:
        verdict += _where(parts, by, alarm)
    return Finding(
        off,
        ci,
        verdict,
        unit=f"of the users in {far['arm']}",
        se=se,
        p=p,
        n=rows,
        n_clusters=n,
        alpha=alpha,
        table=table,
        assumptions=("users were assigned one by one, independently of each other",),
        cannot_tell=(
            "which arm lost users and which gained some",
            "a loss that takes as many users from each arm, of whatever kind",
            "who was lost: whether they were like the rest",
        ),
    )


def ratio_p(counts: Mapping[str, int], expected: Mapping[str, float] | None = None) -> float:
    """The chance that a split at least as far from the designed one is luck (chi-square).

    Parameters
    ----------
    counts : mapping of arm to users
    expected : mapping of arm to share, optional
        Equal shares where not given.

    Raises
    ------
    ValueError
        As `srm`.

    Examples
    --------
    The split of a scorecard in Kohavi, Tang and Xu (2020):

    >>> round(ratio_p({"control": 821_588, "treatment": 815_482}) * 1e6, 1)
    1.8
    """
    arms = pd.Series([arm for arm, users in counts.items() if users > 0], dtype=object)
    shares = _shares(expected if expected is not None else dict.fromkeys(counts, 1 / len(counts)), arms)
    observed = np.array([counts.get(arm, 0) for arm in shares], dtype=float)
    p = _p(observed, np.array(list(shares.values())))
    if math.isnan(p):
        raise ValueError(
            f"counts: got {dict(counts)}; an arm of the design must expect {_FEWEST} users at least"
        )
    return p


def farthest_off(
    users: np.ndarray, designed: np.ndarray, *, alpha: float = 0.05
) -> tuple[int, float, float, tuple[float, float]]:
    """The arm that is farthest from its designed share: which, by how much, standard error, interval.

    Parameters
    ----------
    users, designed : arrays of shape (arms,)
        Counts, and designed shares. Of two arms, which are equally far off, it is the last.
    alpha : float
        With more than two arms the interval holds for all of them together (Bonferroni).

    Examples
    --------
    >>> at, off, _, _ = farthest_off(np.array([520.0, 480.0]), np.array([0.5, 0.5]))
    >>> at, round(off, 3)
    (1, -0.02)
    """
    n, arms = users.sum(), len(users)
    shares = users / n
    z = np.abs(shares - designed) / np.sqrt(designed * (1 - designed) / n)
    at = int(z.argmax()) if arms > 2 else arms - 1
    se = math.sqrt(shares[at] * (1 - shares[at]) / n)
    half = float(norm.isf(alpha / 2 / (arms if arms > 2 else 1))) * se
    off = float(shares[at] - designed[at])
    return at, off, se, (off - half, off + half)


def _shares(expected: Mapping[str, float] | None, arms: pd.Series) -> dict[str, float]:
    if not isinstance(expected, Mapping | None):
        raise ValueError(f"expected: got {expected!r}; it must give each arm its share")
    there = sorted(arms.unique())
    shares = dict.fromkeys(there, 1 / len(there)) if expected is None and there else dict(expected or {})
    if len(shares) < 2:
        raise ValueError(f"expected: got arms {list(shares)}; a split has two at least")
    for arm, share in shares.items():
        number(f"expected[{arm!r}]", share)
    if not all(share > 0 for share in shares.values()) or abs(sum(shares.values()) - 1) > 1e-9:
        raise ValueError(f"expected: got {shares}; shares must be positive and 1 in sum")
    strange = [arm for arm in there if arm not in shares]
    if strange:
        raise ValueError(f"arm: got {strange[0]!r}; the design has {', '.join(map(str, shares))}")
    return shares


def _counted(users: pd.DataFrame, shares: Mapping[str, float], group: Any) -> pd.DataFrame:
    # An arm that received nobody must count as 0, not drop out of the test.
    counts = users.set_index("arm")["users"].reindex(list(shares), fill_value=0)
    designed = np.array(list(shares.values()))
    return pd.DataFrame(
        {
            "group": str(group),
            "arm": list(shares),
            "users": counts.to_numpy(),
            "expected": designed * counts.sum(),
            "share": counts.to_numpy() / max(counts.sum(), 1),
            "designed": designed,
            "p": _p(counts.to_numpy(float), designed),
        }
    )


def _p(observed: np.ndarray, designed: np.ndarray) -> float:
    wanted = designed * observed.sum()
    if wanted.min() < _FEWEST:
        return math.nan
    return float(chi2.sf(((observed - wanted) ** 2 / wanted).sum(), len(observed) - 1))


def _where(parts: list[pd.DataFrame], by: str, alarm: float) -> str:
    groups = pd.Series({part["group"].iloc[0]: part["p"].iloc[0] for part in parts}).dropna()
    alarming = groups[groups < alarm / max(len(groups), 1)].sort_values()
    return f" By {by}, the alarm is in {', '.join(alarming.index)}." if len(alarming) else ""
