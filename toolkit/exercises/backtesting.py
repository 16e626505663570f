"""Exercises of the chapter on backtesting."""

from __future__ import annotations

from scipy.optimize import brentq

from toolkit.exercises import Exercise, Hint
from toolkit.shipping.replay import rows_for
from toolkit.shipping.split_errors import holdout_error, horizon_error, next_step_error

_RIVAL = 0.12


def _drift_where(error: float) -> float:
    """The drift at which the next step's error is this one."""
    return float(brentq(lambda drift: next_step_error(drift) - error, 1e-9, 10.0))


EXERCISES = {
    "understated": Exercise(
        "A level drifts with variance 0.05 a day under noise of variance 1. A random holdout is used to judge a model "
        "that will predict seven days ahead. By how much does it understate the excess error? Three decimals.",
        lambda: horizon_error(0.05, horizon=7) - holdout_error(0.05),
        0.0006,
        "P + 6q is what it will be, P / 2 is what the holdout reads.",
        (
            Hint(
                lambda: horizon_error(0.05, horizon=7) - next_step_error(0.05),
                "That is against an honest next step. A random holdout has neighbours on both sides.",
            ),
            Hint(
                lambda: holdout_error(0.05), "That is for one step ahead. Seven days add six more of drift."
            ),
            Hint(
                lambda: horizon_error(0.05, horizon=7), "That is the error itself. What did the holdout read?"
            ),
        ),
    ),
    "rival": Exercise(
        "A model without memory has an excess error of 0.12, whatever moves. Noise has variance 1. Above which drift a "
        "day does it beat the best memory at the next step? Three decimals.",
        lambda: _drift_where(_RIVAL),
        0.0006,
        "Where P is 0.12: q = P^2 / (P + r). A random holdout would see it only at more than three times the drift.",
        (
            Hint(
                lambda: _drift_where(2 * _RIVAL),
                "That is where a random holdout, which reads P / 2, prefers it.",
            ),
            Hint(_RIVAL, "That is the error P. Which drift gives it?"),
        ),
    ),
    "rows": Exercise(
        "A front page has 10 headlines, 5% of its views show one of them at random, and about 5% of views are clicked. How "
        "many millions of logged views does a replay need for a click rate with a standard error of 0.002?",
        lambda: rows_for(0.002, actions=10, rate=0.05, explored=0.05) / 1e6,
        0.05,
        "0.05 x 0.95 / 0.002^2 kept views, ten explored ones for each, and twenty views for each of those.",
        (
            Hint(
                lambda: rows_for(0.002, actions=10, rate=0.05) / 1e6,
                "That many must be explored. Only one view in twenty is.",
            ),
            Hint(
                lambda: rows_for(0.002, actions=1, rate=0.05) / 1e6,
                "That many must be kept. A replay keeps one explored view in ten.",
            ),
            Hint(
                lambda: rows_for(0.002, actions=1, rate=0.05, explored=0.05) / 1e6,
                "All explored views would be kept only if there were one headline.",
            ),
        ),
    ),
}
