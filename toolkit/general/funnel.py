"""Does the light ranker keep good candidates from the heavy one, or bad ones?"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit
from scipy.stats import norm

from toolkit.features.rates import Rate, wilson
from toolkit.finding import Finding
from toolkit.frames import with_outcomes
from toolkit.general.funnel_rows import drawn_whole, filtered_groups, joined
from toolkit.resampling import bootstrap, interval
from toolkit.rules import count, level
from toolkit.world.policies import fit_logistic

__all__ = ["funnel_attribution", "funnel_recall", "recall_margin"]

# For a score and for the squares and product, in standard deviations of the shown. The first is so small
# that it only decides where the two scores are one; the second asks a curve for some evidence.
_RIDGE, _CURVE_RIDGE = 1e-3, 1.0
# Of the shown candidates' scores this share, at either end, is taken for their edge.
_EDGE = 0.01


def funnel_recall(
    funnel: Any,
    serving_log: Any = None,
    *,
    top: int = 1,
    by: str = "arm",
    group: str | None = None,
    cluster: str = "user_id",
    sampled: str | None = None,
    alpha: float = 0.05,
) -> Finding:
    """The share of the heavy ranker's favourites among all candidates that the light ranker let through.

    Parameters
    ----------
    funnel : any frame that Narwhals reads
        The columns of `funnel` in `toolkit.tables`. Only requests at which the heavy ranker scored
        every candidate can tell, those that the light one kept back too.
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
    sampled : str, optional
        Column of `funnel`, true at the requests that were drawn to be scored whole. Without it they
        are those at which something was scored that hadn't passed; a request whose candidates all
        passed, having few, would be scored whole without having been drawn, and is left out.
    alpha : float
        One minus the level of the intervals: Wilson's, for as many independent favourites as the
        clusters are worth (`toolkit.features.rates.wilson`); none where there is one cluster.

    Returns
    -------
    Finding
        Its table has a row a group, with `passed_share`: the recall of a light ranker that draws
        lots. A group in which all candidates passed has no interval: no filter is seen there.
        Without `group` the estimate is of the groups with a filter.

    Raises
    ------
    ValueError
        If columns, values or keys are wrong, no request (or none of `group`'s) was scored whole, a
        sampled one wasn't, requests aren't in `serving_log`, or there is no such group.

    Examples
    --------
    >>> funnel = pd.DataFrame({"request_id": [1, 1, 1, 2, 2, 2], "item_id": [1, 2, 3, 1, 2, 3],
    ...     "passed_light": [True, True, False] * 2, "heavy_score": [0.1, 0.7, 0.2, 0.3, 0.2, 0.9]})
    >>> funnel_recall(funnel).estimate
    0.5
    """
    level(alpha)
    count("top", top)
    table = joined(funnel, serving_log, by, cluster, sampled)
    names = _names(table, by, group)
    rows, left_out = drawn_whole(table, of=group)
    sizes = rows.groupby("request_id", sort=False)["item_id"].transform("size")
    if sizes.min() <= top:
        raise ValueError(f"top: got {top}; a request has {int(sizes.min())} candidates, and must have more")
    place = rows.groupby("request_id", sort=False)["heavy_score"].rank(method="min", ascending=False)
    favourite = rows[place <= top]
    filtered = filtered_groups(table)
    parts, unknown = [], []
    for name in names:
        mine, of = favourite[favourite["group"] == name], rows[rows["group"] == name]
        if mine.empty:
            unknown.append(str(name))
            found, low, high = np.nan, np.nan, np.nan
        else:
            told = _share(mine["passed_light"], mine["cluster"], alpha)
            found, low, high = told.rate, told.low, told.high
        if name not in filtered:
            low = high = np.nan  # what passes with no filter is no sample of anything
        requests, passed_share = of["request_id"].nunique(), float(of["passed_light"].mean())
        parts.append((name, requests, of["cluster"].nunique(), passed_share, found, low, high))
    wanted = [group] if group is not None else [name for name in names if name in filtered] or names
    chosen = favourite[favourite["group"].isin(wanted)]
    if chosen.empty:
        raise ValueError(f"heavy_score: got no request scored whole in {', '.join(map(str, wanted))}")
    told = _share(chosen["passed_light"], chosen["cluster"], alpha)
    estimate, low, high, se = told.rate, told.low, told.high, told.se
    what = "favourites" if top == 1 else f"{top} favourites"
    verdict = (
        f"The light ranker lets through {estimate:.0%} of the heavy ranker's {what} among all candidates"
    )
    if not filtered & set(wanted):
        low = high = se = np.nan
        verdict = (
            "No filter is seen in this log: all candidates passed, or only those that did were written down"
        )
    if unknown:
        verdict += f"; of {', '.join(unknown)} nothing is known, for no request was scored whole there"
    return Finding(
        estimate,
        (low, high),
        f"{verdict}{_said(left_out)}.",
        unit="share of favourites",
        se=se,
        n=len(chosen),
        n_clusters=chosen["cluster"].nunique(),
        alpha=alpha,
        table=pd.DataFrame(
            parts, columns=["group", "requests", "clusters", "passed_share", "recall", "low", "high"]
        ),
        assumptions=(
            "the requests that were scored whole are a random sample"
            + ("" if sampled else " of those at which something was kept back"),
        ),
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
    sampled: str | None = None,
    alpha: float = 0.05,
    replicates: int = 300,
    rng: Any = 0,
) -> Finding:
    """What the light ranker costs or saves in outcomes: the heavy ranker's picks with it and without.

    A candidate's value is the chance of a good outcome given both its scores, fitted to the candidates
    that were shown: logistic, in the scores, their squares and their product. What is shown is chosen
    by the scores alone, so the choice doesn't bias the fit where that curve is the true one. Among
    the shown it can be checked; what didn't pass has scores that few of the shown have, and there the
    curve is only carried on. Requests that were scored whole then tell, each compared with itself:
    the value of the heavy ranker's pick behind the filter, and of its pick among all candidates.

    Parameters
    ----------
    funnel, serving_log, outcomes : any frames that Narwhals reads
        The columns of `toolkit.tables`; `serving_log` with those named by `by` and `cluster`.
    group : str, optional
        The group of `by` that is looked at; needed where there are several.
    sampled : str, optional
        As in `funnel_recall`.
    replicates : int
        Of the bootstrap over clusters, in which the value is fitted anew.
    rng : int or Generator
    by, cluster : str
        Columns of the groups that the table sets apart, and of what is independent.
    alpha : float
        One minus the level of the interval.

    Returns
    -------
    Finding
        Estimate: the value of the pick without the filter, less that of the pick behind it. Above 0
        the light ranker holds the heavy one back; below 0 it protects from it. No interval where all
        candidates passed: no filter is seen there. With up to 1,500 shown candidates a 95% interval
        covers about 91%, for the fitted curve's own error isn't normal yet; with 3,000 about 94%.

    Raises
    ------
    ValueError
        If columns, values or keys are wrong, no request was scored whole, the group isn't named or
        isn't there, a shown candidate has no outcome, or fewer than 20 of its shown candidates have either outcome.

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
    table = joined(funnel, serving_log, by, cluster, sampled, extra=["light_score", "rank"])
    names = _names(table, by, group)
    if group is None and len(names) > 1:
        raise ValueError(f"group: got None; {by} has {', '.join(map(str, names))}")
    table = table[table["group"] == (names[0] if group is None else group)]
    rows, left_out = drawn_whole(table)
    if not (rows.groupby("request_id")["rank"].min() == 1).all():
        raise ValueError("rank: got a request without a 1; something must have passed at each")
    shown = with_outcomes(table[table["rank"] == 1], outcomes)
    rarer = int(min(shown["y"].sum(), (1 - shown["y"]).sum()))
    if rarer < 20:
        raise ValueError(f"outcomes: got {rarer} of the rarer kind among the shown; a fit needs 20 of each")

    codes = pd.Index(table["cluster"].unique())
    scores = ["light_score", "heavy_score"]
    labelled = shown["y"].to_numpy(float)
    fit_on, fit_cluster = _curve(shown[scores], shown[scores]), codes.get_indexer(shown["cluster"])
    whole_fit = fit_logistic(fit_on[:, 1:], labelled, penalty=_CURVE_RIDGE)
    rows = rows.sort_values(["request_id", "heavy_score"], ascending=[True, False], kind="stable")
    first = np.flatnonzero(~rows["request_id"].duplicated().to_numpy())
    behind = np.flatnonzero((rows["rank"] == 1).to_numpy())
    picks = [rows.iloc[behind], rows.iloc[first]]
    features = [_curve(pick[scores], shown[scores]) for pick in picks]
    request_cluster = codes.get_indexer(rows["cluster"].to_numpy()[first])

    def values(weights: np.ndarray) -> np.ndarray:
        fit = _refit(fit_on, labelled, weights[fit_cluster], whole_fit)
        drawn = weights[request_cluster]
        return np.array([drawn @ expit(feature @ fit) for feature in features]) / drawn.sum()

    means = values(np.ones(len(codes)))
    draws = bootstrap(values, np.arange(len(codes)), replicates=replicates, rng=rng)
    change, se = float(means[1] - means[0]), float((draws[:, 1] - draws[:, 0]).std(ddof=1))
    # By percentiles: values that are carried on near 0 or 1 err to one side.
    low, high = interval(draws[:, 1] - draws[:, 0], alpha=alpha)
    edges = shown[scores].quantile([_EDGE, 1 - _EDGE])
    outside = [
        float(((pick[scores] < edges.iloc[0]) | (pick[scores] > edges.iloc[1])).any(axis=1).mean())
        for pick in picks
    ]
    beyond = outside[1]
    more = f"{abs(change):.3f} {'more' if change > 0 else 'fewer'} good outcomes, on {means[0]:.3f}"
    if (rows["passed_light"] == 1).all():
        low = high = se = np.nan
        verdict = (
            "No filter is seen in this log: all candidates passed, or only those that did were written down"
        )
    elif low > 0:
        verdict = f"The light ranker holds the heavy one back: without it a request would bring {more}"
    elif high < 0:
        verdict = f"The light ranker protects from the heavy one: without it a request would bring {more}"
    else:
        verdict = f"Without the light ranker a request would bring {more}, which may be nothing"
    if beyond > 0.5:
        verdict += f"; {beyond:.0%} of the picks without it have scores like hardly any shown one"
    return Finding(
        change,
        (low, high),
        f"{verdict}{_said(left_out)}.",
        unit="good outcomes a request",
        se=se,
        n=len(first),
        n_clusters=len(set(request_cluster)),
        alpha=alpha,
        table=pd.DataFrame(
            {
                "pick": ["behind the light ranker", "among all candidates"],
                "value": means,
                "beyond_the_shown": outside,
            }
        ),
        assumptions=(
            "what is shown is chosen by the two scores alone",
            "the value's logit is a curve of second degree in the two scores, also where the filter lets "
            f"nothing through: {beyond:.0%} of the picks without it have scores beyond those of "
            f"{1 - 2 * _EDGE:.0%} of the shown",
            "the requests that were scored whole are a random sample",
        ),
        cannot_tell=(
            "what candidates are worth that are never shown, but by carrying the curve on: show a few of them",
            "values that neither score knows of: the best candidate may be better still",
        ),
    )


def recall_margin(requests: int, *, alpha: float = 0.05) -> float:
    """How far from the truth `funnel_recall` may be with so many requests scored whole, each of another user.

    Half of Wilson's interval where it is widest, at a recall of one half.

    Examples
    --------
    >>> [round(recall_margin(requests), 3) for requests in (15, 100, 1000)]
    [0.226, 0.096, 0.031]
    """
    z = norm.isf(level(alpha) / 2)
    return float(z / (2 * np.sqrt(count("requests", requests) + z**2)))


def _curve(scores: pd.DataFrame, shown: pd.DataFrame) -> np.ndarray:
    """One, both scores in standard deviations of the shown, their squares and their product."""
    spread = shown.std(ddof=0)
    light, heavy = ((scores - shown.mean()) / spread.where(spread > 0, 1.0)).to_numpy(float).T
    return np.column_stack([np.ones(len(scores)), light, heavy, light**2, heavy**2, light * heavy])


def _refit(design: np.ndarray, labels: np.ndarray, weights: np.ndarray, start: np.ndarray) -> np.ndarray:
    """Coefficients of a weighted logistic regression, by Newton's method from those of equal weights."""
    fit, ridge = start, np.diag([0.0, _RIDGE, _RIDGE, *[_CURVE_RIDGE] * 3])
    for _ in range(12):
        rate = expit(design @ fit)
        hessian = (design * (weights * rate * (1 - rate))[:, None]).T @ design + ridge
        step = np.linalg.solve(hessian, design.T @ (weights * (labels - rate)) - ridge @ fit)
        fit = fit + step
        if np.abs(step).max() < 1e-9:
            break
    return fit


def _names(table: pd.DataFrame, by: str, group: str | None) -> list[Any]:
    """The groups of a joined funnel in order; refused where `group` isn't one of them."""
    names = sorted(set(table["group"]), key=str)
    if group is not None and group not in names:
        raise ValueError(f"group: got {group!r}; {by} has {', '.join(map(str, names))}")
    return names


def _said(left_out: int) -> str:
    """What a verdict adds about requests that were left out."""
    return (
        f"; {left_out:,} requests whose candidates all passed are left out, for they weren't drawn"
        if left_out
        else ""
    )


def _share(passed: pd.Series, clusters: pd.Series, alpha: float) -> Rate:
    """The share of favourites that passed, with its interval; of one cluster there is none."""
    hits = passed.to_numpy(float) == 1
    if clusters.nunique() < 2:
        return Rate(float(hits.mean()), np.nan, np.nan, np.nan, np.nan)
    return wilson(hits, clusters, alpha=alpha)
