"""In which rows do two columns that should be equal differ?"""

from __future__ import annotations

import numpy as np
import pandas as pd

from toolkit.rules import number

__all__ = ["as_numbers", "differs", "kind_of", "one_kind"]


def differs(served: pd.Series, recomputed: pd.Series, *, rtol: float = 1e-9) -> np.ndarray:
    """Where two columns of one kind differ; two missing values are equal.

    Numbers are compared in 64 bits, whatever they come in: in NumPy `np.float32(0.1) == 0.1` holds,
    because the comparison is made in 32. Whole numbers are compared exactly.

    Parameters
    ----------
    served, recomputed : Series of shape (n,)
    rtol : float
        Two numbers differ where they are further apart than `rtol` times the larger's size.

    Raises
    ------
    ValueError
        If they differ in length, one holds texts and the other numbers or times, or `rtol` is negative.

    Examples
    --------
    >>> differs(pd.Series(np.float32([0.1, 0.5])), pd.Series([0.1, 0.5])).tolist()
    [True, False]
    >>> differs(pd.Series([16777217]), pd.Series([16777217]).astype("float32")).tolist()
    [True]
    """
    if number("rtol", rtol) < 0:
        raise ValueError(f"rtol: got {rtol!r}; it must not be negative")
    if len(served) != len(recomputed):
        raise ValueError(f"served: got {len(served)} rows and {len(recomputed)} recomputed; one each")
    kinds = kind_of(served), kind_of(recomputed)
    if "empty" not in kinds and kinds[0] != kinds[1]:
        name = served.name if served.name is not None else "served"
        raise ValueError(f"{name}: got {kinds[0]} served and {kinds[1]} recomputed; they must be of one kind")
    gone, away = served.isna().to_numpy(), recomputed.isna().to_numpy()
    unequal = np.zeros(len(served), dtype=bool)
    there = ~gone & ~away
    if "text" in kinds:
        unequal[there] = served.to_numpy(object)[there] != recomputed.to_numpy(object)[there]
    elif there.any():
        left, right = as_numbers(served)[there], as_numbers(recomputed)[there]
        if left.dtype.kind in "iu" and right.dtype.kind in "iu":
            unequal[there] = left != right
        else:
            a, b = left.astype(float), right.astype(float)
            with np.errstate(invalid="ignore"):
                far = np.abs(a - b) > rtol * np.maximum(np.abs(a), np.abs(b))
            unequal[there] = far | (np.isinf(a) != np.isinf(b)) | (np.isinf(a) & (a != b))
    return unequal | (gone != away)


def kind_of(values: pd.Series) -> str:
    """What a column holds: "numbers", "times", "text", or "empty" where all is missing.

    Raises
    ------
    ValueError
        If it is of another kind, of several, or of times without a zone.

    Examples
    --------
    >>> kind_of(pd.Series([1.0, None])), kind_of(pd.Series(["a", None], dtype=object)), kind_of(pd.Series([None]))
    ('numbers', 'text', 'empty')
    """
    if not values.notna().any():
        return "empty"
    if pd.api.types.is_datetime64_any_dtype(values):
        if values.dt.tz is None:
            raise ValueError(f"{values.name}: got times without a zone; they must bear it")
        return "times"
    if pd.api.types.is_numeric_dtype(values):
        return "numbers"
    if pd.api.types.infer_dtype(values, skipna=True) == "string":
        return "text"
    raise ValueError(
        f"{values.name}: got {pd.api.types.infer_dtype(values)}; it must be numbers, times or texts"
    )


def as_numbers(values: pd.Series) -> np.ndarray:
    """A column of numbers or times as NumPy numbers: whole ones stay whole, times are in seconds since 1970.

    Examples
    --------
    >>> as_numbers(pd.Series(pd.to_datetime(["1970-01-01 00:01Z"]))).tolist()
    [60.0]
    """
    if pd.api.types.is_datetime64_any_dtype(values):
        seconds = (values - pd.Timestamp(0, tz="UTC")) / pd.Timedelta(seconds=1)
        return seconds.to_numpy(float)
    array = values.to_numpy()
    if array.dtype.kind in "iu":
        return array
    return array.astype(float)


def one_kind(left: pd.Series, right: pd.Series, *, sides: tuple[str, str]) -> None:
    """Refuse a key that two tables hold as different kinds, of which no value would equal another.

    Kinds are numbers, times with a zone, times without one, and all else.

    Raises
    ------
    ValueError
        If they are of different kinds; it names the key, its types and the tables, `sides`.

    Examples
    --------
    >>> one_kind(pd.Series([7], name="item_id"), pd.Series([7.0], name="item_id"), sides=("serving", "train"))
    """
    if _key_kind(left) != _key_kind(right):
        raise ValueError(
            f"{left.name}: got {left.dtype} in {sides[0]} and {right.dtype} in {sides[1]}; a key must be of one kind"
        )


def _key_kind(values: pd.Series) -> str:
    if pd.api.types.is_numeric_dtype(values):
        return "numbers"
    if pd.api.types.is_datetime64_any_dtype(values):
        return "times" if values.dt.tz is not None else "times without a zone"
    return "other"
