"""The probes find an own label, are quiet without one, and their intervals cover what they say."""

import numpy as np
import pandas as pd
import polars as pl
import pytest

from toolkit.auc import auc
from toolkit.features.leaks import asof_audit, leak_probe, too_good
from toolkit.features.own_label import leak_auc
from toolkit.world.company import tables, training_table
from toolkit.world.story import tell


def probe_rows(rng, *, leak, users=150, each=8):
    """Rows in clusters that share a mood: a noise feature of n other events, with or without the own label."""
    user = np.repeat(np.arange(users), each)
    y = (rng.random(len(user)) < rng.beta(4, 6, users)[user]).astype(int)
    others = rng.choice([2, 4, 8, 16, 32], len(user))
    total = rng.binomial(others, 0.4) + leak * y
    return pd.DataFrame({"user_id": user, "y": y, "others": others, "f_sum": total})


def probe(rows):
    return leak_probe(rows, feature="f_sum", count_col="others")


def uniform(ps):
    """Kolmogorov-Smirnov at the .001 level."""
    ps = np.sort(ps)
    gap = np.abs(ps - (np.arange(len(ps)) + 0.5) / len(ps)).max()
    return gap < 1.95 / np.sqrt(len(ps))


@pytest.mark.parametrize("leak", [0, 1])
def test_the_probe_s_interval_covers_the_slope_and_its_p_value_is_uniform_without_a_leak(leak):
    rng, runs = np.random.default_rng(leak), 240
    found = [probe(probe_rows(rng, leak=leak)) for _ in range(runs)]
    assert 0.93 <= np.mean([each.ci[0] <= leak <= each.ci[1] for each in found]) <= 0.97
    if not leak:
        assert uniform([each.p for each in found])


def test_an_honest_feature_that_gains_from_traffic_is_not_accused():
    rng = np.random.default_rng(0)
    rows = probe_rows(rng, leak=0, users=2_000)
    rows["f_sum"] = rng.binomial(rows["others"], 0.3 + 0.2 * rows["y"]) / rows["others"]
    found = probe(rows)
    assert found.ci[1] < 0
    assert "as an honest one does" in found.verdict


def test_the_table_has_the_auc_of_each_count():
    rows = probe_rows(np.random.default_rng(1), leak=1)
    table = probe(rows).table
    for row in table.itertuples():
        here = rows[rows["others"] == row.others]
        assert row.rows == len(here)
        assert row.auc == pytest.approx(auc(here["y"], here["f_sum"]))


def test_many_counts_are_cut_into_as_many_parts_as_asked():
    rng = np.random.default_rng(2)
    rows = pd.DataFrame({"user_id": range(2_000), "others": rng.integers(0, 5_000, 2_000)})
    rows["y"] = rng.integers(0, 2, 2_000)
    rows["f_sum"] = rng.binomial(rows["others"], 0.5) + rows["y"]
    table = leak_probe(rows, feature="f_sum", count_col="others", bins=4).table
    assert len(table) == 4
    # Quantiles stand for a part's many counts: as good as all of them.
    here = rows.loc[rows["others"] > rows["others"].quantile(0.75), "others"]
    share = rows["y"].mean()
    assert table["leak_predicts"].iloc[-1] == pytest.approx(
        np.mean([leak_auc(n, share) for n in here[:100]]), abs=2e-4
    )


def test_too_good_s_interval_covers_and_its_p_value_is_uniform_where_both_are_alike():
    rng, ps, covered, runs = np.random.default_rng(3), [], 0, 240

    def table(users):
        user = np.repeat(users, 4)
        mood = rng.normal(size=len(users)).repeat(4)
        y = rng.integers(0, 2, len(user))
        return pd.DataFrame({"user_id": user, "y": y, "f_sum": y + mood + rng.normal(size=len(user))})

    for _ in range(runs):
        # Half of the users are in both tables.
        found = too_good(table(np.arange(150)), table(np.arange(75, 225)), feature="f_sum")
        ps.append(found.p)
        covered += found.ci[0] <= 0 <= found.ci[1]
    assert uniform(ps)
    assert 0.93 <= covered / runs <= 0.97


def test_a_feature_with_its_label_is_too_good_and_one_that_got_better_is_told_so():
    rng = np.random.default_rng(4)
    rows = pd.DataFrame({"user_id": range(500), "y": rng.integers(0, 2, 500), "f_sum": rng.normal(size=500)})
    leaky = rows.assign(f_sum=rows["f_sum"] + rows["y"])
    found = too_good(leaky, rows, feature="f_sum")
    assert found.estimate == pytest.approx(auc(leaky["y"], leaky["f_sum"]) - auc(rows["y"], rows["f_sum"]))
    assert "too good to be true" in found.verdict
    assert "worse in training" in too_good(rows, leaky, feature="f_sum").verdict
    assert "no better" in too_good(rows, rows, feature="f_sum").verdict


