"""How is the book built? `python -m toolkit.publish book`, from the project's folder."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nbformat
import yaml

from toolkit.explore.mode import VARIABLE
from toolkit.explore.states import CACHE_VARIABLE, PROGRESS_VARIABLE, build_digest
from toolkit.publish.execution import QUIET, execute
from toolkit.publish.notebooks import chapters


def main(arguments: list[str] | None = None) -> int:
    """Read the command line and build the book; the exit code is the build's."""
    parser = argparse.ArgumentParser(prog="python -m toolkit.publish", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    book = commands.add_parser("book", help="execute the chapters and build the site into _build/html")
    book.add_argument("--root", type=Path, default=Path(), help="the folder of _config.yml and _toc.yml")
    book.add_argument(
        "--repository",
        default=os.environ.get("GITHUB_REPOSITORY", ""),
        help="owner/name on GitHub, for launch buttons and edit links (default: GITHUB_REPOSITORY)",
    )
    book.add_argument("--branch", default="main", help="the branch that the links show")
    book.add_argument(
        "--jupyterhub", default=os.environ.get("TOOLKIT_JUPYTERHUB", ""), help="a JupyterHub's address"
    )
    options = parser.parse_args(arguments)
    return build_book(
        options.root, repository=options.repository, branch=options.branch, jupyterhub=options.jupyterhub
    )


def build_book(root: Path, *, repository: str = "", branch: str = "main", jupyterhub: str = "") -> int:
    """Execute the chapters under `root` and build the site; print the file to open.

    Returns
    -------
    int
        0, or the exit code of the failed build.

    Raises
    ------
    FileNotFoundError
        If `root` has no `_config.yml` or `_toc.yml`.
    ValueError
        If `repository` isn't of the form owner/name.
    """
    root = root.resolve()
    for name in ("_config.yml", "_toc.yml"):
        if not (root / name).is_file():
            raise FileNotFoundError(f"root: got {root}; it must hold {name}")
    settings = book_settings(
        yaml.safe_load((root / "_config.yml").read_text(encoding="utf-8")), repository, branch, jupyterhub
    )
    build = root / "_build"
    cache = build / "cache"
    digest = build_digest()
    notebooks = cache / f"notebooks-{digest}"
    # Executed notebooks are kept by their own code alone; what they import is in the folder's name.
    changed = not notebooks.exists()
    for old in cache.glob("notebooks-*"):
        if old != notebooks:
            shutil.rmtree(old)
    notebooks.mkdir(parents=True, exist_ok=True)
    settings["execute"]["cache"] = str(notebooks)
    config = cache / "config.yml"
    config.write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")
    jupyter_book = [sys.executable, "-c", "from jupyter_book.cli.main import main; main()"]
    command = [*jupyter_book, "build", str(root), "--config", str(config)]
    # -W and -n: a warning or a missing reference stops the build, which otherwise exits 0 even when a chapter raised.
    command += ["--path-output", str(root), "-W", "-n", "--keep-going"] + ["--all"] * changed
    progress = cache / "progress.txt"
    progress.write_text("", encoding="utf-8")
    environment = {
        **os.environ,
        VARIABLE: "static",
        CACHE_VARIABLE: str(cache / "demos"),
        PROGRESS_VARIABLE: str(progress),
        **QUIET,
    }
    with _showing(progress):
        _execute_stale(root, notebooks, environment)
        done = subprocess.run(command, env=environment, check=False)
    if done.returncode:
        shutil.rmtree(notebooks)  # so that the next build executes and shows the failure again
        return done.returncode
    print(f"\nThe book is built. Open\n  {build / 'html' / 'index.html'}")
    return 0


def book_settings(settings: dict, repository: str = "", branch: str = "main", jupyterhub: str = "") -> dict:
    """Jupyter Book's settings with launch buttons and edit links where the repository's address is known.

    Raises
    ------
    ValueError
        If `repository` isn't of the form owner/name.
    """
    settings = {**settings, "html": {**settings.get("html", {})}}
    if not repository:
        return settings
    if repository.count("/") != 1 or not all(repository.split("/")):
        raise ValueError(f"repository: got {repository!r}; it must be owner/name")
    settings["repository"] = {"url": f"https://github.com/{repository}", "branch": branch, "path_to_book": ""}
    settings["html"].update(use_edit_page_button=True, use_repository_button=True, use_issues_button=True)
    settings["launch_buttons"] = {
        "notebook_interface": "jupyterlab",
        "binderhub_url": "https://mybinder.org",
        "colab_url": "https://colab.research.google.com",
        **({"jupyterhub_url": jupyterhub} if jupyterhub else {}),
    }
    return settings


def _execute_stale(root: Path, folder: Path, environment: dict[str, str]) -> None:
    """Run the chapters that the cache doesn't hold side by side; Jupyter Book, left to itself, runs them in turn.

    A chapter that raises isn't kept: Jupyter Book runs it again, and stops with its error.
    """
    from jupyter_cache import get_cache
    from jupyter_cache.base import CacheBundleIn

    cache = get_cache(folder)
    stale = []
    for path in chapters(root):
        try:
            cache.match_cache_notebook(nbformat.read(path, as_version=4))
        except KeyError:
            stale.append(path)

    def keep(path: Path, notebook: Any, seconds: float) -> None:
        bundle = CacheBundleIn(notebook, str(path), data={"execution_seconds": seconds})
        cache.cache_notebook_bundle(bundle, check_validity=False, overwrite=True)
        print(f"  {path.relative_to(root)}: executed in {seconds:.0f} s", flush=True)

    execute(stale, environment, keep)


@contextmanager
def _showing(progress: Path) -> Iterator[None]:
    """Print the lines that the chapters' processes append to a file, while the build runs."""
    finished = threading.Event()

    def follow() -> None:
        with progress.open(encoding="utf-8") as file:
            while not finished.wait(0.3):
                for line in file:
                    print(f"  {line}", end="", flush=True)

    thread = threading.Thread(target=follow, daemon=True)
    thread.start()
    try:
        yield
    finally:
        finished.set()
        thread.join()


if __name__ == "__main__":
    sys.exit(main())
