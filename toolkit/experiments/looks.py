"""What did the dashboard of a running experiment show, day by day and user by user?"""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from toolkit.experiments.arms import Metric, both_arms
from toolkit.experiments.moments import grouped
from toolkit.frames import IMPRESSION, joinable, read_columns, with_outcomes


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
        `request_id`, `item_id`, `user_id`, `ts`; one row an impression. Where it has an `arm`,
        impressions without one (explored requests) are left out: no arm's model chose them.
    outcomes : frame
        `request_id`, `item_id` and the metric's column. Where it has a `label_ts`, an impression
        counts from the first look at which its label was known.
    experiment : str
        Which experiment's assignments to read.
    value : str
        The metric's column; summed by user.
    treatment : str
        The arm whose difference from the other one is estimated.

    Returns
    -------
    DataFrame with one row a day from that on which both arms have two users
        `ts` (the day), `users` seen by then, `estimate` (difference of the metric's mean over all
        impressions since assignment, in the metric's unit an impression) and `se` (delta method,
        by user): what `peeking_audit` takes.

    Raises
    ------
    ValueError
        If the experiment or the arm isn't there, there aren't two arms, a user is assigned twice or
        served by another arm than the assigned one, or an impression has no outcome.

    Examples
    --------
    >>> start = pd.Timestamp("2026-03-02", tz="UTC")
    >>> users = pd.DataFrame({"experiment": "new", "user_id": range(6), "arm": ["control", "treatment"] * 3,
    ...     "ts": start})
    >>> log = pd.DataFrame({"request_id": range(6), "item_id": 7, "user_id": range(6),
    ...     "ts": start + pd.to_timedelta([1, 2, 3, 4, 30, 31], unit="h")})
    >>> outcomes = pd.DataFrame({"request_id": range(6), "item_id": 7, "y": [0, 1, 1, 1, 1, 0]})
    >>> looks_by_day(users, log, outcomes, experiment="new")[["users", "estimate"]].values.tolist()
    [[4.0, 0.5], [6.0, 0.0]]
    """
    users, events = _joined(assignments, serving_log, outcomes, experiment, value, treatment)
    control, treated = two_arms(users["arm"], treatment)
    rows, per_row = [], Metric("sum", per="count")
    for day in sorted(events["ts"].dt.floor("D").unique()):
        end = day + pd.Timedelta(days=1)
        known = events[events["known"] < end]
        by_user = known.groupby(["arm", "user_id"])[value].agg(["sum", "count"]).reset_index()
        users_of = by_user["arm"].value_counts()
        if not all(users_of.get(arm, 0) > 1 for arm in (control, treated)):
            continue  # a day before both arms have two users has no comparison to look at
        moments = grouped(by_user, ["sum", "count"], arm="arm")
        sides = both_arms(
            {("control", 0): moments[control, "all"], ("treatment", 0): moments[treated, "all"]}, per_row
        )
        told = sides["treatment"], sides["control"]
        se = math.sqrt(told[0].squared + told[1].squared)
        rows.append((day, len(by_user), told[0].value - told[1].value, se))
    if not rows:
        raise ValueError(
            f"serving_log: got {len(events):,} rows of {experiment!r}'s users; on no day had each arm two users"
        )
    return pd.DataFrame(rows, columns=["ts", "users", "estimate", "se"])


def users_by_entry(
    assignments: Any,
    serving_log: Any,
    outcomes: Any,
    *,
    experiment: str,
    window: pd.Timedelta,
    value: str = "y",
    treatment: str = "treatment",
) -> pd.DataFrame:
    """One row a user of an experiment, when the user's window closes: what `sequential_ci` takes.

    Every user counts for equally long, and only with what was known by then: a sum to the test's
    end, put at the user's entry, would let an early stop read the future.

    Parameters
    ----------
    assignments, serving_log, outcomes : frames
        As in `looks_by_day`.
    window : Timedelta
        How long after assignment a user's impressions count; positive.

    Returns
    -------
    DataFrame
        `user_id`, `arm`, `ts` (when the window closed) and the metric's column: its sum over the
        user's impressions within the window whose label was known when it closed; 0 for a user
        without any. Users whose window was still open at the log's last impression are left out;
        `attrs["open"]` is their number.

    Raises
    ------
    ValueError
        As `looks_by_day`; or if the window isn't positive, or closed for no user.

    Examples
    --------
    >>> start = pd.Timestamp("2026-03-02", tz="UTC")
    >>> users = pd.DataFrame({"experiment": "new", "user_id": [1, 2], "arm": ["control", "treatment"], "ts": start})
    >>> log = pd.DataFrame({"request_id": [1, 2, 3], "item_id": 7, "user_id": [1, 1, 2],
    ...     "ts": start + pd.to_timedelta([1, 30, 50], unit="h")})
    >>> outcomes = pd.DataFrame({"request_id": [1, 2, 3], "item_id": 7, "y": 1})
    >>> table = users_by_entry(users, log, outcomes, experiment="new", window=pd.Timedelta("1D"))
    >>> table["y"].tolist()
    [1.0, 0.0]
    """
    if not isinstance(window, pd.Timedelta) or not window > pd.Timedelta(0):
        raise ValueError(f"window: got {window!r}; it must be a positive Timedelta")
    users, events = _joined(assignments, serving_log, outcomes, experiment, value, treatment)
    end = read_columns(serving_log, "serving_log", ["ts"])["ts"].max()
    closes = users["ts"] + window
    closed = users[closes <= end]
    if closed.empty:
        raise ValueError(f"window: got {window}; at the log's last impression it is open for every user")
    by_then = events["ts_assigned"] + window
    # Labels count that were known before the window closed; the impression then was, too.
    within = events[(events["ts"] < by_then) & (events["known"] <= by_then)]
    sums = within.groupby("user_id")[value].sum().reindex(closed["user_id"], fill_value=0.0)
    table = closed[["user_id", "arm"]].assign(ts=closes[closed.index], **{value: sums.to_numpy(float)})
    table = table.sort_values("ts", ignore_index=True)
    table.attrs["open"] = len(users) - len(closed)
    return table


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
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The experiment's users, and their impressions' outcomes since they were assigned."""
    users = read_columns(assignments, "assignments", ["experiment", "user_id", "arm", "ts"])
    columns = [*IMPRESSION, "user_id", "ts"]
    shown = read_columns(
        serving_log, "serving_log", columns, key=IMPRESSION, optional=["arm"], missing=["arm"]
    )
    _like_times(users["ts"], shown["ts"])
    users = users[users["experiment"] == experiment]
    if users.empty:
        raise ValueError(f"experiment: got {experiment!r}; assignments have none of that name")
    two_arms(users["arm"], treatment)
    if users["user_id"].duplicated().any():
        raise ValueError(
            "assignments: a user is in it twice for this experiment; there must be one row a user"
        )
    if "arm" in shown:
        shown = shown[shown["arm"].notna()].rename(columns={"arm": "served"})
    joinable(shown, users, ["user_id"], names=("serving_log", "assignments"))
    events = shown.merge(users[["user_id", "arm", "ts"]], on="user_id", suffixes=("", "_assigned"))
    events = events[events["ts"] >= events["ts_assigned"]]
    if "served" in events and (events["served"] != events["arm"]).any():
        row = events[events["served"] != events["arm"]].iloc[0]
        raise ValueError(
            f"arm: got {row['served']!r} in serving_log for user {row['user_id']}, who is assigned to "
            f"{row['arm']!r}; both must name one arm"
        )
    events = with_outcomes(events, outcomes, value=value, label=False, optional=["label_ts"])
    if "label_ts" in events:
        _like_times(users["ts"], events["label_ts"])
    known = events["ts"] if "label_ts" not in events else events[["ts", "label_ts"]].max(axis=1)
    return users, events.assign(known=known)


def _like_times(assigned: pd.Series, other: pd.Series) -> None:
    """Refuse what isn't times, and times with a zone beside times without one."""
    for times in (assigned, other):
        if not pd.api.types.is_datetime64_any_dtype(times):
            raise ValueError(
                f"{times.name}: got {times.dtype}; it must be times, as pd.to_datetime gives them"
            )
    if (assigned.dt.tz is None) != (other.dt.tz is None):
        raise ValueError(
            f"{other.name}: got {other.dtype} beside {assigned.dtype} of the assignments; both must be times "
            "with their zone, or both without"
        )
