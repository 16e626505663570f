"""Exercises of the chapter on averaging well and forgetting fast."""

from toolkit.exercises import Exercise, Hint
from toolkit.tradeoffs.local_level import (
    best_gain,
    calm_share,
    least_regret_gain,
    recovery_half_life,
    tracking_error,
)

EXERCISES = {
    "half_life": Exercise(
        "A level drifts with a variance of 0.001 a day, a day's reading has a noise of variance 1. After how many days "
        "does the best exponentially weighted average have forgotten half of a shock?",
        lambda: recovery_half_life(best_gain(drift=0.001)),
        0.05,
        "The best gain is 0.0311. A shock shrinks by 1 - 0.0311 a day, so half is left after ln 0.5 / ln 0.9689 days.",
        (
            Hint(
                lambda: 1 / best_gain(drift=0.001),
                "That is the mean age of what it remembers, one over the gain. Half is forgotten sooner.",
                0.5,
            ),
            Hint(
                lambda: recovery_half_life(0.001**0.5),
                "That is with the square root of the drift for the gain, which is only near it. Put P into P / (P + r).",
            ),
        ),
    ),
    "calm": Exercise(
        "A market jumps once in 30 days on average, at any time. Which share of four-week tests sees no jump?",
        lambda: calm_share(28, rate=1 / 30),
        0.003,
        "exp(-28 / 30): jumps come independently of each other, and 28/30 is how many are to be expected.",
        (
            Hint(1 - 28 / 30, "Jumps don't come at equal distances: some tests see two, and so others none."),
            Hint(
                lambda: 1 - calm_share(28, rate=1 / 30), "That is the share of tests that do see one.", 0.003
            ),
        ),
    ),
    "regret": Exercise(
        "Nobody knows how often the market jumps, but when it does it's by twice a day's noise (standard deviation 1). "
        "Of its two regrets, in calm times and over the 14 days that follow a jump, the worse one counts. With which gain is it least?",
        lambda: least_regret_gain(size=2.0, days=14),
        0.002,
        "Raised from 0, the gain loses in calm times and wins after a jump; where both regrets are equal the worse "
        "of them is least.",
        (
            Hint(
                lambda: least_regret_gain(size=1.0, days=14),
                "That is for jumps of the size of a day's noise.",
            ),
            Hint(
                lambda: best_gain(drift=4 / 14),
                "That is best where it jumps once in 14 days. Here nobody knows how often.",
                0.01,
            ),
        ),
    ),
    "price": Exercise(
        "With a drift of 0.01 a day and a noise of 1, how many times the best gain's error is that of a gain of 0.5?",
        lambda: tracking_error(0.5, drift=0.01) / tracking_error(best_gain(drift=0.01), drift=0.01),
        0.02,
        "r a / (2 - a) + q / (a (2 - a)) at 0.5, over P: nearly all of it is noise passed on.",
        (
            Hint(
                lambda: tracking_error(0.5, drift=0.0) / tracking_error(best_gain(drift=0.01), drift=0.01),
                "That is the noise's part only. The lag's part is small here, but not nothing.",
            ),
            Hint(
                lambda: tracking_error(0.5, drift=0.01),
                "That is the error itself; divide by the best gain's.",
            ),
        ),
    ),
}
