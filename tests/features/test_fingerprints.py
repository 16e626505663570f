"""Fingerprints: equal for equal definitions and rows in any library and process, and a registry that keeps its word."""

import datetime
import os
import subprocess
import sys
import types
from concurrent.futures import ThreadPoolExecutor

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from toolkit.features.fingerprints import (
    Manifest,
    Registry,
    VersionMismatch,
    fingerprint,
    fingerprint_data,
)

MONTH = {"source": "clicks", "window_days": 30, "where": [{"column": "bot", "is": False}], "unit": None}


def test_the_order_of_a_mapping_and_the_width_of_a_number_do_not_count():
    assert fingerprint(MONTH) == fingerprint(dict(reversed(MONTH.items())))
    assert fingerprint(MONTH) == fingerprint({**MONTH, "window_days": np.int32(30)})
    assert fingerprint(MONTH) == fingerprint({**MONTH, "window_days": 30.0})
    assert fingerprint("Z\u00fcrich") == fingerprint("Zu\u0308rich")
    assert fingerprint([np.bool_(True), np.float64(2)]) == fingerprint((True, 2))
    assert fingerprint(10**400) != fingerprint(10**400 + 1)


@pytest.mark.parametrize(
    "other",
    [
        {**MONTH, "window_days": 7},
        {**MONTH, "window_days": "30"},
        {**MONTH, "unit": 0},
        {**MONTH, "where": []},
        {**MONTH, "where": [{"column": "bot", "is": 0}]},
        {key: value for key, value in MONTH.items() if key != "unit"},
        list(MONTH.items()),
        "clicks",
    ],
)
def test_anything_else_is_another_definition(other):
    assert fingerprint(other) != fingerprint(MONTH)


def test_another_process_with_another_hash_seed_finds_the_same():
    code = (
        "import pandas as pd; from toolkit.features.fingerprints import *; "
        "print(fingerprint({'b': 'x', 'a': [1.5, None]}), fingerprint_data(pd.DataFrame({'k': ['u', 'v'], 'v': [1, 2]})))"
    )
    seed = "2" if os.environ.get("PYTHONHASHSEED") == "1" else "1"
    told = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert told == [
        fingerprint({"a": [1.5, None], "b": "x"}),
        fingerprint_data(pd.DataFrame({"k": ["u", "v"], "v": [1, 2]})),
    ]


@pytest.mark.parametrize(
    ("part", "message"),
    [
        (len, r"definition: got builtin_function_or_method; it must be a text"),
        ({"code": lambda x: x}, r"definition\.code: got function; it must be a text"),
        ({"window": [1, float("nan")]}, r"definition\.window\[1\]: got nan; a number must be finite"),
        ({7: "days"}, r"definition: got the key 7; keys must be texts"),
        (b"raw", r"definition: got bytes"),
        ({"\u00e9": 1, "e\u0301": {}}, r"definition: got a key twice, in two Unicode forms"),
        (np.datetime64("2026-03-02"), r"definition: got date"),
    ],
)
def test_what_has_no_lasting_text_is_refused(part, message):
    with pytest.raises(ValueError, match=message):
        fingerprint(part)


def rows():
    rng = np.random.default_rng(0)
    ts = pd.date_range("2026-03-02 10:00:00.123456", periods=50, freq="7min", tz="UTC")
    return pd.DataFrame(
        {
            "item_id": rng.integers(0, 20, 50),
            "value": np.where(rng.random(50) < 0.2, np.nan, rng.normal(size=50)),
            "city": rng.choice(["Z\u00fcrich", "Basel", None], 50),
            "new": rng.random(50) < 0.5,
            "ts": ts,
        }
    )


