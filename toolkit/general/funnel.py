"""Does the light ranker keep good candidates from the heavy one, or bad ones?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit
from scipy.stats import norm
from scipy.stats import t as student

from toolkit.finding import Finding
from toolkit.frames import read_columns
from toolkit.resampling import bootstrap
from toolkit.rules import count, level
from toolkit.world.policies import fit_logistic

__all__ = ["funnel_attribution", "funnel_recall"]

_CANDIDATE = ["request_id", "item_id"]
# So small that it only decides where the two scores are one, as without a light ranker.
_RIDGE = 1e-3


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
    rows = _only_whole(_joined(funnel, serving_log, by, cluster))
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

    Examples
    --------
    Users like what the light score likes, and dislike what the heavy one likes:

    >>> rng = np.random.default_rng(0)
    >>> light, heavy = rng.normal(size=(2, 500, 3))
    >>> passed = light > light.min(axis=1, keepdims=True)
    >>> behind = np.where(passed, heavy, -np.inf)
    >>> funnel = pd.DataFrame({"request_id": np.repeat(np.arange(500), 3), "item_id": np.tile([1, 2, 3], 500),
    ...     "light_score": light.ravel(), "heavy_score": heavy.ravel(), "passed_light": passed.ravel(),
    ...     "rank": np.where(behind == behind.max(axis=1, keepdims=True), 1.0, np.nan).ravel()})
    >>> log = pd.DataFrame({"request_id": np.arange(500), "arm": "treatment", "user_id": np.arange(500)})
    >>> outcomes = funnel[["request_id", "item_id"]].assign(y=(light - heavy > 0).ravel())
    >>> outcomes["y"] ^= rng.random(1500) < 0.2
    >>> found = funnel_attribution(funnel, log, outcomes, replicates=20)
    >>> found.verdict.split(":")[0]
    'The light ranker protects from the heavy one'
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
    labels = read_columns(outcomes, "outcomes", [*_CANDIDATE, "y"], key=_CANDIDATE, labels=["y"])
    shown = table[table["rank"] == 1].merge(labels, on=_CANDIDATE)
    rarer = int(min(shown["y"].sum(), (1 - shown["y"]).sum()))
    if rarer < 20:
        raise ValueError(f"outcomes: got {rarer} of the rarer kind among the shown; a fit needs 20 of each")

    codes = pd.Index(table["cluster"].unique())
    scores = ["light_score", "heavy_score"]
    labelled = shown["y"].to_numpy(float)
    whole_fit = fit_logistic(shown[scores], labelled, penalty=_RIDGE)
    fit_on, fit_cluster = _with_one(shown[scores]), codes.get_indexer(shown["cluster"])
    rows = rows.sort_values(["request_id", "heavy_score"], ascending=[True, False], kind="stable")
    features = _with_one(rows[scores])
    first = np.flatnonzero(~rows["request_id"].duplicated().to_numpy())
    behind = np.flatnonzero((rows["rank"] == 1).to_numpy())
    passed = rows["passed_light"].to_numpy(bool)
    request_cluster = codes.get_indexer(rows["cluster"].to_numpy()[first])

    def values(weights: np.ndarray) -> np.ndarray:
        fit = _refit(fit_on, labelled, weights[fit_cluster], whole_fit)
        value = expit(features @ fit)
        best = np.maximum.reduceat(value, first)
        best_passed = np.maximum.reduceat(np.where(passed, value, -np.inf), first)
        drawn = weights[request_cluster]
        return np.array([drawn @ v for v in (best, best_passed, value[behind], value[first])]) / drawn.sum()

    means = values(np.ones(len(codes)))
    draws = bootstrap(values, np.arange(len(codes)), replicates=replicates, rng=rng)

    def difference(later: int, earlier: int) -> tuple[float, float, float]:
        change = float(means[later] - means[earlier])
        half = float(norm.isf(alpha / 2) * (draws[:, later] - draws[:, earlier]).std(ddof=1))
        return change, change - half, change + half

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
    more = f"{abs(estimate):.3f} {'more' if estimate > 0 else 'fewer'} good outcomes, on {means[2]:.3f}"
    if passed.all():
        verdict = "At these requests nothing is kept from the heavy ranker."
    elif low > 0:
        verdict = f"The light ranker holds the heavy one back: without it a request would bring {more}."
    elif high < 0:
        verdict = f"The light ranker protects from the heavy one: without it a request would bring {more}."
    else:
        verdict = f"Without the light ranker a request would bring {more}, which may be nothing."
    return Finding(
        estimate,
        (low, high),
        verdict,
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


def _joined(funnel: Any, serving_log: Any, by: str, cluster: str, extra: Sequence[str] = ()) -> pd.DataFrame:
    """The funnel with each request's `group` and `cluster`."""
    columns = [*_CANDIDATE, "passed_light", "heavy_score", *extra]
    rows = read_columns(
        funnel,
        "funnel",
        columns,
        key=_CANDIDATE,
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


def _with_one(scores: pd.DataFrame) -> np.ndarray:
    return np.column_stack([np.ones(len(scores)), scores.to_numpy(float)])


def _refit(design: np.ndarray, labels: np.ndarray, weights: np.ndarray, start: np.ndarray) -> np.ndarray:
    """Coefficients of a weighted logistic regression, by Newton's method from those of equal weights."""
    fit, ridge = start, np.diag([0.0, _RIDGE, _RIDGE])
    for _ in range(12):
        rate = expit(design @ fit)
        hessian = (design * (weights * rate * (1 - rate))[:, None]).T @ design + ridge
        step = np.linalg.solve(hessian, design.T @ (weights * (labels - rate)) - ridge @ fit)
        fit = fit + step
        if np.abs(step).max() < 1e-9:
            break
    return fit


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
