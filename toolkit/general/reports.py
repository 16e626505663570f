"""Who reports what? FooBar's posts read as moderation: all are scored, a few reported, and only those get a label."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from scipy.special import expit

from toolkit.general.label_noise import positives_only
from toolkit.rules import count, number, share
from toolkit.world import Settings, logs, simulate
from toolkit.world.serving import Served, pair_features
from toolkit.world.simulation import World
from toolkit.world.slates import Slates

# A world whose pair features tell more than the baseline's: the classifier separates bad posts decently.
SETTINGS = Settings(
    exploration=0.0, candidates=5, days=45, weights=(1.2, 1.0, 0.8, 0.4, 0.3, 0.2), intercept=-3.6
)
# Late enough for a four-week click rate to have its four weeks.
DAYS = range(31, 45)


@dataclass(frozen=True, eq=False)
class Posts:
    """A fortnight of posts: what the logs hold of each, and whether it is bad, which they don't."""

    log: pd.DataFrame  # `serving_log`: one row a post, with the classifier's score
    bad: np.ndarray  # 1 where a reviewer would call it bad, reported or not

    def keep(self, chosen: np.ndarray) -> Posts:
        """Some of the posts, by mask or place."""
        return Posts(self.log.loc[chosen].reset_index(drop=True), self.bad[chosen])

    @property
    def flag_line(self) -> float:
        """The score above which the classifier flags a post: one in ten lies there."""
        return float(np.quantile(self.log["score"], 0.9))


def posts(*, rng: Any = 0, days: range = DAYS, settings: Settings = SETTINGS) -> Posts:
    """The posts of some days, each scored by the decade-old formula when it comes in.

    Read a request's first candidate as a post, and a good match as a post that breaks the rules:
    the world is the same, its outcome has another name.

    Examples
    --------
    >>> fortnight = posts()
    >>> len(fortnight.log), bool(0.05 < fortnight.bad.mean() < 0.15)
    (28000, True)
    """
    world = simulate(settings, rng=rng)
    slates = _arriving(world, days)
    served = Served(
        model_id="old",
        feature_version=1,
        slates=slates,
        features=pair_features(slates),
        light_score=slates.old_score,
        passed=np.ones(slates.day.shape, dtype=bool),
        score=slates.old_score.astype(float),
    )
    return Posts(logs.serving_log({"control": served}), slates.y[:, 0].astype(int))


def _arriving(world: World, days: range) -> Slates:
    day, request = (place.reshape(-1, 1) for place in np.indices((len(days), world.settings.requests)))
    return Slates(world, day + days.start, request, np.zeros_like(day))


def report_chance(these: Posts, *, rate: float, badness: float = 1.0, score: float = 1.0) -> np.ndarray:
    """The chance that each post is reported, r(x, y).

    Parameters
    ----------
    rate : float
        Share of posts reported, over all; strictly between 0 and 1.
    badness, score : float
        By which factor the odds of a report grow if the post is bad, and with each standard
        deviation of its score. 1: reports don't depend on it.

    Returns
    -------
    array of shape (posts,)

    Examples
    --------
    >>> round(float(report_chance(posts(), rate=0.02, badness=10).mean()), 4)
    0.02
    """
    share("rate", rate, open_low=True, open_high=True)
    for name, value in (("badness", badness), ("score", score)):
        number(name, value, above=0)
    scored = these.log["score"].to_numpy(float)
    tilt = np.log(badness) * these.bad + np.log(score) * (scored - scored.mean()) / scored.std()
    # The mean rises with the intercept: bisect.
    low, high = -20.0 - tilt.max(), 20.0 - tilt.min()
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if expit(middle + tilt).mean() < rate else (low, middle)
    return expit(low + tilt)


