"""How does a demo move in a notebook: controls, a chart that needs no network, and the readout."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any

from toolkit.explore.controls import Control
from toolkit.explore.vega import STYLE, for_widget

if TYPE_CHECKING:
    from ipywidgets import Widget

    from toolkit.explore.demo import Demo


def to_widget(demo: Demo) -> Widget:
    """The demo as ipywidgets controls over an Altair `JupyterChart` with its JavaScript bundled.

    The returned box's `controls` holds each control by name, and `readout` the sentence's widget.
    """
    import altair as alt
    import ipywidgets as widgets

    alt.JupyterChart.enable_offline(True)

    first = demo.state(**demo.default)
    # Given the specification, not the chart: Altair would put its own theme over ours.
    chart = alt.JupyterChart(None, embed_options={"actions": False, "renderer": "svg"})  # type: ignore[arg-type]
    readout = widgets.HTML(_readout(first.readout))
    made = {name: _control(name, control) for name, control in demo.controls.items()}

    def update(_: Any = None) -> None:
        state = demo.state(**{name: control.value for name, control in made.items()})
        chart.spec = for_widget(state.spec)
        readout.value = _readout(state.readout)

    def reset(_: Any) -> None:
        for name, value in demo.default.items():
            made[name].value = value

    for control in made.values():
        control.observe(update, names="value")
    button = widgets.Button(description="Reset", layout=widgets.Layout(width="auto"))
    button.on_click(reset)
    update()
    title = widgets.HTML(f'<style>{STYLE}</style><p class="explore-title">{html.escape(demo.title)}</p>')
    box = widgets.VBox([title, *made.values(), chart, readout, button])
    box.add_class("explore")
    box.controls = made
    box.readout = readout
    return box


def read_widget(box: Any, **values: object) -> str:
    """The readout that the widget shows at the given values."""
    for name, value in values.items():
        box.controls[name].value = value
    text: str = box.readout.value
    return html.unescape(text[text.index(">") + 1 : text.rindex("<")])


def _readout(text: str) -> str:
    return f'<p class="explore-readout" role="status" aria-live="polite">{html.escape(text)}</p>'


def _control(name: str, control: Control) -> Any:
    import ipywidgets as widgets

    label = control.label or name.replace("_", " ").capitalize()
    wide = {"style": {"description_width": "initial"}, "layout": widgets.Layout(width="min(28em, 100%)")}
    value = control.values[control.default]
    if control.kind == "switch":
        return widgets.Checkbox(value=value, description=label, indent=False, **wide)
    options = [(control.text(each), each) for each in control.values]
    kind = widgets.SelectionSlider if control.kind == "slider" else widgets.Dropdown
    return kind(options=options, value=value, description=label, **wide)
