"""The better a moderation model, the fewer reports it learns from: does the loop settle, and how soon?"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from scipy.optimize import brentq

from toolkit.rules import count, number, share
from toolkit.world.clock import DAY, START


def labels_seen(coverage: float, kappa: float, *, audit: float = 0.0) -> float:
    """The labels that a week brings, as a multiple of those at which half of the bad items are caught.

    Parameters
    ----------
    coverage : float
        Share of bad items that the model removes before anybody can report them.
    kappa : float
        Reports that there would be without a model, in that unit: volume times the chance of a report.
    audit : float
        Share of the label budget spent on a random sample, which the model doesn't censor.

    Examples
    --------
    >>> labels_seen(0.75, 10), labels_seen(0.75, 10, audit=1)
    (2.5, 10.0)
    """
    number("kappa", kappa, above=0)
    audited = share("audit", audit)
    return float(kappa * ((1 - audited) * (1 - share("coverage", coverage)) + audited))


def learned(labels: float, *, steepness: float = 1.0) -> float:
    """The coverage of a model trained on so many labels: Hill's saturating curve, one half at 1.

    Examples
    --------
    >>> learned(1.0), round(learned(10.0), 3)
    (0.5, 0.909)
    """
    number("steepness", steepness, above=0)
    if not number("labels", labels) >= 0:
        raise ValueError(f"labels: got {labels!r}; they must not be negative")
    power = labels**steepness
    return float(power / (1 + power))


def steady_coverage(kappa: float, *, steepness: float = 1.0, audit: float = 0.0) -> float:
    """The coverage that a retrain leaves as it is.

    Examples
    --------
    >>> round(steady_coverage(10), 3), round(steady_coverage(10, audit=1), 3)
    (0.73, 0.909)
    """
    labels_seen(0.0, kappa, audit=audit)
    learned(1.0, steepness=steepness)
    found = brentq(
        lambda c: learned(labels_seen(c, kappa, audit=audit), steepness=steepness) - c, 0.0, 1.0, xtol=1e-14
    )
    return float(found)


def multiplier(kappa: float, *, steepness: float = 1.0, audit: float = 0.0) -> float:
    """What a small excess of coverage becomes at the next retrain, in its own unit.

    Without an audit exactly `-steepness * steady_coverage`: the excess comes back with the other
    sign, and grows where steepness times coverage exceeds 1.

    Examples
    --------
    >>> round(multiplier(90), 3), round(multiplier(10, steepness=2), 2)
    (-0.9, -1.6)
    """
    steady = steady_coverage(kappa, steepness=steepness, audit=audit)
    censored = (1 - audit) * (1 - steady)
    return -steepness * steady * censored / (censored + audit)


def halving(gain: float) -> float:
    """After how many retrains a shock has halved; infinite where it doesn't shrink, 0 where it is gone at once.

    Examples
    --------
    >>> round(halving(-0.9), 1)
    6.6
    """
    size = abs(number("gain", gain))
    if size >= 1:
        return float("inf")
    return float(np.log(0.5) / np.log(size)) if size > 0 else 0.0


def kappa_for(coverage: float, *, steepness: float = 1.0) -> float:
    """How many reports there must be without a model for the loop to settle at a coverage.

    Examples
    --------
    >>> round(kappa_for(0.8), 6)
    20.0
    """
    wanted = number("coverage", coverage, above=0, below=1)
    number("steepness", steepness, above=0)
    return (wanted / (1 - wanted)) ** (1 / steepness) / (1 - wanted)


def loop_decay(gain: float, window: int) -> float:
    """The factor by which a shock shrinks (grows, above 1) a retrain that reads several weeks' labels.

    The largest root, in size, of x^window = gain / window * (1 + x + ... + x^(window - 1)). A negative gain
    is stable exactly where it is smaller than the window.

    Parameters
    ----------
    gain : float
        The loop's `multiplier` for a window of one.
    window : int
        Weeks of labels that a retrain reads.

    Examples
    --------
    >>> round(loop_decay(-1.6, 1), 2), round(loop_decay(-1.6, 2), 2)
    (1.6, 0.89)
    """
    number("gain", gain)
    count("window", window)
    return float(np.abs(np.roots(np.r_[1.0, np.full(window, -gain / window)])).max())


def weeks_of_coverage(
    kappa: float,
    *,
    steepness: float = 1.0,
    audit: float = 0.0,
    window: int = 1,
    weeks: int = 30,
    start: float = 0.0,
    noise: float = 0.0,
    rng: Any = 0,
) -> pd.DataFrame:
    """Coverage and reports week by week, one retrain a week.

    Parameters
    ----------
    kappa, steepness, audit : float
        As in `labels_seen` and `learned`.
    window : int
        Weeks of labels that a retrain reads; in the first weeks, as many as there are.
    weeks : int
    start : float
        Coverage in the first week; 0 is the launch of a first model.
    noise : float
        Standard deviation of the weekly shocks to the log-odds of coverage.
    rng : int or Generator
        For the shocks.

    Returns
    -------
    DataFrame
        `week` from 0, `coverage`, `reports` (as a share of those without a model), `labels`.

    Examples
    --------
    >>> weeks_of_coverage(10, weeks=3)["coverage"].round(3).tolist()
    [0.0, 0.909, 0.476]
    """
    for name, value in (("window", window), ("weeks", weeks)):
        count(name, value)
    if not number("noise", noise) >= 0:
        raise ValueError(f"noise: got {noise!r}; it must not be negative")
    shocks = np.exp(noise * np.random.default_rng(rng).normal(size=weeks))
    now, coverage, labels = share("start", start), [], []
    for week in range(weeks):
        coverage.append(now)
        labels.append(labels_seen(now, kappa, audit=audit))
        odds = float(np.mean(labels[-window:])) ** steepness * shocks[week]
        now = odds / (1 + odds)
    seen = np.array(coverage)
    return pd.DataFrame(
        {"week": np.arange(weeks), "coverage": seen, "reports": 1 - seen, "labels": np.array(labels)}
    )


def moderated_weeks(
    weekly: pd.DataFrame,
    *,
    messages: int = 500_000,
    prevalence: float = 0.02,
    report_rate: float = 0.3,
    audited: int = 2_000,
    rng: Any = 0,
) -> pd.DataFrame:
    """What a company counts of such weeks: reports, removals, and a random audit that knows the truth.

    Parameters
    ----------
    weekly : DataFrame
        `week` and `coverage`, as `weeks_of_coverage` returns them.
    messages, audited : int
        Messages a week, and how many bad ones of them a random audit finds.
    prevalence, report_rate : float
        Share of messages that are bad; chance that a bad one that stands is reported.
    rng : int or Generator

    Returns
    -------
    DataFrame
        `ts`; `labels`, the reports; `coverage`, removals over removals and reports together, which is
        what a dashboard can know; `recall`, the removed among the audited bad ones.

    Examples
    --------
    >>> moderated_weeks(weeks_of_coverage(10, weeks=3)).columns.tolist()
    ['ts', 'labels', 'coverage', 'recall']
    """
    for name, value in (("messages", messages), ("audited", audited)):
        count(name, value)
    draw = np.random.default_rng(rng)
    covered = weekly["coverage"].to_numpy(float)
    bad = draw.binomial(messages, share("prevalence", prevalence), len(covered))
    removed = draw.binomial(bad, covered)
    reports = draw.binomial(bad - removed, share("report_rate", report_rate))
    return pd.DataFrame(
        {
            "ts": START + 7 * DAY * weekly["week"].to_numpy(),
            "labels": reports,
            "coverage": removed / np.maximum(removed + reports, 1),
            "recall": draw.binomial(audited, covered) / audited,
        }
    )


def audit_sample(
    coverage: Any,
    *,
    rows: int = 3_000,
    users: int = 5_000,
    prevalence: Any = 0.05,
    report_rate: float = 0.3,
    rng: Any = 0,
) -> pd.DataFrame:
    """A random sample of each week's messages whose truth somebody looked up.

    Parameters
    ----------
    coverage : array of shape (weeks,)
        Share of bad messages that the model removed in each week.
    rows, users : int
        Audited messages a week; users who sent them.
    prevalence : float or array of shape (weeks,)
        Share of messages that are bad.
    report_rate : float
        Chance that a bad message that stands is reported.
    rng : int or Generator

    Returns
    -------
    DataFrame
        `request_id`, `user_id`, `ts`, `y` (bad), `action` (removed), `reported`.

    Examples
    --------
    >>> audit_sample([0.0, 0.5], rows=100).shape
    (200, 6)
    """
    for name, value in (("rows", rows), ("users", users)):
        count(name, value)
    covered = np.atleast_1d(np.asarray(coverage, dtype=float))
    present = np.broadcast_to(np.asarray(prevalence, dtype=float), covered.shape)
    for name, values in (("coverage", covered), ("prevalence", present)):
        for value in values:
            share(name, float(value))
    share("report_rate", report_rate)
    draw = np.random.default_rng(rng)
    week = np.repeat(np.arange(len(covered)), rows)
    total = len(week)
    # Some users send more of what is bad than others: the rows of one user are alike.
    inclined = draw.gamma(2.0, 0.5, users)
    user = draw.integers(0, users, total)
    y = draw.random(total) < np.minimum(present[week] * inclined[user], 1.0)
    removed = y & (draw.random(total) < covered[week])
    reported = y & ~removed & (draw.random(total) < report_rate)
    seconds = (week + draw.random(total)) * 7 * 86_400
    return pd.DataFrame(
        {
            "request_id": np.arange(total),
            "user_id": user,
            "ts": START + pd.to_timedelta((seconds * 1e6).astype(np.int64), unit="us"),
            "y": y.astype(np.int64),
            "action": removed,
            "reported": reported.astype(np.int64),
        }
    )
