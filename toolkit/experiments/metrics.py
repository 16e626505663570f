"""By how much do two arms differ in a metric: a mean or a ratio, adjusted by what was known before or not?"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import narwhals as nw
import numpy as np
import pandas as pd
from scipy.stats import t as student

from toolkit.experiments.moments import ROWS, Moments, grouped
from toolkit.experiments.unit_sums import frame_of
from toolkit.finding import Finding, figure
from toolkit.rules import level

__all__ = ["ROWS", "Metric", "compare", "compare_all", "spread"]

# Below so many units in an arm the delta method's normal limit isn't to be trusted for a skewed metric.
_FEW = 30


@dataclass(frozen=True)
class Metric:
    """A mean over units, or a ratio of two sums over them; adjusted by a covariate where one is named.

    Parameters
    ----------
    value : str
        Column of the mean, or of the ratio's numerator.
    per : str, optional
        Column of the ratio's denominator: clicks per impression with users as units is
        `Metric("clicks", per="impressions")`. `ROWS` ("*") is the number of a unit's rows, where
        the frame has one row an event. Without it the metric is a mean over units.
    covariate, covariate_per : str, optional
        Numerator and denominator of what was known of the unit before the experiment (CUPED).

    Raises
    ------
    ValueError
        If a name isn't a text, or `covariate_per` comes without `covariate`.

    Examples
    --------
    >>> Metric("clicks", per="impressions", covariate="clicks_before").columns
    ('clicks', 'impressions', 'clicks_before')
    """

    value: str
    per: str | None = None
    covariate: str | None = None
    covariate_per: str | None = None

    def __post_init__(self) -> None:
        for name in ("value", "per", "covariate", "covariate_per"):
            told = getattr(self, name)
            if (told is None and name == "value") or (
                told is not None and not (isinstance(told, str) and told)
            ):
                raise ValueError(f"{name}: got {told!r}; it must name a column")
        if self.covariate_per is not None and self.covariate is None:
            raise ValueError(
                f"covariate_per: got {self.covariate_per!r} without a covariate; it is one's denominator"
            )

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that it needs, each once."""
        names = (self.value, self.per, self.covariate, self.covariate_per)
        return tuple(dict.fromkeys(name for name in names if name is not None))

    def __str__(self) -> str:
        per = {None: "a unit", ROWS: "a row"}.get(self.per, f"over {self.per}")
        return f"{self.value} {per}"


@dataclass(frozen=True)
class _Side:
    """One arm: its value, squared standard error, the parts of that and their degrees of freedom."""

    value: float
    squared: float
    parts: np.ndarray
    freedom: np.ndarray


