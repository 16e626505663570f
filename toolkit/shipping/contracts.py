"""What did a table promise, by a sample of when all was well, and does today's keep it?"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import betabinom, hypergeom, norm

from toolkit.finding import Finding
from toolkit.frames import read_columns
from toolkit.rules import level, share
from toolkit.tables import Column, Kind, Table, problems

__all__ = ["drafted", "schema_contract"]

# Text with more distinct values than this share of the rows is a name or a note, not a category.
_CATEGORIES = 0.2


def drafted(reference: Any, *, key: Sequence[str] = (), name: str = "table") -> Table:
    """A first schema of a table, drafted from a sample: kinds, what may be missing, the key.

    To be read by a person, who knows which of it is a rule and which an accident of the sample, and to be
    checked with `toolkit.tables.problems`.

    Parameters
    ----------
    reference : frame
        A sample from when all was well.
    key : sequence of str
        The columns that together name a row.
    name : str
        What errors call the table.

    Raises
    ------
    ValueError
        If it isn't a frame, has no row, its key isn't one, or times bear no zone.

    Examples
    --------
    >>> sample = pd.DataFrame({"item_id": [1, 2], "price": [9.5, None], "market": ["de", "fr"]})
    >>> [column.rule for column in drafted(sample, key=["item_id"]).columns]
    ['whole number or text', 'finite number, missing as in the reference', 'text']
    """
    rows = read_columns(reference, "reference", list(key), key=list(key), keep=True)
    columns = []
    for column in rows:
        values = rows[column]
        gone = "as in the reference" if values.isna().any() else ""
        columns.append(Column(str(column), _kind(values, column in key), "", may_be_missing=gone))
    return Table(name, "", tuple(columns), key=tuple(key))


def _kind(values: pd.Series, in_key: bool) -> Kind:
    there = values.dropna()
    if isinstance(values.dtype, pd.DatetimeTZDtype):
        return "time"
    if pd.api.types.is_datetime64_any_dtype(values):
        raise ValueError(f"{values.name}: got times without a zone; they must bear one")
    if pd.api.types.is_bool_dtype(there.infer_objects() if len(there) else values) and len(there):
        return "flag"
    if pd.api.types.is_integer_dtype(values):
        return "id" if in_key else "count" if there.min() >= 0 else "number"
    if pd.api.types.is_numeric_dtype(values):
        return "number"
    return "id" if in_key else "text"


@dataclass(frozen=True)
class _Check:
    """One promise of a column: of `n` rows then `k` did so, of `m` today `j`; and how unlikely that is."""

    column: str
    rule: str
    k: int
    n: int
    j: int
    m: int
    p: float


def schema_contract(
    current: Any,
    reference: Any,
    *,
    key: Sequence[str] = (),
    columns: Sequence[str] | None = None,
    cluster: str | None = "user_id",
    tolerance: float = 0.05,
    alpha: float = 0.05,
    rng: Any = 0,
) -> Finding:
    """Check today's rows against what a sample from when all was well promises.

    Two sorts of rules. What holds for every row (`drafted`: the column is there and of its kind, no new
    gaps, the key is one) is broken by one row. What holds on the whole is a share of rows: those missing, in values never
    seen, below the old median, within the old quartiles, beyond the old extremes. Their tests are exact whatever the
    distribution. The old minimum and maximum are no rule: of two equal samples of one size the second leaves the range of the first
    three times in four.

    Parameters
    ----------
    current, reference : frame
        Today's rows, and the sample; further columns are ignored.
    key : sequence of str
        The columns that together name a row.
    columns : sequence of str, optional
        Which to check; all of the reference's where not given.
    cluster : str or None
        What is independent. The tests take one row a cluster, drawn with `rng`; the shares shown are
        theirs too. None: every row counts by itself.
    tolerance : float
        By how many of all rows a share may move and be called drift. With many rows a test finds moves that
        harm nobody; five points of the rows are about an eighth of a standard deviation in a normal column's
        median. Less where the column weighs much, 0 to have every move that shows.
    alpha : float
        Chance that any promise of a table that is as it was is called broken (Bonferroni).
    rng : int or Generator
        For the row that is drawn of each cluster.

    Returns
    -------
    Finding
        The move of the share that moved most, for certain, with an interval that holds for all
        promises at once; p is for the family. The table has the broken promises first: `column`, `rule`, `then`, `now`, `p`,
        `broken`; and of rules for every row how many `rows` break it.

    Raises
    ------
    ValueError
        If a frame isn't one or has no row, the reference breaks its own key, a column isn't there, or there are too few
        rows or clusters.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> then, now = (pd.DataFrame({"metres": rng.normal(5, 1, 500)}) for _ in range(2))
    >>> print(schema_contract(now, then, cluster=None).verdict)
    All 4 promises of 1 column are kept; a share that moved by 8 points would have shown in half of such samples.
    >>> schema_contract(now * 3.28, then, cluster=None).table["rule"].iloc[0]
    'above the old top'
    """
    level(alpha)
    share("tolerance", tolerance)
    draw = np.random.default_rng(rng)
    named = list(key) + ([cluster] if cluster else [])
    then = read_columns(reference, "reference", [*named, *(columns or [])], missing=columns or [], keep=True)
    wanted = [str(each) for each in (columns if columns is not None else then.columns)]
    if not wanted:
        raise ValueError("columns: got none; there must be one at least")
    schema = drafted(then[list(dict.fromkeys([*key, *wanted]))], key=key)
    now = read_columns(current, "current", [cluster] if cluster else [], keep=True)
    if isinstance(current, pd.DataFrame):
        # Decimals, as database drivers give them, are the numbers that the reference's were read as.
        read = [name for name in now if current[name].dtype == object and now[name].dtype.kind == "f"]
        current = current.assign(**{name: now[name].to_numpy() for name in read})
    hard = problems(current, schema)
    bad = set(hard.loc[hard["rows"].isna(), "column"])
    then, now = (_one_each(rows, cluster, draw) for rows in (then, now))
    if min(len(then), len(now)) < 20:
        raise ValueError(
            f"reference, current: got {len(then)} and {len(now)} {f'of {cluster}' if cluster else 'rows'}; there must be 20 at least"
        )
    checks = [
        check
        for column in schema.columns
        if column.name in wanted and column.name not in {*bad, *key, cluster}
        for check in _checks(column, then[column.name], now[column.name])
    ]
    if not checks and hard.empty:
        raise ValueError(f"columns: got {wanted}; none of them can promise anything")
    table = _table(checks, alpha / max(1, len(checks)), tolerance)
    broken_rows = hard.assign(broken=True).reindex(
        columns=["column", "rule", "then", "now", "p", "broken", "rows"]
    )
    shown = table[["column", "rule", "then", "now", "p", "broken"]].assign(
        rows=pd.array([pd.NA] * len(table), dtype="Int64")
    )
    both = (
        shown
        if hard.empty
        else broken_rows
        if table.empty
        else pd.concat([broken_rows.astype(shown.dtypes), shown])
    )
    worst = table.iloc[0] if len(table) else None
    return Finding(
        math.nan if worst is None else float(worst["move"]),
        (math.nan, math.nan) if worst is None else (float(worst["low"]), float(worst["high"])),
        _verdict(table, hard, len(wanted)),
        unit="of the rows",
        se=math.nan if worst is None else float(worst["error"]),
        p=None if worst is None else float(table["p"].min()),
        n=len(now),
        n_clusters=len(now) if cluster else None,
        alpha=alpha,
        table=both.reset_index(drop=True),
        assumptions=(
            "the sample is from when all was well, and what it promises was meant",
            f"{'rows' if cluster is None else f'values of {cluster}'} are independent",
        ),
        cannot_tell=(
            "a fault from a change of the world: a new market's rows break promises too",
            "values that were swapped between rows: every share stays",
            "a fault that the sample has already",
        ),
    )


def _one_each(rows: pd.DataFrame, cluster: str | None, draw: np.random.Generator) -> pd.DataFrame:
    if cluster is None:
        return rows
    shuffled = rows.iloc[draw.permutation(len(rows))]
    return shuffled.drop_duplicates(cluster).reset_index(drop=True)


def _checks(column: Column, then: pd.Series, now: pd.Series) -> Iterator[_Check]:
    """A column's promises, each with its exact chance under "both are samples of the same"."""
    n, m = len(then), len(now)
    gone = int(then.isna().sum()), int(now.isna().sum())
    if sum(gone):
        yield _Check(column.name, "missing", gone[0], n, gone[1], m, _fisher(gone[0], n, gone[1], m))
    before, after = then.dropna(), now.dropna()
    n, m = len(before), len(after)
    if min(n, m) < 20 or column.kind in ("id", "time"):
        return
    if column.kind in ("flag", "label"):
        k, j = int(before.astype(bool).sum()), int(after.astype(bool).sum())
        yield _Check(column.name, "true", k, n, j, m, _fisher(k, n, j, m))
    elif column.kind == "text":
        if before.nunique() <= max(2.0, _CATEGORIES * n):
            new = after[~after.isin(set(before))]
            # A value of which there are v, all of them today: each is today's with the chance m / (n + m).
            most = int(new.value_counts().iloc[0]) if len(new) else 0
            kinds = pd.concat([before, after]).nunique()
            p = float(min(1.0, kinds * (m / (n + m)) ** most)) if most else 1.0
            yield _Check(column.name, "never seen before", 0, n, len(new), m, p)
    else:
        yield from _of_numbers(column.name, np.sort(before.to_numpy(float)), after.to_numpy(float))


