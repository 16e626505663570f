"""What is this model tied to: which stage before it, which systems behind it?

The chapter's diagnostics on the reader's own tables: the stage before it (`funnel`), what a consumer
makes of a new score (here), two versions of a score (`contract`), who reads a table (`lineage`).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from toolkit.finding import Finding
from toolkit.frames import IMPRESSION, joinable, read_columns
from toolkit.general.contract import QuantileShim, quantile_shim, replay, score_contract, shadow_scores
from toolkit.general.funnel import funnel_attribution, funnel_recall
from toolkit.general.lineage import lineage
from toolkit.resampling import Estimate
from toolkit.rules import level, number

__all__ = [
    "QuantileShim",
    "consumer_impact",
    "consumer_rows",
    "funnel_attribution",
    "funnel_recall",
    "lineage",
    "quantile_shim",
    "replay",
    "score_contract",
    "shadow_scores",
]


def consumer_rows(downstream: Any, serving_log: Any, outcomes: Any) -> pd.DataFrame:
    """A consumer's reads with the user and the outcome of what was scored, joined by time and score.

    Parameters
    ----------
    downstream, serving_log, outcomes : any frames that Narwhals reads
        The columns of `toolkit.tables`. The consumer reads a score when it is served.

    Returns
    -------
    DataFrame
        `downstream` with `user_id` and `y`.

    Raises
    ------
    ValueError
        If two impressions have one time and score, or a read has no impression with an outcome.

    Examples
    --------
    >>> seconds = pd.to_datetime(["2026-03-02 10:00:00", "2026-03-02 10:00:05"], utc=True)
    >>> log = pd.DataFrame({"request_id": [1, 2], "item_id": 7, "user_id": [11, 12], "ts": seconds, "score": 0.4})
    >>> outcomes = pd.DataFrame({"request_id": [1, 2], "item_id": 7, "y": [0, 1]})
    >>> reads = pd.DataFrame({"ts": seconds[1:], "upstream_score": 0.4, "upstream_version": "old",
    ...     "score": 0.3, "action": True})
    >>> consumer_rows(reads, log, outcomes)[["score", "user_id", "y"]].to_dict("records")
    [{'score': 0.3, 'user_id': 12, 'y': 1}]
    """
    reads = read_columns(
        downstream,
        "downstream",
        ["ts", "upstream_score", "upstream_version", "score", "action"],
        times=["ts"],
    )
    columns = [*IMPRESSION, "user_id", "ts", "score"]
    log = read_columns(serving_log, "serving_log", columns, key=["ts", "score"], times=["ts"])
    labels = read_columns(outcomes, "outcomes", [*IMPRESSION, "y"], key=IMPRESSION, labels=["y"])
    joinable(log, labels, IMPRESSION, names=("serving_log", "outcomes"))
    joinable(
        reads,
        log.rename(columns={"score": "upstream_score"}),
        ["upstream_score"],
        names=("downstream", "score of serving_log"),
    )
    served = log.merge(labels, on=IMPRESSION).rename(columns={"score": "upstream_score"})
    joined = reads.merge(served, on=["ts", "upstream_score"], how="left")
    lost = int(joined["y"].isna().sum())
    if lost:
        raise ValueError(
            f"downstream: got {lost:,} reads of {len(reads):,} without an impression and outcome"
        )
    return joined.drop(columns=IMPRESSION)


def consumer_impact(
    downstream: Any,
    *,
    reference: str | None = None,
    current: str | None = None,
    outcome: str | None = "y",
    cluster: str | None = "user_id",
    margin: float = 0.25,
    alpha: float = 0.05,
) -> Finding:
    """What a new version of an upstream score did to a consumer: how often it acts, and how right it is.

    Parameters
    ----------
    downstream : any frame that Narwhals reads
        The columns of `downstream` in `toolkit.tables`, and those named by `outcome` and `cluster`;
        `consumer_rows` makes it from FooBar's tables.
    reference, current : str, optional
        The upstream versions to compare; where there are two only, the one read first and the other.
    outcome : str or None
        Column of what the consumer's score predicts; None where it isn't known.
    cluster : str or None
        Column of what is independent; None says that reads are.
    margin : float
        How much misfit is none to speak of: the slope's distance from 1, and how many standard
        deviations of the score the mean outcome is away from the mean score.
    alpha : float
        One minus the level of the intervals.

    Returns
    -------
    Finding
        Estimate: the change of the share of reads that led to an action. A version counts as read
        from when a hundredth of its reads has been until a hundredth is left, so that a stray read doesn't
        say when; the reads outside the time that the two have in common are left out and
        counted in the verdict.

        The table has one row a version. With an outcome: the slope of the outcome's regression on the
        consumer's score, and `off`, the mean outcome less the mean score; 1 and 0 where the score is
        right on average at every value. Their two intervals hold together. A score fits where both lie
        within the margin; it doesn't where one lies wholly outside; else it can't be told.
        `acted_outcome` is the mean outcome of the reads that led to an action. Without an outcome: the
        slope and intercept of the consumer's score on the upstream score, equal in both versions where
        the consumer hasn't changed (and is linear).

    Raises
    ------
    ValueError
        If columns or values are missing, times lack their zone, the versions aren't there or aren't two,
        or a version's scores are constant.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> score = rng.normal(size=4000)
    >>> reads = pd.DataFrame({"ts": pd.date_range("2026-03-02", periods=4000, freq="min", tz="UTC"),
    ...     "upstream_version": ["v1"] * 2000 + ["v2"] * 2000, "upstream_score": score})
    >>> reads["score"] = reads["upstream_score"] * np.where(reads["upstream_version"] == "v1", 1, 0.5)
    >>> reads["action"] = reads["score"] > 1
    >>> consumer_impact(reads, outcome=None, cluster=None).ci[1] < 0
    True
    """
    level(alpha)
    number("margin", margin, above=0)
    wanted = ["ts", "upstream_score", "upstream_version", "score", "action"]
    extra = [name for name in (outcome, cluster) if name is not None]
    numbers = ["upstream_score", "score", *([] if outcome is None else [outcome])]
    rows = read_columns(
        downstream, "downstream", [*wanted, *extra], numbers=numbers, labels=["action"], times=["ts"]
    )
    versions = list(rows.sort_values("ts", kind="stable")["upstream_version"].unique())
    if reference is None and current is None and len(versions) == 2:
        reference, current = versions
    for name, version in (("reference", reference), ("current", current)):
        if version not in versions:
            raise ValueError(
                f"{name}: got {version!r}; it must be one of the versions {', '.join(map(str, versions))}"
            )
    if reference == current:
        raise ValueError(f"current: got {current!r}, which is the reference too; two versions are compared")
    rows = rows[rows["upstream_version"].isin([reference, current])]
    spans = [_read(rows.loc[rows["upstream_version"] == version, "ts"]) for version in (reference, current)]
    begin, end = max(span[0] for span in spans), min(span[1] for span in spans)
    together, given = begin < end, len(rows)
    if together:
        # What changed with the days then changed for both.
        rows = rows[rows["ts"].between(begin, end)]
    regressor = "upstream_score" if outcome is None else "score"
    target = "score" if outcome is None else outcome
    units = np.arange(len(rows)) if cluster is None else pd.factorize(rows[cluster])[0]
    table: list[dict[str, Any]] = []
    fits: list[str] = []
    for version in (reference, current):
        here = (rows["upstream_version"] == version).to_numpy()
        part = rows[here]
        if part[regressor].nunique() < 2:
            raise ValueError(
                f"{regressor}: got {part[regressor].nunique()} values from {version!r}; a slope needs 2"
            )
        part_units = units[here]
        # Half of alpha for each of two intervals: they hold together.
        slope, intercept = _line(part[regressor], part[target], part_units)
        low, high = slope.interval(alpha if outcome is None else alpha / 2)
        row = {
            "version": version,
            "reads": len(part),
            "action_rate": float(part["action"].mean()),
            "mean_score": float(part["score"].mean()),
            "slope": slope.value,
            "slope_low": low,
            "slope_high": high,
        }
        if outcome is None:
            table.append({**row, "intercept": intercept})
            continue
        off = _mean(part[outcome] - part["score"], part_units)
        off_low, off_high = off.interval(alpha / 2)
        spread = float(part["score"].std())
        row |= {"mean_outcome": float(part[outcome].mean()), "off": off.value}
        row |= {"off_low": off_low, "off_high": off_high}
        table.append({**row, "acted_outcome": float(part.loc[part["action"] == 1, outcome].mean())})
        fits.append(_judged(low - 1, high - 1, off_low / spread, off_high / spread, margin=margin))
    change, _ = _line(rows["upstream_version"] == current, rows["action"], units)
    ends = change.interval(alpha)
    before, after = table
    when = "after against before"
    if together:
        outside = given - len(rows)
        when = "while both were read" + (f" ({outside:,} reads at other times left out)" if outside else "")
    moved = f"no difference shows ({100 * ends[0]:+.1f} to {100 * ends[1]:+.1f} points)"
    if ends[0] > 0 or ends[1] < 0:
        least, most = sorted(100 * abs(side) for side in ends)
        moved = f"{least:.1f} to {most:.1f} points {'more' if ends[0] > 0 else 'fewer'}"
    right = ""
    if outcome is not None:
        right = (
            f"; {_FIT[fits[0], fits[1]]} (slope {after['slope_low']:.2f} to {after['slope_high']:.2f}, "
            f"outcome less score {after['off_low']:+.3f} to {after['off_high']:+.3f})"
        )
    return Finding(
        change.value,
        ends,
        f"The consumer acts on {after['action_rate']:.1%} of {current}'s scores and "
        f"{before['action_rate']:.1%} of {reference}'s, {when}: {moved}{right}.",
        unit="share of reads",
        se=change.error,
        p=change.p,
        n=len(rows),
        n_clusters=len(np.unique(units)),
        alpha=alpha,
        table=pd.DataFrame(table),
        assumptions=(
            "which version a read got doesn't depend on what was scored"
            if together
            else "nothing but the version changed between the two times",
        ),
        cannot_tell=(
            "what the consumer would do once fitted to the new score",
            *(
                ()
                if outcome is not None
                else ("whether its actions got better or worse: that takes outcomes",)
            ),
        ),
    )


# What is said of the new version's fit, by the reference's and its own.
_FIT = {
    ("fits", "fits"): "its score still fits the outcome",
    ("doesn't", "fits"): "its score fits the outcome, which it didn't before",
    ("can't tell", "fits"): "its score fits the outcome",
    ("fits", "doesn't"): "its score no longer fits the outcome",
    ("doesn't", "doesn't"): "its score doesn't fit the outcome, and didn't before",
    ("can't tell", "doesn't"): "its score doesn't fit the outcome; whether it did before can't be told",
    ("fits", "can't tell"): "whether its score still fits the outcome can't be told",
    ("doesn't", "can't tell"): "whether its score fits the outcome can't be told; before, it didn't",
    ("can't tell", "can't tell"): "whether its score fits the outcome can't be told",
}


def _judged(*ends: float, margin: float) -> str:
    """What the two misfits' intervals, given by their ends in turn, say against the margin."""
    pairs = list(zip(ends[::2], ends[1::2], strict=True))
    if any(low > margin or high < -margin for low, high in pairs):
        return "doesn't"
    return "fits" if all(-margin <= low and high <= margin for low, high in pairs) else "can't tell"


