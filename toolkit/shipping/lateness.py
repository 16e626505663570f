"""Rows that come in late: how much of the last hours is there, and how long must one wait?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import norm

from toolkit.frames import read_columns
from toolkit.resampling import clustered_error, several
from toolkit.rules import level, number, share

__all__ = ["arrived_share", "best_wait", "lateness_by_wait", "wait_for", "waiting_cost"]


def arrived_share(age: Any, *, late: float, mean_delay: float, width: float = 1.0) -> Any:
    """The share of a partition's rows that are there, so long after its end.

    A share of the rows comes late, by an exponential delay; the others at once. Events are spread evenly over
    the partition, so those of its beginning have had more time.

    Parameters
    ----------
    age : float or array
        Hours since the partition's end; from -width on, where none of it has happened yet.
    late : float
        Share of the rows that come late.
    mean_delay : float
        Their mean delay in hours.
    width : float
        Length of the partition in hours.

    Examples
    --------
    >>> round(float(arrived_share(0.0, late=0.2, mean_delay=6.0)), 3)
    0.816
    """
    share("late", late)
    number("mean_delay", mean_delay, above=0)
    number("width", width, above=0)
    hours = np.asarray(age, dtype=float)
    if not np.isfinite(hours).all() or (hours < -width).any():
        raise ValueError(f"age: got {age!r}; it must be finite and not before the partition's begin")
    begun = np.minimum(width, hours + width)  # how much of the partition has happened
    waited = np.maximum(hours, 0.0)
    out = late * mean_delay / width * (np.exp(-waited / mean_delay) - np.exp(-(hours + width) / mean_delay))
    return begun / width - out


def wait_for(loss: float, *, late: float, mean_delay: float, width: float = 1.0) -> float:
    """The hours after a partition's end at which no more than this share of its rows is still to come.

    Examples
    --------
    >>> round(wait_for(0.01, late=0.2, mean_delay=6.0), 1)
    17.5
    """
    share("loss", loss, open_low=True)
    at_end = 1 - float(arrived_share(0.0, late=late, mean_delay=mean_delay, width=width))
    return max(0.0, mean_delay * math.log(at_end / loss)) if at_end > 0 else 0.0


def waiting_cost(
    wait: Any, *, late: float, mean_delay: float, delay_price: float, loss_price: float, width: float = 1.0
) -> Any:
    """What a watermark costs: every hour of waiting its price, and every percent of the rows that it leaves out its own.

    Parameters
    ----------
    wait : float or array
        Hours after the partition's end at which it is closed.
    delay_price : float
        Per hour of waiting.
    loss_price : float
        Per percent of the rows left out.

    Examples
    --------
    >>> round(float(waiting_cost(0.0, late=0.2, mean_delay=6.0, delay_price=1.0, loss_price=2.0)), 1)
    36.8
    """
    number("delay_price", delay_price, above=0)
    number("loss_price", loss_price, above=0)
    gone = 1 - arrived_share(wait, late=late, mean_delay=mean_delay, width=width)
    return delay_price * np.asarray(wait, dtype=float) + 100 * loss_price * gone


def best_wait(
    *, late: float, mean_delay: float, delay_price: float, loss_price: float, width: float = 1.0
) -> float:
    """The watermark that costs least: where one more hour costs what the rows of that hour are worth.

    Examples
    --------
    >>> round(best_wait(late=0.2, mean_delay=6.0, delay_price=1.0, loss_price=2.0), 1)
    10.9
    """
    number("delay_price", delay_price, above=0)
    number("loss_price", loss_price, above=0)
    at_end = 1 - float(arrived_share(0.0, late=late, mean_delay=mean_delay, width=width))
    worth = 100 * loss_price * at_end / (mean_delay * delay_price)
    return mean_delay * math.log(worth) if worth > 1 else 0.0


def lateness_by_wait(
    rows: Any,
    *,
    waits: Sequence[str] = ("0h", "1h", "3h", "6h", "12h", "24h", "48h"),
    value: str | None = None,
    ts: str = "ts",
    arrived: str = "arrived_ts",
    cluster: str | None = "user_id",
    alpha: float = 0.05,
) -> pd.DataFrame:
    """For each wait after an event: the share of rows that come later still, and what leaving them out does to a mean.

    Only events at least as old as the longest wait count: of younger ones the late rows aren't there to be
    counted, and lateness would look smaller than it is.

    Parameters
    ----------
    rows : frame
        One row an event, with when it was and when its row came in.
    waits : sequence of str
        As pandas writes them, such as "6h".
    value : str, optional
        Column of numbers whose mean is looked at.
    ts, arrived : str
        When it was, and when it came in; the last of these is taken for now.
    cluster : str or None
        What is independent; None: each row by itself.

    Returns
    -------
    DataFrame
        A row a wait: `wait`, `late` with `low` and `high`; with `value` also `off`, the mean of those in time
        less that of all, with `off_low` and `off_high`.

    Raises
    ------
    ValueError
        If columns are missing or incomplete, a row came in before its event, a wait isn't one, or fewer than two clusters are old enough.

    Examples
    --------
    >>> begin = pd.Timestamp("2026-03-02", tz="UTC")
    >>> rows = pd.DataFrame({"user_id": range(300), "ts": begin + pd.to_timedelta(np.arange(300), unit="h")})
    >>> rows["arrived_ts"] = rows["ts"] + pd.to_timedelta(np.where(rows["user_id"] % 4, 0, 5), unit="h")
    >>> lateness_by_wait(rows, waits=["0h", "3h", "6h"])["late"].round(2).tolist()
    [0.25, 0.25, 0.0]
    """
    level(alpha)
    try:
        delays = [pd.Timedelta(wait) for wait in waits]
    except ValueError:
        raise ValueError(f"waits: got {list(waits)}; each must be a time such as 6h") from None
    if not delays or min(delays) < pd.Timedelta(0):
        raise ValueError(f"waits: got {list(waits)}; there must be one at least, none negative")
    wanted = [ts, arrived, *([cluster] if cluster else []), *([value] if value else [])]
    table = read_columns(rows, "rows", wanted, times=[ts, arrived], numbers=[value] if value else [])
    delay = table[arrived] - table[ts]
    if (delay < pd.Timedelta(0)).any():
        raise ValueError(
            f"{arrived}: got {int((delay < pd.Timedelta(0)).sum())} before {ts}; no row comes in before its event"
        )
    old = (table[ts] <= table[arrived].max() - max(delays)).to_numpy()
    if old.sum() < 2:
        raise ValueError(
            f"rows: got {int(old.sum())} at least {max(waits, key=pd.Timedelta)} old; there must be two at least"
        )
    table, delay = table[old], delay[old]
    code = np.arange(len(table)) if cluster is None else several(table[cluster], cluster)
    z, n = float(norm.isf(alpha / 2)), len(table)
    records: list[dict[str, Any]] = []
    for wait, limit in zip(waits, delays, strict=True):
        late = (delay > limit).to_numpy(float)
        half = z * clustered_error((late - late.mean()) / n, code)
        record: dict[str, Any] = {"wait": wait, "late": float(late.mean())}
        record |= {"low": max(0.0, record["late"] - half), "high": min(1.0, record["late"] + half)}
        if value is not None:
            y, there = table[value].to_numpy(float), 1 - late
            mean = float(there @ y / there.sum()) if there.any() else math.nan
            off = mean - float(y.mean())
            influence = there * (y - mean) / max(there.sum(), 1) - (y - y.mean()) / n
            half = z * clustered_error(influence, code)
            record |= {"off": off, "off_low": off - half, "off_high": off + half}
        records.append(record)
    return pd.DataFrame(records)
