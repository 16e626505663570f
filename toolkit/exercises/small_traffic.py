"""Exercises of the chapter on small traffic."""

from __future__ import annotations

from toolkit.exercises import Exercise, Hint
from toolkit.experiments.correction import correction, days_to_correct, evidence, traffic_for
from toolkit.experiments.loop_lifts import mean_lift
from toolkit.experiments.training_loop import Experiment

EXERCISES = {
    "half": Exercise(
        "Ten thousand requests between two trainings; control shows the new model's favourite at one request in "
        "a hundred; a thousand impressions weigh as much as what the model believed. At which share of traffic "
        "does one training correct half of the over-estimate? Three decimals.",
        lambda: traffic_for(0.5),
        0.0006,
        "Half takes as many impressions as the belief weighs, a thousand. Control's part brings the share a "
        "little below a tenth.",
        (
            Hint(0.1, "Near: control shows the item too, at one request in a hundred of its own."),
            Hint(0.5, "Half of the traffic isn't half of the correction: see the demo."),
            Hint(0.09, "Near: control's part shrinks as the new model's share grows.", 0.0002),
        ),
    ),
    "days": Exercise(
        "The same system trains every night on all impressions so far, and the favourite goes on being shown as on the first "
        "day. The test has 1% of the traffic. After how many days are nine tenths of the over-estimate corrected? "
        "One decimal.",
        lambda: days_to_correct(0.9, 0.01),
        0.06,
        "Nine tenths take nine thousand impressions, and a day brings 199. Launched, it takes less than a day.",
        (
            Hint(
                lambda: days_to_correct(0.5, 0.01),
                "That is half of it: for nine tenths n must be nine times v / s2.",
            ),
            Hint(90.0, "Control shows the item too: as many impressions again as the new model's own, here."),
            Hint(
                lambda: 10_000 / evidence(0.01, requests=10_000, items=100),
                "n / (n + 1000) = 0.9 has another n.",
                0.06,
            ),
            Hint(
                lambda: days_to_correct(0.9, 1.0),
                "That is after the launch; the test has a hundredth of the traffic.",
            ),
            Hint(
                lambda: 0.9 / correction(0.01),
                "The correction doesn't go on as in the first night: each night adds less.",
                0.1,
            ),
        ),
    ),
    "families": Exercise(
        "FooBar tests at 5% of 8,000 requests a day for a fortnight. Had it 30 families instead of 300, and all else the "
        "same, by how many percentage points would the tested lift still lie below the launch's? "
        "Compare mean_lift(Experiment(traffic=0.05, families=30)) with the same and launch=True. One decimal.",
        lambda: (
            100
            * (
                mean_lift(Experiment(traffic=0.05, families=30), launch=True)
                - mean_lift(Experiment(traffic=0.05, families=30))
            )
        ),
        0.06,
        "Each family has ten times as many impressions, so that a test of the same size teaches what the launch would.",
        (
            Hint(
                lambda: (
                    100
                    * (mean_lift(Experiment(traffic=0.05), launch=True) - mean_lift(Experiment(traffic=0.05)))
                ),
                "That is with 300 families.",
            ),
            Hint(
                lambda: 100 * mean_lift(Experiment(traffic=0.05, families=30)),
                "That is the tested lift itself.",
            ),
            Hint(
                lambda: (
                    mean_lift(Experiment(traffic=0.05, families=30), launch=True)
                    - mean_lift(Experiment(traffic=0.05, families=30))
                ),
                "That is a share; asked are percentage points.",
                0.0006,
            ),
        ),
    ),
}
