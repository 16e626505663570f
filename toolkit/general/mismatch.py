"""The rows you judge by aren't those you serve: what do weights mend, and how many rows do they leave?"""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["effective_sample_size"]


def effective_sample_size(weights: Any) -> float:
    """The number of equally weighted rows whose mean is as precise as that of the weighted ones (Kish).

    Parameters
    ----------
    weights : array of shape (n,)
        Not negative, not all 0.

    Raises
    ------
    ValueError
        If a weight is negative or not finite, or all are 0.

    References
    ----------
    Kish (1965), Survey Sampling.

    Examples
    --------
    >>> effective_sample_size([1, 1, 1, 1])
    4.0
    >>> round(effective_sample_size([100, 1, 1, 1]), 2)
    1.06
    """
    given = np.asarray(weights, dtype=float)
    bad = ~(np.isfinite(given) & (given >= 0))
    if bad.any():
        raise ValueError(f"weights: got {given[bad][0]}; a weight is finite and not negative")
    largest = given.max(initial=0.0)
    if not largest > 0:
        raise ValueError("weights: got no weight above 0; a weighted mean needs one")
    # In units of the largest, so that no square overflows.
    scaled = given / largest
    return float(scaled.sum() ** 2 / (scaled**2).sum())
