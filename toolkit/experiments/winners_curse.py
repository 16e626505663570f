"""How much of what the shipped experiments claim is luck of having been chosen?"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np
from scipy.stats import norm

from toolkit.rules import level


def selection_errors(effect: float, se: float, *, alpha: float = 0.05) -> Mapping[str, float]:
    """What "significant" results of one design look like: power, wrong signs, exaggeration.

    Parameters
    ----------
    effect : float
        The true effect; not 0, or a sign can't be wrong nor a size exaggerated.
    se : float
        Standard error of the estimate, in the same unit; positive.
    alpha : float
        Level of the two-sided test.

    Returns
    -------
    mapping
        `power`; `type_s`, the share of significant estimates with the wrong sign; `type_m`, their
        expected size over the true size.

    References
    ----------
    Gelman and Carlin (2014), "Beyond Power Calculations", Perspectives on Psychological Science.

    Examples
    --------
    >>> errors = selection_errors(effect=2.8016, se=1.0)
    >>> round(errors["power"], 2), round(errors["type_m"], 3)
    (0.8, 1.125)
    """
    if not np.isfinite(effect) or effect == 0:
        raise ValueError(f"effect: got {effect!r}; it must be finite and not 0")
    if not se > 0:
        raise ValueError(f"se: got {se!r}; it must be positive")
    level(alpha)
    drift, limit = abs(effect) / se, norm.isf(alpha / 2)
    right, wrong = norm.sf(limit - drift), norm.cdf(-limit - drift)
    # E|Z| over both tails of a normal around the drift.
    size = drift * right + norm.pdf(limit - drift) - drift * wrong + norm.pdf(limit + drift)
    return {
        "power": float(right + wrong),
        "type_s": float(wrong / (right + wrong)),
        "type_m": float(size / (right + wrong) / drift),
    }


def lee_shen_bias(estimates: Any, ses: Any, *, threshold: float = 1.96) -> float:
    """The expected excess of the shipped experiments' summed estimates over their true sum.

    An experiment is shipped when its estimate exceeds `threshold` standard errors. The bias sums,
    over all experiments and not only the shipped, se phi((threshold se - effect) / se), each true
    effect replaced by its estimate; that substitution makes it approximate.

    Parameters
    ----------
    estimates, ses : arrays of shape (n_experiments,)
        All experiments that were candidates, shipped or not.

    References
    ----------
    Lee and Shen (2018), "Winner's Curse: Bias Estimation for Total Effects of Features in Online
    Controlled Experiments", KDD.

    Examples
    --------
    >>> round(lee_shen_bias([0.0], [1.0]), 4)
    0.0584
    """
    means, errors = _experiments(estimates, ses)
    return float((errors * norm.pdf(threshold - means / errors)).sum())


def shrink(estimates: Any, ses: Any) -> tuple[np.ndarray, np.ndarray]:
    """Each experiment's effect once all are taken for draws of one population (empirical Bayes).

    True effects are taken as normal; their mean and spread are learned from all experiments
    together. The spread's own uncertainty is integrated out, so that few experiments give wide
    answers.

    Parameters
    ----------
    estimates, ses : arrays of shape (n_experiments,)
        All experiments that were candidates, at least three.

    Returns
    -------
    mean of shape (n_experiments,), covariance of shape (n_experiments, n_experiments)
        Of the true effects given all estimates.

    Examples
    --------
    >>> mean, _ = shrink([3.0, 0.0, -0.4, 0.2], [1.0, 1.0, 1.0, 1.0])
    >>> bool(0 < mean[0] < 3)
    True
    """
    means, errors = _experiments(estimates, ses)
    if len(means) < 3:
        raise ValueError(f"estimates: got {len(means)}; a population's spread needs at least 3")
    # A flat prior on the spread, over a range that the data can't exceed.
    widest = max(4 * means.std(), 4 * errors.mean())
    spread = np.linspace(0, widest, 121)[:, None]
    total = errors**2 + spread**2  # (spreads, experiments), as all below
    precision = (1 / total).sum(1, keepdims=True)
    mean = (means / total).sum(1, keepdims=True) / precision
    log_weight = -0.5 * (
        (np.log(total) + (means - mean) ** 2 / total).sum(1, keepdims=True) + np.log(precision)
    )
    weight = np.exp(log_weight - log_weight.max())
    weight /= weight.sum()
    keep = spread**2 / total
    lean = 1 - keep  # how far the population's mean, itself uncertain, moves each experiment
    centres = keep * means + lean * mean
    centre = (weight * centres).sum(0)
    apart = centres - centre
    # Within a spread: each experiment's own, and what all share through the mean; then between spreads.
    covariance = np.diag((weight * keep * errors**2).sum(0))
    covariance += (lean * weight / precision).T @ lean + (apart * weight).T @ apart
    return centre, covariance


@lru_cache(maxsize=32)
def shipped_sums(
    experiments: int, spread: float, *, portfolios: int = 40, seed: int = 0
) -> Mapping[str, float]:
    """What a year's shipped experiments claim, what two corrections make of it, and what they brought.

    Averages over simulated portfolios. True effects are normal with mean 0 and the given spread,
    estimates have a standard error of 1, and z > 1.96 is shipped.

    Parameters
    ----------
    experiments : int
        Candidates in a portfolio.
    spread : float
        Standard deviation of the true effects, in standard errors; 0 for none.

    Returns
    -------
    mapping
        `claimed`, `Lee and Shen`, `empirical Bayes`, `real`, in standard errors.

    Examples
    --------
    >>> round(shipped_sums(20, 0.0, portfolios=10)["real"], 3)
    0.0
    """
    rng = np.random.default_rng(seed)
    sums = np.zeros(4)
    errors = np.ones(experiments)
    for _ in range(portfolios):
        truth = spread * rng.normal(size=experiments)
        seen = truth + rng.normal(size=experiments)
        shipped = seen > 1.96
        claimed = seen[shipped].sum()
        sums += (
            claimed,
            claimed - lee_shen_bias(seen, errors),
            shrink(seen, errors)[0][shipped].sum(),
            truth[shipped].sum(),
        )
    return dict(
        zip(("claimed", "Lee and Shen", "empirical Bayes", "real"), (sums / portfolios).tolist(), strict=True)
    )


def _experiments(estimates: Any, ses: Any) -> tuple[np.ndarray, np.ndarray]:
    means, errors = np.asarray(estimates, dtype=float), np.asarray(ses, dtype=float)
    if means.ndim != 1 or means.shape != errors.shape or not len(means):
        raise ValueError(
            f"ses: got shape {errors.shape} for estimates of shape {means.shape}; one each, at least one"
        )
    if not np.isfinite(means).all():
        raise ValueError(f"estimates: got {means[~np.isfinite(means)][:3].tolist()}; they must be finite")
    if not (errors > 0).all():
        raise ValueError(f"ses: got {errors[~(errors > 0)][:3].tolist()}; standard errors must be positive")
    return means, errors
