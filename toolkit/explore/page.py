"""How does a demo move in a published page: controls, a drawing and all its states as numbers."""

from __future__ import annotations

import gzip
import html
import json
from collections.abc import Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any

from toolkit.explore.controls import Control, Value
from toolkit.explore.vega import (
    NARROW_WIDTH,
    Columns,
    Spec,
    compile_skeleton,
    difference,
    split,
    to_svg,
)

if TYPE_CHECKING:
    from toolkit.explore.demo import Demo

_SCRIPT = '<script type="application/json">'


def to_html(demo: Demo) -> str:
    """The demo as HTML: form controls, the default state's drawing and readout, and every state's numbers.

    Raises
    ------
    DemoError
        If the numbers of all states weigh more than a page's budget, naming the demo and both sizes.
    """
    from toolkit.explore.demo import PAGE_BYTES, DemoError

    script = _script(payload(demo))
    weight = len(gzip.compress(script.encode()))
    if weight > PAGE_BYTES:
        raise DemoError(
            f"demo {demo.name!r}: its states weigh {weight:,} bytes compressed; at most {PAGE_BYTES:,} do"
        )
    default = demo.state(**demo.default)
    title = html.escape(demo.title, quote=True)
    controls = "".join(_control(demo.name, name, control) for name, control in demo.controls.items())
    return (
        f'<figure class="explore" id="demo-{demo.name}" data-demo="{demo.name}">'
        f'<figcaption class="explore-title">{title}</figcaption>'
        f'<form class="explore-controls" autocomplete="off"><fieldset disabled>'
        f'<legend class="explore-hidden">Controls of the demo: {title}</legend>{controls}</fieldset></form>'
        f'<div class="explore-chart" role="img" aria-label="{_chart_label(demo.title)}">{_drawings(default.spec)}</div>'
        f'<p class="explore-readout" role="status" aria-live="polite">{html.escape(default.readout)}</p>'
        '<div class="explore-foot"><button type="button" class="explore-reset" disabled>Reset</button>'
        f'<a class="explore-link" href="#{demo.name}:{_query(demo.default)}">Link to this state</a></div>'
        f'<details class="explore-data"><summary>The numbers in the chart</summary>'
        f'<div class="explore-table" tabindex="0" role="region" aria-label="Numbers in the chart: {title}">'
        f"{_tables(split(default.spec)[1])}</div></details>"
        "<noscript><p>The controls need JavaScript; the drawing and the sentence show the first state.</p></noscript>"
        f"{script}</figure>"
    )


def still(title: str, spec: Spec) -> str:
    """A single chart as HTML: its drawing, and its numbers for drawing it at another width."""
    skeleton, data = split(spec)
    columns: list[list[Any]] = []
    places: dict[str, dict[str, int]] = {}
    for name, table in data.items():
        places[name] = {column: len(columns) + place for place, column in enumerate(table)}
        columns += table.values()
    content = {
        "spec": compile_skeleton(skeleton, list(data)),
        "changes": [[]],
        "columns": columns,
        "states": [["", places, 0]],
    }
    label = html.escape(f"Chart: {title}", quote=True)
    return (
        f'<figure class="explore explore-still"><div class="explore-chart" role="img" aria-label="{label}">'
        f"{_drawings(spec)}</div>{_script(content)}</figure>"
    )


