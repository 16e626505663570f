"""Rows that never came: what does a missing partition do to a mean, and are all rows there?"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import t as student

from toolkit.finding import Finding
from toolkit.frames import read_columns
from toolkit.general.cusum import cusum
from toolkit.rules import level, number

__all__ = ["completeness", "day_profile", "missing_bias", "slow_leak"]

# What a Poisson count's square root has for a variance, whatever its mean.
_QUARTER = 0.25


def day_profile(rhythm: float, *, base: float = 0.05, peak: float = 20.0) -> pd.DataFrame:
    """A day by the hour: its share of the events, and the chance that an event is a positive.

    Parameters
    ----------
    rhythm : float
        By how much of `base` the chance rises in the evening and falls in the morning, in [0, 1).
    base : float
        The chance over the whole day, strictly between 0 and 1.
    peak : float
        The hour at which most events come in; the chance is highest then too.

    Returns
    -------
    DataFrame
        `hour`, `share` (sums to 1), `chance`.

    Examples
    --------
    >>> day = day_profile(0.4)
    >>> len(day), round(float(day["share"] @ day["chance"]), 4)
    (24, 0.05)
    """
    if not 0 <= rhythm < 1:
        raise ValueError(f"rhythm: got {rhythm!r}; it must lie in [0, 1)")
    number("base", base, above=0, below=1)
    number("peak", peak)
    hour = np.arange(24)
    wave = np.cos(2 * np.pi * (hour + 0.5 - peak) / 24)
    volume = (1 + 0.7 * wave) / 24
    # Shifted, so that the day's mean over events stays.
    chance = base * (1 + rhythm * (wave - volume @ wave))
    if chance.min() < 0 or chance.max() > 1:
        raise ValueError(f"rhythm: got {rhythm!r} with base {base!r}; some hour's chance leaves [0, 1]")
    return pd.DataFrame({"hour": hour, "share": volume, "chance": chance})


def missing_bias(profile: pd.DataFrame, *, since: int, hours: int) -> float:
    """By how much the day's mean is off when some hours' rows are missing, relative to the whole day's.

    With m the missing hours' share of the events: m / (1 - m) times (the day's mean less theirs).

    Parameters
    ----------
    profile : DataFrame
        `share` and `chance`, a row an hour, as `day_profile` gives it.
    since : int
        The first hour that is missing; past the last one, it goes on at the first.
    hours : int
        How many are missing; not all.

    Examples
    --------
    >>> round(missing_bias(day_profile(0.4), since=18, hours=3), 3)
    -0.066
    """
    volume, chance = profile["share"].to_numpy(float), profile["chance"].to_numpy(float)
    if not 1 <= hours < len(volume):
        raise ValueError(f"hours: got {hours!r}; some, and not all, of {len(volume)} must be missing")
    gone = np.isin(np.arange(len(volume)), (since + np.arange(hours)) % len(volume))
    there = ~gone
    whole = float(volume @ chance / volume.sum())
    return float(volume[there] @ chance[there] / volume[there].sum()) / whole - 1


def completeness(
    current: Any,
    reference: Any,
    *,
    count: str = "n",
    ts: str = "ts",
    every: str = "1h",
    season: str = "7D",
    until: Any = None,
    alpha: float = 0.05,
) -> Finding:
    """Compare the number of rows an hour with what that hour of the week used to have.

    Counts enter as square roots, whose variance is 1/4 if they are Poisson's, whatever their level. Real
    traffic varies more: by how many percent beyond Poisson comes from the reference. An hour that isn't in the frame had no row:
    a `GROUP BY` shows no zeros.

    Parameters
    ----------
    current, reference : frame
        Counts with the time at which each period begins; the reference from when all was well, three
        seasons at least.
    count, ts : str
        Their columns.
    every, season : str
        The period that is counted, and after which time it comes again: an hour, a week.
    until : timestamp, optional
        End of the current counts; the last one's end where not given. Without it rows that stopped
        coming leave no trace.
    alpha : float
        Chance that any period is named falsely (Sidak over the periods); the interval has it to itself.

    Returns
    -------
    Finding
        The share of the expected rows that isn't there, negative where there are too many; its interval counts
        whole days as units, since a busy day is busy in every hour, and is never narrower than a Poisson count's: a
        reference of constant counts would make it a point, and tomorrow's needn't be constant. p is of "no period is unlike its reference". The table has
        every period: `expected`, `n`, `missing` (share), `p` (for the family), `flagged`.

    Raises
    ------
    ValueError
        If columns are missing or incomplete, times bear no zone, aren't the periods' beginnings or are there twice,
        counts are negative, the reference is short, or a current period is of a kind that it lacks.

    Examples
    --------
    >>> hours = pd.date_range("2026-02-02", periods=29 * 24, freq="h", tz="UTC")
    >>> rng = np.random.default_rng(0)
    >>> counts = pd.DataFrame({"ts": hours, "n": rng.poisson(400, len(hours))})
    >>> told = completeness(counts[28 * 24 :].drop(index=28 * 24 + 9), counts[: 28 * 24])
    >>> told.table.loc[told.table["flagged"], "ts"].astype(str).tolist()
    ['2026-03-02 09:00:00+00:00']
    """
    level(alpha)
    now, slots = _residuals(current, reference, count, ts, every, season, until)
    z = (now["root"] - now["usual"]) / np.sqrt(slots.variance(now["expected"]) * (1 + 1 / now["seen"]))
    beyond = 2 * student.sf(np.abs(z), slots.freedom)
    now["p"] = -np.expm1(len(now) * np.log1p(-np.minimum(beyond, 1 - 1e-12)))
    now["flagged"] = now["p"] < alpha
    now["missing"] = 1 - now[count] / now["expected"]
    # Whole days: hours of one day are busy together.
    estimate, error, days = _total(now, slots, count)
    half = float(student.isf(alpha / 2, max(1, days - 1))) * error
    flagged = now[now["flagged"]]
    return Finding(
        estimate,
        (estimate - half, estimate + half),
        _verdict(flagged, len(now), estimate, half, slots),
        unit="share of the expected rows",
        se=error,
        p=float(min(1.0, now["p"].min())),
        n=int(now[count].sum()),
        n_clusters=len(now),
        alpha=alpha,
        table=now[[ts, "expected", count, "missing", "p", "flagged"]].reset_index(drop=True),
        assumptions=(
            "the reference is from when all was well, and nothing has changed since but the week's rhythm",
            "periods depart from their rhythm alike; if they do so together, alarms are rarer than said",
        ),
        cannot_tell=(
            "what is usual from gaps in the reference itself: they widen it",
            "rows that were lost from rows that will still come: ask again after the watermark",
            "fewer rows from fewer users: a holiday looks like a gap",
            "lost rows that copies of others make up for: run dup_audit first",
        ),
    )


def slow_leak(
    current: Any,
    reference: Any,
    *,
    count: str = "n",
    ts: str = "ts",
    every: str = "1h",
    season: str = "7D",
    until: Any = None,
    limit: float = 5.0,
) -> Finding:
    """Watch each day's rows against its weekday's by a CUSUM, for losses too small to show in one hour.

    Parameters
    ----------
    current, reference, count, ts, every, season, until
        As for `completeness`; the reference of 20 days at least.
    limit : float
        Of the CUSUM, in standard deviations of a day (`toolkit.general.cusum.cusum_limit`).

    Returns
    -------
    Finding
        As `cusum` gives it, of each day's shortfall in the logarithm of its rows.

    Examples
    --------
    >>> hours = pd.date_range("2026-02-02", periods=42 * 24, freq="h", tz="UTC")
    >>> counts = pd.DataFrame({"ts": hours, "n": np.random.default_rng(0).poisson(400, len(hours))})
    >>> counts.loc[32 * 24 :, "n"] = (0.97 * counts.loc[32 * 24 :, "n"]).astype(int)
    >>> told = slow_leak(counts[28 * 24 :], counts[: 28 * 24])
    >>> str(told.table["ts"][told.table["alarm"].idxmax()])[:10]
    '2026-03-07'
    """
    now, slots = _residuals(current, reference, count, ts, every, season, until)
    days = []
    for frame, scale in ((slots.past, math.sqrt(slots.times / (slots.times - 1))), (now, 1.0)):
        daily = frame.groupby(frame[ts].dt.floor("1D"))[[count, "expected"]].sum()
        # In the reference a slot's mean is partly the value itself, which draws the residual towards 0.
        shortfall = np.log((daily[count] + 0.5) / (daily["expected"] + 0.5)) * scale
        days.append(pd.DataFrame({"ts": daily.index, "log of rows": shortfall.to_numpy()}))
    return cusum(days[0], days[1], value="log of rows", limit=limit)


class _Slots:
    """The reference by slot of the season: means, residuals, and what a day's total varies by."""

    def __init__(self, past: pd.DataFrame, times: float) -> None:
        self.past, self.times = past, times
        self.freedom = len(past) - past["slot"].nunique()
        residual = (past["root"] - past["usual"]).to_numpy(float)
        found = float(residual @ residual) / self.freedom
        # A timetable's counts vary less than Poisson's.
        self.least = min(_QUARTER, found)
        # A level that wobbles by w percent moves the root of n by w / 2 percent of it.
        self.wobble = math.sqrt(max(0.0, found / _QUARTER - 1) / max(float(past["expected"].mean()), 1e-12))

    def variance(self, expected: pd.Series) -> pd.Series:
        """Of a count's square root: Poisson's, and what the level's wobble adds."""
        return np.maximum(self.least + _QUARTER * self.wobble**2 * expected, 1e-9)


