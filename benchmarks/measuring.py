"""What is a measurement: one small function that yields rows, each with its budget."""

from __future__ import annotations

import gzip
import math
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Row:
    """One measured number beside its budget.

    Parameters
    ----------
    what : str
        What was measured, in the words of the budget.
    unit : str
        Unit of `budget` and `measured`.
    budget : float or None
        At most so much; None where the number is only told.
    measured : float or None
        None where it couldn't be measured: `note` then says why.
    where : str
        Which chapter, page or demo.
    note : str
        What else there is to know, in few words.
    """

    what: str
    unit: str
    budget: float | None = None
    measured: float | None = None
    where: str = ""
    note: str = ""

    @property
    def verdict(self) -> str:
        """`within` or `over` the budget; `told` without one, `skipped` without a number."""
        if self.measured is None:
            return "skipped"
        if self.budget is None:
            return "told"
        return "within" if self.measured <= self.budget else "over"


Measurement = Callable[[], Iterator[Row]]
MEASUREMENTS: dict[str, list[Measurement]] = {}
# What takes so long that it is measured only where asked for (`--all`).
LONG: set[Measurement] = set()


def measures(group: str, *, long: bool = False) -> Callable[[Measurement], Measurement]:
    """Put a function that yields rows among the measurements of a group."""

    def register(function: Measurement) -> Measurement:
        MEASUREMENTS.setdefault(group, []).append(function)
        if long:
            LONG.add(function)
        return function

    return register


def seconds(
    work: Callable[[], object], *, runs: int = 1, clock: Callable[[], float] = time.perf_counter
) -> float:
    """The median time of some runs of a piece of work."""
    taken = []
    for _ in range(runs):
        start = clock()
        work()
        taken.append(clock() - start)
    return statistics.median(taken)


def p95(samples: Sequence[float]) -> float:
    """The smallest sample that 95% of all don't exceed."""
    return sorted(samples)[math.ceil(0.95 * len(samples)) - 1]


def compressed(content: bytes) -> float:
    """Kilobytes (1,000 bytes) after gzip."""
    return len(gzip.compress(content, mtime=0)) / 1000


def table(rows: Iterable[Row]) -> str:
    """The rows as text in columns: what, where, budget, measured, verdict, note."""
    cells = [("what", "where", "at most", "measured", "", "")]
    cells += [
        (
            row.what,
            row.where,
            _number(row.budget, row.unit),
            _number(row.measured, row.unit),
            row.verdict,
            row.note,
        )
        for row in rows
    ]
    widths = [max(len(line[place]) for line in cells) for place in range(len(cells[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in cells
    )


def _number(value: float | None, unit: str) -> str:
    return "-" if value is None else f"{value:.3g} {unit}" if value < 1000 else f"{value:,.0f} {unit}"
