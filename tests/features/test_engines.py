"""As specified three engines agree bit for bit; by its habits each differs, and parity names the habit."""

import numpy as np
import pandas as pd
import pytest
from random_tables import FEATURES, random_tables

from toolkit.features.engines import ENGINES, HABITS, compute, golden_rows, variants
from toolkit.features.online_offline import parity
from toolkit.features.specification import DECISIONS, Specification

BY_NAME = {feature.name: feature for feature in FEATURES}


@pytest.mark.parametrize(("seed", "start"), [(0, "2026-03-01"), (1, "2026-10-12")])
def test_as_specified_the_three_engines_agree_bit_for_bit(seed, start):
    # Over both changes of clocks: 8 and 29 March, 25 October and 1 November.
    events, requests = random_tables(seed, start=start)
    found = {engine: compute(FEATURES, events, requests, engine=engine) for engine in ENGINES}
    for engine in ("pandas", "DuckDB"):
        pd.testing.assert_frame_equal(found[engine], found["Python"], check_exact=True, check_dtype=False)


def test_the_order_of_the_events_does_not_matter_and_that_of_the_requests_is_kept():
    events, requests = random_tables(2, rows=300)
    mixed = events.take(np.random.default_rng(0).permutation(len(events)))
    for engine in ENGINES:
        told = compute(FEATURES[::3], events, requests, engine=engine)
        pd.testing.assert_frame_equal(compute(FEATURES[::3], mixed, requests, engine=engine), told)
        assert told["row_id"].tolist() == requests["row_id"].tolist()


# For each decision a feature, and an engine whose habit is another than specified.
NAIVE = [
    ("missing", "mean", "DuckDB"),
    ("missing", "mean", "Python"),
    ("missing", "azores", "pandas"),
    ("empty", "count", "pandas"),
    ("empty", "sum", "DuckDB"),
    ("empty", "mean", "Python"),
    ("edges", "count", "pandas"),
    ("edges", "count", "DuckDB"),
    ("edges", "latest", "Python"),
    ("day", "days", "pandas"),
    ("day", "days", "DuckDB"),
    ("day", "days", "Python"),
    ("ddof", "std", "Python"),
    ("ddof", "narrow", "pandas"),
    ("quantile", "rank", "pandas"),
    ("quantile", "between", "DuckDB"),
    ("quantile", "rank", "Python"),
    ("division", "sum", "DuckDB"),
    ("log", "days", "DuckDB"),
    ("rounding", "mean", "DuckDB"),
    ("float32", "mean", "pandas"),
    ("float32", "narrow", "Python"),
    ("text", "city", "pandas"),
    ("text", "city", "DuckDB"),
    ("text", "city", "Python"),
    ("categories", "place", "pandas"),
    ("categories", "place", "DuckDB"),
    ("categories", "place", "Python"),
    ("hash", "bucket", "pandas"),
    ("hash", "bucket", "DuckDB"),
    ("hash", "bucket", "Python"),
]


@pytest.fixture(scope="module")
def world():
    events, requests = random_tables(4)
    right = compute(FEATURES, events, requests, engine="pandas")
    known = {
        name: variants(BY_NAME[name], events, requests) for name in sorted({name for _, name, _ in NAIVE})
    }
    return events, requests, right, known


def test_every_decision_is_tried():
    assert {decision for decision, _, _ in NAIVE} == set(DECISIONS) == set(HABITS)


@pytest.mark.parametrize(("decision", "name", "engine"), NAIVE)
def test_each_habit_alone_is_found_and_named_by_parity(world, decision, name, engine):
    events, requests, right, known = world
    served = compute([BY_NAME[name]], events, requests, engine=engine, naive={decision})
    finding = parity(
        served, right[["row_id", name]], keys=["row_id"], cols=[name], unit=None, variants={name: known[name]}
    )
    told = finding.table.iloc[0]
    assert told["rate"] > 0
    assert f"{decision} (" in told["type"]
    assert engine in told["type"]


