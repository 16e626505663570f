"""How much of a lift was measured while a resource that both arms share was used up?"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import norm

from toolkit.experiments.looks import two_arms
from toolkit.finding import Finding, figure
from toolkit.frames import IMPRESSION, read_columns, with_outcomes
from toolkit.resampling import clustered_error, several
from toolkit.rules import level, share

# A capacity that is passed in a larger share of the exhausted periods limits nobody.
_ENFORCED = 0.5
# So many usual lengths from one period's begin to the next there is a gap between them.
_GAP = 1.5


def capacity_interference(
    log: Any,
    outcomes: Any,
    resources: Any,
    *,
    resource: str | None = None,
    used_up: float = 1.0,
    treatment: str = "treatment",
    value: str = "y",
    cluster: str = "user_id",
    unit: str = "",
    alpha: float = 0.05,
) -> Finding:
    """The lift while a shared resource was used up, less the lift while there was slack.

    Parameters
    ----------
    log : frame
        Impressions: `request_id`, `item_id`, `ts`, `arm`, and the cluster; those without an arm don't
        count.
    outcomes : frame
        `request_id`, `item_id` and the metric's column.
    resources : frame
        `ts` (when a period begins), `resource`, `capacity`, `used`; one row a period and resource. A
        period lasts until the next one begins; the last one, and one before a gap of half a period
        or more, as long as most. Impressions outside all periods don't count.
    resource : str, optional
        Which one, where there are several.
    used_up : float
        Share of the capacity from which a period counts as exhausted, in (0, 1].
    treatment : str
        The arm whose difference from the other one is the lift.
    value, cluster : str
        Columns: of the metric, of the unit that was assigned.
    unit : str
        Of the lift.
    alpha : float

    Returns
    -------
    Finding
        The difference of the two lifts, with p of "the same". The table has the lift with its interval
        in "slack" and "exhausted" periods, over "all", and "at launch, at least": what is left of the
        whole lift if nothing is gained at launch in exhausted periods, where one arm's gain may be the
        other's loss. `of_outcomes` is each state's share of the control's outcomes. With equal
        relative lifts everywhere the measured one is 1/(1 - c) times the least one, c being that share.

    Raises
    ------
    ValueError
        If columns or values are missing, an impression has no outcome, a resource isn't named where
        there are several, there aren't two arms, or a state has impressions of fewer than two arms:
        without both states there is nothing to compare.

    Notes
    -----
    `used` counts outcomes, so that a lucky period is sooner called exhausted. Where nothing is limited
    this raises both arms' rates there, and a lift with them: at 50 outcomes a period and half of the
    periods exhausted, FooBar's by 4% of itself, at 17 by 12%; without busy and quiet hours it would be
    1.6 / sqrt(outcomes a period). The relative lifts aren't moved. It works against what
    interference does to the estimate, and the share of false alarms stays near alpha.

    Examples
    --------
    >>> from toolkit.experiments.shared_budget import Demand, tables
    >>> test = tables(Demand(users=500, a_day=2000, days=4), lift=0.5, capacity=10)
    >>> finding = capacity_interference(test["serving_log"], test["outcomes"], test["resources"])
    >>> finding.table["state"].tolist()
    ['slack', 'exhausted', 'all', 'at launch, at least']
    """
    level(alpha)
    share("used_up", used_up, open_low=True)
    rows = read_columns(
        log, "log", [*IMPRESSION, "ts", "arm", cluster], missing=["arm"], key=IMPRESSION, times=["ts"]
    )
    rows = rows[rows["arm"].notna()]
    _, treated = two_arms(rows["arm"], treatment)
    periods = _periods(resources, resource, used_up)
    at = periods["ts"].searchsorted(rows["ts"], side="right") - 1
    inside = at >= 0
    if len(periods) > 1:
        lasts = periods["ts"].shift(-1) - periods["ts"]
        usual = lasts.median()
        ends = periods["ts"] + lasts.where(lasts < _GAP * usual, usual)
        inside &= rows["ts"].to_numpy() < ends.to_numpy()[at]
    outside = int((~inside).sum())
    if outside == len(rows):
        raise ValueError(f"resources: got {len(periods):,} periods; no impression is in one of them")
    rows, at = rows[inside], at[inside]
    rows = with_outcomes(
        rows.assign(exhausted=periods["exhausted"].to_numpy()[at]), outcomes, value=value, label=False
    )
    is_treated = (rows["arm"] == treated).to_numpy()
    out = rows["exhausted"].to_numpy(bool)
    y = rows[value].to_numpy(float)
    if np.ptp(y) == 0 and y[0]:
        raise ValueError(f"{value}: got {y[0]:g} in every row; where nothing varies no lift can be told")
    users = several(rows[cluster], cluster)
    shown, se = by_state(y, is_treated, out, users)
    z = float(norm.isf(alpha / 2))
    shown["low"], shown["high"] = shown["lift"] - z * shown["se"], shown["lift"] + z * shown["se"]
    slack, exhausted, whole, least = shown["lift"]
    difference = float(exhausted - slack)
    p = float(2 * norm.sf(abs(difference) / se)) if se > 0 else float(abs(difference) < 1e-12)
    bound = float(shown["of_outcomes"].iloc[1])
    full = periods["exhausted"]
    beyond = float((periods["used"] > periods["capacity"])[full].mean())
    verdict = (
        f"The lift is {figure(slack, signed=True)} in slack and {figure(exhausted, signed=True)} where the resource "
        f"is used up{'' if p < alpha else ', a difference that may be luck'}. "
    )
    if beyond > _ENFORCED:
        verdict += (
            f"In {beyond:.0%} of those periods more was used than there is: nothing is held to that capacity."
        )
    elif bound == bound:
        verdict += (
            f"{bound:.0%} of the control's outcomes are of such periods: at launch the lift of "
            f"{figure(whole, signed=True)} may be as little as {figure(least, signed=True)}."
        )
    else:
        verdict += "The control has no outcome at all."
    return Finding(
        difference,
        (difference - z * se, difference + z * se),
        verdict,
        unit=unit,
        se=se,
        p=p,
        n=len(rows),
        n_clusters=int(users.max()) + 1,
        alpha=alpha,
        table=shown.drop(columns="se"),
        assumptions=(
            f"{cluster}s are independent of each other, but for the resource",
            "at launch as many periods are exhausted as in the test: if the treatment uses more, more will be",
            *((f"{outside:,} impressions outside all periods are like the rest",) if outside else ()),
        ),
        cannot_tell=(
            "interference from another kind of hour or user: exhausted periods are busy ones",
            "interference from luck that filled a period, which raises a lift with the rate",
            "whether the exhausted periods' lift was taken from the other arm: split the resource to see",
        ),
    )


def by_state(
    y: np.ndarray, is_treated: np.ndarray, out: np.ndarray, users: np.ndarray
) -> tuple[pd.DataFrame, float]:
    """The lift in slack, in exhausted periods, over all, and at launch at least; and the first two's error of difference.

    Parameters
    ----------
    y, is_treated, out, users : arrays of shape (n,)
        Of each impression: the metric, whether it is the treatment's, whether its period is
        exhausted, its user as a whole number from 0.

    Returns
    -------
    DataFrame, float
        The table that `capacity_interference` shows, without intervals; a standard error clustered by
        user.

    Raises
    ------
    ValueError
        If a state has impressions of one arm only, or none.

    Examples
    --------
    >>> y, treated = np.array([1.0, 2, 1, 1]), np.array([False, True, False, True])
    >>> table, _ = by_state(y, treated, np.array([False, False, True, True]), np.arange(4))
    >>> table["lift"].tolist()
    [1.0, 0.0, 0.5, 0.5]
    """
    states = {"slack": ~out, "exhausted": out, "all": np.ones(len(y), dtype=bool)}
    lifts: dict[str, float] = {}
    influences: dict[str, np.ndarray] = {}
    table: list[dict[str, Any]] = []
    for state, member in states.items():
        sizes = [int((member & arm).sum()) for arm in (is_treated, ~is_treated)]
        if min(sizes) == 0:
            raise ValueError(
                f"resources: got {sizes[0]:,} impressions of the treatment and {sizes[1]:,} of the control in "
                f"{state} periods; each state needs both (is `used_up` right?)"
            )
        influence = np.zeros(len(y))
        means = []
        for arm, sign, size in ((is_treated, 1.0, sizes[0]), (~is_treated, -1.0, sizes[1])):
            cell = member & arm
            means.append(float(y[cell].mean()))
            influence[cell] = sign * (y[cell] - means[-1]) / size
        lifts[state], influences[state] = means[0] - means[1], influence
        table.append(
            {
                "state": state,
                "impressions": int(member.sum()),
                "of_outcomes": _ratio(y[member & ~is_treated].sum(), y[~is_treated].sum()),
                "control": means[1],
                "treatment": means[0],
                "lift": lifts[state],
                "relative": _ratio(lifts[state], means[1]),
                "se": clustered_error(influence, users),
            }
        )
    weight = float((~out).mean())
    least, control = weight * lifts["slack"], table[2]["control"]
    influence = weight * influences["slack"] + lifts["slack"] * (~out - weight) / len(y)
    table.append(
        {
            "state": "at launch, at least",
            "impressions": len(y),
            "of_outcomes": 1.0,
            "control": control,
            "treatment": control + least,
            "lift": least,
            "relative": _ratio(least, control),
            "se": clustered_error(influence, users),
        }
    )
    return pd.DataFrame(table), clustered_error(influences["exhausted"] - influences["slack"], users)


def exaggeration(exhausted: float) -> float:
    """How many times the lift at launch is measured, where it is real only in slack: 1/(1 - c).

    Parameters
    ----------
    exhausted : float
        Share c of the control's outcomes in exhausted periods, in [0, 1).

    Examples
    --------
    >>> exaggeration(0.5)
    2.0
    """
    return 1 / (1 - share("exhausted", exhausted, open_high=True))


def _periods(resources: Any, resource: str | None, used_up: float) -> pd.DataFrame:
    columns = ["ts", "resource", "capacity", "used"]
    frame = read_columns(
        resources, "resources", columns, key=["ts", "resource"], numbers=["capacity", "used"], times=["ts"]
    )
    known = sorted(frame["resource"].unique())
    if resource is None and len(known) > 1:
        raise ValueError(f"resource: got None for resources {', '.join(map(str, known))}; it must name one")
    if resource is not None and resource not in known:
        raise ValueError(f"resource: got {resource!r}; resources have {', '.join(map(str, known))}")
    if resource is not None:
        frame = frame[frame["resource"] == resource]
    frame = frame.sort_values("ts", ignore_index=True)
    if not (frame["capacity"] > 0).all():
        raise ValueError(f"capacity: got {frame['capacity'].min()} in resources; it must be positive")
    return frame.assign(exhausted=frame["used"] >= used_up * frame["capacity"])


def _ratio(above: float, below: float) -> float:
    return float(above / below) if below else float("nan")
