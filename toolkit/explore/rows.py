"""How does a chart become a specification within milliseconds, hundreds of times in a row?

Altair makes the same one, but looks at every column and checks every chart anew.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

import altair as alt
import pandas as pd

_MOST_ROWS = 5000  # beyond, Altair's own way raises
_checked: set[str] = set()


def to_spec(chart: Any) -> dict[str, Any]:
    """The Vega-Lite specification of a chart, checked where one that differs in its data alone wasn't before.

    Raises
    ------
    jsonschema.ValidationError
        If the chart isn't valid Vega-Lite.

    Examples
    --------
    >>> chart = alt.Chart(pd.DataFrame({"x": [1.5, None]})).mark_point().encode(x="x:Q")
    >>> to_spec(chart) == chart.to_dict()
    True
    """
    alt.data_transformers.register("rows", to_values)
    with alt.data_transformers.enable("rows"):
        spec: dict[str, Any] = chart.to_dict(validate=False)
    skeleton = {key: value for key, value in spec.items() if key != "datasets"}
    key = re.sub(r'"data-[0-9a-f]{32}"', '"data"', json.dumps(skeleton))
    if key not in _checked:
        chart.validate(skeleton)
        _checked.add(key)
    return spec


def to_values(data: Any) -> dict[str, Any]:
    """What Altair's default makes of a chart's data; faster for frames of plain numbers, words and booleans.

    Examples
    --------
    >>> to_values(pd.DataFrame({"x": [1.5, None], "day": ["Mon", "Tue"]}))
    {'values': [{'x': 1.5, 'day': 'Mon'}, {'x': None, 'day': 'Tue'}]}
    """
    if isinstance(data, pd.DataFrame) and len(data) <= _MOST_ROWS and _plain_names(data):
        columns = {name: _plain(column) for name, column in data.items()}
        if columns and None not in columns.values():
            rows = zip(*columns.values(), strict=True)
            return {"values": [dict(zip(columns, row, strict=True)) for row in rows]}
    return dict(alt.default_data_transformer(data))


def _plain_names(data: pd.DataFrame) -> bool:
    names = list(data.columns)
    return (
        all(isinstance(name, str) for name in names)
        and len(set(names)) == len(names)
        and not isinstance(data.index, pd.MultiIndex)
    )


def _plain(column: pd.Series) -> list[Any] | None:
    """The column's values as JSON has them, or nothing where Altair must look."""
    if column.dtype == "float64":
        return [value if math.isfinite(value) else None for value in column.tolist()]
    if column.dtype in ("int64", "bool"):
        return column.tolist()
    if str(column.dtype) in ("str", "string"):
        return [value if isinstance(value, str) else None for value in column.tolist()]
    return None
