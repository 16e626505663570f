"""Each chart form draws its data as given: in order, with axes as named, in colours that follow the mode."""

from __future__ import annotations

import json
import re

import pandas as pd
import pytest

from toolkit import charts
from toolkit.explore.vega import STYLE, compile_skeleton, split, to_svg

PATH = pd.DataFrame(
    {
        "day": [1, 2, 1, 2],
        "rate": [0.1, 0.3, 0.2, 0.1],
        "arm": ["treatment", "treatment", "control", "control"],
        "low": [0.0, 0.2, 0.1, 0.0],
        "high": [0.2, 0.4, 0.3, 0.2],
    }
)
MAP = pd.DataFrame({"lag": [2, 1, 2, 1], "half_life": [1, 1, 3, 3], "lift": [-0.5, 0.05, 0.1, 2.0]})
FORMS = {
    "lines": lambda: charts.lines(PATH[:2], x="day", y="rate"),
    "lines with all": lambda: charts.lines(
        PATH,
        x="day",
        y="rate",
        series="arm",
        title="Rates",
        y_format="%",
        x_domain=[1, 2],
        y_domain=[0, 1],
        log_x=True,
        low="low",
        high="high",
        reference=0.05,
        reference_label="nominal",
        marker=1.5,
        marker_label="launch",
        points=True,
    ),
    "fan": lambda: charts.fan(PATH, x="day", y="rate", path="arm", x_domain=[1, 2], reference=0.5),
    "points": lambda: charts.points(PATH, x="low", y="high", series="arm", reference=0.5, diagonal=True),
    "signs": lambda: charts.signs(
        MAP, x="lag", y="half_life", value="lift", above="new wins", below="old wins", limit=0.2, here=(1, 3)
    ),
    "bars": lambda: charts.bars(
        PATH[:2], category="day", value="rate", low="low", high="high", reference=0.2
    ),
    "grouped bars": lambda: charts.bars(
        PATH, category="day", value="rate", colour="arm", low="low", high="high", value_domain=[0, 1]
    ),
    "named bars": lambda: charts.named_bars({"new": 0.2, "old": -0.1}, value_title="lift", value_format="+%"),
    "waterfall": lambda: charts.waterfall(
        {"lag": -0.3, "ranker": 0.1}, start=("claimed", 0.5), end="measured"
    ),
}


def taken_apart(name):
    skeleton, data = split(FORMS[name]().to_dict())
    return compile_skeleton(skeleton, list(data)), list(data.values())


def scales(drawn):
    return {scale["name"]: scale for scale in drawn["scales"]}


def titles(drawn):
    return {axis["orient"]: axis["title"] for axis in drawn["axes"] if "title" in axis}


def flat(node):
    """The marks in order, those of groups (a line a series) included."""
    for mark in node.get("marks", []):
        if mark["type"] != "group":
            yield mark
        yield from flat(mark)


def marks(drawn):
    return [mark["type"] for mark in flat(drawn)]


@pytest.mark.parametrize("name", FORMS)
def test_each_form_draws_and_every_colour_is_a_variable_of_the_style_sheet(name):
    drawn, _ = taken_apart(name)
    assert marks(drawn)
    known = set(re.findall(r"(--tk-[a-z]+):", STYLE))
    svg = to_svg(FORMS[name]().to_dict())
    used = set(re.findall(r'(?:fill|stroke)="([^"]+)"', svg)) - {"none", "transparent"}
    assert used
    for colour in used:
        assert re.fullmatch(r"var\((--tk-[a-z]+)\)", colour)[1] in known
    # Nor does the specification hold one that only another state would show.
    assert not re.search(r'"#[0-9a-fA-F]{3,8}"|"rgb|"hsl', json.dumps(FORMS[name]().to_dict()["layer"]))


def test_every_colour_of_the_module_has_a_value_in_light_and_in_dark():
    colours = [charts.INK, charts.MUTED, *charts.SERIES]
    assert len(set(colours)) == len(colours)
    for colour in colours:
        assert STYLE.count(f"{colour[len('var(') : -1]}:") == 2


def test_lines_keep_the_order_of_their_series_and_tell_them_apart_without_colour():
    drawn, _ = taken_apart("lines with all")
    assert scales(drawn)["color"]["domain"] == ["treatment", "control"]
    assert scales(drawn)["strokeDash"]["domain"] == ["treatment", "control"]
    (legend,) = drawn["legends"]
    assert {"stroke", "strokeDash"} <= set(legend)


