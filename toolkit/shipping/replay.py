"""How would a policy have done that learns as it goes, told from a log that acted at random?

Replay walks through a log, asks the policy at each row what it would do, and keeps the rows in which it
would have done what was done; only from those it learns. With actions drawn at random the kept rows are as if
it had run. A policy that doesn't learn is `toolkit.general.off_policy.ope`'s, which uses more of the rows.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from typing import Any, Protocol

import numpy as np
import pandas as pd
from scipy.stats import norm

from toolkit.finding import Finding
from toolkit.frames import read_columns
from toolkit.resampling import clustered_error, several
from toolkit.rules import count, level, number, share

__all__ = ["CountingPolicy", "Policy", "live", "replay", "rows_for", "uniform_log"]


class Policy(Protocol):
    """What can be replayed: it says what it would do in a context, and is told what came of it."""

    def choose(self, context: dict[str, Any]) -> Hashable:
        """The action that it would take."""

    def learn(self, context: dict[str, Any], action: Hashable, reward: float) -> None:
        """Takes note of a row that was kept."""


def replay(
    log: Any,
    policy: Policy,
    *,
    action: str = "item_id",
    y: str = "y",
    propensity: str = "propensity",
    context: Sequence[str] = (),
    ts: str = "ts",
    cluster: str | None = "user_id",
    floor: float | None = None,
    kept: int | None = None,
    alpha: float = 0.05,
    rng: Any = 0,
) -> Finding:
    """The mean reward of a policy that learns, from the rows of a log in which it would have done the same.

    Where actions weren't equally likely, a matching row is kept with the chance `floor` over its propensity, so
    that kept rows are as from a uniform log. Of a uniform log over K actions 1/K of the rows are kept.

    Parameters
    ----------
    log : frame
        One row an action: what was done, its reward, the chance that it had, when, the user, and the context.
    policy : Policy
        With `choose(context)` and `learn(context, action, reward)`. It is changed by what it learns.
    context : sequence of str
        Columns that the policy is shown; nothing else is.
    cluster : str or None
        None: rows are independent.
    floor : float, optional
        A chance that no row's propensity is under; the least in the log where not given.
    kept : int, optional
        Stop after so many kept rows: the policy's first steps. The whole log where not given.
    action, y, propensity, ts : str
        Columns of what was done, of its reward, of the chance that it had, and of when.
    alpha : float
        One minus the level of the interval.
    rng : int or Generator
        For the matching rows that are kept.

    Returns
    -------
    Finding
        The mean reward of the kept rows. The table has rows read and kept, the share kept, and the rows of log that one
        step of the policy costs.

    Raises
    ------
    ValueError
        If columns or values are bad, `floor` is above a propensity, all propensities are 1 though actions differ, the
        policy chooses an action that isn't in the log, fewer than two rows are kept, or the log ends before `kept` are.

    References
    ----------
    Li, Chu, Langford and Wang (2011), "Unbiased offline evaluation of contextual-bandit-based news article
    recommendation algorithms", WSDM.

    Examples
    --------
    >>> log = uniform_log([0.2, 0.2, 0.6], rows=3_000)
    >>> finding = replay(log, CountingPolicy(range(3)), cluster=None)
    >>> finding.table["share kept"].round(2).tolist(), finding.estimate > 0.5
    ([0.33], True)
    """
    level(alpha)
    if kept is not None:
        count("kept", kept, least=2)
    columns = [action, y, propensity, ts, *context, *([] if cluster is None else [cluster])]
    table = read_columns(log, "log", list(dict.fromkeys(columns)), numbers=[y], propensities=[propensity])
    table = table.sort_values(ts, kind="stable", ignore_index=True)
    chance = table[propensity].to_numpy(float)
    least = float(chance.min()) if floor is None else share("floor", floor, open_low=True)
    if (chance < least * (1 - 1e-9)).any():
        raise ValueError(f"floor: got {least}; the log has a propensity of {chance.min():g}")
    lucky = np.random.default_rng(rng).random(len(table)) * chance < least
    shown = table[list(context)].to_dict("records") if context else [{}] * len(table)
    done, reward = table[action].tolist(), table[y].to_numpy(float)
    actions = set(done)
    if len(actions) > 1 and (chance == 1).all():
        raise ValueError(
            f"{propensity}: got 1 in all rows, though {len(actions):,} actions differ; replay needs chance"
        )
    places: list[int] = []
    read = len(table)
    for row in range(len(table)):
        wanted = policy.choose(shown[row])
        if wanted not in actions:
            # Left out in silence, it would drop out of the mean, and nothing would be learnt of it.
            raise ValueError(f"policy: got {wanted!r} as its choice, which is no {action} of the log")
        if wanted == done[row] and lucky[row]:
            policy.learn(shown[row], done[row], reward[row])
            places.append(row)
            if len(places) == kept:
                read = row + 1
                break
    if kept is not None and len(places) < kept:
        raise ValueError(
            f"kept: got {kept:,}; in {len(table):,} rows the policy did the same {len(places):,} times"
        )
    if len(places) < 2:
        raise ValueError(f"policy: got {len(places)} kept of {len(table):,} rows; a mean needs two at least")
    earned = reward[places]
    estimate = float(earned.mean())
    units = np.asarray(places) if cluster is None else table[cluster].to_numpy()[places]
    code = several(units, str(cluster))
    se = clustered_error((earned - estimate) / len(earned), code)
    # Rewards that are all equal have no spread, which isn't the certainty that a width of 0 would claim.
    alike = bool(np.ptp(earned) == 0)
    half = math.nan if alike else float(norm.ppf(1 - alpha / 2)) * se
    told = pd.DataFrame(
        {
            "rows read": [read],
            "rows kept": [len(places)],
            "share kept": [len(places) / read],
            "rows for one step": [read / len(places)],
        }
    )
    return Finding(
        estimate,
        (estimate - half, estimate + half),
        f"Over its first {len(places):,} steps the policy earns {estimate:.4g} a step; the replay kept "
        f"{len(places):,} of {read:,} rows, one in {read / len(places):.3g}."
        + (" They all earned the same, so there is no interval." if alike else ""),
        unit="reward a step",
        se=se,
        n=len(places),
        n_clusters=None if cluster is None else int(code.max()) + 1,
        alpha=alpha,
        table=told,
        assumptions=(
            "propensities are those with which the logged actions were drawn, whatever the context",
            "what the policy chose was on offer at that time, with a chance of being logged",
            "rewards don't depend on earlier actions, and rows of different clusters are independent",
        ),
        cannot_tell=(
            "what other runs would earn: with other luck, a policy that learns may settle on another action",
            "what the policy earns once it has learnt from more rows than were kept",
            "a world that moves: steps that took a day in production take as many days as a step costs rows",
        ),
    )


class CountingPolicy:
    """Shows the action with the best reward so far, and now and then one at random.

    Parameters
    ----------
    actions : sequence
    explore : float
        Share of steps at random.
    prior : pair of float
        Mean reward expected of an action beforehand, and how many rows that is worth.
    rng : int or Generator
        For the steps at random.

    Examples
    --------
    >>> policy = CountingPolicy(["a", "b"], explore=0.0)
    >>> policy.learn({}, "a", 0.0)
    >>> policy.choose({})
    'b'
    """

    def __init__(
        self,
        actions: Sequence[Hashable],
        *,
        explore: float = 0.1,
        prior: tuple[float, float] = (0.5, 2.0),
        rng: Any = 0,
    ) -> None:
        self._actions = list(actions)
        self._explore = share("explore", explore)
        self._draw = np.random.default_rng(rng)
        mean, worth = prior
        number("prior", worth, above=0)
        self._sums = [mean * worth] * count("actions", len(self._actions))
        self._rows = [worth] * len(self._actions)
        self._place = {name: place for place, name in enumerate(self._actions)}

    def choose(self, context: dict[str, Any]) -> Hashable:
        """The best action so far (the first, among equals), or one at random."""
        if self._explore and self._draw.random() < self._explore:
            return self._actions[int(self._draw.integers(len(self._actions)))]
        means = [total / rows for total, rows in zip(self._sums, self._rows, strict=True)]
        return self._actions[means.index(max(means))]

    def learn(self, context: dict[str, Any], action: Hashable, reward: float) -> None:
        """Adds a reward to the action's."""
        self._sums[self._place[action]] += reward
        self._rows[self._place[action]] += 1


