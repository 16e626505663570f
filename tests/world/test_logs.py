"""The tables hold what a company can see, and propensities are the policy's own."""

import numpy as np
import pandas as pd
import pytest

from toolkit.world import Settings, logs, simulate

WORLD = simulate(Settings(items=40, requests=400, days=8, candidates=8, users=100, exploration=0.2), rng=1)


def test_no_table_holds_the_truth():
    log = logs.serving_log(WORLD, range(3, 8))
    assert not {"p", "quality", "static"} & set(log.columns)
    # An outcome for what was shown, and for nothing else.
    assert len(logs.outcomes(WORLD, range(3, 8))) == len(log) == 5 * 400


def test_logged_propensities_recover_what_another_policy_would_have_earned():
    # Inverse-propensity weighting to the uniform policy, whose value the world knows.
    log = logs.serving_log(WORLD, range(8)).merge(logs.outcomes(WORLD, range(8)))
    weighted = log["y"] / 8 / log["propensity"]
    truth = WORLD.y.mean()
    assert weighted.mean() == pytest.approx(truth, abs=4 * weighted.std() / np.sqrt(len(log)))


def test_requests_are_in_order_of_time_and_users_are_assigned_once_at_their_first():
    log = logs.serving_log(WORLD, range(2, 5))
    assert log["ts"].is_monotonic_increasing
    assert str(log["ts"].dt.tz) == "UTC"
    table = logs.assignments(WORLD, "aa", range(2, 5), rng=0)
    assert table["user_id"].is_unique
    first = log.groupby("user_id")["ts"].min()
    assert (table.set_index("user_id")["ts"] == first).all()
    assert set(table["arm"]) == {"control", "treatment"}
    assert pd.api.types.is_datetime64_any_dtype(table["ts"])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: logs.serving_log(WORLD, []), r"days: got \[\]; it must be days of the 8 simulated"),
        (lambda: logs.outcomes(WORLD, [8]), r"days: got \[8\]"),
        (lambda: logs.assignments(WORLD, "aa", [1], share=1.0), "share: got 1.0"),
    ],
)
def test_bad_input_is_refused_by_name_value_and_rule(call, message):
    with pytest.raises(ValueError, match=message):
        call()
