"""Who is in which arm, counted where the reader's frame is?

A lazy frame (DuckDB, Ibis, PySpark, Dask, Polars) groups and joins by itself and sends counts alone.
"""

from __future__ import annotations

from typing import Any

import narwhals as nw
import pandas as pd

from toolkit.experiments.unit_sums import frame_of, has
from toolkit.frames import read_columns


def arm_counts(
    frame: Any, name: str, *, experiment: str | None = None, by: str | None = None
) -> tuple[pd.DataFrame, int]:
    """The users of each arm, counted once however many rows they have; and the number of rows with an arm.

    Parameters
    ----------
    frame : any frame that Narwhals reads
        `user_id`, `arm` (rows without one don't count), and `experiment` where it is there.
    name : str
        What errors call the frame.
    experiment : str, optional
        Which experiment, where there are several.
    by : str, optional
        Count in each value of this column; a user who is there with two counts in both.

    Returns
    -------
    DataFrame, int
        `arm` and `users`, and with `by` also `group`.

    Raises
    ------
    ValueError
        If columns or values are missing, a user is in two arms, or the experiment isn't one of several.

    Examples
    --------
    >>> log = pd.DataFrame({"user_id": [1, 1, 2, 3], "arm": ["a", "a", "a", "b"]})
    >>> counts, rows = arm_counts(log, "log")
    >>> counts["users"].tolist(), rows
    ([2, 1], 4)
    """
    columns = list(dict.fromkeys(["user_id", *([] if by is None else [by])]))
    if by in ("user_id", "arm"):
        raise ValueError(f"by: got {by!r}; it must be another column than the user's and the arm's")
    table = frame_of(frame, name)
    if not isinstance(table, nw.LazyFrame):
        rows = read_columns(frame, name, [*columns, "arm"], missing=["arm"], optional=["experiment"])
        rows = of_experiment(rows, experiment, name)
        rows = rows[rows["arm"].notna()]
        users = rows.drop_duplicates([*columns, "arm"])
        pairs = users.drop_duplicates(["user_id", "arm"])["user_id"]
        _two_arms(pairs[pairs.duplicated()].nunique(), name)
        keys = ["arm"] if by is None else [by, "arm"]
        counts = users.groupby(keys, sort=True).size().rename("users").reset_index()
        return (counts if by is None else counts.rename(columns={by: "group"})), len(rows)
    has(table, name, [*columns, "arm"])
    _complete(table, name, columns)
    table = nw.from_native(of_experiment(table.to_native(), experiment, name))
    # Names of our own, for a reader's column may be called `rows`.
    keys = ["key"] if by is None else ["key", "group"]
    one = table.filter(~nw.col("arm").is_null()).select(
        nw.col("user_id").alias("key"),
        nw.col("arm"),
        *([] if by is None else [nw.col(by).alias("group")]),
    )
    per_user = one.group_by("key").agg(
        nw.col("arm").min().alias("first"), nw.col("arm").max(), nw.len().alias("rows")
    )
    per_user = per_user.with_columns((nw.col("first") != nw.col("arm")).cast(nw.Int64).alias("twice"))
    whole = per_user.group_by("arm").agg(nw.len().alias("users"), nw.col("rows").sum(), nw.col("twice").sum())
    counts = _pandas(whole.sort("arm"))
    _two_arms(int(counts["twice"].sum()), name)
    seen = int(counts["rows"].sum())
    if by is not None:
        parts = one.group_by(*keys).agg(nw.col("arm").max())
        counts = _pandas(parts.group_by("group", "arm").agg(nw.len().alias("users")).sort("group", "arm"))
        return counts, seen
    return counts[["arm", "users"]], seen


