"""Short tests: by hand on a path without noise, and the shares that theory gives."""

import numpy as np
import pandas as pd
import pytest

from toolkit.tradeoffs.local_level import best_gain, calm_share, tracking_error
from toolkit.tradeoffs.short_tests import jumping_level, short_tests, wrong_picks


def test_a_path_jumps_as_often_and_as_far_as_asked():
    path = jumping_level(4000, rate=0.05, size=2.0, paths=20, rng=0)
    steps = np.diff(path, axis=0)
    assert set(np.unique(np.abs(steps).round(9))) == {0.0, 2.0}
    assert (steps != 0).mean() == pytest.approx(0.05, abs=4 * (0.05 / 80_000) ** 0.5)


def test_the_errors_of_long_simulations_are_the_closed_form_s():
    paths = jumping_level(3650, rate=1 / 60, size=1.0, paths=100, rng=1)
    best = best_gain(drift=1 / 60)
    tests = short_tests(paths, days=14, long=0.03, short=best, tests=20_000, rng=2)
    by_path = tests.groupby("path")["year"].mean()
    gap = tracking_error(0.03, drift=1 / 60) - tracking_error(best, drift=1 / 60)
    assert by_path.mean() == pytest.approx(gap, abs=4 * by_path.std() / 10)
    free = (tests["jumps"] == 0).groupby(tests["path"]).mean()
    # Whole days, of which the first can't hold a jump that the test would see: 13 chances.
    assert free.mean() == pytest.approx((1 - 1 / 60) ** 13, abs=4 * free.std() / 10)
    assert free.mean() == pytest.approx(calm_share(13, rate=1 / 60), abs=0.03)


def test_after_calm_two_weeks_pick_the_year_s_loser_and_a_year_doesn_t():
    paths = jumping_level(3650, rate=1 / 60, size=1.0, paths=50, rng=3)
    settings = {"long": 0.03, "short": best_gain(drift=1 / 60), "tests": 5000, "rng": 4}
    wrong = {
        (days, start): wrong_picks(short_tests(paths, days=days, start=start, **settings))
        for days in (14, 365)
        for start in ("any day", "after calm")
    }
    assert 0.6 < wrong[14, "after calm"] < 0.8
    assert 0.4 < wrong[14, "any day"] < 0.55
    assert max(wrong[365, "any day"], wrong[365, "after calm"]) < 0.1
    seen = short_tests(paths, days=14, start="after calm", **settings)
    assert (seen["true"] < 0).mean() > 0.75


def test_arms_of_their_own_are_noisier_but_fair():
    paths = jumping_level(3650, rate=1 / 60, size=1.0, paths=50, rng=3)
    settings = {"long": 0.03, "short": best_gain(drift=1 / 60), "days": 365, "tests": 5000, "rng": 4}
    spread = {}
    for arm in (0.5, 0.05):
        tests = short_tests(paths, arm=arm, **settings)
        gap = tests["measured"] - tests["true"]
        by_path = gap.groupby(tests["path"]).mean()
        assert abs(by_path.mean()) < 4 * by_path.std() / 50**0.5
        spread[arm] = gap.std()
    # About an estimate that is off by d, noise of variance v squares to a variance of 2 v^2 + 4 v d^2.
    errors = [tracking_error(settings[name], drift=1 / 60) for name in ("long", "short")]
    for arm, found in spread.items():
        own = sum(2 / of**2 + 4 / of * d for of, d in zip((arm, 1 - arm), errors, strict=True)) / 365
        assert found == pytest.approx(own**0.5, rel=0.1)
    both = short_tests(paths, **settings)
    assert wrong_picks(both) < 0.1 < 0.35 < wrong_picks(tests)


def test_tests_after_calm_begin_after_calm():
    path = np.zeros(1000)
    path[400:] = 1.0
    begin = short_tests(path, days=7, long=0.1, short=0.3, start="after calm", calm=100, tests=300)["begin"]
    assert ((begin < 400) | (begin >= 500)).all()


def test_where_nothing_ever_jumps_no_pick_is_wrong():
    tests = short_tests(np.zeros(3650), days=120, long=0.03, short=0.3, tests=200)
    assert wrong_picks(tests) == 0
    assert wrong_picks(pd.DataFrame({"measured": [1.0, -1.0], "year": [-1.0, -1.0]})) == 0.5


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: jumping_level(0, rate=0.1, size=1), "days: got 0"),
        (lambda: jumping_level(5, rate=2, size=1), "rate: got 2"),
        (lambda: short_tests(np.zeros(100), days=7, long=0.1, short=0.3), r"level: got shape \(100,\)"),
        (lambda: short_tests(np.zeros(800), days=7, long=0.1, short=0.3, arm=1), "arm: got 1"),
        (lambda: short_tests(np.zeros(800), days=400, long=0.1, short=0.3), "days: got 400"),
        (lambda: short_tests(np.zeros(800), days=7, long=0.3, short=0.1), "long: got 0.3, short 0.1"),
        (
            lambda: short_tests(np.zeros(800), days=7, long=0.1, short=0.3, start="monday"),
            "start: got 'monday'",
        ),
        (
            lambda: short_tests(np.arange(800.0), days=7, long=0.1, short=0.3, start="after calm", calm=10),
            "calm: got 10; no day of the paths",
        ),
    ],
)
def test_bad_input_is_refused_by_name_value_and_rule(call, message):
    with pytest.raises(ValueError, match=message):
        call()
