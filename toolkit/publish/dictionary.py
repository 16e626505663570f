"""How does the schema of the nine tables become the data dictionary's page?"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pandas as pd

from toolkit.nine_tables import SCHEMA, Table, data_dictionary
from toolkit.publish.diagnostics import readers
from toolkit.publish.generated import Generated


@cache
def example_rows() -> dict[str, dict[str, Any]]:
    """A row of each table as a small FooBar writes it, as complete as one is.

    Examples
    --------
    >>> int(example_rows()["outcomes"]["y"])
    0
    """
    from toolkit.world import Settings
    from toolkit.world.company import tables
    from toolkit.world.story import tell

    made = tables(tell(Settings(items=50, requests=50, days=33)))
    return {name: _fullest(frame) for name, frame in made.items()}


def _fullest(frame: pd.DataFrame) -> dict[str, Any]:
    place = frame.notna().sum(axis=1).to_numpy().argmax()
    return {str(column): frame[column].iloc[place] for column in frame}


def shown(value: Any) -> str:
    """A value of an example row, as code.

    Examples
    --------
    >>> shown(pd.Timestamp("2026-03-02 10:00:00.25", tz="UTC")), shown(0.123456), shown(None)
    ('`2026-03-02 10:00:00+00:00`', '`0.1235`', 'missing')
    """
    if not isinstance(value, str) and pd.isna(value):
        return "missing"
    if isinstance(value, pd.Timestamp):
        return f"`{value.floor('s')}`"
    return f"`{value:.4g}`" if isinstance(value, float | np.floating) else f"`{value}`"


def relations(table: Table) -> list[str]:
    """What holds between a table's rows, and between them and other tables', in sentences.

    Examples
    --------
    >>> relations(SCHEMA["outcomes"])[1]
    'Each row belongs to the one of [serving_log](#table-serving_log) with the same `request_id` and `item_id`, which must be there.'
    """
    told = []
    if table.key:
        told.append(
            f"Key: {_columns(table.key)}. No two rows share {'it' if len(table.key) == 1 else 'both'}."
        )
    else:
        told.append("It has no key: rows may be alike.")
    if table.parent:
        parent, key = table.parent
        told.append(
            f"Each row belongs to the one of {_table(parent)} with the same {_columns(key)}, which must be there."
        )
    told += [f"`{after}` is never before `{before}`." for before, after in table.not_before]
    return told


def meetings() -> str:
    """By which columns rows of several tables belong together: a table of columns and tables.

    Examples
    --------
    >>> "`user_id` | [serving_log](#table-serving_log), [assignments](#table-assignments)" in meetings()
    True
    """
    ways = (("request_id", "item_id"), ("user_id",))
    rows = ["by | the same in", "--- | ---"]
    for way in ways:
        holding = [name for name, table in SCHEMA.items() if set(way) <= set(table.column)]
        rows.append(f"{_columns(way)} | {', '.join(map(_table, holding))}")
    rows.append(f"`entity_id` | {_table('feature_history')}: an `item_id` or a `user_id` of the others")
    return "\n".join(rows)


def _columns(names: tuple[str, ...]) -> str:
    return " and ".join(f"`{name}`" for name in names)


def _table(name: str) -> str:
    return f"[{name}](#table-{name})"


def markdown() -> str:
    """The nine tables, a heading and a table of columns each.

    Examples
    --------
    >>> "(table-serving_log)=" in markdown()
    True
    """
    parts = [f"## How they meet\n\n{meetings()}"]
    for name, table in SCHEMA.items():
        row = example_rows()[name]
        rows = ["column | a value is | meaning | for example", "--- | --- | --- | ---"]
        for column, rule, meaning in data_dictionary(name).itertuples(index=False):
            feature = next(each for each in row if each.startswith("f_")) if column == "f_*" else column
            rows.append(f"`{column}` | {rule} | {meaning} | {shown(row[feature])}")
        told = [f"(table-{name})=", f"## {name}", table.meaning, f"Written by {table.written_by}."]
        told.append(" ".join(relations(table)))
        called = ", ".join(f"{{entry}}`{each.full} {each.name}`" for each in readers().get(name, ()))
        told += ["\n".join(rows), *([f"Read by {called}."] if called else [])]
        parts.append("\n\n".join(told))
    return "\n\n".join(parts)


class DataDictionary(Generated):
    """Put the nine tables' columns where it stands."""

    def markdown(self) -> str:
        """The nine tables."""
        return markdown()
