"""Exercises of the chapter on unknown tight couplings."""

from __future__ import annotations

from toolkit.exercises import Exercise, Hint
from toolkit.general.downstream import action_rate, cancelling_scale, coefficient, score_sd
from toolkit.general.two_stage import correlation_for

EXERCISES = {
    "recall": Exercise(
        "A light ranker lets through a tenth of the candidates. How far must its score correlate with the heavy "
        "ranker's, so that it keeps 80% of the heavy ranker's best hundredth? To two decimals.",
        lambda: correlation_for(0.8),
        0.006,
        "Even a correlation that any report would call strong loses one favourite in five.",
        (
            Hint(0.8, "That takes the recall for the correlation; at 0.8 more than 90% are kept."),
            Hint(
                lambda: correlation_for(0.8, wanted=0.1),
                "That keeps 80% of the best tenth. Asked is the best hundredth, which is easier to keep.",
            ),
            Hint(
                lambda: correlation_for(0.8, passed=0.01),
                "That lets only a hundredth through.",
            ),
            Hint(0.5, "At 0.5 about half are kept."),
        ),
    ),
    "cancel": Exercise(
        "A consumer was fitted to a score x + e whose noise is as large as the signal. Upstream leaves a quarter of the "
        "noise's variance and, in the same release, multiplies the score by a number below 1. At which number does "
        "the consumer, left as it is, gain exactly nothing? To two decimals.",
        lambda: cancelling_scale(0.25),
        0.006,
        "A quarter of the noise would have brought the consumer's error from 0.5 down to 0.3125; at this scale all of "
        "that is gone, and nobody made the score any worse.",
        (
            Hint(
                lambda: cancelling_scale(0.5),
                "That is the scale for half of the noise, as in the demo. With less noise left the score may shrink further.",
            ),
            Hint(
                lambda: coefficient(0.25),
                "That calibrates the new score. At half of the noise that would be the answer; at a quarter the "
                "consumer still gains there.",
            ),
            Hint(
                0.5,
                "That is the scale that calibrates the old score. The new one has less noise; at half its scale the "
                "consumer loses.",
            ),
            Hint(1.0, "With the scale as it was the consumer does gain: its error falls to 0.3125."),
            Hint(
                lambda: (2 + 1.5**0.5) / 1.25,
                "That is the other solution of the equation, above 1.",
                0.01,
            ),
            Hint(
                lambda: score_sd(1.0) / score_sd(0.25),
                "That makes the new score as spread out as the old one. It is above 1, and the consumer gains.",
            ),
        ),
    ),
    "volume": Exercise(
        "A consumer acts when the score exceeds 2; the score is x + e with noise as large as the signal, both "
        "normal. Upstream calibrates it (multiplies it by the coefficient that predicts x best) and changes nothing "
        "else. Of every thousand actions before, how many are left? To the nearest whole number.",
        lambda: (
            1000 * action_rate(2.0, sd=score_sd(1.0, coefficient(1.0))) / action_rate(2.0, sd=score_sd(1.0))
        ),
        1.1,
        "The threshold was two, which is now four of the score's old units away: nearly all actions are gone "
        "and nobody changed the consumer.",
        (
            Hint(
                25,
                "Shares rounded to tenths of a percent are too rough to divide here: take more digits.",
                3.5,
            ),
            Hint(500, "Halving the score doesn't halve the actions: they lie in the distribution's tail."),
            Hint(
                lambda: 1000 * action_rate(2.0, sd=score_sd(1.0, coefficient(1.0))),
                "That is how many of a thousand reads lead to an action now.",
            ),
            Hint(
                lambda: 1000 * action_rate(2.0, sd=score_sd(1.0)),
                "That is how many of a thousand reads led to an action before.",
            ),
            Hint(
                lambda: 1000 * action_rate(2.0, sd=score_sd(0.5)) / action_rate(2.0, sd=score_sd(1.0)),
                "That halves the noise instead of the score.",
            ),
        ),
    ),
}
