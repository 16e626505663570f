"""The chapter's diagnostics on tables: published examples, size, coverage, and what they refuse."""

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy.stats import norm
from statsmodels.stats.multitest import multipletests

from toolkit.experiments.always_valid import tightest_tau
from toolkit.experiments.families import family_error, family_outcomes, metric_family, rejected
from toolkit.experiments.group_sequential import crossing, design, false_positive_rate, pocock
from toolkit.experiments.multiple_comparisons import (
    fdr,
    launch_bias,
    looks_by_day,
    sequential_ci,
    users_by_entry,
)
from toolkit.experiments.stopping_rules import stopping_bounds
from toolkit.intro import ab_test, tell
from toolkit.world.company import EXPERIMENT, tables

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


def test_near_perfect_correlation_is_nearly_one_metric():
    assert family_error(20, correlation=1 - 1e-9) == pytest.approx(0.05, abs=1e-4)
    z = metric_family(200_000, 5, correlation=0.999, rng=0)
    assert (np.abs(z) > norm.isf(0.025)).any(axis=1).mean() == pytest.approx(
        family_error(5, correlation=0.999), abs=3.5 * np.sqrt(0.05 * 0.95 / 200_000)
    )


@pytest.mark.parametrize("correction", ["none", "Bonferroni", "Holm"])
@pytest.mark.parametrize("moved", [0, 1])
def test_exact_family_outcomes_agree_with_simulation(correction, moved):
    told = family_outcomes(10, correlation=0.5, correction=correction, moved=moved)
    z = metric_family(20_000, 10, correlation=0.5, moved=moved, rng=3)
    won = rejected(2 * norm.sf(np.abs(z)), correction)
    assert told["any_false"] == pytest.approx(won[:, moved:].any(axis=1).mean(), abs=0.015)
    if moved:
        assert told["found"] == pytest.approx(won[:, 0].mean(), abs=0.03)
    else:
        assert np.isnan(told["found"])


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
    theirs = np.array([multipletests(row, method=names[correction])[0] for row in p[:5]])
    assert (ours[:5] == theirs).all()
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
        spread = ((sums - means[arm] * counts) ** 2).sum() / (len(sums) - 1)
        variances[arm] = spread * len(sums) / counts.sum() ** 2
    last = looks.iloc[-1]
    assert last["estimate"] == pytest.approx(means["treatment"] - means["control"])
    assert last["se"] == pytest.approx(sum(variances.values()) ** 0.5)
    assert last["users"] == joined["user_id"].nunique()


def test_a_day_before_both_arms_have_two_users_is_no_look():
    # One user has no spread, and a standard error of 0 would make any difference certain.
    start = pd.Timestamp("2026-03-02", tz="UTC")
    arms = ["control", "treatment"]
    users = pd.DataFrame({"experiment": "new", "user_id": range(4), "arm": arms * 2, "ts": start})
    log = pd.DataFrame({"request_id": range(4), "item_id": 7, "user_id": range(4)})
    log["ts"] = start + pd.to_timedelta([1, 2, 30, 31], unit="h")
    looks = looks_by_day(users, log, log.assign(y=[0.0, 1, 1, 0]), experiment="new")
    assert looks["users"].tolist() == [4]
    assert looks["se"].tolist() == pytest.approx([np.sqrt(0.5)])


def test_the_last_look_agrees_with_the_opening_chapter_s_test_on_the_same_log():
    company = tables(tell(seed=0))
    log, labels = company["serving_log"], company["outcomes"]
    looks = looks_by_day(company["assignments"], log, labels, experiment=EXPERIMENT)
    control, treatment = ab_test(log, labels).table["reward"]
    assert looks["estimate"].iloc[-1] == pytest.approx(treatment - control, abs=1e-12)
    assert log["arm"].isna().any()  # explored requests, which are in no arm


def test_labels_count_from_the_look_at_which_they_are_known():
    assignments, log, outcomes = experiment()
    late = outcomes.assign(label_ts=log["ts"] + pd.Timedelta(days=1))
    given = {"experiment": "new_model"}
    at_once, later = (looks_by_day(assignments, log, table, **given) for table in (outcomes, late))
    # Delayed by a day: tomorrow's dashboard shows today's numbers, and the first day's nothing.
    assert list(later["estimate"]) == pytest.approx(list(at_once["estimate"].iloc[:-1]))


