"""Is a build worth its cost when nothing like it can be tested first?

The diagnostic for the reader's own shadow logs. What stands beside it: how much of a signal a
handicap leaves (`handicaps`), the value of a pilot (`pilots`), teams that must agree (`agreement`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import norm
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from toolkit.auc import Ranking
from toolkit.finding import Finding
from toolkit.frames import IMPRESSION, read_columns, with_outcomes
from toolkit.general.handicaps import break_even_latency
from toolkit.general.pilots import pilot_voi
from toolkit.resampling import Estimate, bootstrap, interval
from toolkit.rules import count, level, number

__all__ = ["break_even_latency", "handicap_bounds", "pilot_voi", "rows_to_show"]

Signals = str | Sequence[str]

# A latency with more values than this is cut into thirds.
_GROUPS = 4
# Users with a label, in a part: with fewer, bootstrap draws lack the label and the interval means little.
_USERS = 10


def handicap_bounds(
    shadow_log: Any,
    outcomes: Any,
    *,
    now: Signals,
    full: Signals,
    latency: str | None = None,
    explored_only: bool = True,
    folds: int = 2,
    alpha: float = 0.05,
    replicates: int = 500,
    rng: Any = 0,
) -> Finding:
    """How much better the signals rank that today's system doesn't get, replayed from shadow logs.

    Where features are given, a logistic regression on them is fitted on one part of the users and
    judged on the others, each part in its turn, so a signal that tells nothing gains nothing. It may
    lose: the model on the full signals has more to overfit. The signals themselves can't rank worse
    than those among them that are in use, and the verdict doesn't say so.

    Parameters
    ----------
    shadow_log : any frame that Narwhals reads
        A `serving_log` with the full signals written beside those that were used.
    outcomes : any frame that Narwhals reads
        Every impression of the log needs its outcome.
    now, full : str or sequence of str
        Today's signals and the full ones: feature columns, or a score's column, which is taken as
        it is.
    latency : str, optional
        The column that says how old the full signals were when they were written, in any unit, not
        negative. The table then splits by it, and fitted weights of the full signals are each
        group's own.
    explored_only : bool
        Whether to judge on the rows drawn at random alone (`explored`); all are used for fitting.
        Else the answer is of the rows that the policy in place liked.
    folds : int
        Parts of the users: each is judged by models fitted on the others. More parts fit on more
        rows. Unused where both signals are scores.
    alpha : float
        One minus the level of the intervals.
    replicates : int
        Bootstrap draws of users.
    rng : int or Generator
        For the parts of users, and the draws.

    Returns
    -------
    Finding
        The difference of the areas under the ROC curve (full less now), on the same rows, the mean
        of the parts', with a percentile interval by user. Of given scores, p is that they rank alike;
        of fitted models the difference is theirs, fitted on so many rows, and there is no p: that
        they rank alike isn't what holds where the signals tell nothing. Its table has a
        row for all, and for each latency or third of the latencies: its median `latency`, the
        `difference` from `low` to `high` (nan where a group has too few rows of a kind), the areas
        `now` and `full`, and how many `rows`.

    Raises
    ------
    ValueError
        If a column is missing or incomplete, an impression has no outcome or is there twice, no row
        was drawn at random, a part of the judged rows has fewer than 10 users with a label, a signal
        is constant, or a latency is negative.

    References
    ----------
    Sculley et al. (2015), "Hidden Technical Debt in Machine Learning Systems", NeurIPS.

    Examples
    --------
    >>> draw = np.random.default_rng(0)
    >>> quality, n = draw.normal(size=2000), 2000
    >>> log = pd.DataFrame({"request_id": range(n), "item_id": 7, "user_id": np.arange(n) % 400, "explored": True})
    >>> log["f_daily"], log["f_stream"] = 0.5 * quality + draw.normal(size=n), quality
    >>> outcomes = log[["request_id", "item_id"]].assign(y=(quality + draw.normal(size=n) > 1).astype(int))
    >>> found = handicap_bounds(log, outcomes, now=["f_daily"], full=["f_daily", "f_stream"])
    >>> found.ci[0] > 0.1
    True
    """
    level(alpha)
    count("folds", folds, least=2)
    sides = {"now": _names("now", now), "full": _names("full", full)}
    rows = _read(shadow_log, outcomes, sides, latency, explored_only)
    draw = np.random.default_rng(rng)
    fold = np.zeros(len(rows), dtype=int)
    if not (isinstance(now, str) and isinstance(full, str)):
        code, users = pd.factorize(rows["user_id"])
        fold = (draw.permutation(len(users)) % folds)[code]
    y = rows["y"].to_numpy(int)
    late = np.zeros(len(rows)) if latency is None else rows[latency].to_numpy(float)
    ages = _by_latency(late)
    judged = rows["explored"].to_numpy(bool) if explored_only else np.ones(len(rows), dtype=bool)
    _enough(rows["user_id"].to_numpy(), y, np.where(judged, fold, -1))
    scores = [
        np.tile(rows[given].to_numpy(float), (fold.max() + 1, 1))
        if isinstance(given, str)
        else _fitted(rows[list(given)], y, fold, kinds)
        for given, kinds in ((now, []), (full, list(ages.values())))
    ]
    widened = _widened(scores, judged.mean())
    scores = [by_part[fold, np.arange(len(y))] for by_part in scores]

    groups = {name: mask[judged] for name, mask in {"all": judged, **ages}.items() if mask[judged].any()}
    y, late, fold, user = y[judged], late[judged], fold[judged], rows["user_id"].to_numpy()[judged]
    rankings = [
        [
            (part, [Ranking(y[part], score[judged][part]) for score in scores])
            for part in (mask & (fold == place) for place in np.unique(fold))
        ]
        for mask in groups.values()
    ]

    def areas(weights: np.ndarray) -> np.ndarray:
        # Scores of models fitted on different users aren't on one scale: each part has its own area.
        by_part = [[[one.auc(weights[part]) for one in pair] for part, pair in parts] for parts in rankings]
        return np.array(by_part).mean(axis=1)

    told = areas(np.ones(len(user)))
    draws = bootstrap(areas, user, replicates=replicates, rng=draw)
    difference = told[:, 1] - told[:, 0]
    differences = difference + widened * (draws[..., 1] - draws[..., 0] - difference)
    table = pd.DataFrame(
        [
            (
                name,
                float(np.median(late[mask])),
                difference[place],
                *_interval(differences[:, place], alpha),
                *told[place],
                int(mask.sum()),
            )
            for place, (name, mask) in enumerate(groups.items())
        ],
        columns=["judged", "latency", "difference", "low", "high", "now", "full", "rows"],
    )
    if latency is None:
        table = table.drop(columns="latency")
    estimate, ends = float(difference[0]), interval(differences[:, 0], alpha=alpha)
    se = float(np.nanstd(differences[:, 0], ddof=1))
    given = isinstance(now, str) and isinstance(full, str)
    nested = not isinstance(full, str) and set(sides["now"]) <= set(sides["full"])
    return Finding(
        estimate,
        ends,
        _verdict(told[0], ends, None if latency is None else float(np.median(late)), given, nested),
        unit="of AUC",
        se=se,
        p=Estimate(estimate, se).p if given else None,
        n=len(user),
        n_clusters=len(np.unique(user)),
        alpha=alpha,
        table=table,
        assumptions=(
            "what was written is what the build would read; users are independent, items and days the same",
            "the model on the full signals is as good as the one that would be built",
        ),
        cannot_tell=(
            "a latency that isn't in the log: a build that reads sooner gains this at least, "
            "one that reads later this at most, where signals only age",
            "a gain that needs the build's own feedback, or comes of what it shows",
            *(
                ()
                if given
                else ("what the signals would gain with more rows to fit on, where less is overfitted",)
            ),
        ),
    )


def rows_to_show(finding: Finding, *, gain: float | None = None, power: float = 0.8) -> int:
    """How many judged rows a replay needs until its interval lies above 0 with a given chance.

    The interval of a `handicap_bounds` finding narrows with the square root of its rows.

    Parameters
    ----------
    finding : Finding
        Of rows like those that will be logged.
    gain : float, optional
        The gain to be shown, of AUC; that of the finding where not given. A gain that was found is
        itself uncertain: take the least that would justify the build.
    power : float
        The chance that the interval lies above 0 where the gain is true.

    Raises
    ------
    ValueError
        If the gain isn't positive, the power isn't in (0, 1), or the finding has no standard error.

    Examples
    --------
    A gain of 2.8 standard errors is shown in four cases of five; half of it needs four times the rows:

    >>> found = Finding(0.028, (0.008, 0.048), "The full signals rank better.", se=0.01, n=1000)
    >>> rows_to_show(found), rows_to_show(found, gain=0.014)
    (1002, 4005)
    """
    aim = number("gain", finding.estimate if gain is None else gain, above=0)
    level(power, name="power")
    se = number("finding.se", finding.se, above=0)
    needed = norm.isf(finding.alpha / 2) + norm.ppf(power)
    return int(np.ceil(finding.n * (needed * se / aim) ** 2))


def _names(name: str, given: Signals) -> list[str]:
    columns = [given] if isinstance(given, str) else list(given)
    if not columns:
        raise ValueError(f"{name}: got no column; give a score's column, or the features'")
    return columns


def _read(
    shadow_log: Any, outcomes: Any, sides: dict[str, list[str]], latency: str | None, explored_only: bool
) -> pd.DataFrame:
    signals = list(
        dict.fromkeys([*sides["now"], *sides["full"], *([latency] if latency is not None else [])])
    )
    flags = ["explored"] if explored_only else []
    log = read_columns(
        shadow_log, "shadow_log", [*IMPRESSION, "user_id", *flags, *signals], key=IMPRESSION, numbers=signals
    )
    rows = with_outcomes(log, outcomes)
    for column in dict.fromkeys([*sides["now"], *sides["full"]]):
        if rows[column].nunique() < 2:
            raise ValueError(f"{column}: got {rows[column].iloc[0]} in every row; a constant ranks nothing")
    if latency is not None and rows[latency].min() < 0:
        raise ValueError(f"{latency}: got {rows[latency].min()}; a latency isn't negative")
    if explored_only:
        if not rows["explored"].isin([True, False]).all():
            raise ValueError(f"explored: got {rows['explored'].dtype}; it must be true or false")
        if not rows["explored"].any():
            raise ValueError("explored: got no row drawn at random; explored_only=False judges on all rows")
    return rows


def _enough(user: np.ndarray, y: np.ndarray, part: np.ndarray) -> None:
    """Refuse a part of the judged rows (-1: not judged) in which too few users have a label."""
    for place in range(part.max() + 1):
        for label in (0, 1):
            users = len(np.unique(user[(part == place) & (y == label)]))
            if users < _USERS:
                raise ValueError(
                    f"y: got {users} users with a {label} in a part of the judged rows; each part needs "
                    f"{_USERS} at least: log more requests, or show more of them something at random"
                )


def _fitted(features: pd.DataFrame, y: np.ndarray, fold: np.ndarray, ages: list[np.ndarray]) -> np.ndarray:
    """Every row's score by each part's model, a logistic regression on the other parts' rows.

    Each age has weights of its own.
    """
    columns, parts = features.to_numpy(float), np.unique(fold)
    if ages:
        # A build would be trained at its own latency: stale rows mustn't lower the weight of fresh ones.
        columns = np.column_stack(
            [np.column_stack([columns, np.ones(len(y))]) * age[:, None] for age in ages]
        )
    score = np.empty((len(parts), len(y)))
    for place in parts:
        there = fold != place
        model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
        score[place] = model.fit(columns[there], y[there]).decision_function(columns)
    return score


def _widened(scores: list[np.ndarray], judged: float) -> float:
    """By what factor the interval of fitted models is wider than if the parts were independent.

    The rows that judge one part's model have fitted the others'. What is noise in the models' weights
    then counts twice: where the weights are nothing else, the variance doubles. How much of them is noise
    shows in how far the parts' models disagree on what the full signals change.
    """
    now, full = (by_part - by_part.mean(axis=1, keepdims=True) for by_part in scores)
    parts = len(now)
    if parts == 1:
        return 1.0
    change = full / full.std(axis=1, keepdims=True) - now / now.std(axis=1, keepdims=True)
    size = np.sqrt(np.mean(change**2, axis=1))
    if not (size > 0).all():
        return 1.0
    alike = (change @ change.T / len(change.T)) / np.outer(size, size)
    disagree = 1 - alike[np.triu_indices(parts, 1)].mean()
    # Two parts' models share the rows of all others, which make them agree by as much.
    return float(np.sqrt(1 + judged * min(1.0, (parts - 1) * disagree)))


def _by_latency(late: np.ndarray) -> dict[str, np.ndarray]:
    """Which rows have which latency, or lie in which third of them; nothing where all are alike."""
    values = np.unique(late)
    if len(values) <= _GROUPS:
        return {f"latency {value:g}": late == value for value in values} if len(values) > 1 else {}
    place = np.searchsorted(np.quantile(late, [1 / 3, 2 / 3]), late)
    names = ("freshest third", "middle third", "oldest third")
    return {name: place == at for at, name in enumerate(names) if (place == at).any()}


def _interval(draws: np.ndarray, alpha: float) -> tuple[float, float]:
    # A small group may lack good or bad rows in many draws; it has no interval then, the others do.
    try:
        return interval(draws, alpha=alpha)
    except ValueError:
        return float("nan"), float("nan")


def _verdict(
    areas: np.ndarray, ends: tuple[float, float], late: float | None, given: bool, nested: bool
) -> str:
    told = f"AUC {areas[1]:.3f} instead of {areas[0]:.3f}"
    where = "" if late is None else f", read at a median latency of {late:g}"
    if ends[0] > 0:
        return f"The full signals rank better: {told}{where}."
    if ends[1] < 0 and nested:
        # They hold today's signals: what ranks worse is the fit.
        return f"With this much data a model fitted on the full signals ranks no better: {told}{where}; it overfits."
    if ends[1] < 0:
        what = "The full signals rank" if given else "A model fitted on the full signals ranks"
        return f"{what} worse: {told}{where}."
    much = "" if given else " with this much data"
    return f"No gain of the full signals shows{much}: {told}{where}; above {max(ends[1], 0):+.3f} it is unlikely."
