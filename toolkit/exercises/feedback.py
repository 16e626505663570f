"""Exercises of the chapter on feedback loops."""

from __future__ import annotations

import numpy as np

from toolkit.exercises import Exercise, Hint
from toolkit.general.coverage import kappa_for, multiplier, steady_coverage
from toolkit.general.lock_in import best_exploration, worse_locked_in
from toolkit.general.strategic import best_model, stable_model


def _smallest_window() -> float:
    # A negative gain is stable exactly where it is smaller than the window.
    return float(np.floor(-multiplier(40, steepness=3)) + 1)


EXERCISES = {
    "exploration": Exercise(
        "Two new items, clicked .08 and .06 of the time, compete for 100,000 impressions, and a click that "
        "only exploration can bring frees a better item from behind a worse one. Which share of exploration loses "
        "the fewest clicks to lock-in and exploration together? Give a share, to three decimals.",
        lambda: best_exploration(0.08, 0.06, 100_000),
        0.0007,
        "Exploration costs in proportion to its share, lock-in in inverse proportion to it; the best share is about "
        "twice the root of the chance of a wrong start over the better item's clicks in the whole horizon.",
        (
            Hint(
                lambda: best_exploration(0.08, 0.06, 10_000),
                "That is the best share for ten thousand impressions. A longer horizon spreads the wait.",
                0.002,
            ),
            Hint(
                lambda: 2 * np.sqrt(worse_locked_in(0.08, 0.06) / (0.06 * 100_000)),
                "That waits for clicks on the worse item. Whose click ends its lead?",
            ),
            Hint(0.0, "Without exploration a wrong start lasts for the whole horizon."),
            Hint(
                lambda: worse_locked_in(0.08, 0.06),
                "That is how often the worse item starts in the lead.",
                0.002,
            ),
            Hint(
                0.1,
                "That share frees the better item soon, and goes on costing for the rest of the horizon.",
                0.002,
            ),
        ),
    ),
    "kappa": Exercise(
        "Learning saturates without a threshold (steepness 1). For the loop to settle at a coverage of .8, how many "
        "reports must there be without a model, in units of the labels that give half coverage?",
        lambda: kappa_for(0.8),
        0.2,
        "At a coverage of .8 only a fifth of the reports are left, and it takes four units of labels to cover so much.",
        (
            Hint(
                4.0, "So many labels give that coverage. How many of the reports are left once it is reached?"
            ),
            Hint(5.0, "That undoes the censoring; how many labels must then be left over?"),
            Hint(
                lambda: kappa_for(0.8, steepness=2),
                "That is the answer where learning needs a critical mass (steepness 2).",
            ),
        ),
    ),
    "best_model": Exercise(
        "A coin comes up with chance 1/2 + (.1 + .25 theta) x, where x is +1 or -1, for a model that predicts "
        "1/2 + theta x. Which theta has the least squared error on the data that it makes itself? To two decimals.",
        lambda: best_model(0.1, 0.25),
        0.006,
        "Retraining stops at a smaller model, which is right about its own data; the best one also makes its data easier to predict.",
        (
            Hint(
                lambda: stable_model(0.1, 0.25),
                "Retraining ends there: that model is right about its own data. Is it the one with the least error?",
            ),
            Hint(0.1, "That is the model fitted before anybody answers."),
        ),
    ),
    "window": Exercise(
        "With a steepness of 3 and kappa 40 the loop's swings grow. How many weeks of labels must each retrain read, at least, "
        "for them to die away?",
        _smallest_window,
        0.05,
        "A retrain that reads several weeks is stable exactly where steepness times coverage is smaller than their number.",
        (
            Hint(1.0, "With one week the multiplier is beyond -1."),
            Hint(2.0, "Compare the number of weeks with steepness times steady coverage."),
            Hint(
                lambda: 3 * steady_coverage(40, steepness=3),
                "That is the size of the multiplier. How many whole weeks are more than that?",
            ),
        ),
    ),
}
