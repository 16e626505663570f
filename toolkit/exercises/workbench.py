"""Exercises of the chapter on reading an A/B test."""

from __future__ import annotations

import math

from toolkit.exercises import Exercise, Hint
from toolkit.experiments.workbench import days_needed, detectable, units_needed, unread_noise


def _size(rows: int, icc: float) -> float:
    """How often an A/A test by row is significant, in percent."""
    return float(100 * unread_noise([rows], icc=icc)["size"].iloc[0])


def _lift_found(units: int, rate: float, *, share: float = 0.5) -> float:
    """The smallest relative lift of a share that four of five tests find, in percent."""
    return 100 * detectable(units, deviation=math.sqrt(rate * (1 - rate)), treated=share) / rate


def _times_the_users(share: float) -> float:
    """How many times the users a test needs that treats this share, against one that treats half."""
    return units_needed(0.01, deviation=1.0, treated=share) / units_needed(0.01, deviation=1.0)


EXERCISES = {
    "size": Exercise(
        "Users were randomised; each has 12 impressions, with an intraclass correlation of 0.1. How many percent of A/A "
        "tests by impression are significant at 5%? One decimal.",
        lambda: _size(12, 0.1),
        0.1,
        "The design effect is 1 + 11 x 0.1; the test takes its root for 1.",
        (
            Hint(5.0, "That is what the test claims. Its standard error leaves something out."),
            Hint(
                lambda: 100 * math.erfc(1.959964 / 2.1 / math.sqrt(2)),
                "2.1 is by how much the variance grows, not the standard error.",
            ),
            Hint(lambda: _size(12, 0.1) / 2, "That is one side only; a test is significant on either."),
        ),
    ),
    "cuped": Exercise(
        "A test was planned for 28 days. The metric correlates 0.7 with its value before the test. How many days "
        "does it need with CUPED? One decimal.",
        lambda: (
            28
            * days_needed([0.7], lift=0.01, noise=1.0, users_a_day=1.0)["days"].iloc[0]
            / days_needed([0.0], lift=0.01, noise=1.0, users_a_day=1.0)["days"].iloc[0]
        ),
        0.06,
        "The variance that is left is 1 - 0.49, and days go with the variance.",
        (
            Hint(28 * 0.3, "It is the squared correlation that goes."),
            Hint(28 * 0.49, "That is what CUPED saves. What is left?"),
            Hint(28 * math.sqrt(0.51), "The interval shrinks by the root; days go with the variance."),
        ),
    ),
    "lift": Exercise(
        "100,000 users, half in each arm, one in twenty of whom acts. Which relative lift does a test find four times in "
        "five? In percent, one decimal.",
        lambda: _lift_found(100_000, 0.05),
        0.06,
        "2.8 standard errors, each 2 x 0.218 over the root of 100,000, against a rate of 0.05.",
        (
            Hint(
                lambda: _lift_found(100_000, 0.05) * 0.05,
                "That is in percentage points. Relative to the rate?",
            ),
            Hint(lambda: _lift_found(200_000, 0.05), "That is with 100,000 users in each arm.", 0.06),
        ),
    ),
    "share": Exercise(
        "A cautious team gives the treatment to 1% of users instead of half. How many times as many users does the "
        "test need in all, for the same effect and power? One decimal.",
        lambda: _times_the_users(0.01),
        0.2,
        "The variance goes with 1 / (p (1 - p)): 101 against 4.",
        (
            Hint(50.0, "The small arm is fifty times as small; but the large one is no longer noisy."),
            Hint(math.sqrt(25.25), "That is the interval's width. Users go with its square."),
            Hint(100.0, "Half in each arm isn't free of noise either: compare with that test."),
        ),
    ),
}
