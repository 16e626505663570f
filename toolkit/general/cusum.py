"""Since when is a metric no longer what it was: how soon does an alarm ring, and how often falsely?"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from scipy.optimize import brentq
from scipy.stats import norm, t

from toolkit.finding import Finding
from toolkit.frames import read_columns
from toolkit.resampling import welch_freedom
from toolkit.rules import count, level, number

__all__ = ["cusum", "cusum_limit", "false_alarm_chance", "run_length", "threshold_run_length"]

# Gauss and Legendre's points on the sum's range: the integrand is smooth inside.
_NEVER = 1e10
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(80)


def run_length(*, slack: float, limit: float, shift: float = 0.0) -> float:
    """The mean number of values until a two-sided CUSUM rings (average run length, ARL).

    Each side adds up what exceeds the slack and never falls below 0; it rings when a sum exceeds
    the limit. Solved as an integral equation, not simulated; infinite where it is beyond 1e10. Values
    are independent and normal, their mean and spread known.

    Parameters
    ----------
    slack, limit : float
        k and h, in standard deviations of a value.
    shift : float
        By how many standard deviations the mean has moved, from the first value on.

    References
    ----------
    Montgomery, Introduction to Statistical Quality Control (design of the CUSUM).

    Examples
    --------
    >>> round(run_length(slack=0.5, limit=5)), round(run_length(slack=0.5, limit=5, shift=1.0), 1)
    (465, 10.4)
    """
    if not number("slack", slack) >= 0:
        raise ValueError(f"slack: got {slack!r}; it must not be negative")
    number("limit", limit, above=0, below=60)
    number("shift", shift)
    up, down = (_one_sided(slack, limit, sign * shift) for sign in (1, -1))
    return 1 / (1 / up + 1 / down) if min(up, down) < _NEVER else float("inf")


def _one_sided(slack: float, limit: float, shift: float) -> float:
    """Mean length until the upper sum exceeds the limit, from 0: L(z) = 1 + L(0) P(back to 0) + integral."""
    nodes, weights = limit * (1 + _NODES) / 2, limit * _WEIGHTS / 2
    starts = np.r_[0.0, nodes]
    back = norm.cdf(slack - shift - starts)
    onward = norm.pdf(nodes - starts[:, None] + slack - shift) * weights
    system = np.eye(len(starts)) - np.column_stack([back, onward])
    try:
        length = float(np.linalg.solve(system, np.ones(len(starts)))[0])
    except np.linalg.LinAlgError:
        return float("inf")
    # Where a false alarm takes longer, the equation is singular to machine precision.
    return length if 0 < length < _NEVER else float("inf")


def cusum_limit(false_every: float, *, slack: float = 0.5) -> float:
    """The limit with which a CUSUM rings falsely once in so many values, on average.

    Examples
    --------
    >>> round(cusum_limit(465.44), 2)
    5.0
    """
    number("false_every", false_every, above=10, below=1e6)
    number("slack", slack, above=0.05, below=3)
    least, most = 0.01, 1.0
    if run_length(slack=slack, limit=least) > false_every:
        raise ValueError(
            f"slack: got {slack!r}; with it no limit rings as often as once in {false_every:g} values"
        )
    # Step by step, since far beyond the answer the equation is singular to machine precision.
    while run_length(slack=slack, limit=most) < false_every:
        most += 1.0
    return float(brentq(lambda limit: run_length(slack=slack, limit=limit) - false_every, least, most))


@lru_cache(maxsize=256)
def false_alarm_chance(
    reference: int, periods: int, *, slack: float = 0.5, limit: float = 5.0, replicates: int = 4_000
) -> float:
    """The chance that a CUSUM rings within so many values though nothing moved, its reference being short.

    Mean and spread of the reference are themselves estimates; a chart that starts from a few weeks
    rings by luck several times as often as `run_length` says. Simulated, with normal values and a
    fixed seed.

    Parameters
    ----------
    reference : int
        Values that the mean and the spread are taken from, 2 at least.
    periods : int
        Values that are watched.

    Examples
    --------
    >>> short, long = (false_alarm_chance(n, 30) for n in (20, 10_000))
    >>> 0.18 < short < 0.25, 0.03 < long < 0.07
    (True, True)
    """
    count("reference", reference, least=2)
    count("periods", periods)
    count("replicates", replicates)
    run_length(slack=slack, limit=limit)
    draw = np.random.default_rng(0)
    centre = draw.normal(size=replicates) / np.sqrt(reference)
    spread = np.sqrt(draw.chisquare(reference - 1, replicates) / (reference - 1))
    sums, rang = np.zeros((2, replicates)), np.zeros(replicates, dtype=bool)
    for _ in range(periods):
        z = (draw.normal(size=replicates) - centre) / spread
        sums = np.maximum(0.0, sums + np.array([z, -z]) - slack)
        rang |= (sums > limit).any(0)
    return float(rang.mean())


def threshold_run_length(false_every: float, *, shift: float = 0.0) -> float:
    """The mean number of values until one alone is too far off, with the same rate of false alarms.

    Examples
    --------
    >>> round(threshold_run_length(370.4, shift=1.0), 1)
    43.9
    """
    number("false_every", false_every, above=1)
    far = float(norm.isf(0.5 / false_every))
    return float(1 / (norm.sf(far - shift) + norm.sf(far + shift)))


def cusum(
    reference: Any,
    current: Any,
    *,
    value: str = "value",
    ts: str = "ts",
    slack: float = 0.5,
    limit: float = 5.0,
    alpha: float = 0.05,
) -> Finding:
    """Watch a metric, one value a day or another period, and ring when its mean has moved.

    Parameters
    ----------
    reference : frame
        A value a period from when all was well: mean and spread are taken from here. Twenty at
        least; the run lengths hold for a reference that is long, and the verdict says how much more
        often one that is short rings by luck (`false_alarm_chance`).
    current : frame
        The values since, with their times; in any order.
    slack, limit : float
        In standard deviations of the reference. A slack of half the shift that matters finds it
        soonest; `cusum_limit` gives the limit for a rate of false alarms.
    value, ts : str
        Columns of the metric and of its time.
    alpha : float
        One minus the level of the interval; the alarm doesn't depend on it.

    Returns
    -------
    Finding
        The mean of all current values minus the reference's, with Welch's interval: of all, not
        only of those that rang, which would be too far off. The table has the path: both sums a
        period and whether the alarm is on.

    Raises
    ------
    ValueError
        If columns or values are missing, a time is there twice, the reference is short or constant,
        or there are fewer than two current values.

    References
    ----------
    Montgomery, Introduction to Statistical Quality Control.

    Examples
    --------
    >>> import pandas as pd
    >>> rng = np.random.default_rng(2)
    >>> days = pd.date_range("2026-03-02", periods=60, tz="UTC")
    >>> metric = pd.DataFrame({"ts": days, "value": rng.normal(0.8, 0.01, 60) - 0.02 * (np.arange(60) >= 50)})
    >>> int(cusum(metric[:40], metric[40:]).table["alarm"].idxmax())
    12
    """
    level(alpha)
    false_every = run_length(slack=slack, limit=limit)
    before = read_columns(reference, "reference", [value], numbers=[value])[value].to_numpy(float)
    path = read_columns(current, "current", [ts, value], numbers=[value], key=[ts])
    path = path.sort_values(ts, ignore_index=True)
    if len(before) < 20 or len(path) < 2:
        raise ValueError(
            f"reference: got {len(before)} values, current {len(path)}; there must be 20 and 2 at least"
        )
    spread = float(before.std(ddof=1))
    if np.ptp(before) == 0:
        raise ValueError(f"{value}: got {before[0]} for all of reference; its spread is the chart's unit")
    z = (path[value].to_numpy(float) - before.mean()) / spread
    sums = np.zeros((len(z), 2))
    last = np.zeros(2)
    for place, one in enumerate(z):
        last = np.maximum(0.0, last + np.array([one, -one]) - slack)
        sums[place] = last
    path["above"], path["below"] = sums[:, 0], sums[:, 1]
    path["alarm"] = (sums > limit).any(1)
    estimate = float(path[value].mean() - before.mean())
    errors = [spread**2 / len(before), float(path[value].var(ddof=1)) / len(path)]
    freedom = float(welch_freedom(errors, [len(before) - 1, len(path) - 1]))
    se = float(np.sqrt(sum(errors)))
    half = float(t.isf(alpha / 2, freedom)) * se
    chance = false_alarm_chance(len(before), len(path), slack=slack, limit=limit)
    rate = (
        f"by luck {'under 1%' if chance < 0.01 else f'{chance:.0%}'} of such charts ring within {len(path)} values, with a reference "
        f"of {len(before)}; with a long one, every {false_every:,.0f} values on average"
    )
    if path["alarm"].any():
        at = int(path["alarm"].idxmax())
        side = int(sums[at].argmax())
        # The sum last stood at 0 just before the change.
        quiet = np.flatnonzero(sums[: at + 1, side] == 0)
        begin = path[ts].iloc[quiet[-1] + 1 if len(quiet) else 0]
        verdict = (
            f"The alarm rang on {_moment(path[ts].iloc[at])}, value {at + 1}: {value} {'rose' if side == 0 else 'fell'} "
            f"from about {_moment(begin)} on ({rate})."
        )
    else:
        verdict = f"No alarm in {len(path)} values ({rate})."
    return Finding(
        estimate,
        (estimate - half, estimate + half),
        verdict,
        unit=value,
        se=se,
        n=len(path),
        alpha=alpha,
        table=path,
        assumptions=(
            "values of different periods are independent and about normal, with the reference's spread",
            "reference is from when all was well",
        ),
        cannot_tell=("why the metric moved: the model's age, the season, or a fault upstream",),
    )


def _moment(ts: Any) -> str:
    """A time without what every day's begin in UTC shares."""
    return str(ts).removesuffix("+00:00").removesuffix(" 00:00:00")
