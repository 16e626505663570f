"""What did the dashboard of a running experiment show, day by day and user by user?"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from toolkit.frames import read_columns


def looks_by_day(
    assignments: Any,
    serving_log: Any,
    outcomes: Any,
    *,
    experiment: str,
    value: str = "y",
    treatment: str = "treatment",
) -> pd.DataFrame:
    """The estimate that a dashboard showed at the end of each day of an experiment.

    Parameters
    ----------
    assignments : frame
        `experiment`, `user_id`, `arm`, `ts`; one row a user and experiment.
    serving_log : frame
        `request_id`, `item_id`, `user_id`, `ts`; one row an impression.
    outcomes : frame
        `request_id`, `item_id` and the metric's column.
    experiment : str
        Which experiment's assignments to read.
    value : str
        The metric's column; summed by user.
    treatment : str
        The arm whose difference from the other one is estimated.

    Returns
    -------
    DataFrame with one row a day
        `ts` (the day), `users` seen by then, `estimate` (difference of the metric's mean over all
        impressions since assignment) and `se` (delta method, by user): what `peeking_audit` takes.

    Raises
    ------
    ValueError
        If the experiment or the arm isn't there, there aren't two arms, or a user is assigned twice.

    Examples
    --------
    >>> start = pd.Timestamp("2026-03-02", tz="UTC")
    >>> users = pd.DataFrame({"experiment": "new", "user_id": range(4), "arm": ["control", "treatment"] * 2,
    ...     "ts": start})
    >>> log = pd.DataFrame({"request_id": range(4), "item_id": 7, "user_id": range(4),
    ...     "ts": start + pd.to_timedelta([1, 2, 30, 31], unit="h")})
    >>> outcomes = pd.DataFrame({"request_id": range(4), "item_id": 7, "y": [0, 1, 0, 0]})
    >>> looks_by_day(users, log, outcomes, experiment="new")[["users", "estimate"]].values.tolist()
    [[2.0, 1.0], [4.0, 0.5]]
    """
    users, events, treated = _joined(assignments, serving_log, outcomes, experiment, value, treatment)
    control = two_arms(users["arm"], treatment)[0]
    rows = []
    for day in sorted(events["ts"].dt.floor("D").unique()):
        end = day + pd.Timedelta(days=1)
        by_user = events[events["ts"] < end].groupby(["arm", "user_id"])[value].agg(["sum", "count"])
        if not {control, treated} <= set(by_user.index.get_level_values("arm")):
            continue  # a day before both arms have impressions has no comparison to look at
        means, errors = {}, {}
        for arm in (control, treated):
            sums, counts = by_user.loc[arm, "sum"], by_user.loc[arm, "count"]
            means[arm] = sums.sum() / counts.sum()
            errors[arm] = ((sums - means[arm] * counts) ** 2).sum() ** 0.5 / counts.sum()
        se = float(np.hypot(errors[control], errors[treated]))
        rows.append((day, len(by_user), means[treated] - means[control], se))
    return pd.DataFrame(rows, columns=["ts", "users", "estimate", "se"])


def users_by_entry(
    assignments: Any,
    serving_log: Any,
    outcomes: Any,
    *,
    experiment: str,
    value: str = "y",
    treatment: str = "treatment",
) -> pd.DataFrame:
    """One row a user of an experiment, in order of entry: what `sequential_ci` takes.

    Parameters
    ----------
    assignments, serving_log, outcomes : frames
        As in `looks_by_day`.

    Returns
    -------
    DataFrame
        `user_id`, `arm`, `ts` (of assignment) and the metric's column: its sum over the user's
        impressions since then, 0 for a user without any.

    Examples
    --------
    >>> start = pd.Timestamp("2026-03-02", tz="UTC")
    >>> users = pd.DataFrame({"experiment": "new", "user_id": [1, 2], "arm": ["control", "treatment"], "ts": start})
    >>> log = pd.DataFrame({"request_id": [1, 2], "item_id": 7, "user_id": 1, "ts": start + pd.Timedelta("1h")})
    >>> outcomes = pd.DataFrame({"request_id": [1, 2], "item_id": 7, "y": [1, 1]})
    >>> users_by_entry(users, log, outcomes, experiment="new")["y"].tolist()
    [2.0, 0.0]
    """
    users, events, _ = _joined(assignments, serving_log, outcomes, experiment, value, treatment)
    sums = events.groupby("user_id")[value].sum().reindex(users["user_id"], fill_value=0.0)
    table = users[["user_id", "arm", "ts"]].assign(**{value: sums.to_numpy(float)})
    return table.sort_values("ts", ignore_index=True)


def two_arms(arms: pd.Series, treatment: str) -> tuple[str, str]:
    """The control's and the treatment's name, refused unless there are just these two.

    Examples
    --------
    >>> two_arms(pd.Series(["treatment", "old", "old"]), "treatment")
    ('old', 'treatment')
    """
    names = sorted(arms.unique())
    if len(names) != 2 or treatment not in names:
        raise ValueError(f"treatment: got {treatment!r}; it must be one of two arms, and there are {names}")
    return next(name for name in names if name != treatment), treatment


def _joined(
    assignments: Any, serving_log: Any, outcomes: Any, experiment: str, value: str, treatment: str
) -> tuple[pd.DataFrame, pd.DataFrame, str]:
    """The experiment's users, and their impressions' outcomes since they were assigned."""
    users = read_columns(assignments, "assignments", ["experiment", "user_id", "arm", "ts"])
    keys = ["request_id", "item_id"]
    shown = read_columns(serving_log, "serving_log", [*keys, "user_id", "ts"])
    labels = read_columns(outcomes, "outcomes", [*keys, value])
    for name, table in (("serving_log", shown), ("outcomes", labels)):
        if table.duplicated(keys).any():
            raise ValueError(f"{name}: a request and item are in it twice; there must be one row each")
    users = users[users["experiment"] == experiment]
    if users.empty:
        raise ValueError(f"experiment: got {experiment!r}; assignments have none of that name")
    two_arms(users["arm"], treatment)
    if users["user_id"].duplicated().any():
        raise ValueError(
            "assignments: a user is in it twice for this experiment; there must be one row a user"
        )
    events = shown.merge(labels, on=keys).merge(
        users[["user_id", "arm", "ts"]], on="user_id", suffixes=("", "_assigned")
    )
    return users, events[events["ts"] >= events["ts_assigned"]], treatment
