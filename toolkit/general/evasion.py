"""Do senders gather just under a threshold, and does a feature tell less every week?"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit

from toolkit.finding import Finding
from toolkit.frames import IMPRESSION, read_columns, with_outcomes
from toolkit.resampling import Estimate, clustered_error, several
from toolkit.rules import level, number
from toolkit.world.policies import fit_logistic

# Below this many rows on a side a density at its end is noise.
_LEAST = 50
# With fewer different scores a bin the grid that scores were rounded to shows as a jump.
_DISTINCT = 5
# Newton's last step for weights that have been found; where there are none each step goes about one further.
_FOUND = 1e-4


def bunching(
    scored: Any,
    *,
    threshold: float,
    score: str = "score",
    cluster: str = "user_id",
    bandwidth: float | None = None,
    alpha: float = 0.05,
) -> Finding:
    """How much denser scores lie just under a threshold than just over it (McCrary's density test).

    A fine histogram is smoothed by a local line on each side of the threshold, weights falling to 0
    at a bandwidth; the two lines' values at the threshold are compared.

    Parameters
    ----------
    scored : frame
        One row a scored message, with its sender.
    threshold : float
        At or above it something happens to the sender.
    score, cluster : str
        Columns of the score, and of the unit that is independent of others.
    bandwidth : float, optional
        Half of McCrary's automatic choice where not given: his rule balances bias and variance,
        and an interval that covers wants less bias.
    alpha : float
        One minus the level of the interval.

    Returns
    -------
    Finding
        Log of the density just under the threshold over that just over it: 0 without a jump, above
        0 where senders got under it. The table has both densities and the bandwidth.

    Raises
    ------
    ValueError
        If columns or values are missing, all scores are equal or all rows of one cluster, fewer than 50 rows
        lie on a side within the bandwidth, most of these share few values (rounded more coarsely than a
        fifth of a bin of the histogram, which is 2 standard deviations over the root of the number of
        rows wide), or a density comes out as none.

    References
    ----------
    McCrary (2008), "Manipulation of the running variable in the regression discontinuity design: A
    density test", Journal of Econometrics.

    Examples
    --------
    >>> from toolkit.general.strategic import senders
    >>> quiet, moved = (bunching(senders(budget=b), threshold=1.0) for b in (0.0, 0.5))
    >>> quiet.ci[0] < 0 < quiet.ci[1], moved.ci[0] > 0
    (True, True)
    """
    level(alpha)
    number("threshold", threshold)
    if bandwidth is not None:
        number("bandwidth", bandwidth, above=0)
    table = read_columns(scored, "scored", [score, cluster], numbers=[score])
    values = table[score].to_numpy(float) - threshold
    users = several(table[cluster], cluster)
    # Not by the spread: rounding makes that of equal values a little more than 0.
    if values.min() == values.max():
        raise ValueError(f"{score}: got {len(values)} rows, all equal; scores must differ")
    if not values.min() < 0 <= values.max():
        low, high = table[score].min(), table[score].max()
        raise ValueError(
            f"threshold: got {threshold:g}; scores must lie on both sides, and go from {low:g} to {high:g}"
        )
    spread = float(values.std(ddof=1))
    width = 2 * spread / np.sqrt(len(values))
    # Bins touch the threshold and never straddle it.
    place = np.floor(values / width).astype(int)
    reach = _reach(place, width) if bandwidth is None else float(bandwidth)
    sides = []
    for name, side in (("under", values < 0), ("over", values >= 0)):
        close = values[side & (np.abs(values) < reach)]
        if len(close) < _LEAST:
            raise ValueError(
                f"{score}: got {len(close)} rows within {reach:.3g} {name} the threshold; {_LEAST} are needed on each side"
            )
        bins = int(np.ceil(min(reach, np.abs(values[side]).max()) / width))
        if len(np.unique(close)) < min(_DISTINCT * bins, len(close) / 2):
            raise ValueError(
                f"{score}: got {len(np.unique(close))} different values within {reach:.3g} {name} the threshold; "
                f"the histogram needs {_DISTINCT * bins} there, or rounding looks like a jump"
            )
        sides.append(_density_at_end(place, width, reach, under=name == "under"))
    (below, below_rows), (above, above_rows) = sides
    if not (below > 0 and above > 0):
        raise ValueError(
            f"bandwidth: got {reach:.3g}, at which a density at the threshold is {min(below, above):.3g}; take a larger one"
        )
    # Each density is a sum over rows, so the log ratio's variance is that of its senders' shares in it (mean 0).
    error = clustered_error(below_rows / below - above_rows / above, users)
    told = Estimate(float(np.log(below / above)), error)
    low, high = told.interval(alpha)
    verdict = (
        "Scores gather just under the threshold"
        if low > 0
        else "Scores gather just over the threshold"
        if high < 0
        else "There is no measurable jump at the threshold"
    )
    return Finding(
        told.value,
        (low, high),
        f"{verdict}: they lie {np.exp(told.value):.2f} times as dense under it as over it.",
        unit="log of the density under over the density over",
        se=told.error,
        p=told.p,
        n=len(values),
        n_clusters=int(users.max()) + 1,
        alpha=alpha,
        table=pd.DataFrame(
            {
                "side": ["just under", "just over"],
                "density": [below, above],
                "rows within the bandwidth": [
                    int(((values < 0) & (values > -reach)).sum()),
                    int(((values >= 0) & (values < reach)).sum()),
                ],
                "bandwidth": reach,
            }
        ),
        assumptions=(
            "without anybody's doing the density has no jump at the threshold",
            "users are independent of each other",
        ),
        cannot_tell=(
            "senders who moved from far above to far below: they leave no jump",
            "bad senders who got under it, from good ones who did",
            "a jump that the score's own make-up has there (rounding, a cap, a rule)",
        ),
    )


def mutability_decay(
    serving_log: Any, outcomes: Any, *, feature: str, alpha: float = 0.05, cluster: str = "user_id"
) -> Finding:
    """By how much a feature's weight in a logistic model changes a week, after it is in use.

    One model of all weeks: each week has its own level, all other features have one weight, and the
    feature's weight is a line over weeks.

    Parameters
    ----------
    serving_log, outcomes : frame
        `request_id`, `item_id`, `ts`, the cluster's column and features `f_*`; and `y` of every row.
    feature : str
        Its column without `f_`.
    cluster : str
        Column of the unit that is independent of others.
    alpha : float
        One minus the level of the interval.

    Returns
    -------
    Finding
        Change of the weight (log-odds for one standard deviation of the feature) a week, interval by
        cluster. The table has each week's weight, fitted alone; undefined, therefore nan, where the
        week's features don't vary freely or tell some of its labels without error.

    Raises
    ------
    ValueError
        If columns or values are missing, a row is there twice or has no outcome, a time bears no zone, a
        feature is constant or follows from others, features tell some labels without error, there are
        fewer than three weeks, a week has labels of one kind only, or all rows are of one cluster.

    Examples
    --------
    >>> from toolkit.general.strategic import weeks_of_messages
    >>> log, labels = weeks_of_messages()
    >>> mutability_decay(log, labels, feature="links").ci[1] < 0
    True
    """
    level(alpha)
    column, key = f"f_{feature}", IMPRESSION
    log = read_columns(serving_log, "serving_log", [*key, "ts", cluster, column], key=key, keep=True)
    features = [name for name in log.columns if name.startswith("f_")]
    log = read_columns(log, "serving_log", [*key, "ts", cluster, *features], numbers=features, times=["ts"])
    rows = with_outcomes(log, outcomes)
    constant = rows[features].min() == rows[features].max()
    if constant.any():
        raise ValueError(f"{constant.idxmax()}: got one value only; a feature must vary")
    spread = rows[features].std()
    week = ((rows["ts"] - rows["ts"].min()) // pd.Timedelta(days=7)).to_numpy()
    mixed = rows.groupby(week)["y"].agg(["min", "max", "size"])
    if len(mixed) < 3:
        raise ValueError(f"ts: got {len(mixed)} weeks; a line over weeks needs three at least")
    if (mixed["min"] == mixed["max"]).any():
        alike = int(mixed.index[mixed["min"] == mixed["max"]][0])
        raise ValueError(f"y: got labels of one kind in week {alike + 1}; each week needs both")
    users = several(rows[cluster], cluster)
    y = rows["y"].to_numpy(float)
    values = ((rows[features] - rows[features].mean()) / spread).to_numpy()
    place = features.index(column)
    others = np.delete(values, place, axis=1)
    dummies = (week[:, None] == mixed.index.to_numpy()[1:]).astype(float)
    centred = week - week.mean()
    x = np.column_stack([values[:, place], values[:, place] * centred, others, dummies])
    fitted = _weights(x, y)
    if fitted is None:
        raise ValueError(
            f"serving_log: got features {', '.join(features)}; none may follow from the others or tell "
            "labels without error, or weights are undefined"
        )
    weights, design = fitted, np.column_stack([np.ones(len(x)), x])
    chance = expit(design @ weights)
    bread = np.linalg.inv((design * (chance * (1 - chance))[:, None]).T @ design)
    pull = (design * (y - chance)[:, None]) @ bread[:, 2]
    slope = Estimate(float(weights[2]), clustered_error(pull, users))
    low, high = slope.interval(alpha)
    by_week = []
    for one in mixed.index:
        here = week == one
        alone = _weights(np.column_stack([values[here][:, [place]], others[here]]), y[here])
        by_week.append((int(one) + 1, int(here.sum()), np.nan if alone is None else float(alone[1])))
    first, last = by_week[0][2], by_week[-1][2]
    ends = "" if np.isnan(first + last) else f", from {first:.2f} in the first week to {last:.2f} in the last"
    word = "falls" if high < 0 else "rises" if low > 0 else "does not change measurably"
    return Finding(
        slope.value,
        (low, high),
        f"The weight of {column} {word}: {slope.value:+.3f} a week{ends}.",
        unit="log-odds a standard deviation, a week",
        se=slope.error,
        p=slope.p,
        n=len(rows),
        n_clusters=int(users.max()) + 1,
        alpha=alpha,
        table=pd.DataFrame(by_week, columns=["week", "rows", "weight"]),
        assumptions=(
            "labels are found the same way every week, whatever the score",
            "other features keep their weights; users are independent of each other",
        ),
        cannot_tell=(
            "senders who adapt, from other senders who came",
            "a feature that tells less, from labels that see less: audit a random sample",
        ),
    )


def _weights(x: np.ndarray, y: np.ndarray) -> np.ndarray | None:
    """A logistic model's weights; None where a column follows from others or tells some labels without error."""
    design = np.column_stack([np.ones(len(x)), x])
    if np.linalg.matrix_rank(design) < design.shape[1]:
        return None
    try:
        weights: np.ndarray = fit_logistic(x, y, penalty=0.0)
        chance = expit(design @ weights)
        information = (design * (chance * (1 - chance))[:, None]).T @ design
        further = np.linalg.solve(information, design.T @ (y - chance))
    except np.linalg.LinAlgError:
        return None
    return weights if np.abs(further).max() < _FOUND else None


def _reach(place: np.ndarray, width: float) -> float:
    """Half of McCrary's automatic bandwidth: a quartic in each side's histogram tells its curvature."""
    found = []
    for under in (True, False):
        centre, height, _ = _histogram(place, width, under=under)
        if len(centre) < 6:
            raise ValueError(
                f"threshold: got {len(centre)} bins of the histogram on one side; scores must lie on both"
            )
        far = np.abs(centre).max()
        quartic = np.polynomial.Polynomial.fit(centre, height, 4, domain=[-far, far], window=[-far, far])
        error = float(((height - quartic(centre)) ** 2).sum() / max(len(centre) - 5, 1))
        bend = float((quartic.deriv(2)(centre) ** 2).sum())
        found.append(3.348 * (error * far / bend) ** 0.2)
    return 0.5 * float(np.mean(found))


def _histogram(place: np.ndarray, width: float, *, under: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Bins' centres, their heights, and each row's bin on one side of 0 (-1: the other side)."""
    step = -place - 1 if under else place
    inside = step >= 0
    size = int(step[inside].max(initial=-1)) + 1
    heights = np.bincount(step[inside], minlength=size) / (len(place) * width)
    centre = (np.arange(size) + 0.5) * width * (-1 if under else 1)
    return centre, heights, np.where(inside, step, -1)


def _density_at_end(
    place: np.ndarray, width: float, reach: float, *, under: bool
) -> tuple[float, np.ndarray]:
    """The local line's value at 0 on one side, and what each row adds to it."""
    centre, height, step = _histogram(place, width, under=under)
    # Bins beyond the last one that holds a row belong to the histogram too, as zeros.
    bins = max(len(centre), int(np.ceil(reach / width)))
    centre = (np.arange(bins) + 0.5) * width * (-1 if under else 1)
    height = np.pad(height, (0, bins - len(height)))
    kernel = np.maximum(1 - np.abs(centre) / reach, 0)
    first, second = (kernel * centre).sum(), (kernel * centre**2).sum()
    share = kernel * (second - first * centre) / (kernel.sum() * second - first**2)
    adds = np.append(share, 0.0)[step] / (len(place) * width)
    return float(share @ height), adds
