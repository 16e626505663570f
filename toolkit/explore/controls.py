"""What can a reader move in a demo, and over which values?"""

from __future__ import annotations

import math
import numbers
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Value = float | int | bool | str
Kind = Literal["slider", "switch", "choice"]


@dataclass(frozen=True)
class Control:
    """A finite, ordered set of values that a reader chooses from.

    Made by `slider`, `switch` or `choice`; a plain list given to `explore` becomes one by the
    type of its values.

    Parameters
    ----------
    kind : "slider", "switch" or "choice"
        How it looks: ordered numbers, on and off, or words.
    values : tuple
        The values that the function receives.
    label : str
        What the reader sees; the parameter's name where empty.
    unit : str
        Unit of a slider's numbers.
    default : int
        Index of the value that the page opens with.
    """

    kind: Kind
    values: tuple[Value, ...]
    label: str
    unit: str
    default: int

    def text(self, value: Value) -> str:
        """How one of the values reads: `20 looks`, `5%`, `on`, `Pocock`."""
        if isinstance(value, bool):
            return "on" if value else "off"
        if isinstance(value, str):
            return value
        number = f"{value:,}" if isinstance(value, int) else f"{value:,.6g}"
        return f"{number}%" if self.unit == "%" else f"{number} {_unit(self.unit, value)}".strip()


def slider(
    values: Sequence[float], *, label: str = "", unit: str = "", default: float | None = None
) -> Control:
    """A control over ordered numbers.

    Parameters
    ----------
    values : sequence of numbers
        At least two, each larger than the one before.
    label, unit : str
        What the reader sees beside it.
    default : number, optional
        The value that the page opens with; the first where not given.

    Raises
    ------
    ValueError
        If the values are fewer than two, not finite or not ascending, or `default` isn't one.

    Examples
    --------
    >>> looks = slider([1, 2, 5], label="Looks", default=2)
    >>> looks.values, looks.default
    ((1, 2, 5), 1)
    """
    numbers_ = tuple(_number(value) for value in values)
    _no_repeats(numbers_, "slider")
    if any(right <= left for left, right in zip(numbers_, numbers_[1:], strict=False)):
        raise ValueError(f"values: got {list(numbers_)}; a slider's numbers must ascend")
    return Control("slider", numbers_, label, unit, _default(numbers_, default))


def switch(*, label: str = "", default: bool = False) -> Control:
    """A control that is off or on.

    Examples
    --------
    >>> switch(label="Correct for looks").values
    (False, True)
    """
    if not isinstance(default, bool):
        raise ValueError(f"default: got {default!r}; a switch is False or True")
    return Control("switch", (False, True), label, "", int(default))


def choice(values: Sequence[str], *, label: str = "", default: str | None = None) -> Control:
    """A control over words.

    Raises
    ------
    ValueError
        If the words are fewer than two, repeated or not strings, or `default` isn't one.

    Examples
    --------
    >>> choice(["naive", "Pocock"], label="Rule").kind
    'choice'
    """
    words = tuple(values)
    for word in words:
        if not isinstance(word, str) or not word.strip():
            raise ValueError(f"values: got {word!r}; a choice's values must be words")
    _no_repeats(words, "choice")
    return Control("choice", words, label, "", _default(words, default))


def as_control(name: str, given: object) -> Control:
    """The control that `explore(name=given)` asks for; errors name the parameter."""
    try:
        if isinstance(given, Control):
            return given
        if isinstance(given, bool):
            return switch(default=given)
        if isinstance(given, str) or not isinstance(given, Sequence):
            raise ValueError(f"got {given!r}; it must be a control or a list of numbers, words or booleans")
        values = list(given)
        if not values:
            raise ValueError("got no values; a control needs at least two")
        if all(isinstance(value, bool) for value in values):
            _no_repeats(tuple(values), "switch")
            return switch(default=values[0])
        if all(isinstance(value, str) for value in values):
            return choice(values)
        return slider(values)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def _unit(unit: str, value: Value) -> str:
    """The unit of one: `1 look`, but `2 looks`; `-1 day`, but `-0.5 days`."""
    return unit[:-1] if value in (1, -1) and len(unit) > 3 and unit.isalpha() and unit.endswith("s") else unit


def _number(value: object) -> float | int:
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise ValueError(f"values: got {value!r} ({type(value).__name__}); a slider's values must be numbers")
    number = int(value) if isinstance(value, numbers.Integral) else float(value)
    if not math.isfinite(number):
        raise ValueError(f"values: got {number}; a slider's values must be finite")
    return number


def _no_repeats(values: tuple[Value, ...], kind: str) -> None:
    if len(values) < 2:
        raise ValueError(f"values: got {list(values)}; a {kind} needs at least two values to move between")
    # True == 1 and 1 == 1.0: such a pair would be two states with equal inputs.
    for place, value in enumerate(values):
        if value in values[:place]:
            raise ValueError(f"values: got {value!r} twice; two states would have equal inputs")


def _default(values: tuple[Value, ...], default: Value | None) -> int:
    if default is None:
        return 0
    if default not in values:
        raise ValueError(f"default: got {default!r}; it must be one of {list(values)}")
    return values.index(default)
