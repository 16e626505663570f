"""What do the checks and the order of rows cost, beside DuckDB's own ASOF JOIN, and does the join keep to its memory?"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd

from benchmarks.measuring import ROOT, Row, measures

_LABELS, _EVENTS, _ENTITIES = 1_000_000, 5_000_000, 100_000
_LIMIT = "500MB"
_RUNS = 15
_PLAIN = (
    "SELECT rows.*, value AS f_rate FROM rows"
    " ASOF LEFT JOIN (SELECT * FROM history WHERE feature = 'rate') history"
    " ON item_id = entity_id AND ts >= available_ts"
)


def _tables() -> tuple[pd.DataFrame, pd.DataFrame]:
    """A month of label rows, and of events that can be read an hour later, in the order of a log."""
    draw = np.random.default_rng(0)
    begin = pd.Timestamp("2026-01-01", tz="UTC").as_unit("us")
    month = 30 * 86_400 * 1_000_000
    event = begin + pd.to_timedelta(np.sort(draw.integers(0, month, _EVENTS)), unit="us")
    history = pd.DataFrame(
        {
            "entity_id": draw.integers(0, _ENTITIES, _EVENTS),
            "feature": "rate",
            "event_ts": event,
            "available_ts": event + pd.Timedelta(hours=1),
            "value": draw.normal(size=_EVENTS),
        }
    )
    ts = begin + pd.to_timedelta(draw.integers(0, month, _LABELS), unit="us")
    return pd.DataFrame({"item_id": draw.integers(0, _ENTITIES, _LABELS), "ts": ts}), history


def _plain(rows: pd.DataFrame, history: pd.DataFrame) -> pd.DataFrame:
    with duckdb.connect() as engine:
        engine.register("rows", rows)
        engine.register("history", history)
        return engine.execute(_PLAIN).df()


@measures("asof")
def beside_duckdb() -> Iterator[Row]:
    """Ours over DuckDB's own, in turns, so that what else the machine does falls on both."""
    from toolkit.features.asof import asof_join

    rows, logged = _tables()
    shuffled = logged.sample(frac=1, random_state=0, ignore_index=True)
    for where, history, most in (("events as logged", logged, 1.2), ("events shuffled", shuffled, 1.2)):
        ratios, ours = [], []
        for _ in range(_RUNS):
            start = time.perf_counter()
            theirs = _plain(rows, history)
            middle = time.perf_counter()
            joined = asof_join(rows, history)
            ours.append(time.perf_counter() - middle)
            ratios.append(ours[-1] / (middle - start))
        if not np.isclose(joined["f_rate"].sum(), theirs["f_rate"].sum()):
            raise RuntimeError("asof_join and ASOF JOIN differ")
        ratio = statistics.median(ratios)
        note = f"{statistics.median(ours):.2f} s; from {min(ratios):.2f} to {max(ratios):.2f}"
        yield Row("asof_join, 1M rows, 5M events, over ASOF JOIN", "times", most, ratio, where, note)


@measures("asof")
def within_its_memory() -> Iterator[Row]:
    """From Parquet files to a Parquet file under a limit, in a process of its own: what the process took at most."""
    with tempfile.TemporaryDirectory() as folder:
        for table, name in zip(_tables(), ("rows", "history"), strict=True):
            table.to_parquet(Path(folder) / f"{name}.parquet")
        told = subprocess.run(
            [sys.executable, "-m", "benchmarks.asof", folder],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
        found: dict[str, Any] = json.loads(told.stdout)
    note = f"{found['before']:,.0f} MB before; {found['seconds']:.1f} s; limit {_LIMIT}"
    yield Row("asof_join, Parquet to Parquet, peak memory", "MB", 1_000, found["peak"], "5M events", note)


def _stream(folder: Path) -> None:
    from toolkit.features.asof import asof_join

    before = _peak()
    start = time.perf_counter()
    joined = asof_join(folder / "rows.parquet", folder / "history.parquet", memory_limit=_LIMIT)
    joined.to_parquet(str(folder / "joined.parquet"))
    taken = time.perf_counter() - start
    print(json.dumps({"before": before, "peak": _peak(), "seconds": taken}))


def _peak() -> float:
    """The most that this process has held in memory, in megabytes."""
    status = Path("/proc/self/status")
    if status.exists():
        # What `getrusage` tells on Linux may be the parent's.
        (line,) = (
            line for line in status.read_text(encoding="utf-8").splitlines() if line.startswith("VmHWM")
        )
        return int(line.split()[1]) / 1000
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (
        1_000_000 if sys.platform == "darwin" else 1_000
    )


if __name__ == "__main__":
    _stream(Path(sys.argv[1]))
