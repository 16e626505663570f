"""At which lags would a feature's history have given the value that was served?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from toolkit.features.asof import asof_join
from toolkit.frames import read_columns

__all__ = ["Coverage", "matching_lags", "read_history", "read_late"]


def read_history(history: Any, feature: str, *, by: str = "event_ts") -> pd.DataFrame:
    """One feature's history in order of entity and time: `entity_id`, `time`, `value`; of values at one time the last that came.

    Raises
    ------
    ValueError
        If a column is missing or incomplete, a time has no zone, a value was available before its event, or the
        feature isn't there.

    Examples
    --------
    >>> ts = pd.to_datetime(["2026-03-02", "2026-03-03"], utc=True)
    >>> history = pd.DataFrame({"entity_id": 7, "feature": "rate", "event_ts": ts, "available_ts": ts, "value": [1.0, 2.0]})
    >>> read_history(history, "rate")["value"].tolist()
    [1.0, 2.0]
    """
    needed = ["entity_id", "feature", "event_ts", "available_ts", "value"]
    rows = read_columns(history, "history", needed, numbers=["value"], times=["event_ts", "available_ts"])
    if by not in ("event_ts", "available_ts"):
        raise ValueError(f"by: got {by!r}; it must be one of event_ts, available_ts")
    known = rows["feature"] == feature
    if not known.any():
        raise ValueError(
            f"feature: got {feature!r}; history has {', '.join(sorted(map(str, set(rows['feature']))))}"
        )
    rows = rows[known].sort_values(["available_ts", "event_ts"], kind="stable")
    early = rows["available_ts"] < rows["event_ts"]
    if early.any():
        raise ValueError(
            f"available_ts: got {int(early.sum())} of {len(rows)} values of {feature!r} that were available before "
            "their event; none may be"
        )
    rows = rows.rename(columns={by: "time"})[["entity_id", "time", "value"]]
    rows["time"] = _utc(rows["time"])
    return (
        rows.drop_duplicates(["entity_id", "time"], keep="last")
        .sort_values(["entity_id", "time"], kind="stable")
        .reset_index(drop=True)
    )


def read_late(
    history: pd.DataFrame, entity: pd.Series, ts: pd.Series, lags: Sequence[pd.Timedelta]
) -> np.ndarray:
    """The value that stood just before each row's time less each lag; nan where there was none yet.

    What comes at the very moment doesn't count: it may be the row's own event.

    Parameters
    ----------
    history : DataFrame
        As `read_history` gives it.
    entity, ts : Series
        Of the rows.
    lags : sequence of Timedelta

    Returns
    -------
    array of shape (rows, lags)

    Raises
    ------
    ValueError
        If the entities are numbers on one side and texts on the other.

    Examples
    --------
    >>> ts = pd.Series(pd.to_datetime(["2026-03-02", "2026-03-03"], utc=True))
    >>> history = pd.DataFrame({"entity_id": 7, "time": ts, "value": [1.0, 2.0]})
    >>> read_late(history, pd.Series([7, 7]), ts, [pd.Timedelta(0)])[:, 0].tolist()
    [nan, 1.0]
    """
    key = str(entity.name or "entity")
    # Times count to the microsecond, so what came before a moment came one before it at the latest.
    just_before = [_utc(_utc(ts) - lag) - pd.Timedelta(1, "us") for lag in lags]
    asked = pd.DataFrame(
        {key: np.tile(entity.to_numpy(), len(lags)), "read at": pd.concat(just_before, ignore_index=True)}
    )
    time = _utc(history["time"])
    known = history.assign(feature="value", event_ts=time, available_ts=time)
    found = asof_join(asked, known, key=key, entity="entity_id", ts="read at")["f_value"]
    return np.asarray(found.to_numpy(float).reshape(len(lags), len(ts)).T)


def matching_lags(history: pd.DataFrame, entity: pd.Series, ts: pd.Series, value: pd.Series) -> pd.DataFrame:
    """For each row, the stretches of lags at which its entity's history had the very value: `row`, `low`, `high` in hours.

    A lag fits if it is at least `low` and below `high`; rows whose value was never there have no stretch.

    Parameters
    ----------
    history : DataFrame
        As `read_history` gives it.
    entity, ts, value : Series
        Of the rows; values are compared at the precision of `value` where that is a float's.

    Examples
    --------
    >>> ts = pd.Series(pd.to_datetime(["2026-03-02", "2026-03-03"], utc=True))
    >>> history = pd.DataFrame({"entity_id": 7, "time": ts, "value": [1.0, 2.0]})
    >>> noon = pd.Series(pd.to_datetime(["2026-03-03 12:00"], utc=True))
    >>> matching_lags(history, pd.Series([7]), noon, pd.Series([1.0]))[["low", "high"]].to_numpy().tolist()
    [[12.0, 36.0]]
    """
    # Whole numbers and flags were written as such: cut off like them, a fraction would seem to be one.
    value = value if value.dtype.kind == "f" else value.astype(float)
    known = history.assign(value=history["value"].astype(value.dtype))
    # A value that is written again unchanged still stands.
    fresh = (known["entity_id"] != known["entity_id"].shift()) | (known["value"] != known["value"].shift())
    known = known[fresh.to_numpy()]
    last = (known["entity_id"] != known["entity_id"].shift(-1)).to_numpy()
    begin = _micros(known["time"])
    end = np.where(last, np.iinfo(np.int64).max, np.r_[begin[1:], 0])
    stood = pd.DataFrame(
        {
            "entity_id": known["entity_id"].to_numpy(),
            "value": known["value"].to_numpy(),
            "begin": begin,
            "end": end,
        }
    )
    rows = pd.DataFrame(
        {
            "row": np.arange(len(ts)),
            "entity_id": entity.to_numpy(),
            "value": value.to_numpy(),
            "at": _micros(ts),
        }
    )
    met = rows.merge(stood, on=["entity_id", "value"])
    met = met[met["begin"] < met["at"]]
    hour = 3600e6
    low = np.maximum(0, met["at"].to_numpy() - met["end"].to_numpy().astype(float))
    return pd.DataFrame(
        {
            "row": met["row"].to_numpy(),
            "low": low / hour,
            "high": (met["at"] - met["begin"]).to_numpy() / hour,
        }
    )


class Coverage:
    """The share of rows that each lag explains, sorted once, cheap under many sets of weights.

    Parameters
    ----------
    lags : DataFrame
        As `matching_lags` gives it.
    rows : int
        How many rows there are, those without a lag included.

    Examples
    --------
    >>> coverage = Coverage(pd.DataFrame({"row": [0, 1], "low": [1.0, 2.0], "high": [4.0, 6.0]}), 3)
    >>> tuple(float(end) for end in coverage.best(np.ones(3))[:2])
    (2.0, 4.0)
    """

    def __init__(self, lags: pd.DataFrame, rows: int) -> None:
        self.row, self.rows = lags["row"].to_numpy(), rows
        self.ends = np.unique(np.r_[0.0, lags["low"], lags["high"]])
        self.low = np.searchsorted(self.ends, lags["low"])
        self.high = np.searchsorted(self.ends, lags["high"])

    def shares(self, weights: np.ndarray) -> np.ndarray:
        """The weighted share of rows that the lags from each end to before the next explain."""
        weight = weights[self.row]
        step = np.bincount(self.low, weight, minlength=len(self.ends))
        step -= np.bincount(self.high, weight, minlength=len(self.ends))
        return np.asarray(np.cumsum(step)[:-1] / weights.sum())

    def best(self, weights: np.ndarray) -> tuple[float, float, float, float]:
        """The lags that explain most, from and to; the share of rows that they explain; and the share that no lag does."""
        shares = self.shares(weights)
        if not len(shares):
            return float("nan"), float("nan"), 0.0, 0.0
        place = int(shares.argmax())
        return float(self.ends[place]), float(self.ends[place + 1]), float(shares[place]), float(shares[0])


def _utc(times: pd.Series) -> pd.Series:
    return times.dt.tz_convert("UTC").dt.as_unit("us")


def _micros(times: pd.Series) -> np.ndarray:
    return np.asarray(_utc(times).astype("int64"))
