"""A contract drafted from a sample: its tests are exact, what breaks is named, drift within the tolerance isn't."""

from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pytest

from toolkit.shipping import contracts
from toolkit.shipping.contracts import drafted, schema_contract
from toolkit.tables import problems

BEGIN = pd.Timestamp("2026-03-02", tz="UTC")


def sample(rng, n=300):
    return pd.DataFrame(
        {
            "item_id": np.arange(n),
            "price": rng.lognormal(size=n),
            "views": rng.poisson(2, n),
            "market": rng.choice(["de", "fr", "it", "rare"], n, p=[0.5, 0.3, 0.19, 0.01]),
            "rating": np.where(rng.random(n) < 0.1, np.nan, rng.normal(size=n)),
            "sold": rng.random(n) < 0.2,
            "ts": BEGIN,
        }
    )


def check(current, reference, **settings):
    return schema_contract(current, reference, key=["item_id"], cluster=None, **settings)


def test_a_draft_holds_the_sample_that_it_was_made_from():
    rows = sample(np.random.default_rng(0))
    draft = drafted(rows, key=["item_id"])
    assert {column.name: column.kind for column in draft.columns} == {
        "item_id": "id",
        "price": "number",
        "views": "count",
        "market": "text",
        "rating": "number",
        "sold": "flag",
        "ts": "time",
    }
    assert problems(rows, draft).empty
    broken = pd.concat([rows.assign(price=None), rows.head(2)]).drop(columns="market").assign(views=0.5)
    told = problems(broken, draft).set_index("column")["rule"]
    assert told["market"] == "it is missing"
    assert told["views"].startswith("whole number")
    assert told["item_id"] == "each at most once"


def test_the_tests_of_a_column_s_shape_are_exact_whatever_the_distribution():
    rng, found = np.random.default_rng(1), []
    for _ in range(800):
        old, new = np.sort(rng.standard_cauchy(150)), rng.standard_cauchy(110)
        found.append([each.p for each in contracts._of_numbers("x", old, new)])
    for limit in (0.05, 0.2):
        rates = (np.array(found) < limit).mean(0)
        # A test of counts can only reach its level from below; three standard errors above.
        assert (rates < limit + 3 * np.sqrt(limit * (1 - limit) / 800)).all()
        assert (rates[:2] > 0.6 * limit).all()


def test_false_alarms_over_all_promises_are_as_rare_as_said_and_the_interval_holds_no_move():
    rng, rang, covered = np.random.default_rng(2), 0, 0
    for _ in range(60):
        found = check(sample(rng), sample(rng), tolerance=0.0)
        rang += found.p < 0.05
        covered += found.ci[0] <= 0 <= found.ci[1]
    assert rang <= 8
    assert covered >= 54


def test_an_interval_covers_the_true_move_of_a_share():
    rng, covered = np.random.default_rng(3), 0
    for _ in range(120):
        then, now = (pd.DataFrame({"sold": rng.random(400) < chance}) for chance in (0.3, 0.4))
        found = schema_contract(now, then, cluster=None)
        covered += found.ci[0] <= 0.1 <= found.ci[1]
    assert 0.89 <= covered / 120 <= 0.99


@pytest.mark.parametrize(
    ("change", "column", "rule"),
    [
        (lambda rows: rows.assign(price=100 * rows["price"]), "price", "above the old top"),
        (lambda rows: rows.assign(price=rows["price"] / 100), "price", "below the old median"),
        (lambda rows: rows.assign(rating=5 * rows["rating"]), "rating", "within the old quartiles"),
        (lambda rows: rows.assign(rating=rows["rating"].where(rows.index % 2 == 0)), "rating", "missing"),
        (lambda rows: rows.assign(market=rows["market"].replace("fr", "FR")), "market", "never seen before"),
        (lambda rows: rows.assign(sold=~rows["sold"]), "sold", "true"),
    ],
)
def test_each_kind_of_fault_breaks_its_own_promise(change, column, rule):
    rng = np.random.default_rng(4)
    then, now = sample(rng, 1500), sample(rng, 1500)
    found = check(change(now), then)
    broken = found.table[found.table["broken"]]
    assert set(broken["column"]) == {column}
    assert rule in set(broken["rule"])
    assert found.p < 1e-6
    kept = check(now, then)
    assert not kept.table["broken"].any()
    assert kept.verdict.startswith("All 15 promises of 7 columns are kept")


