"""The pipeline's faults do what they say to FooBar's rows, and the demos' curves are the modules' closed forms."""

import numpy as np
import pandas as pd
import pytest

from toolkit.shipping.duplicates import doubled
from toolkit.shipping.lateness import arrived_share, best_wait
from toolkit.shipping.partitions import day_profile, missing_bias
from toolkit.shipping.pipelines import (
    arrive,
    bias_by_gap,
    cost_by_wait,
    coverage_by_events,
    hourly,
    redeliver,
    there_by_age,
)

ROWS = pd.DataFrame(
    {
        "request_id": range(20_000),
        "y": np.random.default_rng(0).random(20_000) < 0.25,
        "ts": pd.date_range("2026-03-02", periods=20_000, freq="min", tz="UTC"),
    }
)


@pytest.mark.parametrize("times", [1.0, 2.0])
def test_as_many_rows_come_again_as_asked_and_positives_so_many_times_as_often(times):
    rows = redeliver(ROWS, 0.1, y="y", times=times, rng=1)
    again = rows[len(ROWS) :]
    assert len(again) == pytest.approx(2000, abs=4 * 45)
    rates = [again["y"].eq(label).sum() / ROWS["y"].eq(label).sum() for label in (True, False)]
    assert rates[0] / rates[1] == pytest.approx(times, rel=0.15)
    assert len(redeliver(ROWS, 0.0)) == len(ROWS)


def test_late_rows_are_as_many_and_as_late_as_asked():
    rows = arrive(ROWS, late=0.2, mean_delay=6.0, y="y", times=2, rng=1)
    hours = (rows["arrived_ts"] - rows["ts"]).dt.total_seconds() / 3600
    assert (hours > 0).mean() == pytest.approx(0.2, abs=0.012)
    assert hours[hours > 0].mean() == pytest.approx(6, rel=0.08)
    late = (hours > 0).groupby(rows["y"]).mean()
    assert late[True] / late[False] == pytest.approx(2, rel=0.12)


def test_hours_without_rows_are_not_there():
    counts = hourly(ROWS.drop(index=range(60, 120)))
    assert counts["ts"].dt.hour.tolist()[:3] == [0, 2, 3]
    assert set(counts["n"][:-1]) == {60}


def test_the_curves_are_the_closed_forms():
    told = coverage_by_events(0.1, base=0.05, times=2.0, events=[1000])
    assert told["covers"].tolist() == [doubled(0.1, base=0.05, times=2.0, events=1000)["covers"], 0.95]
    assert bias_by_gap(0.4, 3)["bias"][18] == missing_bias(day_profile(0.4), since=18, hours=3)
    assert there_by_age(late=0.2, mean_delay=6.0)["there"][5] == arrived_share(5, late=0.2, mean_delay=6.0)
    both = (
        cost_by_wait(late=0.2, mean_delay=6.0, loss_price=2.0)
        .query("part == 'both'")
        .set_index("wait")["cost"]
    )
    best = best_wait(late=0.2, mean_delay=6.0, delay_price=1.0, loss_price=2.0)
    assert abs(both.idxmin() - best) <= 0.6


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: redeliver(ROWS, 1.1), r"rate: got 1.1; it must lie in \[0, 1\]"),
        (lambda: redeliver(ROWS, 0.1, times=0), "times: got 0; it must lie above 0"),
        (lambda: arrive(ROWS, late=-1, mean_delay=6.0), "late: got -1"),
        (lambda: arrive(ROWS, late=0.1, mean_delay=0), "mean_delay: got 0; it must lie above 0"),
    ],
)
def test_bad_input_is_refused_by_name_value_and_rule(call, message):
    with pytest.raises(ValueError, match=message):
        call()
