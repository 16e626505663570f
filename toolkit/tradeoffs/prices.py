"""What does each way of learning a level pay: in calm times, after a jump, after an incident in the labels?"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd

from toolkit.rules import count, number, share
from toolkit.tradeoffs.short_tests import jumping_level

__all__ = ["price_list"]


def price_list(
    learners: Mapping[str, Callable[[np.ndarray], np.ndarray]],
    *,
    rate: float,
    size: float,
    noise: float = 1.0,
    incidents: float = 0.0,
    incident_days: int = 3,
    incident_size: float = 3.0,
    days: int = 1000,
    paths: int = 40,
    within: int = 14,
    rng: int = 0,
) -> pd.DataFrame:
    """The mean squared error of learners on simulated levels that jump, and labels that are off for some days.

    All see the same readings.

    Parameters
    ----------
    learners : mapping of name to callable
        Each takes readings by day and path, and gives estimates made before each, as in `learners`.
    rate, size : float
        Jumps a day, and their size.
    noise : float
        Variance of a day's reading.
    incidents, incident_days, incident_size : float, int, float
        Label incidents a day, the days each lasts, and by how much its readings are off, up or down.
    days, paths : int
        The first fifth of the days isn't counted.
    within : int
        Days after a jump, and after an incident begins, that count as such.
    rng : int

    Returns
    -------
    DataFrame
        One row a learner: `learner`, `all`, `calm`, `jump`, `incident`; nan where there is no such day.

    Examples
    --------
    >>> from toolkit.tradeoffs.learners import exponential
    >>> told = price_list({"fast": lambda y: exponential(y, 0.5), "slow": lambda y: exponential(y, 0.1)},
    ...     rate=1 / 60, size=1.0, days=500)
    >>> told.set_index("learner")["calm"].round(1).tolist()
    [0.3, 0.1]
    """
    if not learners:
        raise ValueError("learners: got none; give at least one name=callable")
    share("incidents", incidents), number("noise", noise, above=0), count("within", within)
    count("incident_days", incident_days), number("incident_size", incident_size)
    count("days", days, least=10)
    level = jumping_level(days, rate=rate, size=size, paths=paths, rng=rng)
    draw = np.random.default_rng([rng, 1])
    begins = draw.random(level.shape) < incidents
    side = draw.choice([-incident_size, incident_size], level.shape)
    off = np.zeros(level.shape)
    for back in range(incident_days):
        off[back:] = np.where(begins[: days - back], side[: days - back], off[back:])
    readings = level + off + np.sqrt(noise) * draw.normal(size=level.shape)
    jumped = np.diff(level, axis=0, prepend=level[:1]) != 0
    after_jump, after_incident = _since(jumped, within), _since(begins, within + incident_days)
    counted = np.arange(days) >= days // 5
    periods = {
        "all": np.ones_like(jumped),
        "calm": ~after_jump & ~after_incident,
        "jump": after_jump & ~after_incident,
        "incident": after_incident,
    }
    records = []
    for name, learner in learners.items():
        error = (learner(readings) - level) ** 2
        row: dict[str, object] = {"learner": name}
        for period, there in periods.items():
            taken = there & counted[:, None]
            row[period] = float(error[taken].mean()) if taken.any() else float("nan")
        records.append(row)
    return pd.DataFrame(records)


def _since(began: np.ndarray, within: int) -> np.ndarray:
    """Where something began today or within so many days before."""
    total = np.concatenate([np.zeros((1, began.shape[1])), np.cumsum(began, axis=0)])
    first = np.maximum(np.arange(len(began)) - within, 0)
    return np.asarray(total[1:] - total[first] > 0)
