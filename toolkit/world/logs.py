"""What did FooBar write down: its tables, with nothing in them that a company can't see?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from toolkit.world.simulation import World

# The first simulated day; all timestamps are in UTC.
START = pd.Timestamp("2026-03-02", tz="UTC")


def serving_log(world: World, days: Sequence[int]) -> pd.DataFrame:
    """What the old policy showed: one row an impression.

    Parameters
    ----------
    world : World
    days : sequence of int
        Which days to write.

    Returns
    -------
    DataFrame
        `request_id`, `user_id`, `item_id`, `ts`, `arm`, `model_id`, `feature_version`, the
        features `f_0`... and `f_rate`, `score`, `position`, `propensity` (chance that this policy
        showed this candidate), `explored`, `shown`.

    Examples
    --------
    >>> from toolkit.world import Settings, simulate
    >>> log = serving_log(simulate(Settings(items=50, requests=100, days=3)), [1, 2])
    >>> len(log), bool(log["propensity"].between(0, 1).all())
    (200, True)
    """
    s = world.settings
    request = np.arange(s.requests)
    parts = []
    for day in _days(world, days):
        shown = world.shown[day]
        item = world.shown_item(day)
        best = shown == world.old_score[day].argmax(1)
        explored_share = s.exploration / s.candidates
        columns: dict[str, Any] = {
            "request_id": day * s.requests + request,
            "user_id": world.user[day],
            "item_id": item,
            "ts": _times(world, day),
            "arm": "control",
            "model_id": "old",
            "feature_version": 1,
            **{f"f_{place}": world.x[day, request, shown, place] for place in range(world.x.shape[-1])},
            "f_rate": world.rate[day][item],
            "score": world.old_score[day, request, shown],
            "position": 1,
            "propensity": np.where(best, 1 - s.exploration + explored_share, explored_share),
            "explored": world.explored[day],
            "shown": True,
        }
        parts.append(pd.DataFrame(columns))
    return pd.concat(parts, ignore_index=True)


def outcomes(world: World, days: Sequence[int]) -> pd.DataFrame:
    """Whether what was shown was a good match: `request_id`, `item_id`, `y`, `label_ts`; known at once."""
    s = world.settings
    parts = [
        pd.DataFrame(
            {
                "request_id": day * s.requests + np.arange(s.requests),
                "item_id": world.shown_item(day),
                "y": world.shown_outcome(day).astype(np.int64),
                "label_ts": _times(world, day),
            }
        )
        for day in _days(world, days)
    ]
    return pd.concat(parts, ignore_index=True)


def assignments(
    world: World, experiment: str, days: Sequence[int], *, share: float = 0.5, rng: Any = 0
) -> pd.DataFrame:
    """Which arm each user is in: `experiment`, `user_id`, `arm`, `ts` of the user's first request.

    Without a second model in the world this is an A/A test: both arms get the old policy.

    Parameters
    ----------
    share : float
        Share of users in the treatment.
    rng : int or Generator
        For the split.
    """
    if not 0 < share < 1:
        raise ValueError(f"share: got {share!r}; it must lie strictly between 0 and 1")
    treated = np.random.default_rng(rng).random(world.settings.users) < share
    seen = pd.concat(
        [pd.DataFrame({"user_id": world.user[day], "ts": _times(world, day)}) for day in _days(world, days)]
    )
    first = seen.groupby("user_id", as_index=False)["ts"].min()
    arm = np.where(treated[first["user_id"]], "treatment", "control")
    return pd.DataFrame(
        {"experiment": experiment, "user_id": first["user_id"], "arm": arm, "ts": first["ts"]}
    )


def _times(world: World, day: int) -> pd.DatetimeIndex:
    return START + pd.to_timedelta((day * 86_400e6 + world.second[day] * 1e6).astype(np.int64), unit="us")


def _days(world: World, days: Sequence[int]) -> list[int]:
    wanted = list(days)
    if not wanted or not all(0 <= day < world.settings.days for day in wanted):
        raise ValueError(
            f"days: got {wanted}; it must be days of the {world.settings.days} simulated, at least one"
        )
    return wanted
