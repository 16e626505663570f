"""What is a demo: one pure function over a finite grid of states."""

from __future__ import annotations

import inspect
import itertools
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from toolkit.explore.controls import Control, Value, as_control
from toolkit.explore.mode import render_mode

if TYPE_CHECKING:
    from ipywidgets import Widget

MOST_STATES = 200
PAGE_BYTES = 60_000

_defined: dict[str, Demo] = {}


class DemoError(RuntimeError):
    """A demo that can't be shown; the message names the demo and, where there is one, the state."""


@dataclass(frozen=True)
class State:
    """What a demo shows at one setting of its controls: a Vega-Lite specification and a sentence."""

    spec: dict[str, Any]
    readout: str


class Demo:
    """A function of controls that returns a chart and one sentence, with every state known.

    Made by `explore`. `text()`, `html()` and `widget()` are its three renderings.
    """

    def __init__(self, function: Callable[..., Any], controls: Mapping[str, Control]) -> None:
        self.function = function
        self.controls = dict(controls)
        self.name = function.__name__
        doc = inspect.getdoc(function) or ""
        self.title = (
            doc.split("\n\n")[0].replace("\n", " ").strip() or self.name.replace("_", " ").capitalize()
        )
        self._cached: dict[tuple[Value, ...], State] = {}

    def grid(self) -> list[dict[str, Value]]:
        """Every state's values, the last control moving fastest."""
        combined = itertools.product(*(control.values for control in self.controls.values()))
        return [dict(zip(self.controls, values, strict=True)) for values in combined]

    @property
    def default(self) -> dict[str, Value]:
        """The values that the demo opens with."""
        return {name: control.values[control.default] for name, control in self.controls.items()}

    def state(self, **values: Value) -> State:
        """The chart and readout at the given values; computed once.

        Raises
        ------
        ValueError
            If a control is missing, unknown or set to a value that it doesn't have.
        DemoError
            If the function raises, or returns anything but a chart and a sentence with a number.
        """
        for name in values.keys() ^ self.controls.keys():
            raise ValueError(
                f"{name}: it must be given, and be a control of {self.name}: {', '.join(self.controls)}"
            )
        for name, value in values.items():
            if value not in self.controls[name].values:
                raise ValueError(
                    f"{name}: got {value!r}; it must be one of {list(self.controls[name].values)}"
                )
        key = tuple(values[name] for name in self.controls)
        if key not in self._cached:
            self._cached[key] = self.compute(values)
        return self._cached[key]

    def compute(self, values: Mapping[str, Value]) -> State:
        """Run the function at the given values and check what it returns; nothing is remembered."""
        try:
            returned = self.function(**values)
        except Exception as error:
            self._fail(values, f"{type(error).__name__}: {error}", error)
        if not isinstance(returned, tuple) or len(returned) != 2:
            self._fail(values, f"returned {type(returned).__name__}; it must return a chart and one sentence")
        chart, readout = returned
        import altair as alt

        if not isinstance(chart, alt.TopLevelMixin):
            self._fail(values, f"returned {type(chart).__name__} first; it must be an Altair chart")
        if not isinstance(readout, str):
            self._fail(values, f"returned {type(readout).__name__} second; the readout must be one sentence")
        if not re.search(r"\d", readout):
            self._fail(
                values, f"the readout {readout!r} has no number in it; it must say the headline number"
            )
        if re.search(r"\b(nan|inf)\b", readout):
            self._fail(values, f"the readout {readout!r} says an undefined number")
        from toolkit.explore.rows import to_spec

        try:
            return State(to_spec(chart), readout)
        except Exception as error:
            self._fail(values, f"its chart is not valid: {type(error).__name__}: {error}", error)

    def states(self) -> list[State]:
        """All states in the order of `grid()`: from the cache, or computed over all cores."""
        missing = [values for values in self.grid() if tuple(values.values()) not in self._cached]
        if missing:
            from toolkit.explore.states import all_states

            self._cached.update(all_states(self))
        return [self.state(**values) for values in self.grid()]

    def describe(self, values: Mapping[str, Value]) -> str:
        """The values in words, as errors and links name a state: `looks=20, rule=Pocock`."""
        return ", ".join(f"{name}={value}" for name, value in values.items())

    def text(self) -> str:
        """A plain table: every state and its readout."""
        from toolkit.explore.text import to_text

        return to_text(self)

    def html(self) -> str:
        """The demo for a page without a kernel, all states in it."""
        from toolkit.explore.page import to_html

        return to_html(self)

    def widget(self) -> Widget:
        """The demo as live controls in a notebook."""
        from toolkit.explore.widget import to_widget

        return to_widget(self)

    def show(self) -> None:
        """Display the demo in the present rendering; in text, print it."""
        mode = render_mode()
        if mode == "text":
            print(self.text())
            return
        from IPython.display import HTML, display

        display(HTML(self.html()) if mode == "static" else self.widget())

    def __repr__(self) -> str:
        return f"<Demo {self.name}: {len(self.grid())} states>"

    def _fail(self, values: Mapping[str, Value], why: str, cause: Exception | None = None) -> NoReturn:
        raise DemoError(f"demo {self.name!r}, state {self.describe(values)}: {why}") from cause


