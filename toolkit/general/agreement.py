"""How long does it take until several teams have agreed, and how likely is it at all?

Each team reviews a proposal and agrees or doesn't. A refusal sends it back, it is changed, and all
review it anew.
"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
import pandas as pd

from toolkit.rules import count, number, one_of, share

Order = Literal["one by one", "all at once"]


def agreement_chance(teams: int, chance: float, *, alike: float = 0.0) -> float:
    """The chance that all of several teams agree to a proposal in one round.

    Parameters
    ----------
    teams : int
        Teams that must agree.
    chance : float
        That one of them does, in [0, 1].
    alike : float
        Share of rounds in which all teams decide alike, for one reason that they share; in the
        others each decides on its own.

    Raises
    ------
    ValueError
        If there is no team, or a share isn't in [0, 1].

    Examples
    --------
    >>> round(agreement_chance(5, 0.8), 3), agreement_chance(5, 0.8, alike=1.0)
    (0.328, 0.8)
    """
    count("teams", teams)
    share("chance", chance)
    share("alike", alike)
    return float(alike * chance + (1 - alike) * chance**teams)


def time_to_agree(
    teams: int,
    chance: float,
    *,
    order: Order = "one by one",
    alike: float = 0.0,
    review: float = 1.0,
) -> float:
    """The expected time until all of several teams have agreed.

    One by one, a round ends at the first refusal. All at once, it ends when the last
    review is in; reviews take times of their own, exponential, so that the slowest of n takes
    1 + 1/2 + ... + 1/n reviews.

    Parameters
    ----------
    teams, chance, alike
        As in `agreement_chance`, with some chance.
    order : "one by one" or "all at once"
    review : float
        Expected time of one review; the result's unit.

    Raises
    ------
    ValueError
        As in `agreement_chance`, if the chance is 0, the order isn't known, or the review takes no time.

    Examples
    --------
    >>> round(time_to_agree(5, 0.8), 1), round(time_to_agree(5, 0.8, order="all at once"), 1)
    (10.3, 7.0)
    """
    one_of("order", order, get_args(Order))
    number("review", review, above=0)
    share("chance", chance, open_low=True)
    agreed = agreement_chance(teams, chance, alike=alike)
    if order == "all at once":
        reviews = float((1 / np.arange(1, teams + 1)).sum())
    else:
        # The next team is asked only after an agreement; teams that decide alike refuse at once.
        own = float((chance ** np.arange(teams)).sum())
        reviews = alike * (chance * teams + 1 - chance) + (1 - alike) * own
    return review * reviews / agreed


def time_by_teams(chance: float, *, alike: float = 0.0, most: int = 8) -> pd.DataFrame:
    """The expected time until all have agreed, in reviews, over the number of teams.

    Returns
    -------
    DataFrame
        `teams`, `order`, `reviews`.

    Examples
    --------
    Where nobody ever refuses, asking one by one takes a review a team; of two asked at once the slower
    takes 1 + 1/2:

    >>> time_by_teams(1.0, most=2)["reviews"].tolist()
    [1.0, 2.0, 1.0, 1.5]
    """
    rows = [
        (teams, order, time_to_agree(teams, chance, order=order, alike=alike))
        for order in get_args(Order)
        for teams in range(1, count("most", most) + 1)
    ]
    return pd.DataFrame(rows, columns=["teams", "order", "reviews"])
