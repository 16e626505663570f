"""By how much do two arms differ in a metric: a mean or a ratio, adjusted by what was known before or not?"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import narwhals as nw
import pandas as pd

from toolkit.experiments.arms import Metric, both_arms, difference_and_lift, everybody
from toolkit.experiments.moments import ROWS, Moments, grouped
from toolkit.experiments.unit_sums import frame_of
from toolkit.finding import Finding, figure
from toolkit.rules import level

__all__ = ["ROWS", "Metric", "compare", "compare_all", "spread"]

# Below so many units in an arm the delta method's normal limit isn't to be trusted for a skewed metric.
_FEW = 30


def compare(
    units: Any,
    metric: Metric | str,
    *,
    arm: str = "arm",
    control: Any = "control",
    treatment: Any = "treatment",
    cluster: str | None = None,
    strata: str | Sequence[str] | None = None,
    relative: bool = False,
    unit: str = "",
    alpha: float = 0.05,
) -> Finding:
    """The difference between two arms in a metric, with an interval that takes units as independent.

    Computed from each arm's sums: a lazy frame (DuckDB, Polars, Ibis, PySpark) sends nothing else.

    Parameters
    ----------
    units : any frame that Narwhals reads
        One row a unit of randomisation; or with `cluster` one row an event. Rows without an arm,
        or of a third one, are left out.
    metric : Metric or str
        A text is the mean of that column.
    arm, control, treatment : str
        The arms' column, and the two of its values that are compared.
    cluster : str, optional
        Column of the unit that was randomised, whose rows are summed: the interval then is
        clustered by it. The mean of rows is `Metric("y", per=ROWS)`.
    strata : str or sequence of str, optional
        Column of what is known of a unit before the experiment, constant within it: the estimate
        is post-stratified, each stratum counting by its share of both arms' units. Of several
        columns each combination is a stratum.
    relative : bool
        Whether the estimate is the lift: the treatment's value over the control's, less 1. Its
        interval is that of the logarithm of their ratio (delta method), so that it never ends
        below -100%. Undefined unless both values are positive, or both negative.
    unit : str
        Of the difference.
    alpha : float
        One minus the level of the interval (Welch's t; the delta method for ratios).

    Returns
    -------
    Finding
        Difference or lift; p is of "no difference". The table has one row an arm: units, value,
        and its standard error; adjusted values where there is a covariate. The covariate's
        coefficient is pooled over arms (within strata), and so fixed to first order.

    Raises
    ------
    ValueError
        If a column is missing, a value is missing or not finite, an arm or stratum has fewer than two units,
        a unit is in two arms, a denominator is 0 on average, or nothing varies.

    References
    ----------
    Deng, Xu, Kohavi and Walker (2013), "Improving the Sensitivity of Online Controlled Experiments
    by Utilizing Pre-Experiment Data", WSDM. Kohavi, Tang and Xu (2020), "Trustworthy Online
    Controlled Experiments", chapter 18.

    Examples
    --------
    >>> units = pd.DataFrame({"arm": ["control"] * 4 + ["treatment"] * 4, "clicks": [1, 2, 0, 3, 2, 4, 3, 5],
    ...     "impressions": [10, 9, 8, 12, 10, 11, 9, 12]})
    >>> round(compare(units, Metric("clicks", per="impressions")).estimate, 4)
    0.1795
    >>> round(compare(units, "clicks", relative=True).estimate, 4)
    1.3333
    """
    level(alpha)
    asked = _metric(metric)
    found = _both(units, asked.columns, arm, control, treatment, cluster, strata)
    sides, size = both_arms(found, asked), _size(found)
    told = difference_and_lift(sides, asked, alpha=alpha)
    names = {"control": control, "treatment": treatment}
    table = pd.DataFrame(
        [
            {"arm": names[name], "units": size[name], "value": side.value, "se": math.sqrt(side.squared)}
            for name, side in sides.items()
        ]
    )
    ci = (told["lift_low"], told["lift_high"]) if relative else (told["low"], told["high"])
    return Finding(
        told["lift"] if relative else told["difference"],
        ci,
        _verdict(asked, told, treatment),
        unit="of relative lift" if relative else unit,
        se=told["lift_se"] if relative else told["se"],
        p=told["p"],
        n=sum(moments.rows for moments in found.values()),
        n_clusters=sum(size.values()),
        alpha=alpha,
        table=table,
        assumptions=_assumptions(asked, cluster, strata, found),
        cannot_tell=(
            "an effect, from a split that didn't happen as designed: test the split first",
            "an effect that changes with time, from one that is constant",
        ),
    )


def compare_all(
    units: Any,
    metrics: Mapping[str, Metric | str],
    *,
    arm: str = "arm",
    control: Any = "control",
    treatment: Any = "treatment",
    cluster: str | None = None,
    strata: str | Sequence[str] | None = None,
    alpha: float = 0.05,
) -> pd.DataFrame:
    """Several metrics of one test as `compare` tells them, read in one go: one row a metric.

    Parameters
    ----------
    units, arm, control, treatment, cluster, strata, alpha
        As in `compare`.
    metrics : mapping of name to Metric or str

    Returns
    -------
    DataFrame
        `metric`, the arms' values `control` and `treatment`, `difference`, its `se`, `low`,
        `high`, the relative `lift` with `lift_se`, `lift_low` and `lift_high`, and `p`, not
        corrected for the number of metrics (`fdr` does that).

    Raises
    ------
    ValueError
        As `compare`; or if there is no metric.

    Examples
    --------
    >>> units = pd.DataFrame({"arm": ["control", "treatment"] * 3, "y": [1.0, 2, 2, 3, 3, 4], "z": [1.0, 1, 0, 0, 1, 1]})
    >>> compare_all(units, {"y": "y", "z": "z"})[["metric", "difference"]].to_numpy().tolist()
    [['y', 1.0], ['z', 0.0]]
    """
    level(alpha)
    if not isinstance(metrics, Mapping) or not metrics:
        raise ValueError(f"metrics: got {metrics!r}; it must be a mapping of name to metric")
    asked = {name: _metric(each) for name, each in metrics.items()}
    columns = tuple(dict.fromkeys(column for each in asked.values() for column in each.columns))
    found = _both(units, columns, arm, control, treatment, cluster, strata)
    return pd.DataFrame(
        [
            {"metric": name, **difference_and_lift(both_arms(found, each), each, alpha=alpha)}
            for name, each in asked.items()
        ]
    )


def spread(
    units: Any, metric: Metric | str, *, cluster: str | None = None, arm: str | None = None
) -> tuple[float, float]:
    """A metric's value and the standard deviation that one unit brings to it: what a plan needs of a log.

    For a ratio it is that of the delta method; with a covariate, what CUPED leaves.

    Parameters
    ----------
    units : any frame that Narwhals reads
        Of a time without an experiment, or of all arms together.
    metric : Metric or str
    cluster : str, optional
        As in `compare`.
    arm : str, optional
        Column without which rows are left out.

    Examples
    --------
    >>> value, deviation = spread(pd.DataFrame({"y": [1.0, 2.0, 3.0]}), "y")
    >>> value, deviation
    (2.0, 1.0)
    """
    asked = _metric(metric)
    frame = units
    if arm is None:
        table = frame_of(units, "units")
        # A name that no column has.
        arm = max(["everybody", *table.collect_schema().names()], key=len) + "_"
        frame = table.with_columns(nw.lit(1).alias(arm)).to_native()
    parts = list(grouped(frame, asked.columns, arm=arm, cluster=cluster).values())
    whole = sum(parts[1:], start=parts[0])
    if whole.units < 2:
        raise ValueError(f"units: got {whole.units}; a spread needs two at least")
    told = everybody(whole, asked)
    return told.value, math.sqrt(told.squared * whole.units)


def _metric(metric: Any) -> Metric:
    if not isinstance(metric, str | Metric):
        raise ValueError(f"metric: got {metric!r}; it must be a Metric or a column's name")
    return Metric(metric) if isinstance(metric, str) else metric


_Found = dict[tuple[str, Any], Moments]


def _both(
    units: Any,
    columns: tuple[str, ...],
    arm: str,
    control: Any,
    treatment: Any,
    cluster: str | None,
    strata: str | Sequence[str] | None,
) -> _Found:
    """Moments by "control" or "treatment" and stratum, each with two units at least."""
    told = grouped(units, columns, arm=arm, cluster=cluster, stratum=strata)
    names = sorted({name for name, _ in told}, key=str)
    for setting, label in (("control", control), ("treatment", treatment)):
        if label not in names:
            raise ValueError(f"{setting}: got {label!r}; {arm} has {names}")
    if control == treatment:
        raise ValueError(f"treatment: got {treatment!r}; it must be another arm than the control")
    roles = {control: "control", treatment: "treatment"}
    found = {(roles[name], part): each for (name, part), each in told.items() if name in roles}
    for part in dict.fromkeys(part for _, part in found):
        for role in roles.values():
            there = found[role, part].units if (role, part) in found else 0
            if there < 2:
                where = "" if strata is None else f" with {strata} {part!r}"
                raise ValueError(f"{arm}: got {there} units in the {role}{where}; each needs two at least")
    return found


def _size(found: _Found) -> dict[str, int]:
    return {
        role: sum(each.units for (name, _), each in found.items() if name == role)
        for role in ("control", "treatment")
    }


def _verdict(metric: Metric, told: Mapping[str, float], treatment: Any) -> str:
    lift, low, high = told["lift"], told["lift_low"], told["lift_high"]
    values = f"{figure(told['treatment'])} against {figure(told['control'])}"
    seen = told["low"] > 0 or told["high"] < 0
    if math.isnan(lift):
        if seen:
            return f"{metric} is {'higher' if told['difference'] > 0 else 'lower'} in {treatment}: {values}."
        return (
            f"No difference in {metric} is seen ({values}); from {figure(told['low'], signed=True)} to "
            f"{figure(told['high'], signed=True)} none can be ruled out."
        )
    if seen:
        return f"{metric} is {abs(lift):.1%} {'higher' if told['difference'] > 0 else 'lower'} in {treatment}: {values}."
    return f"No difference in {metric} is seen ({values}); a lift from {low:+.1%} to {high:+.1%} can't be ruled out."


def _assumptions(
    metric: Metric, cluster: str | None, strata: str | Sequence[str] | None, found: _Found
) -> tuple[str, ...]:
    told = [
        f"arms were drawn by {cluster}" if cluster else "each row is a unit whose arm was drawn by itself",
        "one unit's arm doesn't change another's value",
    ]
    if metric.covariate is not None:
        told.append(f"{metric.covariate} was known before the arm could change it")
    if strata is not None:
        names = strata if isinstance(strata, str) else " and ".join(strata)
        told.append(f"{names} was known before the arm could change it")
    fewest = min(_size(found).values())
    worth = min(_worth(found, role, metric) for role in ("control", "treatment"))
    if fewest < _FEW:
        told.append(f"values are about normal: the smaller arm has {fewest} units")
    elif worth < _FEW:
        told.append(
            f"a few units are enough: they differ so much in {'rows' if metric.per == ROWS else metric.per} that an arm's weigh as {worth:.0f} "
            "equal ones, and the interval may be too narrow (`aa_size` tells)"
        )
    return tuple(told)


def _worth(found: _Found, role: str, metric: Metric) -> float:
    """How many equal units an arm's would be that weigh by the metric's denominator (Kish)."""
    parts = [moments for (name, _), moments in found.items() if name == role]
    whole = sum(parts[1:], start=parts[0])
    if metric.per is None:
        return float(whole.units)
    place = whole.columns.index(metric.per)
    squares = whole.products[place, place] / whole.units
    return float(whole.units / (1 + squares / whole.mean[place] ** 2))
