"""Exercises of the chapter on distribution mismatch."""

from __future__ import annotations

from toolkit.exercises import Exercise, Hint
from toolkit.general.mismatch import effective_share
from toolkit.general.nsw import experiment, reweighted


def _unweighted() -> float:
    table = reweighted("and squares").table
    assert table is not None
    return float(table["size"].iloc[0])


EXERCISES = {
    "rows": Exercise(
        "Six independent normal features are each shifted by 0.4 standard deviations. Which share of the "
        "labelled rows do exact weights leave effective, in percent, to one decimal?",
        lambda: 100 * effective_share(0.4, features=6),
        0.06,
        "Each feature leaves exp(-0.16), about 85%, and shares of independent features multiply: six small "
        "shifts cost what one of nearly a whole standard deviation does.",
        (
            Hint(
                lambda: 100 * effective_share(0.4),
                "That is one feature's share. Shares of independent features multiply.",
                0.06,
            ),
            Hint(
                lambda: 100 * effective_share(2.4),
                "That adds the shifts up. Independent shifts add in squares.",
                0.06,
            ),
            Hint(
                lambda: 100 * effective_share(0.4, features=3),
                "The share is exp(-d squared), not exp(-d squared / 2).",
                0.06,
            ),
            Hint(lambda: effective_share(0.4, features=6), "That is a share; give percent.", 0.0006),
        ),
    ),
    "labels": Exercise(
        "One feature is shifted by one standard deviation. How many labelled old rows are as good as 1,000 rows "
        "of the new population, once they are weighted?",
        lambda: 1000 / effective_share(1.0),
        20,
        "An effective share of exp(-1) asks for e times as many rows; at two standard deviations it would be 55 times.",
        (
            Hint(
                lambda: 1000 * effective_share(1.0),
                "So many of 1,000 old rows are effective; you need the reverse.",
            ),
            Hint(
                lambda: 1000 / effective_share(0.5**0.5),
                "The share is exp(-d squared), not exp(-d squared / 2).",
            ),
            Hint(1000, "Unweighted rows of the same population would be enough; these are of another."),
        ),
    ),
    "training": Exercise(
        "Weighted by levels, idleness and squares, by how many dollars does the survey miss what the experiment found? "
        "Give the experiment's effect less the weighted estimate, to the dollar.",
        lambda: experiment().estimate - reweighted("and squares").estimate,
        2,
        "Far less than either interval's width, and by luck: other features for the weights move the estimate by "
        "hundreds of dollars, which no interval of one of them shows.",
        (
            Hint(
                lambda: experiment().estimate - reweighted("as they come").estimate,
                "That is with the features as they come.",
            ),
            Hint(
                lambda: experiment().estimate - _unweighted(),
                "That is the difference before weighting.",
            ),
            Hint(
                lambda: reweighted("and squares").estimate - experiment().estimate,
                "Turn the sign: the experiment less the estimate.",
            ),
        ),
    ),
}
