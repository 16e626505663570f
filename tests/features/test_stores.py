import itertools
import math
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pandas as pd
import pytest

from toolkit.features.stores import (
    Feature,
    Reading,
    Row,
    Store,
    StoreSettings,
    StoreUnavailable,
    open_store,
    rows_of,
)
from toolkit.world import Settings, simulate
from toolkit.world.warehouse import feature_history

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
RATE = [Feature("f_rate")]
TYPED = [
    Feature("a_float"),
    Feature("a_single", "float32"),
    Feature("an_int", "int64"),
    Feature("a_bool", "bool"),
    Feature("a_text", "text", nullable=True),
    Feature("a_time", "time"),
]


@pytest.fixture(params=["sqlite", "redis", "parquet"])
def opened(request, tmp_path):
    """Opens the same empty store as often as it is called; closes all of them in the end."""
    kind = request.param
    if kind == "redis":
        import redis

        url = request.getfixturevalue("redis_url")
        with redis.Redis.from_url(url) as client:
            client.flushdb()
    else:
        url = f"{kind}://{tmp_path / 'store'}"
    stores = []

    def open_it(features=RATE, **settings):
        stores.append(open_store(url, features, settings=StoreSettings(**settings)))
        return stores[-1]

    yield open_it
    for store in stores:
        store.close()


def rate(value, *, event=0.0, available=None, entity=7, version=1):
    """A value of an event at so many hours after noon."""
    later = event if available is None else available
    return Row(entity, "f_rate", value, NOON + event * HOUR, NOON + later * HOUR, version)


def served(store, *, hours, entity=7, feature="f_rate"):
    reading = store.get_many([entity], [feature], now=NOON + hours * HOUR)[entity][feature]
    return None if reading is None else reading.value


def test_every_store_keeps_the_interface(opened):
    assert isinstance(opened(), Store)


def test_what_was_put_comes_back_with_its_times_and_version(opened):
    store = opened([Feature("f_rate", version=3)])
    store.put([rate(0.25, event=1, available=2, version=3)])
    assert store.get_many([7], ["f_rate"], now=NOON + 5 * HOUR) == {
        7: {"f_rate": Reading(0.25, NOON + HOUR, NOON + 2 * HOUR, 3)}
    }


def test_an_entity_and_a_feature_without_a_value_read_as_none(opened):
    store = opened([*RATE, Feature("f_other")])
    store.put([rate(0.25)])
    got = store.get_many([8, 7], ["f_other", "f_rate"], now=NOON)
    assert list(got) == [8, 7]
    assert got[8] == {"f_other": None, "f_rate": None}
    assert got[7]["f_other"] is None
    assert got[7]["f_rate"].value == 0.25
    assert store.get_many([], ["f_rate"], now=NOON) == {}


def test_an_empty_put_changes_nothing(opened):
    store = opened()
    store.put([])
    assert served(store, hours=0) is None


@pytest.mark.parametrize(
    ("feature", "value"),
    [
        ("a_float", 0.1),
        ("a_float", -math.inf),
        ("a_float", 5e-324),
        ("a_single", float(np.float32(0.1))),
        ("an_int", 2**63 - 1),
        ("an_int", -(2**63)),
        ("an_int", 2**53 + 1),
        ("a_bool", False),
        ("a_text", "Zürich\x00 \U0001f600"),
        ("a_text", ""),
        ("a_text", None),
        ("a_time", datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)),
    ],
)
def test_a_value_comes_back_equal_and_of_its_type(opened, feature, value):
    store = opened(TYPED)
    store.put([Row("x", feature, value, NOON, NOON)])
    back = served(store, hours=0, entity="x", feature=feature)
    assert back == value
    assert type(back) is type(value)
    assert store.get_many(["x"], [feature], now=NOON)["x"][feature] is not None


def test_nan_is_a_value_and_not_a_missing_one(opened):
    store = opened()
    store.put([rate(math.nan)])
    assert math.isnan(served(store, hours=0))


def test_ids_that_look_alike_are_different_entities(opened):
    store = opened()
    ids = [7, "7", "i7", "s7", "7:f_rate", "ä", -7, "a/b\x00c"]
    store.put([rate(float(place), entity=entity) for place, entity in enumerate(ids)])
    got = store.get_many(ids, ["f_rate"], now=NOON)
    assert [got[entity]["f_rate"].value for entity in ids] == [float(place) for place in range(len(ids))]