def by_reports(these: Posts, chance: np.ndarray) -> pd.DataFrame:
    """What counting reported posts gives on average, beside the truth: prevalence, precision, recall.

    Examples
    --------
    >>> fortnight = posts()
    >>> even = by_reports(fortnight, report_chance(fortnight, rate=0.02))
    >>> bool(abs(even["reports"] - even["truth"]).max() < 1e-9)
    True
    """
    flagged = these.log["score"].to_numpy() >= these.flag_line
    columns = {}
    for name, weight in (("reports", chance), ("truth", np.ones(len(chance)))):
        bad = weight * these.bad
        columns[name] = [
            bad.sum() / weight.sum(),
            bad[flagged].sum() / weight[flagged].sum(),
            bad[flagged].sum() / bad.sum(),
        ]
    return pd.DataFrame({"measure": ["Prevalence", "Precision", "Recall"], **columns})


def outcomes(these: Posts, chance: np.ndarray, *, rng: Any = 0) -> pd.DataFrame:
    """The `outcomes` table of a moderation team: one row a reported post, its label the reviewer's.

    Examples
    --------
    A post that is reported for sure, one that never is, and a bad one that is:

    >>> log = pd.DataFrame({"request_id": [1, 2, 3], "item_id": 7, "score": [0.1, 0.5, 0.9],
    ...     "ts": pd.Timestamp("2026-03-02", tz="UTC")})
    >>> outcomes(Posts(log, np.array([0, 0, 1])), np.array([1.0, 0.0, 1.0]))[["request_id", "y"]].to_numpy().tolist()
    [[1, 0], [3, 1]]
    """
    reported = np.random.default_rng(rng).random(len(chance)) < chance
    log = these.log[reported]
    table = log[["request_id", "item_id"]].assign(y=these.bad[reported], label_ts=log["ts"])
    return table.reset_index(drop=True)


def audit(these: Posts, labels: pd.DataFrame, *, rows: int, rng: Any = 0) -> pd.DataFrame:
    """Every reported post, and posts drawn at random from the others, all reviewed.

    Parameters
    ----------
    labels : DataFrame
        `outcomes`: which posts were reported.
    rows : int
        Unreported posts to draw, with the same chance each.

    Returns
    -------
    DataFrame
        One row a reviewed post: `user_id`, `score`, `y`, `reported`, `propensity`.

    Examples
    --------
    The first post was reported; of the other two one is drawn, each with a chance of a half:

    >>> log = pd.DataFrame({"request_id": [1, 2, 3], "item_id": 7, "user_id": 9, "score": [0.1, 0.5, 0.9]})
    >>> reviewed = audit(Posts(log, np.array([1, 0, 1])), log[:1], rows=1)
    >>> reviewed["reported"].tolist(), reviewed["propensity"].tolist()
    ([1, 0], [1.0, 0.5])
    """
    key = ["request_id", "item_id"]
    told = pd.MultiIndex.from_frame(these.log[key]).isin(pd.MultiIndex.from_frame(labels[key]))
    others = np.flatnonzero(~told)
    if count("rows", rows) > len(others):
        raise ValueError(f"rows: got {rows:,}; only {len(others):,} posts weren't reported")
    drawn = np.random.default_rng(rng).choice(others, rows, replace=False)
    chosen = np.sort(np.r_[np.flatnonzero(told), drawn])
    return pd.DataFrame(
        {
            "user_id": these.log["user_id"].to_numpy()[chosen],
            "score": these.log["score"].to_numpy()[chosen],
            "y": these.bad[chosen],
            "reported": told[chosen].astype(int),
            "propensity": np.where(told[chosen], 1.0, rows / len(others)),
        }
    )


def labelled_sample(these: Posts, *, line: float, rows: int, rng: Any = 0) -> pd.DataFrame:
    """Posts drawn at random and reviewed: `user_id`, `score`, `yhat` (flagged at the line), `y`.

    Examples
    --------
    >>> log = pd.DataFrame({"user_id": [1, 2, 3], "score": [0.1, 0.5, 0.9]})
    >>> labelled_sample(Posts(log, np.array([0, 0, 1])), line=0.5, rows=3)[["yhat", "y"]].to_numpy().tolist()
    [[0, 0], [1, 0], [1, 1]]
    """
    if count("rows", rows) > len(these.bad):
        raise ValueError(f"rows: got {rows:,}; there are only {len(these.bad):,} posts")
    drawn = np.sort(np.random.default_rng(rng).choice(len(these.bad), rows, replace=False))
    return unlabelled(these.keep(drawn), line=line).assign(y=these.bad[drawn])


