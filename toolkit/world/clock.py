"""When, in UTC, did a simulated request come in?"""

from __future__ import annotations

import numpy as np
import pandas as pd

from toolkit.world.simulation import World

START = pd.Timestamp("2026-03-02", tz="UTC")  # the first simulated day
DAY = pd.Timedelta(days=1)


def times(world: World, day: np.ndarray | int, request: np.ndarray) -> pd.DatetimeIndex:
    """The time of each request, to the microsecond.

    Parameters
    ----------
    world : World
    day, request : array of shape (n,)
    """
    microseconds = np.asarray(day) * 86_400e6 + world.second[day, request] * 1e6
    return START + pd.to_timedelta(microseconds.astype(np.int64), unit="us")
