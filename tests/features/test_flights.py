"""Real delays: what reads ahead looks better, and is worse where it is served."""

import pandas as pd
import pytest

from toolkit.features.asof import asof_join
from toolkit.features.flights import (
    LATE,
    delay_rows,
    delays_so_far,
    flights,
    model_aucs,
    weather_history,
    with_hourly_average,
)


def test_an_hour_s_weather_can_be_read_when_it_is_over():
    known = weather_history()
    assert ((known["available_ts"] - known["event_ts"]) == pd.Timedelta("1h")).all()
    assert not known.duplicated(["origin", "feature", "event_ts"]).any()


def test_the_share_so_far_holds_only_flights_that_have_left():
    rows = flights().sample(200, random_state=0).assign(ts=lambda t: t["scheduled_ts"])
    joined = asof_join(rows, delays_so_far(), key="origin", entity="origin")
    table = flights().sort_values(["departed_ts", "scheduled_ts"], kind="stable")
    for row in joined.itertuples():
        left = table[(table["origin"] == row.origin) & (table["departed_ts"] <= row.ts)]
        assert row.f_late_share == pytest.approx(left["y"].tail(20).mean())


def test_the_hourly_average_holds_the_flight_itself():
    day = pd.Timestamp("2013-05-01 10:00", tz="UTC")
    rows = pd.DataFrame(
        {"origin": "JFK", "scheduled_ts": day + pd.to_timedelta([0, 30, 61], unit="min"), "y": [1, 0, 1]}
    )
    made = with_hourly_average(rows, ["origin"])
    assert made["f_average"].tolist() == [0.5, 0.5, 1.0]
    assert made["others"].tolist() == [1, 1, 0]


def test_reading_delays_ahead_looks_best_and_serves_worst():
    told, served = model_aucs("own hour", ahead=1.0, delays=True)
    honest, honest_served = model_aucs("as of", ahead=1.0, delays=True)
    plain, _ = model_aucs("as of", ahead=1.0)
    assert honest == honest_served
    assert told > honest > plain > served


def test_late_is_half_an_hour_and_every_flight_is_there():
    table = flights()
    delay = (table["departed_ts"] - table["scheduled_ts"]) / pd.Timedelta("1min")
    assert ((delay >= LATE) == table["y"]).all()
    assert len(delay_rows()) == len(table)


def test_bad_settings_are_refused():
    with pytest.raises(ValueError, match="when: got 'later'"):
        model_aucs("later")
    with pytest.raises(ValueError, match="ahead: got -1"):
        model_aucs("as of", ahead=-1)
