"""Off-policy estimators: a peer's numbers, known truths, coverage, and when the log is refused."""

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pytest

from toolkit.general.bandit import moved_target
from toolkit.general.mismatch import effective_sample_size
from toolkit.general.off_policy import ESTIMATORS, ope, value_estimates
from toolkit.resampling import bootstrap

# Eight rounds of two actions.
REWARD = np.array([1, 0, 1, 0, 0, 1, 1, 0])
ACTION = np.array([0, 1, 1, 0, 1, 0, 1, 0])
PROPENSITY = np.array([0.5, 0.2, 0.9, 0.25, 0.8, 0.05, 0.4, 0.6])
FIRST = np.array([0.3, 0.9, 0.6, 0.5, 0.2, 0.7, 0.1, 0.8])
TARGET = np.stack([FIRST, 1 - FIRST], axis=1)
MODEL = np.array(
    [[0.2, 0.6], [0.5, 0.1], [0.3, 0.7], [0.4, 0.2], [0.1, 0.9], [0.8, 0.3], [0.5, 0.5], [0.6, 0.25]]
)
# What the estimators of sb-obp 0.5.10 give for them, with lambda 3 (9 for shrinkage).
OBP = {
    "IPS": 2.1618055555555555,
    "clipped IPS": 0.7868055555555555,
    "SNIPS": 0.7815716796384635,
    "DM": 0.515,
    "DR": 0.7635416666666666,
    "SNDR": 0.6048568917901079,
    "switch-DR": 0.4135416666666667,
    "shrunk DR": 0.43429988123203345,
}


def rounds():
    logged = np.arange(8), ACTION
    return pd.DataFrame(
        {
            "y": REWARD,
            "propensity": PROPENSITY,
            "target_prob": TARGET[logged],
            "q_logged": MODEL[logged],
            "q_target": (TARGET * MODEL).sum(1),
            "user_id": range(8),
        }
    )


MODELLED = {"q_logged": "q_logged", "q_target": "q_target"}


@pytest.mark.parametrize("name", ESTIMATORS)
def test_each_estimator_gives_open_bandit_pipelines_number(name):
    finding = ope(rounds(), **MODELLED, clip=3, least_effective=1, estimator=name)
    assert finding.estimate == pytest.approx(OBP[name], abs=1e-12)
    assert set(OBP) == set(ESTIMATORS)


def test_a_mean_of_independent_rows_has_the_textbook_error_and_a_ratio_the_delta_methods():
    log = rounds()
    weight = (log["target_prob"] / log["propensity"]).to_numpy()
    told = value_estimates(log["y"], weight).set_index("estimator")
    assert told.loc["IPS", "se"] == pytest.approx((weight * REWARD).std(ddof=1) / np.sqrt(8))
    value = (weight @ REWARD) / weight.sum()
    residual = weight * (REWARD - value) / weight.mean()
    assert told.loc["SNIPS", "se"] == pytest.approx(residual.std(ddof=1) / np.sqrt(8))
    assert told.loc["mean weight", "value"] == pytest.approx(weight.mean())
    assert told["effective"]["IPS"] == pytest.approx(effective_sample_size(weight))


def test_errors_by_user_agree_with_the_bootstrap_that_draws_users():
    log = moved_target(0.3, epsilon=0.3).log(6000, rng=1)
    # Users whose rows are alike: each row of theirs three times.
    log = log.loc[np.repeat(np.arange(2000), 3)].assign(user_id=np.repeat(np.arange(2000), 3))
    weight = (log["target_prob"] / log["propensity"]).to_numpy()
    y, q, expected = (log[column].to_numpy(float) for column in ("y", "q_logged", "q_target"))

    def values(times):
        return [
            (times * weight) @ y / times.sum(),
            (times * weight) @ y / (times @ weight),
            times @ (expected + weight * (y - q)) / times.sum(),
            times @ expected / times.sum() + (times * weight) @ (y - q) / (times @ weight),
        ]

    draws = bootstrap(values, log["user_id"], replicates=1000)
    told = ope(log, **MODELLED).table.set_index("estimator")["se"]
    assert told[["IPS", "SNIPS", "DR", "SNDR"]].tolist() == pytest.approx(draws.std(0).tolist(), rel=0.08)
    alone = ope(log, **MODELLED, cluster=None).table.set_index("estimator")["se"]
    assert (told["IPS"] / alone["IPS"]) ** 2 == pytest.approx(3, rel=0.01)


