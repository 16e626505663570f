"""What does it cost to show a share of requests at random, and how sharply do these rows then see?"""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.stats import norm

from toolkit.rules import count, level, number, share

__all__ = ["auc_error", "exploration_plan"]


def auc_error(auc: float, positives: float, negatives: float) -> float:
    """The standard error of an AUC that was measured on so many independent positives and negatives.

    Parameters
    ----------
    auc : float
        Strictly between 0 and 1.
    positives, negatives : float
        Numbers of rows, 1 at least; expected numbers need not be whole.

    References
    ----------
    Hanley and McNeil (1982), Radiology 143: for scores whose distributions are about exponential.

    Examples
    --------
    >>> round(auc_error(0.5, 100, 100), 4)  # the exact value is the square root of 201 / 120,000
    0.0409
    """
    number("auc", auc, above=0, below=1)
    for name, rows in (("positives", positives), ("negatives", negatives)):
        if not rows >= 1:
            raise ValueError(f"{name}: got {rows!r}; it must be 1 at least")
    two_good, two_bad = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    variance = auc * (1 - auc) + (positives - 1) * (two_good - auc**2) + (negatives - 1) * (two_bad - auc**2)
    return float(np.sqrt(variance / (positives * negatives)))


def exploration_plan(
    epsilon: float,
    requests: int,
    *,
    value_old: float,
    value_random: float,
    auc: float = 0.7,
    positive_rate: float | None = None,
    correlation: float = 0.3,
    difference: float = 0.03,
    alpha: float = 0.05,
) -> pd.Series:
    """The price of exploration, and how finely its rows tell two scores apart.

    Parameters
    ----------
    epsilon : float
        Share of requests that show a candidate drawn at random, in (0, 1].
    requests : int
        Requests in the period.
    value_old, value_random : float
        Reward a request under the old policy and under a random one.
    auc : float
        About what either score's AUC is.
    positive_rate : float, optional
        Share of good rows among those drawn at random; `value_random` where not given.
    correlation : float
        Of the two scores' AUCs over samples, in [0, 1): the more alike the scores, the higher.
    difference : float
        The difference of AUC that is to be found.

    Returns
    -------
    Series
        `price` (reward lost in all), `explored` (rows), `se` of the difference of AUC,
        `power` to find `difference` at level `alpha`.

    Examples
    --------
    >>> plan = exploration_plan(0.05, 60_000, value_old=0.29, value_random=0.12)
    >>> round(plan["price"]), round(float(plan["se"]), 3)
    (510, 0.019)
    """
    share("epsilon", epsilon, open_low=True)
    count("requests", requests)
    share("correlation", correlation, open_high=True)
    level(alpha)
    for name, value in (("value_old", value_old), ("value_random", value_random), ("difference", difference)):
        number(name, value)
    rate = number("positive_rate", value_random if positive_rate is None else positive_rate, above=0, below=1)
    rows = epsilon * requests
    se = auc_error(auc, rows * rate, rows * (1 - rate)) * np.sqrt(2 * (1 - correlation))
    edge = norm.isf(alpha / 2)
    return pd.Series(
        {
            "price": rows * (value_old - value_random),
            "explored": rows,
            "se": se,
            "power": norm.sf(edge - difference / se) + norm.cdf(-edge - difference / se),
        }
    )
