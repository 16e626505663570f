"""What did scores promise on seldom shown things that didn't come, and does that change by day?"""

from __future__ import annotations

import math

import numpy as np

from toolkit.resampling import Estimate


def promised(score: np.ndarray, y: np.ndarray, seldom: np.ndarray, clusters: np.ndarray) -> Estimate:
    """The mean over all rows of what a seldom shown pick's score promised beyond its outcome.

    A row that isn't seldom counts 0; the others count their score less their outcome, less the mean of
    that over the rows that aren't seldom. The error is the jackknife's by clusters; its degrees of freedom
    are one less than the clusters with seldom rows or those with others, whichever are fewer. Where no
    seldom pick came, or none failed to, outcomes show no spread of their own: the error is then at least
    what the scores, less the others' mean, say of it.

    Parameters
    ----------
    score, y : array of shape (n,)
        Chances of a good match, and whether there was one.
    seldom : array of bool, shape (n,)
        At least one isn't.
    clusters : array of int, shape (n,)
        Whole numbers from 0 that depend on each other's rows within; see `several`.

    Examples
    --------
    A half of the picks promised .5 and brought nothing, where the others were scored rightly:

    >>> y, seldom = np.array([1, 0, 0, 0] * 10), np.array([False, False, True, True] * 10)
    >>> round(promised(np.full(40, 0.5), y, seldom, np.arange(40)).value, 3)
    0.25
    """
    return _estimate(score, y, seldom, None, clusters)


def promised_trend(
    score: np.ndarray, y: np.ndarray, seldom: np.ndarray, day: np.ndarray, clusters: np.ndarray
) -> Estimate:
    """By how much what `promised` averages changes a day: the slope of least squares over rows.

    All nan where the rows are of one day.

    Examples
    --------
    >>> y, day = np.array([1, 0, 0, 0] * 10), np.repeat([0, 1], 20)
    >>> seldom = np.array([False, False, True, True] * 5 + [False] * 20)
    >>> promised_trend(np.full(40, 0.5), y, seldom, day, np.arange(40)).value < 0
    True
    """
    return _estimate(score, y, seldom, np.asarray(day, dtype=float), clusters)


def _estimate(
    score: np.ndarray, y: np.ndarray, seldom: np.ndarray, day: np.ndarray | None, clusters: np.ndarray
) -> Estimate:
    score, seldom = np.asarray(score, dtype=float), np.asarray(seldom, dtype=bool)
    optimism = score - np.asarray(y, dtype=float)
    x = np.zeros(len(score)) if day is None else day - day.mean()
    columns = [np.ones(len(x)), seldom, seldom * optimism, ~seldom * optimism]
    if day is not None:
        columns += [x, x**2, x * seldom, x * seldom * optimism]
    sums = np.stack([np.bincount(clusters, column) for column in columns])
    total = sums.sum(1)
    of = _mean if day is None else _slope
    value = float(of(total))
    with_seldom, with_others = (sums[1] > 0).sum(), (sums[0] > sums[1]).sum()
    freedom = max(0, int(min(with_seldom, with_others)) - 1)
    if not seldom.any():
        return Estimate(value, 0.0 if math.isfinite(value) else math.nan, 0)
    without = of(total[:, None] - sums)
    many = sums.shape[1]
    error = float(np.sqrt((many - 1) / many * ((without - without.mean()) ** 2).sum()))
    if y[seldom].min() == y[seldom].max() and math.isfinite(value):
        others = optimism[~seldom].mean()
        chance = np.clip(score[seldom] - others, 0, 1)
        lever = 1 / len(x) if day is None else x[seldom] / (x**2).sum()
        error = max(error, float(np.sqrt((lever**2 * chance * (1 - chance)).sum())))
    return Estimate(value, error, freedom)


def _mean(sums: np.ndarray) -> np.ndarray:
    """Of sums in the first axis, what the picks promised beyond the others, a row."""
    rows, seldom, picks, others = sums[:4]
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray((picks - seldom * others / (rows - seldom)) / rows)


def _slope(sums: np.ndarray) -> np.ndarray:
    """Of sums in the first axis, the change of that a day."""
    rows, seldom, picks, others, x, squares, x_seldom, x_picks = sums
    with np.errstate(divide="ignore", invalid="ignore"):
        rest = others / (rows - seldom)
        spread = squares - x**2 / rows
        # What rounding leaves of one day's spread isn't a spread.
        spread = np.where(spread > 1e-9 * np.maximum(1, squares), spread, np.nan)
        return np.asarray((x_picks - rest * x_seldom - x / rows * (picks - rest * seldom)) / spread)
