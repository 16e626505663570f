"""How sure is a mean over time, when what it costs comes in a few lasting bouts? Blocks, studentised."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from toolkit.resampling import bootstrap
from toolkit.rules import count, level

__all__ = ["BlockMean", "block_means"]


class BlockMean(NamedTuple):
    """Means with what is known of their luck.

    Parameters
    ----------
    mean, error, half : array of shape (...)
        The ratio of sums, its standard error, and half of its symmetric interval's width.
    p : array of shape (...)
        Of "it is 0"; nan where all blocks are alike.
    """

    mean: np.ndarray
    error: np.ndarray
    half: np.ndarray
    p: np.ndarray


def block_means(
    added: Any, held: Any, *, alpha: float = 0.05, replicates: int = 500, rng: Any = 0
) -> BlockMean:
    """Sums over blocks of a time series divided by the blocks' weights, with a bootstrap of whole blocks.

    Studentised, and symmetric: a loss whose blocks are skewed, because the level jumped in a few of
    them, has a mean that is skewed too, and a plain interval that is too short.

    Parameters
    ----------
    added, held : array of shape (..., blocks)
        Each block's sum and weight; at least four blocks.
    alpha, replicates, rng
        Level, replicates and randomness of the bootstrap.

    Raises
    ------
    ValueError
        If shapes differ, there are fewer than four blocks, or a row of weights is 0 or negative.

    Examples
    --------
    >>> told = block_means([1.0, 2.0, 3.0, 4.0, 1.0, 3.0, 2.0, 4.0], np.ones(8))
    >>> round(float(told.mean), 2), round(float(told.error), 3), bool(told.p < 0.05)
    (2.5, 0.423, True)
    """
    level(alpha), count("replicates", replicates)
    sums, weights = np.asarray(added, dtype=float), np.asarray(held, dtype=float)
    if sums.shape[-1:] != weights.shape[-1:] or sums.shape[-1] < 4:
        raise ValueError(
            f"held: got shape {weights.shape} for sums of shape {sums.shape}; they must have the same blocks, 4 at least"
        )
    if not (weights >= 0).all() or not (weights.sum(-1) > 0).all():
        raise ValueError("held: got weights that are negative or all 0; each row needs some")
    blocks = sums.shape[-1]

    def studied(times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        total = (weights * times).sum(-1)
        mean = (sums * times).sum(-1) / total
        spread = (((sums - mean[..., None] * weights) ** 2) * times).sum(-1)
        return mean, np.sqrt(spread * blocks / (blocks - 1)) / total

    mean, error = studied(np.ones(blocks))

    def pivot(times: np.ndarray) -> np.ndarray:
        # A draw of one block only, or of blocks without weight, tells nothing of its own spread.
        with np.errstate(invalid="ignore", divide="ignore"):
            drawn, spread = studied(times)
            return np.abs(drawn - mean) / spread

    pivots = bootstrap(pivot, np.arange(blocks), replicates=replicates, rng=rng)
    pivots = np.where(np.isnan(pivots), 0.0, pivots)
    half = np.quantile(pivots, 1 - alpha, axis=0, method="higher") * error
    with np.errstate(invalid="ignore", divide="ignore"):
        far = np.where(error > 0, np.abs(mean) / error, np.nan)
    p = np.where(np.isnan(far), np.nan, (1 + (pivots >= far).sum(0)) / (1 + replicates))
    return BlockMean(mean, error, np.where(error > 0, half, 0.0), p)
