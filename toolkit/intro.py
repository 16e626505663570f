"""Why does the model that won in the notebook lose its A/B test?

What was measured, from the logs; what each difference between notebook and production did, from
the simulated story; and whether a training table knows what a request couldn't.
"""

from __future__ import annotations

from typing import Any

import duckdb
import numpy as np
import pandas as pd
import statsmodels.api as sm
from scipy.stats import norm

from toolkit.attribution import Attribution, shapley
from toolkit.finding import Finding
from toolkit.frames import IMPRESSION, read_columns, with_outcomes
from toolkit.rules import level
from toolkit.world import logs
from toolkit.world.company import EXPERIMENT, Trained, arms
from toolkit.world.mechanisms import MECHANISMS
from toolkit.world.story import Story, tell

__all__ = ["LUCK", "ab_test", "asof_audit", "attribution", "claimed_to_measured", "tell"]

_POINTS = "points of click rate"
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
        One minus the level of the interval, which is by user (delta method).

    Returns
    -------
    Finding
        With one row an arm in its table.

    Raises
    ------
    ValueError
        If the arms aren't control and treatment, a user is in both, or an impression has no outcome.

    References
    ----------
    Kohavi, Tang, Xu (2020), "Trustworthy Online Controlled Experiments", chapter 18.

    Examples
    --------
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
    by_user = shown.groupby(["arm", "user_id"])["y"].agg(["sum", "count"]).reset_index()
    if by_user["user_id"].duplicated().any():
        both = by_user.loc[by_user["user_id"].duplicated(), "user_id"]
        raise ValueError(
            f"user_id: got {both.iloc[0]} and {len(both) - 1:,} others in both arms; a user is in one"
        )
    rows = []
    for arm, users in by_user.groupby("arm"):
        mean = users["sum"].sum() / users["count"].sum()
        residual = users["sum"] - mean * users["count"]
        error = np.sqrt((residual**2).sum()) / users["count"].sum()
        rows.append((arm, len(users), int(users["count"].sum()), mean, error))
    table = pd.DataFrame(rows, columns=["arm", "users", "requests", "reward", "se"])
    (control, treatment), (control_se, treatment_se) = table["reward"], table["se"]
    if control == 0:
        raise ValueError("outcomes: got no good match in the control; a relative lift needs one")
    lift = treatment / control - 1
    se = float(np.hypot(treatment_se, treatment * control_se / control) / control)
    half = float(norm.isf(alpha / 2)) * se
    return Finding(
        float(lift),
        (float(lift - half), float(lift + half)),
        (
            f"The treatment's lift of {lift:+.1%} can't be told from none."
            if abs(lift) <= half
            else f"The treatment's users act {abs(lift):.1%} {'more' if lift > 0 else 'less'} often than the control's."
        ),
        se=se,
        p=float(2 * norm.sf(abs(lift) / se)) if se else None,
        n=len(shown),
        n_clusters=len(by_user),
        alpha=alpha,
        table=table,
        assumptions=("users were split at random, and one user's arm doesn't change another's reward",),
        cannot_tell=("which of the differences between notebook and production made it",),
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


def asof_audit(training_table: Any, feature_history: Any, *, feature: str, alpha: float = 0.05) -> Finding:
    """Whether a training table holds more of a row's outcome than could be read at its request.

    Joins to each row the feature's last value that was available then, and regresses the outcome
    on what the table's value adds to it, given that value, by item. A table that is merely staler
    than the store differs too, and adds nothing.

    Parameters
    ----------
    training_table, feature_history : any frame that Narwhals reads
        Times bear their zone. Of values that became available at once, the latest event's counts.
    feature : str
        The feature's name in the history; `f_` before it in the training table.
    alpha : float
        One minus the level of the interval.

    Returns
    -------
    Finding
        Change of the outcome's rate for one standard deviation of what the table adds; its table
        counts the rows that differ, and those for which nothing was available yet (these have no
        part in the estimate).

    Raises
    ------
    ValueError
        If a column is missing or of the wrong kind, the history doesn't have the feature or has two
        values of it for one entity and time, nothing was available at any row, or rows that differ
        are of one item.

    Examples
    --------
    >>> ts = pd.Timestamp("2026-03-02", tz="UTC") + pd.to_timedelta([1, 2, 3, 4], unit="h")
    >>> history = pd.DataFrame({"entity_id": 7, "feature": "rate", "event_ts": ts, "available_ts": ts,
    ...     "value": [1.0, 2, 3, 4]})
    >>> rows = pd.DataFrame({"item_id": 7, "ts": ts, "y": [0, 1, 0, 1], "f_rate": [1.0, 2, 3, 4]})
    >>> asof_audit(rows, history, feature="rate").verdict
    'None of the 4 rows differs from what was available.'
    """
    level(alpha)
    column = f"f_{feature}"
    rows = read_columns(
        training_table,
        "training_table",
        ["item_id", "ts", "y", column],
        labels=["y"],
        numbers=[column],
        times=["ts"],
    )
    known = _available(rows, feature_history, feature)
    there = np.isfinite(known)
    if not there.any():
        raise ValueError(
            f"feature_history: got no value of {feature!r} that was available at any of the {len(rows):,} rows; "
            "entities or times don't match"
        )
    given = rows[column].to_numpy(float)
    # The store may keep fewer digits than the warehouse.
    same = np.isclose(given, known, rtol=1e-5, atol=1e-6)
    table = pd.DataFrame(
        {
            "rows": ["all", "differ from what was available", "nothing was available"],
            "count": [len(rows), int((there & ~same).sum()), int((~there).sum())],
        }
    )
    none = f"; for {(~there).mean():.0%} of all rows nothing was" if not there.all() else ""
    known, added = known[there], np.where(same, 0.0, given - known)[there]
    # What the table adds beyond what the known value tells.
    beyond = added - np.polyval(np.polyfit(known, added, 1), known) if np.ptp(known) else added - added.mean()
    outcome, item = 100.0 * rows["y"].to_numpy()[there], rows["item_id"].to_numpy()[there]
    differs = bool((there & ~same).any())
    if differs and len(np.unique(item)) < 2:
        raise ValueError(f"item_id: got {item[0]} in all rows; errors by item need two at least")
    # A change of unit leaves what single precision rounds.
    if not differs or beyond.std() <= 1e-5 * given.std():
        told = "By more than a change of scale none" if differs else "None"
        return Finding(
            0.0,
            (0.0, 0.0),
            f"{told} of the {there.sum():,} rows differs from what was available{none}.",
            unit=_POINTS,
            se=0.0,
            n=int(there.sum()),
            table=table,
            alpha=alpha,
        )
    design = sm.add_constant(
        np.column_stack([(added - added.mean()) / added.std(), known]), has_constant="add"
    )
    design = design[:, : 2 + bool(np.ptp(known))]
    fit = sm.OLS(outcome, design).fit(cov_type="cluster", cov_kwds={"groups": pd.factorize(item)[0]})
    low, high = fit.conf_int(alpha)[1]
    return Finding(
        float(fit.params[1]),
        (float(low), float(high)),
        f"{(~same)[there].mean():.0%} of the rows differ from what was available{none}, and the difference "
        f"{'tells' if low > 0 or high < 0 else 'does not tell'} the row's own outcome.",
        unit=_POINTS,
        se=float(fit.bse[1]),
        p=float(fit.pvalues[1]),
        n=len(outcome),
        n_clusters=len(np.unique(item)),
        alpha=alpha,
        table=table,
        assumptions=(
            "items are independent of each other",
            "the history holds every value that was readable",
        ),
        cannot_tell=("a row's own label, from other events of the day's future",),
    )


def _available(rows: pd.DataFrame, feature_history: Any, feature: str) -> np.ndarray:
    """The feature's last value that could be read at each row; nan where there was none yet."""
    columns = ["entity_id", "feature", "event_ts", "available_ts", "value"]
    history = read_columns(
        feature_history, "feature_history", columns, numbers=["value"], times=["event_ts", "available_ts"]
    )
    history = history[history["feature"] == feature].drop_duplicates()
    if not len(history):
        raise ValueError(f"feature: got {feature!r}; feature_history has no such feature")
    twice = history.duplicated(["entity_id", "event_ts", "available_ts"])
    if twice.any():
        where = history[twice].iloc[0]
        raise ValueError(
            f"feature_history: got two values of {feature!r} for entity {where['entity_id']} at "
            f"{where['event_ts']}; one event has one value"
        )
    # A batch makes several events' values readable at once: the newest is the one that is read.
    latest = history.sort_values("event_ts").drop_duplicates(["entity_id", "available_ts"], keep="last")
    with duckdb.connect() as engine:
        engine.register("asked", rows[["item_id", "ts"]].assign(place=np.arange(len(rows))))
        engine.register("history", latest[["entity_id", "available_ts", "value"]])
        found = engine.execute(
            "SELECT value FROM asked ASOF LEFT JOIN history"
            " ON item_id = entity_id AND ts >= available_ts ORDER BY place"
        ).df()
    return found["value"].to_numpy(float)
