"""What is left of an experiment's rows: for each arm the count, means and products of units' sums.

Everything that the workbench tells is computed from these, so that the rows stay where they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import narwhals as nw
import numpy as np
import pandas as pd

from toolkit.experiments.unit_sums import frame_of, has, one_kind

# A unit's number of rows, as a column that every frame has.
ROWS = "*"
_ALL = "all"
# Rows that the processor's cache holds with their columns.
_BLOCK = 1 << 13
_FEW_GROUPS = 4
# A group that lies this many times its variance from the center, squared, is summed again around its own.
_FAR = 1e4


@dataclass(frozen=True)
class Moments:
    """Count, means, and sums of products around the means of some columns over independent units.

    Parameters
    ----------
    columns : tuple of str
    units, rows : int
    mean : array of shape (n_columns,)
    products : array of shape (n_columns, n_columns)
        Sums over units of the products of what two columns have more than their means.

    Examples
    --------
    Two halves add up to the whole:

    >>> units = pd.DataFrame({"arm": list("aabb"), "y": [1.0, 3.0, 5.0, 7.0]})
    >>> half = grouped(units, ["y"], arm="arm")
    >>> whole = half["a", "all"] + half["b", "all"]
    >>> whole.units, whole.mean.tolist(), whole.products.tolist()
    (4, [4.0], [[20.0]])
    """

    columns: tuple[str, ...]
    units: int
    rows: int
    mean: np.ndarray
    products: np.ndarray

    def __add__(self, other: Moments) -> Moments:
        units = self.units + other.units
        apart = other.mean - self.mean
        return Moments(
            self.columns,
            units,
            self.rows + other.rows,
            self.mean + apart * other.units / units,
            self.products + other.products + np.outer(apart, apart) * self.units * other.units / units,
        )

    @property
    def covariance(self) -> np.ndarray:
        """Of the columns over units, with one less than the units in the denominator."""
        return self.products / (self.units - 1)


def grouped(
    frame: Any,
    columns: Sequence[str],
    *,
    arm: str,
    cluster: str | None = None,
    stratum: str | Sequence[str] | None = None,
    name: str = "units",
) -> dict[tuple[Any, Any], Moments]:
    """The moments of each arm and stratum; a lazy frame computes them itself and sends sums alone.

    Parameters
    ----------
    frame : any frame that Narwhals reads
        One row a unit, or with `cluster` one row an event. Rows without an arm are left out.
    columns : sequence of str
        Columns of finite numbers, none missing. With `cluster` they are summed over each unit's rows; `"*"` is
        the number of those rows.
    arm : str
        Column of the unit's arm.
    cluster : str, optional
        Column of the unit that was randomised.
    stratum : str or sequence of str, optional
        Columns of what is known of a unit before the experiment; of several, each combination.
    name : str
        What errors call the frame.

    Returns
    -------
    dict of (arm, stratum) to Moments
        The stratum is "all" where none is asked for, and a tuple where a sequence is.

    Raises
    ------
    ValueError
        If a column is missing, values are missing or not finite, a unit is in two arms or strata, or
        some of its ids are text and others not.

    Examples
    --------
    >>> events = pd.DataFrame({"user_id": [1, 1, 2], "arm": "control", "y": [1.0, 0.0, 1.0]})
    >>> grouped(events, ["y", "*"], arm="arm", cluster="user_id")["control", "all"].mean.tolist()
    [1.0, 1.5]
    """
    table = frame_of(frame, name)
    wanted = [column for column in dict.fromkeys(columns) if column != ROWS]
    strata = [] if stratum is None else [stratum] if isinstance(stratum, str) else list(stratum)
    if not all(isinstance(column, str) for column in strata) or (stratum is not None and not strata):
        raise ValueError(f"strata: got {stratum!r}; it must name columns")
    if arm in strata:
        raise ValueError(f"strata: got {stratum!r}, and {arm} has the arms; a stratum has units of both")
    keys = list(dict.fromkeys([arm, *strata]))
    has(table, name, [*keys, *([cluster] if cluster else []), *wanted], numbers=wanted)
    read = _lazy if isinstance(table, nw.LazyFrame) else _eager
    # Numbers too large for their squares are told below, by name.
    with np.errstate(over="ignore", invalid="ignore"):
        found = read(table, wanted, keys, cluster, name)  # type: ignore[arg-type]
    if not found:
        raise ValueError(f"{name}: got no row with an arm; there must be some")
    order = [[*wanted, ROWS].index(column) for column in dict.fromkeys(columns)]
    result = {}
    for key, (units, rows, mean, products) in found.items():
        squares = np.diag(products)
        bad = [c for c, *told in zip(wanted, mean, squares, strict=False) if not np.isfinite(told).all()]
        if bad:
            raise _infinite(bad[0], name)
        both = (key[0], _ALL if stratum is None else key[1] if isinstance(stratum, str) else key[1:])
        result[both] = Moments(
            tuple(dict.fromkeys(columns)), units, rows, mean[order], products[np.ix_(order, order)]
        )
    return result


_Found = dict[tuple[Any, ...], tuple[int, int, np.ndarray, np.ndarray]]


def _eager(
    table: nw.DataFrame[Any], columns: list[str], keys: list[str], cluster: str | None, name: str
) -> _Found:
    """With NumPy: for an array of ten million units several times as fast as a library's groups."""
    groups, labels = _codes(table, keys, name)
    inside = groups >= 0
    values = []
    for column in columns:
        numbers = table[column].to_numpy()
        if numbers.dtype.kind not in "biuf":
            numbers = pd.to_numeric(pd.Series(numbers), errors="coerce").to_numpy(float, na_value=np.nan)
        values.append(numbers.astype(float, copy=False))
    if not inside.any():
        return {}
    if not inside.all():
        groups, values = groups[inside], [column[inside] for column in values]
    if cluster is not None:
        one_kind(table[cluster].to_native(), cluster, name)
        unit, _ = _factors(table[cluster])
        if (unit < 0).any():
            raise ValueError(
                f"{cluster}: got {int((unit < 0).sum())} missing of {len(unit)}; {name} must be complete"
            )
        unit = unit[inside]
        # A unit outside the experiment has no row inside; numbers run on without it.
        unit = pd.factorize(unit)[0]
        first = np.zeros(int(unit.max(initial=-1)) + 1, dtype=groups.dtype)
        first[unit] = groups
        if (first[unit] != groups).any():
            raise _two(cluster, keys, len(np.unique(unit[first[unit] != groups])))
        values = [np.bincount(unit, column) for column in values] + [np.bincount(unit).astype(float)]
        groups = first
    for column, numbers in zip(columns, values, strict=False):
        if not np.isfinite(numbers.sum()):
            _refuse_missing([column], [int(np.isnan(numbers).sum())], name)
            raise _infinite(column, name)
    found: _Found = {}
    for label, (units, mean, products) in zip(labels, _blocks(groups, values, len(labels)), strict=True):
        if units:
            if cluster is None:
                mean, products = _with_rows(mean, products)
            found[label] = (units, round(mean[-1] * units), mean, products)
    return found


