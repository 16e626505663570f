"""Could anything tell the new rows from the old ones, looking at all columns together?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import norm

from toolkit.auc import Ranking
from toolkit.finding import Finding
from toolkit.frames import read_columns
from toolkit.general.psi import value_codes
from toolkit.rules import count, level

__all__ = ["mann_whitney_se", "two_sample_auc"]

# Rows of each frame that the judged half must have.
_LEAST = 10


def mann_whitney_se(n: int, m: int, *, ties: Any = ()) -> float:
    """The standard error of the AUC of a score that tells nothing, over n and m independent rows.

    Parameters
    ----------
    n, m : int
        Rows of either kind.
    ties : array of int, optional
        Sizes of the groups of rows whose scores are equal; a tie counts half, and so varies less.

    References
    ----------
    Hanley and McNeil (1982), Radiology, for the AUC as the Mann-Whitney statistic.

    Examples
    --------
    >>> round(mann_whitney_se(100, 100), 4)
    0.0409
    >>> round(mann_whitney_se(100, 100, ties=[180, 20]), 4)
    0.0213
    """
    total = count("n", n) + count("m", m)
    sizes = np.asarray(ties, dtype=float)
    if (sizes < 1).any() or sizes.sum() > total:
        raise ValueError(f"ties: got {sizes.tolist()}; sizes are 1 at least, and add up to {total} at most")
    told = 1 - (sizes**3 - sizes).sum() / (total**3 - total)
    return float(np.sqrt((total + 1) / (12 * n * m) * max(told, 0.0)))


def two_sample_auc(
    reference: Any,
    current: Any,
    *,
    columns: Sequence[str] | None = None,
    cluster: str | None = "user_id",
    rows: int = 50_000,
    iterations: int = 50,
    alpha: float = 0.05,
    rng: Any = 0,
) -> Finding:
    """The AUC with which a classifier tells current rows from reference rows; one half where nothing moved.

    Boosted trees are trained on one half of the clusters and judged on the other. Averaging over
    both directions, or over more folds, isn't done: each part's luck is then in the training set of
    another and in its own judgement, so the parts agree by luck, and a null distribution that counts all
    rows as evidence rings far too often.

    Parameters
    ----------
    reference, current : any frames that Narwhals reads
    columns : sequence of str, optional
        All of the reference's columns but the cluster where not given. Text becomes categories;
        missing values are a value of their own.
    cluster : str or None
        Whose rows belong together, in both frames; None where rows are independent.
    rows : int
        So many rows of each frame are used at most, drawn at random.
    iterations : int
        Trees.
    rng : int or Generator
        For the draw, the halves and the trees.
    alpha : float
        One minus the level of the interval.

    Returns
    -------
    Finding
        The AUC on the judged half. p is from the score's null distribution: Mann and Whitney's
        where rows are independent (ties counted), widened by what clusters add. The table says how much each
        column alone would tell, judged the same way.

    Raises
    ------
    ValueError
        If a frame has no row, columns differ in kind, hold times, infinities or what isn't one
        value, a half has rows of one frame only, or the judged one fewer than ten of either.

    References
    ----------
    Rabanser, Günnemann and Lipton (2019), "Failing Loudly", NeurIPS (domain classifiers); Hanley
    and McNeil (1982), Radiology.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> before = pd.DataFrame(rng.normal(size=(2000, 2)), columns=["a", "b"])
    >>> after = pd.DataFrame(rng.multivariate_normal([0, 0], [[1, 0.8], [0.8, 1]], 2000), columns=["a", "b"])
    >>> two_sample_auc(before, after, cluster=None).p < 0.001
    True
    """
    level(alpha)
    count("rows", rows, least=100)
    count("iterations", iterations)
    draw = np.random.default_rng(rng)
    both, origin, groups, named = _together(reference, current, columns, cluster, rows, draw)
    train = draw.random(groups.max() + 1)[groups] < 0.5
    if min(len(set(origin[train])), len(set(origin[~train]))) < 2:
        raise ValueError(
            f"current: got {len(both):,} rows in all; each half needs rows of both frames (more clusters)"
        )
    judged = np.bincount(origin[~train].astype(int), minlength=2)
    if judged.min() < _LEAST:
        raise ValueError(
            f"{('reference', 'current')[int(judged.argmin())]}: got {judged.min()} rows in the half that is judged; "
            f"an area's error takes {_LEAST} at least"
        )
    seed = int(draw.integers(2**31))
    parts = {
        name: _judge(both[features], origin, groups, train, iterations, seed)
        for name, features in {
            "all together": named,
            **({c: [c] for c in named} if len(named) > 1 else {}),
        }.items()
    }
    estimate, se, null = parts["all together"]
    half = float(norm.isf(alpha / 2)) * se
    # A score that is the same in all rows tells nothing, for certain.
    p = float(2 * norm.sf(abs(estimate - 0.5) / null)) if null > 0 else 1.0
    table = pd.DataFrame([(name, value) for name, (value, _, _) in parts.items()], columns=["columns", "auc"])
    verdict = (
        f"Current rows can be told from reference rows (AUC {estimate:.3f}): their joint distribution moved."
        if p <= alpha
        else f"Current rows can't be told from reference rows (AUC {estimate:.3f}): nothing shows."
    )
    return Finding(
        estimate,
        (max(0.0, estimate - half), min(1.0, estimate + half)),
        verdict,
        unit="AUC",
        se=se,
        p=p,
        n=int((~train).sum()),
        n_clusters=len(np.unique(groups[~train])),
        alpha=alpha,
        table=table.sort_values("auc", ascending=False, ignore_index=True, kind="stable"),
        assumptions=(
            "rows are independent" if cluster is None else f"rows of different {cluster} are independent",
            "the interval is of this classifier's AUC; another kind might tell more",
        ),
        cannot_tell=("whether what moved matters to the model",),
    )


def _together(
    reference: Any,
    current: Any,
    columns: Sequence[str] | None,
    cluster: str | None,
    rows: int,
    draw: np.random.Generator,
) -> tuple[pd.DataFrame, np.ndarray, np.ndarray, list[str]]:
    """The rows of both frames, where each is from, its cluster's number, and the columns to look at."""
    extra = [] if cluster is None else [cluster]
    asked = list(columns or [])
    before = read_columns(reference, "reference", [*asked, *extra], missing=asked, keep=columns is None)
    named = asked or [name for name in before.columns if name != cluster]
    if not named:
        raise ValueError("reference: got no column to compare")
    after = read_columns(current, "current", [*named, *extra], missing=named)
    frames = []
    for frame in (before, after):
        take = np.sort(draw.choice(len(frame), min(rows, len(frame)), replace=False))
        frames.append(frame.iloc[take])
    both = pd.concat(frames, ignore_index=True)
    origin = np.repeat([0, 1], [len(frame) for frame in frames])
    groups = np.arange(len(both)) if cluster is None else pd.factorize(both[cluster])[0]
    for name in named:
        kinds = [pd.api.types.is_numeric_dtype(frame[name]) for frame in (before, after)]
        if kinds[0] != kinds[1]:
            raise ValueError(
                f"{name}: got {before[name].dtype} in reference and {after[name].dtype} in current; both must be alike"
            )
        if pd.api.types.is_datetime64_any_dtype(both[name]):
            raise ValueError(
                f"{name}: got {both[name].dtype}; a time always moves, leave it out of `columns`"
            )
        if not kinds[0]:
            # The trees take 255 categories; the rare ones share one.
            code = value_codes(both[name], name)
            often = np.argsort(-np.bincount(code[code >= 0], minlength=1), kind="stable")[:200]
            rank = np.full(code.max() + 2, 200)
            rank[often] = np.arange(len(often))
            both[name] = pd.Categorical(np.where(code < 0, 201, rank[code]))
        else:
            both[name] = both[name].astype(float)
            if np.isinf(both[name]).any():
                raise ValueError(f"{name}: got an infinite number; it must be finite or missing")
    return both[named], origin, groups, named


