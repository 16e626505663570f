"""What is this model tied to: which stage before it, which systems behind it?

Diagnostics for the reader's own tables. What they stand on: two stages of ranking (`two_stage`), a
consumer of a score (`downstream`), two versions of one (`contract`), who reads a table (`lineage`).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import statsmodels.api as sm
from scipy.special import expit
from scipy.stats import norm
from scipy.stats import t as student

from toolkit.finding import Finding
from toolkit.frames import read_columns
from toolkit.general.contract import QuantileShim, quantile_shim, replay, score_contract
from toolkit.general.lineage import lineage
from toolkit.resampling import bootstrap, interval
from toolkit.rules import count, level
from toolkit.world.policies import fit_logistic

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
]

_REQUEST = ["request_id", "item_id"]


def funnel_recall(
    funnel: Any,
    serving_log: Any = None,
    *,
    top: int = 1,
    by: str = "arm",
    group: str | None = None,
    cluster: str = "user_id",
    alpha: float = 0.05,
) -> Finding:
    """The share of the heavy ranker's favourites among all candidates that the light ranker let through.

    Parameters
    ----------
    funnel : any frame that Narwhals reads
        The columns of `funnel` in `toolkit.tables`. Only requests at which the heavy ranker scored
        every candidate can tell.
    serving_log : any frame that Narwhals reads, optional
        `request_id`, and the columns named by `by` and `cluster`. Without it requests are taken for
        independent, and for one group.
    top : int
        How many favourites a request has; fewer than it has candidates. Ties for the last place
        all count.
    by : str
        Column of the groups that the table sets apart: the arm, the model.
    group : str, optional
        The group that the estimate is of; all together where not given.
    cluster : str
        Column of what is independent.
    alpha : float
        One minus the level of the intervals: Wilson's, for as many independent favourites as the
        clusters are worth.

    Returns
    -------
    Finding
        Its table has a row a group, with `passed_share`: the recall of a light ranker that draws
        lots.

    Raises
    ------
    ValueError
        If columns, values or keys are wrong, no request was scored whole, requests aren't in
        `serving_log`, or there is no such group.

    Examples
    --------
    >>> funnel = pd.DataFrame({"request_id": [1, 1, 1, 2, 2, 2], "item_id": [1, 2, 3, 1, 2, 3],
    ...     "passed_light": [True, True, False] * 2, "heavy_score": [0.1, 0.7, 0.2, 0.3, 0.2, 0.9]})
    >>> funnel_recall(funnel).estimate
    0.5
    """
    level(alpha)
    count("top", top)
    rows = _whole(funnel, serving_log, by, cluster, extra=[])
    sizes = rows.groupby("request_id", sort=False)["item_id"].transform("size")
    if sizes.min() <= top:
        raise ValueError(f"top: got {top}; a request has {int(sizes.min())} candidates, and must have more")
    place = rows.groupby("request_id", sort=False)["heavy_score"].rank(method="min", ascending=False)
    favourite = rows[place <= top]
    names = sorted(set(rows["group"]), key=str)
    if group is not None and group not in names:
        raise ValueError(f"group: got {group!r}; {by} has {', '.join(map(str, names))}")
    table = []
    for name in names:
        mine, of = favourite[favourite["group"] == name], rows[rows["group"] == name]
        found, low, high, _ = _wilson(mine["passed_light"], mine["cluster"], alpha)
        requests, passed_share = of["request_id"].nunique(), float(of["passed_light"].mean())
        table.append((name, requests, of["cluster"].nunique(), passed_share, found, low, high))
    chosen = favourite if group is None else favourite[favourite["group"] == group]
    estimate, low, high, se = _wilson(chosen["passed_light"], chosen["cluster"], alpha)
    what = "favourites" if top == 1 else f"{top} favourites"
    return Finding(
        estimate,
        (low, high),
        f"The light ranker lets through {estimate:.0%} of the heavy ranker's {what} among all candidates.",
        unit="share of favourites",
        se=se,
        n=len(chosen),
        n_clusters=chosen["cluster"].nunique(),
        alpha=alpha,
        table=pd.DataFrame(
            table, columns=["group", "requests", "clusters", "passed_share", "recall", "low", "high"]
        ),
        assumptions=("the requests that were scored whole are a random sample",),
        cannot_tell=(
            "a light ranker that keeps good candidates out, from a heavy ranker that likes bad ones: see "
            "funnel_attribution",
        ),
    )


def funnel_attribution(
    funnel: Any,
    serving_log: Any,
    outcomes: Any,
    *,
    by: str = "arm",
    group: str | None = None,
    cluster: str = "user_id",
    alpha: float = 0.05,
    replicates: int = 300,
    rng: Any = 0,
) -> Finding:
    """What each stage of the funnel costs in outcomes, and what would change with no light ranker.

    A candidate's value is the chance of a good outcome given both its scores, fitted (logistic) to the
    candidates that were shown. The choice of these depends on nothing but the scores, so the fit
    isn't biased by it. Requests that were scored whole then tell, each compared with itself: the
    value of the best candidate, of the best that passed, and of the heavy ranker's picks with and
    without the filter.

    Parameters
    ----------
    funnel, serving_log, outcomes : any frames that Narwhals reads
        The columns of `toolkit.tables`; `serving_log` with those named by `by` and `cluster`.
    group : str, optional
        The group of `by` that is looked at; needed where there are several.
    replicates : int
        Of the bootstrap over clusters, in which the value is fitted anew.
    rng : int or Generator

    Returns
    -------
    Finding
        Estimate: the value of the pick without the filter, less that of the pick behind it. Above 0
        the light ranker holds the heavy one back; below 0 it protects from it.

    Raises
    ------
    ValueError
        If columns, values or keys are wrong, no request was scored whole, the group isn't named or
        isn't there, or fewer than 20 of its shown candidates have either outcome.
    """
    level(alpha)
    count("replicates", replicates, least=20)
    table = _joined(funnel, serving_log, by, cluster, extra=["light_score", "rank"])
    names = sorted(set(table["group"]), key=str)
    if group not in names and not (group is None and len(names) == 1):
        raise ValueError(f"group: got {group!r}; {by} has {', '.join(map(str, names))}")
    table = table[table["group"] == (names[0] if group is None else group)]
    rows = _only_whole(table)
    if not (rows.groupby("request_id")["rank"].min() == 1).all():
        raise ValueError("rank: got a request without a 1; something must have passed at each")
    labels = read_columns(outcomes, "outcomes", [*_REQUEST, "y"], key=_REQUEST, labels=["y"])
    shown = table[table["rank"] == 1].merge(labels, on=_REQUEST)
    rarer = int(min(shown["y"].sum(), (1 - shown["y"]).sum()))
    if rarer < 20:
        raise ValueError(f"outcomes: got {rarer} of the rarer kind among the shown; a fit needs 20 of each")

    codes = pd.Index(table["cluster"].unique())
    fit_on, labelled = shown[["light_score", "heavy_score"]].to_numpy(float), shown["y"].to_numpy(float)
    fit_cluster = codes.get_indexer(shown["cluster"])
    rows = rows.sort_values(["request_id", "heavy_score"], ascending=[True, False], kind="stable")
    features = rows[["light_score", "heavy_score"]].to_numpy(float)
    first = np.flatnonzero(~rows["request_id"].duplicated().to_numpy())
    behind = np.flatnonzero((rows["rank"] == 1).to_numpy())
    passed = rows["passed_light"].to_numpy(bool)
    request_cluster = codes.get_indexer(rows["cluster"].to_numpy()[first])

    def values(weights: np.ndarray) -> np.ndarray:
        times = weights[fit_cluster].astype(int)
        fit = fit_logistic(np.repeat(fit_on, times, axis=0), np.repeat(labelled, times), penalty=1e-3)
        value = expit(fit[0] + features @ fit[1:])
        best = np.maximum.reduceat(value, first)
        best_passed = np.maximum.reduceat(np.where(passed, value, -np.inf), first)
        drawn = weights[request_cluster]
        return np.array([drawn @ v for v in (best, best_passed, value[behind], value[first])]) / drawn.sum()

    means = values(np.ones(len(codes)))
    draws = bootstrap(values, np.arange(len(codes)), replicates=replicates, rng=rng)

    def difference(later: int, earlier: int) -> tuple[float, float, float]:
        ends = interval(draws[:, later] - draws[:, earlier], alpha=alpha)
        return (float(means[later] - means[earlier]), *ends)

    parts = pd.DataFrame(
        [
            ("best of all candidates", means[0], np.nan, np.nan, np.nan),
            ("best of those that passed", means[1], *difference(1, 0)),
            ("the heavy ranker's pick of those", means[2], *difference(2, 1)),
            ("its pick with nothing filtered", means[3], *difference(3, 2)),
        ],
        columns=["candidate", "value", "change", "low", "high"],
    )
    estimate, low, high = difference(3, 2)
    if low > 0:
        verdict = (
            f"The light ranker holds the heavy one back: without it a request would bring {estimate:+.3f}"
        )
    elif high < 0:
        verdict = (
            f"The light ranker protects from the heavy one: without it a request would bring {estimate:+.3f}"
        )
    else:
        verdict = f"Without the light ranker a request would bring {estimate:+.3f}, which may be nothing"
    return Finding(
        estimate,
        (low, high),
        f"{verdict}, on {means[2]:.3f}.",
        unit="good outcomes a request",
        se=float((draws[:, 3] - draws[:, 2]).std(ddof=1)),
        n=len(first),
        n_clusters=len(set(request_cluster)),
        alpha=alpha,
        table=parts,
        assumptions=(
            "what is shown is chosen by the two scores alone",
            "the value's logit is linear in both scores, also where the filter lets nothing through",
            "the requests that were scored whole are a random sample",
        ),
        cannot_tell=("values that neither score knows of: the best candidate may be better still",),
    )


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
    """
    reads = read_columns(
        downstream, "downstream", ["ts", "upstream_score", "upstream_version", "score", "action"]
    )
    columns = [*_REQUEST, "user_id", "ts", "score"]
    log = read_columns(serving_log, "serving_log", columns, key=["ts", "score"])
    labels = read_columns(outcomes, "outcomes", [*_REQUEST, "y"], key=_REQUEST, labels=["y"])
    served = log.merge(labels, on=_REQUEST).rename(columns={"score": "upstream_score"})
    joined = reads.merge(served, on=["ts", "upstream_score"], how="left")
    lost = int(joined["y"].isna().sum())
    if lost:
        raise ValueError(
            f"downstream: got {lost:,} reads of {len(reads):,} without an impression and outcome"
        )
    return joined.drop(columns=_REQUEST)


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
    units = None if cluster is None else pd.factorize(rows[cluster])[0]
    table: list[dict[str, Any]] = []
    for version in (reference, current):
        here = (rows["upstream_version"] == version).to_numpy()
        part = rows[here]
        if part[regressor].nunique() < 2:
            raise ValueError(
                f"{regressor}: got {part[regressor].nunique()} values from {version!r}; a slope needs 2"
            )
        fit = _regress(part[target], part[[regressor]], None if units is None else units[here])
        low, high = np.asarray(fit.conf_int(alpha))[1]
        table.append(
            {
                "version": version,
                "reads": len(part),
                "action_rate": float(part["action"].mean()),
                "mean_score": float(part["score"].mean()),
                **({} if outcome is None else {"mean_outcome": float(part[outcome].mean())}),
                "slope": float(fit.params.iloc[1]),
                "slope_low": float(low),
                "slope_high": float(high),
                "intercept": float(fit.params.iloc[0]),
            }
        )
    change = _regress(rows["action"], (rows["upstream_version"] == current).astype(float).to_frame(), units)
    low, high = np.asarray(change.conf_int(alpha))[1]
    before, after = table
    when = "while both were read" if together else "after against before"
    right = ""
    if outcome is not None:
        fits = "still fits" if after["slope_low"] <= 1 <= after["slope_high"] else "no longer fits"
        right = f"; its score {fits} the outcome (slope {after['slope']:.2f})"
    return Finding(
        float(change.params.iloc[1]),
        (float(low), float(high)),
        f"The consumer acts on {after['action_rate']:.1%} of {current}'s scores and "
        f"{before['action_rate']:.1%} of {reference}'s, {when}{right}.",
        unit="share of reads",
        se=float(change.bse.iloc[1]),
        p=float(change.pvalues.iloc[1]),
        n=len(rows),
        n_clusters=len(rows) if units is None else int(units.max()) + 1,
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


def _joined(funnel: Any, serving_log: Any, by: str, cluster: str, extra: list[str]) -> pd.DataFrame:
    """The funnel with each request's `group` and `cluster`."""
    columns = [*_REQUEST, "passed_light", "heavy_score", *extra]
    rows = read_columns(
        funnel,
        "funnel",
        columns,
        key=_REQUEST,
        missing=["heavy_score", "rank"],
        labels=["passed_light"],
        numbers=[name for name in columns if name.endswith("score")],
    )
    if serving_log is None:
        return rows.assign(group="all", cluster=rows["request_id"])
    log = read_columns(serving_log, "serving_log", ["request_id", by, cluster], missing=[by])
    log = log.drop_duplicates().rename(columns={by: "group", cluster: "cluster"})
    if log["request_id"].duplicated().any():
        raise ValueError(
            f"serving_log: got a request with two values of {by} or {cluster}; it has one of each"
        )
    joined = rows.merge(log, on="request_id", how="left")
    lost = joined.loc[joined["cluster"].isna() | joined["group"].isna(), "request_id"].nunique()
    if lost:
        raise ValueError(f"serving_log: got no {by} for {lost:,} of the funnel's requests; each needs one")
    return joined


def _only_whole(rows: pd.DataFrame) -> pd.DataFrame:
    """The requests at which the heavy ranker scored every candidate."""
    scored = rows["heavy_score"].notna().groupby(rows["request_id"]).transform("all")
    whole = rows[scored]
    if whole.empty:
        raise ValueError(
            f"heavy_score: got none of {rows['request_id'].nunique():,} requests scored whole; let the heavy "
            "ranker score all candidates of a small random share of requests"
        )
    spread = whole.groupby("request_id")["heavy_score"]
    if (spread.max() == spread.min()).all():
        raise ValueError("heavy_score: got one value at every request; a constant score has no favourite")
    return whole


def _whole(funnel: Any, serving_log: Any, by: str, cluster: str, extra: list[str]) -> pd.DataFrame:
    return _only_whole(_joined(funnel, serving_log, by, cluster, extra))


def _wilson(hits: pd.Series, clusters: pd.Series, alpha: float) -> tuple[float, float, float, float]:
    """A share, its Wilson interval for as many independent trials as the clusters are worth, its error."""
    found = hits.to_numpy(float)
    share = float(found.mean())
    groups = pd.factorize(clusters)[0]
    known = int(groups.max()) + 1
    residual = np.bincount(groups, found - share)
    variance = float((residual**2).sum()) / len(found) ** 2 * known / max(known - 1, 1)
    # A cluster whose trials all agree is worth one, and where every trial agrees nothing tells more.
    worth = min(share * (1 - share) / variance, len(found)) if variance > 0 else known
    z = student.isf(alpha / 2, known - 1) if known > 1 else norm.isf(alpha / 2)
    centre = (share + z**2 / (2 * worth)) / (1 + z**2 / worth)
    half = z / (1 + z**2 / worth) * np.sqrt(share * (1 - share) / worth + z**2 / (4 * worth**2))
    low, high = min(max(0.0, centre - half), share), max(min(1.0, centre + half), share)
    return share, float(low), float(high), float(np.sqrt(share * (1 - share) / worth))


def _regress(target: pd.Series, features: pd.DataFrame, units: np.ndarray | None) -> Any:
    model = sm.OLS(target.astype(float), sm.add_constant(features.astype(float), has_constant="add"))
    if units is None:
        return model.fit(cov_type="HC1")
    return model.fit(cov_type="cluster", cov_kwds={"groups": units})
