"""Exercises of the section on the key-value store and the offline table."""

from __future__ import annotations

import math

from toolkit.exercises import Exercise, Hint
from toolkit.features.storage import expected_misses, learned_default, miss_auc, neutral_equivalent

EXERCISES = {
    "equivalent": Exercise(
        "A feature separates good from bad by 1.5 standard deviations. In 10% of the rows it is missing, at random, "
        "and the default that stands in lies beyond all its values. Which share of missing rows would cost as much "
        "AUC with a neutral default? Three decimals.",
        lambda: neutral_equivalent(1.5, 0.1),
        0.0006,
        "Three times as many: the place of the default costs more than the misses.",
        (
            Hint(0.1, "That share costs less with a neutral default, which lies between the classes."),
            Hint(lambda: neutral_equivalent(1.5, 0.05), "That is for 5%, as above."),
            Hint(
                lambda: miss_auc(1.5, 0.1, default="extreme"),
                "That is the AUC that is left. Which share of misses leaves as much with a neutral default?",
            ),
        ),
    ),
    "life": Exercise(
        "A key is written twice a day on average, at random moments. How many days must a value live, at least, so "
        "that no more than 1% of reads find nothing? Two decimals.",
        math.log(100) / 2,
        0.006,
        "No write within a life of T days has the chance exp(-2 T); it is 1% at T = ln(100) / 2.",
        (
            Hint(0.5, "That is the mean time between writes. Intervals vary: how many are longer?"),
            Hint(math.log(100), "That is for one write a day; at two a day half of it will do."),
            Hint(lambda: expected_misses(2, 1), "That is the share of misses when a value lives one day."),
        ),
    ),
    "absence": Exercise(
        "Offline the feature of the first exercise is missing for 5% of the good and 30% of the bad, as keys of bad "
        "items had expired when the table was joined. To which value of the feature does a model trained on that "
        "table equate its absence? The bad have mean 0, the good 1.5. Two decimals.",
        lambda: learned_default(1.5, 0.05, among_bad=0.3),
        0.006,
        "Absence has a log-likelihood ratio of log(0.05 / 0.3), against log(0.95 / 0.7) of presence; a step of 1 in the "
        "feature is worth 1.5.",
        (
            Hint(0.75, "That is half way between the classes: right where misses tell nothing of the label."),
            Hint(
                0.75 + math.log(0.05 / 0.3) / 1.5,
                "Presence tells something too: it is more frequent among the good.",
            ),
            Hint(
                lambda: learned_default(1.5, 0.3, among_bad=0.05),
                "The good and the bad are swapped: here it is the bad that miss more often.",
            ),
        ),
    ),
}