def test_users_by_entry_counts_each_user_s_window_and_nothing_known_later():
    assignments, log, outcomes = experiment()
    window = pd.Timedelta(hours=30)
    outcomes = outcomes.assign(label_ts=log["ts"] + pd.Timedelta(hours=12))
    table = users_by_entry(assignments, log, outcomes, experiment="new_model", window=window)
    assert table["user_id"].is_unique
    assert table["ts"].is_monotonic_increasing
    entered = assignments.set_index("user_id")["ts"]
    assert (table["ts"] == entered[table["user_id"]].to_numpy() + window).all()
    closed = entered[entered + window <= log["ts"].max()]
    assert set(table["user_id"]) == set(closed.index)
    assert table.attrs["open"] == len(assignments) - len(closed) > 0
    joined = log.merge(outcomes, on=["request_id", "item_id"])
    by_then = joined["label_ts"] <= joined["user_id"].map(entered) + window
    sums = joined[by_then].groupby("user_id")["y"].sum().reindex(table["user_id"], fill_value=0)
    assert list(table["y"]) == list(sums)
    assert sums.sum() < joined["y"].sum()


def test_what_happens_after_a_user_s_window_changes_nothing():
    assignments, log, outcomes = experiment()
    given = {"experiment": "new_model", "window": pd.Timedelta(hours=12)}
    before = users_by_entry(assignments, log, outcomes, **given)
    cut = log["ts"].min() + pd.Timedelta(days=3)
    turned = outcomes.assign(y=np.where(log["ts"] >= cut, 1 - outcomes["y"], outcomes["y"]))
    after = users_by_entry(assignments, log, turned, **given)
    early = before["ts"] <= cut
    pd.testing.assert_frame_equal(before[early], after[early])
    assert (before["y"] != after["y"]).any()


def units(effect, seed, n=3000):
    rng = np.random.default_rng(seed)
    arm = np.where(rng.random(n) < 0.5, "treatment", "control")
    y = rng.normal(2.0, 1.0, n) + effect * (arm == "treatment")
    return pd.DataFrame(
        {"ts": pd.date_range("2026-03-02", periods=n, freq="min", tz="UTC"), "arm": arm, "y": y}
    )


def test_the_sequential_interval_covers_at_every_size_and_its_p_keeps_the_level():
    tau = tightest_tau(2 / 3000**0.5)
    held = []
    for seed in range(250):
        finding = sequential_ci(units(0.0, seed), tau=tau)
        held.append(bool(((finding.table["low"] <= 0) & (finding.table["high"] >= 0)).all()))
        assert (finding.p <= 0.05) == (not held[-1])
    assert np.mean(held) >= 0.95 - 2.5 * np.sqrt(0.05 * 0.95 / 250)


@pytest.mark.slow
@pytest.mark.parametrize(("rate", "share"), [(0.28, 0.1), (0.05, 0.1), (0.05, 0.2), (0.02, 0.1), (0.01, 0.5)])
def test_the_sequential_interval_covers_with_unequal_arms_and_rare_outcomes(rate, share):
    rng, held, size = np.random.default_rng(3), [], 8000
    tau = tightest_tau(np.sqrt(rate * (1 - rate) / (size * share * (1 - share))))
    for _ in range(120):
        y = (rng.random(size) < rate).astype(float)
        arm = np.where(rng.random(size) < share, "treatment", "control")
        table = pd.DataFrame({"ts": np.arange(size), "arm": arm, "y": y})
        if min(table[table["arm"] == "treatment"]["y"].sum(), y.sum()) < 10:
            continue  # no interval at all, which is refused
        path = sequential_ci(table, tau=tau).table
        held.append(bool(((path["low"] <= 0) & (path["high"] >= 0)).all()))
    assert len(held) > 95
    assert np.mean(held) >= 0.95 - 2.5 * np.sqrt(0.05 * 0.95 / 120)


