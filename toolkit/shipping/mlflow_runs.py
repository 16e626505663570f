"""How do runs get into an MLflow store, and out of it as the `tracker` table?

The toolkit reads frames; MLflow is imported when runs are logged, and is optional.
"""

from __future__ import annotations

import logging
import os
import warnings
from pathlib import Path
from typing import Any

import pandas as pd

from toolkit.frames import read_columns

# A tracker's columns that aren't the metric's: what MLflow calls parameters.
_PARAMETERS = ("config_hash", "data_hash", "seed", "n_holdout")


def log_runs(tracker: Any, store: Path, *, experiment: str, metric: str) -> str:
    """Log a table of runs to a new MLflow store in SQLite, and make it the one that MLflow reads.

    Needs `mlflow-skinny`, `alembic` and `sqlalchemy` (`pip install improving-ml-toolkit[mlflow]`). MLflow's
    telemetry is switched off and its notes on migrations are kept from the page.

    Parameters
    ----------
    tracker : any frame that Narwhals reads
        The columns of `tracker` in `toolkit.tables`; `parent_run` is left out.
    store : Path
        A folder; the database `mlflow.db` and the artifacts' folder are made in it.
    experiment, metric : str
        What MLflow calls the experiment and the metric.

    Returns
    -------
    str
        The tracking URI.

    Raises
    ------
    ValueError
        If columns or values are missing, a run is there twice, or the folder isn't there.
    ImportError
        If MLflow isn't installed.

    Examples
    --------
    >>> log_runs(pd.DataFrame({"run_id": ["a"]}), Path("."), experiment="ranker", metric="accuracy")
    Traceback (most recent call last):
    ValueError: tracker: got columns ['run_id']; it must have config_hash, data_hash, seed, n_holdout, metric, ts
    """
    runs = read_columns(
        tracker,
        "tracker",
        ["run_id", *_PARAMETERS, "metric", "ts"],
        key=["run_id"],
        numbers=["metric", "n_holdout"],
        times=["ts"],
    )
    if not Path(store).is_dir():
        raise ValueError(f"store: got {str(store)!r}; it must be a folder that is there")
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.ERROR)
    with warnings.catch_warnings():
        # SQLAlchemy's, of what MLflow does.
        warnings.simplefilter("ignore")
        try:
            import mlflow
            from mlflow.entities import Metric, Param
        except ImportError as missing:
            raise ImportError(
                f"log_runs needs MLflow ({missing}): pip install 'improving-ml-toolkit[mlflow]'"
            ) from missing

        # Set to INFO by the import.
        logging.getLogger("mlflow").setLevel(logging.ERROR)
        uri = f"sqlite:///{(Path(store) / 'mlflow.db').as_posix()}"
        mlflow.set_tracking_uri(uri)
        client = mlflow.MlflowClient()
        made = client.create_experiment(experiment, artifact_location=(Path(store) / "artifacts").as_uri())
        mlflow.set_experiment(experiment_id=made)
        for run in runs.to_dict("records"):
            at = int(run["ts"].timestamp() * 1000)
            begun = client.create_run(made, start_time=at, run_name=str(run["run_id"]))
            client.log_batch(
                begun.info.run_id,
                metrics=[Metric(metric, run["metric"], at, 0)],
                params=[Param(name, str(run[name])) for name in _PARAMETERS],
            )
            client.set_terminated(begun.info.run_id, end_time=at)
    return uri


def tracker_from_mlflow(runs: Any, *, metric: str, name: str = "tags.mlflow.runName") -> pd.DataFrame:
    """The `tracker` table of what `mlflow.search_runs()` returns.

    Parameters
    ----------
    runs : any frame that Narwhals reads
        `mlflow.search_runs()`. Each run has the parameters `config_hash`, `data_hash`, `seed` and `n_holdout`.
        Runs that aren't finished, or have no such metric, are no runs that could win; they are left out.
    metric : str
        MLflow's name of the metric.
    name : str
        The column that identifies a run; `run_id` for MLflow's own.

    Returns
    -------
    DataFrame
        By time: `run_id`, `parent_run`, `config_hash`, `data_hash`, `seed`, `metric`, `n_holdout`, `ts`.

    Raises
    ------
    ValueError
        If a column is missing, no run is left, a run lacks a parameter, or a seed or `n_holdout`
        isn't a whole number.

    Examples
    --------
    >>> found = pd.DataFrame({"run_id": ["a"], "status": "FINISHED", "end_time": pd.Timestamp("2026-03-02", tz="UTC"),
    ...     "metrics.accuracy": 0.7, "params.config_hash": "c", "params.data_hash": "d", "params.seed": "0",
    ...     "params.n_holdout": "400"})
    >>> tracker_from_mlflow(found, metric="accuracy", name="run_id")["n_holdout"].tolist()
    [400]
    """
    measured = f"metrics.{metric}"
    parameters = [f"params.{each}" for each in _PARAMETERS]
    parent = "tags.mlflow.parentRunId"
    found = read_columns(
        runs,
        "runs",
        [name, "status", "end_time", measured, *parameters],
        missing=[name, "end_time", measured, *parameters, parent],
        optional=[parent],
    )
    found = found[(found["status"] == "FINISHED") & found[measured].notna()].sort_values(
        ["end_time", name], kind="stable", ignore_index=True
    )
    if found.empty:
        raise ValueError(f"runs: got none that is finished and has {metric!r}; there must be one at least")
    for column in parameters:
        if found[column].isna().any():
            lost = int(found[column].isna().sum())
            raise ValueError(f"{column}: got {lost} missing of {len(found)}; log it with every run")
    whole = {}
    for column in ("params.seed", "params.n_holdout"):
        values = pd.to_numeric(found[column], errors="coerce")
        bad = values.isna() | (values % 1 != 0)
        if bad.any():
            raise ValueError(f"{column}: got {found[column][bad].iloc[0]!r}; it must be a whole number")
        whole[column] = values.astype("int64")
    return pd.DataFrame(
        {
            "run_id": found[name],
            "parent_run": found.get(parent),
            "config_hash": found["params.config_hash"],
            "data_hash": found["params.data_hash"],
            "seed": whole["params.seed"],
            "metric": found[measured].astype(float),
            "n_holdout": whole["params.n_holdout"],
            "ts": found["end_time"],
        }
    )
