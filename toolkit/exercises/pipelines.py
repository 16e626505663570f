"""Exercises of the chapter on reliable data pipelines."""

from __future__ import annotations

import math

from toolkit.exercises import Exercise, Hint
from toolkit.shipping.duplicates import twins_across, variance_factor
from toolkit.shipping.lateness import arrived_share, best_wait, wait_for

EXERCISES = {
    "copies": Exercise(
        "A retry sends one event in twenty three times instead of once; the rest come once. By what must the variance that "
        "the rows claim for a mean be multiplied? To two decimals.",
        lambda: variance_factor({1: 0.95, 3: 0.05}),
        0.006,
        "Few events, but each counts for three: the square of the copies makes rare large multiples worse than common "
        "small ones.",
        (
            Hint(1.1, "That is by how much the rows grew. Each event's weight enters with its square."),
            Hint(
                1.4, "That is the mean of D squared; the rows already claim less variance, by the mean of D."
            ),
            Hint(
                lambda: 1.4 / 1.1**2,
                "That compares with one row an event. Asked is what the rows themselves claim.",
            ),
        ),
    ),
    "twins": Exercise(
        "One event in five is there twice, and rows are split at random, three quarters of them for training. In what percentage of the "
        "held-out rows has the model seen the same event in training? To one decimal.",
        lambda: 100 * twins_across(0.2, held_out=0.25),
        0.06,
        "A model that remembers rows is right on all of these. Split by the event's key, never by the row.",
        (
            Hint(20, "One event in five has a twin; of the rows it is more."),
            Hint(
                lambda: 100 * 0.4 / 1.2,
                "That is the share of rows that have a twin. Some twins are held out too.",
            ),
            Hint(15, "That takes events for rows: an event that is there twice is two of the rows."),
            Hint(30, "Divide by all rows: there are more of them than events."),
        ),
    ),
    "wait": Exercise(
        "Three rows in ten come late, by four hours on average, exponentially; partitions are of an hour. How many "
        "hours after its end is no more than one row in a hundred missing? To one decimal.",
        lambda: wait_for(0.01, late=0.3, mean_delay=4.0),
        0.06,
        "More than three times the mean delay, for the last of the late rows are the ones that one waits for.",
        (
            Hint(
                lambda: wait_for(0.05, late=0.3, mean_delay=4.0),
                "That loses one row in twenty, not one in a hundred.",
            ),
            Hint(lambda: 4 * math.log(30), "Nearly: some late rows come in before the hour is over."),
            Hint(4, "After the mean delay more than a third of the late rows is still to come."),
            Hint(lambda: 4 * math.log(100), "That takes all rows for late ones."),
        ),
    ),
    "price": Exercise(
        "The same rows. An hour of delay costs 1, a percent of the rows left out costs 0.5. At what wait, in hours, is the "
        "sum least? To one decimal.",
        lambda: best_wait(late=0.3, mean_delay=4.0, delay_price=1.0, loss_price=0.5),
        0.06,
        "At that wait one more hour brings rows worth just what it costs: a short wait, which loses several rows in a hundred.",
        (
            Hint(
                lambda: best_wait(late=0.3, mean_delay=4.0, delay_price=1.0, loss_price=1.0),
                "That is for a percent that costs 1.",
            ),
            Hint(
                lambda: best_wait(late=0.3, mean_delay=4.0, delay_price=1.0, loss_price=2.0),
                "That is for a percent that costs 2: turn the price round.",
            ),
            Hint(
                lambda: 100 * (1 - float(arrived_share(0.0, late=0.3, mean_delay=4.0))),
                "That is the percentage that is missing if nobody waits.",
            ),
        ),
    ),
}
