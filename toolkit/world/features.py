"""What value of a feature does a model get: today's table, what was known then, or yesterday's?

The feature is an item's click rate, smoothed and in log-odds, for every candidate of a day.
"""

from __future__ import annotations

import numpy as np
from scipy.special import logit

from toolkit.world.simulation import World

PRIOR_RATE, PRIOR_IMPRESSIONS = 0.12, 10.0
# The day before counts half: a day begins with something, and yesterday ages.
CARRIED = 0.5


def rate_at(world: World, day: int, *, as_of: bool, lag: int = 0) -> np.ndarray:
    """The click rate of each candidate's item that a model is given on a day.

    Parameters
    ----------
    world : World
    day : int
        The day of the requests.
    as_of : bool
        True: what had happened before the request (of the day so far, and half of the day before
        it). False: the whole day's row of a warehouse table, which holds each request's own label
        and the day's future.
    lag : int
        Days by which the value is late: what stood in the store that much earlier, at the same
        time of day.

    Returns
    -------
    array of shape (requests, candidates)

    Raises
    ------
    ValueError
        If the day, or the day less the lag, isn't one of the simulated.

    Examples
    --------
    >>> from toolkit.world import Settings, simulate
    >>> world = simulate(Settings(items=50, requests=100, days=3))
    >>> rate_at(world, 2, as_of=True, lag=1).shape
    (100, 20)
    """
    if not 0 <= day < world.settings.days:
        raise ValueError(f"day: got {day!r}; it must lie in the {world.settings.days} simulated days")
    if not 0 <= lag <= day:
        raise ValueError(f"lag: got {lag!r} on day {day}; it must lie between 0 and the day")
    then, item = day - lag, world.item[day]
    if not as_of:
        return smoothed_rate(world.impressions[then], world.clicks[then])[item]
    seen, good = _so_far(world, then, day, item)
    if then:
        seen = seen + CARRIED * world.impressions[then - 1][item]
        good = good + CARRIED * world.clicks[then - 1][item]
    return smoothed_rate(seen, good)


def smoothed_rate(impressions: np.ndarray, clicks: np.ndarray) -> np.ndarray:
    """Log-odds of a click rate that starts from a prior of a few impressions."""
    return logit((clicks + PRIOR_IMPRESSIONS * PRIOR_RATE) / (impressions + PRIOR_IMPRESSIONS))


def _so_far(world: World, then: int, day: int, item: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Impressions and clicks of each of the items on a day `then`, before each request's time of day."""
    requests = world.settings.requests
    before = np.searchsorted(world.second[then], world.second[day])
    # Sorted by item, then time: what came before a request lies between two places. One more than there
    # are requests, lest a day's end read as the next item's start.
    place = world.shown_item(then).astype(np.int64) * (requests + 1) + np.arange(requests)
    order = np.argsort(place)
    first = np.concatenate([[0], np.cumsum(world.impressions[then])]).astype(np.int64)[item]
    last = np.searchsorted(place[order], item.astype(np.int64) * (requests + 1) + before[:, None])
    clicks = np.concatenate([[0.0], np.cumsum(world.shown_outcome(then)[order])])
    return last - first, clicks[last] - clicks[first]
