"""How many units does a test need, how small an effect can it find, and how often would it?"""

from __future__ import annotations

import math
from functools import lru_cache

from scipy.optimize import brentq
from scipy.stats import nct, norm
from scipy.stats import t as student

from toolkit.resampling import welch_freedom
from toolkit.rules import level, number, share

__all__ = ["detectable", "power", "units_needed"]

# Beyond this many degrees of freedom Student's t is the normal to twelve digits or so.
_MOST = 1e15


def power(
    effect: float, *, deviation: float, units: float, treated: float = 0.5, alpha: float = 0.05
) -> float:
    """The chance that a two-sided Welch test finds an effect, in either direction.

    By the noncentral t with Welch's degrees of freedom: right to about one in a hundred where an arm
    has four units, and to a few in a thousand from twenty on.

    Parameters
    ----------
    effect : float
        The true difference of means, in the metric's unit.
    deviation : float
        Standard deviation that one unit brings to the metric in either arm; `metrics.spread` measures it.
    units : float
        Units in both arms together.
    treated : float
        Share of them in the treatment, strictly between 0 and 1.
    alpha : float
        Level of the test.

    Raises
    ------
    ValueError
        If a setting is out of its range, or an arm would have no two units.

    References
    ----------
    Welch (1947), Biometrika; Kohavi, Tang and Xu (2020), chapter 17.

    Examples
    --------
    >>> round(power(0.5, deviation=1.0, units=128), 4)
    0.8015
    """
    number("effect", effect)
    number("deviation", deviation, above=0)
    _units(units, treated)
    level(alpha)
    return _power(effect / deviation, units, treated, alpha)


def units_needed(
    effect: float, *, deviation: float, power: float = 0.8, treated: float = 0.5, alpha: float = 0.05
) -> float:
    """The units in both arms together at which an effect is found with a given chance; not rounded up.

    Parameters
    ----------
    effect, deviation, treated, alpha
        As in `power`; the effect isn't 0.
    power : float
        Above `alpha`.

    Examples
    --------
    >>> round(units_needed(0.5, deviation=1.0), 2)
    127.53
    >>> math.ceil(units_needed(0.05, deviation=1.0))
    12561
    """
    number("deviation", deviation, above=0)
    if number("effect", effect) == 0:
        raise ValueError("effect: got 0; no number of units finds it")
    _asked(power, alpha)
    number("treated", treated, above=0, below=1)
    least = 2.001 / min(treated, 1 - treated)
    if _power(effect / deviation, least, treated, alpha) >= power:
        return least
    # The normal's answer is near: a tight bracket saves most of the search.
    near = (norm.isf(alpha / 2) + norm.isf(1 - power)) ** 2 / (effect / deviation) ** 2
    near = float(near / (treated * (1 - treated)))
    if near > _MOST:
        raise ValueError(f"effect: got {effect!r}; at a deviation of {deviation!r} it needs over 1e15 units")
    if least < 0.9 * near and _power(effect / deviation, 0.9 * near, treated, alpha) < power:
        least = 0.9 * near
    most = max(2 * least, 1.1 * near)
    while _power(effect / deviation, most, treated, alpha) < power:
        most *= 4
    found = brentq(lambda n: _power(effect / deviation, n, treated, alpha) - power, least, most, rtol=1e-13)
    return float(found)


def detectable(
    units: float, *, deviation: float, power: float = 0.8, treated: float = 0.5, alpha: float = 0.05
) -> float:
    """The smallest effect that a test of so many units finds with a given chance: minimum detectable effect.

    Parameters
    ----------
    units, deviation, treated, alpha
        As in `power`.
    power : float
        Above `alpha`.

    Examples
    --------
    >>> round(detectable(128, deviation=1.0), 4)
    0.4991
    """
    number("deviation", deviation, above=0)
    _units(units, treated)
    _asked(power, alpha)
    scale = math.sqrt(1 / (units * treated) + 1 / (units * (1 - treated)))
    most = scale
    while _power(most, units, treated, alpha) < power:
        most *= 2
    found = brentq(lambda e: _power(e, units, treated, alpha) - power, 0, most, xtol=1e-16, rtol=1e-14)
    return float(found) * deviation


@lru_cache(maxsize=4_096)  # a demo's states ask for the same points again and again
def _power(effect: float, units: float, treated: float, alpha: float) -> float:
    """Of an effect in standard deviations, by the noncentral t."""
    control, treatment = units * (1 - treated), units * treated
    parts = 1 / control, 1 / treatment
    freedom = float(welch_freedom(parts, [control - 1, treatment - 1]))
    apart = effect / math.sqrt(sum(parts))
    bound = float(student.isf(alpha / 2, freedom))
    tails = float(nct.sf(bound, freedom, abs(apart))), float(nct.cdf(-bound, freedom, abs(apart)))
    # SciPy's noncentral t is nan far in its tails; there the normal is the same to all digits that matter.
    normal = float(norm.sf(bound - abs(apart))), float(norm.cdf(-bound - abs(apart)))
    return sum(tail if math.isfinite(tail) else near for tail, near in zip(tails, normal, strict=True))


def _units(units: float, treated: float) -> None:
    number("treated", treated, above=0, below=1)
    number("units", units, above=0)
    if units * min(treated, 1 - treated) < 2:
        raise ValueError(f"units: got {units!r}; the smaller arm must have two at least")


def _asked(power: float, alpha: float) -> None:
    level(alpha)
    share("power", power, open_high=True)
    if power <= alpha:
        raise ValueError(f"power: got {power!r}; it must lie above alpha, {alpha!r}")