def test_other_libraries_frames_give_the_same_findings():
    rows = probe_rows(np.random.default_rng(5), leak=1)
    assert probe(pl.from_pandas(rows)) == probe(rows)
    assert too_good(pl.from_pandas(rows), rows, feature="f_sum") == too_good(rows, rows, feature="f_sum")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"others": 2}, "others: got 1 parts with 5 good and 5 bad rows; a slope needs two"),
        ({"others": -1}, "others: got -1; it must be a whole number"),
        ({"others": 1.5}, "others: got 1.5; it must be a whole number"),
        ({"y": 2}, "y: got 2 in table; a label is 0 or 1"),
        ({"user_id": 1}, "user_id: got one in all rows; an interval needs two"),
        ({"f_sum": "a"}, "f_sum: got .* in table; it must be numbers"),
    ],
)
def test_tables_that_can_not_be_probed_are_refused(change, message):
    rows = probe_rows(np.random.default_rng(6), leak=1)
    with pytest.raises(ValueError, match=message):
        probe(rows.assign(**change))


def test_bad_settings_and_tables_without_labels_of_both_kinds_are_refused():
    rows = probe_rows(np.random.default_rng(7), leak=1)
    with pytest.raises(ValueError, match="bins: got 1"):
        leak_probe(rows, feature="f_sum", count_col="others", bins=1)
    with pytest.raises(ValueError, match="alpha: got 1"):
        too_good(rows, rows, feature="f_sum", alpha=1)
    with pytest.raises(ValueError, match=r"y: got 0 good rows of 1200 in served; it needs 5"):
        too_good(rows, rows.assign(y=0), feature="f_sum")


@pytest.fixture(scope="module")
def nine():
    return tables(tell(seed=0))


def test_the_audit_finds_the_label_in_the_daily_rate(nine):
    found = asof_audit(nine["training_table"], nine["feature_history"], feature="rate_today")
    # The own label alone moves the rate's log-odds by about 1 / (n r (1 - r)) for n impressions of the day.
    assert found.ci[0] > 10
    assert found.n_clusters > 900
    assert "tells" in found.verdict


def test_the_audit_is_quiet_on_a_table_that_was_joined_as_of_each_request():
    honest = tables(tell(seed=0), model="point-in-time")
    found = asof_audit(honest["training_table"], honest["feature_history"], feature="rate_today")
    assert found.estimate == 0
    assert found.verdict == "None of the 30,000 rows differs from what was available."


def test_a_table_that_is_merely_staler_than_the_store_is_not_accused(nine):
    stale = training_table(tell(seed=0), "point-in-time", staler=1)
    found = asof_audit(stale, nine["feature_history"], feature="rate_today")
    assert found.table["count"][1] > 20_000
    assert found.ci[0] < 0 < found.ci[1]
    assert "does not tell" in found.verdict


def test_of_values_that_became_available_at_once_the_latest_event_s_is_read():
    event = pd.Timestamp("2026-03-02", tz="UTC") + pd.to_timedelta([1, 2], unit="h")
    batch = pd.DataFrame(
        {"entity_id": 7, "feature": "r", "event_ts": event, "available_ts": event[1], "value": [5.0, 6.0]}
    )
    rows = pd.DataFrame({"item_id": 7, "ts": event[1:], "y": [1], "f_r": [6.0]})
    for history in (batch, batch[::-1]):
        assert asof_audit(rows, history, feature="r").table["count"].tolist() == [1, 0, 0]


def test_a_change_of_unit_adds_nothing(nine):
    honest = training_table(tell(seed=0), "point-in-time")
    scaled = honest.assign(f_rate_today=10 * honest["f_rate_today"] + 1)
    found = asof_audit(scaled, nine["feature_history"], feature="rate_today")
    assert found.verdict.startswith("By more than a change of scale none")
    assert found.table["count"][1] == 30_000


def test_the_audit_s_p_value_is_uniform_where_what_the_table_adds_is_noise():
    rng, ps, runs = np.random.default_rng(1), [], 60
    ts = pd.Timestamp("2026-03-02", tz="UTC") + pd.to_timedelta(np.arange(900), unit="min")
    item = np.arange(900) % 150
    history = pd.DataFrame(
        {"entity_id": range(150), "feature": "r", "event_ts": ts[0], "available_ts": ts[0], "value": 0.0}
    )
    for _ in range(runs):
        # Items differ in rate and in error, but no error knows its own outcome.
        y = rng.random(900) < rng.beta(2, 6, 150)[item]
        rows = pd.DataFrame({"item_id": item, "ts": ts, "y": y.astype(int)})
        rows["f_r"] = rng.normal(size=900) + rng.normal(size=150)[item]
        ps.append(asof_audit(rows, history, feature="r").p)
    gap = np.abs(np.sort(ps) - (np.arange(runs) + 0.5) / runs).max()
    assert gap < 1.95 / np.sqrt(runs)


