"""Which budgets hold? `python -m benchmarks [group ...]`: measures, and prints a table."""

from __future__ import annotations

import argparse
import os
import sys

from benchmarks import asof, build, demos, experiments, pages, peers  # noqa: F401 - each registers its measurements
from benchmarks.measuring import LONG, MEASUREMENTS, Row, table


def main(arguments: list[str] | None = None) -> int:
    """Measure the named groups; the exit code is 1 where a measurement failed, not where one is over budget."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measures the project's budgets and prints them as a table. Quiet machines only: times "
        "are as measured, beside whatever else runs.",
    )
    parser.add_argument(
        "groups", nargs="*", metavar="group", help=f"of {', '.join(MEASUREMENTS)}; all where none is named"
    )
    parser.add_argument("--all", action="store_true", help="also what takes long: make test")
    options = parser.parse_args(arguments)
    for group in options.groups:
        if group not in MEASUREMENTS:
            parser.error(f"group: got {group!r}; it must be one of {', '.join(MEASUREMENTS)}")
    if "peers" in options.groups:
        peers.install()
    rows: list[Row] = []
    failed = []
    for group in options.groups or MEASUREMENTS:
        for measurement in MEASUREMENTS[group]:
            if measurement in LONG and not options.all:
                continue
            print(f"{group}: {measurement.__name__.replace('_', ' ')}", file=sys.stderr, flush=True)
            try:
                rows += measurement()
            except Exception as error:  # the others' numbers are still worth having
                failed.append(f"{group}: {measurement.__name__}: {type(error).__name__}: {error}")
    print(table(rows))
    count = {
        verdict: sum(row.verdict == verdict for row in rows) for verdict in ("within", "over", "skipped")
    }
    busy = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    print(f"\n{', '.join(f'{n} {verdict}' for verdict, n in count.items())}; {os.cpu_count()} cores{busy}.")
    for line in failed:
        print(f"failed: {line}")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
