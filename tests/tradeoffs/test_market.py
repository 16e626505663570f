"""FooBar's small market: its rates, its wrong labels, and what known rates take back."""

import numpy as np
import pandas as pd
import pytest

from toolkit.tradeoffs.market import corrected, market, mislabel, moving_tastes


def test_a_still_market_is_as_good_as_its_score_says():
    log = market(400, rows=50, rate=0.0, rng=0)
    missed = log["y"] - log["score"]
    # Users' tastes average out, but for the curvature of the logistic.
    assert abs(missed.mean()) < 4 * missed.std() / len(log) ** 0.5 + 0.01
    assert log["ts"].is_monotonic_increasing
    assert log["request_id"].is_unique


def test_jumps_and_drift_move_the_daily_rate():
    spread = {
        name: market(600, rows=60, rng=1, **settings)["y"].groupby(np.arange(36_000) // 60).mean().var()
        for name, settings in {
            "still": {"rate": 0.0},
            "jumps": {"rate": 1 / 30},
            "drift": {"rate": 0.0, "drift": 0.01},
        }.items()
    }
    assert spread["jumps"] > 2 * spread["still"]
    assert spread["drift"] > 2 * spread["still"]
    # Turned back within two jumps: the log odds' daily means stay in reach.
    far = market(3000, rows=60, rate=0.2, size=1.0, rng=2)
    daily = far["y"].groupby(np.arange(180_000) // 60).mean()
    assert daily.between(0.02, 0.95).mean() > 0.99


def test_tastes_keep_their_spread_however_fast_they_move():
    for drift in (0.0, 0.05, 0.5):
        _, chance = moving_tastes(800, rows=40, drift=drift, rng=3)
        spread = np.log(chance / (1 - chance)).std()
        assert spread == pytest.approx(2**0.5, rel=0.15)


@pytest.mark.parametrize(("kind", "wrong"), [("symmetric", 0.1), ("lost", 0.1), ("burst", 0.1)])
def test_labels_go_wrong_at_the_rate(kind, wrong):
    log = market(1000, rows=40, rate=0.0, rng=4)
    log["y"] = (np.random.default_rng(5).random(len(log)) < 0.5).astype(int)
    labels = mislabel(log, 0.1, kind=kind, rng=6)
    share = (labels != log["y"]).groupby(np.arange(len(log)) // 40).mean()
    assert share.mean() == pytest.approx(wrong, abs=4 * share.std() / 1000**0.5)
    if kind == "lost":
        assert (labels <= log["y"]).all()
    if kind == "burst":
        assert (share == 0).mean() == pytest.approx(0.8, abs=0.05)


def test_known_rates_are_taken_back_on_average():
    draw = np.random.default_rng(7)
    true = draw.random(200_000) < 0.3
    labelled = np.where(true, draw.random(true.size) > 0.2, draw.random(true.size) < 0.1)
    back = corrected(labelled.mean(), lost=0.2, false=0.1)
    assert back == pytest.approx(0.3, abs=4 * 0.5 / 200_000**0.5 / 0.7)
    assert corrected([0.0, 1.0], lost=0.2, false=0.1).tolist() == [0.0, 1.0]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: market(0), "days: got 0"),
        (lambda: market(3, rate=2), "rate: got 2"),
        (lambda: market(3, drift=-1), "drift: got -1"),
        (lambda: moving_tastes(3, drift=1), r"drift: got 1; it must lie in \[0, 1\)"),
        (lambda: mislabel(market(2), 0.6), r"rate: got 0.6; it must lie in \[0, 0.5\]"),
        (lambda: mislabel(market(2), 0.1, kind="gone"), "kind: got 'gone'"),
        (lambda: mislabel(pd.DataFrame({"y": [1]}), 0.1), "it must have ts"),
        (lambda: corrected(0.5, lost=0.6, false=0.4), "lost: got 0.6 with false 0.4"),
    ],
)
def test_bad_input_is_refused_by_name_value_and_rule(call, message):
    with pytest.raises(ValueError, match=message):
        call()
