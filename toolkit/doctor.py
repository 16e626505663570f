"""Can this computer run the chapters, and if not, which command mends it?

Works with the standard library alone, because what's missing may be any package.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import json
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from toolkit import __version__

__all__ = ["Check", "examine", "report"]

PACKAGE = "improving-ml-toolkit"
PYTHON = (3, 11)
WHEEL = "improving_ml_toolkit-*.whl"
# A chapter's kernel takes up to 1 GB, JupyterLab and a browser another.
MEMORY_GB, DISK_GB = 2.0, 2.0
# What `import` calls a package whose name differs.
_IMPORTED_AS = {
    "scikit-learn": "sklearn",
    "vl-convert-python": "vl_convert",
    "beautifulsoup4": "bs4",
    "fonttools": "fontTools",
    "jupyter-book": "jupyter_book",
    "pydata-sphinx-theme": "pydata_sphinx_theme",
    "sphinx-book-theme": "sphinx_book_theme",
}
_EXTRAS = ("", "lab")


@dataclass(frozen=True)
class Check:
    """What was looked at, what was found, and where it fails the command that mends it.

    Parameters
    ----------
    what : str
        What was looked at.
    found : str
        What was found, in a few words.
    failed : bool
        Whether the chapters can't run like this.
    mend : str
        The command that mends it, or what to do; several stand on lines of their own, and none where
        there's nothing to mend.
    """

    what: str
    found: str
    failed: bool = False
    mend: str = ""


def examine(folder: Path | None = None) -> list[Check]:
    """Everything that the chapters need, in the order in which to mend it.

    Parameters
    ----------
    folder : Path, optional
        Where the chapters and their lock are; where not given, the present folder, the next above it
        that holds them, or the clone that this module is of.

    Returns
    -------
    list of Check
        A check that itself can't be made is a failed one.

    Examples
    --------
    >>> examine()[0].what
    'Python'
    """
    folder = folder or _home(Path())
    environment: tuple[Callable[[Path], Iterator[Check]], ...] = (_python, _packages, _kernel, _widgets)
    computer = (_memory, _disk, _writable, _chapters, _optional)
    found: list[Check] = []
    for group in (*environment, *computer):
        # A new environment mends whatever else is amiss in one of another Python, or without the package.
        if group in environment and any(
            check.failed and check.what in ("Python", PACKAGE) for check in found
        ):
            continue
        try:
            found += list(group(folder))
        except Exception as error:  # a broken installation raises anything, and the others must still be told
            what = group.__name__.lstrip("_")
            found.append(Check(what, f"{type(error).__name__}: {error}", True, install(folder)))
    return found


def _home(folder: Path) -> Path:
    clone = Path(__file__).resolve().parents[1]
    places = [folder.resolve(), *folder.resolve().parents, clone]
    return next(filter(_is_ours, places), folder)


def _is_ours(place: Path) -> bool:
    """Whether a folder is a clone, or one of the two that `make workshop` makes."""
    project = place / "pyproject.toml"
    named = project.is_file() and f'name = "{PACKAGE}"' in project.read_text("utf-8", errors="replace")
    return named or any(place.glob(WHEEL))


def report(found: list[Check]) -> str:
    """The checks as lines, failures with their mends, and what to do first.

    Examples
    --------
    >>> print(report([Check("Python", "3.9", True, "install Python 3.12")]))
    FAILED Python: 3.9
           mend: install Python 3.12
    1 to mend, from the top.
    """
    lines = []
    for check in found:
        mark = "FAILED" if check.failed else "note  " if check.mend else "ok    "
        lines.append(f"{mark} {check.what}: {check.found}")
        lines += [f"       mend: {command}" for command in check.mend.splitlines()]
    failures = sum(check.failed for check in found)
    lines.append(f"{failures} to mend, from the top." if failures else "The chapters can run here.")
    return "\n".join(lines)


def install(folder: Path, *packages: str) -> str:
    """The command that installs packages: the lock where the folder is ours and has it, else by name.

    Examples
    --------
    >>> install(Path("/nowhere"), "duckdb>=1.4").endswith('-m pip install "duckdb>=1.4"')
    True
    """
    pip = f"{_quoted(sys.executable or 'python3')} -m pip install"
    # Another project's requirements are none of ours.
    if _is_ours(folder) and (folder / "requirements.txt").exists():
        return f"{pip}{_offline(folder)} --require-hashes -r {_quoted(str(folder / 'requirements.txt'))}"
    return f"{pip} " + " ".join(f'"{each}"' for each in packages or (PACKAGE,))


def _offline(folder: Path) -> str:
    """The settings that take packages from a folder `wheels` that somebody handed on, where there is one."""
    wheels = folder / "wheels"
    return f" --no-index --find-links {_quoted(str(wheels))}" if wheels.is_dir() else ""


def _new_environment(folder: Path) -> str:
    """The commands that make an environment of its own beside the chapters, one a line."""
    windows = os.name == "nt"
    make = f"{'py -3.12' if windows else 'python3.12'} -m venv .venv"
    if sys.version_info[:2] >= PYTHON:
        make = f"{_quoted(sys.executable or 'python3')} -m venv .venv"
    python = ".venv\\Scripts\\python" if windows else ".venv/bin/python"
    commands = [] if folder.resolve() == Path().resolve() else [f"cd {_quoted(str(folder.resolve()))}"]
    if not (folder / ".venv").exists() or sys.version_info[:2] < PYTHON:
        commands += [make]
    if (folder / "requirements.txt").exists():
        commands += [f"{python} -m pip install --require-hashes -r requirements.txt"]
    wheel = next(folder.glob(WHEEL), None)
    itself = wheel.name if wheel else "--no-build-isolation --editable ."
    commands += [f"{python} -m pip install --no-deps {itself}", f"{python} -m toolkit doctor"]
    return "\n".join(commands)


def _quoted(path: str) -> str:
    return f'"{path}"' if " " in path else path


def _python(folder: Path) -> Iterator[Check]:
    version = ".".join(map(str, sys.version_info[:3]))
    wanted = ".".join(map(str, PYTHON))
    failed = sys.version_info[:2] < PYTHON
    mend = (
        f"install Python {wanted} or later from python.org, then\n{_new_environment(folder)}"
        if failed
        else ""
    )
    yield Check("Python", f"{version}, {wanted} or later is needed", failed, mend)


def _packages(folder: Path) -> Iterator[Check]:
    try:
        required = importlib.metadata.requires(PACKAGE) or []
        installed = importlib.metadata.version(PACKAGE)
    except importlib.metadata.PackageNotFoundError:
        yield Check(PACKAGE, f"isn't installed in {sys.executable}", True, _new_environment(folder))
        return
    if installed != __version__:
        found = f"{installed} is installed, {__version__} is in {Path(__file__).parent}"
        yield Check(PACKAGE, found, True, _new_environment(folder))
        return
    try:
        from packaging.requirements import Requirement
    except ImportError:
        yield Check("packaging", "is missing", True, install(folder, "packaging"))
        return
    pinned, good = _lock(folder), 0
    for line in required:
        need = Requirement(line)
        if need.marker and not any(need.marker.evaluate({"extra": extra}) for extra in _EXTRAS):
            continue
        mend = install(folder, f"{need.name}{need.specifier}")
        try:
            version = importlib.metadata.version(need.name)
        except importlib.metadata.PackageNotFoundError:
            yield Check(need.name, f"is missing, {need.specifier} is needed", True, mend)
            continue
        if not need.specifier.contains(version, prereleases=True):
            yield Check(need.name, f"{version}, {need.specifier} is needed", True, mend)
            continue
        try:
            importlib.import_module(_IMPORTED_AS.get(need.name, need.name.replace("-", "_")))
        except Exception as error:  # a package that is there and doesn't load raises anything
            again = mend.replace("pip install", "pip install --force-reinstall", 1)
            yield Check(need.name, f"doesn't import: {type(error).__name__}: {error}", True, again)
            continue
        good += 1
        if pinned.get(need.name, version) != version:
            yield Check(
                need.name,
                f"{version} works, {pinned[need.name]} is what the book was made with",
                False,
                install(folder),
            )
    yield Check("packages", f"{good} as needed")


def _lock(folder: Path) -> dict[str, str]:
    """The exact versions of the lock, where the folder has one."""
    path = folder / "requirements.txt"
    lines = path.read_text(encoding="utf-8").splitlines() if _is_ours(folder) and path.exists() else []
    pairs = [line.split(";")[0].rstrip(" \\").split("==") for line in lines if "==" in line.split("#")[0]]
    found: dict[str, list[str]] = {}
    for name, version in pairs:
        found.setdefault(name.strip().lower(), []).append(version.strip())
    # A package that the lock names once for each of several Pythons has no single version.
    return {name: versions[0] for name, versions in found.items() if len(versions) == 1}


def _kernel(folder: Path) -> Iterator[Check]:
    mend = install(folder, "ipykernel")
    try:
        importlib.import_module("ipykernel")
        from jupyter_client.kernelspec import KernelSpecManager
    except ImportError as error:
        yield Check("Jupyter kernel", f"{error.name or error} is missing", True, mend)
        return
    specs = KernelSpecManager().find_kernel_specs()
    if "python3" not in specs:
        own = f"{_quoted(sys.executable)} -m ipykernel install --sys-prefix --name python3"
        yield Check("Jupyter kernel", "there is none named python3", True, own)
        return
    spec = Path(specs["python3"]) / "kernel.json"
    program = json.loads(spec.read_text(encoding="utf-8"))["argv"][0] if spec.exists() else "python"
    # A bare name is replaced by the Python that runs Jupyter; a path is another one's.
    if os.path.sep in program and not _same(program, sys.executable):
        own = f"{_quoted(sys.executable)} -m ipykernel install --sys-prefix --name python3"
        yield Check("Jupyter kernel", f"python3 starts another Python, {program}", True, own)
        return
    yield Check("Jupyter kernel", "python3 starts this Python")


def _same(one: str, other: str) -> bool:
    """Whether two paths are one program of one environment; links inside it are followed no further."""
    return Path(one).parent.resolve() == Path(other).parent.resolve()


def _widgets(folder: Path) -> Iterator[Check]:
    try:
        versions = {
            name: importlib.metadata.version(name) for name in ("anywidget", "ipywidgets", "jupyterlab")
        }
    except importlib.metadata.PackageNotFoundError:
        return  # told among the packages
    told = ", ".join(f"{name} {version}" for name, version in versions.items())
    for part, package in {
        "anywidget": "anywidget",
        "@jupyter-widgets/jupyterlab-manager": "jupyterlab_widgets",
    }.items():
        if not any((place / part).exists() for place in _extension_folders()):
            again = install(folder, package).replace("pip install", "pip install --force-reinstall", 1)
            yield Check("widgets", f"{told}; JupyterLab doesn't find {part}", True, again)
            return
    yield Check("widgets", told)


def _extension_folders() -> list[Path]:
    from jupyter_core.paths import jupyter_path

    return [Path(each) for each in jupyter_path("labextensions")]


def _memory(folder: Path) -> Iterator[Check]:
    free = _free_memory()
    if free is None:
        yield Check("memory", "how much is free can't be read here")
        return
    failed = free < MEMORY_GB
    mend = "close other programs, or give this machine or container more memory" if failed else ""
    yield Check("memory", f"{free:.1f} GB free, {MEMORY_GB:g} GB are needed", failed, mend)


def _free_memory() -> float | None:
    """Free memory in GB, a container's limit counted; None where neither psutil nor the system tells."""
    free = None
    table = Path("/proc/meminfo")
    try:
        import psutil

        free = psutil.virtual_memory().available / 1e9
    except ImportError:
        if table.exists():
            free = int(_entry(table, "MemAvailable:")) * 1024 / 1e9
    group = Path("/sys/fs/cgroup")  # of the container that we're in
    limit, used = group / "memory.max", group / "memory.current"
    if free is not None and limit.exists() and used.exists() and limit.read_text().strip() != "max":
        # What was read from files is given back when it's needed.
        kept = int(used.read_text()) - int(_entry(group / "memory.stat", "inactive_file"))
        free = min(free, (int(limit.read_text()) - kept) / 1e9)
    return free


