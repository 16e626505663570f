"""A chapter's prose says nothing that the page didn't compute, and has every part that a reader looks for."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import nbformat
import pytest
from conftest import ROOT

from toolkit.publish.notebooks import chapters

each_notebook = pytest.mark.parametrize("path", chapters(ROOT), ids=lambda path: path.stem)
# What a chapter has, a page of the reference or for teachers doesn't need.
each_chapter = pytest.mark.parametrize(
    "path",
    [path for path in chapters(ROOT) if path.parent.name not in ("reference", "teaching")],
    ids=lambda path: path.stem,
)

# Stretches of a page that aren't claims: code, formulas, roles, addresses, tags.
NOT_PROSE = re.compile(
    r"`{3,}.*?`{3,}|\{[a-z:]+\}`[^`]*`|`[^`]*`|\$\$.*?\$\$|\$[^$\n]*\$|\]\([^)]*\)|<[^>\n]+>", re.S
)
# A level names a kind of interval or test; it isn't what came out.
LEVEL = re.compile(r"\d+(?:\.\d+)?\s?%[\s-]+(?:confidence |credible )?(?:interval|level|band)s?\b")
NUMBER = re.compile(r"(?<![\w.,])[-+−]?(\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?)(\s?%)?(?![\w,]*\d)")


def cells(path: Path, kind: str) -> list[str]:
    return [cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == kind]


def numbers_set(code: str) -> set[float]:
    """The numbers that a page's code holds: a slider's values, a sample's size, a threshold, in texts too."""
    found = set()
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
            found.add(float(node.value))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found |= {float(number.replace(",", "")) for number, _ in NUMBER.findall(node.value)}
    return found


def typed(markdown: str, code: str) -> list[str]:
    """The numbers of a cell's prose that look computed: with decimals or a percent sign, or above a thousand.

    Not those that a code cell sets, not a level's, not those of a sentence that cites its source, and
    no years.
    """
    known = numbers_set(code)
    found = []
    for sentence in re.split(r"(?<=[.!?:])\s+|\n{2,}", markdown):
        if "{cite" in sentence:
            continue
        prose = LEVEL.sub(" ", NOT_PROSE.sub(" ", sentence))
        for match in NUMBER.finditer(prose):
            text, percent = match.groups()
            value = float(text.replace(",", ""))
            computed = "." in text or percent or value > 2100
            if computed and not {value, value / 100 if percent else value} & known:
                found.append(match.group(0).strip())
    return found


@each_notebook
def test_no_computed_number_is_typed(path):
    code = "\n".join(cells(path, "code"))
    told = [
        f"{number!r} in {cell[:60]!r}..." for cell in cells(path, "markdown") for number in typed(cell, code)
    ]
    assert not told, "let glue put it there:\n" + "\n".join(told)


@pytest.mark.parametrize(
    ("prose", "code", "found"),
    [
        ("The lift is 14.2% here.", "", ["14.2%"]),
        ("It loses −11.3 % of the reward.", "", ["−11.3 %"]),
        ("An area of .5 would be luck; it is 0.614.", "", ["0.614"]),
        ("After 12,345 users it stops, 3 of 6 switches on.", "", ["12,345"]),
        ("The lift is {glue:text}`lift` and $p < 0.05$, `alpha=0.1`.", "", []),
        ("With a 95% interval at the 5% level.", "", []),
        ("In 2015 the five metrics were twenty; 64 environments.", "", []),
        ("Half of 5% of the keys: 0.3 of them, at 200 items.", "missing = 0.05\nshare = .3", []),
        ("One in 20.\n\n```\n0.123\n```", "", []),
        ("Their models gained 12.5% {cite}`bernardi2019successful`.", "", []),
        ("Theirs gained {cite}`bernardi2019successful`. Ours gained 12.5%.", "", ["12.5%"]),
        ("See [section 2.5](a.md#2.5) of <a href='x1.5'>it</a>.", "", ["2.5"]),
        ("The share of 4,000 simulated tests.", "title = 'share of 4,000 simulated tests'", []),
    ],
)
def test_what_counts_as_typed(prose, code, found):
    assert typed(prose, code) == found


@each_notebook
def test_every_glued_number_is_used_and_every_used_one_is_glued_on_the_page(path):
    glued = set()
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "code" and "glue(" in cell.source:
            text = "".join(output.get("text", "") for output in cell.outputs)
            glued |= set(re.findall(r"^(\w+) = ", text, re.M))
    used = set(re.findall(r"\{glue:?[a-z]*\}`([^`:]+)[^`]*`", "\n".join(cells(path, "markdown"))))
    assert used - glued == set(), "used and not glued"
    assert glued - used == set(), "glued and not used"


@each_notebook
def test_every_cited_work_is_in_the_bibliography(path):
    known = re.findall(r"^@\w+\{([^,]+),", (ROOT / "references.bib").read_text(encoding="utf-8"), re.M)
    assert len(known) == len(set(known))
    roles = re.findall(r"\{cite(?::[a-z]+)?\}`([^`]+)`", "\n".join(cells(path, "markdown")))
    cited = {key.strip() for keys in roles for key in keys.split(",")}
    assert cited <= set(known), cited - set(known)


@each_chapter
def test_a_chapter_has_a_prediction_demos_exercises_a_list_for_monday_and_its_sources(path):
    prose, code = "\n\n".join(cells(path, "markdown")), "\n".join(cells(path, "code"))
    assert prose.startswith("# ")
    assert len(re.findall(r"^# ", prose, re.M)) == 1, "one title"
    assert "**Predict:**" in prose
    assert re.search(
        r"^\*After this (chapter|section) you can .*\d+ minutes, exercises \d+\.\*$", prose, re.M
    )
    assert "<summary>Answer</summary>" in prose.split("## ")[0], "the prediction's answer, folded"
    for heading in ("In your logs", "The remedy and what it costs", "Exercises", "Monday morning", "Sources"):
        assert re.search(rf"^## {heading}", prose, re.M), heading
    assert code.count("@explore(") >= 2
    checks = code.count("check(")
    assert checks >= 2
    assert prose.count("<summary>Solution</summary>") == checks, "a folded solution an exercise"
    assert "{cite}" in prose
