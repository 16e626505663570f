"""How much of the truth do labels show that come late, and how does one estimate or train on them all the same?

An impression that led nowhere yet looks like one that never will. Delays are exponential in the
closed forms: the chance that a conversion is known at age a is 1 - exp(-a / mean).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from toolkit.rules import number, share

__all__ = [
    "conversion_curve",
    "fake_negative_rate",
    "fit_delayed",
    "known_share",
    "lift_by_age",
    "lift_measured",
    "still_positive",
    "true_rate",
]


def known_share(mean_delay: float, *, window: float, wait: float = 0.0) -> float:
    """The share of conversions known some time after a window in which impressions come evenly.

    Parameters
    ----------
    mean_delay : float
        Mean of the exponential delay from impression to label.
    window : float
        Length of the window, in the unit of the delay.
    wait : float
        Time from the window's end to the reading.

    Examples
    --------
    >>> round(known_share(2, window=7), 3)
    0.723
    """
    number("mean_delay", mean_delay, above=0)
    number("window", window, above=0)
    _not_negative("wait", wait)
    rest = -np.expm1(-window / mean_delay) * mean_delay / window
    return float(1 - np.exp(-wait / mean_delay) * rest)


def lift_by_age(lift: float, *, age: Any, control_delay: float, treatment_delay: float) -> Any:
    """The relative lift of what impressions of an age have brought by now.

    Parameters
    ----------
    lift : float
        True relative lift in conversions, above -1.
    age : float or array
        Positive.
    control_delay, treatment_delay : float
        Mean delays of the arms.

    Examples
    --------
    >>> round(lift_by_age(0.1, age=1.0, control_delay=2, treatment_delay=3), 3)
    -0.208
    >>> round(lift_by_age(0.1, age=1.0, control_delay=2, treatment_delay=2), 3)
    0.1
    """
    number("lift", lift, above=-1)
    number("control_delay", control_delay, above=0)
    number("treatment_delay", treatment_delay, above=0)
    ages = np.asarray(age, dtype=float)
    if not (ages > 0).all():
        raise ValueError(f"age: got {ages[~(ages > 0)].flat[0]}; it must be positive")
    told = (1 + lift) * np.expm1(-ages / treatment_delay) / np.expm1(-ages / control_delay) - 1
    return float(told) if told.ndim == 0 else told


def lift_measured(
    lift: float, *, window: float, control_delay: float, treatment_delay: float, wait: float = 0.0
) -> float:
    """The relative lift that a test shows which counts the conversions known when it is read.

    Examples
    --------
    >>> round(lift_measured(0.1, window=7, control_delay=2, treatment_delay=3), 3)
    -0.067
    """
    number("lift", lift, above=-1)
    known = [known_share(delay, window=window, wait=wait) for delay in (treatment_delay, control_delay)]
    return (1 + lift) * known[0] / known[1] - 1


def still_positive(rate: Any, *, age: Any, mean_delay: float) -> Any:
    """The chance that an impression without a label will yet convert (Chapelle's posterior).

    Parameters
    ----------
    rate : float or array
        Chance of converting sooner or later, in [0, 1].
    age : float or array
        How long it has been without a label.

    References
    ----------
    Chapelle (2014), "Modeling Delayed Feedback in Display Advertising", KDD.

    Examples
    --------
    >>> round(still_positive(0.5, age=2, mean_delay=2), 3)
    0.269
    """
    number("mean_delay", mean_delay, above=0)
    p, ages = np.asarray(rate, dtype=float), _ages(age)
    if not ((p >= 0) & (p <= 1)).all():
        raise ValueError(f"rate: got {p[~((p >= 0) & (p <= 1))].flat[0]}; it must lie in [0, 1]")
    # Over the chance at age 0, so that nothing vanishes: where all convert, so will this one.
    told = np.where(p == 1, 1.0, p / (p + (1 - p) * np.exp(np.minimum(ages / mean_delay, 700.0))))
    return float(told) if told.ndim == 0 else told


def fit_delayed(age: Any, delay: Any, *, tolerance: float = 1e-8) -> tuple[float, float]:
    """The conversion rate and the mean delay of impressions, most of which have no label yet.

    Maximum likelihood of Chapelle's model without features, by EM: an unlabelled impression counts
    as the share of a conversion that it will yet be.

    Parameters
    ----------
    age : array of shape (n,)
        Time since the impression.
    delay : array of shape (n,)
        Time from impression to conversion, at most the age; nan where there is none yet.

    Returns
    -------
    pair of float
        Rate and mean delay.

    Raises
    ------
    ValueError
        If an age isn't positive, a delay isn't in [0, age], nobody has converted yet, or the ages are
        too young to tell a high rate with long delays from a low one with short delays.

    References
    ----------
    Chapelle (2014), KDD.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> age, later = rng.uniform(0, 7, 50_000), rng.exponential(2, 50_000)
    >>> converts = rng.random(50_000) < 0.1
    >>> rate, mean = fit_delayed(age, np.where(converts & (later <= age), later, np.nan))
    >>> round(rate, 2), round(mean, 1)
    (0.1, 1.9)
    """
    ages, delays = np.asarray(age, dtype=float), np.asarray(delay, dtype=float)
    if ages.shape != delays.shape or ages.ndim != 1:
        raise ValueError(f"delay: got shape {delays.shape} for ages of shape {ages.shape}; one each")
    if not (ages > 0).all():
        raise ValueError(f"age: got {ages[~(ages > 0)][0]}; it must be positive")
    known = ~np.isnan(delays)
    bad = known & ~((delays >= 0) & (delays <= ages))
    if bad.any():
        raise ValueError(f"delay: got {delays[bad][0]} at age {ages[bad][0]}; it must lie from 0 to the age")
    if not known.any():
        raise ValueError("delay: got no conversion; the delay can't be learned from none")
    waited, open_ages, converted = float(delays[known].sum()), ages[~known], int(known.sum())
    if not waited > 0:
        raise ValueError(
            f"delay: got 0 for all of {converted:,} conversions; no delay can be learned from them"
        )
    rate, mean = converted / len(ages), waited / converted
    for _ in range(5_000):
        hidden = still_positive(rate, age=open_ages, mean_delay=mean)
        again = (converted + hidden.sum()) / len(ages), (waited + hidden @ open_ages) / converted
        moved = max(abs(again[0] / rate - 1), abs(again[1] / mean - 1))
        rate, mean = again
        if moved < tolerance:
            return float(rate), float(mean)
    raise ValueError(
        f"age: got {ages.max():g} at most, too young for delays of {mean:.3g} or more: many late conversions and "
        "few quick ones look alike there"
    )


def fake_negative_rate(rate: Any) -> Any:
    """The share of positives in a stream where each impression comes as a negative, and each conversion once more.

    Examples
    --------
    >>> round(fake_negative_rate(0.1), 4)
    0.0909
    """
    p = np.asarray(rate, dtype=float)
    if not ((p >= 0) & (p <= 1)).all():
        raise ValueError(f"rate: got {p[~((p >= 0) & (p <= 1))].flat[0]}; it must lie in [0, 1]")
    told = p / (1 + p)
    return float(told) if told.ndim == 0 else told


def true_rate(biased: Any) -> Any:
    """The conversion rate behind a model that was trained on fake negatives: p = b / (1 - b).

    Parameters
    ----------
    biased : float or array
        What the model says, trained on the stream of `fake_negative_rate`; in [0, 1/2].

    References
    ----------
    Ktena et al. (2019), "Addressing Delayed Feedback for Continuous Training", RecSys.

    Examples
    --------
    >>> round(true_rate(0.0909), 2)
    0.1
    """
    b = np.asarray(biased, dtype=float)
    # A stream of all positives has one positive for each negative.
    if not ((b >= 0) & (b <= 0.5)).all():
        raise ValueError(f"biased: got {b[~((b >= 0) & (b <= 0.5))].flat[0]}; it must lie in [0, 1/2]")
    told = b / (1 - b)
    return float(told) if told.ndim == 0 else told


def conversion_curve(rate: float, *, mean_delay: float, age: Any) -> Any:
    """The share of impressions that have converted by an age.

    Examples
    --------
    >>> round(conversion_curve(0.1, mean_delay=2, age=7), 3)
    0.097
    """
    share("rate", rate)
    number("mean_delay", mean_delay, above=0)
    told = -rate * np.expm1(-_ages(age) / mean_delay)
    return float(told) if told.ndim == 0 else told


def _ages(age: Any) -> np.ndarray:
    ages = np.asarray(age, dtype=float)
    if not (ages >= 0).all():
        raise ValueError(f"age: got {ages[~(ages >= 0)].flat[0]}; it must not be negative")
    return ages


def _not_negative(name: str, value: float) -> None:
    if not (np.isfinite(value) and value >= 0):
        raise ValueError(f"{name}: got {value!r}; it must be finite and not negative")