def _of_numbers(name: str, old: np.ndarray, new: np.ndarray) -> Iterator[_Check]:
    # How many new values lie between two order statistics of the old ones is beta-binomial, whatever the distribution;
    # equal values are parted by lot.
    n, m = len(old), len(new)

    def below(place: int) -> int:
        cut = old[place]
        ties = int((new == cut).sum())
        # Of the old values that equal the cut, this share lies before its place.
        first, last = np.searchsorted(old, cut, "left"), np.searchsorted(old, cut, "right")
        return int((new < cut).sum()) + round(ties * (place + 0.5 - first) / (last - first))

    middle = n // 2
    j = below(middle)
    yield _Check(
        name, "below the old median", middle, n, j, m, _two_sided(betabinom(m, middle + 1, n - middle), j)
    )
    first, third = n // 4, n - 1 - n // 4
    j = max(0, below(third) - below(first))
    k = third - first
    yield _Check(name, "within the old quartiles", k, n, j, m, _two_sided(betabinom(m, k, n + 1 - k), j))
    end = max(1, round(0.005 * n))
    for rule, j in (
        ("above the old top", int((new > old[n - end]).sum())),
        ("below the old bottom", int((new < old[end - 1]).sum())),
    ):
        p = float(betabinom(m, end, n + 1 - end).sf(j - 1)) if j else 1.0
        yield _Check(name, rule, end - 1, n, j, m, p)