def compare(
    units: Any,
    metric: Metric | str,
    *,
    arm: str = "arm",
    control: Any = "control",
    treatment: Any = "treatment",
    cluster: str | None = None,
    strata: str | None = None,
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
    strata : str, optional
        Column of what is known of a unit before the experiment, constant within it: the estimate
        is post-stratified, each stratum counting by its share of both arms' units.
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
    asked = Metric(metric) if isinstance(metric, str) else metric
    found = _both(units, asked.columns, arm, control, treatment, cluster, strata)
    sides, size = _sides(found, asked), _size(found)
    told = _told(sides, asked, alpha)
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
        _verdict(asked, sides, told, treatment),
        unit="of relative lift" if relative else unit,
        se=told["lift_se"] if relative else told["se"],
        p=told["p"],
        n=sum(moments.rows for moments in found.values()),
        n_clusters=sum(size.values()),
        alpha=alpha,
        table=table,
        assumptions=_assumptions(asked, cluster, strata, min(size.values())),
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
    strata: str | None = None,
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
    asked = {name: Metric(each) if isinstance(each, str) else each for name, each in metrics.items()}
    columns = tuple(dict.fromkeys(column for each in asked.values() for column in each.columns))
    found = _both(units, columns, arm, control, treatment, cluster, strata)
    return pd.DataFrame(
        [{"metric": name, **_told(_sides(found, each), each, alpha)} for name, each in asked.items()]
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
    asked = Metric(metric) if isinstance(metric, str) else metric
    frame = units
    if arm is None:
        arm = "everybody"
        frame = frame_of(units, "units").with_columns(nw.lit(1).alias(arm)).to_native()
    parts = list(grouped(frame, asked.columns, arm=arm, cluster=cluster).values())
    whole = parts[0]
    for part in parts[1:]:
        whole = whole + part
    if whole.units < 2:
        raise ValueError(f"units: got {whole.units}; a spread needs two at least")
    weights = {"all": 1.0}
    side = _side({"all": whole}, weights, asked, _theta({"all": whole}, weights, asked), whole.mean)
    return side.value, math.sqrt(side.squared * whole.units)


_Found = dict[tuple[str, Any], Moments]


def _both(
    units: Any,
    columns: tuple[str, ...],
    arm: str,
    control: Any,
    treatment: Any,
    cluster: str | None,
    strata: str | None,
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


def _sides(found: _Found, metric: Metric) -> dict[str, _Side]:
    strata = list(dict.fromkeys(part for _, part in found))
    pooled = {part: found["control", part] + found["treatment", part] for part in strata}
    total = sum(each.units for each in pooled.values())
    weights = {part: each.units / total for part, each in pooled.items()}
    middle = _mean(pooled, weights)
    theta = _theta(pooled, weights, metric)
    return {
        role: _side({part: found[role, part] for part in strata}, weights, metric, theta, middle)
        for role in ("control", "treatment")
    }


def _mean(parts: Mapping[Any, Moments], weights: Mapping[Any, float]) -> np.ndarray:
    mean: np.ndarray = np.sum([weights[part] * each.mean for part, each in parts.items()], axis=0)
    return mean


def _place(moments: Moments, column: str) -> int:
    return moments.columns.index(column)


def _ratio(mean: np.ndarray, moments: Moments, column: str, per: str | None) -> tuple[float, np.ndarray]:
    """A mean or ratio of means, and by how much each column of one unit moves it (to first order)."""
    gradient = np.zeros(len(mean))
    numerator = mean[_place(moments, column)]
    if per is None:
        gradient[_place(moments, column)] = 1.0
        return float(numerator), gradient
    denominator = mean[_place(moments, per)]
    if denominator == 0:
        raise ValueError(f"{per}: got 0 on average; a ratio needs a denominator")
    gradient[_place(moments, column)] += 1 / denominator
    gradient[_place(moments, per)] -= numerator / denominator**2
    return float(numerator / denominator), gradient


def _theta(pooled: Mapping[Any, Moments], weights: Mapping[Any, float], metric: Metric) -> float:
    """The covariate's coefficient: of the regression over both arms' units, within strata."""
    if metric.covariate is None:
        return 0.0
    any_part = next(iter(pooled.values()))
    middle = _mean(pooled, weights)
    _, moves = _ratio(middle, any_part, metric.value, metric.per)
    _, known = _ratio(middle, any_part, metric.covariate, metric.covariate_per)
    within = np.sum([weights[part] * each.covariance for part, each in pooled.items()], axis=0)
    own = known @ within @ known
    return float(moves @ within @ known / own) if own > 0 else 0.0


def _side(
    parts: Mapping[Any, Moments],
    weights: Mapping[Any, float],
    metric: Metric,
    theta: float,
    middle: np.ndarray,
) -> _Side:
    """An arm's value: of the strata's means, each by its share of both arms' units."""
    any_part = next(iter(parts.values()))
    mean = _mean(parts, weights)
    value, moves = _ratio(mean, any_part, metric.value, metric.per)
    if metric.covariate is not None:
        here, known = _ratio(mean, any_part, metric.covariate, metric.covariate_per)
        everywhere, _ = _ratio(middle, any_part, metric.covariate, metric.covariate_per)
        value -= theta * (here - everywhere)
        moves = moves - theta * known
    squares = np.array(
        [
            weights[part] ** 2 * max(float(moves @ each.covariance @ moves), 0.0) / each.units
            for part, each in parts.items()
        ]
    )
    freedom = np.array([each.units - 1 for each in parts.values()])
    return _Side(value, float(squares.sum()), squares, freedom)


def _told(sides: Mapping[str, _Side], metric: Metric, alpha: float) -> dict[str, float]:
    """Difference and lift of two arms with Welch's intervals, and p."""
    control, treatment = sides["control"], sides["treatment"]
    difference = treatment.value - control.value
    squared = control.squared + treatment.squared
    if not squared > 0:
        raise ValueError(
            f"{metric.value}: got no variance in either arm; an interval needs values that differ"
        )
    se = math.sqrt(squared)
    half = float(student.isf(alpha / 2, _freedom(control, treatment))) * se
    told = {
        "control": control.value,
        "treatment": treatment.value,
        "difference": difference,
        "se": se,
        "low": difference - half,
        "high": difference + half,
        **dict.fromkeys(("lift", "lift_se", "lift_low", "lift_high"), math.nan),
        "p": float(2 * student.sf(abs(difference) / se, _freedom(control, treatment))),
    }
    if control.value * treatment.value > 0:
        ratio = treatment.value / control.value
        scales = 1 / control.value**2, 1 / treatment.value**2
        error = math.sqrt(control.squared * scales[0] + treatment.squared * scales[1])
        half = float(student.isf(alpha / 2, _freedom(control, treatment, *scales))) * error
        told |= {
            "lift": ratio - 1,
            "lift_se": ratio * error,
            "lift_low": ratio * math.exp(-half) - 1,
            "lift_high": ratio * math.exp(half) - 1,
        }
    return told


def _freedom(control: _Side, treatment: _Side, first: float = 1.0, second: float = 1.0) -> float:
    """Welch and Satterthwaite's degrees of freedom."""
    parts = np.append(control.parts * first, treatment.parts * second)
    freedom = np.append(control.freedom, treatment.freedom)
    return float(parts.sum() ** 2 / (parts**2 / freedom).sum())


def _verdict(metric: Metric, sides: Mapping[str, _Side], told: Mapping[str, float], treatment: Any) -> str:
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


def _assumptions(metric: Metric, cluster: str | None, strata: str | None, fewest: int) -> tuple[str, ...]:
    told = [
        f"arms were drawn by {cluster}" if cluster else "each row is a unit whose arm was drawn by itself",
        "one unit's arm doesn't change another's value",
    ]
    if metric.covariate is not None:
        told.append(f"{metric.covariate} was known before the arm could change it")
    if strata is not None:
        told.append(f"{strata} was known before the arm could change it")
    if fewest < _FEW:
        told.append(f"values are about normal: the smaller arm has {fewest} units")
    return tuple(told)
