"""Is what was served what the offline code computes, and what does each difference cost?"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import narwhals as nw
import numpy as np
import pandas as pd

from toolkit.attribution import shapley
from toolkit.auc import auc
from toolkit.features.areas import auc_change
from toolkit.features.differences import differs, one_kind
from toolkit.features.mismatch_types import Mismatch, mismatch_type
from toolkit.features.rates import Rate, wilson
from toolkit.finding import Finding, figure
from toolkit.frames import read_columns
from toolkit.rules import level, number

__all__ = ["pair_bound", "parity"]

Score = Callable[[pd.DataFrame], Any]


def pair_bound(touched: Any, y: Any) -> float:
    """The most that an AUC can change when only these rows' scores do: the share of pairs with one of them.

    A pair is of a good row and a bad one. That is the only sense in which a mismatch rate bounds the harm.

    Parameters
    ----------
    touched : array of bool of shape (n,)
    y : array of shape (n,)
        Labels, 0 or 1; nan where all are the same.

    Examples
    --------
    >>> pair_bound([True, False, False, False], [1, 1, 0, 0])
    0.5
    """
    changed, good = np.asarray(touched, dtype=bool), np.asarray(y, dtype=float) == 1
    if good.all() or not good.any():
        return math.nan
    return float(1 - (1 - changed[good].mean()) * (1 - changed[~good].mean()))


def parity(
    serving: Any,
    recomputed: Any,
    *,
    keys: Sequence[str] = ("request_id", "item_id"),
    cols: Sequence[str] | None = None,
    rtol: float = 1e-9,
    score: Score | None = None,
    y: str | None = None,
    unit: str | None = "user_id",
    entity: str | None = None,
    ts: str | None = None,
    variants: Mapping[str, Mapping[str, Any]] | None = None,
    alpha: float = 0.05,
) -> Finding:
    """Compare the features that were served with the same features recomputed, column by column.

    Parameters
    ----------
    serving : frame
        What production logged at the request: `keys` and `cols`.
    recomputed : frame
        The same rows by the code that training uses; also with the columns `y`, `unit`, `entity` and
        `ts`, where they are named and `serving` hasn't them.
    keys : sequence of str
        Columns that together identify a row, once on each side.
    cols : sequence of str, optional
        Columns to compare; where not given, all named f_* on either side.
    rtol : float
        Two numbers differ where they are further apart than `rtol` times the larger's size. Rows
        within it count as equal.
    score : callable, optional
        The model in production, with its defaults: takes a frame of `cols`, gives a finite score a
        row. With it each column's effect on the score is told.
    y : str, optional
        Column of the label; with `score` the effect on the AUC is told.
    unit : str or None
        Column of the unit whose rows belong together; None where rows are independent.
    entity, ts : str, optional
        Columns of whose value it is, and when; with them late and early values are recognised.
    variants : mapping of column to mapping of name to values, optional
        What a column of `recomputed` would be by known habits, in the rows' order there
        (`engines.variants`). A mismatch that one of them reproduces is named after it.
    alpha : float
        One minus the level of the intervals.

    Returns
    -------
    Finding
        The share of rows in which any column differs, with Wilson's interval on as many rows as the
        clustered ones are worth. The table has a row a column: `mismatched` rows, `rate` with `low` and
        `high`, `type` and `detail` (see `mismatch_types.TYPES`), and, with a score, `score_change` (its mean
        absolute change when this column alone is served), `auc_change` with `auc_low` and `auc_high`,
        `auc_bound` (the most that so many rows could change), and `part`, the column's Shapley share in the
        change that all make together. Intervals are each at level 1 - `alpha`.

    Raises
    ------
    ValueError
        If a column is missing, a key is there twice or of different kinds, no row is on both sides, a column
        holds texts on one side and numbers on the other, or a score isn't one finite number a row.

    References
    ----------
    Breck et al. (2017), "The ML Test Score", IEEE Big Data.

    Examples
    --------
    >>> rows = {"request_id": [1, 2, 3, 4], "item_id": [7, 7, 8, 8], "user_id": [1, 2, 3, 4]}
    >>> right = pd.DataFrame({**rows, "f_spend": [1.0, 2.0, 4.0, 8.0], "f_orders": [1.0, 0.0, 2.0, 5.0]})
    >>> served = right.assign(f_spend=right["f_spend"] * 100)
    >>> parity(served, right).table[["column", "rate", "type", "detail"]].head(1).values.tolist()
    [['f_spend', 1.0, 'scale', 'times 100: as per cent, or cents']]
    """
    level(alpha)
    if number("rtol", rtol) < 0:
        raise ValueError(f"rtol: got {rtol!r}; it must not be negative")
    if y is not None and score is None:
        raise ValueError("score: got None with y; the AUC is of a score")
    if isinstance(keys, str) or not len(keys) or len(set(keys)) < len(keys):
        raise ValueError(f"keys: got {keys!r}; it must be a list of columns, each once")
    names = _columns(serving, recomputed, cols)
    for setting, column in {"y": y, "unit": unit, "entity": entity, "ts": ts}.items():
        if column in names:
            raise ValueError(f"{setting}: got {column!r}, which is among the columns compared")
    for key in keys:
        if key in names:
            raise ValueError(f"keys: got {key!r}, which is among the columns compared")
    pairs = _paired(
        serving,
        recomputed,
        list(keys),
        names,
        [c for c in (unit, y, entity, ts) if c is not None],
        times=[] if ts is None else [ts],
    )
    rows = pairs.rows
    clusters = None if unit is None else rows[unit]
    frames = {side: rows[[f"{side}:{name}" for name in names]].set_axis(names, axis=1) for side in ("s", "r")}
    records, unequal = [], {}
    for name in names:
        served, right = frames["s"][name], frames["r"][name]
        unequal[name] = differs(served, right, rtol=rtol)
        told = mismatch_type(
            served,
            right,
            rtol=rtol,
            entity=None if entity is None else rows[entity],
            ts=None if ts is None else rows[ts],
            variants=_variants(variants, name, pairs),
        )
        records.append(_record(name, unequal[name], told, wilson(unequal[name], clusters, alpha=alpha)))
    table = pd.DataFrame(records)
    effects = None
    if score is not None:
        labels = None if y is None else rows[y].to_numpy(float)
        effects = _Effects(frames, score, labels, unequal)
        extra = effects.table(clusters, alpha=alpha)
        table = table.merge(extra, on="column", how="left")
    order = (
        ["part", "score_change", "rate"]
        if "part" in table
        else ["score_change", "rate"]
        if score
        else ["rate"]
    )
    table = table.sort_values(order[-1:], ascending=False, kind="stable")
    if score is not None:
        table = table.iloc[np.argsort(-table[order[0]].abs().to_numpy(), kind="stable")]
    any_row = np.logical_or.reduce(list(unequal.values()))
    rate = wilson(any_row, clusters, alpha=alpha)
    return Finding(
        rate.rate,
        (rate.low, rate.high),
        _verdict(table, rate, len(rows), pairs, effects),
        unit="of rows differ",
        se=rate.se,
        n=len(rows),
        n_clusters=None if clusters is None else int(clusters.nunique()),
        alpha=alpha,
        table=table.reset_index(drop=True),
        assumptions=(
            "the recomputed value is the right one: the same moment, the same events, the intended definition",
            "units are independent" if unit is not None else "rows are independent",
        ),
        cannot_tell=(
            "which side is wrong",
            "what a row that only one side has would have shown",
            "an error that both sides share",
        ),
    )


class _Pairs:
    """The rows that both sides have, and how many one side has alone."""

    def __init__(self, rows: pd.DataFrame, only_served: int, only_recomputed: int) -> None:
        self.rows, self.only_served, self.only_recomputed = rows, only_served, only_recomputed

    @property
    def told(self) -> str:
        """The rows left out, in a sentence; empty where there are none."""
        if not self.only_served + self.only_recomputed:
            return ""
        return (
            f" Not compared: {self.only_served:,} rows that were served and not recomputed, "
            f"{self.only_recomputed:,} recomputed and not served."
        )


def _columns(serving: Any, recomputed: Any, cols: Sequence[str] | None) -> list[str]:
    if cols is not None:
        if isinstance(cols, str) or not len(cols) or len(set(cols)) < len(cols):
            raise ValueError(f"cols: got {cols!r}; it must be a list of columns, each once")
        return list(cols)
    found: dict[str, None] = {}
    for frame, name in ((serving, "serving"), (recomputed, "recomputed")):
        try:
            have = nw.from_native(frame).collect_schema().names()
        except TypeError:
            raise ValueError(
                f"{name}: got {type(frame).__name__}; it must be a frame that Narwhals reads"
            ) from None
        found |= dict.fromkeys(column for column in have if column.startswith("f_"))
    if not found:
        raise ValueError("cols: got none, and no column is named f_*; name the columns to compare")
    return list(found)


def _paired(
    serving: Any, recomputed: Any, keys: list[str], names: list[str], others: list[str], *, times: list[str]
) -> _Pairs:
    sides = {}
    for frame, name in ((serving, "serving"), (recomputed, "recomputed")):
        sides[name] = read_columns(
            frame,
            name,
            [*keys, *names],
            key=keys,
            missing=names,
            optional=[o for o in others if o not in keys],
            times=times,
        )
    served, right = sides["serving"], sides["recomputed"]
    for other in others:
        if other not in served and other not in right:
            hint = (
                "; name the column of the unit, or None where rows are independent"
                if other == "user_id"
                else ""
            )
            raise ValueError(f"{other}: got no such column in serving or recomputed{hint}")
    for key in keys:
        one_kind(served[key], right[key], sides=("serving", "recomputed"))
    right = right.assign(**{"place in recomputed": np.arange(len(right))})
    left = served.rename(columns={name: f"s:{name}" for name in names})
    # The label and the unit are taken from the recomputed side, where both have them.
    left = left.drop(columns=[o for o in others if o in left and o in right and o not in keys])
    rows = left.merge(right.rename(columns={name: f"r:{name}" for name in names}), on=keys)
    if rows.empty:
        raise ValueError(
            f"{', '.join(keys)}: got no row on both sides, of {len(served):,} served and {len(right):,} recomputed"
        )
    return _Pairs(rows, len(served) - len(rows), len(right) - len(rows))


def _variants(
    variants: Mapping[str, Mapping[str, Any]] | None, name: str, pairs: _Pairs
) -> dict[str, Any] | None:
    if variants is None or name not in variants:
        return None
    place = pairs.rows["place in recomputed"].to_numpy()
    total = len(place) + pairs.only_recomputed
    found = {}
    for habit, values in variants[name].items():
        if len(values) != total:
            raise ValueError(
                f"variants: got {len(values)} values of {name}, {habit}; recomputed has {total} rows"
            )
        found[habit] = pd.Series(values).reset_index(drop=True).iloc[place].reset_index(drop=True)
    return found


def _record(name: str, unequal: np.ndarray, told: Mismatch, rate: Rate) -> dict[str, Any]:
    return {
        "column": name,
        "mismatched": int(unequal.sum()),
        "rate": rate.rate,
        "low": rate.low,
        "high": rate.high,
        "type": told.type,
        "detail": told.detail,
    }


class _Effects:
    """What serving a column instead of recomputing it does to the score and the AUC."""

    def __init__(
        self,
        frames: Mapping[str, pd.DataFrame],
        score: Score,
        y: np.ndarray | None,
        unequal: Mapping[str, np.ndarray],
    ) -> None:
        self.frames, self.score, self.y, self.unequal = frames, score, y, unequal
        self.switches = [name for name, rows in unequal.items() if rows.any()]
        self.start = self.scores(frozenset())
        self.end = self.scores(frozenset(self.switches))
        if y is not None and (not np.isin(y, [0, 1]).all() or len(np.unique(y)) < 2):
            raise ValueError(
                "y: got labels of one kind, or others than 0 and 1; both must occur in the rows compared"
            )
        self.change: tuple[float, float, float] | None = None

    def scores(self, served: frozenset[str]) -> np.ndarray:
        """The score with these columns as served and the others as recomputed."""
        frame = self.frames["r"].assign(**{name: self.frames["s"][name] for name in served})
        found = np.asarray(self.score(frame), dtype=float)
        if found.shape != (len(frame),):
            raise ValueError(f"score: got shape {found.shape} for {len(frame)} rows; one number each")
        if not np.isfinite(found).all():
            as_served = f" with {', '.join(sorted(served))} as served" if served else " as recomputed"
            raise ValueError(
                f"score: got {int((~np.isfinite(found)).sum())} of {len(found)} not finite{as_served}; it must fill "
                "missing values as production does"
            )
        return found

    def table(self, clusters: Any, *, alpha: float) -> pd.DataFrame:
        """One row a column."""
        records: list[dict[str, Any]] = []
        alone = {name: self.scores(frozenset([name])) for name in self.switches}
        for name in self.unequal:
            moved = alone.get(name, self.start) - self.start
            records.append({"column": name, "score_change": float(np.abs(moved).mean())})
        if self.y is None:
            return pd.DataFrame(records)
        y = self.y
        parts = (
            shapley(lambda served: auc(y, self.scores(served)), self.switches, permutations=60, rng=0).parts
            if self.switches
            else {}
        )
        for record in records:
            name = record["column"]
            if name not in alone:
                record |= dict.fromkeys(["auc_change", "auc_low", "auc_high", "auc_bound", "part"], 0.0)
                continue
            change, low, high = self.changed(alone[name], clusters, alpha=alpha)
            record |= {
                "auc_change": change,
                "auc_low": low,
                "auc_high": high,
                "auc_bound": pair_bound(self.unequal[name], y),
                "part": parts[name],
            }
        self.change = self.changed(self.end, clusters, alpha=alpha)
        return pd.DataFrame(records)

    def changed(self, scores: np.ndarray, clusters: Any, *, alpha: float) -> tuple[float, float, float]:
        """How far these scores change the AUC, with the interval's ends; scores that move no row, by exactly 0."""
        found = auc_change(self.y, self.start, scores, clusters)
        return (found.auc, *found.ci(alpha=alpha)) if found.parts.any() else (0.0, 0.0, 0.0)


def _verdict(table: pd.DataFrame, rate: Rate, n: int, pairs: _Pairs, effects: _Effects | None) -> str:
    wrong = table[table["mismatched"] > 0]
    if wrong.empty:
        return (
            f"All {len(table)} columns are as recomputed in all {n:,} rows; a rate of up to {rate.high:.2g} can't be "
            f"ruled out.{pairs.told}"
        )
    often = wrong.loc[wrong["rate"].idxmax()]
    said = (
        f"{len(wrong)} of {len(table)} columns differ, in {rate.rate:.1%} of the rows; most often "
        f"{often['column']} ({often['rate']:.1%}, {often['type']})."
    )
    if effects is not None and effects.change is not None:
        change, low, high = effects.change
        worst = wrong.iloc[0]
        said += (
            f" Served as they were, they change the AUC by {change:+.4f} ({low:+.4f} to {high:+.4f}); the largest "
            f"part is {worst['column']}'s ({worst['type']}): {worst['part']:+.4f} from {figure(100 * worst['rate'])}% "
            "of the rows."
        )
    return said + pairs.told
