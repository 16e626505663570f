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
        "Pocock's constant for five looks: with it the five chances to be wrong add up to 5%, because "
        "the looks share data and are often wrong together.",
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
    "bh": Exercise(
        "How many of the fifteen p-values in `BENJAMINI_HOCHBERG` does the Benjamini-Hochberg procedure keep at 5%?",
        lambda: _kept("BH"),
        0.1,
        "The fourth smallest is the last below its line k/15 x 5%, so four are kept.",
        (
            Hint(lambda: _kept("Bonferroni"), "Bonferroni keeps that many: it guards against any false one."),
            Hint(lambda: _kept("none"), "So many are below 5% without any correction."),
        ),
    ),
    "fortnight": Exercise(
        "A dashboard is looked at once a day for a fortnight, and the test is stopped at the first p < 5%. "
        "How often does a test without any effect win or lose significantly? Give a share, to two decimals.",
        lambda: false_positive_rate(14),
        0.006,
        "Fourteen looks at accumulating data are wrong more than four times as often as one.",
        (
            Hint(0.05, "So often it is wrong at any one look. How often at some look?"),
            Hint(
                1 - 0.95**14,
                "That takes the fourteen looks for independent; each shares its past with the next.",
            ),
            Hint(
                lambda: family_error(14, correlation=0.5),
                "That takes all looks for equally correlated; neighbours are more alike.",
            ),
        ),
    ),
    "exaggeration": Exercise(
        "A team's tests have a power of 50%. By which factor are its significant results too big on average, to two decimals?",
        lambda: selection_errors(norm.isf(0.025), 1.0)["type_m"],
        0.012,
        "At a power of one half the true effect lies on the boundary itself, so nearly every significant estimate exceeds it.",
        (
            Hint(1.0, "Estimates are right on average over all tests; these are the significant ones."),
            Hint(1.125, "That is the factor at a power of 80%.", 0.011),
            Hint(2.0, "Half of the tests are significant; that doesn't make them twice too big."),
        ),
    ),
}
