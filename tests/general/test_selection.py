"""The audit of a log that the old model chose: by hand, by simulation, and what it refuses."""

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy.stats import kstest
from sklearn.metrics import roc_auc_score

from toolkit.general.mismatch import effective_sample_size
from toolkit.general.selection import _selection_verdict, selection_audit
from toolkit.resampling import bootstrap


def company(rows=60_000, *, explored=0.03, cut=1.28, seed=0, rows_a_user=3, selects=True):
    """Shown: the old score's top tenth (or, where it doesn't select, a tenth at random), and exploration."""
    rng = np.random.default_rng(seed)
    covariance = [[1, 0.3, 0.5], [0.3, 1, 0.4], [0.5, 0.4, 1]]
    old, new, tendency = rng.multivariate_normal(np.zeros(3), covariance, size=rows).T
    ranked = old if selects else rng.normal(size=rows)
    table = pd.DataFrame(
        {
            "y": (tendency > 0.84).astype(int),
            "score_old": old,
            "score_new": new,
            "user_id": np.arange(rows) // rows_a_user,
            "explored": rng.random(rows) < explored,
            "propensity": np.where(ranked > cut, 1.0, explored),
        }
    )
    return table[(ranked > cut) | table["explored"]].reset_index(drop=True)


def test_the_table_holds_the_aucs_variances_and_sizes_that_scikit_learn_and_numpy_give():
    log = company(6000)
    told = selection_audit(log, replicates=20).table.set_index("rows")
    drawn = log["explored"].to_numpy()
    weight = 1 / log["propensity"]
    for model in ("old", "new"):
        score = log[f"score_{model}"]
        expected = [
            roc_auc_score(log["y"], score),
            roc_auc_score(log["y"], score, sample_weight=weight),
            roc_auc_score(log["y"][drawn], score[drawn]),
        ]
        assert told[f"auc_{model}"].tolist() == pytest.approx(expected)
    assert told["difference"].tolist() == pytest.approx((told["auc_new"] - told["auc_old"]).tolist())
    ratio = log["score_old"].var(ddof=0) / log.loc[drawn, "score_old"].var(ddof=0)
    assert told.loc["logged", "variance_ratio"] == pytest.approx(ratio)
    assert told["n"].tolist() == [len(log), len(log), drawn.sum()]
    assert told["effective"].tolist() == pytest.approx([len(log), effective_sample_size(weight), drawn.sum()])


def test_each_interval_is_of_whole_users_drawn_again_with_their_weights():
    log = company(3000)
    told = selection_audit(log, replicates=25, rng=7).table
    drawn, weight = log["explored"].to_numpy(), (1 / log["propensity"]).to_numpy()

    def differences(times):
        rows = [times, times * weight, times * drawn]
        return [
            roc_auc_score(log["y"], log["score_new"], sample_weight=used)
            - roc_auc_score(log["y"], log["score_old"], sample_weight=used)
            for used in rows
        ]

    draws = bootstrap(differences, log["user_id"], replicates=25, rng=7)
    low, high = np.quantile(draws, [0.025, 0.975], axis=0)
    assert told["low"].tolist() == pytest.approx(low.tolist())
    assert told["high"].tolist() == pytest.approx(high.tolist())


def test_weights_and_exploration_both_undo_the_selection():
    log = company(400_000, explored=0.05, rows_a_user=1)
    finding = selection_audit(log, replicates=60)
    told = finding.table.set_index("rows")
    # The truth among all rows (tests of range_restriction): .7482 and .6982.
    for rows in ("weighted by 1 / propensity", "exploration slice"):
        assert told.loc[rows, "auc_old"] == pytest.approx(0.748, abs=0.012)
        assert told.loc[rows, "auc_new"] == pytest.approx(0.698, abs=0.012)
    assert told.loc["weighted by 1 / propensity", "variance_ratio"] == pytest.approx(1, abs=0.03)
    assert finding.ci[0] > 0


def test_the_verdict_says_when_log_and_slice_disagree_on_the_sign():
    finding = selection_audit(company(400_000, explored=0.02, rows_a_user=1), replicates=60)
    told = finding.table.set_index("rows")["difference"]
    assert told["logged"] > 0 > told["exploration slice"]
    assert "The log prefers the new model" in finding.verdict
    assert "the exploration slice the old one" in finding.verdict
    assert "believe the slice." in finding.verdict
    assert finding.p < 0.01


