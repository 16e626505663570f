"""FooBar's explored impressions with labels that come late: what its models are backtested on."""

from __future__ import annotations

from typing import Any

import pandas as pd

from toolkit.general.label_delay import labels_in
from toolkit.rules import count, number
from toolkit.world import Settings, logs, simulate
from toolkit.world.serving import served_by_old

__all__ = ["explored_rows"]

# Days of logs before the first row, for the features that look back; and between two items' places.
_BEFORE, _APART = 7, 1_000.0


def explored_rows(
    *,
    days: int = 56,
    half_life: float = 3.0,
    items: int = 30,
    requests: int = 300,
    closes: float = 3.0,
    rng: Any = 0,
) -> pd.DataFrame:
    """Impressions that were drawn at random, so that nothing but time tells them apart; in order of time.

    Parameters
    ----------
    days : int
    half_life : float
        Days in which what an item's quality tells of a later day's halves.
    items, requests : int
        In the catalogue, and a day.
    closes : float
        Days until an impression counts as having led to nothing; a click is known sooner.
    rng : int

    Returns
    -------
    DataFrame
        `request_id`, `user_id`, `item_id`, `ts`, `y`, `label_ts`, the pair's features `f_0` to `f_2`, and `place`: the
        day, plus a thousand for each item, so that rows which are near are of one item.

    Examples
    --------
    >>> rows = explored_rows(days=2, requests=100)
    >>> len(rows), rows["ts"].is_monotonic_increasing
    (200, True)
    """
    count("days", days)
    number("closes", closes, above=0)
    settings = Settings(
        items=items, candidates=min(10, items), requests=requests, days=_BEFORE + days,
        half_life=half_life, exploration=1.0,
    )  # fmt: skip
    arm = {"control": served_by_old(simulate(settings, rng=rng), range(_BEFORE, _BEFORE + days))}
    log = logs.serving_log(arm)
    read = log["ts"].max() + pd.Timedelta(days=closes + 1)
    known = labels_in(
        log, logs.outcomes(arm), as_of=read, mean_delay={"control": closes / 6}, closes=closes, rng=rng
    )
    rows = log.merge(known, on=["request_id", "item_id"]).sort_values("ts", kind="stable", ignore_index=True)
    since = (rows["ts"] - rows["ts"].min().floor("D")) / pd.Timedelta("1D")
    rows["place"] = rows["item_id"] * _APART + since
    return rows[["request_id", "user_id", "item_id", "ts", "y", "label_ts", "f_0", "f_1", "f_2", "place"]]