def _two_sided(distribution: Any, j: int) -> float:
    return float(min(1.0, 2 * min(distribution.cdf(j), distribution.sf(j - 1))))


def _fisher(k: int, n: int, j: int, m: int) -> float:
    return _two_sided(hypergeom(n + m, k + j, m), j)


def _table(checks: list[_Check], each: float, tolerance: float) -> pd.DataFrame:
    """The promises with their moves, intervals, and p for the family; what is broken first."""
    names = ["column", "rule", "then", "now", "move", "error", "low", "high", "p", "broken"]
    records = []
    z = float(norm.isf(each / 2))
    for check in checks:
        before, after = check.k / check.n, check.j / check.m
        # With one row more on each side, so that a share of 0 or 1 has an error too.
        parts = [(hits + 1) / (rows + 2) for hits, rows in ((check.k, check.n), (check.j, check.m))]
        error = math.sqrt(sum(p * (1 - p) / rows for p, rows in zip(parts, (check.n, check.m), strict=True)))
        move = after - before
        low, high = max(-1.0, move - z * error), min(1.0, move + z * error)
        family = min(1.0, len(checks) * check.p)
        broken = family < each * len(checks) and abs(move) > tolerance
        records.append((check.column, check.rule, before, after, move, error, low, high, family, broken))
    table = pd.DataFrame(records, columns=names)
    sure = np.maximum(table["low"], -table["high"])
    return table.assign(sure=sure).sort_values(["broken", "sure"], ascending=False, ignore_index=True)


def _verdict(table: pd.DataFrame, hard: pd.DataFrame, columns: int) -> str:
    said = []
    for column, rule, rows in hard.itertuples(index=False):
        by = "" if pd.isna(rows) else f" (broken by {rows:,} {'row' if rows == 1 else 'rows'})"
        said.append(f"{column}: {rule}{by}")
    broken = table[table["broken"]] if len(table) else table
    said += [
        f"{row['column']}: {row['rule']} were {row['then']:.1%} of the rows and are {row['now']:.1%}"
        for _, row in broken.drop_duplicates("column").iterrows()
    ]
    if said:
        return f"Broken: {'; '.join(said)}."
    wide = float((table["high"] - table["low"]).max()) / 2
    return (
        f"All {len(table)} promises of {columns} column{'s' if columns > 1 else ''} are kept; a share that moved by "
        f"{100 * wide:.0f} points would have shown in half of such samples."
    )
