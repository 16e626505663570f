"""What does a test do that is looked at k times: how often is it wrong, how long does it run?

Everything here is exact: the joint distribution of the looks is integrated numerically
(`first_passage`), not simulated.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Literal, get_args

import numpy as np
import pandas as pd
from scipy.optimize import brentq
from scipy.stats import norm

from toolkit.experiments.first_passage import first_passage
from toolkit.rules import count, level, number, one_of

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
        either side), `stopped` (probability of having stopped by then), and `claim`: the size of
        the effect that a test stopping there claims on average, whichever its sign, as a
        z-statistic at full information, times the probability of stopping there.

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
    # The score z sqrt(t) gains independent normal increments: mean drift, variance 1 a unit of information.
    edges = [limit * time**0.5 for limit, time in zip(limits, times, strict=True)]
    upper, lower, high, low = first_passage(edges, times, drift).T
    stopped = np.cumsum(upper + lower)
    if not stopped[-1] < 1 + 1e-6:
        raise ArithmeticError(f"information: at {list(times)} the probabilities sum to {stopped[-1]}")
    return pd.DataFrame(
        {
            "look": np.arange(1, len(times) + 1),
            "information": times,
            "bound": limits,
            "upper": upper,
            "lower": lower,
            "stopped": np.minimum(stopped, 1.0),  # beyond 1 by rounding alone
            "claim": (high - low) / times,
        }
    )


def false_positive_rate(looks: int, *, alpha: float = 0.05) -> float:
    """The chance that a test without any effect is "significant" at one of k equally spaced looks.

    Examples
    --------
    >>> [round(false_positive_rate(k), 3) for k in (1, 2, 5, 10)]
    [0.05, 0.083, 0.142, 0.193]
    """
    count("looks", looks)
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
    one_of("spending", spending, get_args(Spending))
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
        (expected size of the effect that the stopped tests claim, whichever its sign, over the
        true effect's; nan without drift).

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
        "exaggeration": float(table["claim"].sum() / share / abs(drift)) if drift else float("nan"),
    }


def inflation(bounds: Sequence[float], *, power: float = 0.8, alpha: float = 0.05) -> float:
    """How many times a fixed test's sample a test with equally spaced looks must plan for equal power.

    The longest it can run; on average it ends earlier (`duration` in `design`).

    Parameters
    ----------
    bounds : sequence of float, one a look
        As in `crossing`.
    power : float
        Chance of stopping on the effect's side; above `alpha`, below 1.
    alpha : float
        Level of the fixed test that it is compared with.

    References
    ----------
    Jennison and Turnbull (2000), Group Sequential Methods, tables 2.2 and 2.4.

    Examples
    --------
    >>> round(inflation([pocock(5)] * 5), 2)
    1.23
    """
    number("power", power, above=level(alpha), below=1)
    fixed = float(norm.isf(alpha / 2) + norm.isf(1 - power))
    limits = _bounds(bounds)
    found = brentq(lambda drift: design(limits, drift=drift)["power"] - power, 1e-3, 8 * fixed, xtol=1e-6)
    return float(found / fixed) ** 2


def _constant(
    shape: Callable[[float], float], looks: int, alpha: float, information: Sequence[float] | None
) -> float:
    count("looks", looks)
    times = _information(information, looks)
    allowed = level(alpha)

    def excess(constant: float) -> float:
        bounds = [constant * shape(time) for time in times]
        return float(crossing(bounds, information=times)["stopped"].iloc[-1] - allowed)

    single, all_apart = norm.isf(allowed / 2), norm.isf(allowed / 2 / looks)
    return float(brentq(excess, single - 1e-9, all_apart + 1e-9, xtol=1e-8)) if looks > 1 else float(single)


def _spent(time: float, spending: Spending, alpha: float) -> float:
    if spending == "obrien_fleming":
        return float(4 * norm.sf(norm.isf(alpha / 4) / np.sqrt(time)))
    if spending == "pocock":
        return float(alpha * np.log1p((np.e - 1) * time))
    return float(alpha * time)


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
