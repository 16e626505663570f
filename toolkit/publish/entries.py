"""How do the docstrings of public names (`toolkit.publish.api`) become the reference's pages?"""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.util.docutils import SphinxDirective

from toolkit.publish.anatomy import book
from toolkit.publish.api import (
    PARTS,
    Lesson,
    Name,
    is_foundation,
    lessons,
    modules,
    names,
    part_of,
    source,
    statement,
    tree,
)
from toolkit.publish.generated import Generated


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
    node = statement(name.module, name.name)
    lines = source(name.module).read_text(encoding="utf-8").splitlines()
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
    node = statement(name.module, name.name)
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
            self.env.note_dependency(str(source(module)))
            section = nodes.section(ids=[module], names=[module])
            section.document = self.state.document
            section += nodes.title(module, module)
            text = (ast.get_docstring(tree(module)) or "").split("\n\n")[0].splitlines()
            lines = [*text, ""]
            for name in inside:
                lines += entry(name, taught.get(name.full))
            self.state.nested_parse(StringList(lines, source=str(source(module))), 0, section)
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
