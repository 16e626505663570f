"""Standard errors under a shared and a split budget, and the power that follows from them."""

import pytest

from toolkit.experiments.budget_error import repeated
from toolkit.experiments.designs import budget_split_power


@pytest.mark.parametrize(("design", "capacity"), [("shared", None), ("shared", 9), ("split", None)])
def test_without_a_split_budget_users_are_as_good_as_independent(design, capacity):
    told = repeated(design, lift=0.0, capacity=capacity, tests=300)
    assert told["variation"] == pytest.approx(1, abs=0.1)
    assert told["significant"] == pytest.approx(0.05, abs=0.035)


def test_a_split_budget_varies_less_the_scarcer_it_is():
    variations = [repeated("split", lift=0.0, capacity=capacity)["variation"] for capacity in (2, 9, 18)]
    assert variations == sorted(variations)
    assert variations[1] < 0.8
    assert repeated("split", lift=0.0, capacity=9)["significant"] < 0.02


def test_the_split_budget_s_power_is_the_formula_s():
    told = repeated("split", lift=0.6, capacity=12, tests=300)
    # The standard deviation over users that gives this error, and the effect as it is left.
    sd = told["error"] * (1_000 / 4) ** 0.5
    power = budget_split_power(told["estimate"], sd=sd, users=1_000, exhausted=0, variation=told["variation"])
    assert 0.1 < power < 0.95
    assert told["significant"] == pytest.approx(power, abs=0.07)


@pytest.mark.parametrize(
    ("change", "message"),
    [({"tests": 1}, "tests: got 1"), ({"capacity": 0}, "capacity: got 0"), ({"lift": 2}, "lift: got 2")],
)
def test_bad_settings_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        repeated("split", **{"lift": 0.0, "capacity": 9, **change})
