"""Offline gains appear where a value was read later than its row, and go where it wasn't."""

import numpy as np
import pytest

from toolkit.auc import auc
from toolkit.features.time_travel import corrected_scores, joined_by, leak_auc, snapshot_auc, split_aucs


@pytest.mark.parametrize("n", [1, 10, 100])
def test_without_a_signal_a_later_snapshot_is_the_own_label_and_an_earlier_one_tells_nothing(n):
    assert snapshot_auc(n, 0.1, lag=0.5) == pytest.approx(leak_auc(n, 0.1))
    assert snapshot_auc(n, 0.1, lag=0.0) == pytest.approx(0.5)
    assert snapshot_auc(n, 0.1, lag=-1.0) == pytest.approx(0.5)


def test_the_gap_shrinks_with_traffic_and_the_honest_auc_grows():
    gaps = [
        snapshot_auc(n, 0.1, signal=1.0, lag=0.5) - snapshot_auc(n, 0.1, signal=1.0) for n in (1, 10, 100)
    ]
    assert gaps == sorted(gaps, reverse=True)
    honest = [snapshot_auc(n, 0.1, signal=1.0) for n in (1, 10, 100)]
    assert honest == sorted(honest)
    assert snapshot_auc(30, 0.1, signal=1.0, lag=-1) < snapshot_auc(30, 0.1, signal=1.0, lag=0)


def test_the_quadrature_agrees_with_a_simulation():
    rng, p, signal, n = np.random.default_rng(0), 0.2, 1.0, 20
    y = rng.random(200_000) < p
    kept = 2**-0.5
    state = kept * signal * y + rng.normal(size=len(y))
    odds = p / (1 - p) * np.exp(signal * state - signal**2 / 2)
    told = rng.binomial(n, odds / (1 + odds))
    assert snapshot_auc(n, p, signal=signal) == pytest.approx(auc(y.astype(int), told), abs=0.005)


def test_a_correction_is_read_ahead_by_its_event_and_not_by_its_availability():
    never, soon = corrected_scores(delay=30.0), corrected_scores(delay=0.01)
    first = corrected_scores(corrected=0.0)

    def told(tables, by):
        return auc(tables[0]["y"], joined_by(*tables, by=by))

    # Scores differ by half a standard deviation, so the AUC is Phi(.5 / sqrt(2)) = .638.
    assert told(first, "event") == told(first, "available") == pytest.approx(0.638, abs=0.03)
    assert told(never, "available") == told(first, "available")
    assert told(never, "event") > told(never, "available") + 0.1
    assert told(soon, "available") == pytest.approx(told(soon, "event"), abs=0.01)


def test_a_long_label_tells_its_neighbour_across_the_split_and_a_gap_ends_it():
    long = split_aucs(window=7).set_index("split")["auc"]
    assert long["random"] > 0.95
    assert long["forward in time"] > 0.65
    assert long["forward, with a gap"] == pytest.approx(0.5, abs=0.03)
    assert split_aucs(window=1)["auc"].to_numpy() == pytest.approx(0.5, abs=0.03)
    differ = split_aucs(window=1, spread=1.0)["auc"]
    assert (differ > 0.52).all()


@pytest.mark.parametrize(
    ("work", "message"),
    [
        (lambda: snapshot_auc(3, 0.0), "p: got 0.0"),
        (lambda: snapshot_auc(3, 0.1, signal=-1), "signal: got -1"),
        (lambda: corrected_scores(corrected=1.4), "corrected: got 1.4"),
        (lambda: corrected_scores(delay=0), "delay: got 0"),
        (lambda: split_aucs(window=0), "window: got 0"),
        (lambda: split_aucs(window=30), "days: got 120"),
        (lambda: joined_by(*corrected_scores(accounts=5), by="hope"), "by: got 'hope'"),
    ],
)
def test_bad_settings_are_refused(work, message):
    with pytest.raises(ValueError, match=message):
        work()
