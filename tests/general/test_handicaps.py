"""Late, coarse and missing signals keep the share of R2 that theory says, and simulation too."""

import numpy as np
import pytest

from toolkit.general.handicaps import (
    break_even_latency,
    by_latency,
    neighbours_kept,
    quantised_kept,
    staleness_kept,
)


@pytest.mark.parametrize(("levels", "lost"), [(2, 0.3634), (4, 0.1175), (8, 0.03454), (16, 0.009497)])
def test_the_best_levels_lose_what_max_published(levels, lost):
    assert 1 - quantised_kept(levels) == pytest.approx(lost, abs=6e-5)


def test_levels_keep_what_the_outline_says_and_deciles_less_than_the_best_ten():
    kept = [quantised_kept(levels) for levels in (2, 4, 8, 16)]
    assert kept == pytest.approx([0.637, 0.883, 0.965, 0.991], abs=0.0006)
    assert quantised_kept(10, rule="quantiles") == pytest.approx(0.959, abs=0.0005)
    assert quantised_kept(10) > quantised_kept(10, rule="quantiles")
    # With two levels both rules cut at 0, and the mean of a half normal is known.
    assert quantised_kept(2, rule="quantiles") == pytest.approx(2 / np.pi)


@pytest.mark.parametrize("shift", [0.0, 1.5])
def test_what_levels_keep_is_the_r2_of_a_regression_on_them(shift):
    rng = np.random.default_rng(0)
    raw = rng.normal(size=400_000) + shift
    y = 0.7 * raw + rng.normal(size=raw.size)
    level = np.searchsorted([-0.6745, 0.0, 0.6745], raw)
    means = np.array([y[level == place].mean() for place in range(4)])[level]
    ratio = np.corrcoef(means, y)[0, 1] ** 2 / np.corrcoef(raw, y)[0, 1] ** 2
    assert quantised_kept(4, rule="quantiles", shift=shift) == pytest.approx(ratio, abs=0.006)


def test_a_shift_costs_coarse_levels_most_and_many_levels_nothing():
    assert quantised_kept(4, shift=2.0) < 0.5
    assert quantised_kept(64, shift=1.0) > 0.99
    assert quantised_kept(4, shift=-1.0) == pytest.approx(quantised_kept(4, shift=1.0))


def ou(steps, half_life, rng):
    """Many paths of a fading signal, one row a step."""
    keep = 2 ** (-1 / half_life)
    path = rng.normal(size=(steps, 60_000))
    for step in range(1, steps):
        path[step] = keep * path[step - 1] + np.sqrt(1 - keep**2) * path[step]
    return path


def test_a_late_signal_and_an_upstream_score_one_retraining_older_keep_a_correlation_squared():
    rng = np.random.default_rng(1)
    path = ou(13, half_life=8.0, rng=rng)
    # Retrained every 4 steps. Now is step 11: the model's own retraining was at 8. One that is trained
    # on another's output was trained at 8 on the score that the other learned at 4.
    y = path[11] + rng.normal(size=path.shape[1])
    r2 = {step: np.corrcoef(y, path[step])[0, 1] ** 2 for step in (4, 8, 11)}
    assert r2[8] / r2[11] == pytest.approx(staleness_kept(3, half_life=8), abs=0.02)
    # However old the newest score is, one retraining more costs the same share.
    assert r2[4] / r2[8] == pytest.approx(staleness_kept(4, half_life=8), abs=0.02)
    assert staleness_kept(0.0) == 1


def test_missing_neighbours_keep_the_coverage_where_they_tell_different_things():
    rng = np.random.default_rng(2)
    x = rng.normal(size=(200_000, 3))
    y = x.mean(1) + rng.normal(size=len(x))
    read = np.where(rng.random(x.shape) < 0.4, x, 0.0)  # the mean, imputed
    full, part = (np.corrcoef(y, features.mean(1))[0, 1] ** 2 for features in (x, read))
    assert part / full == pytest.approx(0.4, abs=0.01)
    assert neighbours_kept(0.4, neighbours=3) == pytest.approx(0.4)
    assert neighbours_kept(1.0, neighbours=7, alike=0.3) == pytest.approx(1)


def test_neighbours_that_repeat_each_other_are_missed_less():
    rng = np.random.default_rng(3)
    n, alike = 4, 0.6
    x = np.sqrt(alike) * rng.normal(size=(300_000, 1)) + np.sqrt(1 - alike) * rng.normal(size=(300_000, n))
    target = x.mean(1)
    there = rng.random(x.shape) < 0.5
    known = there.sum(1)
    mean = np.divide((x * there).sum(1), known, out=np.zeros(len(x)), where=known > 0)
    best = np.zeros(len(x))
    for k in range(1, n + 1):
        rows = known == k
        best[rows] = mean[rows] * (mean[rows] @ target[rows]) / (mean[rows] @ mean[rows])
    assert neighbours_kept(0.5, neighbours=n, alike=alike) == pytest.approx(
        best.var() / target.var(), abs=0.01
    )
    # Wholly alike: one of them is enough.
    assert neighbours_kept(0.5, neighbours=n, alike=1.0) == pytest.approx(1 - 0.5**n)


