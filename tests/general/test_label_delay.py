"""The ripe lift: Kaplan and Meier's curve against statsmodels, size, coverage, and what is refused."""

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pytest
from statsmodels.duration.survfunc import SurvfuncRight

from toolkit.general.delayed_feedback import lift_measured
from toolkit.general.label_delay import label_maturity, labels_in

START = pd.Timestamp("2026-03-02", tz="UTC")
END = START + pd.Timedelta("14D")


def experiment(n=4000, *, rate=0.2, lift=0.0, users=800, rng=0):
    """A log of a fortnight with every outcome known at once; a user's impressions are alike."""
    draw = np.random.default_rng(rng)
    user = draw.integers(0, users, n)
    log = pd.DataFrame({"request_id": np.arange(n), "item_id": 7, "user_id": user})
    log["arm"] = np.where(user % 2 == 0, "control", "treatment")
    log["ts"] = START + pd.to_timedelta(draw.uniform(0, 14, n), unit="D")
    chance = rate * (1 + lift * (log["arm"] == "treatment")) * draw.uniform(0.4, 1.6, users)[user]
    outcomes = log[["request_id", "item_id"]].assign(y=(draw.random(n) < chance).astype(int))
    return log, outcomes


def read(log, outcomes, delays, *, as_of=END, closes=30.0, rng=0, **settings):
    came = labels_in(log, outcomes, as_of=as_of, mean_delay=delays, closes=closes, rng=rng)
    return label_maturity(log, came, as_of=as_of, **settings)


@pytest.mark.parametrize("whole_days", [False, True])
def test_completeness_is_statsmodels_kaplan_meier(whole_days):
    log, outcomes = experiment()
    came = labels_in(log, outcomes, as_of=END, mean_delay={"control": 2.0, "treatment": 3.0})
    if whole_days:
        # Many conversions and ends of observation at equal times: who is at risk at a tie then matters.
        log["ts"], came["label_ts"] = log["ts"].dt.floor("D"), came["label_ts"].dt.floor("D")
    finding = label_maturity(log, came, as_of=END, ages=[1, 4, 12], replicates=20)
    rows = log.merge(came, how="left")
    age = (END - rows["ts"]) / pd.Timedelta("1D")
    delay = (rows["label_ts"] - rows["ts"]) / pd.Timedelta("1D")
    for arm in ("control", "treatment"):
        here = rows["arm"] == arm
        event = (rows["y"] == 1)[here]
        curve = SurvfuncRight(np.where(event, delay[here], age[here]), event.to_numpy(int))
        known = [
            1 - curve.surv_prob[np.searchsorted(curve.surv_times, at, side="right") - 1] for at in (1, 4, 12)
        ]
        told = finding.table[f"completeness, {arm}"]
        assert told.tolist() == pytest.approx([value / known[-1] for value in known])


def test_where_all_labels_are_in_both_lifts_are_the_plain_ratio():
    log, outcomes = experiment(lift=0.3)
    finding = read(
        log, outcomes, {"control": 0.01, "treatment": 0.01}, as_of=END + pd.Timedelta("40D"), replicates=50
    )
    rates = log.merge(outcomes).groupby("arm")["y"].mean()
    assert finding.table["lift"].iloc[-1] == pytest.approx(
        rates["treatment"] / rates["control"] - 1, abs=1e-9
    )
    assert finding.estimate == pytest.approx(0, abs=1e-9)


def test_a_slower_treatment_looks_losing_and_the_ripe_lift_wins():
    log, outcomes = experiment(60_000, lift=0.15, users=12_000)
    finding = read(log, outcomes, {"control": 1.0, "treatment": 3.0}, ages=[1, 3, 7, 13], replicates=60)
    expected = lift_measured(0.15, window=14, control_delay=1, treatment_delay=3)
    rates = log.merge(outcomes).groupby("arm")["y"].mean()
    chance = rates["treatment"] / rates["control"] / 1.15
    told = finding.estimate + finding.table["lift"].iloc[-1]
    assert told == pytest.approx((1 + expected) * chance - 1, abs=0.03)
    assert "Not ripe" in finding.verdict
    assert finding.ci[1] < 0
    assert finding.table["lift"].is_monotonic_increasing
    quiet = read(log, outcomes, {"control": 2.0, "treatment": 2.0}, ages=[1, 3, 7, 13], replicates=60)
    assert quiet.verdict.startswith("Ripe: labels in hand")


def test_a_bias_is_let_pass_below_a_quarter_of_the_lift_s_own_error_and_no_further():
    log, outcomes = experiment(8000, rate=0.1, users=1600)
    for slower in (0.1, 0.15, 0.35, 0.45):
        finding = read(log, outcomes, {"control": 0.1, "treatment": 0.1 + slower}, ages=[13], replicates=100)
        row = finding.table.iloc[-1]
        # An interval of 95% is 2 x 1.96 errors wide, up to the draws' own shape: hence the room.
        ratio = abs(finding.estimate) / ((row["high"] - row["low"]) / 3.92)
        if slower < 0.2:
            assert ratio < 0.25
            assert finding.verdict.startswith("Ripe enough")
        else:
            assert 0.25 < ratio < 0.6
            assert finding.verdict.startswith("Not ripe")


@pytest.mark.slow
def test_equal_delays_ring_once_in_twenty_and_the_ripe_lift_s_interval_covers():
    replicas = 110
    alarms = covered = 0
    for seed in range(replicas):
        log, outcomes = experiment(2500, rate=0.4, lift=0.2, users=500, rng=seed)
        same = {"control": 1.0, "treatment": 1.0}
        finding = read(log, outcomes, same, ages=[10], replicates=120, rng=seed)
        alarms += not finding.ci[0] <= 0 <= finding.ci[1]
        row = finding.table.iloc[-1]
        covered += row["low"] <= 0.2 <= row["high"]
    error = np.sqrt(0.05 * 0.95 / replicas)
    assert alarms / replicas == pytest.approx(0.05, abs=3 * error)
    assert covered / replicas == pytest.approx(0.95, abs=3 * error)


