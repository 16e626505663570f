"""A lasting change is found, dated and sized; false alarms are as rare as said, over many features and days that hang together."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy.signal import lfilter

from toolkit.shipping.changepoints import changepoint

BEGIN = pd.Timestamp("2026-03-02", tz="UTC")


def series(rng, features, days, carried):
    surprises = rng.normal(size=(features, days))
    surprises[:, 0] /= np.sqrt(1 - carried**2)
    return lfilter([1.0], [1.0, -carried], surprises, axis=1) * np.sqrt(1 - carried**2)


def history(
    rng,
    *,
    features=3,
    days=30,
    entities=40,
    carried=0.0,
    own=0.3,
    at=None,
    shift=0.0,
    factor=1.0,
    declared=False,
):
    """Features whose level wanders; the first one changes on day `at`."""
    levels, parts = own * series(rng, features, days, carried), []
    day, entity = np.indices((days, entities)).reshape(2, -1)
    for place, level in enumerate(levels):
        value = rng.normal(5, 1, (days, entities)) + level[:, None]
        if at is not None and place == 0:
            value[at:] = factor * value[at:] + shift
        parts.append(
            pd.DataFrame(
                {
                    "entity_id": entity,
                    "feature": f"f{place}",
                    "event_ts": BEGIN + pd.to_timedelta(day, unit="D"),
                    "value": value.ravel(),
                    "version": 1 + (declared and place == 0 and at is not None) * (day >= (at or 0)),
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


@pytest.mark.parametrize("carried", [0.0, 0.9])
def test_a_change_of_unit_is_named_with_its_day_and_its_factor(carried):
    rows = history(np.random.default_rng(3), carried=carried, at=20, factor=100.0)
    found = changepoint(rows, replicates=199)
    worst = found.table.iloc[0]
    assert (worst["feature"], worst["since"]) == ("f0", BEGIN + pd.Timedelta("20D"))
    assert (worst["first"], worst["last"]) == (worst["since"], worst["since"])
    assert worst["factor"] == pytest.approx(100, rel=0.15)
    assert worst["low"] > 0
    assert found.p == 1 / 200
    assert (found.table["p"] <= 0.05).sum() == 1
    assert "f0 changed on 2026-03-22 with no new version" in found.verdict
    assert worst["median_after"] / worst["median_before"] == pytest.approx(100, rel=0.1)


def test_a_spread_that_changes_around_the_same_middle_is_found_too():
    rows = history(np.random.default_rng(4), entities=200, own=0.1)
    later = (rows["feature"] == "f1") & (rows["event_ts"] >= BEGIN + pd.Timedelta("15D"))
    rows["value"] = np.where(later, 5 + 1.8 * (rows["value"] - 5), rows["value"])
    found = changepoint(rows, replicates=199)
    worst = found.table.iloc[0]
    assert (worst["feature"], worst["what"]) == ("f1", "spread")
    assert worst["low"] <= np.log(1.8) <= worst["high"]
    assert "like Fahrenheit for Celsius" in found.verdict


def test_a_declared_change_is_called_one_and_a_quiet_history_is_left_alone():
    rng = np.random.default_rng(5)
    told = changepoint(history(rng, at=20, shift=3.0, declared=True), replicates=199)
    assert bool(told.table["declared"].iloc[0])
    assert "as its version said" in told.verdict
    still = changepoint(history(rng), replicates=199)
    assert still.p > 0.05
    assert still.ci[0] <= 0 <= still.ci[1]
    assert still.verdict.startswith("No lasting change shows among 3 features over 30 periods")


def test_a_feature_that_is_absent_in_some_period_is_left_out_and_named():
    rows = history(np.random.default_rng(6))
    gap = (rows["feature"] == "f2") & (rows["event_ts"] == BEGIN + pd.Timedelta("4D"))
    assert "Left out, having no value in some period: f2." in changepoint(rows[~gap], replicates=99).verdict


def test_any_frame_will_do_and_the_version_may_be_missing():
    rows = history(np.random.default_rng(7), at=10, shift=2.0)
    pandas = changepoint(rows, replicates=99)
    assert changepoint(pl.from_pandas(rows), replicates=99).ci == pytest.approx(pandas.ci)
    bare = changepoint(rows.drop(columns="version"), replicates=99)
    assert bare.ci == pandas.ci
    assert "version" not in bare.verdict


ROWS = history(np.random.default_rng(8))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: changepoint(ROWS[ROWS["event_ts"] < BEGIN + pd.Timedelta("11D")]),
            "history: got 11 periods; there must be 12",
        ),
        (lambda: changepoint(ROWS.assign(value=1.0)), "history: got no feature with values that vary"),
        (lambda: changepoint(ROWS.assign(value=np.nan)), "value: got 3600 missing"),
        (lambda: changepoint(ROWS.drop(columns="feature")), "it must have feature"),
        (
            lambda: changepoint(ROWS.assign(event_ts=ROWS["event_ts"].dt.tz_localize(None))),
            "it must be times with their zone",
        ),
        (lambda: changepoint(ROWS, every="soon"), "every: got 'soon'; it must be a period"),
        (
            lambda: changepoint(ROWS, replicates=9),
            "replicates: got 9; it must be a whole number, 99 at least",
        ),
        (lambda: changepoint(ROWS, alpha=1.5), "alpha: got 1.5"),
    ],
)
def test_bad_input_is_refused_by_name_value_and_rule(call, message):
    with pytest.raises(ValueError, match=message):
        call()