def test_a_row_is_not_served_before_it_is_available_and_the_one_before_is_served_till_then(opened):
    store = opened()
    store.put([rate(0.1), rate(0.2, event=1, available=3)])
    assert [served(store, hours=h) for h in (-0.1, 0, 2.9, 3, 9)] == [None, 0.1, 0.1, 0.2, 0.2]


def test_the_write_lag_comes_on_top(opened):
    store = opened(write_lag=2 * HOUR)
    store.put([rate(0.2, event=1, available=3)])
    assert [served(store, hours=h) for h in (3, 4.9, 5)] == [None, None, 0.2]


def test_a_value_outlives_no_time_to_live_and_an_older_one_is_no_substitute(opened):
    store = opened(ttl=2 * HOUR, write_lag=HOUR)
    store.put([rate(0.1), rate(0.2, event=0.5)])
    assert [served(store, hours=h) for h in (1, 1.5, 3.4, 3.5)] == [0.1, 0.2, 0.2, None]


def test_a_correction_counts_and_a_late_arrival_of_an_older_event_does_not(opened):
    store = opened()
    store.put([rate(0.1, event=1), rate(0.15, event=1, available=2)])
    store.put([rate(0.9, event=0, available=3)])
    assert [served(store, hours=h) for h in (1, 2, 4)] == [0.1, 0.15, 0.15]


def test_the_order_of_rows_and_puts_makes_no_difference(opened):
    rows = [
        rate(0.1),
        rate(0.2, event=1, available=4),
        rate(0.3, event=2, available=3),
        rate(0.4, event=2, available=5),
    ]
    orders = dict(enumerate(itertools.permutations(rows)))
    store = opened()
    for place in range(len(rows)):
        store.put([order[place]._replace(entity_id=entity) for entity, order in orders.items()])
    # By hand: the event of hour 1 is never served, as hour 2's can be read before it.
    for hour, value in {0: 0.1, 2.5: 0.1, 3: 0.3, 4: 0.3, 5: 0.4}.items():
        got = store.get_many(list(orders), ["f_rate"], now=NOON + hour * HOUR)
        assert {reading["f_rate"].value for reading in got.values()} == {value}


def test_it_serves_what_the_definition_says_on_random_histories(opened):
    """Against the definition, written as a scan over all rows."""
    draw = np.random.default_rng(0)
    rows = {}
    for _ in range(120):
        event, entity = float(draw.integers(0, 10)), int(draw.integers(0, 12))
        row = rate(draw.random(), event=event, available=event + float(draw.integers(0, 6)), entity=entity)
        rows[row.entity_id, row.event_ts, row.available_ts] = row
    history = list(rows.values())
    ttl, lag = 4 * HOUR, HOUR
    store = opened(keep=100, ttl=ttl, write_lag=lag)
    for begin in range(0, len(history), 25):
        store.put(history[begin : begin + 25])
    for hour in range(0, 20, 3):
        now = NOON + hour * HOUR
        got = store.get_many(list(range(12)), ["f_rate"], now=now)
        for entity in range(12):
            there = [row for row in history if row.entity_id == entity and row.available_ts + lag <= now]
            best = max(there, key=lambda row: (row.event_ts, row.available_ts), default=None)
            alive = best is not None and now < best.available_ts + lag + ttl
            reading = got[entity]["f_rate"]
            assert (reading.value if reading else None) == (best.value if alive else None)


def test_the_same_rows_again_change_nothing_and_a_second_value_of_one_key_replaces_the_first(opened):
    store = opened(keep=2)
    rows = [rate(0.1), rate(0.2, event=1)]
    for _ in range(3):
        store.put(rows)
    assert [served(store, hours=h) for h in (0, 1)] == [0.1, 0.2]
    store.put([rate(0.3, event=1)])
    assert [served(store, hours=h) for h in (0, 1)] == [0.1, 0.3]


def test_versions_live_side_by_side_and_one_must_be_named_where_there_are_two(opened):
    store = opened([Feature("f_rate"), Feature("f_rate", "int64", version=2)])
    store.put([rate(0.5), rate(5, version=2)])
    got = store.get_many([7], ["f_rate@1", "f_rate@2"], now=NOON)[7]
    assert [(reading.value, reading.version) for reading in got.values()] == [(0.5, 1), (5, 2)]
    with pytest.raises(ValueError, match="f_rate', of which there are versions 1, 2; say which"):
        store.get_many([7], ["f_rate"], now=NOON)


