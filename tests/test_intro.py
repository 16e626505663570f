"""The story's diagnostics find what the world hid, from the tables, and are quiet where nothing is hidden."""

import numpy as np
import pandas as pd
import polars as pl
import pytest

from toolkit.intro import ab_test, asof_audit, attribution, claimed_to_measured
from toolkit.world import Settings
from toolkit.world.company import tables, training_table
from toolkit.world.mechanisms import MECHANISMS
from toolkit.world.story import tell

PRODUCTION = frozenset(MECHANISMS)
SMALL = Settings(items=60, requests=300, days=33)


@pytest.fixture(scope="module")
def nine():
    return tables(tell(seed=0))


@pytest.fixture(scope="module", params=[0, 1, 2])
def story(request):
    return tell(seed=request.param)


@pytest.mark.parametrize("model", ["leaky", "point-in-time"])
def test_the_measured_test_agrees_with_the_estimand_within_its_interval(story, model):
    foobar = tables(story, model=model)
    finding = ab_test(foobar["serving_log"], foobar["outcomes"])
    assert abs(finding.estimate - story.lift(PRODUCTION, model=model)) < 3.5 * finding.se
    assert finding.ci[1] < 0 if model == "leaky" else finding.ci[0] > 0


def test_the_interval_covers_the_lift_and_an_a_a_test_finds_nothing():
    # Users with a click rate and a number of requests of their own; no arm does anything.
    rng, covered, ps = np.random.default_rng(0), 0, []
    runs = 600
    for _ in range(runs):
        count = rng.poisson(4, 400) + 1
        user = np.repeat(np.arange(400), count)
        y = rng.random(len(user)) < np.repeat(rng.beta(2, 6, 400), count)
        arm = np.where(rng.random(400) < 0.5, "treatment", "control")[user]
        log = pd.DataFrame({"request_id": np.arange(len(user)), "item_id": 0, "user_id": user, "arm": arm})
        found = ab_test(log, log.assign(y=y.astype(int)))
        covered += found.ci[0] <= 0 <= found.ci[1]
        ps.append(found.p)
    assert 0.93 <= covered / runs <= 0.97
    # Kolmogorov-Smirnov at the .001 level: 1.95 / sqrt(runs).
    gap = np.abs(np.sort(ps) - (np.arange(runs) + 0.5) / runs).max()
    assert gap < 1.95 / np.sqrt(runs)


def test_the_lift_of_six_rows_is_the_one_by_hand():
    log = pd.DataFrame(
        {
            "request_id": range(6),
            "item_id": 7,
            "user_id": [1, 1, 2, 3, 4, 4],
            "arm": ["control"] * 3 + ["treatment"] * 2 + [None],
        }
    )
    found = ab_test(log, log.assign(y=[1, 0, 0, 1, 1, 1]))
    # 2 of 2 against 1 of 3; the row without an arm has no part.
    assert found.estimate == pytest.approx(2.0)
    assert (found.n, found.n_clusters) == (5, 4)
    # Control: residuals 1 - 2/3 for user 1 and 0 - 1/3 for user 2, over 3 rows; treatment: none.
    control_se = np.sqrt((1 / 3) ** 2 + (1 / 3) ** 2) / 3
    assert found.se == pytest.approx(control_se / (1 / 3) ** 2)


def test_the_parts_sum_to_the_gap_and_have_the_outline_s_signs_and_sizes(story):
    found = attribution(story, replicates=50)
    assert abs(sum(found.parts.values()) - found.gap) < 1e-12
    expected = {
        "population": -0.064,
        "as_of": -0.066,
        "lag": -0.093,
        "missing": -0.134,
        "labels": -0.037,
        "light_ranker": 0.048,
    }
    # The notebook's population has 300 slates: its parts are known to about 0.015 a world.
    assert found.parts == pytest.approx(expected, abs=0.04)
    assert all(np.sign(found.parts[name]) == np.sign(part) for name, part in expected.items())
    wide = found.table.set_index("switch")
    assert (wide["low"] <= wide["part"]).all()
    assert (wide["part"] <= wide["high"]).all()


