"""What does a model that was fitted on some rows make of others, by the metric that the reader asked for?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from scipy.special import xlogy
from sklearn.base import clone

from toolkit.auc import auc
from toolkit.frames import read_columns
from toolkit.rules import one_of

__all__ = ["METRICS", "Metric", "Rows", "read_rows"]

# The type of such a name, for annotations.
Metric = Literal["squared error", "absolute error", "log loss", "AUC"]
# How a fold may be judged, by name.
METRICS = ("squared error", "absolute error", "log loss", "AUC")


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows in order of time with a model to be fitted on some of them; made by `read_rows`."""

    features: np.ndarray
    y: np.ndarray
    come: pd.Series
    known: pd.Series | None  # when the label was
    groups: np.ndarray | None
    model: Any
    metric: str

    def __len__(self) -> int:
        return len(self.y)

    def fitted(self, train: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
        """The model fitted on some rows, as a function of others' places."""
        model = clone(self.model).fit(self.features[train], self.y[train])
        if not hasattr(model, "classes_"):
            return lambda test: model.predict(self.features[test])
        if list(model.classes_) not in ([0, 1], [0], [1]):
            raise ValueError(f"y: got classes {list(model.classes_)}; a classifier's label is 0 or 1")
        if not hasattr(model, "predict_proba"):
            # Its labels would be scored as if it had been sure of each.
            if self.metric != "AUC" or not hasattr(model, "decision_function"):
                kind = type(self.model).__name__
                raise ValueError(f"model: got {kind} without `predict_proba`; {self.metric} needs chances")
            return lambda test: model.decision_function(self.features[test])
        if 1 not in model.classes_:
            return lambda test: np.zeros(len(test))
        return lambda test: model.predict_proba(self.features[test])[:, -1]

    def value(self, test: np.ndarray, predicted: np.ndarray) -> float:
        """The metric of predictions on some rows; refused where one isn't a finite number, or there is not one each."""
        y = self.y[test]
        predicted = np.asarray(predicted, dtype=float)
        if predicted.size != len(y):
            raise ValueError(
                f"model: got predictions of shape {predicted.shape} for {len(y):,} rows; one each"
            )
        # A column of them would be subtracted from each label in turn.
        predicted = predicted.reshape(len(y))
        if not np.isfinite(predicted).all():
            bad = int((~np.isfinite(predicted)).sum())
            raise ValueError(f"model: got {bad:,} predictions of {len(y):,} that aren't finite numbers")
        if self.metric == "AUC":
            if len(set(y.tolist())) < 2:
                raise ValueError(
                    f"y: got one kind of label in a set of {len(y):,}; AUC needs both: fewer splits"
                )
            return auc(y.astype(int), predicted)
        if self.metric == "log loss":
            if not ((predicted >= 0) & (predicted <= 1)).all():
                raise ValueError("model: got predictions outside [0, 1]; log loss needs probabilities")
            p = np.clip(predicted, 1e-15, 1 - 1e-15)
            return float(-(xlogy(y, p) + xlogy(1 - y, 1 - p)).mean())
        off = np.abs(predicted - y)
        return float((off**2 if self.metric == "squared error" else off).mean())

    def parts(self, n: int, draw: np.random.Generator, places: np.ndarray) -> list[np.ndarray]:
        """Places in so many parts of about equal size, at random; groups stay whole, and may leave a part empty."""
        units = places if self.groups is None else self.groups[places]
        code, names = pd.factorize(units)
        of = draw.permutation(np.arange(len(names)) % n)[code]
        return [places[of == part] for part in range(n)]

    def without(self, test: np.ndarray) -> np.ndarray:
        """The places of all other rows, and of no group that is in these."""
        free = np.ones(len(self), dtype=bool)
        free[test] = False
        if self.groups is not None:
            free &= ~np.isin(self.groups, self.groups[test])
        return np.flatnonzero(free)


def read_rows(
    rows: Any,
    model: Any,
    *,
    features: Sequence[str],
    metric: Metric = "squared error",
    y: str = "y",
    ts: str = "ts",
    label_ts: str | None = None,
    groups: str | None = None,
) -> Rows:
    """The reader's frame as rows in order of time, refused where the metric or the model can't be had.

    Parameters as in `toolkit.shipping.backtesting.split_gap`.

    Examples
    --------
    >>> from sklearn.linear_model import LinearRegression
    >>> frame = pd.DataFrame({"ts": [3, 1, 2, 4], "x": [3.0, 1.0, 2.0, 4.0], "y": [6.0, 2.0, 4.0, 9.0]})
    >>> told = read_rows(frame, LinearRegression(), features=["x"])
    >>> round(told.value(np.array([3]), told.fitted(np.array([0, 1, 2]))(np.array([3]))), 6)
    1.0
    """
    one_of("metric", metric, METRICS)
    if isinstance(features, str) or not len(features):
        raise ValueError(f"features: got {features!r}; it must name one column at least, in a list")
    if isinstance(model, type):
        raise ValueError(f"model: got the class {model.__name__}; it must be one of its objects")
    for method in ("get_params", "fit", "predict"):
        if not hasattr(model, method):
            raise ValueError(
                f"model: got {type(model).__name__}; it must have `{method}`, as scikit-learn's have"
            )
    early = [name for name in features if name in (y, label_ts)]
    if early:
        raise ValueError(f"features: got {early[0]!r}; the label and its time aren't known when a row comes")
    columns = [y, ts, *features, *(column for column in (label_ts, groups) if column is not None)]
    labels = [y] if metric in ("AUC", "log loss") else []
    numbers = [y, *(name for name in features if name != ts)]
    table = read_columns(rows, "rows", list(dict.fromkeys(columns)), labels=labels, numbers=numbers)
    if labels and table[y].nunique() < 2:
        raise ValueError(f"{y}: got {table[y].iloc[0]} in every row; {metric} needs both labels")
    for name in (ts, label_ts):
        if name is not None and not (
            pd.api.types.is_numeric_dtype(table[name]) or pd.api.types.is_datetime64_any_dtype(table[name])
        ):
            raise ValueError(f"{name}: got {table[name].dtype} in rows; it must be times or numbers")
    table = table.sort_values(ts, kind="stable", ignore_index=True)
    given = table[list(features)].copy()
    for name in given:
        if pd.api.types.is_datetime64_any_dtype(given[name]):
            # Days since the first row: what a model can measure distances in.
            given[name] = (given[name] - given[name].min()) / pd.Timedelta("1D")
    return Rows(
        features=given.to_numpy(float),
        y=table[y].to_numpy(),
        come=table[ts],
        known=None if label_ts is None else table[label_ts],
        groups=None if groups is None else pd.factorize(table[groups])[0],
        model=model,
        metric=metric,
    )
