"""How much of what the shipped experiments claim is luck of having been chosen?"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import norm

from toolkit.rules import count, level, number


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
    number("se", se, above=0)
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
    effect replaced by its estimate. Estimates are more spread than effects, so more of them lie
    near the threshold: where effects are small the correction takes off too much.

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
    number("threshold", threshold)
    means, errors = _experiments(estimates, ses)
    return float((errors * norm.pdf(threshold - means / errors)).sum())


def shrink(estimates: Any, ses: Any) -> tuple[np.ndarray, np.ndarray]:
    """Each experiment's effect once all are taken for draws of one population (empirical Bayes).

    In that population some share of the experiments has no effect at all, and the effects of the
    others are normal; the share, the mean and the spread are learned from all experiments together.
    What stays unsure about them is averaged over, so that few experiments give wide answers.

    Parameters
    ----------
    estimates, ses : arrays of shape (n_experiments,)
        All experiments that were candidates, at least three.

    Returns
    -------
    mean of shape (n_experiments,), covariance of shape (n_experiments, n_experiments)
        Of the true effects given all estimates.

    References
    ----------
    Johnstone and Silverman (2004), "Needles and straw in haystacks", Annals of Statistics.

    Examples
    --------
    >>> mean, _ = shrink([3.0, 0.0, -0.4, 0.2], [1.0, 1.0, 1.0, 1.0])
    >>> bool(0 < mean[0] < 3)
    True
    """
    told = _posterior(*_experiments(estimates, ses))
    centres = told.real * told.effect
    centre = told.weight @ centres
    apart = centres - centre
    # Within a population each experiment's own, and what all share by not knowing the population.
    own = told.weight @ (told.real * (told.variance + told.effect**2) - centres**2)
    return centre, np.diag(own) + (apart.T * told.weight) @ apart


def chosen_sum(
    estimates: Any, ses: Any, chosen: Any, *, alpha: float = 0.05, rng: Any = 0
) -> tuple[float, float, tuple[float, float]]:
    """The true sum of some of the experiments once all are taken for draws of one population.

    Parameters
    ----------
    estimates, ses : arrays of shape (n_experiments,)
        As in `shrink`.
    chosen : array of bool of shape (n_experiments,)
        Which to add up; at least one.
    rng : int or Generator
        For the interval's draws.

    Returns
    -------
    total, standard error, interval
        The interval is the wider on each side of two: the draws' quantiles, which are skewed as the
        effects are where most experiments do nothing, and a normal, as no effect is exactly 0.

    Examples
    --------
    A large effect among many that are none is hardly shrunk:

    >>> total, _, _ = chosen_sum([10.0, 0.3, -0.4, 0.1, -0.2, 0.0], [1.0] * 6, [True] + [False] * 5)
    >>> 9 < total <= 10
    True
    """
    means, errors = _experiments(estimates, ses)
    picked = np.asarray(chosen, dtype=bool)
    if picked.shape != means.shape or not picked.any():
        raise ValueError(f"chosen: got {int(picked.sum())} of {len(means)}; there must be at least one")
    centre, covariance = shrink(means, errors)
    total, spread = float(centre[picked].sum()), float(np.sqrt(covariance[np.ix_(picked, picked)].sum()))
    told = _posterior(means, errors)
    draw = np.random.default_rng(rng)
    population = draw.choice(len(told.weight), 4000, p=told.weight)
    real, effect, variance = (part[population][:, picked] for part in (told.real, told.effect, told.variance))
    size = effect + np.sqrt(variance) * draw.normal(size=effect.shape)
    sums = np.where(draw.random(real.shape) < real, size, 0.0).sum(1)
    low, high = np.quantile(sums, [level(alpha) / 2, 1 - alpha / 2])
    half = norm.isf(alpha / 2) * spread
    return total, spread, (float(min(low, total - half)), float(max(high, total + half)))


class _Posterior(NamedTuple):
    """What may be known of each experiment in each possible population: one row a population."""

    weight: np.ndarray  # of the population, given all estimates
    real: np.ndarray  # the chance that the experiment has an effect
    effect: np.ndarray  # its mean where it has one
    variance: np.ndarray


def _posterior(means: np.ndarray, errors: np.ndarray) -> _Posterior:
    if len(means) < 3:
        raise ValueError(f"estimates: got {len(means)}; a population's spread needs at least 3")
    # Flat priors: on the share of nulls, on the spread up to what the data can't exceed, and on the
    # mean within one spread of 0.
    widest = 4 * max(np.sqrt(np.mean(means**2)), errors.mean())
    grid = np.meshgrid(np.linspace(0, 1, 9), widest * (np.arange(24) + 0.5) / 24, np.linspace(-1, 1, 5))
    null, spread, lean = (axis.reshape(-1, 1) for axis in grid)
    middle = lean * spread
    total = errors**2 + spread**2
    with np.errstate(divide="ignore"):  # no null at all, or nothing else
        straw = np.log(null) - 0.5 * (means / errors) ** 2 - np.log(errors)
        needle = np.log(1 - null) - 0.5 * ((means - middle) ** 2 / total + np.log(total))
    both = np.logaddexp(straw, needle)
    log_weight = both.sum(1)
    weight = np.exp(log_weight - log_weight.max())
    keep = spread**2 / total
    return _Posterior(
        weight / weight.sum(), np.exp(needle - both), middle + keep * (means - middle), keep * errors**2
    )


@lru_cache(maxsize=32)
def shipped_sums(
    experiments: int, spread: float, *, threshold: float = 1.96, portfolios: int = 60, seed: int = 0
) -> Mapping[str, float]:
    """What a year's shipped experiments claim, what two corrections make of it, and what they bring.

    Expected values over all years: true effects are normal with mean 0 and the given spread,
    estimates have a standard error of 1, and those above the threshold are shipped. All but
    empirical Bayes are exact.

    Parameters
    ----------
    experiments : int
        Candidates in a year, three at least.
    spread : float
        Standard deviation of the true effects, in standard errors; 0 for none.
    portfolios : int
        Simulated years for empirical Bayes.

    Returns
    -------
    mapping
        `claimed`, `Lee and Shen`, `empirical Bayes`, `real`, in standard errors.

    Examples
    --------
    >>> {name: round(total, 2) for name, total in shipped_sums(20, 0.0).items() if name != "empirical Bayes"}
    {'claimed': 1.17, 'Lee and Shen': -0.99, 'real': 0.0}
    """
    count("experiments", experiments, least=3)
    number("threshold", threshold)
    if number("spread", spread) < 0:
        raise ValueError(f"spread: got {spread!r}; it must not be negative")
    seen_spread = np.hypot(1.0, spread)
    # E[X; X > c] of a normal, of which true effects are the share spread^2 / (1 + spread^2).
    claimed = experiments * seen_spread * norm.pdf(threshold / seen_spread)
    kept = spread**2 / seen_spread**2
    bias = experiments * norm.pdf(threshold, scale=np.hypot(1.0, seen_spread))
    rng, errors, excess = np.random.default_rng(seed), np.ones(experiments), 0.0
    for _ in range(count("portfolios", portfolios)):
        seen = seen_spread * rng.normal(size=experiments)
        shipped = seen > threshold
        # Against whoever knows the population, whose answers are right on average: the same luck in
        # both, so that few portfolios are enough.
        excess += (shrink(seen, errors)[0] - kept * seen)[shipped].sum() if shipped.any() else 0.0
    return MappingProxyType(
        {
            "claimed": float(claimed),
            "Lee and Shen": float(claimed - bias),
            "empirical Bayes": float(kept * claimed + excess / portfolios),
            "real": float(kept * claimed),
        }
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