def test_rules_for_every_row_come_first_and_a_lost_column_too():
    rng = np.random.default_rng(5)
    then, now = sample(rng), sample(rng).drop(columns="market")
    now.loc[3, "price"] = None
    found = check(now, then)
    assert found.verdict.startswith("Broken: market: it is missing; price: never missing (broken by 1 row)")
    assert found.table["rule"].tolist()[:2] == ["it is missing", "never missing"]
    assert found.table["rows"].iloc[1] == 1


def test_drift_within_the_tolerance_is_no_breach_however_sure():
    rng = np.random.default_rng(6)
    then, now = (pd.DataFrame({"sold": rng.random(200_000) < chance}) for chance in (0.30, 0.32))
    assert schema_contract(now, then, cluster=None).p < 1e-9
    assert "are kept" in schema_contract(now, then, cluster=None).verdict
    assert schema_contract(now, then, cluster=None, tolerance=0.01).verdict.startswith("Broken: sold: true")


def test_rows_of_one_user_count_once():
    rng, rang = np.random.default_rng(7), 0
    for _ in range(60):
        frames = []
        for _ in range(2):
            taste = rng.normal(size=60)
            frames.append(
                pd.DataFrame({"user_id": np.repeat(range(60), 20), "f_taste": np.repeat(taste, 20)})
            )
        rang += schema_contract(frames[0], frames[1], columns=["f_taste"]).p < 0.05
    # Counted row by row nearly all would ring.
    assert rang <= 8


def test_any_frame_will_do():
    rng = np.random.default_rng(8)
    then, now = sample(rng), sample(rng)
    assert check(pl.from_pandas(now), pl.from_pandas(then)).ci == pytest.approx(check(now, then).ci)


THEN = sample(np.random.default_rng(9))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: drafted(THEN.assign(ts=pd.Timestamp("2026-03-02"))), "ts: got times without a zone"),
        (lambda: drafted(pd.concat([THEN, THEN]), key=["item_id"]), "item_id: got 300 repeated"),
        (lambda: drafted(3), "reference: got int; it must be a frame"),
        (lambda: check(THEN, THEN, columns=[]), "columns: got none"),
        (lambda: check(THEN, THEN, columns=["colour"]), "it must have colour"),
        (lambda: check(THEN.head(10), THEN), "reference, current: got 300 and 10 rows; there must be 20"),
        (lambda: check(THEN, THEN, columns=["ts"]), "columns: got .'ts'.; none of them can promise"),
        (lambda: check(THEN, THEN, tolerance=2), r"tolerance: got 2; it must lie in \[0, 1\]"),
        (lambda: check(THEN, THEN, alpha=0), "alpha: got 0"),
        (lambda: schema_contract(THEN, THEN), "reference: got columns .* it must have user_id"),
    ],
)
def test_bad_input_is_refused_by_name_value_and_rule(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_decimals_are_held_to_what_numbers_promise():
    draw = np.random.default_rng(0)
    then, now = (pd.DataFrame({"price": draw.normal(mean, 1, 300).round(4)}) for mean in (5, 6))
    decimals = [frame.map(lambda value: Decimal(repr(value))) for frame in (now, then)]
    told, expected = schema_contract(*decimals, cluster=None), schema_contract(now, then, cluster=None)
    assert told.verdict == expected.verdict
    assert told.ci == pytest.approx(expected.ci)
