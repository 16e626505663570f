"""How does one specification reach both stores, so that training and serving read the same numbers?"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd

from toolkit.features import stores
from toolkit.features.engines import compute
from toolkit.features.specification import Specification

__all__ = ["materialise", "read_back", "stored"]


def stored(feature: Specification, *, version: int = 1) -> stores.Feature:
    """A specified feature as a store declares it: its name, type and version; a missing value may be stored.

    Examples
    --------
    >>> stored(Specification("f_orders", "amount", "count", days=7)).id
    'f_orders@1'
    """
    dtype = "text" if feature.holds_text and not (feature.categories or feature.buckets) else feature.dtype
    return stores.Feature(feature.name, dtype, version, nullable=True)  # type: ignore[arg-type]


def materialise(
    features: Sequence[Specification],
    events: Any,
    entities: Sequence[int | str],
    at: Sequence[datetime],
    into: Sequence[stores.Store],
    *,
    engine: str = "DuckDB",
    takes: timedelta = timedelta(0),
    version: int = 1,
) -> pd.DataFrame:
    """Compute features once, by one engine, and write the same rows to every store.

    Each put is whole or not at all, and holds all the features of an entity at a moment; one put takes
    `stores.MOST_ROWS` rows, more go in several. Where a later put fails, the earlier ones are there:
    the same call again brings all stores to the same state.

    Parameters
    ----------
    features : sequence of Specification
    events : frame
        As `engines.compute` takes them.
    entities : sequence
        Whose features; each once.
    at : sequence of datetime
        The moments as of which the batch job computes, with their zone.
    into : sequence of Store
        Such as an online and an offline one, opened for `stored(feature)` of each.
    engine : str
    takes : timedelta
        From a moment until its values can be read.
    version : int
        Of all the features' definitions.

    Returns
    -------
    DataFrame
        What was written: `entity_id`, `ts`, and a column a feature.

    Raises
    ------
    ValueError
        If there is no entity, moment or store, an entity or a moment is there twice, `takes` is negative, or
        a table or feature isn't what `compute` or the stores ask for.
    StoreUnavailable
        If a store can't be reached.

    Examples
    --------
    >>> noon = pd.Timestamp("2026-05-08 12:00Z")
    >>> events = pd.DataFrame({"event_id": [1], "entity_id": [7], "amount": [250.0], "ts": [noon]})
    >>> orders = Specification("f_orders", "amount", "count", days=7)
    >>> store = stores.open_store("sqlite://:memory:", [stored(orders)])
    >>> night = pd.Timestamp("2026-05-09 00:00Z")
    >>> materialise([orders], events, [7], [night], [store])["f_orders"].tolist()
    [1.0]
    >>> read_back(store, [7], ["f_orders"], now=night)["f_orders"].tolist()
    [1.0]
    >>> store.close()
    """
    for name, given in (("entities", entities), ("at", at), ("into", into)):
        if not len(given):
            raise ValueError(f"{name}: got none; there must be one at least")
    for name, once in (("entities", entities), ("at", at)):
        if len(set(once)) < len(once):
            raise ValueError(f"{name}: got one twice; each must be there once")
    if takes < timedelta(0):
        raise ValueError(f"takes: got {takes}; a value can't be read before its moment")
    asked = pd.DataFrame([(entity, ts) for ts in at for entity in entities], columns=["entity_id", "ts"])
    asked.insert(0, "row_id", np.arange(len(asked)))
    values = compute(features, events, asked, engine=engine).set_index("row_id").loc[asked["row_id"]]
    written = asked.drop(columns="row_id").assign(**{name: values[name].to_numpy() for name in values})
    columns = [values[name].tolist() for name in values]
    rows = [
        stores.Row(entity, name, _plain(value), ts, ts + takes, version)
        for entity, ts, *held in zip(asked["entity_id"].tolist(), asked["ts"], *columns, strict=True)
        for name, value in zip(values, held, strict=True)
    ]
    most = max(1, stores.MOST_ROWS // len(columns)) * len(columns)
    for store in into:
        for start in range(0, len(rows), most):
            store.put(rows[start : start + most])
    return written


def read_back(
    store: stores.Store, entities: Sequence[int | str], features: Sequence[str], *, now: datetime
) -> pd.DataFrame:
    """What a store serves at a moment, as a frame: `entity_id` and a column a feature; missing where it has nothing.

    Examples
    --------
    >>> store = stores.open_store("sqlite://:memory:", [stores.Feature("f_rate")])
    >>> read_back(store, [7], ["f_rate"], now=pd.Timestamp("2026-05-09 00:00Z"))["f_rate"].tolist()
    [nan]
    >>> store.close()
    """
    held = store.get_many(entities, features, now=now)
    columns = {
        name: [None if reading is None else reading.value for reading in (held[e][name] for e in entities)]
        for name in features
    }
    frame = pd.DataFrame({"entity_id": list(entities), **columns})
    # Where every value is missing a column would be of objects.
    texts = [name for name in features if any(isinstance(value, str) for value in columns[name])]
    return frame.astype({name: float for name in features if name not in texts})


def _plain(value: Any) -> stores.Value | None:
    """A value as a store takes it; missing ones of all kinds are None."""
    if pd.isna(value):
        return None
    return value if isinstance(value, str) else float(value)
