"""What does a teacher need of each chapter: minutes, questions to vote on, mistakes, answers, a route?

Everything but the routes is read from the chapters and their exercises; a route names what of which
chapter it takes, and its minutes are summed here.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from toolkit import exercises
from toolkit.publish.anatomy import Chapter
from toolkit.publish.generated import Generated

# How long the routes are, in minutes; two days are of six hours each.
ROUTES = {"60 minutes": 60, "90 minutes": 90, "180 minutes": 180, "two days": 720}
# A route leaves at most this share of its time to what nobody foresees.
SPARE = 0.1
_LINK = re.compile(r"\[([^\]]*)\]\((?!https?:|#)([^)#]+)(#[^)]*)?\)")


def moved(markdown: str, docname: str, page: str) -> str:
    """Markdown of one page whose links work from another.

    Examples
    --------
    >>> moved("[a](b.ipynb)", "book/general/c", "book/teaching/guide/general")
    '[a](../../general/b.ipynb)'
    """

    def link(match: re.Match[str]) -> str:
        words, target, anchor = match.groups()
        there = posixpath.normpath(posixpath.join(posixpath.dirname(docname), target))
        return f"[{words}]({posixpath.relpath(there, posixpath.dirname(page))}{anchor or ''})"

    return _LINK.sub(link, markdown)


def folded(summary: str, markdown: str) -> str:
    """Markdown behind a line that opens it."""
    return f"<details><summary>{summary}</summary>\n\n{markdown}\n\n</details>"


def guide(chapter: Chapter, page: str) -> str:
    """A chapter's part of the guide, for the page on which it stands."""
    question, answer = chapter.prediction
    here = [
        f"## {chapter.title}",
        f"Chapter: {{chapter}}`{chapter.docname}`. {chapter.minutes} minutes, exercises {chapter.exercise_minutes}.",
        f"**Objective.** {chapter.objective}",
        "**Open with a vote.**",
        "\n".join(f"> {line}".rstrip() for line in question.splitlines()),
        folded("Answer", answer),
    ]
    told = "\n\n".join(moved(chapter.filled(text), chapter.docname, page) for text in here if text)
    parts = [told, minutes_table(chapter)]
    if chapter.demo_questions:
        asked = "\n".join(f"- {question}" for question in chapter.demo_questions)
        parts.append(f"**Ask before you move a control.**\n\n{asked}")
    if chapter.exercises:
        parts.append(
            "**Exercises, and what people get wrong.** Each mistake is one that the page recognises; this is its hint."
        )
        parts += [
            moved(chapter.filled(text), chapter.docname, page) for text in exercise_notes(chapter).values()
        ]
    talk = discussion(chapter)
    if talk:
        listed = "\n".join(f"- {moved(chapter.filled(text), chapter.docname, page)}" for text in talk)
        parts.append(f"**Discuss.**\n\n{listed}")
    return "\n\n".join(parts)


def minutes_table(chapter: Chapter) -> str:
    """Minutes of each section and exercise."""
    rows = [f"{title} | {minutes}" for title, minutes in chapter.section_minutes().items() if minutes]
    rows += [f"Exercise {name} | {minutes}" for name, minutes in _short(chapter).items()]
    return "\n".join(["what | minutes", "--- | ---:", *rows])


def _short(chapter: Chapter) -> dict[str, int]:
    return {f"`{name}`": minutes for name, minutes in chapter.minutes_of_exercises().items()}


def exercise_notes(chapter: Chapter) -> dict[str, str]:
    """Each exercise with its question, its typical mistakes, and the folded answer."""
    notes = {}
    for name, solution in zip(chapter.exercises, chapter.solutions, strict=True):
        exercise = exercises._find(name)
        mistakes = "\n".join(
            f"- {hint.text}" if callable(hint.value) else f"- Who says {hint.value:.4g}: {hint.text}"
            for hint in exercise.hints
        )
        answer = folded("Answer", f"{solution}\n\n{exercise.explanation}")
        notes[name] = "\n\n".join(
            part for part in (f"`{name}`: {exercise.question}", mistakes, answer) if part
        )
    return notes


def discussion(chapter: Chapter) -> list[str]:
    """Prompts: what its diagnostics can't tell, what the remedy costs, and the list for Monday."""
    found = []
    for section in chapter.sections:
        for text in section.prose:
            for paragraph in re.split(r"\n\s*\n", text):
                if re.match(r"(?:It|They|None of them|Neither) (?:can't|cannot) tell", paragraph):
                    found.append(
                        f"{paragraph} *Which of these could it be at your company, and who would know?*"
                    )
    remedy = next((each for each in chapter.sections if each.title.startswith("The remedy")), None)
    if remedy:
        found.append("*The remedy has a price. Who pays it at your company, and who has the gain?*")
    monday = next((each for each in chapter.sections if each.title == "Monday morning"), None)
    first = re.search(r"^- (.*)$", "\n".join(monday.prose), re.M) if monday else None
    if first:
        found.append(f"{first.group(1)} *Do it now, for one system of somebody in the room.*")
    return found


