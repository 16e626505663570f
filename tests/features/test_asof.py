"""A row gets the newest event among those that could be read: by hand, and as pandas and Polars join."""

from datetime import timedelta

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from toolkit.features.asof import asof_join

NOON = pd.Timestamp("2026-03-02 12:00", tz="UTC")


def at(*hours):
    return NOON + pd.to_timedelta(np.array(hours, dtype=float) - 12, unit="h")


def history(*events, entity=7, feature="x"):
    """Events as (hour, hour of availability, value)."""
    event, available, value = zip(*events, strict=True)
    return pd.DataFrame(
        {
            "entity_id": entity,
            "feature": feature,
            "event_ts": at(*event),
            "available_ts": at(*available),
            "value": np.array(value, dtype=float),
        }
    )


def rows(*hours, item=7):
    return pd.DataFrame({"item_id": item, "ts": at(*hours)})


def random_tables(seed, *, late, events=250, asked=120):
    """Tables full of ties: whole hours, few entities."""
    rng = np.random.default_rng(seed)
    event = rng.integers(0, 60, events).astype(float)
    wait = rng.integers(0, 30, events) if late else np.full(events, 3)
    known = history(*zip(event, event + wait, rng.normal(size=events), strict=True))
    known["entity_id"] = rng.integers(0, 6, events)
    known["feature"] = rng.choice(["x", "z"], events)
    known = known.drop_duplicates(["entity_id", "feature", "event_ts", "available_ts"])
    wanted = rows(*rng.integers(0, 90, asked), item=rng.integers(0, 8, asked))
    return wanted, known


def slowly(wanted, known, feature, max_age=None):
    """The definition, row by row."""
    found = []
    for item, ts in zip(wanted["item_id"], wanted["ts"], strict=True):
        here = known[
            (known["entity_id"] == item) & (known["feature"] == feature) & (known["available_ts"] <= ts)
        ]
        if here.empty:
            found.append(np.nan)
            continue
        last = here.sort_values(["event_ts", "available_ts"]).iloc[-1]
        old = max_age is not None and ts - last["event_ts"] > pd.Timedelta(max_age)
        found.append(np.nan if old else last["value"])
    return np.array(found)


def test_a_value_is_read_from_the_moment_on_that_it_is_available_and_not_from_its_event():
    known = history((9, 10, 1.0), (11, 12, 2.0))
    assert asof_join(rows(9.5, 10, 11.5, 12), known)["f_x"].tolist()[1:] == [1.0, 1.0, 2.0]
    assert np.isnan(asof_join(rows(9.5), known)["f_x"][0])


def test_a_correction_counts_from_when_it_came_and_an_old_event_that_comes_late_never():
    known = history((9, 10, 1.0), (11, 11.5, 2.0), (11, 13, 3.0), (8, 11.75, 4.0))
    for order in (known, known[::-1], known.sample(frac=1, random_state=0)):
        assert asof_join(rows(11, 12, 13), order)["f_x"].tolist() == [1.0, 2.0, 3.0]


def test_of_a_batch_the_newest_event_counts():
    known = history((9, 12, 1.0), (11, 12, 2.0), (10, 12, 3.0))
    assert asof_join(rows(12), known)["f_x"].tolist() == [2.0]


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("max_age", [None, "10h"])
def test_it_is_the_definition_row_by_row(late, max_age):
    for seed in range(1):
        wanted, known = random_tables(seed, late=late)
        joined = asof_join(wanted, known, max_age=max_age)
        for feature in ("x", "z"):
            assert joined[f"f_{feature}"].to_numpy() == pytest.approx(
                slowly(wanted, known, feature, max_age), nan_ok=True
            )


@pytest.mark.parametrize("late", [False, True])
def test_it_equals_pandas_and_polars_row_for_row(late):
    for seed in range(10):
        wanted, known = random_tables(seed, late=late)
        known = known[known["feature"] == "x"]
        if late:
            # They have no event time: given are the values that are the newest event's when they come.
            known = known.sort_values(["available_ts", "event_ts"])
            known = known[known.groupby("entity_id")["event_ts"].cummax() == known["event_ts"]]
        known = known.sort_values(["available_ts", "event_ts"])
        ours = asof_join(wanted, known)["f_x"].to_numpy()
        place = wanted.reset_index().sort_values("ts", kind="stable")
        theirs = pd.merge_asof(
            place, known, left_on="ts", right_on="available_ts", left_by="item_id", right_by="entity_id"
        ).sort_values("index")
        assert len(theirs) == len(wanted)
        np.testing.assert_array_equal(ours, theirs["value"])
        polars = pl.from_pandas(place).join_asof(
            pl.from_pandas(known.reset_index(drop=True)),
            left_on="ts",
            right_on="available_ts",
            by_left="item_id",
            by_right="entity_id",
            check_sortedness=False,
        )
        np.testing.assert_array_equal(ours, polars.sort("index")["value"].to_numpy())


