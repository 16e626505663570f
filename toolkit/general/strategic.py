"""Users change what they do to avoid a penalty: what is left of a model's gain, and where does retraining lead?"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit
from scipy.stats import norm

from toolkit.rules import count, number, share
from toolkit.world.clock import DAY, START


def retrain(mu: float, sensitivity: float, *, start: float = 0.0, rounds: int = 20) -> np.ndarray:
    """The models that follow each other when each is fitted to the data that the one before it made.

    A coin that the model itself biases: x is +1 or -1, y is 1 with chance 1/2 + (mu + sensitivity *
    theta) x, and the model predicts 1/2 + theta x. Least squares on what the model theta caused gives
    mu + sensitivity * theta.

    Parameters
    ----------
    mu : float
        What the outcome depends on x by itself.
    sensitivity : float
        How far one unit of the model moves the outcome.
    start : float
        The first model.
    rounds : int

    Returns
    -------
    array of shape (rounds + 1,)
        The models, the first one included. They converge where |sensitivity| < 1.

    References
    ----------
    Perdomo, Zrnic, Mendler-Duenner and Hardt (2020), "Performative Prediction", ICML.

    Examples
    --------
    >>> retrain(0.2, 0.3, rounds=3).round(4).tolist()
    [0.0, 0.2, 0.26, 0.278]
    """
    number("mu", mu)
    number("sensitivity", sensitivity)
    number("start", start)
    models = [float(start)]
    for _ in range(count("rounds", rounds)):
        models.append(mu + sensitivity * models[-1])
    return np.array(models)


def stable_model(mu: float, sensitivity: float) -> float:
    """The model that retraining leaves as it is: right about the data that it makes itself.

    Examples
    --------
    >>> round(stable_model(0.2, 0.3), 4)
    0.2857
    """
    number("mu", mu)
    number("sensitivity", sensitivity, above=-1, below=1)
    return mu / (1 - sensitivity)


def best_model(mu: float, sensitivity: float) -> float:
    """The model with the least squared error on the data that it makes itself.

    Not `stable_model`: a model may also make its data easier to predict.

    Examples
    --------
    >>> round(best_model(0.2, 0.3), 4)
    0.5
    """
    number("mu", mu)
    number("sensitivity", sensitivity, below=0.5)
    return mu / (1 - 2 * sensitivity)


def own_error(theta: float, mu: float, sensitivity: float) -> float:
    """The mean squared error of a model on the data that it makes itself (see `retrain`).

    Raises
    ------
    ValueError
        If the model would make a chance that isn't one.

    Examples
    --------
    >>> round(own_error(0.5, 0.2, 0.3), 3), round(own_error(0.2857, 0.2, 0.3), 3)
    (0.15, 0.168)
    """
    made = number("mu", mu) + number("sensitivity", sensitivity) * number("theta", theta)
    if not abs(made) <= 0.5:
        raise ValueError(
            f"theta: got {theta!r}; the chance 1/2 + {made:.3g} that it makes must lie in [0, 1]"
        )
    return float((made - theta) ** 2 + 0.25 - made**2)


def flagged_share(
    threshold: float, *, budget: float = 0.0, strategic: float = 1.0, mean: float = 1.0
) -> float:
    """The share of bad senders that a threshold still catches when some lower their score, within a budget.

    Scores of bad senders are normal with variance 1; whoever can get under the threshold does.

    Parameters
    ----------
    threshold : float
    budget : float
        Largest change of a score that a sender can afford, not negative.
    strategic : float
        Share of bad senders who try.
    mean : float
        Mean score of bad senders who don't.

    Examples
    --------
    >>> round(flagged_share(1.0), 2), round(flagged_share(1.0, budget=1.0), 3)
    (0.5, 0.159)
    """
    number("threshold", threshold)
    _not_negative("budget", budget)
    number("threshold", threshold)
    number("mean", mean)
    tries = share("strategic", strategic)
    return float((1 - tries) * norm.cdf(mean - threshold) + tries * norm.cdf(mean - threshold - budget))


def after_launch(
    *,
    budget: float,
    strategic: float,
    mutable: bool,
    retrained: bool,
    gain: float = 1.0,
    base: float = 1.0,
    false_positives: float = 0.05,
    weeks: int = 12,
) -> pd.DataFrame:
    """What a model with a new feature catches, week by week after launch, while senders answer it.

    Good senders have both features at mean 0, bad ones the old feature at `base` and the new one at
    `gain`, all with variance 1. The score weighs each by the difference that training saw, and the
    threshold keeps the share of good senders flagged. From the second week on, strategic bad senders
    lower the new feature by the budget times its weight in the score (weights' squares summing to
    1): the best answer where a change s costs s^2 / (2 budget).

    Parameters
    ----------
    budget : float
        Largest change that pays for a sender, in standard deviations of the feature.
    strategic : float
        Share of bad senders who answer.
    mutable : bool
        Whether a sender can change the new feature at all.
    retrained : bool
        Whether the model is fitted anew every week, to the week before.
    gain, base : float
        What the new and the old feature tell, in standard deviations; positive.
    false_positives : float
        Share of good senders flagged.
    weeks : int

    Returns
    -------
    DataFrame
        `week` from 0, the launch; `weight` that the model gives the new feature (the old has `base`);
        `caught`, the share of bad senders; `holdout`, the same on the data from before the launch;
        `before`, what the old feature alone would catch.

    Examples
    --------
    >>> weeks = after_launch(budget=1, strategic=1, mutable=True, retrained=False)
    >>> bool(weeks["caught"].iloc[-1] < weeks["before"].iloc[-1] < weeks["holdout"].iloc[-1])
    True
    """
    _not_negative("budget", budget)
    share("strategic", strategic)
    number("gain", gain, above=0)
    number("base", base, above=0)
    strict = norm.isf(number("false_positives", false_positives, above=0, below=1))
    rows, weight, moved = [], float(gain), 0.0
    for week in range(count("weeks", weeks) + 1):
        length = np.hypot(base, weight)

        def caught(shift: float, weight: float = weight, length: float = length) -> float:
            return float(norm.cdf((base**2 + weight * (gain - shift)) / length - strict))

        rows.append(
            {
                "week": week,
                "weight": weight,
                "caught": (1 - strategic) * caught(0.0) + strategic * caught(moved),
                "holdout": caught(0.0),
                "before": float(norm.cdf(base - strict)),
            }
        )
        # Next week's senders answer this week's model; next week's model is fitted to this week's senders.
        seen = gain - strategic * moved
        moved = budget * weight / length if mutable else 0.0
        weight = seen if retrained else weight
    return pd.DataFrame(rows)


def senders(
    *,
    messages: int = 20_000,
    users: int = 4_000,
    bad: float = 0.3,
    threshold: float = 1.0,
    budget: float = 0.5,
    strategic: float = 0.5,
    rng: Any = 0,
) -> pd.DataFrame:
    """A week of scored messages where some bad senders get just under the threshold.

    Parameters
    ----------
    messages, users : int
    bad : float
        Share of users who send what should be removed; their scores have mean 1, others' 0.
    threshold : float
    budget : float
        A strategic sender whose score lies above the threshold by no more than this gets under it,
        and is careful to land no further below than a tenth of a standard deviation.
    strategic : float
        Share of bad senders who try; none turns the mechanism off.
    rng : int or Generator

    Returns
    -------
    DataFrame
        `request_id`, `user_id`, `item_id`, `ts`, `score`: columns of `serving_log`.

    Examples
    --------
    >>> sent = senders(messages=1_000, users=100)
    >>> bool(sent["score"].between(0.9, 1.0).sum() > sent["score"].between(1.0, 1.1).sum())
    True
    """
    for name, value in (("messages", messages), ("users", users)):
        count(name, value)
    _not_negative("budget", budget)
    number("threshold", threshold)
    draw = np.random.default_rng(rng)
    user = draw.integers(0, users, messages)
    is_bad = draw.random(users) < share("bad", bad)
    tries = is_bad & (draw.random(users) < share("strategic", strategic))
    score = draw.normal(size=messages) + is_bad[user]
    landing = threshold - 0.1 * draw.random(messages)
    near = (score >= threshold) & (score <= threshold + budget)
    second = np.sort(draw.random(messages)) * 7 * 86_400
    return pd.DataFrame(
        {
            "request_id": np.arange(messages),
            "user_id": user,
            "item_id": np.arange(messages),
            "ts": START + pd.to_timedelta((second * 1e6).astype(np.int64), unit="us"),
            "score": np.where(near & tries[user], landing, score),
        }
    )


def weeks_of_messages(
    *,
    weeks: int = 10,
    messages: int = 3_000,
    users: int = 4_000,
    budget: float = 1.0,
    strategic: float = 0.8,
    pace: float = 0.25,
    rng: Any = 0,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Weeks of messages with a feature that bad senders learn to change and one that they can't.

    Both features tell equally much at first: a message is bad with log-odds -2 + f_links + f_account_age.
    Week by week, a share `pace` of those strategic senders who haven't yet learns to lower `f_links` in
    bad messages by the budget.

    Parameters
    ----------
    weeks, messages, users : int
        `messages` is a week's.
    budget : float
        How far a sender who has learned lowers `f_links`; 0 turns the mechanism off.
    strategic, pace : float
    rng : int or Generator

    Returns
    -------
    (serving_log, outcomes)
        In the columns of those tables that `mutability_decay` reads; every message has its label.

    Examples
    --------
    >>> log, labels = weeks_of_messages(weeks=2, messages=100)
    >>> len(log), len(labels)
    (200, 200)
    """
    for name, value in (("weeks", weeks), ("messages", messages), ("users", users)):
        count(name, value)
    _not_negative("budget", budget)
    share("strategic", strategic)
    share("pace", pace)
    draw = np.random.default_rng(rng)
    week = np.repeat(np.arange(weeks), messages)
    total = len(week)
    user = draw.integers(0, users, total)
    links, age = draw.normal(size=(2, total))
    y = draw.random(total) < expit(-2 + links + age)
    # The week in which each sender learns; senders who aren't strategic never do.
    learns = draw.geometric(max(pace, 1e-9), users)
    tries = draw.random(users) < strategic
    links = links - budget * (y & tries[user] & (week >= learns[user]))
    second = (week + draw.random(total)) * 7 * 86_400
    keys = {"request_id": np.arange(total), "item_id": np.arange(total)}
    ts = START + pd.to_timedelta((second * 1e6).astype(np.int64), unit="us")
    log = pd.DataFrame({**keys, "user_id": user, "ts": ts, "f_links": links, "f_account_age": age})
    labels = pd.DataFrame({**keys, "y": y.astype(np.int64), "label_ts": ts + DAY})
    return log, labels


def _not_negative(name: str, value: float) -> None:
    if not number(name, value) >= 0:
        raise ValueError(f"{name}: got {value!r}; it must not be negative")