def explore(**controls: object) -> Callable[[Callable[..., Any]], Demo]:
    """Turn a pure function of controls into a demo, and display it when in a notebook.

    Parameters
    ----------
    **controls : Control or list
        One for each parameter of the function, in the order in which they are shown: ordered
        numbers make a slider, booleans a switch, words a choice; `slider`, `switch` and `choice`
        add a label, a unit and a default.

    Returns
    -------
    decorator
        Takes a function that returns an Altair chart and one sentence holding the headline
        number, and gives a `Demo`. The first line of the function's docstring is the caption.

    Raises
    ------
    ValueError
        If there is no control, a control repeats a value, there are more than 200 states, or the
        controls aren't the function's parameters.
    DemoError
        If a state raises or returns anything else than a chart and a sentence with a number.

    Examples
    --------
    >>> import altair as alt, pandas as pd
    >>> @explore(looks=[1, 2, 5])
    ... def peeking(looks):
    ...     "How many looks does the demo show?"
    ...     chart = alt.Chart(pd.DataFrame({"x": [looks]})).mark_point().encode(x="x:Q")
    ...     return chart, f"{looks} looks."
    >>> print(peeking.text())
    Demo: How many looks does the demo show?
    looks  readout
    1      1 looks.
    2      2 looks.
    5      5 looks.
    """
    if not controls:
        raise ValueError("explore: got no controls; a demo without states can't move")
    made = {name: as_control(name, given) for name, given in controls.items()}
    count = 1
    for control in made.values():
        count *= len(control.values)
    if count > MOST_STATES:
        sizes = " x ".join(str(len(control.values)) for control in made.values())
        raise ValueError(f"explore: got {sizes} = {count} states; at most {MOST_STATES} fit in a page")

    def decorate(function: Callable[..., Any]) -> Demo:
        _match_parameters(function, made)
        demo = Demo(function, made)
        _defined[demo.name] = demo
        if _in_notebook():
            demo.show()
        return demo

    return decorate


def demos() -> tuple[Demo, ...]:
    """The demos defined in this session, in order."""
    return tuple(_defined.values())


def _match_parameters(function: Callable[..., Any], controls: Mapping[str, Control]) -> None:
    parameters = inspect.signature(function).parameters
    takes_any = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values())
    for name in controls:
        if name not in parameters and not takes_any:
            raise ValueError(
                f"{name}: {function.__name__} doesn't take it; it takes {', '.join(parameters) or 'nothing'}"
            )
    for name, parameter in parameters.items():
        variadic = parameter.kind in (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
        if name not in controls and parameter.default is inspect.Parameter.empty and not variadic:
            raise ValueError(f"{name}: {function.__name__} needs it, but there is no control of that name")


def _in_notebook() -> bool:
    try:
        from IPython import get_ipython
    except ImportError:  # pragma: no cover - IPython comes with ipywidgets
        return False
    return get_ipython() is not None
