"""A model's predictions are scored as the metric's definition says, on rows in order of time."""

import numpy as np
import pandas as pd
import pytest
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression, RidgeClassifier
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
    parts = told.parts(3, np.random.default_rng(1), np.arange(10, 50))
    assert sorted(np.concatenate(parts)) == list(range(10, 50))
    assert all(len(part) for part in parts)
    users = [set(told.groups[part]) for part in parts]
    assert not users[0] & users[1] | users[0] & users[2] | users[1] & users[2]
    one = told.parts(2, np.random.default_rng(1), np.flatnonzero(told.groups == 0))
    assert sorted(len(part) for part in one) == [0, (told.groups == 0).sum()]
    rest = told.without(np.array([0, 1]))
    assert not set(told.groups[rest]) & set(told.groups[:2])


def test_a_column_of_predictions_is_scored_as_a_row_of_them(frame):
    told = read_rows(frame, LinearRegression(), features=["x"])
    predicted = np.linspace(0.1, 0.9, 50)
    assert told.value(np.arange(50), predicted[:, None]) == told.value(np.arange(50), predicted)


@pytest.mark.parametrize("metric", METRICS)
def test_predictions_that_are_no_numbers_or_not_one_each_are_refused(frame, metric):
    told = read_rows(frame, LinearRegression(), features=["x"], metric=metric)
    with pytest.raises(ValueError, match="model: got 2 predictions of 3 that aren't finite numbers"):
        told.value(np.arange(3), [np.nan, 0.5, np.inf])
    with pytest.raises(ValueError, match=r"model: got predictions of shape \(2,\) for 3 rows; one each"):
        told.value(np.arange(3), [0.5, 0.5])


def test_a_classifier_without_chances_is_ranked_by_its_decisions_and_scored_by_nothing_else(frame):
    told = read_rows(frame, RidgeClassifier(), features=["x"], metric="AUC")
    decided = told.fitted(np.arange(25))(np.arange(25, 50))
    assert len(set(decided)) > 2
    expected = RidgeClassifier().fit(told.features[:25], told.y[:25]).decision_function(told.features[25:])
    np.testing.assert_allclose(decided, expected)
    for metric in ("log loss", "squared error"):
        told = read_rows(frame, RidgeClassifier(), features=["x"], metric=metric)
        with pytest.raises(ValueError, match=f"model: got RidgeClassifier without `predict_proba`; {metric}"):
            told.fitted(np.arange(25))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"features": ["y"]}, "features: got 'y'; the label and its time aren't known when a row comes"),
        ({"features": ["x", "late"], "label_ts": "late"}, "features: got 'late'; the label and its time"),
        ({"features": ["x"], "ts": "word"}, "word: got .* in rows; it must be times or numbers"),
        ({"features": ["x"], "label_ts": "word"}, "word: got .* in rows; it must be times or numbers"),
    ],
)
def test_what_it_cannot_read_is_refused(frame, settings, message):
    frame = frame.assign(late=frame["ts"] + 1, word="2026-03-02")
    with pytest.raises(ValueError, match=message):
        read_rows(frame, LinearRegression(), **settings)


def test_labels_of_one_kind_are_refused_before_a_model_sees_them():
    rows = pd.DataFrame({"ts": range(20), "x": range(20), "y": 0})
    with pytest.raises(ValueError, match="y: got 0 in every row; AUC needs both labels"):
        read_rows(rows, LogisticRegression(), features=["x"], metric="AUC")
