"""How fast should a learner forget, when what it tracks moves and what it sees is noisy? Closed forms.

The local level model: the level takes a step of variance q (`drift`) each day, the day's reading adds
noise of variance r (`noise`). A learner with gain a moves its estimate by a times its last error.
Errors are mean squared, of the estimate against the next day's level.
"""

from __future__ import annotations

import math

from scipy.optimize import brentq, minimize_scalar

from toolkit.rules import count, number, share

__all__ = [
    "best_gain",
    "best_window",
    "calm_share",
    "gain_of",
    "incident_cost",
    "jump_drift",
    "least_regret_gain",
    "recovery_half_life",
    "tracking_error",
    "window_error",
]


def best_gain(*, drift: float, noise: float = 1.0) -> float:
    """The gain of the exponentially weighted average that tracks a random walk best: Kalman's, in its steady state.

    Its mean squared error is P = (q + sqrt(q^2 + 4 q r)) / 2, and the gain P / (P + r). No other
    linear average does better.

    Parameters
    ----------
    drift, noise : float
        Variance of the level's step a day, and of a day's reading about the level.

    References
    ----------
    Muth (1960), "Optimal Properties of Exponentially Weighted Forecasts", JASA.

    Examples
    --------
    The golden ratio's inverse where both variances are equal:

    >>> round(best_gain(drift=1.0), 3), round(best_gain(drift=1 / 60), 3)
    (0.618, 0.121)
    """
    q, r = number("drift", drift, above=0), number("noise", noise, above=0)
    error = (q + math.sqrt(q * q + 4 * q * r)) / 2
    return error / (error + r)


def tracking_error(gain: float, *, drift: float, noise: float = 1.0) -> float:
    """The mean squared error of an exponentially weighted average: noise that it passes on, and its lag.

    r a / (2 - a) is the noise's part, q / (a (2 - a)) the lag's; the one grows with the gain, the other
    falls.

    Parameters
    ----------
    gain : float
        In (0, 1].
    drift, noise : float
        As for `best_gain`; each may be 0, which leaves the other's part.

    Examples
    --------
    >>> round(tracking_error(0.03, drift=0.0), 4), round(tracking_error(0.03, drift=1 / 60), 3)
    (0.0152, 0.297)
    """
    a = share("gain", gain, open_low=True)
    return (_not_negative("noise", noise) * a + _not_negative("drift", drift) / a) / (2 - a)


def window_error(length: int, *, drift: float, noise: float = 1.0) -> float:
    """The mean squared error of the plain mean of the last so many days.

    r / N + q (N + 1) (2 N + 1) / (6 N).

    Examples
    --------
    >>> round(window_error(17, drift=0.01), 4)
    0.1206
    """
    n = count("length", length)
    lag = (n + 1) * (2 * n + 1) / (6 * n)
    return _not_negative("noise", noise) / n + _not_negative("drift", drift) * lag


def best_window(*, drift: float, noise: float = 1.0) -> int:
    """The number of days whose plain mean tracks a random walk best.

    Examples
    --------
    >>> best_window(drift=0.01)
    17
    """
    q, r = number("drift", drift, above=0), number("noise", noise, above=0)
    # As a function of a real length the error has its minimum at sqrt(3 r / q + 1/2); it's convex.
    middle = max(1, int(math.sqrt(3 * r / q + 0.5)))
    return min((middle, middle + 1), key=lambda n: window_error(n, drift=q, noise=r))


def jump_drift(rate: float, size: float) -> float:
    """The drift of a level that jumps up or down by a size, with a chance a day: as a random walk's, rate size^2.

    Every formula of this module that takes a drift holds for such jumps too: a linear learner's mean
    squared error depends on the steps' variance only.

    Parameters
    ----------
    rate : float
        Jumps a day, in [0, 1].
    size : float

    Examples
    --------
    >>> round(jump_drift(1 / 60, 1.0), 4)
    0.0167
    """
    return share("rate", rate) * number("size", size) ** 2


def calm_share(days: int, *, rate: float) -> float:
    """The share of so long stretches in which nothing jumps: exp(-rate days), for jumps at any time of day.

    Examples
    --------
    >>> round(calm_share(14, rate=1 / 60), 3)
    0.792
    """
    return math.exp(-_not_negative("rate", rate) * count("days", days))


def recovery_half_life(gain: float) -> float:
    """Days until half of a shock is forgotten: ln 0.5 / ln(1 - gain); 0 at a gain of 1.

    Examples
    --------
    >>> round(recovery_half_life(best_gain(drift=0.01)), 1), round(recovery_half_life(best_gain(drift=0.001)), 1)
    (6.9, 21.9)
    """
    a = share("gain", gain, open_low=True)
    return 0.0 if a == 1 else math.log(0.5) / math.log1p(-a)


def gain_of(half_life: float) -> float:
    """The gain with which half is forgotten in so many days; 0 for one that is infinite: never.

    Examples
    --------
    >>> gain_of(1.0), round(gain_of(21.92), 4), gain_of(float("inf"))
    (0.5, 0.0311, 0.0)
    """
    if half_life == math.inf:
        return 0.0
    return -math.expm1(-math.log(2) / number("half_life", half_life, above=0))


def incident_cost(gain: float, *, days: int, size: float) -> float:
    """The squared error that one label incident adds, summed over all days that it spoils.

    For so many days readings are off by `size`; the estimate follows, to size (1 - (1 - a)^k) after
    k of them, and comes back when they end. Times the incidents a day it's what they add to the mean
    squared error, as long as they are rare.

    Parameters
    ----------
    gain : float
        In (0, 1].
    days : int
        Length of the incident.
    size : float
        By how much its readings are off.

    Examples
    --------
    With a gain of one half, one bad day leaves the estimate off by 1/2, 1/4, 1/8, ...: 1/3 in squares.

    >>> round(incident_cost(0.5, days=1, size=1.0), 4)
    0.3333
    """
    a = share("gain", gain, open_low=True)
    g, height = count("days", days), number("size", size)
    kept = 1 - a
    during = sum((1 - kept**k) ** 2 for k in range(1, g))
    after = (1 - kept**g) ** 2 / (1 - kept**2)
    return height**2 * (during + after)


def least_regret_gain(*, size: float, days: int, noise: float = 1.0) -> float:
    """The gain whose worse regret is least: in calm times, or in so many days that follow a jump.

    For who doesn't know how often it jumps. A regret is the mean squared error above that of the
    best gain for such days: 0 in calm times, where one could average for ever.

    Parameters
    ----------
    size : float
        Of the jump, not 0.
    days : int
        Days after it that are judged, from the first that could know of it.
    noise : float

    Examples
    --------
    >>> round(least_regret_gain(size=1.0, days=14), 3)
    0.122
    """
    n, height = count("days", days), number("size", size)
    r = number("noise", noise, above=0)
    if height == 0:
        raise ValueError("size: got 0; a jump of no size can't be regretted")

    def after(a: float) -> float:
        decay = (1 - a) ** 2
        return r * a / (2 - a) + height**2 * sum(decay**k for k in range(1, n + 1)) / n

    least = minimize_scalar(after, bounds=(0, 1), method="bounded", options={"xatol": 1e-9})

    def gap(a: float) -> float:
        return r * a / (2 - a) - (after(a) - float(least.fun))

    # At the best gain after a jump the calm regret is above 0 and the other is 0; at 0 it's the other way.
    return float(brentq(gap, 1e-12, float(least.x)))


def _not_negative(name: str, value: float) -> float:
    if not number(name, value) >= 0:
        raise ValueError(f"{name}: got {value!r}; it must not be negative")
    return float(value)
