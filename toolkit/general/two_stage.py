"""What does a light ranker in front of a heavy one cost, or save?

Closed forms where scores are normal, and a simulated funnel where one ranker knows what the other
doesn't.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Literal

import numpy as np
import pandas as pd
from scipy.optimize import brentq
from scipy.special import bdtr, ndtr
from scipy.stats import norm

from toolkit.rules import count, number, one_of, share

Heavy = Literal["old", "new", "perfect"]

# How exactly each heavy ranker sees what it knows: the standard deviation of its error.
HEAVY_NOISE = 0.5


def recall(correlation: float, *, wanted: float = 0.01, passed: float = 0.1) -> float:
    """The share of the heavy ranker's best candidates that a light ranker lets through.

    Both scores are normal with a correlation; there are so many candidates that shares are exact.

    Parameters
    ----------
    correlation : float
        Between light and heavy score, in [-1, 1].
    wanted : float
        Share of the candidates that the heavy ranker likes best.
    passed : float
        Share that the light ranker lets through.

    Examples
    --------
    >>> round(recall(0.9), 3), round(recall(0.5), 3), round(recall(0), 3)
    (0.989, 0.523, 0.1)
    """
    number("correlation", correlation, above=-1.0000001, below=1.0000001)
    share("wanted", wanted, open_low=True)
    share("passed", passed)
    if passed in (0, 1):
        return float(passed)
    if abs(correlation) >= 1:
        kept = min(wanted, passed) if correlation > 0 else max(0.0, wanted + passed - 1)
        return float(kept / wanted)
    low = max(norm.isf(wanted), -9.0) if wanted < 1 else -9.0
    heavy, weight = _nodes(low, max(low + 1, 9.0), 400)
    through = ndtr((correlation * heavy - norm.isf(passed)) / np.sqrt(1 - correlation**2))
    return float(weight @ (norm.pdf(heavy) * through) / wanted)


def correlation_for(wanted_recall: float, *, wanted: float = 0.01, passed: float = 0.1) -> float:
    """The correlation between light and heavy score at which the recall is as wanted.

    Raises
    ------
    ValueError
        If no correlation strictly between -1 and 1 gives it.

    Examples
    --------
    >>> round(correlation_for(0.8), 3)
    0.713
    """
    low, high = (recall(sign, wanted=wanted, passed=passed) for sign in (-1, 1))
    number("wanted_recall", wanted_recall, above=low, below=high)
    return float(brentq(lambda r: recall(r, wanted=wanted, passed=passed) - wanted_recall, -1, 1, xtol=1e-10))


def favourite_survives(correlation: float, *, candidates: int, passed: int) -> float:
    """The chance that the heavy ranker's single favourite among some candidates gets through.

    Exact for independent candidates whose two scores are normal with a correlation: given the
    favourite's scores, the others' are those of candidates with a lower heavy score.

    Parameters
    ----------
    correlation : float
        Strictly between -1 and 1.
    candidates : int
        At each request.
    passed : int
        How many the light ranker lets through.

    Examples
    --------
    >>> round(favourite_survives(0.0, candidates=500, passed=25), 3)
    0.05
    """
    number("correlation", correlation, above=-1, below=1)
    count("candidates", candidates, least=2)
    count("passed", passed)
    if passed >= candidates:
        return 1.0
    spread = np.sqrt(1 - correlation**2)
    # The favourite's heavy score: the largest of `candidates` normals. Its light score, given that.
    top, top_weight = _nodes(norm.ppf(1e-10 ** (1 / candidates)), norm.isf(1e-12 / candidates), 80)
    density = candidates * norm.pdf(top) * ndtr(top) ** (candidates - 1)
    shock, shock_weight = _nodes(-8.0, 8.0, 120)
    light = correlation * top[:, None] + spread * shock
    # Chance that another candidate, its heavy score below `top`, has a higher light score.
    below, below_weight = _nodes(-1.0, 0.0, 120)
    other = top[:, None] + below * (top[:, None] + 9)
    mass = below_weight * (top[:, None] + 9) * norm.pdf(other)
    above = np.array(
        [
            m @ ndtr((correlation * o[:, None] - line) / spread)
            for m, o, line in zip(mass, other, light, strict=True)
        ]
    )
    overtaken = np.clip(above / ndtr(top)[:, None], 0, 1)
    kept = bdtr(passed - 1, candidates - 1, overtaken)
    return float((top_weight * density) @ kept @ (shock_weight * norm.pdf(shock)))


def light_correlation(*, light_noise: float, retrained: bool) -> float:
    """The correlation of the light ranker's score with the new heavy ranker's in `rewards_behind`.

    Examples
    --------
    Without noise the light score is one of the two parts of the new score, whose standard deviation is
    1.5; retrained, it is both:

    >>> [round(light_correlation(light_noise=0.0, retrained=retrained), 3) for retrained in (False, True)]
    [0.667, 0.943]
    """
    known = np.sqrt(2) if retrained else 1.0
    return float(known / np.sqrt((1 + light_noise**2) * (2 + HEAVY_NOISE**2)))


def rewards_behind(
    passed: Sequence[int],
    *,
    heavy: Heavy,
    light_noise: float = 1.0,
    retrained: bool = False,
    candidates: int = 500,
    requests: int = 2000,
    rng: int = 0,
) -> np.ndarray:
    """The mean quality of what a heavy ranker shows when a light ranker hands it so many candidates.

    A candidate's quality is (A + B) / sqrt(2), of two independent standard normal parts. The old
    heavy ranker sees A, the new one both, each with an error; the perfect one sees quality itself.
    The light ranker sees A, as the old one did, or after retraining the same mixture as the new
    one; its signal has variance 1, and noise is added.

    Parameters
    ----------
    passed : sequence of int
        Numbers of candidates that get through.
    heavy : "old", "new" or "perfect"
    light_noise : float
        Standard deviation of the light ranker's error.
    retrained : bool
        Whether the light ranker was trained on the new heavy ranker's scores.
    candidates, requests : int
    rng : int
        Equal numbers mean the same candidates and errors for every setting.

    Returns
    -------
    array of shape (len(passed),)

    Examples
    --------
    >>> old = rewards_behind([25, 500], heavy="old", requests=500)
    >>> new = rewards_behind([25, 500], heavy="new", requests=500)
    >>> behind, unfiltered = new - old
    >>> bool(0 < behind < unfiltered)
    True
    """
    one_of("heavy", heavy, ("old", "new", "perfect"))
    number("light_noise", light_noise, above=-1e-12)
    for kept in passed:
        if count("passed", kept) > candidates:
            raise ValueError(f"passed: got {kept}; there are {candidates} candidates")
    return _rewards(
        tuple(passed), heavy, float(light_noise), bool(retrained), candidates, requests, rng
    ).copy()


def gains_by_width(
    *,
    light_noise: float = 1.0,
    perfect: bool = False,
    retrained: bool = False,
    passed: Sequence[int] = (1, 2, 5, 10, 25, 50, 100, 250, 500),
    requests: int = 2000,
) -> pd.DataFrame:
    """What a new heavy ranker gains over the old one, behind a light ranker of any width and without.

    The gain is over today's system: the old heavy ranker behind the old light one, which passes as
    many.

    Returns
    -------
    DataFrame
        One row a width and funnel: `passed`, `funnel` ("filtered" by the light ranker, or
        "unfiltered"), `gain` in standard deviations of quality.

    Examples
    --------
    A filter that lets all 500 candidates through is none:

    >>> filtered, free = gains_by_width(passed=[500], requests=100)["gain"]
    >>> filtered == free
    True
    """
    heavy: Heavy = "perfect" if perfect else "new"

    def gain(widths: Sequence[int]) -> np.ndarray:
        today = rewards_behind(widths, heavy="old", light_noise=light_noise, requests=requests)
        settings: dict[str, Any] = {"light_noise": light_noise, "retrained": retrained, "requests": requests}
        return rewards_behind(widths, heavy=heavy, **settings) - today

    behind, free = gain(passed), gain([500])
    return pd.concat(
        [
            pd.DataFrame({"passed": passed, "funnel": "filtered", "gain": behind}),
            pd.DataFrame({"passed": passed, "funnel": "unfiltered", "gain": free[0]}),
        ],
        ignore_index=True,
    )


def correlations_with_quality(passed: float, *, light_noise: float = 1.0) -> pd.DataFrame:
    """How well the old and the new heavy ranker seem to rank, on all candidates and on those that passed.

    The world of `rewards_behind`, in closed form: choosing by the light score shrinks what
    correlates with it (Pearson and Lawley).

    Parameters
    ----------
    passed : float
        Share of candidates that the light ranker lets through, in (0, 1].

    Returns
    -------
    DataFrame
        One row a ranker: `ranker`, `all`, `passed`.

    Examples
    --------
    >>> correlations_with_quality(1.0)["all"].round(3).tolist()
    [0.632, 0.943]
    """
    share("passed", passed, open_low=True)
    half = np.sqrt(0.5)
    # Quality, old, new, light.
    loads = np.array([[half, half], [1, 0], [1, 1], [1, 0]])
    covariance = loads @ loads.T + np.diag([0, HEAVY_NOISE**2, HEAVY_NOISE**2, light_noise**2])
    if passed < 1:
        cut = norm.isf(passed)
        mean = norm.pdf(cut) / passed
        left = 1 - mean * (mean - cut)  # variance of a standard normal above the cut
    else:
        left = 1.0
    chosen = covariance - (1 - left) * np.outer(covariance[3], covariance[3]) / covariance[3, 3]

    def with_quality(matrix: np.ndarray) -> list[float]:
        return [float(matrix[0, i] / np.sqrt(matrix[0, 0] * matrix[i, i])) for i in (1, 2)]

    return pd.DataFrame(
        {"ranker": ["old", "new"], "all": with_quality(covariance), "passed": with_quality(chosen)}
    )


@lru_cache(maxsize=64)
def _rewards(
    passed: tuple[int, ...],
    heavy: Heavy,
    light_noise: float,
    retrained: bool,
    candidates: int,
    requests: int,
    rng: int,
) -> np.ndarray:
    a, b, light_error, old_error, new_error = _draws(candidates, requests, rng)
    quality = (a + b) * np.float32(np.sqrt(0.5))
    error = np.float32(HEAVY_NOISE)
    score = {"old": a + error * old_error, "new": a + b + error * new_error, "perfect": quality}[heavy]
    light = (quality if retrained else a) + np.float32(light_noise) * light_error
    expected = _expected_quality(heavy, light_noise, retrained)
    order = np.argsort(-light, axis=1)[:, : max(passed)]
    score, light = (np.take_along_axis(values, order, axis=1) for values in (score, light))
    rows, rewards = np.arange(requests), []
    for kept in passed:
        best = score[:, :kept].argmax(1)
        # What is expected of a pick with these two scores: as right as its quality, and less noisy.
        picked = np.array([score[rows, best].mean(dtype=float), light[rows, best].mean(dtype=float)])
        rewards.append(expected @ picked)
    return np.array(rewards)


def _expected_quality(heavy: Heavy, light_noise: float, retrained: bool) -> np.ndarray:
    """What a candidate's quality gains for each unit of its heavy and of its light score."""
    if heavy == "perfect":
        return np.array([1.0, 0.0])
    half = np.sqrt(0.5)
    quality = np.array([half, half])
    loads = np.array([[1.0, 0.0] if heavy == "old" else [1.0, 1.0], quality if retrained else [1.0, 0.0]])
    covariance = loads @ loads.T + np.diag([HEAVY_NOISE**2, light_noise**2])
    return np.linalg.solve(covariance, loads @ quality)


@lru_cache(maxsize=1)
def _draws(candidates: int, requests: int, rng: int) -> tuple[np.ndarray, ...]:
    draw = np.random.default_rng(rng)
    return tuple(draw.standard_normal((requests, candidates), dtype=np.float32) for _ in range(5))


def _nodes(low: float, high: float, points: int) -> tuple[np.ndarray, np.ndarray]:
    """Gauss and Legendre's nodes and weights on an interval."""
    nodes, weights = _legendre(points)
    return low + (high - low) * (nodes + 1) / 2, weights * (high - low) / 2


@lru_cache(maxsize=4)
def _legendre(points: int) -> tuple[np.ndarray, np.ndarray]:
    nodes, weights = np.polynomial.legendre.leggauss(points)
    return nodes, weights