def test_a_store_opened_again_holds_what_was_put_and_holds_its_users_to_its_types(opened):
    store = opened()
    store.put([rate(0.25)])
    store.close()
    store.close()
    again = opened([*RATE, Feature("f_new", "text")])
    assert served(again, hours=0) == 0.25
    with pytest.raises(ValueError, match=r"features: got f_rate@1 as int64; .* has it as float64: a changed"):
        opened([Feature("f_rate", "int64")])
    with pytest.raises(ValueError, match=r"as float64, nullable; .* has it as float64"):
        opened([Feature("f_rate", nullable=True)])


def test_two_who_write_both_see_all(opened):
    one, other = opened(), opened()
    one.put([rate(0.1, entity="a")])
    other.put([rate(0.2, entity="b")])
    for store in (one, other):
        got = store.get_many(["a", "b"], ["f_rate"], now=NOON)
        assert [got[entity]["f_rate"].value for entity in ("a", "b")] == [0.1, 0.2]


PAIR = [Feature("f_rate"), Feature("f_other")]


def both(number):
    """One put: two features of many entities, all with the same value."""
    return [rate(number, entity=e)._replace(feature=f.name) for e in range(40) for f in PAIR]


def torn(store):
    """The values that a reader sees at once, where they aren't those of one put."""
    got = store.get_many(range(40), [f.name for f in PAIR], now=NOON)
    values = {reading and reading.value for readings in got.values() for reading in readings.values()}
    return values if len(values) > 1 else None


@pytest.mark.parametrize("shared", [True, False])
def test_a_reader_never_sees_half_of_a_put_that_another_thread_makes(opened, shared):
    writes = opened(PAIR)
    reads = writes if shared else opened(PAIR)
    with ThreadPoolExecutor(3) as pool:
        written = [pool.submit(writes.put, both(float(number))) for number in range(12)]
        assert not [half for half in (torn(reads) for _ in range(15)) if half]
    for each in written:
        each.result()
    assert torn(reads) is None


WRITER = """
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from toolkit.features.stores import Feature, Row, open_store
noon = datetime(2026, 3, 2, 12, tzinfo=UTC)
features = [Feature("f_rate"), Feature("f_other")]
store = open_store(sys.argv[1], features)
print("open", flush=True)
for number in range(100_000):
    store.put([Row(e, f.name, float(number), noon, noon) for e in range(40) for f in features])
"""


def test_a_reader_never_sees_half_of_a_put_of_another_process_not_even_of_one_that_is_killed(opened):
    reads = opened(PAIR)
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, reads.url], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    try:
        assert writer.stdout.readline() == b"open\n"
        halves = [torn(reads) for _ in range(20)]
    finally:
        writer.kill()
        writer.wait()
        writer.stdout.close()
    assert not [half for half in [*halves, torn(reads)] if half]
    reads.put(both(-1.0))
    assert served(reads, entity=0, hours=0) == -1.0


def test_of_two_who_declare_one_name_at_once_the_second_is_refused(opened):
    """Each opens an empty store; in the offline one, which writes nothing down before, the first to put declares."""
    with ThreadPoolExecutor(2) as pool:

        def declared(dtype):
            try:
                store = opened([Feature("f_rate", dtype)])
                store.put([rate(1 if dtype == "int64" else 1.0)])
            except ValueError as error:
                assert "a changed definition is a new version" in str(error)  # noqa: PT017
                return None
            return dtype

        assert len(set(pool.map(declared, ["float64", "int64"])) - {None}) == 1


def test_a_store_whose_values_another_codec_wrote_is_refused(opened):
    # MessagePack would read JSON's 5 as 53.
    store = opened([Feature("f_rate", "int64")], codec="json")
    store.put([rate(5)])
    if store.url.startswith("parquet"):
        assert served(opened([Feature("f_rate", "int64")]), hours=0) == 5, (
            "it keeps types, and needs no codec"
        )
        return
    with pytest.raises(ValueError, match=rf"codec: got msgpack; {store.url} holds values in json"):
        opened([Feature("f_rate", "int64")])


def test_a_store_that_is_closed_says_so(opened):
    store = opened()
    store.close()
    for use in (lambda: store.put([rate(0.1)]), lambda: served(store, hours=0)):
        with pytest.raises(
            StoreUnavailable, match=rf"^{store.url}: couldn't .*: it is closed; open it again"
        ):
            use()


