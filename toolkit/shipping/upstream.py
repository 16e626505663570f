"""What did somebody upstream change, since when, and what did it do to the score? The chapter's functions and its curves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from toolkit.frames import IMPRESSION, read_columns
from toolkit.general.ageing import median_split_auc
from toolkit.rules import number
from toolkit.shipping.blame import restored, upstream_blame
from toolkit.shipping.changepoints import changepoint
from toolkit.shipping.rescaling import (
    MONITORS,
    auc_spread,
    canary_exposure,
    clipped_correlation,
    monitor_delay,
    monitor_path,
    rescaled_auc,
    rescaled_correlation,
    rows_in_canary,
)
from toolkit.world.policies import fit_logistic

__all__ = [
    "MONITORS",
    "LinearScore",
    "auc_by_factor",
    "auc_spread",
    "canary_exposure",
    "changepoint",
    "clipped_correlation",
    "labelled",
    "monitor_delay",
    "monitor_path",
    "rescaled_auc",
    "rescaled_correlation",
    "restored",
    "rows_in_canary",
    "upstream_blame",
    "with_factor",
]


def auc_by_factor(weight: float, *, clip: float, factors: Sequence[float]) -> pd.DataFrame:
    """The AUC that is left for each factor, as the feature arrives and with it cut off: `factor`, `auc`, `feature`.

    Examples
    --------
    >>> auc_by_factor(0.2, clip=3.0, factors=[1.0, 100.0])["auc"].round(3).tolist()
    [0.83, 0.648, 0.83, 0.758]
    """
    arriving = [rescaled_auc(weight, factor) for factor in factors]
    cut = [
        float(median_split_auc(0.7 * clipped_correlation(weight, factor, clip=clip))) for factor in factors
    ]
    parts = {"as it arrives": arriving, "cut off": cut}
    return pd.concat(
        [pd.DataFrame({"factor": factors, "auc": aucs, "feature": name}) for name, aucs in parts.items()],
        ignore_index=True,
    )


def with_factor(history: pd.DataFrame, feature: str, factor: float, *, since: Any) -> pd.DataFrame:
    """A feature history in which one feature arrives times a factor from a time on, its version as before.

    Examples
    --------
    >>> day = pd.Timestamp("2026-03-02", tz="UTC")
    >>> history = pd.DataFrame({"feature": ["a", "b"], "event_ts": day, "value": [1.0, 1.0]})
    >>> with_factor(history, "a", 100.0, since=day)["value"].tolist()
    [100.0, 1.0]
    """
    number("factor", factor)
    if feature not in set(history["feature"]):
        raise ValueError(
            f"feature: got {feature!r}; history has {', '.join(map(str, history['feature'].unique()))}"
        )
    later = (history["feature"] == feature) & (history["event_ts"] >= since)
    return history.assign(value=np.where(later, factor * history["value"], history["value"]))


def labelled(training: Any, log: Any, *, split: str = "holdout") -> pd.DataFrame:
    """The rows of one part of a training table, each with its user.

    Examples
    --------
    >>> keys = {"request_id": [1, 2], "item_id": [7, 7]}
    >>> labelled(pd.DataFrame({**keys, "split": ["train", "holdout"]}), pd.DataFrame({**keys, "user_id": [5, 6]}))["user_id"].tolist()
    [6]
    """
    rows = read_columns(training, "training", [*IMPRESSION, "split"], keep=True)
    users = read_columns(log, "log", [*IMPRESSION, "user_id"], key=IMPRESSION)
    return rows[rows["split"] == split].merge(users, on=IMPRESSION, validate="one_to_one")


class LinearScore:
    """A logistic model of some columns, fitted to rows; called on a frame it gives a score a row.

    Examples
    --------
    >>> rows = pd.DataFrame({"f_0": [0.0, 1.0, 0.0, 1.0], "y": [0, 1, 1, 1]})
    >>> score = LinearScore(rows, ["f_0"])
    >>> bool(score(rows)[1] > score(rows)[0])
    True
    """

    def __init__(self, rows: pd.DataFrame, columns: Sequence[str], *, y: str = "y") -> None:
        self.columns = list(columns)
        self.weights = fit_logistic(rows[self.columns], rows[y])

    def __call__(self, rows: pd.DataFrame) -> np.ndarray:
        return np.asarray(self.weights[0] + rows[self.columns].to_numpy(float) @ self.weights[1:])

    def shares(self, rows: pd.DataFrame) -> pd.Series:
        """Each column's share of the score's variance, columns taken as independent."""
        parts = (self.weights[1:] * rows[self.columns].to_numpy(float)).var(axis=0)
        return pd.Series(parts / parts.sum(), index=self.columns)
