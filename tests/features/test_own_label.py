"""The own label's AUC is that of the two binomials, and falls with the root of the traffic."""

from decimal import Decimal, getcontext

import numpy as np
import pytest

from toolkit.auc import auc
from toolkit.features.own_label import fewest_events, leak_auc


@pytest.mark.parametrize(("n", "expected"), [(1, 0.955), (5, 0.840), (10, 0.767), (30, 0.666), (100, 0.593)])
def test_the_outline_s_values(n, expected):
    assert leak_auc(n, 0.1) == pytest.approx(expected, abs=5e-4)


def test_with_one_other_event_it_is_one_less_half_a_tie():
    # 1 + S against S': they tie at 1 where S = 0 and S' = 1, and it's never below.
    assert leak_auc(1, 0.3) == pytest.approx(1 - 0.7 * 0.3 / 2)
    assert leak_auc(0, 0.3) == 1.0
    assert leak_auc(10, 0.5) == pytest.approx(0.668, abs=5e-4)


def test_a_simulation_agrees():
    rng = np.random.default_rng(0)
    y = rng.random(200_000) < 0.1
    assert auc(y.astype(int), rng.binomial(7, 0.1, len(y)) + y) == pytest.approx(leak_auc(7, 0.1), abs=0.005)


def test_from_some_traffic_on_it_is_the_normal_approximation():
    assert leak_auc(5_000, 0.1) - 0.5 == pytest.approx(1 / (2 * np.sqrt(np.pi * 5_000 * 0.09)), rel=1e-3)


def test_the_fewest_events_are_right_to_the_last_one_by_decimals_of_fifty_digits():
    getcontext().prec = 50

    def excess(n):
        p, chance = Decimal("0.1"), [Decimal("0.9") ** n]
        for k in range(n):
            chance.append(chance[-1] * (n - k) / (k + 1) * p / (1 - p))
        ties = sum(x * x for x in chance) / 2
        return ties + sum(x * y for x, y in zip(chance, chance[1:], strict=False)) / 2

    n = fewest_events(0.01, 0.1)
    assert excess(n) < Decimal("0.01") <= excess(n - 1)


@pytest.mark.parametrize(
    ("work", "message"),
    [
        (lambda: leak_auc(-1, 0.1), "n: got -1"),
        (lambda: leak_auc(3, 1.0), "p: got 1.0"),
        (lambda: fewest_events(0.5, 0.1), "excess: got 0.5"),
    ],
)
def test_bad_settings_are_refused(work, message):
    with pytest.raises(ValueError, match=message):
        work()
