"""Which columns have moved, by how much, and by more than luck?

The index that compares a column's bins, and its distribution when nothing moved, are in `psi`; a
classifier that looks at all columns together is in `two_samples`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import narwhals as nw
import numpy as np
import pandas as pd
from scipy.special import chdtrc, chdtri
from scipy.stats import ks_2samp, wasserstein_distance

from toolkit.experiments.families import holm
from toolkit.finding import Finding
from toolkit.frames import read_columns
from toolkit.general.psi import psi, psi_distribution, psi_interval, value_codes
from toolkit.rules import count, level, one_of

__all__ = ["drift", "psi", "psi_distribution", "psi_interval"]

Binning = Literal["quantiles", "widths"]


def drift(
    reference: Any,
    current: Any,
    *,
    columns: Sequence[str] | None = None,
    cluster: str | None = "user_id",
    bins: int = 10,
    binning: Binning = "quantiles",
    rows: int = 20_000,
    alpha: float = 0.05,
    rng: Any = 0,
) -> Finding:
    """Which columns are distributed otherwise than in the reference, each against what luck would do.

    Numbers are cut into bins of the reference. Text, categories, flags, and numbers that take no
    more values in the reference than there are bins, have a bin a value; values with under five
    rows in the two samples together share one. Missing values are a bin of their own.

    Parameters
    ----------
    reference, current : any frames that Narwhals reads
        The rows before and after. Only the named columns are fetched.
    columns : sequence of str, optional
        All columns of the reference but the cluster where not given.
    cluster : str or None
        Whose rows belong together; a user may be in both frames. None where rows are independent.
    bins : int
        Bins of a numeric column.
    binning : "quantiles" or "widths"
        Bins of equal shares of the reference, or of equal widths over its range. PSI depends on it.
    rows : int
        KS and Wasserstein distances need rows: so many of each frame at most, drawn at random; 0
        for none. PSI takes all.
    alpha : float
        Level for all columns together (Holm); intervals hold together (Bonferroni).
    rng : int or Generator
        For the rows that are drawn.

    Returns
    -------
    Finding
        The largest PSI with its interval; p is the smallest one adjusted. The table has one row a
        column, the largest first: PSI with interval; `noise`, which PSI exceeds once in twenty when
        nothing moved; p alone and adjusted; the Kolmogorov-Smirnov distance, with its p where
        rows are independent; the Wasserstein distance in standard deviations of the reference; shares
        missing.

    Raises
    ------
    ValueError
        If a frame has no row, a column is missing or of no kind that can be binned, or a number is
        infinite.

    References
    ----------
    Yurdakul and Naranjo, Journal of Risk Model Validation; Rao and Scott (1981), JASA (clusters).

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> before = pd.DataFrame({"age": rng.normal(40, 9, 2000), "plan": rng.choice(["a", "b"], 2000)})
    >>> after = pd.DataFrame({"age": rng.normal(43, 9, 2000), "plan": rng.choice(["a", "b"], 2000)})
    >>> drift(before, after, cluster=None).table[["column", "moved"]].values.tolist()
    [['age', True], ['plan', False]]
    """
    level(alpha)
    count("bins", bins, least=2)
    count("rows", rows, least=0)
    one_of("binning", binning, ("quantiles", "widths"))
    before, after, named = _read(reference, current, columns, cluster)
    codes = _clusters(before, after, cluster)
    draw = np.random.default_rng(rng)
    picks = [
        np.arange(len(frame)) if len(frame) <= rows else draw.choice(len(frame), rows, replace=False)
        for frame in (before, after)
    ]
    told = []
    for name in named:
        # A column at a time, so that no second copy of a large frame is made.
        old = read_columns(before, "reference", [name], missing=[name])[name]
        new = read_columns(after, "current", [name], missing=[name])[name]
        told.append(_column(old, new, name, bins, binning, codes, picks))
    table = pd.DataFrame(told)
    table.insert(0, "column", named)
    table["adjusted_p"] = holm(table["p"].to_numpy(float))
    table["moved"] = table["adjusted_p"] <= alpha
    ends = [
        psi_interval(index, unit, freedom=freedom, alpha=alpha / len(named))
        for index, unit, freedom in zip(table["psi"], table["unit"], table["freedom"], strict=True)
    ]
    table["low"], table["high"] = [end[0] for end in ends], [end[1] for end in ends]
    table = table.sort_values("psi", ascending=False, ignore_index=True, kind="stable")
    first, moved = table.iloc[0], int(table["moved"].sum())
    order = ["column", "psi", "low", "high", "noise", "moved", "p", "adjusted_p", "ks", "ks_p", "wasserstein"]
    if cluster is not None:
        order.remove("ks_p")
    many = f"of {len(named)} column{'s' if len(named) > 1 else ''}"
    verdict = (
        f"{moved} {many} moved by more than luck, most of all {first['column']} (PSI {first['psi']:.3g})."
        if moved
        else f"None {many} moved by more than luck; the largest PSI is {first['psi']:.3g}, of {first['column']}."
    )
    same = "rows are independent" if cluster is None else f"rows of different {cluster} are independent"
    return Finding(
        float(first["psi"]),
        (float(first["low"]), float(first["high"])),
        verdict,
        unit="PSI",
        se=float(math.sqrt(2 * first["unit"] ** 2 * first["freedom"] + 4 * first["unit"] * first["psi"])),
        p=float(table["adjusted_p"].min()),
        n=len(before) + len(after),
        n_clusters=None if codes is None else int(max(codes[0].max(), codes[1].max())) + 1,
        alpha=alpha,
        table=table[[*order, "missing_reference", "missing_current"]],
        assumptions=(
            same,
            f"the level of {alpha:g} holds for all {len(named)} columns together (Holm), the intervals too "
            f"(Bonferroni): at that level each, {alpha * len(named):.2g} would move by luck",
        ),
        cannot_tell=(
            "whether a column that moved matters to the model, or one that didn't move means something else now",
            "columns that move only together (two_sample_auc does)",
        ),
    )


@dataclass(frozen=True)
class _Binned:
    """A column's bins: the code of each row of the reference and of the current frame."""

    before: np.ndarray
    after: np.ndarray
    count: int