BAD_ROWS = [
    (rate("0.5"), "f_rate@1: got '0.5'; a float64 is a number that a double holds exactly"),
    (rate(True), "f_rate@1: got True; a float64 is"),
    (rate(2**53 + 1), "f_rate@1: got 9007199254740993; a float64"),
    (rate(None), "f_rate@1: got None; it isn't declared nullable"),
    (Row(7, "an_int", 3.0, NOON, NOON), "an_int@1: got 3.0; a int64 is a whole number"),
    (Row(7, "an_int", 2**63, NOON, NOON), "an_int@1: got 9223372036854775808; a int64"),
    (Row(7, "an_int", True, NOON, NOON), "an_int@1: got True; a int64"),
    (
        Row(7, "a_single", 1e39, NOON, NOON),
        r"a_single@1: got 1e\+39; a float32 is a number that a float32 can",
    ),
    (Row(7, "a_text", 5, NOON, NOON), "a_text@1: got 5; a text is a string"),
    (Row(7, "a_bool", 1, NOON, NOON), "a_bool@1: got 1; a bool is true or false"),
    (Row(7, "a_time", datetime(2026, 3, 2), NOON, NOON), "a_time@1: got .*; a time is a time with its zone"),
    (rate(0.5, version=9), "version: got 9 of f_rate; the store knows 1"),
    (rate(0.5)._replace(feature="f_x"), "feature: got 'f_x'; the store knows a_bool, "),
    (
        rate(0.5, event=2, available=1),
        "available_ts: got .* for an event at .*; a value isn't there before its event",
    ),
    (rate(0.5)._replace(event_ts=datetime(2026, 3, 2)), "event_ts: got .*; it must be a time with its zone"),
    (rate(0.5)._replace(available_ts=pd.NaT), "available_ts: got NaT; it must be a time with its zone"),
    (rate(0.5, entity=1.5), "entity_id: got 1.5; it must be a whole number, or text"),
    (rate(0.5, entity=""), "entity_id: got ''; it must be"),
    # Half a pair of surrogates, as broken JSON leaves it.
    (rate(0.5, entity="\ud83d"), "entity_id: got .*ud83d'; it must be"),
    (Row(7, "a_text", "\ud83d", NOON, NOON), "a_text@1: got .*; a text is a string of whole characters"),
    (rate(0.1, entity="good"), "rows: got entity 'good', f_rate@1, event at .* twice"),
    ((7, 0.5), "rows: got tuple at 1; each must be a Row"),
]


@pytest.mark.parametrize(("bad", "message"), BAD_ROWS)
def test_one_bad_row_is_refused_by_name_value_and_rule_and_none_is_written(opened, bad, message):
    store = opened([*TYPED, *RATE])
    with pytest.raises(ValueError, match=message):
        store.put([rate(0.1, entity="good"), bad])
    assert served(store, hours=0, entity="good") is None


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda s: s.get_many([7], ["f_x"], now=NOON), "feature: got 'f_x'; the store knows f_rate"),
        (lambda s: s.get_many([7], ["f_rate@4"], now=NOON), "version: got 4 of f_rate; the store knows 1"),
        (lambda s: s.get_many([7], [], now=NOON), r"features: got \[\]; it must be a list of one name"),
        (lambda s: s.get_many([7], "f_rate", now=NOON), "features: got 'f_rate'; it must be a list"),
        (
            lambda s: s.get_many([7], ["f_rate"], now=datetime(2026, 3, 2)),
            "now: got .*; it must be a time with",
        ),
        (lambda s: s.get_many([None], ["f_rate"], now=NOON), "entity_id: got None"),
        (lambda s: s.get_many([math.nan], ["f_rate"], now=NOON), "entity_id: got nan"),
        (lambda s: s.get_many("7", ["f_rate"], now=NOON), "entity_ids: got '7'; it must be a list of ids"),
    ],
)
def test_a_question_that_has_no_answer_is_refused(opened, ask, message):
    store = opened()
    store.put([rate(0.1)])
    with pytest.raises(ValueError, match=message):
        ask(store)


