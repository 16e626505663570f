"""A model's predictions are scored as the metric's definition says, on rows in order of time."""

import numpy as np
import pandas as pd
import pytest
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LinearRegression
from sklearn.metrics import log_loss, mean_absolute_error, mean_squared_error, roc_auc_score

from toolkit.shipping.fold_metrics import METRICS, read_rows


@pytest.fixture
def frame():
    draw = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "ts": draw.permutation(50),
            "x": draw.normal(size=50),
            "y": draw.integers(0, 2, 50),
            "u": np.arange(50) % 7,
        }
    )


@pytest.mark.parametrize("metric", METRICS)
def test_metrics_are_scikit_learns(frame, metric):
    told = read_rows(frame, LinearRegression(), features=["x"], metric=metric)
    predicted = np.linspace(0.1, 0.9, 50)
    peer = {
        "squared error": mean_squared_error,
        "absolute error": mean_absolute_error,
        "log loss": log_loss,
        "AUC": roc_auc_score,
    }[metric]
    assert told.value(np.arange(50), predicted) == pytest.approx(peer(told.y, predicted))


def test_rows_come_in_order_of_time_and_times_among_the_features_in_days(frame):
    frame["ts"] = pd.Timestamp("2026-03-02", tz="UTC") + pd.to_timedelta(frame["ts"], unit="h")
    told = read_rows(frame, LinearRegression(), features=["ts", "x"])
    assert told.come.is_monotonic_increasing
    np.testing.assert_allclose(told.features[:, 0] * 24, np.arange(50))


def test_a_classifier_that_met_one_label_only_is_sure_of_it(frame):
    told = read_rows(frame, DummyClassifier(), features=["x"])
    for label in (0, 1):
        of_one = np.flatnonzero(told.y == label)
        assert set(told.fitted(of_one)(np.arange(50))) == {float(label)}


def test_groups_stay_whole_in_parts_and_out_of_what_is_drawn(frame):
    told = read_rows(frame, LinearRegression(), features=["x"], groups="u")
    parts = told.parts(3, np.random.default_rng(1))
    assert all(len(set(parts[told.groups == user])) == 1 for user in range(7))
    assert set(parts) == {0, 1, 2}
    rest = told.without(np.array([0, 1]))
    assert not set(told.groups[rest]) & set(told.groups[:2])
