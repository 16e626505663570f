"""How long does one wait: for the book, for the tests, for the first import?"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.measuring import ROOT, Row, measures, seconds


@measures("build")
def the_first_import() -> Iterator[Row]:
    """`import toolkit` in a fresh process, the interpreter's own start left out."""
    code = "import time; t = time.perf_counter(); import toolkit; print(time.perf_counter() - t)"
    taken = [
        float(subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=True).stdout)
        for _ in range(5)
    ]
    yield Row("import toolkit", "s", 0.2, sorted(taken)[2])


@measures("build")
def the_book() -> Iterator[Row]:
    """`make book` in a fresh copy of the book, the environment reused; and once more, nothing changed."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "copy"
        copy.mkdir()
        for name in ("_config.yml", "_toc.yml", "references.bib"):
            shutil.copy(ROOT / name, copy)
        shutil.copytree(ROOT / "book", copy / "book", ignore=shutil.ignore_patterns(".ipynb_checkpoints"))
        yield Row("make book, installed, cold", "s", 240, seconds(lambda: build_book(copy)))
        yield Row("make book, nothing changed", "s", 20, seconds(lambda: build_book(copy)))


@measures("build", long=True)
def the_tests() -> Iterator[Row]:
    """`make test` as it is."""
    taken = seconds(lambda: subprocess.run(["make", "test"], cwd=ROOT, check=True, stdout=sys.stderr))
    yield Row("make test", "s", 720, taken)


def build_book(root: Path) -> None:
    """Build the book under a folder as `make book` does; a failure is raised with what it printed."""
    command = [sys.executable, "-m", "toolkit.publish", "book", "--root", str(root)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"the book did not build:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
