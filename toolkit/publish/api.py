"""Which names are public, and which chapter teaches each?

Read from the sources alone: `__all__` where a module has it, else the functions and classes that it
defines. A name that several modules hand on has one entry, where it's defined.
"""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from toolkit.publish.anatomy import Chapter

PACKAGE = Path(__file__).parents[1]
# The pages, in their order: each part's name, and what it holds.
PARTS = {
    "world": ("The world", "FooBar International and its tables; and the opening story's diagnostics"),
    "general": ("General issues", "Infrastructure, distribution mismatch, feedback loops, tight couplings"),
    "features": ("Features", "Time travel, online vs offline, versioning, freshness"),
    "experiments": ("A/B testing", "Small traffic, hidden shared variables, multiple comparisons"),
    "tradeoffs": ("Long-term tradeoffs", "Noise resiliency against change responsiveness"),
    "shipping": ("Shipping practice", "Tracking, pipelines, upstream changes, backtesting, compatibility"),
    "foundations": (
        "Foundations",
        "What all chapters stand on: findings, tables, frames, charts, demos, exercises",
    ),
}
PAGE = "book/reference/api/"
# What only the building of the site, or the command line, calls.
_NOT_FOR_READERS = ("toolkit.publish", "toolkit.data", "toolkit.doctor", "toolkit.__main__")
# Packages whose own list of names is all that readers call.
_CLOSED = ("toolkit.explore", "toolkit.exercises")
# Foundations of the simulated company have their page, beside the story that it tells first.
_HOME = {"world": "world", "intro": "world"}


@dataclass(frozen=True)
class Name:
    """A public name: where it's defined, its kind (function, class or data), and who hands it on."""

    module: str
    name: str
    kind: str
    also_from: tuple[str, ...] = ()

    @property
    def full(self) -> str:
        """Module and name; the entry's id on its page."""
        return f"{self.module}.{self.name}"

    @property
    def page(self) -> str:
        """The document of its entry."""
        return PAGE + part_of(self.module)


def part_of(module: str) -> str:
    """The page of a module.

    Examples
    --------
    >>> part_of("toolkit.features.asof"), part_of("toolkit.intro"), part_of("toolkit.frames")
    ('features', 'world', 'foundations')
    """
    top = module.split(".")[1]
    return _HOME.get(top, top if top in PARTS else "foundations")


def source(module: str) -> Path:
    """A module's file.

    Examples
    --------
    >>> source("toolkit.world").name, source("toolkit.auc").name
    ('__init__.py', 'auc.py')
    """
    folder = PACKAGE.joinpath(*module.split(".")[1:])
    return folder / "__init__.py" if folder.is_dir() else folder.with_suffix(".py")


@cache
def tree(module: str) -> ast.Module:
    """A module's source, parsed."""
    return ast.parse(source(module).read_text(encoding="utf-8"))


@cache
def modules() -> tuple[str, ...]:
    """The modules whose names readers call."""
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = ["toolkit", *path.relative_to(PACKAGE).with_suffix("").parts]
        module = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        closed = any(module.startswith(f"{each}.") for each in _CLOSED)
        if module != "toolkit" and not closed and not module.startswith(_NOT_FOR_READERS):
            found.append(module)
    return tuple(found)


def listed(module: str) -> list[str]:
    """The public names of a module: `__all__`, or else the functions and classes that it defines."""
    for node in tree(module).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__":
            return list(ast.literal_eval(node.value))
    kinds = (ast.FunctionDef, ast.ClassDef)
    return [n.name for n in tree(module).body if isinstance(n, kinds) and not n.name.startswith("_")]


@cache
def defined(module: str, name: str) -> tuple[str, str]:
    """The module in which a name is defined, and its name there, however often it's handed on.

    Examples
    --------
    >>> defined("toolkit.general.couplings", "funnel_recall")
    ('toolkit.general.funnel', 'funnel_recall')
    """
    for node in tree(module).body:
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "toolkit":
            for each in node.names:
                if (each.asname or each.name) == name:
                    if (inner := f"{node.module}.{each.name}") in modules():
                        return inner, ""
                    return defined(str(node.module), each.name)
    return module, name