def told_again_and_again(bandit, rows, runs, names):
    """The estimates of many logs of one world, a table each; drawn in a few goes, because that's fast."""
    for batch in range(runs // 100):
        log = bandit.log(100 * rows, rng=batch)
        weight = (log["target_prob"] / log["propensity"]).to_numpy()
        y, q, expected = (log[column].to_numpy(float) for column in ("y", "q_logged", "q_target"))
        for start in range(0, len(log), rows):
            one = slice(start, start + rows)
            told = value_estimates(y[one], weight[one], q_logged=q[one], q_target=expected[one])
            yield told.set_index("estimator").loc[names]


@pytest.mark.slow
def test_intervals_cover_the_truth_where_enough_rows_carry_them():
    bandit = moved_target(0.5, epsilon=0.5, model="optimistic", contexts=100)
    names = ["IPS", "SNIPS", "DR", "SNDR", "mean weight"]
    truth = np.array([bandit.value] * 4 + [1.0])
    held = [
        (told["low"] <= truth) & (truth <= told["high"])
        for told in told_again_and_again(bandit, 3000, 1200, names)
    ]
    share = np.mean(held, axis=0)
    assert ((share >= 0.93) & (share <= 0.97)).all(), share


def test_an_interval_that_few_rows_carry_is_too_narrow_and_says_so():
    # Nine rows of 1,500 show what the target does otherwise; the effective sample size, 341, hides it.
    bandit = moved_target(0.2, epsilon=0.3, contexts=100)
    assert bandit.effective_sample_size(1500) == pytest.approx(341, abs=1)
    truth = bandit.value
    tables = list(told_again_and_again(bandit, 1500, 400, ["IPS"]))
    held = np.mean([told["low"]["IPS"] <= truth <= told["high"]["IPS"] for told in tables])
    assert held < 0.93
    assert np.median([told["carriers"]["IPS"] for told in tables]) < 30
    finding = ope(bandit.log(1500), estimator="IPS")
    assert "is too narrow" in finding.verdict
    assert "is too narrow" not in ope(bandit.log(30_000)).verdict


def test_carriers_count_the_rows_that_share_the_variance():
    # Forty clicks in a hundred thousand rows: the variance of their mean is theirs.
    y = np.zeros(100_000)
    y[:40] = 1
    told = value_estimates(y, np.ones(len(y))).set_index("estimator")
    assert told.loc["IPS", "carriers"] == pytest.approx(40, rel=0.01)
    assert told.loc["IPS", "se"] == pytest.approx(np.sqrt(40) / 100_000, rel=0.001)


def test_the_direct_method_is_sure_and_wrong_when_its_model_is():
    bandit = moved_target(0.5, epsilon=0.2, model="optimistic")
    told = ope(bandit.log(20_000), **MODELLED).table.set_index("estimator")
    assert told.loc["DM", "low"] > bandit.value + 0.02
    assert told.loc["DR", "low"] <= bandit.value <= told.loc["DR", "high"]
    assert told.loc["DM", "se"] < told.loc["DR", "se"] / 3


@pytest.mark.parametrize(
    ("model", "written", "right"),
    [("right", 0.6, True), ("optimistic", None, True), ("optimistic", 0.6, False)],
)
def test_doubly_robust_survives_one_wrong_model_and_not_two(model, written, right):
    bandit = moved_target(0.5, epsilon=0.2, model=model, written_epsilon=written)
    finding = ope(bandit.log(200_000, rng=5), **MODELLED)
    assert (finding.ci[0] <= bandit.value <= finding.ci[1]) == right


def test_the_target_that_is_the_logging_policy_gets_the_logs_mean_exactly():
    log = moved_target(0, epsilon=0.1).log(3000)
    finding = ope(log)
    assert finding.estimate == log["y"].mean()
    told = finding.table.set_index("estimator")
    assert told.loc["IPS", "effective"] == 3000
    assert told.loc["mean weight", ["low", "high"]].tolist() == [1, 1]
    assert "propensities are wrong" not in finding.verdict


def test_wrong_propensities_are_told_by_the_weights_mean():
    right, wrong = (
        [
            ope(moved_target(0.3, epsilon=0.3, written_epsilon=written).log(3000, rng=seed))
            for seed in range(100)
        ]
        for written in (None, 0.15)
    )
    alarms = [sum("propensities are wrong" in finding.verdict for finding in one) for one in (right, wrong)]
    assert alarms[0] <= 5 + 3 * np.sqrt(5)
    assert alarms[1] >= 95


def heavy(effective, rows=10_000):
    """A log with this effective sample size, by one weight: (a + b)^2 / (a^2 + b) = n_e for b ones."""
    ones = rows - 1
    top = max(np.roots([effective - 1, -2 * ones, effective * ones - ones**2]).real)
    weight = np.r_[top, np.ones(ones)]
    probability = 0.5 / weight.max()
    return pd.DataFrame(
        {
            "y": np.arange(rows) % 2,
            "propensity": probability,
            "target_prob": probability * weight,
            "user_id": range(rows),
        }
    )


@pytest.mark.parametrize(
    ("effective", "refused"), [(2.078, True), (99.9, True), (100.1, False), (340.38, False)]
)
def test_a_log_worth_fewer_than_a_hundred_rows_is_refused_whatever_its_number(effective, refused):
    finding = ope(heavy(effective))
    told = finding.table.set_index("estimator")
    assert told.loc["IPS", "effective"] == pytest.approx(effective, rel=1e-6)
    assert np.isfinite(told.loc["IPS", "value"])
    assert np.isnan(finding.estimate) == refused
    assert ("can't tell" in finding.verdict) == refused
    if refused:
        assert all(np.isnan(finding.ci))
        assert "undefined" in str(finding)
        assert not np.isnan(ope(heavy(effective), least_effective=2).estimate)


def test_clipping_the_weights_doesn_t_make_a_log_worth_more():
    finding = ope(heavy(50), estimator="clipped IPS", clip=1)
    assert finding.table.set_index("estimator").loc["clipped IPS", "effective"] > 100
    assert np.isnan(finding.estimate)


def test_clipping_at_or_above_the_largest_weight_changes_nothing():
    log = rounds()
    weight = (log["target_prob"] / log["propensity"]).to_numpy()
    told = value_estimates(
        log["y"], weight, q_logged=log["q_logged"], q_target=log["q_target"], clip=weight.max()
    )
    told = told.set_index("estimator")["value"]
    assert told["clipped IPS"] == told["IPS"]
    assert told["switch-DR"] == told["DR"]
    below = value_estimates(
        log["y"], weight, q_logged=log["q_logged"], q_target=log["q_target"], clip=weight.min() / 2
    ).set_index("estimator")
    # Nothing is let through: what is left is the model.
    assert below.loc["switch-DR", "value"] == pytest.approx(below.loc["DM", "value"])
    assert below.loc["switch-DR", "effective"] == 0


def test_a_weight_at_the_clip_is_kept_by_the_switch():
    log = rounds()
    weight = (log["target_prob"] / log["propensity"]).to_numpy()
    at = np.sort(weight)[-2]
    told = value_estimates(log["y"], weight, q_logged=log["q_logged"], q_target=log["q_target"], clip=at)
    kept = np.where(weight < weight.max(), weight, 0)
    by_hand = (log["q_target"] + kept * (log["y"] - log["q_logged"])).mean()
    assert told.set_index("estimator").loc["switch-DR", "value"] == pytest.approx(by_hand)


def test_the_self_normalised_correction_has_the_delta_method_s_error():
    log = rounds()
    weight = (log["target_prob"] / log["propensity"]).to_numpy()
    told = value_estimates(log["y"], weight, q_logged=log["q_logged"], q_target=log["q_target"])
    off = (log["y"] - log["q_logged"]).to_numpy()
    shift = (weight @ off) / weight.sum()
    # A mean plus a ratio of means: the ratio's residuals over the mean weight.
    pull = log["q_target"] + weight * (off - shift) / weight.mean()
    by_hand = pull.std(ddof=1) / np.sqrt(8)
    assert told.set_index("estimator").loc["SNDR", "se"] == pytest.approx(by_hand)


def test_any_frame_serves():
    log = moved_target(0.2, epsilon=0.3).log(500)
    expected = ope(log, **MODELLED)
    for given in (pl.from_pandas(log), pl.from_pandas(log).to_arrow(), duckdb.from_df(log)):
        finding = ope(given, **MODELLED)
        assert finding.estimate == pytest.approx(expected.estimate, abs=1e-15)
        assert finding.verdict == expected.verdict


LOG = moved_target(0.2, epsilon=0.3).log(200)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ope(3), "log: got int; it must be a frame"),
        (lambda: ope(LOG.drop(columns="target_prob")), "log: got columns .*; it must have target_prob"),
        (lambda: ope(LOG.iloc[:0]), "log: got no row"),
        (
            lambda: ope(LOG.assign(propensity=0.0)),
            r"propensity: got 0.0 in log; a propensity lies in \(0, 1\]",
        ),
        (lambda: ope(LOG.assign(propensity=1.2)), r"propensity: got 1.2 in log"),
        (
            lambda: ope(LOG.assign(target_prob=-0.1)),
            r"target_prob: got -0.1 in log; a probability lies in \[0, 1\]",
        ),
        (
            lambda: ope(LOG.assign(target_prob=0.0)),
            "target_prob: got 0 in every row; the log holds no action",
        ),
        (lambda: ope(LOG.assign(y=np.nan)), "y: got 200 missing of 200"),
        (lambda: ope(LOG.assign(y="1")), "y: got .* in log; it must be numbers"),
        (
            lambda: ope(LOG, q_logged="q_logged"),
            "q_target: got q_logged 'q_logged' and q_target None; a model",
        ),
        (lambda: ope(LOG, estimator="DR"), "estimator: got 'DR'; it must be one of IPS, SNIPS, clipped IPS"),
        (lambda: ope(LOG, clip=0), "clip: got 0; it must lie above 0"),
        (lambda: ope(LOG, least_effective=0), "least_effective: got 0"),
        (lambda: ope(LOG, alpha=0), "alpha: got 0"),
        (lambda: ope(LOG.assign(user_id=7)), "clusters: got 1; an interval needs two at least"),
        (
            lambda: value_estimates([1, 0], [1, 1], q_logged=[0, 0]),
            "q_target: got one of q_logged and q_target",
        ),
        (lambda: value_estimates([1, 0], [1, -1]), "weights: got -1.0; a weight is finite and not negative"),
        (lambda: value_estimates([1, 0], [1, 1, 1]), r"weight: got shape \(3,\) for 2 rewards; one each"),
        (lambda: value_estimates([1, np.nan], [1, 1]), "y: got nan; it must be finite"),
        (
            lambda: value_estimates([1, 0], [1, 1], q_logged=[1], q_target=[1, 1]),
            r"q_logged: got shape \(1,\) for 2 rewards",
        ),
        (
            lambda: value_estimates([1, 0], [1, 1], clusters=["a", None]),
            "clusters: got 2, 1 of them missing, for 2 rows; one each",
        ),
    ],
)
def test_bad_input_is_refused_by_name_value_and_rule(call, message):
    with pytest.raises(ValueError, match=message):
        call()