def uniform_log(
    rewards: Sequence[float], *, rows: int, weights: Sequence[float] | None = None, rng: Any = 0
) -> pd.DataFrame:
    """A log that drew actions at random: `ts`, `user_id`, `item_id` (0, 1, ...), `propensity`, `y`.

    Parameters
    ----------
    rewards : sequence of float
        Each action's chance of a reward.
    rows : int
    weights : sequence of float, optional
        With which chance each is drawn; equal where not given.

    Examples
    --------
    >>> uniform_log([0.1, 0.2, 0.3, 0.4], rows=3)["propensity"].tolist()
    [0.25, 0.25, 0.25]
    """
    chances = [share("rewards", value) for value in rewards]
    weight = np.full(len(chances), 1 / len(chances)) if weights is None else np.asarray(weights, dtype=float)
    if len(weight) != len(chances) or not (weight > 0).all() or not math.isclose(weight.sum(), 1):
        raise ValueError(f"weights: got {weight.tolist()}; they must be positive, one a reward, and sum to 1")
    draw = np.random.default_rng(rng)
    done = draw.choice(len(chances), count("rows", rows), p=weight)
    return pd.DataFrame(
        {
            "ts": pd.Timestamp("2026-03-02", tz="UTC") + pd.to_timedelta(np.arange(rows), unit="min"),
            "user_id": np.arange(rows),
            "item_id": done,
            "propensity": weight[done],
            "y": (draw.random(rows) < np.asarray(chances)[done]).astype(np.int64),
        }
    )


