"""A night's training against a general optimiser, and two nights against one."""

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import expit

from toolkit.experiments.family_numbers import FamilyNumbers


def impressions(rows=300, families=4, seed=0):
    rng = np.random.default_rng(seed)
    family, base = rng.integers(0, families, rows), rng.normal(-1, 0.5, rows)
    return family, base, rng.random(rows) < 0.3, rng.uniform(0.5, 2, rows)


def test_a_night_s_training_is_the_penalised_likelihood_s_optimum():
    family, base, y, counts = impressions()
    learner = FamilyNumbers(4, -0.7)
    learner.learn(family, base, y, counts)

    def loss(numbers):
        eta = base + numbers[family]
        return (counts * (np.logaddexp(0, eta) - y * eta)).sum() + (numbers + 0.7) @ (numbers + 0.7)

    assert learner.offsets()[:-1] == pytest.approx(minimize(loss, np.zeros(4)).x, abs=1e-3)
    # What it knew is a normal law whose precision is the curvature at the optimum.
    chance = expit(base + learner.own[family])
    curvature = 2 + np.bincount(family, counts * chance * (1 - chance))
    assert learner.held == pytest.approx(curvature, rel=1e-2)


def test_a_weight_that_families_share_is_learned_with_their_own():
    family, base, y, counts = impressions()
    learner = FamilyNumbers(4, 0.0, shared=True)
    learner.learn(family, base, y, counts)

    def loss(numbers):
        eta = base + numbers[0] + numbers[1:][family]
        return (
            (counts * (np.logaddexp(0, eta) - y * eta)).sum()
            + numbers[1:] @ numbers[1:]
            + 0.05 * numbers[0] ** 2
        )

    best = minimize(loss, np.zeros(5)).x
    assert learner.common == pytest.approx(best[0], abs=1e-3)
    assert learner.own == pytest.approx(best[1:], abs=1e-3)


def test_two_nights_are_about_one_night_of_both_days():
    family, base, y, counts = impressions(2000)
    whole, halves = FamilyNumbers(4, 0.0), FamilyNumbers(4, 0.0)
    whole.learn(family, base, y, counts)
    for part in (slice(0, 1000), slice(1000, None)):
        halves.learn(family[part], base[part], y[part], counts[part])
    assert halves.own == pytest.approx(whole.own, abs=0.02)
