"""Only the mix of good and bad has moved: how much of the new traffic is bad, without one label from there?"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import logit
from scipy.stats import norm

from toolkit.finding import Finding
from toolkit.frames import read_columns
from toolkit.general.mismatch import effective_sample_size
from toolkit.resampling import bootstrap, interval, several
from toolkit.rules import count, level, number, share

__all__ = ["adjusted_prevalence", "em_prevalence", "label_shift", "shifted_estimates"]

_SMALLEST = 1e-9
# A cell that few bad rows fell into gives EM a wrong idea of where bad rows lie: so many, on average, to a cell,
# and with fewer in all no check whether it agrees with BBSE.
_PER_CELL, _CHECKED = 20, 50


def adjusted_prevalence(flagged: float, *, tpr: float, fpr: float) -> float:
    """The share of bad rows that explains a share of flagged ones, given how often each kind is flagged.

    Parameters
    ----------
    flagged : float
        Share of the target's rows that the classifier flags.
    tpr, fpr : float
        Share of bad and of good rows that it flags, measured where there are labels.

    Returns
    -------
    float
        Held to [0, 1]: a flagged share outside [fpr, tpr] can't come from these rates.

    Raises
    ------
    ValueError
        If one of them is no share, or both rates are equal: then flags say nothing.

    References
    ----------
    Lipton, Wang and Smola (2018), ICML; for two classes.

    Examples
    --------
    >>> round(adjusted_prevalence(0.24, tpr=0.8, fpr=0.1), 3)
    0.2
    """
    share("flagged", flagged), share("tpr", tpr), share("fpr", fpr)
    if abs(tpr - fpr) < _SMALLEST:
        raise ValueError(
            f"tpr: got {tpr!r}, as is fpr; flags that hit both kinds alike say nothing of the mix"
        )
    return min(max((flagged - fpr) / (tpr - fpr), 0.0), 1.0)


def em_prevalence(
    target: Any, bad: Any, good: Any, *, start: float = 0.5, tolerance: float = 1e-8, most: int = 5000
) -> Any:
    """The share of bad rows that makes the target's scores most likely (Saerens' EM).

    Parameters
    ----------
    target : array of shape (..., cells)
        Count of the target's rows in each cell of the score.
    bad, good : arrays of shape (..., cells)
        How the source's bad and good rows are spread over the cells, each summing to 1.
    start : float
        Where to begin; the maximum is the same from anywhere inside (0, 1).
    tolerance : float
        Stop when no share moves further than this.
    most : int
        Rounds at most; EM is slow where the score hardly tells the kinds apart.

    Returns
    -------
    array of shape (...)

    References
    ----------
    Saerens, Latinne and Decaestecker (2002), Neural Computation.

    Examples
    --------
    >>> round(float(em_prevalence([76, 24], bad=[0.2, 0.8], good=[0.9, 0.1])), 4)
    0.2
    """
    number("start", start, above=0, below=1)
    count("most", most)
    rows, bad, good = (np.asarray(given, dtype=float) for given in (target, bad, good))
    # A cell that no source row fell into tells nothing of the mix.
    rows = np.where(bad + good > 0, rows, 0.0)
    total = rows.sum(-1)
    prevalence = np.full(np.broadcast_shapes(rows.shape, bad.shape, good.shape)[:-1], start)
    for _ in range(most):
        from_bad = prevalence[..., None] * bad
        both = from_bad + (1 - prevalence)[..., None] * good
        posterior = np.divide(from_bad, both, out=np.zeros_like(both), where=both > 0)
        moved = (rows * posterior).sum(-1) / total
        done = np.abs(moved - prevalence).max(initial=0.0) < tolerance
        prevalence = moved
        if done:
            break
    return prevalence


def label_shift(
    source: Any,
    target: Any,
    *,
    y: str = "y",
    yhat: str = "yhat",
    score: str | None = None,
    user_id: str = "user_id",
    bins: int = 10,
    alpha: float = 0.05,
    replicates: int = 500,
    rng: Any = 0,
) -> Finding:
    """The share of bad rows in unlabelled target traffic, if only the mix of good and bad has moved.

    Parameters
    ----------
    source : frame
        Labelled rows, drawn at random from the traffic that they stand for (an audit, not reports).
    target : frame
        Rows of the new traffic; its labels aren't read.
    y, yhat : str
        Columns of the label, 1 for bad, and of the classifier's flag. Only the source has `y`.
    score : str, optional
        Column of the score behind the flag, in both frames; EM then works on its `bins` cells,
        otherwise on the flag, where it agrees with BBSE by construction. That both agree is
        checked where the source has 50 rows of each kind.
    user_id : str
        Column of the users, whose rows are drawn together.
    bins : int
        Cells of the score at most, in which good and bad rows together weigh about as much; fewer
        where the source has fewer than 20 times as many rows of a kind.
    replicates : int
        Bootstrap replicates.
    rng : int or Generator
        For the bootstrap.
    alpha : float
        One minus the level of the interval.

    Returns
    -------
    Finding
        BBSE's prevalence of the target. The table also has the source's prevalence, the flagged
        share taken at its word, EM's prevalence and how far it lies from BBSE's; with the weights
        that each gives the source's good and bad rows, and the effective sample size left. Where
        fewer of the target's rows are flagged than of the source's good ones, or more than of its
        bad ones, by more than chance, no moved mix explains them: nan, and the verdict says so.

    Raises
    ------
    ValueError
        If a column is missing or isn't what it must be, a class or a flag doesn't occur in the
        source, the score is constant, or the confusion matrix is singular: the interval of
        TPR - FPR holds 0.

    References
    ----------
    Lipton, Wang and Smola (2018), ICML (BBSE); Saerens, Latinne and Decaestecker (2002), Neural
    Computation (EM).

    Examples
    --------
    >>> labelled = pd.DataFrame({"user_id": range(200), "y": [1] * 100 + [0] * 100,
    ...     "yhat": [1] * 80 + [0] * 20 + [1] * 10 + [0] * 90})
    >>> fresh = pd.DataFrame({"user_id": range(200, 300), "yhat": [1] * 24 + [0] * 76})
    >>> round(label_shift(labelled, fresh).estimate, 3)
    0.2
    """
    level(alpha), count("bins", bins, least=2)
    scores = [] if score is None else [score]
    known = read_columns(
        source, "source", [user_id, y, yhat, *scores], labels=[y, yhat], numbers=scores
    ).reset_index(drop=True)
    fresh = read_columns(target, "target", [user_id, yhat, *scores], labels=[yhat], numbers=scores)
    for column in (y, yhat):
        if known[column].nunique() < 2:
            raise ValueError(f"{column}: got only {known[column].iloc[0]} in source; both 0 and 1 must occur")
    label, flag, fresh_flag = (values.to_numpy(int) for values in (known[y], known[yhat], fresh[yhat]))
    rarer = int(min(label.sum(), len(label) - label.sum()))
    if score is None:
        cell, fresh_cell, cells = flag, fresh_flag, 2
    else:
        if known[score].nunique() < 2:
            raise ValueError(f"{score}: got only {known[score].iloc[0]} in source; a score must vary")
        edges = _edges(known[score].to_numpy(float), label, min(bins, max(2, rarer // _PER_CELL)))
        cell, fresh_cell = (np.searchsorted(edges, rows[score].to_numpy(float)) for rows in (known, fresh))
        cells = len(edges) + 1
    for frame in (known, fresh):
        several(frame[user_id], user_id)
    code, users = pd.factorize(np.concatenate([known[user_id].to_numpy(), fresh[user_id].to_numpy()]))
    by_source, by_target = code[: len(known)], code[len(known) :]
    # Everything below is a function of these counts, so a replicate costs one product.
    sums = np.hstack(
        [
            _counts(by_source, 2 * label + flag, len(users), 4),
            _counts(by_source, cells * label + cell, len(users), 2 * cells),
            _counts(by_target, fresh_flag, len(users), 2),
            _counts(by_target, fresh_cell, len(users), cells),
        ]
    )
    found = _estimates(sums.sum(0), cells)
    joint = sums.sum(0)[:4].reshape(2, 2).T / len(known)
    condition = float(np.linalg.cond(joint)) if abs(found["j"]) > _SMALLEST else math.inf
    draws = _estimates(
        bootstrap(lambda weight: weight @ sums, np.arange(len(users)), replicates=replicates, rng=rng), cells
    )
    low, high = interval(draws["j"], alpha=alpha)
    if low <= 0 <= high:
        raise ValueError(
            f"{yhat}: got a confusion matrix that is singular within its error (TPR {found['tpr']:.3f}, FPR "
            f"{found['fpr']:.3f}, condition number {condition:.3g}); flags must tell the kinds apart"
        )
    limits = {name: interval(values, alpha=alpha) for name, values in draws.items()}
    start = float(found["source"])
    # Not held to [0, 1] yet: an interval that lies outside it is one of a mix that can't be.
    low, high = limits["bbse"]
    impossible = low > 1 or high < 0
    for results in (found, draws):
        results["bbse"] = np.clip(results["bbse"], 0, 1)
    if impossible:
        found |= {"bbse": math.nan, "em": math.nan, "apart": math.nan}
        limits |= dict.fromkeys(("bbse", "em", "apart"), (math.nan, math.nan))
    else:
        limits["bbse"] = (max(low, 0.0), min(high, 1.0))
        # EM from few bad rows is off to one side, and its replicates are off twice as far: reflect them.
        low, high = interval(draws["apart"], alpha=alpha)
        limits["apart"] = (2 * found["apart"] - high, 2 * found["apart"] - low)
    records = []
    for name, text in _NAMES.items():
        ends, record = limits[name], {"prevalence": text, "estimate": float(found[name])}
        record |= {"low": ends[0], "high": ends[1]}
        if name in ("bbse", "em") and not impossible:
            bad, good = found[name] / start, (1 - found[name]) / (1 - start)
            record |= {"weight_bad": bad, "weight_good": good}
            record["ess"] = round(effective_sample_size(np.where(label == 1, bad, good)), 1)
        records.append(record)
    apart = limits["apart"]
    if impossible:
        verdict = (
            f"These flags can't come from a moved mix: {found['flagged']:.1%} of the target is flagged, in the source "
            f"{found['tpr']:.1%} of bad rows and {found['fpr']:.1%} of good ones. More than the mix has moved."
        )
    else:
        verdict = (
            f"If only the mix has moved, {found['bbse']:.1%} of the target is bad, after {start:.1%} in the source "
            f"(condition number {condition:.3g})"
        )
        if score is not None and rarer < _CHECKED:
            verdict += f"; {rarer} rows of a kind are too few to check that by EM"
        elif score is not None:
            agree = apart[0] <= 0 <= apart[1]
            verdict += f"; BBSE and EM {'agree' if agree else 'disagree: more than the mix may have moved'}"
        verdict += "."
    return Finding(
        float(found["bbse"]),
        limits["bbse"],
        verdict,
        se=math.nan if impossible else float(draws["bbse"].std(ddof=1)),
        n=len(known) + len(fresh),
        n_clusters=len(users),
        alpha=alpha,
        table=pd.DataFrame(records),
        assumptions=(
            "within the bad and within the good, target rows look like source rows (label shift)",
            "the source's labels are right, and its rows a random draw of its traffic",
        ),
        cannot_tell=(
            "a moved mix from moved inputs: both methods answer as if only the mix had moved, and may agree",
            "bad rows of a kind that the source doesn't have",
        ),
    )


_NAMES = {
    "source": "labelled, in the source",
    "flagged": "flagged, in the target",
    "bbse": "BBSE",
    "em": "EM",
    "apart": "EM less BBSE",
}


def _edges(score: np.ndarray, label: np.ndarray, cells: int) -> np.ndarray:
    """Where the score is cut, so that each cell has as much of half the good and half the bad rows."""
    order = np.argsort(score, kind="stable")
    weight = np.where(label == 1, 0.5 / label.sum(), 0.5 / (1 - label).sum())[order]
    places = np.searchsorted(np.cumsum(weight), np.arange(1, cells) / cells - 1e-12)
    # An edge is the largest score of its cell, and something must lie above it.
    return np.unique(np.minimum(score[order][places], np.unique(score)[-2]))


def _counts(user: np.ndarray, cell: np.ndarray, users: int, cells: int) -> np.ndarray:
    return np.bincount(user * cells + cell, minlength=users * cells).reshape(users, cells).astype(float)


def _estimates(sums: np.ndarray, cells: int) -> dict[str, Any]:
    """All that the table tells, from the counts in the last axis; nan where a class doesn't occur."""
    flags, spread, fresh, fresh_cells = np.split(sums, np.cumsum([4, 2 * cells, 2]), axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        good_flagged = flags[..., 1] / flags[..., :2].sum(-1)
        bad_flagged = flags[..., 3] / flags[..., 2:].sum(-1)
        flagged = fresh[..., 1] / fresh.sum(-1)
        j = bad_flagged - good_flagged
        bbse = (flagged - good_flagged) / j
        good, bad = spread[..., :cells], spread[..., cells:]
        em = em_prevalence(fresh_cells, bad / bad.sum(-1, keepdims=True), good / good.sum(-1, keepdims=True))
        share = flags[..., 2:].sum(-1) / flags.sum(-1)
    return {
        "source": share,
        "flagged": flagged,
        "bbse": bbse,
        "em": em,
        "apart": em - np.clip(bbse, 0, 1),
        "j": j,
        "tpr": bad_flagged,
        "fpr": good_flagged,
    }


def shifted_estimates(
    auc: float,
    prevalence: Any,
    *,
    source: float = 0.1,
    through_inputs: float = 0.0,
    fpr: float = 0.1,
    labelled: int = 4000,
    rows: int = 2000,
    alpha: float = 0.05,
) -> pd.DataFrame:
    """What the flagged share and BBSE say when the prevalence moves, in the binormal model, exactly.

    The score is normal within each kind, its means apart by the distance that the AUC asks for. A
    move of prevalence may come through the mix, or through the inputs: their density is tilted
    and P(bad | score) stays (covariate shift).

    Parameters
    ----------
    auc : float
        Of the score in the source, above one half.
    prevalence : array
        True shares of bad rows in the target, in (0, 1).
    source : float
        Share of bad rows in the source.
    through_inputs : float
        Share of the move, in log-odds, that comes through the inputs.
    fpr : float
        Share of the source's good rows that are flagged.
    labelled, rows : int
        Rows of source and target; for the interval of BBSE.

    Returns
    -------
    DataFrame
        One row a prevalence: `prevalence`, `flagged`, `bbse`, `low`, `high`.

    Examples
    --------
    >>> moved = shifted_estimates(0.93, [0.1, 0.2])
    >>> [round(value, 4) for value in moved["bbse"]]
    [0.1, 0.2]
    """
    number("auc", auc, above=0.5, below=1), share("through_inputs", through_inputs)
    for name, value in (("source", source), ("fpr", fpr)):
        share(name, value, open_low=True, open_high=True)
    true = np.atleast_1d(np.asarray(prevalence, dtype=float))
    if not ((true > 0) & (true < 1)).all():
        raise ValueError(f"prevalence: got {true[~((true > 0) & (true < 1))][0]}; it must lie in (0, 1)")
    apart = math.sqrt(2) * float(norm.ppf(auc))
    threshold = float(norm.isf(fpr))
    # Tilting the score's density by exp(c s) moves both kinds' means by c, and the log-odds of bad by c times
    # the distance of the means.
    tilt = through_inputs * (logit(true) - logit(source)) / apart
    flagged = true * norm.sf(threshold - apart - tilt) + (1 - true) * norm.sf(threshold - tilt)
    tpr = float(norm.sf(threshold - apart))
    bbse = np.clip((flagged - fpr) / (tpr - fpr), 0, 1)
    variance = (
        flagged * (1 - flagged) / count("rows", rows)
        + bbse**2 * tpr * (1 - tpr) / (count("labelled", labelled) * source)
        + (1 - bbse) ** 2 * fpr * (1 - fpr) / (labelled * (1 - source))
    ) / (tpr - fpr) ** 2
    half = float(norm.isf(level(alpha) / 2)) * np.sqrt(variance)
    return pd.DataFrame(
        {
            "prevalence": true,
            "flagged": flagged,
            "bbse": bbse,
            "low": np.clip(bbse - half, 0, 1),
            "high": np.clip(bbse + half, 0, 1),
        }
    )
