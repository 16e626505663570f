"""The rows you judge by aren't those you serve: what do weights mend, and how many rows do they leave?"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd
import statsmodels.api as sm
from statsmodels.tools.sm_exceptions import PerfectSeparationError

from toolkit.finding import Finding, figure
from toolkit.frames import read_columns
from toolkit.resampling import Estimate
from toolkit.rules import count, level, number

__all__ = [
    "balance",
    "effective_sample_size",
    "effective_share",
    "errors_by_shift",
    "shift_split",
    "weighted_errors",
]

# Under so many effective rows a weighted mean hangs on a handful of rows, and its interval on luck.
FEW = 100
# Where fewer units than this make nearly all of an error's estimate, it is too small: in simulations
# with normal features, 95% intervals of 8 such units cover 85%, of 25 about 92%, of 40 the level.
CARRIERS = 30
# A feature of which others leave less, in its standard deviations, is a combination of them.
SAME = 1e-6
NO_WEIGHTS = "features: got columns from which no weights can be made"
# Weighted populations whose means differ by more, in standard deviations, aren't alike (Stuart 2010).
APART = 0.25


def effective_sample_size(weights: Any) -> float:
    """The number of equally weighted rows whose mean is as precise as that of the weighted ones (Kish).

    Parameters
    ----------
    weights : array of shape (n,)
        Not negative, not all 0.

    Raises
    ------
    ValueError
        If a weight is negative or not finite, or all are 0.

    References
    ----------
    Kish (1965), Survey Sampling.

    Examples
    --------
    >>> effective_sample_size([1, 1, 1, 1])
    4.0
    >>> round(effective_sample_size([100, 1, 1, 1]), 2)
    1.06
    """
    given = np.asarray(weights, dtype=float)
    bad = ~(np.isfinite(given) & (given >= 0))
    if bad.any():
        raise ValueError(f"weights: got {given[bad][0]}; a weight is finite and not negative")
    largest = given.max(initial=0.0)
    if not largest > 0:
        raise ValueError("weights: got no weight above 0; a weighted mean needs one")
    # In units of the largest, so that no square overflows.
    scaled = given / largest
    return float(scaled.sum() ** 2 / (scaled**2).sum())


def effective_share(shift: float, *, features: int = 1) -> float:
    """The share of rows that weights leave effective where independent normal features are shifted.

    exp(-d^2) for one feature shifted by d of its standard deviations; shares of independent
    features multiply.

    Parameters
    ----------
    shift : float
        Shift of each feature, in standard deviations.
    features : int
        How many are shifted.

    Examples
    --------
    >>> round(effective_share(1.0), 2), round(effective_share(2.0), 3)
    (0.37, 0.018)
    """
    return float(np.exp(-count("features", features) * number("shift", shift) ** 2))


def weighted_errors(
    shift: float, *, features: int, relevance: float, rows: int, replicates: int = 200, rng: Any = 0
) -> pd.DataFrame:
    """How far a mean over old rows is from the new population's, left as it is or weighted.

    Old rows have standard normal features, new ones the same shifted; the outcome is normal with
    variance 1 and correlates by `relevance` with the direction of the shift. Weights are the true
    density ratio.

    Parameters
    ----------
    shift : float
        Shift of each feature, in standard deviations.
    features : int
        How many features are shifted.
    relevance : float
        Correlation of the outcome with the shifted direction, in [-1, 1].
    rows : int
        Labelled old rows.

    Returns
    -------
    DataFrame, one row an estimate
        `estimate` ("as it is" or "weighted"), `bias`, `spread` (standard deviation over
        replicates) and `error` (root mean square).

    Examples
    --------
    >>> bool(weighted_errors(0.0, features=1, relevance=1.0, rows=100)["bias"].abs().max() < 0.02)
    True
    """
    along = number("shift", shift) * count("features", features) ** 0.5
    number("relevance", relevance, above=-1.0001, below=1.0001)
    draw = np.random.default_rng(rng)
    place = draw.normal(size=(count("replicates", replicates), count("rows", rows, least=2)))
    other = draw.normal(size=place.shape)
    outcome = relevance * place + (1 - relevance**2) ** 0.5 * other
    # Relative to the largest of each replicate: a shift of many deviations would overflow.
    weight = np.exp(along * (place - place.max(1, keepdims=True)))
    estimates = {"as it is": outcome.mean(1), "weighted": (weight * outcome).sum(1) / weight.sum(1)}
    records = []
    for name, values in estimates.items():
        off = values - relevance * along
        records.append((name, off.mean(), off.std(), np.sqrt((off**2).mean())))
    return pd.DataFrame(records, columns=["estimate", "bias", "spread", "error"])


@lru_cache(maxsize=64)
def _errors_by_shift(features: int, relevance: float, rows: int) -> pd.DataFrame:
    parts = [
        weighted_errors(shift, features=features, relevance=relevance, rows=rows, replicates=100)[
            ["estimate", "error"]
        ].assign(shift=shift)
        for shift in np.linspace(0, 2, 17)
    ]
    return pd.concat(parts, ignore_index=True)


def errors_by_shift(*, features: int, relevance: float, rows: int) -> pd.DataFrame:
    """The root mean square error of `weighted_errors` for shifts from 0 to 2: `estimate`, `error`, `shift`.

    Examples
    --------
    >>> told = errors_by_shift(features=1, relevance=0.9, rows=500)
    >>> at_one = told[told["shift"] == 1].set_index("estimate")["error"]
    >>> bool(at_one["weighted"] < at_one["as it is"])
    True
    """
    return _errors_by_shift(features, float(relevance), rows).copy()


def shift_split(
    reference: Any,
    current: Any,
    *,
    features: Sequence[str],
    value: str = "y",
    cluster: str | None = "user_id",
    alpha: float = 0.05,
) -> Finding:
    """How much of the difference between two populations is a matter of who is in them.

    The reference is weighted until its features look like the current rows' (odds of a logistic
    model that tells the two apart). What that moves is composition; what remains happens to rows
    with the same features: another treatment, a changed world, or a feature that isn't in the table.

    Parameters
    ----------
    reference, current : frames
        Rows of the two populations, with the features, the value, and the cluster's column.
    features : sequence of str
        Numeric columns that the weights are made of. Add squares and indicators as columns where
        the two differ in more than means.
    value : str
        The outcome whose means are compared.
    cluster : str or None
        Unit that is independent of the others; None: each row is its own.
    alpha : float
        One minus the level of the intervals, which allow for the weights having been estimated.

    Returns
    -------
    Finding
        What remains, current less weighted reference, with its interval. The table has the whole
        difference, its composition part and the remainder, and the reference's rows, effective
        rows and largest weight's share; `carriers`, the number of units (clusters) that make nearly
        all of a part's error. Where the weights leave too few effective rows, or don't make the two
        alike (see `balance`), composition and remainder are nan, and the verdict says why.

    Raises
    ------
    ValueError
        If a frame isn't complete, a feature is constant or a combination of others, or features
        separate the two perfectly: then no weights make one look like the other.

    References
    ----------
    Cai, Namkoong and Yadlowsky (2023), "Diagnosing Model Performance Under Distribution Shift";
    Kish (1965), Survey Sampling.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> old, new = (pd.DataFrame({"x": rng.normal(m, 1, 2000)}) for m in (0.0, 0.5))
    >>> for table in (old, new):
    ...     table["y"] = 2 * table["x"] + rng.normal(size=2000)
    >>> finding = shift_split(old, new, features=["x"], cluster=None)
    >>> finding.ci[0] < 0 < finding.ci[1]
    True
    """
    level(alpha)
    pooled, z, design = _populations(reference, current, features, [value], cluster)
    weight, chance = _odds(design, z)
    y = pooled[value].to_numpy(float)
    old, new = z == 0, z == 1
    mean_old, mean_new = y[old].mean(), y[new].mean()
    total = weight.sum()
    like_new = weight @ y / total
    # Each row's pull on the means; the weighted one's also through the model behind the weights.
    information = (design * (chance * (1 - chance))[:, None]).T @ design
    slope = (weight * (y - like_new)) @ design / total
    through_model = design @ np.linalg.lstsq(information, slope)[0] * (z - chance)
    pulls = {
        "old": old * (y - mean_old) / old.sum(),
        "new": new * (y - mean_new) / new.sum(),
        "like new": weight * (y - like_new) / total + through_model,
    }
    code = np.arange(len(y)) if cluster is None else pd.factorize(pooled[cluster])[0]
    parts = {
        "whole difference": (mean_new - mean_old, pulls["new"] - pulls["old"]),
        "composition": (like_new - mean_old, pulls["like new"] - pulls["old"]),
        "what remains": (mean_new - like_new, pulls["new"] - pulls["like new"]),
    }
    effective = effective_sample_size(weight[old])
    refusal = _refusal(effective, _gaps(pooled[list(features)], z, weight))
    records = []
    for name, (size, pull) in parts.items():
        squares = np.bincount(code, pull) ** 2
        error = float(np.sqrt(squares.sum()))
        if refusal and name != "whole difference":
            size = error = float("nan")
        carriers = effective_sample_size(squares) if squares.any() else float("nan")
        records.append((name, size, error, *Estimate(size, error).interval(alpha), carriers))
    table = pd.DataFrame(records, columns=["part", "size", "se", "low", "high", "carriers"])
    table["reference_rows"], table["effective_rows"] = old.sum(), effective
    table["largest_weight"] = float(weight.max() / total)
    remains = table.iloc[2]
    return Finding(
        float(remains["size"]),
        (float(remains["low"]), float(remains["high"])),
        refusal or _verdict(table),
        unit=f"of {value}",
        se=float(remains["se"]),
        p=Estimate(float(remains["size"]), float(remains["se"])).p,
        n=len(y),
        n_clusters=None if cluster is None else int(code.max()) + 1,
        alpha=alpha,
        table=table,
        assumptions=(
            "every kind of current row has reference rows like it (overlap)",
            "the logistic model of who is in which population is right",
        ),
        cannot_tell=(
            "a changed world, from a feature that isn't among these",
            "what another choice of features would say: the interval is about other rows, not other models",
        ),
    )


def balance(reference: Any, current: Any, *, features: Sequence[str]) -> pd.DataFrame:
    """How far apart two populations' features are, before the reference is weighted and after.

    Where a gap stays, the reference has no rows to give weight to: nobody like the current ones
    is in it.

    Parameters
    ----------
    reference, current, features
        As for `shift_split`.

    Returns
    -------
    DataFrame, one row a feature
        `feature`, `before` and `after`: current mean less reference mean, in standard deviations
        of the current rows.

    References
    ----------
    Stuart (2010), "Matching Methods for Causal Inference", Statistical Science: a gap over 0.25
    isn't balance.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> old, new = (pd.DataFrame({"x": rng.normal(m, 1, 2000)}) for m in (0.0, 0.5))
    >>> balance(old, new, features=["x"]).round(1).values.tolist()
    [['x', 0.5, 0.0]]
    """
    pooled, z, design = _populations(reference, current, features, [], None)
    return _gaps(pooled, z, _odds(design, z)[0])


def _populations(
    reference: Any, current: Any, features: Sequence[str], values: Sequence[str], cluster: str | None
) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    """Both populations' rows, which of them are current, and the design of the model that tells them apart."""
    names = list(features)
    if not names:
        raise ValueError("features: got none; weights need one at least")
    columns = [*names, *values, *([cluster] if cluster else [])]
    before, after = (
        read_columns(frame, name, columns, numbers=[*names, *values])
        for frame, name in ((reference, "reference"), (current, "current"))
    )
    pooled = pd.concat([before, after], ignore_index=True)
    constant = (pooled[names].max() == pooled[names].min()).to_numpy()
    if constant.any():
        raise ValueError(f"{names[int(constant.argmax())]}: got one value in all rows; a feature must vary")
    standard = (pooled[names] - pooled[names].mean()) / pooled[names].std()
    design = sm.add_constant(standard.to_numpy(float), has_constant="add")
    # What of a column those before it don't explain. Where it's nothing, linear algebra fails on some machines.
    own = np.abs(np.diag(np.linalg.qr(design, mode="r")))[1:] / np.sqrt(len(design))
    if len(own) < len(names) or own.min() < SAME:
        which = f"{len(names)} for {len(design)} rows" if len(own) < len(names) else names[int(own.argmin())]
        raise ValueError(f"{NO_WEIGHTS}: {which}; each must say what the others don't")
    return pooled, np.r_[np.zeros(len(before)), np.ones(len(after))], design


