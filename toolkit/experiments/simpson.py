"""Does the pooled difference of two arms say what every day of the test says?"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import norm

from toolkit.experiments.looks import two_arms
from toolkit.finding import Finding, figure
from toolkit.frames import IMPRESSION, read_columns, with_outcomes
from toolkit.resampling import clustered_error, several
from toolkit.rules import level


def simpson(
    log: Any,
    outcomes: Any,
    *,
    day: str | None = None,
    arm: str = "arm",
    treatment: str = "treatment",
    value: str = "y",
    cluster: str = "user_id",
    unit: str = "",
    alpha: float = 0.05,
) -> Finding:
    """What pooling adds to the difference of two arms: the pooled difference less the one within days.

    Parameters
    ----------
    log : frame
        Impressions: `request_id`, `item_id`, the arm, the cluster and `ts`; those without an arm
        don't count.
    outcomes : frame
        `request_id`, `item_id` and the metric's column.
    day : str, optional
        A column of the log to stratify by (a phase of the ramp-up, a market); the day of `ts`
        where not given.
    arm, cluster, value : str
        Columns: of the arm, of the unit that was assigned, of the metric.
    treatment : str
        The arm whose difference from the other one is taken.
    unit : str
        Of the metric's difference.
    alpha : float

    Returns
    -------
    Finding
        Pooled less stratified difference, with p of "pooling adds nothing". The stratified one weighs
        each day's difference by the day's impressions, whatever their arms. The table has one row a
        day and one each for "stratified" and "pooled", with the differences' intervals.

    Raises
    ------
    ValueError
        If columns or values are missing, an impression has no outcome, there aren't two arms, only
        one cluster, or a day has impressions of one arm only.

    References
    ----------
    Crook et al. (2009), Seven Pitfalls to Avoid when Running Controlled Experiments on the Web, KDD.

    Examples
    --------
    Both days the treatment is better by a tenth; on the second, poor, day it got most of the traffic:

    >>> log = pd.DataFrame({"request_id": range(80), "item_id": 7, "user_id": range(80),
    ...     "ts": pd.Timestamp("2026-03-02", tz="UTC") + pd.to_timedelta([0] * 40 + [1] * 40, unit="D"),
    ...     "arm": ["control"] * 30 + ["treatment"] * 40 + ["control"] * 10})
    >>> y = [1] * 15 + [0] * 15 + [1] * 6 + [0] * 4 + [1] * 6 + [0] * 24 + [1] + [0] * 9
    >>> finding = simpson(log, log[["request_id", "item_id"]].assign(y=y))
    >>> finding.table["difference"].round(3).tolist()
    [0.1, 0.1, 0.1, -0.1]
    """
    level(alpha)
    columns = [*IMPRESSION, arm, cluster, "ts" if day is None else day]
    rows = read_columns(
        log, "log", columns, missing=[arm], key=IMPRESSION, times=["ts"] if day is None else []
    )
    rows = rows[rows[arm].notna()]
    two_arms(rows[arm], treatment)
    rows = with_outcomes(rows, outcomes, value=value, label=False)
    stratum = rows["ts"].dt.strftime("%Y-%m-%d") if day is None else rows[day]
    names = sorted(stratum.unique())
    code = pd.Index(names).get_indexer(stratum)
    is_treated = (rows[arm] == treatment).to_numpy()
    y = rows[value].to_numpy(float)
    users = several(rows[cluster], cluster)
    shown, se = by_stratum(y, is_treated, code, users, names=names)
    z = float(norm.isf(alpha / 2))
    shown["low"], shown["high"] = shown["difference"] - z * shown["se"], shown["difference"] + z * shown["se"]
    differences = shown["difference"].to_numpy()[:-2]
    within, pooled = shown["difference"].to_numpy()[-2:]
    added = float(pooled - within)
    p = float(2 * norm.sf(abs(added) / se)) if se > 0 else (1.0 if abs(added) < 1e-12 else 0.0)
    same = "in each of" if (np.sign(differences) == np.sign(differences[0])).all() else "over"
    verdict = (
        f"Pooled, the difference is {figure(pooled, signed=True)}; within strata it is "
        f"{figure(within, signed=True)} ({same} {len(names)}). "
        + (
            "The arms' shares moved with the base rate: believe the strata."
            if p < alpha
            else "Pooling adds no more than luck would."
        )
    )
    return Finding(
        added,
        (added - z * se, added + z * se),
        verdict,
        unit=unit,
        se=se,
        p=p,
        n=len(rows),
        n_clusters=int(users.max()) + 1,
        alpha=alpha,
        table=shown,
        assumptions=(f"{cluster}s are independent of each other", "within a stratum the split was random"),
        cannot_tell=(
            "shares that moved within a stratum: stratify by the ramp-up's own phases",
            "an effect that differs from day to day, from one that doesn't, where days are few",
        ),
    )


def by_stratum(
    y: np.ndarray, is_treated: np.ndarray, code: np.ndarray, users: np.ndarray, *, names: Sequence[Any]
) -> tuple[pd.DataFrame, float]:
    """The arms' difference in each stratum, over strata and pooled; and the error of pooled less stratified.

    Parameters
    ----------
    y, is_treated, code, users : arrays of shape (n,)
        Of each row: the metric, whether it is the treatment's, its stratum as a place in `names`, its
        user as a whole number from 0.
    names : sequence
        The strata's names.

    Returns
    -------
    DataFrame, float
        The table that `simpson` shows, without intervals; a standard error clustered by user.

    Raises
    ------
    ValueError
        If a stratum has rows of one arm only.

    Examples
    --------
    >>> y, treated = np.array([0.0, 1, 1, 1]), np.array([False, True, False, True])
    >>> table, _ = by_stratum(y, treated, np.array([0, 0, 1, 1]), np.arange(4), names=["Fri", "Sat"])
    >>> table["difference"].tolist()
    [1.0, 0.0, 0.5, 0.5]
    """
    arms = {"treatment": is_treated, "control": ~is_treated}
    sizes = {
        name: np.bincount(code, weights=arm.astype(float), minlength=len(names)) for name, arm in arms.items()
    }
    for name, size in sizes.items():
        if (size == 0).any():
            raise ValueError(
                f"arm: got none of the {name} on {names[int(size.argmin())]}; each stratum needs both arms"
            )
    means = {
        name: np.bincount(code, weights=y * arm, minlength=len(names)) / sizes[name]
        for name, arm in arms.items()
    }
    whole = {name: float(y[arm].mean()) for name, arm in arms.items()}
    weights = (sizes["treatment"] + sizes["control"]) / len(y)
    differences = means["treatment"] - means["control"]
    within = float(weights @ differences)
    sign = np.where(is_treated, 1.0, -1.0)
    own_size = np.where(is_treated, sizes["treatment"][code], sizes["control"][code])
    own_mean = np.where(is_treated, means["treatment"][code], means["control"][code])
    by_row = sign * (y - own_mean) / own_size
    # A user who hadn't come would also have changed what the days weigh.
    influence_within = weights[code] * by_row + (differences[code] - within) / len(y)
    arm_mean = np.where(is_treated, whole["treatment"], whole["control"])
    influence_pooled = sign * (y - arm_mean) / np.where(is_treated, is_treated.sum(), (~is_treated).sum())
    share = float(is_treated.mean())
    rows: list[tuple[Any, ...]] = [
        (
            str(name),
            sizes["treatment"][at] / (sizes["treatment"][at] + sizes["control"][at]),
            means["control"][at],
            means["treatment"][at],
            differences[at],
            clustered_error(np.where(code == at, by_row, 0.0), users),
        )
        for at, name in enumerate(names)
    ]
    averaged = [float(weights @ means[name]) for name in ("control", "treatment")]
    rows.append(("stratified", share, *averaged, within, clustered_error(influence_within, users)))
    pooled = whole["treatment"] - whole["control"]
    rows.append(
        (
            "pooled",
            share,
            whole["control"],
            whole["treatment"],
            pooled,
            clustered_error(influence_pooled, users),
        )
    )
    table = pd.DataFrame(
        rows, columns=["stratum", "share_treated", "control", "treatment", "difference", "se"]
    )
    return table, clustered_error(influence_pooled - influence_within, users)


def pooled_and_stratified(counts: pd.DataFrame) -> dict[str, float]:
    """Pooled and stratified difference of two arms from a published table of counts.

    Parameters
    ----------
    counts : DataFrame
        One row a stratum: `users_control`, `events_control`, `users_treatment`, `events_treatment`.

    Returns
    -------
    dict
        `pooled` and `stratified` differences, and both in multiples of the control's rate
        (`pooled_relative`, `stratified_relative`).

    Raises
    ------
    ValueError
        If columns are missing, or a stratum has an arm without users.

    Examples
    --------
    The two days in Crook et al. (2009), of a million visitors each:

    >>> days = pd.DataFrame({"users_control": [990_000, 500_000], "events_control": [20_000, 5_000],
    ...     "users_treatment": [10_000, 500_000], "events_treatment": [230, 6_000]})
    >>> round(pooled_and_stratified(days)["pooled_relative"], 3)
    -0.272
    """
    names = [f"{what}_{arm}" for what in ("users", "events") for arm in ("control", "treatment")]
    table = read_columns(counts, "counts", names, numbers=names)
    users = {arm: table[f"users_{arm}"].to_numpy(float) for arm in ("control", "treatment")}
    for arm, sizes in users.items():
        if not (sizes > 0).all():
            raise ValueError(f"users_{arm}: got {sizes.min():g}; each stratum needs users of both arms")
    events = {arm: table[f"events_{arm}"].to_numpy(float) for arm in users}
    return two_ways(users, events)


def two_ways(users: Mapping[str, np.ndarray], events: Mapping[str, np.ndarray]) -> dict[str, float]:
    """As `pooled_and_stratified`, of arrays by arm that are known to be good.

    Examples
    --------
    >>> told = two_ways(dict.fromkeys(("control", "treatment"), np.array([1.0, 1.0])),
    ...     {"control": np.array([0.2, 0.4]), "treatment": np.array([0.3, 0.5])})
    >>> round(told["pooled"], 12) == round(told["stratified"], 12) == 0.1
    True
    """
    weights = users["control"] + users["treatment"]
    pooled = {arm: float(events[arm].sum() / users[arm].sum()) for arm in users}
    within = {arm: float(events[arm] / users[arm] @ weights / weights.sum()) for arm in users}
    result = {}
    for name, both in {"pooled": pooled, "stratified": within}.items():
        result[name] = both["treatment"] - both["control"]
        result[f"{name}_relative"] = result[name] / both["control"] if both["control"] > 0 else math.nan
    return result
