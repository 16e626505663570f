"""A demo in a real JupyterLab: its slider moves the readout and the chart, and no other host is asked."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator

import pytest
from browsing import first_demo_with_a_slider, jupyterlab
from conftest import ROOT

pytestmark = [pytest.mark.browser, pytest.mark.slow]

CHAPTER = ROOT / "book" / "experiments" / "multiple_comparisons.ipynb"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a JupyterLab over a folder that holds a copy of one chapter."""
    folder = tmp_path_factory.mktemp("lab")
    shutil.copy(CHAPTER, folder)
    with jupyterlab(folder) as address:
        yield address


def test_a_slider_moves_readout_and_chart_and_no_other_host_is_asked(lab, browser):
    asked: set[str] = set()
    context = browser.new_context(viewport={"width": 1400, "height": 1000})
    page = context.new_page()
    page.on("request", lambda request: asked.add(request.url.split("/")[2]) if "//" in request.url else None)
    box = first_demo_with_a_slider(page, lab, CHAPTER.name)
    chart = box.locator(".vega-embed svg").first
    slider = box.locator(".widget-hslider .noUi-base").first
    readout = box.locator(".explore-readout").first
    before, drawn = readout.inner_text(), chart.inner_html()
    # To either end, wherever the slider stands.
    area = slider.bounding_box()
    for place in (2, area["width"] - 2):
        page.mouse.click(area["x"] + place, area["y"] + area["height"] / 2)
        # A state that wasn't computed yet takes a while on a busy machine; an end where it stands, for ever.
        for _ in range(40):
            page.wait_for_timeout(250)
            if readout.inner_text() != before and box.locator(".vega-embed svg").first.inner_html() != drawn:
                break
        else:
            continue
        break
    assert readout.inner_text() != before
    assert box.locator(".vega-embed svg").first.inner_html() != drawn
    context.close()
    assert asked == {lab.split("//")[1]}, json.dumps(sorted(asked))
