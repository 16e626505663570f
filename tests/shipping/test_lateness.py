"""Late rows: the closed forms against simulation, the watermark that costs least, and what a log of arrivals says."""

import numpy as np
import pandas as pd
import polars as pl
import pytest

from toolkit.shipping.lateness import arrived_share, best_wait, lateness_by_wait, wait_for, waiting_cost

BEGIN = pd.Timestamp("2026-03-02", tz="UTC")


def test_the_share_that_is_there_is_the_simulated_one():
    rng = np.random.default_rng(0)
    n = 400_000
    event, delay = rng.random(n), np.where(rng.random(n) < 0.3, rng.exponential(5, n), 0)
    for age in (-0.5, 0.0, 2.0, 12.0):
        there = (event + delay <= 1 + age).mean()
        assert float(arrived_share(age, late=0.3, mean_delay=5.0)) == pytest.approx(there, abs=0.003)


def test_before_it_began_nothing_is_there_and_in_the_end_all_is():
    assert float(arrived_share(-1.0, late=0.5, mean_delay=3.0)) == 0
    assert float(arrived_share(1e4, late=0.5, mean_delay=3.0)) == pytest.approx(1)
    assert float(arrived_share(0.0, late=0.0, mean_delay=3.0)) == 1


def test_after_the_wait_no_more_than_that_is_missing():
    for loss in (0.1, 0.01, 0.001):
        wait = wait_for(loss, late=0.2, mean_delay=6.0)
        assert 1 - float(arrived_share(wait, late=0.2, mean_delay=6.0)) == pytest.approx(loss)
    assert wait_for(0.3, late=0.2, mean_delay=6.0) == 0
    assert wait_for(0.1, late=0.0, mean_delay=6.0) == 0


@pytest.mark.parametrize("loss_price", [0.1, 0.5, 2.0, 10.0])
def test_no_wait_costs_less_than_the_best(loss_price):
    given = {"late": 0.2, "mean_delay": 6.0, "delay_price": 1.0, "loss_price": loss_price}
    best = best_wait(**given)
    others = waiting_cost(np.linspace(0, 80, 8001), **given)
    assert float(waiting_cost(best, **given)) <= others.min() + 1e-9
    assert best == pytest.approx(np.linspace(0, 80, 8001)[others.argmin()], abs=0.011)


def arrivals(rng, *, n=600, dependence=1.0):
    y = rng.random(n) < 0.3
    late = rng.random(n) < 0.2 * np.where(y, dependence, 1)
    hours = np.where(late, rng.exponential(6, n), 0)
    ts = BEGIN + pd.to_timedelta(np.sort(rng.random(n)) * 240, unit="h")
    return pd.DataFrame(
        {
            "user_id": rng.integers(0, 200, n),
            "ts": ts,
            "arrived_ts": ts + pd.to_timedelta(hours, unit="h"),
            "y": y * 1,
        }
    )


def test_intervals_cover_the_true_lateness_and_no_effect_where_it_has_nothing_to_do_with_the_label():
    rng, late, off = np.random.default_rng(1), [], []
    true = 0.2 * np.exp(-3 / 6)
    for _ in range(250):
        told = lateness_by_wait(arrivals(rng), waits=["3h", "24h"], value="y").iloc[0]
        late.append(told["low"] <= true <= told["high"])
        off.append(told["off_low"] <= 0 <= told["off_high"])
    assert 0.91 <= np.mean(late) <= 0.99
    assert 0.91 <= np.mean(off) <= 0.99


def test_positives_that_are_late_more_often_pull_the_rate_down_until_one_waits():
    told = lateness_by_wait(arrivals(np.random.default_rng(2), n=20_000, dependence=2), value="y").set_index(
        "wait"
    )
    # At once: .7 * .8 + .3 * .6 of the rows, .18 of them positive.
    assert told["off"]["0h"] == pytest.approx(0.18 / 0.74 - 0.3, abs=0.015)
    assert told["off_high"]["0h"] < 0
    assert abs(told["off"]["48h"]) < 0.001


def test_rows_too_young_to_have_been_late_do_not_count():
    rows = arrivals(np.random.default_rng(3), n=5000)
    now = BEGIN + pd.Timedelta("100h")
    seen = rows[rows["arrived_ts"] <= now]
    told = lateness_by_wait(seen, waits=["0h", "48h"])["late"].iloc[0]
    assert told == pytest.approx(0.2, abs=0.03)


def test_any_frame_will_do():
    rows = arrivals(np.random.default_rng(4))
    pd.testing.assert_frame_equal(lateness_by_wait(pl.from_pandas(rows)), lateness_by_wait(rows))


ROWS = arrivals(np.random.default_rng(5))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: arrived_share(-2, late=0.1, mean_delay=1.0),
            "age: got -2; it must be finite and not before",
        ),
        (lambda: arrived_share(0, late=1.1, mean_delay=1.0), r"late: got 1.1; it must lie in \[0, 1\]"),
        (lambda: arrived_share(0, late=0.1, mean_delay=0), "mean_delay: got 0; it must lie above 0"),
        (lambda: wait_for(0, late=0.1, mean_delay=1.0), r"loss: got 0; it must lie in \(0, 1\]"),
        (lambda: best_wait(late=0.1, mean_delay=1.0, delay_price=0, loss_price=1), "delay_price: got 0"),
        (lambda: waiting_cost(1, late=0.1, mean_delay=1.0, delay_price=1, loss_price=0), "loss_price: got 0"),
        (
            lambda: lateness_by_wait(ROWS, waits=["soon"]),
            "waits: got .'soon'.; each must be a time such as 6h",
        ),
        (lambda: lateness_by_wait(ROWS, waits=[]), r"waits: got \[\]; there must be one at least"),
        (lambda: lateness_by_wait(ROWS, waits=["9999h"]), "rows: got 0 at least 9999h old"),
        (lambda: lateness_by_wait(ROWS.assign(arrived_ts=BEGIN)), "arrived_ts: got 600 before ts"),
        (lambda: lateness_by_wait(ROWS.assign(user_id=1)), "user_id: got one in all rows"),
        (lambda: lateness_by_wait(ROWS.drop(columns="arrived_ts")), "it must have arrived_ts"),
        (lambda: lateness_by_wait(ROWS, alpha=7), "alpha: got 7"),
    ],
)
def test_bad_input_is_refused_by_name_value_and_rule(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_events_too_young_to_have_been_late_do_not_count():
    begin = pd.Timestamp("2026-03-02", tz="UTC")
    hour, delay = np.repeat([0, 40], 50), np.repeat([5, 0], 50)
    rows = pd.DataFrame({"user_id": range(100), "ts": begin + pd.to_timedelta(hour, unit="h")})
    rows["arrived_ts"] = rows["ts"] + pd.to_timedelta(delay, unit="h")
    assert lateness_by_wait(rows, waits=["0h", "24h"])["late"].tolist() == [1.0, 0.0]