def test_equal_rows_have_one_fingerprint_in_any_order_and_library():
    frame = rows()
    want = fingerprint_data(frame)
    shuffled = frame.sample(frac=1, random_state=1)[["ts", "new", "city", "value", "item_id"]]
    arrow = pa.Table.from_pandas(frame, preserve_index=False)
    relation = duckdb.from_arrow(arrow)
    paris = frame.assign(ts=frame["ts"].dt.tz_convert("Europe/Paris"))
    nullable = frame.convert_dtypes().astype({"city": "category", "item_id": "Int16"})
    others = {
        "shuffled": shuffled,
        "pyarrow": arrow,
        "polars": pl.from_arrow(arrow),
        "lazy polars": pl.from_arrow(arrow).lazy(),
        "duckdb": relation,
        "another zone": paris,
        "nullable types": nullable,
        "milliseconds don't fit, nanoseconds do": frame.assign(ts=frame["ts"].dt.as_unit("ns")),
    }
    for name, other in others.items():
        assert fingerprint_data(other) == want, name


def test_any_change_of_a_value_a_name_or_a_count_changes_it():
    frame = rows()
    want = fingerprint_data(frame)
    rounded = frame.assign(value=frame["value"].astype("float32").astype(float))
    swapped = frame.assign(value=frame["value"].to_numpy()[::-1])
    others = [
        rounded,
        swapped,
        frame.rename(columns={"value": "rate"}),
        frame.iloc[1:],
        pd.concat([frame, frame.iloc[:1]]),
        frame.assign(city=frame["city"].fillna("")),
        frame.assign(ts=frame["ts"] + pd.Timedelta("1us")),
        frame.assign(item_id=frame["item_id"].astype(str)),
        frame.rename(columns={"value": "item_id", "item_id": "value"}),
    ]
    assert len({want, *map(fingerprint_data, others)}) == len(others) + 1


def test_a_row_that_is_there_twice_does_not_cancel():
    one = pd.DataFrame({"k": [1]})
    twice, thrice = pd.concat([one, one]), pd.concat([one, one, one])
    assert len({fingerprint_data(each) for each in (one, twice, thrice)}) == 3


def test_negative_zero_is_zero_and_long_ids_are_told_apart():
    assert fingerprint_data(pd.DataFrame({"v": [-0.0]})) == fingerprint_data(pd.DataFrame({"v": [0]}))
    long, longer = (pd.DataFrame({"id": [2**53 + last]}) for last in (0, 1))
    assert fingerprint_data(long) != fingerprint_data(longer)


def test_a_long_id_is_itself_beside_short_ones_and_in_any_type_that_holds_it():
    ids = [1, 2**53 + 2, 2**60]
    want = fingerprint_data(pd.DataFrame({"id": ids}))
    others = [
        pd.DataFrame({"id": np.array(ids, dtype="uint64")}),
        pd.DataFrame({"id": np.array(ids, dtype="float64")}),
        pl.DataFrame({"id": ids}),
        pa.table({"id": ids}),
    ]
    assert {fingerprint_data(other) for other in others} == {want}
    huge = pd.DataFrame({"id": np.array([2**64 - 1, 2**64 - 2], dtype="uint64")})
    assert fingerprint_data(huge) != fingerprint_data(huge.iloc[:1])


def test_long_ids_that_a_missing_one_makes_floats_are_refused_rather_than_confused():
    for frame in (pl.DataFrame({"id": [2**53 + 1, None]}), pa.table({"id": [2**53 + 1, None]})):
        with pytest.raises(
            ValueError, match=r"id: got missing values beside whole numbers from 2 \*\* 53 on"
        ):
            fingerprint_data(frame)


