"""Runs into a real MLflow store and out again; what isn't a run that could win; refusals."""

import importlib.util
import os
import sys

import pandas as pd
import pytest

from toolkit.shipping.mlflow_runs import log_runs, tracker_from_mlflow

TRACKER = pd.DataFrame(
    {
        "run_id": ["a", "b"],
        "config_hash": ["c1", "c2"],
        "data_hash": "d",
        "seed": [0, 1],
        "n_holdout": 400,
        "metric": [0.7, 0.725],
        "ts": pd.to_datetime(["2026-03-02 10:00", "2026-03-02 11:00"], utc=True),
    }
)


@pytest.mark.slow
def test_what_a_real_store_returns_is_what_was_logged(tmp_path, capfd):
    if importlib.util.find_spec("mlflow") is None:
        assert not os.environ.get("CI"), "CI must install the extra mlflow (see requirements.txt)"
        pytest.skip("needs MLflow (the extra mlflow)")
    uri = log_runs(TRACKER, tmp_path, experiment="ranker", metric="accuracy")
    import mlflow

    back = tracker_from_mlflow(mlflow.search_runs(), metric="accuracy")
    assert uri.startswith("sqlite:///")
    assert (tmp_path / "mlflow.db").stat().st_size > 0
    assert back["run_id"].tolist() == ["a", "b"]
    columns = ["config_hash", "data_hash", "seed", "n_holdout", "metric"]
    assert back[columns].to_dict("list") == TRACKER[columns].to_dict("list")
    assert back["ts"].tolist() == TRACKER["ts"].tolist()
    # Nothing for a page to show.
    assert capfd.readouterr() == ("", "")


def found(**changes):
    columns = {
        "run_id": ["x", "y"],
        "status": "FINISHED",
        "end_time": pd.to_datetime(["2026-03-02 11:00", "2026-03-02 10:00"], utc=True),
        "metrics.accuracy": [0.7, 0.72],
        "params.config_hash": "c",
        "params.data_hash": "d",
        "params.seed": ["0", "1"],
        "params.n_holdout": "400",
        "tags.mlflow.runName": ["a", "b"],
    }
    return pd.DataFrame({**columns, **changes})


def test_runs_come_in_the_order_of_time():
    assert tracker_from_mlflow(found(), metric="accuracy")["run_id"].tolist() == ["b", "a"]
    assert tracker_from_mlflow(found(), metric="accuracy", name="run_id")["run_id"].tolist() == ["y", "x"]


def test_a_parent_comes_along_where_runs_have_one():
    told = tracker_from_mlflow(found(**{"tags.mlflow.parentRunId": ["y", None]}), metric="accuracy")
    assert told["parent_run"].tolist()[1] == "y"


def test_runs_that_failed_or_were_not_measured_are_none():
    assert len(tracker_from_mlflow(found(status=["FAILED", "FINISHED"]), metric="accuracy")) == 1
    assert len(tracker_from_mlflow(found(**{"metrics.accuracy": [None, 0.7]}), metric="accuracy")) == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"status": "FAILED"}, "runs: got none that is finished and has 'accuracy'"),
        ({"params.seed": ["0", None]}, "params.seed: got 1 missing of 2; log it with every run"),
        ({"params.seed": ["0", "x"]}, "params.seed: got 'x'; it must be a whole number"),
        ({"params.n_holdout": "0.5"}, "params.n_holdout: got '0.5'; it must be a whole number"),
    ],
)
def test_runs_that_cannot_be_read_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        tracker_from_mlflow(found(**changes), metric="accuracy")


def test_a_missing_metric_is_refused():
    with pytest.raises(ValueError, match=r"it must have metrics\.auc"):
        tracker_from_mlflow(found(), metric="auc")


def test_bad_logs_are_refused_before_mlflow_is_asked(tmp_path):
    with pytest.raises(ValueError, match="it must be a folder that is there"):
        log_runs(TRACKER, tmp_path / "none", experiment="ranker", metric="accuracy")
    with pytest.raises(ValueError, match="run_id: got 2 repeated of 4"):
        log_runs(pd.concat([TRACKER, TRACKER]), tmp_path, experiment="ranker", metric="accuracy")


def test_a_missing_mlflow_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(
        ImportError, match=r"log_runs needs MLflow .*pip install 'improving-ml-toolkit\[mlflow\]'"
    ):
        log_runs(TRACKER, tmp_path, experiment="ranker", metric="accuracy")
