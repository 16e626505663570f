"""What does a design cost that assigns groups, hours or budgets instead of users?

A split of users is `power.power`; clusters and switchbacks are that one with other units and another
spread, a split budget one with another effect and a standard error that is too large.
"""

from __future__ import annotations

import math

from scipy.stats import norm
from scipy.stats import t as student

from toolkit.experiments.power import power, units_needed
from toolkit.rules import count, level, number, share


def design_effect(size: float, icc: float, *, cv: float = 0.0) -> float:
    """The factor by which clusters inflate the variance of a mean: 1 + (m (1 + cv^2) - 1) icc.

    Parameters
    ----------
    size : float
        Mean rows a cluster, m; 1 at least.
    icc : float
        Intraclass correlation: the share of the variance that a cluster's rows have in common, in
        [0, 1].
    cv : float
        Coefficient of variation of the clusters' sizes; not negative.

    Raises
    ------
    ValueError
        If a setting is outside its range.

    References
    ----------
    Kish (1965), Survey Sampling.

    Examples
    --------
    >>> round(design_effect(20, 0.05), 2), round(design_effect(50, 0.2), 2)
    (1.95, 10.8)
    """
    _least("size", size, 1)
    _least("cv", cv, 0)
    return 1 + (size * (1 + cv**2) - 1) * share("icc", icc)


def naive_size(effect: float, *, alpha: float = 0.05) -> float:
    """How often an A/A test is significant whose standard error leaves out a design effect.

    Parameters
    ----------
    effect : float
        The design effect, 1 at least.
    alpha : float

    Examples
    --------
    >>> round(naive_size(design_effect(20, 0.05)), 2)
    0.16
    """
    return float(2 * norm.sf(norm.isf(level(alpha) / 2) / math.sqrt(_least("effect", effect, 1))))


def few_clusters_size(clusters: int, *, alpha: float = 0.05) -> float:
    """How often an A/A test of few clusters is significant that takes t for a normal: too few know their spread.

    Parameters
    ----------
    clusters : int
        Of both arms together, as many in each and alike; 3 at least.
    alpha : float

    Examples
    --------
    >>> round(few_clusters_size(10), 3)
    0.086
    """
    return float(2 * student.sf(norm.isf(level(alpha) / 2), count("clusters", clusters, least=3) - 2))


def switchback_effect(events: float, icc: float, *, washout: float = 0.0) -> float:
    """The design effect of a switchback, whose clusters are periods, of which a share is thrown away.

    Parameters
    ----------
    events : float
        Events a period; at least 1 must be left after the washout.
    icc : float
        Share of the events' variance that a period has in common.
    washout : float
        Share of each period left out, while what the period before did fades; in [0, 1).

    Examples
    --------
    >>> round(switchback_effect(100, 0.01), 2), round(switchback_effect(100, 0.01, washout=0.25), 2)
    (1.99, 2.32)
    """
    kept = 1 - share("washout", washout, open_high=True)
    return design_effect(events * kept, icc) / kept


def budget_split_power(
    effect: float,
    *,
    sd: float,
    users: float,
    exhausted: float,
    variation: float = 1.0,
    treated: float = 0.5,
    alpha: float = 0.05,
) -> float:
    """The power of a test whose arms have budgets of their own, and whose standard error takes users for independent.

    In exhausted hours an arm gets what its budget pays, so that the difference varies less than that
    standard error says. The test is then cautious: it finds small effects more seldom, and large ones
    more often, than a split of users with as large a standard error.

    Parameters
    ----------
    effect : float
        Difference that a shared budget would have shown, in the metric's unit.
    sd : float
        Standard deviation of the metric over users.
    users : float
        Of both arms.
    exhausted : float
        Share c of the control's outcomes while the budget is used up; 1 - c of the effect is real.
    variation : float
        The difference's real standard deviation, as a share of its standard error, in (0, 1];
        `budget_error.repeated` measures it.
    treated : float
        Share of the users in the treatment.
    alpha : float

    Examples
    --------
    >>> round(budget_split_power(0.1, sd=1.0, users=3_140, exhausted=0.5), 2)
    0.29
    >>> round(budget_split_power(0.1, sd=1.0, users=3_140, exhausted=0.5, variation=0.6), 2)
    0.18
    """
    left = 1 - share("exhausted", exhausted)
    number("effect", effect)
    number("sd", sd, above=0)
    number("treated", treated, above=0, below=1)
    share("variation", variation, open_low=True)
    error = sd / math.sqrt(_least("users", users, 2) * treated * (1 - treated))
    shift, bound = abs(effect) * left / error, norm.isf(level(alpha) / 2)
    return float(norm.sf((bound - shift) / variation) + norm.cdf((-bound - shift) / variation))


def cluster_power(
    effect: float, *, sd: float, clusters: int, size: float, icc: float, alpha: float = 0.05
) -> float:
    """The power of a test that assigns whole clusters, half of them to each arm.

    Parameters
    ----------
    effect, sd, alpha
        As in `budget_split_power`.
    clusters : int
        Of both arms; 4 at least. They set the degrees of freedom of t, two fewer.
    size, icc
        As in `design_effect`.

    Examples
    --------
    >>> round(cluster_power(0.1, sd=1.0, clusters=157, size=20, icc=0.05), 2)
    0.51
    """
    count("clusters", clusters, least=4)
    mean = number("sd", sd, above=0) * math.sqrt(design_effect(size, icc) / size)
    return power(effect, deviation=mean, units=clusters, alpha=alpha)


def switchback_power(
    effect: float,
    *,
    sd: float,
    periods: int,
    events: float,
    icc: float,
    washout: float = 0.0,
    alpha: float = 0.05,
) -> float:
    """The power of a switchback: the whole market under one arm, drawn anew for each period.

    Because each period's arm is drawn independently, shocks that last over several periods don't
    add to the variance.

    Parameters
    ----------
    effect, sd, alpha
        As in `budget_split_power`, of events.
    periods : int
        4 at least.
    events, icc, washout
        As in `switchback_effect`.

    Examples
    --------
    >>> round(switchback_power(0.1, sd=1.0, periods=336, events=100, icc=0.02), 2)
    1.0
    """
    count("periods", periods, least=4)
    mean = number("sd", sd, above=0) * math.sqrt(switchback_effect(events, icc, washout=washout) / events)
    return power(effect, deviation=mean, units=periods, alpha=alpha)


def days_needed(
    effect: float,
    *,
    sd: float,
    a_day: float,
    design_effect: float = 1.0,
    treated: float = 0.5,
    power: float = 0.8,
    alpha: float = 0.05,
) -> float:
    """The days of test that an effect takes, each day bringing new units; infinite for no effect.

    Parameters
    ----------
    effect, sd, treated, alpha
        As in `budget_split_power`.
    a_day : float
        Units (users, events) a day, of both arms.
    design_effect : float
    power : float

    Examples
    --------
    >>> round(days_needed(0.1, sd=1.0, a_day=314), 1), round(days_needed(0.1, sd=1.0, a_day=314, design_effect=1.95), 1)
    (10.0, 19.5)
    """
    number("effect", effect)
    number("sd", sd, above=0)
    number("a_day", a_day, above=0)
    _least("design_effect", design_effect, 1)
    number("treated", treated, above=0, below=1)
    if effect == 0:
        return math.inf
    deviation = sd * math.sqrt(design_effect)
    return units_needed(effect, deviation=deviation, power=power, treated=treated, alpha=alpha) / a_day


def _least(name: str, value: float, least: float) -> float:
    number(name, value)
    if value < least:
        raise ValueError(f"{name}: got {value!r}; it must be {least} at least")
    return float(value)
