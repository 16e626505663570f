"""Who reads this table, directly or through others, and who of them ever said so?"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from toolkit.finding import Finding
from toolkit.frames import joinable, read_columns
from toolkit.rules import level, number

__all__ = ["cycles", "days_of_log", "lineage"]

# So many undeclared consumers a verdict names; the table has all.
_NAMED = 10


def lineage(reads: Any, declared: Any, *, changed: str, alpha: float = 0.05) -> Finding:
    """Who is reached by a change of a table, and who of them its owner doesn't know of.

    A reader that writes a table from what it reads hands the change on to that table's readers.
    A consumer on no list of a table that it reads is undeclared (Sculley et al.). Known are those
    that one finds by going from list to list.

    Parameters
    ----------
    reads : any frame that Narwhals reads
        The query log, one row a read: `ts`, `reader`, `table`, and `writes`, the table that the
        read helped to fill, missing where it filled none.
    declared : any frame that Narwhals reads
        The lists of consumers: `reader`, `table`; each pair once.
    changed : str
        The table that is to change.
    alpha : float
        The chance of missing a reader that the verdict's "once in so many days" allows.

    Returns
    -------
    Finding
        Estimate: the number of undeclared consumers in the log. There are at least so many, and the
        interval has no upper end: who reads more rarely than the log is long may be missing, and
        nothing in the log tells how many those are. One row a consumer and table in its table.

    Raises
    ------
    ValueError
        If columns or values are missing, a pair is declared twice, or the log has no read of
        `changed`.

    References
    ----------
    Sculley et al. (2015), "Hidden Technical Debt in Machine Learning Systems", NeurIPS.

    Examples
    --------
    >>> reads = pd.DataFrame({"ts": pd.date_range("2026-03-02", periods=3, tz="UTC"),
    ...     "reader": ["rollup", "payout", "alerts"], "table": ["scores", "daily", "scores"],
    ...     "writes": ["daily", None, None]})
    >>> known = pd.DataFrame({"reader": ["rollup", "alerts"], "table": ["scores", "scores"]})
    >>> print(lineage(reads, known, changed="scores").verdict.split(";")[0])
    A change of scores reaches 3 consumers, and 1 of them is undeclared: payout
    """
    level(alpha)
    log = read_columns(reads, "reads", ["ts", "reader", "table", "writes"], missing=["writes"])
    lists = read_columns(declared, "declared", ["reader", "table"], key=["reader", "table"])
    joinable(log, lists, ["reader", "table"], names=("reads", "declared"))
    log["ts"] = _moments(log["ts"])
    # A frame of objects holds missing text in several ways.
    log["writes"] = log["writes"].astype(object).where(log["writes"].notna(), None)
    if changed not in set(log["table"]):
        raise ValueError(
            f"changed: got {changed!r}; the log has reads of {', '.join(sorted(map(str, set(log['table']))))}"
        )
    pairs = set(zip(lists["reader"], lists["table"], strict=True))
    edges = log.loc[log["writes"].notna(), ["table", "writes", "reader"]].drop_duplicates()
    links = list(edges.itertuples(index=False, name=None))
    paths = _reached(changed, [(source, target) for source, target, _ in links])
    told = _reached(changed, [(a, b) for a, b, reader in links if (reader, a) in pairs])
    log["day"] = log["ts"].dt.floor("D")
    rows = (
        log[log["table"].isin(list(paths))]
        .groupby(["reader", "table"], sort=False)
        .agg(reads=("ts", "size"), days=("day", "nunique"), last_read=("ts", "max"))
        .reset_index()
    )
    rows["by_way_of"] = [" > ".join(paths[table]) for table in rows["table"]]
    rows["declared"] = [pair in pairs for pair in zip(rows["reader"], rows["table"], strict=True)]
    rows["known"] = rows["declared"] & rows["table"].isin(list(told))
    rows["steps"] = [len(paths[table]) for table in rows["table"]]
    rows = rows.sort_values(["known", "steps", "reader"], ignore_index=True)
    known = set(rows.loc[rows["known"], "reader"])
    undeclared = set(rows.loc[~rows["declared"], "reader"]) - known
    behind = set(rows["reader"]) - known - undeclared
    span = (log["ts"].max() - log["ts"].min()) / pd.Timedelta(days=1)
    seldom = span / days_of_log(1.0, missed=alpha)
    names, count = sorted(map(str, undeclared)), len(undeclared)
    rows["last_read"] = rows["last_read"].dt.strftime("%Y-%m-%d")
    return Finding(
        float(count),
        (float(count), np.inf),
        f"A change of {changed} reaches {_so_many(rows['reader'].nunique())}, and {count} of them "
        f"{'is' if count == 1 else 'are'} undeclared{': ' if names else ''}{', '.join(names[:_NAMED])}"
        + (f" and {count - _NAMED:,} more" if count > _NAMED else "")
        + (f"; {len(behind)} more can only be found through those" if behind else "")
        + "".join(f"; the change comes back: {loop}" for loop in _loops(edges, paths))
        + f"; of readers that come once in {seldom:.1f} days the log shows {1 - alpha:.0%}, of rarer ones fewer.",
        unit="undeclared consumers",
        n=len(log),
        alpha=alpha,
        table=rows[["reader", "table", "declared", "known", "reads", "days", "last_read", "by_way_of"]],
        assumptions=(
            "the log has every read of its time, under the reader's own name",
            "readers come at random times, each at a rate that stays: one on a schedule is missed less often",
        ),
        cannot_tell=(
            f"how many read less often than the log's {span:.0f} days let one see: there may be any number",
            "a reader that uses what it reads, from one that only looks",
            "copies that leave the warehouse: a download, a screenshot, a cache",
        ),
    )


def _moments(ts: pd.Series) -> pd.Series:
    """Times, dates or their texts as times; numbers, which pandas would take for nanoseconds, are refused."""
    try:
        if pd.api.types.is_numeric_dtype(ts):
            raise TypeError
        return pd.to_datetime(ts, utc=True)
    except (TypeError, ValueError):
        raise ValueError(f"ts: got {ts.dtype}, {ts.iloc[0]!r} first, in reads; it must be times") from None


def days_of_log(every: float, *, missed: float = 0.05) -> float:
    """How long a query log must be to hold a reader that comes once in so many days.

    At random times it is missed with the chance exp(-days / every). At 5% that is the rule of three:
    three times as long as the time between two reads.

    Parameters
    ----------
    every : float
        Days between two reads, on average; above 0.
    missed : float
        The chance of missing the reader, strictly between 0 and 1.

    Examples
    --------
    >>> [round(days_of_log(every)) for every in (1, 7, 30)]
    [3, 21, 90]
    """
    return -float(np.log(level(missed, name="missed"))) * number("every", every, above=0)


def _so_many(consumers: int) -> str:
    return f"{consumers} consumer{'s' * (consumers != 1)}"


def _loops(edges: pd.DataFrame, reached: dict[str, list[str]]) -> list[str]:
    """The ways round that a change takes, beginning with the table that is reached first."""
    texts = []
    for loop in cycles(edges["table"], edges["writes"]):
        if loop[0] in reached:
            first = min(range(len(loop)), key=lambda place: len(reached[loop[place]]))
            texts.append(" > ".join([*loop[first:], *loop[: first + 1]]))
    return texts


def cycles(sources: Iterable[str], targets: Iterable[str]) -> list[list[str]]:
    """The groups of tables that are made from each other, each in the order of one way round.

    Examples
    --------
    >>> cycles(["scores", "negatives", "model"], ["negatives", "model", "scores"])
    [['model', 'scores', 'negatives']]
    """
    edges = sorted(set(zip(sources, targets, strict=True)))
    found: list[list[str]] = []
    for start in sorted({source for source, _ in edges}):
        if any(start in loop for loop in found):
            continue
        paths = _reached(start, edges)
        back = [paths[source] for source, target in edges if target == start and source in paths]
        if back:
            found.append(min(back, key=len))
    return found


def _reached(start: str, edges: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """Each table that a change of `start` reaches, with the shortest way there."""
    following: dict[str, list[str]] = {}
    for source, target in edges:
        following.setdefault(source, []).append(target)
    paths, waiting = {start: [start]}, deque([start])
    while waiting:
        table = waiting.popleft()
        for target in following.get(table, []):
            if target not in paths:
                paths[target] = [*paths[table], target]
                waiting.append(target)
    return paths
