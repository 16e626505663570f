"""Diagnostics of the report loop: calibrated on series of known gain, quiet without a loop, right in FooBar's."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
import statsmodels.api as sm
from scipy.special import expit
from scipy.stats import kstest, pearsonr

from toolkit.general.coverage import (
    audit_sample,
    moderated_weeks,
    multiplier,
    steady_coverage,
    weeks_of_coverage,
)
from toolkit.general.loop import loop_gain, reports_vs_prevalence

START = pd.Timestamp("2026-03-02", tz="UTC")


def series(gain, seed, weeks=52):
    """Weeks whose coverage has log-odds that follow a first-order autoregression with a known coefficient."""
    rng = np.random.default_rng(seed)
    x = np.zeros(weeks + 60)
    for week in range(1, len(x)):
        x[week] = gain * x[week - 1] + 0.3 * rng.normal()
    coverage = expit(1 + x[60:])
    return pd.DataFrame(
        {
            "ts": START + pd.to_timedelta(7 * np.arange(weeks), unit="D"),
            "coverage": coverage,
            "labels": 1 - coverage,
            "recall": coverage,
        }
    )


@pytest.mark.parametrize("gain", [0.0, -0.73, -0.9])
def test_the_interval_covers_and_kendall_s_correction_lowers_the_bias(gain):
    found = [loop_gain(series(gain, seed)) for seed in range(250)]
    covered = np.mean([one.ci[0] <= gain <= one.ci[1] for one in found])
    assert covered == pytest.approx(0.95, abs=3 * np.sqrt(0.05 * 0.95 / 250))
    if gain == 0:
        assert kstest([one.p for one in found], "uniform").pvalue > 0.01
    raw = np.array([one.table["estimate"][0] for one in found])
    error = 3 * raw.std() / np.sqrt(250)
    # Kendall (1954): the bias of the coefficient of 51 pairs is about -(1 + 3 gain) / 51.
    assert raw.mean() - gain == pytest.approx(-(1 + 3 * gain) / 51, abs=error)
    corrected = np.array([one.estimate for one in found])
    # Solved for the gain, and short of -1 where the correction would overshoot.
    assert corrected == pytest.approx(np.maximum((51 * raw + 1) / 48, np.minimum(raw, -1)))
    assert abs(corrected.mean() - gain) < abs(raw.mean() - gain)


@pytest.mark.parametrize(("kappa", "audit"), [(10, 0.0), (10, 0.3)])
def test_the_gain_of_a_moderation_loop_is_its_multiplier(kappa, audit):
    truth, start = multiplier(kappa, audit=audit), steady_coverage(kappa, audit=audit)
    found = []
    for seed in range(100):
        weekly = weeks_of_coverage(kappa, audit=audit, weeks=52, start=start, noise=0.3, rng=seed)
        found.append(loop_gain(moderated_weeks(weekly, rng=seed)))
    covered = np.mean([one.ci[0] <= truth <= one.ci[1] for one in found])
    assert covered >= 0.95 - 3 * np.sqrt(0.05 * 0.95 / 100)
    assert np.mean([one.estimate for one in found]) == pytest.approx(truth, abs=0.04)
    # Sampling noise of the audit draws the audited recall's coefficient to 0.
    assert abs(np.mean([one.table["estimate"][2] for one in found])) < abs(truth)


def test_the_table_is_that_of_least_squares_and_of_pearson():
    weeks = series(-0.5, 2, weeks=30)
    weeks["labels"] += np.random.default_rng(0).normal(0, 0.05, 30)
    finding = loop_gain(weeks)
    x, labels = np.log(weeks["coverage"] / (1 - weeks["coverage"])).to_numpy(), weeks["labels"].to_numpy()
    fit = sm.OLS(x[1:], sm.add_constant(x[:-1])).fit()
    assert finding.se == pytest.approx(fit.bse[1])
    assert finding.ci == pytest.approx(fit.conf_int()[1])
    rows = finding.table.set_index("what")
    for name, pair in (
        ("labels with the same week's coverage, correlation", pearsonr(labels, x)),
        ("next week's coverage with labels, correlation", pearsonr(x[1:], labels[:-1])),
    ):
        assert rows.loc[name, "estimate"] == pytest.approx(pair.statistic)
        assert rows.loc[name, ["low", "high"]].tolist() == pytest.approx(list(pair.confidence_interval()))


def test_verdicts_name_what_the_interval_leaves():
    assert "pushes coverage back; a shock halves" in loop_gain(series(-0.73, 1)).verdict
    assert "No loop is measurable" in loop_gain(series(0.0, 1)).verdict
    assert "persists" in loop_gain(series(0.8, 1)).verdict
    cycle = moderated_weeks(weeks_of_coverage(10, steepness=2, weeks=40, start=0.5))
    assert "may not settle" in loop_gain(cycle).verdict


def test_the_correction_does_not_declare_a_settled_loop_unstable():
    weeks = series(-0.99, 3, weeks=14)
    finding = loop_gain(weeks)
    assert finding.table["estimate"][0] > -1
    assert finding.estimate >= -1


def test_where_there_is_little_but_the_loop_the_estimate_stays_in_its_interval():
    # Coverage swings into its level without a shock: halving after infinitely many retrains would be absurd.
    finding = loop_gain(moderated_weeks(weeks_of_coverage(90, weeks=14, start=0.5), messages=10**9))
    assert finding.ci[0] <= finding.estimate <= finding.ci[1]
    assert "inf" not in finding.verdict


def test_without_an_audit_the_gain_is_the_same_and_the_table_lacks_the_audit_alone():
    weeks = series(-0.5, 0)
    bare, full = loop_gain(weeks.drop(columns="recall")), loop_gain(weeks)
    assert (bare.estimate, bare.ci) == (full.estimate, full.ci)
    assert set(full.table["what"]) - set(bare.table["what"]) == {"audited recall on the week before's"}


def test_rows_may_come_in_any_order_and_labels_that_don_t_move_are_left_out():
    weeks = series(-0.5, 0)
    shuffled = loop_gain(weeks.sample(frac=1, random_state=0))
    assert shuffled.estimate == pytest.approx(loop_gain(weeks).estimate)
    assert len(loop_gain(weeks.assign(labels=7.0)).table) == len(shuffled.table) - 2
    assert loop_gain(pl.from_pandas(weeks)).estimate == pytest.approx(shuffled.estimate)


def test_the_two_trends_are_poisson_regressions():
    sample = audit_sample(np.linspace(0, 0.6, 6), rows=1_500)
    week = ((sample["ts"] - sample["ts"].min()) // pd.Timedelta(days=7)).to_numpy()
    slopes = [
        sm.GLM(sample[name], sm.add_constant(week), family=sm.families.Poisson()).fit().params.iloc[1]
        for name in ("reported", "y")
    ]
    assert reports_vs_prevalence(sample).estimate == pytest.approx(slopes[0] - slopes[1], abs=1e-7)


def test_reports_that_follow_prevalence_are_called_so_at_the_stated_rate():
    found = [
        reports_vs_prevalence(
            # Most bad rows are reported, so the two trends share most of their luck.
            audit_sample(
                np.zeros(6),
                rows=800,
                users=700,
                prevalence=np.linspace(0.1, 0.05, 6),
                report_rate=0.7,
                rng=seed,
            )
        )
        for seed in range(150)
    ]
    assert kstest([one.p for one in found], "uniform").pvalue > 0.01
    assert np.mean([one.p < 0.05 for one in found]) == pytest.approx(0.05, abs=3 * np.sqrt(0.05 * 0.95 / 150))


def test_the_interval_covers_a_known_fall_of_reports():
    # Reports per bad row fall by a tenth a week: a log slope of log(.9), exactly log-linear.
    covered = []
    for seed in range(100):
        sample = audit_sample(1 - 0.9 ** np.arange(8), rows=1_200, prevalence=0.1, rng=seed)
        low, high = reports_vs_prevalence(sample).ci
        covered.append(low <= np.log(0.9) <= high)
    assert np.mean(covered) == pytest.approx(0.95, abs=3 * np.sqrt(0.05 * 0.95 / 100))


WEEKS = series(-0.5, 0)
AUDIT = audit_sample(np.linspace(0, 0.5, 5), rows=200)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: loop_gain(WEEKS.drop(columns="labels")), "weekly: got columns .*; it must have labels"),
        (
            lambda: loop_gain(WEEKS.assign(ts=WEEKS["ts"].astype(str))),
            "ts: got str in weekly; it must be times",
        ),
        (lambda: loop_gain(WEEKS.head(11)), "weekly: got 11 rows; a loop's gain needs 12 at least"),
        (lambda: loop_gain(WEEKS.drop(index=20)), "ts: got steps from 7 days .* to 14 days"),
        (lambda: loop_gain(pd.concat([WEEKS, WEEKS.head(1)])), "ts: got 1 repeated of 53"),
        (lambda: loop_gain(WEEKS.assign(coverage=1.0)), r"coverage: got 1.0; it must lie in \(0, 1\)"),
        (lambda: loop_gain(WEEKS.assign(recall=1.2)), "recall: got 1.2; a share lies in"),
        (lambda: loop_gain(WEEKS.assign(recall=0.5)), "recall: got 0.5 in every row"),
        (lambda: loop_gain(WEEKS.assign(labels=np.nan)), "labels: got 52 missing"),
        (lambda: loop_gain(WEEKS, alpha=2), "alpha: got 2"),
        (lambda: reports_vs_prevalence(AUDIT.drop(columns="y")), "audit: got columns .*; it must have y"),
        (lambda: reports_vs_prevalence(AUDIT.head(300)), "ts: got 2 weeks; a trend needs three"),
        (lambda: reports_vs_prevalence(AUDIT.assign(reported=0)), "reported: got no 1 in 1,000 rows"),
        (
            lambda: reports_vs_prevalence(AUDIT.assign(y=(AUDIT.index == 0).astype(int))),
            "y: got 1 in a single week only; a rate's trend needs two at least",
        ),
        (lambda: reports_vs_prevalence(AUDIT.assign(user_id=1)), "user_id: got one in all rows"),
        (lambda: reports_vs_prevalence(AUDIT.assign(ts=1)), "ts: got int64 in audit; it must be times"),
        (lambda: reports_vs_prevalence(AUDIT.assign(y=2)), "y: got 2 in audit; a label is 0 or 1"),
        (lambda: reports_vs_prevalence(AUDIT.assign(user_id=None)), "user_id: got 1000 missing"),
    ],
)
def test_bad_input_is_refused_by_name_value_and_rule(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_an_audit_whose_labels_are_the_reports_is_refused():
    y = np.arange(300) % 3 == 0
    audit = pd.DataFrame({"user_id": range(300), "y": y, "reported": y})
    audit["ts"] = pd.date_range("2026-03-02", periods=300, freq="3h", tz="UTC")
    with pytest.raises(ValueError, match="reported: got what y is in all 300 rows"):
        reports_vs_prevalence(audit)
