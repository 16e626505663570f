"""How does a reader's table come in, whatever library holds it?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import narwhals as nw
import narwhals.selectors as ncs
import numpy as np
import pandas as pd

# What identifies an impression, in a serving log and in the outcomes.
IMPRESSION = ["request_id", "item_id"]


def read_columns(
    frame: Any,
    name: str,
    columns: Sequence[str],
    *,
    key: Sequence[str] = (),
    missing: Sequence[str] = (),
    labels: Sequence[str] = (),
    propensities: Sequence[str] = (),
    numbers: Sequence[str] = (),
    times: Sequence[str] = (),
    optional: Sequence[str] = (),
    keep: bool = False,
) -> pd.DataFrame:
    """A copy of the named columns as a pandas frame, refused where they aren't complete.

    Equal values give equal columns whichever library held them: plain NumPy numbers (missing ones are
    nan), no categories, rows numbered from 0. Decimals, as databases' drivers give them, and 128-bit
    integers, which DuckDB makes of sums, become floats.

    Parameters
    ----------
    frame : any frame that Narwhals reads
        pandas, Polars, PyArrow; or lazily DuckDB, Ibis, PySpark, Dask: only these columns are
        fetched.
    name : str
        What errors call the frame.
    columns : sequence of str
        The columns that must be there.
    key : sequence of str
        Those of them that together identify a row.
    missing : sequence of str
        Those of them that may have missing values.
    labels, propensities, numbers, times : sequence of str
        Those of them whose values must be 0 or 1, chances in (0, 1], finite numbers, times that
        bear their zone.
    optional : sequence of str
        Further columns that are read, under the same rules, where they are there.
    keep : bool
        Whether to return the frame's other columns too.

    Raises
    ------
    ValueError
        If it isn't a frame, has no row, a column is missing or has missing values or values that it
        mustn't have, or a key is there twice.

    Examples
    --------
    >>> read_columns(pd.DataFrame({"p": [0.1], "note": ["x"]}), "pvalues", ["p"]).columns.tolist()
    ['p']
    """
    try:
        table = nw.from_native(frame)
        have = table.collect_schema().names()
    except TypeError:
        raise ValueError(
            f"{name}: got {type(frame).__name__}; it must be a frame that Narwhals reads"
        ) from None
    except nw.exceptions.DuplicateError:
        raise ValueError(f"{name}: got a column's name twice; each must be there once") from None
    absent = [column for column in columns if column not in have]
    if absent:
        raise ValueError(f"{name}: got columns {have}; it must have {', '.join(absent)}")
    columns = [*columns, *(column for column in optional if column in have)]
    wanted = have if keep else list(dict.fromkeys(columns))
    selected = table.select(*wanted).with_columns(
        ncs.by_dtype(nw.Decimal, nw.Int128, nw.UInt128).cast(nw.Float64)
    )
    eager = selected.collect() if isinstance(selected, nw.LazyFrame) else selected
    result: pd.DataFrame = eager.to_pandas().reset_index(drop=True).apply(_plain)
    if result.empty:
        raise ValueError(f"{name}: got no row; it must have one at least")
    for column in columns:
        if column not in missing and result[column].isna().any():
            empty = int(result[column].isna().sum())
            raise ValueError(f"{column}: got {empty} missing of {len(result)}; {name} must be complete")
    for column in times:
        if column not in columns:
            continue
        if not isinstance(result[column].dtype, pd.DatetimeTZDtype):
            raise ValueError(
                f"{column}: got {result[column].dtype} in {name}; it must be times with their zone "
                "(pd.to_datetime with utc=True gives them; it takes times without a zone for UTC)"
            )
    for column in dict.fromkeys([*labels, *propensities, *numbers]):
        if column not in columns:
            continue  # an optional one that isn't there
        values = result[column]
        if not pd.api.types.is_numeric_dtype(values) or pd.api.types.is_complex_dtype(values):
            raise ValueError(f"{column}: got {values.dtype} in {name}; it must be numbers")
        there = values.notna()
        if column in labels:
            good, rule = values.isin([0, 1]), "a label is 0 or 1"
        elif column in propensities:
            good, rule = (values > 0) & (values <= 1), "a propensity lies in (0, 1]"
        else:
            good, rule = np.isfinite(values.astype(float)), "it must be finite"
        if (there & ~good).any():
            raise ValueError(f"{column}: got {values[there & ~good].iloc[0]} in {name}; {rule}")
    if key and result.duplicated(list(key)).any():
        again = int(result.duplicated(list(key)).sum())
        raise ValueError(
            f"{', '.join(key)}: got {again:,} repeated of {len(result):,}; each must be in {name} once"
        )
    return result


def with_outcomes(
    rows: pd.DataFrame, outcomes: Any, *, value: str = "y", label: bool = True, optional: Sequence[str] = ()
) -> pd.DataFrame:
    """Impressions with their outcomes: each row's own, found by request and item.

    An impression whose outcome isn't there is refused rather than dropped: those without one are
    seldom like the rest.

    Parameters
    ----------
    rows : DataFrame
        Has `request_id` and `item_id`; as `read_columns` gives it.
    outcomes : any frame that Narwhals reads
        One row a request and item, with the outcome.
    value : str
        The outcome's column.
    label : bool
        Whether it must be 0 or 1; else any finite number.
    optional : sequence of str
        Further columns of `outcomes` that come along where they are there.

    Raises
    ------
    ValueError
        If `outcomes` isn't complete, has a key twice, or has none for a row.

    Examples
    --------
    >>> rows = pd.DataFrame({"request_id": [1, 2], "item_id": 7})
    >>> with_outcomes(rows, pd.DataFrame({"request_id": [2, 1], "item_id": 7, "y": [0, 1]}))["y"].tolist()
    [1, 0]
    """
    known = read_columns(
        outcomes,
        "outcomes",
        [*IMPRESSION, value],
        key=IMPRESSION,
        labels=[value] if label else [],
        numbers=[value],
        optional=optional,
    )
    joinable(rows, known, IMPRESSION, names=("serving_log", "outcomes"))
    joined = rows.merge(known, on=IMPRESSION, how="left", indicator="found")
    lost = int((joined.pop("found") == "left_only").sum())
    if lost:
        raise ValueError(f"outcomes: got none for {lost:,} of {len(joined):,} rows; each needs one")
    return joined


def joinable(left: pd.DataFrame, right: pd.DataFrame, keys: Sequence[str], *, names: tuple[str, str]) -> None:
    """Refuse keys that are numbers in one frame and text in the other: none would find its like.

    Parameters
    ----------
    left, right : DataFrame
        As `read_columns` gives them.
    keys : sequence of str
        Columns of both.
    names : pair of str
        What errors call the frames.

    Examples
    --------
    >>> joinable(pd.DataFrame({"user_id": [7]}), pd.DataFrame({"user_id": ["7"]}), ["user_id"], names=("a", "b"))
    Traceback (most recent call last):
    ValueError: user_id: got int64 in a and str in b; it must be of one kind in both
    """
    for key in keys:
        kinds = [frame[key].dtype for frame in (left, right)]
        if len({pd.api.types.is_numeric_dtype(kind) for kind in kinds}) > 1:
            raise ValueError(
                f"{key}: got {kinds[0]} in {names[0]} and {kinds[1]} in {names[1]}; it must be of one kind in both"
            )


def schema_of(frame: Any) -> dict[str, Any]:
    """A Narwhals frame's kinds by column; times of pandas in a zone such as America/New_York among them.

    Narwhals (2.29) reads the zone off the kind's name, and gives up at an underscore or a digit.

    Examples
    --------
    >>> noon = pd.Series(pd.to_datetime(["2026-03-02 12:00"])).dt.tz_localize("America/New_York")
    >>> schema_of(nw.from_native(noon.to_frame("ts")))["ts"].time_zone
    'America/New_York'
    """
    kinds = dict(frame.collect_schema())
    if frame.implementation.is_pandas():
        native = frame.to_native()
        for column, kind in kinds.items():
            own = native[column].dtype if kind == nw.Unknown else None
            if isinstance(own, pd.DatetimeTZDtype):
                kinds[column] = nw.Datetime(own.unit, str(own.tz))
    return kinds


def _plain(values: pd.Series) -> pd.Series:
    """A column as NumPy has it, so that no diagnostic meets pd.NA or a category without rows."""
    dtype = values.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        dtype = dtype.categories.dtype
    zone = getattr(getattr(dtype, "pyarrow_dtype", None), "tz", None)
    if zone is not None:  # times that pandas keeps as Arrow does
        return values.astype(pd.DatetimeTZDtype(dtype.pyarrow_dtype.unit, zone))
    if (isinstance(dtype, pd.StringDtype) and dtype.na_value is pd.NA) or _is_arrow_text(dtype):
        return values.astype(object).where(values.notna(), np.nan).infer_objects()
    dtype = getattr(dtype, "numpy_dtype", dtype)
    held = pd.api.types.infer_dtype(values, skipna=True) if pd.api.types.is_object_dtype(dtype) else ""
    if held == "decimal":
        return values.astype("float64")
    if held == "boolean" or getattr(dtype, "kind", "O") in "biuf":
        return values.astype("float64" if values.isna().any() else dtype)
    return values.astype(dtype) if isinstance(values.dtype, pd.CategoricalDtype) else values


def _is_arrow_text(dtype: Any) -> bool:
    return isinstance(dtype, pd.ArrowDtype) and dtype.type is str
