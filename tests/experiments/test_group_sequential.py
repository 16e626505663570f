"""The recursion agrees with published tables, with closed forms, and with simulation."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal, norm

from toolkit.experiments.group_sequential import (
    crossing,
    design,
    false_positive_rate,
    inflation,
    obrien_fleming,
    pocock,
    spending_bounds,
)
from toolkit.experiments.winners_curse import selection_errors


@pytest.mark.parametrize(
    ("looks", "rate"), [(1, 0.05), (2, 0.083), (5, 0.142), (10, 0.193), (20, 0.248), (50, 0.320)]
)
def test_false_positives_of_k_looks_agree_with_armitage_mcpherson_and_rowe_1969(looks, rate):
    # Their table rounds to three places; at 50 looks the exact value is 0.3205.
    assert false_positive_rate(looks) == pytest.approx(rate, abs=0.0006)


def test_a_fortnight_of_daily_looks_is_wrong_22_percent_of_the_time():
    assert false_positive_rate(14) == pytest.approx(0.220, abs=0.0005)


POCOCK = [2.178, 2.289, 2.361, 2.413, 2.453, 2.485, 2.512, 2.535, 2.555]
OBRIEN_FLEMING = [1.977, 2.004, 2.024, 2.040, 2.053, 2.063, 2.072, 2.080, 2.087]


@pytest.mark.parametrize(("looks", "constant"), list(enumerate(POCOCK, start=2)))
def test_pocock_constants_agree_with_jennison_and_turnbull_table_2_1(looks, constant):
    assert round(pocock(looks), 3) == constant


@pytest.mark.parametrize(("looks", "constant"), list(enumerate(OBRIEN_FLEMING, start=2)))
def test_obrien_fleming_constants_agree_with_jennison_and_turnbull_table_2_3(looks, constant):
    assert round(obrien_fleming(looks), 3) == constant


def test_two_looks_agree_with_the_bivariate_normal():
    # Stay inside [-c, c] at both looks: a rectangle of a normal with correlation sqrt(1/2).
    for drift in (0.0, 1.5):
        mean = [drift * np.sqrt(0.5), drift]
        both = multivariate_normal(mean, [[1, np.sqrt(0.5)], [np.sqrt(0.5), 1]])
        inside = both.cdf([1.96, 1.96], lower_limit=[-1.96, -1.96])
        assert crossing([1.96, 1.96], drift=drift)["stopped"].iloc[-1] == pytest.approx(1 - inside, abs=1e-5)


@pytest.fixture(scope="module")
def walks():
    """Z-statistics of 40,000 tests without effect at 20 looks."""
    steps = np.random.default_rng(0).normal(size=(40_000, 20))
    return np.cumsum(steps, axis=1) / np.sqrt(np.arange(1, 21))


def test_rates_and_constants_agree_with_simulation(walks):
    error = 3.5 * np.sqrt(0.25 * 0.75 / len(walks))
    assert (np.abs(walks) > norm.isf(0.025)).any(axis=1).mean() == pytest.approx(
        false_positive_rate(20), abs=error
    )
    error = 3.5 * np.sqrt(0.05 * 0.95 / len(walks))
    assert (np.abs(walks) > pocock(20)).any(axis=1).mean() == pytest.approx(0.05, abs=error)
    falling = obrien_fleming(20) * np.sqrt(20 / np.arange(1, 21))
    assert (np.abs(walks) > falling).any(axis=1).mean() == pytest.approx(0.05, abs=error)


def test_power_duration_and_exaggeration_agree_with_simulation(walks):
    drift, bounds = 2.5, np.full(20, 1.96)
    shares = np.arange(1, 21) / 20
    z = walks + drift * np.sqrt(shares)
    crossed = np.abs(z) > bounds
    stops = crossed.any(axis=1)
    at = np.where(stops, crossed.argmax(axis=1), 19)
    claim = z[np.arange(len(z)), at] / np.sqrt(shares[at])
    told = design(bounds, drift=drift)
    assert told["power"] == pytest.approx((stops & (claim > 0)).mean(), abs=0.008)
    assert told["duration"] == pytest.approx(shares[at].mean(), abs=0.008)
    assert told["exaggeration"] == pytest.approx(np.abs(claim[stops]).mean() / drift, abs=0.03)


def simulated_rate(information, tests=100_000):
    steps = np.sqrt(np.diff([0.0, *information]))
    inside = np.ones(tests, dtype=bool)
    draws, score = np.random.default_rng(0), np.zeros(tests)
    for step, time in zip(steps, information, strict=True):
        score += step * draws.normal(size=tests)
        inside &= np.abs(score) < 1.96 * np.sqrt(time)
    return 1 - inside.mean()


DAY_AND_NIGHT = np.cumsum(np.tile(np.r_[np.full(8, 0.002), np.ones(16)], 3))


@pytest.mark.parametrize(
    "information",
    [
        [0.5, 0.505, 1.0],
        [0.5, 0.5 + 1e-6, 1.0],
        [0.1, 0.1001, 0.2, 0.2001, 0.6, 1.0],
        [1e-4, 0.3, 0.99, 1.0],
        DAY_AND_NIGHT / DAY_AND_NIGHT[-1],
    ],
    ids=["close", "very close", "pairs", "from almost nothing", "hourly with quiet nights"],
)
def test_looks_at_any_distance_agree_with_simulation(information):
    found = crossing([1.96] * len(information), information=information)["stopped"].iloc[-1]
    error = 3.5 * np.sqrt(found * (1 - found) / 100_000)
    assert found == pytest.approx(simulated_rate(information), abs=error)


def test_a_look_right_after_another_adds_less_and_less():
    two = crossing([1.96] * 2)["stopped"].iloc[-1]
    extra = [
        crossing([1.96] * 3, information=[0.5, 0.5 + gap, 1.0])["stopped"].iloc[-1] - two
        for gap in (1e-2, 1e-4, 1e-6, 1e-8, 1e-12)
    ]
    # A step of variance s crosses an edge it starts under with a chance that falls as sqrt(s).
    assert extra[1] / extra[2] == pytest.approx(10, rel=0.05)
    assert extra[2] / extra[3] == pytest.approx(10, rel=0.05)
    assert extra == sorted(extra, reverse=True)
    assert 0 <= extra[-1] < 1e-6


def test_looks_of_every_size_are_consistent_where_a_boundary_drops_or_is_missing():
    # A look that can't stop, right before or after one that can, changes nothing.
    for gap in (1e-1, 1e-3, 1e-6):
        times = [0.4 - gap, 0.4, 0.4 + gap, 1.0]
        found = crossing([np.inf, 2.1, np.inf, 1.9], information=times, drift=1.0)
        expected = crossing([2.1, 1.9], information=[0.4, 1.0], drift=1.0)
        assert found["stopped"].iloc[-1] == pytest.approx(expected["stopped"].iloc[-1], abs=1e-8)
        assert found["claim"].sum() == pytest.approx(expected["claim"].sum(), abs=1e-7)


@pytest.mark.parametrize(("looks", "factor"), [(2, 1.110), (5, 1.229), (10, 1.301)])
def test_pocock_s_price_agrees_with_jennison_and_turnbull_table_2_2(looks, factor):
    assert inflation([pocock(looks)] * looks) == pytest.approx(factor, abs=0.0006)


@pytest.mark.parametrize(("looks", "factor"), [(2, 1.008), (5, 1.028), (10, 1.040)])
def test_obrien_fleming_s_price_agrees_with_jennison_and_turnbull_table_2_4(looks, factor):
    bounds = obrien_fleming(looks) * np.sqrt(looks / np.arange(1, looks + 1))
    assert inflation(bounds) == pytest.approx(factor, abs=0.0006)


def test_claims_are_sizes_as_in_gelman_and_carlin():
    told = design([norm.isf(0.025)], drift=1.0)
    assert told["exaggeration"] == pytest.approx(selection_errors(1.0, 1.0)["type_m"], abs=1e-9)
    assert design([2.0, 2.0], drift=-1.5) == pytest.approx(design([2.0, 2.0], drift=1.5), abs=1e-9)


def test_one_look_is_the_fixed_test():
    assert crossing([1.96])["stopped"].iloc[0] == pytest.approx(2 * norm.sf(1.96), abs=1e-12)
    assert pocock(1) == obrien_fleming(1) == pytest.approx(norm.isf(0.025))
    assert design([norm.isf(0.025)], drift=norm.isf(0.025) + norm.isf(0.2))["power"] == pytest.approx(
        0.8, abs=1e-5
    )
    assert np.isnan(design([1.96], drift=0.0)["exaggeration"])


def test_spending_bounds_spend_alpha_and_reproduce_the_known_two_look_plan():
    # Lan and DeMets with O'Brien-Fleming spending at half and full information: 2.963 and 1.969.
    assert [round(b, 3) for b in spending_bounds([0.5, 1.0])] == [2.963, 1.969]
    for spending in ("obrien_fleming", "pocock", "linear"):
        times = [0.1, 0.35, 0.8, 1.0]
        table = crossing(spending_bounds(times, spending=spending), information=times)
        assert table["stopped"].iloc[-1] == pytest.approx(0.05, abs=1e-7)
    # Linear spending at two looks spends half at each.
    table = crossing(spending_bounds([0.5, 1.0], spending="linear"), information=[0.5, 1.0])
    assert list(table["stopped"]) == pytest.approx([0.025, 0.05], abs=1e-7)


def test_a_look_that_cannot_stop_changes_nothing():
    table = crossing([np.inf, 1.96], drift=1.0)
    assert table["stopped"].iloc[-1] == pytest.approx(norm.sf(0.96) + norm.cdf(-2.96), abs=1e-7)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: crossing([]), "bounds: got none"),
        (lambda: crossing([2.0, -1.0]), "bounds: got -1.0; a boundary on .z. must be positive"),
        (lambda: crossing([2.0], information=[0.5, 1.0]), "information: got 2 values for 1 looks"),
        (lambda: crossing([2.0, 2.0], information=[0.5, 0.5]), r"must ascend in \(0, 1\]"),
        (lambda: crossing([2.0], information=[1.5]), r"must ascend in \(0, 1\]"),
        (lambda: false_positive_rate(0), "looks: got 0; it must be a whole number, 1 at least"),
        (lambda: false_positive_rate(2.5), "looks: got 2.5"),
        (lambda: pocock(5, alpha=0), "alpha: got 0; it must lie strictly between 0 and 1"),
        (lambda: spending_bounds([1.0], spending="all"), "spending: got 'all'"),
        (lambda: inflation([2.0], power=0.01), "power: got 0.01; it must lie strictly between 0.05 and 1"),
    ],
)
def test_bad_input_is_refused_by_name_value_and_rule(call, message):
    with pytest.raises(ValueError, match=message):
        call()
