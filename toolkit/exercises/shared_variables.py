"""Exercises of the chapter on hidden shared variables."""

from __future__ import annotations

import math

from scipy.stats import norm

from toolkit.exercises import Exercise, Hint
from toolkit.experiments.capacity import exaggeration
from toolkit.experiments.designs import design_effect, naive_size
from toolkit.experiments.overlaps import carried, correlation

EXERCISES = {
    "effect": Exercise(
        "Users make 50 requests each, and a fifth of the requests' variance is the users' own. By what factor is the "
        "variance of a mean of requests larger than if they were independent? To one decimal.",
        lambda: design_effect(50, 0.2),
        0.06,
        "Fifty requests of one user tell hardly more than five independent ones would.",
        (
            Hint(11.0, "A request correlates with the user's 49 others, not with 50."),
            Hint(
                lambda: math.sqrt(design_effect(50, 0.2)),
                "That is the factor of the standard error; asked is the variance's.",
            ),
            Hint(9.8, "That is what the others add; the request itself counts too."),
            Hint(10.0, "That is 50 times a fifth: the request itself must count, and itself only once."),
        ),
    ),
    "size": Exercise(
        "With that factor, how many of a hundred A/A tests are significant at the 5% level if each request is taken "
        "for independent? To one decimal.",
        lambda: 100 * naive_size(design_effect(50, 0.2)),
        0.15,
        "More often than not, the test finds something where there is nothing.",
        (
            Hint(5.0, "That would hold if the standard error were right."),
            Hint(54.0, "The factor doesn't multiply the 5%; it divides the z-statistic's square.", 0.3),
            Hint(
                lambda: 200 * norm.sf(norm.isf(0.025) / design_effect(50, 0.2)),
                "The standard error grows with the root of the factor.",
                0.3,
            ),
            Hint(
                lambda: 100 * norm.sf(norm.isf(0.025) / math.sqrt(design_effect(50, 0.2))),
                "That is one side only; the test has two.",
                0.3,
            ),
        ),
    ),
    "budget": Exercise(
        "An hourly budget is used up during hours that hold 60% of the control's orders. The test measures a lift of 5%. "
        "What does the launch bring, in percent, if it adds nothing in those hours?",
        lambda: 5 / exaggeration(0.6),
        0.01,
        "Two fifths of the lift are real; the test exaggerates two and a half times.",
        (
            Hint(3.0, "That is what is lost. What is left is of the hours with slack."),
            Hint(12.5, "The test exaggerates: the launch brings less than was measured, not more."),
            Hint(5.0, "In the exhausted hours the treatment's gain was the control's loss."),
            Hint(0.0, "That would be so if the budget were used up all the time."),
        ),
    ),
    "salt": Exercise(
        "A and B each treat half of the users, and hash them with one salt: B's ten buckets of twenty have seven in "
        "common with A's. A's treatment adds 3%. B does nothing at all. What lift does B report, in percent, to one decimal?",
        lambda: carried(3.0, correlation(7)),
        0.06,
        "A is on for 70% of B's treatment and for 30% of B's control: the difference is B's share of A.",
        (
            Hint(2.1, "Of B's treatment 70% have A. But some of B's control have A too."),
            Hint(0.0, "It would be, had B a salt of its own."),
            Hint(3.0, "It would be, if the two had all ten buckets in common."),
            Hint(0.9, "That is how much of A is in B's control; asked is the difference of the arms."),
        ),
    ),
}