def _read(times: pd.Series) -> tuple[pd.Timestamp, pd.Timestamp]:
    """From when to when a version was read, without the first and last hundredth of its reads."""
    rows = len(times)
    # One read at least, for it may be a stray; but of few reads none.
    aside = min(-(-rows // 100), (rows - 1) // 10)
    ordered = times.sort_values()
    return ordered.iloc[aside], ordered.iloc[rows - 1 - aside]


def _jackknifed(value: float, without: np.ndarray) -> Estimate:
    """From the value and what it is without each of the clusters."""
    clusters = len(without)
    se = float(np.sqrt((clusters - 1) / clusters * ((without - without.mean()) ** 2).sum()))
    return Estimate(value, se, clusters - 1)


def _clusters(units: np.ndarray) -> np.ndarray:
    groups: np.ndarray = pd.factorize(units)[0]
    if groups.max() < 1:
        raise ValueError(f"cluster: got {groups.max() + 1} with a version; an error needs two at least")
    return groups


def _mean(values: Any, units: np.ndarray) -> Estimate:
    values, groups = np.asarray(values, dtype=float), _clusters(units)
    rows, sums = np.bincount(groups), np.bincount(groups, values)
    return _jackknifed(float(values.mean()), (values.sum() - sums) / (len(values) - rows))


def _line(x: Any, y: Any, units: np.ndarray) -> tuple[Estimate, float]:
    """Slope and intercept of the straight line through points."""
    x, y = (np.asarray(values, dtype=float) for values in (x, y))
    groups = _clusters(units)
    dx, dy = x - x.mean(), y - y.mean()
    # Each cluster's part of the sums that make a slope; the line without it follows from the rest.
    parts = np.array([np.bincount(groups, part) for part in (np.ones_like(dx), dx, dy, dx * dx, dx * dy)])
    n, sx, sy, sxx, sxy = parts.sum(1)[:, None] - parts
    spread = sxx - sx**2 / n
    without = np.where(spread > 1e-12 * (dx @ dx), (sxy - sx * sy / n) / np.where(spread > 0, spread, 1), 0.0)
    slope = float(dx @ dy / (dx @ dx))
    return _jackknifed(slope, without), float(y.mean() - slope * x.mean())
