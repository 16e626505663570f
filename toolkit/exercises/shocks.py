"""Exercises of the section on incidents and wrong labels."""

from toolkit.exercises import Exercise, Hint
from toolkit.tradeoffs.local_level import (
    best_gain,
    incident_cost,
    recovery_half_life,
    tracking_error,
)
from toolkit.tradeoffs.market import corrected

EXERCISES = {
    "recovery": Exercise(
        "A learner has the gain that is best for a drift of 0.01 and a noise of 1 a day. An incident ends; after how "
        "many days is half of what it did forgotten?",
        lambda: recovery_half_life(best_gain(drift=0.01)),
        0.05,
        "The gain is 0.0951, and ln 0.5 / ln(1 - 0.0951) is that many days.",
        (
            Hint(
                lambda: 1 / best_gain(drift=0.01), "That is one over the gain: by then 63% is forgotten.", 0.1
            ),
            Hint(
                lambda: 0.5 / best_gain(drift=0.01),
                "What is forgotten is a share of what is left, day by day.",
                0.1,
            ),
        ),
    ),
    "incident": Exercise(
        "Twice a year (365 days) labels are off by 3 for two days, in units of a day's noise. What do such incidents add "
        "to the mean squared error a day of a learner with gain 0.3?",
        lambda: 2 / 365 * incident_cost(0.3, days=2, size=3.0),
        0.0005,
        "During the second day it's off by 3 x 0.3, after it by 3 (1 - 0.7^2), then by 0.7 of that and so on; the "
        "squares' sum times 2 / 365.",
        (
            Hint(
                lambda: incident_cost(0.3, days=2, size=3.0),
                "That is what one incident costs in all. Spread it over the year, twice.",
                0.01,
            ),
            Hint(
                lambda: 2 / 365 * incident_cost(0.3, days=1, size=3.0),
                "That is for incidents of one day.",
            ),
        ),
    ),
    "corrected": Exercise(
        "A quarter of the clicks get lost on their way into the labels. A model that was trained on them says 0.24. What is "
        "the chance of a click?",
        lambda: float(corrected(0.24, lost=0.25)),
        0.002,
        "0.24 / (1 - 0.25): of the clicks that happen three quarters are labelled.",
        (
            Hint(0.24 * 0.75, "More clicks happen than are labelled, not fewer."),
            Hint(
                0.24 * 1.25, "A quarter of the clicks that happen are lost, not of those that are labelled."
            ),
        ),
    ),
    "noise_part": Exercise(
        "In calm times, how many times the squared error of a gain of 0.03 has one of 0.3?",
        lambda: tracking_error(0.3, drift=0.0) / tracking_error(0.03, drift=0.0),
        0.05,
        "a / (2 - a) at both: a little more than ten times, as the denominators differ.",
        (
            Hint(10.0, "Nearly. The part of the noise that is passed on is a / (2 - a), not a.", 0.01),
            Hint(100.0, "The squared error grows like the gain, not like its square: averages add up."),
        ),
    ),
}
