"""How many right answers must an update of a given accuracy break? Bounds and the errors' correlation."""

from __future__ import annotations

import math

import numpy as np

from toolkit.rules import share


def flip_bounds(old: float, new: float) -> tuple[float, float]:
    """The least and the largest share of cases that a new model breaks, given both accuracies.

    Parameters
    ----------
    old, new : float
        Shares of right answers.

    Examples
    --------
    >>> low, high = flip_bounds(0.90, 0.92)
    >>> low, round(high, 2)
    (0.0, 0.08)
    """
    old, new = share("old", old), share("new", new)
    return max(0.0, old - new), min(old, 1 - new)


def negative_flip_rate(old: float, new: float, *, correlation: float = 0.0) -> float:
    """The share of all cases that the old model had right and the new one has wrong.

    Parameters
    ----------
    old, new : float
        Shares of right answers.
    correlation : float
        Between the two models' errors on a case: 0 where they err independently.

    Raises
    ------
    ValueError
        If the correlation is impossible at these accuracies.

    Examples
    --------
    >>> round(negative_flip_rate(0.90, 0.92), 3)
    0.072
    """
    low, high = flip_bounds(old, new)
    spread = math.sqrt(old * (1 - old) * new * (1 - new))
    broken = old * (1 - new) - correlation * spread
    if not low - 1e-12 <= broken <= high + 1e-12:
        least, most = correlation_bounds(old, new)
        raise ValueError(
            f"correlation: got {correlation!r}; at these accuracies it must lie in [{least:.3f}, {most:.3f}]"
        )
    return float(np.clip(broken, low, high))


def correlation_bounds(old: float, new: float) -> tuple[float, float]:
    """The correlations that the errors of two models of these accuracies can have.

    Raises
    ------
    ValueError
        If an accuracy isn't strictly between 0 and 1: its errors are constant.

    Examples
    --------
    >>> [round(end, 3) for end in correlation_bounds(0.90, 0.92)]
    [-0.098, 0.885]
    """
    low, high = flip_bounds(old, new)
    for name, accuracy in (("old", old), ("new", new)):
        if accuracy in (0, 1):
            raise ValueError(f"{name}: got {accuracy!r}; it must lie strictly between 0 and 1")
    spread = math.sqrt(old * (1 - old) * new * (1 - new))
    return (old * (1 - new) - high) / spread, (old * (1 - new) - low) / spread
