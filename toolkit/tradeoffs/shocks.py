"""What do wrong labels do to a model that learns from them, and how long does it take to get over them?

Two replays of a log, as gates before a launch: an incident of a few days, and labels that are wrong
all the time. What they stand on: learners as functions of rows (`memories`), wrong labels (`market`),
what each learner of a level pays (`prices`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import t as student

from toolkit.finding import Finding, figure
from toolkit.frames import read_columns
from toolkit.rules import count, level, number, share
from toolkit.tradeoffs.blocks import block_means
from toolkit.tradeoffs.market import Fault, mislabel
from toolkit.tradeoffs.memories import Learner

__all__ = ["noise_replay", "shock_replay"]


def shock_replay(
    model: Learner,
    log: Any,
    *,
    days: int = 1,
    label: int = 0,
    hit: float = 1.0,
    limit: float | None = None,
    replays: int = 12,
    warm: int = 60,
    after: int = 45,
    y: str = "y",
    ts: str = "ts",
    alpha: float = 0.05,
    rng: Any = 0,
) -> Finding:
    """How long a model takes to forget half of a label incident, which is put into a log again and again.

    For some days a share of the labels reads `label`: an outage loses the clicks, a bot makes them.
    The model runs over each stretch with and without the incident; what its predictions differ by
    afterwards is the shock.

    Parameters
    ----------
    model : callable
        Takes rows in time's order and gives each a prediction made from labels of earlier days only, as
        those in `memories` do.
    log : frame
        One row an impression: outcome, time, and what the model reads.
    days, label, hit : int, 0 or 1, float
        Length of the incident, what its labels read, and the share of labels that it hits.
    limit : float, optional
        Days in which half must be forgotten for the model to pass.
    replays : int
        Incidents, spread evenly over the log.
    warm, after : int
        Days that the model learns from before an incident, and that are watched after it.
    y, ts : str
        Columns.
    alpha : float
        One minus the level of the intervals.
    rng : int or Generator
        Picks the labels that are hit.

    Returns
    -------
    Finding
        The recovery half-life in days, infinite where half isn't forgotten in the days watched. Its
        interval holds the times at which a t test over the replays doesn't refute that the mean
        squared shock is a quarter of its first value (Fieller's set); where the replays can't say that
        half is ever forgotten, it ends at infinity. The table has the shock by day after the
        incident: the root mean square of what predictions differ by, with its interval.

    Raises
    ------
    ValueError
        If the log is short or has a day without rows where one is watched, the incident changes no
        prediction, or the model looks ahead: a prediction that differs before the incident's labels
        are known.

    References
    ----------
    Fieller (1954), "Some Problems in Interval Estimation", JRSS B.

    Examples
    --------
    >>> from toolkit.tradeoffs.market import market
    >>> from toolkit.tradeoffs.memories import recalibrated
    >>> round(shock_replay(recalibrated(7.0), market(300)).estimate, 2)
    7.0
    """
    level(alpha), count("days", days), count("replays", replays, least=4)
    count("warm", warm), count("after", after, least=2), share("hit", hit, open_low=True)
    if label not in (0, 1):
        raise ValueError(f"label: got {label!r}; a label is 0 or 1")
    if limit is not None:
        number("limit", limit, above=0)
    rows, day = _in_order(log, y, ts)
    last = int(day[-1]) + 1 - days - after
    if last - warm + 1 < replays:
        raise ValueError(
            f"{ts}: got {int(day[-1]) + 1} days; for {replays} replays there must be {warm + days + after + replays - 1} at least"
        )
    draw = np.random.default_rng(rng)
    squares = np.zeros((replays, after))
    for place, start in enumerate(np.linspace(warm, last, replays).round().astype(int)):
        piece = (day >= start - warm) & (day < start + days + after)
        given, when = rows[piece].reset_index(drop=True), day[piece] - start
        struck = (when >= 0) & (when < days) & (draw.random(len(when)) < hit)
        wrong = given.assign(**{y: np.where(struck, label, given[y])})
        moved = _predicted(model, wrong) - _predicted(model, given)
        if np.abs(moved[when <= 0]).max(initial=0.0) > 1e-9:
            raise ValueError(
                "model: it looks ahead: the incident changes predictions of days before its labels"
            )
        if len(np.unique(when[when >= 0])) < days + after:
            raise ValueError(
                f"{ts}: got a day without rows within {days + after} days of day {start}; a shock is followed from day to day"
            )
        since = when[when >= days] - days
        squares[place] = np.bincount(since, moved[when >= days] ** 2) / np.bincount(since)
    if not squares[:, 0].mean() > 0:
        raise ValueError(
            "model: the incident changed none of its predictions; does it learn from these labels?"
        )

    shock = np.sqrt(squares.mean(0))
    estimate = _half_life(shock)
    low, high = _fieller(squares, alpha)
    # The logarithm of a mean square, to first order: positive, and skewed as squares are.
    factor = np.exp(_reach(squares, alpha) / 2 / np.maximum(squares.mean(0), 1e-300))
    table = pd.DataFrame(
        {"day": np.arange(1, after + 1), "shock": shock, "low": shock / factor, "high": shock * factor}
    )
    others = [_half_life(np.sqrt(np.delete(squares, place, 0).mean(0))) for place in range(replays)]
    return Finding(
        estimate,
        (min(low, estimate), max(high, estimate)),
        _recovery(estimate, low, high, float(shock[0]), days, after, limit),
        unit="days",
        # The jackknife's; undefined where half is forgotten in some sets of replays only.
        se=float(np.std(others) * math.sqrt(replays - 1)) if np.isfinite(others).all() else math.nan,
        n=len(rows),
        n_clusters=replays,
        alpha=alpha,
        table=table,
        assumptions=(
            "the replays' stretches stand for those to come, and are about independent",
            "the incident is like those to come: its length, its labels, the share that it hits",
        ),
        cannot_tell=(
            "what an incident does to users, and so to later labels: a replay changes the labels only",
            "how soon somebody would have stopped the training",
        ),
    )


def noise_replay(
    model: Learner,
    log: Any,
    *,
    kind: Fault = "symmetric",
    rates: Sequence[float] = (0.0, 0.05, 0.1, 0.2),
    draws: int = 3,
    warm: int = 60,
    blocks: int = 8,
    y: str = "y",
    ts: str = "ts",
    alpha: float = 0.05,
    replicates: int = 500,
    rng: Any = 0,
) -> Finding:
    """What labels that are wrong all the time add to a model's squared error, judged on the labels as they were.

    Parameters
    ----------
    model, log, y, ts
        As for `shock_replay`.
    kind : "symmetric", "lost" or "burst"
        How labels go wrong, as in `mislabel`.
    rates : sequence of float
        How many, ascending, in [0, 1/2]; the last is the one that the finding is about.
    draws : int
        Times that wrong labels are drawn, over which the loss is averaged.
    warm : int
        Days before any is judged.
    blocks : int
        Equal stretches of time that the bootstrap draws.
    alpha, replicates : float, int
        One minus the level of the intervals, and draws of the bootstrap.
    rng : int or Generator
        For the wrong labels, and the bootstrap.

    Returns
    -------
    Finding
        What the highest rate adds to a row's squared error. The table has one row a rate: the share of
        labels that were `wrong`; what is `added`, with its interval; by how much predictions moved on
        average, `shift`, which a known rate can take back (`corrected`); and the standard deviation of
        what they moved by, `scatter`, which only a longer memory averages out.

    Raises
    ------
    ValueError
        If settings or the log are bad, or the log is shorter than `warm` and two days a block.

    Examples
    --------
    >>> from toolkit.tradeoffs.market import market
    >>> from toolkit.tradeoffs.memories import recalibrated
    >>> log = market(300, rate=0.0)
    >>> fast, slow = (noise_replay(recalibrated(life), log, kind="burst").estimate for life in (1.0, 20.0))
    >>> fast > slow
    True
    """
    level(alpha), count("draws", draws), count("warm", warm), count("blocks", blocks, least=4)
    if not len(rates) or list(rates) != sorted(set(rates)):
        raise ValueError(f"rates: got {list(rates)!r}; they must ascend, one at least")
    rows, day = _in_order(log, y, ts)
    judged = day >= warm
    length = int(day[-1]) + 1 - warm
    if length < 2 * blocks:
        raise ValueError(
            f"{ts}: got {int(day[-1]) + 1} days; there must be {warm + 2 * blocks} at least, {warm} to learn from "
            f"and 2 in each of {blocks} blocks"
        )
    true = rows[y].to_numpy(float)
    clean = _predicted(model, rows)
    block = np.minimum((day[judged] - warm) * blocks // length, blocks - 1)
    held = np.bincount(block, minlength=blocks).astype(float)
    if not (held > 0).all():
        raise ValueError(f"{ts}: got a stretch of {length // blocks} days without a row; blocks need some")
    added, (wrong, shift, scatter) = np.zeros((len(rates), blocks)), np.zeros((3, len(rates)))
    draw = np.random.default_rng(rng)
    for place, rate in enumerate(rates):
        for _ in range(draws):
            labels = mislabel(rows, rate, kind=kind, y=y, ts=ts, rng=draw)
            told = _predicted(model, rows.assign(**{y: labels}))
            more = ((told - true) ** 2 - (clean - true) ** 2)[judged]
            added[place] += np.bincount(block, more, minlength=blocks) / draws
            wrong[place] += float(np.mean(labels != true)) / draws
            shift[place] += float((told - clean)[judged].mean()) / draws
            scatter[place] += float((told - clean)[judged].std()) / draws
    sure = block_means(added, held, alpha=alpha, replicates=replicates, rng=rng)
    table = pd.DataFrame(
        {
            "rate": list(rates),
            "wrong": wrong,
            "added": sure.mean,
            "low": sure.mean - sure.half,
            "high": sure.mean + sure.half,
            "shift": shift,
            "scatter": scatter,
        }
    )
    worst = table.iloc[-1]
    return Finding(
        float(worst["added"]),
        (float(worst["low"]), float(worst["high"])),
        f"With {worst['wrong']:.1%} of the labels wrong ({kind}) a row's squared error "
        + (
            f"is {figure(worst['added'])} higher, and predictions move by {figure(worst['shift'], signed=True)} on average."
            if worst["low"] > 0
            else "doesn't show to be higher."
        ),
        unit="squared error a row",
        se=float(sure.error[-1]),
        p=None if math.isnan(sure.p[-1]) else float(sure.p[-1]),
        n=int(judged.sum()),
        n_clusters=blocks,
        alpha=alpha,
        table=table,
        assumptions=(
            f"the log's {blocks} stretches of {length // blocks} days are alike and about independent",
            "labels go wrong in this way, and whatever else is in the log stays as it was",
        ),
        cannot_tell=(
            "how many of the log's own labels are wrong: noise comes on top of theirs",
            "wrong labels that depend on the features",
        ),
    )


def _in_order(log: Any, y: str, ts: str) -> tuple[pd.DataFrame, np.ndarray]:
    rows = read_columns(log, "log", [y, ts], labels=[y], times=[ts], keep=True)
    rows = rows.sort_values(ts, kind="stable", ignore_index=True)
    # By the calendar of the times' own zone, whose days may have 23 or 25 hours.
    floor = rows[ts].dt.tz_localize(None).dt.floor("1D")
    return rows, (floor - floor.iloc[0]).dt.days.to_numpy()


def _predicted(model: Learner, rows: pd.DataFrame) -> np.ndarray:
    told = np.asarray(model(rows), dtype=float)
    if told.shape != (len(rows),) or not np.isfinite(told).all():
        raise ValueError(
            f"model: got predictions of shape {told.shape}; it must give one finite number a row"
        )
    return told


def _reach(values: np.ndarray, alpha: float) -> np.ndarray:
    """Half the width of a t interval for each column's mean, rows being independent."""
    rows = len(values)
    quantile = float(student.ppf(1 - alpha / 2, rows - 1))
    return np.asarray(quantile * values.std(0, ddof=1) / math.sqrt(rows))


def _fieller(squares: np.ndarray, alpha: float) -> tuple[float, float]:
    """The first and last time at which the mean square may have fallen to a quarter of its first value."""
    days = np.arange(squares.shape[1])
    fine = np.linspace(0, days[-1], 20 * days[-1] + 1)
    # Between days each replay falls as an exponential would; what is gone, to next to nothing.
    logs = np.log(np.maximum(squares, 1e-12 * squares.max()))
    between = np.exp([np.interp(fine, days, row) for row in logs])
    above = between - between[:, :1] / 4
    reach = _reach(above, alpha)
    first, last = (np.flatnonzero(above.mean(0) + side * reach <= 0) for side in (-1, 1))
    return (
        float(fine[max(first[0] - 1, 0)]) if len(first) else math.inf,
        float(fine[last[0]]) if len(last) else math.inf,
    )


def _half_life(shock: np.ndarray) -> float:
    """When it has fallen to half of its first value, between days as an exponential would."""
    below = np.flatnonzero(shock <= shock[0] / 2)
    if not len(below):
        return math.inf
    at = int(below[0])
    if shock[at] <= 0:
        return float(at)
    part = math.log(shock[at - 1] / (shock[0] / 2)) / math.log(shock[at - 1] / shock[at])
    return at - 1 + part


def _recovery(
    estimate: float, low: float, high: float, shock: float, days: int, after: int, limit: float | None
) -> str:
    length = f"{days} day{'s' if days > 1 else ''}"
    start = f"An incident of {length} moves predictions by {figure(shock)} at first; "
    told = (
        f"half of that isn't forgotten within {after} days"
        if math.isinf(estimate)
        else f"half of that is forgotten after {figure(estimate)} days"
    )
    if limit is None:
        return start + told + "."
    gate = "passes" if high <= limit else "fails" if low > limit else "is undecided at"
    return f"{start}{told}: it {gate} a limit of {figure(limit)} days."
