"""What fresher is worth: on the world's tables, and calibrated."""

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from scipy.stats import kstest

from toolkit.auc import auc
from toolkit.features.freshness_value import value_of_freshness
from toolkit.world import Settings, logs, simulate, warehouse
from toolkit.world.policies import fit_logistic
from toolkit.world.serving import served_by_old

NAMED = {"column": "f_rate_today", "feature": "rate_today"}
COLUMNS = ["f_0", "f_1", "f_2", "f_rate_today"]


def world(half_life=1.0, requests=500):
    return simulate(Settings(items=60, requests=requests, days=16, half_life=half_life))


WORLD = world()
HISTORY = warehouse.feature_history(WORLD, range(1, 16))


def labelled(of, days):
    old = {"control": served_by_old(of, days)}
    return logs.serving_log(old).merge(logs.outcomes(old), on=["request_id", "item_id"])


def fit(rows):
    weights = fit_logistic(rows[COLUMNS], rows["y"])
    return lambda new: new[COLUMNS].to_numpy() @ weights[1:]


def valued(half_life, **settings):
    of = world(half_life, 2500)
    rows = labelled(of, range(4, 16))
    first = rows["ts"] < rows["ts"].min() + pd.Timedelta("6D")
    history = warehouse.feature_history(of, range(1, 16))
    return value_of_freshness(rows[~first], history, fit, train=rows[first], **NAMED, **settings)


def test_where_items_change_a_late_value_costs_and_trained_fresh_it_costs_more():
    told = valued(0.5)
    assert told.ci[1] < 0
    table = told.table.set_index(["lag_hours", "trained"])["auc"]
    assert table[24.0, "fresh"] < table[24.0, "as stale"] < table[0.0, "both"]
    assert told.estimate == pytest.approx(table[48.0, "as stale"] - table[0.0, "both"])
    more = table[48.0, "as stale"] - table[48.0, "fresh"]
    assert f"AUC with the model trained as stale, and {more:.3f} (" in told.verdict
    assert told.verdict.endswith("more where it was trained fresh.")


def test_where_items_stand_still_there_is_no_value():
    told = valued(1e6)
    assert told.ci[0] < 0 < told.ci[1]
    assert told.verdict.startswith("No value of freshness shows in f_rate_today from 48 hours to 0")


def test_the_areas_are_those_of_the_values_as_the_world_reads_them():
    from toolkit.world.features import rate_at

    of, days = WORLD, range(10, 16)
    rows = labelled(of, days)
    told = value_of_freshness(
        rows, HISTORY, lambda _: lambda new: new["f_rate_today"], train=rows, **NAMED, lags=["0h", "48h"]
    )
    request = np.arange(500)
    late = np.concatenate([rate_at(of, d, as_of=True, lag=2)[request, of.shown[d]] for d in days])
    want = auc(np.concatenate([of.shown_outcome(d) for d in days]), late)
    assert told.table["auc"].iloc[1] == pytest.approx(want)


def test_p_is_uniform_and_intervals_cover_where_the_feature_tells_nothing():
    begin, p, covered = pd.Timestamp("2026-03-02", tz="UTC"), [], []
    for seed in range(50):
        rng = np.random.default_rng(seed)
        event = begin + pd.to_timedelta(rng.uniform(0, 96, 800), unit="h")
        history = pd.DataFrame(
            {"entity_id": rng.integers(0, 20, 800), "feature": "rate_today", "value": rng.normal(size=800)}
        )
        history["event_ts"] = history["available_ts"] = event
        user = rng.integers(0, 60, 300)
        y = (rng.random(300) < 1 / (1 + np.exp(-rng.normal(size=60)[user]))).astype(int)
        ts = begin + pd.to_timedelta(rng.uniform(60, 96, 300), unit="h")
        rows = pd.DataFrame(
            {
                "user_id": user,
                "item_id": rng.integers(0, 20, 300),
                "ts": ts,
                "y": y,
                "f_0": y + rng.normal(size=300),
            }
        )
        told = value_of_freshness(
            rows,
            history,
            lambda _: lambda new: new["f_0"] + new["f_rate_today"],
            train=rows,
            **NAMED,
            lags=["0h", "24h"],
        )
        p.append(told.p)
        covered.append(told.ci[0] <= 0 <= told.ci[1])
    assert kstest(p, "uniform").pvalue > 0.01
    assert np.mean(covered) >= 0.86


def test_it_is_the_same_from_any_library_and_with_texts_as_entities():
    rows = labelled(WORLD, range(10, 16))
    settings = {**NAMED, "lags": ["0h", "24h"]}
    want = value_of_freshness(rows, HISTORY, fit, train=rows, **settings)
    for make in (pl.from_pandas, pa.Table.from_pandas, duckdb.from_df):
        told = value_of_freshness(make(rows), make(HISTORY), fit, train=make(rows), **settings)
        assert (told.estimate, told.ci) == (pytest.approx(want.estimate), pytest.approx(want.ci))
    named = rows.assign(item_id="item " + rows["item_id"].astype(str))
    texts = HISTORY.assign(entity_id="item " + HISTORY["entity_id"].astype(str))
    assert value_of_freshness(named, texts, fit, train=named, **settings).estimate == want.estimate
    with pytest.raises(ValueError, match=r"item_id: got numbers in rows and text in entity_id"):
        value_of_freshness(rows, texts, fit, train=rows, **settings)


def test_rows_from_before_the_history_are_left_out_and_counted():
    rows = labelled(WORLD, range(1, 16))
    late = value_of_freshness(rows, HISTORY, fit, train=rows, **NAMED)
    assert late.n < len(rows)
    assert f"{len(rows) - late.n:,} rows from before the history began" in late.verdict


@pytest.mark.parametrize(
    ("change", "settings", "message"),
    [
        ({}, {"lags": "0h"}, r"lags: got '0h'; it must be a list of two at least"),
        ({}, {"lags": ["0h", "-1h"]}, r"lags: got '-1h'; it must not be negative"),
        ({}, {"lags": ["0h", "soon"]}, r"lags: got 'soon'; it must be a duration such as 24h"),
        ({}, {"fit": lambda _: lambda new: [1.0]}, r"fit: got scores of shape \(1,\) for \d+ rows"),
        ({}, {"fit": lambda _: lambda new: np.full(len(new), np.nan)}, r"fit: got scores of shape"),
        ({"y": 1}, {}, r"y: got \d+ rows with a value at every lag; both 0 and 1 must occur"),
        ({"y": 3}, {}, r"y: got 3 in rows; a label is 0 or 1"),
        ({"item_id": 999}, {}, r"y: got 0 rows with a value at every lag"),
        ({"user_id": 1}, {}, r"user_id: got 1 in rows with a value at every lag; there must be two at least"),
        ({"ts": pd.Timestamp("2026-03-02")}, {}, r"ts: got .* in rows; it must be times with their zone"),
        ({}, {"feature": "age"}, r"feature: got 'age'; history has .*rate_today"),
    ],
)
def test_a_bad_comparison_is_refused(change, settings, message):
    rows = labelled(WORLD, range(10, 16))
    given = {"fit": fit, "train": rows, **NAMED, **settings}
    with pytest.raises(ValueError, match=message):
        value_of_freshness(rows.assign(**change), HISTORY, given.pop("fit"), **given)