def overview(chapters: Sequence[Chapter]) -> str:
    """A table of all chapters with their minutes."""
    rows = [
        f"{{chapter}}`{each.docname}` | {each.minutes} | {each.exercise_minutes} | {each.minutes + each.exercise_minutes}"
        for each in chapters
    ]
    read, solve = sum(each.minutes for each in chapters), sum(each.exercise_minutes for each in chapters)
    rows.append(f"**All** | **{read}** | **{solve}** | **{read + solve}**")
    return "\n".join(["chapter | minutes | exercises | together", "--- | ---: | ---: | ---:", *rows])


@dataclass(frozen=True)
class Step:
    """A step of a route: what of which chapter (none for a break or a vote), and its minutes."""

    chapter: Chapter | None
    what: str
    minutes: int


def steps(route: str, chapters: Mapping[str, Chapter]) -> list[Step]:
    """The steps of a route, its lines `chapter: what` or `- what: minutes`.

    `what` is `all`, `read`, `exercises`, or headings and exercises parted by semicolons; `title` is the part under the chapter's title.

    Raises
    ------
    ValueError
        If a line has another form, or names a chapter, a heading or an exercise that doesn't exist.
    """
    found = []
    for line in filter(None, (line.strip() for line in route.splitlines())):
        own = re.fullmatch(r"- (.+): (\d+)", line)
        if own:
            found.append(Step(None, own.group(1), int(own.group(2))))
            continue
        name, _, what = line.partition(": ")
        if name not in chapters or not what:
            raise ValueError(f"route: got {line!r}; it must be 'chapter: what' of a chapter of the book")
        chapter = chapters[name]
        found.append(Step(chapter, what, sum(_minutes(chapter, each.strip()) for each in what.split(";"))))
    return found


def _minutes(chapter: Chapter, what: str) -> int:
    whole = {
        "all": chapter.minutes + chapter.exercise_minutes,
        "read": chapter.minutes,
        "exercises": chapter.exercise_minutes,
    }
    known = {
        **whole,
        "title": chapter.section_minutes()[chapter.title],
        **chapter.section_minutes(),
        **chapter.minutes_of_exercises(),
    }
    if what not in known:
        raise ValueError(f"route: got {what!r}; {chapter.docname} has {'; '.join(known)}")
    return known[what]


def route_table(name: str, route: str, chapters: Sequence[Chapter]) -> str:
    """A route as a table with its minutes and their sum.

    Raises
    ------
    ValueError
        If no route has that name, or the steps don't fill the time or overrun it.
    """
    if name not in ROUTES:
        raise ValueError(f"route: got {name!r}; it must be one of {', '.join(ROUTES)}")
    told = steps(route, {_short_name(each): each for each in chapters})
    total, limit = sum(step.minutes for step in told), ROUTES[name]
    if not (1 - SPARE) * limit <= total <= limit:
        raise ValueError(
            f"route: got {total} minutes for {name}; they must be from {(1 - SPARE) * limit:g} to {limit}"
        )
    rows, clock = [], 0
    for step in told:
        if step.chapter:
            what = ", ".join(_named(step.chapter, step.what))
            label = f"{{chapter}}`{step.chapter.docname}`: {what}"
        else:
            label = step.what
        rows.append(f"{clock // 60}:{clock % 60:02} | {label} | {step.minutes}")
        clock += step.minutes
    rows.append(f"| | **Together** | **{total}** |")
    return "\n".join(["from | what | minutes", "---: | --- | ---:", *rows])


_PARTS = {
    "title": "its opening",
    "all": "the chapter and its exercises",
    "read": "the chapter",
    "exercises": "the exercises",
}


def _named(chapter: Chapter, what: str) -> list[str]:
    exercise = set(chapter.exercises)
    found = []
    for each in map(str.strip, what.split(";")):
        found.append(
            f"exercise `{each.split('/')[-1]}`" if each in exercise else _PARTS.get(each, f"*{each}*")
        )
    return found


def _short_name(chapter: Chapter) -> str:
    return chapter.docname.removeprefix("book/")


class Overview(Generated):
    """Put the table of all chapters' minutes where it stands."""

    def markdown(self) -> str:
        """The table."""
        return overview(self.chapters())


class Guide(Generated):
    """Put the guide to the chapters of one part where it stands: its argument, such as `features`."""

    required_arguments = 1

    def markdown(self) -> str:
        """A section for each chapter of the part."""
        mine = [each for each in self.chapters() if each.part == self.arguments[0]]
        return (
            "\n\n".join(guide(each, self.env.docname) for each in mine)
            or "No chapter of this part stands yet."
        )


class Route(Generated):
    """Put a route where it stands: its argument is the route's name, its content the steps."""

    required_arguments = 1
    final_argument_whitespace = True
    has_content = True

    def markdown(self) -> str:
        """The route's table."""
        try:
            return route_table(self.arguments[0], "\n".join(self.content), self.chapters())
        except ValueError as error:
            raise self.error(str(error)) from error
