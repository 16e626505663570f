"""Exercises of the chapter on feature versions."""

from __future__ import annotations

import math

from toolkit.exercises import Exercise, Hint
from toolkit.features.embeddings import overlap_storage, share_for, skewed_auc

EXERCISES = {
    "share": Exercise(
        "A new two-tower model has d' = 1.5 and with it an AUC of 0.856; the old one has 0.80. Some items still have "
        "embeddings of the old training, whose axes have nothing to do with the new ones. At which share of such "
        "items is the new model only as good as the old one? Three decimals.",
        lambda: share_for(0.80, separation=1.5),
        0.002,
        "A loss of 5.6 points takes little more than one item in six.",
        (
            Hint(
                lambda: (skewed_auc(1.5, 0) - 0.80) / (skewed_auc(1.5, 0) - 0.5),
                "That takes the AUC for linear in the share. A skewed item spoils each pair that it is in, and "
                "most of those are with items that aren't skewed.",
            ),
            Hint(
                lambda: 1 - math.sqrt((0.80 - 0.5) / (skewed_auc(1.5, 0) - 0.5)),
                "That has pairs of one skewed item tell nothing. They tell something: the other item is scored "
                "rightly.",
            ),
            Hint(0.3, "At that share the AUC is 0.759 already."),
        ),
    ),
    "spread": Exercise(
        "Embeddings have length 1 and 64 dimensions. A user's comes from one training, an item's from another. What "
        "is the standard deviation of their score? Three decimals.",
        lambda: math.sqrt(1 / 64),
        0.001,
        "The second training is a random rotation of the first, and a random direction's coordinate has variance 1 / d.",
        (
            Hint(1 / 64, "That is the variance."),
            Hint(0.0, "That is the mean. Single scores aren't 0, only their average is."),
            Hint(1.0, "That is the score of a vector with itself."),
        ),
    ),
    "storage": Exercise(
        "10 million items have embeddings of 256 dimensions at 4 bytes each, and are written to both versions for "
        "the 5 days of a rollout and 9 more days in which one may still go back. How many gigabyte-days does the second version take? One "
        "decimal.",
        lambda: overlap_storage(10_000_000, 256, days=14)["gigabyte_days"],
        0.06,
        "10.24 gigabytes over 14 days. The way back is most of the price.",
        (
            Hint(
                lambda: overlap_storage(10_000_000, 256, days=5)["gigabyte_days"],
                "That ends with the rollout. The old version stays until nobody wants to go back.",
            ),
            Hint(
                lambda: overlap_storage(10_000_000, 256, days=1)["gigabytes"], "That is one version's size."
            ),
            Hint(
                lambda: 2 * overlap_storage(10_000_000, 256, days=14)["gigabyte_days"],
                "One version would be stored anyway. What does the second add?",
            ),
        ),
    ),
}