def pair_counts(
    a: Any, b: Any, *, experiment_a: str | None = None, experiment_b: str | None = None
) -> pd.DataFrame:
    """The users who are in two experiments, by their two arms.

    Parameters
    ----------
    a, b : any frames that Narwhals reads
        `user_id` and `arm`, one row a user; `experiment` where there are several. Two lazy frames of
        one library are joined where they are.
    experiment_a, experiment_b : str, optional

    Returns
    -------
    DataFrame
        `arm_a`, `arm_b`, `users`.

    Raises
    ------
    ValueError
        If columns or values are missing, a user is there twice, or the frames' users are of
        different types, which would never be equal.

    Examples
    --------
    >>> a = pd.DataFrame({"user_id": [1, 2, 3], "arm": ["x", "y", "y"]})
    >>> pair_counts(a, a)["users"].tolist()
    [1, 2]
    """
    frames = [frame_of(a, "a"), frame_of(b, "b")]
    lazily = all(isinstance(each, nw.LazyFrame) for each in frames) and (
        frames[0].implementation == frames[1].implementation
    )
    sides = []
    for table, name, experiment in zip(frames, "ab", (experiment_a, experiment_b), strict=True):
        if lazily:
            has(table, name, ["user_id", "arm"])
            _complete(table, name, ["user_id", "arm"])
            table = nw.from_native(of_experiment(table.to_native(), experiment, name))
            users, distinct = (
                int(part.select(nw.len()).collect().item())
                for part in (table, table.select("user_id").unique())
            )
        else:
            rows = read_columns(table.to_native(), name, ["user_id", "arm"], optional=["experiment"])
            rows = of_experiment(rows, experiment, name)
            table = nw.from_native(rows)
            users, distinct = len(rows), rows["user_id"].nunique()
        if distinct < users:
            raise ValueError(
                f"user_id: got {users - distinct:,} repeated of {users:,} in {name}; one row a user, not an event"
            )
        sides.append(table.select(nw.col("user_id"), nw.col("arm").alias(f"arm_{name}")))
    kinds = [_kind(side.collect_schema()["user_id"]) for side in sides]
    if kinds[0] != kinds[1]:
        raise ValueError(f"user_id: got {kinds[0]} in a and {kinds[1]} in b; both must be of one type")
    both = sides[0].join(sides[1], on="user_id", how="inner")
    counts = both.group_by("arm_a", "arm_b").agg(nw.len().alias("users")).sort("arm_a", "arm_b")
    return _pandas(counts)


def of_experiment(frame: Any, experiment: str | None, name: str = "assignments") -> Any:
    """One experiment's rows, refused where it isn't there, or there are several and none is named.

    Parameters
    ----------
    frame : any frame that Narwhals reads
        What comes back is of the same kind.
    experiment : str or None
    name : str
        What errors call the frame.

    Examples
    --------
    >>> frame = pd.DataFrame({"experiment": ["a", "b"], "user_id": [1, 1]})
    >>> len(of_experiment(frame, "b"))
    1
    """
    table = frame_of(frame, name)
    if "experiment" not in table.collect_schema():
        if experiment is not None:
            raise ValueError(f"experiment: got {experiment!r}; {name} have no such column")
        return frame
    _complete(table, name, ["experiment"])
    distinct = table.select("experiment").unique()
    known = sorted(_pandas(distinct)["experiment"])
    told = ", ".join(str(each) for each in known)
    if experiment is None and len(known) > 1:
        raise ValueError(f"experiment: got None for {name} of {told}; it must name one")
    if experiment is not None and experiment not in known:
        raise ValueError(f"experiment: got {experiment!r}; {name} have {told}")
    return frame if experiment is None else table.filter(nw.col("experiment") == experiment).to_native()


def _complete(table: nw.DataFrame[Any] | nw.LazyFrame[Any], name: str, columns: list[str]) -> None:
    lost = table.select(
        nw.len().alias("rows"),
        *(nw.col(each).is_null().cast(nw.Int64).sum().alias(f"lost{at}") for at, each in enumerate(columns)),
    )
    told = _pandas(lost).iloc[0]
    if not told["rows"]:
        raise ValueError(f"{name}: got no row; it must have one at least")
    for at, column in enumerate(columns):
        if told[f"lost{at}"]:
            raise ValueError(
                f"{column}: got {int(told[f'lost{at}'])} missing of {int(told['rows'])}; {name} must be complete"
            )


def _pandas(table: nw.DataFrame[Any] | nw.LazyFrame[Any]) -> pd.DataFrame:
    eager = table.collect() if isinstance(table, nw.LazyFrame) else table
    result: pd.DataFrame = eager.to_pandas()
    for column in ("arm", "arm_a", "arm_b", "group", "experiment"):
        if column in result and isinstance(result[column].dtype, pd.CategoricalDtype):
            result[column] = result[column].astype(result[column].cat.categories.dtype)
    return result


def _kind(dtype: Any) -> str:
    return "whole numbers" if dtype.is_integer() else "numbers" if dtype.is_numeric() else str(dtype)


def _two_arms(users: int, name: str) -> None:
    if users:
        raise ValueError(f"arm: got two for {users:,} users of {name}; a user must be in one")
