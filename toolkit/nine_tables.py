"""What do the nine tables hold that every diagnostic reads?

Whether a reader's own table fits is told by `toolkit.tables`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import pandas as pd

__all__ = ["KINDS", "SCHEMA", "Column", "Kind", "Table", "data_dictionary", "nine"]

Kind = Literal["id", "number", "count", "label", "flag", "text", "time"]

KINDS: dict[Kind, str] = {
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
        parts = ["whole number" if self.kind == "count" and self.low is not None else KINDS[self.kind]]
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


def nine(table: str) -> Table:
    """One of the nine tables, by its name.

    Raises
    ------
    ValueError
        If there is no such table.

    Examples
    --------
    >>> nine("outcomes").key
    ('request_id', 'item_id')
    """
    if table not in SCHEMA:
        raise ValueError(f"table: got {table!r}; it must be one of {', '.join(SCHEMA)}")
    return SCHEMA[table]


def data_dictionary(table: str) -> pd.DataFrame:
    """What each column of a table means: `column`, `a value is`, `meaning`.

    Examples
    --------
    >>> data_dictionary("outcomes")["column"].tolist()
    ['request_id', 'item_id', 'y', 'label_ts']
    """
    rows = [(column.name, column.rule, column.meaning) for column in nine(table).columns]
    if SCHEMA[table].features:
        rows.append(
            (
                "f_*",
                "finite number, missing where it isn't used",
                "one column a feature, as the model was given it",
            )
        )
    return pd.DataFrame(rows, columns=["column", "a value is", "meaning"])
