"""How many identifiers does an encoding keep apart?"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from toolkit.rules import count, number

__all__ = [
    "buckets_for",
    "chance_of_none_right",
    "collision_share",
    "float32_gap",
    "float32_survivors",
    "places_kept",
]


def float32_gap(size: float) -> int:
    """How far apart neighbouring whole numbers of 32-bit floats are, at this size or just above it.

    Examples
    --------
    >>> float32_gap(2**24 - 1), float32_gap(2**24), float32_gap(1_000_000_000)
    (1, 2, 64)
    """
    largest = number("size", abs(size), below=2.0**127)
    return max(1, int(np.spacing(np.float32(2.0 ** math.floor(math.log2(max(largest, 1.0)))))))


def float32_survivors(first: int, last: int) -> float:
    """The share of the whole numbers from `first` to before `last` that 32-bit floats hold exactly.

    Parameters
    ----------
    first, last : int
        Not negative, the second larger; below 2^63.

    Examples
    --------
    >>> float32_survivors(0, 2**24), float32_survivors(2**24, 2**25), float32_survivors(2**25, 2**26)
    (1.0, 0.5, 0.25)
    """
    count("first", first, least=0), count("last", last, least=first + 1)
    if last > 2**63:
        raise ValueError(f"last: got {last}; it must be 2**63 at most")
    kept, low = 0, first
    while low < last:
        # Within a power of two the gap is the same.
        gap = 2 ** max(0, low.bit_length() - 24)
        high = min(last, 2 ** max(low.bit_length(), 24))
        kept += -(-high // gap) - -(-low // gap)
        low = high
    return kept / (last - first)


def collision_share(keys: int, buckets: int) -> float:
    """The expected share of keys that share their bucket with another, hashed evenly.

    Examples
    --------
    >>> round(collision_share(1_000_000, 2**20), 3)
    0.615
    """
    count("keys", keys), count("buckets", buckets)
    if buckets == 1:
        return float(keys > 1)
    return -math.expm1((keys - 1) * math.log1p(-1 / buckets))


def buckets_for(keys: int, share: float) -> int:
    """The least power of two of buckets at which at most this share of the keys collides.

    Examples
    --------
    >>> buckets_for(1_000_000, 0.01) == 2**27
    True
    """
    number("share", share, above=0, below=1)
    buckets = 1
    while collision_share(keys, buckets) > share:
        buckets *= 2
    return buckets


def places_kept(order: Sequence[str], other: Sequence[str]) -> int:
    """How many categories have the same place in two enumerations of them.

    For orders that have nothing to do with each other it is 1 on average, however many there are.

    Raises
    ------
    ValueError
        If they aren't the same categories, each once.

    Examples
    --------
    >>> places_kept(["a", "b", "c"], ["c", "b", "a"])
    1
    """
    if len(set(order)) < len(order) or sorted(order) != sorted(other):
        raise ValueError(f"other: got {len(other)} categories; it must be those of order, each once")
    return sum(a == b for a, b in zip(order, other, strict=True))


def chance_of_none_right(categories: int) -> float:
    """The chance that a random enumeration leaves none of the categories at its place.

    References
    ----------
    Montmort (1713): derangements.

    Examples
    --------
    >>> round(chance_of_none_right(3), 4), round(chance_of_none_right(50), 4)
    (0.3333, 0.3679)
    """
    count("categories", categories)
    return math.fsum((-1) ** k / math.factorial(k) for k in range(categories + 1))
