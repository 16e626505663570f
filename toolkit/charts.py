"""Which picture does a chapter show? The few chart forms that the book uses, and their colours.

Colours are CSS variables, so that one chart follows the page's light or dark mode at once,
before any script runs and after. Their values stand in `toolkit/explore/explore.css`.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import altair as alt
import pandas as pd

INK = "var(--tk-ink)"
MUTED = "var(--tk-muted)"
# In this order they stay apart for the common forms of colour blindness (Okabe and Ito, 2008).
BLUE, ORANGE, GREEN, PURPLE, RED, SKY = (
    f"var(--tk-{name})" for name in ("blue", "orange", "green", "purple", "red", "sky")
)
SERIES = (BLUE, ORANGE, GREEN, PURPLE, RED, SKY)
# Pixels a row of horizontal bars takes: its label stands above the bar, which on a phone then has all the width.
_ROW, _BAR, _BELOW = 44, 16, 10


def lines(
    data: pd.DataFrame,
    *,
    x: str,
    y: str,
    series: str | None = None,
    title: str = "",
    x_title: str | None = None,
    y_title: str | None = None,
    y_format: str = "",
    x_domain: Sequence[float] | None = None,
    y_domain: Sequence[float] | None = None,
    log_x: bool = False,
    log_y: bool = False,
    low: str | None = None,
    high: str | None = None,
    reference: float | None = None,
    reference_label: str = "",
    marker: float | None = None,
    marker_label: str = "",
    points: bool = False,
    step: bool = False,
) -> alt.LayerChart:
    """One line a series over an ordered quantity.

    `data` has one row a point; `x`, `y` and `series` name its columns, `low` and `high` those of a
    band around each line. `reference` is a horizontal rule, `marker` a vertical one. `y_format` is
    a d3 number format such as "%". With `step` a value holds until the next one. Fix `y_domain` in a demo, or the axis moves instead of the line.
    """
    encoding: dict[str, Any] = {
        "x": alt.X(
            f"{x}:Q",
            title=_title(x_title or x),
            scale=_scale(x_domain, log=log_x),
            # Ticks crowd towards a logarithmic axis' ends: on a phone labels would touch.
            axis=alt.Axis(labelOverlap="greedy", labelSeparation=8) if log_x else alt.Undefined,
        ),
        "y": alt.Y(
            f"{y}:Q", title=_title(y_title or y), axis=_axis(y_format), scale=_scale(y_domain, log=log_y)
        ),
        "tooltip": _tooltip(data, *(column for column in (series, x, y) if column is not None)),
    }
    if series is not None:
        names = list(dict.fromkeys(data[series]))
        # Else the legend would be as faint as bands, or of dashed points.
        strokes: dict[str, Any] = {"symbolOpacity": 1, "symbolType": "stroke"}
        encoding["color"] = _colour(series, names).legend(**strokes)
        # Colour alone tells nothing to some readers: dashes differ too, in the legend as well.
        dash = alt.StrokeDash(f"{series}:N", title=None, sort=names, scale=alt.Scale(domain=names))
        encoding["strokeDash"] = dash.legend(**strokes)
    shape: Literal["step-after", "linear"] = "step-after" if step else "linear"
    layers = [alt.Chart(data).mark_line(strokeWidth=2, clip=True, interpolate=shape).encode(**encoding)]
    if points:
        marked = {channel: value for channel, value in encoding.items() if channel != "strokeDash"}
        layers.append(_symbols(data, {x: x_domain, y: y_domain}, size=30, opacity=1).encode(**marked))
    if low is not None and high is not None:
        band = alt.Chart(data).mark_area(opacity=0.2, clip=True, interpolate=shape)
        band = band.encode(x=encoding["x"], y=alt.Y(f"{low}:Q"), y2=alt.Y2(f"{high}:Q"))
        layers.append(band if series is None else band.encode(color=encoding["color"]))
    if reference is not None:
        layers += _reference(reference, reference_label)
    if marker is not None:
        late = x_domain is not None and marker > (x_domain[0] + x_domain[-1]) / 2
        layers += _marker(marker, marker_label, before=late)
    return alt.LayerChart(layer=layers, title=title)


def fan(
    data: pd.DataFrame,
    *,
    x: str,
    y: str,
    path: str,
    x_title: str | None = None,
    y_title: str | None = None,
    y_format: str = "",
    x_domain: Sequence[float] | None = None,
    y_domain: Sequence[float] | None = None,
    log_x: bool = False,
    reference: float | None = None,
    reference_label: str = "",
) -> alt.LayerChart:
    """Many like lines in one colour, one for each value of `path`: where they spread and where they gather."""
    line = alt.Chart(data).mark_line(strokeWidth=1.5, opacity=0.6, clip=True, color=BLUE)
    line = line.encode(
        # A logarithmic axis has labels of 100 and 200 touch on a phone.
        x=alt.X(
            f"{x}:Q",
            title=_title(x_title or x),
            axis=alt.Axis(labelSeparation=6),
            scale=_scale(x_domain, log=log_x),
        ),
        y=alt.Y(f"{y}:Q", title=_title(y_title or y), axis=_axis(y_format), scale=_scale(y_domain)),
        detail=alt.Detail(f"{path}:N"),
        tooltip=_tooltip(data, path, x, y),
    )
    rule = [] if reference is None else _reference(reference, reference_label)
    return alt.LayerChart(layer=[line, *rule])


def points(
    data: pd.DataFrame,
    *,
    x: str,
    y: str,
    series: str | None = None,
    title: str = "",
    x_title: str | None = None,
    y_title: str | None = None,
    x_format: str = "",
    y_format: str = "",
    x_domain: Sequence[float] | None = None,
    y_domain: Sequence[float] | None = None,
    reference: float | None = None,
    reference_label: str = "",
    diagonal: bool = False,
    label: str | None = None,
) -> alt.LayerChart:
    """A point a row; `diagonal` draws the line on which both coordinates are equal, `label` names a column for the tooltip."""
    encoding: dict[str, Any] = {
        "x": alt.X(f"{x}:Q", title=_title(x_title or x), axis=_axis(x_format), scale=_scale(x_domain)),
        "y": alt.Y(f"{y}:Q", title=_title(y_title or y), axis=_axis(y_format), scale=_scale(y_domain)),
        "tooltip": _tooltip(data, *(column for column in (series, label, x, y) if column is not None)),
    }
    if series is not None:
        names = list(dict.fromkeys(data[series]))
        encoding["color"] = _colour(series, names)
        encoding["shape"] = alt.Shape(f"{series}:N", title=None, sort=names, scale=alt.Scale(domain=names))
    layers = [_symbols(data, {x: x_domain, y: y_domain}, size=60).encode(**encoding)]
    if reference is not None:
        layers += _reference(reference, reference_label)
    if diagonal:
        low = min(data[x].min(), data[y].min()) if x_domain is None else x_domain[0]
        high = max(data[x].max(), data[y].max()) if x_domain is None else x_domain[1]
        ends = pd.DataFrame({"x": [float(low), float(high)], "y": [float(low), float(high)]})
        rule = alt.Chart(ends).mark_line(strokeDash=[4, 4], color=MUTED, clip=True)
        layers.append(rule.encode(x=alt.X("x:Q"), y=alt.Y("y:Q")))
    return alt.LayerChart(layer=layers, title=title)


def signs(
    data: pd.DataFrame,
    *,
    x: str,
    y: str,
    value: str,
    above: str,
    below: str,
    limit: float,
    title: str = "",
    x_title: str | None = None,
    y_title: str | None = None,
    here: tuple[float, float] | None = None,
) -> alt.LayerChart:
    """A map of a quantity over two others: a colour for each sign, fuller the larger, full at `limit`.

    `above` and `below` say in words what a value over and under 0 means; `here` marks a place.
    """
    # A colour that is a CSS variable can't be blended: the sign picks the colour, opacity the strength.
    drawn = data.assign(sign=[above if v > 0 else below for v in data[value]])
    drawn["strength"] = (data[value].abs() / limit).clip(upper=1).round(3)
    axes = {
        "x": alt.X(
            f"{x}:O",
            title=_title(x_title or x),
            sort=sorted(set(data[x])),
            axis=alt.Axis(labelAngle=0, labelOverlap=True),
        ),
        "y": alt.Y(f"{y}:O", title=_title(y_title or y), sort=sorted(set(data[y]), reverse=True)),
    }
    square = alt.Chart(drawn).mark_rect().encode(**axes, tooltip=_tooltip(data, x, y, value))
    layer = square.encode(
        color=_colour("sign", [above, below], {above: BLUE, below: ORANGE}).legend(columnPadding=16),
        opacity=alt.Opacity("strength:Q", scale=alt.Scale(domain=[0, 1], range=[0.08, 1]), legend=None),
    )
    layers = [layer]
    if here is not None:
        place = pd.DataFrame({x: [here[0]], y: [here[1]]})
        mark = alt.Chart(place).mark_point(size=160, strokeWidth=3, color=INK)
        layers.append(mark.encode(**axes))
    return alt.LayerChart(layer=layers, title=title).properties(height=34 * len(set(data[y])))


def bars(
    data: pd.DataFrame,
    *,
    category: str,
    value: str,
    colour: str | None = None,
    colours: Mapping[str, str] | None = None,
    low: str | None = None,
    high: str | None = None,
    title: str = "",
    value_title: str | None = None,
    value_format: str = "",
    value_domain: Sequence[float] | None = None,
    reference: float | None = None,
) -> alt.LayerChart:
    """One horizontal bar a category, in the order of the rows, with intervals where `low` and `high` are named.

    `colour` names a column that groups the bars; `colours` maps its values to colours. A bar that is
    there twice is refused.
    """
    given = [category] if colour is None else [category, colour]
    if data.duplicated(given).any():
        twice = ", ".join(str(value) for value in data.loc[data.duplicated(given), given].iloc[0])
        raise ValueError(f"{', '.join(given)}: got {twice} twice; its bars would stand on each other")
    order = list(dict.fromkeys(data[category]))
    scale: dict[str, Any] = {
        "title": _title(value_title or value),
        "axis": _axis(value_format),
        "scale": _scale(value_domain),
    }
    x = alt.X(f"{value}:Q", **scale)
    names = [] if colour is None else list(dict.fromkeys(data[colour])) if colours is None else list(colours)
    grouped = alt.YOffset(f"{colour}:N", sort=names) if names else alt.Undefined
    below = 0 if names else _BELOW
    bar = (
        alt.Chart(data)
        .mark_bar(height=alt.Undefined if names else _BAR, yOffset=below)
        .encode(y=_rows(category, order, groups=len(names)), x=x, yOffset=grouped)
        .encode(tooltip=_tooltip(data, category, value))
    )
    if names:
        bar = bar.encode(color=_colour(str(colour), names, colours))
    layers = [bar] if reference is None else [_upright(reference, scale), bar]
    if low is not None and high is not None:
        layers.append(
            alt.Chart(data)
            .mark_rule(color=INK, strokeWidth=2, yOffset=below)
            .encode(y=_rows(category, order, groups=len(names)), yOffset=grouped)
            .encode(x=alt.X(f"{low}:Q"), x2=alt.X2(f"{high}:Q"))
        )
    layers.append(_row_labels(category, order, groups=len(names)))
    return alt.LayerChart(layer=layers, title=title).properties(height=len(order) * _height(len(names)))


def named_bars(
    values: Mapping[str, float],
    *,
    value_title: str,
    value_format: str = "",
    value_domain: Sequence[float] | None = None,
) -> alt.LayerChart:
    """A bar for each of a few named numbers, each in its own colour, with zero marked."""
    data = pd.DataFrame({"name": list(values), "value": list(values.values())})
    order = list(values)
    axis = _axis(value_format)
    axis.tickCount = 6  # on a phone all of them have a label then
    scale: dict[str, Any] = {"title": _title(value_title), "axis": axis, "scale": _scale(value_domain)}
    x = alt.X("value:Q", **scale)
    bar = alt.Chart(data).mark_bar(height=_BAR, yOffset=_BELOW).encode(y=_rows("name", order), x=x)
    bar = bar.encode(color=_colour("name", order).legend(None), tooltip=_tooltip(data, "name", "value"))
    layers = [_upright(0.0, scale), bar, _row_labels("name", order)]
    return alt.LayerChart(layer=layers).properties(height=len(order) * _height())


def waterfall(
    parts: Mapping[str, float],
    *,
    start: tuple[str, float],
    end: str,
    title: str = "",
    value_title: str = "",
    value_format: str = "",
    value_domain: Sequence[float] | None = None,
) -> alt.LayerChart:
    """The way from one number to another: a bar for the start, one for each part, one for the end.

    `start` is the first bar's label and height; the last bar, labelled `end`, stands at the
    start plus all `parts`. Bars that lower the running total and bars that raise it differ in colour.
    A label that is there twice is refused.
    """
    for name in parts:
        if name in (start[0], end):
            raise ValueError(f"parts: got {name!r}, which labels a total; its bars would stand on each other")
    total = start[1]
    rows = [{"step": start[0], "from": 0.0, "to": total, "kind": "total"}]
    for name, size in parts.items():
        rows.append(
            {"step": name, "from": total, "to": total + size, "kind": "raises" if size >= 0 else "lowers"}
        )
        total += size
    rows.append({"step": end, "from": 0.0, "to": total, "kind": "total"})
    data = pd.DataFrame(rows)
    data["change"] = data["to"] - data["from"]
    order = list(data["step"])
    kinds = {"total": BLUE, "raises": GREEN, "lowers": RED}
    scale: dict[str, Any] = {
        "title": _title(value_title),
        "axis": _axis(value_format),
        "scale": _scale(value_domain),
    }
    bar = (
        alt.Chart(data)
        .mark_bar(height=_BAR, yOffset=_BELOW)
        .encode(
            y=_rows("step", order),
            x=alt.X("from:Q", **scale),
            x2="to:Q",
            color=_colour("kind", list(kinds), kinds),
            tooltip=_tooltip(data, "step", "change", "to"),
        )
    )
    layers = [_upright(0.0, scale), bar, _row_labels("step", order)]
    return alt.LayerChart(layer=layers, title=title).properties(height=len(order) * _height())


def _height(groups: int = 0) -> int:
    return _ROW if groups < 2 else _ROW - _BAR + groups * _BAR


def _rows(column: str, order: Sequence[str], *, groups: int = 0) -> alt.Y:
    # Where bars are grouped, padding makes the room for the label above them.
    padding = (
        alt.Scale(paddingInner=1 - groups * _BAR / _height(groups), paddingOuter=0.4)
        if groups
        else alt.Undefined
    )
    return alt.Y(f"{column}:N", sort=list(order), axis=None, scale=padding)


def _row_labels(column: str, order: Sequence[str], *, groups: int = 0) -> alt.Chart:
    above = -_BELOW if groups < 2 else -groups * _BAR / 2 - _BELOW
    text = alt.Chart(pd.DataFrame({column: list(order)})).mark_text(x=2, dy=above, align="left", color=INK)
    return text.encode(y=_rows(column, order, groups=groups), text=alt.Text(f"{column}:N"))


def _colour(column: str, names: Sequence[str], colours: Mapping[str, str] | None = None) -> alt.Color:
    wanted = (
        [SERIES[i % len(SERIES)] for i in range(len(names))]
        if colours is None
        else [colours[n] for n in names]
    )
    return alt.Color(
        f"{column}:N", title=None, sort=list(names), scale=alt.Scale(domain=list(names), range=wanted)
    )


def _reference(value: float, label: str) -> list[alt.Chart]:
    data = pd.DataFrame({"reference": [value], "label": [label]})
    rule = alt.Chart(data).mark_rule(strokeDash=[4, 4], color=MUTED).encode(y=alt.Y("reference:Q"))
    text = alt.Chart(data).mark_text(x="width", align="right", baseline="bottom", dy=-3, color=MUTED)
    return [rule, text.encode(y=alt.Y("reference:Q"), text=alt.Text("label:N"))] if label else [rule]


def _upright(value: float, scale: dict[str, Any]) -> alt.Chart:
    # The first layer: behind bars and their labels. It carries the axis, as all layers share one.
    data = pd.DataFrame({"reference": [value]})
    return alt.Chart(data).mark_rule(color=MUTED).encode(x=alt.X("reference:Q", **scale))


def _marker(value: float, label: str, *, before: bool) -> list[alt.Chart]:
    """A dashed line with its label, on that side of it on which there is room."""
    data = pd.DataFrame({"marker": [value], "label": [label]})
    rule = alt.Chart(data).mark_rule(strokeDash=[4, 4], color=INK).encode(x=alt.X("marker:Q"))
    align: Literal["right", "left"] = "right" if before else "left"
    text = alt.Chart(data).mark_text(y=0, align=align, baseline="top", dx=-4 if before else 4, color=INK)
    return [rule, text.encode(x=alt.X("marker:Q"), text=alt.Text("label:N"))] if label else [rule]


def _symbols(data: pd.DataFrame, domains: Mapping[str, Sequence[float] | None], **mark: Any) -> alt.Chart:
    # Clipped, a symbol at a domain's end would be cut in half; those beyond it are left out instead.
    chart = alt.Chart(data).mark_point(filled=True, **mark)
    for column, domain in domains.items():
        if domain is not None:
            inside = alt.FieldRangePredicate(field=column, range=[min(domain), max(domain)])
            chart = chart.transform_filter(inside)
    return chart


def _tooltip(data: pd.DataFrame, *columns: str) -> list[alt.Tooltip]:
    # Typed here, because Altair takes a hundredth of a second a chart to find types for bare names.
    return [
        alt.Tooltip(column, type="quantitative" if pd.api.types.is_numeric_dtype(data[column]) else "nominal")
        for column in columns
    ]


def _title(text: str) -> str | list[str]:
    # On a phone an axis has room for about so many letters a line; lines of like length need the least.
    lines = textwrap.wrap(text, 40)
    if len(lines) < 2:
        return text
    return next(even for width in range(1, 41) if len(even := textwrap.wrap(text, width)) == len(lines))


def _axis(number_format: str) -> alt.Axis:
    if number_format.startswith("+"):
        # d3 would sign zero too. Formatted anew, it would have other decimals than its neighbours.
        plain = "datum.value == 0 ? replace(datum.label, '+', '') : datum.label"
        return alt.Axis(format=number_format, labelExpr=plain)
    return alt.Axis(format=number_format) if number_format else alt.Axis()


def _scale(domain: Sequence[float] | None, *, log: bool = False) -> alt.Scale:
    # Else a second layer, a marker say, would have a given domain rounded outwards.
    scale = alt.Scale() if domain is None else alt.Scale(domain=list(domain), nice=False)
    if log:
        scale.type = "log"
    return scale