def test_a_maximum_age_includes_its_end_and_is_of_the_event():
    known = history((6, 10, 1.0))
    asked = rows(12)
    assert asof_join(asked, known, max_age="6h")["f_x"].tolist() == [1.0]
    assert asof_join(asked, known, max_age=timedelta(hours=6))["f_x"].tolist() == [1.0]
    assert np.isnan(asof_join(asked, known, max_age="5h")["f_x"][0])


def test_rows_keep_their_order_index_and_columns_and_none_is_lost():
    asked = rows(14, 8, 12, item=[7, 7, 8]).assign(note=["a", "b", "c"])
    asked.index = [5, 5, 2]
    joined = asof_join(asked, history((9, 10, 1.0)))
    pd.testing.assert_frame_equal(joined[list(asked)], asked)
    np.testing.assert_array_equal(joined["f_x"], [1.0, np.nan, np.nan])


def test_several_keys_and_an_entity_of_another_name():
    known = pd.concat(
        [history((9, 9, 1.0)).assign(market="NL"), history((9, 9, 2.0)).assign(market="BE")]
    ).rename(columns={"entity_id": "item_id"})
    asked = rows(12, 12, 12).assign(market=["BE", "NL", "DE"])
    joined = asof_join(asked, known, key=["item_id", "market"])
    np.testing.assert_array_equal(joined["f_x"], [2.0, 1.0, np.nan])
    one = asof_join(rows(12), known[known["market"] == "NL"], entity="item_id", prefix="g ")
    assert one["g x"].tolist() == [1.0]


def test_a_missing_value_hides_the_one_before_it():
    known = history((9, 9, 1.0), (10, 10, np.nan))
    assert np.isnan(asof_join(rows(12), known)["f_x"][0])


def test_the_same_value_twice_does_no_harm():
    known = history((9, 9, 1.0), (9, 9, 1.0), (10, 11, 2.0), (10, 11, 2.0))
    assert asof_join(rows(10, 12), known)["f_x"].tolist() == [1.0, 2.0]


def test_each_library_gets_its_own_frame_back(tmp_path):
    asked, known = random_tables(3, late=True)
    expected = asof_join(asked, known)[["f_x", "f_z"]].to_numpy()
    polars = asof_join(pl.from_pandas(asked), pl.from_pandas(known))
    assert isinstance(polars, pl.DataFrame)
    assert polars["f_x"].null_count() == np.isnan(expected[:, 0]).sum()
    assert isinstance(asof_join(pl.from_pandas(asked).lazy(), known), pl.DataFrame)
    arrow = asof_join(pa.Table.from_pandas(asked), pa.Table.from_pandas(known))
    assert isinstance(arrow, pa.Table)
    asked.to_parquet(tmp_path / "rows.parquet")
    known.to_parquet(tmp_path / "history.parquet")
    files = asof_join(tmp_path / "rows.parquet", str(tmp_path / "hist*.parquet"), memory_limit="200MB")
    with duckdb.connect() as mine:
        relations = asof_join(mine.from_df(asked), mine.from_df(known))
        assert isinstance(relations, duckdb.DuckDBPyRelation)
        relations = relations.df()
    files.to_parquet(str(tmp_path / "joined.parquet"))
    written = pd.read_parquet(tmp_path / "joined.parquet")
    assert (written["item_id"].to_numpy() == asked["item_id"].to_numpy()).all()
    for joined in (polars.to_pandas(), arrow.to_pandas(), written, relations):
        np.testing.assert_array_equal(joined[["f_x", "f_z"]].to_numpy(float), expected)


@pytest.mark.parametrize("hours", [(9, 10), (10, 9), (9, 9)])
def test_a_relation_can_be_read_whichever_way_its_history_was_checked(hours):
    known = history(*((hour, hour + 1, float(hour)) for hour in hours))
    with duckdb.connect() as mine:
        for given in (mine.from_df(known), known):
            joined = asof_join(mine.from_df(rows(12)), given).df()
            assert joined["f_x"].tolist() == [max(hours)]


