"""What does a design cost that assigns groups, hours or budgets instead of users?"""

from __future__ import annotations

import math

from scipy.stats import nct, norm
from scipy.stats import t as student

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


def user_power(
    effect: float, *, sd: float, users: float, treated: float = 0.5, alpha: float = 0.05
) -> float:
    """The power of a test that assigns users one by one.

    Parameters
    ----------
    effect : float
        True difference of the means, in the metric's unit.
    sd : float
        Standard deviation of the metric over users.
    users : float
        Of both arms.
    treated : float
        Share of them in the treatment.
    alpha : float

    Examples
    --------
    >>> round(user_power(0.1, sd=1.0, users=3_140), 2)
    0.8
    """
    return _power(effect, _error(sd, users, treated), math.inf, alpha)


def budget_split_power(
    effect: float,
    *,
    sd: float,
    users: float,
    exhausted: float,
    treated: float = 0.5,
    alpha: float = 0.05,
) -> float:
    """The power of a test whose arms have budgets of their own: a user split's, at the lift that is left.

    Parameters
    ----------
    effect : float
        Difference that a shared budget would have shown.
    exhausted : float
        Share c of the control's outcomes while the budget is used up; 1 - c of the effect is real.
    sd, users, treated, alpha
        As in `user_power`. Within exhausted hours a split budget varies less than this assumes: the
        power is that or more.

    Examples
    --------
    >>> round(budget_split_power(0.1, sd=1.0, users=3_140, exhausted=0.5), 2)
    0.29
    """
    left = 1 - share("exhausted", exhausted)
    return user_power(effect * left, sd=sd, users=users, treated=treated, alpha=alpha)


def cluster_power(
    effect: float, *, sd: float, clusters: int, size: float, icc: float, alpha: float = 0.05
) -> float:
    """The power of a test that assigns whole clusters, half of them to each arm.

    Parameters
    ----------
    effect, sd, alpha
        As in `user_power`.
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
    se = _error(sd, clusters * size, 0.5) * math.sqrt(design_effect(size, icc))
    return _power(effect, se, clusters - 2, alpha)


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
        As in `user_power`, of events.
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
    se = _error(sd, periods * events, 0.5) * math.sqrt(switchback_effect(events, icc, washout=washout))
    return _power(effect, se, periods - 2, alpha)


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
        As in `user_power`.
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
    both = norm.isf(level(alpha) / 2) + norm.ppf(level(power, name="power"))
    if effect == 0:
        return math.inf
    return float((both * sd / effect) ** 2 * design_effect / (treated * (1 - treated)) / a_day)


def _error(sd: float, units: float, treated: float) -> float:
    number("sd", sd, above=0)
    number("treated", treated, above=0, below=1)
    return sd / math.sqrt(_least("users", units, 2) * treated * (1 - treated))


def _power(effect: float, se: float, freedom: float, alpha: float) -> float:
    shift = abs(number("effect", effect)) / se
    if math.isinf(freedom):
        bound = norm.isf(level(alpha) / 2)
        return float(norm.sf(bound - shift) + norm.sf(bound + shift))
    bound = student.isf(level(alpha) / 2, freedom)
    return float(nct.sf(bound, freedom, shift) + nct.cdf(-bound, freedom, shift))


def _least(name: str, value: float, least: float) -> float:
    number(name, value)
    if value < least:
        raise ValueError(f"{name}: got {value!r}; it must be {least} at least")
    return float(value)
