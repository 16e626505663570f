"""Exercises of the chapter on tracking experiments."""

from __future__ import annotations

from toolkit.exercises import Exercise, Hint
from toolkit.shipping.holdout_reuse import attack_runs
from toolkit.shipping.winner import fresh_rows_for, rows_for

EXERCISES = {
    "rows": Exercise(
        "Forty runs are worth the same: they are right on 80% of the rows, and err independently. How many held-out "
        "rows does it take until the best of them reads no more than half a point too good on average? To the nearest "
        "hundred.",
        lambda: rows_for(0.005, 40, accuracy=0.8),
        60,
        "Halving the optimism takes four times the rows; half of the runs would have saved one row in four.",
        (
            Hint(
                lambda: rows_for(0.005, 40),
                "That is for runs that are right on 70% of the rows.",
            ),
            Hint(
                lambda: 0.16 / 0.005**2,
                "There the standard error is half a point. The best of forty lies more than two of them above.",
            ),
            Hint(
                lambda: 1.96**2 * 0.16 / 0.005**2,
                "That takes the 97.5% quantile of one run. Asked is the mean of the largest of forty.",
            ),
            Hint(
                lambda: rows_for(0.01, 40, accuracy=0.8),
                "That is for one point.",
            ),
        ),
    ),
    "attack": Exercise(
        "A leaderboard tells the accuracy on 10,000 rows. How many runs that know nothing must an attacker submit until "
        "the vote of the runs, flipped where they read below one half, reads 60%? To the nearest ten.",
        lambda: attack_runs(0.6, 10_000),
        11,
        "Not one of them knows anything, and no labels were stolen: the answers gave them away, a little each.",
        (
            Hint(
                lambda: attack_runs(0.6, 1000),
                "That is for a thousand rows. The attack needs as many more runs as there are more rows.",
                6,
            ),
            Hint(
                lambda: attack_runs(0.7, 10_000),
                "That reads 70%.",
            ),
            Hint(
                lambda: 2 * attack_runs(0.6, 10_000),
                "That leaves out half of the runs instead of flipping them.",
            ),
        ),
    ),
    "power": Exercise(
        "The best of sixty equally good runs on 400 rows, right on 70% of them and erring independently, is read on fresh "
        "rows. How many fresh ones does it take until the test says too good in every second case? To the nearest "
        "hundred; `flag_power` has the chance for a number of rows.",
        lambda: fresh_rows_for(0.5, 60, 400),
        60,
        "More than twice the rows that chose. The check costs most where it is needed most: with a small holdout.",
        (
            Hint(400, "As many as chose: then one case in three is seen."),
            Hint(
                lambda: fresh_rows_for(0.75, 60, 400),
                "There three cases of four are seen.",
            ),
        ),
    ),
}
