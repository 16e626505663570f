"""The built book in a real browser: every demo moves, nothing is asked of another host, all can use it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from conftest import ROOT

from toolkit.explore.states import CACHE_VARIABLE
from toolkit.publish.notebooks import chapter_demos, chapters, pages

pytestmark = pytest.mark.browser

PAGES, LISTS = (
    [str(path.relative_to(ROOT).with_suffix(".html")) for path in pages(ROOT, kind)]
    for kind in (".ipynb", ".md")
)
OTHER_PAGES = [*LISTS, "search.html", "genindex.html"]
# What a page shows of one demo, and the drawing as text: the browser gives the same text for the same drawing,
# but for the numbers of its clipping paths, which go on counting.
SEEN = """figure => [figure.querySelector('.explore-readout').textContent,
                     figure.querySelector('.explore-chart svg').innerHTML.replace(/clip\\d+/g, 'clip')]"""
SETTLED = "figure => figure.dataset.drawn !== undefined"
IDLE = "figure => figure.dataset.drawn === figure.dataset.shown"


@contextmanager
def opened(browser: Any, address: str, **settings: Any) -> Iterator[Any]:
    """A page with the network off; complaints of its console and requests to any host fail the test."""
    context = browser.new_context(offline=True, **settings)
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda m: complaints.append(m.text) if m.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on(
        "request",
        lambda r: None if r.url.startswith(("file:", "data:", "blob:")) else complaints.append(r.url),
    )
    page.goto(address)
    page.wait_for_load_state("load")
    yield page
    page.wait_for_timeout(50)
    context.close()
    assert not complaints, complaints


def address_of(site: Path, page: str) -> str:
    return (site / page).as_uri()


def figures(page: Any) -> list[Any]:
    """The page's demos, each scrolled to and drawn."""
    found = page.query_selector_all("figure.explore[data-demo]")
    for figure in found:
        figure.scroll_into_view_if_needed()
        page.wait_for_function(SETTLED, arg=figure)
    return list(found)


@pytest.mark.parametrize("path", PAGES)
def test_every_control_moves_chart_and_readout_by_keyboard_alone(site, browser, path):
    with opened(browser, address_of(site, path), viewport={"width": 1280, "height": 900}) as page:
        demos = figures(page)
        assert len(demos) >= 2
        for figure in demos:
            opening = figure.evaluate(SEEN)
            controls = figure.query_selector_all("input, select")
            assert controls
            reset = figure.query_selector(".explore-reset")
            for control in controls:
                # Each from the state that the page opens with: elsewhere a control may have nothing to say.
                reset.click()
                page.wait_for_function(IDLE, arg=figure)
                readout, chart = figure.evaluate(SEEN)
                moved = {"readout": False, "chart": False}
                control.focus()
                # From the first value on: a switch has one step, a list and a slider several.
                if control.get_attribute("type") == "checkbox":
                    keys = ["Space"]
                elif control.get_attribute("type") == "range":
                    steps = int(control.get_attribute("max") or 0)
                    keys = ["Home", *["ArrowRight"] * steps]
                else:
                    keys = ["Home", *["ArrowDown"] * (len(control.query_selector_all("option")) - 1)]
                for key in keys:
                    page.keyboard.press(key)
                    page.wait_for_function(IDLE, arg=figure)
                    now = figure.evaluate(SEEN)
                    moved["readout"] |= now[0] != readout
                    moved["chart"] |= now[1] != chart
                    if all(moved.values()):
                        break
                name = f"{figure.get_attribute('data-demo')}: {control.get_attribute('name')}"
                for what, did in moved.items():
                    assert did, f"{name} leaves the {what} as it is"
            # Reset brings back what the page opened with.
            reset.focus()
            page.keyboard.press("Enter")
            page.wait_for_function(IDLE, arg=figure)
            assert figure.evaluate(SEEN) == opening


