"""A book of one small chapter: what stops its build, and what its pages hold."""

from pathlib import Path

import nbformat
import pandas as pd
import pytest
from bs4 import BeautifulSoup

from toolkit.publish import __main__ as publish
from toolkit.publish import fonts, pages
from toolkit.publish.mathematics import to_mathml

ROOT = Path(__file__).parents[2]
DEMO = """
import altair as alt
import pandas as pd
from toolkit.explore import explore, glue

glue(rate="5.0%")

@explore(looks=[1, 2, 5])
def peeking(looks):
    "How many looks?"
    chart = alt.Chart(pd.DataFrame({"x": [looks]})).mark_point().encode(x="x:Q")
    return chart, f"{LIMIT} looks."
"""


def write_book(folder: Path, limit: str) -> Path:
    for name in ("_config.yml", "references.bib"):
        (folder / name).write_text((ROOT / name).read_text(encoding="utf-8"), encoding="utf-8")
    (folder / "_toc.yml").write_text("format: jb-book\nroot: book/intro\n", encoding="utf-8")
    (folder / "book").mkdir()
    notebook = nbformat.v4.new_notebook(
        cells=[
            nbformat.v4.new_markdown_cell(
                "# How many looks?\n\nThe rate is {glue:text}`rate`: $p < \\frac{1}{2}$."
            ),
            nbformat.v4.new_code_cell(DEMO.replace("{LIMIT}", limit)),
        ],
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
    )
    nbformat.write(notebook, folder / "book" / "intro.ipynb")
    return folder


@pytest.mark.slow
def test_a_page_holds_the_demo_the_computed_number_and_formulas_and_asks_nobody(tmp_path, capfd):
    write_book(tmp_path, "{looks}")
    assert publish.main(["book", "--root", str(tmp_path), "--repository", ""]) == 0
    output = capfd.readouterr().out
    assert str(tmp_path / "_build" / "html" / "index.html") in output
    assert "peeking: 3 states" in output
    assert "book/intro.ipynb: executed in" in output
    assert "Executing notebook" not in output, "Jupyter Book executed a chapter a second time"
    page = (tmp_path / "_build/html/book/intro.html").read_text(encoding="utf-8")
    assert "5.0%" in page
    assert "<mfrac>" in page
    assert '"5 looks."' in page
    assert "github.com" not in page
    # With the repository's address known, the page offers to run and to edit it.
    assert publish.main(["book", "--root", str(tmp_path), "--repository", "foobar/course"]) == 0
    assert "peeking" not in capfd.readouterr().out, "an unchanged chapter was executed again"
    page = (tmp_path / "_build/html/book/intro.html").read_text(encoding="utf-8")
    for address in (
        "https://github.com/foobar/course/edit/main/book/intro.ipynb",
        "https://mybinder.org/v2/gh/foobar/course/main",
        "https://colab.research.google.com/github/foobar/course/blob/main/book/intro.ipynb",
    ):
        assert address in page


@pytest.mark.slow
def test_an_exception_at_one_end_of_a_slider_stops_the_build_and_names_demo_and_state(tmp_path, capfd):
    write_book(tmp_path, "{1 // (5 - looks)}")
    assert publish.main(["book", "--root", str(tmp_path)]) != 0
    captured = capfd.readouterr()
    assert "demo 'peeking', state looks=5: ZeroDivisionError" in captured.out + captured.err


def test_a_folder_that_is_no_book_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"it must hold _config\.yml"):
        publish.build_book(tmp_path)


@pytest.mark.parametrize("bad", ["course", "a/b/c", "/course", "foobar/"])
def test_a_repository_that_is_no_owner_and_name_is_refused(bad):
    with pytest.raises(ValueError, match="it must be owner/name"):
        publish.book_settings({}, bad)


def test_finishing_a_page_twice_changes_nothing():
    page = (
        '<html><body data-bs-spy="scroll" data-bs-target=".bd-toc-nav"><div class="bd-sidebar-primary"></div>'
        '<link rel="preload" as="font" href="x.woff2"/><script src="vendor/fontawesome/all.min.js"></script>'
        "<table><thead><tr><th></th><th>a</th></tr></thead></table></body></html>"
    )
    once = pages.finish(page)
    assert pages.finish(once) == once
    assert "data-bs-spy" not in once
    assert "fontawesome" not in once
    assert "<th></th>" not in once


def test_a_column_of_numbers_or_times_stands_under_its_head_and_words_stay_left():
    frame = pd.DataFrame(
        {
            "arm": ["a", "7 days"],
            "p": ["1e-42", "0.5"],
            "lift": ["-3.5%", ""],
            "day": ["2026-04-08", "2026-04-09"],
        }
    )
    page = pages.finish(frame.to_html(index=False))
    cells = BeautifulSoup(page, "html.parser").find_all(["th", "td"])
    marked = {cell.get_text() for cell in cells if "number" in cell.get("class", [])}
    assert marked == {"p", "1e-42", "0.5", "lift", "-3.5%", "", "day", "2026-04-08", "2026-04-09"}
    assert pages.finish(page) == page


def test_only_used_icons_stay_in_the_style_sheet(tmp_path):
    import pydata_sphinx_theme

    theme = Path(pydata_sphinx_theme.__file__).parent / "theme/pydata_sphinx_theme/static/vendor/fontawesome"
    import shutil

    shutil.copytree(theme, tmp_path / "_static/vendor/fontawesome")
    (tmp_path / "index.html").write_text('<i class="fa-solid fa-bars"></i>', encoding="utf-8")
    fonts.inline_icons(tmp_path)
    (sheet,) = tmp_path.rglob("all.min.css")
    css = sheet.read_text(encoding="utf-8")
    assert ".fa-bars:before" in css
    assert ".fa-anchor:before" not in css
    assert "url(data:font/woff;base64," in css
    assert "url(../webfonts" not in css
    assert len(css) < 60_000
    fonts.inline_icons(tmp_path)
    assert sheet.read_text(encoding="utf-8") == css


def test_formulas_become_mathml_with_their_source_as_alternative():
    mathml = to_mathml(r"\frac{a}{b} < \alpha", display=True)
    assert "<mfrac>" in mathml
    assert 'display="block"' in mathml
    assert r'alttext="\frac{a}{b} &lt; \alpha"' in mathml
    with pytest.raises(ValueError, match="latex: got"):
        to_mathml(r"\left( a", display=False)


# Looking for its font imports ziamath, which reads its own files in an old way.
@pytest.mark.filterwarnings("ignore:path is deprecated:DeprecationWarning")
@pytest.mark.parametrize(
    ("formula", "has_root"), [("<msqrt><mi>x</mi></msqrt>", True), ("<mi>x</mi>", False)]
)
def test_the_formulas_font_has_the_radical_exactly_where_a_root_is_drawn(tmp_path, formula, has_root):
    import base64
    import re
    from io import BytesIO

    from fontTools.ttLib import TTFont

    (tmp_path / "page.html").write_text(f"<math>{formula}</math>", encoding="utf-8")
    sheet = tmp_path / "site.css"
    sheet.write_text("body{}", encoding="utf-8")
    fonts.inline_mathematics(tmp_path, sheet)
    data = re.search(r"base64,([^)]*)", sheet.read_text(encoding="utf-8"))[1]
    font = TTFont(BytesIO(base64.b64decode(data)))
    assert (ord("√") in font.getBestCmap()) == has_root
