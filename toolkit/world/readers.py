"""Who reads FooBar's tables, by the warehouse's query log, and who has said so?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from toolkit.rules import count
from toolkit.world.clock import DAY, START


@dataclass(frozen=True)
class Job:
    """Something that reads a table, and may write another from it."""

    reader: str
    table: str
    writes: str | None
    a_day: float  # reads a day
    declared: bool


JOBS = (
    Job("notifications", "ranker_scores", None, 24, True),
    Job("item_rollup", "ranker_scores", "item_scores_daily", 1, True),
    Job("search_features", "item_scores_daily", "search_signals", 1, True),
    Job("search_ranker", "search_signals", None, 12, True),
    # Nobody told the ranker's team of these.
    Job("payout_estimate", "item_scores_daily", None, 1, False),
    Job("negative_sampler", "item_scores_daily", "training_negatives", 1, False),
    Job("ranker_training", "training_negatives", "ranker_model", 0.3, True),
    Job("ranker", "ranker_model", "ranker_scores", 24, True),
    Job("fraud_review", "ranker_scores", None, 0.15, False),
    Job("audit_sample", "ranker_scores", None, 0.1, False),
)


def query_log(*, days: int = 14, rng: int = 0) -> pd.DataFrame:
    """The warehouse's query log: one row a read, `ts`, `reader`, `table`, and `writes` where it filled a table.

    Examples
    --------
    >>> query_log(days=2).columns.tolist()
    ['ts', 'reader', 'table', 'writes']
    """
    count("days", days)
    draw = np.random.default_rng(rng)
    parts = []
    for job in JOBS:
        # On a schedule of its own, begun at a time that the log doesn't know.
        when = np.arange(draw.random() / job.a_day, days, 1 / job.a_day)
        ts = START + pd.to_timedelta(when * DAY.total_seconds(), unit="s")
        parts.append(pd.DataFrame({"ts": ts, "reader": job.reader, "table": job.table, "writes": job.writes}))
    return pd.concat(parts).sort_values("ts", kind="stable", ignore_index=True)


def declared() -> pd.DataFrame:
    """Who is on a table's list of consumers: `reader`, `table`."""
    rows = [(job.reader, job.table) for job in JOBS if job.declared]
    return pd.DataFrame(rows, columns=["reader", "table"])
