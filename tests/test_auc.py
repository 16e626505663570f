"""The weighted area under the ROC curve agrees with scikit-learn's, ties and weights included."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from toolkit.auc import Ranking, auc


@pytest.mark.parametrize("digits", [1, 2, 12])
def test_it_agrees_with_scikit_learn(digits):
    rng = np.random.default_rng(0)
    y, score = rng.integers(0, 2, 500), np.round(rng.random(500), digits)
    ranking = Ranking(y, score)
    assert ranking.auc() == pytest.approx(roc_auc_score(y, score), abs=1e-12)
    for _ in range(3):
        weights = rng.integers(0, 3, 500)
        assert ranking.auc(weights) == pytest.approx(
            roc_auc_score(y, score, sample_weight=weights), abs=1e-12
        )


def test_a_score_that_says_nothing_gets_a_half_and_a_perfect_one_all():
    assert auc([0, 1, 1, 0], [3, 3, 3, 3]) == 0.5
    assert auc([0, 0, 1], [-1, 0, 2]) == 1.0


def test_with_one_class_it_is_undefined():
    assert np.isnan(auc([1, 1], [0.2, 0.3]))
    assert np.isnan(auc([0, 1], [0.2, 0.3], [1, 0]))
