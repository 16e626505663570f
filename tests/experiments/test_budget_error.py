"""Standard errors under a shared and a split budget, and the power that follows from them."""

import pytest

from toolkit.experiments.budget_error import repeated
from toolkit.experiments.designs import budget_split_power


@pytest.mark.parametrize(("design", "capacity"), [("shared", 9), ("split", None)])
def test_without_a_split_budget_users_are_as_good_as_independent(design, capacity):
    told = repeated(design, lift=0.0, capacity=capacity)
    assert told["variation"] == pytest.approx(1, abs=0.12)
    assert told["significant"] == pytest.approx(0.05, abs=0.035)


def test_a_split_budget_varies_less_the_scarcer_it_is_and_by_hour_too_the_error_is_right():
    told = [repeated("split", lift=0.0, capacity=capacity) for capacity in (2, 9, 18)]
    variations = [each["variation"] for each in told]
    assert variations == sorted(variations)
    assert variations[1] < 0.75
    assert told[1]["significant"] < 0.02
    for each in told:
        assert each["variation_by_hour_too"] == pytest.approx(0.95, abs=0.12)
        assert 0.02 < each["significant_by_hour_too"] < 0.09


def test_the_split_budget_s_power_is_the_formula_s():
    told = repeated("split", lift=0.5, capacity=12)
    # The standard deviation over users that gives this error, and the effect as it is left.
    sd = told["error"] * (1_000 / 4) ** 0.5
    power = budget_split_power(told["estimate"], sd=sd, users=1_000, exhausted=0, variation=told["variation"])
    assert 0.1 < power < 0.95
    assert told["significant"] == pytest.approx(power, abs=0.08)
    assert told["significant_by_hour_too"] > told["significant"] + 0.05


@pytest.mark.parametrize(
    ("change", "message"),
    [({"tests": 1}, "tests: got 1"), ({"capacity": 0}, "capacity: got 0"), ({"lift": 2}, "lift: got 2")],
)
def test_bad_settings_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        repeated("split", **{"lift": 0.0, "capacity": 9, **change})
