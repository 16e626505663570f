"""The chapter's front door and exercises: every diagnostic is one, and each answer has a second derivation."""

import inspect

import numpy as np
import pytest
from scipy.stats import norm

from toolkit.exercises.shared_variables import EXERCISES
from toolkit.experiments import shared_variables


def test_every_diagnostic_takes_frames_by_position_and_settings_by_name_and_returns_a_finding():
    for name in shared_variables.__all__:
        signature = inspect.signature(getattr(shared_variables, name))
        kinds = [parameter.kind for parameter in signature.parameters.values()]
        assert kinds[0] is inspect.Parameter.POSITIONAL_OR_KEYWORD, name
        assert kinds[-1] is inspect.Parameter.KEYWORD_ONLY, name
        assert signature.return_annotation == "Finding", name


def test_the_answers_of_the_exercises_by_another_way():
    # The variance of a mean of 50 equally correlated requests, over that of independent ones.
    covariance = np.full((50, 50), 0.2) + 0.8 * np.eye(50)
    effect = covariance.mean() * 50
    assert EXERCISES["effect"].expected() == pytest.approx(effect) == pytest.approx(10.8)
    z = np.sqrt(effect) * np.abs(norm.ppf((np.arange(200_000) + 0.5) / 200_000))
    assert EXERCISES["size"].expected() == pytest.approx(100 * (z > 1.959964).mean(), abs=0.01)
    assert EXERCISES["size"].expected() == pytest.approx(55.1, abs=0.05)
    # Hours with 40% of the orders gain 5%.
    assert EXERCISES["budget"].expected() == pytest.approx(0.4 * 105 + 0.6 * 100 - 100)
    assert EXERCISES["salt"].expected() == pytest.approx(3 * 0.7 - 3 * 0.3)
