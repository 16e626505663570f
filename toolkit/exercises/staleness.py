"""Exercises of the section on stale models."""

from __future__ import annotations

import math

from toolkit.exercises import Exercise, Hint
from toolkit.general.ageing import aged_auc, average_auc, usable_age
from toolkit.general.cusum import cusum_limit
from toolkit.general.drift import psi_distribution


def _linear(least: float) -> float:
    """The age if the AUC itself halved its way down to one half every half-life."""
    fresh = aged_auc(0.7, age=0, half_life=6)
    return 6 * math.log2((fresh - 0.5) / (least - 0.5))


EXERCISES = {
    "usable": Exercise(
        "A fresh score has a correlation of .7 with what decides the label, and the half-life is 6 hours. "
        "After how many hours has its AUC fallen to .70, to one decimal?",
        lambda: usable_age(0.7, half_life=6, least=0.7),
        0.06,
        "Invert the arcsine for the correlation that an AUC of .70 needs, then count the halvings from .7 down to it.",
        (
            Hint(
                lambda: _linear(0.7),
                "That halves the AUC's distance from one half. It is the correlation that halves.",
                0.03,
            ),
            Hint(6.0, "After one half-life it is lower than that; the opening table says how low."),
            Hint(
                lambda: usable_age(0.7, half_life=1, least=0.7),
                "That is in half-lives. How many hours is it?",
            ),
        ),
    ),
    "noise": Exercise(
        "A monitor compares 500 rows with 500 in ten bins. Which PSI does a column exceed one time in twenty "
        "when nothing has moved, to three decimals?",
        lambda: float(psi_distribution(500, 500).ppf(0.95)),
        0.0006,
        "(1/500 + 1/500) times the chi-square's 95th percentile with nine degrees of freedom.",
        (
            Hint(0.25, "That is the customary threshold, which doesn't know how many rows there are."),
            Hint(0.1, "That is the customary threshold, which doesn't know how many rows there are."),
            Hint(
                lambda: float(psi_distribution(1000, 1000).ppf(0.95)),
                "Each sample has 500 rows: 1/n + 1/m, not 1/(n + m).",
            ),
            Hint(
                lambda: float(psi_distribution(500, 500, bins=11).ppf(0.95)),
                "Ten shares that sum to one have nine degrees of freedom.",
            ),
            Hint(lambda: float(psi_distribution(500, 500).mean()), "That is its mean without drift."),
        ),
    ),
    "saved": Exercise(
        "Correlation .7, half-life 24 hours. By how many points of AUC (hundredths) does training every 6 hours "
        "beat training every 24, on average over time, to one decimal?",
        lambda: 100 * (average_auc(0.7, half_life=24, period=6) - average_auc(0.7, half_life=24, period=24)),
        0.06,
        "The ages served are 0 to 6 hours instead of 0 to 24; the mean over each sawtooth is `average_auc`.",
        (
            Hint(
                lambda: 100 * (aged_auc(0.7, age=6, half_life=24) - aged_auc(0.7, age=24, half_life=24)),
                "That compares the oldest ages. On average over time a model is younger.",
            ),
            Hint(
                lambda: 100 * (aged_auc(0.7, age=0, half_life=24) - aged_auc(0.7, age=24, half_life=24)),
                "That is what one model loses in a day.",
            ),
        ),
    ),
    "limit": Exercise(
        "A CUSUM with a slack of one half watches a daily metric. Which limit lets it ring falsely once a year "
        "(365 days), to one decimal?",
        lambda: cusum_limit(365),
        0.06,
        "The run length grows about threefold with each unit of the limit; 5 would give 465 days.",
        (
            Hint(5.0, "With 5 it rings falsely once in 465 days.", 0.03),
            Hint(4.0, "With 4 it rings falsely more than twice a year."),
            Hint(3.0, "That is the limit of a chart that looks at one value alone."),
        ),
    ),
}
