"""A demo in a real JupyterLab: its slider moves the readout and the chart, and no other host is asked."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import ROOT

pytestmark = [pytest.mark.browser, pytest.mark.slow]

CHAPTER = ROOT / "book" / "experiments" / "multiple_comparisons.ipynb"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a JupyterLab over a folder that holds a copy of one chapter."""
    folder = tmp_path_factory.mktemp("lab")
    shutil.copy(CHAPTER, folder)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # Settings of whoever runs the tests must not change what they see.
    own = {f"JUPYTER_{name}_DIR": str(folder / f".{name}") for name in ("CONFIG", "DATA", "RUNTIME")}
    server = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "jupyterlab",
            "--no-browser",
            "--allow-root",
            f"--port={port}",
            "--port-retries=0",
            "--ServerApp.ip=127.0.0.1",
            f"--ServerApp.root_dir={folder}",
            "--IdentityProvider.token=",
            "--LabApp.news_url=",  # the news are another host's
            "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
        ],
        env={**os.environ, **own, "TOOLKIT_RENDER": "live"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(150):
            try:
                urllib.request.urlopen(f"{address}/api/status", timeout=1).close()
                break
            except OSError:
                assert server.poll() is None, "JupyterLab stopped"
                time.sleep(0.2)
        else:
            pytest.fail("JupyterLab did not answer within 30 s")
        yield address
    finally:
        server.terminate()
        server.wait(timeout=20)


def test_a_slider_moves_readout_and_chart_and_no_other_host_is_asked(lab, browser):
    asked: set[str] = set()
    context = browser.new_context(viewport={"width": 1400, "height": 1000})
    page = context.new_page()
    page.on("request", lambda request: asked.add(request.url.split("/")[2]) if "//" in request.url else None)
    page.goto(f"{lab}/lab/tree/{CHAPTER.name}")
    page.wait_for_selector(".jp-Notebook .jp-CodeCell", timeout=60_000)
    # Cells that run before the kernel is ready are dropped.
    page.get_by_text("| Idle").first.wait_for(timeout=60_000)
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    page.wait_for_selector(".explore .widget-hslider", timeout=120_000, state="attached")
    box = page.locator(".explore").filter(has=page.locator(".widget-hslider")).first
    box.scroll_into_view_if_needed()
    chart = box.locator(".vega-embed svg").first
    chart.wait_for(timeout=60_000)
    slider = box.locator(".widget-hslider .noUi-base").first
    readout = box.locator(".explore-readout").first
    before, drawn = readout.inner_text(), chart.inner_html()
    # To either end, wherever the slider stands.
    area = slider.bounding_box()
    for place in (2, area["width"] - 2):
        page.mouse.click(area["x"] + place, area["y"] + area["height"] / 2)
        page.wait_for_timeout(2000)
        if readout.inner_text() != before and box.locator(".vega-embed svg").first.inner_html() != drawn:
            break
    assert readout.inner_text() != before
    assert box.locator(".vega-embed svg").first.inner_html() != drawn
    context.close()
    assert asked == {lab.split("//")[1]}, json.dumps(sorted(asked))
    assert Path(CHAPTER).exists()
