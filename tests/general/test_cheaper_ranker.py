"""The replayed log against the oracle: probabilities, values and what may be in it."""

import numpy as np
import pytest

from toolkit.general.cheaper_ranker import FEATURES, replay
from toolkit.general.off_policy import ope
from toolkit.world import Settings, simulate
from toolkit.world.oracle import oracle

WORLD = simulate(Settings(items=60, candidates=5, requests=800, days=20, exploration=0.3), rng=0)
REPLAY = replay(WORLD, fit=range(5, 10), days=range(10, 20))


def test_the_log_has_a_row_a_request_and_nothing_that_only_the_oracle_knows():
    assert len(REPLAY.log) == 8000
    assert REPLAY.log["request_id"].is_unique
    assert not {"p", "quality", "static"} & set(REPLAY.log.columns)
    assert set(FEATURES) <= set(REPLAY.log.columns)


def test_target_probabilities_are_those_of_a_ranker_with_the_same_exploration():
    assert set(REPLAY.log["target_prob"].round(12)) == {0.06, 0.76}
    preferred = REPLAY.log["target_prob"] > 0.5
    same = preferred == (REPLAY.log["propensity"] > 0.5)
    assert same[~REPLAY.log["explored"]].mean() == pytest.approx(REPLAY.agreement, abs=0.02)


def test_true_values_are_the_oracles_and_ope_finds_the_new_one():
    truth = oracle(WORLD, range(10, 20))
    assert REPLAY.true_value["random"] == pytest.approx(truth["p"].mean(), rel=1e-6)
    logged = REPLAY.log.merge(truth, on=["request_id", "item_id"], suffixes=("", "_truth"))
    assert (logged["y"] == logged["y_truth"]).all()
    assert REPLAY.true_value["old"] == pytest.approx(logged["p"].mean(), abs=0.005)
    mixed = 0.7 * REPLAY.true_value["unexplored"] + 0.3 * REPLAY.true_value["random"]
    assert REPLAY.true_value["old"] == pytest.approx(mixed, rel=1e-5)
    assert REPLAY.change == pytest.approx(REPLAY.true_value["new"] / REPLAY.true_value["old"] - 1)
    finding = ope(REPLAY.log, q_logged="q_logged", q_target="q_target")
    assert finding.ci[0] < REPLAY.true_value["new"] < finding.ci[1]
    assert np.isclose(
        ope(REPLAY.log.assign(target_prob=0.2)).estimate, REPLAY.true_value["random"], atol=0.015
    )


def test_the_cheaper_ranker_is_truly_worse():
    assert REPLAY.true_auc["new"] < REPLAY.true_auc["old"]
    assert REPLAY.true_value["random"] < REPLAY.true_value["new"] < REPLAY.true_value["old"]
