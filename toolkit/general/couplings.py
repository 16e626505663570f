"""What is this model tied to: which stage before it, which systems behind it?

The chapter's diagnostics on the reader's own tables: the stage before it (`funnel`), what a consumer
makes of a new score (here), two versions of a score (`contract`), who reads a table (`lineage`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import t as student

from toolkit.finding import Finding
from toolkit.frames import read_columns
from toolkit.general.contract import QuantileShim, quantile_shim, replay, score_contract, shadow_scores
from toolkit.general.funnel import funnel_attribution, funnel_recall
from toolkit.general.lineage import lineage
from toolkit.rules import level

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

_IMPRESSION = ["request_id", "item_id"]


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
        downstream, "downstream", ["ts", "upstream_score", "upstream_version", "score", "action"]
    )
    columns = [*_IMPRESSION, "user_id", "ts", "score"]
    log = read_columns(serving_log, "serving_log", columns, key=["ts", "score"])
    labels = read_columns(outcomes, "outcomes", [*_IMPRESSION, "y"], key=_IMPRESSION, labels=["y"])
    served = log.merge(labels, on=_IMPRESSION).rename(columns={"score": "upstream_score"})
    joined = reads.merge(served, on=["ts", "upstream_score"], how="left")
    lost = int(joined["y"].isna().sum())
    if lost:
        raise ValueError(
            f"downstream: got {lost:,} reads of {len(reads):,} without an impression and outcome"
        )
    return joined.drop(columns=_IMPRESSION)


def consumer_impact(
    downstream: Any,
    *,
    reference: str | None = None,
    current: str | None = None,
    outcome: str | None = "y",
    cluster: str | None = "user_id",
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
    alpha : float
        One minus the level of the intervals.

    Returns
    -------
    Finding
        Estimate: the change of the share of reads that led to an action. One row a version in its
        table: with an outcome the slope and intercept of the outcome's regression on the
        consumer's score, 1 and 0 where the score is right on average at every value; without one,
        of the consumer's score on the upstream score, equal in both versions where the consumer hasn't
        changed (and is linear).

    Raises
    ------
    ValueError
        If columns or values are missing, the versions aren't there or aren't two, or a version's
        scores are constant.

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
    wanted = ["ts", "upstream_score", "upstream_version", "score", "action"]
    extra = [name for name in (outcome, cluster) if name is not None]
    numbers = ["upstream_score", "score", *([] if outcome is None else [outcome])]
    rows = read_columns(downstream, "downstream", [*wanted, *extra], numbers=numbers, labels=["action"])
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
    times = rows.groupby("upstream_version")["ts"]
    begin, end = times.min().max(), times.max().min()
    together = begin < end
    if together:
        # What changed with the days then changed for both.
        rows = rows[rows["ts"].between(begin, end)]
    regressor = "upstream_score" if outcome is None else "score"
    target = "score" if outcome is None else outcome
    units = np.arange(len(rows)) if cluster is None else pd.factorize(rows[cluster])[0]
    table: list[dict[str, Any]] = []
    for version in (reference, current):
        here = (rows["upstream_version"] == version).to_numpy()
        part = rows[here]
        if part[regressor].nunique() < 2:
            raise ValueError(
                f"{regressor}: got {part[regressor].nunique()} values from {version!r}; a slope needs 2"
            )
        fit = _line(part[regressor], part[target], units[here])
        low, high = fit.ends(alpha)
        table.append(
            {
                "version": version,
                "reads": len(part),
                "action_rate": float(part["action"].mean()),
                "mean_score": float(part["score"].mean()),
                **({} if outcome is None else {"mean_outcome": float(part[outcome].mean())}),
                "slope": fit.slope,
                "slope_low": low,
                "slope_high": high,
                "intercept": fit.intercept,
            }
        )
    change = _line(rows["upstream_version"] == current, rows["action"], units)
    before, after = table
    when = "while both were read" if together else "after against before"
    right = ""
    if outcome is not None:
        fits = "still fits" if after["slope_low"] <= 1 <= after["slope_high"] else "no longer fits"
        right = f"; its score {fits} the outcome (slope {after['slope']:.2f})"
    return Finding(
        change.slope,
        change.ends(alpha),
        f"The consumer acts on {after['action_rate']:.1%} of {current}'s scores and "
        f"{before['action_rate']:.1%} of {reference}'s, {when}{right}.",
        unit="share of reads",
        se=change.se,
        p=change.p,
        n=len(rows),
        n_clusters=change.clusters,
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


@dataclass(frozen=True)
class _Line:
    """A straight line through points, with its slope's error by the jackknife over clusters."""

    intercept: float
    slope: float
    se: float
    clusters: int

    def ends(self, alpha: float) -> tuple[float, float]:
        half = float(student.isf(alpha / 2, self.clusters - 1)) * self.se
        return self.slope - half, self.slope + half

    @property
    def p(self) -> float:
        return float(2 * student.sf(abs(self.slope) / self.se, self.clusters - 1)) if self.se > 0 else 1.0


def _line(x: Any, y: Any, units: np.ndarray) -> _Line:
    x, y = (np.asarray(values, dtype=float) for values in (x, y))
    groups = pd.factorize(units)[0]
    clusters = int(groups.max()) + 1
    if clusters < 2:
        raise ValueError(f"cluster: got {clusters} with a version; an error needs two at least")
    dx, dy = x - x.mean(), y - y.mean()
    # Each cluster's part of the sums that make a slope; the line without it follows from the rest.
    parts = np.array([np.bincount(groups, part) for part in (np.ones_like(dx), dx, dy, dx * dx, dx * dy)])
    n, sx, sy, sxx, sxy = parts.sum(1)[:, None] - parts
    spread = sxx - sx**2 / n
    without = np.where(spread > 1e-12 * (dx @ dx), (sxy - sx * sy / n) / np.where(spread > 0, spread, 1), 0.0)
    slope = float(dx @ dy / (dx @ dx))
    se = float(np.sqrt((clusters - 1) / clusters * ((without - without.mean()) ** 2).sum()))
    return _Line(float(y.mean() - slope * x.mean()), slope, se, clusters)
