"""How long does the same work take with what a reader would pick instead?

A comparison is one pair of functions over the same data; a new one is a line in `COMPARISONS`.
Peers run in an environment of their own (`benchmarks/requirements.txt`), which
`python -m benchmarks peers` makes under `_build/bench`; until then only ours is measured.
"""

from __future__ import annotations

import json
import subprocess
import sys
import venv
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.measuring import ROOT, Row, measures, seconds

ENVIRONMENT = ROOT / "_build" / "bench" / "peers"
REQUIREMENTS = ROOT / "benchmarks" / "requirements.txt"
_PYTHON = ENVIRONMENT / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
_RUNS = 3


@dataclass(frozen=True)
class Comparison:
    """The same work done by the toolkit and by a peer.

    Parameters
    ----------
    what : str
        The work and its size.
    peer : str
        The other package.
    data : callable
        Makes what both work on; the same in both environments, from a fixed seed.
    ours, theirs : callable
        Take the data, give one number that both must agree on to three digits.
    bar : float or None
        Ours takes at most so many seconds.
    """

    what: str
    peer: str
    data: Callable[[], Any]
    ours: Callable[[Any], float]
    theirs: Callable[[Any], float]
    bar: float | None = None


def _pvalues() -> np.ndarray:
    draws = np.random.default_rng(0)
    return np.r_[draws.beta(0.2, 5, 100_000), draws.random(900_000)]


def _kept_by_ours(pvalues: np.ndarray) -> float:
    import pandas as pd

    from toolkit.experiments.multiple_comparisons import fdr

    return float(fdr(pd.DataFrame({"p": pvalues}, copy=False)).table["kept"].sum())


def _kept_by_statsmodels(pvalues: np.ndarray) -> float:
    from statsmodels.stats.multitest import multipletests

    return float(multipletests(pvalues, method="fdr_bh")[0].sum())


def _stream() -> np.ndarray:
    return np.random.default_rng(0).normal(0.1, 1.0, 10_000_000)


def _last_low_of_ours(stream: np.ndarray) -> float:
    from toolkit.experiments.always_valid import sequential_path, tightest_tau

    return float(sequential_path(stream, tau=tightest_tau(1e-3))["low"].iloc[-1])


def _last_low_of_ville(stream: np.ndarray) -> float:
    from ville import AsymptoticCS

    return float(AsymptoticCS(t_opt=1_000_000).fit(stream).lower_[-1])


COMPARISONS = [
    Comparison(
        "Benjamini-Hochberg, 1M p-values", "statsmodels", _pvalues, _kept_by_ours, _kept_by_statsmodels
    ),
    Comparison(
        "always-valid interval at each of 10M units",
        "ville",
        _stream,
        _last_low_of_ours,
        _last_low_of_ville,
        0.5,
    ),
]


@measures("peers")
def ours_beside_theirs() -> Iterator[Row]:
    """Each comparison, both sides in one run; the peer's side where its environment has been made."""
    for number, comparison in enumerate(COMPARISONS):
        data = comparison.data()
        answer = comparison.ours(data)
        ours = seconds(lambda work=comparison.ours, data=data: work(data), runs=_RUNS)
        if not _PYTHON.exists():
            note = f"{comparison.peer}: not measured (python -m benchmarks peers)"
            yield Row(comparison.what, "s", comparison.bar, ours, "toolkit", note)
            continue
        told = subprocess.run(
            [_PYTHON, "-m", "benchmarks.peers", str(number)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        if told.returncode:
            raise RuntimeError(f"{comparison.peer}: {told.stderr[-1000:]}")
        theirs = json.loads(told.stdout)
        if not np.isclose(answer, theirs["answer"], rtol=1e-3):
            raise RuntimeError(
                f"{comparison.what}: ours gives {answer}, {comparison.peer} {theirs['answer']}"
            )
        note = f"{theirs['seconds'] / ours:.2g} times as fast as {comparison.peer}"
        yield Row(comparison.what, "s", comparison.bar, ours, "toolkit", note)
        yield Row(comparison.what, "s", None, theirs["seconds"], comparison.peer, f"both give {answer:.6g}")


def install() -> None:
    """Make the peers' environment, or bring it to what the requirements name."""
    stamp = ENVIRONMENT / "requirements.txt"
    wanted = REQUIREMENTS.read_text(encoding="utf-8")
    if stamp.exists() and stamp.read_text(encoding="utf-8") == wanted:
        return
    print(f"peers: installing into {ENVIRONMENT}", file=sys.stderr, flush=True)
    venv.create(ENVIRONMENT, with_pip=True)
    subprocess.run([_PYTHON, "-m", "pip", "install", "--quiet", "-r", str(REQUIREMENTS)], check=True)
    stamp.write_text(wanted, encoding="utf-8")


def _their_side(number: int) -> None:
    """Run in the peers' environment: time one comparison's other side and print what it took."""
    comparison = COMPARISONS[number]
    data = comparison.data()
    answer = comparison.theirs(data)
    taken = seconds(lambda: comparison.theirs(data), runs=_RUNS)
    print(json.dumps({"seconds": taken, "answer": answer}))


if __name__ == "__main__":
    _their_side(int(sys.argv[1]))
