"""What does a teacher need of each chapter: minutes, questions to vote on, mistakes, answers, a route?

Minutes, votes, mistakes and answers are read from the chapters and their exercises. Teachers' pages add
questions to discuss and routes; a route names what of which chapter it takes, and is timed here.
"""

from __future__ import annotations

import math
import posixpath
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from toolkit import exercises
from toolkit.publish.anatomy import Chapter
from toolkit.publish.generated import Generated

# How long routes are, in minutes; two days are of six hours each.
LENGTHS = {"60 minutes": 60, "90 minutes": 90, "180 minutes": 180, "two days": 720}
# A route leaves at most this share of its time to what nobody foresees.
SPARE = 0.1
# What a chapter's opening takes in a class beyond reading it: writing an answer down, counting hands.
VOTE = 3
# How long a class sits without a break.
SITTING = 90
_PROMPTS = re.compile(r"^```\{guide\} \w+\n(.*?)^```", re.M | re.S)
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


def guide(chapter: Chapter, page: str, asked: Sequence[str] = ()) -> str:
    """A chapter's part of the guide, for the page on which it stands; with what that page asks of it."""
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
        of_demos = "\n".join(f"- {question}" for question in chapter.demo_questions)
        parts.append(f"**Ask before you move a control.**\n\n{of_demos}")
    if chapter.exercises:
        parts.append(
            "**Exercises, and what people get wrong.** Each number is an answer that the page recognises, with the hint that it gives."
        )
        parts += [
            moved(chapter.filled(text), chapter.docname, page) for text in exercise_notes(chapter).values()
        ]
    talk = discussion(chapter, asked)
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
        answer = folded("Answer", f"{answered(name)}\n\n{solution}\n\n{exercise.explanation}")
        notes[name] = f"`{name}`: {exercise.question}\n\n{mistakes(name)}\n\n{answer}"
    return notes


def answered(name: str) -> str:
    """An exercise's answer as a number, and how near is near enough.

    Examples
    --------
    >>> answered("multiple_comparisons/pocock")
    '**2.413**, within 0.006.'
    """
    exercise = exercises._find(name)
    return f"**{_plain(exercise.expected(), exercise.tolerance)}**, within {exercise.tolerance:g}."


def mistakes(name: str) -> str:
    """An exercise's typical wrong answers as a list, each with the hint that `check` gives."""
    told: dict[str, list[str]] = {}
    for value, tolerance, text in exercises._find(name).wrong_answers():
        told.setdefault(text, []).append(_plain(value, tolerance))
    return "\n".join(f"- **{' or '.join(values)}:** {text}" for text, values in told.items())


def _plain(value: float, tolerance: float) -> str:
    """A number to the digits that its tolerance tells apart, without an exponent."""
    digits = max(0, -math.floor(math.log10(tolerance)))
    # Digits that stand for something each, as of an answer in code, are no amount.
    text = f"{value:.0f}" if abs(value) >= 1e7 else f"{value:,.{digits}f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text in ("-0", "") else text.replace("-", "\N{MINUS SIGN}")


def prompts(root: Path) -> dict[str, list[str]]:
    """What the guide's pages ask of each chapter: in the directive `guide`, lines `chapter: question`.

    Raises
    ------
    ValueError
        If a line has another form.
    """
    found: dict[str, list[str]] = {}
    for page in sorted((root / "book" / "teaching" / "guide").glob("*.md")):
        for content in _PROMPTS.findall(page.read_text(encoding="utf-8")):
            for line in filter(None, map(str.strip, content.splitlines())):
                stem, _, question = line.partition(": ")
                if not question or " " in stem:
                    raise ValueError(f"{page.name}: got {line!r}; it must be 'chapter: question'")
                found.setdefault(stem, []).append(question)
    return found


def discussion(chapter: Chapter, asked: Sequence[str] = ()) -> list[str]:
    """What to talk about: the guide's own questions, what its diagnostics can't tell, the list for Monday."""
    found = list(asked)
    for section in chapter.sections:
        for text in section.prose:
            for paragraph in re.split(r"\n\s*\n", text):
                if re.match(r"(?:It|They|None of them|Neither) (?:can't|cannot) tell", paragraph):
                    found.append(
                        f"{paragraph} *Which of these could it be at your company, and who would know?*"
                    )
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
    """A step of a route: what of which chapter (none for a break or a talk), and its minutes.

    A day of several begins with a step without minutes, its `what` that day's name.
    """

    chapter: Chapter | None
    what: str
    minutes: int