def _judge(
    features: pd.DataFrame,
    origin: np.ndarray,
    groups: np.ndarray,
    train: np.ndarray,
    iterations: int,
    seed: int,
) -> tuple[float, float, float]:
    """AUC on the rows that weren't trained on, its standard error, and that of a score that tells nothing."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    model = HistGradientBoostingClassifier(
        max_iter=iterations, early_stopping=False, random_state=seed, categorical_features="from_dtype"
    )
    model.fit(features[train], origin[train])
    score = model.decision_function(features[~train])
    y, group = origin[~train], groups[~train]
    auc = Ranking(y, score).auc()
    # Each row's part in the AUC: the share of the other frame's rows that it beats (ties half).
    ranks = pd.Series(score).rank().to_numpy()
    good, bad = int(y.sum()), int(len(y) - y.sum())
    own = np.empty(len(y))
    for label, other in ((1, bad), (0, good)):
        here = y == label
        own[here] = (ranks[here] - pd.Series(score[here]).rank().to_numpy()) / other
    part = np.where(y == 1, (own - auc) / good, (1 - own - auc) / bad)
    robust = float(np.sqrt((np.bincount(group, part) ** 2).sum()))
    null = mann_whitney_se(good, bad, ties=np.unique(score, return_counts=True)[1])
    # Where rows are independent the null's error is exact; clusters can only add to it.
    clustered = len(np.unique(group)) < len(group)
    return auc, robust, max(null, robust) if clustered else null