def _residuals(
    current: Any, reference: Any, count: str, ts: str, every: str, season: str, until: Any
) -> tuple[pd.DataFrame, _Slots]:
    try:
        step, cycle = pd.Timedelta(every), pd.Timedelta(season)
    except ValueError:
        raise ValueError(
            f"every, season: got {every!r}, {season!r}; they must be periods such as 1h, 7D"
        ) from None
    if not step > pd.Timedelta(0) or cycle % step or cycle < step:
        raise ValueError(f"season: got {season!r}; it must be a multiple of every, {every!r}")
    frames = []
    for frame, name in ((reference, "reference"), (current, "current")):
        rows = read_columns(frame, name, [ts, count], numbers=[count], times=[ts], key=[ts])[[ts, count]]
        rows[ts] = rows[ts].dt.tz_convert("UTC")
        if (rows[count] < 0).any():
            raise ValueError(f"{count}: got {rows[count].min()} in {name}; a count isn't negative")
        if (rows[ts] != rows[ts].dt.floor(step)).any():
            raise ValueError(
                f"{ts}: got times within a period in {name}; each must be where its period of {every} begins"
            )
        end = rows[ts].max() + step
        if name == "current" and until is not None:
            end = _moment(until)
            if not end > rows[ts].max():
                raise ValueError(f"until: got {until}; current has rows at {rows[ts].max()}")
        # A period without a row is one with none, not one that didn't happen.
        whole = pd.DataFrame({ts: pd.date_range(rows[ts].min(), end - step, freq=step)})
        rows = whole.merge(rows, how="left", on=ts).fillna({count: 0})
        rows["root"] = np.sqrt(rows[count] + 0.375)
        rows["slot"] = ((rows[ts] - pd.Timestamp("2024-01-01", tz="UTC")) % cycle) // step
        frames.append(rows)
    past, now = frames
    if not past[count].any():
        raise ValueError(f"{count}: got 0 in every period of reference; some period must have rows")
    by_slot = past.groupby("slot").agg(
        usual=("root", "mean"), expected=(count, "mean"), seen=("root", "size")
    )
    if by_slot["seen"].min() < 3 or (
        len(by_slot) < cycle // step and not set(now["slot"]) <= set(by_slot.index)
    ):
        raise ValueError(
            f"reference: got {len(past):,} periods; each kind within {season} must be there three times at least"
        )
    lacking = set(now["slot"]) - set(by_slot.index)
    if lacking:
        raise ValueError(f"reference: got no period like {len(lacking)} of current's; it must have each kind")
    past, now = (frame.merge(by_slot, left_on="slot", right_index=True, how="left") for frame in (past, now))
    return now.sort_values(ts, ignore_index=True), _Slots(past, float(by_slot["seen"].mean()))


