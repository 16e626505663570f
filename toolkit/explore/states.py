"""All states of a demo: computed over all cores, and kept until anything that they depend on changes."""

from __future__ import annotations

import dis
import gzip
import hashlib
import inspect
import json
import os
import platform
import time
import warnings
from collections.abc import Mapping
from functools import lru_cache
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import TYPE_CHECKING, Any

from toolkit.explore.controls import Value

if TYPE_CHECKING:
    from toolkit.explore.demo import Demo, State

CACHE_VARIABLE = "TOOLKIT_CACHE"
PROGRESS_VARIABLE = "TOOLKIT_PROGRESS"
# Starting worker processes costs about this long; less work than this stays in one process.
_WORTH_WORKERS = 3.0
_LIBRARIES = (
    "altair",
    "joblib",
    "numpy",
    "pandas",
    "scikit-learn",
    "scipy",
    "statsmodels",
    "vl-convert-python",
)


def all_states(demo: Demo) -> dict[tuple[Value, ...], State]:
    """Every state of a demo by its values.

    Read from the folder that TOOLKIT_CACHE names when nothing that they depend on has changed,
    else computed; without the variable always computed. Progress goes to the file that
    TOOLKIT_PROGRESS names, which a build shows.

    Raises
    ------
    DemoError
        If a state can't be computed, or the function gives two answers for the same values.
    """
    folder = os.environ.get(CACHE_VARIABLE)
    path = Path(folder) / f"{demo.name}-{fingerprint(demo)}.json.gz" if folder else None
    if path is not None and path.exists():
        states = _read(demo, path)
        _say(f"{demo.name}: {len(states)} states, none has changed")
        return states
    states = _compute(demo)
    if path is not None:
        _write(path, states)
    return states


def fingerprint(demo: Demo) -> str:
    """A digest of all that a demo's states depend on.

    The function's code and the values of the globals, defaults and closures that it uses, the
    controls, every file of this package, the Python version and the libraries' versions.
    """
    digest = hashlib.sha256()
    digest.update((repr(list(demo.controls.items())) + build_digest()).encode())
    _add_function(digest, demo.function, set())
    return digest.hexdigest()[:20]


@lru_cache(maxsize=1)
def build_digest() -> str:
    """A digest of what every page depends on: this package's files, Python, and the libraries' versions."""
    digest = hashlib.sha256(platform.python_version().encode())
    for name in _LIBRARIES:
        digest.update(f"{name}=={version(name)}".encode())
    root = Path(str(files("toolkit")))
    for path in sorted(root.rglob("*")):
        if path.suffix in (".py", ".js", ".css", ".parquet"):
            digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:20]


def _compute(demo: Demo) -> dict[tuple[Value, ...], State]:
    from toolkit.explore.demo import DemoError

    grid = demo.grid()
    start = time.perf_counter()
    # Twice, to see that it is pure.
    first, again = demo.compute(demo.default), demo.compute(demo.default)
    if _canonical(first) != _canonical(again):
        raise DemoError(
            f"demo {demo.name!r}, state {demo.describe(demo.default)}: two runs gave different charts or "
            "readouts; fix its random seeds inside the function"
        )
    # In this process until it has shown that the rest is worth workers: what the default state costs, warmed
    # by its first run, says nothing of a state that simulates a world of its own.
    found: list[State] = []
    for values in grid:
        found.append(demo.compute(values))
        _progress(demo.name, len(found), len(grid))
        spent = time.perf_counter() - start
        to_come = spent / len(found) * (len(grid) - len(found))
        if min(spent, to_come) > _WORTH_WORKERS:
            break
    cores, rest = 1, grid[len(found) :]
    if rest:
        import joblib

        cores = joblib.cpu_count()
        found += _in_parallel(demo, rest, cores) if cores > 1 else [demo.compute(values) for values in rest]
    seconds = time.perf_counter() - start
    _say(f"{demo.name}: {len(grid)} states in {seconds:.1f} s on {cores} core{'s' * (cores > 1)}")
    return {tuple(values.values()): state for values, state in zip(grid, found, strict=True)}


