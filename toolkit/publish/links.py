"""Which words of a page become links when it's written: public names, tables, the glossary's terms?

Chapters name a function as code and a term as a word; nobody writes a link. Each page is given its
links once all pages are read: code that is a public name leads to its entry, a term's first use in
a chapter's prose to the glossary, and `:chapter:` to a heading of a chapter.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from functools import cache
from pathlib import Path
from typing import Any

from docutils import nodes

from toolkit.nine_tables import SCHEMA
from toolkit.publish import api, glossary
from toolkit.publish.anatomy import Chapter, book

DICTIONARY = "book/reference/data_dictionary"
BIBLIOGRAPHY = "book/reference/bibliography"
_CALL = re.compile(r"([A-Za-z_][\w.]*)(?:\(.*\))?", re.S)
# Within these, words and code stay as they are.
_NO_LINKS = (nodes.title, nodes.reference, nodes.math, nodes.math_block, nodes.literal_block, nodes.raw)
_STRAIGHT = str.maketrans("’‘“”", "''\"\"", "`*")


def chapter_role(
    name: str, source: str, text: str, line: int, inliner: Any, options: Any = None, content: Any = None
) -> tuple[list[nodes.Node], list[nodes.Node]]:
    """`:chapter:` with document#heading: a link to that heading, made when all chapters are read."""
    return [nodes.inline(source, text, classes=["to-chapter"], target=text)], []


def entry_role(
    name: str, source: str, text: str, line: int, inliner: Any, options: Any = None, content: Any = None
) -> tuple[list[nodes.Node], list[nodes.Node]]:
    """`:entry:` with a public name in full and the code to show: a link to the name's entry, made later."""
    full, _, shown = text.partition(" ")
    return [nodes.inline("", "", nodes.literal(shown, shown), classes=["to-entry"], target=full)], []


def add_links(app: Any, doctree: nodes.document, page: str) -> None:
    """Give a page its links (doctree-resolved)."""
    if app.builder.format != "html" or not page.startswith("book/"):
        return
    if page.startswith(api.PAGE):
        _straighten(doctree)
    _to_chapters(app, doctree, page)
    _to_entries(app, doctree, page)
    if page == BIBLIOGRAPHY:
        _cited_by(app, doctree, page)
    chapters = book(Path(app.srcdir))
    chapter = next((each for each in chapters if each.docname == page), None)
    if chapter:
        _name_at_the_end(app, doctree, chapter, chapters)
    _to_names(app, doctree, page, chapter)
    if chapter and glossary.PAGE in app.env.all_docs:
        _to_terms(app, doctree, page)


def _straighten(doctree: nodes.document) -> None:
    """Give the texts that a parameter takes the quotes that Python reads."""
    for node in list(doctree.findall(nodes.Text)):
        if any(mark in node for mark in "“”"):
            node.parent.replace(node, nodes.Text(re.sub("[“”]", '"', node)))


def _link(app: Any, page: str, document: str, anchor: str, **attributes: Any) -> nodes.reference:
    uri = app.builder.get_relative_uri(page, document) + (f"#{anchor}" if anchor else "")
    return nodes.reference("", "", internal=True, refuri=uri, **attributes)


def _to_chapters(app: Any, doctree: nodes.document, page: str) -> None:
    for node in list(doctree.findall(nodes.inline)):
        if "to-chapter" not in node["classes"]:
            continue
        docname, _, heading = node["target"].partition("#")
        if docname not in app.env.tocs:
            raise ValueError(f"chapter: got {docname!r} in {page}; it must be a page of the book")
        headings = list(app.env.tocs[docname].findall(nodes.reference))
        title, wanted = headings[0].astext(), heading.translate(_STRAIGHT)
        found = [each for each in headings if each.astext().translate(_STRAIGHT) == wanted]
        if heading and not found:
            raise ValueError(f"chapter: got {heading!r} in {page}; it must be a heading of {docname}")
        place = (found or headings)[0]
        link = _link(app, page, docname, place["anchorname"].lstrip("#"))
        link += nodes.Text(title if place is headings[0] else f"{title} › {place.astext()}")
        node.replace_self(link)


def _to_entries(app: Any, doctree: nodes.document, page: str) -> None:
    known = {each.full: each for each in api.names()}
    for node in list(doctree.findall(nodes.inline)):
        if "to-entry" not in node["classes"]:
            continue
        if node["target"] not in known:
            raise ValueError(f"entry: got {node['target']!r} in {page}; it must be a public name")
        link = _link(app, page, known[node["target"]].page, node["target"])
        link += node.children
        node.replace_self(link)


def _cited_by(app: Any, doctree: nodes.document, page: str) -> None:
    """Say under each work of the bibliography which pages cite it, in the book's order."""
    cited = app.env.get_domain("cite")
    key_of = {each.citation_id: each.key for each in cited.citations}
    order = [each.docname for each in book(Path(app.srcdir))]
    for work in doctree.findall(nodes.citation):
        key = next((key_of[each] for each in work["ids"] if each in key_of), "")
        citing = {ref.docname for ref in cited.citation_refs if key in {each.key for each in ref.targets}}
        if not citing:
            raise ValueError(f"bibliography: got {key!r}; it must be cited by a page")
        line = nodes.paragraph("", "", nodes.Text("Cited in: "), classes=["cited-in"])
        for place, docname in enumerate(
            sorted(citing, key=lambda name: (name not in order, order.index(name) if name in order else 0))
        ):
            link = _link(app, page, docname, "")
            link += nodes.Text(app.env.titles[docname].astext())
            line += [nodes.Text("; "), link] if place else [link]
        work += line


