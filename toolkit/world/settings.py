"""How large is FooBar International, and how fast does it change?"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields


@dataclass(frozen=True)
class Settings:
    """The dials of the simulated company; the defaults are the book's baseline world.

    Parameters
    ----------
    items : int
        Items in the catalogue.
    candidates : int
        Items considered at each request; no more than there are items.
    requests : int
        Requests a day.
    days : int
        Length of the simulated history.
    users : int
        Users who make the requests.
    half_life : float
        Days after which the correlation of an item's quality with itself has halved.
    intercept : float
        Log-odds of a good match when all else is 0.
    weights : tuple of float
        Weights of the pair features in the log-odds.
    quality_weight : float
        Weight of the item's present quality, which has variance 1.
    static_spread : float
        Standard deviation of what never changes in an item.
    exploration : float
        Share of requests that show a candidate at random.

    Raises
    ------
    ValueError
        If a count is too small, a share outside [0, 1], or a number not finite.

    Examples
    --------
    >>> Settings(items=500).requests
    2000
    """

    items: int = 1000
    candidates: int = 20
    requests: int = 2000
    days: int = 45
    users: int = 5000
    half_life: float = 1.0
    intercept: float = -2.6
    weights: tuple[float, ...] = (0.5, 0.4, 0.3, 0.35, 0.25, 0.2)
    quality_weight: float = 0.9
    static_spread: float = 0.5
    exploration: float = 0.05

    def __post_init__(self) -> None:
        for name, least in (("items", 2), ("candidates", 2), ("requests", 1), ("days", 1), ("users", 2)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise ValueError(f"{name}: got {value!r}; it must be a whole number of at least {least}")
        if self.candidates > self.items:
            raise ValueError(f"candidates: got {self.candidates!r}; there are only {self.items} items")
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, float) and not math.isfinite(value):
                raise ValueError(f"{field.name}: got {value!r}; it must be finite")
        if not self.half_life > 0:
            raise ValueError(f"half_life: got {self.half_life!r}; it must be positive")
        if not 0 <= self.exploration <= 1:
            raise ValueError(f"exploration: got {self.exploration!r}; it must lie in [0, 1]")
        if len(self.weights) < 3 or not all(math.isfinite(weight) for weight in self.weights):
            raise ValueError(f"weights: got {self.weights!r}; there must be at least three, all finite")
        if not self.static_spread >= 0:
            raise ValueError(f"static_spread: got {self.static_spread!r}; it must not be negative")