def _in_parallel(demo: Demo, grid: list[dict[str, Value]], cores: int) -> list[State]:
    from joblib import Parallel, delayed

    # Few, large parts, since each carries the demo's globals with it; of neighbours, since they share work
    # that the toolkit remembers, such as a simulated world.
    size = -(-len(grid) // (4 * cores))
    parts = [grid[start : start + size] for start in range(0, len(grid), size)]
    found: dict[tuple[Value, ...], State] = {}
    with warnings.catch_warnings():
        # A worker that has remembered large worlds is replaced by a fresh one; no state is lost by it.
        warnings.filterwarnings("ignore", message="A worker stopped while some jobs", category=UserWarning)
        runs = Parallel(n_jobs=cores, return_as="generator")(delayed(_part)(demo, part) for part in parts)
        for part, states in zip(parts, runs, strict=True):
            found.update({tuple(values.values()): state for values, state in zip(part, states, strict=True)})
            _progress(demo.name, len(found), len(grid))
    return [found[tuple(values.values())] for values in grid]


def _part(demo: Demo, grid: list[dict[str, Value]]) -> list[State]:
    return [demo.compute(values) for values in grid]


def _canonical(state: State) -> tuple[str, str]:
    from toolkit.explore.vega import split

    return json.dumps(split(state.spec), sort_keys=True), state.readout


def _read(demo: Demo, path: Path) -> dict[tuple[Value, ...], State]:
    from toolkit.explore.demo import State

    stored = json.loads(gzip.decompress(path.read_bytes()))
    return {
        tuple(values.values()): State(spec, readout)
        for values, (spec, readout) in zip(demo.grid(), stored, strict=True)
    }


def _write(path: Path, states: Mapping[tuple[Value, ...], State]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    stored = json.dumps([[state.spec, state.readout] for state in states.values()])
    # Written aside and renamed: a build that is stopped half-way leaves no half-written file.
    aside = path.with_suffix(f".{os.getpid()}.tmp")
    aside.write_bytes(gzip.compress(stored.encode(), mtime=0))
    aside.replace(path)


def _add_function(digest: Any, function: Any, seen: set[int]) -> None:
    if id(function) in seen:
        return
    seen.add(id(function))
    try:
        digest.update(inspect.getsource(function).encode())
    except (OSError, TypeError):
        digest.update(function.__code__.co_code + repr(function.__code__.co_consts).encode())
    _add_value(digest, (function.__defaults__, function.__kwdefaults__), seen)
    for cell in function.__closure__ or ():
        _add_value(digest, cell.cell_contents, seen)
    for name in sorted(_names(function.__code__)):
        if name in function.__globals__:
            digest.update(name.encode())
            _add_value(digest, function.__globals__[name], seen)


def _add_value(digest: Any, value: Any, seen: set[int]) -> None:
    if isinstance(value, ModuleType):
        digest.update(value.__name__.encode())
    elif str(getattr(value, "__module__", "")).split(".")[0] == "toolkit" and callable(value):
        # Covered by the digest of the whole package.
        digest.update(
            f"{value.__module__}.{getattr(value, '__qualname__', type(value).__qualname__)}".encode()
        )
    elif isinstance(value, FunctionType):
        _add_function(digest, value, seen)
    else:
        import joblib

        digest.update(joblib.hash(value).encode())


def _names(code: CodeType) -> set[str]:
    """The globals that a piece of code reads; not its attributes, which may be called as a global is."""
    inner = (constant for constant in code.co_consts if isinstance(constant, CodeType))
    read = {each.argval for each in dis.get_instructions(code) if each.opname in ("LOAD_GLOBAL", "LOAD_NAME")}
    return read.union(*(_names(constant) for constant in inner))


def _progress(name: str, done: int, count: int) -> None:
    if done % max(1, count // 5) == 0 and done < count:
        _say(f"{name}: {done} of {count} states")


def _say(message: str) -> None:
    # To a file that the build reads, since what a notebook's process prints ends up in the page.
    path = os.environ.get(PROGRESS_VARIABLE)
    if path:
        with open(path, "a", encoding="utf-8") as file:
            file.write(message + "\n")