@pytest.mark.parametrize(
    ("decision", "name", "engine", "type_"),
    [
        ("missing", "mean", "DuckDB", "missing"),
        ("empty", "mean", "Python", "default"),
        ("log", "days", "DuckDB", "scale"),
        ("ddof", "std", "Python", "ddof"),
        ("rounding", "mean", "DuckDB", "last digit"),
        ("float32", "mean", "pandas", "float32"),
        ("division", "sum", "DuckDB", "offset"),
        ("edges", "count", "DuckDB", "offset"),
        ("text", "city", "DuckDB", "folding"),
        ("categories", "place", "Python", "split"),
    ],
)
def test_from_two_columns_alone_parity_names_the_type(world, decision, name, engine, type_):
    events, requests, right, _ = world
    served = compute([BY_NAME[name]], events, requests, engine=engine, naive={decision})
    finding = parity(served, right[["row_id", name]], keys=["row_id"], cols=[name], unit=None)
    assert finding.table["type"].tolist() == [type_], finding.table.to_dict("records")


def test_a_specification_with_no_habit_left_has_no_mismatch(world):
    events, requests, right, _ = world
    served = compute(FEATURES, events, requests, engine="DuckDB")
    finding = parity(served, right, keys=["row_id"], cols=list(BY_NAME), unit=None, rtol=0)
    assert finding.estimate == 0
    assert set(finding.table["type"]) == {"none"}


def test_golden_rows_fail_on_every_habit_and_on_no_engine_as_specified(world):
    events, requests, _, known = world
    for name in ("mean", "place"):
        golden = golden_rows(BY_NAME[name], events, requests)
        assert len(golden) <= len(known[name])
        assert golden["exposes"].sum() == len(known[name])
        for engine in ENGINES:
            found = compute([BY_NAME[name]], events, golden[["row_id", "entity_id", "ts"]], engine=engine)
            np.testing.assert_array_equal(found[name], golden["expected"])
        place = pd.Index(requests["row_id"]).get_indexer(golden["row_id"])
        for values in known[name].values():
            served, expected = values.to_numpy()[place], golden["expected"].to_numpy()
            assert not np.allclose(served, expected, rtol=1e-9, atol=0, equal_nan=True)


def test_unknown_engines_decisions_and_features_are_refused():
    events, requests = random_tables(0, rows=60)
    with pytest.raises(ValueError, match="engine: got 'Spark'; it must be one of pandas, DuckDB, Python"):
        compute(FEATURES, events, requests, engine="Spark")
    with pytest.raises(ValueError, match="naive: got 'clock'; it must be one of missing, empty"):
        compute(FEATURES, events, requests, engine="pandas", naive=["clock"])
    with pytest.raises(ValueError, match=r"features: got .* each once"):
        compute([FEATURES[0]] * 2, events, requests, engine="pandas")
    with pytest.raises(ValueError, match=r"features: got .* one at least"):
        compute([], events, requests, engine="pandas")
    with pytest.raises(ValueError, match=r"entity_id: got int64 in events and .* they must be of one kind"):
        compute(FEATURES, events, requests.assign(entity_id="a"), engine="pandas")
    with pytest.raises(ValueError, match=r"events: got columns .* it must have price"):
        compute([Specification("f", "price", "sum", days=1)], events, requests, engine="pandas")
    with pytest.raises(
        ValueError, match=r"entity_id: got double in requests and int64 in events, which can't hold"
    ):
        compute(FEATURES, events, requests.assign(entity_id=0.5), engine="pandas")


def test_ids_kept_as_categories_are_the_texts_that_they_stand_for():
    orders = [Specification("f_orders", "amount", "count", days=7)]
    noon = pd.Timestamp("2026-05-08 12:00Z")
    events = pd.DataFrame({"event_id": [1, 2], "entity_id": ["a", "b"], "amount": [1.0, 2.0], "ts": noon})
    requests = pd.DataFrame({"row_id": [1, 2], "entity_id": ["b", "c"], "ts": noon + pd.Timedelta(days=1)})
    for engine in ENGINES:
        told = compute(
            orders,
            events.astype({"entity_id": "category"}),
            requests.astype({"entity_id": "category"}),
            engine=engine,
        )
        assert told["f_orders"].tolist() == [1, 0]