def test_a_reference_lies_a_marker_stands_and_a_band_spans_without_changing_the_axes_titles():
    drawn, data = taken_apart("lines with all")
    assert marks(drawn) == ["line", "symbol", "area", "rule", "text", "rule", "text"]
    assert {"reference": [0.05], "label": ["nominal"]} in data
    assert {"marker": [1.5], "label": ["launch"]} in data
    assert titles(drawn) == {"bottom": "day", "left": "rate"}
    horizontal, vertical = (mark["encode"]["update"] for mark in drawn["marks"] if mark["type"] == "rule")
    assert horizontal["y"]["field"] == "reference"
    assert {"field": {"group": "width"}} in (horizontal["x"], horizontal["x2"])
    assert vertical["x"]["field"] == "marker"
    assert {"field": {"group": "height"}} in (vertical["y"], vertical["y2"])


def test_an_axis_title_of_two_lines_has_them_of_like_length_and_a_short_one_stays_a_line():
    long = "squared error of the long memory minus that of the short one"
    chart = charts.lines(
        PATH[:2], x="day", y="rate", x_title=long, y_title="a rate of no more than forty letters"
    )
    skeleton, data = split(chart.to_dict())
    assert titles(compile_skeleton(skeleton, list(data))) == {
        "bottom": ["squared error of the long memory", "minus that of the short one"],
        "left": "a rate of no more than forty letters",
    }


def test_fixed_domains_and_logarithms_reach_the_axes():
    drawn, _ = taken_apart("lines with all")
    assert scales(drawn)["x"]["domain"] == [1, 2]
    assert scales(drawn)["y"]["domain"] == [0, 1]
    assert (scales(drawn)["x"]["type"], scales(drawn)["y"]["type"]) == ("log", "linear")


@pytest.mark.parametrize("log", [False, True])
def test_a_given_domain_is_kept_and_not_rounded_by_what_is_drawn_beside(log):
    chart = charts.lines(
        PATH[:2],
        x="day",
        y="rate",
        x_domain=[0.7, 2.3],
        y_domain=[0.07, 0.33],
        log_x=log,
        log_y=log,
        marker=1.5,
        reference=0.1,
    )
    skeleton, data = split(chart.to_dict())
    drawn = scales(compile_skeleton(skeleton, list(data)))
    assert (drawn["x"]["domain"], drawn["y"]["domain"]) == ([0.7, 2.3], [0.07, 0.33])
    assert drawn["x"]["nice"] is drawn["y"]["nice"] is False


SYMBOLS = {
    "lines": lambda data: charts.lines(
        data, x="x", y="y", x_domain=[0, 1], y_domain=[0, 1], points=True, series="name"
    ),
    "points": lambda data: charts.points(data, x="x", y="y", x_domain=[0, 1], y_domain=[0, 1], series="name"),
}


@pytest.mark.parametrize("form", SYMBOLS)
def test_a_symbol_at_a_domain_s_end_is_whole_and_one_beyond_it_is_not_there(form):
    # Two at ends, one within, two beyond one end or the other.
    data = pd.DataFrame({"x": [0, 0.5, 1, 1.2, 0.5], "y": [0.5, 0.5, 1, 0.5, -0.1], "name": "model"})
    chart = SYMBOLS[form](data)
    skeleton, tables = split(chart.to_dict())
    drawn = compile_skeleton(skeleton, list(tables))
    clipped = {mark["type"]: mark.get("clip", False) for mark in flat(drawn)}
    assert clipped.pop("symbol") is False
    assert all(clipped.values())
    # Their fill sets them apart from the legend's symbol and the axes.
    shapes = re.findall(r'aria-roledescription="point"', to_svg(chart.to_dict()))
    assert len(shapes) == 3


def test_a_label_is_only_drawn_where_there_is_one():
    plain = charts.lines(PATH[:2], x="day", y="rate", reference=0.05, marker=1.5)
    skeleton, data = split(plain.to_dict())
    assert marks(compile_skeleton(skeleton, list(data))) == ["line", "rule", "rule"]


def test_points_differ_in_shape_and_the_diagonal_joins_equal_coordinates():
    drawn, data = taken_apart("points")
    (legend,) = drawn["legends"]
    assert {"fill", "shape"} <= set(legend)
    # The smallest and the largest of both coordinates.
    assert {"x": [0, 0.4], "y": [0, 0.4]} in data


