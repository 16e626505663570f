"""What do the nine tables hold that every diagnostic reads, and does a reader's own table fit?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import narwhals as nw
import pandas as pd

from toolkit.frames import schema_of

Kind = Literal["id", "number", "count", "label", "flag", "text", "time"]

_KINDS: dict[Kind, str] = {
    "id": "whole number or text",
    "number": "finite number",
    "count": "whole number, not negative",
    "label": "0 or 1",
    "flag": "true or false",
    "text": "text",
    "time": "timestamp with a time zone",
}


@dataclass(frozen=True)
class Column:
    """One column of a table: what it means and what a value must be."""

    name: str
    kind: Kind
    meaning: str
    low: float | None = None  # the least value allowed
    high: float | None = None
    above: float | None = None  # every value lies above this one
    may_be_missing: str = ""  # when a value is missing; never, where empty

    @property
    def rule(self) -> str:
        """What a value must be, in words."""
        parts = ["whole number" if self.kind == "count" and self.low is not None else _KINDS[self.kind]]
        if self.above is not None and self.high is not None:
            parts.append(f"in ({self.above:g}, {self.high:g}]")
        elif self.low is not None:
            parts.append(f"at least {self.low:g}")
        if self.may_be_missing:
            parts.append(f"missing {self.may_be_missing}")
        return ", ".join(parts)


@dataclass(frozen=True)
class Table:
    """One of the nine tables: its columns, what identifies a row, and which columns must be in order."""

    name: str
    meaning: str
    columns: tuple[Column, ...]
    key: tuple[str, ...] = ()
    features: bool = False  # whether it also has feature columns, named f_*
    not_before: tuple[tuple[str, str], ...] = ()  # pairs of times: the second is never before the first
    parent: tuple[str, tuple[str, ...]] | None = None  # another table that must hold these values
    written_by: str = ""  # what writes a row, and when

    @property
    def column(self) -> dict[str, Column]:
        """The columns by name."""
        return {column.name: column for column in self.columns}


_REQUEST = Column("request_id", "id", "the request: one occasion to show something")
_ITEM = Column("item_id", "id", "the item that was shown, or might have been")
_USER = Column("user_id", "id", "the unit that experiments split")
_MODEL = Column("model_id", "text", "the model that made the score")

SCHEMA: dict[str, Table] = {
    table.name: table
    for table in (
        Table(
            "serving_log",
            "What production showed: one row an impression, with what the model was given and made of it.",
            (
                _REQUEST,
                _USER,
                _ITEM,
                Column("ts", "time", "when it was shown"),
                Column("arm", "text", "the user's arm", may_be_missing="outside an experiment"),
                _MODEL,
                Column("feature_version", "count", "version of the feature definitions that were served"),
                Column("score", "number", "the model's score"),
                Column("position", "count", "place on the page, from 1", low=1),
                Column(
                    "propensity",
                    "number",
                    "chance that the logging policy showed this item",
                    above=0.0,
                    high=1.0,
                ),
                Column("explored", "flag", "whether the item was drawn at random"),
                Column("shown", "flag", "whether the user could see it"),
            ),
            key=("request_id", "item_id"),
            features=True,
            written_by="the server, when it shows a page",
        ),
        Table(
            "outcomes",
            "What users did: one row an impression whose label has come in.",
            (
                _REQUEST,
                _ITEM,
                Column(
                    "y", "label", "1: a good match, the user acted (in moderation: the post breaks the rules)"
                ),
                Column("label_ts", "time", "when the label was known"),
            ),
            key=("request_id", "item_id"),
            parent=("serving_log", ("request_id", "item_id")),
            written_by="the job that joins users' actions (or reviewers' decisions) to impressions, when a label is known",
        ),
        Table(
            "funnel",
            "What each stage made of the candidates: one row a candidate, for a sample of the requests.",
            (
                _REQUEST,
                _ITEM,
                Column("light_score", "number", "the light ranker's score"),
                Column("passed_light", "flag", "whether it went on to the heavy ranker"),
                Column(
                    "heavy_score",
                    "number",
                    "the heavy ranker's score",
                    may_be_missing="where it wasn't asked",
                ),
                Column(
                    "rank",
                    "number",
                    "place among those that passed, 1 for the best",
                    low=1,
                    may_be_missing="where the candidate didn't pass",
                ),
            ),
            key=("request_id", "item_id"),
            written_by="the server, at requests that are sampled for it; at some of them the heavy ranker must score all candidates",
        ),
        Table(
            "feature_history",
            "Every value that a feature took: when the event was, and when the value could be read.",
            (
                Column("entity_id", "id", "whose value it is: an item, a user"),
                Column("feature", "text", "the feature's name"),
                Column("event_ts", "time", "when the event was that the value describes"),
                Column("available_ts", "time", "when the value could first be read"),
                Column("value", "number", "the value"),
                Column("version", "count", "version of the feature's definition"),
            ),
            not_before=(("event_ts", "available_ts"),),
            written_by="whatever computes the feature, a batch job or a stream, at each new value; rows are added and never changed",
        ),
        Table(
            "training_table",
            "What a model was trained on and judged by: one row an example.",
            (
                Column("row_id", "id", "the example"),
                _REQUEST,
                _ITEM,
                Column("ts", "time", "when the request came in"),
                Column("y", "label", "the label"),
                Column("snapshot_ts", "time", "when the features were read"),
                Column("split", "text", "train, holdout, or another part"),
            ),
            key=("row_id",),
            features=True,
            written_by="the job that makes a model's training data, before each training",
        ),
        Table(
            "assignments",
            "Who is in which arm: one row a user and experiment.",
            (
                Column("experiment", "text", "the experiment's name"),
                _USER,
                Column("arm", "text", "the arm"),
                Column("ts", "time", "when the user came in"),
            ),
            key=("experiment", "user_id"),
            written_by="the experiment platform, when it first puts a user into an arm",
        ),
        Table(
            "tracker",
            "Which models were tried: one row a training run.",
            (
                Column("run_id", "id", "the run"),
                Column("parent_run", "id", "the run that it started from", may_be_missing="for the first"),
                Column("config_hash", "text", "fingerprint of the configuration"),
                Column("data_hash", "text", "fingerprint of the data"),
                Column("seed", "count", "seed of the run's random numbers"),
                Column("metric", "number", "what was measured on the held-out rows"),
                Column("n_holdout", "count", "held-out rows", low=1),
                Column("ts", "time", "when the run ended"),
            ),
            key=("run_id",),
            written_by="the training code, at the end of each run",
        ),
        Table(
            "resources",
            "How much of what is scarce was used: one row an hour and resource.",
            (
                Column("ts", "time", "when the hour began"),
                Column("resource", "text", "the resource's name: a budget, a pool of machines"),
                Column("capacity", "number", "what there was of it", low=0),
                Column("used", "number", "what was used", low=0),
            ),
            key=("ts", "resource"),
            written_by="the system that hands out the resource, at the end of each hour",
        ),
        Table(
            "downstream",
            "What another team's system makes of the score: one row a score it read.",
            (
                Column("ts", "time", "when it was read"),
                Column("upstream_score", "number", "the score that was read"),
                Column("upstream_version", "text", "the model that wrote it"),
                Column("score", "number", "what the downstream system made of it"),
                Column("action", "flag", "whether it acted"),
            ),
            written_by="the system that reads the score, at each score that it reads",
        ),
    )
}


def problems(frame: Any, table: str | Table) -> pd.DataFrame:
    """What is wrong with a table, by the schema: one row a broken rule, none for a good table.

    Parameters
    ----------
    frame : any frame that Narwhals reads
        Eager or lazy; only counts are fetched from a lazy one.
    table : str or Table
        Which of the nine tables it should be, or a schema of one's own.

    Returns
    -------
    DataFrame
        `column`, `rule` that it breaks, `rows` that break it (None where the whole column does).

    Raises
    ------
    ValueError
        If there is no such table, or `frame` isn't a frame.

    Examples
    --------
    >>> frame = pd.DataFrame({"request_id": [1, 1], "item_id": [7, 7], "y": [0, 2]})
    >>> for column, rule, rows in problems(frame, "outcomes").itertuples(index=False):
    ...     print(f"{column}: {rule}")
    label_ts: it is missing
    y: 0 or 1
    request_id, item_id: each at most once
    """
    schema = table if isinstance(table, Table) else _schema(table)
    lazy = _lazy(frame, schema.name)
    types = schema_of(lazy)
    found: list[tuple[str, str, int | None]] = []
    checks: dict[str, tuple[str, str, nw.Expr]] = {}
    whole = []
    features = [name for name in types if name.startswith("f_")] if schema.features else []
    for column in (
        *schema.columns,
        *(Column(name, "number", "", may_be_missing="where it isn't used") for name in features),
    ):
        if column.name not in types:
            found.append((column.name, "it is missing", None))
            continue
        if not _is_kind(types[column.name], column.kind):
            found.append((column.name, f"{_KINDS[column.kind]}; it is {types[column.name]}", None))
            continue
        whole.append(column.name)
        for rule, broken in _broken(column, types[column.name]).items():
            checks[f"check {len(checks)}"] = (column.name, rule, broken)
    for before, after in schema.not_before:
        if {before, after} <= set(whole):
            late = nw.col(after) < nw.col(before)
            checks[f"check {len(checks)}"] = (after, f"not before {before}", late)
    if checks:
        counts = lazy.select(**{name: check[2].cast(nw.Int64).sum() for name, check in checks.items()})
        row = counts.collect().rows(named=True)[0]
        found += [(column, rule, int(row[name])) for name, (column, rule, _) in checks.items() if row[name]]
    if schema.key and set(schema.key) <= set(whole):
        repeated = (
            lazy.group_by(*schema.key)
            .agg(nw.len().alias("n"))
            .filter(nw.col("n") > 1)
            .select(nw.len())
            .collect()
        )
        if repeated.item():
            found.append((", ".join(schema.key), "each at most once", int(repeated.item())))
    return pd.DataFrame(found, columns=["column", "rule", "rows"]).astype({"rows": "Int64"})


def validate(frame: Any, table: str) -> None:
    """Refuse a table that breaks the schema, naming every broken rule.

    Raises
    ------
    ValueError
        With the table, the columns, the rules and how many rows break each.

    Examples
    --------
    >>> validate(pd.DataFrame({"request_id": [1], "item_id": [7], "y": [2]}), "outcomes")
    Traceback (most recent call last):
    ValueError: outcomes: label_ts: it is missing; y: 0 or 1 (broken by 1 row)
    """
    found = problems(frame, table)
    if len(found):
        texts = [
            f"{column}: {rule}"
            + ("" if pd.isna(rows) else f" (broken by {rows:,} {'row' if rows == 1 else 'rows'})")
            for column, rule, rows in found.itertuples(index=False)
        ]
        raise ValueError(f"{table}: {'; '.join(texts)}")


def validate_all(frames: Mapping[str, Any]) -> None:
    """Refuse a set of tables of which one breaks the schema, or refers to rows that another lacks.

    Parameters
    ----------
    frames : mapping of table name to frame
        Any of the nine.

    Raises
    ------
    ValueError
        As `validate`; or with the table, its parent, and how many rows the parent lacks.

    Examples
    --------
    >>> day = pd.Timestamp("2026-03-02", tz="UTC")
    >>> users = pd.DataFrame({"experiment": "new", "user_id": [1, 1], "arm": "control", "ts": day})
    >>> validate_all({"assignments": users})
    Traceback (most recent call last):
    ValueError: assignments: experiment, user_id: each at most once (broken by 1 row)
    """
    for name, frame in frames.items():
        validate(frame, name)
    for name, frame in frames.items():
        parent = SCHEMA[name].parent
        if parent is None or parent[0] not in frames:
            continue
        key = list(parent[1])
        there = _lazy(frames[parent[0]], parent[0]).select(key).unique()
        lost = (
            _lazy(frame, name).select(key).join(there, on=key, how="anti").select(nw.len()).collect().item()
        )
        if lost:
            raise ValueError(f"{name}: {', '.join(key)}: {lost:,} rows aren't in {parent[0]}")


def data_dictionary(table: str) -> pd.DataFrame:
    """What each column of a table means: `column`, `a value is`, `meaning`.

    Examples
    --------
    >>> data_dictionary("outcomes")["column"].tolist()
    ['request_id', 'item_id', 'y', 'label_ts']
    """
    rows = [(column.name, column.rule, column.meaning) for column in _schema(table).columns]
    if SCHEMA[table].features:
        rows.append(
            (
                "f_*",
                "finite number, missing where it isn't used",
                "one column a feature, as the model was given it",
            )
        )
    return pd.DataFrame(rows, columns=["column", "a value is", "meaning"])


def _schema(table: str) -> Table:
    if table not in SCHEMA:
        raise ValueError(f"table: got {table!r}; it must be one of {', '.join(SCHEMA)}")
    return SCHEMA[table]


def _lazy(frame: Any, name: str) -> nw.LazyFrame[Any]:
    try:
        return nw.from_native(frame).lazy()
    except TypeError:
        raise ValueError(
            f"{name}: got {type(frame).__name__}; it must be a frame that Narwhals reads"
        ) from None


def _is_kind(dtype: Any, kind: Kind) -> bool:
    text = dtype in (nw.String, nw.Categorical, nw.Enum, nw.Object)
    if kind == "id":
        return bool(dtype.is_integer() or text)
    if kind in ("count", "label"):
        return bool(dtype.is_integer() or (kind == "label" and dtype == nw.Boolean))
    if kind == "flag":
        return bool(dtype == nw.Boolean)
    if kind == "text":
        return text
    if kind == "time":
        return bool(dtype == nw.Datetime and dtype.time_zone is not None)
    return bool(dtype.is_numeric())


def _broken(column: Column, dtype: Any) -> dict[str, nw.Expr]:
    """For each rule of a column, which rows break it."""
    value, rules = nw.col(column.name), {}
    if not column.may_be_missing:
        rules["never missing"] = value.is_null()
    there = ~value.is_null()
    if dtype.is_float():
        # Where missing is allowed, NaN is how pandas says it.
        bad = ~value.is_finite() if not column.may_be_missing else ~(value.is_finite() | value.is_nan())
        rules["finite"] = there & bad
    if column.kind == "label" and dtype != nw.Boolean:
        rules["0 or 1"] = there & ~value.is_in([0, 1])
    low = 0 if column.kind == "count" and column.low is None else column.low
    if low is not None:
        rules[f"at least {low:g}"] = there & (value < low)
    if column.above is not None:
        rules[f"above {column.above:g}"] = there & (value <= column.above)
    if column.high is not None:
        rules[f"at most {column.high:g}"] = there & (value > column.high)
    return rules