def test_it_is_quiet_where_what_is_shown_does_not_depend_on_the_score():
    finding = selection_audit(company(100_000, selects=False), replicates=100)
    assert finding.ci[0] < 0 < finding.ci[1]
    assert finding.verdict.startswith("No effect of selection is visible")
    assert finding.table.set_index("rows").loc["logged", "variance_ratio"] == pytest.approx(1, abs=0.1)


@pytest.mark.slow
def test_without_selection_its_p_is_uniform_and_its_interval_covers():
    findings = [
        selection_audit(company(6000, selects=False, seed=seed, explored=0.05), replicates=100, rng=seed)
        for seed in range(240)
    ]
    held = np.mean([finding.ci[0] <= 0 <= finding.ci[1] for finding in findings])
    # Three standard errors of a share of 240 around 95%.
    assert held == pytest.approx(0.95, abs=3 * np.sqrt(0.05 * 0.95 / 240))
    assert kstest([finding.p for finding in findings], "uniform").pvalue > 0.01


def test_rows_of_a_user_do_not_count_as_independent():
    log = company(4000, explored=0.1)
    doubled = pd.concat([log, log], ignore_index=True)
    once, twice = (selection_audit(rows, replicates=100) for rows in (log, doubled))
    assert twice.se == pytest.approx(once.se, rel=1e-6)
    assert twice.n_clusters == once.n_clusters


def test_any_frame_serves_and_the_same_seed_gives_the_same_interval():
    log = company(2000)
    expected = selection_audit(log, replicates=20, rng=3)
    for given in (pl.from_pandas(log), pl.from_pandas(log).to_arrow(), duckdb.from_df(log)):
        finding = selection_audit(given, replicates=20, rng=3)
        assert (finding.estimate, finding.ci) == (expected.estimate, expected.ci)


LOG = company(600)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: selection_audit([1]), "log: got list; it must be a frame"),
        (lambda: selection_audit(LOG.iloc[:0]), "log: got no row"),
        (
            lambda: selection_audit(LOG.drop(columns="propensity")),
            "log: got columns .*; it must have propensity",
        ),
        (lambda: selection_audit(LOG.assign(y=2)), "y: got 2 in log; a label is 0 or 1"),
        (
            lambda: selection_audit(LOG.assign(propensity=0.0)),
            r"propensity: got 0.0 in log; a propensity lies in",
        ),
        (lambda: selection_audit(LOG.assign(score_new=np.nan)), "score_new: got .* missing"),
        (
            lambda: selection_audit(LOG.assign(score_new=np.inf)),
            "score_new: got inf in log; it must be finite",
        ),
        (
            lambda: selection_audit(LOG.assign(score_old=1.0)),
            "score_old: got 1.0 in every row; a constant ranks nothing",
        ),
        (
            lambda: selection_audit(LOG.assign(y=0)),
            "log: got 0 positives among .* rows; an AUC needs both kinds",
        ),
        (lambda: selection_audit(LOG.assign(explored=False)), "explored: got 0 positives among 0 rows"),
        (lambda: selection_audit(LOG.assign(user_id=1)), "clusters: got 1; the bootstrap needs two"),
        (lambda: selection_audit(LOG, alpha=1), "alpha: got 1"),
        (lambda: selection_audit(LOG, replicates=0), "replicates: got 0"),
    ],
)
def test_bad_input_is_refused_by_name_value_and_rule(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_the_verdict_sets_the_log_against_the_slice_not_against_the_weighted_rows():
    ends = [(0.0, 0.02), (-0.03, 0.05), (-0.03, -0.01)]
    told = _selection_verdict(np.array([0.01, 0.01, -0.02]), ends, (0.01, 0.05))
    assert told == (
        "The log prefers the new model (new less old +0.010), the exploration slice the old one (-0.020): "
        "believe the slice."
    )
    told = _selection_verdict(np.array([0.03, -0.01, 0.01]), ends, (0.01, 0.03))
    assert told.startswith("Selection flatters the new model")
