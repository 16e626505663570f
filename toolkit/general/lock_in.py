"""An item that isn't shown earns no clicks: how often does luck decide for ever, and what does it cost to keep asking?"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
import pandas as pd
from scipy.optimize import minimize_scalar

from toolkit.rules import count, one_of, share

Rule = Literal["most clicks", "click rate", "in proportion to clicks"]
RULES: tuple[str, ...] = get_args(Rule)


def worse_locked_in(better: float, worse: float) -> float:
    """The chance that ranking two new items by clicks shows the worse one for ever.

    Ties are shown at random, so whichever is clicked first leads; the other is then never shown,
    never clicked, and never leads.

    Parameters
    ----------
    better, worse : float
        The items' true click rates, in (0, 1].

    Examples
    --------
    >>> round(worse_locked_in(0.10, 0.05), 4)
    0.3333
    """
    _two_rates(better, worse)
    return worse / (better + worse)


def lock_in_loss(better: float, worse: float) -> float:
    """Expected clicks lost per impression because luck may have picked the worse of two items.

    Examples
    --------
    >>> round(lock_in_loss(0.10, 0.05), 4)
    0.0167
    """
    return worse_locked_in(better, worse) * (better - worse)


def exploration_cost(better: float, worse: float, exploration: float) -> float:
    """Expected clicks lost per impression by showing one of the two at random at a share of impressions.

    Examples
    --------
    >>> round(exploration_cost(0.10, 0.05, 0.1), 4)
    0.0025
    """
    _two_rates(better, worse)
    return share("exploration", exploration) / 2 * (better - worse)


def burial(rate: float, *, optimism: int = 0) -> float:
    """The chance that greedy choice buries an item better than one known to be clicked half of the time.

    The new item is shown as long as its posterior mean is at least one half. With as many clicks
    as misses in its prior, that is as long as clicks and `optimism` are no fewer than misses: a walk
    that starts at `optimism` and is buried for good when it first reaches -1 (the gambler's ruin).

    Parameters
    ----------
    rate : float
        The new item's true click rate; at or below one half it is buried for sure.
    optimism : int
        Clicks that the prior grants the new item over and above its misses.

    Examples
    --------
    >>> round(burial(0.6), 4), round(burial(0.6, optimism=5), 3)
    (0.6667, 0.088)
    """
    share("rate", rate)
    count("optimism", optimism, least=0)
    return 1.0 if rate <= 0.5 else ((1 - rate) / rate) ** (optimism + 1)


def loss_over_horizon(better: float, worse: float, exploration: float, horizon: int) -> float:
    """Expected clicks lost per impression over a horizon, to lock-in and to exploration together.

    The first click decides, as in `worse_locked_in`. While the worse item leads, a click on the
    better one, which only exploration shows, ends its lead; that happens at a share
    `exploration * better / 2` of impressions.

    Parameters
    ----------
    better, worse : float
    exploration : float
        Share of impressions at which one of the two is shown at random.
    horizon : int
        Impressions for which the two compete.

    Examples
    --------
    >>> round(loss_over_horizon(0.10, 0.05, 0.0, 10_000), 4)
    0.0167
    """
    count("horizon", horizon)
    asked = exploration_cost(better, worse, exploration)
    freed = exploration * better / 2
    # Expected number of impressions before the freeing click, none later than the horizon.
    locked = horizon if freed == 0 else -np.expm1(horizon * np.log1p(-freed)) / freed
    return float(asked + (1 - exploration) * lock_in_loss(better, worse) * locked / horizon)


def best_exploration(better: float, worse: float, horizon: int) -> float:
    """The share of exploration at which lock-in and exploration together cost least over a horizon.

    About twice the root of `worse_locked_in / (better * horizon)` where the horizon is long.

    Raises
    ------
    ValueError
        If the items are equal: then nothing is lost, whatever the share.

    Examples
    --------
    >>> round(best_exploration(0.10, 0.05, 10_000), 4)
    0.0365
    """
    _two_rates(better, worse)
    if better == worse:
        raise ValueError(
            f"worse: got {worse!r}; it must lie below better, or no share of exploration is best"
        )
    grid = np.r_[0.0, np.geomspace(1e-7, 1, 400)]
    losses = [loss_over_horizon(better, worse, float(one), horizon) for one in grid]
    place = int(np.argmin(losses))
    if place in (0, len(grid) - 1):
        return float(grid[place])
    found = minimize_scalar(
        lambda log: loss_over_horizon(better, worse, float(np.exp(log)), horizon),
        bounds=tuple(np.log(np.maximum(grid[[place - 1, place + 1]], 1e-9))),
        method="bounded",
        options={"xatol": 1e-9},
    )
    return float(np.exp(found.x))


def histories(
    better: float,
    worse: float,
    *,
    rule: Rule = "most clicks",
    exploration: float = 0.0,
    start: int = 0,
    impressions: int = 2_000,
    paths: int = 200,
    rng: int | np.random.Generator = 0,
) -> np.ndarray:
    """Which of two items is shown at each impression, when what is shown depends on what was clicked.

    Parameters
    ----------
    better, worse : float
        True click rates, in (0, 1].
    rule : "most clicks", "click rate" or "in proportion to clicks"
        Who is shown: the leader by clicks, the leader by clicks per impression, or each with a
        chance in proportion to its clicks. Ties are broken at random.
    exploration : float
        Share of impressions that show one of the two at random whatever the rule says.
    start : int
        Clicks that each item starts with, in as many impressions: the more, the more patience
        with both.
    impressions, paths : int
        Length and number of the histories.
    rng : int or Generator

    Returns
    -------
    array of bool, shape (impressions, paths)
        Whether the better item was shown.

    Examples
    --------
    >>> shown = histories(0.10, 0.05, impressions=1_000)
    >>> ends = shown[-1].mean()
    >>> bool(abs(ends - 2 / 3) < 0.1)
    True
    """
    _two_rates(better, worse)
    one_of("rule", rule, RULES)
    share("exploration", exploration)
    for name, least, value in (("start", 0, start), ("impressions", 1, impressions), ("paths", 1, paths)):
        count(name, value, least=least)
    draw = np.random.default_rng(rng)
    # The same draws for every rule and share of exploration: histories differ by these alone.
    explores = draw.random((impressions, paths)) < exploration
    choice, click = draw.random((2, impressions, paths))
    clicked = np.where(click[:, :, None] < np.array([better, worse]), 1.0, 0.0)
    clicks = np.full((2, paths), float(start))
    tries = np.full((2, paths), float(start))
    shown = np.empty((impressions, paths), dtype=bool)
    for step in range(impressions):
        if rule == "in proportion to clicks":
            total = clicks[0] + clicks[1]
            first = choice[step] * total < clicks[0]
            tied = total == 0
        else:
            # Rates are compared crosswise, so that an item without impressions needs no division.
            left, right = clicks if rule == "most clicks" else (clicks[0] * tries[1], clicks[1] * tries[0])
            first, tied = left > right, left == right
        first = np.where(tied | explores[step], choice[step] < 0.5, first)
        shown[step] = first
        gained = np.where(first, clicked[step, :, 0], clicked[step, :, 1])
        clicks[0] += gained * first
        clicks[1] += gained * ~first
        tries[0] += first
        tries[1] += ~first
    return shown


def exposure_shares(shown: np.ndarray, *, points: int = 16) -> pd.DataFrame:
    """The better item's share of impressions so far, at impressions spaced evenly on a logarithmic scale.

    Parameters
    ----------
    shown : array of shape (impressions, paths)
        As `histories` returns it.

    Returns
    -------
    DataFrame
        `impression`, `history` (numbered from 1) and `share`; one row a point and history.

    Examples
    --------
    One history that showed the better item first and then never again:

    >>> exposure_shares(np.array([[1], [0], [0], [0]]), points=3)["share"].tolist()
    [1.0, 0.5, 0.25]
    """
    total = len(shown)
    at = np.unique(np.geomspace(1, total, points).round().astype(int))
    shares = np.cumsum(shown, axis=0)[at - 1] / at[:, None]
    return pd.DataFrame(
        {
            "impression": np.tile(at, shown.shape[1]),
            "history": np.repeat(np.arange(1, shown.shape[1] + 1), len(at)),
            "share": shares.T.ravel(),
        }
    )


def _two_rates(better: float, worse: float) -> None:
    share("better", better, open_low=True)
    share("worse", worse, open_low=True)
    if worse > better:
        raise ValueError(f"worse: got {worse!r}; it must not lie above better, {better!r}")
