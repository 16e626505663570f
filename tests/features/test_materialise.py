"""One specification in both stores: what is read back is what an engine computes, and a failure can be repeated."""

from datetime import timedelta

import numpy as np
import pandas as pd
import pytest

from toolkit.features import stores
from toolkit.features.engines import compute
from toolkit.features.materialise import materialise, read_back, stored
from toolkit.features.specification import Specification

FEATURES = [
    Specification("f_orders", "amount", "count", days=7),
    Specification("f_spread", "amount", "std", days=7),
    Specification("f_spend", "amount", "sum", days=3, log="e", digits=6),
    Specification("f_city", "city", "latest", days=30, holds_text=True),
]
NAMES = [feature.name for feature in FEATURES]
START = pd.Timestamp("2026-05-01", tz="UTC")
NIGHTS = [START + pd.Timedelta(days=day) for day in (5, 6, 7)]
USERS = list(range(12))


def events(n=300):
    draw = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "event_id": np.arange(n),
            "entity_id": draw.integers(0, 11, n),  # the last user has none
            "ts": START + pd.to_timedelta(draw.integers(0, 8 * 24 * 60, n), unit="min"),
            "amount": draw.integers(100, 9000, n).astype(float),
            "city": draw.choice(["Bonn", "Köln", " bonn "], n),
        }
    )


def opened(tmp_path, codec="msgpack"):
    declared = [stored(feature) for feature in FEATURES]
    settings = stores.StoreSettings(codec=codec)
    return [
        stores.open_store(url, declared, settings=settings)
        for url in ("sqlite://:memory:", f"parquet://{tmp_path / 'offline'}")
    ]


def test_both_stores_serve_what_each_engine_computes_as_of_the_last_night(tmp_path):
    both = opened(tmp_path)
    written = materialise(FEATURES, events(), USERS, NIGHTS, both, takes=timedelta(hours=2))
    assert len(written) == len(USERS) * len(NIGHTS)
    for night, now in zip(NIGHTS, [night + pd.Timedelta(hours=3) for night in NIGHTS], strict=True):
        requests = pd.DataFrame({"row_id": USERS, "entity_id": USERS, "ts": night})
        right = compute(FEATURES, events(), requests, engine="Python")
        for store in both:
            served = read_back(store, USERS, NAMES, now=now)
            for name in NAMES:
                # To the last bit, missing ones included.
                pd.testing.assert_series_equal(
                    served[name], right[name], check_dtype=False, check_exact=True, check_names=False
                )
        assert right["f_orders"].iloc[-1] == 0
        assert pd.isna(right["f_spread"].iloc[-1])
    # An hour after a night its values can't be read yet: the night before's are served.
    online = read_back(both[0], USERS, NAMES, now=NIGHTS[-1] + pd.Timedelta(hours=1))
    before = written[written["ts"] == NIGHTS[-2]].reset_index(drop=True)
    assert online["f_orders"].tolist() == before["f_orders"].tolist()
    for store in both:
        store.close()


def test_after_a_failure_the_same_call_again_brings_both_stores_to_one_state(tmp_path):
    both = opened(tmp_path)
    gone = opened(tmp_path / "other")[0]
    gone.close()
    with pytest.raises(stores.StoreUnavailable):
        materialise(FEATURES, events(), USERS, NIGHTS, [both[0], gone, both[1]])
    now = NIGHTS[-1]
    assert read_back(both[0], USERS, ["f_orders"], now=now)["f_orders"].notna().all()
    assert read_back(both[1], USERS, ["f_orders"], now=now)["f_orders"].isna().all()
    materialise(FEATURES, events(), USERS, NIGHTS, both)
    online, offline = (read_back(store, USERS, NAMES, now=now) for store in both)
    pd.testing.assert_frame_equal(online, offline)


def test_where_one_put_does_not_take_all_each_holds_all_features_of_an_entity(tmp_path, monkeypatch):
    puts = []

    class Watched:
        def put(self, rows):
            puts.append(rows)

    monkeypatch.setattr(stores, "MOST_ROWS", 10)
    materialise(FEATURES, events(), USERS, NIGHTS, [Watched()])
    assert [len(rows) for rows in puts] == [8] * 18
    for rows in puts:
        assert [row.feature for row in rows] == NAMES * 2
    assert len({(row.entity_id, row.event_ts) for rows in puts for row in rows}) == 36


def test_a_codec_of_32_bits_shows_in_what_is_read_back(tmp_path):
    spend = [Specification("f_spend", "amount", "sum", days=3, log="e", digits=6, empty=0.0)]
    store = stores.open_store(
        "sqlite://:memory:", [stored(spend[0])], settings=stores.StoreSettings(codec="float32")
    )
    written = materialise(spend, events(), USERS, NIGHTS[:1], [store])
    served = read_back(store, USERS, ["f_spend"], now=NIGHTS[0])
    there = written["f_spend"] > 0
    assert (served["f_spend"] != written["f_spend"])[there].mean() > 0.9
    assert served["f_spend"].to_numpy() == pytest.approx(written["f_spend"].to_numpy(), rel=1e-7, nan_ok=True)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"entities": []}, "entities: got none"),
        ({"entities": [1, 1]}, "entities: got one twice"),
        ({"at": []}, "at: got none"),
        ({"at": [NIGHTS[0], NIGHTS[0].tz_convert("Asia/Kathmandu")]}, "at: got one twice"),
        ({"into": []}, "into: got none"),
        ({"takes": timedelta(hours=-1)}, "takes: got -1 day"),
        ({"at": [NIGHTS[0].tz_localize(None)]}, "ts: got"),
        ({"version": 2}, "version: got 2 of f_orders; the store knows 1"),
    ],
)
def test_bad_input_is_refused_before_a_store_is_touched(tmp_path, change, message):
    both = opened(tmp_path)
    given = {"entities": USERS, "at": NIGHTS[:1], "into": both, "takes": timedelta(0), "version": 1} | change
    with pytest.raises(ValueError, match=message):
        materialise(
            FEATURES,
            events(),
            given["entities"],
            given["at"],
            given["into"],
            takes=given["takes"],
            version=given["version"],
        )
    assert read_back(both[0], [0], ["f_orders"], now=NIGHTS[0])["f_orders"].isna().all()