def test_flags_count_as_1_and_0_missing_or_not_in_any_library():
    told = {
        fingerprint_data(frame)
        for frame in (
            pl.DataFrame({"new": [True, None, False]}),
            pa.table({"new": [True, None, False]}),
            pd.DataFrame({"new": pd.array([True, None, False], dtype="boolean")}),
            pd.DataFrame({"new": [1.0, np.nan, 0.0]}),
        )
    }
    assert len(told) == 1


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        ([1, 2], r"frame: got list; it must be a frame that Narwhals reads"),
        (pd.DataFrame({"v": []}), r"frame: got no row"),
        (
            pd.DataFrame({"v": [[1], [2]]}),
            r"v: got object in frame; it must be numbers, flags, texts, or times",
        ),
        (
            pd.DataFrame({"ts": pd.to_datetime(["2026-03-02"])}),
            r"ts: got datetime64\[\w+\] in frame; .* zone",
        ),
        (pd.DataFrame({0: [1]}), r"frame: got the column 0; names must be texts"),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), r"frame: got a column's name twice"),
        (pd.DataFrame({"d": [datetime.date(2026, 3, 2)]}), r"d: got object in frame"),
    ],
)
def test_bad_data_is_refused(frame, message):
    with pytest.raises(ValueError, match=message):
        fingerprint_data(frame)


def test_a_name_keeps_its_definition_across_openings(tmp_path):
    first = Registry(tmp_path / "features").register("rate_30d.v1", MONTH)
    again = Registry(tmp_path / "features")
    assert again.register("rate_30d.v1", {**MONTH}) == first == again.fingerprint("rate_30d.v1")
    with pytest.raises(
        ValueError, match=rf"rate_30d\.v1: got fingerprint \w+, but it is registered as {first}"
    ):
        again.register("rate_30d.v1", {**MONTH, "window_days": 7})
    assert again.definition("rate_30d.v1") == MONTH
    assert again.names() == ["rate_30d.v1"]
    frozen = types.MappingProxyType({"days": np.int64(30), "bots": np.bool_(False), "of": ("a", "b")})
    first = again.register("frozen", frozen)
    assert fingerprint(again.definition("frozen")) == first
    (tmp_path / "features" / "frozen.json").unlink()
    assert [path.name for path in (tmp_path / "features").iterdir()] == ["rate_30d.v1.json"]


def test_of_many_that_register_one_name_at_once_one_definition_wins(tmp_path):
    def attempt(window):
        try:
            return Registry(tmp_path).register("rate.v1", {"window_days": window})
        except ValueError:
            return None

    with ThreadPoolExecutor(8) as pool:
        told = set(pool.map(attempt, range(16))) - {None}
    assert told == {Registry(tmp_path).fingerprint("rate.v1")}


def test_killed_in_the_middle_nothing_half_written_is_there(tmp_path, monkeypatch):
    monkeypatch.setattr("os.link", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        Registry(tmp_path).register("rate.v1", MONTH)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["", "Rate", "../rate", "a..b", ".a", "rate 30", 7])
def test_a_name_that_is_no_name_is_refused(tmp_path, name):
    with pytest.raises(ValueError, match=r"name: got .*; it must be small letters"):
        Registry(tmp_path).register(name, MONTH)


def test_a_manifest_refuses_a_store_that_serves_anything_else(tmp_path):
    registry = Registry(tmp_path)
    for version, axes in (("v1", "run 1"), ("v2", "run 2")):
        for side in ("user", "item"):
            registry.register(f"{side}_tower.{version}", {"trained_in": axes, "side": side})
    manifest = registry.pin("ranker_2", ["user_tower.v2", "item_tower.v2"])
    store = {name: registry.fingerprint(name) for name in registry.names()}
    manifest.require(store)
    old = registry.fingerprint("item_tower.v1")
    with pytest.raises(
        VersionMismatch, match=rf"ranker_2: item_tower\.v2 is served as {old}, trained on \w+$"
    ):
        manifest.require({**store, "item_tower.v2": old})
    with pytest.raises(VersionMismatch, match=r"user_tower\.v2 isn't served; item_tower\.v2 isn't served"):
        manifest.require({})


def test_what_is_not_registered_cannot_be_pinned(tmp_path):
    with pytest.raises(ValueError, match=r"name: got 'rate\.v2'; registered are: none"):
        Registry(tmp_path).pin("ranker", ["rate.v2"])
    with pytest.raises(ValueError, match=r"names: got 'rate\.v2'; it must be a list"):
        Registry(tmp_path).pin("ranker", "rate.v2")
    assert Manifest("ranker", {}).require({}) is None
