"""The score got worse after several features changed: which of them made how much of it?"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import norm

from toolkit.attribution import shapley
from toolkit.auc import Ranking
from toolkit.finding import Finding
from toolkit.frames import IMPRESSION, joinable, read_columns
from toolkit.general.contract import quantile_shim
from toolkit.resampling import bootstrap
from toolkit.rules import count, level

__all__ = ["restored", "upstream_blame"]

# Each doubles the number of scorings.
_MOST = 7


def upstream_blame(
    served: Any,
    intended: Any,
    score: Callable[[pd.DataFrame], Any],
    *,
    features: Mapping[str, Sequence[str]] | Sequence[str],
    y: str = "y",
    key: Sequence[str] = tuple(IMPRESSION),
    cluster: str = "user_id",
    alpha: float = 0.05,
    replicates: int = 200,
    rng: Any = 0,
) -> Finding:
    """Split a loss of AUC over the features that changed, by swapping each back to what it should have been.

    A feature's part is the AUC that swapping it back brings, averaged over all orders in which features can be
    swapped back (Shapley value); the parts sum to the AUC as intended less the AUC as served. What has been swapped one at a time sums to
    anything: two broken features hide each other.

    Parameters
    ----------
    served : frame
        Labelled rows with the features as the model was given them.
    intended : frame
        The same rows with the features as they should have been: recomputed under the old definition, or mapped
        back (`restored`).
    score : callable
        The model: takes a frame of rows, gives a score a row.
    features : list of columns, or mapping of name to columns
        What is swapped back, each by itself or a team's columns together; seven at most.
    y, key, cluster : str
        The label, what names a row in both frames, and what is independent.
    alpha : float
        Chance that any feature's interval misses (Bonferroni over the features).
    replicates, rng
        Of the bootstrap over clusters.

    Returns
    -------
    Finding
        The part of the feature whose part is largest for certain, and its interval; p is of "its part is 0", times
        the number of features. The table has all: `feature`, `part`, `low`, `high`, `p`, `alone` (swapped back
        first), `last` (after all others), and `moved`, the share of rows in which it differs.

    Raises
    ------
    ValueError
        If frames don't hold the same rows, columns are missing or incomplete, a label doesn't occur, there are no or too many
        features, or the model doesn't give one finite score a row.

    References
    ----------
    Shapley (1953), "A Value for n-Person Games"; Zhang et al. (2023), "Why did the Model Fail?", ICML.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> rows = pd.DataFrame(rng.normal(size=(400, 2)), columns=["f_a", "f_b"]).assign(user_id=range(400))
    >>> rows["request_id"], rows["item_id"], rows["y"] = rows.index, 0, (rows["f_a"] + rows["f_b"] > 0).astype(int)
    >>> told = upstream_blame(rows.assign(f_b=100 * rows["f_b"]), rows, lambda r: r["f_a"] + r["f_b"], features=["f_a", "f_b"])
    >>> told.table.set_index("feature")["part"].round(2).to_dict()
    {'f_b': 0.17, 'f_a': 0.0}
    """
    level(alpha)
    count("replicates", replicates, least=50)
    groups = _groups(features)
    columns = list(dict.fromkeys(column for group in groups.values() for column in group))
    given = read_columns(
        served, "served", [*key, cluster, y, *columns], key=key, labels=[y], numbers=columns, keep=True
    )
    meant = read_columns(intended, "intended", [*key, *columns], key=key, numbers=columns)
    if given[y].nunique() < 2:
        raise ValueError(f"{y}: got only {given[y].iloc[0]} in served; both 0 and 1 must occur")
    joinable(given, meant, key, names=("served", "intended"))
    matched = given[list(key)].merge(meant, on=list(key), how="left", indicator="found")
    lost = int((matched["found"] == "left_only").sum())
    if lost:
        raise ValueError(f"intended: got none for {lost:,} of {len(given):,} rows; each needs one")
    names = list(groups)
    subsets = [
        frozenset(name for place, name in enumerate(names) if number >> place & 1)
        for number in range(2 ** len(names))
    ]
    label = given[y].to_numpy()
    rankings = []
    for subset in subsets:
        back = [column for name in names if name in subset for column in groups[name]]
        scored = np.asarray(
            score(given.assign(**{column: matched[column].to_numpy() for column in back})), dtype=float
        )
        if scored.shape != (len(given),) or not np.isfinite(scored).all():
            raise ValueError(f"score: got shape {scored.shape} for {len(given)} rows; one finite number each")
        rankings.append(Ranking(label, scored))
    draws = bootstrap(
        lambda weights: [ranking.auc(weights) for ranking in rankings],
        given[cluster],
        replicates=replicates,
        rng=rng,
    )
    if not np.isfinite(draws).all():
        raise ValueError(f"{cluster}: got too few with either label; in some draws only one occurs")
    values = {
        subset: np.r_[ranking.auc(), draws[:, place]]
        for place, (subset, ranking) in enumerate(zip(subsets, rankings, strict=True))
    }
    told = shapley(values.__getitem__, names, max_exact=_MOST)
    errors = _errors(values, names)
    z = float(norm.isf(alpha / (2 * len(names))))
    table = told.table.rename(columns={"switch": "feature", "first_in": "alone", "last_in": "last"})
    table["error"] = [errors[name] for name in names]
    table["low"], table["high"] = table["part"] - z * table["error"], table["part"] + z * table["error"]
    with np.errstate(divide="ignore", invalid="ignore"):
        chance = 2 * norm.sf(np.abs(table["part"]) / table["error"])
    # A feature that wasn't touched has a part of exactly 0, which is no evidence against anything.
    table["p"] = np.where(table["error"] > 1e-12, np.minimum(1.0, len(names) * chance), 1.0)
    table["moved"] = [
        float(
            (given[list(groups[name])].to_numpy(float) != matched[list(groups[name])].to_numpy(float))
            .any(1)
            .mean()
        )
        for name in names
    ]
    sure = np.maximum(table["low"], -table["high"])
    table = table.assign(sure=sure).sort_values("sure", ascending=False, kind="stable", ignore_index=True)
    worst = table.iloc[0]
    return Finding(
        float(worst["part"]),
        (float(worst["low"]), float(worst["high"])),
        _verdict(table, told.start, told.end),
        unit="of the AUC",
        se=float(worst["error"]),
        p=float(worst["p"]),
        n=len(given),
        n_clusters=int(given[cluster].nunique()),
        alpha=alpha,
        table=table[["feature", "part", "low", "high", "p", "alone", "last", "moved"]],
        assumptions=(
            f"values of {cluster} are independent",
            "intended is what the model was trained on; rows were chosen without regard to the change",
        ),
        cannot_tell=(
            "a feature that changed in both frames alike",
            "a loss that swapping back can't mend: labels that changed, rows that were never shown",
        ),
    )


def restored(current: Any, reference: Any, *, columns: Sequence[str]) -> pd.DataFrame:
    """The current rows with columns mapped back, quantile by quantile, on the distribution that they had.

    For when nothing can be recomputed. It undoes any change that keeps the order, a unit above all; and it undoes whatever
    has really happened since.

    Parameters
    ----------
    current, reference : frame
        Rows since the change, and rows from before it.
    columns : sequence of str

    Examples
    --------
    >>> old = pd.DataFrame({"f_height": [1.0, 2.0, 3.0, 4.0]})
    >>> restored(100 * old, old, columns=["f_height"])["f_height"].tolist()
    [1.0, 2.0, 3.0, 4.0]
    """
    if isinstance(columns, str) or not len(columns):
        raise ValueError(f"columns: got {columns!r}; it must be a list of one column at least")
    now = read_columns(current, "current", list(columns), numbers=list(columns), keep=True)
    then = read_columns(reference, "reference", list(columns), numbers=list(columns))
    return now.assign(**{column: quantile_shim(then[column], now[column])(now[column]) for column in columns})


def _groups(features: Mapping[str, Sequence[str]] | Sequence[str]) -> dict[str, list[str]]:
    if isinstance(features, str) or not len(features) or len(features) > _MOST:
        raise ValueError(f"features: got {features!r}; they must be a list or mapping of 1 to {_MOST}")
    if isinstance(features, Mapping):
        return {
            str(name): [columns] if isinstance(columns, str) else list(columns)
            for name, columns in features.items()
        }
    return {str(name): [str(name)] for name in features}


def _errors(values: Mapping[frozenset[str], np.ndarray], names: list[str]) -> dict[str, float]:
    """Each part's spread over the bootstrap's replicates: a part is linear in the subsets' values."""
    errors, n = {}, len(names)
    for name in names:
        total = np.zeros(len(values[frozenset()]) - 1)
        for subset, value in values.items():
            if name in subset:
                weight = math.factorial(len(subset) - 1) * math.factorial(n - len(subset)) / math.factorial(n)
                total += weight * (value - values[subset - {name}])[1:]
        errors[name] = float(total.std(ddof=1))
    return errors


def _verdict(table: pd.DataFrame, start: float, end: float) -> str:
    head = f"Swapping all features back takes the AUC from {start:.3f} to {end:.3f}"
    sure = table[(table["low"] > 0) | (table["high"] < 0)]
    if sure.empty:
        return f"{head}; no feature's part of it is certain."
    parts = ", ".join(f"{row['feature']} {row['part']:+.3f}" for _, row in sure.iterrows())
    rest = [str(name) for name in table["feature"] if name not in set(sure["feature"])]
    others = f"; no part is certain of {', '.join(rest)}" if rest else ""
    return f"{head}: {parts}{others}."
