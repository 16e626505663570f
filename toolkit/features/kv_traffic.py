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
from toolkit.world import World, logs, warehouse
from toolkit.world.clock import DAY, START, times
from toolkit.world.features import CARRIED, smoothed_rate
from toolkit.world.policies import fit_logistic
from toolkit.world.serving import Served
from toolkit.world.slates import Slates, live, logged

RATE = "rate_today"
# What came of an impression isn't known at its own request.
_KNOWN_AFTER = timedelta(seconds=1)
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
    nightly: bool = False,
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
    nightly : bool
        Whether a batch writes all items' rates at midnight besides.
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
    writes = rates_written(world, range(days.start - warm_up, days.stop), nightly=nightly)
    lags = (
        [settings.write_lag]
        if replica_lag is None
        else [settings.write_lag, settings.write_lag + replica_lag]
    )
    parts: list[list[tuple[Any, ...]]] = []
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


def rates_written(world: World, days: range, *, nightly: bool = False) -> dict[tuple[int, int], list[Row]]:
    """The running click rates that impressions write, and the nightly batch, by day and hour.

    Examples
    --------
    >>> from toolkit.world import Settings, simulate
    >>> world = simulate(Settings(items=50, requests=100, days=2))
    >>> [sum(map(len, rates_written(world, range(2), nightly=batch).values())) for batch in (False, True)]
    [200, 300]
    """
    rows: dict[tuple[int, int], list[Row]] = {}
    for day in days:
        shown, good = pd.Series(world.shown_item(day)), pd.Series(world.shown_outcome(day) * 1.0)
        none = np.zeros(world.settings.items)
        before = (world.impressions[day - 1], world.clicks[day - 1]) if day else (none, none)
        seen = CARRIED * before[0][shown] + shown.groupby(shown).cumcount() + 1
        hits = CARRIED * before[1][shown] + good.groupby(shown).cumsum()
        value = smoothed_rate(np.asarray(seen), np.asarray(hits))
        when = times(world, day, np.arange(world.settings.requests)).to_pydatetime()
        if nightly:
            start = (START + day * DAY).to_pydatetime()
            carried = smoothed_rate(CARRIED * before[0], CARRIED * before[1]).tolist()
            rows[day, 0] = [Row(item, RATE, rate, start, start) for item, rate in enumerate(carried)]
        for item, rate, ts in zip(shown.tolist(), value.tolist(), when, strict=True):
            rows.setdefault((day, ts.hour), []).append(Row(item, RATE, rate, ts, ts + _KNOWN_AFTER))
    return rows


def serving_log(
    world: World, reads: pd.DataFrame, train: pd.DataFrame, *, default: float = 0.0
) -> pd.DataFrame:
    """What FooBar's ranker shows with the rates that the store served, and their labels.

    Parameters
    ----------
    world : World
    reads : DataFrame
        All candidates of all requests of some days, as `read_through` gives them.
    train : DataFrame
        What the ranker was trained on: `offline_table`, which is complete, or `logged_table`, from which
        it also learns what a missing value means.
    default : float
        What stands in where the store served nothing.

    Returns
    -------
    DataFrame
        `serving_log` in the form of `toolkit.tables`, with `f_rate_today_ts` (when the event was of
        the rate that was served), and the label `y`.

    Raises
    ------
    ValueError
        If `reads` lacks candidates.

    Examples
    --------
    >>> from toolkit.world import Settings, simulate
    >>> world = simulate(Settings(items=50, requests=100, days=5))
    >>> reads = read_through(world, range(4, 5), settings=StoreSettings())
    >>> log = serving_log(world, reads, offline_table(world, range(1, 4)))
    >>> len(log), bool((log["f_rate_today"].eq(0) == log["f_rate_today_ts"].isna()).all())
    (100, True)
    """
    there, rate, event = _grid(world, reads)
    missing = np.isnat(event)
    pairs = there.known[..., :-1]
    features = {f"f_{place}": pairs[..., place] for place in range(pairs.shape[-1])}
    features["f_rate_today"] = np.where(missing, default, rate)
    known = train[list(features)].to_numpy(float)
    if "f_rate_today_ts" in train:
        weights = fit_logistic(np.column_stack([known, train["f_rate_today_ts"].isna()]), train["y"])
    else:
        weights = np.r_[fit_logistic(known, train["y"]), 0.0]
    score = weights[0] + np.stack([*features.values(), missing], axis=-1) @ weights[1:]
    made = Served(
        model_id="rate from the store",
        feature_version=1,
        slates=there,
        features=features,
        light_score=there.old_score,
        passed=np.ones(there.day.shape, dtype=bool),
        score=score,
    )
    log = logs.serving_log({"control": made})
    log["f_rate_today_ts"] = pd.DatetimeIndex(event[np.arange(len(log)), made.shown], tz="UTC")
    return log.merge(logs.outcomes({"control": made}), on=["request_id", "item_id"], validate="one_to_one")


def offline_table(world: World, days: range) -> pd.DataFrame:
    """The training rows of the offline store, which is complete: a `training_table` with `f_rate_today`.

    Examples
    --------
    >>> from toolkit.world import Settings, simulate
    >>> table = offline_table(simulate(Settings(items=50, requests=100, days=4)), range(1, 4))
    >>> len(table), int(table["f_rate_today"].isna().sum())
    (300, 0)
    """
    seen = logged(world, days, np.ones((len(days), world.settings.requests), dtype=bool))
    rate = seen.rate(as_of=True, lag=0)[:, 0].astype(float)
    none_held_out = np.zeros(len(rate), dtype=bool)
    return warehouse.training_table(seen, rate, none_held_out, snapshot=START + days.stop * DAY)


def logged_table(world: World, reads: pd.DataFrame, *, default: float = 0.0) -> pd.DataFrame:
    """The training rows of a log that wrote down what the store served: as `offline_table`, with its misses.

    Parameters
    ----------
    world : World
    reads : DataFrame
        All candidates of all requests of some days; the rows are those that were shown then.
    default : float
        What was handed to the ranker where the store served nothing.

    Examples
    --------
    >>> from toolkit.world import Settings, simulate
    >>> world = simulate(Settings(items=50, requests=100, days=4))
    >>> reads = read_through(world, range(3, 4), settings=StoreSettings(ttl=timedelta(hours=1)))
    >>> table = logged_table(world, reads)
    >>> bool(table["f_rate_today_ts"].isna().any()), bool(table["f_rate_today"].isna().any())
    (True, False)
    """
    there, rate, event = _grid(world, reads)
    table = offline_table(world, range(int(there.day.min()), int(there.day.max()) + 1))
    place = np.arange(len(table)), there.world.shown[there.day[:, 0], there.request[:, 0]]
    table["f_rate_today_ts"] = pd.DatetimeIndex(event[place], tz="UTC")
    table["f_rate_today"] = np.where(np.isnat(event[place]), default, rate[place])
    return table


def _grid(world: World, reads: pd.DataFrame) -> tuple[Slates, np.ndarray, np.ndarray]:
    """The slates that were read for, with each candidate's rate and the time of its event."""
    days = range(int(reads["day"].min()), int(reads["day"].max()) + 1)
    there = live(world, days)
    if len(reads) != there.day.size:
        raise ValueError(
            f"reads: got {len(reads):,} rows; all {there.day.size:,} candidates of {days} must be there"
        )
    event = reads["event_ts"].dt.tz_localize(None).to_numpy()
    return there, reads["value"].to_numpy().reshape(there.day.shape), event.reshape(there.day.shape)


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