def test_times_of_other_zones_are_the_same_instants(opened):
    store = opened()
    there = timezone(timedelta(hours=5, minutes=45))
    store.put(
        [Row(7, "f_rate", 0.5, NOON.astimezone(there), pd.Timestamp(NOON).tz_convert("Asia/Kathmandu"))]
    )
    reading = store.get_many([7], ["f_rate"], now=NOON.astimezone(there))[7]["f_rate"]
    assert reading == Reading(0.5, NOON, NOON, 1)


def test_nanoseconds_are_cut(opened):
    store = opened()
    ts = pd.Timestamp(NOON) + pd.Timedelta(nanoseconds=1_999)
    store.put([Row(7, "f_rate", 0.5, ts, ts)])
    assert store.get_many([7], ["f_rate"], now=ts)[7]["f_rate"].event_ts == NOON + timedelta(microseconds=1)


def test_foobar_s_history_goes_in_as_it_is(opened):
    history = feature_history(simulate(Settings(items=20, requests=40, days=2)), range(2))
    features = [Feature(name) for name in ("rate_28d", "rate_today", "rate_daily")]
    store = opened(features, keep=100)
    store.put(rows_of(history))
    now = history["available_ts"].max()
    got = store.get_many(list(range(20)), ["rate_daily"], now=now.to_pydatetime())
    daily = (
        history[history["feature"] == "rate_daily"]
        .sort_values("event_ts")
        .groupby("entity_id")["value"]
        .last()
    )
    assert [got[item]["rate_daily"].value for item in range(20)] == daily.tolist()


def online(opened):
    """Skips the store that keeps everything."""
    try:
        return opened(capacity=3, keep=2)
    except ValueError as error:
        assert "an offline store keeps everything" in str(error)  # noqa: PT017
        pytest.skip("the offline store evicts nothing")


def test_above_its_capacity_the_entities_written_longest_ago_go_with_all_their_values(opened):
    store = online(opened)
    for entity in "abc":
        store.put([rate(0.5, entity=entity)])
    store.put([rate(0.6, event=1, entity="a")])
    store.put([rate(0.5, entity="d")])
    got = store.get_many(list("abcd"), ["f_rate"], now=NOON + 2 * HOUR)
    assert [entity for entity in "abcd" if got[entity]["f_rate"] is None] == ["b"]
    # What comes back starts anew: none of its old values is there.
    store.put([rate(0.7, event=1, available=2, entity="b")])
    assert served(store, hours=1.5, entity="b") is None
    assert served(store, hours=2, entity="b") == 0.7


def test_of_one_feature_the_latest_events_are_held(opened):
    store = online(opened)
    store.put([rate(value, event=hour) for hour, value in enumerate((0.1, 0.2, 0.3))])
    assert [served(store, hours=h) for h in (0, 1, 2)] == [None, 0.2, 0.3]
    # A late arrival of an old event pushes nothing out.
    store.put([rate(0.9, event=0.5, available=9)])
    assert [served(store, hours=h) for h in (1, 2, 10)] == [0.2, 0.3, 0.3]


@pytest.mark.parametrize(
    ("url", "message"),
    [
        (
            "mysql://x",
            "url: got 'mysql://x'; it must be sqlite://path, redis://host:port/db or parquet://folder",
        ),
        ("sqlite://", "url: got 'sqlite://'"),
        ("store.db", "url: got 'store.db'"),
    ],
)
def test_an_address_of_another_form_is_refused(url, message):
    with pytest.raises(ValueError, match=message):
        open_store(url, RATE)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: StoreSettings(ttl=timedelta(0)), "ttl: got .*; it must be longer than 0"),
        (lambda: StoreSettings(write_lag=-HOUR), "write_lag: got .*; it must be a time, not negative"),
        (lambda: StoreSettings(write_lag=3600), "write_lag: got 3600; it must be a time"),
        (lambda: StoreSettings(capacity=0), "capacity: got 0"),
        (lambda: StoreSettings(keep=0), "keep: got 0"),
        (
            lambda: StoreSettings(codec="pickle"),
            "codec: got 'pickle'; it must be one of json, float32, msgpack",
        ),
        (lambda: rows_of(pd.DataFrame({"entity_id": [1]})), "history: got columns"),
    ],
)
def test_bad_settings_are_refused_by_name_value_and_rule(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_the_stores_themselves_are_imported_when_one_is_opened():
    code = "import sys, toolkit.features.stores; print({'redis', 'duckdb', 'msgpack'} & set(sys.modules))"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "set()"