@pytest.mark.parametrize("kind", ["polars", "pyarrow", "duckdb"])
def test_any_frame_gives_the_same_finding(kind):
    log, outcomes = experiment(600)
    came = labels_in(log, outcomes, as_of=END, mean_delay={"control": 1.0, "treatment": 1.0})
    given = {
        "polars": pl.from_pandas,
        "pyarrow": lambda frame: pl.from_pandas(frame).to_arrow(),
        "duckdb": lambda frame: duckdb.from_df(frame),
    }[kind]
    ours = label_maturity(log, came, as_of=END, ages=[2, 9], replicates=20)
    theirs = label_maturity(given(log), given(came), as_of=END, ages=[2, 9], replicates=20)
    assert theirs.table["lift"].tolist() == pytest.approx(ours.table["lift"].tolist())


def test_a_log_of_a_day_has_ages_of_its_own_and_ids_may_be_text():
    log, outcomes = experiment(n=2000, rate=0.5)
    log["ts"] = START + (log["ts"] - START) / 14
    for frame in (log, outcomes):
        frame["request_id"] = "r" + frame["request_id"].astype(str)
    log["user_id"] = "u" + log["user_id"].astype(str)
    finding = read(
        log, outcomes, {"control": 0.1, "treatment": 0.1}, as_of=START + pd.Timedelta("1D"), replicates=20
    )
    ages = finding.table["label age, days"]
    assert len(ages) == 8
    assert 0.09 < ages.iloc[0] < ages.iloc[-1] < 1


def test_labels_come_when_they_are_due_and_closed_ones_stay_closed():
    log, outcomes = experiment(5000)
    delays = {"control": 2.0, "treatment": 2.0}
    came = labels_in(log, outcomes, as_of=END, mean_delay=delays, closes=5.0)
    assert (came["label_ts"] <= END).all()
    rows = log.merge(came)
    assert (rows.loc[rows["y"] == 0, "label_ts"] - rows.loc[rows["y"] == 0, "ts"]).unique() == pd.Timedelta(
        "5D"
    )
    assert (rows.loc[rows["y"] == 1, "label_ts"] - rows.loc[rows["y"] == 1, "ts"]).max() <= pd.Timedelta("5D")
    later = labels_in(log, outcomes, as_of=END + pd.Timedelta("9D"), mean_delay=delays, closes=5.0)
    assert len(later) == len(log)
    # Of the conversions, 1 - exp(-5/2) come before they are closed.
    assert later["y"].sum() / outcomes["y"].sum() == pytest.approx(1 - np.exp(-2.5), abs=0.04)
    # A closed impression is at risk at every age: the curve ends where all are counted.
    finding = label_maturity(log, came, as_of=END, ages=[2, 5], replicates=20)
    assert finding.n == len(log)


LOG, OUTCOMES = experiment(400, users=80)
CAME = labels_in(LOG, OUTCOMES, as_of=END, mean_delay={"control": 1.0, "treatment": 1.0})


def told(log=LOG, came=CAME, **settings):
    return label_maturity(log, came, **{"as_of": END, "replicates": 20, **settings})


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: told(LOG.drop(columns="arm")), "it must have arm"),
        (lambda: told(pd.concat([LOG, LOG])), "request_id, item_id: got 400 repeated"),
        (lambda: told(came=pd.concat([CAME, CAME])), "request_id, item_id: got .* must be in outcomes once"),
        (lambda: told(came=CAME.assign(y=3)), "y: got 3 in outcomes; a label is 0 or 1"),
        (
            lambda: told(came=CAME.assign(label_ts=START - pd.Timedelta("1D"))),
            "label_ts: got .* before their impression",
        ),
        (lambda: told(as_of=START), "ts: got .* nothing may be later than as_of"),
        (lambda: told(as_of="2026-04-01"), "ts: got .* with a zone or without"),
        (lambda: told(treatment="B"), "treatment: got 'B'"),
        (lambda: told(LOG.assign(arm="control")), "treatment: got 'treatment'; .* there are"),
        (lambda: told(came=CAME[CAME["y"] == 0].assign(y=0)), "outcomes: got no "),
        (lambda: told(ages=[5, 2]), "ages: got .* ascend"),
        (lambda: told(ages=[0, 2]), "ages: got .* positive"),
        (lambda: told(ages=[20]), "ages: got 20 days; the younger arm's oldest"),
        (lambda: told(alpha=0), "alpha: got 0"),
        (lambda: labels_in(LOG, OUTCOMES, as_of=END, mean_delay={"control": 1.0}), "mean_delay: got arms"),
        (lambda: labels_in(LOG, OUTCOMES, as_of=END, mean_delay={"control": 0.0}), "mean_delay: got 0.0"),
        (lambda: labels_in(LOG, OUTCOMES, as_of=END, mean_delay={"control": 1.0}, closes=0), "closes: got 0"),
        (lambda: label_maturity(LOG, CAME, as_of="soon"), "as_of: got 'soon'; it must be a time"),
        (lambda: label_maturity(LOG, CAME, as_of=END, replicates=0), "replicates: got 0"),
    ],
)
def test_bad_input_is_refused_by_name_value_and_rule(call, message):
    with pytest.raises(ValueError, match=message):
        call()
