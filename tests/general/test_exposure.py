"""Diagnostics of exposure: calibrated where there is no loop, telling luck from worth where there is one."""

from dataclasses import replace

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy.special import expit
from scipy.stats import kstest, spearmanr

from toolkit.general.exposure import explore_vs_exploit_gap, exposure_lockin, gini
from toolkit.resampling import bootstrap
from toolkit.world import Settings, logs, simulate
from toolkit.world.policies import OLD_WEIGHTS, fit_logistic
from toolkit.world.serving import served_by_old

START = pd.Timestamp("2026-03-02", tz="UTC")


def exposure_log(early, later):
    """A log in which each item was shown so often in the first week and in the second."""
    item = np.r_[np.repeat(np.arange(len(early)), early), np.repeat(np.arange(len(later)), later)]
    day = np.r_[np.zeros(int(np.sum(early))), np.full(int(np.sum(later)), 10)]
    return pd.DataFrame(
        {
            "request_id": np.arange(len(item)),
            "item_id": item,
            "user_id": np.arange(len(item)),
            "ts": START + pd.to_timedelta(day, unit="D"),
            "explored": False,
        }
    )


def counts(seed, items=150, lasting=0.0):
    """Exposures of items whose appeal is gamma distributed, and which part of it lasts."""
    rng = np.random.default_rng(seed)
    shared, first, second = np.exp(rng.normal(0, 0.6, (3, items)))
    weight = lasting
    early = rng.poisson(12 * shared**weight * first ** (1 - weight))
    later = rng.poisson(12 * shared**weight * second ** (1 - weight))
    return early, later


def test_the_correlation_and_the_share_never_tried_again_are_those_of_the_counts():
    early, later = np.arange(1, 13), np.r_[0, 0, 0, np.arange(2, 11)]
    finding = exposure_lockin(exposure_log(early, later), replicates=20)
    rows = finding.table.set_index("what")["estimate"]
    assert finding.estimate == pytest.approx(spearmanr(early, later).statistic)
    # Bonett and Wright: on Fisher's scale the variance is (1 + rho^2 / 2) / (items - 3).
    half = 1.959964 * np.sqrt((1 + finding.estimate**2 / 2) / 9)
    assert np.arctanh(finding.ci) == pytest.approx(np.arctanh(finding.estimate) + half * np.array([-1, 1]))
    assert rows["shown early, never again (share)"] == pytest.approx(3 / 12)
    assert rows["Gini coefficient of exposure"] == pytest.approx(gini(early + later))


def test_gini_by_hand():
    # Mean absolute difference over twice the mean: of 1, 2, 3 it is (8 / 9) / 4.
    assert gini([3, 1, 2]) == pytest.approx(8 / 9 / 4)
    assert gini([7, 7]) == 0
    assert np.isnan(gini([0, 0]))


@pytest.mark.slow
def test_without_memory_p_is_uniform_and_with_it_the_interval_covers():
    null = [exposure_lockin(exposure_log(*counts(seed)), replicates=1).p for seed in range(150)]
    assert kstest(null, "uniform").pvalue > 0.01
    assert np.mean(np.array(null) < 0.05) == pytest.approx(0.05, abs=3 * np.sqrt(0.05 * 0.95 / 150))
    truth = spearmanr(*counts(10_000, items=200_000, lasting=0.7)).statistic
    assert 0.3 < truth < 0.8
    covered = []
    for seed in range(150):
        low, high = exposure_lockin(exposure_log(*counts(seed, lasting=0.7)), replicates=1).ci
        covered.append(low <= truth <= high)
    assert np.mean(covered) == pytest.approx(0.95, abs=3 * np.sqrt(0.05 * 0.95 / 150))


def test_the_interval_of_the_gini_coefficient_covers():
    truth = gini(np.sum(counts(10_000, items=200_000), axis=0))
    covered = []
    for seed in range(80):
        rows = exposure_lockin(exposure_log(*counts(seed)), replicates=150, rng=seed).table
        low, high = rows.loc[1, ["low", "high"]]
        covered.append(low <= truth <= high)
    # The percentile interval of a skewed statistic falls a little short at 150 items.
    assert np.mean(covered) >= 0.95 - 0.02 - 3 * np.sqrt(0.05 * 0.95 / 80)


