"""A step is told from a long memory: false alarms are as rare as said up to a random walk, days and sizes are covered."""

import numpy as np
import pytest
from scipy.signal import lfilter

from toolkit.shipping.steps import SIDE, StepScan, largest_by_luck


def series(rng, number, periods, carried):
    surprises = rng.normal(size=(number, periods))
    surprises[:, 0] /= np.sqrt(1 - carried**2) if carried < 1 else 1.0
    return lfilter([1.0], [1.0, -carried], surprises, axis=1)


def test_the_likeliest_step_is_that_of_least_squares():
    values = series(np.random.default_rng(0), 1, 20, 0.4)[0] + 2.0 * (np.arange(20) >= 12)
    best, alone = {}, np.inf
    for carried in np.linspace(-0.3, 1.0, 14):
        free = values[1:] - carried * values[:-1]
        alone = min(alone, ((free - free.mean()) ** 2).sum())
        for at in range(1 + SIDE, 20 - SIDE + 1):
            step = (np.arange(20) >= at).astype(float)
            design = np.column_stack([np.ones(19), step[1:] - carried * step[:-1]])
            found, left = np.linalg.lstsq(design, free, rcond=None)[:2]
            best[float(left[0])] = at, found[1], carried
    scan = StepScan.of(values)
    least = min(best)
    assert (scan.at, scan.size, scan.carried) == pytest.approx(best[least])
    assert scan.ratio == pytest.approx(19 * np.log(alone / least))
    here = min(left for left, (at, *_) in best.items() if at == 9)
    assert scan.size_at(9) == pytest.approx(best[here][1])


# 400 draws at a true 5% stay below 8.5% in 999 of 1,000 runs.
@pytest.mark.parametrize("carried", [0.0, 0.5, 0.8, 1.0])
def test_false_alarms_are_no_more_frequent_than_said_up_to_a_random_walk(carried):
    rng, p = np.random.default_rng(1), []
    for one in series(rng, 400, 30, carried):
        scan = StepScan.of(one)
        (unit,), chances = largest_by_luck([scan], replicates=99, rng=rng)
        p.append((1 + (chances >= scan.ratio / unit - 1e-12).sum()) / 100)
    assert np.mean(np.array(p) <= 0.05) <= 0.085
    assert 0.3 <= np.mean(np.array(p) <= 0.5) <= 0.58


def test_series_that_go_together_count_as_few():
    rng = np.random.default_rng(2)
    apart = [StepScan.of(one) for one in series(rng, 8, 30, 0.0)]
    alike = [StepScan.of(apart[0].series + 1e-6 * rng.normal(size=30)) for _ in range(8)]
    far, near, one = (
        np.quantile(largest_by_luck(scans, replicates=999, rng=3)[1], 0.95)
        for scans in (apart, alike, alike[:1])
    )
    assert near == pytest.approx(one, rel=0.15)
    assert far > 1.2 * near


@pytest.mark.parametrize(("carried", "step"), [(0.0, 1.2), (0.0, 3.0), (0.6, 2.5)])
def test_sizes_and_days_are_covered_where_a_step_is_found_even_a_weak_one(carried, step):
    rng, size, day, found = np.random.default_rng(4), [], [], []
    for one in series(rng, 150, 40, carried):
        scan = StepScan.of(one + step * (np.arange(40) >= 22))
        (unit,), chances = largest_by_luck([scan], replicates=99, rng=rng)
        ratio = unit * chances[-5]
        low, high = scan.sizes_within(ratio)
        size.append(low <= step <= high)
        first, last = scan.days(0.05)
        day.append(first <= 22 <= last)
        found.append(scan.ratio > ratio)
        assert (low <= 0 <= high) is not bool(found[-1])
    size, day, found = map(np.array, (size, day, found))
    assert size.mean() >= 0.93
    assert size[found].mean() >= 0.9
    assert day.mean() >= (0.9 if step == 3.0 else 0.75)


def test_surprises_are_what_the_fit_leaves():
    values = series(np.random.default_rng(5), 1, 30, 0.5)[0] + 4.0 * (np.arange(30) >= 12)
    scan = StepScan.of(values)
    assert (scan.surprises**2).sum() == pytest.approx(scan.left.min())
