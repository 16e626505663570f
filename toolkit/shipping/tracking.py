"""How much of the best run's metric is luck of having been chosen?

The chapter's diagnostics on a table of runs: how lucky its winner is (here), whether its claim holds on
fresh rows (`claims`), the table out of MLflow's (`mlflow_runs`).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from toolkit.finding import Finding
from toolkit.frames import read_columns
from toolkit.rules import count, level
from toolkit.shipping.claims import claimed_vs_fresh
from toolkit.shipping.mlflow_runs import log_runs, tracker_from_mlflow
from toolkit.shipping.reselection import Reselected, from_errors, from_rows

__all__ = ["claimed_vs_fresh", "log_runs", "tracker_audit", "tracker_from_mlflow"]


def tracker_audit(
    tracker: Any,
    rows: Any = None,
    *,
    data_hash: Any = None,
    se: str | None = None,
    cluster: str | None = None,
    alpha: float = 0.05,
    replicates: int = 500,
    rng: Any = 0,
) -> Finding:
    """How many runs were compared on the same data, and how much too good their best one reads for that.

    Parameters
    ----------
    tracker : any frame that Narwhals reads
        One row a run: `run_id`, `config_hash`, `data_hash`, `metric` (larger is better), `n_holdout`, and
        `seed` and the column that `se` names where they are. `toolkit.tables` describes it;
        `tracker_from_mlflow` makes it of MLflow's runs.
    rows : any frame that Narwhals reads, optional
        One row a run and held-out row, of all runs on the audited data: `run_id`, `row_id`, `value`, whose
        mean over a run is its metric. With them it is known how much luck the runs share; without,
        the answer is an upper bound.
    data_hash : optional
        The data whose runs are audited; those with the most runs where not given.
    se : str, optional
        Column of each metric's standard error. Where not given, the metric is the share of right answers,
        whose error follows from `n_holdout`.
    cluster : str, optional
        Column of `rows`: what is independent, a user say; rows are where not given.
    alpha : float
        One minus the level of the interval.
    replicates : int
    rng : int or Generator

    Returns
    -------
    Finding
        Estimate: by how much the best run's metric exceeds what it is worth, on average over repeated
        choices; among equal runs it falls short by up to a tenth, as some luck is taken for worth. Its
        interval is for the luck of this one winner, whatever the runs are worth, so that it
        holds in more cases than its level says: the metric less its ends is where the truth lies. The p-value,
        for which it takes `rows`, is of "all runs are worth the same". The table has a row a
        `data_hash`: runs, configurations, seeds, the best run and its metric, the same corrected.

    Raises
    ------
    ValueError
        If columns or values are missing, a run is there twice, the data aren't there, a metric isn't
        a share although `se` isn't given, a standard error is negative, or `rows` lack a run, don't have the
        same rows for each, have another mean than the metric, another number than `n_holdout`, or a row
        in several clusters.

    References
    ----------
    Dwork et al. (2015), "The reusable holdout: Preserving validity in adaptive data analysis", Science.

    Examples
    --------
    >>> runs = pd.DataFrame({"run_id": range(3), "config_hash": ["a", "b", "c"], "data_hash": "d",
    ...     "metric": [0.70, 0.72, 0.71], "n_holdout": 1000})
    >>> finding = tracker_audit(runs)
    >>> int(finding.table["runs"].iloc[0]), bool(0 < finding.estimate < 0.015)
    (3, True)
    """
    level(alpha)
    count("replicates", replicates, least=100)
    runs = read_columns(
        tracker,
        "tracker",
        ["run_id", "config_hash", "data_hash", "metric", "n_holdout", *([] if se is None else [se])],
        key=["run_id"],
        numbers=["metric", "n_holdout", *([] if se is None else [se])],
        optional=["seed"],
    )
    runs["error"] = _errors(runs, se)
    forks = runs["data_hash"].value_counts(sort=False)
    if data_hash is None:
        data_hash = forks.idxmax()
    elif data_hash not in forks.index:
        known = ", ".join(map(str, forks.index))
        raise ValueError(f"data_hash: got {data_hash!r}; it must be one of {known}")
    table = []
    for name, part in runs.groupby("data_hash", sort=False):
        audited = name == data_hash
        if audited and rows is not None:
            values, units = _matrix(rows, part, cluster)
            if (part["n_holdout"] != len(values)).any():
                raise ValueError(
                    f"n_holdout: got {part['n_holdout'][part['n_holdout'] != len(values)].iloc[0]:,} beside "
                    f"{len(values):,} held-out rows in rows; they must agree"
                )
            again = from_rows(values, units, replicates=replicates, rng=rng)
        else:
            again = from_errors(
                part["metric"].to_numpy(dtype=float),
                part["error"].to_numpy(dtype=float),
                replicates=replicates,
                rng=rng,
            )
        table.append(_row(name, part, again))
        if audited:
            chosen, luck = table[-1], again
    low, high = luck.ends(alpha)
    best, optimism = float(chosen["best_metric"]), float(chosen["optimism"])
    within = f"{best - high:.3f} to {best - low:.3f}"
    if chosen["runs"] == 1:
        verdict = f"One run is there, which reads {best:.3f} and is worth {within}; nothing was chosen."
    else:
        bound = "" if rows is not None else "at most "
        equal = ""
        if luck.p is not None:
            equal = f"; {'the runs may all be' if luck.p >= alpha else 'the runs are not all'} worth the same"
        verdict = (
            f"The best of {chosen['runs']:,} runs on the same held-out rows reads {best:.3f}. Such a winner reads "
            f"{bound}{optimism:.3f} too good on average: take it for {best - optimism:.3f}. This one is worth "
            f"{within}{equal}."
        )
    return Finding(
        optimism,
        (low, high),
        verdict,
        unit="of the metric",
        se=float(luck.optimism.std(ddof=1)),
        p=luck.p,
        n=int(runs.loc[runs["data_hash"] == data_hash, "n_holdout"].max()),
        n_clusters=None if rows is None or cluster is None else len(pd.unique(units)),
        alpha=alpha,
        table=pd.DataFrame(table),
        assumptions=(
            "every run that was looked at is in the tracker",
            "the best run was taken for its metric",
            *(() if rows is not None else ("runs share no luck beyond what their closeness shows",)),
            *(() if se is not None or cluster is not None else ("no user has several of the held-out rows",)),
        ),
        cannot_tell=(
            "what later runs learnt from earlier ones' metrics on these rows: that adds to it",
            "runs that were never logged",
        ),
    )


def _row(name: Any, part: pd.DataFrame, again: Reselected) -> dict[str, Any]:
    best = part.loc[part["metric"].idxmax()]
    optimism = float(again.optimism.mean()) if len(part) > 1 else 0.0
    return {
        "data_hash": name,
        "runs": len(part),
        "configurations": int(part["config_hash"].nunique()),
        "seeds": int(part["seed"].nunique()) if "seed" in part else 1,
        "best_run": best["run_id"],
        "best_metric": float(best["metric"]),
        "optimism": optimism,
        "corrected": float(best["metric"]) - optimism,
        "real_spread": again.real,
    }


def _errors(runs: pd.DataFrame, se: str | None) -> np.ndarray:
    small = runs["n_holdout"] < 1
    if small.any():
        raise ValueError(f"n_holdout: got {runs['n_holdout'][small].iloc[0]}; it must be 1 at least")
    if se is not None:
        if (runs[se] < 0).any():
            raise ValueError(f"{se}: got {runs[se].min()}; a standard error isn't negative")
        given: np.ndarray = runs[se].to_numpy(dtype=float)
        return given
    metric, size = (runs[name].to_numpy(dtype=float) for name in ("metric", "n_holdout"))
    if ((metric < 0) | (metric > 1)).any():
        raise ValueError(
            f"metric: got {metric[(metric < 0) | (metric > 1)][0]}; without `se` it must be a share, in [0, 1]"
        )
    # One row right and one wrong more: a run that was right on all rows had luck too.
    near = (size * metric + 1) / (size + 2)
    errors: np.ndarray = np.sqrt(near * (1 - near) / size)
    return errors


def _matrix(rows: Any, runs: pd.DataFrame, cluster: str | None) -> tuple[np.ndarray, np.ndarray]:
    """Values by row and run, in the tracker's order of runs, and each row's cluster."""
    columns = ["run_id", "row_id", "value", *([] if cluster is None else [cluster])]
    long = read_columns(rows, "rows", columns, key=["run_id", "row_id"], numbers=["value"])
    wide = long.pivot_table(index="row_id", columns="run_id", values="value", sort=False)
    absent = [run for run in runs["run_id"] if run not in wide.columns]
    if absent:
        raise ValueError(f"rows: got none of {len(absent)} runs, as of {absent[0]!r}; each run needs its own")
    wide = wide[runs["run_id"].tolist()].dropna(how="all")
    holes = int(wide.isna().to_numpy().sum())
    if holes:
        raise ValueError(f"rows: got {holes:,} missing; each run must have the same held-out rows")
    means = wide.mean().to_numpy()
    off = ~np.isclose(means, runs["metric"], rtol=1e-6, atol=1e-6)
    if off.any():
        run = runs["run_id"].to_numpy()[off][0]
        raise ValueError(
            f"metric: got {runs['metric'].to_numpy()[off][0]:.6g} for run {run!r}, whose rows' mean is "
            f"{means[off][0]:.6g}; they must agree"
        )
    units = wide.index.to_numpy()
    if cluster is not None:
        of_row = long.drop_duplicates(["row_id", cluster]).set_index("row_id")[cluster]
        if of_row.index.has_duplicates:
            row = of_row.index[of_row.index.duplicated()][0]
            raise ValueError(f"{cluster}: got several for row {row}; a held-out row is of one")
        units = of_row.reindex(wide.index).to_numpy()
    return wide.to_numpy(dtype=float), units
