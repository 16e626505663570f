"""What does a design measure when users of one arm change what users of the other do?

A user gains `direct` under the new model, and `spill` times the share of treated ones among the
user's contacts: more where friends pass it on, less (a negative one) where all want the same few
items. Contacts are in the user's cluster (a town, a group of friends), but for a share that leaks.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd

from toolkit.experiments.designs import days_needed, design_effect, switchback_effect
from toolkit.rules import count, number, one_of, share

DESIGNS = ("users", "clusters", "switchback")


def measured(
    design: str,
    *,
    direct: float,
    spill: float,
    leak: float = 0.0,
    carryover: float = 0.0,
    washout: float = 0.0,
) -> float:
    """The expected difference that a design measures; a launch brings direct + spill.

    Parameters
    ----------
    design : "users", "clusters" or "switchback"
        What is assigned: users one by one, whole clusters, or the whole market for a period.
    direct, spill : float
        In the metric's unit.
    leak : float
        Share of the contacts outside the cluster, in [0, 1].
    carryover : float
        Share of a switchback's period during which contacts still do what the period before made
        them do, in [0, 1].
    washout : float
        Share of a switchback's period, at its start, that is left out, in [0, 1).

    Examples
    --------
    Where the new model only takes from others what it gives, a user split doesn't notice:

    >>> [measured(design, direct=1.0, spill=-1.0) for design in DESIGNS]
    [1.0, 0.0, 0.0]
    """
    one_of("design", design, DESIGNS)
    number("direct", direct)
    number("spill", spill)
    share("leak", leak)
    share("carryover", carryover)
    share("washout", washout, open_high=True)
    if design == "users":
        return direct  # either arm's contacts are treated alike
    if design == "clusters":
        return direct + spill * (1 - leak)
    return direct + spill * (1 - max(carryover - washout, 0) / (1 - washout))


def compared(
    *,
    direct: float,
    spill: float,
    sd: float,
    a_day: float,
    size: float,
    icc: float,
    leak: float = 0.0,
    periods_a_day: float = 24.0,
    period_icc: float = 0.0,
    carryover: float = 0.0,
    washout: float = 0.0,
) -> pd.DataFrame:
    """The designs side by side: what each measures, its bias, and the days of test that it takes.

    Parameters
    ----------
    direct, spill, leak, carryover, washout
        As in `measured`.
    sd : float
        Standard deviation of the metric over users.
    a_day : float
        New users a day.
    size, icc : float
        Users a cluster, and the share of the variance that they have in common.
    periods_a_day, period_icc : float
        Periods of the switchback a day, and the share of the variance that a period has in common.

    Returns
    -------
    DataFrame
        `design`, `measures`, `bias` (less what a launch brings), `design_effect`, and `days` until
        80% of tests find a difference as large as the direct one.

    Examples
    --------
    >>> table = compared(direct=0.1, spill=-0.05, sd=1.0, a_day=1000, size=20, icc=0.05)
    >>> table["bias"].round(3).tolist()
    [0.05, 0.0, 0.0]
    """
    number("periods_a_day", periods_a_day, above=0)
    effects = {
        "users": 1.0,
        "clusters": design_effect(size, icc),
        "switchback": switchback_effect(a_day / periods_a_day, period_icc, washout=washout),
    }
    rows = []
    for design, effect in effects.items():
        told = measured(design, direct=direct, spill=spill, leak=leak, carryover=carryover, washout=washout)
        days = days_needed(direct, sd=sd, a_day=a_day, design_effect=effect)
        rows.append((design, told, told - direct - spill, effect, days))
    return pd.DataFrame(rows, columns=["design", "measures", "bias", "design_effect", "days"])


def estimates(
    design: str,
    *,
    direct: float,
    spill: float,
    clusters: int,
    size: int,
    icc: float,
    leak: float = 0.0,
    rng: Any = 0,
) -> dict[str, float]:
    """One test of users who have contacts, drawn at random and analysed two ways.

    Parameters
    ----------
    design : "users" or "clusters"
    direct, spill, leak
        As in `measured`; the metric's standard deviation is 1.
    clusters, size : int
        Clusters of both arms (4 at least), users a cluster (2 at least).
    icc : float
        Share of the variance that a cluster has in common.
    rng : int or Generator

    Returns
    -------
    dict
        `estimate`, its standard error `as_independent` and `by_cluster`.

    Examples
    --------
    >>> told = estimates("clusters", direct=0.0, spill=0.0, clusters=40, size=20, icc=0.2)
    >>> told["by_cluster"] > told["as_independent"]
    True
    """
    one_of("design", design, DESIGNS[:2])
    measured(design, direct=direct, spill=spill, leak=leak)
    count("clusters", clusters, least=4)
    count("size", size, least=2)
    share("icc", icc)
    draw = np.random.default_rng(rng)
    if design == "clusters":
        arm = draw.permutation(clusters) < clusters // 2
        treated = np.repeat(arm[:, None], size, axis=1)
    else:
        treated = draw.permutation(clusters * size).reshape(clusters, size) < clusters * size // 2
    inside = (treated.sum(1, keepdims=True) - treated) / (size - 1)
    around = (1 - leak) * inside + leak * treated.mean()
    noise = math.sqrt(icc) * draw.normal(size=(clusters, 1)) + math.sqrt(1 - icc) * draw.normal(
        size=(clusters, size)
    )
    y = direct * treated + spill * around + noise
    means = [y[treated].mean(), y[~treated].mean()]
    off = np.where(treated, (y - means[0]) / treated.sum(), -(y - means[1]) / (~treated).sum())
    return {
        "estimate": float(means[0] - means[1]),
        "as_independent": float(np.sqrt((off**2).sum())),
        "by_cluster": float(np.sqrt(clusters / (clusters - 1) * (off.sum(1) ** 2).sum())),
    }
