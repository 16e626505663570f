"""The chapter's diagnostics on tables: published examples, size, coverage, and what they refuse."""

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy.stats import kstest, norm
from statsmodels.stats.multitest import multipletests

from toolkit.experiments.always_valid import tightest_tau
from toolkit.experiments.families import family_error, metric_family, rejected
from toolkit.experiments.group_sequential import crossing, design, false_positive_rate, pocock
from toolkit.experiments.multiple_comparisons import (
    fdr,
    launch_bias,
    looks_by_day,
    peeking_audit,
    sequential_ci,
    users_by_entry,
)
from toolkit.experiments.stopping_rules import stopping_bounds

BENJAMINI_HOCHBERG_1995 = [
    0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344,
    0.0459, 0.3240, 0.4262, 0.5719, 0.6528, 0.7590, 1.0000,
]  # fmt: skip


@pytest.mark.parametrize(("correlation", "rate"), [(0, 0.642), (0.5, 0.419), (0.9, 0.155)])
def test_twenty_metrics_have_a_false_winner_as_often_as_the_outline_says(correlation, rate):
    assert family_error(20, correlation=correlation) == pytest.approx(rate, abs=0.0006)
    z = metric_family(40_000, 20, correlation=correlation, rng=1)
    assert (np.abs(z) > norm.isf(0.025)).any(axis=1).mean() == pytest.approx(rate, abs=0.01)


def test_one_metric_keeps_its_level_and_independent_ones_follow_the_product():
    assert family_error(1, correlation=0.7) == pytest.approx(0.05, abs=1e-9)
    assert family_error(7) == pytest.approx(1 - 0.95**7, abs=1e-9)


def test_benjamini_and_hochberg_s_own_example():
    p = np.array([BENJAMINI_HOCHBERG_1995])
    assert rejected(p, "BH").sum() == 4
    assert rejected(p, "Bonferroni").sum() == 3
    assert rejected(p, "none").sum() == 9
    finding = fdr(pd.DataFrame({"p": BENJAMINI_HOCHBERG_1995}))
    assert finding.table["kept"].sum() == 4
    assert "BH keeps 4 of the 9" in finding.verdict


@pytest.mark.parametrize("correction", ["Bonferroni", "Holm", "BH", "BY"])
def test_corrections_agree_with_statsmodels_and_keep_their_level(correction):
    names = {"Bonferroni": "bonferroni", "Holm": "holm", "BH": "fdr_bh", "BY": "fdr_by"}
    z = metric_family(1500, 8, correlation=0.3, moved=2, rng=0)
    p = 2 * norm.sf(np.abs(z))
    ours = rejected(p, correction)
    theirs = np.array([multipletests(row, method=names[correction])[0] for row in p[:60]])
    assert (ours[:60] == theirs).all()
    null = rejected(2 * norm.sf(np.abs(metric_family(4000, 8, correlation=0.3, rng=5))), correction)
    assert null.any(axis=1).mean() <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 4000)


def test_each_stopping_rule_keeps_five_percent_but_the_naive_one():
    for looks in (1, 5, 20):
        for rule in ("Bonferroni", "Pocock", "O'Brien-Fleming", "always valid"):
            assert crossing(stopping_bounds(rule, looks))["stopped"].iloc[-1] <= 0.05 + 1e-6, rule
    assert crossing(stopping_bounds("naive", 20))["stopped"].iloc[-1] == pytest.approx(0.248, abs=0.0005)


def test_the_peers_peeking_check_comes_out():
    # PEERS: 20 looks, naive 24.3% of 2,000 simulated tests, O'Brien-Fleming 4.45%, the mixture 1.3%.
    assert false_positive_rate(20) == pytest.approx(0.243, abs=3 * np.sqrt(0.25 * 0.75 / 2000))
    assert crossing(stopping_bounds("O'Brien-Fleming", 20))["stopped"].iloc[-1] == pytest.approx(
        0.0445, abs=3 * np.sqrt(0.05 * 0.95 / 2000)
    )
    rates = {
        rule: design(stopping_bounds(rule, 20), drift=3.5)["power"]
        for rule in ("O'Brien-Fleming", "always valid")
    }
    assert rates["O'Brien-Fleming"] > rates["always valid"] + 0.05