def test_nan_and_null_are_one_missing_value_and_nan_is_no_key():
    known = pl.from_pandas(history((9, 9, 1.0), (10, 10, np.nan)), nan_to_null=False)
    asked = duckdb.sql("SELECT 7 AS item_id, TIMESTAMPTZ '2026-03-02 12:00+00' AS ts")
    assert asof_join(asked, known).fetchall()[0][-1] is None
    nobody = duckdb.sql("SELECT 'nan'::DOUBLE AS item_id, TIMESTAMPTZ '2026-03-02 12:00+00' AS ts")
    with pytest.raises(ValueError, match="item_id: got 1 missing of 1"):
        asof_join(nobody, known)


def test_features_that_differ_in_capitals_alone_are_two_in_a_frame_and_refused_in_a_relation():
    known = history((9, 9, 1.0), (9, 9, 2.0)).assign(feature=["x", "X"])
    joined = asof_join(rows(12).assign(F_X=3.0), known, features=["x"])
    assert joined[["F_X", "f_x"]].iloc[0].tolist() == [3.0, 1.0]
    both = asof_join(rows(12), known)
    assert both[["f_x", "f_X"]].iloc[0].tolist() == [1.0, 2.0]
    with duckdb.connect() as mine:
        with pytest.raises(ValueError, match="features: got 'x' and another that differs in capitals"):
            asof_join(mine.from_df(rows(12)), known)
        with pytest.raises(ValueError, match="rows have a column f_x already"):
            asof_join(mine.from_df(rows(12).assign(F_X=3.0)), known, features=["x"])


def test_several_keys_and_features_are_the_definition_row_by_row():
    draw = np.random.default_rng(5)
    known = history(*zip(*(draw.integers(0, 30, 150).astype(float) for _ in range(3)), strict=True))
    known["available_ts"] = known["event_ts"] + pd.to_timedelta(draw.integers(0, 9, 150), unit="h")
    known["feature"] = draw.choice(["x", "z"], 150)
    known["market"] = draw.choice(["NL", "BE"], 150)
    known["entity_id"] = draw.integers(0, 2, 150)
    known = known.drop_duplicates(["entity_id", "market", "feature", "event_ts", "available_ts"])
    asked = rows(*draw.integers(0, 45, 60), item=draw.integers(0, 3, 60))
    asked["market"] = draw.choice(["NL", "BE"], 60)
    joined = asof_join(asked, known, key=["item_id", "market"], entity=["entity_id", "market"], max_age="12h")
    for feature in ("x", "z"):
        for market in ("NL", "BE"):
            here = asked["market"] == market
            expected = slowly(asked[here], known[known["market"] == market], feature, "12h")
            np.testing.assert_array_equal(joined.loc[here, f"f_{feature}"], expected)


def bad(**change):
    return history((9, 10, 1.0), (10, 11, 2.0)).assign(**change)