def payload(demo: Demo) -> dict[str, Any]:
    """All states of a demo as one JSON value.

    Returns
    -------
    dict
        `spec`, the Vega specification of the default state without data; `columns`, each distinct
        column of numbers once; `states`, for each its readout, its data sets as indices into
        `columns`, and the index of its difference from `spec` in `changes`.
    """
    parts = [split(state.spec) for state in demo.states()]
    columns: dict[str, int] = {}
    specs: dict[str, dict[str, Any]] = {}

    def place(values: list[Any]) -> int:
        return columns.setdefault(json.dumps(values, separators=(",", ":"), ensure_ascii=False), len(columns))

    def compiled(skeleton: dict[str, Any], data: Mapping[str, Columns]) -> dict[str, Any]:
        key = json.dumps(skeleton, sort_keys=True)
        if key not in specs:
            specs[key] = compile_skeleton(skeleton, list(data))
        return specs[key]

    base = compiled(*split(demo.state(**demo.default).spec))
    changes: list[list[list[Any]]] = [[]]
    states = []
    for state, (skeleton, data) in zip(demo.states(), parts, strict=True):
        change = difference(base, compiled(skeleton, data))
        if change not in changes:
            changes.append(change)
        placed = {
            name: {column: place(values) for column, values in table.items()} for name, table in data.items()
        }
        states.append([state.readout, placed, changes.index(change)])
    return {
        "name": demo.name,
        "controls": [
            {
                "name": name,
                "kind": control.kind,
                "values": [_raw(value) for value in control.values],
                "texts": [control.text(value) for value in control.values],
                "default": control.default,
            }
            for name, control in demo.controls.items()
        ],
        "spec": base,
        "changes": changes,
        "columns": [json.loads(text) for text in columns],
        "states": states,
    }


def read_page(page: str) -> list[str]:
    """The readouts of all states in HTML that `to_html` wrote."""
    start = page.index(_SCRIPT) + len(_SCRIPT)
    return [readout for readout, *_ in json.loads(page[start : page.index("</script>", start)])["states"]]


def _script(content: object) -> str:
    text = json.dumps(content, separators=(",", ":"), ensure_ascii=False)
    # "</script>" in a sentence would end the element.
    return _SCRIPT + text.replace("<", "\\u003c") + "</script>"


def _control(demo: str, name: str, control: Control) -> str:
    key = f"{demo}-{name}"
    label = html.escape(control.label or name.replace("_", " ").capitalize())
    if control.kind == "switch":
        checked = " checked" if control.default else ""
        return (
            f'<div class="explore-control explore-switch"><input type="checkbox" role="switch" id="{key}" '
            f'name="{name}"{checked}><label for="{key}">{label}</label></div>'
        )
    texts = [html.escape(control.text(value)) for value in control.values]
    if control.kind == "choice":
        options = "".join(
            f'<option value="{place}"{" selected" * (place == control.default)}>{text}</option>'
            for place, text in enumerate(texts)
        )
        return (
            f'<div class="explore-control"><label for="{key}">{label}</label>'
            f'<select id="{key}" name="{name}">{options}</select></div>'
        )
    return (
        f'<div class="explore-control"><label for="{key}">{label}</label>'
        f'<output for="{key}" aria-live="off">{texts[control.default]}</output>'
        f'<input type="range" id="{key}" name="{name}" min="0" max="{len(texts) - 1}" step="1" '
        f'value="{control.default}" aria-valuetext="{texts[control.default]}"></div>'
    )


def _drawings(spec: Spec) -> str:
    # For a page without scripts: a drawing made for a wide window has letters that a phone can't show.
    wide, narrow = to_svg(spec), to_svg(spec, width=NARROW_WIDTH)
    return f'<div class="explore-wide">{wide}</div><div class="explore-narrow">{narrow}</div>'


def _tables(data: Mapping[str, Columns]) -> str:
    return "".join(_table(columns) for columns in data.values() if _is_told(columns))


def _is_told(columns: Columns) -> bool:
    # One column is a rule across the chart, or only names what another data set holds.
    return len(columns) > 1


def _table(columns: Columns) -> str:
    head = "".join(f'<th scope="col">{html.escape(name)}</th>' for name in columns)
    rows = islice(zip(*columns.values(), strict=True), 500)
    body = "".join("<tr>" + "".join(f"<td>{_cell(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _cell(value: object) -> str:
    if value is None:
        return ""
    # Four digits, as explore.js writes them.
    return html.escape(f"{value:.4g}" if isinstance(value, float) and abs(value) < 1000 else str(value))


def _chart_label(title: str) -> str:
    return html.escape(f"Chart: {title} Its headline follows in words, its numbers in a table.", quote=True)


def _raw(value: Value) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _query(values: Mapping[str, Value]) -> str:
    from urllib.parse import quote

    return html.escape(",".join(f"{name}={quote(_raw(value), safe='')}" for name, value in values.items()))
