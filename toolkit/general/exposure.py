"""Do the items that got an early start keep being shown, have they earned it, and what of those that aren't?"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit
from scipy.stats import norm, spearmanr
from statsmodels.stats.proportion import proportion_confint

from toolkit.finding import Finding
from toolkit.frames import IMPRESSION, read_columns, with_outcomes
from toolkit.resampling import Estimate, bootstrap, clustered_error, interval
from toolkit.rules import count, level, number
from toolkit.world.policies import fit_logistic


def exposure_lockin(
    serving_log: Any,
    outcomes: Any = None,
    *,
    first_days: float = 7.0,
    alpha: float = 0.05,
    replicates: int = 500,
    rng: Any = 0,
) -> Finding:
    """How far an item's rank by exposure in the first days decides how often it is shown afterwards.

    Parameters
    ----------
    serving_log : frame
        `request_id`, `item_id`, `user_id`, `ts`, `explored`. Exposure counts what the policy chose;
        explored rows are left out of it, and are the measure of what an item is worth.
    outcomes : frame, optional
        `request_id`, `item_id`, `y` of the explored rows after the first days, at least. With it the
        table says whether exposure was earned: by how much the early favourites (items shown more
        often than the median item) are clicked more often than the rest, where chance showed both.
    first_days : float
        Length of the early part, counted from the log's first row.
    replicates : int
        Bootstrap replicates, over items, for the interval of the Gini coefficient.
    rng : int or Generator
    alpha : float
        One minus the level of the intervals.

    Returns
    -------
    Finding
        Spearman's correlation over items of early and later exposure; its interval by Fisher's
        transformation (Bonett and Wright's variance). The table adds the Gini coefficient of
        exposure, what it would be by chance alone, the share of early items that were never tried
        again, and, with outcomes, what exposure is worth.

    Raises
    ------
    ValueError
        If columns or values are missing, a row is there twice, a time bears no zone, `explored` isn't a
        flag, one of the two parts has no row of the policy, fewer than 10 items were shown or all were
        shown equally often, a later explored row has no outcome, or all of them are of one user.

    References
    ----------
    Bonett and Wright (2000), "Sample size requirements for estimating Pearson, Kendall and Spearman
    correlations", Psychometrika.

    Examples
    --------
    >>> item = np.tile(np.repeat(np.arange(20), np.arange(1, 21)), 14)
    >>> ts = pd.Timestamp("2026-03-02", tz="UTC") + pd.to_timedelta(np.repeat(np.arange(14), 210), unit="D")
    >>> log = pd.DataFrame({"request_id": range(2_940), "item_id": item, "user_id": range(2_940), "ts": ts})
    >>> log["explored"] = False
    >>> exposure_lockin(log).estimate > 0.9
    True
    """
    level(alpha)
    number("first_days", first_days, above=0)
    count("replicates", replicates)
    columns = [*IMPRESSION, "user_id", "ts", "explored"]
    log = read_columns(serving_log, "serving_log", columns, key=IMPRESSION, labels=["explored"], times=["ts"])
    drawn = log["explored"].to_numpy(bool)
    early = ((log["ts"] - log["ts"].min()) < pd.Timedelta(days=first_days)).to_numpy()
    for part, rows in (("the first", early & ~drawn), ("the later", ~early & ~drawn)):
        if not rows.any():
            raise ValueError(
                f"serving_log: got no row of the policy's own in {part} part; first_days is {first_days:g}"
            )
    counts = pd.crosstab(log["item_id"], [early & ~drawn, ~early & ~drawn])
    first = np.asarray(counts.get((True, False), pd.Series(0, counts.index)), dtype=float)
    later = np.asarray(counts.get((False, True), pd.Series(0, counts.index)), dtype=float)
    if len(counts) < 10 or first.min() == first.max() or later.min() == later.max():
        raise ValueError(
            f"item_id: got {len(counts)} items, shown {first.min():.0f} to {first.max():.0f} times early and "
            f"{later.min():.0f} to {later.max():.0f} times later; a rank correlation needs 10 at least, and differences"
        )
    rho = float(spearmanr(first, later).statistic)
    root = np.sqrt(len(counts) - 3)
    half = norm.isf(alpha / 2) * np.sqrt(1 + rho**2 / 2) / root
    centre = np.arctanh(np.clip(rho, -1 + 1e-12, 1 - 1e-12))
    ci = (float(np.tanh(centre - half)), float(np.tanh(centre + half)))
    for_gini, for_chance = np.random.default_rng(rng).spawn(2)
    total = first + later
    drawn_again = bootstrap(
        lambda times: gini(np.repeat(total, times.astype(int))),
        np.arange(len(total)),
        replicates=replicates,
        rng=for_gini,
    )
    even = np.full(len(total), 1 / len(total))
    chance = [gini(row) for row in for_chance.multinomial(int(total.sum()), even, size=20)]
    tried = int((first > 0).sum())
    gone = int(((first > 0) & (later == 0)).sum())
    gone_low, gone_high = proportion_confint(gone, tried, alpha, "wilson")
    rows_ = [
        ("rank by early and by later exposure, correlation", rho, *ci),
        ("Gini coefficient of exposure", gini(total), *interval(drawn_again, alpha=alpha)),
        ("the same, were all items equally likely", float(np.mean(chance)), np.nan, np.nan),
        ("shown early, never again (share)", gone / tried, gone_low if gone else 0.0, gone_high),
    ]
    earned = ""
    if outcomes is not None:
        worth = _worth(log[~early & drawn], outcomes, pd.Series(first, index=counts.index), alpha)
        rows_.append(("click rate of early favourites less the rest's, explored rows", *worth))
        earned = (
            "; where chance showed both, the early favourites are clicked more often"
            if worth[1] > 0
            else "; where chance showed both, the early favourites are not clicked measurably more often"
        )
    holds = "persists" if ci[0] > 0 else "does not persist" if ci[1] >= 0 else "is reversed"
    return Finding(
        rho,
        ci,
        f"Early exposure {holds}: its rank correlates {rho:.2f} with that of later exposure{earned}.",
        unit="rank correlation",
        p=float(2 * norm.sf(abs(np.arctanh(np.clip(rho, -1 + 1e-12, 1 - 1e-12))) * root)),
        n=int((~drawn).sum()),
        n_clusters=len(counts),
        alpha=alpha,
        table=pd.DataFrame(rows_, columns=["what", "estimate", "low", "high"]),
        assumptions=(
            "items are independent of each other, but for the places that they compete for",
            "explored rows were drawn without regard to the item",
        ),
        cannot_tell=(
            "luck that lasts, from worth that lasts, without explored rows and their outcomes",
            "items that were never shown, not even by chance: no log has them",
        ),
    )


def explore_vs_exploit_gap(
    serving_log: Any,
    outcomes: Any,
    *,
    prediction: str | None = None,
    rarely: float = 0.25,
    earlier: float = 0.5,
    alpha: float = 0.05,
) -> Finding:
    """By how much a model is wrong about items that it seldom shows, beyond how wrong it is about the others.

    Both are taken from explored rows, which the model didn't choose.

    Parameters
    ----------
    serving_log, outcomes : frame
        `request_id`, `item_id`, `user_id`, `ts`, `explored`, `score`; and `request_id`, `item_id`,
        `y`, for every row of the later part.
    prediction : str, optional
        Column of the log with the chance that the model gives. Where it is not named, it is
        what the score meant where the policy chose: a logistic regression of y on the score,
        whose error is part of the interval.
    rarely : float
        Share of items that count as seldom shown, by what the policy showed in the earlier part;
        more where items are level there.
    earlier : float
        Share of the log's time in which showings are counted; outcomes are taken from the rest, so
        that no outcome can have made its item rare.
    alpha : float
        One minus the level of the interval.

    Returns
    -------
    Finding
        Outcome less prediction on explored rows of seldom-shown items, minus the same on the other
        explored rows; interval by user. Positive: there are better items among the unseen than the
        model thinks. The table has both kinds of rows.

    Raises
    ------
    ValueError
        If columns or values are missing, a row is there twice, a time bears no zone, `explored` isn't a
        flag, a later row has no outcome, one kind of explored rows is empty or both are of one user, or
        the score's meaning can't be fitted: it or the outcome is constant where the policy chose.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> item = np.r_[rng.integers(0, 50, 4_000), rng.integers(0, 100, 4_000)]
    >>> log = pd.DataFrame({"request_id": range(8_000), "item_id": item, "explored": np.arange(8_000) >= 4_000,
    ...     "user_id": rng.integers(0, 900, 8_000), "score": 0.0, "chance": 0.2})
    >>> days = pd.to_timedelta(rng.uniform(0, 14, 8_000), unit="D")
    >>> log["ts"] = pd.Timestamp("2026-03-02", tz="UTC") + days
    >>> labels = log[["request_id", "item_id"]].assign(y=rng.binomial(1, np.where(item < 50, 0.2, 0.3)))
    >>> finding = explore_vs_exploit_gap(log, labels, prediction="chance", rarely=0.5)
    >>> finding.ci[0] < 0.1 < finding.ci[1]
    True
    """
    level(alpha)
    number("rarely", rarely, above=0, below=1)
    number("earlier", earlier, above=0, below=1)
    wanted = [*IMPRESSION, "user_id", "ts", "explored", "score" if prediction is None else prediction]
    log = read_columns(
        serving_log,
        "serving_log",
        wanted,
        key=IMPRESSION,
        labels=["explored"],
        numbers=[wanted[-1]],
        times=["ts"],
    )
    since = log["ts"].min() + earlier * (log["ts"].max() - log["ts"].min())
    before = log[(log["ts"] < since) & ~log["explored"].astype(bool)]
    times = before.groupby("item_id").size().reindex(log["item_id"].unique(), fill_value=0)
    later = with_outcomes(log[log["ts"] >= since], outcomes)
    asked = later["explored"].to_numpy(bool)
    seldom = later["item_id"].map(times).to_numpy() <= times.quantile(rarely)
    kinds = {"seldom shown": asked & seldom, "the others": asked & ~seldom}
    for name, rows in kinds.items():
        if not rows.any():
            raise ValueError(
                f"explored: got no later row of items that are {name}; there must be some of each kind"
            )
    y = later["y"].to_numpy(float)
    # What each row moves the estimate by, to first order; summed by user it gives the variance.
    if prediction is None:
        x = later[["score"]].to_numpy(float)
        if asked.all() or np.ptp(x[~asked]) == 0:
            raise ValueError("score: got none that differ where the policy chose; name a prediction instead")
        spread = x[~asked].std()
        if y[~asked].min() == y[~asked].max():
            raise ValueError(
                f"y: got {y[~asked][0]:.0f} in every later row of the policy's own; name a prediction instead"
            )
        x = (x - x[~asked].mean()) / spread
        weights = fit_logistic(x[~asked], y[~asked], penalty=0.0)
        design = np.column_stack([np.ones(len(x)), x])
        expected = expit(design @ weights)
        slope = (expected * (1 - expected))[:, None] * design
        information = (slope * ~asked[:, None]).T @ design
        moved = np.linalg.solve(information, (design * ((y - expected) * ~asked)[:, None]).T).T
    else:
        expected = later[prediction].to_numpy(float)
        if not ((expected >= 0) & (expected <= 1)).all():
            wrong = expected[~((expected >= 0) & (expected <= 1))][0]
            raise ValueError(f"{prediction}: got {wrong:.4g} in serving_log; a chance lies in [0, 1]")
        slope = moved = np.zeros((len(later), 1))
    users = _several(later["user_id"], asked)
    told, influence = [], []
    for name, rows in kinds.items():
        gap = float((y - expected)[rows].mean())
        influence.append(rows * (y - expected - gap) / rows.sum() - moved @ slope[rows].mean(0))
        error = clustered_error(influence[-1], users)
        told.append((name, int(rows.sum()), y[rows].mean(), expected[rows].mean(), gap, error))
    table = pd.DataFrame(told, columns=["explored rows of items", "rows", "rate", "predicted", "gap", "se"])
    gap = float(table["gap"][0] - table["gap"][1])
    apart = Estimate(gap, clustered_error(influence[0] - influence[1], users))
    low, high = apart.interval(alpha)
    word = "underrates" if low > 0 else "overrates" if high < 0 else "is not measurably wrong about"
    return Finding(
        apart.value,
        (low, high),
        f"The model {word} what it seldom shows: {table['rate'][0]:.1%} acted, {table['predicted'][0]:.1%} were "
        f"predicted; on other explored rows {table['rate'][1]:.1%} and {table['predicted'][1]:.1%}.",
        unit="difference of rates",
        se=apart.error,
        p=apart.p,
        n=int(asked.sum()),
        n_clusters=len(np.unique(users[asked])),
        alpha=alpha,
        table=table,
        assumptions=(
            "explored rows were drawn without regard to the item",
            "what a score means where the policy chose, it means as well where chance did, or goes wrong alike for both kinds"
            if prediction is None
            else "the prediction was made before the outcome",
        ),
        cannot_tell=(
            "which of the seldom shown are the good ones",
            "an estimate that was unlucky, from items that have become better since",
        ),
    )


def gini(values: Any) -> float:
    """Gini's coefficient: 0 where all values are equal, near 1 where one of many has all; nan for all zeros.

    Examples
    --------
    >>> gini([5, 5, 5, 5]), gini([0, 0, 0, 8])
    (0.0, 0.75)
    """
    ordered = np.sort(np.asarray(values, dtype=float))
    size, total = len(ordered), ordered.sum()
    if not total > 0:
        return float("nan")
    return float((2 * np.arange(1, size + 1) - size - 1) @ ordered / (size * total))


def _worth(rows: pd.DataFrame, outcomes: Any, early: pd.Series, alpha: float) -> tuple[float, float, float]:
    """How much more often explored rows of the early half are clicked than those of the rest."""
    joined = with_outcomes(rows, outcomes)
    upper = (joined["item_id"].map(early) > early.median()).to_numpy()
    if upper.all() or not upper.any():
        raise ValueError(
            "explored: got later rows of one half of the items only; leave outcomes out, or explore more"
        )
    y, users = joined["y"].to_numpy(float), _several(joined["user_id"], np.ones(len(joined), dtype=bool))
    means = [y[half].mean() for half in (upper, ~upper)]
    influence = upper * (y - means[0]) / upper.sum() - ~upper * (y - means[1]) / (~upper).sum()
    reach = float(norm.isf(alpha / 2)) * clustered_error(influence, users)
    return means[0] - means[1], means[0] - means[1] - reach, means[0] - means[1] + reach


def _several(users: pd.Series, asked: np.ndarray) -> np.ndarray:
    """Each row's user as a number; refused where the explored rows are all of one, who has no spread."""
    codes: np.ndarray = pd.factorize(users)[0]
    if len(np.unique(codes[asked])) < 2:
        raise ValueError("user_id: got one in all explored rows; an interval needs two at least")
    return codes
