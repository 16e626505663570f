"""Contacts between users: what each design measures against simulated tests, its error, refusals."""

import numpy as np
import pytest

from toolkit.experiments.designs import design_effect
from toolkit.experiments.spillover import compared, estimates, measured


@pytest.mark.parametrize("design", ["users", "clusters"])
@pytest.mark.parametrize("spill", [-0.5, 0.0, 0.5])
def test_simulated_tests_measure_what_the_formula_says(design, spill):
    told = [
        estimates(design, direct=0.4, spill=spill, leak=0.25, clusters=60, size=20, icc=0.05, rng=seed)[
            "estimate"
        ]
        for seed in range(300)
    ]
    wanted = measured(design, direct=0.4, spill=spill, leak=0.25)
    # A user isn't among the user's own contacts: a split of users has them treated 1 in N seldomer.
    assert np.mean(told) == pytest.approx(wanted, abs=3.5 * np.std(told) / np.sqrt(300) + 0.001)


def test_a_switchback_alternating_between_whole_markets():
    # The outcome follows the contacts' state, which lags by a fifth of a period.
    rng = np.random.default_rng(0)
    z = rng.random(40_000) < 0.5
    before = np.roll(z, 1)
    y = {
        False: 0.4 * z + 0.6 * (0.2 * before + 0.8 * z),
        True: 0.4 * z + 0.6 * (0.1 * before + 0.8 * z) / 0.9,
    }
    for washed, values in y.items():
        told = values[z].mean() - values[~z].mean()
        wanted = measured("switchback", direct=0.4, spill=0.6, carryover=0.2, washout=0.1 if washed else 0.0)
        assert told == pytest.approx(wanted, abs=0.003)
    assert measured("switchback", direct=0.4, spill=0.6, carryover=0.2, washout=0.3) == 1.0


def test_by_cluster_the_error_is_right_and_as_independent_it_is_small_by_the_design_effect():
    told = [
        estimates("clusters", direct=0, spill=0, clusters=80, size=20, icc=0.05, rng=seed)
        for seed in range(1_500)
    ]
    z = {name: np.array([t["estimate"] / t[name] for t in told]) for name in ("as_independent", "by_cluster")}
    assert np.mean(np.abs(z["by_cluster"]) > 1.96) == pytest.approx(0.053, abs=0.02)
    assert np.mean(np.abs(z["as_independent"]) > 1.96) == pytest.approx(0.16, abs=0.025)
    ratio = np.mean([t["by_cluster"] ** 2 / t["as_independent"] ** 2 for t in told])
    assert ratio == pytest.approx(design_effect(20, 0.05), rel=0.07)


def test_without_spill_over_all_designs_measure_the_launch_and_the_user_split_is_the_cheapest():
    table = compared(direct=0.1, spill=0, sd=1, a_day=1_000, size=20, icc=0.05, period_icc=0.01).set_index(
        "design"
    )
    assert (table["bias"] == 0).all()
    assert table["days"].idxmin() == "users"
    assert table["days"]["clusters"] / table["days"]["users"] == pytest.approx(1.95, rel=1e-3)


def test_cannibalisation_is_invisible_to_a_user_split():
    table = compared(direct=0.1, spill=-0.06, sd=1, a_day=1_000, size=20, icc=0.05, leak=0.5).set_index(
        "design"
    )
    assert table["bias"].to_dict() == pytest.approx({"users": 0.06, "clusters": 0.03, "switchback": 0.0})


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: measured("towns", direct=0, spill=0),
            "design: got 'towns'; it must be one of users, clusters",
        ),
        (lambda: measured("users", direct=0, spill=0, leak=2), "leak: got 2"),
        (lambda: measured("users", direct=float("nan"), spill=0), "direct: got nan"),
        (lambda: measured("users", direct=0, spill="x"), "spill: got 'x'"),
        (lambda: measured("switchback", direct=0, spill=0, carryover=-1), "carryover: got -1"),
        (lambda: measured("switchback", direct=0, spill=0, washout=1), "washout: got 1"),
        (
            lambda: estimates("switchback", direct=0, spill=0, clusters=4, size=2, icc=0),
            "design: got 'switchback'",
        ),
        (lambda: estimates("users", direct=0, spill=0, clusters=3, size=2, icc=0), "clusters: got 3"),
        (lambda: estimates("users", direct=0, spill=0, clusters=4, size=1, icc=0), "size: got 1"),
        (lambda: estimates("users", direct=0, spill=0, clusters=4, size=2, icc=2), "icc: got 2"),
        (
            lambda: compared(direct=0, spill=0, sd=1, a_day=10, size=5, icc=0, periods_a_day=0),
            "periods_a_day: got 0",
        ),
    ],
)
def test_bad_settings_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
