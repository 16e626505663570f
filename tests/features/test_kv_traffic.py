from datetime import timedelta

import numpy as np
import pandas as pd
import pytest

from toolkit.features.kv_traffic import (
    expected_age,
    expected_misses,
    logged_table,
    offline_table,
    rates_written,
    read_through,
    serving_log,
)
from toolkit.features.stores import Feature, Row, StoreSettings, open_store
from toolkit.tables import problems
from toolkit.world import Settings, simulate
from toolkit.world.clock import START
from toolkit.world.features import rate_at

HOUR = timedelta(hours=1)
WORLD = simulate(Settings(items=60, requests=120, days=6))
DAYS = range(4, 6)


def read(*, ttl=None, lag=0, capacity=None, **settings):
    store = StoreSettings(ttl=ttl and ttl * HOUR, write_lag=lag * HOUR, capacity=capacity)
    return read_through(WORLD, DAYS, settings=store, **settings)


def age(reads):
    return (reads["ts"] - reads["event_ts"]).dt.total_seconds() / 3600


def test_a_store_with_keys_written_at_random_misses_and_ages_as_the_closed_form_says():
    draw, keys, days = np.random.default_rng(0), 3_000, 5.0
    settings = StoreSettings(ttl=24 * HOUR, write_lag=6 * HOUR, keep=64)
    store = open_store("sqlite://:memory:", [Feature("f")], settings=settings)
    key = np.repeat(np.arange(keys), draw.poisson(2.0 * days, keys))
    when = [START.to_pydatetime() + float(d) * timedelta(days=1) for d in draw.random(len(key)) * days]
    store.put([Row(k, "f", 0.0, ts, ts) for k, ts in zip(key.tolist(), when, strict=True)])
    now = START.to_pydatetime() + timedelta(days=days)
    got = store.get_many(range(keys), ["f"], now=now)
    ages = [(now - r["f"].event_ts) / timedelta(days=1) for r in got.values() if r["f"] is not None]
    assert 1 - len(ages) / keys == pytest.approx(expected_misses(2.0, 1.0), abs=0.016)
    assert np.mean(ages) == pytest.approx(expected_age(2.0, 1.0, lag=0.25), abs=0.015)
    store.close()


def test_the_closed_form_s_ends():
    # Written often, a key hardly ages; with a long life its age is the mean time between writes.
    assert expected_misses(100, 1) < 1e-40
    assert expected_age(2, 50) == pytest.approx(0.5)
    # Written hardly ever, what is there is anywhere in its life.
    assert expected_age(0.001, 1) == pytest.approx(0.5, abs=0.001)


def test_nothing_is_read_before_it_could_be_known_nor_after_its_life():
    reads = read(ttl=6, lag=2)
    ages = age(reads).dropna()
    assert ages.min() >= 2
    assert ages.max() < 8 + 1 / 3600 + 1e-9
    assert (age(read()).dropna() > 0).all()


def test_without_limits_and_with_a_nightly_batch_the_store_serves_what_the_world_has_as_of_each_request():
    reads = read(nightly=True)
    assert reads["value"].notna().all()
    for day in DAYS:
        value = reads.loc[reads["day"] == day, "value"].to_numpy().reshape(120, 20)
        # The store learns an outcome a second after the impression, the world at once.
        assert np.mean(value == rate_at(WORLD, day, as_of=True)) > 0.995


def test_each_limit_of_the_store_does_what_it_should():
    free = read()["value"].isna().mean()
    assert read(ttl=4)["value"].isna().mean() > free + 0.2
    assert read(capacity=10)["value"].isna().mean() > 0.7
    assert age(read(lag=5)).mean() > age(read()).mean() + 4
    assert read(ttl=30, nightly=True)["value"].isna().mean() == 0


def test_replicas_of_different_lag_serve_different_values_for_one_key():
    reads = read(replica_lag=3 * HOUR)
    assert reads.groupby("replica")["value"].size().tolist() == [2_400, 2_400]
    means = age(reads).groupby(reads["replica"]).mean()
    assert means[1] > means[0] + 2
    alone = read()
    first = reads["replica"] == 0
    pd.testing.assert_series_equal(reads["value"][first], alone["value"][first])
    assert (reads["value"][~first].fillna(9) != alone["value"][~first].fillna(9)).mean() > 0.1


def test_redis_serves_the_same_traffic(redis_url):
    import redis

    with redis.Redis.from_url(redis_url) as client:
        client.flushdb()
    settings = StoreSettings(ttl=8 * HOUR, write_lag=HOUR, capacity=30)
    there = read_through(WORLD, range(5, 6), settings=settings, url=redis_url, every=5)
    pd.testing.assert_frame_equal(there, read_through(WORLD, range(5, 6), settings=settings, every=5))


def test_the_logs_are_foobar_s_tables_and_say_what_was_served():
    reads = read(ttl=6)
    train = offline_table(WORLD, range(1, 4))
    log = serving_log(WORLD, reads, train)
    assert problems(log.drop(columns=["f_rate_today_ts", "y"]), "serving_log").empty
    assert problems(logged_table(WORLD, reads).drop(columns="f_rate_today_ts"), "training_table").empty
    missing = log["f_rate_today_ts"].isna()
    assert (log["f_rate_today"][missing] == 0).all()
    assert (log["f_rate_today"][~missing] < 0).all()
    # A click rate of one half, that no item has: what is missing is shown.
    assert missing.mean() > reads["value"].isna().mean() + 0.2
    placed = reads.assign(request_id=reads["day"] * 120 + reads["request"]).merge(
        log, on=["request_id", "item_id"]
    )
    assert len(placed) == len(log)
    assert (placed["value"].fillna(0.0) == placed["f_rate_today"]).all()


def test_a_ranker_trained_on_what_was_served_shows_unknown_items_less():
    world = simulate(Settings(items=150, requests=400, days=8))
    reads = read_through(world, range(4, 8), settings=StoreSettings(ttl=12 * HOUR))
    first, second = reads[reads["day"] < 7], reads[reads["day"] == 7]
    told = {}
    for name, train in (
        ("offline", offline_table(world, range(4, 7))),
        ("logged", logged_table(world, first)),
    ):
        told[name] = serving_log(world, second, train)["f_rate_today_ts"].isna().mean()
    assert told["logged"] < told["offline"] - 0.2


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: read(every=0), "every: got 0"),
        (lambda: read(warm_up=5), r"warm_up: got 5; there are 4 days before range\(4, 6\)"),
        (
            lambda: serving_log(WORLD, read(every=2), offline_table(WORLD, range(1, 4))),
            "reads: got 2,400 rows; all 4,800",
        ),
        (lambda: expected_misses(0, 1), "writes: got 0; it must lie above 0"),
        (lambda: expected_misses(1, -1), "ttl: got -1"),
        (lambda: expected_age(1, 1, lag=-1), "lag: got -1"),
    ],
)
def test_bad_input_is_refused_by_name_value_and_rule(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_every_impression_writes_once():
    rows = [row for some in rates_written(WORLD, range(2, 4)).values() for row in some]
    assert len(rows) == 240
    assert all(row.available_ts > row.event_ts for row in rows)
