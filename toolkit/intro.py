"""Why does the model that won in the notebook lose its A/B test?

What was measured, from the logs; what each difference between notebook and production did, from
the simulated story; and whether a training table knows what a request couldn't.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from toolkit.attribution import Attribution, shapley
from toolkit.experiments.metrics import ROWS, Metric, compare
from toolkit.features.leaks import asof_audit
from toolkit.finding import Finding
from toolkit.frames import IMPRESSION, read_columns, with_outcomes
from toolkit.rules import level
from toolkit.world import logs
from toolkit.world.company import EXPERIMENT, Trained, arms
from toolkit.world.mechanisms import MECHANISMS
from toolkit.world.story import Story, tell

__all__ = ["LUCK", "ab_test", "asof_audit", "attribution", "claimed_to_measured", "tell"]

# How the part is called that no mechanism explains.
LUCK = "Luck of the A/B test"
# Mechanisms that a model's own notebook already had as in production.
_NOTEBOOK: dict[Trained, frozenset[str]] = {
    "leaky": frozenset(),
    "point-in-time": frozenset({"as_of", "lag"}),
}


def ab_test(serving_log: Any, outcomes: Any, *, alpha: float = 0.05) -> Finding:
    """The relative lift that an A/B test measured: mean outcome of what the treatment showed over the control's.

    Parameters
    ----------
    serving_log, outcomes : any frame that Narwhals reads
        Rows without an arm are left out; every other impression needs its outcome.
    alpha : float
        One minus the level of the interval, which is by user, of the ratio's logarithm (`compare`).

    Returns
    -------
    Finding
        With one row an arm in its table.

    Raises
    ------
    ValueError
        If the arms aren't control and treatment or one has a single user, a user is in both, an
        impression has no outcome, or nothing varies.

    References
    ----------
    Kohavi, Tang, Xu (2020), "Trustworthy Online Controlled Experiments", chapter 18.

    Examples
    --------
    >>> import pandas as pd
    >>> log = pd.DataFrame({"request_id": range(4), "item_id": 7, "user_id": range(4), "arm": list("ccTT")})
    >>> log["arm"] = log["arm"].map({"c": "control", "T": "treatment"})
    >>> outcomes = pd.DataFrame({"request_id": range(4), "item_id": 7, "y": [1, 0, 1, 1]})
    >>> ab_test(log, outcomes).estimate
    1.0
    """
    level(alpha)
    log = read_columns(
        serving_log, "serving_log", [*IMPRESSION, "user_id", "arm"], key=IMPRESSION, missing=["arm"]
    )
    log = log[log["arm"].notna()]
    if set(log["arm"]) != {"control", "treatment"}:
        raise ValueError(f"arm: got {sorted(set(log['arm']))}; there must be control and treatment")
    shown = with_outcomes(log, outcomes, label=False)
    for arm in ("control", "treatment"):
        if not shown.loc[shown["arm"] == arm, "y"].sum() > 0:
            raise ValueError(
                f"outcomes: got no good match in the {arm}; a relative lift needs one in each arm"
            )
    found = compare(shown, Metric("y", per=ROWS), cluster="user_id", relative=True, alpha=alpha)
    assert found.table is not None
    table = found.table.rename(columns={"units": "users", "value": "reward"})
    table.insert(2, "requests", shown["arm"].value_counts()[table["arm"]].to_numpy())
    lift, (low, high) = found.estimate, found.ci
    return replace(
        found,
        verdict=(
            f"The treatment's lift of {lift:+.1%} can't be told from none."
            if low <= 0 <= high
            else f"The treatment's users act {abs(lift):.1%} {'more' if lift > 0 else 'less'} often than the control's."
        ),
        unit="",
        table=table,
        assumptions=("users were split at random, and one user's arm doesn't change another's reward",),
        cannot_tell=("which of the differences between the arms made it",),
    )


def attribution(
    story: Story, *, model: Trained = "leaky", replicates: int = 200, rng: int = 0
) -> Attribution:
    """The way from the notebook's lift to production's, split over the six switches.

    In reward units. The point-in-time model's notebook had its feature as of the request, a day late;
    so these two switches are on from the start, and have no part. Intervals are from a paired bootstrap over users (held-out slates in the
    notebook's population), the same draws for every environment.

    Parameters
    ----------
    story : Story
    model : "leaky" or "point-in-time"
    replicates : int
        Bootstrap replicates; none, no intervals.
    rng : int
        For the replicates.

    Examples
    --------
    >>> from toolkit.world import Settings
    >>> found = attribution(tell(Settings(items=50, requests=100, days=33)), replicates=0)
    >>> len(found.parts), abs(sum(found.parts.values()) - found.gap) < 1e-12
    (6, True)
    """
    users = story.production.user
    draws = np.random.default_rng(rng)
    weights = {}
    for kind, count in (
        ("users", story.production.world.settings.users),
        ("slates", len(story.notebook.day)),
    ):
        weights[kind] = np.vstack(
            [np.ones(count), draws.multinomial(count, np.full(count, 1 / count), replicates)]
        )

    at_first = _NOTEBOOK[model]

    def value(switches: frozenset[str]) -> np.ndarray:
        switches |= at_first
        difference = story.rewards(model, switches) - story.rewards("old", switches)
        if "population" not in switches:
            return weights["slates"] @ difference / weights["slates"].sum(1)
        count = weights["users"].shape[1]
        by_user = np.bincount(users, difference, minlength=count)
        asked = np.bincount(users, minlength=count)
        return (weights["users"] @ by_user) / (weights["users"] @ asked)

    labels = {name: each.label for name, each in MECHANISMS.items()}
    return shapley(value, [name for name in MECHANISMS if name not in at_first], labels=labels)


def claimed_to_measured(
    story: Story, *, model: Trained = "leaky", rng: int = 1
) -> tuple[float, dict[str, float]]:
    """The notebook's claimed lift, and the labelled parts that lead from it to the measured one.

    In reward units. The last part is the luck of the A/B test: what it measured less what it would
    measure without end. Claim and parts sum to the measured lift.

    Parameters
    ----------
    story : Story
    model : "leaky" or "point-in-time"
    rng : int
        For the split of users.

    Examples
    --------
    >>> from toolkit.world import Settings
    >>> claimed, parts = claimed_to_measured(tell(Settings(items=50, requests=100, days=33)))
    >>> list(parts)[-1]
    'Luck of the A/B test'
    """
    found = attribution(story, model=model, replicates=0)
    served, days = arms(story, model)
    assigned = logs.assignments(story.production.world, EXPERIMENT, days, rng=rng)
    measured = ab_test(logs.serving_log(served, assigned), logs.outcomes(served, assigned)).table
    assert measured is not None
    control, treatment = measured["reward"]
    parts = {MECHANISMS[name].label: part for name, part in found.parts.items()}
    return found.start, {**parts, LUCK: float(treatment - control - found.end)}
