"""Which diagnostic answers what one sees at work? The page of symptoms, made from its list and the code.

`book/reference/diagnostics.md` holds the list: a heading of a group, a symptom, and the names to call.
What each asks for, what it answers and which chapter teaches it comes from the code.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from toolkit.nine_tables import SCHEMA
from toolkit.publish import api
from toolkit.publish.anatomy import Chapter
from toolkit.publish.generated import Generated

PAGE = "book/reference/diagnostics"
# What a parameter is called that takes one of the nine tables, where it isn't the table's own name.
_TABLES = {"history": "feature_history", "serving": "serving_log", "shadow_log": "serving_log"}


@dataclass(frozen=True)
class Symptom:
    """What one sees, the group that it belongs to, and the names to call."""

    group: str
    seen: str
    names: tuple[str, ...]


def symptoms(text: str) -> list[Symptom]:
    """The symptoms of a page's block: `# group`, what one sees, `: name; name`.

    Raises
    ------
    ValueError
        If a symptom has no name to call, or a line stands alone.

    Examples
    --------
    >>> symptoms("# Tests\\nAn A/A test is significant\\n: aa_size; compare")[0].names
    ('aa_size', 'compare')
    """
    found: list[Symptom] = []
    group = seen = ""
    for line in filter(None, (line.strip() for line in text.splitlines())):
        if line.startswith(":") and seen and group:
            names = tuple(name.strip() for name in line[1:].split(";"))
            found.append(Symptom(group, seen, names))
            seen = ""
        elif seen or line.startswith(":"):
            raise ValueError(
                f"diagnostics: got {line!r}; a group, a symptom, then ': ' and names must follow each other"
            )
        elif line.startswith("# "):
            group = line[2:]
        else:
            seen = line
    if seen:
        raise ValueError(f"diagnostics: got {seen!r}; ': ' and names must follow a symptom")
    return found


@cache
def diagnostics() -> tuple[api.Name, ...]:
    """The functions that return a `Finding` on a reader's table.

    Examples
    --------
    >>> {"parity", "srm"} <= {each.name for each in diagnostics()}
    True
    """
    found = []
    for each in api.names():
        node = api.statement(each.module, each.name)
        if isinstance(node, ast.FunctionDef) and node.returns and ast.unparse(node.returns) == "Finding":
            first = node.args.args[:1]
            if first and first[0].annotation and ast.unparse(first[0].annotation) != "str":
                found.append(each)
    return tuple(found)


def resolved(name: str) -> api.Name:
    """The public function of a name in the list: a diagnostic, or else the only one that is called so.

    Raises
    ------
    ValueError
        If there is none, or there are several.

    Examples
    --------
    >>> resolved("replay").full, resolved("attribution").full
    ('toolkit.shipping.replay.replay', 'toolkit.intro.attribution')
    """
    for known in (diagnostics(), api.names()):
        found = [each for each in known if each.name == name]
        if len(found) == 1:
            return found[0]
    raise ValueError(f"diagnostics: got {name!r}; it must be one public function")


def call(name: api.Name) -> str:
    """How a function is called, with all that it can't do without.

    Examples
    --------
    >>> call(resolved("asof_audit"))
    'asof_audit(training_table, feature_history, feature=...)'
    """
    node = api.statement(name.module, name.name)
    assert isinstance(node, ast.FunctionDef)
    given = node.args.args[: len(node.args.args) - len(node.args.defaults)]
    named = [
        f"{each.arg}=..."
        for each, default in zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)
        if default is None
    ]
    return f"{name.name}({', '.join([*(each.arg for each in given), *named])})"


def answers(name: api.Name) -> str:
    """The sentence that defines a function."""
    node = api.statement(name.module, name.name)
    assert isinstance(node, ast.FunctionDef)
    return (ast.get_docstring(node) or "").split("\n\n")[0].replace("\n", " ")


@cache
def readers() -> dict[str, tuple[api.Name, ...]]:
    """Which diagnostics take each of the nine tables, by the names of their parameters.

    Examples
    --------
    >>> "srm" in [each.name for each in readers()["assignments"]]
    True
    """
    found: dict[str, list[api.Name]] = defaultdict(list)
    for each in diagnostics():
        node = api.statement(each.module, each.name)
        assert isinstance(node, ast.FunctionDef)
        parameters = [parameter.arg for parameter in (*node.args.args, *node.args.kwonlyargs)]
        for parameter in parameters:
            table = _TABLES.get(parameter, parameter)
            if parameter == "log" and "outcomes" in parameters:
                table = "serving_log"
            if table in SCHEMA and each not in found[table]:
                found[table].append(each)
    return {table: tuple(sorted(names, key=lambda each: each.name)) for table, names in found.items()}


def listed(page: str) -> list[Symptom]:
    """The symptoms of the page's source."""
    return symptoms(page.split("```{diagnostics}\n", 1)[1].split("```", 1)[0])


def markdown(found: Sequence[Symptom], chapters: Sequence[Chapter]) -> str:
    """Each symptom with its calls, what they answer, and the chapters that teach them."""
    taught = api.lessons(chapters)
    told, group = [], ""
    for symptom in found:
        if symptom.group != group:
            group = symptom.group
            told.append(f"## {group}")
        lines = [symptom.seen]
        for name in map(resolved, symptom.names):
            lesson = taught[name.full]
            lines.append(
                f": {{entry}}`{name.full} {call(name)}`: {answers(name)} Chapter: {{chapter}}`{lesson.docname}#{lesson.section}`.\n"
            )
        told.append("\n".join(lines))
    return "\n\n".join(told)


class Diagnostics(Generated):
    """Put the symptoms where it stands; its content holds them."""

    has_content = True

    def markdown(self) -> str:
        """Symptoms, calls, chapters."""
        return markdown(symptoms("\n".join(self.content)), self.chapters())