def looks_table(z, start="2026-03-02"):
    shares = np.arange(1, len(z) + 1) / len(z)
    se = 0.01 / np.sqrt(shares)
    days = pd.date_range(start, periods=len(z), tz="UTC")
    return pd.DataFrame({"ts": days, "estimate": z * se, "se": se})


def test_the_audit_s_interval_is_pocock_s_and_its_luck_the_recursion_s():
    finding = peeking_audit(looks_table(np.full(5, 2.0)))
    assert (finding.ci[1] - finding.estimate) / finding.se == pytest.approx(2.413, abs=0.0006)
    assert "14.2% of the time" in finding.verdict
    assert "does not hold" in finding.verdict
    assert finding.table["significant_alone"].all()
    assert not finding.table["significant_together"].any()


def test_one_look_is_left_as_it_is():
    finding = peeking_audit(looks_table(np.array([2.1])))
    assert finding.p == pytest.approx(2 * norm.sf(2.1), abs=1e-9)
    assert (finding.ci[1] - finding.estimate) / finding.se == pytest.approx(norm.isf(0.025), abs=1e-6)
    assert "5.0% of the time" in finding.verdict


@pytest.mark.slow
def test_watched_tests_keep_the_level_and_their_interval_covers_wherever_they_stop():
    rng = np.random.default_rng(2)
    z = np.cumsum(rng.normal(size=(150, 6)), axis=1) / np.sqrt(np.arange(1, 7))
    findings = [peeking_audit(looks_table(path)) for path in z]
    wrong = np.mean([finding.table["significant_together"].any() for finding in findings])
    alone = np.mean([finding.table["significant_alone"].any() for finding in findings])
    assert wrong == pytest.approx(0.05, abs=3.5 * np.sqrt(0.05 * 0.95 / 150))
    assert alone == pytest.approx(false_positive_rate(6), abs=3.5 * np.sqrt(0.15 * 0.85 / 150))


def test_p_of_a_single_look_is_uniform_without_effect():
    rng = np.random.default_rng(4)
    one = [peeking_audit(looks_table(rng.normal(size=1))).p for _ in range(300)]
    assert kstest(one, "uniform").pvalue > 0.01


def experiment(users=400, days=5, effect=0.0, seed=0):
    rng = np.random.default_rng(seed)
    start = pd.Timestamp("2026-03-02", tz="UTC")
    arm = np.where(rng.permutation(users) % 2, "treatment", "control")
    entered = start + pd.to_timedelta(np.sort(rng.uniform(0, days, users)), unit="D")
    assignments = pd.DataFrame(
        {"experiment": "new_model", "user_id": np.arange(users), "arm": arm, "ts": entered}
    )
    events = assignments.sample(n=3 * users, replace=True, random_state=seed).reset_index(drop=True)
    later = events["ts"] + pd.to_timedelta(rng.uniform(0, 1, len(events)), unit="D")
    y = (rng.random(len(events)) < 0.2 + effect * (events["arm"] == "treatment")).astype(float)
    keys = {"request_id": np.arange(len(events)), "item_id": 1}
    log = pd.DataFrame({**keys, "user_id": events["user_id"], "ts": later})
    return assignments, log, pd.DataFrame({**keys, "y": y})


