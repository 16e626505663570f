"""The chapter's front door and exercises: every diagnostic is one, and each answer has a second derivation."""

import inspect

import numpy as np
import pandas as pd
import pytest

from toolkit import charts
from toolkit.exercises.feedback import EXERCISES
from toolkit.general import feedback
from toolkit.general.lock_in import loss_over_horizon


def test_every_diagnostic_takes_frames_by_position_and_settings_by_name_and_returns_a_finding():
    for name in feedback.__all__:
        signature = inspect.signature(getattr(feedback, name))
        kinds = [parameter.kind for parameter in signature.parameters.values()]
        assert kinds[0] is inspect.Parameter.POSITIONAL_OR_KEYWORD, name
        assert kinds[-1] is inspect.Parameter.KEYWORD_ONLY, name
        assert signature.return_annotation == "Finding", name


def test_the_answers_of_the_exercises_by_another_way():
    shares = np.arange(0.001, 0.2, 0.0005)
    losses = [loss_over_horizon(0.08, 0.06, share, 100_000) for share in shares]
    assert EXERCISES["exploration"].expected() == pytest.approx(shares[int(np.argmin(losses))], abs=0.0005)
    # Coverage .8 needs 4 units of labels, and a fifth of kappa is left.
    assert EXERCISES["kappa"].expected() == pytest.approx(4 / 0.2)
    assert EXERCISES["best_model"].expected() == pytest.approx(0.1 / (1 - 0.5))
    assert EXERCISES["window"].expected() == 3


def test_a_fan_has_one_colour_and_a_line_for_each_path():
    data = pd.DataFrame({"at": [1, 2, 1, 2], "share": [0.2, 0.4, 0.6, 0.8], "history": [1, 1, 2, 2]})
    spec = charts.fan(
        data, x="at", y="share", path="history", x_domain=[1, 2], y_domain=[0, 1], log_x=True, reference=0.5
    ).to_dict()
    line, rule = spec["layer"]
    assert line["encoding"]["detail"]["field"] == "history"
    assert line["mark"]["color"] == charts.BLUE
    assert "color" not in line["encoding"]
    assert line["encoding"]["x"]["scale"] == {"domain": [1, 2], "type": "log", "nice": False}
    assert rule["mark"]["type"] == "rule"
