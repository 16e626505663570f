"""What does FooBar's traffic read from a real store with a time to live, a write lag and little room?

Every impression writes its item's running click rate; every request reads the rates of all its
candidates. Writes and reads go through `toolkit.features.stores`, in the order of time.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd

from toolkit.features.stores import Feature, Row, Store, StoreSettings, open_store
from toolkit.rules import count, number
from toolkit.world import World, logs
from toolkit.world.clock import DAY, START, times
from toolkit.world.features import CARRIED, smoothed_rate
from toolkit.world.policies import fit_logistic
from toolkit.world.serving import Served
from toolkit.world.slates import live, logged

RATE = "rate_today"
# Of one item, impressions that may wait for their time or lie within the same hour.
_KEEP = 64


def expected_misses(writes: float, ttl: float) -> float:
    """The chance that a key has outlived its time to live, where it is written at random moments.

    A write lag shifts the window that a value must have been written in; it doesn't change the chance.

    Parameters
    ----------
    writes : float
        Mean number of writes of the key a day (a Poisson process).
    ttl : float
        Days.

    Examples
    --------
    >>> round(expected_misses(2.0, 1.0), 3)
    0.135
    """
    return float(np.exp(-number("writes", writes, above=0) * number("ttl", ttl, above=0)))


def expected_age(writes: float, ttl: float, *, lag: float = 0.0) -> float:
    """The mean age, in days, of the values that such a key's readers are served.

    Examples
    --------
    >>> round(expected_age(2.0, 1.0, lag=0.25), 3)
    0.593
    """
    gone = expected_misses(writes, ttl)
    return number("lag", lag, above=-1e-12) + 1 / writes - ttl * gone / (1 - gone)


def read_through(
    world: World,
    days: range,
    *,
    settings: StoreSettings,
    every: int = 1,
    warm_up: int = 2,
    replica_lag: timedelta | None = None,
    url: str = "sqlite://:memory:",
) -> pd.DataFrame:
    """What the store served to each candidate of FooBar's requests.

    Parameters
    ----------
    world : World
    days : range
        Days whose requests read. Impressions write from `warm_up` days before.
    settings : StoreSettings
    every : int
        One request in so many reads.
    warm_up : int
    replica_lag : timedelta, optional
        By how much a second replica is behind the first; then each request reads one of them, in turn.
    url : str
        Of an empty store.

    Returns
    -------
    DataFrame
        One row a candidate: `day`, `request`, `candidate`, `item_id`, `ts`, `replica`, and `value`,
        `event_ts` (missing where there was none).

    Examples
    --------
    A time to live of an hour leaves little:

    >>> from toolkit.world import Settings, simulate
    >>> world = simulate(Settings(items=50, requests=100, days=4))
    >>> short, none = (StoreSettings(ttl=ttl) for ttl in (timedelta(hours=1), None))
    >>> bool(read_through(world, range(3, 4), settings=short)["value"].isna().mean() > 0.5)
    True
    >>> bool(read_through(world, range(3, 4), settings=none)["value"].isna().mean() < 0.5)
    True
    """
    count("every", every), count("warm_up", warm_up, least=0)
    if days.start - warm_up < 0:
        raise ValueError(f"warm_up: got {warm_up}; there are {days.start} days before {days}")
    writes = impressions_as_rows(world, range(days.start - warm_up, days.stop))
    lags = (
        [settings.write_lag]
        if replica_lag is None
        else [settings.write_lag, settings.write_lag + replica_lag]
    )
    parts = []
    with _opened(url, settings, lags) as replicas:
        for day in range(days.start - warm_up, days.stop):
            for hour in range(24):
                begin = (START + day * DAY).to_pydatetime() + timedelta(hours=hour)
                # An hour's writes at once: none is served before its time, only an eviction comes early.
                batch = writes.pop((day, hour), [])
                for store in replicas:
                    store.put(batch)
                if day in days:
                    parts += _read(world, day, begin, every, replicas)
    return pd.DataFrame(
        [row for part in parts for row in part],
        columns=["day", "request", "candidate", "item_id", "ts", "replica", "value", "event_ts"],
    ).astype({"value": float, "event_ts": "datetime64[us, UTC]"})


def impressions_as_rows(world: World, days: range) -> dict[tuple[int, int], list[Row]]:
    """The running click rate that each impression writes, by day and hour.

    Examples
    --------
    >>> from toolkit.world import Settings, simulate
    >>> rows = impressions_as_rows(simulate(Settings(items=50, requests=100, days=2)), range(2))
    >>> sum(map(len, rows.values()))
    200
    """
    rows: dict[tuple[int, int], list[Row]] = {}
    for day in days:
        shown, good = pd.Series(world.shown_item(day)), pd.Series(world.shown_outcome(day) * 1.0)
        before = (
            (world.impressions[day - 1], world.clicks[day - 1])
            if day
            else (np.zeros(world.settings.items),) * 2
        )
        seen = CARRIED * before[0][shown] + shown.groupby(shown).cumcount() + 1
        hits = CARRIED * before[1][shown] + good.groupby(shown).cumsum()
        value = smoothed_rate(np.asarray(seen), np.asarray(hits))
        when = times(world, day, np.arange(world.settings.requests)).to_pydatetime()
        for item, rate, ts in zip(shown.tolist(), value.tolist(), when, strict=True):
            rows.setdefault((day, ts.hour), []).append(Row(item, RATE, rate, ts, ts))
    return rows


def serving_log(
    world: World, reads: pd.DataFrame, *, trained_on: range, default: float = 0.0
) -> pd.DataFrame:
    """What FooBar's ranker shows with the rates that the store served, and their labels.

    The ranker was trained on the complete offline table of earlier days, and gets `default` where the
    store served nothing.

    Parameters
    ----------
    world : World
    reads : DataFrame
        All candidates of all requests of some days, as `read_through` gives them.
    trained_on : range
    default : float

    Returns
    -------
    DataFrame
        `serving_log` in the form of `toolkit.tables`, with `f_rate_today_ts` (when the event was of
        the rate that was served), and the label `y`.

    Examples
    --------
    >>> from toolkit.world import Settings, simulate
    >>> world = simulate(Settings(items=50, requests=100, days=5))
    >>> log = serving_log(world, read_through(world, range(4, 5), settings=StoreSettings()), trained_on=range(1, 4))
    >>> len(log), bool((log["f_rate_today"].eq(0) == log["f_rate_today_ts"].isna()).all())
    (100, True)
    """
    days = range(int(reads["day"].min()), int(reads["day"].max()) + 1)
    there = live(world, days)
    if len(reads) != there.day.size:
        raise ValueError(
            f"reads: got {len(reads):,} rows; all {there.day.size:,} candidates of {days} must be there"
        )
    rate = reads["value"].fillna(default).to_numpy().reshape(there.day.shape)
    seen = logged(world, trained_on, np.ones((len(trained_on), world.settings.requests), dtype=bool))
    known = np.column_stack([seen.known[:, 0, :-1], seen.rate(as_of=True, lag=0)[:, 0]])
    intercept, *weights = fit_logistic(known, seen.y[:, 0])
    pairs = there.known[..., :-1]
    features = {**{f"f_{place}": pairs[..., place] for place in range(pairs.shape[-1])}, "f_rate_today": rate}
    made = Served(
        model_id="rate from the store",
        feature_version=1,
        slates=there,
        features=features,
        light_score=there.old_score,
        passed=np.ones(there.day.shape, dtype=bool),
        score=intercept + pairs @ np.array(weights[:-1]) + weights[-1] * rate,
    )
    log = logs.serving_log({"control": made})
    event = reads["event_ts"].to_numpy().reshape(there.day.shape)
    log["f_rate_today_ts"] = pd.DatetimeIndex(event[np.arange(len(log)), made.shown], tz="UTC")
    return log.merge(logs.outcomes({"control": made}), on=["request_id", "item_id"], validate="one_to_one")


def offline_table(world: World, days: range) -> pd.DataFrame:
    """The training rows of the offline store, which is complete: `training_table` with `f_rate_today`.

    Examples
    --------
    >>> from toolkit.world import Settings, simulate
    >>> table = offline_table(simulate(Settings(items=50, requests=100, days=4)), range(1, 4))
    >>> len(table), int(table["f_rate_today"].isna().sum())
    (300, 0)
    """
    from toolkit.world import warehouse

    seen = logged(world, days, np.ones((len(days), world.settings.requests), dtype=bool))
    rate = seen.rate(as_of=True, lag=0)[:, 0].astype(float)
    return warehouse.training_table(
        seen, rate, np.zeros(len(rate), dtype=bool), snapshot=START + days.stop * DAY
    )


def _read(
    world: World, day: int, begin: datetime, every: int, replicas: list[Store]
) -> Iterator[list[tuple[Any, ...]]]:
    """The reads of an hour: one list of rows a request."""
    hour = begin.hour
    first, last = np.searchsorted(world.second[day], [hour * 3600, (hour + 1) * 3600])
    when = times(world, day, np.arange(first, last)).to_pydatetime()
    for request, ts in zip(range(first, last), when, strict=True):
        if request % every:
            continue
        items = world.item[day, request].tolist()
        replica = request // every % len(replicas)
        got = replicas[replica].get_many(items, [RATE], now=ts)
        yield [
            (day, request, place, item, ts, replica, *_served(got[item][RATE]))
            for place, item in enumerate(items)
        ]


def _served(reading: Any) -> tuple[float | None, datetime | None]:
    return (None, None) if reading is None else (reading.value, reading.event_ts)


@contextmanager
def _opened(url: str, settings: StoreSettings, lags: list[timedelta]) -> Iterator[list[Store]]:
    stores = [
        open_store(
            url, [Feature(RATE)], settings=replace(settings, write_lag=lag, keep=max(_KEEP, settings.keep))
        )
        for lag in lags
    ]
    try:
        yield stores
    finally:
        for store in stores:
            store.close()
