"""Rows that came in twice: what do they do to a mean and its interval, and how many are there?"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import beta, norm
from scipy.stats import t as student

from toolkit.finding import Finding
from toolkit.frames import IMPRESSION, read_columns
from toolkit.resampling import clustered_error, several
from toolkit.rules import count, level, number, share

__all__ = ["doubled", "dup_audit", "twins_across", "variance_factor"]

# Below so many units with copies the error of their effect is itself hardly known.
_FEW_UNITS = 15


def variance_factor(copies: Mapping[int, float]) -> float:
    """How many times larger the variance of a mean over rows is than its rows say, E[D^2] / E[D].

    Each event is there D times, D having nothing to do with its value. The rows say s^2 / rows; the mean's
    variance is s^2 times the sum of D^2 over the square of the sum of D.

    Parameters
    ----------
    copies : mapping of number of copies to share of the events
        Shares sum to 1; 0 copies is an event that got lost.

    Examples
    --------
    One event in ten is there twice: (.9 + .1 * 4) / (.9 + .1 * 2).

    >>> round(variance_factor({1: 0.9, 2: 0.1}), 4)
    1.1818
    """
    times = np.array([count("copies", each, least=0) for each in copies], dtype=float)
    shares = np.array([share("copies", each) for each in copies.values()])
    if not math.isclose(shares.sum(), 1.0, abs_tol=1e-9) or not times @ shares > 0:
        raise ValueError(f"copies: got {dict(copies)}; shares must sum to 1, and some event be there")
    return float(times**2 @ shares / (times @ shares))


def doubled(rate: float, *, base: float, times: float = 1.0, events: int = 10_000) -> dict[str, float]:
    """What a rate reads where some events are there twice, and how often its 95% interval holds the truth.

    Parameters
    ----------
    rate : float
        Share of all events that are there twice.
    base : float
        Chance that an event is a positive, strictly between 0 and 1.
    times : float
        How many times as likely a positive is to be doubled as a negative.
    events : int
        Distinct events in the sample.

    Returns
    -------
    dict
        `reading`; `understated`, the mean's variance over what the rows say; `covers`, the chance that the
        rows' own 95% interval covers `base`; `correlation` of doubling with the label.

    Examples
    --------
    >>> told = doubled(0.1, base=0.05)
    >>> round(told["reading"], 3), round(told["understated"], 3), round(told["covers"], 3)
    (0.05, 1.182, 0.929)
    """
    share("rate", rate)
    number("base", base, above=0, below=1)
    number("times", times, above=0)
    count("events", events, least=2)
    negative = rate / (1 - base + times * base)
    positive = times * negative
    if positive > 1 + 1e-12 or negative > 1 + 1e-12:
        raise ValueError(
            f"times: got {times!r} with rate {rate!r}; more than every {'positive' if positive > 1 else 'negative'} "
            "would be there twice"
        )
    weight = np.array([1 - base, base])
    mean, square = 1 + np.array([negative, positive]), 1 + 3 * np.array([negative, positive])
    total = float(weight @ mean)
    reading = float(base * mean[1] / total)
    # D (y - reading) has mean 0; its mean square over the events is the mean's variance by the delta method.
    variance = float(weight @ (square * (np.array([0.0, 1.0]) - reading) ** 2)) / total**2 / events
    claimed = reading * (1 - reading) / (total * events)
    off, spread = (reading - base) / math.sqrt(variance), math.sqrt(claimed / variance)
    far = float(norm.isf(0.025)) * spread
    joint = rate - rate**2
    return {
        "reading": reading,
        "understated": variance / claimed,
        "covers": float(norm.cdf(far - off) - norm.cdf(-far - off)),
        "correlation": base * (positive - rate) / math.sqrt(base * (1 - base) * joint) if joint > 0 else 0.0,
    }


def twins_across(rate: float, *, held_out: float = 0.2) -> float:
    """The share of held-out rows whose twin is among the training rows, in a random split by rows.

    Parameters
    ----------
    rate : float
        Share of events that are there twice.
    held_out : float
        Share of the rows that are held out.

    Examples
    --------
    >>> round(twins_across(0.1), 4)
    0.1455
    """
    share("rate", rate)
    share("held_out", held_out, open_low=True, open_high=True)
    return 2 * rate / (1 + rate) * (1 - held_out)


def dup_audit(
    rows: Any,
    *,
    key: Sequence[str] = tuple(IMPRESSION),
    value: str | None = None,
    cluster: str | None = "user_id",
    alpha: float = 0.05,
) -> Finding:
    """Count the rows that are there again under their key, and say what they do to a mean and its error.

    Parameters
    ----------
    rows : frame
        One row an event, or so it should be. Leave out columns that differ between retries, such as the time
        of arrival, or every copy counts as conflicting.
    key : sequence of str
        The columns that together name an event.
    value : str, optional
        Column of numbers whose mean is looked at, such as a label.
    cluster : str or None
        What is independent: users; or the file or batch that was delivered again. None: each event by itself.
    alpha : float

    Returns
    -------
    Finding
        With `value`: the mean over rows less the mean over events, with a clustered interval and p of "copies
        have nothing to do with the value". Without: the share of rows that are copies; where there is none, the
        interval ends where so many clusters would hardly be without. The table has copies, how many of them
        differ from their first row in another column (`conflicting`: a correction, or a key that isn't one), and
        by what the variance that rows claim must be multiplied.

    Raises
    ------
    ValueError
        If a column is missing or incomplete, there is no key, or all rows are of one cluster.

    Examples
    --------
    >>> rows = pd.DataFrame({"request_id": [1, 2, 3, 3], "item_id": 7, "user_id": [1, 2, 3, 3], "y": [0, 0, 1, 1]})
    >>> told = dup_audit(rows, value="y")
    >>> round(told.estimate, 4), float(told.table.set_index("what")["value"]["copies"])
    (0.1667, 1.0)
    """
    level(alpha)
    if isinstance(key, str) or not len(key):
        raise ValueError(f"key: got {key!r}; it must be a list of one column at least")
    needed = list(dict.fromkeys([*key, *([cluster] if cluster else []), *([value] if value else [])]))
    table = read_columns(rows, "rows", needed, numbers=[value] if value else [], keep=True)
    event = table.groupby(list(key), sort=False, dropna=False).ngroup().to_numpy()
    events, n = int(event.max()) + 1, len(table)
    times = np.bincount(event).astype(float)
    first = np.unique(event, return_index=True)[1]
    code = np.arange(events) if cluster is None else several(table[cluster], cluster)[first]
    clusters = len(np.unique(code))
    if clusters < 2:
        raise ValueError(
            f"{cluster}: got one in the first rows of all events; an interval needs two at least"
        )
    code = np.unique(code, return_inverse=True)[1]
    copies = n - events
    # A difference in what the key doesn't fix is no mere retry.
    conflicting = _distinct(table) - events if copies else 0
    with_copies = len(np.unique(code[times > 1]))
    share_error = clustered_error((times * events - n) / n**2, code) if copies else 0.0
    factor = float((times**2).sum() / n)
    records: list[tuple[str, float]] = [
        ("rows", float(n)),
        ("events", float(events)),
        ("copies", float(copies)),
        ("conflicting", float(conflicting)),
        ("most of one event", float(times.max())),
        ("variance factor", factor),
    ]
    estimate, error, p = copies / n, share_error, None
    if value is not None:
        y = table[value].to_numpy(float)
        of_events = np.bincount(event, y) / times
        by_rows, by_events = float(y.mean()), float(of_events.mean())
        influence = times * (of_events - by_rows) / n - (of_events - by_events) / events
        error = clustered_error(influence, code) if copies else 0.0
        estimate = by_rows - by_events
        records += [("mean over rows", by_rows), ("mean over events", by_events)]
    if copies and error > 1e-15:
        half = float(student.isf(alpha / 2, max(1, with_copies - 1))) * error
        low, high = estimate - half, estimate + half
        if value is None:
            low, high = max(low, 0.0), min(high, 1.0)
        else:
            p = float(2 * student.sf(abs(estimate) / error, max(1, with_copies - 1)))
    else:
        low, high = estimate, estimate
        if value is None and not copies:
            # Clopper and Pearson's end for none among so many.
            high = float(beta.ppf(1 - alpha, 1, clusters))
    return Finding(
        estimate,
        (low, high),
        _verdict(n, copies, conflicting, factor, value, estimate, low, high, with_copies),
        unit=f"of {value}" if value else "share of the rows",
        se=error,
        p=p,
        n=n,
        n_clusters=clusters,
        alpha=alpha,
        table=pd.DataFrame(records, columns=["what", "value"]),
        assumptions=(
            "the key names an event: two rows with one key are the same event",
            f"{'events' if cluster is None else f'values of {cluster}'} are independent of one another",
        ),
        cannot_tell=(
            "a retry that was given a new key: such copies look like new events",
            "which of two conflicting rows is right",
        ),
    )


def _distinct(table: pd.DataFrame) -> int:
    """Rows that differ in some column; lists, such as embeddings, by what they hold."""
    try:
        return len(table.drop_duplicates())
    except TypeError:
        # Lists, arrays and mappings have no hash.
        return len(
            table.map(
                lambda value: value if pd.api.types.is_hashable(value) else repr(value)
            ).drop_duplicates()
        )


def _verdict(
    n: int,
    copies: int,
    conflicting: int,
    factor: float,
    value: str | None,
    estimate: float,
    low: float,
    high: float,
    units: int,
) -> str:
    if not copies:
        return f"No event is there twice among {n:,} rows."
    said = (
        f"{copies:,} of {n:,} rows ({copies / n:.1%}) are copies; if they fall at random, a mean's variance is "
        f"{factor:.2f} times what the rows say."
    )
    if conflicting:
        said += (
            f" {conflicting:,} of them differ from another row of their event, so they are no mere retries."
        )
    if value is not None:
        if low > 0 or high < 0:
            said += (
                f" They {'raise' if estimate > 0 else 'lower'} the mean of {value} by {abs(estimate):.3g}."
            )
        else:
            said += f" No effect on the mean of {value} shows; up to {max(abs(low), abs(high)):.2g} can't be ruled out."
        if units < _FEW_UNITS:
            said += (
                f" Copies lie in {units} cluster{'s' if units > 1 else ''} only, so the interval is rough."
            )
    return said
