"""Exercises of the opening story."""

from __future__ import annotations

from toolkit.exercises import Exercise, Hint
from toolkit.intro import attribution, tell
from toolkit.world import Settings
from toolkit.world.mechanisms import MECHANISMS


def _share_of_missing() -> float:
    """The part of the baseline gap that missing keys make, in percent."""
    found = attribution(tell(), replicates=0)
    return 100 * found.parts["missing"] / found.gap


def _first_in() -> float:
    found = attribution(tell(), replicates=0).table.set_index("switch")
    return float(100 * found["first_in"]["missing"] / (found["part"].sum()))


def _online_without_missing_keys() -> float:
    return 100 * tell(Settings(items=500), missing=0.0).lift(set(MECHANISMS))


EXERCISES = {
    "missing": Exercise(
        "What share of the gap between the claimed and the real lift do missing keys make in the baseline "
        "world (seed 0), in percent?",
        _share_of_missing,
        1.5,
        "It is the largest single part: a served 0 is a log-odds far above every real value, so an item "
        "without a key wins its request.",
        (
            Hint(
                _first_in,
                "That is what missing keys do alone in the notebook. Alone, a switch takes more than its part, because each spoils the same feature.",
            ),
            Hint(10.0, "That is the share of keys that are missing."),
        ),
    ),
    "repair": Exercise(
        "With 500 items and no missing keys, what is the leaky model's relative lift in production, in percent (seed 0)?",
        _online_without_missing_keys,
        0.6,
        "The same leaky model wins its A/B test once the store finds its keys: its feature is stale and leaky "
        "in training, but still worth something.",
        (
            Hint(
                lambda: 100 * tell(Settings(items=500)).lift(set(MECHANISMS)),
                "That is its lift with a tenth of the keys missing.",
            ),
            Hint(
                lambda: 100 * tell(missing=0.0).lift(set(MECHANISMS)),
                "That is the baseline world of a thousand items. Pass Settings(items=500).",
            ),
        ),
    ),
}
