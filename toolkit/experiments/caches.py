"""What does an A/A test of unequal shares report, when the arms share a cache?

The cache keeps what was asked for last. Its key has the model's name, so that each arm finds only what
its own users asked for. An arm with few users asks for each item more seldom, finds it dropped more
often, and is slower: by its share, not by its model.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.optimize import brentq

from toolkit.rules import count, number, share


def popularity(items: int, *, slope: float = 1.0) -> np.ndarray:
    """The share of requests for each item, falling with its rank as rank^-slope (Zipf).

    Parameters
    ----------
    items : int
    slope : float
        Not negative; 0 for equal items.

    Examples
    --------
    >>> popularity(3).round(3).tolist()
    [0.545, 0.273, 0.182]
    """
    if number("slope", slope) < 0:
        raise ValueError(f"slope: got {slope!r}; it must not be negative")
    weight = np.arange(1, count("items", items) + 1, dtype=float) ** -slope
    result: np.ndarray = weight / weight.sum()
    return result


def hit_rates(asked: np.ndarray, *, room: int, shares: Sequence[float]) -> list[float]:
    """The chance that an arm's request is found in the cache, for arms of these shares (Che's approximation).

    Parameters
    ----------
    asked : array of shape (items,)
        Share of requests for each item, the same in all arms.
    room : int
        Entries that the cache has room for; fewer than arms times items, or all is found.
    shares : sequence of float
        Each arm's share of the requests; 1 in sum.

    References
    ----------
    Martina, Garetto and Leonardi (2013), "A unified approach to the performance analysis of caching
    systems", arXiv 1307.6702.

    Examples
    --------
    >>> [round(rate, 2) for rate in hit_rates(popularity(1000), room=200, shares=[0.1, 0.9])]
    [0.38, 0.67]
    """
    parts = [share("shares", part, open_low=True) for part in shares]
    if not parts or abs(sum(parts) - 1) > 1e-9:
        raise ValueError(f"shares: got {list(shares)}; they must be 1 in sum")
    if count("room", room) >= len(asked) * len(parts):
        return [1.0] * len(parts)
    # An entry stays as long as it takes to ask for `room` others.
    rates = np.outer(parts, asked)

    def filled(log_time: float) -> float:
        return float(-np.expm1(-rates * np.exp(log_time)).sum()) - room

    time = np.exp(brentq(filled, np.log(room) - 2, np.log(room / rates.min()) + 5))
    return [float(asked @ -np.expm1(-part * asked * time)) for part in parts]


def least_recently_used(
    asked: np.ndarray, *, room: int, shares: Sequence[float], requests: int, rng: int = 0
) -> list[float]:
    """The hit rate of each arm in a real cache of that kind, request by request: what `hit_rates` approximates.

    Parameters
    ----------
    asked, room, shares
        As in `hit_rates`.
    requests : int
        The first half fills the cache and isn't counted.
    rng : int

    Examples
    --------
    >>> rates = least_recently_used(popularity(50), room=60, shares=[0.5, 0.5], requests=2_000)
    >>> all(0.7 < rate < 1 for rate in rates)
    True
    """
    count("requests", requests, least=2)
    draw = np.random.default_rng(rng)
    arms = draw.choice(len(shares), requests, p=shares)
    items = draw.choice(len(asked), requests, p=asked)
    kept: OrderedDict[tuple[int, int], None] = OrderedDict()
    found, seen = np.zeros(len(shares)), np.zeros(len(shares))
    for at, key in enumerate(zip(arms.tolist(), items.tolist(), strict=True)):
        hit = key in kept
        kept[key] = None
        kept.move_to_end(key)
        if len(kept) > room:
            kept.popitem(last=False)
        if 2 * at >= requests:
            seen[key[0]] += 1
            found[key[0]] += hit
    return (found / seen).tolist()


def by_share(
    treated: Sequence[float],
    *,
    items: int = 1_000,
    room: int = 200,
    slope: float = 1.0,
    same_size: bool = False,
) -> pd.DataFrame:
    """Both arms' hit rates in an A/A test, by the treatment's share of requests.

    Parameters
    ----------
    treated : sequence of float
        Shares, strictly between 0 and 1; up to a half where the control must be as large.
    items, room, slope
        As in `popularity` and `hit_rates`.
    same_size : bool
        Whether the control is as small as the treatment, with a key of its own; the other requests
        are in neither.

    Returns
    -------
    DataFrame
        `treated`, `arm` ("treatment", "control", "launched": everybody under one key), `hits`.

    Examples
    --------
    >>> by_share([0.1])["arm"].tolist()
    ['treatment', 'control', 'launched']
    """
    asked = popularity(items, slope=slope)
    launched = hit_rates(asked, room=room, shares=[1.0])[0]
    rows = []
    for part in treated:
        number("treated", part, above=0, below=1)
        if same_size and part > 0.5:
            raise ValueError(f"treated: got {part}; with a control as large it must be 0.5 at most")
        shares = [part, 1 - part] if not same_size else [part, part, 1 - 2 * part]
        rates = hit_rates(asked, room=room, shares=[each for each in shares if each > 1e-9])
        rows += [(part, "treatment", rates[0]), (part, "control", rates[1]), (part, "launched", launched)]
    return pd.DataFrame(rows, columns=["treated", "arm", "hits"])
