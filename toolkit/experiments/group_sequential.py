"""What does a test do that is looked at k times: how often is it wrong, how long does it run?

Everything here is exact: the joint distribution of the looks is integrated numerically (Armitage,
McPherson and Rowe 1969), not simulated.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Literal

import numpy as np
import pandas as pd
from scipy.optimize import brentq
from scipy.stats import norm

from toolkit.rules import level

# Gauss-Legendre nodes a look: 160 give seven digits at 50 looks.
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(160)

Spending = Literal["obrien_fleming", "pocock", "linear"]


def crossing(
    bounds: Sequence[float], *, information: Sequence[float] | None = None, drift: float = 0.0
) -> pd.DataFrame:
    """The probability of first leaving a symmetric boundary at each look at a test's z-statistic.

    Parameters
    ----------
    bounds : sequence of float, one a look
        The test stops at look k when the absolute z-statistic reaches `bounds[k]`; infinity for
        a look at which it can't.
    information : sequence of float, optional
        Share of the planned information (sample) at each look, ascending, the last at most 1;
        equal steps to 1 where not given.
    drift : float
        Expected z-statistic at full information; 0 for no effect.

    Returns
    -------
    DataFrame with one row a look
        `look`, `information`, `bound`, `upper` and `lower` (probability of stopping there on
        either side), `stopped` (probability of having stopped by then), and `estimate`: the
        expected z-statistic at full information that a test stopping there claims, times the
        probability of stopping there.

    Raises
    ------
    ValueError
        If there is no bound, a bound isn't positive, or the information doesn't ascend in (0, 1].

    References
    ----------
    Armitage, McPherson and Rowe (1969), "Repeated Significance Tests on Accumulating Data",
    Journal of the Royal Statistical Society A.

    Examples
    --------
    >>> round(float(crossing([1.96] * 5)["stopped"].iloc[-1]), 3)
    0.142
    """
    limits = _bounds(bounds)
    return _crossing(tuple(limits), tuple(_information(information, len(limits))), float(drift)).copy()


@lru_cache(maxsize=256)
def _crossing(limits: tuple[float, ...], times: tuple[float, ...], drift: float) -> pd.DataFrame:
    rows = []
    # Before the first look all probability sits at a score of 0.
    starts, mass = np.zeros(1), np.ones(1)
    stopped = 0.0
    for look, (limit, time) in enumerate(zip(limits, times, strict=True)):
        edge = limit * np.sqrt(time)
        step = time - (times[look - 1] if look else 0.0)
        spread = np.sqrt(step)
        # The score b = z sqrt(t) gains independent N(drift * step, step) increments.
        mean = starts + drift * step
        over, under = (edge - mean) / spread, (-edge - mean) / spread
        upper, lower = mass @ norm.sf(over), mass @ norm.cdf(under)
        # The mean of what crosses: of a normal beyond a point, in closed form.
        beyond = mass @ (mean * norm.sf(over) + spread * norm.pdf(over))
        beyond += mass @ (mean * norm.cdf(under) - spread * norm.pdf(under))
        stopped += upper + lower
        rows.append((look + 1, time, limit, upper, lower, stopped, beyond / time))
        reach = edge if np.isfinite(edge) else abs(drift) * time + 9 * np.sqrt(time)
        starts = reach * _NODES
        density = norm.pdf((starts[:, None] - mean[None, :]) / spread) / spread @ mass
        mass = reach * _WEIGHTS * density
    columns = ["look", "information", "bound", "upper", "lower", "stopped", "estimate"]
    return pd.DataFrame(rows, columns=columns)


def false_positive_rate(looks: int, *, alpha: float = 0.05) -> float:
    """The chance that a test without any effect is "significant" at one of k equally spaced looks.

    Examples
    --------
    >>> [round(false_positive_rate(k), 3) for k in (1, 2, 5, 10)]
    [0.05, 0.083, 0.142, 0.193]
    """
    _looks(looks)
    return float(crossing([norm.isf(level(alpha) / 2)] * looks)["stopped"].iloc[-1])


def pocock(looks: int, *, alpha: float = 0.05, information: Sequence[float] | None = None) -> float:
    """The constant boundary on |z| that keeps k looks together at level alpha.

    References
    ----------
    Jennison and Turnbull (2000), Group Sequential Methods, table 2.1.

    Examples
    --------
    >>> round(pocock(5), 3)
    2.413
    """
    return _constant(lambda _: 1.0, looks, alpha, information)


def obrien_fleming(looks: int, *, alpha: float = 0.05) -> float:
    """The last of k boundaries on |z| that fall with the square root of the sample.

    At look k of K the boundary is this constant times sqrt(K / k): strict at first, near the
    fixed test's at the end.

    References
    ----------
    Jennison and Turnbull (2000), Group Sequential Methods, table 2.3.

    Examples
    --------
    >>> round(obrien_fleming(5), 3)
    2.04
    """
    return _constant(lambda time: time**-0.5, looks, alpha, None)


def spending_bounds(
    information: Sequence[float], *, spending: Spending = "obrien_fleming", alpha: float = 0.05
) -> list[float]:
    """Boundaries on |z| for looks at any times, spending the level alpha as information comes in.

    Parameters
    ----------
    information : sequence of float
        Share of the planned sample at each look; ascending, in (0, 1].
    spending : "obrien_fleming", "pocock" or "linear"
        How much of alpha may be spent by a share t of the sample: 4 - 4 Phi(z / sqrt t) where
        Phi(z) = 1 - alpha / 4 (each side spends half of alpha), alpha ln(1 + (e - 1) t), or alpha t.

    References
    ----------
    Lan and DeMets (1983), "Discrete Sequential Boundaries for Clinical Trials", Biometrika.

    Examples
    --------
    >>> [round(bound, 3) for bound in spending_bounds([0.5, 1.0])]
    [2.963, 1.969]
    """
    times = _information(information, len(information))
    spent = [0.0, *(_spent(time, spending, level(alpha)) for time in times)]
    bounds: list[float] = []
    for look in range(len(times)):
        target = spent[look + 1] - spent[look]

        def excess(bound: float, upto: int = look + 1, target: float = target) -> float:
            row = crossing([*bounds, bound], information=times[:upto]).iloc[-1]
            return float(row["upper"] + row["lower"] - target)

        # Beyond z = 8 the chance is below 1e-15: such a look spends nothing.
        bounds.append(np.inf if excess(8.0) >= 0 else float(brentq(excess, 1e-3, 8.0, xtol=1e-10)))
    return bounds


def design(
    bounds: Sequence[float], *, information: Sequence[float] | None = None, drift: float
) -> dict[str, float]:
    """What a boundary costs and gives when the effect is real.

    Returns
    -------
    dict
        `power` (stopping on the side of the effect), `wrong_side`, `duration` (expected share of
        the planned sample, tests that never stop running to the last look) and `exaggeration`
        (expected claimed effect of the tests that stop, over the true effect; nan without drift).

    Examples
    --------
    >>> one_look = design([1.959964], drift=2.801585)
    >>> round(one_look["power"], 3), round(one_look["exaggeration"], 3)
    (0.8, 1.125)
    """
    table = crossing(bounds, information=information, drift=drift)
    stops = table["upper"] + table["lower"]
    share = stops.sum()
    side, other = ("upper", "lower") if drift >= 0 else ("lower", "upper")
    unfinished = (1 - share) * table["information"].iloc[-1]
    return {
        "power": float(table[side].sum()),
        "wrong_side": float(table[other].sum()),
        "duration": float((stops * table["information"]).sum() + unfinished),
        "exaggeration": float(table["estimate"].sum() / share / drift) if drift else float("nan"),
    }


def _constant(
    shape: Callable[[float], float], looks: int, alpha: float, information: Sequence[float] | None
) -> float:
    _looks(looks)
    times = _information(information, looks)
    allowed = level(alpha)

    def excess(constant: float) -> float:
        bounds = [constant * shape(time) for time in times]
        return float(crossing(bounds, information=times)["stopped"].iloc[-1] - allowed)

    single, all_apart = norm.isf(allowed / 2), norm.isf(allowed / 2 / looks)
    return float(brentq(excess, single - 1e-9, all_apart + 1e-9, xtol=1e-10)) if looks > 1 else float(single)


def _spent(time: float, spending: Spending, alpha: float) -> float:
    if spending == "obrien_fleming":
        return float(4 * norm.sf(norm.isf(alpha / 4) / np.sqrt(time)))
    if spending == "pocock":
        return float(alpha * np.log1p((np.e - 1) * time))
    if spending == "linear":
        return float(alpha * time)
    raise ValueError(f"spending: got {spending!r}; it must be obrien_fleming, pocock or linear")


def _bounds(bounds: Sequence[float]) -> list[float]:
    limits = [float(bound) for bound in bounds]
    if not limits:
        raise ValueError("bounds: got none; there must be one a look")
    for limit in limits:
        if not limit > 0:
            raise ValueError(f"bounds: got {limit}; a boundary on |z| must be positive")
    return limits


def _information(information: Sequence[float] | None, looks: int) -> list[float]:
    if information is None:
        return [(look + 1) / looks for look in range(looks)]
    times = [float(time) for time in information]
    if len(times) != looks:
        raise ValueError(f"information: got {len(times)} values for {looks} looks; there must be one a look")
    for earlier, later in zip([0.0, *times], times, strict=False):
        if not earlier < later <= 1 + 1e-12:
            raise ValueError(f"information: got {times}; it must ascend in (0, 1]")
    return times


def _looks(looks: int) -> None:
    if isinstance(looks, bool) or not isinstance(looks, int | np.integer) or looks < 1:
        raise ValueError(f"looks: got {looks!r}; it must be a positive integer")
