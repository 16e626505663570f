"""What flipped and one-sided labels still tell: the formulas against simulated labels."""

import numpy as np
import pytest
from scipy.stats import norm

from toolkit.auc import auc
from toolkit.general.label_noise import clean_auc, noisy_auc, positives_only


def test_the_outline_s_label_noise_comes_out():
    assert noisy_auc(0.9, prevalence=0.1, flip_bad=0.1, flip_good=0.1) == pytest.approx(0.695, abs=0.0005)


@pytest.mark.parametrize(
    ("prevalence", "flip_bad", "flip_good"), [(0.1, 0.1, 0.1), (0.5, 0.3, 0.05), (0.05, 0.95, 0.001)]
)
def test_the_noisy_auc_is_that_of_labels_flipped_in_simulation(prevalence, flip_bad, flip_good):
    rng = np.random.default_rng(6)
    y = rng.random(1_000_000) < prevalence
    score = rng.normal(size=len(y)) + 2**0.5 * norm.ppf(0.9) * y
    seen = np.where(y, rng.random(len(y)) >= flip_bad, rng.random(len(y)) < flip_good)
    told = noisy_auc(0.9, prevalence=prevalence, flip_bad=flip_bad, flip_good=flip_good)
    assert auc(seen, score) == pytest.approx(told, abs=4 * 0.3 / min(seen.sum(), 10**5) ** 0.5)


def test_backwards_it_gives_the_auc_back_and_no_flip_changes_nothing():
    flips = {"prevalence": 0.07, "flip_bad": 0.4, "flip_good": 0.02}
    for value in (0.5, 0.61, 0.97, 1.0):
        assert clean_auc(noisy_auc(value, **flips), **flips) == pytest.approx(value, abs=1e-12)
    assert noisy_auc(0.83, prevalence=0.2, flip_bad=0, flip_good=0) == pytest.approx(0.83)


def test_labels_that_are_flipped_more_often_than_not_turn_the_score_around():
    assert noisy_auc(0.9, prevalence=0.5, flip_bad=1, flip_good=1) == pytest.approx(0.1)


def test_elkan_and_noto_s_division_recovers_the_chance_of_being_bad():
    rng = np.random.default_rng(7)
    x = rng.integers(0, 4, 2_000_000)
    bad = np.array([0.01, 0.1, 0.4, 0.9])
    labelled = (rng.random(len(x)) < bad[x]) & (rng.random(len(x)) < 0.2)
    for cell in range(4):
        assert positives_only(labelled[x == cell].mean(), 0.2) == pytest.approx(bad[cell], abs=0.006)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: positives_only(0.3, 0.2), "labelled: got 0.3; it can't exceed chance, 0.2"),
        (lambda: positives_only(0.0, 0.0), "chance: got 0.0; it must lie in"),
        (lambda: noisy_auc(1.1, prevalence=0.1, flip_bad=0, flip_good=0), "auc: got 1.1"),
        (lambda: noisy_auc(0.9, prevalence=0, flip_bad=0, flip_good=0), "prevalence: got 0"),
        (lambda: noisy_auc(0.9, prevalence=0.1, flip_bad=-0.1, flip_good=0), "flip_bad: got -0.1"),
        (lambda: noisy_auc(0.9, prevalence=0.1, flip_bad=1, flip_good=0), "all rows would get one label"),
        (lambda: clean_auc(0.9, prevalence=0.3, flip_bad=0.5, flip_good=0.5), "such labels are all noise"),
        (
            lambda: clean_auc(0.9, prevalence=0.1, flip_bad=0.1, flip_good=0.1),
            "auc: got 0.9; with these flips it can't lie further from 0.5 than 0.2439",
        ),
    ],
)
def test_bad_input_is_refused_by_name_value_and_rule(call, message):
    with pytest.raises(ValueError, match=message):
        call()