def _entry(table: Path, name: str) -> str:
    """A line's number in one of the system's tables; 0 where it's missing."""
    lines = table.read_text().splitlines() if table.exists() else []
    return next((line.split()[1] for line in lines if line.split()[:1] == [name]), "0")


def _disk(folder: Path) -> Iterator[Check]:
    free = shutil.disk_usage(folder).free / 1e9
    failed = free < DISK_GB
    mend = f"free space on the disk of {folder.resolve()}; `make clean` removes what can be made again"
    yield Check("disk", f"{free:.1f} GB free, {DISK_GB:g} GB are needed", failed, mend if failed else "")


def _writable(folder: Path) -> Iterator[Check]:
    places = {"TMPDIR": tempfile.gettempdir()}
    if importlib.util.find_spec("jupyter_core"):
        from jupyter_core.paths import jupyter_runtime_dir

        places["JUPYTER_RUNTIME_DIR"] = jupyter_runtime_dir()
    if os.environ.get("TOOLKIT_CACHE"):
        places["TOOLKIT_CACHE"] = os.environ["TOOLKIT_CACHE"]
    for variable, place in places.items():
        error = _refusal(Path(place))
        if error:
            mend = f"set the environment variable {variable} to a folder that you may write"
            yield Check("folders", f"{place} can't be written: {error}", True, mend)
            return
    yield Check("folders", "those of Jupyter and of the system can be written")