def named(text: str, chapter: Chapter | None = None) -> api.Name | None:
    """The public name that a stretch of code is: one that the chapter imports, or that only one module has.

    A plain lower-case word counts only where it's imported or called.

    Examples
    --------
    >>> named("asof_join(history, rows)").full
    'toolkit.features.asof.asof_join'
    >>> named("compute") is None  # several modules have one
    True
    """
    match = _CALL.fullmatch(text.strip())
    if not match:
        return None
    said = match.group(1)
    by_place, by_name = _known()
    if chapter and said in chapter.imports:
        return by_place.get(api.defined(*chapter.imports[said]))
    module, _, last = said.rpartition(".")
    if module:
        return by_place.get(api.defined(module, last)) if module in api.modules() else None
    found = by_name.get(said, [])
    # A plain word (`promised`, `buckets`) is a column or a setting more often than a function.
    plain = said.isalpha() and said.islower() and "(" not in text
    return found[0] if len(found) == 1 and not plain else None


@cache
def _known() -> tuple[dict[tuple[str, str], api.Name], dict[str, list[api.Name]]]:
    by_name = defaultdict(list)
    for each in api.names():
        by_name[each.name].append(each)
    return {(each.module, each.name): each for each in api.names()}, by_name


@cache
def _with_entries() -> frozenset[str]:
    """The modules that have a section: those that only hand names on have none."""
    return frozenset(each.module for each in api.names())


def _within(node: nodes.Node, kinds: tuple[type, ...]) -> bool:
    while node.parent is not None:
        node = node.parent
        if isinstance(node, kinds):
            return True
    return False


def _to_names(app: Any, doctree: nodes.document, page: str, chapter: Chapter | None) -> None:
    for node in list(doctree.findall(nodes.literal)):
        if _within(node, _NO_LINKS):
            continue
        text = node.astext()
        name = named(text, chapter)
        if name and name.page in app.env.all_docs:
            link = _link(app, page, name.page, name.full)
        elif text in _with_entries() and api.PAGE + api.part_of(text) in app.env.all_docs:
            link = _link(app, page, api.PAGE + api.part_of(text), text)
        elif text in SCHEMA and DICTIONARY in app.env.all_docs and page != DICTIONARY:
            link = _link(app, page, DICTIONARY, f"table-{text.replace('_', '-')}")
        else:
            continue
        node.replace_self(link)
        link += node


def _name_at_the_end(app: Any, doctree: nodes.document, chapter: Chapter, chapters: list[Chapter]) -> None:
    """Say at a chapter's end which public names it teaches, and, folded, which else lead to it."""
    lessons = api.lessons(chapters)
    mine = [
        each
        for each in sorted(api.names(), key=lambda each: each.name.lower())
        if each.full in lessons
        and lessons[each.full].docname == chapter.docname
        and each.page in app.env.all_docs
    ]
    sections = list(doctree.findall(nodes.section))
    if not mine or not sections:
        return
    taught = [
        each
        for each in mine
        if lessons[each.full].taught and each.kind != "data" and not api.is_foundation(each.module)
    ]
    behind: dict[str, list[api.Name]] = defaultdict(list)
    for each in mine:
        if each not in taught:
            behind[each.module].append(each)
    if taught:
        sections[-1] += _listing(app, chapter.docname, "Reference: ", taught, "names-taught")
    if behind:
        folded = nodes.bullet_list()
        for module, names in sorted(behind.items()):
            line = _listing(app, chapter.docname, f"{module}: ", names, "names-behind")
            folded += nodes.list_item("", line)
        summary = "<details><summary>What else of the reference leads here</summary>"
        sections[-1] += [
            nodes.raw("", summary, format="html"),
            folded,
            nodes.raw("", "</details>", format="html"),
        ]


def _listing(app: Any, page: str, before: str, names: list[api.Name], kind: str) -> nodes.paragraph:
    line = nodes.paragraph("", "", nodes.Text(before), classes=[kind])
    often = Counter(each.name for each in names)
    for place, each in enumerate(names):
        link = _link(app, page, each.page, each.full)
        # Of a name that stands in two modules, which one.
        name = each.name if often[each.name] == 1 else ".".join(each.full.split(".")[-2:])
        link += nodes.literal(name, name)
        line += [nodes.Text(", "), link] if place else [link]
    line += nodes.Text(".")
    return line


def _to_terms(app: Any, doctree: nodes.document, page: str) -> None:
    """Link each term's first use in the prose; within one stretch of words, the earliest first."""
    terms = glossary.shown(Path(app.srcdir))
    waiting = {each.name: each for each in terms}
    pattern = glossary.pattern(terms)
    for node in list(doctree.findall(nodes.Text)):
        paragraph = isinstance(node.parent, nodes.paragraph | nodes.emphasis | nodes.strong)
        if not waiting or not paragraph or _within(node, (*_NO_LINKS, nodes.literal)) or _cites(node):
            continue
        made: list[nodes.Node] = []
        text, start = str(node), 0
        for match in pattern.finditer(text):
            term = glossary.of(match.group(0), terms)
            if waiting.pop(term.name, None) is None:
                continue
            link = _link(app, page, glossary.PAGE, term.anchor, classes=["term"], reftitle=term.plain)
            link += nodes.Text(match.group(0))
            made += [nodes.Text(text[start : match.start()]), link]
            start = match.end()
        if made:
            node.parent.replace(node, [*made, nodes.Text(text[start:])])


def _cites(node: nodes.Node) -> bool:
    """Whether words stand among a chapter's sources, which are titles and names."""
    while node.parent is not None:
        node = node.parent
        if isinstance(node, nodes.section):
            return bool(node[0].astext() == "Sources")
    return False
