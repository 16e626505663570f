"""What stands in FooBar's warehouse: the history of its features, training tables, and who trained what?"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from scipy.special import expit
from sklearn.metrics import roc_auc_score

from toolkit.world.clock import DAY, START, times
from toolkit.world.features import CARRIED, smoothed_rate
from toolkit.world.policies import fit_logistic
from toolkit.world.serving import pair_features
from toolkit.world.simulation import World
from toolkit.world.slates import Slates


def feature_history(world: World, days: range, *, lag: pd.Timedelta = DAY) -> pd.DataFrame:
    """Every value that the items' click rates took, when it came about and when it could be read.

    Three features: `rate_28d`, of the four weeks before a day; `rate_today`, the running rate that
    the online store holds, renewed by every impression and `lag` late; `rate_daily`, the
    warehouse's table, which bears the date of the day that it sums up and is there the day after.

    Parameters
    ----------
    world : World
    days : range
        Days on which the values came about.
    lag : Timedelta
        From the event to the store.

    Returns
    -------
    DataFrame
        The columns of `feature_history` in `toolkit.tables`.
    """
    if lag < pd.Timedelta(0):
        raise ValueError(f"lag: got {lag}; it must not be negative")
    items = np.arange(world.settings.items)
    parts = []
    for day in days:
        start = START + day * DAY
        seen, good = world.impressions[day], world.clicks[day]
        carried = (
            CARRIED * np.stack([world.impressions[day - 1], world.clicks[day - 1]])
            if day
            else 0 * np.stack([seen, good])
        )
        parts.append(_values("rate_28d", items, start, start, world.rate[day]))
        parts.append(_values("rate_daily", items, start, start + DAY, smoothed_rate(seen, good)))
        parts.append(_values("rate_today", items, start, start + lag, smoothed_rate(*carried)))
        shown = pd.Series(world.shown_item(day))
        running = [
            carried[0][shown] + shown.groupby(shown).cumcount() + 1,
            carried[1][shown] + pd.Series(world.shown_outcome(day) * 1.0).groupby(shown).cumsum(),
        ]
        event = times(world, day, np.arange(world.settings.requests))
        parts.append(
            _values(
                "rate_today", shown.to_numpy(), event, event + lag, smoothed_rate(*map(np.asarray, running))
            )
        )
    return pd.concat(parts).sort_values(
        ["event_ts", "feature", "entity_id"], kind="stable", ignore_index=True
    )


def training_table(
    rows: Slates, rate: np.ndarray, held_out: np.ndarray, *, snapshot: pd.Timestamp
) -> pd.DataFrame:
    """What a model was trained on: logged impressions with their labels and features.

    Parameters
    ----------
    rows : Slates
        One row a slate.
    rate : array of shape (rows,)
        `f_rate_today` as the team joined it.
    held_out : array of bool, shape (rows,)
    snapshot : Timestamp
        When the features were read.
    """
    world, day, request = rows.world, rows.day[:, 0], rows.request[:, 0]
    return pd.DataFrame(
        {
            "row_id": np.arange(len(day)),
            "request_id": day * world.settings.requests + request,
            "item_id": rows.take(world.item)[:, 0].astype(np.int64),
            "ts": times(world, day, request),
            "y": rows.y[:, 0].astype(np.int64),
            **{name: values[:, 0] for name, values in pair_features(rows).items()},
            "f_rate_today": rate,
            "snapshot_ts": snapshot,
            "split": np.where(held_out, "holdout", "train"),
        }
    )


def tracker(
    training: pd.DataFrame, configurations: Mapping[str, Sequence[str]], *, seeds: Sequence[int] = (0,)
) -> pd.DataFrame:
    """The team's runs: every configuration fitted and measured on the same held-out rows.

    Parameters
    ----------
    training : DataFrame
        A `training_table`.
    configurations : mapping of name to feature columns
        In the order of trying; each run's parent is the configuration before it.
    seeds : sequence of int
        Each run trains on a resample of the training rows, drawn with its seed.

    Returns
    -------
    DataFrame
        One row a run; `metric` is the area under the ROC curve on the held-out rows.
    """
    held_out = training["split"] == "holdout"
    train, holdout = training[~held_out], training[held_out]
    data = hashlib.sha256(pd.util.hash_pandas_object(training, index=False).to_numpy().tobytes())
    records: list[dict[str, object]] = []
    parent = None
    for name, columns in configurations.items():
        for seed in seeds:
            drawn = np.random.default_rng(seed).integers(0, len(train), len(train))
            weights = fit_logistic(train[list(columns)].to_numpy()[drawn], train["y"].to_numpy()[drawn])
            score = expit(weights[0] + holdout[list(columns)].to_numpy() @ weights[1:])
            records.append(
                {
                    "run_id": f"{name}-{seed}",
                    "parent_run": parent,
                    "config_hash": hashlib.sha256("|".join(columns).encode()).hexdigest()[:12],
                    "data_hash": data.hexdigest()[:12],
                    "seed": seed,
                    "metric": float(roc_auc_score(holdout["y"], score)),
                    "n_holdout": len(holdout),
                    "ts": training["snapshot_ts"].iloc[0] + pd.Timedelta(hours=len(records)),
                }
            )
        parent = f"{name}-{seeds[0]}"
    return pd.DataFrame(records)


def _values(
    feature: str,
    entity: np.ndarray,
    event: pd.Timestamp | pd.DatetimeIndex,
    available: pd.Timestamp | pd.DatetimeIndex,
    value: np.ndarray,
) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "entity_id": entity.astype(np.int64),
            "feature": feature,
            "event_ts": event,
            "available_ts": available,
            "value": value,
            "version": 1,
        }
    )
