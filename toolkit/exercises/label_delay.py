"""Exercises of the section on labels that come late and tests that take weeks."""

from __future__ import annotations

import math

from toolkit.exercises import Exercise, Hint
from toolkit.general.delayed_feedback import fake_negative_rate, known_share, true_rate
from toolkit.general.iteration_time import best_length, cuped_saving, sample_size

EXERCISES = {
    "known": Exercise(
        "Conversions come 3 days after the impression on average (exponentially), impressions come evenly over a "
        "test of 14 days, and it is read when it ends. Which share of the conversions is in hand, to two decimals?",
        lambda: known_share(3, window=14),
        0.006,
        "Average 1 - exp(-a/3) over ages from 0 to 14: one minus 3/14 of nearly everything.",
        (
            Hint(
                lambda: 1 - math.exp(-14 / 3),
                "That is the share known of the first day's impressions; most are younger.",
            ),
            Hint(lambda: known_share(2, window=7), "That is with a mean of 2 days and a test of 7."),
            Hint(
                lambda: 1 - math.exp(-7 / 3),
                "That takes all impressions to be of the average age; the young ones lose more than the old ones gain.",
            ),
        ),
    ),
    "fake_negatives": Exercise(
        "A model trained on a stream with fake negatives (each impression at once as a negative, each conversion again as a "
        "positive) says .20. What is the chance of a conversion, to two decimals?",
        lambda: true_rate(0.2),
        0.004,
        "One positive for four negatives, and every impression is among the negatives: 1 in 4.",
        (
            Hint(
                0.2, "That is the share of positives in the stream, which has a row more for each conversion."
            ),
            Hint(lambda: fake_negative_rate(0.2), "That goes from the true rate to the stream's; go back."),
        ),
    ),
    "cuped": Exercise(
        "A tenth of users act. How many users an arm does a test need that finds a relative lift of 4% with a "
        "power of 80%, with CUPED and a correlation of .6? To the nearest thousand.",
        lambda: sample_size(0.1, 0.04, correlation=0.6),
        600,
        "CUPED leaves 1 - .36 of the variance, and so of the users.",
        (
            Hint(lambda: sample_size(0.1, 0.04), "That is without CUPED."),
            Hint(
                lambda: sample_size(0.1, 0.04) * (1 - 0.6),
                "It saves the squared correlation, not the correlation.",
            ),
            Hint(
                lambda: sample_size(0.1, 0.04) * cuped_saving(0.6),
                "That is what CUPED saves; you need the rest.",
            ),
            Hint(lambda: sample_size(0.1, 0.04, correlation=0.6) / 2, "That is half an arm."),
        ),
    ),
    "longest": Exercise(
        "A frozen model's lift has a half-life of 10 days. After how many days does running its test on lower the "
        "power, to the nearest day?",
        lambda: best_length(10),
        0.6,
        "About 1.8 half-lives: from there on the mean lift falls faster than the error.",
        (
            Hint(10.0, "After one half-life the mean lift has lost less than users have added."),
            Hint(
                10 * 1.2564312086261697,
                "That is in units of the mean lifetime; a half-life is shorter by ln 2.",
            ),
            Hint(20.0, "Nearly: where does (1 - exp(-x)) / sqrt(x) turn, with x = days ln 2 / half-life?"),
        ),
    ),
}
