"""Batches and streams: the outline's numbers, quadrature, and the process as it runs."""

import numpy as np
import pytest
from scipy.integrate import quad

from toolkit.features.batches import (
    TRAININGS,
    average_kept,
    batch_path,
    kept_by_training,
    period_for,
    price_list,
    r2_kept,
    simulate_batches,
    squared_error,
)


def test_the_outline_s_numbers():
    assert round(average_kept(1, period=1), 3) == 0.541
    assert round(average_kept(1, period=1, delay=0.25), 3) == 0.383
    assert (squared_error(0.5), squared_error(0.5, trained=0.5)) == (1.0, 0.75)
    assert round(period_for(0.8, half_life=1), 3) == 0.335


@pytest.mark.parametrize(("half_life", "period", "delay"), [(1, 1, 0), (0.5, 2, 0.3), (24, 6, 1)])
def test_averages_are_the_integrals_over_the_ages(half_life, period, delay):
    def mean(of):
        return quad(of, delay, delay + period)[0] / period

    correlation = mean(lambda age: 2 ** (-age / half_life))
    told = kept_by_training(half_life, period=period, delay=delay)
    assert told["age known"] == pytest.approx(mean(lambda age: r2_kept(age, half_life=half_life)))
    assert told["as stale"] == pytest.approx(correlation**2)
    # Explained less the square of what a coefficient of 1 makes too much of it.
    harm = mean(lambda age: 1 - squared_error(2 ** (-age / half_life)))
    assert told["fresh"] == pytest.approx(harm)
    assert told["fresh"] < told["as stale"] < told["age known"]


@pytest.mark.parametrize(("served", "trained", "slope"), [(0.5, 1.0, 1.0), (0.7, 0.7, 2.0), (0.3, 0.8, 1.5)])
def test_the_error_is_what_least_squares_does_on_stale_values(served, trained, slope):
    rng = np.random.default_rng(0)
    now, noise = rng.normal(size=(2, 400_000))
    stale = {b: b * now + np.sqrt(1 - b**2) * noise for b in (served, trained)}
    coefficient = (stale[trained] @ (slope * now)) / (stale[trained] @ stale[trained])
    error = np.mean((slope * now - coefficient * stale[served]) ** 2)
    assert error == pytest.approx(squared_error(served, trained=trained, slope=slope), rel=0.015)


def test_what_comes_on_top_is_the_square_of_the_correlation_s_fall():
    for served in (0.1, 0.5, 0.9):
        extra = squared_error(served, slope=3) - squared_error(served, trained=served, slope=3)
        assert extra == pytest.approx(9 * (1 - served) ** 2)


@pytest.mark.parametrize(("period", "delay"), [(1.0, 0.0), (1.0, 0.25), (0.25, 0.5)])
def test_a_batch_job_on_the_running_process_keeps_what_the_formula_says(period, delay):
    rows = simulate_batches(1.0, period=period, delay=delay, entities=800, days=20, rng=1)
    # The grid's ages lie half a step lower than all ages.
    want = kept_by_training(1.0, period=period - 1 / 48 if period > 0.3 else period, delay=delay)
    assert rows["now"].var() == pytest.approx(1, rel=0.03)
    fresh = 1 - ((rows["now"] - rows["served"]) ** 2).mean()
    coefficient = (rows["now"] @ rows["served"]) / (rows["served"] @ rows["served"])
    stale = 1 - ((rows["now"] - coefficient * rows["served"]) ** 2).mean()
    by_age = 2.0 ** -rows["age"]
    known = 1 - ((rows["now"] - by_age * rows["served"]) ** 2).mean()
    for name, told in zip(TRAININGS, (fresh, stale, known), strict=True):
        assert told == pytest.approx(want[name], abs=0.03), name


