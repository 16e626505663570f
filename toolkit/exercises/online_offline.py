"""Exercises of the chapter on the online and the offline version of a feature."""

from __future__ import annotations

from toolkit.exercises import Exercise, Hint
from toolkit.features.encodings import buckets_for, collision_share, float32_survivors
from toolkit.features.mismatch_pairs import NUMBERED, pair_numbers

LARGEST_ID = 30_000_000


def _taken_for(one: str, other: str) -> float:
    """The answer of who takes each of two types for the other."""
    number_of = {name: str(number) for number, name in NUMBERED.items()}
    digits = str(pair_numbers())
    swap = {number_of[one]: number_of[other], number_of[other]: number_of[one]}
    return float("".join(swap.get(digit, digit) for digit in digits))


EXERCISES = {
    "types": Exercise(
        "Name the eight pairs' types: "
        + ", ".join(f"{number} {name}" for number, name in NUMBERED.items())
        + ". Write the eight numbers one after the other, from pair A to pair H, as one number of eight digits.",
        lambda: float(pair_numbers()),
        0.4,
        "Each type leaves a signature that two columns alone show; only the cause needs the code.",
        (
            Hint(
                lambda: _taken_for("offset", "scale"),
                "Two are exchanged: an offset leaves the difference constant, a scale the ratio.",
            ),
            Hint(
                lambda: _taken_for("missing", "default"),
                "Two are exchanged: a default is a value, and looks like any other.",
            ),
            Hint(
                lambda: _taken_for("float32", "quantised"),
                "Two are exchanged: 32 bits hurt large whole numbers, fewer decimals small ones.",
            ),
            Hint(
                lambda: _taken_for("lag", "permuted"),
                "Two are exchanged: where values are exchanged one to one, equal values stay equal.",
            ),
            Hint(
                lambda: _taken_for("float32", "offset"),
                "Two are exchanged: an offset is the same in every row, and 32 bits leave even numbers alone.",
            ),
        ),
    ),
    "collisions": Exercise(
        "200,000 keys are hashed to 2^k buckets. What is the least k at which at most 5% of the keys share "
        "their bucket with another?",
        lambda: float(buckets_for(200_000, 0.05).bit_length() - 1),
        0.1,
        "Collisions fall only as buckets grow: with 20 times as many buckets as keys, one key in twenty collides.",
        (
            Hint(18, "That is about one bucket a key, and more than half of the keys collide.", 0.1),
            Hint(21, f"There {collision_share(200_000, 2**21):.0%} collide still.", 0.1),
            Hint(23, "There fewer collide than need be: can you do with half the buckets?", 0.1),
            Hint(2**22, "That is the number of buckets. Asked is its exponent, k.", 0.5),
        ),
    ),
    "survivors": Exercise(
        "Ids are given out from 1 on, and 30 million have been. What share of them comes back unchanged from a "
        "column of 32-bit floats? Two decimals.",
        lambda: float32_survivors(1, LARGEST_ID + 1),
        0.006,
        "All up to 2^24 survive, and every second one above.",
        (
            Hint(
                2**24 / LARGEST_ID,
                "That lets none above 2^24 survive. Between 2^24 and 2^25 the even ones do.",
            ),
            Hint(0.5, "That is the share of those above 2^24 alone."),
            Hint(1.0, "32-bit floats have 24 bits for the digits."),
            Hint(
                1 - 2**24 / LARGEST_ID,
                "That is the share of ids above 2^24, and half of them survive.",
            ),
        ),
    ),
}
