"""The best of equal runs: order statistics by hand and exactly, power by simulation."""

import math

import numpy as np
import pytest
from scipy.stats import binom, norm

from toolkit.shipping.winner import (
    expected_maximum,
    flag_power,
    fresh_rows_for,
    rows_for,
    standard_error,
    winner_reads,
)


def test_the_largest_of_two_and_of_three_normals_by_hand():
    assert expected_maximum(2) == pytest.approx(1 / math.sqrt(math.pi))
    assert expected_maximum(3) == pytest.approx(1.5 / math.sqrt(math.pi))


@pytest.mark.parametrize(
    ("runs", "rows", "told"), [(10, 1000, 0.722), (100, 1000, 0.736), (100, 10_000, 0.711)]
)
def test_the_winner_reads_what_the_exact_binomial_maximum_does(runs, rows, told):
    # E max = sum over k of P(max > k): the counts' exact distribution, runs being independent.
    exact = (1 - binom.cdf(np.arange(rows), rows, 0.7) ** runs).sum() / rows
    assert winner_reads(runs, rows) == pytest.approx(exact, abs=4e-4)
    assert round(exact, 3) == pytest.approx(told, abs=5e-4)


def test_what_runs_share_chooses_none_of_them():
    alone = winner_reads(50, 500) - 0.7
    assert winner_reads(50, 500, correlation=0.75) - 0.7 == pytest.approx(alone / 2)
    assert winner_reads(1, 500) == 0.7


def test_the_rows_for_an_optimism_invert_the_reading():
    rows = rows_for(0.005, 30, correlation=0.5)
    assert winner_reads(30, rows, correlation=0.5) <= 0.705 < winner_reads(30, rows - 1, correlation=0.5)


@pytest.mark.parametrize(("fresh", "correlation"), [(400, 0.0), (4000, 0.5), (math.inf, 0.0)])
def test_the_power_is_what_simulated_searches_have(fresh, correlation):
    rng, noise = np.random.default_rng(0), standard_error(0.7, 400)
    searches = 20_000
    shared = math.sqrt(correlation) * rng.normal(size=searches)
    best = (shared[:, None] + math.sqrt(1 - correlation) * rng.normal(size=(searches, 60))).max(
        axis=1
    ) * noise
    fresh_noise = 0.0 if math.isinf(fresh) else standard_error(0.7, fresh)
    z = (best - fresh_noise * rng.normal(size=searches)) / math.hypot(noise, fresh_noise)
    simulated = (z > norm.isf(0.025)).mean()
    assert flag_power(60, 400, fresh, correlation=correlation) == pytest.approx(simulated, abs=0.012)


def test_the_fresh_rows_for_a_power_invert_it():
    assert flag_power(30, 500, fresh_rows_for(0.4, 30, 500)) == pytest.approx(0.4, abs=1e-3)


def test_one_run_is_flagged_at_the_level():
    assert flag_power(1, 400, 900, alpha=0.1) == pytest.approx(0.05, abs=1e-6)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: expected_maximum(0), "runs: got 0; it must be a whole number, 1 at least"),
        (lambda: winner_reads(2, 0), "rows: got 0; it must be a whole number"),
        (lambda: winner_reads(2, 10, accuracy=1.2), r"accuracy: got 1.2; it must lie in \[0, 1\]"),
        (lambda: winner_reads(2, 10, correlation=1.0), r"correlation: got 1.0; it must lie in \[0, 1\)"),
        (lambda: rows_for(0, 10), "optimism: got 0; it must lie above 0"),
        (lambda: flag_power(2, 10, 0), "fresh: got 0; it must lie above 0"),
        (lambda: fresh_rows_for(0.9, 60, 400), "power: got 0.9; it must lie strictly between"),
        (lambda: flag_power(2, 10, 10, alpha=1), "alpha: got 1; it must lie strictly between 0 and 1"),
    ],
)
def test_bad_settings_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
