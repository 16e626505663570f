"""Learners over rows: no label is seen too early, and the frontier is there in scikit-learn too."""

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

from toolkit.tradeoffs.learners import exponential
from toolkit.tradeoffs.local_level import gain_of
from toolkit.tradeoffs.market import market, moving_tastes
from toolkit.tradeoffs.memories import adaptive, frontier, recalibrated, updated, weighted, windowed

LEARNERS = {
    "windowed": windowed(4),
    "weighted": weighted(2.0),
    "updated": updated(0.05),
    "recalibrated": recalibrated(3.0),
    "adaptive": adaptive(rate=0.02, size=0.1),
}


@pytest.mark.parametrize("name", LEARNERS)
def test_a_prediction_knows_labels_of_earlier_days_only(name):
    rows, _ = moving_tastes(12, rows=20, rng=0)
    rows["score"] = 0.4
    changed = rows.copy()
    changed.loc[120:, "y"] = 1 - changed.loc[120:, "y"]
    told, other = LEARNERS[name](rows), LEARNERS[name](changed)
    assert (told[:140] == other[:140]).all()
    assert (told[140:] != other[140:]).any()


def test_a_window_is_a_fit_on_its_rows():
    rows, _ = moving_tastes(9, rows=30, rng=1)
    told = windowed(3)(rows)[-30:]
    features, y = rows[["f_0", "f_1"]].to_numpy(), rows["y"].to_numpy()
    model = LogisticRegression(tol=1e-8).fit(features[-120:-30], y[-120:-30])
    assert told == pytest.approx(model.predict_proba(features[-30:])[:, 1], abs=1e-3)
    # Weights halve with each half-life.
    halved = weighted(2.0)(rows)[-30:]
    age = np.repeat(np.arange(8, 0, -1), 30)
    model = LogisticRegression(tol=1e-8).fit(features[:-30], y[:-30], sample_weight=0.5 ** ((age - 1) / 2))
    assert halved == pytest.approx(model.predict_proba(features[-30:])[:, 1], abs=1e-3)
    # Weights that never fall are a window of all.
    forever = weighted(1e9)(rows)[-30:]
    model = LogisticRegression(tol=1e-8).fit(features[:-30], y[:-30])
    assert forever == pytest.approx(model.predict_proba(features[-30:])[:, 1], abs=1e-3)


def test_a_recalibrated_score_is_the_score_plus_an_average_of_misses():
    log = market(30, rows=10, rng=2)
    daily = (log["y"] - log["score"]).groupby(np.arange(300) // 10).mean().to_numpy()
    expected = log["score"] + np.repeat(exponential(daily, gain_of(4.0)), 10)
    assert recalibrated(4.0)(log) == pytest.approx(expected.to_numpy())


def test_the_frontier_is_in_scikit_learn_too():
    # Memories of 12 days against 1.5: better where nothing moves, worse where tastes do.
    for drift, better in ((0.0, 12.0), (0.05, 1.5)):
        told = frontier(drift, ages=(1.5, 12.0), rows=60, days=8)
        for _, rows in told.groupby("learner"):
            assert rows.set_index("age")["error"].idxmin() == better
    noisy = frontier(0.0, "lost", 0.2, ages=(12.0,), rows=60, days=8)
    assert (noisy["corrected"] < noisy["error"]).all()
    # Taken back at the right rate, most of what lost clicks do is gone.
    assert (noisy["corrected"] < 0.25 * noisy["error"]).all()


def test_a_day_of_one_label_is_foretold_as_such():
    rows, _ = moving_tastes(3, rows=5, rng=3)
    assert (windowed(2)(rows.assign(y=1))[5:] == 1).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: windowed(0), "days: got 0"),
        (lambda: windowed(3, first=0), "first: got 0"),
        (lambda: weighted(0), "half_life: got 0"),
        (lambda: updated(-1), "rate: got -1"),
        (lambda: recalibrated(0), "half_life: got 0"),
        (lambda: adaptive(rate=0, size=1), "rate: got 0"),
        (lambda: adaptive(rate=0.1, size=0), "size: got 0"),
        (lambda: windowed(2)(market(2)), "it must have|needs one f_ column at least"),
        (lambda: recalibrated(2)(market(2)[::-1]), "rows: got times out of order"),
        (lambda: windowed(2)(pd.DataFrame({"ts": []})), "f_ column"),
    ],
)
def test_bad_input_is_refused_by_name_value_and_rule(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_a_correction_asks_for_a_finite_score_by_name():
    rows = pd.DataFrame({"ts": pd.date_range("2026-03-02", periods=3, tz="UTC"), "y": [0, 1, 0]})
    with pytest.raises(ValueError, match=r"rows: got columns \['ts', 'y'\]; a correction needs score"):
        recalibrated(7.0)(rows)
    with pytest.raises(ValueError, match="score: got nan; it must be finite"):
        recalibrated(7.0)(rows.assign(score=[0.1, np.nan, 0.2]))
