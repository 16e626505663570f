"""Areas with clusters: against scikit-learn, by hand, and by simulation."""

import math

import numpy as np
import pytest
from scipy.stats import kstest
from sklearn.metrics import roc_auc_score

from toolkit.auc import auc
from toolkit.features.areas import clustered_area, contrast
from toolkit.resampling import bootstrap


def rows(rng, clusters=80, each=8, within=0.6, signal=0.8):
    """Rows whose scores and labels both lean on their cluster."""
    user = np.repeat(np.arange(clusters), each)
    leaning = within * rng.normal(size=clusters)[user]
    y = (rng.random(len(user)) < 1 / (1 + np.exp(-leaning))).astype(int)
    return user, y, signal * y + leaning + rng.normal(size=len(user))


def test_the_area_is_that_of_others_ties_included():
    user, y, score = rows(np.random.default_rng(0))
    assert clustered_area(y, score, user).auc == pytest.approx(roc_auc_score(y, score))
    assert clustered_area(y, score.round(), user).auc == pytest.approx(auc(y, score.round()))
    here = user < 40
    assert clustered_area(y, score, user, here=here).auc == pytest.approx(roc_auc_score(y[here], score[here]))


def test_with_rows_of_their_own_the_error_is_delong_s():
    # By hand: good rows at 2 and 4 beat 1 and 2 of the bad at 1 and 3; placements 1/2, 1 and 0, 1/2.
    told = clustered_area([1, 1, 0, 0], [2.0, 4.0, 1.0, 3.0], [0, 1, 2, 3])
    assert told.auc == 0.75
    assert told.parts == pytest.approx([-0.125, 0.125, 0.125, -0.125])


def test_the_error_is_the_bootstrap_s():
    user, y, score = rows(np.random.default_rng(1), clusters=200)
    draws = bootstrap(lambda weight: auc(y, score, weight), user, replicates=400, rng=2)
    assert clustered_area(y, score, user).se == pytest.approx(draws.std(), rel=0.12)


def test_intervals_of_a_paired_difference_cover_and_its_p_is_uniform_where_there_is_none():
    rng, p, covered = np.random.default_rng(3), [], 0
    for _ in range(600):
        user, y, score = rows(rng, clusters=60, each=5)
        noise = rng.normal(size=(2, len(y)))
        gap = contrast([clustered_area(y, score + 0.5 * each, user) for each in noise], [1, -1])
        p.append(gap.p)
        low, high = gap.ci()
        covered += low <= 0 <= high
    assert 0.93 <= covered / 600 <= 0.97
    assert kstest(p, "uniform").pvalue > 0.01


def test_without_good_or_bad_rows_it_is_undefined():
    told = clustered_area([1, 1], [1.0, 2.0], [0, 1])
    assert math.isnan(told.auc)
    assert math.isnan(told.se)
    assert all(map(math.isnan, told.ci()))
    assert math.isnan(told.p)
    one = clustered_area([0, 1], [1.0, 2.0], [0, 0])
    assert math.isnan(one.se)


def test_a_level_out_of_range_is_refused():
    with pytest.raises(ValueError, match=r"alpha: got 1\.5"):
        clustered_area([0, 1], [1.0, 2.0], [0, 1]).ci(alpha=1.5)
