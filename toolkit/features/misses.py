"""What does a ranking lose where the online store has no value for a key, and the model gets a default?

The closed form for one feature with two normal classes, and FooBar's candidates served through a store
that misses some of their items.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Literal

import numpy as np
import pandas as pd
from scipy.optimize import brentq
from scipy.special import expit
from scipy.stats import norm

from toolkit.auc import auc
from toolkit.rules import number, one_of, share
from toolkit.world import World
from toolkit.world.policies import fit_logistic
from toolkit.world.slates import Slates, live, logged

Default = Literal["zero", "mean", "learned"]
DEFAULTS: tuple[Default, ...] = ("zero", "mean", "learned")


def miss_auc(
    separation: float,
    miss: float,
    *,
    among_bad: float | None = None,
    default: float | Literal["neutral", "extreme", "learned"] = "neutral",
) -> float:
    """The AUC of a feature that is missing in some rows and replaced by a default.

    The feature is normal with variance 1, around 0 among the bad and around `separation` among the
    good. All missing rows are tied, and a tie counts half.

    Parameters
    ----------
    separation : float
        Distance of the classes' means, in standard deviations.
    miss : float
        Share of missing rows; among the good, where `among_bad` is given.
    among_bad : float, optional
        Share of missing rows among the bad; that of the good where not given.
    default : float, "neutral", "extreme" or "learned"
        The value that stands in: a number; half way between the classes; beyond all values (either
        end gives the same where misses are at random); or what a model trained with the misses
        learns that a missing value means (`learned_default`).

    Examples
    --------
    >>> [round(miss_auc(1.5, m, default=d), 3) for m, d in [(0, 0.0), (0.2, "neutral"), (0.2, "extreme")]]
    [0.856, 0.815, 0.728]
    """
    number("separation", separation)
    good = share("miss", miss)
    bad = good if among_bad is None else share("among_bad", among_bad)
    if default == "neutral":
        at = separation / 2
    elif default == "extreme":
        at = -math.inf
    elif default == "learned":
        at = learned_default(separation, good, among_bad=bad)
    elif isinstance(default, str):
        raise ValueError(f"default: got {default!r}; it must be a number, or neutral, extreme or learned")
    else:
        at = number("default", default)
    both = norm.cdf(separation / math.sqrt(2))
    return float(
        (1 - good) * (1 - bad) * both
        + (1 - good) * bad * norm.sf(at - separation)
        + good * (1 - bad) * norm.cdf(at)
        + good * bad / 2
    )


def learned_default(separation: float, miss: float, *, among_bad: float | None = None) -> float:
    """The value of the feature that says as much as its absence, to a model trained with the misses.

    Half way between the classes where misses are at random; infinite where only one class ever misses.

    Parameters
    ----------
    separation : float
        Positive.
    miss, among_bad : float
        As in `miss_auc`.

    Examples
    --------
    >>> learned_default(1.5, 0.2), round(learned_default(1.5, 0.05, among_bad=0.3), 2)
    (0.75, -0.65)
    """
    number("separation", separation, above=0)
    good = share("miss", miss, open_high=True)
    bad = good if among_bad is None else share("among_bad", among_bad, open_high=True)
    if good == bad:
        return separation / 2
    if not good or not bad:
        return -math.inf if not good else math.inf
    # The log-likelihood ratio of "missing", against that of "present" which all other rows share.
    ratio = math.log(good / bad) - math.log((1 - good) / (1 - bad))
    return separation / 2 + ratio / separation


def neutral_equivalent(separation: float, miss: float) -> float:
    """The share of misses with a neutral default that costs as much AUC as `miss` with an extreme one.

    Undefined, therefore nan, where no share of neutral defaults costs that much.

    Examples
    --------
    >>> round(neutral_equivalent(1.5, 0.05), 3)
    0.175
    """
    number("separation", separation, above=0)
    lost = miss_auc(separation, miss, default="extreme")
    if miss_auc(separation, 1.0) > lost:
        return math.nan
    return float(brentq(lambda m: miss_auc(separation, m) - lost, 0.0, 1.0, xtol=1e-12))


@dataclass(frozen=True, eq=False)
class Catalogue:
    """FooBar's candidates on some days, and the logged rows that its model was trained on.

    The model has the pair's features and the item's running click rate, which is the one that comes
    from the store: a log-odds, so that 0 stands for a rate of one half, which no item has.
    """

    pairs: np.ndarray  # (requests, candidates, features)
    rate: np.ndarray  # (requests, candidates)
    popularity: np.ndarray  # (requests, candidates) log impressions of the day before, standardised
    draw: np.ndarray  # (requests, candidates) one uniform number a key and day decides what is missing
    p: np.ndarray
    y: np.ndarray
    train_pairs: np.ndarray  # (rows, features)
    train_rate: np.ndarray
    train_popularity: np.ndarray
    train_draw: np.ndarray
    train_y: np.ndarray


def catalogue(world: World, days: range, *, trained_on: range, rng: int = 0) -> Catalogue:
    """The candidates of some days of a world, and the rows logged on earlier days.

    Parameters
    ----------
    world : World
    days, trained_on : range
        Both begin after the world's first day, and training ends before serving begins.
    rng : int
        For which keys are missing.

    Examples
    --------
    >>> from toolkit.world import Settings, simulate
    >>> made = catalogue(simulate(Settings(items=50, requests=100, days=4)), range(3, 4), trained_on=range(1, 3))
    >>> made.rate.shape, made.train_rate.shape
    ((100, 20), (200,))
    """
    if trained_on.stop > days.start or trained_on.start < 1:
        raise ValueError(f"trained_on: got {trained_on}; it must begin after day 0 and end before {days}")
    s = world.settings
    busy = np.log1p(world.impressions)
    busy = (busy - busy[trained_on.start :].mean()) / busy[trained_on.start :].std()
    drawn = np.random.default_rng(rng).random((s.days, s.items))

    def of(rows: Slates, per_key: np.ndarray, *, before: int = 0) -> np.ndarray:
        return per_key[rows.day - before, rows.take(world.item)]

    there = live(world, days)
    seen = logged(world, trained_on, np.ones((len(trained_on), s.requests), dtype=bool))
    return Catalogue(
        there.known[..., :-1],
        there.rate(as_of=True, lag=0),
        of(there, busy, before=1),
        of(there, drawn),
        there.p,
        there.y,
        seen.known[:, 0, :-1],
        seen.rate(as_of=True, lag=0)[:, 0],
        of(seen, busy, before=1)[:, 0],
        of(seen, drawn)[:, 0],
        seen.y[:, 0],
    )


def served(
    made: Catalogue,
    *,
    miss: float,
    default: Default = "zero",
    popularity: float = 0.0,
    trained_with: bool = False,
) -> pd.Series:
    """What the model earns when the store misses some keys: `reward`, `auc`, `unknown`.

    Parameters
    ----------
    made : Catalogue
    miss : float
        Share of the candidates' values that are missing.
    default : "zero", "mean" or "learned"
        What stands in: 0; the mean of the training rows; or what the training rows say of a key that
        is as popular.
    popularity : float
        By how much in log-odds a key's chance to be missing falls with each standard deviation of its
        popularity; 0: all keys alike.
    trained_with : bool
        Whether the model was trained on rows with the same misses and told which they were (a missing
        indicator), instead of on the complete offline table.

    Returns
    -------
    Series
        `reward`, the mean chance of a good match of what is shown; `auc` over all candidates;
        `unknown`, the share of requests at which an item without a value is shown.

    Examples
    --------
    >>> from toolkit.world import Settings, simulate
    >>> made = catalogue(simulate(Settings(items=50, requests=200, days=4)), range(3, 4), trained_on=range(1, 3))
    >>> whole, holes = served(made, miss=0.0), served(made, miss=0.1)
    >>> bool(holes["reward"] < whole["reward"]), bool(holes["unknown"] > 0.1)
    (True, True)
    """
    (
        share("miss", miss, open_high=True),
        one_of("default", default, DEFAULTS),
        number("popularity", popularity),
    )
    level = _level(made.popularity, miss, popularity)
    holes, train_holes = (
        draw < expit(level - popularity * busy) if miss else np.zeros(draw.shape, dtype=bool)
        for draw, busy in ((made.draw, made.popularity), (made.train_draw, made.train_popularity))
    )
    fill, train_fill = _stand_in(made, default)
    rate = np.where(holes, fill, made.rate)
    if trained_with and train_holes.any():
        seen = np.column_stack(
            [made.train_pairs, np.where(train_holes, train_fill, made.train_rate), train_holes]
        )
        weights = fit_logistic(seen, made.train_y)
        marked = weights[-1] * holes
    else:
        weights = np.r_[fit_logistic(np.column_stack([made.train_pairs, made.train_rate]), made.train_y), 0]
        marked = np.zeros(holes.shape)
    score = made.pairs @ weights[1:-2] + weights[-2] * rate + marked
    best = score.argmax(1)[:, None]
    return pd.Series(
        {
            "reward": float(np.take_along_axis(made.p, best, 1).mean(dtype=float)),
            "auc": auc(made.y.ravel(), score.ravel()),
            "unknown": float(np.take_along_axis(holes, best, 1).mean()),
        }
    )


def sweep(made: Catalogue, *, misses: Sequence[float], popularity: Sequence[float] = (0.0,)) -> pd.DataFrame:
    """What `served` says in every combination, indexed by `miss`, `default`, `popularity`, `trained_with`.

    Examples
    --------
    >>> from toolkit.world import Settings, simulate
    >>> made = catalogue(simulate(Settings(items=50, requests=200, days=4)), range(3, 4), trained_on=range(1, 3))
    >>> told = sweep(made, misses=(0.0, 0.1))
    >>> len(told), told.columns.tolist()
    (12, ['reward', 'auc', 'unknown'])
    """
    names = ["miss", "default", "popularity", "trained_with"]
    states = list(product(misses, DEFAULTS, popularity, (False, True)))
    settings: list[dict[str, Any]] = [dict(zip(names, state, strict=True)) for state in states]
    rows = [served(made, **setting) for setting in settings]
    return pd.DataFrame(rows, index=pd.MultiIndex.from_tuples(states, names=names))


def _stand_in(made: Catalogue, default: Default) -> tuple[np.ndarray | float, np.ndarray | float]:
    """What stands in for a missing rate, of the candidates and of the training rows."""
    if default == "zero":
        return 0.0, 0.0
    mean = float(made.train_rate.mean())
    if default == "mean":
        return mean, mean
    slope, intercept = np.polyfit(made.train_popularity, made.train_rate, 1)
    return intercept + slope * made.popularity, intercept + slope * made.train_popularity


def _level(busy: np.ndarray, miss: float, popularity: float) -> float:
    """The log-odds of a miss at mean popularity that makes the mean chance `miss`."""
    if not miss:
        return -math.inf
    # A thousand quantiles stand for all rows.
    some = np.quantile(busy, (np.arange(1000) + 0.5) / 1000)
    return float(brentq(lambda level: expit(level - popularity * some).mean() - miss, -60, 60))
