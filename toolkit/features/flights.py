"""What does reading ahead do to a model of real delays? Flights out of New York in summer 2013, and the weather."""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import as_file, files
from typing import Literal

import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier

from toolkit.auc import auc
from toolkit.features.asof import asof_join
from toolkit.rules import number, one_of

__all__ = [
    "LATE",
    "delay_rows",
    "delays_so_far",
    "flights",
    "model_aucs",
    "weather_history",
    "with_hourly_average",
]

# Minutes from which a departure counts as late.
LATE = 30
WEATHER = ("temp", "humid", "wind_speed", "precip", "visib")
# Departures that an airport's running share of late ones looks back on.
_RECENT = 20


@lru_cache(maxsize=2)
def _read(name: str) -> pd.DataFrame:
    with as_file(files("toolkit.data") / f"{name}.parquet") as path:
        table = pd.read_parquet(path)
    texts = table.select_dtypes("category").columns
    return table.astype(dict.fromkeys(texts, "str"))


def flights() -> pd.DataFrame:
    """The flights that left New York's airports in May to July 2013: one row a flight.

    `origin`, `carrier`, `scheduled_ts`, `departed_ts`, and `y`: whether it left at least half an hour late.
    Cancelled flights aren't there.

    Examples
    --------
    >>> len(flights()), round(float(flights()["y"].mean()), 3)
    (83952, 0.198)
    """
    table = _read("flights").copy()
    table["departed_ts"] = table["scheduled_ts"] + pd.to_timedelta(table["delay"], unit="min")
    table["y"] = (table.pop("delay") >= LATE).astype(int)
    return table


def weather_history(*, published: str = "1h") -> pd.DataFrame:
    """The airports' hourly weather as a feature history: an hour's values can be read when it's over.

    Parameters
    ----------
    published : str
        From the beginning of the hour to its values.

    Examples
    --------
    >>> sorted(weather_history()["feature"].unique())
    ['humid', 'precip', 'temp', 'visib', 'wind_speed']
    """
    long = _read("weather").melt(["origin", "hour_ts"], var_name="feature", value_name="value")
    long = long.rename(columns={"hour_ts": "event_ts"})
    return long.assign(available_ts=long["event_ts"] + pd.Timedelta(published))


def delays_so_far() -> pd.DataFrame:
    """Each airport's share of late flights among its last twenty departures, as a feature history: one value a departure.

    It can be read from the departure on; a flight that hasn't left by then has no part in it.

    Examples
    --------
    >>> history = delays_so_far()
    >>> bool((history["available_ts"] == history["event_ts"]).all())
    True
    """
    left = flights().sort_values(["departed_ts", "scheduled_ts"], kind="stable")
    recent = left.groupby("origin")["y"].transform(lambda y: y.rolling(_RECENT, min_periods=1).mean())
    made = left[["origin"]].assign(
        feature="late_share", event_ts=left["departed_ts"], available_ts=left["departed_ts"], value=recent
    )
    # Of several departures in one minute the last one's value holds.
    return made.drop_duplicates(["origin", "event_ts"], keep="last")


def with_hourly_average(rows: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Rows with the warehouse's hourly average: the share of late flights among all that were scheduled in the row's hour.

    It holds the row's own flight. `others` counts the rest of the key's flights in that hour.

    Examples
    --------
    >>> int(with_hourly_average(flights(), ["origin"])["others"].min())
    0
    """
    hour = rows["scheduled_ts"].dt.floor("h")
    group = rows.groupby([*(rows[key] for key in keys), hour])["y"]
    return rows.assign(f_average=group.transform("mean"), others=group.transform("size") - 1)


def delay_rows(ahead: float = 1.0) -> pd.DataFrame:
    """Each flight with its carrier's hourly average at its airport, for a probe, and the honest share some hours ahead.

    Examples
    --------
    >>> {"f_average", "f_late_share", "others", "day"} <= set(delay_rows())
    True
    """
    rows = with_hourly_average(flights(), ["origin", "carrier"])
    rows = rows.assign(ts=rows["scheduled_ts"] - pd.Timedelta(hours=ahead))
    rows = asof_join(rows, delays_so_far(), key="origin", entity="origin", max_age="12h")
    return rows.assign(day=rows["scheduled_ts"].dt.date.astype("str"))


@lru_cache(maxsize=16)
def model_aucs(
    when: Literal["own hour", "as of"], *, ahead: float = 3.0, delays: bool = False
) -> tuple[float, float]:
    """The AUC of a model of late departures in its last month, as joined and as it could be served.

    Gradient-boosted trees of the time of day, the airport and its weather (and, if asked for, the share of
    late departures), trained on May and June.

    Parameters
    ----------
    when : "own hour" or "as of"
        How its training and test rows are joined: with the hour in which the flight is scheduled, or as of
        the prediction.
    ahead : float
        Hours from the prediction to the scheduled departure.
    delays : bool
        Whether to give it the airport's delays: the hourly average, or the last departures' share.

    Returns
    -------
    as joined, as served : float
        Served is always as of the prediction.

    Examples
    --------
    >>> told, served = model_aucs("as of")
    >>> told == served
    True
    """
    one_of("when", when, ("own hour", "as of"))
    number("ahead", ahead, above=-1e-9)
    honest = _table(ahead, delays)
    told = honest if when == "as of" else _own_hour(delays)
    columns = [column for column in honest if column.startswith("f_")]
    july = (honest["scheduled_ts"] >= pd.Timestamp("2013-07-01", tz="UTC")).to_numpy()
    model = HistGradientBoostingClassifier(max_iter=40, learning_rate=0.1, max_leaf_nodes=15, random_state=0)
    model.fit(told.loc[~july, columns], told.loc[~july, "y"])
    y = honest.loc[july, "y"]
    aucs = [auc(y, model.predict_proba(rows.loc[july, columns])[:, 1]) for rows in (told, honest)]
    return aucs[0], aucs[1]


def _base() -> pd.DataFrame:
    rows = flights()
    local = rows["scheduled_ts"].dt.tz_convert("America/New_York").dt
    return rows.assign(
        f_time=local.hour + local.minute / 60, f_origin=pd.factorize(rows["origin"], sort=True)[0]
    )


@lru_cache(maxsize=8)
def _table(ahead: float, delays: bool) -> pd.DataFrame:
    """The rows as of so many hours before the scheduled departure."""
    rows = _table(ahead, False) if delays else _base()
    rows = rows.assign(ts=rows["scheduled_ts"] - pd.Timedelta(hours=ahead))
    known, most = (delays_so_far(), "12h") if delays else (weather_history(), "6h")
    return asof_join(rows, known, key="origin", entity="origin", max_age=most).drop(columns="ts")


@lru_cache(maxsize=2)
def _own_hour(delays: bool) -> pd.DataFrame:
    """The rows with what their own hour had: its weather as if it could be read at its begin, its average delay."""
    if delays:
        averaged = with_hourly_average(_own_hour(False), ["origin"])
        return averaged.rename(columns={"f_average": "f_late_share"}).drop(columns="others")
    rows = _base().assign(ts=lambda table: table["scheduled_ts"])
    known = weather_history(published="0h")
    return asof_join(rows, known, key="origin", entity="origin", max_age="6h").drop(columns="ts")
