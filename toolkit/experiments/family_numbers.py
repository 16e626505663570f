"""What does a model learn of each family in a night, from the impressions of the day?"""

from __future__ import annotations

import numpy as np
from scipy.special import expit

# The ridge that holds a family's number at the model's belief, that of a shared one, and Newton's steps.
_RIDGE, _SHARED_RIDGE, _STEPS = 2.0, 0.1, 4


class FamilyNumbers:
    """A number for each family, learned as a ridge logistic regression whose prior is yesterday's answer.

    Parameters
    ----------
    families : int
    belief : float
        What a family adds to the log-odds, as long as nothing is known.
    shared : bool
        Whether families also share one number, which has hardly a prior.

    Examples
    --------
    Fifty impressions without a good match, of the first family of two:

    >>> numbers = FamilyNumbers(2, 0.0)
    >>> numbers.learn(np.zeros(50, dtype=int), np.full(50, -2.0), np.zeros(50, dtype=bool), np.ones(50))
    >>> numbers.offsets().round(1).tolist()
    [-1.1, 0.0, 0.0]
    """

    def __init__(self, families: int, belief: float, *, shared: bool = False) -> None:
        self.own = np.full(families, 0.0 if shared else float(belief))
        self.held = np.full(families, _RIDGE)
        self.common, self.common_held = (belief if shared else 0.0), (_SHARED_RIDGE if shared else np.inf)

    def offsets(self) -> np.ndarray:
        """What each family adds, and last what being of none adds."""
        return np.append(self.own + self.common, 0.0)

    def learn(self, family: np.ndarray, base: np.ndarray, y: np.ndarray, counts: np.ndarray) -> None:
        """Newton's method on the day's impressions: per family, sums of residuals and of weights suffice."""
        if not len(family):
            return
        own, common, size = self.own.copy(), self.common, len(self.own)
        for _ in range(_STEPS):
            chance = expit(base + own[family] + common)
            residuals = np.bincount(family, counts * (y - chance), minlength=size)
            weights = np.bincount(family, counts * chance * (1 - chance), minlength=size)
            slope, held = residuals - self.held * (own - self.own), weights + self.held
            if np.isfinite(self.common_held):
                # The shared number first, with the families' own ones eliminated from the equations.
                top = residuals.sum() - self.common_held * (common - self.common) - (weights / held) @ slope
                step = top / (self.common_held + weights.sum() - (weights**2 / held).sum())
                common += step
                slope = slope - weights * step
            own += slope / held
        self.own, self.common, self.held = own, common, held
        if np.isfinite(self.common_held):
            self.common_held += float((weights * (1 - weights / held)).sum())
