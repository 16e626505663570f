"""What did FooBar's production write down: its logs, with nothing in them that a company can't see?

Each function takes what every arm's model does (`toolkit.world.serving`) and who is in which arm.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit

from toolkit.world.clock import times
from toolkit.world.policies import fit_logistic
from toolkit.world.serving import Served
from toolkit.world.simulation import World


def serving_log(served: Mapping[str, Served], assigned: pd.DataFrame | None = None) -> pd.DataFrame:
    """What was shown: one row an impression.

    Parameters
    ----------
    served : mapping of arm to Served
        What each arm's model does, all on the same days.
    assigned : DataFrame, optional
        `assignments` of the users. Without it there is no experiment, and one model.

    Returns
    -------
    DataFrame
        The columns of `serving_log` in `toolkit.tables`. `propensity` is the chance that the
        logging policy showed this candidate; an explored request is in no arm.

    Raises
    ------
    ValueError
        If there are several models and no assignments, or the assignments name another arm.

    Examples
    --------
    >>> from toolkit.world import Settings, simulate
    >>> from toolkit.world.serving import served_by_old
    >>> world = simulate(Settings(items=50, requests=100, days=3))
    >>> log = serving_log({"control": served_by_old(world, range(1, 3))})
    >>> len(log), bool(log["propensity"].between(0, 1).all())
    (200, True)
    """
    parts = []
    for arm, one, asked in _asked(served, assigned):
        rows, shown = np.nonzero(asked)[0], one.shown[asked]
        settings = one.slates.world.settings
        by_chance = settings.exploration / settings.candidates
        columns: dict[str, Any] = {
            "request_id": request_ids(one)[rows],
            "user_id": one.slates.user[rows],
            "item_id": _items(one)[rows, shown],
            "ts": _times(one)[rows],
            "arm": [None if drawn else arm for drawn in one.explored[rows]],
            "model_id": one.model_id,
            "feature_version": one.feature_version,
            **{name: values[rows, shown] for name, values in one.features.items()},
            "score": one.score[rows, shown],
            "position": 1,
            "propensity": by_chance + (1 - settings.exploration) * (shown == one.best[rows]),
            "explored": one.explored[rows],
            "shown": True,
        }
        parts.append(pd.DataFrame(columns))
    return _in_order(parts)


def outcomes(served: Mapping[str, Served], assigned: pd.DataFrame | None = None) -> pd.DataFrame:
    """Whether what was shown was a good match: one row an impression, its label known at once."""
    parts = [
        pd.DataFrame(
            {
                "request_id": request_ids(one)[asked],
                "item_id": _items(one)[asked, one.shown[asked]],
                "y": one.slates.y[asked, one.shown[asked]].astype(np.int64),
                "label_ts": _times(one)[asked],
            }
        )
        for _, one, asked in _asked(served, assigned)
    ]
    return _in_order(parts)


def funnel(
    served: Mapping[str, Served],
    assigned: pd.DataFrame | None = None,
    *,
    share: float = 0.1,
    unfiltered: float = 0.01,
    rng: Any = 0,
) -> pd.DataFrame:
    """What the light ranker let through: one row a candidate, of a sample of the requests.

    Parameters
    ----------
    share : float
        Share of requests whose candidates are written down.
    unfiltered : float
        Share of requests at which the model scores all candidates, for later comparison; what is
        shown there is still one that passed.
    rng : int or Generator
        For both samples.

    Returns
    -------
    DataFrame
        `heavy_score` is missing where the candidate wasn't scored, `rank` where it didn't pass.
    """
    if not 0 <= unfiltered <= share <= 1:
        raise ValueError(f"unfiltered: got {unfiltered!r} with share {share!r}; it must lie in [0, share]")
    draw, parts = np.random.default_rng(rng), []
    for _, one, asked in _asked(served, assigned):
        chance = draw.random(len(asked))
        rows = asked & ~one.explored & (chance < share)
        passed, score = one.passed[rows], one.score[rows]
        behind = np.where(passed, -score, np.inf)
        rank = behind.argsort(1, kind="stable").argsort(1) + 1.0
        scored = passed | (chance[rows] < unfiltered)[:, None]
        parts.append(
            pd.DataFrame(
                {
                    "request_id": np.repeat(request_ids(one)[rows], passed.shape[1]),
                    "item_id": _items(one)[rows].ravel(),
                    "light_score": one.light_score[rows].ravel(),
                    "passed_light": passed.ravel(),
                    "heavy_score": np.where(scored, score, np.nan).ravel(),
                    "rank": np.where(passed, rank, np.nan).ravel(),
                }
            )
        )
    return _in_order(parts)


def assignments(
    world: World, experiment: str, days: range, *, share: float = 0.5, rng: Any = 0
) -> pd.DataFrame:
    """Which arm each user is in, since the user's first request of the test: one row a user.

    Parameters
    ----------
    share : float
        Share of users in the treatment, strictly between 0 and 1.
    rng : int or Generator
        For the split.
    """
    if not 0 < share < 1:
        raise ValueError(f"share: got {share!r}; it must lie strictly between 0 and 1")
    treated = np.random.default_rng(rng).random(world.settings.users) < share
    asked, first = np.unique(world.user[days.start : days.stop], return_index=True)
    day, request = np.divmod(first, world.settings.requests)
    day += days.start
    return pd.DataFrame(
        {
            "experiment": experiment,
            "user_id": asked,
            "arm": np.where(treated[asked], "treatment", "control"),
            "ts": times(world, day, request),
        }
    )


def resources(
    served: Mapping[str, Served], assigned: pd.DataFrame | None = None, *, capacity: int
) -> pd.DataFrame:
    """How much of the heavy ranker's capacity was used: candidates scored, one row an hour.

    The capacity is only written down: in this world nothing is turned away.
    """
    scored = pd.concat(
        [
            pd.Series(one.passed[asked].sum(1), index=_times(one)[asked])
            for _, one, asked in _asked(served, assigned)
        ]
    )
    hourly = scored.resample("h").sum()
    return pd.DataFrame(
        {"ts": hourly.index, "resource": "heavy_ranker", "capacity": capacity, "used": hourly.to_numpy()}
    )


def downstream(
    log: pd.DataFrame, labels: pd.DataFrame, *, since: pd.Timestamp, busiest: float = 0.2
) -> pd.DataFrame:
    """What the notification service makes of the ranker's scores: one row an impression.

    The service belongs to another team. Before `since` it fitted the chance of a good match to the
    shown item's score, and notifies where that is in the top share; afterwards it stays as it is,
    whichever model writes the score.

    Parameters
    ----------
    log, labels : DataFrame
        `serving_log` and `outcomes`.
    since : Timestamp
        End of the service's training.
    busiest : float
        Share of impressions that led to a notification while it was fitted.
    """
    joined = log.merge(labels, on=["request_id", "item_id"], validate="one_to_one")
    seen = joined[joined["ts"] < since]
    weights = fit_logistic(seen[["score"]], seen["y"])
    score = expit(weights[0] + weights[1] * joined["score"].to_numpy())
    threshold = np.quantile(score[joined["ts"] < since], 1 - busiest)
    return pd.DataFrame(
        {
            "ts": joined["ts"],
            "upstream_score": joined["score"],
            "upstream_version": joined["model_id"],
            "score": score,
            "action": score > threshold,
        }
    )


def request_ids(served: Served) -> np.ndarray:
    """The number of each live request, counted over the whole history."""
    slates = served.slates
    return slates.day[:, 0] * slates.world.settings.requests + slates.request[:, 0]


def _asked(
    served: Mapping[str, Served], assigned: pd.DataFrame | None
) -> Iterator[tuple[str | None, Served, np.ndarray]]:
    """Each arm with its model, and which of the requests are its users'."""
    if assigned is None:
        if len(served) != 1:
            raise ValueError(f"assigned: got None for {len(served)} arms; several arms need assignments")
        (one,) = served.values()
        yield None, one, np.ones(len(one.slates.day), dtype=bool)
        return
    unknown = set(assigned["arm"]) - set(served)
    if unknown:
        raise ValueError(f"assigned: got arms {sorted(unknown)}; served has {sorted(served)}")
    for arm, one in served.items():
        users = assigned.loc[assigned["arm"] == arm, "user_id"]
        yield arm, one, np.isin(one.slates.user, users)


def _items(served: Served) -> np.ndarray:
    return served.slates.take(served.slates.world.item).astype(np.int64)


def _times(served: Served) -> pd.DatetimeIndex:
    return times(served.slates.world, served.slates.day[:, 0], served.slates.request[:, 0])


def _in_order(parts: list[pd.DataFrame]) -> pd.DataFrame:
    return pd.concat(parts).sort_values("request_id", kind="stable", ignore_index=True)
