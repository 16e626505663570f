"""How do the glossary's terms become a page, and where in the chapters are they used?

`book/reference/glossary.md` holds the terms: a line of names, a definition, and, where the first
chapter that uses a term isn't the one that teaches it, that chapter. A term that no chapter uses yet
isn't shown.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from toolkit.publish.anatomy import Chapter, book
from toolkit.publish.generated import Generated

PAGE = "book/reference/glossary"
_NOT_PROSE = re.compile(
    r"^(`{3,}|:{3,}).*?^\1\s*$|\{[a-z:]+\}`[^`]*`|`[^`]*`|\$\$.*?\$\$|\$[^$\n]*\$|\[[^\]]*\]\([^)]*\)|<summary>.*?</summary>|<[^>\n]+>",
    re.M | re.S,
)


@dataclass(frozen=True)
class Term:
    """A term with its other forms, its definition, and the chapter that teaches it, where one is named."""

    name: str
    forms: tuple[str, ...]
    definition: str
    chapter: str = ""

    @property
    def anchor(self) -> str:
        """Its entry's id on the page, as Sphinx makes it: capitals stay.

        Examples
        --------
        >>> Term("A/B test", ("A/B test",), "").anchor
        'term-A-B-test'
        """
        return re.sub(r"[^a-zA-Z0-9._]+", "-", f"term-{self.name}").strip("-")

    @property
    def plain(self) -> str:
        """The definition without marks, for a tooltip."""
        return re.sub(r"[`*$]", "", self.definition)


def terms(text: str) -> list[Term]:
    """The terms of a page's `terms` block: `name; other form`, `: definition`, `: chapter`.

    Raises
    ------
    ValueError
        If a term has no definition, or a form belongs to two.

    Examples
    --------
    >>> terms("holdback; holdbacks\\n: Users kept from all launches.\\n: experiments/multiple_comparisons")[0].chapter
    'experiments/multiple_comparisons'
    """
    found: list[Term] = []
    for block in re.split(r"\n\s*\n", text.strip()):
        first, *rest = [line.strip() for line in block.splitlines() if line.strip()]
        told = [line.removeprefix(":").strip() for line in rest]
        forms = tuple(form.strip() for form in first.split(";"))
        if not told or not all(line.startswith(":") for line in rest):
            raise ValueError(
                f"terms: got {block!r}; a term's line must be followed by ': ' and its definition"
            )
        found.append(Term(forms[0], forms, told[0], told[1] if len(told) > 1 else ""))
    forms_seen = [form.lower() for term in found for form in term.forms]
    twice = {form for form in forms_seen if forms_seen.count(form) > 1}
    if twice:
        raise ValueError(f"terms: got {', '.join(sorted(twice))} twice; a form must belong to one term")
    return found


def pattern(of_terms: Sequence[Term]) -> re.Pattern[str]:
    """What matches any form of any term, the longest first; capitals and hyphens don't matter.

    Examples
    --------
    >>> pattern([Term("as-of join", ("as-of join",), "")]).search("An as-of  join.").group(0)
    'as-of  join'
    """
    forms = sorted((form for term in of_terms for form in term.forms), key=len, reverse=True)
    words = [r"[\s-]+".join(map(re.escape, re.split(r"[\s-]+", form))) for form in forms]
    return re.compile(rf"(?<![\w-])(?:{'|'.join(words)})(?![\w-])", re.I)


def of(text: str, of_terms: Sequence[Term]) -> Term:
    """The term of which a text is a form."""
    said = re.sub(r"[\s-]+", " ", text.lower())
    return next(
        each for each in of_terms if said in {re.sub(r"[\s-]+", " ", form.lower()) for form in each.forms}
    )


@cache
def prose_of(markdown: str) -> str:
    """Markdown without code, roles, formulas, links and tags."""
    return _NOT_PROSE.sub(" ", markdown)


def uses(term: Term, chapter: Chapter) -> list[str]:
    """The headings under which a chapter's prose has a term; sources, which cite titles, aside."""
    wanted = pattern([term])
    return [
        section.title
        for section in chapter.sections
        if section.title != "Sources" and any(wanted.search(prose_of(text)) for text in section.prose)
    ]


def lesson(term: Term, chapters: Sequence[Chapter]) -> tuple[Chapter, str] | None:
    """The chapter that teaches a term, with the heading: the named one, or else the first that uses it."""
    named = [each for each in chapters if each.docname == f"book/{term.chapter}"]
    for chapter in named or chapters:
        found = uses(term, chapter)
        if found or named:
            ends = ("Exercises", "Monday morning")
            return chapter, next((title for title in found if title not in ends), chapter.title)
    return None


def shown(root: Path) -> list[Term]:
    """The terms that the glossary under a folder shows: those that some chapter uses."""
    path = (root / PAGE).with_suffix(".md")
    return _shown(path.read_text(encoding="utf-8"), tuple(book(root))) if path.exists() else []


@cache
def _shown(page: str, chapters: tuple[Chapter, ...]) -> list[Term]:
    return [each for each in terms(_block(page)) if lesson(each, chapters)]


def _block(page: str) -> str:
    match = re.search(r"^```\{terms\}\n(.*?)^```", page, re.M | re.S)
    return match.group(1) if match else ""


def all_terms(root: Path) -> list[Term]:
    """Every term of the glossary's source, those that no chapter uses yet too."""
    return terms(_block((root / PAGE).with_suffix(".md").read_text(encoding="utf-8")))


def markdown(root: Path) -> str:
    """The glossary, each entry with the chapter that teaches it."""
    chapters = book(root)
    told = []
    for term in shown(root):
        found = lesson(term, chapters)
        assert found is not None
        others = _other_names(term)
        also = f" Also: {', '.join(others)}." if others else ""
        chapter, heading = found
        told.append(
            f"{term.name}\n  {term.definition}{also} Chapter: {{chapter}}`{chapter.docname}#{heading}`."
        )
    return "````{glossary}\n:sorted:\n\n" + "\n\n".join(told) + "\n````"


def _other_names(term: Term) -> list[str]:
    """The forms that begin otherwise than the name and than each other: no plurals, no other spellings."""
    found = [term.name]
    for form in term.forms[1:]:
        if not any(form[:5].lower() == other[:5].lower() for other in found):
            found.append(form)
    return found[1:]


class Terms(Generated):
    """Put the glossary where it stands; its content holds the terms."""

    has_content = True

    def markdown(self) -> str:
        """The terms that some chapter uses."""
        self.chapters()
        return markdown(Path(self.env.srcdir))
