"""Means over blocks: by hand, and how often their intervals cover where a few blocks hold the loss."""

import numpy as np
import pytest

from toolkit.tradeoffs.blocks import block_means


def test_mean_and_error_are_those_of_blocks():
    sums, rows = np.array([2.0, 4.0, 9.0, 1.0]), np.array([1.0, 2.0, 3.0, 2.0])
    told = block_means(sums, rows)
    assert told.mean == pytest.approx(2.0)
    # Residuals 0, 0, 3, -3; four thirds of their squares' sum, over the squared weight.
    assert told.error == pytest.approx(np.sqrt(4 / 3 * 18) / 8)
    equal = block_means([1.0, 2.0, 4.0, 5.0], np.ones(4))
    assert equal.error == pytest.approx(np.std([1, 2, 4, 5], ddof=1) / 2)


def test_rows_of_several_means_are_drawn_together():
    sums = np.random.default_rng(0).normal(size=(3, 2, 8))
    both = block_means(sums, np.ones((2, 8)), rng=1)
    alone = block_means(sums[1, 0], np.ones(8), rng=1)
    assert both.mean.shape == (3, 2)
    assert both.half[1, 0] == pytest.approx(alone.half)
    assert block_means(np.zeros(8), np.ones(8)).half == 0
    assert np.isnan(block_means(np.zeros(8), np.ones(8)).p)


def test_intervals_cover_where_blocks_are_skewed_and_are_wide_where_they_are_not():
    draw = np.random.default_rng(2)
    replicas = 150
    covered = {"normal": 0, "skewed": 0}
    for _ in range(replicas):
        for name, sums in (("normal", draw.normal(size=8)), ("skewed", draw.gamma(1.5, size=8) - 1.5)):
            told = block_means(sums, np.ones(8), replicates=100, rng=draw)
            covered[name] += abs(told.mean) <= told.half
    assert covered["normal"] / replicas >= 0.93
    assert 0.9 <= covered["skewed"] / replicas <= 0.99


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: block_means([1.0, 2.0, 3.0], np.ones(3)), r"held: got shape \(3,\)"),
        (lambda: block_means(np.ones(5), np.ones(4)), r"held: got shape \(4,\) for sums of shape \(5,\)"),
        (lambda: block_means(np.ones(4), np.zeros(4)), "held: got weights that are negative or all 0"),
        (lambda: block_means(np.ones(4), np.ones(4), alpha=0), "alpha: got 0"),
        (lambda: block_means(np.ones(4), np.ones(4), replicates=0), "replicates: got 0"),
    ],
)
def test_bad_input_is_refused_by_name_value_and_rule(call, message):
    with pytest.raises(ValueError, match=message):
        call()