def _read(
    reference: Any, current: Any, columns: Sequence[str] | None, cluster: str | None
) -> tuple[nw.DataFrame[Any], nw.DataFrame[Any], list[str]]:
    """Both frames with the columns that are needed, in memory but not copied, and which to compare."""
    if columns is not None and not len(columns):
        raise ValueError("columns: got none; name one at least")
    frames = []
    for frame, label in ((reference, "reference"), (current, "current")):
        try:
            frames.append(nw.from_native(frame))
        except TypeError:
            raise ValueError(
                f"{label}: got {type(frame).__name__}; it must be a frame that Narwhals reads"
            ) from None
    have = [frame.collect_schema().names() for frame in frames]
    named = list(dict.fromkeys(columns or [name for name in have[0] if name != cluster]))
    if not named:
        raise ValueError("reference: got no column to compare")
    wanted = [*named, *([] if cluster is None else [cluster])]
    for names, label in zip(have, ("reference", "current"), strict=True):
        absent = [name for name in wanted if name not in names]
        if absent:
            raise ValueError(f"{label}: got columns {names}; it must have {', '.join(absent)}")
    selected = [frame.select(wanted) for frame in frames]
    before, after = (one.collect() if isinstance(one, nw.LazyFrame) else one for one in selected)
    return before, after, named


def _clusters(
    before: nw.DataFrame[Any], after: nw.DataFrame[Any], cluster: str | None
) -> tuple[np.ndarray, np.ndarray] | None:
    if cluster is None:
        return None
    pair = [
        read_columns(frame, label, [cluster])[cluster]
        for frame, label in ((before, "reference"), (after, "current"))
    ]
    code, names = pd.factorize(pd.concat(pair, ignore_index=True))
    if len(names) < 2:
        raise ValueError(f"{cluster}: got {len(names)} value; there must be two clusters at least")
    return code[: len(before)], code[len(before) :]


def _column(
    before: pd.Series,
    after: pd.Series,
    name: str,
    bins: int,
    binning: Binning,
    codes: tuple[np.ndarray, np.ndarray] | None,
    picks: list[np.ndarray],
) -> dict[str, Any]:
    """All that the table says of one column."""
    gone_before, gone_after = before.isna().to_numpy(), after.isna().to_numpy()
    shares = {"missing_reference": float(gone_before.mean()), "missing_current": float(gone_after.mean())}
    distances = {"ks": math.nan, "ks_p": math.nan, "wasserstein": math.nan}
    numeric = [
        pd.api.types.is_numeric_dtype(s) and not pd.api.types.is_bool_dtype(s) for s in (before, after)
    ]
    if numeric[0] != numeric[1]:
        raise ValueError(
            f"{name}: got {before.dtype} in reference and {after.dtype} in current; both must be alike"
        )
    if pd.api.types.is_datetime64_any_dtype(before):
        raise ValueError(f"{name}: got {before.dtype}; a time always moves, leave it out of `columns`")
    if not numeric[0]:
        return distances | _coded(_categories(before, after, name), codes) | shares
    old, new = (s.to_numpy(dtype=float, na_value=np.nan) for s in (before, after))
    for numbers in (old, new):
        if np.isinf(numbers).any():
            raise ValueError(
                f"{name}: got {numbers[np.isinf(numbers)][0]}; a number must be finite or missing"
            )
    distances |= _distances(old[picks[0]], new[picks[1]], independent=codes is None)
    ranked = np.sort(old[~gone_before])
    if not len(ranked) or np.count_nonzero(ranked[1:] != ranked[:-1]) + 1 <= bins:
        return distances | _coded(_categories(before, after, name), codes) | shares
    edges = _edges(ranked, bins, binning)
    if codes is None:
        counts = [_counts(old, edges, int(gone_before.sum())), _counts(new, edges, int(gone_after.sum()))]
        return distances | _told(counts[0], counts[1], None) | shares
    binned = _Binned(
        np.where(gone_before, len(edges) + 1, np.searchsorted(edges, old)),
        np.where(gone_after, len(edges) + 1, np.searchsorted(edges, new)),
        len(edges) + 2,
    )
    return distances | _coded(binned, codes) | shares


