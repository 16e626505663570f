"""FooBar's team looks for a better ranker: many configurations, one small holdout."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd

from toolkit.rules import count
from toolkit.world.policies import fit_logistic

# Of each configuration; the rest is what configurations differ in.
ALWAYS = ("f_0", "f_1", "f_rate_28d", "f_rate_today")
SOMETIMES = ("f_2", "f_3", "f_4", "f_5")


@dataclass(frozen=True)
class Search:
    """A search's runs and how each did on every held-out row.

    Parameters
    ----------
    tracker : DataFrame
        One row a run, as `toolkit.tables` describes it; the metric is the share of right answers.
    rows : DataFrame
        One row a run and row of the holdout that chose: `run_id`, `row_id`, `value` (1 where right).
    locked : DataFrame
        The same of a second holdout, which chose nothing.
    """

    tracker: pd.DataFrame
    rows: pd.DataFrame
    locked: pd.DataFrame


def configurations(*, useful: bool = False) -> dict[str, tuple[str, ...]]:
    """Feature sets that differ in two of four features, in the order of trying; with `useful`, in all four.

    Examples
    --------
    >>> len(configurations()), list(configurations())[0]
    (6, 'f_2 f_3')
    >>> list(configurations(useful=True))
    ['none', 'f_2', 'f_2 f_3', 'f_2 f_3 f_4', 'f_2 f_3 f_4 f_5']
    """
    if useful:
        grown = [SOMETIMES[:size] for size in range(len(SOMETIMES) + 1)]
    else:
        grown = list(combinations(SOMETIMES, 2))
    return {" ".join(extra) or "none": (*ALWAYS, *extra) for extra in grown}


def search(
    training: pd.DataFrame,
    tried: dict[str, tuple[str, ...]],
    *,
    seeds: Sequence[int] = range(6),
    holdout: int = 400,
    rows: int = 1500,
) -> Search:
    """Fit every configuration with every seed and measure each on the same held-out rows.

    Parameters
    ----------
    training : DataFrame
        A `training_table`; its held-out rows are dealt anew: the first so many choose, the rest is locked away.
    tried : mapping of name to feature columns
    seeds : sequence of int
        Each trains on other rows, drawn with it.
    holdout, rows : int
        Rows that choose, and rows that a run trains on.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> table = pd.DataFrame(rng.normal(size=(900, 8)), columns=[*ALWAYS, *SOMETIMES]).assign(
    ...     row_id=range(900), y=rng.integers(0, 2, 900), split=["train"] * 400 + ["holdout"] * 500,
    ...     snapshot_ts=pd.Timestamp("2026-04-01", tz="UTC"))
    >>> found = search(table, configurations(), seeds=[0], rows=200)
    >>> len(found.tracker), len(found.rows) // 6, len(found.locked) // 6
    (6, 400, 100)
    """
    held_out = training["split"] == "holdout"
    count("holdout", holdout)
    if holdout >= held_out.sum():
        raise ValueError(f"holdout: got {holdout}; it must be fewer than the {held_out.sum()} held-out rows")
    train, held = training[~held_out], training[held_out]
    order = np.random.default_rng(0).permutation(len(held))
    parts = {"rows": held.iloc[order[:holdout]], "locked": held.iloc[order[holdout:]]}
    data = hashlib.sha256(pd.util.hash_pandas_object(parts["rows"], index=False).to_numpy().tobytes())
    runs, marks = [], {name: [] for name in parts}  # type: dict
    for name, columns in tried.items():
        config = hashlib.sha256("|".join(columns).encode()).hexdigest()[:12]
        for seed in seeds:
            run = f"{name}, seed {seed}"
            drawn = train.iloc[np.random.default_rng(seed).choice(len(train), count("rows", rows), replace=False)]
            weights = fit_logistic(drawn[list(columns)].to_numpy(), drawn["y"].to_numpy())
            for part, frame in parts.items():
                says = weights[0] + frame[list(columns)].to_numpy() @ weights[1:] > 0
                right = (says == frame["y"].to_numpy().astype(bool)).astype(int)
                marks[part].append(pd.DataFrame({"run_id": run, "row_id": frame["row_id"], "value": right}))
            runs.append(
                {
                    "run_id": run,
                    "parent_run": None,
                    "config_hash": config,
                    "data_hash": data.hexdigest()[:12],
                    "seed": seed,
                    "metric": float(marks["rows"][-1]["value"].mean()),
                    "n_holdout": holdout,
                    "ts": training["snapshot_ts"].iloc[0] + pd.Timedelta(hours=len(runs)),
                }
            )
    joined = {name: pd.concat(each, ignore_index=True) for name, each in marks.items()}
    return Search(pd.DataFrame(runs), joined["rows"], joined["locked"])
