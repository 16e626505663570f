"""Can this computer run the chapters, and if not, which command mends it?

Works with the standard library alone, because what's missing may be any package.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import os
import platform
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Check", "examine", "report"]

PACKAGE = "improving-ml-toolkit"
PYTHON = (3, 11)
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
        The command that mends it, or what to do; empty where there's nothing to mend.
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
        Where the chapters are; the present folder where not given.

    Returns
    -------
    list of Check
        A check that itself can't be made is a failed one.

    Examples
    --------
    >>> examine()[0].what
    'Python'
    """
    folder = folder or Path()
    groups: tuple[Callable[[Path], Iterator[Check]], ...] = (
        _python,
        _packages,
        _kernel,
        _widgets,
        _memory,
        _disk,
        _optional,
    )
    found = []
    for group in groups:
        try:
            found += list(group(folder))
        except Exception as error:  # a broken installation raises anything, and the others must still be told
            what = group.__name__.lstrip("_")
            found.append(Check(what, f"{type(error).__name__}: {error}", True, install(folder)))
    return found


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
        if check.mend:
            lines.append(f"       mend: {check.mend}")
    failures = sum(check.failed for check in found)
    lines.append(f"{failures} to mend, from the top." if failures else "The chapters can run here.")
    return "\n".join(lines)


def install(folder: Path, *packages: str) -> str:
    """The command that installs packages: the lock where the folder has it, else by name.

    Examples
    --------
    >>> install(Path("/nowhere"), "duckdb>=1.4").endswith('-m pip install "duckdb>=1.4"')
    True
    """
    pip = f"{_quoted(sys.executable or 'python3')} -m pip install"
    if (folder / "requirements.txt").exists():
        return f"{pip} --require-hashes -r {_quoted(str(folder / 'requirements.txt'))}"
    return f"{pip} " + " ".join(f'"{each}"' for each in packages or (PACKAGE,))


def _quoted(path: str) -> str:
    return f'"{path}"' if " " in path else path


def _python(folder: Path) -> Iterator[Check]:
    version = ".".join(map(str, sys.version_info[:3]))
    wanted = ".".join(map(str, PYTHON))
    failed = sys.version_info[:2] < PYTHON
    again = "python3.12 -m venv .venv && .venv/bin/" + install(folder).removeprefix(
        _quoted(sys.executable) + " -m "
    ).replace("pip", "python -m pip", 1)
    yield Check("Python", f"{version}, {wanted} or later is needed", failed, again if failed else "")


def _packages(folder: Path) -> Iterator[Check]:
    try:
        required = importlib.metadata.requires(PACKAGE) or []
    except importlib.metadata.PackageNotFoundError:
        here = f"{_quoted(sys.executable)} -m pip install --no-deps --no-build-isolation --editable ."
        wheel = next(folder.glob("*.whl"), None)
        mend = f"{_quoted(sys.executable)} -m pip install --no-deps {wheel}" if wheel else here
        yield Check(PACKAGE, "isn't installed in this Python", True, mend)
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
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
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
    import_names = ("anywidget", "ipywidgets", "jupyterlab")
    versions = {}
    for name in import_names:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            yield Check("widgets", f"{name} is missing", True, install(folder, name))
    if len(versions) < len(import_names):
        return
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
    try:
        import psutil

        free = psutil.virtual_memory().available / 1e9
    except ImportError:
        if hasattr(os, "sysconf") and "SC_AVPHYS_PAGES" in os.sysconf_names:
            free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9
    limit, used = (
        Path(f"/sys/fs/cgroup/memory.{name}") for name in ("max", "current")
    )  # of the container that we're in
    if free is not None and limit.exists() and used.exists() and limit.read_text().strip() != "max":
        free = min(free, (int(limit.read_text()) - int(used.read_text())) / 1e9)
    return free


def _disk(folder: Path) -> Iterator[Check]:
    free = shutil.disk_usage(folder).free / 1e9
    failed = free < DISK_GB
    mend = f"free space on the disk of {folder.resolve()}; `make clean` removes what can be made again"
    yield Check("disk", f"{free:.1f} GB free, {DISK_GB:g} GB are needed", failed, mend if failed else "")


def _optional(folder: Path) -> Iterator[Check]:
    """What only tests and one store need: a note, never a failure."""
    names = ("chromium", "chromium-browser", "google-chrome")
    has_apt = platform.system() == "Linux"
    for what, programs, why, package in (
        ("Chromium", names, "tests of the built site need it", "chromium"),
        ("Redis", ("redis-server",), "tests of the Redis store need it", "redis-server"),
    ):
        found = next(filter(None, map(shutil.which, programs)), None)
        mend = (
            f"sudo apt-get install {package}"
            if has_apt
            else f"brew install {package.removesuffix('-server')}"
        )
        yield Check(what, found or f"not found; only {why}", False, "" if found else mend)
