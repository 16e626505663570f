"""Which curve of a model's experience do tests at two shares of traffic lie on, and where does a launch?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from scipy.stats import t as student

from toolkit.resampling import welch_freedom

Source = Literal["own", "control"]

# Impressions that correct half of what a model doesn't know, as multiples of the largest number seen.
_WORTHS = np.geomspace(1 / 200, 20, 41)


class ShareTest(NamedTuple):
    """A test at one share of traffic: its effect day by day, in units of the outcome, and what taught its model.

    `learned` has the impressions before each day, the arm's own and control's. `covariance` is that of the
    days' effects and, last, of `base`, control's mean outcome. `freedom` is one less than the clusters of
    the smaller arm, counted by (sum of sizes)^2 / sum of sizes^2: as many as weigh that much if all are alike.
    """

    traffic: float
    impressions: int
    learned: dict[Source, np.ndarray]
    effects: np.ndarray
    base: float
    covariance: np.ndarray
    weights: np.ndarray
    control_rows: int
    freedom: float

    @property
    def effect(self) -> float:
        """The days' mean effect."""
        return float(np.average(self.effects, weights=self.weights))

    @property
    def error(self) -> float:
        """The standard error of `effect`."""
        share = self.weights / self.weights.sum()
        return float(np.sqrt(share @ self.covariance[:-1, :-1] @ share))


class Launch(NamedTuple):
    """What a launch would bring: lifts, as shares of control's mean outcome over all tests, `base`.

    `drawn` are draws of `lift`, `lifts` draws of each test's own (one column a test), `fitted` the curve's
    lift for each test, `otherwise` the launch's were it the other source that teaches, and `p` that of
    equal effects in the first and the last test.
    """

    lift: float
    drawn: np.ndarray
    lifts: np.ndarray
    fitted: np.ndarray
    otherwise: float
    base: float
    p: float


def share_test(
    y: np.ndarray, treated: np.ndarray, day: np.ndarray, clusters: np.ndarray, *, days: int
) -> ShareTest:
    """The daily effects of one test, with their jackknife covariance by clusters.

    Parameters
    ----------
    y, treated, day, clusters : array of shape (n,)
        Each impression's outcome, whether it is the new model's, its day from 0, and its cluster from 0.
    days : int
        Each has an impression of either arm.

    Examples
    --------
    >>> told = share_test(np.array([1, 0, 0, 0]), np.array([True, True, False, False]), np.zeros(4, int),
    ...     np.arange(4), days=1)
    >>> told.effect, told.traffic, told.base, told.freedom
    (0.5, 0.5, 0.0, 1.0)
    """
    arm = treated.astype(int)
    sizes = np.array([np.bincount(day[arm == one], minlength=days) for one in (0, 1)])
    means = np.array([np.bincount(day[arm == one], y[arm == one], days) for one in (0, 1)]) / sizes
    many = int(clusters.max()) + 1
    cell = (arm * many + clusters) * days + day
    rows = np.bincount(cell, minlength=2 * many * days).reshape(2, many, days)
    off = np.bincount(cell, y - means[arm, day], 2 * many * days).reshape(2, many, days)
    by_day = off / sizes[:, None] / _without(rows / sizes[:, None])
    base = float(y[~treated].mean())
    share = rows[0].sum(1) / (~treated).sum()
    on_base = np.bincount(clusters[~treated], (y[~treated] - base) / (~treated).sum(), many) / _without(share)
    by_cluster = np.column_stack([by_day[1] - by_day[0], on_base])
    in_arm = [len(np.unique(clusters[arm == one])) for one in (0, 1)]
    return ShareTest(
        traffic=in_arm[1] / many,
        impressions=int(treated.sum()),
        learned={"own": before(sizes[1]), "control": before(sizes[0])},
        effects=means[1] - means[0],
        base=base,
        covariance=by_cluster.T @ by_cluster * (many - 1) / many,
        weights=sizes.prod(0) / sizes.sum(0),
        control_rows=int((~treated).sum()),
        freedom=max(1.0, float((sizes.sum(1) ** 2 / (rows.sum(2) ** 2).sum(1)).min()) - 1),
    )


def _without(share: np.ndarray) -> np.ndarray:
    """What is left of an arm without a cluster: residuals over it are the jackknife's, to be less sure of large ones."""
    # Of a day that one cluster has nearly alone no residual is left to blow up.
    return np.asarray(1 - np.minimum(share, 0.5))


def before(daily: np.ndarray) -> np.ndarray:
    """What had come before each day, of so much a day.

    Examples
    --------
    >>> before(np.array([5, 5, 5])).tolist()
    [0.0, 5.0, 10.0]
    """
    return np.concatenate([[0.0], np.cumsum(daily)[:-1]])