def _blocks(
    groups: np.ndarray, values: list[np.ndarray], many: int
) -> list[tuple[int, np.ndarray, np.ndarray]]:
    """Each group's count, means and products, in blocks that fit the processor's cache."""
    size = len(values)
    center = np.array([column[:_BLOCK].mean() for column in values])
    units, sums, products = np.zeros(many), np.zeros((many, size)), np.zeros((many, size, size))
    for start in range(0, len(groups), _BLOCK):
        block = slice(start, start + _BLOCK)
        here = groups[block]
        around = np.vstack([column[block] for column in values]) - center[:, None]
        # Few groups: a product with each one's mask is faster than taking its rows out. Many strata:
        # one pass for all of them.
        if many <= _FEW_GROUPS:
            for code in range(many):
                member = here == code
                units[code] += np.count_nonzero(member)
                part = around * member
                sums[code] += part.sum(1)
                products[code] += around @ part.T
            continue
        units += np.bincount(here, minlength=many)
        for i in range(size):
            sums[:, i] += np.bincount(here, around[i], many)
            for j in range(i + 1):
                products[:, i, j] += np.bincount(here, around[i] * around[j], many)
    if many > _FEW_GROUPS:
        lower = np.tril(np.ones((size, size)), -1).astype(bool)
        products.transpose(0, 2, 1)[:, lower] = products[:, lower]
    told = []
    for code in range(many):
        if not units[code]:
            told.append((0, center, products[code]))
        elif many > 1 and _far(units[code], sums[code], products[code]):
            member = groups == code
            alone = np.zeros(np.count_nonzero(member), dtype=np.int8)
            told += _blocks(alone, [column[member] for column in values], 1)
        else:
            told.append(_centred(units[code], sums[code], products[code], center))
    return told


