"""Does a run's claim hold on rows that had no part in choosing it?"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import t as student

from toolkit.finding import Finding
from toolkit.frames import read_columns
from toolkit.resampling import clustered_error, several, welch_freedom
from toolkit.rules import level


def claimed_vs_fresh(
    claimed: Any,
    fresh: Any,
    *,
    run: Any,
    baseline: Any = None,
    cluster: str | None = None,
    alpha: float = 0.05,
) -> Finding:
    """By how much a run's claim on the rows that chose it exceeds what it is worth on fresh ones.

    Parameters
    ----------
    claimed, fresh : any frames that Narwhals reads
        One row a run and held-out row: `run_id`, `row_id`, `value` (1 where the run was right, or another
        score whose mean is the metric, larger being better) and the column that `cluster` names.
    run : a run_id
        The run that was chosen.
    baseline : a run_id, optional
        The run that it was to beat: the claim is then the gain over it, paired row by row.
    cluster : str, optional
        Column of what is independent, a user say; rows are where not given.
    alpha : float
        One minus the level of the interval.

    Returns
    -------
    Finding
        Estimate: the claim less its value on the fresh rows. Without interval and p-value
        where neither sample's values differ. The table has one row a sample. The p-value is
        uniform where the run was named beforehand; where it was chosen on the claimed rows, a small one is what
        choosing does (`toolkit.shipping.winner.flag_power` says how often it shows).

    Raises
    ------
    ValueError
        If columns or values are missing, a run has a row twice, the run or the baseline isn't there, they
        don't have the same rows, or there is one cluster only.

    Examples
    --------
    >>> right = lambda share: (np.arange(400) < 400 * share).astype(int)
    >>> sample = lambda share: pd.DataFrame({"run_id": "best", "row_id": range(400), "value": right(share)})
    >>> finding = claimed_vs_fresh(sample(0.80), sample(0.70), run="best")
    >>> round(finding.estimate, 3), round(finding.p, 4)
    (0.1, 0.0011)
    """
    level(alpha)
    means: list[float] = []
    errors: list[float] = []
    freedom: list[int] = []
    table: list[dict[str, Any]] = []
    for name, frame in (("claimed", claimed), ("fresh", fresh)):
        values, units = _values(frame, name, run, baseline, cluster)
        code = several(units, "row_id" if cluster is None else cluster)
        error = clustered_error((values - values.mean()) / len(values), code)
        means.append(float(values.mean()))
        errors.append(error)
        freedom.append(int(code.max()))
        table.append(
            {"sample": name, "mean": means[-1], "se": error, "rows": len(values), "clusters": freedom[-1] + 1}
        )
    gap = means[0] - means[1]
    se = math.hypot(*errors)
    if se:
        df = float(welch_freedom(np.square(errors), freedom))
        half = float(student.isf(alpha / 2, df)) * se
        p: float | None = float(2 * student.sf(abs(gap) / se, df))
    else:
        # Values without any spread don't say how far other rows would be from them.
        half, p = math.nan, None
    low, high = gap - half, gap + half
    said = "the gain" if baseline is not None else "the metric"
    if math.isnan(half):
        outcome = "no row differs from another, so that nothing says how sure that is"
    elif low > 0:
        outcome = f"too good by {low:.3f} to {high:.3f}"
    elif high < 0:
        outcome = f"too modest by {-high:.3f} to {-low:.3f}"
    else:
        outcome = f"no difference shows ({low:+.3f} to {high:+.3f})"
    return Finding(
        gap,
        (low, high),
        f"{run} claims {means[0]:.3f} as {said} and reads {means[1]:.3f} on fresh rows: {outcome}.",
        unit=f"of {said}",
        se=se,
        p=p,
        n=sum(each["rows"] for each in table),
        n_clusters=sum(freedom) + 2,
        alpha=alpha,
        table=pd.DataFrame(table),
        assumptions=(
            "the fresh rows chose nothing: no run, no threshold, no feature",
            "both samples are of one population, and have no row and no user in common",
            *(() if cluster is not None else ("no user has several rows",)),
        ),
        cannot_tell=(
            "luck of the choice from a population that changed between the two samples",
            "a leak into the claimed rows from luck of the choice",
        ),
    )


def _values(
    frame: Any, name: str, run: Any, baseline: Any, cluster: str | None
) -> tuple[np.ndarray, np.ndarray]:
    """What each row adds to the claim, and its cluster."""
    columns = ["run_id", "row_id", "value", *([] if cluster is None else [cluster])]
    rows = read_columns(frame, name, columns, key=["run_id", "row_id"], numbers=["value"])
    wanted = [("run", run), *([] if baseline is None else [("baseline", baseline)])]
    parts = []
    for parameter, which in wanted:
        part = rows[rows["run_id"] == which].set_index("row_id")
        if part.empty:
            raise ValueError(f"{parameter}: got {which!r}; {name} must have rows of it")
        parts.append(part)
    chosen = parts[0]
    values = chosen["value"].to_numpy(dtype=float)
    if len(parts) > 1:
        other = parts[1]
        if len(other) != len(chosen) or not chosen.index.isin(other.index).all():
            raise ValueError(
                f"baseline: got {len(other):,} rows of {baseline!r} in {name}; it must have those of {run!r}"
            )
        values = values - other["value"].reindex(chosen.index).to_numpy(dtype=float)
    return values, chosen.index.to_numpy() if cluster is None else chosen[cluster].to_numpy()
