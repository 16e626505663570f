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


def _first_in(of: str) -> float:
    found = attribution(tell(), replicates=0)
    alone = found.table.set_index("switch")["first_in"]["missing"]
    return float(100 * alone / (found.gap if of == "gap" else -found.start))


def _online(items: int, missing: float) -> float:
    return 100 * tell(Settings(items=items), missing=missing).lift(set(MECHANISMS))


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
                lambda: _first_in("gap"),
                "That is what missing keys do alone in the notebook. Alone, a switch takes more than its part, because each spoils the same feature.",
            ),
            Hint(
                lambda: _first_in("claim"),
                "That is what missing keys take of the claim when they come first. Take their part, and the gap.",
            ),
            Hint(lambda: _share_of_missing() / 100, "That is a share; give percent.", 0.02),
            Hint(10.0, "That is the share of keys that are missing."),
        ),
    ),
    "repair": Exercise(
        "In random world 0, with 500 items and a half-life of one day, how many percentage points of relative lift in production do "
        "missing keys (a tenth of them) cost the leaky model?",
        lambda: _online(500, 0.0) - _online(500, 0.1),
        0.6,
        "Enough to turn its sign: the same leaky model wins its A/B test once the store finds its keys. Its feature "
        "is stale and leaky in training, but still worth something.",
        (
            Hint(
                lambda: _online(500, 0.0),
                "That is its lift when all keys are found. What does it lose when some aren't?",
            ),
            Hint(lambda: _online(500, 0.1), "That is its lift with a tenth of the keys missing."),
            Hint(
                lambda: _online(1000, 0.0) - _online(1000, 0.1),
                "That is the baseline world of a thousand items.",
                0.3,
            ),
            Hint(lambda: _online(500, 0.1) - _online(500, 0.0), "Turn the sign: how much does it cost?"),
            Hint(
                lambda: (_online(500, 0.0) - _online(500, 0.1)) / 100,
                "That is a share; give percentage points.",
                0.006,
            ),
        ),
    ),
}
