"""Diagnostics of evasion: McCrary's test against known jumps and his own formula, decay against statsmodels."""

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pytest
import statsmodels.api as sm
from scipy.stats import kstest, norm

from toolkit.general.evasion import bunching, mutability_decay
from toolkit.general.strategic import senders, weeks_of_messages


def scored(values, users=None):
    return pd.DataFrame({"score": values, "user_id": np.arange(len(values)) if users is None else users})


def step(seed, rows, left):
    """Uniform on [-1, 0) with chance `left` and on [0, 1) otherwise: a jump of known size at 0."""
    rng = np.random.default_rng(seed)
    return np.where(rng.random(rows) < left, -rng.random(rows), rng.random(rows))


@pytest.mark.parametrize("threshold", [0.0, 1.0])
def test_without_a_jump_p_is_uniform_on_a_slope_and_on_a_bend(threshold):
    rng = np.random.default_rng(1)
    p = [bunching(scored(rng.normal(size=2_000)), threshold=threshold).p for _ in range(200)]
    assert kstest(p, "uniform").pvalue > 0.01
    assert np.mean(np.array(p) < 0.05) == pytest.approx(0.05, abs=3 * np.sqrt(0.05 * 0.95 / 200))


def test_the_interval_covers_a_jump_of_known_size():
    covered = []
    for seed in range(200):
        low, high = bunching(scored(step(seed, 2_000, 0.6)), threshold=0.0).ci
        covered.append(low <= np.log(0.6 / 0.4) <= high)
    assert np.mean(covered) == pytest.approx(0.95, abs=3 * np.sqrt(0.05 * 0.95 / 200))


def test_rows_of_one_user_that_are_alike_don_t_count_as_many():
    wrong = []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        values = np.repeat(rng.normal(size=700), 4) + 0.02 * rng.normal(size=2_800)
        wrong.append(bunching(scored(values, np.repeat(np.arange(700), 4)), threshold=0.5).p < 0.05)
    # Alone, such rows would reject far more often: their standard errors are twice too small.
    assert np.mean(wrong) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 200)


def test_the_standard_error_of_independent_rows_is_mccrary_s():
    # McCrary (2008): the asymptotic variance is 24/5 (1/f+ + 1/f-) / (n h).
    finding = bunching(scored(step(0, 40_000, 0.6)), threshold=0.0, bandwidth=0.3)
    below, above = finding.table["density"]
    formula = np.sqrt(24 / 5 * (1 / below + 1 / above) / (40_000 * 0.3))
    assert finding.se == pytest.approx(formula, rel=0.05)
    assert below == pytest.approx(0.6, abs=0.03)
    assert above == pytest.approx(0.4, abs=0.03)


def test_the_local_line_is_weighted_least_squares_on_the_histogram():
    values = np.random.default_rng(2).normal(size=3_000)
    finding = bunching(scored(values), threshold=0.4, bandwidth=0.5)
    width = 2 * values.std(ddof=1) / 3_000**0.5
    edges = 0.4 + width * np.arange(0, int(np.ceil(0.5 / width)) + 1)
    height = np.histogram(values, edges)[0] / (3_000 * width)
    # The histogram goes on to the next edges with zeros or rows, whichever there are.
    centre = edges[:-1] + width / 2 - 0.4
    kernel = np.maximum(1 - centre / 0.5, 0)
    fit = sm.WLS(height, sm.add_constant(centre), weights=kernel).fit()
    assert finding.table["density"][1] == pytest.approx(fit.params[0], rel=1e-9)


def test_senders_who_try_gather_and_those_who_don_t_don_t():
    assert bunching(senders(budget=0.5), threshold=1.0).ci[0] > 0.4
    quiet = bunching(senders(budget=0.0), threshold=1.0)
    assert quiet.ci[0] < 0 < quiet.ci[1]
    elsewhere = bunching(senders(budget=0.5), threshold=0.0)
    assert elsewhere.ci[0] < 0 < elsewhere.ci[1]


def test_a_jump_on_the_other_side_has_the_other_sign():
    values = step(0, 5_000, 0.6)
    one, other = bunching(scored(values), threshold=0.0), bunching(scored(-values), threshold=0.0)
    assert other.estimate == pytest.approx(-one.estimate, abs=1e-9)


