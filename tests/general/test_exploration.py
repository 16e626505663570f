"""What exploration costs and sees: exact cases, simulation, and how both scale."""

import numpy as np
import pytest
from scipy.stats import norm

from toolkit.auc import auc
from toolkit.general.exploration import auc_error, exploration_plan

PLAN = {"value_old": 0.3, "value_random": 0.1}


def test_at_an_auc_of_one_half_the_error_is_that_of_the_rank_sum():
    for good, bad in ((10, 40), (500, 500)):
        assert auc_error(0.5, good, bad) == pytest.approx(
            np.sqrt((good + bad + 1) / (12 * good * bad)), rel=1e-12
        )


def test_simulated_aucs_of_exponential_scores_spread_as_hanley_and_mcneil_say():
    rng = np.random.default_rng(0)
    # Good scores of mean 7/3 against bad ones of mean 1: an AUC of (7/3) / (7/3 + 1) = .7.
    y = np.r_[np.ones(60), np.zeros(120)]
    told = [auc(y, np.r_[rng.exponential(7 / 3, 60), rng.exponential(1, 120)]) for _ in range(3000)]
    assert np.mean(told) == pytest.approx(0.7, abs=0.003)
    assert np.std(told) == pytest.approx(auc_error(0.7, 60, 120), rel=0.05)


def test_the_price_is_linear_in_epsilon_and_the_error_falls_with_the_root_of_the_explored_rows():
    small, large = exploration_plan(0.01, 100_000, **PLAN), exploration_plan(0.04, 100_000, **PLAN)
    assert small["price"] == pytest.approx(0.01 * 100_000 * 0.2)
    assert large["price"] == pytest.approx(4 * small["price"])
    assert large["se"] == pytest.approx(small["se"] / 2, rel=0.001)
    assert exploration_plan(0.02, 50_000, **PLAN)["se"] == pytest.approx(small["se"])


def test_without_a_difference_the_power_is_the_level_and_it_grows_to_one():
    assert exploration_plan(0.05, 60_000, **PLAN, difference=0)["power"] == pytest.approx(0.05)
    assert exploration_plan(0.5, 1_000_000, **PLAN, difference=0.05)["power"] > 0.999
    plan = exploration_plan(0.05, 60_000, **PLAN)
    at_80 = exploration_plan(0.05, 60_000, **PLAN, difference=(norm.isf(0.025) + norm.isf(0.2)) * plan["se"])
    assert at_80["power"] == pytest.approx(0.8, abs=1e-4)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: auc_error(1.0, 5, 5), "auc: got 1.0; it must lie strictly between 0 and 1"),
        (lambda: auc_error(0.7, 0.5, 5), "positives: got 0.5; it must be 1 at least"),
        (lambda: exploration_plan(0, 100, **PLAN), r"epsilon: got 0; it must lie in \(0, 1\]"),
        (lambda: exploration_plan(0.1, 0, **PLAN), "requests: got 0"),
        (lambda: exploration_plan(0.1, 9, value_old=np.nan, value_random=0.1), "value_old: got nan"),
        (lambda: exploration_plan(0.1, 1000, **PLAN, difference=np.inf), "difference: got inf"),
        (
            lambda: exploration_plan(0.1, 1000, **PLAN, correlation=1),
            r"correlation: got 1; it must lie in \[0, 1\)",
        ),
        (lambda: exploration_plan(0.1, 1000, **PLAN, positive_rate=0), "positive_rate: got 0"),
        (lambda: exploration_plan(0.001, 1000, **PLAN), "positives: got 0.1; it must be 1 at least"),
    ],
)
def test_bad_input_is_refused_by_name_value_and_rule(call, message):
    with pytest.raises(ValueError, match=message):
        call()
