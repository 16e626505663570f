"""`python -m toolkit doctor`: can this computer run the chapters, and if not, what mends it?"""

from __future__ import annotations

import argparse
import sys


def main(arguments: list[str] | None = None) -> int:
    """Read the command line; the exit code is 1 where something must be mended."""
    parser = argparse.ArgumentParser(prog="python -m toolkit", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser(
        "doctor",
        help="check Python, packages, kernel, widgets, memory and disk; each failure with its mend",
        description="Check Python, packages, kernel, widgets, memory and disk, and for tests Chromium and Redis. "
        "Each failure is printed with the command that mends it; the exit code is 1 if there is one.",
    )
    parser.parse_args(arguments)
    from toolkit import doctor

    found = doctor.examine()
    print(doctor.report(found))
    return int(any(check.failed for check in found))


if __name__ == "__main__":
    sys.exit(main())
