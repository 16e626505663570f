"""Exercises of the section on sensors that are noisier in the field."""

from __future__ import annotations

from toolkit.exercises import Exercise, Hint
from toolkit.general.sensor_noise import crossover, excess_error


def _saved(noise: float, slope: float) -> float:
    return excess_error(noise, slope=slope) - excess_error(noise, trained_at=noise, slope=slope)


EXERCISES = {
    "crossover": Exercise(
        "Two linear models of one sensor: one trained on readings without noise, the other with noise of half "
        "the signal's variance injected. Above which variance of the field's noise, in units of the signal's, "
        "does the second win? Two decimals.",
        lambda: crossover(0.5),
        0.006,
        "The second is best where the noise is as in its training, and already better well before: from t / (t + 2).",
        (
            Hint(0.5, "There the second is at its best; the two are equal at less noise."),
            Hint(lambda: crossover(1.0), "That is for noise as large as the signal's variance."),
            Hint(
                0.0,
                "With no noise the first is exact. The second learnt a slope that is too small, and "
                "pays for it until noise is large enough.",
            ),
        ),
    ),
    "saved": Exercise(
        "The outcome is twice the signal, whose variance is 1; the field's noise has variance 0.25. By how much "
        "does the mean squared error fall when the linear model is trained at that noise, instead of without any? "
        "Two decimals.",
        lambda: _saved(0.25, 2.0),
        0.006,
        "Without noise in training the excess is 4 x 0.25; with it, that over 1.25.",
        (
            Hint(
                lambda: excess_error(0.25, slope=2.0),
                "That is the excess of the model trained without noise.",
            ),
            Hint(
                lambda: excess_error(0.25, trained_at=0.25, slope=2.0),
                "That is what is left with noise in training. How much was saved?",
            ),
            Hint(lambda: _saved(0.25, 1.0), "That is for a slope of 1; errors grow with its square."),
        ),
    ),
    "ridge": Exercise(
        "A linear model is trained on many noisy copies of 1,000 centred rows, with noise of variance 0.3 added to every "
        "feature. Which penalty of a ridge regression (a sum of squared errors plus the penalty times the squared "
        "weights) on the 1,000 clean rows gives the same weights?",
        1000 * 0.3,
        0.5,
        "On average the noise adds its variance to each row's squared feature, 0.3 a row; the sum over the rows "
        "is the penalty.",
        (
            Hint(0.3, "That is what one row's noise adds. The squared errors are summed over all rows."),
            Hint(1000 * 0.3**2, "0.3 is a variance already."),
            Hint(
                1000 * 0.3**0.5,
                "That is with the standard deviation; squared weights are charged the variance.",
            ),
        ),
    ),
}
