"""The cluster bootstrap gives the spread that theory gives, and its intervals cover."""

import math

import numpy as np
import pytest
import statsmodels.api as sm
from scipy import stats

from toolkit.resampling import Estimate, bootstrap, clustered_error, interval, several, welch_freedom


def clustered(rng, users=60, per_user=8, spread=1.0):
    user = np.repeat(np.arange(users), per_user)
    return user, rng.normal(0, spread, users)[user] + rng.normal(size=users * per_user)


def test_its_spread_is_that_of_cluster_means_not_of_rows():
    user, y = clustered(np.random.default_rng(1), users=300)
    draws = bootstrap(lambda w: (w @ y) / w.sum(), user, replicates=2000)
    means = y.reshape(300, 8).mean(1)
    assert draws.std() == pytest.approx(means.std() / 300**0.5, rel=0.06)
    assert draws.std() > 2 * y.std() / len(y) ** 0.5


@pytest.mark.slow
def test_its_interval_covers():
    rng = np.random.default_rng(2)
    inside = 0
    for _ in range(400):
        user, y = clustered(rng)
        low, high = interval(bootstrap(lambda w, y=y: (w @ y) / w.sum(), user, replicates=400, rng=rng))
        inside += low <= 0 <= high
    assert 0.92 <= inside / 400 <= 0.98


def test_one_seed_gives_one_answer_and_numbers_are_paired():
    user, y = clustered(np.random.default_rng(3))

    def both(w):
        return (w @ y) / w.sum(), (w @ (y + 5)) / w.sum()

    first, again = (bootstrap(both, user, replicates=50, rng=7) for _ in range(2))
    assert (first == again).all()
    assert np.allclose(first[:, 1] - first[:, 0], 5)


@pytest.mark.parametrize(
    ("clusters", "replicates", "message"),
    [
        (["a", "a"], 10, "clusters: got 1; the bootstrap needs two at least"),
        (["a", "b", None], 10, "clusters: got 1 missing of 3; each row needs one"),
        ([1.0, 2.0, np.nan, np.nan], 10, "clusters: got 2 missing of 4; each row needs one"),
        (["a", "b"], 0, "replicates: got 0; it must be a whole number, 1 at least"),
    ],
)
def test_what_it_refuses(clusters, replicates, message):
    with pytest.raises(ValueError, match=message):
        bootstrap(np.sum, clusters, replicates=replicates)


def test_an_interval_of_many_undefined_replicates_is_refused():
    with pytest.raises(ValueError, match="draws: got 20 undefined of 100"):
        interval(np.r_[np.full(20, np.nan), np.arange(80.0)])


def test_an_interval_is_of_one_number():
    with pytest.raises(ValueError, match=r"draws: got shape \(50, 2\); it must be one number a replicate"):
        interval(np.zeros((50, 2)))


def test_every_row_of_a_cluster_is_drawn_as_often_as_the_others_wherever_it_stands():
    seen = []
    bootstrap(lambda w: seen.append(w) or 0.0, ["b", "a", "b", "c", "a"], replicates=20)
    for weights in seen:
        assert weights[0] == weights[2]
        assert weights[1] == weights[4]
        assert weights[[0, 1, 3]].sum() == 3


def test_the_clustered_error_of_a_mean_is_statsmodels_and_one_cluster_is_refused():
    draw = np.random.default_rng(5)
    users = draw.choice(list("uvwxyz"), 90)
    y = draw.normal(size=90) + (users == "u")
    code = several(users, "user_id")
    fit = sm.OLS(y, np.ones(90)).fit(cov_type="cluster", cov_kwds={"groups": code})
    assert clustered_error((y - y.mean()) / 90, code) == pytest.approx(float(fit.bse[0]))
    with pytest.raises(ValueError, match="user_id: got one in all rows; an interval needs two at least"):
        several(["u"] * 3, "user_id")


def test_clusters_that_cross_are_statsmodels_and_no_positive_variance_falls_to_the_smaller():
    draw = np.random.default_rng(6)
    users, hours = draw.integers(0, 12, 300), draw.integers(0, 9, 300)
    y = draw.normal(size=12)[users] + draw.normal(size=9)[hours] + draw.normal(size=300)
    fit = sm.OLS(y, np.ones(300)).fit(
        cov_type="cluster", cov_kwds={"groups": np.stack([users, hours], axis=1), "use_correction": False}
    )
    influence = (y - y.mean()) / 300
    ours = clustered_error(influence, users, hours)
    # Each of the three variances has its own correction here, which statsmodels leaves out.
    assert ours == pytest.approx(float(fit.bse[0]), rel=0.1)
    assert ours > max(clustered_error(influence, users), clustered_error(influence, hours))
    # Whatever a user has more in one hour, the user has less in the other: both ways nothing is left.
    pushes, user, hour = np.array([1.0, -1, -1, 1]), np.array([0, 1, 0, 1]), np.array([0, 0, 1, 1])
    assert clustered_error(pushes, user, hour) == 0


def test_welch_s_freedom_is_scipy_s_for_two_samples():
    draw = np.random.default_rng(3)
    one, other = draw.normal(0, 1, 9), draw.normal(0, 4, 23)
    squared = [sample.var(ddof=1) / len(sample) for sample in (one, other)]
    told = stats.ttest_ind(one, other, equal_var=False)
    assert welch_freedom(squared, [8, 22]) == pytest.approx(told.df)
    assert welch_freedom(np.transpose([squared, squared]), np.array([[8, 8], [22, 22]])) == pytest.approx(
        [told.df] * 2
    )


@pytest.mark.parametrize(("freedom", "edge"), [(10, 2.2281), (1, 12.7062), (math.inf, 1.96)])
def test_an_estimate_at_the_published_point_of_its_law_has_0_at_its_interval_s_end(freedom, edge):
    told = Estimate(edge, 1.0, freedom)
    assert told.p == pytest.approx(0.05, abs=1e-4)
    assert told.interval(0.05)[0] == pytest.approx(0, abs=1e-4)
    assert told.interval(0.05)[1] == pytest.approx(2 * edge, abs=1e-3)
    assert Estimate(-edge, 1.0, freedom).p == told.p


def test_a_mean_s_estimate_is_scipy_s_t_test():
    y = np.random.default_rng(4).normal(0.3, 2, 12)
    told, peer = Estimate(float(y.mean()), float(stats.sem(y)), 11), stats.ttest_1samp(y, 0)
    assert told.p == pytest.approx(peer.pvalue)
    assert told.interval(0.1) == pytest.approx(tuple(peer.confidence_interval(0.9)))


def test_without_an_error_there_is_no_p_and_an_interval_only_where_it_is_known_to_be_none():
    assert Estimate(2.0, 0.0).interval(0.05) == (2.0, 2.0)
    assert Estimate(2.0, 0.0).p is None
    for unknown in (Estimate(2.0, math.nan, 5), Estimate(2.0, 1.0, 0)):
        assert np.isnan(unknown.interval(0.05)).all()
        assert unknown.p is None