def statement(module: str, name: str) -> ast.stmt | None:
    """The statement that defines a name in a module, if it does.

    Examples
    --------
    >>> type(statement("toolkit.auc", "auc")).__name__
    'FunctionDef'
    """
    for node in tree(module).body:
        targets: Sequence[Any] = ()
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == name:
            return node
        if isinstance(node, ast.Assign):
            targets = node.targets
        elif isinstance(node, ast.AnnAssign):
            targets = [node.target]
        named = [inner for each in targets for inner in getattr(each, "elts", [each])]
        if name in {getattr(each, "id", "") for each in named}:
            return node
    return None


@cache
def names() -> tuple[Name, ...]:
    """Every public name once, by module and in the order of the module's own list.

    Examples
    --------
    >>> [each.full for each in names() if each.name == "asof_join"]
    ['toolkit.features.asof.asof_join']
    """
    handed_on: dict[tuple[str, str], list[str]] = defaultdict(list)
    for module in modules():
        for name in listed(module):
            place = defined(module, name)
            handed_on[place] += [module] if place[0] != module else []
    found = []
    for (module, name), also in sorted(handed_on.items(), key=lambda each: each[0][0]):
        node = statement(module, name)
        kind = {ast.FunctionDef: "function", ast.ClassDef: "class"}.get(type(node), "data")
        found.append(Name(module, name, kind, tuple(also)))
    return tuple(found)


@dataclass(frozen=True)
class Lesson:
    """Where a name is taught: the chapter's document and title, the heading, and how sure that is."""

    docname: str
    chapter: str
    section: str
    taught: bool


def lessons(chapters: Iterable[Chapter]) -> dict[str, Lesson]:
    """For each public name that a chapter imports, or stands on, the chapter and heading to read.

    The chapter of the module's own name comes first, then the first of the same part that imports
    the name, then the first of all; a name that no page imports belongs to the first chapter that
    needs its module.
    """
    return _lessons(tuple(chapters))


@cache
def _lessons(chapters: tuple[Chapter, ...]) -> dict[str, Lesson]:
    uses = {each: _used(each) for each in chapters}
    needs = {each: _needed(each) for each in chapters}
    found = {}
    for name in names():
        part, stem = part_of(name.module), name.module.rsplit(".", 1)[-1]

        def order(chapter: Chapter, part: str = part, stem: str = stem) -> tuple[bool, bool]:
            return chapter.stem != stem, chapter.part != part

        importing = sorted((each for each in chapters if (name.module, name.name) in uses[each]), key=order)
        needing = sorted((each for each in chapters if name.module in needs[each]), key=order)
        if importing:
            chapter = importing[0]
            found[name.full] = Lesson(chapter.docname, chapter.title, _section(chapter, name.name), True)
        elif needing:
            chapter = needing[0]
            found[name.full] = Lesson(chapter.docname, chapter.title, chapter.title, False)
    return found


def is_foundation(module: str) -> bool:
    """Whether all chapters stand on a module, rather than one of them teaching it."""
    return part_of(module) in ("world", "foundations") and module != "toolkit.intro"


def _section(chapter: Chapter, name: str) -> str:
    """The heading under which a chapter first uses a name; where it does so only at its ends, one of those."""
    used = chapter.mentions(re.compile(rf"`{name}(?:\(.*?\))?`"), re.compile(rf"\b{name}\s*[(\[.]"))
    ends = (chapter.title, "Exercises", "Monday morning", "Sources")
    return next((title for title in used if title not in ends), (*used, chapter.title)[0])


def _used(chapter: Chapter) -> set[tuple[str, str]]:
    """The names that a chapter imports, and those that it reaches through a module that it imports."""
    found = {defined(*place) for place in chapter.imports.values()}
    for alias, place in chapter.imports.items():
        if (module := ".".join(place)) in modules():
            for section in chapter.sections:
                for code in section.code:
                    found |= {defined(module, name) for name in re.findall(rf"\b{alias}\.(\w+)", code)}
    return found


def _needed(chapter: Chapter) -> set[str]:
    """The modules that a chapter's page and its own module import, directly or by way of others."""
    found: set[str] = set()
    waiting = [".".join(["toolkit", *chapter.docname.split("/")[1:]])]
    for module, name in chapter.imports.values():
        waiting += [module, f"{module}.{name}"]
    while waiting:
        each = waiting.pop()
        if each not in found and source(each).exists():
            found.add(each)
            waiting += _imported(each)
    return found


@cache
def _imported(module: str) -> tuple[str, ...]:
    found = []
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "toolkit":
            inner = [f"{node.module}.{name.name}" for name in node.names]
            found += [name if source(name).exists() else str(node.module) for name in inner]
    return tuple(found)
