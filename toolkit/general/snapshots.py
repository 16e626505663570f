"""What would older snapshots of the model have made of today's requests?

Shadow scoring at FooBar: every snapshot scores the same impressions, as a team can that keeps its
old models for a week.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.special import logit

from toolkit.rules import count
from toolkit.world import World
from toolkit.world.clock import DAY, START, times
from toolkit.world.policies import fit_logistic

# An item's rate starts from a tenth of ten impressions.
_PRIOR_CLICKS, _PRIOR_IMPRESSIONS = 1.0, 10.0


def shadow_scores(
    world: World, days: range, *, ages: Sequence[int], window: int = 1, fitted: int = 7
) -> pd.DataFrame:
    """Scores that snapshots of several ages give to what was shown: one row an impression and snapshot.

    A snapshot is trained at a day's start. It keeps a table of every item's click rate over the
    last `window` days, which no longer moves, and weights for the pair features and that rate. The
    weights come from the `fitted` days before, each row with the table as of its own day, so that
    no row's rate holds its own label.

    Parameters
    ----------
    world : World
    days : range
        The days that are scored.
    ages : sequence of int
        Ages of the snapshots in days; 0 is trained on the morning of the day.
    window, fitted : int
        Days of clicks in the table, and of rows that the weights are fitted to.

    Returns
    -------
    DataFrame
        `request_id`, `item_id`, `user_id`, `ts`, `y`, `score`, `model_trained_at`: what
        `staleness_curve` takes.

    Raises
    ------
    ValueError
        If the oldest snapshot would need days before the first.

    Examples
    --------
    >>> from toolkit.world import Settings, simulate
    >>> world = simulate(Settings(items=50, requests=100, days=12))
    >>> shadow_scores(world, range(10, 12), ages=[0, 2], fitted=3).shape
    (400, 7)
    """
    count("window", window)
    count("fitted", fitted)
    for age in ages:
        count("ages", age, least=0)
    first = days.start - max(ages) - fitted - window
    if first < 0 or days.stop > world.settings.days:
        raise ValueError(
            f"days: got {days.start} to {days.stop - 1}; with these ages and windows they must lie from "
            f"{days.start - first} to {world.settings.days - 1}"
        )
    trained = {day - age for day in days for age in ages}
    snapshots = {day: _train(world, day, window, fitted) for day in sorted(trained)}
    parts = []
    request = np.arange(world.settings.requests)
    for day in days:
        shown = world.shown_item(day)
        rows = {
            "request_id": day * world.settings.requests + request,
            "item_id": shown.astype(np.int64),
            "user_id": world.user[day],
            "ts": times(world, day, request),
            "y": world.shown_outcome(day).astype(np.int64),
        }
        for age in ages:
            weights, table = snapshots[day - age]
            score = weights[0] + _features(world, day, table) @ weights[1:]
            parts.append(
                pd.DataFrame({**rows, "score": score, "model_trained_at": START + (day - age) * DAY})
            )
    return pd.concat(parts, ignore_index=True)


def _train(world: World, day: int, window: int, fitted: int) -> tuple[np.ndarray, np.ndarray]:
    """The weights, and every item's rate, of a model trained at a day's start."""
    before = range(day - fitted, day)
    features = [_features(world, past, _rates(world, past, window)) for past in before]
    labels = [world.shown_outcome(past) for past in before]
    return fit_logistic(np.concatenate(features), np.concatenate(labels)), _rates(world, day, window)


def _features(world: World, day: int, table: np.ndarray) -> np.ndarray:
    request = np.arange(world.settings.requests)
    pair = world.x[day, request, world.shown[day]]
    return np.column_stack([pair, table[world.shown_item(day)]])


def _rates(world: World, day: int, window: int) -> np.ndarray:
    """Log-odds of every item's click rate over the days before a day's start."""
    span = slice(day - window, day)
    clicks, shown = world.clicks[span].sum(0), world.impressions[span].sum(0)
    return logit((clicks + _PRIOR_CLICKS) / (shown + _PRIOR_IMPRESSIONS))