def test_a_job_serves_the_newest_snapshot_that_is_ready():
    rows = simulate_batches(1.0, period=0.25, delay=0.125, entities=2, days=2, step=1 / 16, rng=0)
    one = rows[rows["entity_id"] == 1].reset_index(drop=True)
    # Snapshots at every fourth step, ready two steps later: ages of 2 to 5 steps, over and over.
    assert (one["age"] * 16).tolist() == [2, 3, 4, 5] * (len(one) // 4) + [2, 3][: len(one) % 4]
    taken = one["time"] - one["age"]
    assert (taken % 0.25 == 0).all()
    now = dict(zip(one["time"], one["now"], strict=True))
    known = taken.isin(now)
    assert known.sum() > 15
    assert one["served"][known].tolist() == [now[at] for at in taken[known]]


def test_a_period_of_0_is_a_stream_and_a_long_one_does_harm_when_trained_fresh():
    assert kept_by_training(1.0, period=0) == {"fresh": 1.0, "as stale": 1.0, "age known": 1.0}
    assert average_kept(1.0, period=1e-9, training="fresh") == pytest.approx(1)
    assert (
        average_kept(1.0, period=7, training="fresh") < 0 < average_kept(1.0, period=7, training="as stale")
    )


def test_a_path_s_mean_is_the_average():
    path = batch_path(1.0, period=0.5, delay=0.2, until=3.0, points=201)
    for name in ("fresh", "as stale"):
        mean = path.loc[path["training"] == name, "kept"].mean()
        assert mean == pytest.approx(average_kept(1.0, period=0.5, delay=0.2, training=name), abs=0.003)


def test_a_batch_writes_every_entity_each_period_and_a_stream_one_an_event():
    told = price_list(1000, 2000, half_life=1, periods=[1.0, 0.25], per_million=2.0, machines=5.0).set_index(
        "way"
    )
    assert told["writes_a_day"].tolist() == [1000, 4000, 2000]
    assert told["cost_a_day"].tolist() == pytest.approx([0.002, 0.008, 5.004])
    assert told.loc["stream", ["kept_fresh", "kept_as_stale"]].tolist() == [1, 1]
    late = price_list(1000, 2000, half_life=1, periods=[1.0], delay=0.25).set_index("way")
    for table, delay in ((told, 0), (late, 0.25)):
        assert table.loc["batch every 24 h", "kept_as_stale"] == pytest.approx(
            average_kept(1, period=1, delay=delay, training="as stale")
        )
    # The delay is the job's; a stream has none.
    assert late.loc["stream", ["kept_fresh", "kept_as_stale"]].tolist() == [1, 1]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: r2_kept(-1, half_life=1), r"age: got -1; it must not be negative"),
        (lambda: r2_kept(1, half_life=0), r"half_life: got 0; it must lie above 0"),
        (lambda: squared_error(1.4), r"served: got 1\.4; it must lie in \[0, 1\]"),
        (lambda: squared_error(0.4, trained=-1), r"trained: got -1; it must lie in \[0, 1\]"),
        (lambda: average_kept(1, period=-1), r"period: got -1; it must lie above"),
        (lambda: average_kept(1, period=1, delay=-2), r"delay: got -2; it must lie above"),
        (
            lambda: average_kept(1, period=1, training="late"),
            r"training: got 'late'; it must be one of fresh, as stale",
        ),
        (
            lambda: period_for(0.8, half_life=1, delay=1),
            r"kept: got 0\.8; with this delay a stream keeps 0\.25",
        ),
        (lambda: period_for(1.0, half_life=1), r"kept: got 1\.0; it must lie strictly between 0 and 1"),
        (lambda: batch_path(1, period=0), r"period: got 0; it must lie above 0"),
        (lambda: simulate_batches(1, period=3, days=2), r"days: got 2; it must lie above 3"),
        (lambda: price_list(10, 0, half_life=1), r"events: got 0; it must lie above 0"),
        (lambda: price_list(0, 5, half_life=1), r"entities: got 0"),
    ],
)
def test_bad_settings_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