def _gaps(features: pd.DataFrame, z: np.ndarray, weight: np.ndarray) -> pd.DataFrame:
    old, new = features[z == 0], features[z == 1]
    scale = new.std().where(lambda s: s > 0, features.std())
    weighted = pd.Series(weight[z == 0] @ old.to_numpy(float) / weight.sum(), index=features.columns)
    gaps = pd.DataFrame(
        {"before": (new.mean() - old.mean()) / scale, "after": (new.mean() - weighted) / scale}
    )
    return gaps.rename_axis("feature").reset_index()


def _odds(design: np.ndarray, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each reference row's odds of being a current one (0 for current rows), and every row's chance."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            chance = sm.Logit(z, design).fit(disp=0, maxiter=100).predict(design)
        except (PerfectSeparationError, np.linalg.LinAlgError, Warning):
            raise ValueError(f"{NO_WEIGHTS}: they tell the populations apart perfectly") from None
    return np.where(z == 0, chance / (1 - chance), 0.0), chance


def _refusal(effective: float, gaps: pd.DataFrame) -> str:
    """Why no part can be named; empty where it can."""
    if effective < FEW:
        return (
            f"The weights leave {effective:.0f} effective rows of the reference, fewer than {FEW}: too few to "
            "say what is composition and what isn't."
        )
    worst = gaps.loc[gaps["after"].abs().idxmax()]
    if abs(worst["after"]) > APART:
        return (
            f"Weighted, the reference still differs in {worst['feature']} by {abs(worst['after']):.2f} standard "
            "deviations: it has too few rows like the current ones, and no part can be named."
        )
    return ""


def _verdict(table: pd.DataFrame) -> str:
    (_, whole), (_, composed), (_, remains) = table.iterrows()
    ends = {
        name: f"({figure(row['low'], signed=True)} to {figure(row['high'], signed=True)})"
        for name, row in (("c", composed), ("r", remains))
    }
    told = f"Of the difference of {figure(whole['size'], signed=True)}, "
    if composed["low"] <= 0 <= composed["high"]:
        told += f"no composition shows {ends['c']}"
    else:
        told += f"composition makes {figure(composed['size'], signed=True)} {ends['c']}"
    if remains["low"] <= 0 <= remains["high"]:
        told += f"; what remains can't be told from 0 {ends['r']}"
    else:
        told += f"; rows with the same features differ by {figure(remains['size'], signed=True)} {ends['r']}"
    if remains["carriers"] < CARRIERS:
        told += f". The last interval hangs on about {remains['carriers']:.0f} units, and is too narrow"
    return told + "."