def test_no_interval_before_both_arms_are_known():
    arm = np.r_[["control"] * 200, ["treatment"] * 30, ["control", "treatment"] * 50]
    y = np.r_[np.tile([0.0, 1.0], 100), np.zeros(30), np.ones(100)]
    table = pd.DataFrame({"ts": np.arange(330), "arm": arm, "y": y})
    # Of the treatment's units the first thirty are 0, and then every second row is a 1 of its.
    assert sequential_ci(table, tau=1.0, burn_in=10).table["n"].iloc[0] == 230 + 2 * 10
    assert sequential_ci(table, tau=1.0, burn_in=45).table["n"].iloc[0] == 230 + 2 * 15
    # Not 0 and 1: two values that differ are enough, and before them there is no variance.
    assert sequential_ci(table.assign(y=3 * y), tau=1.0, burn_in=10).table["n"].iloc[0] == 230 + 2


def test_a_verdict_never_contradicts_its_interval():
    rng, size = np.random.default_rng(0), 3000
    early = np.arange(size) < 900
    said = set()
    for _ in range(40):
        arm = np.where(rng.random(size) < 0.5, "treatment", "control")
        y = rng.normal(size=size) + 0.35 * (early & (arm == "treatment"))
        finding = sequential_ci(pd.DataFrame({"ts": np.arange(size), "arm": arm, "y": y}), tau=0.2)
        holds = finding.ci[0] <= 0 <= finding.ci[1]
        if "outside since" in finding.verdict or "leaves it out now" in finding.verdict:
            assert not holds
            said.add("outside")
        elif "holds 0 again now" in finding.verdict:
            assert holds
            assert finding.p <= 0.05
            said.add("again")
        else:
            assert "nothing is decided" in finding.verdict
            assert finding.p > 0.05
    assert "again" in said


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


def test_where_nothing_was_shipped_there_is_no_estimate():
    finding = launch_bias(pd.DataFrame({"estimate": [0.1, 0.2, -0.4], "se": 1.0}))
    assert np.isnan([finding.estimate, *finding.ci]).all()
    assert finding.verdict == "None of 3 was shipped: there is no claim to correct."
    assert "no interval" in finding.summary()


def false_share_coverage(correlation, null, real, *, families=200):
    rng, covered = np.random.default_rng(0), []
    for _ in range(families):
        shared = np.sqrt(correlation) * rng.normal()
        z = shared + np.sqrt(1 - correlation) * rng.normal(size=null + real)
        z[:real] += 3
        p = 2 * norm.sf(np.abs(z))
        finding = fdr(pd.DataFrame({"p": p}), independent=True)
        if (p <= 0.05).any():
            truth = min(1.0, null * 0.05 / (p <= 0.05).sum())
            covered.append(finding.ci[0] <= truth <= finding.ci[1])
    return np.mean(covered)


def test_the_false_share_s_interval_covers_independent_tests_and_only_those():
    error = 2.5 * np.sqrt(0.05 * 0.95 / 200)
    assert false_share_coverage(0.0, 80, 20) >= 0.95 - error
    assert false_share_coverage(0.0, 100, 0) >= 0.95 - error
    # Why it isn't given without being told that the tests are independent:
    assert false_share_coverage(0.5, 80, 20) < 0.7
    finding = fdr(pd.DataFrame({"p": BENJAMINI_HOCHBERG_1995}))
    assert np.isnan(finding.ci).all()
    assert any("one experiment's metrics aren't" in text for text in finding.assumptions)


LOOKS = pd.DataFrame({"estimate": [0.01, 0.02, 0.03], "se": 0.01})
ASSIGNED, LOG, LABELS = experiment(users=40)
UNITS = units(0, 0, 60)