@pytest.mark.parametrize("notebook", chapters(ROOT), ids=lambda path: path.stem)
def test_the_page_says_in_every_state_what_the_function_says(site, browser, notebook, monkeypatch):
    # What the build has computed is read; that it is what the function says, the test of parity sees.
    monkeypatch.setenv(CACHE_VARIABLE, str(ROOT / "_build" / "cache" / "demos"))
    path = str(notebook.relative_to(ROOT).with_suffix(".html"))
    expected = {demo.name: [state.readout for state in demo.states()] for demo in chapter_demos(notebook)}
    with opened(browser, address_of(site, path)) as page:
        shown = {}
        for figure in figures(page):
            name = figure.get_attribute("data-demo")
            # Moves the real controls through every state, the last fastest, as a reader's input would.
            shown[name] = figure.evaluate(
                """figure => {
                  const controls = [...figure.querySelectorAll("input, select")];
                  const count = c => c.type === "checkbox" ? 2 : c.type === "range" ? Number(c.max) + 1 : c.options.length;
                  const readouts = [];
                  const move = i => {
                    if (i === controls.length) {
                      readouts.push(figure.querySelector(".explore-readout").textContent);
                      return;
                    }
                    for (let k = 0; k < count(controls[i]); k++) {
                      if (controls[i].type === "checkbox") controls[i].checked = k === 1;
                      else controls[i].value = String(k);
                      controls[i].dispatchEvent(new Event("input", { bubbles: true }));
                      move(i + 1);
                    }
                  };
                  move(0);
                  return readouts;
                }"""
            )
        assert shown == expected


@pytest.mark.parametrize("path", PAGES)
def test_a_link_to_a_state_opens_that_state_and_reset_leaves_it(site, browser, path):
    with opened(browser, address_of(site, path)) as page:
        figure = figures(page)[0]
        default = figure.evaluate(SEEN)[0]
        control = figure.query_selector("input, select")
        if control.get_attribute("type") == "checkbox":
            control.click()
        else:
            control.focus()
            page.keyboard.press("End")
        moved = figure.evaluate(SEEN)[0]
        link = figure.query_selector(".explore-link").get_attribute("href")
    with opened(browser, address_of(site, path) + link) as page:
        figure = figures(page)[0]
        assert figure.evaluate(SEEN)[0] == moved
        figure.query_selector(".explore-reset").click()
        assert figure.evaluate(SEEN)[0] == default


@pytest.mark.parametrize("path", PAGES)
def test_charts_follow_light_and_dark_at_once(site, browser, path):
    colour = """() => getComputedStyle(document.querySelector('.explore-chart svg text')).fill"""
    with opened(browser, address_of(site, path), color_scheme="light") as page:
        figures(page)
        light = page.evaluate(colour)
        page.evaluate("document.documentElement.dataset.theme = 'dark'")
        dark = page.evaluate(colour)
        assert light != dark
        behind = "() => getComputedStyle(document.querySelector('figure.explore').closest('.output')).backgroundColor"
        assert page.evaluate(behind) == "rgba(0, 0, 0, 0)"


@pytest.mark.parametrize("path", [*PAGES, *OTHER_PAGES])
@pytest.mark.parametrize("mode", ["light", "dark"])
def test_axe_finds_nothing_and_nothing_needs_sideways_scrolling(site, browser, path, mode):
    from axe_playwright_python.sync_playwright import Axe

    # Without preload: axe would fetch style sheets anew, which a page opened from disk may not.
    options: dict[str, Any] = {"preload": False, "resultTypes": ["violations"]}
    if mode == "dark":
        # The page is the same but for its colours.
        options["runOnly"] = ["color-contrast"]
    settings = {"viewport": {"width": 360, "height": 800}, "color_scheme": mode}
    with opened(browser, address_of(site, path), **settings) as page:
        figures(page)
        assert page.evaluate("document.documentElement.dataset.theme") == mode
        # Rows of a table are made alike, and so are the reference's entries; axe takes milliseconds for each cell.
        page.evaluate(
            """[...document.querySelectorAll('tbody tr:nth-child(n+7)'),
                ...[...document.querySelectorAll('dl.py')].slice(30)].forEach(each => each.remove())"""
        )
        for width in (360, 1280):
            page.set_viewport_size({"width": width, "height": 800})
            page.wait_for_timeout(300)
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            for figure in page.query_selector_all("figure.explore"):
                # A chart that no script draws is there twice, for wide and for narrow pages; one of them shows.
                shown = [svg for svg in figure.query_selector_all(".explore-chart svg") if svg.is_visible()]
                assert [svg.bounding_box()["width"] <= width for svg in shown] == [True]
            # Folded parts are opened, so that they're looked at too.
            page.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true; })")
            page.wait_for_timeout(100)
            # The theme fades code in; half faded, its contrast is that of no colour that stays.
            page.evaluate("Promise.all(document.getAnimations().map(each => each.finished))")
            found = Axe().run(page, options=options).response["violations"]
            told = [f"{v['id']}: {v['help']}: {n['html'][:200]}" for v in found for n in v["nodes"]]
            assert not told, f"{width} pixels wide: " + "\n".join(told)


