"""What several tests stand on: the book's chapters, their demos, the built site, a browser, a Redis server."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from browsing import CHROMIUM, NEEDS, chromium
from filelock import FileLock
from redis_server import NEEDS_REDIS, REDIS, redis_server

from toolkit.publish.notebooks import chapter_demos, chapters

if TYPE_CHECKING:
    from playwright.sync_api import Browser

ROOT = Path(__file__).parents[1]
_LIMIT = [2e9]


@pytest.fixture(scope="session", params=chapters(ROOT), ids=lambda path: path.stem)
def demos(request: pytest.FixtureRequest) -> list[Any]:
    """The demos of one chapter."""
    return chapter_demos(request.param)


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built book; built now where it isn't, or isn't up to date."""
    # Workers share the folder above their own: the first builds, the others wait for it.
    shared = tmp_path_factory.getbasetemp().parent if "PYTEST_XDIST_WORKER" in os.environ else None
    if shared is None:
        _build()
    else:
        with FileLock(shared / "site.lock"):
            if not (shared / "site.built").exists():
                _build()
                (shared / "site.built").touch()
    return ROOT / "_build" / "html"


@pytest.fixture(autouse=True)
def _memory_is_given_back() -> Iterator[None]:
    """What the toolkit remembers goes once a worker has grown by 2 GB: two of them must fit where CI runs."""
    yield
    if _resident() < _LIMIT[0]:
        return
    for module in [each for name, each in sys.modules.items() if name.startswith("toolkit")]:
        for value in list(vars(module).values()):
            if hasattr(value, "cache_clear"):
                value.cache_clear()
    gc.collect()
    # Not again at each test, if the memory wasn't given back.
    _LIMIT[0] = _resident() + 2e9


def _resident() -> float:
    """Bytes that this process holds in memory; 0 where the system doesn't tell."""
    told = Path("/proc/self/statm")
    return float(told.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") if told.exists() else 0.0


def _build() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "toolkit.publish", "book"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Headless Chromium; tests that need it are skipped where there is none, except in CI."""
    if CHROMIUM is None:
        assert not os.environ.get("CI"), "CI must install Chromium (see .ci/run)"
        pytest.skip(NEEDS)
    with chromium() as opened:
        yield opened


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Redis server's address; tests that need one are skipped where none is installed, except in CI."""
    need_redis()
    with redis_server(tmp_path_factory.mktemp("redis")) as (url, _):
        yield url


def need_redis() -> None:
    if REDIS is None:
        assert not os.environ.get("CI"), "CI must install redis-server (see .ci/run)"
        pytest.skip(NEEDS_REDIS)
    pytest.importorskip("redis", reason="needs the package redis (the extra of that name)")