@pytest.mark.parametrize(
    ("call", "message"),
    [
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
            "request_id, item_id: got 120 repeated of 240; each must be in outcomes once",
        ),
        (
            lambda: looks_by_day(ASSIGNED, LOG, LABELS.iloc[7:], experiment="new_model"),
            "outcomes: got none for 7 of .* rows; each needs one",
        ),
        (
            lambda: looks_by_day(ASSIGNED, LOG.assign(arm="control"), LABELS, experiment="new_model"),
            "arm: got 'control' in serving_log for user .* who is assigned to 'treatment'",
        ),
        (
            lambda: users_by_entry(ASSIGNED, LOG, LABELS, experiment="new_model", window=3),
            "window: got 3; it must be a positive Timedelta",
        ),
        (
            lambda: users_by_entry(
                ASSIGNED, LOG, LABELS, experiment="new_model", window=pd.Timedelta(days=90)
            ),
            "window: got 90 days .* it is open for every user",
        ),
        (lambda: sequential_ci(UNITS, tau=0), "tau: got 0"),
        (lambda: sequential_ci(UNITS, tau=1, treatment="B"), "treatment: got 'B'"),
        (lambda: sequential_ci(UNITS, tau=1, burn_in=3), "burn_in: got 3"),
        (lambda: sequential_ci(UNITS, tau=1, burn_in=100), "units: got 60; each arm needs burn_in of them"),
        (
            lambda: sequential_ci(UNITS.assign(y=np.arange(60) % 12 == 0), tau=1, burn_in=10),
            "and 10 of either outcome",
        ),
        (
            lambda: sequential_ci(UNITS.assign(user_id=np.arange(60) // 2), tau=1),
            "user_id: got 30 repeated of 60; one row a unit, not an event",
        ),
        (lambda: sequential_ci(UNITS.assign(y=np.inf), tau=1), "y: got inf in units; it must be finite"),
        (lambda: fdr(pd.DataFrame({"p": [0.5, 1.5]})), "p: got 1.5; a p-value lies in"),
        (lambda: fdr(pd.DataFrame({"p": []})), "pvalues: got no row"),
        (lambda: fdr(pd.DataFrame({"p": [0.5]}), q=1), "q: got 1"),
        (lambda: fdr(pd.DataFrame({"p": [0.5]}), correction="none"), "correction: got 'none'"),
        (lambda: launch_bias(LOOKS.iloc[:2]), "experiments: got 2 rows"),
        (lambda: launch_bias(LOOKS, threshold=np.nan), "threshold: got nan; it must be a finite number"),
        (lambda: launch_bias(LOOKS, alpha=2), "alpha: got 2; it must lie strictly between 0 and 1"),
        (lambda: launch_bias(LOOKS.assign(se=0.0)), "ses: got .0.0, 0.0, 0.0.; standard errors must be"),
        (lambda: family_error(0), "metrics: got 0"),
        (lambda: family_outcomes(3, correlation=0, correction="some"), "correction: got 'some'"),
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


def test_units_of_one_day_count_together_whatever_their_order():
    draw = np.random.default_rng(0)
    units = pd.DataFrame({"y": draw.normal(size=900), "arm": draw.choice(["control", "treatment"], 900)})
    units["ts"] = pd.Timestamp("2026-03-02").date()
    units.loc[450:, "ts"] = pd.Timestamp("2026-03-03").date()
    told, sorted_by_outcome = (sequential_ci(one, tau=0.1) for one in (units, units.sort_values("y")))
    assert told.table["n"].tolist() == [450, 900]
    assert told.p == pytest.approx(sorted_by_outcome.p)


def test_looks_and_entries_refuse_what_isn_t_times_and_logs_without_a_comparison():
    day = pd.Timestamp("2026-03-02", tz="UTC")
    users = pd.DataFrame(
        {"experiment": "e", "user_id": range(4), "arm": ["control", "treatment"] * 2, "ts": day}
    )
    log = pd.DataFrame({"request_id": range(4), "item_id": 1, "user_id": range(4), "ts": day})
    outcomes = log[["request_id", "item_id"]].assign(y=1)
    for ts in (day.date(), str(day)):
        with pytest.raises(ValueError, match=r"ts: got .*; it must be times"):
            looks_by_day(users.assign(ts=ts), log, outcomes, experiment="e")
        with pytest.raises(ValueError, match=r"ts: got .*; it must be times"):
            users_by_entry(users, log.assign(ts=ts), outcomes, experiment="e", window=pd.Timedelta("1D"))
    with pytest.raises(ValueError, match=r"ts: got .* both must be times with their zone, or both without"):
        looks_by_day(users, log.assign(ts=day.tz_localize(None)), outcomes, experiment="e")
    with pytest.raises(ValueError, match="on no day had each arm two users"):
        looks_by_day(users, log.head(2), outcomes, experiment="e")
