"""What does a test say, what does the launch bring, and what has it cost, when the model learns from what is shown?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache

import numpy as np
import pandas as pd

from toolkit.experiments.training_loop import Experiment, run
from toolkit.rules import number


def lift_by_day(experiment: Experiment, *, launch: bool = False, seeds: Sequence[int] = (0,)) -> np.ndarray:
    """The lift day by day: what the test would measure without noise, or what a launch would bring.

    A test compares both models at all of the day's requests, as they are after learning from the test.
    A launch compares a company where all users see the new model with one where none do: each
    company's models learn from what its own users see, the launched one after the same warm-up.

    Examples
    --------
    Where the model in place doesn't learn, a test at 100% tells the launch's:

    >>> whole = Experiment(requests=2000, days=2, traffic=1.0)
    >>> bool((lift_by_day(whole) == lift_by_day(whole, launch=True)).all())
    True
    """
    new, old = _both(experiment, launch, seeds)
    return np.asarray(new / old - 1)


def mean_lift(experiment: Experiment, *, launch: bool = False, seeds: Sequence[int] = (0,)) -> float:
    """The lift over all days of the test together: as tested, or as a launch would bring it.

    Examples
    --------
    >>> few, many = (Experiment(requests=2000, traffic=traffic) for traffic in (0.05, 0.5))
    >>> mean_lift(few) < mean_lift(many)
    True
    """
    new, old = _both(experiment, launch, seeds)
    return float(new.mean() / old.mean() - 1)


def price(experiment: Experiment, *, seeds: Sequence[int] = (0,)) -> float:
    """What the test takes from the company, warm-up and exploration included: reward lost, in days of reward.

    A day of reward is what the model in place earns in a day without a test; a negative price is a gain.

    Examples
    --------
    Without a test and without exploration nothing is lost:

    >>> price(Experiment(traffic=0.0, requests=2000, days=2))
    0.0
    """
    new, old, by_chance = _mean(experiment, seeds).T
    before = np.arange(len(new)) < experiment.warm_up
    traffic = np.where(before, experiment.warm_up_traffic, experiment.traffic)
    chosen = traffic * new + (1 - traffic) * old
    earned = experiment.exploration * by_chance + (1 - experiment.exploration) * chosen
    untouched = _mean(replace(_untouched(experiment), exploration=0.0), seeds)[:, 1]
    return float((untouched - earned).sum() / untouched.mean())


def lift_error(experiment: Experiment) -> float:
    """The standard error of the lift that a real test of this size measures, by its impressions' numbers.

    Examples
    --------
    >>> round(lift_error(Experiment(traffic=0.01)), 3), round(lift_error(Experiment(traffic=0.25)), 3)
    (0.057, 0.013)
    """
    number("traffic", experiment.traffic, above=0, below=1)
    _, old, _ = _mean(experiment, (0,))[experiment.warm_up :].mean(0)
    rows = experiment.requests * experiment.days
    treated, rest = rows * experiment.traffic, rows * (1 - experiment.traffic)
    return float(np.sqrt((1 - old) / old * (1 / treated + 1 / rest)))


def compared(experiments: Mapping[str, Experiment], *, seeds: Sequence[int] = (0,)) -> pd.DataFrame:
    """Designs of a test beside each other: one row a design.

    Returns
    -------
    DataFrame
        `design`; `tested`, the lift that it shows; `launched`, the lift of a launch of the same model;
        `off`, the first less the second; `price`, in days of reward; `risk`, the price were the new
        model's feature worth nothing.

    Examples
    --------
    >>> compared({"as it is": Experiment(requests=2000, days=2)}).columns.tolist()
    ['design', 'tested', 'launched', 'off', 'price', 'risk']
    """
    rows = []
    for design, experiment in experiments.items():
        says, brings = (mean_lift(experiment, launch=launch, seeds=seeds) for launch in (False, True))
        costs = [price(one, seeds=seeds) for one in (experiment, replace(experiment, weight=0.0))]
        rows.append((design, says, brings, says - brings, *costs))
    return pd.DataFrame(rows, columns=["design", "tested", "launched", "off", "price", "risk"])


def by_day(experiment: Experiment, *, seeds: Sequence[int] = (0,)) -> pd.DataFrame:
    """The two lifts day by day, for a chart: `day` from 1, `lift`, `how` ("tested" or "launched").

    Examples
    --------
    >>> by_day(Experiment(requests=2000, days=2))["how"].tolist()
    ['tested', 'tested', 'launched', 'launched']
    """
    curves = {
        how: lift_by_day(experiment, launch=how == "launched", seeds=seeds) for how in ("tested", "launched")
    }
    return pd.DataFrame(
        [(day, lift, how) for how, lifts in curves.items() for day, lift in enumerate(lifts.tolist(), 1)],
        columns=["day", "lift", "how"],
    )


def _both(experiment: Experiment, launch: bool, seeds: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """The new model's values and those of the one in place, day by day."""
    days = slice(experiment.warm_up, None)
    if not launch:
        new, old, _ = _mean(experiment, seeds)[days].T
        return new, old
    with_all = replace(experiment, traffic=1.0, data="pooled")
    return _mean(with_all, seeds)[days, 0], _mean(_untouched(experiment), seeds)[days, 1]


def _untouched(experiment: Experiment) -> Experiment:
    return replace(experiment, traffic=0.0, warm_up_traffic=0.0, data="pooled")


def _mean(experiment: Experiment, seeds: Sequence[int]) -> np.ndarray:
    """The day's values of the new model, of the one in place and of a lot, the seeds' mean: one row a day."""
    return np.mean([_values(experiment, seed) for seed in seeds], axis=0)


@lru_cache(maxsize=2000)
def _values(experiment: Experiment, seed: int) -> np.ndarray:
    days = run(experiment, seed=seed)
    return np.array([(day.value_new, day.value_old, day.value_random) for day in days])