@pytest.mark.parametrize("kind", ["pandas", "polars", "pyarrow", "duckdb"])
def test_daily_looks_are_welch_s_comparison_of_users_from_any_frame(kind):
    assignments, log, outcomes = experiment()
    given = {
        "pandas": lambda frame: frame,
        "polars": pl.from_pandas,
        "pyarrow": lambda frame: pl.from_pandas(frame).to_arrow(),
        "duckdb": lambda frame: duckdb.from_df(frame),
    }[kind]
    looks = looks_by_day(given(assignments), given(log), given(outcomes), experiment="new_model")
    # The last look by hand: a ratio of two user sums, whose spread is that of the users' residuals.
    joined = log.merge(outcomes).merge(assignments[["user_id", "arm"]], on="user_id")
    means, variances = {}, {}
    for arm, rows in joined.groupby("arm"):
        sums, counts = rows.groupby("user_id")["y"].sum(), rows.groupby("user_id")["y"].count()
        means[arm] = sums.sum() / counts.sum()
        variances[arm] = ((sums - means[arm] * counts) ** 2).sum() / counts.sum() ** 2
    last = looks.iloc[-1]
    assert last["estimate"] == pytest.approx(means["treatment"] - means["control"])
    assert last["se"] == pytest.approx(sum(variances.values()) ** 0.5)
    assert last["users"] == joined["user_id"].nunique()


def test_users_by_entry_has_each_user_once_with_the_sum_since_assignment():
    assignments, log, outcomes = experiment()
    table = users_by_entry(assignments, log, outcomes, experiment="new_model")
    assert table["user_id"].is_unique
    assert len(table) == len(assignments)
    assert table["ts"].is_monotonic_increasing
    sums = log.merge(outcomes).groupby("user_id")["y"].sum().reindex(table["user_id"], fill_value=0)
    assert list(table["y"]) == list(sums)


def units(effect, seed, n=3000):
    rng = np.random.default_rng(seed)
    arm = np.where(rng.random(n) < 0.5, "treatment", "control")
    y = rng.normal(2.0, 1.0, n) + effect * (arm == "treatment")
    return pd.DataFrame(
        {"ts": pd.date_range("2026-03-02", periods=n, freq="min", tz="UTC"), "arm": arm, "y": y}
    )


def test_the_sequential_interval_covers_at_every_size_and_its_p_keeps_the_level():
    tau = tightest_tau(2 / 3000**0.5)
    held, small = 0, 0
    for seed in range(400):
        finding = sequential_ci(units(0.0, seed), tau=tau)
        held += bool(((finding.table["low"] <= 0) & (finding.table["high"] >= 0)).all())
        small += finding.p <= 0.05
        assert (finding.p <= 0.05) == (not ((finding.table["low"] <= 0) & (finding.table["high"] >= 0)).all())
    assert held / 400 >= 0.95 - 3 * np.sqrt(0.05 * 0.95 / 400)
    assert small == 400 - held


def test_the_sequential_interval_ends_at_the_difference_of_means():
    table = units(0.3, 0)
    finding = sequential_ci(table.sample(frac=1, random_state=0), tau=0.1)
    a, b = (table.loc[table["arm"] == arm, "y"] for arm in ("treatment", "control"))
    assert finding.estimate == pytest.approx(a.mean() - b.mean())
    assert finding.se == pytest.approx(np.sqrt(a.var() / len(a) + b.var() / len(b)), rel=1e-6)
    assert "0 lies outside since unit" in finding.verdict


def test_launch_bias_corrects_the_claim_and_leaves_an_unselected_one():
    rng = np.random.default_rng(0)
    null = pd.DataFrame({"estimate": rng.normal(size=400), "se": 1.0})
    finding = launch_bias(null)
    claimed = null["estimate"][null["estimate"] > 1.96].sum()
    assert finding.table["total"].iloc[0] == pytest.approx(claimed)
    assert finding.estimate < 0.3 * claimed
    assert finding.ci[0] <= 0 <= finding.ci[1]
    sure = pd.DataFrame({"estimate": rng.normal(0, 50, 300), "se": 1.0})
    assert launch_bias(sure).estimate == pytest.approx(
        sure["estimate"][sure["estimate"] > 1.96].sum(), rel=0.01
    )


