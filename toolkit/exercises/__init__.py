"""Is the reader's answer right, and if not, which mistake is it?

Each chapter's exercises stand in the module of its name (`toolkit/exercises/<chapter>.py`) as a
mapping `EXERCISES` from exercise to `Exercise`; expected values are computed by the toolkit.
"""

from __future__ import annotations

import importlib
import math
import numbers
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import EllipsisType

__all__ = ["Exercise", "Feedback", "Hint", "check", "names"]


@dataclass(frozen=True)
class Hint:
    """A typical wrong answer and what its author should think of.

    Parameters
    ----------
    value : float or callable without arguments
        The wrong answer; a callable is evaluated when the exercise is first checked.
    text : str
        What to reconsider; doesn't give the answer away.
    tolerance : float or None
        How near an answer must be to count as this mistake; the exercise's own where None.
    """

    value: float | Callable[[], float]
    text: str
    tolerance: float | None = None


@dataclass(frozen=True)
class Exercise:
    """A question with one number as its answer.

    Parameters
    ----------
    question : str
        What to find, in one sentence, with the unit of the answer.
    answer : float or callable without arguments
        The expected value; a callable (a call of the toolkit) is evaluated when first checked.
    tolerance : float
        Largest accepted distance from the answer; positive.
    explanation : str
        Why the answer is right; shown after a right answer.
    hints : tuple of Hint
        Typical wrong answers, most typical first.

    Raises
    ------
    ValueError
        If the tolerance isn't positive.
    """

    question: str
    answer: float | Callable[[], float]
    tolerance: float
    explanation: str
    hints: tuple[Hint, ...] = ()

    def __post_init__(self) -> None:
        if not self.tolerance > 0:
            raise ValueError(f"tolerance: got {self.tolerance}; it must be positive")

    def expected(self) -> float:
        """The answer as a number."""
        return _value(self.answer)

    def wrong_answers(self) -> list[tuple[float, float, str]]:
        """Value, tolerance and text of each hint."""
        return [
            (_value(hint.value), self.tolerance if hint.tolerance is None else hint.tolerance, hint.text)
            for hint in self.hints
        ]


@dataclass(frozen=True)
class Feedback:
    """What the reader is told of an answer: `right` is None while there is none."""

    name: str
    question: str
    right: bool | None
    message: str

    def __str__(self) -> str:
        mark = {None: "Exercise", True: "Right", False: "Not yet"}[self.right]
        return f"{mark}: {self.message}"

    __repr__ = __str__


OTHER_HINT = "None of the typical mistakes gives this number. Work it through once more."
UNANSWERED = "Replace the three dots by your answer and run the cell again."


def check(name: str, answer: float | EllipsisType) -> Feedback:
    """Compare an answer with an exercise's expected value.

    Parameters
    ----------
    name : str
        Chapter and exercise, as in "multiple_comparisons/pocock".
    answer : float or Ellipsis
        The reader's number; `...` stands for "not answered yet".

    Raises
    ------
    ValueError
        If there is no exercise of that name, or the answer is not finite.
    TypeError
        If the answer is neither a real number nor `...`.

    Examples
    --------
    >>> check("multiple_comparisons/pocock", 1.96).right
    False
    """
    exercise = _find(name)
    if answer is ...:
        from toolkit.exercises.rendering import unanswered

        return unanswered(name, exercise)
    if isinstance(answer, bool) or not isinstance(answer, numbers.Real):
        raise TypeError(f"answer: got {answer!r} ({type(answer).__name__}); it must be one real number")
    number = float(answer)
    if not math.isfinite(number):
        raise ValueError(f"answer: got {number}; it must be finite")
    if abs(number - exercise.expected()) <= exercise.tolerance:
        return Feedback(name, exercise.question, True, exercise.explanation)
    for value, tolerance, text in exercise.wrong_answers():
        if abs(number - value) <= tolerance:
            return Feedback(name, exercise.question, False, text)
    return Feedback(name, exercise.question, False, OTHER_HINT)


def names() -> list[str]:
    """The names of all exercises, as `check` takes them.

    Examples
    --------
    >>> "multiple_comparisons/pocock" in names()
    True
    """
    return sorted(f"{chapter}/{exercise}" for chapter in _chapters() for exercise in _chapter(chapter))


def _find(name: str) -> Exercise:
    chapter, _, exercise = str(name).partition("/")
    # Asked of its own chapter alone: to import all chapters takes a second or two.
    if chapter not in _chapters() or exercise not in _chapter(chapter):
        raise ValueError(f"name: got {name!r}; it must be one of {', '.join(names())}")
    return _chapter(chapter)[exercise]


def _chapters() -> list[str]:
    return [module.name for module in pkgutil.iter_modules(__path__) if module.name != "rendering"]


def _chapter(name: str) -> Mapping[str, Exercise]:
    exercises: Mapping[str, Exercise] = importlib.import_module(f"{__name__}.{name}").EXERCISES
    return exercises


def _value(value: float | Callable[[], float]) -> float:
    return float(value()) if callable(value) else float(value)
