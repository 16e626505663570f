"""Which names are public, which chapter teaches each, and how do their docstrings become pages?

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
from importlib import import_module
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.util.docutils import SphinxDirective

from toolkit.publish.anatomy import Chapter, book
from toolkit.publish.generated import Generated

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


def _path(module: str) -> Path:
    folder = PACKAGE.joinpath(*module.split(".")[1:])
    return folder / "__init__.py" if folder.is_dir() else folder.with_suffix(".py")


@cache
def tree(module: str) -> ast.Module:
    """A module's source, parsed."""
    return ast.parse(_path(module).read_text(encoding="utf-8"))


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


def _node(module: str, name: str) -> ast.stmt | None:
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
        node = _node(module, name)
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
        if each not in found and _path(each).exists():
            found.add(each)
            waiting += _imported(each)
    return found


@cache
def _imported(module: str) -> tuple[str, ...]:
    found = []
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "toolkit":
            inner = [f"{node.module}.{name.name}" for name in node.names]
            found += [name if _path(name).exists() else str(node.module) for name in inner]
    return tuple(found)


def where(name: Name, lesson: Lesson | None) -> list[str]:
    """The lines under an entry's first sentence: the chapter that teaches it, or which foundation it is."""
    told, before = [], "Part of the chapter"
    if is_foundation(name.module):
        kind = name.module.removeprefix("toolkit.").split(".")[0]
        told.append(f"Foundation: ``{kind}``.")
        before = "First needed by the chapter"
    if lesson:
        before = "Chapter:" if lesson.taught else before
        told.append(f"{before} :chapter:`{lesson.docname}#{lesson.section}`.")
    elif not told:
        told.append("It stands for itself: no chapter calls it yet.")
    if name.also_from:
        told.append("Also from " + ", ".join(f"``{each}``" for each in name.also_from) + ".")
    return told


def entry(name: Name, lesson: Lesson | None) -> list[str]:
    """An entry in reStructuredText: Sphinx reads the docstring of a function or class, a constant's comment is here."""
    if name.kind != "data":
        # `add_places` puts the lines of `where` under the first sentence.
        return [f".. auto{name.kind}:: {name.full}", *_members(name), ""]
    node = _node(name.module, name.name)
    lines = _path(name.module).read_text(encoding="utf-8").splitlines()
    comment: list[str] = []
    first = node.lineno - 2 if node else -1
    while first >= 0 and lines[first].startswith("#"):
        comment.insert(0, lines[first].lstrip("# "))
        first -= 1
    here = getattr(import_module(name.module), name.name)
    value = short(here) or (_type_alias(node) if not isinstance(here, dict | tuple) else "")
    shown = [f"   :value: {value}"] if value else []
    keys = (
        [f"Keys: {', '.join(f'``{key}``' for key in here)}."] if isinstance(here, dict) and not value else []
    )
    told = " ".join([*comment, *keys, *where(name, lesson)])
    return [f".. py:data:: {name.name}", f"   :module: {name.module}", *shown, "", f"   {told}", ""]


def _type_alias(node: ast.stmt | None) -> str:
    value = node.value if isinstance(node, ast.Assign) else None
    return ast.unparse(value) if isinstance(value, ast.Subscript | ast.BinOp) else ""


def short(value: Any, *, most: int = 90) -> str:
    """A value as code, where it is one of Python's own and short enough to be read at a glance; else nothing.

    Examples
    --------
    >>> short(("IPS", "SNIPS")), short(float("inf")), short({"x": object()})
    ("('IPS', 'SNIPS')", 'inf', '')
    """
    if isinstance(value, dict):
        plain = all(short(each) for pair in value.items() for each in pair)
    elif isinstance(value, tuple | list | set | frozenset):
        plain = all(map(short, value))
    else:
        plain = isinstance(value, str | int | float | None | range | type) or str(value).isidentifier()
    made = value.__name__ if isinstance(value, type) else repr(value)
    return made if plain and len(made) <= most else ""


def _members(name: Name) -> list[str]:
    """The option that shows a class's own methods; those that a base class makes have docstrings of their own kind."""
    node = _node(name.module, name.name)
    methods = [each.name for each in getattr(node, "body", []) if isinstance(each, ast.FunctionDef)]
    shown = [each for each in methods if not each.startswith("_")]
    return [f"   :members: {', '.join(shown)}"] if name.kind == "class" and shown else []


def add_places(app: Any, what: str, full: str, _: Any, __: Any, lines: list[str]) -> None:
    """Put an entry's chapter under the first paragraph of its docstring (autodoc-process-docstring)."""
    lines[:] = without_substitutions(lines)
    if what in ("property", "attribute"):
        _AS_WRITTEN[full] = list(lines)
    known = {each.full: each for each in names()}
    if what not in ("function", "class") or full not in known:
        return
    told = " ".join(where(known[full], lessons(book(Path(app.srcdir))).get(full)))
    blank = next((place for place, line in enumerate(lines) if not line.strip()), len(lines))
    lines[blank:blank] = ["", told, ""]


