"""Daily effects and the curve through them: by hand, size and coverage for equal and unequal users."""

import numpy as np
import pytest
from scipy.stats import kstest, ttest_ind

from toolkit.experiments.learning_curve import before, foretell, share_test

DAYS, PER_DAY = 5, 300


def two_tests(seed, *, first=-0.1, gain=0.5, users=400, taste=0.1, unequal=False):
    """Tests at 20 and 60%, of a model whose lift is first + gain n / (n + 500) after n impressions of its own."""
    rng, tests = np.random.default_rng(seed), []
    for share in (0.2, 0.6):
        treated = rng.permutation(users) < share * users
        own = rng.uniform(-taste, taste, users)
        often = rng.pareto(1.5, users) + 0.2 if unequal else np.ones(users)
        user = rng.choice(users, (DAYS, PER_DAY), p=often / often.sum())
        had = before(treated[user].sum(1))
        lift = first + gain * had / (had + 500)
        y = rng.random(user.shape) < 0.4 * (1 + treated[user] * lift[:, None]) + own[user]
        day, code = np.repeat(range(DAYS), PER_DAY), np.unique(user, return_inverse=True)[1].ravel()
        tests.append(share_test(y.ravel().astype(float), treated[user].ravel(), day, code, days=DAYS))
    return tests


def foretold(seeds, *, replicates=200, **settings):
    daily = np.full(DAYS, 2.0 * PER_DAY)
    return [
        foretell(two_tests(seed, **settings), daily, learns_from="own", replicates=replicates)
        for seed in seeds
    ]


def coverage(found, truth):
    ends = [np.quantile(one.drawn, [0.025, 0.975]) for one in found]
    return np.mean([low <= truth <= high for low, high in ends])


def test_the_launch_s_interval_holds_it_in_19_of_20():
    had = before(np.full(DAYS, 2.0 * PER_DAY))
    truth = np.mean(-0.1 + 0.5 * had / (had + 500))
    assert 0.93 <= coverage(foretold(range(300)), truth) <= 0.975


def test_without_an_effect_of_the_share_p_is_uniform():
    found = foretold(range(300), first=0.1, gain=0.0)
    assert kstest([one.p for one in found], "uniform").pvalue > 0.01
    # Where learning does nothing no worth of an impression is better than another: a wider interval.
    assert 0.93 <= coverage(found, 0.1) <= 0.99


def test_very_unequal_users_don_t_make_p_too_small():
    found = foretold(range(400), first=0.1, gain=0.0, unequal=True, replicates=1)
    assert 0.005 <= np.mean([one.p < 0.05 for one in found]) <= 0.08


def test_one_day_s_effect_and_error_are_a_two_sample_test_s():
    rng = np.random.default_rng(0)
    y, treated = (rng.random(90) < 0.4).astype(float), np.arange(90) < 30
    told = share_test(y, treated, np.zeros(90, int), np.arange(90), days=1)
    peer = ttest_ind(y[treated], y[~treated], equal_var=False)
    assert told.effect == pytest.approx(y[treated].mean() - y[~treated].mean())
    # The jackknife of two means: each arm's variance, n / (n - 1) times, and (clusters - 1) / clusters.
    jackknife = [y[arm].var(ddof=1) / (arm.sum() - 1) for arm in (treated, ~treated)]
    assert told.error == pytest.approx(np.sqrt(89 / 90 * sum(jackknife)))
    assert told.effect / told.error == pytest.approx(peer.statistic, rel=0.02)
    assert told.covariance[-1, -1] == pytest.approx(89 / 90 * jackknife[1])
    # A better control takes from the effect what it adds to the base.
    assert told.covariance[0, -1] == pytest.approx(-told.covariance[-1, -1])
    assert (told.traffic, told.freedom, told.control_rows) == (pytest.approx(1 / 3), 29, 60)


def test_unequal_users_count_for_fewer():
    y, treated = np.tile([0.0, 1.0], 50), np.arange(100) < 50
    # Control: one user with 26 rows and 24 with one each; 50^2 / (26^2 + 24) is 3.57.
    clusters = np.concatenate([np.arange(50), np.full(26, 50), 51 + np.arange(24)])
    told = share_test(y, treated, np.zeros(100, int), clusters, days=1)
    assert told.freedom == pytest.approx(2500 / 700 - 1)


def test_days_with_both_arms_alike_tell_more_of_the_effect_as_in_a_regression_on_days():
    rng = np.random.default_rng(1)
    day = np.repeat([0, 1], [100, 60])
    treated = rng.random(160) < np.where(day == 0, 0.1, 0.5)
    y = rng.random(160) + 0.5 * day * treated
    design = np.column_stack([day == 0, day == 1, treated]).astype(float)
    told = share_test(y, treated, day, np.arange(160), days=2)
    assert told.effect == pytest.approx(np.linalg.lstsq(design, y, rcond=None)[0][-1])


def test_p_is_of_the_smallest_and_the_largest_share():
    few, many = two_tests(0)
    other = two_tests(1)[1]
    found = [
        foretell(tests, np.full(DAYS, 600.0), learns_from="own", replicates=2).p
        for tests in ([few, other, many], [few, many], [few, other])
    ]
    assert found[0] == found[1] != found[2]
