"""The choice repeated: its mean luck and its bounds in worlds whose truth is known."""

import numpy as np
import pytest
from scipy.stats import kstest

from toolkit.shipping.reselection import from_errors, from_rows
from toolkit.shipping.winner import expected_maximum

ROWS = 150


def searches(worth, *, correlation=0.0, repeats=120, rng=0):
    """Searches over runs of this worth (in standard errors): true luck of the winner, and what is said of it."""
    draw = np.random.default_rng(rng)
    truth, said = [], []
    for seed in range(repeats):
        theta = np.asarray(worth) / np.sqrt(ROWS)
        noise = np.sqrt(correlation) * draw.normal(size=(ROWS, 1))
        noise = noise + np.sqrt(1 - correlation) * draw.normal(size=(ROWS, len(theta)))
        metrics = (theta + noise).mean(axis=0)
        truth.append(metrics.max() - theta[metrics.argmax()])
        errors = np.full(len(theta), 1 / np.sqrt(ROWS))
        said.append(
            (
                from_rows(theta + noise, range(ROWS), replicates=150, rng=seed),
                from_errors(metrics, errors, replicates=150, rng=seed),
            )
        )
    return np.array(truth), said


def held(truth, said, which):
    ends = [each[which].ends(0.05) for each in said]
    return np.mean([low <= luck <= high for luck, (low, high) in zip(truth, ends, strict=True)])


@pytest.mark.parametrize("correlation", [0.0, 0.8])
def test_among_equal_runs_the_luck_is_right_on_average_and_p_is_uniform(correlation):
    truth, said = searches(np.zeros(20), correlation=correlation)
    by_rows = np.mean([rows.optimism.mean() for rows, _ in said])
    # A tenth less at most: by chance some of the luck's spread is taken for worth.
    expected = np.sqrt(1 - correlation) * expected_maximum(20) / np.sqrt(ROWS)
    assert by_rows == pytest.approx(0.95 * expected, rel=0.07)
    assert kstest([rows.p for rows, _ in said], "uniform").pvalue > 0.01
    # Without rows it is an upper bound.
    assert np.mean([errors.optimism.mean() for _, errors in said]) > 0.9 * expected
    assert held(truth, said, 0) >= 0.93
    assert held(truth, said, 1) >= 0.93


@pytest.mark.parametrize("worth", [np.linspace(-2, 2, 12), [6.0] + [0.0] * 11, [1.5] + [0.0] * 11])
def test_the_bounds_hold_whatever_the_runs_are_worth(worth):
    truth, said = searches(worth)
    assert held(truth, said, 0) >= 0.93
    assert held(truth, said, 1) >= 0.93


def test_a_clear_winner_has_had_no_luck():
    _, said = searches([15.0] + [0.0] * 4, repeats=20)
    luck = np.mean([rows.optimism.mean() for rows, _ in said]) * np.sqrt(ROWS)
    assert luck == pytest.approx(0, abs=0.1)
    assert all(rows.p < 0.01 for rows, _ in said)


def test_one_run_was_not_chosen():
    again = from_rows(np.arange(10.0)[:, None], range(10), replicates=200, rng=0)
    assert again.p is None
    assert again.optimism.mean() == pytest.approx(0, abs=0.2)


def test_runs_that_lie_close_share_their_luck():
    metrics = np.random.default_rng(0).normal(0.7, 1e-4, 60)
    assert from_errors(metrics, np.full(60, 0.02), replicates=300, rng=0).optimism.mean() < 0.006


def test_few_clusters_vary_as_much_as_they_would_anew():
    draw = np.random.default_rng(4)
    spread = [
        from_rows(draw.normal(size=(4, 3)), range(4), replicates=200, rng=seed).noise.var()
        for seed in range(150)
    ]
    # The variance of a mean of four standard normals.
    assert np.mean(spread) == pytest.approx(1 / 4, rel=0.1)


def test_without_rows_the_luck_of_few_runs_is_not_taken_for_worth():
    _, said = searches(np.zeros(3), repeats=200)
    expected = expected_maximum(3) / np.sqrt(ROWS)
    assert np.mean([errors.optimism.mean() for _, errors in said]) > 0.92 * expected
