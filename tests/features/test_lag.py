"""Lags that explain a value: by hand, and as-of reads against a plain loop."""

import numpy as np
import pandas as pd
import pytest

from toolkit.features.lag import Coverage, matching_lags, read_history, read_late


def at(*hours):
    return pd.Series(pd.to_datetime(pd.Timestamp("2026-03-02", tz="UTC") + pd.to_timedelta(hours, unit="h")))


def history(entity, hours, values, late=0):
    event = at(*hours)
    available = event + pd.Timedelta(hours=late)
    return pd.DataFrame(
        {
            "entity_id": entity,
            "feature": "rate",
            "event_ts": event,
            "available_ts": available,
            "value": values,
        }
    )


def test_as_of_reads_are_those_of_a_plain_loop():
    rng = np.random.default_rng(0)
    known = read_history(
        history(rng.integers(0, 5, 300), rng.uniform(0, 100, 300), rng.normal(size=300)), "rate"
    )
    entity, ts = pd.Series(rng.integers(0, 6, 80)), at(*rng.uniform(0, 120, 80))
    told = read_late(known, entity, ts, [pd.Timedelta("7h")])[:, 0]
    for one, moment, value in zip(entity, ts, told, strict=True):
        before = known[(known["entity_id"] == one) & (known["time"] < moment - pd.Timedelta("7h"))]
        want = before["value"].iloc[-1] if len(before) else np.nan
        assert value == want or (np.isnan(value) and np.isnan(want))


def test_the_stretches_of_lags_by_hand():
    # 1 stands from hour 0, again from hour 6 (2 from hour 4), written again unchanged at hour 8.
    known = read_history(history(7, [0, 4, 6, 8], [1.0, 2.0, 1.0, 1.0]), "rate")
    told = matching_lags(known, pd.Series([7, 7, 8]), at(10, 10, 10), pd.Series([1.0, 2.0, 1.0]))
    stretches = sorted(map(tuple, told[["row", "low", "high"]].to_numpy().tolist()))
    assert stretches == [(0, 0, 4), (0, 6, 10), (1, 4, 6)]


def test_what_comes_at_the_very_moment_does_not_count():
    known = read_history(history(7, [0, 10], [1.0, 2.0]), "rate")
    own = matching_lags(known, pd.Series([7, 7]), at(10, 10), pd.Series([1.0, 2.0]))
    assert own[["row", "low", "high"]].to_numpy().tolist() == [[0, 0, 10]]
    assert read_late(known, pd.Series([7]), at(10), [pd.Timedelta(0)]).tolist() == [[1.0]]


def test_of_corrections_at_one_time_the_last_that_came_counts():
    rows = pd.concat([history(7, [1], [5.0], late=9), history(7, [1], [3.0], late=2)])
    assert read_history(rows, "rate")["value"].tolist() == [5.0]
    assert read_history(rows, "rate", by="available_ts")["value"].tolist() == [3.0, 5.0]


def test_values_are_compared_at_the_precision_of_what_was_served():
    known = read_history(history(7, [0], [0.1]), "rate")
    served = pd.Series([0.1], dtype="float32")
    assert len(matching_lags(known, pd.Series([7]), at(5), served)) == 1
    assert len(matching_lags(known, pd.Series([7]), at(5), served.astype(float))) == 0


def test_a_stretch_holds_its_low_end_and_not_its_high_one():
    rng = np.random.default_rng(1)
    # Whole hours, so that ends meet: where an end belongs is the point.
    known = read_history(
        history(rng.integers(0, 3, 60), rng.integers(0, 40, 60), rng.integers(0, 4, 60).astype(float)), "rate"
    )
    entity, ts = pd.Series(rng.integers(0, 3, 12)), at(*rng.integers(20, 45, 12))
    lags = [pd.Timedelta(hours=half / 2) for half in range(80)]
    read = read_late(known, entity, ts, lags)
    for value in range(4):
        told = matching_lags(known, entity, ts, pd.Series(np.full(12, float(value))))
        for row in range(12):
            mine = told[told["row"] == row]
            fits = [((mine["low"] <= half / 2) & (half / 2 < mine["high"])).any() for half in range(80)]
            assert fits == (read[row] == value).tolist()


def test_a_fraction_in_the_history_is_no_whole_number_that_was_served():
    known = read_history(history(7, [0, 4], [3.7, 3.0]), "rate")
    told = matching_lags(known, pd.Series([7]), at(10), pd.Series([3]))
    assert told[["low", "high"]].to_numpy().tolist() == [[0, 6]]


def test_entities_may_be_texts_but_on_both_sides():
    known = read_history(history(["u", "v"], [0, 1], [1.0, 2.0]), "rate")
    asked = pd.Series(["v", "u", "w"], name="item_id")
    told = read_late(known, asked, at(5, 5, 5), [pd.Timedelta(0), pd.Timedelta("4h30min")])
    assert np.array_equal(told, [[2.0, np.nan], [1.0, 1.0], [np.nan, np.nan]], equal_nan=True)
    with pytest.raises(ValueError, match=r"item_id: got numbers in rows and text in entity_id"):
        read_late(known, pd.Series([7], name="item_id"), at(5), [pd.Timedelta(0)])


def test_values_available_before_their_event_are_refused():
    with pytest.raises(
        ValueError, match=r"available_ts: got 2 of 2 values of 'rate' that were available bef"
    ):
        read_history(history(7, [1, 2], [1.0, 2.0], late=-1), "rate")


def test_the_best_lag_weighs_rows():
    coverage = Coverage(pd.DataFrame({"row": [0, 1, 2], "low": [1.0, 1.0, 8.0], "high": [3.0, 2.0, 9.0]}), 4)
    assert coverage.best(np.ones(4)) == (1.0, 2.0, 0.5, 0.0)
    assert coverage.best(np.array([1.0, 0.0, 5.0, 0.0])) == (8.0, 9.0, pytest.approx(5 / 6), 0.0)


@pytest.mark.parametrize(
    ("change", "settings", "message"),
    [
        ({}, {"by": "ts"}, r"by: got 'ts'; it must be one of event_ts, available_ts"),
        ({"feature": "age"}, {}, r"feature: got 'rate'; history has age"),
        ({"value": np.nan}, {}, r"value: got 1 missing of 1; history must be complete"),
        (
            {"event_ts": pd.Timestamp("2026-03-02")},
            {},
            r"event_ts: got .* in history; it must be times with their zone",
        ),
    ],
)
def test_bad_input_is_refused(change, settings, message):
    with pytest.raises(ValueError, match=message):
        read_history(history(7, [0], [1.0]).assign(**change), "rate", **settings)


def test_features_named_by_numbers_are_told_in_the_refusal():
    ts = pd.to_datetime(["2026-03-02"], utc=True)
    history = pd.DataFrame({"entity_id": 7, "feature": [3], "event_ts": ts, "available_ts": ts, "value": 1.0})
    with pytest.raises(ValueError, match="feature: got 'rate'; history has 3"):
        read_history(history, "rate")
