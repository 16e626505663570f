"""Do two versions of a score mean the same to whoever reads it, and can the new one be made to look like the old?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from toolkit.finding import Finding
from toolkit.frames import read_columns
from toolkit.rules import count, level
from toolkit.world.mechanisms import MECHANISMS
from toolkit.world.story import Model, Story

__all__ = ["QuantileShim", "quantile_shim", "replay", "score_contract", "shadow_scores"]


def score_contract(
    scores: Any,
    *,
    reference: str = "reference",
    current: str = "current",
    cluster: str | None = "user_id",
    bins: int = 10,
    alpha: float = 0.05,
    replicates: int = 500,
    rng: Any = 0,
) -> Finding:
    """How far a new version of a score departs from the old one, on the same rows.

    Parameters
    ----------
    scores : any frame that Narwhals reads
        One row a scored thing, with both versions' scores.
    reference, current : str
        The columns of the old and the new version.
    cluster : str or None
        Column of what is independent, the user; None says that rows are.
    bins : int
        Of the population stability index, by the reference's quantiles.
    alpha : float
        One minus the level of the interval.
    replicates : int
        Of the bootstrap over clusters, and of the permutation test.
    rng : int or Generator

    Returns
    -------
    Finding
        Estimate: the largest difference between the two distributions (Kolmogorov and Smirnov's),
        which is the most that the share of rows above any one threshold changes. Its interval holds
        at all thresholds at once, so it is rather wide at any one. p is that of swapping the versions
        within clusters at random. The table has the population stability
        index beside what luck gives it, and how much of the change is a change of scale, of other
        values in the same order, and of order.

    Raises
    ------
    ValueError
        If columns or values are missing, a version's score is constant, or there are fewer than two
        clusters.

    Examples
    --------
    >>> old = np.random.default_rng(0).normal(size=500)
    >>> both = pd.DataFrame({"reference": old, "current": 0.5 * old - 1})
    >>> print(score_contract(both, cluster=None).verdict)
    The new score is the old one on another scale (-1 + 0.5 x): a fixed threshold's share moves by up to 53 points (47 to 60).
    """
    level(alpha)
    count("bins", bins, least=2)
    count("replicates", replicates, least=20)
    wanted = [reference, current, *([] if cluster is None else [cluster])]
    rows = read_columns(scores, "scores", wanted, numbers=[reference, current])
    old, new = rows[reference].to_numpy(float), rows[current].to_numpy(float)
    for name, values in ((reference, old), (current, new)):
        if values.min() == values.max():
            raise ValueError(f"{name}: got {values[0]} in every row; a constant score has no distribution")
    group = np.arange(len(rows)) if cluster is None else pd.factorize(rows[cluster])[0]
    groups = int(group.max()) + 1
    if groups < 2:
        raise ValueError(f"{cluster}: got one value; the bootstrap needs two clusters at least")

    order = np.argsort(np.r_[old, new], kind="stable")
    pooled = np.r_[old, new][order]
    ends = np.flatnonzero(np.r_[pooled[1:] != pooled[:-1], True])
    side = np.r_[np.ones(len(old)), -np.ones(len(new))][order]
    row_group = np.r_[group, group][order]

    def moved(weights: np.ndarray) -> np.ndarray:
        """Share below each score in the old version less that in the new, one row a set of weights."""
        steps = side * weights[:, row_group]
        return np.cumsum(steps, axis=1)[:, ends] / (np.abs(steps).sum(1, keepdims=True) / 2)

    edges = np.unique(np.quantile(old, np.arange(1, bins) / bins))
    shares = np.stack(
        [
            np.bincount(group * (len(edges) + 1) + np.searchsorted(edges, values), minlength=groups * (len(edges) + 1))
            for values in (old, new)
        ]
    ).reshape(2, groups, -1)  # fmt: skip
    here, draw = moved(np.ones((1, groups))), np.random.default_rng(rng)
    estimate = float(np.abs(here).max())
    errors, swapped, luck = [], [], []
    batch = max(1, 2_000_000 // len(pooled))
    for size in [batch] * (replicates // batch) + [replicates % batch]:
        who = draw.integers(0, groups, (size, groups)) + groups * np.arange(size)[:, None]
        drawn = np.bincount(who.ravel(), minlength=size * groups).reshape(size, groups).astype(float)
        errors.append(np.abs(moved(drawn) - here).max(1, initial=0))
        sign = draw.integers(0, 2, (size, groups))
        swapped.append(np.abs(moved(2.0 * sign - 1)).max(1, initial=0))
        luck += [
            _psi(*pair)
            for pair in zip(*(sign @ shares[i] + (1 - sign) @ shares[1 - i] for i in (0, 1)), strict=True)
        ]
    # The distance errs by no more than the worst error at any threshold.
    half = float(np.quantile(np.concatenate(errors), 1 - alpha))
    ci = max(0.0, estimate - half), min(1.0, estimate + half)
    p = (1 + (np.concatenate(swapped) >= estimate - 1e-12).sum()) / (1 + replicates)

    slope, intercept = np.polyfit(old, new, 1)
    straight = float(np.corrcoef(old, new)[0, 1] ** 2)
    ranks = float(spearmanr(old, new).statistic)
    low, high = (100 * end for end in ci)
    if ci[0] > 1e-12:
        moves = (
            f"a fixed threshold's share moves by up to {100 * estimate:.0f} points ({low:.0f} to {high:.0f})"
        )
    else:
        moves = f"no change of any threshold's share shows, and one above {high:.0f} points is unlikely"
    if np.array_equal(old, new):
        moves = "no threshold's share moves"
        kind = "The two versions give the same scores"
    elif straight > 1 - 1e-9 and slope > 0:
        kind = f"The new score is the old one on another scale ({intercept:.3g} + {slope:.3g} x)"
    elif ranks > 1 - 1e-12:
        kind = "The new score has other values in the old order"
    else:
        kind = f"The new score orders rows anew (rank correlation {ranks:.2f})"
    table = pd.DataFrame(
        [
            ("largest change of a threshold's share", estimate),
            ("population stability index", _psi(shares[0].sum(0), shares[1].sum(0))),
            ("what luck gives that index (95th percentile)", float(np.quantile(luck, 0.95))),
            ("ratio of standard deviations", float(new.std() / old.std())),
            ("share of the variance that a change of scale explains", straight),
            ("rank correlation", ranks),
        ],
        columns=["of the new score against the old", "value"],
    )
    return Finding(
        estimate,
        ci,
        f"{kind}: {moves}.",
        unit="share of rows",
        p=float(p),
        n=len(rows),
        n_clusters=groups,
        alpha=alpha,
        table=table,
        assumptions=("the rows are those that consumers read", "clusters are independent"),
        cannot_tell=("which version is right: that takes outcomes",),
    )


@dataclass(frozen=True, eq=False)
class QuantileShim:
    """A map of a new version's scores on the old one's scale, quantile by quantile.

    Call it with new scores. Beyond the scores that it was fitted on it gives the old one's extremes.
    Made by `quantile_shim`.
    """

    current: np.ndarray  # the new version's scores, ascending, each once
    reference: np.ndarray  # the old version's at the same levels

    def __call__(self, scores: Any) -> np.ndarray:
        """What the old version would call these new scores."""
        return np.interp(np.asarray(scores, dtype=float), self.current, self.reference)


def quantile_shim(reference: Any, current: Any) -> QuantileShim:
    """Fit the map that gives a new version's scores the old one's distribution.

    It keeps the new order and restores every threshold's share, as far out as the rows reach: a share
    is restored to about one part in the square root of half the rows beyond the threshold, on
    either side, and beyond the outermost rows not at all, for there the map gives the old version's
    extreme. What it loses is what the new values said beyond their order: a new score that was
    calibrated is so no more.

    Parameters
    ----------
    reference, current : arrays
        Scores of both versions as the consumer reads them; not necessarily of the same rows, but
        of rows that are alike.

    Returns
    -------
    QuantileShim
        With a point at each of the new version's scores, so that the tails are as fine as the rows are;
        between them it is straight. Tied new scores get one value, the middle of what they stand for.

    Raises
    ------
    ValueError
        If either aren't finite scores, two at least, or are constant.

    Examples
    --------
    >>> shim = quantile_shim([0.0, 1, 2, 3, 4], [0.0, 10, 20, 30, 40])
    >>> shim([5, 40, 99]).tolist()
    [0.5, 4.0, 4.0]
    """
    both = []
    for name, given in (("reference", reference), ("current", current)):
        values = np.asarray(given, dtype=float)
        if values.ndim != 1 or len(values) < 2 or not np.isfinite(values).all():
            raise ValueError(f"{name}: got shape {values.shape}; it must be finite scores, two at least")
        if values.min() == values.max():
            raise ValueError(f"{name}: got {values[0]} only; a constant score can't be mapped")
        both.append(values)
    points, rows = np.unique(both[1], return_counts=True)
    # Ranks in the middle of a row's step, and of its ties; the old version's likewise (Hazen's quantiles).
    middle = (np.cumsum(rows) - rows / 2) / rows.sum()
    old = np.sort(both[0])
    return QuantileShim(points, np.interp(middle, (np.arange(len(old)) + 0.5) / len(old), old))


def shadow_scores(
    story: Story, *, reference: Model = "old", current: Model, requests: int = 300, rng: int = 0
) -> pd.DataFrame:
    """What two of the opening story's models make of the same candidates, as a shadow log would hold it.

    Parameters
    ----------
    story : Story
    reference, current : "old", "leaky" or "point-in-time"
    requests : int
        How many of the test's requests are scored by both.
    rng : int
        Which requests.

    Returns
    -------
    DataFrame
        One row a candidate: `user_id`, `reference`, `current`.

    Examples
    --------
    A model beside itself, at 10 requests of 20 candidates:

    >>> from toolkit.world import Settings
    >>> from toolkit.world.story import tell
    >>> story = tell(Settings(items=50, requests=50, days=33))
    >>> both = shadow_scores(story, current="old", requests=10)
    >>> len(both), bool((both["reference"] == both["current"]).all())
    (200, True)
    """
    production = frozenset(MECHANISMS)
    scores = [story.scores(model, production) for model in (reference, current)]
    drawn = np.random.default_rng(rng).choice(len(scores[0]), count("requests", requests), replace=False)
    users = np.repeat(story.production.user[drawn], scores[0].shape[1])
    old, new = (values[drawn].ravel().astype(float) for values in scores)
    return pd.DataFrame({"user_id": users, "reference": old, "current": new})


def replay(downstream: Any, shim: QuantileShim, *, version: str) -> pd.DataFrame:
    """What a consumer would have made of one version's scores, had they come through a shim.

    The consumer is taken from the rows of the other versions: its score as a function of the
    upstream score, and the least score at which it acted.

    Parameters
    ----------
    downstream : any frame that Narwhals reads
        The columns of `downstream` in `toolkit.tables`, and any others.
    shim : QuantileShim
    version : str
        The `upstream_version` whose rows are replayed.

    Returns
    -------
    DataFrame
        All rows; those of `version` with new `upstream_score`, `score` and `action`.

    Raises
    ------
    ValueError
        If there are no rows of `version` or of another one, or the others' actions don't follow
        from a threshold on `score`.

    Examples
    --------
    The consumer acts from a score of 2. The new version counts in other units, so that it would act
    on more; behind the shim it acts as before:

    >>> reads = pd.DataFrame({"upstream_version": ["old"] * 4 + ["new"] * 4,
    ...     "upstream_score": [0.0, 1, 2, 3, 0, 10, 20, 30]})
    >>> reads = reads.assign(score=reads["upstream_score"], action=reads["upstream_score"] >= 2)
    >>> shim = quantile_shim([0.0, 1, 2, 3], [0.0, 10, 20, 30])
    >>> reads["action"][4:].tolist(), replay(reads, shim, version="new")["action"][4:].tolist()
    ([False, True, True, True], [False, False, True, True])
    """
    rows = read_columns(
        downstream,
        "downstream",
        ["upstream_score", "upstream_version", "score", "action"],
        numbers=["upstream_score", "score"],
        labels=["action"],
        keep=True,
    )
    there = (rows["upstream_version"] == version).to_numpy()
    if there.all() or not there.any():
        raise ValueError(
            f"version: got {version!r}; there must be rows of it and of another one, and there are "
            f"{sorted(map(str, set(rows['upstream_version'])))}"
        )
    known = rows[~there].sort_values("upstream_score")
    acted = known["action"].astype(bool)
    least, most = known.loc[acted, "score"].min(), known.loc[~acted, "score"].max()
    if not (acted.any() and (~acted).any() and least >= most):
        raise ValueError(
            f"action: got scores from {least:.4g} with and up to {most:.4g} without; the consumer must act "
            "above a threshold"
        )
    mapped = shim(rows.loc[there, "upstream_score"])
    scored = np.interp(mapped, known["upstream_score"], known["score"])
    replayed = {"upstream_score": mapped, "score": scored, "action": scored >= least}
    for column, values in replayed.items():
        # A new column, for the old one may have fewer digits.
        whole = rows[column].to_numpy(bool if column == "action" else float, copy=True)
        whole[there] = values
        rows[column] = whole
    return rows


def _psi(reference: np.ndarray, current: np.ndarray) -> float:
    """The population stability index of two sets of counts; an empty bin counts as half a row."""
    p, q = (np.maximum(counts, 0.5) / counts.sum() for counts in (reference, current))
    return float(((p - q) * np.log(p / q)).sum())