def _edges(ranked: np.ndarray, bins: int, binning: Binning) -> np.ndarray:
    """The inner edges; a bin holds its upper edge."""
    if binning == "widths":
        return np.linspace(ranked[0], ranked[-1], bins + 1)[1:-1]
    at = np.ceil(np.arange(1, bins) / bins * len(ranked)).astype(int) - 1
    edges = np.unique(ranked[at])
    # An edge at the largest value would leave an empty bin above it.
    return edges[edges < ranked[-1]]


def _counts(values: np.ndarray, edges: np.ndarray, missing: int) -> np.ndarray:
    """Rows a bin, the missing last: a pass over the column an edge, faster than coding every row."""
    below = [np.count_nonzero(values <= edge) for edge in edges]
    return np.r_[np.diff([0, *below, len(values) - missing]), missing].astype(float)


def _categories(before: pd.Series, after: pd.Series, name: str) -> _Binned:
    """A bin a value, one for values with fewer than five rows, one for the missing."""
    both = pd.concat([before.astype(object), after.astype(object)], ignore_index=True)
    code = value_codes(both, name)
    size = int(code.max()) + 1 if len(code) else 0
    often = np.bincount(code[code >= 0], minlength=size) >= 5
    # Common values in the order of their appearance, then the rare together, then the missing.
    place = np.where(often, np.cumsum(often) - 1, often.sum())
    binned = np.where(code >= 0, place[code] if size else 0, often.sum() + 1)
    return _Binned(binned[: len(before)], binned[len(before) :], int(often.sum()) + 2)


def _coded(binned: _Binned, codes: tuple[np.ndarray, np.ndarray] | None) -> dict[str, float]:
    before, after = (
        np.bincount(code, minlength=binned.count).astype(float) for code in (binned.before, binned.after)
    )
    return _told(before, after, None if codes is None else (binned, codes))


def _told(
    before: np.ndarray, after: np.ndarray, clustered: tuple[_Binned, tuple[np.ndarray, np.ndarray]] | None
) -> dict[str, float]:
    """PSI, its unit of noise, and its p-value, over the bins that anybody is in."""
    used = before + after > 0
    a, b = before[used], after[used]
    freedom, unit = float(used.sum() - 1), 1 / a.sum() + 1 / b.sum()
    if not freedom:
        return {"psi": 0.0, "unit": unit, "freedom": 0.0, "noise": 0.0, "p": 1.0}
    if clustered is not None:
        unit, freedom = _clustered_noise(clustered[0], clustered[1], used)
    index = psi(a, b)
    return {
        "psi": index,
        "unit": unit,
        "freedom": freedom,
        "noise": float(chdtri(freedom, 0.05) * unit),
        "p": float(chdtrc(freedom, index / unit)),
    }


def _clustered_noise(
    binned: _Binned, codes: tuple[np.ndarray, np.ndarray], used: np.ndarray
) -> tuple[float, float]:
    """The scale and degrees of freedom of PSI when nothing moved and rows come in clusters.

    PSI is about the sum of (share - other share)^2 / pooled share: a quadratic form in differences
    whose covariance comes from the clusters' sums, a cluster in both frames counting once. The
    scaled chi-square has its mean and variance (Rao and Scott's second-order correction).
    """
    groups = int(max(codes[0].max(), codes[1].max())) + 1
    sums = [
        np.bincount(group * binned.count + code, minlength=groups * binned.count).reshape(groups, -1)[:, used]
        for group, code in zip(codes, (binned.before, binned.after), strict=True)
    ]
    total = sums[0].sum(0) + sums[1].sum(0)
    share = total / total.sum()
    parts = [(s - share * s.sum(1, keepdims=True)) / s.sum() for s in sums]
    scaled = (parts[0] - parts[1]) / np.sqrt(share)
    covariance = scaled.T @ scaled * groups / (groups - 1)
    mean, square = float(np.trace(covariance)), float((covariance**2).sum())
    return square / mean, mean**2 / square


def _distances(before: np.ndarray, after: np.ndarray, *, independent: bool) -> dict[str, float]:
    a, b = before[~np.isnan(before)], after[~np.isnan(after)]
    if min(len(a), len(b)) < 2:
        return {}
    told = ks_2samp(a, b, method="asymp")
    spread = float(np.std(a))
    return {
        "ks": float(told.statistic),
        "ks_p": float(told.pvalue) if independent else math.nan,
        "wasserstein": float(wasserstein_distance(a, b) / spread) if spread > 0 else math.nan,
    }
