"""Exercises of the chapter on multiple comparisons."""

from __future__ import annotations

import numpy as np
from scipy.stats import norm

from toolkit.exercises import Exercise, Hint
from toolkit.experiments.families import family_error, rejected
from toolkit.experiments.group_sequential import false_positive_rate, obrien_fleming, pocock
from toolkit.experiments.winners_curse import selection_errors

# The fifteen p-values that Benjamini and Hochberg (1995) work through.
BENJAMINI_HOCHBERG = (
    0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344,
    0.0459, 0.3240, 0.4262, 0.5719, 0.6528, 0.7590, 1.0000,
)  # fmt: skip


def _kept(correction: str) -> float:
    return float(rejected(np.array([BENJAMINI_HOCHBERG]), correction).sum())  # type: ignore[arg-type]


EXERCISES = {
    "pocock": Exercise(
        "A test will be looked at five times, equally spaced. Which constant boundary on |z| keeps its "
        "false-positive rate at 5%, to two decimals?",
        lambda: pocock(5),
        0.006,
        "Pocock's constant for five looks. Each look alone crosses it 1.6% of the time, five times that is 7.9%; "
        "but the looks share data and are often wrong together, and the chance that one of them is the first to cross "
        "adds up to 5%.",
        (
            Hint(
                norm.isf(0.025),
                "That is the boundary of a single look. How often is it crossed at one of five?",
            ),
            Hint(
                norm.isf(0.025 / 5),
                "That splits 5% over five looks as if they shared no data. They share most of it.",
            ),
            Hint(
                lambda: obrien_fleming(5),
                "That is the last boundary of O'Brien and Fleming; yours is the same at every look.",
            ),
            Hint(norm.isf(0.05), "That is a one-sided boundary for a single look."),
        ),
    ),
    "by": Exercise(
        "How many of the fifteen p-values above does the Benjamini-Yekutieli procedure (BY) keep at 5%?",
        lambda: _kept("BY"),
        0.1,
        "Its lines are those of Benjamini and Hochberg, divided by 1 + 1/2 + ... + 1/15 = 3.3: one fewer is kept, "
        "the price of holding under any dependence.",
        (
            Hint(lambda: _kept("BH"), "So many does Benjamini-Hochberg keep; BY's lines are lower."),
            Hint(lambda: _kept("none"), "So many are below 5% without any correction."),
        ),
    ),
    "twenty": Exercise(
        "A dashboard is looked at twenty times at equal distances, and the test is stopped at the first p < 5%. "
        "How often does a test without any effect win or lose significantly? Give a share, to two decimals.",
        lambda: false_positive_rate(20),
        0.006,
        "Twenty looks at accumulating data are wrong five times as often as one.",
        (
            Hint(0.05, "So often it is wrong at any one look. How often at some look?"),
            Hint(
                1 - 0.95**20,
                "That takes the twenty looks for independent; each shares its past with the next.",
            ),
            Hint(
                lambda: family_error(20, correlation=0.5),
                "That takes all looks for equally correlated; neighbours are more alike.",
            ),
            Hint(lambda: 100 * false_positive_rate(20), "That is in percent; give a share.", 0.6),
            Hint(lambda: false_positive_rate(14), "That is for fourteen looks."),
        ),
    ),
    "exaggeration": Exercise(
        "A team's tests are looked at once, at the end, and have a power of 50%. By which factor are its significant "
        "results too big on average, to two decimals?",
        lambda: selection_errors(norm.isf(0.025), 1.0)["type_m"],
        0.012,
        "At a power of one half the true effect lies on the boundary itself, so nearly every significant estimate exceeds it.",
        (
            Hint(1.0, "Estimates are right on average over all tests; these are the significant ones."),
            Hint(1.125, "That is the factor at a power of 80%.", 0.011),
            Hint(
                lambda: 100 * selection_errors(norm.isf(0.025), 1.0)["type_m"],
                "Give a factor, not percent.",
                1.2,
            ),
            Hint(2.0, "Half of the tests are significant; that doesn't make them twice too big."),
        ),
    ),
}