def foretell(
    tests: Sequence[ShareTest],
    daily: np.ndarray,
    *,
    learns_from: Source,
    worth: float | None = None,
    replicates: int = 2000,
    rng: int | np.random.Generator = 0,
) -> Launch:
    """The launch's lift, by the curve a + b n / (n + c) that fits all tests' daily effects best.

    Parameters
    ----------
    tests : sequence of ShareTest
        From the smallest share to the largest; two clusters at least in each arm.
    daily : array of shape (days,)
        Requests of each day of the launch.
    learns_from, worth, replicates, rng
        As in `launch_extrapolation`. Draws are of Student's law, with each test's `freedom`.

    Raises
    ------
    ValueError
        If control has no outcome but 0.

    Examples
    --------
    >>> y, treated = np.tile([1, 0, 0, 0, 1, 1, 0, 1], 9), np.tile([True, False], 36)
    >>> one = share_test(y, treated, np.repeat([0, 1], 36), np.tile(np.arange(36), 2), days=2)
    >>> foretell([one, one], np.full(2, 36.0), learns_from="own", replicates=20).p
    1.0
    """
    at_launch: dict[Source, np.ndarray] = {"own": before(daily), "control": np.zeros(len(daily))}
    weights = np.concatenate([one.weights for one in tests])
    base = float(_base(tests, np.array([one.base for one in tests])))
    draw = np.random.default_rng(rng)
    parts = [_draws(one, replicates, draw) for one in tests]
    bases = _base(tests, np.column_stack([part[:, -1] for part in parts]))

    def fit(effects: np.ndarray, source: Source) -> tuple[np.ndarray, np.ndarray]:
        had = np.concatenate([one.learned[source] for one in tests])
        worths = np.array([worth]) if worth else _WORTHS * had.max()
        return _fit(effects, had, weights, worths, at_launch[source])

    effects = np.concatenate([one.effects for one in tests])[None]
    told, curve = fit(effects, learns_from)
    drawn = fit(np.concatenate([part[:, :-1] for part in parts], axis=1), learns_from)[0] / bases
    fitted = [
        np.average(days, weights=one.weights)
        for days, one in zip(np.split(curve[0], len(tests)), tests, strict=True)
    ]
    lifts = [
        np.average(part[:, :-1], axis=1, weights=one.weights) for part, one in zip(parts, tests, strict=True)
    ]
    return Launch(
        lift=float(told[0] / base),
        drawn=drawn,
        lifts=np.column_stack(lifts) / bases[:, None],
        fitted=np.array(fitted) / base,
        otherwise=float(fit(effects, "control" if learns_from == "own" else "own")[0][0] / base),
        base=base,
        p=_welch(tests[0], tests[-1]),
    )


def _welch(first: ShareTest, last: ShareTest) -> float:
    """The p-value of equal effects in two tests, by Welch's degrees of freedom."""
    one, other = first.error**2, last.error**2
    freedom = float(welch_freedom([one, other], [first.freedom, last.freedom]))
    return float(2 * student.sf(abs(last.effect - first.effect) / np.sqrt(one + other), freedom))


def _base(tests: Sequence[ShareTest], means: np.ndarray) -> np.ndarray:
    """Control's mean outcome over all tests, from its means in each, in the last axis."""
    rows = np.array([one.control_rows for one in tests], dtype=float)
    mean = np.asarray(means @ (rows / rows.sum()))
    if not mean.all():
        raise ValueError("y: got none of 1 in control's rows; a lift over nothing is undefined")
    return mean


def _draws(test: ShareTest, replicates: int, draw: np.random.Generator) -> np.ndarray:
    """What the daily effects, and control's mean, might have been: one row a replicate."""
    center = np.append(test.effects, test.base)
    off = draw.multivariate_normal(np.zeros(len(center)), test.covariance, replicates, method="svd")
    wider = np.sqrt(test.freedom / draw.chisquare(test.freedom, replicates))
    return np.asarray(center + off * wider[:, None])


def _fit(
    effects: np.ndarray, had: np.ndarray, weights: np.ndarray, worths: np.ndarray, at_launch: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Each row's best curve: its mean over the launch's days, and its values where the tests were."""
    best = np.full(len(effects), np.inf)
    launch, fitted = np.empty(len(effects)), np.empty_like(effects)
    level = effects @ weights / weights.sum()
    for worth in worths:
        known = had / (had + worth)
        x = known - np.average(known, weights=weights)
        slope = (effects * weights) @ x / (weights @ x**2)
        curve = level[:, None] + slope[:, None] * x
        misfit = ((effects - curve) ** 2) @ weights
        better = misfit < best
        best[better] = misfit[better]
        fitted[better] = curve[better]
        ahead = (at_launch / (at_launch + worth)).mean() - np.average(known, weights=weights)
        launch[better] = (level + slope * ahead)[better]
    return launch, fitted
