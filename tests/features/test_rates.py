"""Wilson's interval is the published one, and covers where users repeat."""

import numpy as np
import pytest
from statsmodels.stats.proportion import proportion_confint

from toolkit.features.rates import score_interval, wilson


@pytest.mark.parametrize(("hits", "n"), [(0, 10), (3, 10), (50, 400), (10, 10)])
def test_independent_rows_have_the_interval_of_statsmodels(hits, n):
    found = wilson(np.arange(n) < hits)
    np.testing.assert_allclose(
        (found.low, found.high), proportion_confint(hits, n, 0.05, "wilson"), atol=1e-12
    )


@pytest.mark.parametrize("rate", [0.0, 0.3, 1.0])
def test_its_ends_are_the_rates_that_so_many_trials_leave_just_credible(rate):
    for end in score_interval(rate, worth=7.5, quantile=2.0):
        # Two standard errors, of that rate, from what was seen; the exact ends are the rate itself.
        assert (rate - end) ** 2 == pytest.approx(4 * end * (1 - end) / 7.5, abs=1e-12)


def test_one_row_a_cluster_is_as_without_clusters():
    hits = np.arange(50) < 7
    assert wilson(hits, np.arange(50)) == wilson(hits)


def test_copies_of_rows_add_nothing():
    # The design effect of each row m times is m, but for g / (g - 1).
    hits = np.arange(200) < 30
    doubled = wilson(np.repeat(hits, 2), np.repeat(np.arange(200), 2))
    assert doubled.design_effect == pytest.approx(2 * 200 / 199)


def test_no_hit_at_all_counts_a_cluster_once():
    clustered = wilson(np.zeros(600, bool), np.repeat(np.arange(60), 10))
    assert clustered.low == 0
    assert clustered.high > wilson(np.zeros(60, bool)).high * 0.99
    assert wilson(np.ones(600, bool), np.repeat(np.arange(60), 10)).high == 1


def test_intervals_cover_where_some_users_differ_far_more_than_others():
    draw = np.random.default_rng(0)
    covered = []
    for _ in range(1_500):
        rows = draw.integers(1, 12, 250)
        chance = draw.beta(0.5, 4.5, 250)  # mean 0.1
        clusters = np.repeat(np.arange(250), rows)
        found = wilson(draw.random(len(clusters)) < chance[clusters], clusters)
        covered.append(found.low <= 0.1 <= found.high)
    assert 0.93 <= np.mean(covered) <= 0.97


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="hits: got float64"):
        wilson([0.5, 1.0])
    with pytest.raises(ValueError, match="hits: got bool of shape"):
        wilson(np.zeros(0, bool))
    with pytest.raises(ValueError, match="clusters: got 1; it takes two"):
        wilson([True, False], [1, 1])
    with pytest.raises(ValueError, match="clusters: got 1 for 2 rows"):
        wilson([True, False], [1, None])
    with pytest.raises(ValueError, match="alpha: got 0"):
        wilson([True], alpha=0)