def _centred(
    units: float, sums: np.ndarray, products: np.ndarray, center: np.ndarray
) -> tuple[int, np.ndarray, np.ndarray]:
    """Count, mean and products around it, of sums around another center."""
    return int(units), sums / units + center, products - np.outer(sums, sums) / units


def _with_rows(mean: np.ndarray, products: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """With a last column, of each unit's number of rows, where that is 1."""
    return np.append(mean, 1.0), np.pad(products, (0, 1))


def _far(units: float, sums: np.ndarray, products: np.ndarray) -> bool:
    """Whether a group lies so far from the center that its own spread would drown in rounding."""
    return bool((sums**2 / units > _FAR * (np.diag(products) - sums**2 / units)).any())


def _lazy(
    table: nw.LazyFrame[Any], columns: list[str], keys: list[str], cluster: str | None, name: str
) -> _Found:
    """One scan where the frame is; more only where means are so large that spreads drown in rounding."""
    # Names of our own: a reader's may be anything.
    by = [f"key{place}" for place in range(len(keys))]
    own = [f"value{place}" for place in range(len(columns))]
    lost = {f"lost{place}": column for place, column in enumerate([*columns, *keys[1:]])}
    source = table.filter(~nw.col(keys[0]).is_null()).select(
        *(nw.col(key).alias(each) for key, each in zip(keys, by, strict=True)),
        *([nw.col(cluster).alias("unit")] if cluster else []),
        *(nw.col(column).cast(nw.Float64).alias(each) for column, each in zip(columns, own, strict=True)),
        *(nw.col(column).is_null().cast(nw.Int64).alias(each) for each, column in lost.items()),
    )
    checks = [*lost]
    if cluster is None:
        units, names = source, own
    else:
        units = source.group_by("unit").agg(
            *(nw.col(each).min() for each in by),
            *(nw.col(each).max().alias(f"last {each}") for each in by),
            *(nw.col(each).sum() for each in [*own, *lost]),
            nw.len().alias("rows"),
        )
        apart = [nw.col(each) != nw.col(f"last {each}") for each in by]
        units = units.with_columns(
            nw.col("rows").cast(nw.Float64),
            nw.any_horizontal(*apart, ignore_nulls=True).cast(nw.Int64).alias("twice"),
            nw.col("unit").is_null().cast(nw.Int64).alias("nobody"),
        )
        names, checks = [*own, "rows"], [*lost, "twice", "nobody"]
    center = np.zeros(len(names))
    found, told = _products(units, by, names, center, checks)
    if told.get("nobody"):
        raise ValueError(f"{cluster}: got a missing one; {name} must be complete")
    for each, column in lost.items():
        _refuse_missing([column], [told[each]], name)
    if told.get("twice"):
        raise _two(str(cluster), keys, told["twice"])
    whole = np.sum([np.zeros(len(names)), *(sums for _, sums, _ in found.values())], axis=0)
    if not np.isfinite(whole).all():
        raise _infinite(columns[int(np.argmin(np.isfinite(whole)))], name)
    if any(_far(*part) for part in found.values()):
        center = whole / sum(count for count, _, _ in found.values())
        found, _ = _products(units, by, names, center)
    result: _Found = {}
    for label, part in found.items():
        middle = center
        if len(found) > 1 and _far(*part):
            here = units
            for key, value in zip(by, label, strict=True):
                here = here.filter(nw.col(key) == value)
            middle = part[1] / part[0] + center
            part = _products(here, by, names, middle)[0][label]
        count, mean, products = _centred(*part, middle)
        if cluster is None:
            mean, products = _with_rows(mean, products)
        result[label] = (count, round(mean[-1] * count), mean, products)
    return result


_Sums = tuple[int, np.ndarray, np.ndarray]


def _products(
    units: nw.LazyFrame[Any], by: list[str], names: list[str], center: np.ndarray, checks: Sequence[str] = ()
) -> tuple[dict[tuple[Any, ...], _Sums], dict[str, int]]:
    """Each group's count, and sums and sums of products around a center; and the sums of `checks`."""
    around = [nw.col(each) - float(middle) for each, middle in zip(names, center, strict=True)]
    pairs = [(i, j) for i in range(len(names)) for j in range(i + 1)]
    parts = units.select(
        *by,
        *checks,
        *(each.alias(f"sum{place}") for place, each in enumerate(around)),
        *((around[i] * around[j]).alias(f"product{i}_{j}") for i, j in pairs),
    )
    parts = parts.group_by(*by).agg(
        nw.len().alias("units"),
        *(nw.col(check).sum() for check in checks),
        *(nw.col(f"sum{place}").sum() for place in range(len(names))),
        *(nw.col(f"product{i}_{j}").sum() for i, j in pairs),
    )
    rows = parts.sort(*by).collect().rows(named=True)
    found = {}
    for row in rows:
        # Null where all of a column's values are missing, which `checks` tell.
        sums = np.array([row[f"sum{place}"] for place in range(len(names))], dtype=float)
        products = np.zeros((len(names),) * 2)
        for i, j in pairs:
            value = row[f"product{i}_{j}"]
            products[i, j] = products[j, i] = np.nan if value is None else value
        found[tuple(row[key] for key in by)] = (int(row["units"]), sums, products)
    return found, {check: int(sum(row[check] or 0 for row in rows)) for check in checks}


def _codes(table: nw.DataFrame[Any], keys: list[str], name: str) -> tuple[np.ndarray, list[tuple[Any, ...]]]:
    """Each row's group as a whole number, -1 for no arm; and what each number stands for."""
    code, arms = _factors(table[keys[0]])
    labels: list[tuple[Any, ...]] = [(label,) for label in arms]
    for key in keys[1:]:
        stratum, strata = _factors(table[key])
        lost = int(((stratum < 0) & (code >= 0)).sum())
        if lost:
            raise ValueError(f"{key}: got {lost} missing of {len(code)}; {name} must be complete")
        code = np.where(code >= 0, code * len(strata) + stratum, -1)
        labels = [(*label, part) for label in labels for part in strata]
    return code, labels


def _factors(series: nw.Series[Any]) -> tuple[np.ndarray, list[Any]]:
    """A column's values as whole numbers, -1 where one is missing; and the values."""
    native = series.to_native()
    if not isinstance(native, pd.Series) and series.dtype == nw.String:
        # Text stays where it is; as Python objects it would take twenty times as long.
        coded = series.to_arrow().dictionary_encode()
        coded = coded.combine_chunks() if hasattr(coded, "combine_chunks") else coded
        code = coded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
        return code, coded.dictionary.to_pylist()
    code, values = pd.factorize(native if isinstance(native, pd.Series) else series.to_numpy())
    return code, [value.item() if isinstance(value, np.generic) else value for value in values]


def _refuse_missing(columns: list[str], lost: list[int], name: str) -> None:
    for column, count in zip(columns, lost, strict=False):
        if count:
            raise ValueError(f"{column}: got {count:,} missing; {name} must be complete")


def _infinite(column: str, name: str) -> ValueError:
    return ValueError(f"{column}: got sums that aren't finite in {name}; each value, and its square, must be")


def _two(cluster: str, keys: list[str], count: int) -> ValueError:
    what = "arm" if len(keys) == 1 else "arm and stratum"
    return ValueError(f"{cluster}: got {count:,} in two of {', '.join(keys)}; a unit is in one {what}")
