"""How heavy is a chapter's page, and how quickly does it answer a reader, published and in JupyterLab?"""

from __future__ import annotations

import shutil
import statistics
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from benchmarks.build import build_book
from benchmarks.measuring import ROOT, Row, compressed, measures, p95
from tests.browsing import CHROMIUM, NEEDS, chromium, first_demo_with_a_slider, jupyterlab
from toolkit.publish.notebooks import chapters

if TYPE_CHECKING:
    from playwright.sync_api import Page

KEY_PRESS = "key press to new chart, published page, p95"
SLOWED = "the same, the processor slowed 4 times, p95"
FIRST_CHART = "first chart seen, on localhost"
IN_JUPYTERLAB = "control moved to new chart, JupyterLab, p95"

# From the last key event before a control's input to the end of the drawing that it causes.
_WATCH_KEYS = """() => {
  window.moves = [];
  window.began = null;
  let pressed = null;
  for (const type of ["keydown", "keyup"]) addEventListener(type, e => { pressed = e.timeStamp; }, true);
  addEventListener("input", () => { window.began = pressed; }, true);
  for (const figure of document.querySelectorAll("figure.explore[data-demo]")) {
    new MutationObserver(() => {
      if (window.began === null) return;
      window.moves.push(performance.now() - window.began);
      window.began = null;
    }).observe(figure, { attributes: true, attributeFilter: ["data-drawn"] });
  }
}"""
# When the page's first demo, brought into view at once, has been drawn by its script.
_WATCH_FIRST = """(() => {
  const watch = new MutationObserver(() => {
    const figure = document.querySelector("figure.explore[data-demo]");
    if (!figure) return;
    if (figure.dataset.drawn === undefined) { figure.scrollIntoView(); return; }
    window.first = performance.now();
    watch.disconnect();
  });
  watch.observe(document, { subtree: true, childList: true, attributes: true });
})()"""
# From the pointer's press to a drawing in the demo that differs from the one before.
_WATCH_CHART = """demo => {
  const drawing = () => demo.querySelector(".vega-embed svg")?.innerHTML ?? "";
  window.moves = [];
  window.began = null;
  let before = drawing();
  addEventListener("pointerdown", e => { before = drawing(); window.began = e.timeStamp; }, true);
  new MutationObserver(() => {
    const now = drawing();
    if (window.began === null || !now.includes("<path") || now === before) return;
    window.moves.push(performance.now() - window.began);
    window.began = null;
  }).observe(demo, { subtree: true, childList: true, attributes: true });
}"""


@measures("pages")
def weight_of_each_chapter() -> Iterator[Row]:
    """What a first visit loads: the page, and every script, style and picture that it names."""
    site = _site()
    for name in _names():
        files = [site / name, *loaded(site / name)]
        heaviest = max(files, key=lambda path: compressed(path.read_bytes()))
        weight = sum(compressed(path.read_bytes()) for path in files)
        note = f"{len(files)} files, {heaviest.name} {compressed(heaviest.read_bytes()):.0f} KB"
        yield Row("a chapter's page, first visit, gzip", "KB", 700, weight, Path(name).stem, note)


@measures("pages")
def moving_a_demo() -> Iterator[Row]:
    """Every control of every chapter moved by keyboard, on the machine as it is and slowed."""
    if CHROMIUM is None:
        yield Row(KEY_PRESS, "ms", 16, note=NEEDS)
        yield Row(SLOWED, "ms", 50, note=NEEDS)
        return
    site = _site()
    with chromium() as browser:
        for what, budget, rate in ((KEY_PRESS, 16, 1), (SLOWED, 50, 4)):
            for name in _names():
                context = browser.new_context(offline=True)
                page = context.new_page()
                page.goto((site / name).as_uri())
                taken = _move_all(page, rate)
                context.close()
                note = f"{len(taken)} moves, median {statistics.median(taken):.1f} ms"
                yield Row(what, "ms", budget, p95(taken), Path(name).stem, note)


