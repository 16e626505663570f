"""How much better does a model look on rows drawn at random than on those that come next?

The diagnostics for the reader's logs. What they stand on: the splitter (`rolling_origin`), the closed
forms (`split_errors`), a metric of each test set (`fold_metrics`). Policies that learn are
replayed in `replay`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from toolkit.finding import Finding, figure
from toolkit.resampling import Estimate
from toolkit.rules import count, level
from toolkit.shipping.fold_metrics import Metric, Rows, read_rows
from toolkit.shipping.rolling_origin import RollingOriginSplit, instants, length

__all__ = ["embargo_curve", "split_gap"]

_BY_LABEL = (
    "a level that moves, from labels that are late by what they say: leave label_ts out, make embargo as long as the "
    "slowest, and compare"
)


def split_gap(
    rows: Any,
    model: Any,
    *,
    features: Sequence[str],
    metric: Metric = "squared error",
    y: str = "y",
    ts: str = "ts",
    label_ts: str | None = None,
    groups: str | None = None,
    embargo: Any = 0,
    n_splits: int = 20,
    blocks: int = 10,
    alpha: float = 0.05,
    rng: Any = 0,
) -> Finding:
    """How much a random split flatters a model, against a rolling origin on the same test rows.

    The later half of the rows is tested, one set after the other, three ways: by a model of the rows before the
    set (rolling origin); by one of as many rows drawn at random from all others; and by one of four fifths of
    all rows, as a random split has them. The first two differ in what may be known, the last two in how many rows
    there are.

    Parameters
    ----------
    rows : frame
        Label, time and features, one row each; more columns do no harm.
    model : scikit-learn estimator
        Cloned and fitted anew for each test set. Of a classifier the chance of the label 1 counts; for AUC its
        `decision_function` does where it tells none.
    features : sequence of str
        What it is fitted on: numbers.
    metric : "squared error", "absolute error", "log loss" or "AUC"
    label_ts, groups : str, optional
        Columns as in `RollingOriginSplit`, for the rolling origin; groups are apart in all three. Read there before
        giving `label_ts` where clicks are known sooner than their absence.
    embargo : number or duration
        As there.
    n_splits : int
        Test sets that the later half makes, each with a model of its own: as long as production keeps one.
    blocks : int
        Stretches of time for the interval, each of as many test sets. Fewer are longer, and more nearly independent.
    y, ts : str
        Columns of the label and of the time.
    alpha : float
        One minus the level of the interval.
    rng : int or Generator
        For the rows that are drawn at random.

    Returns
    -------
    Finding
        By how much the random split looks better at equal numbers of training rows, mean over blocks with a t interval.
        The table has one row a way of splitting. Of simulated 95%
        intervals 94% to 97% held the truth at rest, 93% to 95% where levels moved (800 rows of five items whose levels keep
        50% to 95% of themselves a day). Blocks aren't correlated there, but skewed: three of four intervals that miss lie
        below the truth, so a lower bound above zero is surer than it says.

    Raises
    ------
    ValueError
        If columns or values are bad, or a block or its training rows can't be made.

    Examples
    --------
    >>> from sklearn.neighbors import KNeighborsRegressor
    >>> from toolkit.shipping.split_errors import levels
    >>> rows = pd.DataFrame({"ts": np.arange(600), "y": levels(600, 0.3, rng=1)[1][:, 0]})
    >>> finding = split_gap(rows, KNeighborsRegressor(4), features=["ts"])
    >>> finding.ci[0] > 0
    True
    """
    level(alpha)
    _stretches(n_splits, blocks)
    told = read_rows(
        rows, model, features=features, metric=metric, y=y, ts=ts, label_ts=label_ts, groups=groups
    )
    draw = np.random.default_rng(rng)
    splits = _rolling(told, n_splits, embargo)
    most = len(told) * 4 // 5
    values, sizes = [], []
    for train, test in splits:
        rolling = told.fitted(train)
        # A set that is all of one group can't be halved.
        halves = [part for part in told.parts(2, draw, test) if len(part)]
        read = np.empty((len(halves), 3))
        for half, here in enumerate(halves):
            # Its other half is among the rows that may be drawn: a random split has neighbours on both sides.
            free = draw.permutation(told.without(here))
            if len(free) < len(train):
                raise ValueError(
                    f"{groups}: got too few others for {len(train):,} random rows; test by fewer"
                )
            sizes.append((min(most, len(free)), len(train), len(train)))
            models = (told.fitted(free[:most]), told.fitted(free[: len(train)]), rolling)
            # Each model's own metric: predictions of several, pooled, would rank worse than those of one.
            read[half] = [told.value(here, model(here)) for model in models]
        values.append(np.average(read, axis=0, weights=[len(part) for part in halves]))
    read = np.array(values)
    better = 1 if metric == "AUC" else -1
    flatters = better * (read - read[:, 2:])
    table = pd.DataFrame(
        {
            "split": ["random, four fifths", "random, as many rows", "rolling origin"],
            "training rows": np.mean(sizes, axis=0).round().astype(int),
            metric: read.mean(0),
            "looks better by": flatters.mean(0),
        }
    )
    means = [_mean(flatter, blocks) for flatter in flatters.T]
    table["low"], table["high"] = zip(*(mean.interval(alpha) for mean in means), strict=True)
    flattery = means[1]
    low, high = flattery.interval(alpha)
    shown = f"{metric} {figure(read[:, 1].mean())} on rows drawn at random, {figure(read[:, 2].mean())} in rolling origin"
    if low > 0:
        verdict = f"The random split flatters the model: {shown}, with as many rows to train on."
    elif high < 0:
        verdict = f"The random split is the stricter one: {shown}, with as many rows to train on."
    else:
        verdict = f"No flattery shown: {shown}, no further apart than luck."
    return Finding(
        flattery.value,
        (low, high),
        verdict,
        unit=metric,
        se=flattery.error,
        p=flattery.p,
        n=int(sum(len(test) for _, test in splits)),
        n_clusters=blocks,
        alpha=alpha,
        table=table,
        assumptions=(
            f"the {blocks} blocks are nearly independent: long, against the time in which the level forgets",
            "production predicts as the rolling origin does: for as long after training, with labels as late",
        ),
        cannot_tell=(
            "a level that moves, from rows of one user, day or duplicate on both sides: pass groups, and compare",
            "what changes once the model acts on what it predicts",
            *(() if label_ts is None else (_BY_LABEL,)),
        ),
    )


def embargo_curve(
    rows: Any,
    model: Any,
    *,
    features: Sequence[str],
    gaps: Sequence[Any],
    metric: Metric = "squared error",
    y: str = "y",
    ts: str = "ts",
    label_ts: str | None = None,
    groups: str | None = None,
    n_splits: int = 20,
    blocks: int = 10,
    unknown: float = 0.01,
    alpha: float = 0.05,
) -> Finding:
    """What the metric of a rolling origin becomes as the gap before the test grows, and the gap that labels ask for.

    All gaps are tested on the same rows and trained on as many; those of a longer gap are older.

    Parameters
    ----------
    rows, model, features, metric, y, ts, groups, n_splits, blocks
        As in `split_gap`.
    gaps : sequence of numbers or durations
        From none upwards.
    label_ts : str, optional
        Column of when a label was known. The gap asked for is the least of `gaps` that at most a share `unknown` of
        all labels are later than; the longest of `gaps` where not given.
    unknown : float
        Share of all labels that may take longer than the gap asked for.
    alpha : float
        One minus the level of the interval.

    Returns
    -------
    Finding
        By how much the metric is worse at the gap asked for than at the first; the table has one row a gap, with
        `later labels`, the share of all labels that take longer, and `unknown labels`, the share of those trained on
        that are from after the test's start: the more rows are old, the less.

    Raises
    ------
    ValueError
        As `split_gap`; and if fewer than two gaps are given, they don't ascend, or none is long enough for the labels.

    Examples
    --------
    >>> from sklearn.neighbors import KNeighborsRegressor
    >>> from toolkit.shipping.split_errors import levels
    >>> rows = pd.DataFrame({"ts": np.arange(600), "y": levels(600, 0.3, rng=1)[1][:, 0]})
    >>> rows["label_ts"] = rows["ts"] + 5
    >>> settings = {"features": ["ts"], "label_ts": "label_ts", "n_splits": 40}
    >>> table = embargo_curve(rows, KNeighborsRegressor(4), gaps=[0, 2, 5, 10], **settings).table
    >>> table["later labels"].tolist(), table["unknown labels"].round(3).tolist()
    ([1.0, 1.0, 0.0, 0.0], [0.009, 0.005, 0.0, 0.0])
    """
    level(alpha)
    level(unknown, name="unknown")
    _stretches(n_splits, blocks)
    if isinstance(gaps, str) or len(gaps) < 2:
        raise ValueError(f"gaps: got {gaps!r}; a curve needs two at least, in a list")
    told = read_rows(
        rows, model, features=features, metric=metric, y=y, ts=ts, label_ts=label_ts, groups=groups
    )
    come, known, timed = instants(told.come, told.known, len(told))
    lengths = [length("gaps", gap, timed=timed) for gap in gaps]
    if lengths != sorted(lengths):
        raise ValueError(f"gaps: got {list(gaps)}; they must ascend")
    folds = [_rolling(told, n_splits, gap, labels=False) for gap in gaps]
    read, late = np.empty((2, n_splits, len(gaps)))
    for g, fold in enumerate(folds):
        for k, (train, test) in enumerate(fold):
            # The longest gap leaves the fewest rows.
            train = train[-len(folds[-1][k][0]) :]
            read[k, g] = told.value(test, told.fitted(train)(test))
            late[k, g] = (known[train] > come[test].min()).mean()
    worse = (-1 if metric == "AUC" else 1) * (read - read[:, :1])
    means = [_mean(change, blocks) for change in worse.T]
    table = pd.DataFrame({"gap": [str(gap) for gap in gaps], metric: read.mean(0), "worse by": worse.mean(0)})
    table["low"], table["high"] = zip(*(mean.interval(alpha) for mean in means), strict=True)
    asked = len(gaps) - 1
    if told.known is not None:
        # Not the share of those trained on: it is small wherever there are many old rows, however late all are.
        later = np.array([(known - come > gap).mean() for gap in lengths])
        table["later labels"], table["unknown labels"] = later, late.mean(0)
        enough = np.flatnonzero(later <= unknown)
        if not len(enough):
            raise ValueError(
                f"gaps: got none long enough for the labels; {later[-1]:.1%} take longer than {gaps[-1]}"
            )
        asked = int(enough[0])
    price = means[asked]
    low, high = price.interval(alpha)
    to = f"with a gap of {gaps[asked]}, {metric} {figure(read[:, asked].mean())} instead of {figure(read[:, 0].mean())}"
    if asked == 0:
        verdict = f"Labels are known in time: no gap beyond {gaps[0]} is asked for."
    elif low > 0:
        verdict = f"Without the gap the model looks too good: {to}."
    elif high < 0:
        verdict = f"The gap does good: {to}."
    else:
        verdict = f"No price of the gap shows: {to}, no further apart than luck."
    return Finding(
        price.value,
        (low, high),
        verdict,
        unit=metric,
        se=price.error,
        p=price.p if asked else None,
        n=int(sum(len(test) for _, test in folds[0])),
        n_clusters=blocks,
        alpha=alpha,
        table=table,
        assumptions=(
            f"the {blocks} blocks are nearly independent: long, against the time in which the level forgets",
            f"a model is trained {n_splits} times; in production it may be more often",
        ),
        cannot_tell=("a level that moves, from features whose meaning changes with time",),
    )


def _rolling(
    told: Rows, n_splits: int, embargo: Any, *, labels: bool = True
) -> list[tuple[np.ndarray, np.ndarray]]:
    size = len(told) // (2 * n_splits)
    if not size:
        raise ValueError(f"n_splits: got {n_splits}; {len(told):,} rows make no set each of their later half")
    splitter = RollingOriginSplit(
        n_splits, test_size=size, embargo=embargo, ts=told.come, label_ts=told.known if labels else None
    )
    return list(splitter.split(told.features, groups=told.groups))


def _stretches(n_splits: int, blocks: int) -> None:
    count("blocks", blocks, least=3)
    if count("n_splits", n_splits) % blocks:
        raise ValueError(f"n_splits: got {n_splits}; it must be a multiple of the {blocks} blocks")


def _mean(values: np.ndarray, blocks: int) -> Estimate:
    """The mean of test sets, with the error of blocks of them."""
    of = values.reshape(blocks, -1).mean(1)
    return Estimate(float(of.mean()), float(of.std(ddof=1) / np.sqrt(blocks)), blocks - 1)
