"""Is every row there, once, and in time? The pipeline's faults on FooBar's rows, and their curves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from toolkit.rules import number, share
from toolkit.shipping.contracts import drafted, schema_contract
from toolkit.shipping.duplicates import doubled, dup_audit, twins_across, variance_factor
from toolkit.shipping.lateness import (
    arrived_share,
    best_wait,
    lateness_by_wait,
    wait_for,
    waiting_cost,
)
from toolkit.shipping.partitions import completeness, day_profile, missing_bias, slow_leak

__all__ = [
    "arrive",
    "arrived_share",
    "best_wait",
    "bias_by_gap",
    "completeness",
    "cost_by_wait",
    "coverage_by_events",
    "day_profile",
    "doubled",
    "drafted",
    "dup_audit",
    "hourly",
    "lateness_by_wait",
    "missing_bias",
    "redeliver",
    "schema_contract",
    "slow_leak",
    "there_by_age",
    "twins_across",
    "variance_factor",
    "wait_for",
    "waiting_cost",
]


def redeliver(
    rows: pd.DataFrame, rate: float, *, y: str | None = None, times: float = 1.0, rng: Any = 0
) -> pd.DataFrame:
    """Rows of which some came in twice, as a client that saw no answer sends them again.

    Parameters
    ----------
    rows : DataFrame
    rate : float
        Share of the rows that are sent again.
    y : str, optional
        Column of labels; with it positives are sent again `times` as often as negatives.
    rng : int or Generator

    Examples
    --------
    >>> len(redeliver(pd.DataFrame({"y": [0, 1] * 500}), 0.1)) in range(1060, 1140)
    True
    """
    share("rate", rate)
    number("times", times, above=0)
    chance = np.full(len(rows), rate)
    if y is not None:
        label = rows[y].to_numpy(float)
        chance = rate * np.where(label == 1, times, 1.0) / (1 + (times - 1) * label.mean())
    again = np.random.default_rng(rng).random(len(rows)) < chance
    return pd.concat([rows, rows[again]], ignore_index=True)


def arrive(
    rows: pd.DataFrame,
    *,
    late: float,
    mean_delay: float,
    y: str | None = None,
    times: float = 1.0,
    ts: str = "ts",
    rng: Any = 0,
) -> pd.DataFrame:
    """Rows with `arrived_ts`: most came in at once, a share of them late, by an exponential delay in hours.

    Parameters
    ----------
    late : float
        Share of the rows that are late.
    mean_delay : float
        Hours.
    y : str, optional
        Column of labels; with it positives are late `times` as often as negatives.

    Examples
    --------
    >>> rows = pd.DataFrame({"ts": pd.date_range("2026-03-02", periods=1000, freq="min", tz="UTC")})
    >>> bool((arrive(rows, late=0.2, mean_delay=6.0)["arrived_ts"] >= rows["ts"]).all())
    True
    """
    share("late", late)
    number("mean_delay", mean_delay, above=0)
    number("times", times, above=0)
    draw = np.random.default_rng(rng)
    chance = np.full(len(rows), late)
    if y is not None:
        label = rows[y].to_numpy(float)
        chance = late * np.where(label == 1, times, 1.0) / (1 + (times - 1) * label.mean())
    hours = np.where(draw.random(len(rows)) < chance, draw.exponential(mean_delay, len(rows)), 0.0)
    return rows.assign(arrived_ts=rows[ts] + pd.to_timedelta((hours * 3.6e9).astype(np.int64), unit="us"))


def hourly(rows: pd.DataFrame, *, ts: str = "ts") -> pd.DataFrame:
    """The number of rows an hour, as a `GROUP BY` gives it: hours without a row aren't there.

    Examples
    --------
    >>> times = pd.to_datetime(["2026-03-02 09:10", "2026-03-02 09:50", "2026-03-02 12:00"], utc=True)
    >>> hourly(pd.DataFrame({"ts": times}))["n"].tolist()
    [2, 1]
    """
    return rows.groupby(rows[ts].dt.floor("1h")).size().rename("n").reset_index()


def coverage_by_events(rate: float, *, base: float, times: float, events: Sequence[int]) -> pd.DataFrame:
    """How often a 95% interval holds the true rate, for samples of several sizes: `events`, `covers`, `interval`.

    Examples
    --------
    >>> coverage_by_events(0.1, base=0.05, times=1.0, events=[1000])["covers"].round(3).tolist()
    [0.929, 0.95]
    """
    told = [doubled(rate, base=base, times=times, events=each)["covers"] for each in events]
    raw = pd.DataFrame({"events": events, "covers": told, "interval": "all rows"})
    once = pd.DataFrame({"events": events, "covers": 0.95, "interval": "one row an event"})
    return pd.concat([raw, once], ignore_index=True)


def bias_by_gap(rhythm: float, hours: int, *, base: float = 0.05) -> pd.DataFrame:
    """By how much the day's rate is off, for each hour at which a gap may begin: `since`, `bias`.

    Examples
    --------
    >>> bool(bias_by_gap(0.0, 3)["bias"].abs().max() < 1e-12)
    True
    """
    profile = day_profile(rhythm, base=base)
    return pd.DataFrame(
        {"since": range(24), "bias": [missing_bias(profile, since=since, hours=hours) for since in range(24)]}
    )


def there_by_age(*, late: float, mean_delay: float, hours: int = 48) -> pd.DataFrame:
    """Of each of the last hours, the share of its rows that is there now: `age` (hours since its end), `there`.

    Examples
    --------
    >>> round(float(there_by_age(late=0.2, mean_delay=6.0)["there"].iloc[0]), 3)
    0.816
    """
    age = np.arange(hours + 1)
    return pd.DataFrame({"age": age, "there": arrived_share(age, late=late, mean_delay=mean_delay)})


def cost_by_wait(*, late: float, mean_delay: float, loss_price: float, hours: int = 72) -> pd.DataFrame:
    """What each wait costs, an hour of delay being the unit: `wait`, `cost`, `part` (all, delay, rows left out).

    Examples
    --------
    >>> cost_by_wait(late=0.2, mean_delay=6.0, loss_price=1.0)["part"].unique().tolist()
    ['both', 'delay', 'rows left out']
    """
    wait = np.arange(hours + 1.0)
    both = waiting_cost(wait, late=late, mean_delay=mean_delay, delay_price=1.0, loss_price=loss_price)
    parts = {"both": both, "delay": wait, "rows left out": both - wait}
    return pd.concat(
        [pd.DataFrame({"wait": wait, "cost": cost, "part": part}) for part, cost in parts.items()]
    )
