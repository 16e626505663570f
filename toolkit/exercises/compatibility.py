"""Exercises of the chapter on backwards compatibility."""

from __future__ import annotations

from scipy.optimize import brentq

from toolkit.exercises import Exercise, Hint
from toolkit.shipping.compatibility import negative_flip_rate, worst_of_equals
from toolkit.shipping.flip_rates import flip_bounds

EXERCISES = {
    "independent": Exercise(
        "An update takes the accuracy from 95% to 97%, and the two versions err independently. Which share of all cases "
        "was right and is now wrong, in percent? To one decimal.",
        lambda: 100 * negative_flip_rate(0.95, 0.97),
        0.06,
        "More cases break than the accuracy gains points; 4.9% are repaired beside them.",
        (
            Hint(3.0, "That is the share of those that were right. Asked is the share of all cases."),
            Hint(2.0, "That is what the accuracy gains: repaired less broken."),
            Hint(
                lambda: 100 * negative_flip_rate(0.97, 0.95),
                "That is the share which is repaired.",
            ),
            Hint(0.0, "That is the least possible. It takes errors that go together."),
        ),
    ),
    "correlation": Exercise(
        "An update takes the accuracy from 90% to 92%. How far must the two versions' errors correlate so that no more "
        "than 3% of all cases break? To two decimals.",
        lambda: brentq(lambda each: negative_flip_rate(0.90, 0.92, correlation=each) - 0.03, 0, 0.85),
        0.006,
        "Two trainings of one recipe on other data seldom come that near; distillation does.",
        (
            Hint(
                lambda: brentq(
                    lambda each: negative_flip_rate(0.90, 0.92, correlation=each) - 0.027, 0, 0.85
                ),
                "That breaks 3% of the cases that were right. Asked is 3% of all.",
            ),
            Hint(
                lambda: 1 - 0.03 / negative_flip_rate(0.90, 0.92),
                "The share falls in proportion only if a correlation of 1 leaves nothing broken, and 1 can't be reached here.",
            ),
            Hint(
                lambda: 1 - 0.03 / flip_bounds(0.90, 0.92)[1],
                "That starts from the largest possible share; independent errors break less.",
            ),
        ),
    ),
    "worst": Exercise(
        "Eighty customers have 250 cases each, and an update breaks 5% and repairs 6% of everybody's. How many points "
        "does the customer who fares worst seem to lose, on average? To one decimal.",
        lambda: -100 * worst_of_equals(80, 250, 0.05, 0.06),
        0.11,
        "Nobody lost anything. Whoever looks at the worst of eighty without an allowance for it will find a victim every time.",
        (
            Hint(1.0, "By one point everybody gains. The worst of eighty is unlucky."),
            Hint(
                lambda: -100 * worst_of_equals(80, 250, 0.05, 0.06) + 1,
                "That is the bad luck alone. From it take the gain that everybody has.",
            ),
            Hint(
                lambda: -100 * worst_of_equals(80, 250, 0.05, 0.05),
                "That is for an update that is no better.",
            ),
        ),
    ),
}
