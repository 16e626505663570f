"""The change of an AUC is as counted in pairs, and its interval covers, users repeating or not."""

import numpy as np
import pytest

from toolkit.auc import auc
from toolkit.features.auc_change import auc_change


def test_the_change_is_that_of_the_aucs_with_ties():
    draw = np.random.default_rng(0)
    y, before, after = draw.integers(0, 2, 200), draw.integers(0, 9, 200), draw.integers(0, 9, 200)
    assert auc_change(y, before, after).change == pytest.approx(auc(y, after) - auc(y, before), abs=1e-12)


def test_the_error_is_that_of_delong():
    # By hand: 3 good and 3 bad rows; placements of the good 1, 1, 2/3 and of the bad 1, 1, 2/3, an AUC of 8/9.
    # Against a score that is constant (AUC 1/2, which no row moves): the rows' squares sum to
    # 2 x (2 (1/9)^2 + (2/9)^2) / 9, times 6/5 for six clusters.
    found = auc_change([1, 1, 1, 0, 0, 0], [0] * 6, [6, 5, 3, 4, 2, 1])
    assert found.change == pytest.approx(8 / 9 - 1 / 2)
    assert found.se == pytest.approx((2 * (6 / 81) / 9 * 6 / 5) ** 0.5)


def test_copies_of_rows_widen_nothing_but_the_count():
    draw = np.random.default_rng(1)
    y, a, b = draw.integers(0, 2, 90), draw.normal(size=90), draw.normal(size=90)
    one = auc_change(y, a, b)
    again = auc_change(np.tile(y, 3), np.tile(a, 3), np.tile(b, 3), np.tile(np.arange(90), 3))
    assert (again.change, again.se) == pytest.approx((one.change, one.se))


def test_intervals_cover_and_no_difference_is_found_in_5_of_100_where_users_repeat():
    draw = np.random.default_rng(2)
    apart, tested = [], []
    for _ in range(800):
        users = np.repeat(np.arange(120), draw.integers(1, 6, 120))
        taste = draw.normal(size=120)[users]
        y = draw.random(len(users)) < 1 / (1 + np.exp(-taste))
        # Two scores that are equally good on average, each wrong by user.
        a, b = (taste + draw.normal(size=120)[users] for _ in range(2))
        found = auc_change(y, a, b, users)
        apart.append(found.low <= 0 <= found.high)
        tested.append(found.change / found.se)
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

    truth = np.mean([auc_change(*logs(20_000)).change for _ in range(6)])
    found = [auc_change(*logs(300)) for _ in range(600)]
    assert 0.93 <= np.mean([each.low <= truth <= each.high for each in found]) <= 0.97


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="y: got labels of one kind"):
        auc_change([1, 1], [0, 1], [1, 0])
    with pytest.raises(ValueError, match="after: got shape"):
        auc_change([1, 0], [0, 1], [1, np.nan])
    with pytest.raises(ValueError, match="clusters: got 1 for 2 rows"):
        auc_change([1, 0], [0, 1], [1, 0], [7, 7])
    with pytest.raises(ValueError, match="alpha: got 2"):
        auc_change([1, 0], [0, 1], [1, 0], alpha=2)
