"""What does a feature over a window become when somebody shortens the window and keeps the name?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from scipy.special import expit, logit

from toolkit.auc import auc
from toolkit.rules import count
from toolkit.world import World
from toolkit.world.clock import DAY, START
from toolkit.world.features import PRIOR_IMPRESSIONS, PRIOR_RATE
from toolkit.world.policies import fit_logistic

__all__ = ["WINDOWED", "window_history", "window_model", "windowed"]

# What is summed up over the days before a day's start, by the name in the feature's.
_KINDS = ("clicks", "views", "rate")
# The features that FooBar has over 3, 7, 14 and 30 days, as `clicks_7d`.
WINDOWED = tuple(f"{kind}_{days}d" for kind in _KINDS for days in (3, 7, 14, 30))


def windowed(world: World, day: int, *, kind: str, window: int) -> np.ndarray:
    """An item's clicks, views, or click rate (in log-odds, smoothed) over the days before a day's start.

    Returns
    -------
    array of shape (items,)

    Examples
    --------
    >>> from toolkit.world import Settings, simulate
    >>> world = simulate(Settings(items=50, requests=100, days=10))
    >>> int(windowed(world, 9, kind="views", window=7).sum())
    700
    """
    if kind not in _KINDS:
        raise ValueError(f"kind: got {kind!r}; it must be one of {', '.join(_KINDS)}")
    if not 0 <= day < world.settings.days:
        raise ValueError(f"day: got {day!r}; it must lie in the {world.settings.days} simulated days")
    span = slice(max(0, day - count("window", window)), day)
    views, clicks = world.impressions[span].sum(0), world.clicks[span].sum(0)
    if kind == "views":
        return np.asarray(views)
    if kind == "clicks":
        return np.asarray(clicks)
    return np.asarray(logit((clicks + PRIOR_IMPRESSIONS * PRIOR_RATE) / (views + PRIOR_IMPRESSIONS)))


def window_history(
    world: World,
    days: range,
    *,
    features: Sequence[str] = WINDOWED,
    changed: Mapping[str, tuple[int, int]] | None = None,
    declared: bool = False,
) -> pd.DataFrame:
    """The history of features over windows, one value an item and day; some with another window from a day on.

    Parameters
    ----------
    world : World
    days : range
    features : sequence of str
        As "clicks_30d": what, and over how many days.
    changed : mapping of feature to (day, window)
        The first day of its new window, in days.
    declared : bool
        Whether a changed feature gets a new version number.

    Returns
    -------
    DataFrame
        The columns of `feature_history` in `toolkit.tables`.

    Raises
    ------
    ValueError
        If a feature's name isn't of that form, or `changed` names none of them.

    Examples
    --------
    >>> from toolkit.world import Settings, simulate
    >>> world = simulate(Settings(items=50, requests=100, days=10))
    >>> len(window_history(world, range(8, 10), features=["views_3d"]))
    100
    """
    changed = dict(changed or {})
    for name in changed:
        if name not in features:
            raise ValueError(f"changed: got {name!r}; it must be one of {', '.join(features)}")
    items, parts = np.arange(world.settings.items), []
    for day in days:
        for name in features:
            kind, _, written = name.rpartition("_")
            if kind not in _KINDS or not (written[:-1].isdigit() and written.endswith("d")):
                raise ValueError(f"features: got {name!r}; it must be like clicks_30d")
            since, new = changed.get(name, (days.stop, 0))
            renewed = day >= since
            parts.append(
                pd.DataFrame(
                    {
                        "entity_id": items,
                        "feature": name,
                        "event_ts": START + day * DAY,
                        "available_ts": START + day * DAY,
                        "value": windowed(
                            world, day, kind=kind, window=new if renewed else int(written[:-1])
                        ),
                        "version": 2 if renewed and declared else 1,
                    }
                )
            )
    return pd.concat(parts, ignore_index=True)


def window_model(
    world: World, *, trained_on: range, days: range, kind: str = "clicks", window: int = 30, served: int = 7
) -> pd.DataFrame:
    """What a model trained on one window makes of another that is served under its name, and one trained anew.

    The model has the pair features and the logarithm of one plus the item's clicks or views, or its rate;
    rows are what the old policy showed.

    Returns
    -------
    DataFrame
        `model`; `auc`; `predicted` and `observed`, the mean chance of a good match and the share of them.

    Examples
    --------
    >>> from toolkit.world import Settings, simulate
    >>> world = simulate(Settings(items=50, requests=200, days=40))
    >>> window_model(world, trained_on=range(30, 35), days=range(35, 40))["model"].tolist()
    ['served as trained', 'served another window', 'trained anew on it']
    """

    def rows(span: range, over: int) -> tuple[np.ndarray, np.ndarray]:
        known, labels = [], []
        for day in span:
            request = np.arange(world.settings.requests)
            value = windowed(world, day, kind=kind, window=over)[world.shown_item(day)]
            value = value if kind == "rate" else np.log1p(value)
            known.append(np.column_stack([world.x[day, request, world.shown[day]], value]))
            labels.append(world.shown_outcome(day))
        return np.concatenate(known), np.concatenate(labels)

    records = []
    for name, trained, given in (
        ("served as trained", window, window),
        ("served another window", window, served),
        ("trained anew on it", served, served),
    ):
        weights = fit_logistic(*rows(trained_on, trained))
        known, labels = rows(days, given)
        score = weights[0] + known @ weights[1:]
        records.append((name, auc(labels, score), float(expit(score).mean()), float(labels.mean())))
    return pd.DataFrame(records, columns=["model", "auc", "predicted", "observed"])
