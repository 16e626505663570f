"""How lucky is a winner? The choice repeated on resamples of the evidence that it was made on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import chi2

from toolkit.resampling import bootstrap


@dataclass(frozen=True)
class Reselected:
    """The choice of the best of some runs, repeated.

    Parameters
    ----------
    optimism : array of shape (replicates,)
        In each repetition, by how much the run that won read too good.
    noise : array of shape (replicates, runs)
        By how much each run read too good in each repetition.
    winner : int
        The run that won first.
    real : float
        The share of the runs' spread that is a difference of worth rather than luck.
    p : float or None
        How often a winner would lead the runs' mean by as much if all were worth the same; None for one run.
    """

    optimism: np.ndarray
    noise: np.ndarray
    winner: int
    real: float
    p: float | None

    def ends(self, alpha: float) -> tuple[float, float]:
        """Between which bounds the first winner's luck lies, whatever the runs are worth.

        It isn't above the luckiest run's. Nor is it below that of the run that is truly best, which
        nothing chose: had the winner been less lucky than that, it wouldn't have won.
        """
        low = np.quantile(self.noise[:, self.winner], alpha / 2)
        return float(low), float(np.quantile(self.noise.max(axis=1), 1 - alpha / 2))


def from_rows(values: np.ndarray, clusters: Any, *, replicates: int, rng: Any) -> Reselected:
    """The choice repeated on resamples of the held-out rows.

    Parameters
    ----------
    values : array of shape (rows, runs)
        What each row adds to each run's metric, which is their mean.
    clusters : array of shape (rows,)
    replicates : int
    rng : int or Generator

    Examples
    --------
    Runs that are all worth the same; the winner reads as much too good as theory says:

    >>> from toolkit.shipping.winner import expected_maximum
    >>> values = np.random.default_rng(0).normal(size=(500, 30))
    >>> luck = from_rows(values, range(500), replicates=500, rng=0).optimism.mean() * 500**0.5
    >>> bool(abs(luck - expected_maximum(30)) < 0.3)
    True
    """
    metrics = values.mean(axis=0)
    drawn = bootstrap(lambda weight: weight @ values / weight.sum(), clusters, replicates=replicates, rng=rng)
    groups = len(pd.unique(np.asarray(clusters)))
    # Drawn from as many as there are, few clusters vary less than they would anew.
    return _again(metrics, np.sqrt(groups / (groups - 1)) * (drawn - metrics), by_rows=True)


def from_errors(metrics: np.ndarray, errors: np.ndarray, *, replicates: int, rng: Any) -> Reselected:
    """The choice repeated with the runs' standard errors alone, their rows not being known.

    Runs on one holdout share its luck, which chooses none of them. How much they share can't be seen
    without rows; but what is their own can't be more than what they differ by.

    Parameters
    ----------
    metrics, errors : arrays of shape (runs,)
    replicates : int
    rng : int or Generator

    Examples
    --------
    Equal readings leave no room for luck:

    >>> bool(from_errors(np.full(10, 0.7), np.full(10, 0.01), replicates=100, rng=0).optimism.std() < 0.02)
    True
    """
    draw = np.random.default_rng(rng)
    noise, own = float((errors**2).mean()), 1.0
    if len(metrics) > 1 and noise:
        # An upper confidence bound of it: few runs may lie close together by chance.
        degrees = len(metrics) - 1
        own = min(1.0, degrees * float(metrics.var(ddof=1)) / chi2.ppf(0.05, degrees) / noise)
    shape = (replicates, len(metrics))
    common = np.sqrt(1 - own) * draw.normal(size=(replicates, 1))
    return _again(metrics, errors * (np.sqrt(own) * draw.normal(size=shape) + common), by_rows=False)


def _again(metrics: np.ndarray, noise: np.ndarray, *, by_rows: bool) -> Reselected:
    runs = len(metrics)
    if runs == 1:
        return Reselected(noise[:, 0], noise, 0, 1.0, None)
    own = noise - noise.mean(axis=1, keepdims=True)
    luck, spread = float(own.var(axis=0).sum()) / (runs - 1), float(metrics.var(ddof=1))
    if not by_rows:
        # A lower confidence bound: the answer without rows must not fall short by the readings' chance.
        spread *= (runs - 1) / chi2.ppf(0.95, runs - 1)
    real = max(0.0, 1 - luck / spread) if spread else 0.0
    # The readings are spread by luck already; were they taken for the truth, luck would count twice
    # and the repeated choice would follow the first one's.
    worth = metrics.mean() + np.sqrt(real) * (metrics - metrics.mean())
    best = (worth + noise).argmax(axis=1)
    lead = metrics.max() - metrics.mean()
    p = (1 + int((own.max(axis=1) >= lead).sum())) / (1 + len(noise)) if by_rows else None
    return Reselected(noise[np.arange(len(noise)), best], noise, int(metrics.argmax()), real, p)
