"""Areas with clusters: against scikit-learn, by hand, and by simulation."""

import math

import numpy as np
import pytest
from scipy.stats import kstest
from sklearn.metrics import roc_auc_score

from toolkit.auc import auc
from toolkit.features.areas import auc_change, clustered_area, contrast
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
    assert told.p is None
    one = clustered_area([0, 1], [1.0, 2.0], [0, 0])
    assert math.isnan(one.se)


def test_a_level_out_of_range_is_refused():
    with pytest.raises(ValueError, match=r"alpha: got 1\.5"):
        clustered_area([0, 1], [1.0, 2.0], [0, 1]).ci(alpha=1.5)


def test_the_change_is_that_of_the_aucs_with_ties():
    draw = np.random.default_rng(0)
    y, before, after = draw.integers(0, 2, 200), draw.integers(0, 9, 200), draw.integers(0, 9, 200)
    assert auc_change(y, before, after).auc == pytest.approx(auc(y, after) - auc(y, before), abs=1e-12)


def test_the_error_is_that_of_delong():
    # By hand: 3 good and 3 bad rows; placements of the good 1, 1, 2/3 and of the bad 1, 1, 2/3, an AUC of 8/9.
    # Against a score that is constant (AUC 1/2, which no row moves): the rows' squares sum to
    # 2 x (2 (1/9)^2 + (2/9)^2) / 9, times 6/5 for six clusters.
    found = auc_change([1, 1, 1, 0, 0, 0], [0] * 6, [6, 5, 3, 4, 2, 1])
    assert found.auc == pytest.approx(8 / 9 - 1 / 2)
    assert found.se == pytest.approx((2 * (6 / 81) / 9 * 6 / 5) ** 0.5)


def test_copies_of_rows_widen_nothing_but_the_count():
    draw = np.random.default_rng(1)
    y, a, b = draw.integers(0, 2, 90), draw.normal(size=90), draw.normal(size=90)
    one = auc_change(y, a, b)
    again = auc_change(np.tile(y, 3), np.tile(a, 3), np.tile(b, 3), np.tile(np.arange(90), 3))
    assert (again.auc, again.se) == pytest.approx((one.auc, one.se))


def test_intervals_of_a_change_cover_and_none_is_found_in_5_of_100_where_users_repeat():
    draw = np.random.default_rng(2)
    apart, tested = [], []
    for _ in range(800):
        users = np.repeat(np.arange(120), draw.integers(1, 6, 120))
        taste = draw.normal(size=120)[users]
        y = draw.random(len(users)) < 1 / (1 + np.exp(-taste))
        # Two scores that are equally good on average, each wrong by user.
        a, b = (taste + draw.normal(size=120)[users] for _ in range(2))
        found = auc_change(y, a, b, users)
        apart.append(found.ci()[0] <= 0 <= found.ci()[1])
        tested.append(found.auc / found.se)
    assert 0.93 <= np.mean(apart) <= 0.97
    assert np.std(tested) == pytest.approx(1, abs=0.08)


def test_intervals_cover_where_one_user_in_five_has_a_broken_sensor():
    draw = np.random.default_rng(3)

    def logs(users):
        user = np.repeat(np.arange(users), 4)
        signal = draw.normal(size=len(user))
        y = draw.random(len(user)) < 1 / (1 + np.exp(-2 * signal))
        broken = (draw.random(users) < 0.2)[user]
        return y, signal, np.where(broken, 0.0, signal), user

    truth = np.mean([auc_change(*logs(20_000)).auc for _ in range(6)])
    found = [auc_change(*logs(300)) for _ in range(600)]
    assert 0.93 <= np.mean([each.ci()[0] <= truth <= each.ci()[1] for each in found]) <= 0.97


def test_bad_input_to_a_change_is_refused():
    with pytest.raises(ValueError, match="y: got labels of one kind"):
        auc_change([1, 1], [0, 1], [1, 0])
    with pytest.raises(ValueError, match="after: got shape"):
        auc_change([1, 0], [0, 1], [1, np.nan])
    with pytest.raises(ValueError, match="clusters: got 1 for 2 rows"):
        auc_change([1, 0], [0, 1], [1, 0], [7, 7])
