"""What would FooBar's ranker earn on a fresher signal, and what do its shadow logs hold of that?

The ranker in place has three features of the pair and the item's click rate over four weeks. The
new one has today's click rate in its stead, as it is read: at once, or some days late.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from toolkit.rules import count
from toolkit.world import World, logs
from toolkit.world.features import rate_at
from toolkit.world.policies import fit_logistic
from toolkit.world.serving import Served, served_by_old
from toolkit.world.slates import Slates, logged

# What both rankers have.
PAIR = ("f_0", "f_1", "f_2")


def rate_read(slates: Slates, late: Any) -> np.ndarray:
    """Today's click rate of all rows of live slates, as of each request, read some days late.

    Parameters
    ----------
    slates : Slates
        With all rows of a slate of one day.
    late : int or array of shape (slates,)
        By how many days.

    Returns
    -------
    array of the slates' shape

    Examples
    --------
    Each request meets its own lateness:

    >>> from toolkit.world import Settings, simulate
    >>> from toolkit.world.slates import live
    >>> slates = live(simulate(Settings(items=50, requests=2, days=4)), range(3, 4))
    >>> mixed = rate_read(slates, [0, 2])
    >>> bool((mixed[0] == rate_read(slates, 0)[0]).all() and (mixed[1] == rate_read(slates, 2)[1]).all())
    True
    """
    lates = np.broadcast_to(np.asarray(late), len(slates.day))
    values = np.empty(slates.day.shape)
    for day, lag in sorted(set(zip(slates.day[:, 0].tolist(), lates.tolist(), strict=True))):
        here = (slates.day[:, 0] == day) & (lates == lag)
        of_day = rate_at(slates.world, day, as_of=True, lag=lag)
        values[here] = of_day[slates.request[here], slates.candidate[here]]
    return values


def deployed(world: World, days: range, *, trained_on: range, late: int) -> Served:
    """What the new ranker does when its click rate is read late, in training as in production.

    Parameters
    ----------
    world : World
    days, trained_on : range
        The days that it serves, and those whose logs it was trained on.
    late : int
        By how many days the rate is late.

    Raises
    ------
    ValueError
        If `late` isn't a whole number, or reaches back before the world's first day.

    Examples
    --------
    What it is served is as late as what it was trained on:

    >>> from toolkit.world import Settings, simulate
    >>> world = simulate(Settings(items=50, requests=100, days=6))
    >>> pilot = deployed(world, range(3, 6), trained_on=range(1, 3), late=1)
    >>> bool((pilot.features["f_rate_today"] == rate_read(pilot.slates, 1)).all())
    True
    """
    count("late", late, least=0)
    if trained_on.stop > days.start:
        raise ValueError(f"trained_on: got {trained_on}; it must end before {days} begins")
    rows = logged(world, trained_on, np.ones((len(trained_on), world.settings.requests), dtype=bool))
    pairs = len(PAIR)
    known = np.column_stack([rows.known[:, 0, :pairs], rate_read(rows, late)[:, 0]])
    intercept, *weights = fit_logistic(known, rows.y[:, 0])
    old = served_by_old(world, days)
    rate = rate_read(old.slates, late)
    score = intercept + old.slates.known[..., :pairs] @ np.array(weights[:pairs]) + weights[pairs] * rate
    features = {**{name: old.features[name] for name in PAIR}, "f_rate_today": rate}
    return replace(old, model_id=f"{late} days late", features=features, score=score)


def lift(new: Served, old: Served) -> float:
    """The expected reward of what one model shows over another's at the same requests, less 1.

    Examples
    --------
    A model has no lift over itself, and one that knows each candidate's chance has the most:

    >>> from toolkit.world import Settings, simulate
    >>> old = served_by_old(simulate(Settings(items=50, requests=100, days=4)), range(2, 4))
    >>> knows = replace(old, score=old.slates.p)
    >>> lift(old, old), lift(knows, old) > 0
    (0.0, True)
    """
    rewards = [np.take_along_axis(one.slates.p, one.best[:, None], 1).mean(dtype=float) for one in (new, old)]
    return float(rewards[0] / rewards[1] - 1)


def lifts_by_lateness(
    world: World, days: range, *, trained_on: range, late: Sequence[int] = (0, 1, 2)
) -> pd.DataFrame:
    """The lift of the new ranker over the one in place: one row a lateness (`days_late`, `lift`).

    Examples
    --------
    Where items change within hours, a day is too late:

    >>> from toolkit.world import Settings, simulate
    >>> world = simulate(Settings(items=50, requests=300, days=9, half_life=0.25))
    >>> told = lifts_by_lateness(world, range(5, 9), trained_on=range(2, 5), late=(0, 1))
    >>> (told["lift"] > 0).tolist()
    [True, False]
    """
    old = served_by_old(world, days)
    rows = [(lag, lift(deployed(world, days, trained_on=trained_on, late=lag), old)) for lag in late]
    return pd.DataFrame(rows, columns=["days_late", "lift"])


def shadow_log(
    world: World, days: range, *, late: Sequence[int] = (0,), rng: Any = 0
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The serving log of the ranker in place, with signals that it doesn't use written beside, and its outcomes.

    Beside the features that the ranker was given, it has `f_rate_daily`, today's click rate as
    yesterday's batch job gives it (a day late), and `f_rate_stream`, the same as the stream gives
    it; `f_stream_age` says how many days the stream was late.

    Parameters
    ----------
    world : World
    days : range
    late : sequence of int
        The stream's backlogs: each request meets one of them, at random.
    rng : int or Generator
        For the backlogs.

    Examples
    --------
    >>> from toolkit.world import Settings, simulate
    >>> log, outcomes = shadow_log(simulate(Settings(items=50, requests=100, days=4)), range(2, 4))
    >>> len(log), len(outcomes), [column for column in log if column.endswith(("stream", "age"))]
    (200, 200, ['f_rate_stream', 'f_stream_age'])
    """
    old = served_by_old(world, days)
    age = np.random.default_rng(rng).choice(np.asarray(late), size=len(old.slates.day))
    shadow = {
        "f_rate_daily": rate_read(old.slates, 1),
        "f_rate_stream": rate_read(old.slates, age),
        "f_stream_age": np.broadcast_to(age[:, None].astype(float), old.slates.day.shape),
    }
    written = {"control": replace(old, features={**old.features, **shadow})}
    return logs.serving_log(written), logs.outcomes(written)


def exploration_price(log: Any, outcomes: Any) -> float:
    """The share of all reward that showing something at random costs, by what the explored rows earned less.

    The share of rows that were explored, times the reward they lack, over what all would earn if none were.

    Parameters
    ----------
    log, outcomes : DataFrame
        As `shadow_log` gives them.

    Raises
    ------
    ValueError
        If no row was explored, or all were.

    Examples
    --------
    One row in four is explored and earns a half instead of one:

    >>> log = pd.DataFrame({"request_id": range(8), "item_id": 1, "explored": [True, True] + [False] * 6})
    >>> outcomes = log[["request_id", "item_id"]].assign(y=[1, 0] + [1] * 6)
    >>> exploration_price(log, outcomes)
    0.125
    """
    rows = log[["request_id", "item_id", "explored"]].merge(outcomes, on=["request_id", "item_id"])
    drawn = rows["explored"].to_numpy(bool)
    if drawn.all() or not drawn.any():
        raise ValueError(f"explored: got {drawn.sum():,} of {len(rows):,} rows; some must be, and some not")
    by_chance, chosen = rows.loc[drawn, "y"].mean(), rows.loc[~drawn, "y"].mean()
    return float(drawn.mean() * (1 - by_chance / chosen))
