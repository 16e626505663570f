"""How does an exercise look before it's answered: a prompt in a notebook, an answer box in the page?"""

from __future__ import annotations

import html
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from toolkit.exercises import OTHER_HINT, UNANSWERED, Feedback
from toolkit.explore.mode import render_mode

if TYPE_CHECKING:
    from toolkit.exercises import Exercise


@dataclass(frozen=True, repr=False)
class AnswerBox(Feedback):
    """The feedback of an exercise without an answer: in the published page, a box that checks one."""

    page: str

    def _repr_html_(self) -> str:
        return self.page


def unanswered(name: str, exercise: Exercise) -> Feedback:
    """What `check(name, ...)` shows: the question, and how to answer it where the reader is."""
    feedback = Feedback(name, exercise.question, None, f"{exercise.question} {UNANSWERED}")
    if render_mode() != "static":
        return feedback
    key = f"exercise-{name.replace('/', '-')}"
    content = {
        "expected": exercise.expected(),
        "tolerance": exercise.tolerance,
        "wrong": exercise.wrong_answers(),
        "right": exercise.explanation,
        "other": OTHER_HINT,
    }
    page = (
        f'<form class="exercise" data-exercise="{html.escape(name)}" autocomplete="off">'
        f"<p>{_marked(exercise.question)}</p>"
        f'<fieldset class="exercise-answer" disabled><label for="{key}">Your answer</label>'
        f'<input id="{key}" name="answer" inputmode="decimal" aria-describedby="{key}-feedback">'
        '<button type="submit">Check</button></fieldset>'
        "<noscript><p>Checking an answer needs JavaScript; the solution stands below.</p></noscript>"
        f'<p class="exercise-feedback" id="{key}-feedback" role="status" aria-live="polite"></p>'
        f'<script type="application/json">{json.dumps(content).replace("<", chr(92) + "u003c")}</script></form>'
    )
    return AnswerBox(name, exercise.question, None, feedback.message, page)


def _marked(text: str) -> str:
    """Text as HTML, with what stands between backticks as code."""
    return re.sub("`([^`]+)`", r"<code>\1</code>", html.escape(text))
