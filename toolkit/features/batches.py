"""How much of a feature is left when it comes from a batch that is hours old, and what does fresher cost?

What the feature measures is a stationary quantity of variance 1 whose correlation with itself halves
every half-life; the outcome is a slope times that quantity now, plus what no model can know. R2 is
counted as a share of what the quantity explains when it is read at once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.optimize import brentq
from scipy.signal import lfilter

from toolkit.rules import count, number, one_of

__all__ = [
    "TRAININGS",
    "average_kept",
    "batch_path",
    "kept_by_training",
    "period_for",
    "price_list",
    "r2_kept",
    "simulate_batches",
    "squared_error",
]

# What the model was trained on: the quantity at once; values as stale as it is served, one coefficient for all
# ages; or such values with a coefficient for each age.
TRAININGS = ("fresh", "as stale", "age known")


def r2_kept(age: Any, *, half_life: float) -> Any:
    """The share of R2 that is left at an age, with the coefficient for that age: 4 ** (-age / half_life).

    Parameters
    ----------
    age : float or array
        In the unit of the half-life; not negative.
    half_life : float

    Examples
    --------
    >>> float(r2_kept(1.0, half_life=1.0)), float(r2_kept(0.5, half_life=1.0))
    (0.25, 0.5)
    """
    number("half_life", half_life, above=0)
    ages = np.asarray(age, dtype=float)
    if not (ages >= 0).all():
        raise ValueError(f"age: got {ages.min():g}; it must not be negative")
    return 4.0 ** (-ages / half_life)


def squared_error(served: float, *, trained: float = 1.0, slope: float = 1.0) -> float:
    """The squared error of a linear model on stale values, beyond what no model can know.

    Fixed are the quantity's variance, 1, and the slope. Trained on values whose correlation with the quantity
    now is a, the model's coefficient is slope * a; on values with correlation b it errs by
    slope^2 (1 - b^2) + slope^2 (a - b)^2: what staleness costs any linear model, and what it costs on top where
    training was of another age.

    Parameters
    ----------
    served, trained : float
        Correlations with the quantity now, from 0 to 1, where the model is used and in training; 1 is fresh.
    slope : float

    Examples
    --------
    >>> squared_error(0.5), squared_error(0.5, trained=0.5)
    (1.0, 0.75)
    """
    b, a = _correlation("served", served), _correlation("trained", trained)
    return number("slope", slope) ** 2 * ((1 - b**2) + (a - b) ** 2)


def average_kept(
    half_life: float, *, period: float, delay: float = 0.0, training: str = "age known"
) -> float:
    """The share of R2 that a batch keeps on average over its life; negative where the feature does harm.

    A value's age runs evenly from the delay to the delay plus the period.

    Parameters
    ----------
    half_life, period, delay : float
        In one unit. A period of 0 is a stream.
    training : "fresh", "as stale" or "age known"
        Trained on the quantity at once; on values of the same ages, with one coefficient; with one for
        each age.

    Examples
    --------
    >>> [round(average_kept(1, period=1, training=training), 3) for training in TRAININGS]
    [0.443, 0.52, 0.541]
    >>> round(average_kept(1, period=1, delay=0.25), 3)
    0.383
    """
    number("half_life", half_life, above=0)
    number("period", period, above=-1e-12)
    number("delay", delay, above=-1e-12)
    one_of("training", training, TRAININGS)
    squares, correlation = (_mean_power(base, period / half_life, delay / half_life) for base in (4, 2))
    return {"age known": squares, "as stale": correlation**2, "fresh": 2 * correlation - 1}[training]


def _mean_power(base: float, period: float, delay: float) -> float:
    """The mean of base ** -age, over ages from the delay to the delay plus the period."""
    rate = math.log(base) * period
    return float(base**-delay * (-math.expm1(-rate) / rate if rate > 1e-9 else 1.0))


def kept_by_training(half_life: float, *, period: float, delay: float = 0.0) -> dict[str, float]:
    """`average_kept` for each of the trainings.

    Examples
    --------
    >>> {name: round(kept, 2) for name, kept in kept_by_training(1, period=0, delay=1).items()}
    {'fresh': 0.0, 'as stale': 0.25, 'age known': 0.25}
    """
    return {name: average_kept(half_life, period=period, delay=delay, training=name) for name in TRAININGS}


def period_for(kept: float, *, half_life: float, delay: float = 0.0, training: str = "age known") -> float:
    """The longest batch period that keeps a share of R2 on average.

    Raises
    ------
    ValueError
        If the delay alone loses more.

    Examples
    --------
    >>> round(period_for(0.8, half_life=1), 3)
    0.335
    """
    number("kept", kept, above=0, below=1)
    most = average_kept(half_life, period=0, delay=delay, training=training)
    if not kept < most:
        raise ValueError(f"kept: got {kept!r}; with this delay a stream keeps {most:.4g}")

    def excess(period: float) -> float:
        return average_kept(half_life, period=period, delay=delay, training=training) - kept

    far = half_life
    while excess(far) > 0:
        far *= 2
    return float(brentq(excess, 0, far))


def batch_path(
    half_life: float, *, period: float, delay: float = 0.0, until: float = 3.0, points: int = 25
) -> pd.DataFrame:
    """How the share of R2 moves with the batches, for a model trained fresh and one trained as stale as it is served.

    Returns
    -------
    DataFrame
        `time`, `training`, `kept`: of the requests at that time. A batch begins at time 0.

    Examples
    --------
    >>> path = batch_path(1.0, period=1.0, until=2.0, points=3)
    >>> path[path["training"] == "fresh"]["kept"].round(2).tolist()
    [1.0, 0.41, 0.0, 1.0, 0.41, 0.0]
    """
    count("points", points, least=2)
    number("period", period, above=0)
    learnt = {
        "fresh": 1.0,
        "as stale": math.sqrt(average_kept(half_life, period=period, delay=delay, training="as stale")),
    }
    ages = np.linspace(0, period, points)
    starts = np.arange(0, until - 1e-9, period)
    time = (starts[:, None] + ages).ravel()
    served = 2.0 ** (-(delay + np.tile(ages, len(starts))) / half_life)
    parts = [
        pd.DataFrame({"time": time, "training": name, "kept": 1 - (1 - served**2) - (a - served) ** 2})
        for name, a in learnt.items()
    ]
    path = pd.concat(parts, ignore_index=True)
    return path[path["time"] <= until + 1e-9].reset_index(drop=True)


def simulate_batches(
    half_life: float,
    *,
    period: float,
    delay: float = 0.0,
    entities: int = 300,
    days: float = 30.0,
    step: float = 1 / 48,
    rng: Any = 0,
) -> pd.DataFrame:
    """The quantity as it runs, and what a batch job serves of it: one row an entity and moment.

    The job takes a snapshot at every multiple of the period and serves it from `delay` later on, until the next
    one is there.

    Parameters
    ----------
    half_life, period, delay, days, step : float
        In days; period and delay are rounded to whole steps.
    entities : int
    rng : int or Generator

    Returns
    -------
    DataFrame
        `entity_id`, `time`, `now`, `served`, `age`.

    Examples
    --------
    >>> rows = simulate_batches(1.0, period=0.5, delay=0.25, entities=5, days=3)
    >>> bool(rows["age"].between(0.25, 0.75, inclusive="left").all())
    True
    """
    number("half_life", half_life, above=0)
    number("step", step, above=0)
    number("days", days, above=period + delay)
    draw = np.random.default_rng(rng)
    steps = round(days / step)
    every, late = max(1, round(period / step)), round(delay / step)
    keep = 2 ** (-step / half_life)
    shocks = draw.normal(size=(count("entities", entities), steps))
    # Begun where the process is at rest.
    shocks[:, 1:] *= math.sqrt(1 - keep**2)
    now = lfilter([1], [1, -keep], shocks, axis=1)
    moment = np.arange(every + late, steps)
    taken = (moment - late) // every * every
    return pd.DataFrame(
        {
            "entity_id": np.repeat(np.arange(entities), len(moment)),
            "time": np.tile(moment * step, entities),
            "now": now[:, moment].ravel(),
            "served": now[:, taken].ravel(),
            "age": np.tile((moment - taken) * step, entities),
        }
    )


def price_list(
    entities: int,
    events: float,
    *,
    half_life: float,
    periods: Sequence[float] = (7.0, 1.0, 0.25, 1 / 24),
    delay: float = 0.0,
    per_million: float = 1.0,
    machines: float = 0.0,
) -> pd.DataFrame:
    """What each way to refresh a feature costs a day, and what it keeps of R2.

    A batch writes every entity each period; a stream writes one at each event, at once, and needs machines that
    are always on.

    Parameters
    ----------
    entities : int
    events : float
        A day, over all entities.
    half_life, periods, delay : float
        In days; the delay is the batch job's.
    per_million : float
        Price of a million writes.
    machines : float
        Price a day of what a stream keeps running.

    Returns
    -------
    DataFrame
        `way`, `writes_a_day`, `cost_a_day`, `kept_fresh`, `kept_as_stale`: R2 of a model trained fresh, and of one trained
        as stale as it is served.

    Examples
    --------
    >>> price_list(1000, 2000, half_life=1, periods=[1.0])["writes_a_day"].tolist()
    [1000.0, 2000.0]
    """
    number("events", events, above=0)
    number("per_million", per_million, above=-1e-12)
    number("machines", machines, above=-1e-12)
    records = []
    for period in [*periods, 0.0]:
        writes = count("entities", entities) / period if period else float(events)
        kept = kept_by_training(half_life, period=period, delay=delay if period else 0.0)
        cost = writes * per_million / 1e6 + (0.0 if period else machines)
        way = f"batch every {24 * period:g} h" if period else "stream"
        records.append((way, writes, cost, kept["fresh"], kept["as stale"]))
    return pd.DataFrame(records, columns=["way", "writes_a_day", "cost_a_day", "kept_fresh", "kept_as_stale"])


def _correlation(name: str, value: float) -> float:
    if not 0 <= number(name, value) <= 1:
        raise ValueError(f"{name}: got {value!r}; it must lie in [0, 1]")
    return float(value)