def test_losses_that_have_nothing_to_do_with_each_other_multiply():
    path = ou(2, half_life=2.0, rng=np.random.default_rng(4))
    read = np.searchsorted([-0.6745, 0.0, 0.6745], path[0])  # quartiles, one step late
    y = path[1] + np.random.default_rng(5).normal(size=path.shape[1])
    means = np.array([y[read == place].mean() for place in range(4)])[read]
    ratio = np.corrcoef(means, y)[0, 1] ** 2 / np.corrcoef(path[1], y)[0, 1] ** 2
    expected = staleness_kept(1, half_life=2) * quantised_kept(4, rule="quantiles")
    assert ratio == pytest.approx(expected, abs=0.02)


def test_break_even_latencies_are_those_of_the_outline():
    assert break_even_latency(0.5, 0.3) == pytest.approx(0.368, abs=0.0005)
    assert break_even_latency(0.4, 0.25, half_life=6) == pytest.approx(3 * np.log2(1.6))
    assert break_even_latency(0.4, 0.25, half_life=6) == pytest.approx(2.034, abs=0.0005)


@pytest.mark.parametrize(("fresh", "incumbent", "kept"), [(0.5, 0.3, 1.0), (0.8, 0.1, 0.637), (0.31, 0.3, 1)])
def test_at_the_break_even_pilot_and_incumbent_are_equal(fresh, incumbent, kept):
    turn = break_even_latency(fresh, incumbent, half_life=2, kept=kept)
    assert fresh * kept * staleness_kept(turn, half_life=2) == pytest.approx(incumbent)


def test_a_pilot_that_loses_fresh_has_no_break_even():
    assert break_even_latency(0.2, 0.3) == 0
    assert break_even_latency(0.5, 0.45, kept=0.637) == 0


@pytest.mark.parametrize(
    ("fresh", "incumbent", "kept", "wrong_from"),
    [
        (0.5, 0.3, 1.0, 0.3685),
        (0.5, 0.45, 0.637, 0.0),
        (0.2, 0.3, 1.0, None),
        (0.9, 0.01, 1.0, None),
        (0.9, 0.02, 1.0, 2.746),
    ],
)
def test_the_wrong_region_lies_where_the_pilot_loses_and_the_build_wins(fresh, incumbent, kept, wrong_from):
    table = by_latency(fresh, incumbent, kept=kept)
    full = table[table["deployment"] == "full build"]
    shaded = full[full["low"] < full["high"]]
    if wrong_from is None:
        assert shaded.empty
    else:
        assert shaded["latency"].min() == pytest.approx(wrong_from, abs=1e-3)
        assert shaded["latency"].max() == 3
        pilot = table[table["deployment"] == "pilot"]
        # At latency 0 the pilot loses only where the region begins there.
        loses = (pilot["latency"] > wrong_from) | (wrong_from == 0)
        assert ((pilot["r2"] < incumbent) == loses).all()
        assert (shaded["low"] == incumbent).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: staleness_kept(-1), "latency: got -1; it must be finite and not negative"),
        (lambda: staleness_kept(float("nan")), "latency: got nan"),
        (lambda: staleness_kept(1, half_life=0), "half_life: got 0; it must lie above 0"),
        (lambda: quantised_kept(1), "levels: got 1; it must be a whole number, 2 at least"),
        (lambda: quantised_kept(4, rule="best"), "rule: got 'best'; it must be one of optimal, quantiles"),
        (lambda: quantised_kept(4, shift=float("inf")), "shift: got inf; it must be a finite number"),
        (lambda: neighbours_kept(1.2), r"coverage: got 1.2; it must lie in \[0, 1\]"),
        (lambda: neighbours_kept(0.5, neighbours=0), "neighbours: got 0"),
        (lambda: neighbours_kept(0.5, alike=-0.1), "alike: got -0.1"),
        (lambda: break_even_latency(0, 0.3), r"fresh: got 0; it must lie in \(0, 1\]"),
        (lambda: break_even_latency(0.5, 1.3), "incumbent: got 1.3"),
        (lambda: break_even_latency(0.5, 0.3, kept=0), "kept: got 0"),
        (lambda: break_even_latency(0.5, 0.3, half_life=-1), "half_life: got -1"),
    ],
)
def test_bad_settings_are_refused_by_name_value_and_rule(call, message):
    with pytest.raises(ValueError, match=message):
        call()
