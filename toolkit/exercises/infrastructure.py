"""Exercises of the chapter on justifying infrastructure."""

from __future__ import annotations

import numpy as np
from scipy.stats import norm

from toolkit.exercises import Exercise, Hint
from toolkit.general.agreement import agreement_chance, time_to_agree
from toolkit.general.handicaps import break_even_latency
from toolkit.general.pilots import expected_gain, pilot_voi


def _share(correlation: float) -> float:
    return 100 * pilot_voi(-0.5, 1.0, correlation=correlation) / pilot_voi(-0.5, 1.0)


EXERCISES = {
    "break_even": Exercise(
        "A model on a fresh signal has an R² of .40, the tuned system in place .25, and the signal's correlation "
        "with itself halves in 6 hours. Up to how many hours of latency does the model win, to two decimals?",
        lambda: break_even_latency(0.40, 0.25, half_life=6.0),
        0.012,
        "R² is a correlation squared, so it halves twice as fast as the correlation: three hours, times the "
        "number of halvings from .40 to .25.",
        (
            Hint(
                lambda: 2 * break_even_latency(0.40, 0.25, half_life=6.0),
                "After 6 hours the correlation has halved. What has R² done?",
            ),
            Hint(3 * np.log(1.6), "Half-lives count in powers of two; that is a natural logarithm."),
            Hint(3 * np.log10(1.6), "Half-lives count in powers of two; that is a decimal logarithm."),
            Hint(
                lambda: break_even_latency(0.40, 0.25), "That is in half-lives; the question asks for hours."
            ),
            Hint(3 * np.log2(0.25 / 0.40), "A latency isn't negative: which R² belongs above?"),
        ),
    ),
    "perfect": Exercise(
        "A build is expected to lose 1 million, with a standard deviation of 1 million. How many millions would it "
        "be worth to know its value exactly before deciding, to three decimals?",
        lambda: pilot_voi(-1.0, 1.0),
        0.0006,
        "One would build in one case of six, and then gain half a million on average.",
        (
            Hint(0.0, "On average it loses, so without knowing you wouldn't build. When would you, knowing?"),
            Hint(
                lambda: expected_gain(1.0, 1.0),
                "That is what builds with a mean of +1 bring to who knows their value.",
            ),
            Hint(
                float(norm.sf(1.0)),
                "That is the chance that it's worth building. How much does it bring then?",
            ),
            Hint(float(norm.pdf(1.0)), "That is one of the formula's two terms; the mean's is missing."),
            Hint(lambda: expected_gain(0.0, 1.0), "That is for a build that breaks even on average."),
        ),
    ),
    "share": Exercise(
        "A build has mean -0.5 and standard deviation 1. Which share of what perfect information is worth does a "
        "pilot give whose reading correlates .5 with the build's value? In percent, to the nearest.",
        lambda: _share(0.5),
        0.6,
        "A pilot that tells half of a standard deviation seldom changes the decision, and only changed "
        "decisions are worth something.",
        (
            Hint(50.0, "Worth isn't proportional to the correlation: the reading must change the decision."),
            Hint(25.0, "That is the share of the variance that it explains."),
            Hint(lambda: _share(0.3), "That is the share at a correlation of .3."),
            Hint(lambda: _share(0.7), "That is the share at a correlation of .7."),
        ),
    ),
    "teams": Exercise(
        "Four teams review a proposal one after another, each agrees with chance .75, and a refusal sends it back to "
        "the first. How many reviews does it take on average until all four have agreed, to one decimal?",
        lambda: time_to_agree(4, 0.75),
        0.06,
        "It is the waiting time for four agreements in a row, as with coins.",
        (
            Hint(4.0, "So many it takes where nobody refuses."),
            Hint(4 / 0.75, "That repeats only the review that was refused; here all begin anew."),
            Hint(
                lambda: 4 / agreement_chance(4, 0.75),
                "That asks all four in each round, even after a refusal has ended it.",
            ),
            Hint(
                lambda: 1 / agreement_chance(4, 0.75), "So many rounds it takes; a round has several reviews."
            ),
        ),
    ),
}
