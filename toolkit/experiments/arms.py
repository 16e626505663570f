"""What does each arm's metric come to, and how sure is the difference between two? From sums alone."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import t as student

from toolkit.experiments.moments import ROWS, Moments
from toolkit.resampling import welch_freedom

# A variance that is so small a share of the parts it was left over from is their rounding.
_ROUNDING = 1e-13


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
class Arm:
    """One arm's value of a metric, its squared standard error, the parts of that and their degrees of freedom.

    Parameters
    ----------
    value, squared : float
    parts, freedom : array of shape (n_strata,)
    """

    value: float
    squared: float
    parts: np.ndarray
    freedom: np.ndarray


def both_arms(parts: Mapping[tuple[str, Any], Moments], metric: Metric) -> dict[str, Arm]:
    """Control and treatment from the moments of each stratum in them; a stratum weighs what both have of it.

    Parameters
    ----------
    parts : mapping of ("control" or "treatment", stratum) to Moments
        Each stratum in both arms, with two units at least.
    metric : Metric
        The covariate's coefficient is pooled over arms within strata.

    Raises
    ------
    ValueError
        If a denominator is 0 on average.

    Examples
    --------
    >>> from toolkit.experiments.moments import grouped
    >>> import pandas as pd
    >>> units = pd.DataFrame({"arm": ["control"] * 2 + ["treatment"] * 2, "y": [1.0, 3.0, 4.0, 8.0]})
    >>> arms = both_arms(grouped(units, ["y"], arm="arm"), Metric("y"))
    >>> arms["control"].value, arms["treatment"].value, arms["treatment"].squared
    (2.0, 6.0, 4.0)
    """
    strata = list(dict.fromkeys(part for _, part in parts))
    pooled = {part: parts["control", part] + parts["treatment", part] for part in strata}
    total = sum(each.units for each in pooled.values())
    weights = {part: each.units / total for part, each in pooled.items()}
    middle = _mean(pooled, weights)
    theta = _coefficient(pooled, weights, metric)
    return {
        role: _arm({part: parts[role, part] for part in strata}, weights, metric, theta, middle)
        for role in ("control", "treatment")
    }


def everybody(whole: Moments, metric: Metric) -> Arm:
    """All units as one arm: the metric's value, and its error where the covariate is known.

    Examples
    --------
    >>> whole = Moments(("y",), 4, 4, np.array([2.0]), np.array([[12.0]]))
    >>> everybody(whole, Metric("y")).squared
    1.0
    """
    parts, weights = {"all": whole}, {"all": 1.0}
    return _arm(parts, weights, metric, _coefficient(parts, weights, metric), whole.mean)


def difference_and_lift(arms: Mapping[str, Arm], metric: Metric, *, alpha: float = 0.05) -> dict[str, float]:
    """Difference and lift of two arms, with Welch's intervals and p of "no difference".

    Parameters
    ----------
    arms : mapping
        "control" and "treatment".
    metric : Metric
        For errors.
    alpha : float
        One minus the intervals' level.

    Returns
    -------
    dict
        `control`, `treatment`, `difference`, `se`, `low`, `high`, `lift`, `lift_se`, `lift_low`,
        `lift_high`, `p`. The lift's are nan unless both values have one sign.

    Raises
    ------
    ValueError
        If nothing varies.

    Examples
    --------
    >>> arms = {name: Arm(value, 0.5, np.array([0.5]), np.array([9])) for name, value in
    ...     (("control", 2.0), ("treatment", 4.0))}
    >>> told = difference_and_lift(arms, Metric("y"))
    >>> told["difference"], told["se"], told["lift"], round(told["p"], 3)
    (2.0, 1.0, 1.0, 0.061)
    """
    control, treatment = arms["control"], arms["treatment"]
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


def _mean(parts: Mapping[Any, Moments], weights: Mapping[Any, float]) -> np.ndarray:
    mean: np.ndarray = np.sum([weights[part] * each.mean for part, each in parts.items()], axis=0)
    return mean


def _ratio(
    mean: np.ndarray, columns: tuple[str, ...], value: str, per: str | None
) -> tuple[float, np.ndarray]:
    """A mean or ratio of means, and by how much each column of one unit moves it (to first order)."""
    gradient = np.zeros(len(mean))
    numerator = mean[columns.index(value)]
    if per is None:
        gradient[columns.index(value)] = 1.0
        return float(numerator), gradient
    denominator = mean[columns.index(per)]
    if denominator == 0:
        raise ValueError(f"{per}: got 0 on average; a ratio needs a denominator")
    gradient[columns.index(value)] += 1 / denominator
    gradient[columns.index(per)] -= numerator / denominator**2
    return float(numerator / denominator), gradient


def _variance(moves: np.ndarray, covariance: np.ndarray) -> float:
    """Of one unit's first-order effect; 0 where nothing but rounding is left of its parts."""
    whole = float(np.abs(moves) @ np.abs(covariance) @ np.abs(moves))
    variance = float(moves @ covariance @ moves)
    return variance if variance > _ROUNDING * whole else 0.0


def _coefficient(pooled: Mapping[Any, Moments], weights: Mapping[Any, float], metric: Metric) -> float:
    """The covariate's: of the regression over both arms' units, within strata."""
    if metric.covariate is None:
        return 0.0
    columns = next(iter(pooled.values())).columns
    middle = _mean(pooled, weights)
    _, moves = _ratio(middle, columns, metric.value, metric.per)
    _, known = _ratio(middle, columns, metric.covariate, metric.covariate_per)
    within = np.sum([weights[part] * each.covariance for part, each in pooled.items()], axis=0)
    own = _variance(known, within)
    return float(moves @ within @ known / own) if own > 0 else 0.0


def _arm(
    parts: Mapping[Any, Moments],
    weights: Mapping[Any, float],
    metric: Metric,
    theta: float,
    middle: np.ndarray,
) -> Arm:
    """An arm's value: of the strata's means, each by its share of both arms' units."""
    columns = next(iter(parts.values())).columns
    mean = _mean(parts, weights)
    value, moves = _ratio(mean, columns, metric.value, metric.per)
    if metric.covariate is not None:
        here, known = _ratio(mean, columns, metric.covariate, metric.covariate_per)
        everywhere, _ = _ratio(middle, columns, metric.covariate, metric.covariate_per)
        value -= theta * (here - everywhere)
        moves = moves - theta * known
    squares = np.array(
        [weights[part] ** 2 * _variance(moves, each.covariance) / each.units for part, each in parts.items()]
    )
    freedom = np.array([each.units - 1 for each in parts.values()])
    return Arm(value, float(squares.sum()), squares, freedom)


def _freedom(control: Arm, treatment: Arm, first: float = 1.0, second: float = 1.0) -> float:
    """Welch and Satterthwaite's degrees of freedom."""
    parts = np.append(control.parts * first, treatment.parts * second)
    freedom = np.append(control.freedom, treatment.freedom)
    return float(welch_freedom(parts, freedom))
