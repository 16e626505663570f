"""What keeps an update from breaking what was right, and what does that cost? On handwritten digits.

FooBar reads the digits that are written by hand on return slips. The data are scikit-learn's: 1,797
real digits, 8 by 8 pixels each. The models are kernel ridge regressions on the ten classes' indicators,
which take soft targets and weights, so that distillation is one fit with other targets.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd

from toolkit.rules import count, number, one_of

TESTED = 1000
ALL_PIXELS = 64
_CLASSES = 10


@dataclass(frozen=True)
class Update:
    """Two versions' answers on the digits that neither was trained on.

    Parameters
    ----------
    reference, current, y : arrays of shape (n,)
        The old version's digit, the new one's, the true one.
    """

    reference: np.ndarray
    current: np.ndarray
    y: np.ndarray

    def rates(self) -> dict[str, float]:
        """Accuracy before and after, and the shares of cases that were broken and repaired.

        Examples
        --------
        >>> update = Update(np.array([1, 2]), np.array([1, 3]), np.array([1, 2]))
        >>> update.rates()
        {'old': 1.0, 'new': 0.5, 'broken': 0.5, 'repaired': 0.0}
        """
        before, after = self.reference == self.y, self.current == self.y
        return {
            "old": float(before.mean()),
            "new": float(after.mean()),
            "broken": float((before & ~after).mean()),
            "repaired": float((~before & after).mean()),
        }

    def decisions(self) -> pd.DataFrame:
        """One row a digit, as `toolkit.shipping.compatibility.flips` reads it; its segment is the true digit.

        Examples
        --------
        >>> Update(np.array([1]), np.array([7]), np.array([1])).decisions().columns.tolist()
        ['reference', 'current', 'y', 'segment']
        """
        return pd.DataFrame(
            {"reference": self.reference, "current": self.current, "y": self.y, "segment": self.y}
        )


@lru_cache(maxsize=1)
def _digits() -> tuple[np.ndarray, np.ndarray]:
    from sklearn.datasets import load_digits

    pixels, digit = load_digits(return_X_y=True)
    return pixels / 16, digit


def update(
    weight: float = 0.0,
    *,
    kind: str = "focal",
    members: int = 1,
    pixels: int = ALL_PIXELS,
    kept: bool = False,
    old_rows: int = 80,
    new_rows: int = 100,
    rng: int = 0,
) -> Update:
    """Train an old version on some digits and a new one on others, and let both read a thousand more.

    Parameters
    ----------
    weight : float
        How much the new version is drawn to the old one's scores; 0 for plain training.
    kind : "focal" or "plain"
        `focal` draws it on the digits that the old version had right, and a tenth as much on the others; `plain`
        draws it on all alike.
    members : int
        Models in each version, whose scores are averaged.
    pixels : int
        How many of the 64 pixels each model sees, drawn for it.
    kept : bool
        Whether the old version's digits are among those that train the new one.
    old_rows, new_rows : int
        Digits that each version is trained on.
    rng : int
        Which digits train whom.

    References
    ----------
    Yan et al. (2021), "Positive-Congruent Training: Towards Regression-Free Model Updates", CVPR.

    Examples
    --------
    >>> free, held = update().rates(), update(weight=2.0).rates()
    >>> held["broken"] < free["broken"]
    True
    """
    if number("weight", weight) < 0:
        raise ValueError(f"weight: got {weight!r}; it must be a finite number, 0 at least")
    one_of("kind", kind, ["focal", "plain"])
    count("members", members)
    if count("pixels", pixels) > ALL_PIXELS:
        raise ValueError(f"pixels: got {pixels}; there are {ALL_PIXELS}")
    image, digit = _digits()
    most = len(digit) - TESTED
    if count("old_rows", old_rows) + count("new_rows", new_rows) > most:
        raise ValueError(f"new_rows: got {new_rows} beside {old_rows} old ones; there are {most} in all")
    draw = np.random.default_rng(rng)
    order = draw.permutation(len(digit))
    begin = 0 if kept else old_rows
    first, second = order[:old_rows], order[begin : begin + new_rows]
    tested = order[-TESTED:]
    hot = np.eye(_CLASSES)[digit]
    old = _fit(image[first], hot[first], np.ones(old_rows), members, pixels, draw)
    said = _say(old, image[second])
    right = said.argmax(axis=1) == digit[second]
    pull = weight * (np.where(right, 1.0, 0.1) if kind == "focal" else np.ones(new_rows))
    # The weighted sum of two squared distances is one distance to their mean, with the weights' sum.
    target = (hot[second] + pull[:, None] * said) / (1 + pull)[:, None]
    new = _fit(image[second], target, 1 + pull, members, pixels, draw)
    before, after = (_say(version, image[tested]).argmax(axis=1) for version in (old, new))
    return Update(before, after, digit[tested])


@lru_cache(maxsize=256)
def mean_rates(
    weight: float = 0.0,
    *,
    kind: str = "focal",
    members: int = 1,
    pixels: int = ALL_PIXELS,
    kept: bool = False,
    repeats: int = 6,
) -> Mapping[str, float]:
    """The rates of `update`, averaged over repeats with other digits.

    Examples
    --------
    >>> sorted(mean_rates(repeats=1))
    ['broken', 'new', 'old', 'repaired']
    """
    settings = {"kind": kind, "members": members, "pixels": pixels, "kept": kept}
    every = [update(weight, rng=rng, **settings).rates() for rng in range(count("repeats", repeats))]  # type: ignore[arg-type]
    return MappingProxyType({name: float(np.mean([each[name] for each in every])) for name in every[0]})


def frontier(weights: Sequence[float], *, kind: str, kept: bool = False, repeats: int = 6) -> pd.DataFrame:
    """Accuracy and broken share by the weight of the pull to the old version.

    Examples
    --------
    >>> frontier([0.0, 2.0], kind="focal", repeats=1)["weight"].tolist()
    [0.0, 2.0]
    """
    return pd.DataFrame(
        {"weight": weight, **mean_rates(weight, kind=kind, kept=kept, repeats=repeats)} for weight in weights
    )


def _fit(
    image: np.ndarray,
    target: np.ndarray,
    weight: np.ndarray,
    members: int,
    pixels: int,
    draw: np.random.Generator,
) -> list[tuple[np.ndarray, Any]]:
    from sklearn.kernel_ridge import KernelRidge

    fitted = []
    for _ in range(members):
        some = draw.choice(ALL_PIXELS, pixels, replace=False)
        model = KernelRidge(alpha=0.02, kernel="rbf", gamma=0.05 * ALL_PIXELS / pixels)
        fitted.append((some, model.fit(image[:, some], target, sample_weight=weight)))
    return fitted


def _say(version: list[tuple[np.ndarray, Any]], image: np.ndarray) -> np.ndarray:
    scores: np.ndarray = np.mean([model.predict(image[:, some]) for some, model in version], axis=0)
    return scores
