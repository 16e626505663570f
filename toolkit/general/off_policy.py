"""What would another policy have earned on the requests that this log holds, and can this log tell?"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import norm

from toolkit.finding import Finding
from toolkit.frames import read_columns
from toolkit.general.mismatch import effective_sample_size
from toolkit.rules import level, number, one_of

__all__ = ["ESTIMATORS", "ope", "value_estimates"]

# In the order of the table. The first group needs no model of the reward.
WEIGHTING = ("IPS", "SNIPS", "clipped IPS")
MODELLED = ("DM", "DR", "SNDR", "switch-DR", "shrunk DR")
# The estimators, those that need a reward model after those that don't.
ESTIMATORS = (*WEIGHTING, *MODELLED)
# Fewer effective rows than this are no evidence.
LEAST_EFFECTIVE = 100.0
# An interval from a variance that fewer users carry is too narrow: with as many rare events as this a
# normal interval covers about 93% instead of 95%.
LEAST_CARRIERS = 30


def value_estimates(
    y: Any,
    weight: Any,
    *,
    q_logged: Any = None,
    q_target: Any = None,
    clusters: Any = None,
    clip: float | None = None,
    alpha: float = 0.05,
) -> pd.DataFrame:
    """The mean reward of a target policy, estimated from another policy's log in every usual way.

    Parameters
    ----------
    y : array of shape (n,)
        Reward of the logged action.
    weight : array of shape (n,)
        Target's over logging policy's probability of the logged action; not negative, not all 0.
    q_logged, q_target : array of shape (n,), optional
        A model's expected reward of the logged action, and of the target policy's (its mean over
        actions). Both or neither; without them there are no DM and DR.
    clusters : array of shape (n,), optional
        The rows' users, or other independent units; without it rows are independent.
    clip : float, optional
        Weights above it are cut to it (clipped IPS), dropped (switch-DR), and shrunk by
        w c^2 / (w^2 + c^2) (shrunk DR). The square root of n where not given, as Ionides (2008)
        has it.
    alpha : float

    Raises
    ------
    ValueError
        If there isn't one finite number a row, a weight is negative or all are 0, or there are fewer
        than two clusters.

    Returns
    -------
    DataFrame
        One row an estimator: `estimator`, `value`, `se`, `low`, `high` (delta method, clusters
        independent), `effective` (sample size after clipping), `largest_weight`, and `carriers`:
        about how many users carry the variance. The first row is the logging policy's own mean, the
        last the mean of the weights, which is 1 where the propensities are right and the log
        supports the target.

    References
    ----------
    Dudik, Langford and Li (2011), ICML (DM, DR); Swaminathan and Joachims (2015), NeurIPS (SNIPS);
    Wang, Agarwal and Dudik (2017), ICML (switch); Su et al. (2020), ICML (shrinkage).

    Examples
    --------
    >>> value_estimates([1, 0, 0, 1], [2, 0, 1, 1]).set_index("estimator")["value"].to_dict()
    {'logging policy': 0.5, 'IPS': 0.75, 'SNIPS': 0.75, 'clipped IPS': 0.75, 'mean weight': 1.0}
    """
    level(alpha)
    y, w = np.atleast_1d(np.asarray(y, dtype=float)), np.asarray(weight, dtype=float)
    if (q_logged is None) != (q_target is None):
        raise ValueError("q_target: got one of q_logged and q_target; a model needs both or neither")
    n = len(y)
    given = {"y": y, "weight": w, "q_logged": q_logged, "q_target": q_target}
    for name, values in given.items():
        array = np.zeros(n) if values is None else np.asarray(values, dtype=float)
        if array.shape != (n,):
            raise ValueError(f"{name}: got shape {array.shape} for {n} rewards; one each")
        if not np.isfinite(array).all():
            raise ValueError(f"{name}: got {array[~np.isfinite(array)][0]}; it must be finite")
    limit = float(np.sqrt(n)) if clip is None else number("clip", clip, above=0)
    effective, largest = effective_sample_size(w), float(w.max())
    users = clusters if isinstance(clusters, _Users) else _Users(n, clusters)
    ones = users.rows
    rows: list[tuple[str, float, float, float, float, float]] = []

    def add(
        name: str, value: float, influence: np.ndarray, size: float = effective, top: float = largest
    ) -> None:
        # Influence sums to 0 over users; its square sum is the variance (delta method).
        groups, squared = len(influence), influence * influence
        total = float(squared.sum())
        carriers = total**2 / float(squared @ squared) if total > 0 else float(groups)
        rows.append((name, value, float(np.sqrt(total * groups / (groups - 1))), size, top, carriers))

    def mean(name: str, sums: np.ndarray, size: float = effective, top: float = largest) -> None:
        value = float(sums.sum()) / n
        add(name, value, (sums - value * ones) / n, size, top)

    mean("logging policy", users.sum(y), float(n), 1.0)
    cut = largest > limit
    wy = w * y
    weighed, earned, total = users.sum(w), users.sum(wy), float(w.sum())
    mean("IPS", earned)
    value = float(earned.sum()) / total
    add("SNIPS", value, (earned - value * weighed) / total)
    if cut:
        small = np.minimum(w, limit)
        mean("clipped IPS", users.sum(small * y), effective_sample_size(small), limit)
    else:
        mean("clipped IPS", earned)
    if q_logged is not None:
        residual = y - np.asarray(q_logged, dtype=float)
        model, corrected = users.sum(np.asarray(q_target, dtype=float)), users.sum(w * residual)
        mean("DM", model, float(n), 0.0)
        mean("DR", model + corrected)
        base, shift = float(model.sum()) / n, float(corrected.sum()) / total
        add("SNDR", base + shift, (model - base * ones) / n + (corrected - shift * weighed) / total)
        if cut:
            kept = np.where(w <= limit, w, 0.0)
            top = float(kept.max())
            size = effective_sample_size(kept) if top > 0 else 0.0
            mean("switch-DR", model + users.sum(kept * residual), size, top)
        else:
            mean("switch-DR", model + corrected)
        shrunk = w * (limit**2 / (w * w + limit**2))
        size, top = effective_sample_size(shrunk), float(shrunk.max())
        mean("shrunk DR", model + users.sum(shrunk * residual), size, top)
    mean("mean weight", weighed)
    half = float(norm.isf(alpha / 2))
    table = pd.DataFrame(
        rows, columns=["estimator", "value", "se", "effective", "largest_weight", "carriers"]
    )
    table.insert(3, "low", table["value"] - half * table["se"])
    table.insert(4, "high", table["value"] + half * table["se"])
    return table


def ope(
    log: Any,
    *,
    y: str = "y",
    propensity: str = "propensity",
    target_prob: str = "target_prob",
    q_logged: str | None = None,
    q_target: str | None = None,
    cluster: str | None = "user_id",
    estimator: str | None = None,
    clip: float | None = None,
    least_effective: float = LEAST_EFFECTIVE,
    alpha: float = 0.05,
) -> Finding:
    """The mean reward of a policy that wasn't run, from the log of one that was (off-policy evaluation).

    Refuses where the log is worth too few rows: then the estimate is nan, and the verdict says that
    this log can't tell, whatever the table's estimates are.

    Parameters
    ----------
    log : frame
        One row a logged action: its reward `y`, the logging policy's probability of it
        (`propensity`), the target policy's (`target_prob`, in [0, 1]), its `cluster` (the user).
    q_logged, q_target : str, optional
        Columns with a model's expected reward of the logged action, and of the target policy's
        choice; both give DM and DR. Fit the model on other rows.
    cluster : str or None
        None: rows are independent.
    estimator : str, optional
        One of `ESTIMATORS`, for the headline; DR where there is a model, else SNIPS.
    clip : float, optional
        As in `value_estimates`.
    least_effective : float
        The effective sample size below which the log is refused.
    alpha : float
    y, propensity, target_prob : str
        Columns of the log.

    Returns
    -------
    Finding
        Estimate: the target policy's mean reward, with its interval by cluster. The table is that
        of `value_estimates`.

    Raises
    ------
    ValueError
        If columns or values are missing or not what they must be, a propensity isn't in (0, 1] or
        a target probability not in [0, 1], or the target would never have done what was logged.

    References
    ----------
    Dudik, Langford and Li (2011), ICML; Swaminathan and Joachims (2015), NeurIPS; Bottou et al.
    (2013), JMLR 14.

    Examples
    --------
    >>> draw = np.random.default_rng(0)
    >>> good = draw.random(4000) < 0.25  # the logging policy shows the better of two items one time in four
    >>> rows = pd.DataFrame({"y": draw.random(4000) < np.where(good, 0.6, 0.2), "user_id": np.arange(4000)})
    >>> rows["propensity"], rows["target_prob"] = np.where(good, 0.25, 0.75), np.where(good, 0.9, 0.1)
    >>> finding = ope(rows)
    >>> finding.ci[0] < 0.9 * 0.6 + 0.1 * 0.2 < finding.ci[1]
    True
    """
    level(alpha)
    number("least_effective", least_effective, above=0)
    if (q_logged is None) != (q_target is None):
        raise ValueError(
            f"q_target: got q_logged {q_logged!r} and q_target {q_target!r}; a model needs both columns"
        )
    models = [column for column in (q_logged, q_target) if column is not None]
    headline = one_of(
        "estimator", estimator or ("DR" if models else "SNIPS"), ESTIMATORS if models else WEIGHTING
    )
    columns = [y, propensity, target_prob, *models, *([] if cluster is None else [cluster])]
    table = read_columns(log, "log", columns, propensities=[propensity], numbers=[y, target_prob, *models])
    target = table[target_prob].to_numpy(float)
    if target.min() < 0 or target.max() > 1:
        raise ValueError(
            f"{target_prob}: got {target[(target < 0) | (target > 1)][0]} in log; a probability lies in [0, 1]"
        )
    if not target.max() > 0:
        raise ValueError(
            f"{target_prob}: got 0 in every row; the log holds no action that the target would take"
        )
    weight = target / table[propensity].to_numpy(float)
    users = _Users(len(table), None if cluster is None else table[cluster])
    estimates = value_estimates(
        table[y].to_numpy(),
        weight,
        q_logged=None if q_logged is None else table[q_logged].to_numpy(),
        q_target=None if q_target is None else table[q_target].to_numpy(),
        clusters=users,
        clip=clip,
        alpha=alpha,
    )
    named = estimates.set_index("estimator")
    told, balance = named.loc[headline], named.loc["mean weight"]
    effective, largest = float(balance["effective"]), float(balance["largest_weight"])
    refused = effective < least_effective
    unit = "rows" if cluster is None else "clusters"
    top = f"{largest:,.0f}" if largest >= 100 else f"{largest:.3g}"
    size = f"{effective:,.0f}" if effective >= 1000 else f"{effective:.1f}"
    worth = f"its {len(table):,} rows are worth {size} for this target (largest weight {top})"
    if refused:
        verdict = (
            f"This log can't tell what the target earns, whatever the estimates: {worth}, and "
            f"{least_effective:g} are needed."
        )
    else:
        verdict = (
            f"The target policy earns about {told['value']:.4g} a row ({headline}; the logging policy "
            f"{named.loc['logging policy', 'value']:.4g}): {worth}."
        )
        if told["carriers"] < LEAST_CARRIERS:
            verdict += f" Its interval rests on about {told['carriers']:.0f} {unit}, and is too narrow."
        if not balance["low"] <= 1 <= balance["high"]:
            verdict += (
                f" But the weights' mean is {balance['value']:.3g} ({balance['low']:.3g} to "
                f"{balance['high']:.3g}), not 1: propensities are wrong, or the target does what was never logged."
            )
    return Finding(
        float("nan") if refused else float(told["value"]),
        (float("nan"), float("nan")) if refused else (float(told["low"]), float(told["high"])),
        verdict,
        unit="reward a row",
        se=float("nan") if refused else float(told["se"]),
        n=len(table),
        n_clusters=None if cluster is None else len(users.rows),
        alpha=alpha,
        table=estimates,
        assumptions=(
            "propensities are those with which the logged actions were drawn",
            "whatever the target would do had some chance of being logged",
            "clusters are independent; one row's action doesn't change another's reward",
        ),
        cannot_tell=(
            "propensities that are wrong by a factor that averages out, from right ones",
            "what users would do once the target had served them for weeks",
        ),
    )


class _Users:
    """Sums of rows by user; without users every row is its own."""

    def __init__(self, n: int, clusters: Any) -> None:
        self.code: np.ndarray | None = None
        self.rows = np.ones(n)
        if clusters is not None:
            self.code = pd.factorize(np.asarray(clusters))[0]
            if len(self.code) != n or (self.code < 0).any():
                raise ValueError(
                    f"clusters: got {len(self.code)}, {int((self.code < 0).sum())} of them missing, for {n} rows; one each"
                )
            self.rows = np.bincount(self.code).astype(float)
        if len(self.rows) < 2:
            raise ValueError(f"clusters: got {len(self.rows)}; an interval needs two at least")

    def sum(self, values: np.ndarray) -> np.ndarray:
        if self.code is None:
            return values
        return np.bincount(self.code, values)