@pytest.mark.parametrize(
    ("asked", "known", "settings", "message"),
    [
        (rows(12), bad(value=["a", "b"]), {}, "value: got text in feature_history; it must be numbers"),
        (
            rows(12),
            bad().drop(columns="available_ts"),
            {},
            "feature_history: got columns .*; it must have available_ts",
        ),
        (
            rows(12),
            bad(available_ts=at(8, 11)),
            {},
            "available_ts: got a value of 'x' that was available 1:00:00 before",
        ),
        (rows(12), bad(event_ts=at(9, 9), available_ts=at(10, 10)), {}, "got two values of 'x' for entity 7"),
        (rows(12), bad(), {"features": ["fog"]}, "feature: got 'fog'; feature_history has no such feature"),
        (rows(12), bad(), {"features": "x"}, "features: got 'x'; it must be a list"),
        (rows(12), bad(), {"features": []}, "features: got none"),
        (rows(12), bad(entity_id=[7.0, np.nan]), {}, "entity_id: got 1 missing of 2; feature_history"),
        (rows(12), bad(feature=["x", None]), {}, "feature: got 1 missing of 2; feature_history"),
        (rows(12), bad(entity_id=["a", "b"]), {}, "item_id: got numbers in rows and text in entity_id"),
        (rows(12, item=[np.nan]), bad(), {}, "item_id: got 1 missing of 1; rows must be complete"),
        (rows(12).assign(ts=pd.to_datetime([None], utc=True)), bad(), {}, "ts: got 1 missing of 1"),
        (
            rows(12).assign(ts=lambda t: t["ts"].dt.tz_localize(None)),
            bad(),
            {},
            "ts: got Datetime.* in rows; it must be times with their zone",
        ),
        (
            rows(12),
            bad(available_ts=at(10, 11).tz_localize(None)),
            {},
            "available_ts: got Datetime.* in feature_history",
        ),
        (
            rows(12).assign(ts=lambda t: t["ts"].dt.tz_convert("Europe/Berlin")),
            bad(),
            {},
            "ts: got Europe/Berlin in ts, UTC in event_ts",
        ),
        (
            rows(12, 13).assign(ts=[NOON, NOON.tz_convert("Asia/Tokyo")]),
            bad(),
            {},
            "ts: got Object in rows; it must be times",
        ),
        (rows(12).assign(f_x=1.0), bad(), {}, "prefix: got 'f_'; rows have a column f_x already"),
        (rows(12), bad(), {"max_age": "-1h"}, "max_age: got '-1h'"),
        (rows(12), bad(), {"max_age": "soon"}, "max_age: got 'soon'"),
        (rows(12), bad(), {"max_age": 36}, "max_age: got 36; it must be a time with its unit"),
        (rows(12), bad(), {"max_age": "36"}, "max_age: got '36'"),
        (
            pl.from_pandas(rows(12, item=[np.nan]), nan_to_null=False),
            bad(),
            {},
            "item_id: got 1 missing of 1",
        ),
        (
            rows(12),
            pl.from_pandas(bad(entity_id=[7.0, np.nan]), nan_to_null=False),
            {},
            "entity_id: got 1 missing of 2",
        ),
        (rows(12, item=[2.0**53]), bad(), {}, "item_id: got 9.0072e.15 in rows as a float"),
        (__file__, bad(), {}, "rows: got .*; it must be a Parquet file"),
        (rows(12), bad(), {"memory_limit": "much"}, "memory_limit: got 'much'"),
        (rows(12), bad(), {"key": ["item_id", "ts"], "entity": "entity_id"}, "entity: got .* for the key"),
        (rows(12), bad().iloc[:0], {}, "feature_history: got no row"),
        ([1], bad(), {}, "rows: got list; it must be a frame"),
        ("no/such.parquet", bad(), {}, "rows: got 'no/such.parquet'; there is no such file"),
    ],
)
def test_bad_input_is_refused_by_name_value_and_rule(asked, known, settings, message):
    with pytest.raises(ValueError, match=message):
        asof_join(asked, known, **settings)


@pytest.mark.parametrize("shuffled", [False, True])
@pytest.mark.parametrize("tied", [1, 20_000])
def test_two_values_of_one_event_are_found_in_a_long_history(shuffled, tied):
    count = 40_000
    hours = np.r_[np.zeros(tied), np.arange(1, count - tied + 1)] / 1000
    known = history(*zip(hours, hours + 1, np.arange(count), strict=True))
    known["entity_id"] = np.arange(count)
    order = np.random.default_rng(0).permutation(count) if shuffled else slice(None)
    good = known.iloc[order]
    assert len(asof_join(rows(12), good)) == 1
    twice = pd.concat([known, known.iloc[[count // 3]].assign(value=-1.0)])
    with pytest.raises(ValueError, match=f"two values of 'x' for entity {count // 3}"):
        asof_join(rows(12), twice if not shuffled else twice.sample(frac=1, random_state=0))


def test_times_to_the_nanosecond_are_joined_from_frames_and_from_files_alike(tmp_path):
    asked = rows(11.5).assign(ts=lambda t: t["ts"].dt.as_unit("ns"))
    known = history((9, 10, 1.0), (10, 11, 2.0), (9, 12, 3.0))
    known = known.assign(**{name: known[name].dt.as_unit("ns") for name in ("event_ts", "available_ts")})
    asked.to_parquet(tmp_path / "rows.parquet")
    known.to_parquet(tmp_path / "history.parquet")
    joined = asof_join(tmp_path / "rows.parquet", tmp_path / "history.parquet").df()
    assert joined["f_x"].tolist() == asof_join(asked, known)["f_x"].tolist() == [2.0]


def test_times_of_new_york_are_times_with_their_zone():
    ts = pd.Series(pd.date_range("2026-03-02", periods=3, freq="h", tz="America/New_York"))
    history = pd.DataFrame(
        {"entity_id": 7, "feature": "x", "event_ts": ts, "available_ts": ts, "value": [1.0, 2, 3]}
    )
    joined = asof_join(pd.DataFrame({"item_id": 7, "ts": ts + pd.Timedelta("1min")}), history, features=["x"])
    assert joined["f_x"].tolist() == [1, 2, 3]
