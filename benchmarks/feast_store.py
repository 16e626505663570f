"""Does `asof_join` give what Feast's point-in-time join gives, row for row, and what does Feast do otherwise?

`python -m benchmarks.feast_store` makes the peers' environment (`benchmarks/requirements.txt`), asks
Feast's DuckDB and Dask stores for the same tables, and prints what it found.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks import peers
from benchmarks.measuring import ROOT

_STORES = ("duckdb", "dask")


def tables(seed: int, *, events: int = 5_000, asked: int = 2_000) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Label rows and a history with ties, batches and corrections; for some rows all events lie in the future."""
    import numpy as np

    draw = np.random.default_rng(seed)
    begin = pd.Timestamp("2026-03-02", tz="UTC")
    event = draw.integers(0, 400, events)
    available = event + 5
    corrected = draw.random(events) < 0.2
    history = pd.DataFrame(
        {
            "entity_id": draw.integers(0, 200, events),
            "feature": "rate",
            "event_ts": begin + pd.to_timedelta(event, unit="h"),
            "available_ts": begin + pd.to_timedelta(available, unit="h"),
            "value": draw.normal(size=events),
        }
    )
    # A correction before the next event of its entity: Feast, unlike us, would let a later one hide newer events.
    later = history[corrected].assign(
        available_ts=lambda t: t["available_ts"] + pd.Timedelta(minutes=30), value=lambda t: t["value"] + 1
    )
    history = pd.concat([history, later]).drop_duplicates(["entity_id", "event_ts", "available_ts"])
    rows = pd.DataFrame(
        {
            "item_id": draw.integers(0, 210, asked),
            "ts": begin + pd.to_timedelta(draw.integers(0, 420, asked), unit="h"),
        }
    )
    return rows.drop_duplicates(ignore_index=True), history.reset_index(drop=True)


def main() -> int:
    """Compare, and print a line a store."""
    import numpy as np

    from toolkit.features.asof import asof_join

    peers.install()
    with tempfile.TemporaryDirectory() as folder:
        rows, history = tables(0)
        rows.to_parquet(Path(folder) / "rows.parquet")
        history.to_parquet(Path(folder) / "history.parquet")
        told = subprocess.run(
            [str(peers._PYTHON), "-W", "ignore", "-m", "benchmarks.feast_store", folder],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        if told.returncode:
            raise RuntimeError(f"feast: {told.stderr[-2000:]}")
        correction = json.loads(told.stdout.splitlines()[-1])
        ours = asof_join(rows, history)["f_rate"].to_numpy()
        for store in _STORES:
            theirs = pd.read_parquet(Path(folder) / f"{store}.parquet").set_index("place")["value"]
            kept = theirs.index.to_numpy()
            same = int(np.isclose(ours[kept], theirs.to_numpy(), equal_nan=True).sum())
            print(
                f"{store}: {len(kept):,} of {len(rows):,} rows came back, {same:,} of them as asof_join; "
                f"of the rows that did not, {int(np.isnan(np.delete(ours, kept)).sum()):,} had no value yet; "
                f"a correction created after the request is {'read' if correction[store] == 2.0 else 'not read'}"
            )
    return 0


def _asked_of_feast(store: str, rows: pd.DataFrame, history: pd.DataFrame) -> pd.DataFrame:
    """Feast's join of a history that has `event_timestamp` and `created`."""
    from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig, ValueType
    from feast.types import Float64

    folder = Path(tempfile.mkdtemp())
    history.to_parquet(folder / "history.parquet")
    offline: dict[str, Any] = {"type": store}
    config = RepoConfig(
        project="bench",
        provider="local",
        registry=str(folder / "registry.db"),
        offline_store=offline,
        online_store={"type": "sqlite", "path": str(folder / "online.db")},
        entity_key_serialization_version=3,
    )
    feast = FeatureStore(config=config)
    source = FileSource(
        path=str(folder / "history.parquet"),
        timestamp_field="event_timestamp",
        created_timestamp_column="created",
    )
    item = Entity(name="item", join_keys=["item_id"], value_type=ValueType.INT64)
    view = FeatureView(
        name="rates", entities=[item], ttl=None, schema=[Field(name="value", dtype=Float64)], source=source
    )
    feast.apply([item, view])
    asked = rows.rename(columns={"ts": "event_timestamp"})
    return feast.get_historical_features(entity_df=asked, features=["rates:value"]).to_df()


def _their_side(folder: Path) -> None:
    rows = pd.read_parquet(folder / "rows.parquet").assign(place=lambda t: range(len(t)))
    history = pd.read_parquet(folder / "history.parquet")
    # Feast joins on one time: given when a value was available, with the event to break ties.
    known = history.rename(
        columns={"entity_id": "item_id", "available_ts": "event_timestamp", "event_ts": "created"}
    ).drop(columns="feature")
    day = pd.Timestamp("2026-03-02", tz="UTC") + pd.to_timedelta(range(4), unit="D")
    corrected = pd.DataFrame(
        {"item_id": 7, "event_timestamp": day[0], "created": day[[0, 3]], "value": [1.0, 2.0]}
    )
    read = {}
    for store in _STORES:
        _asked_of_feast(store, rows, known)[["place", "value"]].to_parquet(folder / f"{store}.parquet")
        asked = pd.DataFrame({"item_id": [7], "ts": day[1:2]})
        read[store] = float(_asked_of_feast(store, asked, corrected)["value"].iloc[0])
    print(json.dumps(read))


if __name__ == "__main__":
    sys.exit(_their_side(Path(sys.argv[1])) if len(sys.argv) > 1 else main())
