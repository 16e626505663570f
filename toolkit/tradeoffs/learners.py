"""What does a learner of a level believe before each day's reading? One gain, one window, or two speeds.

Each takes readings, one row a day, in columns as many paths as one likes, and gives the estimates
that were made *before* each reading.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from toolkit.rules import count, number, share

__all__ = ["exponential", "moving", "two_speed"]


def exponential(values: Any, gain: float, *, start: float = 0.0) -> np.ndarray:
    """Exponentially weighted averages of what came before: each error moves the estimate by `gain` times itself.

    Parameters
    ----------
    values : array of shape (days,) or (days, paths)
    gain : float
        In [0, 1].
    start : float
        The estimate before the first reading.

    Examples
    --------
    >>> exponential([1.0, 1.0, 1.0], 0.5).tolist()
    [0.0, 0.5, 0.75]
    """
    seen, a = _readings(values), share("gain", gain)
    made, now = np.empty_like(seen), np.full(seen.shape[1:], number("start", start))
    for day, reading in enumerate(seen):
        made[day] = now
        now = now + a * (reading - now)
    return made


def moving(values: Any, length: int, *, start: float = 0.0) -> np.ndarray:
    """Means of the last so many readings, of fewer while there are fewer.

    Examples
    --------
    >>> moving([1.0, 3.0, 5.0, 7.0], 2).tolist()
    [0.0, 1.0, 2.0, 4.0]
    """
    seen, n = _readings(values), count("length", length)
    sums = np.concatenate([np.zeros((1, *seen.shape[1:])), np.cumsum(seen, axis=0)])
    days = np.arange(len(seen))
    first = np.maximum(days - n, 0)
    held = np.maximum(days - first, 1).reshape(-1, *[1] * (seen.ndim - 1))
    made = (sums[days] - sums[first]) / held
    made[0] = number("start", start)
    return made


def two_speed(
    values: Any, *, rate: float, size: float, noise: Any = 1.0, start: float = 0.0, oldest: int = 120
) -> np.ndarray:
    """Estimates that average long while nothing moves, and fast when it looks as if something jumped.

    One average since each day on which the last jump may have been, weighted by how well it foretold
    the readings since (Adams and MacKay's recursion, for a level that jumps by a normal step). All that
    are older than `oldest` days are kept as one.

    Parameters
    ----------
    values : array of shape (days,) or (days, paths)
    rate, size : float
        Jumps a day, in (0, 1), and their root mean square: what one expects, not what is.
    noise : float or array of shape (days,)
        Variance of a reading.
    start : float
    oldest : int
        Averages that are kept, 2 at least.

    References
    ----------
    Adams and MacKay (2007), "Bayesian Online Changepoint Detection", arXiv:0710.3742.

    Examples
    --------
    Nine readings of 0, then three of 5. An average with gain 0.1 stands at 1.4 then:

    >>> told = two_speed([0.0] * 9 + [5.0] * 4, rate=0.02, size=5.0)
    >>> told[[9, 12]].round(1).tolist()
    [0.0, 4.9]
    """
    seen = _readings(values)
    chance, step = number("rate", rate, above=0, below=1), number("size", size, above=0) ** 2
    count("oldest", oldest, least=2)
    spread = np.broadcast_to(np.asarray(noise, dtype=float), seen.shape[:1])
    if not (np.isfinite(spread) & (spread > 0)).all():
        raise ValueError(f"noise: got {noise!r}; a reading's variance must be above 0")
    paths = seen.reshape(len(seen), -1)
    made = np.empty_like(paths)
    weight = np.zeros((oldest, paths.shape[1]))
    weight[-1] = 1.0
    mean = np.full_like(weight, number("start", start))
    variance = np.full_like(weight, step)
    for day, reading in enumerate(paths):
        # Had it jumped today: from wherever it was, by a step of the given variance.
        centre = (weight * mean).sum(0)
        around = (weight * (variance + (mean - centre) ** 2)).sum(0)
        merged = weight[-2:].sum(0) + 1e-300
        older = (weight[-2:] * mean[-2:]).sum(0) / merged, (weight[-2:] * variance[-2:]).sum(0) / merged
        for kept, last, new in ((mean, older[0], centre), (variance, older[1], around + step)):
            kept[1:-1] = kept[:-2].copy()
            kept[-1], kept[0] = last, new
        weight[1:-1] = weight[:-2].copy() * (1 - chance)
        weight[-1], weight[0] = merged * (1 - chance), chance
        made[day] = (weight * mean).sum(0)
        total = variance + spread[day]
        error = reading - mean
        fit = -0.5 * (error**2 / total + np.log(total))
        weight = weight * np.exp(fit - fit.max(0))
        weight = weight / weight.sum(0)
        gain = variance / total
        mean, variance = mean + gain * error, variance * (1 - gain)
    return made.reshape(seen.shape)


def _readings(values: Any) -> np.ndarray:
    seen = np.asarray(values, dtype=float)
    if seen.ndim not in (1, 2) or not seen.size:
        raise ValueError(
            f"values: got shape {seen.shape}; it must be readings by day, or by day and path, one at least"
        )
    if not np.isfinite(seen).all():
        raise ValueError(f"values: got {seen[~np.isfinite(seen)][0]}; readings must be finite")
    return seen
