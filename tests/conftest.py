"""What several tests stand on: the book's chapters, their demos, the built site, a browser."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from toolkit.publish.notebooks import chapters

if TYPE_CHECKING:
    from playwright.sync_api import Browser

ROOT = Path(__file__).parents[1]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
# The first line lets Chromium run as root in a container; the others keep it from asking its maker's hosts.
CHROMIUM_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def chapter_demos(notebook: Path) -> list[Any]:
    """Run a chapter's code as plain Python and return the demos that it defines."""
    import linecache

    import nbformat

    from toolkit.explore import Demo

    names: dict[str, Any] = {"__name__": "__main__"}
    before = Path.cwd()
    os.chdir(notebook.parent)
    try:
        for place, cell in enumerate(nbformat.read(notebook, as_version=4).cells):
            if cell.cell_type == "code":
                file = f"{notebook}#{place}"
                # Registered as source, so that errors and digests of a demo's code find their lines.
                linecache.cache[file] = (len(cell.source), None, cell.source.splitlines(keepends=True), file)
                exec(compile(cell.source, file, "exec"), names)
    finally:
        os.chdir(before)
    return [value for value in names.values() if isinstance(value, Demo)]


@pytest.fixture(scope="session", params=chapters(ROOT), ids=lambda path: path.stem)
def demos(request: pytest.FixtureRequest) -> list[Any]:
    """The demos of one chapter."""
    return chapter_demos(request.param)


@pytest.fixture(scope="session")
def site() -> Path:
    """The built book; built now where it isn't, or isn't up to date."""
    done = subprocess.run(
        [sys.executable, "-m", "toolkit.publish", "book"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return ROOT / "_build" / "html"


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Headless Chromium; tests that need it are skipped where there is none, except in CI."""
    if CHROMIUM is None:
        assert not os.environ.get("CI"), "CI must install Chromium (see .ci/run)"
        pytest.skip("needs Chromium (on Debian: apt-get install chromium)")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_ARGUMENTS)
        yield browser
        browser.close()