def _total(now: pd.DataFrame, slots: _Slots, count: str) -> tuple[float, float, int]:
    """The share of all expected rows that isn't there, its standard error, and the reference's days."""
    ts = now.columns[0]
    past = slots.past
    by_day = past.groupby(past[ts].dt.floor("1D"))[[count, "expected"]].sum()
    by_day = by_day[by_day["expected"] > 0]
    scale = slots.times / (slots.times - 1)
    off = by_day[count] / by_day["expected"] - 1
    # Not below Poisson: days of a fixed number of requests would have no error at all.
    variance = max(float((off**2).mean()) * scale, 1 / float(by_day["expected"].mean()))
    expected = now.groupby(now[ts].dt.floor("1D"))["expected"].sum()
    weight = expected / expected.sum()
    # A part of a day varies more than a whole one; and each slot's mean is itself an estimate.
    typical = float(by_day["expected"].mean())
    own = float((weight**2 * np.maximum(1.0, typical / expected)).sum())
    known = max(float((weight**2).sum()), 1 / min(len(by_day), 7)) / slots.times
    ratio = float(now[count].sum() / now["expected"].sum())
    freedom = max(2, round(len(by_day) * (1 - 1 / slots.times)) + 1)
    return 1 - ratio, ratio * math.sqrt(variance * (own + known)), freedom


def _moment(until: Any) -> pd.Timestamp:
    moment = pd.Timestamp(until)
    if moment.tz is None:
        raise ValueError(f"until: got {until}; it must be a time with its zone")
    return moment.tz_convert("UTC")


def _verdict(flagged: pd.DataFrame, periods: int, estimate: float, half: float, slots: _Slots) -> str:
    wide = (
        f"beyond Poisson's spread the reference wobbles by {slots.wobble:.1%}"
        if slots.wobble
        else f"the reference varies by {slots.least / _QUARTER:.2g} of Poisson's variance"
    )
    in_all = f"In all, {estimate:.1%} of the rows {'are' if estimate - half > 0 else 'seem'} missing"
    if estimate < 0:
        in_all = f"In all, there are {-estimate:.1%} more rows than expected"
    if flagged.empty:
        return f"None of {periods:,} periods is unlike its reference ({wide}). {in_all}, and up to {estimate + half:.1%} can't be ruled out."
    ts = flagged.columns[0]
    said = []
    for part, word in (
        (flagged[flagged["missing"] > 0], ("is short of rows", "are short of rows")),
        (flagged[~(flagged["missing"] > 0)], ("has too many rows", "have too many rows")),
    ):
        if len(part):
            first = str(part[ts].iloc[0])[:16]
            said.append(f"{len(part)} of {periods:,} periods {word[len(part) > 1]}, the first at {first}")
    empty = int((flagged["missing"] >= 1).sum())
    return f"{' and '.join(said)}{f'; {empty} of them empty' if empty else ''} ({wide}). {in_all}."
