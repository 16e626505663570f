"""Exercises of the chapter on feature freshness."""

from __future__ import annotations

from scipy.optimize import brentq

from toolkit.exercises import Exercise, Hint
from toolkit.features.batches import average_kept, period_for, r2_kept, squared_error

EXERCISES = {
    "period": Exercise(
        "A feature's half-life is one day, and a batch is served as soon as it begins. How often must the job run, "
        "in days, to keep 80% of R² on average, with a coefficient for each age? Three decimals.",
        lambda: period_for(0.8, half_life=1),
        0.003,
        "Every eight hours: the mean of 4 to the minus age, from 0 to the period, is then 0.8.",
        (
            Hint(
                lambda: brentq(lambda age: r2_kept(age, half_life=1) - 0.8, 0, 1),
                "At that age 80% is left. Requests come at all ages from 0 to the period.",
            ),
            Hint(
                lambda: 2 * brentq(lambda age: r2_kept(age, half_life=1) - 0.8, 0, 1),
                "At its mean age such a batch keeps 80%, and at its oldest the correlation is 0.8. What is asked for "
                "is the mean of R² over all ages.",
            ),
        ),
    ),
    "harm": Exercise(
        "A model was trained on a feature that was read at once. The feature's half-life is 6 hours. From which age, "
        "in hours, is serving it worse than serving its mean?",
        6.0,
        0.05,
        "1 - (1 - b^2) - (1 - b)^2 is 2 b - 1: it crosses 0 where the correlation b is one half, after one half-life.",
        (
            Hint(3.0, "There half of R² is left for a model that was trained at that age."),
            Hint(12.0, "There the correlation is one quarter; harm begins sooner."),
        ),
    ),
    "on_top": Exercise(
        "The slope is 2, the served value's correlation with the quantity now is 0.7. By how much does the mean "
        "squared error fall when the model, trained fresh so far, is trained on values as stale as it is served? Two decimals.",
        lambda: squared_error(0.7, slope=2) - squared_error(0.7, trained=0.7, slope=2),
        0.006,
        "The slope's square times (1 - 0.7) squared.",
        (
            Hint(lambda: squared_error(0.7) - squared_error(0.7, trained=0.7), "That is for a slope of 1."),
            Hint(
                lambda: squared_error(0.7, trained=0.7, slope=2),
                "That is the error that is left. How much was saved?",
            ),
        ),
    ),
    "delay": Exercise(
        "The half-life is one day, the batch is daily and its values are served 6 hours after the snapshot; the model "
        "is trained as stale as it is served, with one coefficient. How many percent of R² does it "
        "keep on average? One decimal.",
        lambda: 100 * average_kept(1, period=1, delay=0.25, training="as stale"),
        0.06,
        "The mean correlation over ages from a quarter to five quarters of a day, squared.",
        (
            Hint(
                lambda: 100 * average_kept(1, period=1, delay=0.25),
                "That is with a coefficient for each age.",
            ),
            Hint(
                lambda: 100 * average_kept(1, period=1, delay=0.25, training="fresh"),
                "That is trained fresh.",
            ),
            Hint(lambda: 100 * average_kept(1, period=1, training="as stale"), "That is without the delay."),
        ),
    ),
}