@pytest.mark.parametrize("path", PAGES)
def test_with_scripts_off_the_page_shows_each_demo_s_default_state(site, browser, path):
    context = browser.new_context(java_script_enabled=False, offline=True)
    page = context.new_page()
    page.goto(address_of(site, path))
    for figure in page.query_selector_all("figure.explore[data-demo]"):
        assert figure.query_selector(".explore-chart svg").bounding_box()["height"] > 50
        assert any(c.isdigit() for c in figure.query_selector(".explore-readout").inner_text())
    context.close()


@pytest.mark.parametrize("path", PAGES)
def test_exercises_answer_in_the_page_as_in_a_notebook(site, browser, path):
    from toolkit import exercises

    with opened(browser, address_of(site, path)) as page:
        forms = page.query_selector_all("form.exercise")
        assert len(forms) >= 2
        for form in forms:
            name = form.get_attribute("data-exercise")
            exercise = exercises._find(name)
            tries = [exercise.expected(), *(value for value, *_ in exercise.wrong_answers())]
            for value in tries:
                form.query_selector("input").fill(repr(value))
                form.query_selector("button").click()
                told = form.query_selector(".exercise-feedback").inner_text()
                feedback = exercises.check(name, value)
                # The page shows code as code, where a message has it between backticks.
                said = feedback.message.replace("`", "")
                assert told == f"{'Right' if feedback.right else 'Not yet'}: {said}"
            form.query_selector("input").fill("lots")
            form.query_selector("input").press("Enter")
            assert "Give one number" in form.query_selector(".exercise-feedback").inner_text()


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("peeking", "multiple_comparisons.html"),
        ("asof_join", "reference/api/features.html#toolkit.features.asof.asof_join"),
        ("propensity", "reference/glossary.html#term-propensity"),
        ("routes", "teaching/routes.html"),
        ("doubled", "reference/diagnostics.html"),
    ],
)
def test_search_finds_chapters_names_terms_and_routes_offline(site, browser, words, found):
    with opened(browser, address_of(site, "search.html") + f"?q={words}") as page:
        page.wait_for_selector(f'#search-results li a[href*="{found}"]')


def test_no_link_within_the_site_is_dead(site):
    from bs4 import BeautifulSoup

    written = [path for path in site.rglob("*.html") if "_static" not in path.relative_to(site).parts]
    soups = {path: BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser") for path in written}
    places = {path: {each["id"] for each in soup.select("[id]")} for path, soup in soups.items()}
    dead = []
    for path, soup in soups.items():
        for link in soup.select("article a[href]:not(.explore-link)"):
            file, _, place = unquote(link["href"]).partition("#")
            target = (path.parent / file).resolve() if file else path
            there = target.exists() and (not place or place in places.get(target, {place}))
            if "://" not in file and not file.startswith("mailto:") and not there:
                dead.append(f"{path.relative_to(site)}: {link['href']}")
    assert not dead, "\n".join(dead)


def test_every_public_name_has_its_entry_on_its_page(site):
    from toolkit.publish import api

    pages = {name.page: (site / f"{name.page}.html").read_text(encoding="utf-8") for name in api.names()}
    missing = [name.full for name in api.names() if f'id="{name.full}"' not in pages[name.page]]
    assert not missing


@pytest.mark.parametrize("path", PAGES)
def test_a_chapter_leads_to_the_reference_and_to_the_glossary(site, path):
    page = (site / path).read_text(encoding="utf-8")
    assert 'class="names-taught"' in page
    assert "reference/api/" in page
    assert 'class="term reference internal"' in page or "reference/glossary.html#term-" in page
