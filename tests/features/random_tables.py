"""Random events and requests on which engines may disagree about everything."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa

from toolkit.features.specification import Specification

# Spellings that differ in case, normal form and blanks, and letters whose case is special.
TYPED = (
    "Zürich",
    "zu\u0308rich",
    " ZÜRICH ",
    "Straße",
    "STRASSE",
    "İzmir",
    "izmir",
    "Łódź",
    "łódź\t",
    "Οδός",
    "ΟΔΟΣ",
    "Lyon",
    "LYON",
    "",
    "café\u00a0",
    "CAFE\u0301",
)
KNOWN = ("Lyon", "Zürich", "Straße", "Łódź", "izmir", "Οδόσ", "café")

# Together they take every decision in every way.
FEATURES = (
    Specification("count", "amount", "count", days=2),
    Specification("sum", "amount", "sum", days=3, width=100, empty=0.0),
    Specification("mean", "amount", "mean", days=2, digits=1),
    Specification("std", "amount", "std", days=3),
    Specification("rank", "amount", "quantile", days=4, q=0.9),
    Specification("between", "amount", "quantile", days=4, q=0.9, interpolation="linear", edges="(]"),
    Specification("days", "amount", "sum", days=2, zone="Europe/Berlin", log="e", digits=6),
    Specification("tens", "amount", "sum", days=9, zone="America/New_York", log="10", digits=3, edges="[]"),
    Specification("latest", "amount", "latest", days=3, dtype="float32", edges="[]"),
    Specification("city", "city", "latest", days=3, holds_text=True),
    Specification("raw", "city", "latest", days=3, holds_text=True, text="raw"),
    Specification("place", "city", "latest", days=3, holds_text=True, categories=KNOWN),
    Specification("bucket", "city", "latest", days=3, holds_text=True, buckets=64, empty=-1.0),
    # Its clocks are turned at midnight: on one day the first hour is missing, on another it comes twice.
    Specification("azores", "amount", "mean", days=1, zone="Atlantic/Azores", missing="zero", edges="()"),
    Specification("narrow", "amount", "std", days=3, ddof=0, missing="zero", dtype="float32", empty=5.0),
)


def random_tables(seed: int, *, start: str = "2026-03-01", rows: int = 700) -> tuple[pa.Table, pd.DataFrame]:
    """Events by the hour over six weeks around a change of clocks, and requests by the hour."""
    draw = np.random.default_rng(seed)
    first = pd.Timestamp(start, tz="UTC")
    amounts = [
        None if u < 0.05 else float("nan") if u < 0.1 else float(x)
        for x, u in zip(draw.integers(-400, 900, rows), draw.random(rows), strict=True)
    ]
    cities = [None if u < 0.05 else TYPED[int(u * 1e6) % len(TYPED)] for u in draw.random(rows)]
    events = pa.table(
        {
            "event_id": draw.permutation(rows),
            "entity_id": draw.integers(0, 12, rows),
            "ts": pa.array(
                first + pd.to_timedelta(draw.integers(0, 24 * 40, rows), unit="h"),
                pa.timestamp("us", tz="UTC"),
            ),
            "amount": pa.array(amounts, pa.float64()),
            "city": cities,
        }
    )
    asked = rows // 3
    requests = pd.DataFrame(
        {
            "row_id": draw.permutation(asked),
            "entity_id": draw.integers(0, 14, asked),
            "ts": first + pd.to_timedelta(draw.integers(0, 24 * 42, asked), unit="h"),
        }
    )
    return events, requests