def steps(route: str, chapters: Mapping[str, Chapter]) -> list[Step]:
    """The steps of a route, its lines `chapter: what`, `- what: minutes`, or `# what` of a new day.

    `what` is `all`, `read`, `exercises`, or headings and exercises parted by semicolons; `title` is the
    part under the chapter's title. A chapter's opening has minutes for its vote besides.

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
        if line.startswith("# "):
            found.append(Step(None, line[2:], 0))
            continue
        name, _, what = line.partition(": ")
        if name not in chapters or not what:
            raise ValueError(f"route: got {line!r}; it must be 'chapter: what' of a chapter of the book")
        chapter, taken = chapters[name], [each.strip() for each in what.split(";")]
        vote = VOTE if {"all", "read", "title"} & set(taken) else 0
        found.append(Step(chapter, what, vote + sum(_minutes(chapter, each) for each in taken)))
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


def days(told: Sequence[Step]) -> list[list[Step]]:
    """A route's steps by day; one list where it names no days."""
    found: list[list[Step]] = []
    for step in told:
        if not found or not step.minutes:
            found.append([])
        found[-1].append(step)
    return found


def limit(name: str) -> int:
    """How many minutes a route's name allows: "90 minutes", or "90 minutes, before a launch".

    Raises
    ------
    ValueError
        If it begins with none of the known lengths.
    """
    length = name.split(",")[0]
    if length not in LENGTHS:
        raise ValueError(f"route: got {name!r}; it must begin with one of {', '.join(LENGTHS)}")
    return LENGTHS[length]


def route_table(name: str, route: str, chapters: Sequence[Chapter]) -> str:
    """A route as a table with its minutes and their sum.

    Raises
    ------
    ValueError
        If the name begins with no known length, the steps don't fill a day's time or overrun it, or a
        class sits for too long without a break.
    """
    most = limit(name)
    told = days(steps(route, {_short_name(each): each for each in chapters}))
    rows = []
    for day in told:
        total, of_day = sum(step.minutes for step in day), most / len(told)
        if not (1 - SPARE) * of_day <= total <= of_day:
            raise ValueError(
                f"route: got {total} minutes for {name}; they must be from {(1 - SPARE) * of_day:g} to {of_day:g}"
            )
        clock = sat = 0
        for step in day:
            rows.append(f"{clock // 60}:{clock % 60:02} | {_label(step)} | {step.minutes or ''}")
            clock += step.minutes
            sat = 0 if _is_break(step) else sat + step.minutes
            if sat > SITTING:
                raise ValueError(
                    f"route: got {sat} minutes without a break in {name}, up to {step.what!r}; they must be at most {SITTING}"
                )
        rows.append(f"{clock // 60}:{clock % 60:02} | **End** | **{total}**")
    return "\n".join(["from | what | minutes", "---: | --- | ---:", *rows])


def _is_break(step: Step) -> bool:
    return not step.chapter and step.what.split()[0] in ("Break", "Lunch")


def _label(step: Step) -> str:
    if not step.minutes:
        return f"**{step.what}**"
    if not step.chapter:
        return step.what
    return f"{{chapter}}`{step.chapter.docname}`: {', '.join(_named(step.chapter, step.what))}"


_PARTS = {
    "title": "its opening, with the vote",
    "all": "the chapter with its vote and exercises",
    "read": "the chapter with its vote",
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
    """Put the guide to the chapters of one part where it stands: its argument, such as `features`.

    Its content is what the page asks of the chapters, which `prompts` reads.
    """

    required_arguments = 1
    has_content = True

    def markdown(self) -> str:
        """A section for each chapter of the part."""
        mine = [each for each in self.chapters() if each.part == self.arguments[0]]
        asked = prompts(Path(self.env.srcdir))
        return (
            "\n\n".join(guide(each, self.env.docname, asked.get(each.stem, ())) for each in mine)
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
            return route_table(" ".join(self.arguments[0].split()), "\n".join(self.content), self.chapters())
        except ValueError as error:
            raise self.error(str(error)) from error