def rows_for(error: float, *, actions: int, rate: float, explored: float = 1.0) -> float:
    """The rows of log that a replay needs, for a mean reward with some standard error.

    Parameters
    ----------
    error : float
        Standard error wanted.
    actions : int
        How many are equally likely in the explored rows.
    rate : float
        Mean reward, a share.
    explored : float
        Share of the log's rows that act at random.

    Examples
    --------
    >>> round(rows_for(0.005, actions=20, rate=0.1, explored=0.05))
    1440000
    """
    number("error", error, above=0)
    number("rate", rate, above=0, below=1)
    share("explored", explored, open_low=True)
    return rate * (1 - rate) / error**2 * count("actions", actions) / explored


def live(policy: Policy, rewards: Sequence[float], *, steps: int, rng: Any = 0) -> float:
    """What a policy earns a step when it is run: the mean reward that it would have drawn, without the last luck.

    Parameters
    ----------
    policy : Policy
        Its actions are 0, 1, ... in the order of `rewards`; it is shown an empty context.
    rewards : sequence of float
        Each action's chance of a reward.

    Examples
    --------
    >>> round(live(CountingPolicy([1], explore=0.0), [0.1, 0.4], steps=10), 6)
    0.4
    """
    chances = [share("rewards", value) for value in rewards]
    luck = np.random.default_rng(rng).random(count("steps", steps))
    earned = 0.0
    for drawn in luck:
        action: Any = policy.choose({})
        if action not in range(len(chances)):
            raise ValueError(
                f"policy: got {action!r} as its choice; it must be a place in {len(chances)} rewards"
            )
        policy.learn({}, action, float(drawn < chances[action]))
        earned += chances[action]
    return earned / steps
