"""What does each unit of randomisation add up to, whichever library holds its rows?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import narwhals as nw
import numpy as np
import pandas as pd

from toolkit.frames import IMPRESSION, read_columns, with_outcomes


@dataclass(frozen=True)
class UnitSums:
    """Each unit's number of rows, the sum of their values, and that of their squares, around `center`.

    Parameters
    ----------
    rows, total, squares : array of shape (n_units,)
        `total` sums what a row's value has more than `center`, `squares` the squares of that.
    center : float
        The mean of all rows.
    """

    rows: np.ndarray
    total: np.ndarray
    squares: np.ndarray
    center: float


def impressions(
    serving_log: Any, outcomes: Any, *, value: str = "y", columns: Sequence[str] = ("user_id", "arm")
) -> Any:
    """Impressions with their outcomes: `columns` of the log and the outcome's `value`, one row an impression.

    Two lazy frames of one library are joined where they are, and the result is lazy; else it is a
    pandas frame.

    Parameters
    ----------
    serving_log, outcomes : any frame that Narwhals reads
    value : str
        The outcome's column: finite numbers.
    columns : sequence of str
        Columns of the log to keep; `arm` may be missing in rows.

    Raises
    ------
    ValueError
        If a column is missing, an impression is there twice or has no outcome.

    Examples
    --------
    >>> log = pd.DataFrame({"request_id": [1, 2], "item_id": 7, "user_id": [5, 5], "arm": "control"})
    >>> impressions(log, pd.DataFrame({"request_id": [2, 1], "item_id": 7, "y": [0, 1]}))["y"].tolist()
    [1, 0]
    """
    if value in (*IMPRESSION, *columns):
        raise ValueError(f"value: got {value!r}; it must be a column of outcomes that serving_log's aren't")
    log, labels = frame_of(serving_log, "serving_log"), frame_of(outcomes, "outcomes")
    if not (
        isinstance(log, nw.LazyFrame)
        and isinstance(labels, nw.LazyFrame)
        and log.implementation == labels.implementation
    ):
        wanted = list(dict.fromkeys([*IMPRESSION, *columns]))
        rows = read_columns(serving_log, "serving_log", wanted, key=IMPRESSION, missing=["arm"])
        return with_outcomes(rows, outcomes, value=value, label=False)[[*columns, value]]
    has(log, "serving_log", [*IMPRESSION, *columns])
    has(labels, "outcomes", [*IMPRESSION, value], numbers=[value])
    # A key that is there twice would count an outcome twice.
    for name, frame in (("serving_log", log), ("outcomes", labels)):
        distinct = frame.select(*IMPRESSION).unique().select(nw.len()).collect().item()
        total = frame.select(nw.len()).collect().item()
        if distinct < total:
            raise ValueError(
                f"{', '.join(IMPRESSION)}: got {total - distinct:,} repeated of {total:,}; "
                f"each must be in {name} once"
            )
    joined = log.select(*IMPRESSION, *columns).join(
        labels.select(*IMPRESSION, value), on=IMPRESSION, how="left"
    )
    lost = joined.select(nw.col(value).is_null().cast(nw.Int64).sum()).collect().item()
    if lost:
        raise ValueError(f"outcomes: got none for {lost:,} rows; each needs one")
    return joined.select(*columns, value).to_native()


def unit_sums(rows: Any, *, value: str, cluster: str | None, name: str = "log") -> UnitSums:
    """What each unit's rows sum to; computed where a lazy frame is, which sends one row a unit.

    Parameters
    ----------
    rows : any frame that Narwhals reads
        One row an event.
    value : str
        Column of finite numbers, none missing.
    cluster : str or None
        Column of the unit; None if each row is one.
    name : str
        What errors call the frame.

    Raises
    ------
    ValueError
        If a column is missing, or has missing values or values that aren't finite numbers, or some
        ids are text and others not.

    Examples
    --------
    >>> log = pd.DataFrame({"user_id": [1, 1, 2], "y": [1.0, 0.0, 5.0]})
    >>> sums = unit_sums(log, value="y", cluster="user_id")
    >>> sums.rows.tolist(), sums.total.tolist(), sums.center
    ([2, 1], [-3.0, 3.0], 2.0)
    """
    frame = frame_of(rows, name)
    wanted = [value] if cluster is None else [cluster, value]
    if not isinstance(frame, nw.LazyFrame) or cluster is None:
        table = read_columns(rows, name, wanted, numbers=[value])
        numbers = table[value].to_numpy(float)
        center = float(numbers.mean())
        numbers = numbers - center
        if cluster is None:
            return UnitSums(np.ones(len(table)), numbers, numbers**2, center)
        one_kind(table[cluster], cluster, name)
        code, _ = pd.factorize(table[cluster])
        return UnitSums(np.bincount(code), np.bincount(code, numbers), np.bincount(code, numbers**2), center)
    has(frame, name, wanted, numbers=[value])
    column = nw.col(value).cast(nw.Float64)
    first = frame.select(
        nw.len().alias("n"),
        column.mean().alias("mean"),
        nw.col(value).is_null().cast(nw.Int64).sum().alias("lost"),
        nw.col(cluster).is_null().cast(nw.Int64).sum().alias("nobody"),
    )
    told = first.collect().rows(named=True)[0]
    if not told["n"]:
        raise ValueError(f"{name}: got no row; it must have one at least")
    for missing, column_name in (("lost", value), ("nobody", cluster)):
        if told[missing]:
            raise ValueError(
                f"{column_name}: got {told[missing]} missing of {told['n']}; {name} must be complete"
            )
    center = float(told["mean"])
    if not np.isfinite(center):
        raise ValueError(f"{value}: got a mean of {center} in {name}; each must be finite")
    around = frame.select(nw.col(cluster), (column - center).alias("total"))
    around = around.with_columns((nw.col("total") * nw.col("total")).alias("squares"))
    sums = around.group_by(cluster).agg(
        nw.len().alias("rows"), nw.col("total").sum(), nw.col("squares").sum()
    )
    # In one order, whatever the library's threads do.
    found = sums.sort(cluster).select("rows", "total", "squares").collect()
    return UnitSums(
        found["rows"].to_numpy().astype(float),
        found["total"].to_numpy().astype(float),
        found["squares"].to_numpy().astype(float),
        center,
    )


def frame_of(frame: Any, name: str) -> nw.DataFrame[Any] | nw.LazyFrame[Any]:
    """A frame through Narwhals, refused if it isn't one.

    Examples
    --------
    >>> frame_of([1], "log")
    Traceback (most recent call last):
    ValueError: log: got list; it must be a frame that Narwhals reads
    """
    try:
        result: nw.DataFrame[Any] | nw.LazyFrame[Any] = nw.from_native(frame)
    except TypeError:
        raise ValueError(
            f"{name}: got {type(frame).__name__}; it must be a frame that Narwhals reads"
        ) from None
    return result


def has(
    frame: nw.DataFrame[Any] | nw.LazyFrame[Any],
    name: str,
    columns: Sequence[str],
    *,
    numbers: Sequence[str] = (),
) -> None:
    """Refuse a frame that lacks a column, or in which one of `numbers` isn't numeric.

    Examples
    --------
    >>> has(frame_of(pd.DataFrame({"y": ["a"]}), "log"), "log", ["y"], numbers=["y"])
    Traceback (most recent call last):
    ValueError: y: got String in log; it must be numbers
    """
    schema = frame.collect_schema()
    absent = [column for column in columns if column not in schema]
    if absent:
        raise ValueError(f"{name}: got columns {schema.names()}; it must have {', '.join(absent)}")
    for column in numbers:
        if not (schema[column].is_numeric() or schema[column] == nw.Boolean):
            raise ValueError(f"{column}: got {schema[column]} in {name}; it must be numbers")


def one_kind(ids: Any, column: str, name: str) -> None:
    """Refuse ids of which some are text and some aren't: 7 and "7" would be two units.

    Examples
    --------
    >>> one_kind(pd.Series([7, "7"]), "user_id", "log")
    Traceback (most recent call last):
    ValueError: user_id: got ids that are text and others that aren't in log; they must be of one kind
    """
    # Only pandas has columns of any objects.
    if not isinstance(ids, pd.Series) or ids.dtype != object:
        return
    texts = {issubclass(kind, str) for kind in set(map(type, ids.dropna()))}
    if len(texts) > 1:
        raise ValueError(
            f"{column}: got ids that are text and others that aren't in {name}; they must be of one kind"
        )