# Napoleon takes what stands before a colon in a property's docstring for its type.
_AS_WRITTEN: dict[str, list[str]] = {}


def keep_as_written(app: Any, what: str, full: str, _: Any, __: Any, lines: list[str]) -> None:
    """Undo what napoleon did to a property's sentence (autodoc-process-docstring, after it)."""
    if what in ("property", "attribute"):
        lines[:] = _AS_WRITTEN.pop(full, lines)


def short_signature(
    app: Any, what: str, full: str, _: Any, __: Any, arguments: str | None, returns: str | None
) -> tuple[str | None, str | None]:
    """A signature without the type that says nothing, its defaults as values (autodoc-process-signature).

    A class that can't be made, as a protocol can't, shows none.
    """
    if not arguments or arguments == "(*args, **kwargs)":
        return "", None
    # What dataclasses make themselves escapes the short form of types.
    shown = re.sub(r"~(?:\w+\.)+(?=\w)", "", arguments).replace("<factory>", "...")
    shown = re.sub(r": Any\b(?! \|)(?=[,)]| =)", "", shown)
    known = vars(import_module(module_of(full)))

    def value(match: re.Match[str]) -> str:
        name = match.group(1)
        return f"= {(short(known[name]) if name in known else '') or name}"

    shown = re.sub(r"= ([A-Z_][A-Z_0-9]*)(?=[,)])", value, shown)
    return shown, None if returns == "Any" else returns


def module_of(full: str) -> str:
    """The module of a name, or of a class's method.

    Examples
    --------
    >>> module_of("toolkit.features.stores.Store.put")
    'toolkit.features.stores'
    """
    while full not in modules():
        full = full.rpartition(".")[0]
    return full


def without_substitutions(lines: Iterable[str]) -> list[str]:
    """Docstring lines whose bars stay bars, where reStructuredText would read |z| as a substitution.

    Examples
    --------
    >>> without_substitutions(["Whether |z| is large.", ">>> 1 | 2", "3"])
    ['Whether \\\\|z\\\\| is large.', '>>> 1 | 2', '3']
    """
    made, example = [], False
    for line in lines:
        example = line.lstrip().startswith(">>>") or (example and bool(line.strip()))
        pieces = re.split(r"(`[^`]*`)", line)
        prose = [piece if piece.startswith("`") else piece.replace("|", r"\|") for piece in pieces]
        made.append(line if example else "".join(prose))
    return made


class ApiPart(SphinxDirective):
    """Put the entries of one part where it stands (within `eval-rst`): `.. api:: features`."""

    required_arguments = 1

    def run(self) -> list[Any]:
        """A section for each module."""
        part = self.arguments[0]
        if part not in PARTS:
            raise self.error(f"part: got {part!r}; it must be one of {', '.join(PARTS)}")
        chapters = book(Path(self.env.srcdir))
        for chapter in chapters:
            self.env.note_dependency(f"{self.env.srcdir}/{chapter.docname}.ipynb")
        taught = lessons(chapters)
        by_module: dict[str, list[Name]] = defaultdict(list)
        for name in names():
            if part_of(name.module) == part:
                by_module[name.module].append(name)
        made: list[Any] = []
        for module, inside in by_module.items():
            self.env.note_dependency(str(_path(module)))
            section = nodes.section(ids=[module], names=[module])
            section.document = self.state.document
            section += nodes.title(module, module)
            text = (ast.get_docstring(tree(module)) or "").split("\n\n")[0].splitlines()
            lines = [*text, ""]
            for name in inside:
                lines += entry(name, taught.get(name.full))
            self.state.nested_parse(StringList(lines, source=str(_path(module))), 0, section)
            made.append(section)
        return made or [nodes.paragraph("", "No module of this part is public yet.")]


def markdown() -> str:
    """The overview: each part with its modules, and what each of them answers.

    Examples
    --------
    >>> "- `toolkit.features.asof`: " in markdown()
    True
    """
    parts: dict[str, dict[str, int]] = {part: defaultdict(int) for part in PARTS}
    for name in names():
        parts[part_of(name.module)][name.module] += 1
    told = []
    for part, (title, meaning) in PARTS.items():
        told.append(f"## {title}\n\n{meaning}: [all entries](api/{part}.md).")
        rows = []
        for module in parts[part]:
            first = (ast.get_docstring(tree(module)) or "").split("\n\n")[0].replace("\n", " ")
            rows.append(f"- `{module}`: {first}")
        told.append("\n".join(rows))
    return "\n\n".join(told)


class ApiIndex(Generated):
    """Put the list of all modules where it stands."""

    def markdown(self) -> str:
        """The modules of each part."""
        return markdown()