def test_the_audit_s_estimate_is_per_deviation_of_what_is_added_and_copies_of_a_row_add_no_certainty():
    rng, n = np.random.default_rng(2), 2_000
    ts = pd.Timestamp("2026-03-02", tz="UTC")
    known, y = 5.0 * rng.normal(size=n), rng.integers(0, 2, n)
    history = pd.DataFrame(
        {"entity_id": range(n), "feature": "r", "event_ts": ts, "available_ts": ts, "value": known}
    )
    # What the table adds has variance 2 and covariance 1/2 with the label.
    added = 2 * y - 1 + rng.normal(size=n)
    rows = pd.DataFrame({"item_id": range(n), "ts": ts, "y": y, "f_r": known + added})
    found = asof_audit(rows, history, feature="r")
    assert found.estimate == pytest.approx(100 * 0.5 / np.sqrt(2), abs=3 * found.se)
    assert found.se < 1
    assert asof_audit(pd.concat([rows] * 4), history, feature="r").se == pytest.approx(found.se, rel=0.01)


def test_a_row_before_the_first_value_is_counted_and_not_guessed():
    ts = pd.Timestamp("2026-03-02", tz="UTC") + pd.to_timedelta([0, 2, 3, 4, 5], unit="h")
    history = pd.DataFrame(
        {"entity_id": 7, "feature": "r", "event_ts": ts[1:2], "available_ts": ts[1:2], "value": 1.0}
    )
    rows = pd.DataFrame(
        {"item_id": [7] * 5, "ts": ts, "y": [0, 1, 0, 1, 1], "f_r": [9.0, 1.0, 1.0, 1.0, 1.0]}
    )
    found = asof_audit(rows, history, feature="r")
    assert found.table["count"].tolist() == [5, 0, 1]
    assert found.n == 4
    assert "for 20% of all rows nothing was" in found.verdict


@pytest.mark.parametrize(
    ("rows", "history", "message"),
    [
        ({"y": ["a", "b"]}, {}, "y: got .* in training_table; it must be numbers"),
        (
            {"ts": pd.to_datetime(["2026-03-02", "2026-03-03"])},
            {},
            "ts: got .* in training_table; it must be times",
        ),
        (
            {"item_id": [1, 2]},
            {},
            "feature_history: got no value of 'r' that was available at any of the 2 rows",
        ),
        ({"f_r": [3.0, 4.0]}, {}, "item_id: got 7 in all rows; an error needs two clusters"),
        (
            {},
            {"event_ts": pd.to_datetime(["2026-03-01"] * 2, utc=True)},
            "got two values of 'r' for entity 7",
        ),
    ],
)
def test_tables_that_can_not_be_audited_are_refused(rows, history, message):
    days = pd.to_datetime(["2026-03-02", "2026-03-03"], utc=True)
    table = pd.DataFrame({"item_id": [7, 7], "ts": days, "y": [0, 1], "f_r": [1.0, 2.0], **rows})
    readable = days if "event_ts" not in history else days[[0, 0]]
    known = pd.DataFrame(
        {"entity_id": 7, "feature": "r", "event_ts": days, "available_ts": readable, "value": [1.0, 1.5]}
    )
    with pytest.raises(ValueError, match=message):
        asof_audit(table, known.assign(**history), feature="r")


def test_the_audit_reads_other_libraries_frames(nine):
    training, history = nine["training_table"], nine["feature_history"]
    polars = asof_audit(pl.from_pandas(training), pl.from_pandas(history), feature="rate_today")
    assert polars.estimate == pytest.approx(asof_audit(training, history, feature="rate_today").estimate)


def test_the_audit_reads_columns_of_other_names_and_clusters_as_told(nine):
    training = nine["training_table"].assign(day=lambda t: t["ts"].dt.floor("D").astype("str"))
    plain = asof_audit(training, nine["feature_history"], feature="rate_today")
    names = {"item_id": "sku", "ts": "asked_ts", "y": "clicked", "f_rate_today": "rate"}
    settings = {"column": "rate", "key": "sku", "ts": "asked_ts", "y": "clicked"}
    renamed = training.rename(columns=names)
    history = nine["feature_history"].rename(columns={"entity_id": "thing"})
    found = asof_audit(renamed, history, feature="rate_today", entity="thing", **settings)
    assert found.ci == plain.ci
    assert found.assumptions[0] == "skus are independent of each other"
    by_day = asof_audit(renamed, history, feature="rate_today", entity="thing", cluster="day", **settings)
    assert by_day.estimate == plain.estimate
    assert by_day.n_clusters == training["day"].nunique()


def test_the_audit_refuses_an_unknown_feature(nine):
    with pytest.raises(ValueError, match=r"training_table: got columns .*; it must have f_fog"):
        asof_audit(nine["training_table"], nine["feature_history"], feature="fog")
    with pytest.raises(ValueError, match="feature: got '0'; feature_history has no such feature"):
        asof_audit(nine["training_table"], nine["feature_history"], feature="0")
