"""Switchbacks: the simulation against closed forms of its mean and variance, its error, refusals."""

import math

import numpy as np
import pytest

from toolkit.experiments.spillover import measured
from toolkit.experiments.switchback import by_period, expected, switchbacks

WORLD = {"direct": 0.1, "spill": -0.05}


@pytest.mark.parametrize(("period", "washout"), [(1, 0.0), (4, 0.0), (2, 0.5)])
@pytest.mark.parametrize("memory", [0.0, 1.0, 3.0])
def test_the_simulation_measures_what_the_formula_says(period, washout, memory):
    told = switchbacks(period=period, memory=memory, washout=washout, tests=300, shock=0, **WORLD)["estimate"]
    wanted = expected(period=period, memory=memory, washout=washout, **WORLD)
    # In steps of ten minutes the contacts react half a step sooner than in the formula's continuous time.
    assert told.mean() == pytest.approx(wanted, abs=3.5 * told.std() / math.sqrt(300) + 0.004)


def test_by_hand_two_steps_a_period():
    # After each step half is left: in a period's first step half is the former period's, in the second a quarter.
    memory = 1 / 6 / math.log(2)
    told = switchbacks(period=2 / 6, memory=memory, direct=0, spill=1, shock=0, noise=0, tests=200)
    assert told["estimate"].mean() == pytest.approx(1 - (0.5 + 0.25) / 2, abs=0.01)
    late = switchbacks(
        period=2 / 6, memory=memory, direct=0, spill=1, shock=0, noise=0, tests=200, washout=0.5
    )
    assert late["estimate"].mean() == pytest.approx(0.75, abs=0.01)


def test_without_memory_or_spill_over_there_is_no_bias_and_long_periods_lose_it():
    assert expected(period=1, memory=0, **WORLD) == pytest.approx(0.05)
    assert expected(period=1, memory=5, direct=0.1, spill=0) == pytest.approx(0.1)
    biases = [expected(period=hours, memory=1, **WORLD) - 0.05 for hours in (0.5, 2, 8, 200)]
    assert biases == sorted(biases, reverse=True)
    assert biases[-1] == pytest.approx(0, abs=1e-3)
    # Very short ones have only the direct effect, as a split of users.
    tiny = expected(period=1e-4, memory=1, **WORLD)
    assert tiny == pytest.approx(measured("users", **WORLD), abs=1e-4)


@pytest.mark.parametrize("period", [1, 12])
def test_the_variance_is_that_of_an_autoregression_s_means(period):
    # Of a mean of n steps whose shocks keep r from one to the next.
    n, r = period * 6, math.exp(-1 / 18)
    lags = np.abs(np.subtract.outer(np.arange(n), np.arange(n)))
    variance = 0.1**2 * (r**lags).mean() + 0.2**2 / n
    told = switchbacks(period=period, memory=0, tests=600, **WORLD)["estimate"]
    assert told.std() == pytest.approx(math.sqrt(4 * variance / (14 * 24 / period)), rel=0.09)


def test_a_day_of_shocks_as_long_as_a_day_varies_as_lots_drawn_among_its_hours_do():
    # The market is in its long run from the first step: lots among 24 means with the autoregression's covariances.
    step = np.arange(144)
    covariance = 0.1**2 * np.exp(-np.abs(np.subtract.outer(step, step)) / (6 * 24))
    hours = covariance.reshape(24, 6, 24, 6).mean((1, 3))
    spread = (np.trace(hours) / 24 - hours.mean()) * 24 / 23
    told = switchbacks(period=1, days=1, memory=0, noise=0, shock_hours=24, tests=4_000, direct=0, spill=0)
    assert told["estimate"].var() == pytest.approx(4 / 24 * spread, rel=0.08)


def test_the_error_by_period_is_right_though_shocks_last_over_several():
    told = switchbacks(period=1, memory=0, direct=0, spill=0, tests=800)
    z = told["estimate"] / told["error"]
    assert np.mean(np.abs(z) > 1.967) == pytest.approx(0.05, abs=0.024)


def test_of_three_periods_an_arm_the_squared_error_is_the_variance_on_average():
    told = switchbacks(period=12, days=3, memory=0, direct=0, spill=0, shock=0, tests=3_000)
    assert (told["error"] ** 2).mean() == pytest.approx(told["estimate"].var(), rel=0.08)


def test_between_short_and_long_there_is_a_best_length_and_memory_moves_it():
    lengths = (0.5, 1, 2, 4, 8, 24, 48)
    best = [
        by_period(lengths, memory=memory, **WORLD).set_index("period")["miss"].idxmin()
        for memory in (0.1, 1, 4)
    ]
    assert best == sorted(best)
    assert 0.5 < best[1] < 48
    table = by_period((1, 24), memory=1, **WORLD).set_index("period")
    assert table["miss"][24] == pytest.approx(math.hypot(table["bias"][24], table["sd"][24]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"period": 0}, "period: got 0"),
        ({"period": 0.25}, "period: got 0.25; it must be a whole number of steps of 1/6 hour"),
        ({"period": 100}, "period: got 100; there must be four of them at least in 14 days"),
        ({"memory": -1}, "memory: got -1; it must not be negative"),
        ({"washout": 1}, r"washout: got 1; it must lie in \[0, 1\)"),
        ({"washout": 0.9}, "washout: got 0.9; it must leave one of 6 steps"),
        ({"spill": float("nan")}, "spill: got nan"),
        ({"direct": "x"}, "direct: got 'x'"),
        ({"shock": -1}, "shock: got -1"),
        ({"noise": -1}, "noise: got -1"),
        ({"shock_hours": 0}, "shock_hours: got 0"),
        ({"days": 0}, "days: got 0"),
        ({"tests": 0}, "tests: got 0"),
    ],
)
def test_bad_settings_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        switchbacks(**{"period": 1, "memory": 1, **WORLD, **change})