@measures("pages")
def the_first_chart() -> Iterator[Row]:
    """From the navigation to a chart that can be moved, each time with an empty cache."""
    if CHROMIUM is None:
        yield Row(FIRST_CHART, "s", 1, note=NEEDS)
        return
    with chromium() as browser, _served(_site()) as address:
        for name in _names():
            taken = []
            for _ in range(3):
                context = browser.new_context()
                page = context.new_page()
                page.add_init_script(_WATCH_FIRST)
                page.goto(f"{address}/{name}")
                page.wait_for_function("window.first !== undefined")
                taken.append(page.evaluate("window.first") / 1000)
                context.close()
            yield Row(FIRST_CHART, "s", 1, statistics.median(taken), Path(name).stem)


@measures("pages")
def moving_a_demo_in_jupyterlab() -> Iterator[Row]:
    """The first slider of a chapter whose states are cheap, each position visited before it is timed."""
    chapter = ROOT / "book" / "experiments" / "multiple_comparisons.ipynb"
    if CHROMIUM is None:
        yield Row(IN_JUPYTERLAB, "ms", 150, note=NEEDS)
        return
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        shutil.copy(chapter, folder)
        with jupyterlab(Path(folder)) as address:
            page = browser.new_page(viewport={"width": 1400, "height": 1000})
            demo = first_demo_with_a_slider(page, address, chapter.name)
            page.get_by_text("| Idle").first.wait_for(timeout=600_000)  # the cells after it have run too
            demo.scroll_into_view_if_needed()
            area = demo.locator(".widget-hslider .noUi-base").first.bounding_box()
            assert area is not None
            demo.evaluate(_WATCH_CHART)
            there_and_back = [0.02, 0.25, 0.5, 0.75, 0.98, 0.75, 0.5, 0.25]
            for place in there_and_back * 4:
                page.mouse.click(area["x"] + place * area["width"], area["y"] + area["height"] / 2)
                page.wait_for_function("window.began === null")
                page.wait_for_timeout(400)  # the slider glides to where it was clicked
            taken = page.evaluate("window.moves")[len(there_and_back) :]
            note = f"{len(taken)} moves, median {statistics.median(taken):.0f} ms"
            yield Row(IN_JUPYTERLAB, "ms", 150, p95(taken), chapter.stem, note)


def loaded(page: Path) -> list[Path]:
    """The site's files that a page names as scripts, styles and pictures, each once."""
    from bs4 import BeautifulSoup

    soup = BeautifulSoup(page.read_text(encoding="utf-8"), "html.parser")
    tags = soup.select(
        'script[src], img[src], link[rel~="stylesheet"], link[rel~="icon"], link[rel~="preload"]'
    )
    named = [str(tag.get("src") or tag.get("href")) for tag in tags]
    paths = ((page.parent / urlsplit(name).path).resolve() for name in named if not name.startswith("data:"))
    return [path for path in dict.fromkeys(paths) if path.is_file()]


def _names() -> list[str]:
    return [str(path.relative_to(ROOT).with_suffix(".html")) for path in chapters(ROOT)]


@cache
def _site() -> Path:
    build_book(ROOT)  # where nothing has changed since the last build, some seconds
    return ROOT / "_build" / "html"


def _move_all(page: Page, rate: int) -> list[float]:
    figures = page.query_selector_all("figure.explore[data-demo]")
    for figure in figures:
        figure.scroll_into_view_if_needed()
        page.wait_for_function("figure => figure.dataset.drawn !== undefined", arg=figure)
    page.context.new_cdp_session(page).send("Emulation.setCPUThrottlingRate", {"rate": rate})
    page.evaluate(_WATCH_KEYS)
    for figure in figures:
        for control in figure.query_selector_all("input, select"):
            control.focus()
            for key in _keys(control):
                page.keyboard.press(key)
                page.wait_for_function("window.began === null")
    taken: list[float] = page.evaluate("window.moves")
    return taken


def _keys(control: Any) -> list[str]:
    """Twice through a control's positions, at most a dozen steps a way."""
    kind = control.get_attribute("type")
    if kind == "checkbox":
        return ["Space"] * 4
    if kind == "range":
        forth, back, last = "ArrowRight", "ArrowLeft", int(control.get_attribute("max"))
    else:
        forth, back, last = "ArrowDown", "ArrowUp", len(control.query_selector_all("option")) - 1
    steps = min(last, 12)
    return ["Home", *[forth] * steps, *[back] * steps]


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing of each request."""


@contextmanager
def _served(site: Path) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(site))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
