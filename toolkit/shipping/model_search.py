"""FooBar's team looks for a better ranker: many configurations, one small holdout."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd

from toolkit.frames import IMPRESSION
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
        One row a run, as `toolkit.tables` describes it. A held-out row is a pair of requests, one good match
        and one that wasn't; the metric is the share of pairs in which the run scores the good match higher.
    rows : DataFrame
        One row a run and pair of the holdout that chose: `run_id`, `row_id`, `value` (1 where right).
    locked : DataFrame
        The same of a second holdout, which chose nothing.
    """

    tracker: pd.DataFrame
    rows: pd.DataFrame
    locked: pd.DataFrame


def configurations(*, useful: bool = False) -> dict[str, tuple[str, ...]]:
    """Feature sets in the order of trying: alike but for two of four features, or, if `useful`, ever larger.

    Examples
    --------
    >>> len(configurations()), next(iter(configurations()))
    (6, 'f_2 f_3')
    >>> list(configurations(useful=True))
    ['1 feature', '2 features', '3 features', '4 features']
    """
    if useful:
        sizes = range(1, len(ALWAYS) + 1)
        return {f"{size} feature{'s' if size > 1 else ''}": ALWAYS[:size] for size in sizes}
    return {" ".join(extra): (*ALWAYS, *extra) for extra in combinations(SOMETIMES, 2)}


def search(
    training: pd.DataFrame,
    tried: dict[str, tuple[str, ...]],
    *,
    seeds: Sequence[int] = range(5),
    holdout: int = 400,
    rows: int = 200,
) -> Search:
    """Fit every configuration with every seed and measure each on the same held-out rows.

    Parameters
    ----------
    training : DataFrame
        A `training_table`; of its held-out pairs the first so many choose, the rest is locked away.
    tried : mapping of name to feature columns
    seeds : sequence of int
        Each trains on other rows, drawn with it.
    holdout, rows : int
        Pairs that choose, and rows that a run trains on.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> table = pd.DataFrame(rng.normal(size=(900, 8)), columns=[*ALWAYS, *SOMETIMES]).assign(
    ...     row_id=range(900), y=rng.integers(0, 2, 900), split=["train"] * 400 + ["holdout"] * 500,
    ...     snapshot_ts=pd.Timestamp("2026-04-01", tz="UTC"))
    >>> found = search(table, configurations(), seeds=[0], holdout=100)
    >>> len(found.tracker), len(found.rows) // 6
    (6, 100)
    """
    held_out = training["split"] == "holdout"
    train, held = training[~held_out], training[held_out]
    # Each request in one pair at most: users who come again cost these pairs 1% of their worth, which isn't counted.
    draw = np.random.default_rng(0)
    good, bad = (draw.permutation(np.flatnonzero(held["y"].to_numpy() == label)) for label in (1, 0))
    pairs = np.column_stack([side[: min(len(good), len(bad))] for side in (good, bad)])
    if count("holdout", holdout) >= len(pairs):
        raise ValueError(f"holdout: got {holdout}; it must be fewer than the {len(pairs)} held-out pairs")
    parts = {"rows": np.arange(holdout), "locked": np.arange(holdout, len(pairs))}
    data = hashlib.sha256(held["row_id"].to_numpy()[pairs[:holdout]].tobytes())
    runs: list[dict[str, object]] = []
    marks: dict[str, list[pd.DataFrame]] = {name: [] for name in parts}
    for name, columns in tried.items():
        config = hashlib.sha256("|".join(columns).encode()).hexdigest()[:12]
        for seed in seeds:
            run = f"{name}, seed {seed}"
            drawn = train.iloc[
                np.random.default_rng(seed).choice(len(train), count("rows", rows), replace=False)
            ]
            weights = fit_logistic(drawn[list(columns)].to_numpy(), drawn["y"].to_numpy())
            score = held[list(columns)].to_numpy() @ weights[1:]
            right = (score[pairs[:, 0]] > score[pairs[:, 1]]).astype(int)
            for part, which in parts.items():
                marks[part].append(pd.DataFrame({"run_id": run, "row_id": which, "value": right[which]}))
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


def preferences(
    training: pd.DataFrame, serving_log: pd.DataFrame, *, reference: Sequence[str], current: Sequence[str]
) -> pd.DataFrame:
    """Which of a user's two held-out requests two rankers put first, for each pair of a good and a bad match.

    Parameters
    ----------
    training : DataFrame
        A `training_table`.
    serving_log : DataFrame
        Of it: who made each request.
    reference, current : sequence of feature columns
        What the old and the new ranker are fitted on, with all of its training rows.

    Returns
    -------
    DataFrame
        One row a pair, as `toolkit.shipping.compatibility.flips` reads it: `reference` and `current`, the
        request that each puts first, `y`, the good match, and `user_id`.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> table = pd.DataFrame({"request_id": range(60), "item_id": 7, "f_0": rng.normal(size=60),
    ...     "y": [0, 1] * 30, "split": ["train"] * 56 + ["holdout"] * 4})
    >>> log = pd.DataFrame({"request_id": range(60), "item_id": 7, "user_id": [0] * 58 + [1] * 2})
    >>> preferences(table, log, reference=["f_0"], current=["f_0"])[["y", "user_id"]].to_numpy().tolist()
    [[57, 0], [59, 1]]
    """
    train = training[training["split"] == "train"]
    held = training[training["split"] == "holdout"].merge(
        serving_log[[*IMPRESSION, "user_id"]], on=IMPRESSION
    )
    for name, columns in (("reference", reference), ("current", current)):
        weights = fit_logistic(train[list(columns)].to_numpy(), train["y"].to_numpy())
        held[name] = held[list(columns)].to_numpy() @ weights[1:]
    side = held[["user_id", "request_id", "reference", "current", "y"]]
    pairs = side[side["y"] == 1].merge(side[side["y"] == 0], on="user_id", suffixes=("", "_bad"))
    first = {
        name: np.where(pairs[name] > pairs[f"{name}_bad"], pairs["request_id"], pairs["request_id_bad"])
        for name in ("reference", "current")
    }
    return pd.DataFrame({**first, "y": pairs["request_id"], "user_id": pairs["user_id"]})
