"""When does a sum of independent normal steps first leave a boundary, however uneven its steps are?

The density of what hasn't left yet is carried from look to look on panels, as a polynomial on each
(Armitage, McPherson and Rowe 1969). Where a boundary cut it, it bends as sharply as the steps
since then are small: panels are as fine there as that asks, and wide elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.special import ndtr

# Twelve nodes a panel and forty across a step give nine digits (against closed forms, in the tests).
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(12)
_TO_COEFFICIENTS = np.polynomial.legendre.legvander(_NODES, 11).T * _WEIGHTS * (np.arange(12)[:, None] + 0.5)
_FINE_NODES, _FINE_WEIGHTS = np.polynomial.legendre.leggauss(40)
_FAR = 8.0  # standard deviations beyond which a normal has less than 1e-14
_ROOT_TAU = np.sqrt(2 * np.pi)


def first_passage(edges: Sequence[float], times: Sequence[float], drift: float) -> np.ndarray:
    """Where a drifting Brownian motion that is looked at now and then first stands outside its edges.

    Parameters
    ----------
    edges : sequence of float, one a look
        It has left at look k when its absolute value reaches `edges[k]`; infinity for never.
    times : sequence of float
        Of the looks; ascending and positive. Steps of any size: a look right after another adds
        as little as it should.
    drift : float
        Expected value at time 1.

    Returns
    -------
    array of shape (looks, 4)
        The probability of first leaving upward and downward at each look, and the expected value
        there times that probability, upward and downward.

    Examples
    --------
    >>> round(float(first_passage([1.959964], [1.0], 0.0)[0, :2].sum()), 6)
    0.05
    """
    found = np.empty((len(times), 4))
    cuts: np.ndarray = np.empty(0)  # none before the first look, when all stands at 0
    density: np.ndarray = cuts
    for look, (edge, time) in enumerate(zip(edges, times, strict=True)):
        step = time - (times[look - 1] if look else 0.0)
        spread, shift = np.sqrt(step), drift * step
        if not look:
            starts, mass = np.zeros(1), np.ones(1)
        else:
            half = np.diff(cuts)[:, None] / 2
            starts = ((cuts[:-1, None] + half) + half * _NODES).ravel()
            mass = (half * _WEIGHTS * density).ravel()
        mean = starts + shift
        over, under = (edge - mean) / spread, (-edge - mean) / spread
        above, below = mass * ndtr(-over), mass * ndtr(under)
        # The mean of what leaves: of a normal beyond a point, in closed form.
        found[look] = (
            above.sum(),
            below.sum(),
            mean @ above + spread * (mass @ _normal(over)),
            mean @ below - spread * (mass @ _normal(under)),
        )
        if look + 1 == len(times):
            break
        reach = edge if np.isfinite(edge) else abs(drift) * time + 9 * np.sqrt(time)
        new = _panels(reach, edges, times, drift, look)
        half = np.diff(new)[:, None] / 2
        targets = ((new[:-1, None] + half) + half * _NODES).ravel() - shift
        density = _moved(targets, cuts, density, spread) if look else _normal(targets / spread) / spread
        cuts, density = new, density.reshape(-1, 12)
    return found


def _panels(
    reach: float, edges: Sequence[float], times: Sequence[float], drift: float, look: int
) -> np.ndarray:
    """Panel ends over [-reach, reach], fine where the density or the next look's chance bends."""
    time, following = times[look], times[look + 1]
    places, widths = [], []
    for at in range(look + 2):
        if at == look or not np.isfinite(edges[at]):
            continue
        apart = time - times[at]  # negative for the next look, whose edge is met before its shift
        for side in (-1, 1):
            places.append(side * edges[at] + drift * apart)
            widths.append(np.sqrt(abs(apart)))
    place, width = np.array(places), np.array(widths)
    widest = min(np.sqrt(time), max(3 * np.sqrt(following - time), reach / 8))
    bends = (width < widest) & (np.abs(place) < reach + _FAR * width)
    place, width = place[bends], width[bends]
    cuts = [-reach]
    while cuts[-1] < reach:
        size = np.min(1.5 * width + 0.5 * np.abs(cuts[-1] - place), initial=widest)
        cuts.append(cuts[-1] + size)
    # The march ends beyond the edge: the last panel ends at it.
    cuts[-1] = reach
    return np.array(cuts)


def _moved(targets: np.ndarray, cuts: np.ndarray, density: np.ndarray, spread: float) -> np.ndarray:
    """The density after a normal step, at each target."""
    size = np.diff(cuts)
    # A panel narrower than the step is summed over its own nodes, which see the step as smooth.
    fine = size <= 3 * spread
    half = size[fine, None] / 2
    nodes = ((cuts[:-1][fine, None] + half) + half * _NODES).ravel()
    mass = (half * _WEIGHTS * density[fine]).ravel()
    moved = _normal((targets[:, None] - nodes) / spread) @ mass / spread
    # On a wider one the step is a peak, and the density a polynomial: it is summed over the peak.
    for panel in np.nonzero(~fine)[0]:
        left, right = cuts[panel], cuts[panel + 1]
        near = (targets > left - _FAR * spread) & (targets < right + _FAR * spread)
        low = np.maximum(left, targets[near] - _FAR * spread)
        width = (np.minimum(right, targets[near] + _FAR * spread) - low) / 2
        places = (low + width)[:, None] + width[:, None] * _FINE_NODES
        heights = np.polynomial.legendre.legval(
            (2 * places - left - right) / (right - left), _TO_COEFFICIENTS @ density[panel]
        )
        heights *= _normal((targets[near, None] - places) / spread)
        moved[near] += heights @ _FINE_WEIGHTS * width / spread
    return moved


def _normal(z: np.ndarray) -> np.ndarray:
    return np.exp(-0.5 * z * z) / _ROOT_TAU