def test_among_equal_items_exposure_persists_unearned_and_only_where_the_ranker_remembers():
    market = Settings(
        items=300, requests=700, days=40, static_spread=0.0, quality_weight=0.0, exploration=0.2, users=1_500
    )
    served = served_by_old(simulate(market), range(0, 40))
    finding = exposure_lockin(logs.serving_log({"a": served}), logs.outcomes({"a": served}), replicates=20)
    assert finding.ci[0] > 0.2
    assert "not clicked measurably more often" in finding.verdict
    pair = served.slates.linear((0.0, *OLD_WEIGHTS, 0.0, 0.0, 0.0, 0.0))
    forgetful = replace(served, score=pair)
    quiet = exposure_lockin(
        logs.serving_log({"a": forgetful}), logs.outcomes({"a": forgetful}), replicates=20
    )
    assert quiet.ci[0] < 0 < quiet.ci[1]


def test_exposure_that_is_earned_is_said_to_be():
    market = Settings(
        items=300, requests=700, days=30, static_spread=1.5, quality_weight=0.0, exploration=0.2
    )
    served = served_by_old(simulate(market), range(0, 30))
    finding = exposure_lockin(logs.serving_log({"a": served}), logs.outcomes({"a": served}), replicates=20)
    assert finding.table["low"].iloc[-1] > 0
    assert "are clicked more often" in finding.verdict


