"""The small world's exact errors: by simulation, and where they must vanish."""

import numpy as np
import pytest

from toolkit.general.bandit import moved_target
from toolkit.general.off_policy import value_estimates


@pytest.mark.parametrize(("model", "written"), [("rough", None), ("optimistic", 0.5)])
def test_simulated_logs_have_the_bias_and_spread_that_are_computed(model, written):
    bandit = moved_target(0.4, epsilon=0.2, model=model, written_epsilon=written, contexts=50)
    exact = bandit.errors(2000, clip=10).set_index("estimator")
    values = []
    log = bandit.log(2000 * 400)
    weight = (log["target_prob"] / log["propensity"]).to_numpy()
    y, q, expected = (log[column].to_numpy(float) for column in ("y", "q_logged", "q_target"))
    for start in range(0, len(log), 2000):
        one = slice(start, start + 2000)
        told = value_estimates(y[one], weight[one], q_logged=q[one], q_target=expected[one], clip=10)
        values.append(told.set_index("estimator")["value"][exact.index])
    error = np.array(values) - bandit.value
    for place, name in enumerate(exact.index):
        spread = exact.loc[name, "sd"]
        assert error[:, place].std() == pytest.approx(spread, rel=0.12), name
        assert error[:, place].mean() == pytest.approx(
            exact.loc[name, "bias"], abs=4 * spread / np.sqrt(400)
        ), name
    assert exact["rmse"].tolist() == pytest.approx(np.hypot(exact["bias"], exact["sd"]).tolist())


def test_the_effective_sample_size_is_that_of_drawn_weights():
    bandit = moved_target(1.0, epsilon=0.05, actions=20)
    # The outline of the exercise: propensities .0025 and .9525, exchanged for the target.
    expected = 60_000 / (0.0025**2 / 0.9525 + 0.9525**2 / 0.0025 + 18 * 0.0025)
    assert bandit.effective_sample_size(60_000) == pytest.approx(expected)
    log = bandit.log(400_000)
    weight = log["target_prob"] / log["propensity"]
    assert weight.sum() ** 2 / (weight**2).sum() == pytest.approx(expected * 400 / 60, rel=0.12)


def test_a_target_that_does_not_move_has_no_bias_and_the_logs_own_error():
    told = moved_target(0.0, epsilon=0.1, model="right").errors(1000).set_index("estimator")
    assert told["bias"].abs().max() < 1e-12
    assert told.loc["IPS", "sd"] == pytest.approx(told.loc["SNIPS", "sd"])


def test_only_one_of_two_wrong_models_leaves_doubly_robust_unbiased():
    def bias(**settings):
        return moved_target(0.5, epsilon=0.2, **settings).errors(1000).set_index("estimator")["bias"]["DR"]

    assert abs(bias(model="optimistic")) < 1e-12
    assert abs(bias(model="right", written_epsilon=0.5)) < 1e-12
    assert abs(bias(model="optimistic", written_epsilon=0.5)) > 0.01


def test_more_exploration_and_more_rows_help_the_weighting_estimators_and_rows_do_not_help_a_wrong_model():
    few, many = (moved_target(0.5, epsilon=0.1, model="optimistic").errors(rows) for rows in (1000, 100_000))
    ratio = (few.set_index("estimator")["rmse"] / many.set_index("estimator")["rmse"]).round(3)
    assert ratio["IPS"] == 10
    assert ratio["DM"] < 1.2
    explored = moved_target(0.5, epsilon=0.4).errors(1000).set_index("estimator")["rmse"]
    assert explored["IPS"] < few.set_index("estimator")["rmse"]["IPS"]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: moved_target(1.5, epsilon=0.1), r"distance: got 1.5; it must lie in \[0, 1\]"),
        (lambda: moved_target(0.5, epsilon=0), r"epsilon: got 0; it must lie in \(0, 1\]"),
        (lambda: moved_target(0.5, epsilon=0.1, model="best"), "model: got 'best'; it must be one of right"),
        (lambda: moved_target(0.5, epsilon=0.1, actions=1), "actions: got 1"),
        (lambda: moved_target(0.5, epsilon=0.1, written_epsilon=0), "written_epsilon: got 0"),
        (lambda: moved_target(0.5, epsilon=0.1).errors(0), "rows: got 0"),
        (lambda: moved_target(0.5, epsilon=0.1).errors(10, clip=0), "clip: got 0"),
    ],
)
def test_bad_input_is_refused_by_name_value_and_rule(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_the_ratio_s_bias_is_that_of_many_short_logs():
    bandit = moved_target(0.6, epsilon=0.5, rng=2)
    rows, logs = 60, 20_000
    log = bandit.log(rows * logs, rng=3)
    weight = (log["target_prob"] / log["propensity"]).to_numpy().reshape(logs, rows)
    ratio = (weight * log["y"].to_numpy().reshape(logs, rows)).sum(1) / weight.sum(1)
    told = bandit.errors(rows).set_index("estimator").loc["SNIPS"]
    # Four standard errors of the mean, far less than the bias's own size.
    noise = 4 * ratio.std() / logs**0.5
    assert ratio.mean() - bandit.value == pytest.approx(told["bias"], abs=noise + 0.25 * abs(told["bias"]))
