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


def test_an_infinite_score_has_its_place_at_the_end():
    # Of the four pairs of good and bad, only 0.5 against 0.6 is the wrong way round.
    assert auc([1, 0, 1, 0], [0.5, -np.inf, 0.7, 0.6]) == 0.75


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: auc([0, 2], [0.1, 0.2]), "y: got 2; a label is 0 or 1"),
        (lambda: auc([0, np.nan], [0.1, 0.2]), "y: got nan; a label is 0 or 1"),
        (lambda: auc([0, 1], [0.1, np.nan]), "score: got 1 nan of 2; it must be a number"),
        (lambda: auc([0, 1, 1], [0.1, 0.2]), r"score: got shape \(2,\) for labels of shape \(3,\); one each"),
        (lambda: auc([0, 1], [0.1, 0.2], [1, 1, 1]), r"weights: got shape \(3,\) for 2 rows; one each"),
        (lambda: auc([0, 1], [0.1, 0.2], [1, -1]), "weights: got -1; a weight is not negative"),
        (lambda: auc([0, 1], [0.1, 0.2], [1, np.nan]), "weights: got nan; a weight is not negative"),
    ],
)
def test_what_it_refuses(call, message):
    with pytest.raises(ValueError, match=message):
        call()
