"""How does an Altair chart become numbers that a page can redraw?

One specification serves all states of a demo: data are taken out of it and kept as columns, and
where a state changes the specification too, only the difference is kept. Colours are CSS
variables throughout, so that a picture drawn at build time follows the page's mode as well.
"""

from __future__ import annotations

import json
import math
import re
from importlib.resources import files
from typing import Any

Spec = dict[str, Any]
Columns = dict[str, list[Any]]

STYLE = files("toolkit.explore").joinpath("explore.css").read_text(encoding="utf-8")

_INK, _MUTED, _GRID, _BLUE = ("var(--tk-ink)", "var(--tk-muted)", "var(--tk-grid)", "var(--tk-blue)")
_FONT = "system-ui, -apple-system, 'Segoe UI', 'Liberation Sans', Arial, sans-serif"
_THEME: Spec = {
    "background": "transparent",
    "font": _FONT,
    "padding": 4,
    "axis": {
        "labelColor": _INK,
        "titleColor": _INK,
        "gridColor": _GRID,
        "domainColor": _MUTED,
        "tickColor": _MUTED,
        "labelFontSize": 12,
        "labelSeparation": 6,  # labels at an axis' ends are drawn inwards, up to their neighbours
        "titleFontSize": 12,
        "titlePadding": 8,  # the browser draws some labels wider than Vega thinks
        "titleFontWeight": "normal",
    },
    "legend": {
        "orient": "top",
        "columns": 3,
        "labelColor": _INK,
        "titleColor": _INK,
        "labelFontSize": 12,
        "labelLimit": 260,
        "symbolStrokeWidth": 2,
    },
    "title": {"color": _INK, "anchor": "start", "fontSize": 13, "fontWeight": "normal"},
    "header": {"labelColor": _INK, "titleColor": _INK},
    "view": {"stroke": None, "continuousHeight": 260, "continuousWidth": 620},
    "mark": {"color": _BLUE},
    "text": {"color": _INK, "fontSize": 12},
    "rule": {"color": _INK},
}
# What a drawing is made for before any script runs: a column of text, and a phone.
PRERENDERED_WIDTH = 620
NARROW_WIDTH = 300


def split(chart_spec: Spec) -> tuple[Spec, dict[str, Columns]]:
    """Take the data out of a Vega-Lite specification.

    Returns
    -------
    skeleton, columns by data set
        Generated names are numbered by their place, so that equal charts give equal skeletons.

    Raises
    ------
    ValueError
        If the chart loads its data from an address.

    Examples
    --------
    >>> skeleton, data = split({"mark": "point", "encoding": {"x": {"field": "a"}},
    ...     "data": {"name": "data-1f"}, "datasets": {"data-1f": [{"a": 1, "unused": 2}]}})
    >>> skeleton["data"], data
    ({'name': 'd0'}, {'d0': {'a': [1]}})
    """
    spec = {key: value for key, value in chart_spec.items() if key not in ("datasets", "config", "$schema")}
    text = json.dumps(spec)
    if re.search(r'"url": "', text):
        raise ValueError("chart: it loads data from an address; give it a data frame, pages work offline")
    datasets = chart_spec.get("datasets", {})
    order = sorted((text.index(f'"{name}"'), name) for name in datasets if f'"{name}"' in text)
    for number, (_, name) in enumerate(order):
        text = text.replace(f'"{name}"', f'"d{number}"')
    generated = list(dict.fromkeys(re.findall(r'"((?:view|param)_\d+)"', text)))
    for number, name in enumerate(generated):
        text = re.sub(rf"\b{name}\b", f"{name.split('_')[0]}#{number}", text)
    text = re.sub(r"\b(view|param)#(\d+)", r"\1_\2", text)
    # A column that the specification doesn't name draws nothing: it would only weigh.
    data = {f"d{n}": _columns(datasets[name], text) for n, (_, name) in enumerate(order)}
    return json.loads(text), data


def compile_skeleton(skeleton: Spec, names: list[str], *, width: int | None = None) -> Spec:
    """The Vega specification of a skeleton, its data sets empty; as wide as its container, or `width`."""
    import vl_convert as vlc

    spec = _sized({**skeleton, "datasets": {name: [] for name in names}}, width)
    compiled: Spec = vlc.vegalite_to_vega(spec, config=_THEME)
    for entry in compiled.get("data", []):
        if entry.get("name") in names:
            entry.pop("values", None)
    compiled.pop("$schema", None)
    return compiled


def to_svg(chart_spec: Spec, *, width: int = PRERENDERED_WIDTH) -> str:
    """A drawing of a Vega-Lite specification whose colours follow the page's mode."""
    import vl_convert as vlc

    spec = {key: value for key, value in chart_spec.items() if key != "config"}
    svg: str = vlc.vegalite_to_svg(_sized(spec, width), config=_THEME)
    # The drawing stands inside an element that is labelled as an image.
    return svg.replace("<svg ", '<svg aria-hidden="true" focusable="false" ', 1)


def for_widget(chart_spec: Spec) -> Spec:
    """The Vega-Lite specification with our theme, of a fixed width that the style sheet scales down."""
    spec = {key: value for key, value in chart_spec.items() if key != "config"}
    # Not the container's: JupyterLab draws before it lays out, when a box is still 0 wide.
    return {**_sized(spec, PRERENDERED_WIDTH), "config": _THEME}


def difference(old: Any, new: Any, path: tuple[str | int, ...] = ()) -> list[list[Any]]:
    """The paths at which two JSON values differ, each with the new value.

    Examples
    --------
    >>> difference({"a": [1, {"b": 2}], "c": 0}, {"a": [1, {"b": 3}], "c": 0})
    [[['a', 1, 'b'], 3]]
    """
    if old == new and type(old) is type(new):
        return []
    if isinstance(old, dict) and isinstance(new, dict) and old.keys() == new.keys():
        return [change for key in old for change in difference(old[key], new[key], (*path, key))]
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        pairs = enumerate(zip(old, new, strict=True))
        return [change for place, (a, b) in pairs for change in difference(a, b, (*path, place))]
    return [[list(path), new]]


def _sized(spec: Spec, width: int | None) -> Spec:
    # Facets and concatenations have no width of their own; the page scales their drawing instead.
    if any(key in spec for key in ("hconcat", "vconcat", "concat", "facet", "repeat")) or "width" in spec:
        return spec
    if width is not None:
        return {**spec, "width": width, "autosize": {"type": "fit-x", "contains": "padding"}}
    return {**spec, "width": "container", "autosize": {"type": "fit-x", "contains": "padding"}}


def _columns(rows: list[dict[str, Any]], used_in: str) -> Columns:
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: [_short(row.get(name)) for row in rows] for name in names if name in used_in}


def _short(value: Any) -> Any:
    """Six significant digits; whole numbers as such: what a chart can show, and half the bytes."""
    if isinstance(value, float):
        if not math.isfinite(value):
            return None
        rounded = float(f"{value:.6g}")
        return int(rounded) if rounded.is_integer() and abs(rounded) < 1e15 else rounded
    return value