def test_the_false_share_among_raw_hits_is_estimated_with_an_interval_that_covers():
    rng = np.random.default_rng(0)
    covered = []
    for _ in range(200):
        real = norm.sf(rng.normal(4, 1, 50)) * 2
        p = np.r_[np.clip(real, 0, 1), rng.random(150)]
        finding = fdr(pd.DataFrame({"p": p}))
        truth = 150 * 0.05 / (p <= 0.05).sum()
        covered.append(finding.ci[0] <= truth <= finding.ci[1])
    assert np.mean(covered) >= 0.93


LOOKS = looks_table(np.ones(3))
ASSIGNED, LOG, LABELS = experiment(users=40)
UNITS = units(0, 0, 60)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: peeking_audit(LOOKS.drop(columns="se")), "looks: got columns .*; it must have se"),
        (lambda: peeking_audit(LOOKS.iloc[:0]), "looks: got no row"),
        (lambda: peeking_audit(pd.concat([LOOKS, LOOKS])), "ts: got .* twice; one row a look"),
        (lambda: peeking_audit(LOOKS.assign(se=[1.0, 0.5, 0.6])), "se: got 0.5 and then 0.6; it must fall"),
        (
            lambda: peeking_audit(LOOKS.assign(se=[1.0, 0.5, 0.0])),
            "se: got 0.0; standard errors must be positive",
        ),
        (lambda: peeking_audit(LOOKS.assign(estimate=[1.0, np.nan, 1.0])), "estimate: got 1 missing of 3"),
        (lambda: peeking_audit(LOOKS, alpha=0), "alpha: got 0"),
        (lambda: peeking_audit([1, 2]), "looks: got list; it must be a frame"),
        (lambda: looks_by_day(ASSIGNED, LOG, LABELS, experiment="other"), "experiment: got 'other'"),
        (
            lambda: looks_by_day(ASSIGNED, LOG, LABELS, experiment="new_model", treatment="B"),
            "treatment: got 'B'",
        ),
        (
            lambda: looks_by_day(pd.concat([ASSIGNED] * 2), LOG, LABELS, experiment="new_model"),
            "a user is in it twice",
        ),
        (
            lambda: looks_by_day(ASSIGNED, LOG, pd.concat([LABELS] * 2), experiment="new_model"),
            "outcomes: a request and item are in it twice",
        ),
        (lambda: sequential_ci(UNITS, tau=0), "tau: got 0"),
        (lambda: sequential_ci(UNITS, tau=1, treatment="B"), "treatment: got 'B'"),
        (lambda: sequential_ci(UNITS, tau=1, burn_in=3), "burn_in: got 3"),
        (lambda: sequential_ci(UNITS, tau=1, burn_in=100), "units: got 60"),
        (lambda: fdr(pd.DataFrame({"p": [0.5, 1.5]})), "p: got 1.5; a p-value lies in"),
        (lambda: fdr(pd.DataFrame({"p": []})), "pvalues: got no row"),
        (lambda: fdr(pd.DataFrame({"p": [0.5]}), q=1), "q: got 1"),
        (lambda: fdr(pd.DataFrame({"p": [0.5]}), correction="none"), "correction: got 'none'"),
        (lambda: launch_bias(LOOKS.iloc[:2]), "experiments: got 2 rows"),
        (lambda: family_error(0), "metrics: got 0"),
        (lambda: family_error(3, correlation=1), "correlation: got 1"),
        (lambda: metric_family(2, 3, correlation=0, moved=4), "moved: got 4"),
        (lambda: rejected(np.ones((1, 2)), "some"), "correction: got 'some'"),
        (lambda: stopping_bounds("hope", 3), "rule: got 'hope'"),
        (lambda: pocock(3, information=[0.5, 1.0]), "information: got 2 values for 3 looks"),
    ],
)
def test_bad_input_is_refused_by_name_value_and_rule(call, message):
    with pytest.raises(ValueError, match=message):
        call()
