"""Of what does a chapter consist: sections, minutes, prediction, demos, exercises, names that it imports?

Read from the committed notebook alone, so that the reference, the glossary and the teachers' pages take
up every chapter of the table of contents by themselves.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import nbformat

from toolkit.publish.notebooks import chapters

_TIME = re.compile(r"^\*(After this (?:chapter|section) .*?) (\d+) minutes, exercises (\d+)\.\*$", re.M)
_FENCE = re.compile(r"^(`{3,}|:{3,}).*?^\1\s*$", re.M | re.S)
_HEADING = re.compile(r"^(#+) (.+)$", re.M)
_FOLDED = re.compile(r"<details>\s*<summary>([^<]*)</summary>(.*?)</details>", re.S)
_CHECK = re.compile(r"\bcheck\(\s*[\"']([^\"']+)[\"']")
_GLUE = re.compile(r"\{glue:?[a-z]*\}`([^`:]+)[^`]*`")
# What a demo and a shown table add to the time of reading, in words.
_WORDS_OF_A_DEMO, _WORDS_OF_A_CELL = 120, 30


@dataclass(eq=False)
class Section:
    """A heading of a chapter, and what stands under it before the next."""

    title: str
    level: int
    prose: list[str] = field(default_factory=list)
    code: list[str] = field(default_factory=list)

    def weight(self) -> float:
        """How long it takes to read, in words; a demo and a table count as some."""
        words = sum(len(_FOLDED.sub(" ", text).split()) for text in self.prose)
        demos = sum(code.count("@explore(") for code in self.code)
        return words + _WORDS_OF_A_DEMO * demos + _WORDS_OF_A_CELL * len(self.code)


@dataclass(eq=False)
class Chapter:
    """A chapter as its notebook tells it; the first section is what stands under its title."""

    docname: str
    objective: str
    minutes: int
    exercise_minutes: int
    sections: list[Section]
    glued: dict[str, str]

    @property
    def part(self) -> str:
        """The part of the book: general, features, ...; "intro" for the opening story."""
        return self.docname.split("/")[-2] if self.docname.count("/") > 1 else self.stem

    @property
    def stem(self) -> str:
        """Its file's name."""
        return self.docname.rsplit("/", 1)[-1]

    @property
    def title(self) -> str:
        """Its first heading."""
        return self.sections[0].title

    @property
    def exercises(self) -> list[str]:
        """The names of its exercises, as `check` takes them."""
        return [name for part in self.sections for code in part.code for name in _CHECK.findall(code)]

    @property
    def solutions(self) -> list[str]:
        """The folded solutions, in the order of the exercises."""
        texts = [text for part in self.sections for text in part.prose]
        return [
            inner.strip() for text in texts for name, inner in _FOLDED.findall(text) if name == "Solution"
        ]

    @property
    def demo_questions(self) -> list[str]:
        """The first lines of its demos' docstrings."""
        found = []
        for code in (code for part in self.sections for code in part.code if "@explore(" in code):
            for node in ast.parse(code).body:
                if isinstance(node, ast.FunctionDef) and node.decorator_list and ast.get_docstring(node):
                    found.append(str(ast.get_docstring(node)).splitlines()[0])
        return found

    @property
    def prediction(self) -> tuple[str, str]:
        """The incident with the question to vote on, and the folded answer."""
        text = "\n\n".join(self.sections[0].prose)
        answers = [inner.strip() for name, inner in _FOLDED.findall(text) if name == "Answer"]
        told = _TIME.split(text)[-1]
        asked = re.search(r"\A.*?^\*\*Predict:\*\*.*?(?=<details>|\Z)", told, re.M | re.S)
        return (asked.group(0).strip() if asked else ""), (answers[0] if answers else "")

    def section(self, title: str) -> Section:
        """The section of a heading.

        Raises
        ------
        ValueError
            If the chapter has none of that heading.
        """
        for each in self.sections:
            if each.title == title:
                return each
        known = "; ".join(each.title for each in self.sections)
        raise ValueError(f"title: got {title!r}; {self.docname} has {known}")

    def section_minutes(self) -> dict[str, int]:
        """Minutes of each section: the chapter's own minutes, in proportion to what there is to read.

        Exercises have their own minutes, and sources need none.
        """
        read = [part for part in self.sections if part.title not in ("Exercises", "Sources")]
        minutes = divided(self.minutes, [part.weight() for part in read])
        return {part.title: share for part, share in zip(read, minutes, strict=True)}

    def minutes_of_exercises(self) -> dict[str, int]:
        """Minutes of each exercise, in proportion to its solution's length."""
        lengths = [40 + len(text.split()) for text in self.solutions]
        return dict(zip(self.exercises, divided(self.exercise_minutes, lengths), strict=True))

    @cached_property
    def imports(self) -> dict[str, tuple[str, str]]:
        """What its code imports from the toolkit: the name used on the page, to module and name."""
        found = {}
        for node in ast.walk(ast.parse("\n".join(code for part in self.sections for code in part.code))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "toolkit":
                for each in node.names:
                    found[each.asname or each.name] = (str(node.module), each.name)
        return found

    def mentions(self, quoted: re.Pattern[str], called: re.Pattern[str]) -> list[str]:
        """The headings under which the prose has one pattern, or the code another."""
        return [
            part.title
            for part in self.sections
            if any(map(quoted.search, part.prose)) or any(map(called.search, part.code))
        ]

    def filled(self, markdown: str) -> str:
        """Markdown of this chapter with the numbers that the page glues, as last committed."""
        return _GLUE.sub(lambda match: self.glued.get(match.group(1), match.group(0)), markdown)


def divided(total: int, weights: Sequence[float]) -> list[int]:
    """Whole numbers in proportion to weights, which sum to a total.

    Examples
    --------
    >>> divided(10, [1, 1, 1])
    [4, 3, 3]
    >>> divided(0, [])
    []
    """
    if not weights:
        return []
    exact = [total * weight / sum(weights) for weight in weights]
    parts = [int(value) for value in exact]
    left = sorted(range(len(exact)), key=lambda place: (parts[place] - exact[place], place))
    for place in left[: total - sum(parts)]:
        parts[place] += 1
    return parts


def read_chapter(path: Path, docname: str) -> Chapter:
    """A chapter from its notebook."""
    notebook = nbformat.read(path, as_version=4)
    sections: list[Section] = [Section("", 0)]
    glued: dict[str, str] = {}
    for cell in notebook.cells:
        if cell.cell_type == "code":
            sections[-1].code.append(cell.source)
            if "glue(" in cell.source:
                glued |= _glued(cell.outputs)
            continue
        _split(cell.source, sections)
    sections = [part for part in sections if part.title]
    opening = "\n\n".join(sections[0].prose) if sections else ""
    told = _TIME.search(opening)
    objective, minutes, exercises = told.groups() if told else ("", "0", "0")
    return Chapter(docname, objective.rstrip(), int(minutes), int(exercises), sections, glued)


def _split(markdown: str, sections: list[Section]) -> None:
    """Add a cell's prose to the sections, a new one at each heading outside a fence."""
    # A fence's lines are blanked, so that a comment in its code is no heading.
    plain = _FENCE.sub(lambda match: re.sub(r"[^\n]", " ", match.group(0)), markdown)
    start = 0
    for match in _HEADING.finditer(plain):
        if markdown[start : match.start()].strip():
            sections[-1].prose.append(markdown[start : match.start()].strip())
        sections.append(Section(match.group(2).strip(), len(match.group(1))))
        start = match.end()
    if markdown[start:].strip():
        sections[-1].prose.append(markdown[start:].strip())


def _glued(outputs: Sequence[Any]) -> dict[str, str]:
    text = "".join(output.get("text", "") for output in outputs)
    return dict(re.findall(r"^(\w+) = (.*)$", text, re.M))


@cache
def _read(path: Path, docname: str, _: int) -> Chapter:
    return read_chapter(path, docname)


@cache
def _paths(root: Path, _: int) -> list[Path]:
    return chapters(root)


def book(root: Path) -> list[Chapter]:
    """The chapters under a folder, in the order of its table of contents."""
    found = []
    for path in _paths(root, (root / "_toc.yml").stat().st_mtime_ns):
        docname = path.relative_to(root).with_suffix("").as_posix()
        found.append(_read(path, docname, path.stat().st_mtime_ns))
    return found