def test_a_map_is_ordered_by_size_and_its_colours_say_the_sign_and_its_fullness_the_strength():
    drawn, data = taken_apart("signs")
    assert scales(drawn)["color"]["domain"] == ["new wins", "old wins"]
    assert data[0]["sign"] == ["old wins", "new wins", "new wins", "new wins"]
    # Over the limit of 0.2 a square is full.
    assert data[0]["strength"] == [1, 0.25, 0.5, 1]
    skeleton, _ = split(FORMS["signs"]().to_dict())
    axes = skeleton["layer"][0]["encoding"]
    assert axes["x"]["sort"] == [1, 2]
    assert axes["y"]["sort"] == [3, 1]
    assert data[1] == {"lag": [1], "half_life": [3]}


@pytest.mark.parametrize("name", ["bars", "grouped bars", "named bars", "waterfall"])
def test_bars_stand_in_the_order_of_their_rows_with_a_label_each(name):
    expected = {
        "bars": [1, 2],
        "grouped bars": [1, 2],
        "named bars": ["new", "old"],
        "waterfall": ["claimed", "lag", "ranker", "measured"],
    }[name]
    skeleton, data = split(FORMS[name]().to_dict())
    rows = {tuple(layer["encoding"]["y"]["sort"]) for layer in skeleton["layer"] if "y" in layer["encoding"]}
    assert rows == {tuple(expected)}
    assert expected in [column for table in data.values() for column in table.values()]
    assert "text" in marks(compile_skeleton(skeleton, list(data)))


def test_grouped_bars_have_a_colour_and_a_row_of_their_own_each():
    drawn, _ = taken_apart("grouped bars")
    assert scales(drawn)["color"]["domain"] == ["treatment", "control"]
    assert scales(drawn)["yOffset"]["type"] == "band"
    assert scales(drawn)["x"]["domain"] == [0, 1]


def test_grouped_bars_take_the_colours_that_they_are_given():
    chosen = {"control": charts.MUTED, "treatment": charts.GREEN}
    chart = charts.bars(PATH, category="day", value="rate", colour="arm", colours=chosen)
    skeleton, data = split(chart.to_dict())
    scale = scales(compile_skeleton(skeleton, list(data)))["color"]
    assert (scale["domain"], scale["range"]) == (list(chosen), list(chosen.values()))


@pytest.mark.parametrize(("number_format", "zero"), [("+%", "0%"), ("+.2%", "0.00%"), ("+.1f", "0.0")])
def test_a_signed_axis_leaves_zero_unsigned_and_with_the_decimals_of_the_others(number_format, zero):
    chart = charts.lines(PATH[:2], x="day", y="rate", y_format=number_format, y_domain=[-0.4, 0.4])
    labels = re.findall(r"<text[^>]*>([^<]*)</text>", to_svg(chart.to_dict()))
    assert zero in labels
    assert not {"+0%", "+0.00%", "+0.0", "0.000000%"} & set(labels)


def test_each_step_of_a_waterfall_starts_where_the_one_before_ended():
    _, data = taken_apart("waterfall")
    data = [columns for columns in data if "from" in columns]
    assert data[0]["from"] == pytest.approx([0, 0.5, 0.2, 0])
    assert data[0]["to"] == pytest.approx([0.5, 0.2, 0.3, 0.3])
    assert data[0]["kind"] == ["total", "lowers", "raises", "total"]


def test_many_series_never_run_out_of_colours():
    many = pd.DataFrame({"x": [0] * 8, "y": range(8), "name": list("abcdefgh")})
    skeleton, _ = split(charts.points(many, x="x", y="y", series="name").to_dict())
    scale = skeleton["layer"][0]["encoding"]["color"]["scale"]
    assert len(scale["domain"]) == len(scale["range"]) == 8


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: charts.bars(PATH, category="day", value="rate"),
            "day: got 1 twice; its bars would stand on each other",
        ),
        (
            lambda: charts.bars(PATH.iloc[[0, 0]], category="day", value="rate", colour="arm"),
            "day, arm: got 1, treatment twice",
        ),
        (
            lambda: charts.waterfall({"claimed": 1.0}, start=("claimed", 0.5), end="measured"),
            "parts: got 'claimed', which labels a total",
        ),
    ],
)
def test_what_it_refuses(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize(("marker", "align"), [(1.2, "left"), (1.5, "left"), (1.9, "right")])
def test_a_marker_s_label_stands_on_the_side_that_has_room(marker, align):
    chart = charts.lines(PATH[:2], x="day", y="rate", x_domain=[1, 2], marker=marker, marker_label="here")
    [text] = [layer for layer in chart.to_dict()["layer"] if layer["mark"]["type"] == "text"]
    assert text["mark"]["align"] == align
    assert (text["mark"]["dx"] < 0) == (align == "right")