def test_decay_is_statsmodels_interaction_clustered_by_user():
    log, labels = weeks_of_messages(weeks=4, messages=600, users=300)
    finding = mutability_decay(log, labels, feature="links")
    rows = log.merge(labels)
    week = ((rows["ts"] - rows["ts"].min()) // pd.Timedelta(days=7)).to_numpy()
    z = (rows[["f_links", "f_account_age"]] - rows[["f_links", "f_account_age"]].mean()) / rows[
        ["f_links", "f_account_age"]
    ].std()
    design = np.column_stack(
        [
            np.ones(len(z)),
            z["f_links"],
            z["f_links"] * week,
            z["f_account_age"],
            pd.get_dummies(week).iloc[:, 1:],
        ]
    ).astype(float)
    fit = sm.Logit(rows["y"], design).fit(
        disp=0, cov_type="cluster", cov_kwds={"groups": rows["user_id"], "use_correction": False}
    )
    assert finding.estimate == pytest.approx(fit.params.iloc[2], rel=1e-5)
    groups = rows["user_id"].nunique()
    assert finding.se == pytest.approx(fit.bse.iloc[2] * np.sqrt(groups / (groups - 1)), rel=1e-4)


def test_a_feature_that_senders_change_decays_and_one_that_they_cannot_doesn_t():
    log, labels = weeks_of_messages()
    assert mutability_decay(log, labels, feature="links").ci[1] < 0
    fixed = mutability_decay(log, labels, feature="account_age")
    assert fixed.ci[0] < 0 < fixed.ci[1]


def test_a_week_whose_weight_is_undefined_is_nan_and_the_line_goes_on():
    log, labels = weeks_of_messages(weeks=4, messages=400)
    first = log["ts"] < log["ts"].min() + pd.Timedelta(days=7)
    still = log.assign(f_links=log["f_links"].where(~first, 0.0))
    finding = mutability_decay(still, labels, feature="links")
    assert finding.table["weight"].isna().tolist() == [True, False, False, False]
    # One row that differs tells its label without error: no weight either.
    one = still.assign(f_links=still["f_links"].where(still.index != 0, 1.0))
    assert np.isnan(mutability_decay(one, labels, feature="links").table["weight"][0])
    assert "nan" not in finding.verdict


def test_scores_rounded_finely_against_the_histogram_keep_the_level():
    wrong = []
    for seed in range(100):
        values = np.random.default_rng(seed).normal(size=2_000).round(3)
        wrong.append(bunching(scored(values), threshold=0.5).p < 0.05)
    assert np.mean(wrong) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 100)


@pytest.mark.slow
def test_decay_keeps_its_level_where_nobody_changes_anything():
    p = [
        mutability_decay(*weeks_of_messages(weeks=4, messages=400, budget=0.0, rng=seed), feature="links").p
        for seed in range(120)
    ]
    assert kstest(p, "uniform").pvalue > 0.01
    assert np.mean(np.array(p) < 0.05) == pytest.approx(0.05, abs=3 * np.sqrt(0.05 * 0.95 / 120))


@pytest.mark.parametrize("kind", ["polars", "pyarrow", "duckdb"])
def test_any_frame_gives_the_same_findings(kind):
    given = {
        "polars": pl.from_pandas,
        "pyarrow": lambda frame: pl.from_pandas(frame).to_arrow(),
        "duckdb": lambda frame: duckdb.from_df(frame),
    }[kind]
    sent = senders()
    log, labels = weeks_of_messages(weeks=3, messages=500)
    assert bunching(given(sent), threshold=1.0) == bunching(sent, threshold=1.0)
    assert mutability_decay(given(log), given(labels), feature="links").estimate == pytest.approx(
        mutability_decay(log, labels, feature="links").estimate
    )


