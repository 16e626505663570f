"""Exercises of the section on labels that come from reports."""

from __future__ import annotations

from toolkit.exercises import Exercise, Hint
from toolkit.general.label_shift import adjusted_prevalence
from toolkit.general.moderation import clean_auc, positives_only

_FLIPS = {"prevalence": 0.1, "flip_bad": 0.2, "flip_good": 0.05}


def _among_reported(prevalence: float, times: float) -> float:
    return prevalence * times / (prevalence * times + 1 - prevalence)


EXERCISES = {
    "reported": Exercise(
        "One post in ten is bad, and a bad post is reported ten times as often as a good one. "
        "What share of the reported posts is bad, to two decimals?",
        lambda: _among_reported(0.1, 10),
        0.006,
        "Of a hundred posts ten are bad; they are reported as often as a hundred good ones would be, "
        "against the ninety good ones that there are. How many are reported doesn't matter.",
        (
            Hint(0.1, "So many of all posts are bad. Reports pick the bad ones."),
            Hint(1.0, "Good posts are reported too, and there are nine times as many of them."),
            Hint(10 / 11, "That takes bad and good posts for equally frequent."),
        ),
    ),
    "prevalence": Exercise(
        "In an audit a classifier flagged 75% of the bad posts and 5% of the good ones. This week it flags "
        "12% of all posts, and only the mix has moved. What share of this week's posts is bad, to three decimals?",
        lambda: adjusted_prevalence(0.12, tpr=0.75, fpr=0.05),
        0.0012,
        "5% would be flagged if none were bad, 75% if all were: 12% lies a tenth of the way.",
        (
            Hint(
                0.12, "That takes the flags at their word. Some bad posts aren't flagged, some good ones are."
            ),
            Hint(
                0.12 / 0.75,
                "That accounts for the bad posts that were missed, not for the good ones flagged.",
            ),
            Hint(0.12 - 0.05, "The wrong flags are gone; but of the bad posts only some are flagged."),
            Hint(
                0.12 * 0.75, "So many posts would be flagged rightly if the flagged share were the bad share."
            ),
        ),
    ),
    "noise": Exercise(
        "One post in ten is bad. Reviewers call 20% of the bad posts good and 5% of the good ones bad, whatever "
        "their score, and against their labels a model's AUC is 0.75. What is it against right labels, to three decimals?",
        lambda: clean_auc(0.75, **_FLIPS),
        0.0012,
        "Of the posts called bad more than a third are good, because there are so many good ones: that "
        "takes most of what the labels take from the AUC.",
        (
            Hint(0.75, "That is what the flipped labels show; random flips hide some of what the model can."),
            Hint(
                0.5 + 0.25 / (1 - 0.2 - 0.05),
                "That uses the shares flipped among the bad and the good. What counts are the wrong ones "
                "among those *called* bad and *called* good.",
            ),
            Hint(0.75 / (1 - 0.2 - 0.05), "It is the distance from one half that shrinks, not the AUC."),
        ),
    ),
    "positives": Exercise(
        "Only bad posts are reported, each with a chance of 5%. Of the posts with one score 1.2% are reported. "
        "What share of them is bad, to two decimals?",
        lambda: positives_only(0.012, 0.05),
        0.006,
        "A post is reported if it is bad and somebody reports it: 1.2% = P(bad) x 5%.",
        (
            Hint(0.012, "So many are known to be bad. The others aren't known to be good.", 0.002),
            Hint(0.05, "So many of the bad ones are reported."),
        ),
    ),
}