def _refusal(place: Path) -> str:
    """Why nothing can be written into a folder, or into the one in which it would be made; or nothing."""
    there = next(each for each in (place.absolute(), *place.absolute().parents) if each.exists())
    try:
        with tempfile.TemporaryFile(dir=there):
            return ""
    except OSError as error:
        return error.strerror or type(error).__name__


def _chapters(folder: Path) -> Iterator[Check]:
    places = (folder / "book", folder)
    place = next((each for each in places if (each / "intro.ipynb").exists()), None)
    if place:
        yield Check("chapters", f"in {place.resolve()}")
    else:
        mend = "cd into the clone, or into the folder that you were given, and ask again"
        yield Check("chapters", f"none in {folder.resolve()}; diagnostics run without them", False, mend)


def _optional(folder: Path) -> Iterator[Check]:
    """What only tests and one store need: a note, never a failure, and only where the tests are."""
    if not (folder / "tests").exists():
        return
    names = ("chromium", "chromium-browser", "google-chrome")
    commands = {"Linux": "sudo apt-get install", "Darwin": "brew install"}
    for what, programs, why, package in (
        ("Chromium", names, "tests of the built site need it", "chromium"),
        ("Redis", ("redis-server",), "tests of the Redis store need it", "redis-server"),
    ):
        found = next(filter(None, map(shutil.which, programs)), None)
        mend = f"{commands.get(platform.system(), 'install')} {package}"
        if platform.system() == "Darwin":
            mend = mend.removesuffix("-server")
        yield Check(what, found or f"not found; only {why}", False, "" if found else mend)
