"""Does this week's coverage push next week's the other way, and are fewer reports good news?"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from scipy.special import logit
from scipy.stats import norm
from scipy.stats import t as student

from toolkit.finding import Finding
from toolkit.frames import read_columns
from toolkit.general.coverage import halving
from toolkit.resampling import Estimate, clustered_error, several
from toolkit.rules import level

_LEAST_WEEKS = 12


def loop_gain(weekly: Any, *, alpha: float = 0.05) -> Finding:
    """What a unit more coverage this week makes of next week's, in log-odds: the loop's multiplier.

    Negative where a model's success takes away the reports that it learns from; below -1 the loop
    swings ever wider. `coverage` may be what a dashboard knows, removals over removals and reports:
    where a fixed share of what stands is reported, its log-odds are the true ones plus a constant.
    `recall`, from a random audit, is the check.

    Parameters
    ----------
    weekly : frame
        One row a retrain, at even distances: `ts`, `coverage`, `labels` (how many came in) and, where
        there is an audit, `recall` (the audited share of bad items removed). 12 rows at least.
    alpha : float
        One minus the level of the interval.

    Returns
    -------
    Finding
        Coefficient of coverage's log-odds on the week before's, corrected for the bias of short series
        (Kendall), with least squares' own interval, which the correction would make cover less. It
        covers for gains up to about one half, so wherever coverage is pushed back; where coverage
        persists it covers too seldom.
        The table has the uncorrected coefficient, the loop's two halves as correlations, and, with an
        audit, the coefficient of the audited recall, which the audit's noise draws to 0.

    Raises
    ------
    ValueError
        If columns or values are missing, a `coverage` doesn't lie strictly between 0 and 1 or a `recall`
        isn't a share, either doesn't vary, a time bears no zone or is there twice, there are fewer than
        12 rows, or they aren't evenly spaced.

    References
    ----------
    Kendall (1954), "Note on bias in the estimation of autocorrelation", Biometrika.

    Examples
    --------
    >>> from toolkit.general.coverage import moderated_weeks, weeks_of_coverage
    >>> weekly = moderated_weeks(weeks_of_coverage(10, weeks=52, start=0.73, noise=0.2))
    >>> finding = loop_gain(weekly)
    >>> finding.ci[0] < -0.73 < finding.ci[1] < 0
    True
    """
    level(alpha)
    columns, audited = ["ts", "coverage", "labels"], ["recall"]
    table = read_columns(
        weekly,
        "weekly",
        columns,
        key=["ts"],
        numbers=[*columns[1:], *audited],
        times=["ts"],
        optional=audited,
    )
    table = table.sort_values("ts", ignore_index=True)
    if len(table) < _LEAST_WEEKS:
        raise ValueError(f"weekly: got {len(table)} rows; a loop's gain needs {_LEAST_WEEKS} at least")
    steps = table["ts"].diff().dropna()
    if steps.max() > 1.5 * steps.min():
        raise ValueError(f"ts: got steps from {steps.min()} to {steps.max()}; rows must be evenly spaced")
    for name in ("coverage", *(column for column in audited if column in table)):
        values = table[name]
        good = values.between(0, 1, inclusive="neither" if name == "coverage" else "both")
        if not good.all():
            rule = (
                "it must lie in (0, 1), or its log-odds are undefined"
                if name == "coverage"
                else "a share lies in [0, 1]"
            )
            raise ValueError(f"{name}: got {values[~good].iloc[0]}; {rule}")
        if values.min() == values.max():
            raise ValueError(f"{name}: got {values.iloc[0]} in every row; without shocks a loop doesn't show")
    coverage = logit(table["coverage"].to_numpy(float))
    raw, se = _on_the_week_before(coverage)
    pairs = len(table) - 1
    estimate = (pairs * raw + 1) / (pairs - 3)
    reach = float(student.isf(alpha / 2, pairs - 2))
    ci = (raw - reach * se, raw + reach * se)
    # Kendall's correction is for settled loops among shocks. Near -1 it overshoots, and must not declare
    # a loop unstable; where there is little but the loop itself, it must not leave the interval.
    estimate = float(np.clip(np.clip(estimate, min(raw, -1.0), max(raw, 1.0)), *ci))
    told = [
        ("coverage on the week before's, log-odds", raw, *ci),
        ("the same, corrected for the short series", estimate, np.nan, np.nan),
    ]
    if "recall" in table:
        kept, error = _on_the_week_before(table["recall"].to_numpy(float))
        told.append(("audited recall on the week before's", kept, kept - reach * error, kept + reach * error))
    if table["labels"].min() < table["labels"].max():
        labels = table["labels"].to_numpy(float)
        for name, left, right in (
            ("labels with the same week's coverage, correlation", labels, coverage),
            ("next week's coverage with labels, correlation", coverage[1:], labels[:-1]),
        ):
            r = float(np.corrcoef(left, right)[0, 1])
            half = float(norm.isf(alpha / 2)) / np.sqrt(len(left) - 3)
            centre = np.arctanh(np.clip(r, -1 + 1e-12, 1 - 1e-12))
            told.append((name, r, float(np.tanh(centre - half)), float(np.tanh(centre + half))))
    if ci[0] > 0:
        verdict = "Coverage persists from week to week; no loop through labels pushes it back"
    elif ci[1] >= 0:
        verdict = "No loop is measurable"
    elif ci[0] <= -1:
        verdict = "The loop pushes coverage back, and may not settle at all"
    else:
        verdict = f"The loop pushes coverage back; a shock halves in about {halving(estimate):.1f} retrains"
    return Finding(
        estimate,
        ci,
        f"{verdict}: a unit more this week is {estimate:+.2f} next week.",
        unit="log-odds a log-odds",
        se=se,
        p=float(2 * student.sf(abs(raw) / se, pairs - 2)) if se > 0 else None,
        n=len(table),
        alpha=alpha,
        table=pd.DataFrame(told, columns=["what", "estimate", "low", "high"]),
        assumptions=(
            "volume and prevalence are steady, but for shocks that are independent from week to week",
            "coverage moves around one level; a trend must be taken out first",
        ),
        cannot_tell=(
            "a loop through labels, from another cause that alternates at the pace of retraining",
            "one retrain that reads several weeks, from a weaker loop",
        ),
    )


def reports_vs_prevalence(audit: Any, *, cluster: str = "user_id", alpha: float = 0.05) -> Finding:
    """By how much reports fall a week beyond what prevalence does, both counted in one random sample.

    Parameters
    ----------
    audit : frame
        Rows drawn at random from all traffic, whose truth was looked up: `ts`, `y` (1: bad), `reported`
        (1: somebody reported it), and the cluster's column.
    cluster : str
        Column of the unit that is independent of others.
    alpha : float
        One minus the level of the interval.

    Returns
    -------
    Finding
        Weekly change of the log of reports minus that of prevalence, each the slope of a log-linear
        (Poisson) trend; interval by cluster. The table has each week's prevalence, report rate, and
        reports per bad row.

    Raises
    ------
    ValueError
        If columns or values are missing, a label isn't 0 or 1, a time bears no zone, there are fewer than
        three weeks, rows are bad or reported in fewer than two of them, or all are of one cluster.

    Examples
    --------
    >>> from toolkit.general.coverage import audit_sample
    >>> reports_vs_prevalence(audit_sample(np.linspace(0, 0.7, 8))).ci[1] < 0
    True
    """
    level(alpha)
    pair = ["reported", "y"]
    rows = read_columns(audit, "audit", ["ts", cluster, *pair], labels=pair, times=["ts"])
    week = ((rows["ts"] - rows["ts"].min()) // pd.Timedelta(days=7)).to_numpy()
    if len(np.unique(week)) < 3:
        raise ValueError(f"ts: got {len(np.unique(week))} weeks; a trend needs three at least")
    for name in pair:
        if not rows[name].any():
            raise ValueError(f"{name}: got no 1 in {len(rows):,} rows; a rate's trend needs some")
        if len(np.unique(week[rows[name] == 1])) == 1:
            raise ValueError(f"{name}: got 1 in a single week only; a rate's trend needs two at least")
    if (rows["reported"] == rows["y"]).all():
        raise ValueError(
            f"reported: got what y is in all {len(rows):,} rows; an audit's labels come from a look at each, not from reports"
        )
    slopes, pulls = zip(*(_log_trend(rows[name].to_numpy(float), week) for name in pair), strict=True)
    users = several(rows[cluster], cluster)
    told = Estimate(float(slopes[0] - slopes[1]), clustered_error(pulls[0] - pulls[1], users))
    low, high = told.interval(alpha)
    table = rows.groupby(week)[["y", "reported"]].mean().rename(columns={"y": "prevalence"})
    table["reports per bad row"] = table["reported"] / table["prevalence"].where(table["prevalence"] > 0)
    table.insert(0, "week", table.index + 1)
    word = (
        "Reports fall faster than what they report"
        if high < 0
        else "Reports rise against what they report"
        if low > 0
        else "Reports follow what they report, as far as this audit can tell"
    )
    return Finding(
        told.value,
        (low, high),
        f"{word}: reports change by {np.expm1(slopes[0]):+.1%} a week, prevalence by {np.expm1(slopes[1]):+.1%}.",
        unit="log points a week",
        se=told.error,
        p=told.p,
        n=len(rows),
        n_clusters=int(users.max()) + 1,
        alpha=alpha,
        table=table.reset_index(drop=True),
        assumptions=(
            "audited rows are a random sample of all traffic, also of what was removed",
            "the audit's labels are right; users are independent of each other",
        ),
        cannot_tell=(
            "removals that come before reports, from people who report less",
            "what kinds of bad rows go unreported: split the audit by kind",
        ),
    )


def _on_the_week_before(series: np.ndarray) -> tuple[float, float]:
    """Least squares' coefficient of a series on itself a step before, and its standard error."""
    before, after = series[:-1] - series[:-1].mean(), series[1:] - series[1:].mean()
    slope = float(before @ after / (before @ before))
    residual = after - slope * before
    return slope, float(np.sqrt(residual @ residual / (len(before) - 2) / (before @ before)))


def _log_trend(y: np.ndarray, week: np.ndarray) -> tuple[float, np.ndarray]:
    """The slope of a Poisson regression of y on week, and each row's pull on it."""
    design = np.column_stack([np.ones(len(y)), week - week.mean()])
    weights = np.array([np.log(y.mean()), 0.0])
    for _ in range(50):
        rate = np.exp(design @ weights)
        information = (design * rate[:, None]).T @ design
        step = np.linalg.solve(information, design.T @ (y - rate))
        # A full step of Newton's method may overshoot where the counts are few.
        weights = weights + step / max(1.0, float(np.abs(step).max()))
        if float(np.abs(step).max()) < 1e-10:
            break
    rate = np.exp(design @ weights)
    return float(weights[1]), (design * (y - rate)[:, None]) @ np.linalg.inv(information)[:, 1]