def unlabelled(these: Posts, *, line: float) -> pd.DataFrame:
    """What is known of all posts: `user_id`, `score`, and `yhat`, whether it was flagged at the line.

    Examples
    --------
    >>> log = pd.DataFrame({"user_id": [1, 2, 3], "score": [0.1, 0.5, 0.9]})
    >>> unlabelled(Posts(log, np.array([0, 0, 1])), line=0.5)["yhat"].tolist()
    [0, 1, 1]
    """
    table = these.log[["user_id", "score"]]
    return table.assign(yhat=(table["score"] >= number("line", line)).astype(int))


def positives_by_score(these: Posts, labels: pd.DataFrame, *, caught: float, parts: int = 5) -> pd.DataFrame:
    """The chance of being bad by score, from the labels of reported bad posts alone, beside the truth.

    Parameters
    ----------
    labels : DataFrame
        `outcomes`, of which only the bad are used.
    caught : float
        Share of bad posts that are reported.
    parts : int
        Parts of equal size, by score.

    Returns
    -------
    DataFrame
        One row a part: `part`, `reported`, `reported / caught`, `bad`.

    Examples
    --------
    The upper half is all bad, and half of it is reported:

    >>> log = pd.DataFrame({"request_id": [1, 2, 3, 4], "item_id": 7, "score": [0.1, 0.2, 0.8, 0.9]})
    >>> labels = log[3:].assign(y=1)
    >>> told = positives_by_score(Posts(log, np.array([0, 0, 1, 1])), labels, caught=0.5, parts=2)
    >>> told[["reported", "reported / caught", "bad"]].to_numpy().tolist()
    [[0.0, 0.0, 0.0], [0.5, 1.0, 1.0]]
    """
    key = ["request_id", "item_id"]
    bad = pd.MultiIndex.from_frame(labels.loc[labels["y"] == 1, key])
    part = pd.qcut(these.log["score"], count("parts", parts, least=2), labels=False)
    known = pd.MultiIndex.from_frame(these.log[key]).isin(bad)
    table = pd.DataFrame({"part": part + 1, "reported": known, "bad": these.bad}).groupby("part").mean()
    table.insert(1, "reported / caught", [positives_only(value, caught) for value in table["reported"]])
    return table.reset_index()


def move(these: Posts, through: Literal["the mix", "the inputs"], *, factor: float, rng: Any = 0) -> Posts:
    """The posts that are left when good ones, or those of low score, come in less often than before.

    Parameters
    ----------
    through : "the mix" or "the inputs"
        Whether posts are thinned by what they are (P(x | y) stays: label shift) or by their score
        alone (P(y | x) stays: covariate shift).
    factor : float
        Share of the thinned kind that still comes in, in (0, 1].

    Examples
    --------
    Of 9,000 good posts about half stay, of 1,000 bad ones all: their share goes from 10% to about 18%.

    >>> before = Posts(pd.DataFrame({"score": np.linspace(0, 1, 10_000)}), np.repeat([0, 1], [9000, 1000]))
    >>> after = move(before, "the mix", factor=0.5)
    >>> int(after.bad.sum()), round(float(after.bad.mean()), 2)
    (1000, 0.18)
    """
    share("factor", factor, open_low=True)
    if through not in ("the mix", "the inputs"):
        raise ValueError(f"through: got {through!r}; it must be one of the mix, the inputs")
    draw = np.random.default_rng(rng).random(len(these.bad))
    thinned = (
        these.bad == 0
        if through == "the mix"
        else these.log["score"].to_numpy() < np.quantile(these.log["score"], 0.75)
    )
    return these.keep(~thinned | (draw < factor))
