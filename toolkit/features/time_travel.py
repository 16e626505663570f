"""What does a feature look like offline when it was read later than the request?

Three ways in: a snapshot that holds the row's own label and its future, a correction that is filed under
the time of the event, and a split that puts one label window on both sides.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

import numpy as np
import pandas as pd
from scipy.special import expit, logit
from scipy.stats import binom

from toolkit.auc import auc
from toolkit.features.asof import asof_join
from toolkit.features.own_label import fewest_events, leak_auc
from toolkit.rules import count, number, one_of, share

__all__ = [
    "corrected_scores",
    "fewest_events",
    "joined_by",
    "leak_auc",
    "snapshot_auc",
    "split_aucs",
]

# Days in which what a key's state tells of a later state halves.
_HALF_LIFE = 1.0
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(61)
_SPLITS = ("random", "forward in time", "forward, with a gap")


@lru_cache(maxsize=1024)
def snapshot_auc(n: int, p: float, *, signal: float = 0.0, lag: float = 0.0) -> float:
    """The AUC of a key's count of good events in a day that ends some time before or after the request.

    A key's state moves, with a half-life of a day, and separates good rows from bad by `signal`
    standard deviations at the request. A snapshot taken after it holds the row's own label too.

    Parameters
    ----------
    n : int
        Other events of the key in the snapshot's day.
    p : float
        Share of good rows.
    signal : float
        0 where keys don't differ.
    lag : float
        Days from the request to the snapshot; below 0 it was taken before.

    Examples
    --------
    >>> round(snapshot_auc(10, 0.1), 3), round(snapshot_auc(10, 0.1, lag=0.5), 3)
    (0.5, 0.767)
    """
    count("n", n, least=0)
    number("p", p, above=0, below=1)
    number("signal", signal, above=-1e-9)
    number("lag", lag)
    # From the middle of the snapshot's day to the request.
    kept = 2 ** (-abs(lag - 0.5) / _HALF_LIFE)
    own = int(lag > 0)
    s = np.arange(n + 1)
    weights = _WEIGHTS / _WEIGHTS.sum()
    by_label = []
    for label in (0, 1):
        state = _NODES + kept * signal * label
        rate = expit(logit(p) - signal**2 / 2 + signal * state)
        by_label.append(weights @ binom.pmf(s, n, rate[:, None]))
    bad, good = by_label
    bad = np.r_[bad, np.zeros(own)]
    good = np.r_[np.zeros(own), good]
    return float(good @ (np.cumsum(bad) - bad / 2))


def corrected_scores(
    *, accounts: int = 2_000, corrected: float = 0.5, delay: float = 7.0, rng: int = 0
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rows and history of a risk score that is right or wrong at first, and corrected where fraud was found.

    An account is scored at once when it opens; a request comes up to three days after. Some of the frauds are
    corrected later: a further value of the same event, two standard deviations higher, which became available `delay`
    days after.

    Parameters
    ----------
    accounts : int
        A fifth of them frauds.
    corrected : float
        Share of the frauds whose score is corrected.
    delay : float
        Days from the score to its correction.
    rng : int

    Returns
    -------
    rows, feature_history : DataFrame
        The rows with `item_id` (the account), `ts` and `y`.

    Examples
    --------
    >>> rows, history = corrected_scores(accounts=10)
    >>> len(rows), len(history)
    (10, 11)
    """
    count("accounts", accounts, least=5)
    share("corrected", corrected)
    number("delay", delay, above=0)
    draw = np.random.default_rng(rng)
    opened = pd.Timestamp("2026-03-02", tz="UTC") + pd.to_timedelta(
        draw.integers(0, 14 * 86_400, accounts), unit="s"
    )
    asked = opened + pd.to_timedelta(draw.integers(0, 3 * 86_400, accounts), unit="s")
    fraud = np.arange(accounts) % 5 == 0
    score = draw.normal(size=accounts) + 0.5 * fraud
    fixed = np.flatnonzero(fraud)[: round(corrected * fraud.sum())]
    first = pd.DataFrame(
        {
            "entity_id": range(accounts),
            "feature": "risk",
            "event_ts": opened,
            "available_ts": opened,
            "value": score,
        }
    )
    second = first.iloc[fixed].assign(
        available_ts=opened[fixed] + pd.Timedelta(days=delay), value=score[fixed] + 2.0
    )
    rows = pd.DataFrame({"item_id": range(accounts), "ts": asked, "y": fraud.astype(int)})
    return rows, pd.concat([first, second], ignore_index=True)


def split_aucs(
    *, window: int = 7, spread: float = 0.0, users: int = 2_000, days: int = 120, rng: int = 0
) -> pd.DataFrame:
    """The AUC of "what this user's nearest training row was" under three ways of splitting.

    A row a user and day; its label says whether the user buys within so many days. So neighbouring rows' labels
    share most of their days. The model knows nothing but the labels of the user's nearest training rows, before and
    after (in time only before).

    Parameters
    ----------
    window : int
        Days of a label.
    spread : float
        Standard deviation of the users' log-odds of buying on a day; 0 where all are alike, and nothing can be told.
    users, days : int
    rng : int

    Returns
    -------
    DataFrame
        A row a split: `random` rows (a fifth is tested), `forward in time` (a day's label predicts the next
        six days, or as many as share some of it), `forward, with a gap` of one window between; and its AUC.

    Examples
    --------
    >>> split_aucs(users=200)["split"].tolist()
    ['random', 'forward in time', 'forward, with a gap']
    """
    count("window", window)
    number("spread", spread, above=-1e-9)
    count("days", days, least=4 * window + 20)
    draw = np.random.default_rng(rng)
    rate = expit(logit(0.1 / window**0.5) + spread * draw.normal(size=users))
    bought = draw.random((users, days + window)) < rate[:, None]
    running = np.cumsum(np.c_[np.zeros(users), bought], axis=1)
    label = (running[:, window:] - running[:, :-window] > 0)[:, :days]
    tested = draw.random(label.shape) < 0.2
    known = np.where(tested, np.nan, label)
    before, after = (
        frame.to_numpy() for frame in (pd.DataFrame(known).ffill(axis=1), pd.DataFrame(known).bfill(axis=1))
    )
    # The nearest training rows before and after: of both their mean.
    both = np.where(np.isnan(before), after, np.where(np.isnan(after), before, (before + after) / 2))
    aucs = [auc(label[tested].astype(int), both[tested])]
    cut = days - days // 10
    for gap in (0, window):
        last = label[:, cut - 1 - gap]
        test = label[:, cut : cut + max(6, window - 1)]
        score = np.repeat(last[:, None], test.shape[1], axis=1)
        aucs.append(auc(test.ravel().astype(int), score.ravel().astype(float)))
    return pd.DataFrame({"split": _SPLITS, "auc": aucs})


def joined_by(
    rows: pd.DataFrame, feature_history: pd.DataFrame, *, by: Literal["event", "available"]
) -> np.ndarray:
    """The risk score joined by when its event was, or by when it could be read.

    Examples
    --------
    >>> rows, history = corrected_scores(accounts=50)
    >>> bool((joined_by(rows, history, by="event") > joined_by(rows, history, by="available")).any())
    True
    """
    one_of("by", by, ("event", "available"))
    if by == "event":
        # As a table without the time of availability: the last value of each event is all that's left.
        last = feature_history.sort_values("available_ts").drop_duplicates(
            ["entity_id", "event_ts"], keep="last"
        )
        feature_history = last.assign(available_ts=last["event_ts"])
    joined = asof_join(rows, feature_history, features=["risk"])
    return np.asarray(joined["f_risk"], dtype=float)