def test_claim_and_parts_sum_to_what_the_test_measured(story):
    claimed, parts = claimed_to_measured(story)
    assert claimed == pytest.approx(story.lift(relative=False))
    foobar = tables(story)
    arms = ab_test(foobar["serving_log"], foobar["outcomes"]).table.set_index("arm")["reward"]
    assert claimed + sum(parts.values()) == pytest.approx(arms["treatment"] - arms["control"])
    assert list(parts)[:-1] == [mechanism.label for mechanism in MECHANISMS.values()]


def test_the_point_in_time_model_s_claim_is_that_of_its_own_notebook(story):
    claimed, parts = claimed_to_measured(story, model="point-in-time")
    assert claimed == pytest.approx(story.lift({"as_of", "lag"}, model="point-in-time", relative=False))
    foobar = tables(story, model="point-in-time")
    arms = ab_test(foobar["serving_log"], foobar["outcomes"]).table.set_index("arm")["reward"]
    assert claimed + sum(parts.values()) == pytest.approx(arms["treatment"] - arms["control"])
    assert MECHANISMS["as_of"].label not in parts


def test_a_lift_within_its_interval_is_told_as_none():
    log = pd.DataFrame({"request_id": range(400), "item_id": 0, "user_id": range(400)})
    log["arm"] = np.where(log["user_id"] % 2, "treatment", "control")
    found = ab_test(log, log.assign(y=(log["user_id"] // 2 % 8 < 3).astype(int)))
    assert found.verdict == f"The treatment's lift of {found.estimate:+.1%} can't be told from none."
    share = np.where(log["arm"] == "treatment", 6, 3)
    better = ab_test(log, log.assign(y=(log["user_id"] // 2 % 8 < share).astype(int)))
    assert "often than the control's" in better.verdict


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
    rng, ps, runs = np.random.default_rng(1), [], 200
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


def test_other_libraries_frames_give_the_same_finding(nine):
    log, labels = nine["serving_log"], nine["outcomes"]
    assert ab_test(pl.from_pandas(log), pl.from_pandas(labels)) == ab_test(log, labels)
    training, history = nine["training_table"], nine["feature_history"]
    polars = asof_audit(pl.from_pandas(training), pl.from_pandas(history), feature="rate_today")
    assert polars.estimate == pytest.approx(asof_audit(training, history, feature="rate_today").estimate)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda log, y: (log.drop(columns="arm"), y), "serving_log: got columns .*; it must have arm"),
        (lambda log, y: (log.assign(arm="control"), y), r"arm: got \['control'\]"),
        (lambda log, y: (log, y.iloc[:-1]), "outcomes: got none for 1 of 4 rows"),
        (lambda log, y: (log, y.assign(y=0)), "outcomes: got no good match in the control"),
        (lambda log, y: ([], y), "serving_log: got list"),
        (lambda log, y: (log.assign(user_id=[1, 1, 2, 3]), y), "user_id: got 1 and 0 others in both arms"),
        (lambda log, y: (log, y.assign(y=[np.inf, 0, 1, 1])), "y: got inf in outcomes; it must be finite"),
        (
            lambda log, y: (log, pd.concat([y, y])),
            "request_id, item_id: got 4 repeated of 8; each must be in outcomes once",
        ),
    ],
)
def test_bad_logs_are_refused_by_name_value_and_rule(change, message):
    log = pd.DataFrame(
        {"request_id": range(4), "item_id": 7, "user_id": range(4), "arm": ["control", "treatment"] * 2}
    )
    with pytest.raises(ValueError, match=message):
        ab_test(*change(log, log.assign(y=[1, 0, 1, 1])))


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
        ({"f_r": [3.0, 4.0]}, {}, "item_id: got 7 in all rows; errors by item need two at least"),
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


def test_an_unknown_feature_and_a_bad_level_are_refused(nine):
    with pytest.raises(ValueError, match=r"training_table: got columns .*; it must have f_fog"):
        asof_audit(nine["training_table"], nine["feature_history"], feature="fog")
    with pytest.raises(ValueError, match="feature: got '0'; feature_history has no such feature"):
        asof_audit(nine["training_table"], nine["feature_history"], feature="0")
    with pytest.raises(ValueError, match="alpha: got 0"):
        ab_test(nine["serving_log"], nine["outcomes"], alpha=0)