SENT = senders(messages=2_000)
LOG, LABELS = weeks_of_messages(weeks=3, messages=200)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: bunching(SENT.drop(columns="user_id"), threshold=1.0),
            "scored: got columns .*; it must have user_id",
        ),
        (lambda: bunching(SENT.assign(user_id=1), threshold=1.0), "user_id: got one in all rows"),
        (
            lambda: bunching(SENT.assign(score=SENT["score"].round(1)), threshold=1.0),
            "score: got 6 different values within .* the histogram needs 75 there",
        ),
        (
            lambda: mutability_decay(LOG.assign(ts=LOG["ts"].astype(str)), LABELS, feature="links"),
            "ts: got str in serving_log; it must be times",
        ),
        (
            lambda: mutability_decay(LOG.assign(user_id=1), LABELS, feature="links"),
            "user_id: got one in all rows; an interval needs two",
        ),
        (
            lambda: mutability_decay(LOG.assign(f_sum=LOG["f_links"] + 1), LABELS, feature="links"),
            "serving_log: got features .*f_sum; none may follow from the others",
        ),
        (
            lambda: mutability_decay(LOG.assign(f_told=LABELS["y"]), LABELS, feature="links"),
            "f_told; none may follow from the others or tell labels without error",
        ),
        (lambda: bunching(SENT.assign(score=0.5), threshold=1.0), "score: got 2000 rows, all equal"),
        (
            lambda: bunching(SENT.assign(score=np.inf), threshold=1.0),
            "score: got inf in scored; it must be finite",
        ),
        (
            lambda: bunching(SENT, threshold=9.0),
            "threshold: got 9; scores must lie on both sides, and go from",
        ),
        (
            lambda: bunching(SENT, threshold=1.0, bandwidth=1e-9),
            "score: got 0 rows within 1e-09 under the threshold",
        ),
        (lambda: bunching(SENT, threshold=np.nan), "threshold: got nan"),
        (lambda: bunching(SENT, threshold=1.0, bandwidth=0), "bandwidth: got 0; it must lie above 0"),
        (lambda: bunching(SENT, threshold=1.0, alpha=0), "alpha: got 0"),
        (
            lambda: mutability_decay(LOG, LABELS, feature="age"),
            "serving_log: got columns .*; it must have f_age",
        ),
        (
            lambda: mutability_decay(LOG, LABELS.iloc[:5], feature="links"),
            "outcomes: got none for 595 of 600 rows",
        ),
        (
            lambda: mutability_decay(LOG.assign(f_links=1.0), LABELS, feature="links"),
            "f_links: got one value only",
        ),
        (
            lambda: mutability_decay(LOG.iloc[:300], LABELS, feature="links"),
            "ts: got 2 weeks; a line over weeks needs three at least",
        ),
        (
            lambda: mutability_decay(LOG, LABELS.assign(y=[0] * 200 + [0, 1] * 200), feature="links"),
            "y: got labels of one kind in week 1",
        ),
        (
            lambda: mutability_decay(LOG, LABELS.assign(y=3), feature="links"),
            "y: got 3 in outcomes; a label is 0 or 1",
        ),
        (
            lambda: mutability_decay(pd.concat([LOG] * 2), LABELS, feature="links"),
            "got 600 repeated of 1,200",
        ),
    ],
)
def test_bad_input_is_refused_by_name_value_and_rule(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_the_bandwidth_is_half_of_mccrary_s_rule():
    # A second derivation of his rule: fit each side's quartic, 3.348 (mse * length / sum f''^2)^(1/5).
    values = np.random.default_rng(4).normal(size=4_000)
    width = 2 * values.std(ddof=1) / 4_000**0.5
    parts = []
    for side in (values[values < 0], values[values >= 0]):
        far = np.abs(side).max()
        edges = width * np.arange(0, int(np.floor(far / width)) + 2)
        height = np.histogram(np.abs(side), edges)[0] / (4_000 * width)
        centre = edges[:-1] + width / 2
        coefficients = np.polyfit(centre, height, 4)
        error = ((height - np.polyval(coefficients, centre)) ** 2).sum() / (len(centre) - 5)
        bend = (np.polyval(np.polyder(coefficients, 2), centre) ** 2).sum()
        parts.append(3.348 * (error * centre[-1] / bend) ** 0.2)
    finding = bunching(scored(values), threshold=0.0)
    assert finding.table["bandwidth"][0] == pytest.approx(np.mean(parts) / 2, rel=1e-6)
    assert finding.p > norm.sf(5)


def test_equal_scores_and_a_threshold_beside_all_scores_are_refused():
    # The standard deviation of 0.1, three times, isn't 0.
    scored = pd.DataFrame({"user_id": range(300), "score": 0.1})
    with pytest.raises(ValueError, match="score: got 300 rows, all equal"):
        bunching(scored, threshold=1.0)
    rows = scored.assign(score=np.linspace(0, 1, 300))
    with pytest.raises(
        ValueError, match="threshold: got 50; scores must lie on both sides, and go from 0 to 1"
    ):
        bunching(rows, threshold=50.0)
