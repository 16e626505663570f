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
        Take the data, give the number, or the numbers, that both must agree on.
    within : float
        How closely, in shares of the number.
    bar : float or None
        Ours takes at most so many seconds.
    """

    what: str
    peer: str
    data: Callable[[], Any]
    ours: Callable[[Any], float | list[float]]
    theirs: Callable[[Any], float | list[float]]
    bar: float | None = None
    within: float = 1e-3


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


def _test(users: int) -> Any:
    """One row a user: arm, clicks, impressions, and the same before the test; arms of unequal size."""
    import pandas as pd

    draws = np.random.default_rng(0)
    arm = (draws.random(users) < 0.4).astype(np.int8)
    taste = draws.gamma(2.0, 1.0, users)
    columns = {"arm": arm}
    for when, lift in (("_before", 0.0), ("", 0.05)):
        impressions = 1.0 + draws.poisson(4 * taste)
        columns[f"impressions{when}"] = impressions
        columns[f"clicks{when}"] = draws.poisson(0.1 * impressions * (1 + lift * arm) * taste).astype(float)
    return pd.DataFrame(columns, copy=False)


_MEAN, _RATIO = ("clicks",), ("clicks", "impressions")
_BEFORE = {_MEAN: ("clicks_before",), _RATIO: ("clicks_before", "impressions_before")}


def _read_by_ours(units: Any) -> list[float]:
    """Mean and ratio, without and with CUPED: values, difference and lift with intervals, p."""
    from toolkit.experiments.metrics import Metric, compare_all

    metrics = {}
    for columns in (_MEAN, _RATIO):
        value, per = (*columns, None)[:2]
        before, before_per = (*_BEFORE[columns], None)[:2]
        metrics[f"{columns}"] = Metric(value, per)
        metrics[f"{columns}, CUPED"] = Metric(value, per, before, before_per)
    told = compare_all(units, metrics, control=0, treatment=1)
    names = ["control", "treatment", "difference", "low", "high", "lift", "lift_low", "lift_high", "p"]
    return [float(number) for number in told[names].to_numpy().ravel()]


def _read_by_tea_tasting(units: Any) -> list[float]:
    import tea_tasting

    metrics = {}
    for columns in (_MEAN, _RATIO):
        value, per = (*columns, None)[:2]
        before, before_per = (*_BEFORE[columns], None)[:2]
        metrics[f"{columns}"] = tea_tasting.RatioOfMeans(value, per)
        metrics[f"{columns}, CUPED"] = tea_tasting.RatioOfMeans(value, per, before, before_per)
    result = tea_tasting.Experiment(metrics, variant="arm").analyze(units, control=0)
    names = ["control", "treatment"]
    for each in ("effect_size", "rel_effect_size"):
        names += [each, f"{each}_ci_lower", f"{each}_ci_upper"]
    return [float(getattr(result[name], part)) for name in metrics for part in (*names, "pvalue")]


def _cuped_by_ours(units: Any) -> list[float]:
    from toolkit.experiments.metrics import Metric, compare

    found = compare(units, Metric("clicks", covariate="clicks_before"), control=0, treatment=1)
    return [found.estimate, *found.ci]


def _cuped_by_tea_tasting(units: Any) -> list[float]:
    import tea_tasting

    metric = tea_tasting.Mean("clicks", "clicks_before")
    told = tea_tasting.Experiment({"clicks": metric}, variant="arm").analyze(units, control=0)["clicks"]
    return [told.effect_size, told.effect_size_ci_lower, told.effect_size_ci_upper]


# Effect, units and power: each is asked for from the other two.
_PLANS = [(0.5, 128.0, 0.8), (0.05, 12_000.0, 0.9), (0.2, 1_000.0, 0.5)]


def _plans_by_ours(_: Any) -> list[float]:
    from toolkit.experiments.power import detectable, power, units_needed

    told = []
    for effect, units, wanted in _PLANS:
        told += [power(effect, deviation=1.0, units=units), detectable(units, deviation=1.0, power=wanted)]
        told.append(float(np.ceil(units_needed(effect, deviation=1.0, power=wanted))))
    return told


def _plans_by_tea_tasting(_: Any) -> list[float]:
    import tea_tasting
    from tea_tasting.aggr import Aggregates

    told = []
    for effect, units, wanted in _PLANS:
        sample = Aggregates(count_=int(units), mean_={"y": 1.0}, var_={"y": 1.0}, cov_={})
        metric = tea_tasting.Mean("y", effect_size=effect, n_obs=int(units), power=wanted)
        told += [
            metric.solve_power_from_aggregates(sample, name)[0]._asdict()[name]
            for name in ("power", "effect_size")
        ]
        plan = tea_tasting.Mean("y", effect_size=effect, power=wanted)
        told.append(float(plan.solve_power_from_aggregates(sample, "n_obs")[0].n_obs))
    return told


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
    Comparison(
        "mean and ratio, plain and CUPED, 100k users",
        "tea-tasting",
        lambda: _test(100_000),
        _read_by_ours,
        _read_by_tea_tasting,
        within=1e-9,
    ),
    Comparison(
        "CUPED, 10M users",
        "tea-tasting",
        lambda: _test(10_000_000),
        _cuped_by_ours,
        _cuped_by_tea_tasting,
        0.3,
        within=1e-9,
    ),
    Comparison(
        "power, units needed, detectable effect",
        "tea-tasting",
        lambda: None,
        _plans_by_ours,
        _plans_by_tea_tasting,
        within=1e-9,
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
        if not np.allclose(answer, theirs["answer"], rtol=comparison.within, atol=0):
            raise RuntimeError(
                f"{comparison.what}: ours gives {answer}, {comparison.peer} {theirs['answer']}"
            )
        note = f"{theirs['seconds'] / ours:.2g} times as fast as {comparison.peer}"
        yield Row(comparison.what, "s", comparison.bar, ours, "toolkit", note)
        yield Row(
            comparison.what, "s", None, theirs["seconds"], comparison.peer, f"both give {_told(answer)}"
        )


def _told(answer: float | list[float]) -> str:
    numbers = np.atleast_1d(answer)
    return f"{numbers[0]:.6g}" + (f" and {len(numbers) - 1} more" if len(numbers) > 1 else "")


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
