"""Exercises of the chapter on labels that exist only for what was shown."""

from __future__ import annotations

import math

from scipy.optimize import brentq

from toolkit.exercises import Exercise, Hint
from toolkit.general.bandit import moved_target
from toolkit.general.exploration import exploration_plan
from toolkit.general.range_restriction import correlations_outside_slice, variance_kept

# What a team measures among the tenth of the rows that the old score chose.
SLICE_OLD, SLICE_NEW, BETWEEN, SHOWN = 0.231, 0.322, 0.3, 0.1


def _as_if_chosen_by(slice_r: float) -> float:
    return correlations_outside_slice(slice_r, slice_r, BETWEEN, p=SHOWN)[0]


EXERCISES = {
    "invert_old": Exercise(
        "Among the tenth of the rows with the highest old score, the old score correlates .231 with the "
        "outcome. What is its correlation among all rows, to two decimals?",
        lambda: correlations_outside_slice(SLICE_OLD, SLICE_NEW, BETWEEN, p=SHOWN)[0],
        0.006,
        "Thorndike's formula, solved for the correlation among all rows: the slice hides more than half of it.",
        (
            Hint(SLICE_OLD, "That is inside the slice, where the old score hardly varies."),
            Hint(
                SLICE_OLD / math.sqrt(variance_kept(SHOWN)),
                "That divides by what is left of the score's spread, as if the outcome's spread hadn't shrunk too.",
            ),
            Hint(
                SLICE_OLD / SHOWN,
                "The slice holds a tenth of the rows; the correlation doesn't shrink in that proportion.",
            ),
        ),
    ),
    "invert_new": Exercise(
        "In the same slice the new score correlates .322 with the outcome, and among all rows the two scores "
        "correlate .3. What is the new score's correlation among all rows, to two decimals?",
        lambda: correlations_outside_slice(SLICE_OLD, SLICE_NEW, BETWEEN, p=SHOWN)[1],
        0.006,
        "Pearson and Lawley's formula: the new score loses less, because nobody chose by it, and is still the worse one.",
        (
            Hint(SLICE_NEW, "That is inside the slice.", 0.003),
            Hint(
                lambda: _as_if_chosen_by(SLICE_NEW),
                "That takes the rows for chosen by the new score. They were chosen by the old one.",
            ),
            Hint(
                lambda: correlations_outside_slice(SLICE_OLD, SLICE_NEW, 0.0, p=SHOWN)[1],
                "That takes the scores for uncorrelated: then choosing by one moves the other only through the outcome.",
            ),
            Hint(
                lambda: correlations_outside_slice(SLICE_OLD, SLICE_NEW, BETWEEN, p=SHOWN)[0],
                "That is the old score's.",
            ),
        ),
    ),
    "effective": Exercise(
        "A log of 60,000 requests explores 5% of them, evenly over 20 candidates, and else shows the old model's "
        "favourite. A target policy does the same with another favourite at every request. How many rows is the "
        "log worth for it? A whole number.",
        lambda: moved_target(1.0, epsilon=0.05, actions=20).effective_sample_size(60_000),
        3.0,
        "The target's favourite was shown with a chance of one in 400, so its rows weigh 381 each, and all others next to nothing.",
        (
            Hint(3000.0, "So many were explored. How many of those show what the target wants?", 50),
            Hint(
                150.0,
                "So many show what the target wants. The others have some weight too; square and sum them all.",
            ),
            Hint(60_000.0, "That is the log's length, as if all weights were equal."),
            Hint(
                60_000 / 381,
                "That divides by the largest weight; divide by the mean of the squared weights.",
                1.0,
            ),
        ),
    ),
    "half_the_error": Exercise(
        "Exploring 2% of the requests shows the difference of two AUCs with some standard error. Which share of "
        "the requests, in percent, must be explored to halve it?",
        lambda: 100 * _share_of_half_the_error(),
        0.1,
        "The error falls with the root of the explored rows, and the price rises with the rows themselves.",
        (
            Hint(4.0, "Twice the rows lower the error by the root of two only."),
            Hint(1.0, "Fewer explored rows make the error larger."),
        ),
    ),
}


def _share_of_half_the_error() -> float:
    def error(share: float) -> float:
        return float(exploration_plan(share, 1_000_000, value_old=0.3, value_random=0.1)["se"])

    return float(brentq(lambda share: error(share) - error(0.02) / 2, 0.02, 1.0))
