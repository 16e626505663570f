"""Exercises of the chapter on upstream changes."""

from __future__ import annotations

from toolkit.exercises import Exercise, Hint
from toolkit.general.cusum import run_length
from toolkit.shipping.rescaling import rescaled_auc, rescaled_correlation

EXERCISES = {
    "fahrenheit": Exercise(
        "A temperature carries three tenths of the score's variance and arrives in Fahrenheit instead of Celsius. How far does the score "
        "still correlate with the intended one? To three decimals.",
        lambda: rescaled_correlation(0.3, 1.8),
        0.0006,
        "The order hardly changes; a threshold on the score does, for the 32 moves every score.",
        (
            Hint(lambda: rescaled_correlation(0.2, 1.8), "That is for a share of one fifth."),
            Hint(
                lambda: rescaled_correlation(0.3, 1 / 1.8),
                "That is the change undone: from Fahrenheit to Celsius.",
                0.0004,
            ),
            Hint(1.0, "Adding 32 changes no order; multiplying one of two parts by 1.8 does."),
            Hint(
                lambda: rescaled_correlation(0.3, 33.8), "The 32 is added, not multiplied: it moves no order."
            ),
        ),
    ),
    "sign": Exercise(
        "A feature with a fifth of the score's variance arrives with its sign turned (a delay becomes a lead). The intended score's "
        "AUC is 0.83, as in the chapter. What is left? To three decimals.",
        lambda: rescaled_auc(0.2, -1.0),
        0.0015,
        "Worse than losing the feature, which would leave 0.79; and its spread is what it was, so only its mean can tell.",
        (
            Hint(
                lambda: rescaled_auc(0.2, 0.0),
                "That is what is left without the feature. Turned, it also misleads.",
            ),
            Hint(
                lambda: rescaled_correlation(0.2, -1.0),
                "That is the correlation with the intended score; asked is the AUC.",
            ),
            Hint(
                lambda: 1 - rescaled_auc(0.2, 1.0),
                "That turns the whole score; four fifths of it are as they were.",
            ),
        ),
    ),
    "delay": Exercise(
        "A feature's daily mean moves by half of its own day-to-day standard deviation. How many days does a CUSUM with slack 0.5 and limit "
        "5 take to ring, on average? To the nearest day.",
        lambda: run_length(slack=0.5, limit=5.0, shift=0.5),
        0.6,
        "Half the shift takes nearly four times as long; a slack of a quarter, half of what one looks for, would find it sooner.",
        (
            Hint(
                lambda: run_length(slack=0.5, limit=5.0, shift=1.0),
                "That is for a move of one standard deviation.",
            ),
            Hint(
                lambda: 2 * run_length(slack=0.5, limit=5.0, shift=1.0),
                "The delay isn't in proportion to the shift.",
            ),
            Hint(lambda: run_length(slack=0.5, limit=5.0), "That is how often it rings without any move."),
        ),
    ),
}