def explored_log(seed, *, hidden=0.0, named=True, rows=2_000):
    """Rows of which a half is explored; outcomes of a user are alike; seldom-shown items differ by `hidden`."""
    rng = np.random.default_rng(seed)
    users, items = rows // 20, 80
    explored = rng.random(rows) < 0.5
    user = rng.integers(0, users, rows)
    # Each user comes across one half of the items only, so that a user's rows all lie on one side.
    drawn = rng.integers(0, items // 2, rows) + items // 2 * (user % 2)
    item = np.where(explored, drawn, rng.integers(0, items // 2, rows))
    score = rng.normal(size=rows) + 0.5 * ~explored
    if named:
        # The chance is 1/4 for everybody together; users keep to a rate of their own.
        chance = np.full(rows, 0.25)
        y = rng.random(rows) < rng.beta(0.5, 1.5, users)[user]
    else:
        chance = 1 / (1 + np.exp(1.0 - score))
        y = rng.random(rows) < chance
    y = y | (rng.random(rows) < hidden * (item >= items // 2))
    log = pd.DataFrame(
        {
            "request_id": np.arange(rows),
            "item_id": item,
            "user_id": user,
            "ts": START + pd.to_timedelta(rng.uniform(0, 28, rows), unit="D"),
            "explored": explored,
            "score": score,
            "chance": chance,
        }
    )
    return log, log[["request_id", "item_id"]].assign(y=y.astype(int))


@pytest.mark.slow
@pytest.mark.parametrize("prediction", ["chance", None])
def test_the_gap_keeps_its_level_with_users_who_are_alike_and_with_a_fitted_prediction(prediction):
    p = [
        explore_vs_exploit_gap(
            *explored_log(seed, named=prediction is not None), prediction=prediction, rarely=0.5
        ).p
        for seed in range(150)
    ]
    assert kstest(p, "uniform").pvalue > 0.01
    assert np.mean(np.array(p) < 0.05) == pytest.approx(0.05, abs=3 * np.sqrt(0.05 * 0.95 / 150))


def test_hidden_worth_of_seldom_shown_items_is_found_at_its_size():
    # y or an independent cause of chance .2: the rate rises from .25 by .2 * .75.
    finding = explore_vs_exploit_gap(
        *explored_log(0, hidden=0.2, rows=40_000), prediction="chance", rarely=0.5
    )
    assert finding.ci[0] < 0.15 < finding.ci[1]
    assert finding.ci[0] > 0.1
    assert "underrates" in finding.verdict


def test_the_standard_error_is_that_of_refitting_the_prediction_to_other_users():
    # Few rows of the policy's own, and scores that differ between kinds: the fit's error matters.
    log, labels = explored_log(3, named=False, rows=6_000)
    log["explored"] = np.random.default_rng(0).random(6_000) < 0.93
    log["item_id"] = np.where(log["explored"], log["item_id"], log["item_id"] % 40)
    log["score"] += 1.5 * (log["item_id"] >= 40)
    labels["item_id"] = log["item_id"]
    finding = explore_vs_exploit_gap(log, labels, rarely=0.5)
    later = log.merge(labels)[
        lambda rows: rows["ts"] >= log["ts"].min() + (log["ts"].max() - log["ts"].min()) / 2
    ]
    y, seldom = later["y"].to_numpy(float), (later["item_id"] >= 40).to_numpy()
    explored, score = later["explored"].to_numpy(), later[["score"]].to_numpy()

    def gap(times):
        drawn = np.repeat(np.arange(len(y)), times.astype(int))
        own = drawn[~explored[drawn]]
        weights = fit_logistic(score[own], y[own], penalty=0.0)
        off = y[drawn] - expit(weights[0] + weights[1] * score[drawn, 0])
        asked, rare = explored[drawn], seldom[drawn]
        return off[asked & rare].mean() - off[asked & ~rare].mean()

    assert finding.estimate == pytest.approx(gap(np.ones(len(y))), abs=1e-6)
    draws = bootstrap(gap, later["user_id"], replicates=400)
    # Four hundred replicates tell a standard deviation to 3.5%; three of these, and the bootstrap's own bias.
    assert finding.se == pytest.approx(draws.std(), rel=0.13)
    plain = explore_vs_exploit_gap(
        log.assign(chance=expit(log["score"] - 1)), labels, prediction="chance", rarely=0.5
    )
    assert finding.se > 1.3 * plain.se


def test_the_standard_error_counts_users_whose_own_rows_made_the_prediction():
    # A user's rows that fitted the prediction and those compared with it are alike: a jackknife by user tells.
    log, labels = explored_log(7, rows=3_000)
    log["score"] += 2.0 * (log["item_id"] >= 40)
    later = log.merge(labels)[
        lambda rows: rows["ts"] >= log["ts"].min() + (log["ts"].max() - log["ts"].min()) / 2
    ]
    finding = explore_vs_exploit_gap(log, labels, rarely=0.5)

    def gap(rows):
        own = rows[~rows["explored"]]
        weights = fit_logistic(own[["score"]], own["y"], penalty=0.0)
        off = (rows["y"] - expit(weights[0] + weights[1] * rows["score"]))[rows["explored"]]
        rare = rows["item_id"][rows["explored"]] >= 40
        return off[rare].mean() - off[~rare].mean()

    assert finding.estimate == pytest.approx(gap(later), abs=1e-6)
    left = np.array([gap(later[later["user_id"] != user]) for user in later["user_id"].unique()])
    jackknife = np.sqrt((len(left) - 1) * ((left - left.mean()) ** 2).mean())
    assert finding.se == pytest.approx(jackknife, rel=0.05)


def test_the_rarest_quarter_of_items_counts_as_seldom_shown():
    # Items shown once, twice, three and four times in the first half; explored once to four times in the second.
    item = np.r_[np.repeat(np.arange(4), np.arange(1, 5)), np.repeat(np.arange(4), np.arange(1, 5))]
    log = pd.DataFrame({"request_id": range(20), "item_id": item, "user_id": range(20), "chance": 0.5})
    log["explored"] = np.arange(20) >= 10
    log["ts"] = START + pd.to_timedelta(np.where(log["explored"], 8, 0), unit="D")
    labels = log[["request_id", "item_id"]].assign(y=np.arange(20) % 2)
    finding = explore_vs_exploit_gap(log, labels, prediction="chance", rarely=0.25)
    assert finding.table["rows"].tolist() == [1, 9]


def test_only_explored_rows_are_compared():
    log, labels = explored_log(5)
    log["item_id"] = labels["item_id"] = np.random.default_rng(1).permutation(log["item_id"])
    own = labels["y"].where(log["explored"], 1 - labels["y"])
    one = explore_vs_exploit_gap(log, labels, prediction="chance")
    assert explore_vs_exploit_gap(log, labels.assign(y=own), prediction="chance") == one


@pytest.mark.parametrize("kind", ["polars", "pyarrow", "duckdb"])
def test_any_frame_gives_the_same_findings(kind):
    given = {
        "polars": pl.from_pandas,
        "pyarrow": lambda frame: pl.from_pandas(frame).to_arrow(),
        "duckdb": lambda frame: duckdb.from_df(frame),
    }[kind]
    log, labels = explored_log(1)
    ours = explore_vs_exploit_gap(given(log), given(labels), prediction="chance")
    assert ours.estimate == pytest.approx(explore_vs_exploit_gap(log, labels, prediction="chance").estimate)
    assert exposure_lockin(given(log), given(labels), replicates=5).estimate == pytest.approx(
        exposure_lockin(log, labels, replicates=5).estimate
    )


LOG, LABELS = explored_log(0, rows=400)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: exposure_lockin(LOG.drop(columns="explored")),
            "serving_log: got columns .*; it must have explored",
        ),
        (lambda: exposure_lockin(pd.concat([LOG, LOG])), "request_id, item_id: got 400 repeated of 800"),
        (
            lambda: exposure_lockin(LOG, first_days=90),
            "serving_log: got no row of the policy's own in the later part",
        ),
        (
            lambda: exposure_lockin(LOG.assign(explored=True)),
            "got no row of the policy's own in the first part",
        ),
        (lambda: exposure_lockin(LOG, first_days=0), "first_days: got 0; it must lie above 0"),
        (lambda: exposure_lockin(LOG.assign(item_id=7)), "item_id: got 1 items"),
        (lambda: exposure_lockin(LOG, LABELS.iloc[:100]), "outcomes: got none for .* rows; each needs one"),
        (lambda: exposure_lockin(LOG, LABELS.assign(y=2)), "y: got 2 in outcomes; a label is 0 or 1"),
        (lambda: exposure_lockin(LOG, replicates=0), "replicates: got 0"),
        (lambda: exposure_lockin(LOG, alpha=1), "alpha: got 1"),
        (
            lambda: exposure_lockin(LOG.assign(ts=LOG["ts"].astype(str))),
            "ts: got str in serving_log; it must be times with their zone",
        ),
        (
            lambda: exposure_lockin(LOG.assign(explored=LOG["explored"].astype(str))),
            "explored: got str in serving_log; it must be numbers",
        ),
        (lambda: exposure_lockin(LOG.assign(user_id=1), LABELS), "user_id: got one in all explored rows"),
        (lambda: explore_vs_exploit_gap(LOG.assign(ts=1), LABELS), "ts: got int64 in serving_log"),
        (
            lambda: explore_vs_exploit_gap(LOG.assign(explored=2), LABELS),
            "explored: got 2 in serving_log; a label is 0 or 1",
        ),
        (
            lambda: explore_vs_exploit_gap(LOG.assign(user_id=1), LABELS, prediction="chance"),
            "user_id: got one in all explored rows; an interval needs two at least",
        ),
        (
            lambda: explore_vs_exploit_gap(LOG, LABELS.assign(y=1)),
            "y: got 1 in every later row of the policy's own; name a prediction",
        ),
        (lambda: exposure_lockin(LOG.assign(user_id=np.nan)), "user_id: got 400 missing"),
        (lambda: explore_vs_exploit_gap(LOG, LABELS.iloc[:0]), "outcomes: got no row"),
        (lambda: explore_vs_exploit_gap(LOG, LABELS.iloc[:9]), "outcomes: got none for"),
        (
            lambda: explore_vs_exploit_gap(LOG.assign(explored=False), LABELS),
            "explored: got no later row of items",
        ),
        (lambda: explore_vs_exploit_gap(LOG.assign(score=1.0), LABELS), "score: got none that differ"),
        (
            lambda: explore_vs_exploit_gap(LOG.assign(chance=1.5), LABELS, prediction="chance"),
            "chance: got 1.5",
        ),
        (lambda: explore_vs_exploit_gap(LOG, LABELS, rarely=1), "rarely: got 1"),
        (lambda: explore_vs_exploit_gap(LOG, LABELS, earlier=0), "earlier: got 0"),
        (
            lambda: explore_vs_exploit_gap(LOG, pd.concat([LABELS] * 2)),
            "request_id, item_id: got 400 repeated",
        ),
    ],
)
def test_bad_input_is_refused_by_name_value_and_rule(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_a_score_that_is_constant_but_for_rounding_is_refused():
    n = 700
    log = pd.DataFrame({"request_id": range(n), "item_id": np.arange(n) % 7, "user_id": np.arange(n) % 50})
    log["ts"] = pd.date_range("2026-03-02", periods=n, freq="h", tz="UTC")
    log["explored"], log["score"] = np.arange(n) % 3 == 0, 0.1
    outcomes = log[["request_id", "item_id"]].assign(y=np.arange(n) % 2)
    with pytest.raises(ValueError, match="score: got none that differ where the policy chose"):
        explore_vs_exploit_gap(log, outcomes)
