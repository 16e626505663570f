"""How well does a sum that holds a row's own label tell that label?"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy.stats import binom

from toolkit.rules import count, number

__all__ = ["fewest_events", "leak_auc"]


@lru_cache(maxsize=4096)
def leak_auc(n: int, p: float) -> float:
    """The AUC of a sum of a row's own label and n other events that have nothing to do with it.

    Each of the others is 1 with chance p, so good rows have 1 + S and bad ones S, both S binomial.
    From a few events on it is close to 1/2 + 1 / (2 sqrt(pi n p (1 - p))).

    Parameters
    ----------
    n : int
        Other events behind the feature; without any it is the label itself.
    p : float
        Chance that an event is a 1, strictly between 0 and 1.

    Examples
    --------
    >>> [round(leak_auc(n, 0.1), 3) for n in (1, 5, 10, 30, 100)]
    [0.955, 0.84, 0.767, 0.666, 0.593]
    """
    count("n", n, least=0)
    number("p", p, above=0, below=1)
    # Far from the mean nothing is left to sum.
    spread = 40 * np.sqrt(n * p * (1 - p)) + 40
    s = np.arange(max(0, int(n * p - spread)), min(n, int(n * p + spread)) + 1)
    chance = binom.pmf(s, n, p)
    # 1 + S is above another S where that is S at most; a tie is S + 1, and counts half.
    return float(chance @ (binom.cdf(s, n, p) + binom.pmf(s + 1, n, p) / 2))


def fewest_events(excess: float, p: float) -> int:
    """The smallest number of other events at which one's own label adds less than `excess` to an AUC of one half.

    Parameters
    ----------
    excess : float
        Strictly between 0 and 1/2.
    p : float
        Chance that an event is a 1.

    Examples
    --------
    >>> fewest_events(0.01, 0.1)
    8840
    """
    number("excess", excess, above=0, below=0.5)
    low, high = 0, 1
    while leak_auc(high, p) - 0.5 >= excess:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if leak_auc(middle, p) - 0.5 >= excess else (low, middle)
    return high
