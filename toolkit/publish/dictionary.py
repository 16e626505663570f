"""How does the schema of the nine tables become the data dictionary's page?"""

from __future__ import annotations

from toolkit.nine_tables import SCHEMA, data_dictionary
from toolkit.publish.generated import Generated


def markdown() -> str:
    """The nine tables, a heading and a table of columns each.

    Examples
    --------
    >>> print(markdown()[:24])
    (table-serving_log)=
    ##
    """
    parts = []
    for name, table in SCHEMA.items():
        rows = [" | ".join(["column", "a value is", "meaning"]), "|".join(["---"] * 3)]
        rows += [
            f"`{column}` | {rule} | {meaning}"
            for column, rule, meaning in data_dictionary(name).itertuples(index=False)
        ]
        told = [f"(table-{name})=", f"## {name}", table.meaning]
        if table.key:
            told.append(f"No two rows share {' and '.join(f'`{part}`' for part in table.key)}.")
        told += [f"`{after}` is never before `{before}`." for before, after in table.not_before]
        if table.parent:
            parent, key = table.parent
            told.append(f"Each row's {' and '.join(f'`{part}`' for part in key)} must be in `{parent}`.")
        parts.append("\n\n".join([*told, "\n".join(rows)]))
    return "\n\n".join(parts)


class DataDictionary(Generated):
    """Put the nine tables' columns where it stands."""

    def markdown(self) -> str:
        """The nine tables."""
        return markdown()
