"""Reading an A/B test: how large is the difference, how sure is it, and how many days would that take?

Diagnostics for the reader's own tables: `by_user`, `compare`, `compare_all` (`metrics`), `aa_size`,
and for the plan `spread` and `power`. Here too are the page's own users, who differ from each other.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import narwhals as nw
import numpy as np
import pandas as pd

from toolkit.experiments.aa_size import aa_size
from toolkit.experiments.assignment import assign
from toolkit.experiments.designs import design_effect, naive_size
from toolkit.experiments.metrics import ROWS, Metric, compare, compare_all, spread
from toolkit.experiments.power import detectable, power, units_needed
from toolkit.experiments.unit_sums import frame_of, has, impressions, one_kind
from toolkit.frames import IMPRESSION, read_columns, schema_of
from toolkit.rules import count, level, number, share
from toolkit.world.clock import DAY, START

__all__ = [
    "ROWS",
    "Metric",
    "aa_size",
    "assign",
    "by_user",
    "compare",
    "compare_all",
    "days_needed",
    "detectable",
    "found_by_size",
    "page_logs",
    "power",
    "spread",
    "units_needed",
    "unread_noise",
]


# Columns that `by_user` makes or reads itself, which no metric's can be called.
_OWN = ("experiment", "user_id", "arm", "ts", "impressions", "impressions_before")


def by_user(assignments: Any, serving_log: Any, outcomes: Any, *, experiment: str, value: str = "y") -> Any:
    """One row a user of an experiment, with what the user did in it and before: what `compare` takes.

    Parameters
    ----------
    assignments : frame
        `experiment`, `user_id`, `arm`, `ts`; one row a user and experiment.
    serving_log : frame
        `request_id`, `item_id`, `user_id`, `ts`. Where it has an `arm`, impressions since the
        assignment that have none (explored requests) are left out: no arm's model chose them.
        Without that column a user counts for the assigned arm, whatever served.
    outcomes : frame
        `request_id`, `item_id` and the metric's column.
    experiment : str
        Which experiment's assignments to read.
    value : str
        The metric's column; summed by user.

    Returns
    -------
    frame
        `user_id`, `arm`, the metric's column, `impressions`, and both `_before` the user's assignment: 0 for a
        user without any. Three lazy frames of one library give a lazy one, which nothing has
        computed yet; others a pandas frame.

    Raises
    ------
    ValueError
        If the experiment isn't there, a user is assigned twice or served by another arm than the
        assigned one, an impression has no outcome, a user or time is missing, a time has no zone, or
        the two tables' user ids are of different types.

    Examples
    --------
    >>> start = pd.Timestamp("2026-03-02", tz="UTC")
    >>> users = pd.DataFrame({"experiment": "new", "user_id": [1, 2], "arm": ["control", "treatment"], "ts": start})
    >>> log = pd.DataFrame({"request_id": range(3), "item_id": 7, "user_id": 1,
    ...     "ts": start + pd.to_timedelta([-1, 1, 2], unit="h")})
    >>> outcomes = pd.DataFrame({"request_id": range(3), "item_id": 7, "y": [1, 1, 0]})
    >>> by_user(users, log, outcomes, experiment="new").drop(columns="arm").to_numpy().astype(int).tolist()
    [[1, 1, 2, 1, 1], [2, 0, 0, 0, 0]]
    """
    if value in (*_OWN, *IMPRESSION):
        raise ValueError(f"value: got {value!r}; it must be a column of outcomes that no other table has")
    log = frame_of(serving_log, "serving_log")
    armed = "arm" in log.collect_schema().names()
    columns = ["user_id", "ts", *(["arm"] if armed else [])]
    shown = frame_of(impressions(serving_log, outcomes, value=value, columns=columns), "serving_log")
    users = frame_of(assignments, "assignments")
    names = ["experiment", "user_id", "arm", "ts"]
    has(users, "assignments", names)
    if not (
        isinstance(shown, nw.LazyFrame)
        and isinstance(users, nw.LazyFrame)
        and shown.implementation == users.implementation
    ):
        users = nw.from_native(read_columns(assignments, "assignments", names))
        if isinstance(shown, nw.LazyFrame):
            shown = nw.from_native(
                read_columns(shown.to_native(), "serving_log", [*columns, value], missing=["arm"])
            )
    own = users.filter(nw.col("experiment") == experiment).select("user_id", "arm", "ts")
    _fit(own, shown)
    told = own.lazy().select(nw.len().alias("rows"), nw.col("user_id").n_unique().alias("users")).collect()
    rows, different = told["rows"].item(), told["users"].item()
    if not rows:
        raise ValueError(f"experiment: got {experiment!r}; assignments have none of that name")
    if different < rows:
        raise ValueError(
            f"user_id: got {rows - different:,} repeated of {rows:,}; there must be one row a user in assignments"
        )
    own = own.rename({"ts": "assigned"})
    events = shown.select(
        "user_id",
        "ts",
        nw.col(value).cast(nw.Float64).alias("acts"),
        *([nw.col("arm").alias("served")] if armed else []),
    )
    joined: Any = own.join(events, on="user_id", how="left")  # type: ignore[arg-type]
    unseen = nw.col("acts").is_null()
    after = (nw.col("ts") >= nw.col("assigned")) & ~unseen
    if armed:
        after = after & ~nw.col("served").is_null()
        other = nw.when(after & (nw.col("served") != nw.col("arm"))).then(nw.lit(1)).otherwise(nw.lit(0))
        wrong = joined.select(other.alias("other")).lazy().select(nw.col("other").sum()).collect().item()
        if wrong:
            raise ValueError(
                f"arm: got {wrong:,} impressions in serving_log by another arm than the user's in assignments; "
                "both must name one arm"
            )
    before = (nw.col("ts") < nw.col("assigned")) & ~unseen
    parts = []
    for name, inside in (("", after), ("_before", before)):
        parts += [
            nw.when(inside).then(nw.col("acts")).otherwise(nw.lit(0.0)).alias(f"{value}{name}"),
            nw.when(inside).then(nw.lit(1.0)).otherwise(nw.lit(0.0)).alias(f"impressions{name}"),
        ]
    sums = [f"{value}", "impressions", f"{value}_before", "impressions_before"]
    table = (
        joined.select("user_id", "arm", *parts)
        .group_by("user_id", "arm")
        .agg(*(nw.col(name).sum() for name in sums))
    )
    if isinstance(table, nw.LazyFrame):
        return table.to_native()
    return table.sort("user_id").to_native().reset_index(drop=True)


def _fit(users: Any, events: Any) -> None:
    """Refuse missing users or times, times without a zone, and ids that can't be each other's."""
    kinds = []
    for frame, name in ((users, "assignments"), (events, "serving_log")):
        schema = schema_of(frame)
        zone = schema["ts"] == nw.Datetime and getattr(schema["ts"], "time_zone", None)
        if not zone:
            raise ValueError(f"ts: got {schema['ts']} in {name}; it must be times with their zone")
        needed = ["user_id", "ts", *(["arm"] if frame is users else [])]
        lost = frame.lazy().select(*(nw.col(each).is_null().cast(nw.Int64).sum() for each in needed))
        for column, absent in lost.collect().rows(named=True)[0].items():
            if absent:
                raise ValueError(f"{column}: got {absent:,} missing; {name} must be complete")
        native = frame.to_native()
        if isinstance(native, pd.DataFrame):
            one_kind(native["user_id"], "user_id", name)
        dtype = schema["user_id"]
        kinds.append("whole numbers" if dtype.is_integer() else "numbers" if dtype.is_numeric() else "text")
    if kinds[0] != kinds[1]:
        raise ValueError(
            f"user_id: got {kinds[0]} in assignments and {kinds[1]} in serving_log; they must be of one kind"
        )


def page_logs(
    *,
    users: int = 3_000,
    impressions: float = 15.0,
    rate: float = 0.1,
    icc: float = 0.05,
    varying: float = 0.8,
    lift: float = 0.0,
    days: int = 14,
    salt: str = "home_page",
    rng: Any = 0,
) -> dict[str, pd.DataFrame]:
    """FooBar's home page before and during a test, shown to users who differ: three of its tables.

    Parameters
    ----------
    users : int
        Those whose assignments there are; all come from the first day on.
    impressions : float
        Mean number a user has in the test's days; as many in as many days before it.
    rate : float
        Mean share of impressions on which a user acts, in (0, 1).
    icc : float
        Intraclass correlation of acts: 0, and all users act alike. A user's own rate is drawn
        from a beta distribution.
    varying : float
        Coefficient of variation of how often users come.
    lift : float
        The treatment's relative effect on each user's rate.
    days : int
        Of the test.
    salt : str
        For the assignment, and the experiment's name.
    rng : int or Generator
        For users and outcomes; not for the split.

    Returns
    -------
    dict of `assignments`, `serving_log` and `outcomes`
        With the columns of these tables that a test's reading needs.

    Examples
    --------
    >>> logs = page_logs(users=100)
    >>> {name: table.columns.tolist() for name, table in logs.items()}["outcomes"]
    ['request_id', 'item_id', 'y', 'label_ts']
    """
    count("users", users, least=2)
    count("days", days)
    number("impressions", impressions, above=0)
    number("rate", rate, above=0, below=1)
    share("icc", icc, open_high=True)
    if number("varying", varying) < 0:
        raise ValueError(f"varying: got {varying!r}; it must not be negative")
    number("lift", lift, above=-1)
    draw = np.random.default_rng(rng)
    own = np.full(users, rate)
    if icc > 0:
        own = draw.beta(rate * (1 / icc - 1), (1 - rate) * (1 / icc - 1), users)
    comes = np.full(users, impressions)
    if varying > 0:
        comes = impressions * draw.gamma(1 / varying**2, varying**2, users)
    arm = assign(np.arange(users), salt=salt)
    begin = START + days * DAY
    parts = []
    for since, chance in ((START, own), (begin, np.minimum(own * (1 + lift * (arm == "treatment")), 1.0))):
        user = np.repeat(np.arange(users), draw.poisson(comes))
        when = since + pd.to_timedelta(np.floor(draw.random(len(user)) * days * 86_400), unit="s")
        y = (draw.random(len(user)) < chance[user]).astype(np.int64)
        shown = pd.DataFrame(
            {"user_id": user, "ts": when, "arm": arm[user] if since is begin else None, "y": y}
        )
        parts.append(shown.sort_values("ts", kind="stable"))
    log = pd.concat(parts, ignore_index=True)
    log["request_id"], log["item_id"] = np.arange(len(log)), 7
    keys = ["request_id", "item_id"]
    return {
        "assignments": pd.DataFrame(
            {"experiment": salt, "user_id": np.arange(users), "arm": arm, "ts": begin}
        ),
        "serving_log": log[["request_id", "user_id", "item_id", "ts", "arm"]],
        "outcomes": log[[*keys, "y"]].assign(label_ts=log["ts"]),
    }


def unread_noise(
    rows: Sequence[float], *, icc: float, varying: float = 0.0, alpha: float = 0.05
) -> pd.DataFrame:
    """What a test by row leaves out when users were randomised: one row a number of rows a user.

    Parameters
    ----------
    rows : sequence of float
        Mean rows a user; 1 at least.
    icc : float
        Share of the rows' variance that a user's rows have in common.
    varying : float
        Coefficient of variation of users' numbers of rows.

    Returns
    -------
    DataFrame
        `rows`; `width`, the clustered interval's width over the naive one's (the root of the
        design effect); `size`, the share of A/A tests that the naive test calls significant.

    References
    ----------
    Kish (1965), Survey Sampling.

    Examples
    --------
    >>> unread_noise([1, 20], icc=0.05).round(3).to_numpy().tolist()
    [[1.0, 1.0, 0.05], [20.0, 1.396, 0.16]]
    """
    share("icc", icc)
    level(alpha)
    if number("varying", varying) < 0:
        raise ValueError(f"varying: got {varying!r}; it must not be negative")
    mean = np.asarray(rows, dtype=float)
    if not (mean >= 1).all():
        raise ValueError(f"rows: got {mean[~(mean >= 1)][0]}; a user has one at least")
    effects = [design_effect(each, icc, cv=varying) for each in mean]
    sizes = [naive_size(each, alpha=alpha) for each in effects]
    return pd.DataFrame({"rows": mean, "width": np.sqrt(effects), "size": sizes})


def days_needed(
    correlations: Sequence[float],
    *,
    lift: float,
    noise: float,
    users_a_day: float,
    power: float = 0.8,
    alpha: float = 0.05,
) -> pd.DataFrame:
    """How long a test takes that adjusts by a covariate: one row a correlation with it.

    Parameters
    ----------
    correlations : sequence of float
        Of the metric with its covariate, in (-1, 1).
    lift : float
        Relative effect to be found; not 0.
    noise : float
        One user's standard deviation over the metric's mean, without adjustment.
    users_a_day : float
        New users a day, half of them in each arm.

    Returns
    -------
    DataFrame
        `correlation`, `users`, `days`.

    References
    ----------
    Deng, Xu, Kohavi and Walker (2013), WSDM: the variance falls by the squared correlation.

    Examples
    --------
    >>> days_needed([0.0, 0.7], lift=0.05, noise=1.0, users_a_day=1_000)["days"].round(1).tolist()
    [12.6, 6.4]
    """
    number("noise", noise, above=0)
    number("users_a_day", users_a_day, above=0)
    for each in correlations:
        number("correlations", each, above=-1, below=1)
    users = [
        units_needed(lift, deviation=noise * math.sqrt(1 - each**2), power=power, alpha=alpha)
        for each in correlations
    ]
    return pd.DataFrame(
        {"correlation": list(correlations), "users": users, "days": np.array(users) / users_a_day}
    )


def found_by_size(
    units: Sequence[float], *, lift: float, noise: float, treated: float = 0.5, alpha: float = 0.05
) -> pd.DataFrame:
    """How often tests of several sizes are significant: one row a number of users in both arms.

    Parameters
    ----------
    units : sequence of float
    lift : float
        The true relative effect.
    noise : float
        One user's standard deviation over the metric's mean.
    treated : float
        Share of users in the treatment.

    Returns
    -------
    DataFrame
        `units`; `found`, the share of tests that are significant.

    Examples
    --------
    >>> found_by_size([10_000, 40_000], lift=0.05, noise=1.0).round(3).to_numpy().tolist()
    [[10000.0, 0.705], [40000.0, 0.999]]
    """
    rows = [(each, power(lift, deviation=noise, units=each, treated=treated, alpha=alpha)) for each in units]
    return pd.DataFrame(rows, columns=["units", "found"]).astype(float)
