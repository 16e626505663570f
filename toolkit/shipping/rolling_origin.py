"""Which rows may a model learn from that is to be tested on later ones? A scikit-learn splitter with an embargo."""

from __future__ import annotations

import numbers
from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from sklearn.model_selection import BaseCrossValidator
from sklearn.utils import indexable

from toolkit.rules import count

__all__ = ["RollingOriginSplit", "instants", "length"]


class RollingOriginSplit(BaseCrossValidator):
    """Successive test sets, each with the rows whose labels were known some time before it begins.

    Where rows are in order and equally spaced and have neither `label_ts` nor groups, it is scikit-learn's
    `TimeSeriesSplit` with `gap=embargo`. Beyond that it takes times, in any order; labels that come
    late; test sets of equal duration; and groups, none of which is on both sides of a split.

    Parameters
    ----------
    n_splits : int
        Test sets; 2 at least.
    max_train_size : int or duration, optional
        The most rows to train on, the latest ones, or how far back they reach.
    test_size : int or duration, optional
        Rows of a test set, or how long it lasts; `rows // (n_splits + 1)` where not given.
    embargo : number or duration
        Time from training to the test set's start. A row is trained on if its `ts` is more than this
        before the test, and its label was known by then.
    ts : array of shape (n_samples,), optional
        When each row came: times, or numbers; its place where not given. Times take durations as pandas
        writes them, "7D". May be given to `split` instead, or routed there as metadata.
    label_ts : array of shape (n_samples,), optional
        When each row's label was known; `ts` where not given. For a model that is trained on whatever is known. Where
        how late a label is depends on it (a click is known at once, that there was none after days), the newest rows
        are then of one kind: if production waits for the slowest, leave it out and make the embargo that much longer.

    Raises
    ------
    ValueError
        If a setting isn't one of these; from `split`, if times are missing, of another kind or of another
        length, a label is earlier than its row, or a fold is left without rows.

    References
    ----------
    Tashman (2000), "Out-of-sample tests of forecasting accuracy: an analysis and review",
    International Journal of Forecasting.

    Examples
    --------
    >>> splitter = RollingOriginSplit(n_splits=2, test_size=2, embargo=1)
    >>> for train, test in splitter.split(np.zeros((8, 1))):
    ...     print(train, test)
    [0 1 2] [4 5]
    [0 1 2 3 4] [6 7]

    A label that came late keeps its row out, and so does a user of the test set:

    >>> late = np.arange(8) + np.array([0, 9, 0, 0, 0, 0, 0, 0])
    >>> splitter = RollingOriginSplit(n_splits=2, test_size=2, label_ts=late)
    >>> for train, test in splitter.split(np.zeros((8, 1)), groups=list("aabcbdea")):
    ...     print(train, test)
    [0 3] [4 5]
    [2 3 4 5] [6 7]
    """

    # As scikit-learn's own splitters that heed groups: given under metadata routing, they come through.
    __metadata_request__split: ClassVar[dict[str, bool]] = {"groups": True}

    def __init__(
        self,
        n_splits: int = 5,
        *,
        max_train_size: Any = None,
        test_size: Any = None,
        embargo: Any = 0,
        ts: Any = None,
        label_ts: Any = None,
    ) -> None:
        self.n_splits = count("n_splits", n_splits, least=2)
        for name, size in (("max_train_size", max_train_size), ("test_size", test_size)):
            if _is_rows(size):
                count(name, size)
            elif size is not None and length(name, size, timed=True) <= 0:
                raise ValueError(f"{name}: got {size!r}; it must be longer than nothing")
        length("embargo", embargo, timed=not _is_number(embargo))
        self.max_train_size = max_train_size
        self.test_size = test_size
        self.embargo = embargo
        self.ts = ts
        self.label_ts = label_ts

    def get_n_splits(
        self, X: Any = None, y: Any = None, groups: Any = None, *, ts: Any = None, label_ts: Any = None
    ) -> int:
        """The number of test sets; all arguments are ignored (a search passes on what it was routed)."""
        return self.n_splits

    def split(
        self, X: Any, y: Any = None, groups: Any = None, *, ts: Any = None, label_ts: Any = None
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Places of the rows to train on and of those to test on, each in order of time.

        Parameters
        ----------
        X : array of shape (n_samples, n_features)
            Counts the rows.
        y : array of shape (n_samples,), optional
            Ignored.
        groups : array of shape (n_samples,), optional
            Rows to train on whose group is in the test set are left out.
        ts, label_ts : array of shape (n_samples,), optional
            In place of the splitter's own.
        """
        X, y, groups = indexable(X, y, groups)
        n = X.shape[0] if hasattr(X, "shape") else len(X)
        come, known, timed = instants(
            self.ts if ts is None else ts, self.label_ts if label_ts is None else label_ts, n
        )
        code = None if groups is None else pd.factorize(np.asarray(groups))[0]
        if code is not None and (code < 0).any():
            raise ValueError(f"groups: got {int((code < 0).sum()):,} missing of {n:,}; each row needs one")
        embargo = length("embargo", self.embargo, timed=timed)
        order = np.argsort(come, kind="stable")
        for fold, (begin, first, end) in enumerate(self._tests(come[order], timed), start=1):
            test, trained_at = order[first:end], begin - embargo
            train = order[:first]
            train = train[(come[train] < trained_at) & (known[train] <= trained_at)]
            if code is not None:
                train = train[~np.isin(code[train], code[test])]
            if _is_rows(self.max_train_size):
                train = train[-self.max_train_size :]
            elif self.max_train_size is not None:
                back = length("max_train_size", self.max_train_size, timed=timed)
                train = train[come[train] >= trained_at - back]
            if not len(train) or not len(test):
                side = "test on" if len(train) else "train on"
                raise ValueError(f"n_splits: got {self.n_splits}; fold {fold} has no row to {side}")
            yield train, test

    def _tests(self, come: np.ndarray, timed: bool) -> Iterator[tuple[Any, int, int]]:
        """Each test set's beginning, and its places among the rows in order of time."""
        n, folds = len(come), self.n_splits
        if self.test_size is None or _is_rows(self.test_size):
            size = n // (folds + 1) if self.test_size is None else int(self.test_size)
            if not size or size * folds >= n:
                raise ValueError(f"n_splits: got {folds} with test sets of {size}; there are {n:,} rows")
            for first in range(n - folds * size, n, size):
                yield come[first], first, first + size
        else:
            lasts = length("test_size", self.test_size, timed=timed)
            # The last window holds the last row: it ends just after it.
            edges = [come[-1] + 1 - lasts * (folds - k) for k in range(folds + 1)]
            places = np.searchsorted(come, edges)
            for k in range(folds):
                yield edges[k], int(places[k]), int(places[k + 1])

    def __repr__(self) -> str:
        settings = ("embargo", "label_ts", "max_train_size", "n_splits", "test_size", "ts")
        told = (f"{name}={_brief(getattr(self, name))}" for name in settings)
        return f"{type(self).__name__}({', '.join(told)})"


def instants(ts: Any, label_ts: Any, n: int) -> tuple[np.ndarray, np.ndarray, bool]:
    """When each of n rows came, when its label was known, and whether these are times: in nanoseconds, else numbers.

    Parameters
    ----------
    ts, label_ts : array of shape (n,) or None
        Places of the rows, and `ts`, where None.

    Raises
    ------
    ValueError
        If values are missing, of another length, neither times nor numbers, or of two kinds; or a label is
        earlier than its row.

    Examples
    --------
    >>> come, known, timed = instants([3, 1], [3.5, 2], 2)
    >>> come, known, timed
    (array([3, 1]), array([3.5, 2. ]), False)
    """
    come, kind = (np.arange(n), "numbers") if ts is None else _told("ts", ts, n)
    known, labels = (come, kind) if label_ts is None else _told("label_ts", label_ts, n)
    if labels != kind:
        raise ValueError(f"label_ts: got {labels}; ts are {kind}, and both must be of one kind")
    if (known < come).any():
        raise ValueError(f"label_ts: got {int((known < come).sum()):,} earlier than their ts")
    return come, known, kind != "numbers"


def _told(name: str, values: Any, n: int) -> tuple[np.ndarray, str]:
    """Times or numbers as an array that can be compared and subtracted, and which of them they are."""
    told = pd.Series(values if isinstance(values, pd.Series | pd.Index) else np.asarray(values))
    if len(told) != n:
        raise ValueError(f"{name}: got {len(told):,} for {n:,} rows; one each")
    if told.isna().any():
        raise ValueError(f"{name}: got {int(told.isna().sum()):,} missing of {n:,}; each row needs one")
    if pd.api.types.is_object_dtype(told) and isinstance(told.iloc[0], pd.Timestamp):
        told = pd.to_datetime(told)
    if pd.api.types.is_datetime64_any_dtype(told):
        kind = "times" if told.dt.tz is None else "times with their zone"
        if told.dt.tz is not None:
            told = told.dt.tz_convert("UTC").dt.tz_localize(None)
        return told.to_numpy("datetime64[ns]").astype(np.int64), kind
    if not pd.api.types.is_numeric_dtype(told) or not np.isfinite(told.to_numpy(float)).all():
        raise ValueError(f"{name}: got {told.dtype}; they must be times or finite numbers")
    # Unsigned or short ones would wrap where an embargo is subtracted.
    return told.to_numpy(np.int64 if pd.api.types.is_integer_dtype(told) else float), "numbers"


def length(name: str, value: Any, *, timed: bool) -> Any:
    """A duration in nanoseconds, or a number where rows are numbered; refused by parameter, value and rule.

    Examples
    --------
    >>> length("gap", "2us", timed=True), length("gap", 3, timed=False)
    (2000, 3)
    """
    if _is_number(value) and (value == 0 or not timed):
        if not 0 <= float(value) < np.inf:
            raise ValueError(f"{name}: got {value!r}; it must be 0 or more")
        return value
    try:
        told = pd.Timedelta(value)
        if _is_number(value) or isinstance(value, bool) or pd.isna(told):
            raise ValueError
    except (TypeError, ValueError):
        raise ValueError(f"{name}: got {value!r}; it must be a duration, as in '7D'") from None
    if not timed:
        raise ValueError(f"{name}: got {value!r}; rows without times have a number of them")
    if told < pd.Timedelta(0):
        raise ValueError(f"{name}: got {value!r}; it must not be negative")
    return told.value


def _is_number(value: Any) -> bool:
    # NumPy counts its durations among the whole numbers.
    return isinstance(value, numbers.Real) and not isinstance(value, bool | np.timedelta64)


def _is_rows(value: Any) -> bool:
    return _is_number(value) and isinstance(value, numbers.Integral)


def _brief(value: Any) -> str:
    # Else the repr of a search would hold every row's time.
    return (
        f"<{len(value):,} of them>"
        if hasattr(value, "__len__") and not isinstance(value, str)
        else repr(value)
    )
