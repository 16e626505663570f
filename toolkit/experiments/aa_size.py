"""How often does your own test find a difference where there is none?

Users are split at random again and again, and the reader's test is run on each split. Rows are
read once: a split draws buckets of users, and what a test needs are sums over them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from scipy.special import stdtr
from scipy.stats import norm
from statsmodels.stats.proportion import proportion_confint

from toolkit.experiments.unit_sums import UnitSums, impressions, unit_sums
from toolkit.finding import Finding
from toolkit.resampling import welch_freedom
from toolkit.rules import count, level, number

# Tests on one way to put users into buckets. Each way has its own variance between buckets, about
# a twentieth of a test's own luck at 4,096 buckets: a hundred tests share it and the interval stays right.
_TESTS_A_WAY = 100
# Values whose deviations are so small a share of their mean are all equal but for its rounding.
_ROUNDING = 1e-13
# The smaller arm's units below which no test's level is worth asking for.
_FEW = 10
# How far from nominal, in shares of it, a rate may be before a colleague should worry.
_WORRY = 0.2


@dataclass(frozen=True)
class ArmSums:
    """One arm's sums in each of many random splits: what a test of means can be computed from.

    Every field is an array of shape (n_splits,).

    Parameters
    ----------
    units, rows, total : array
        Units of randomisation, their rows, and the sum of the rows' values.
    squares : array
        Sum over rows of the squared value.
    unit_squares, unit_products, rows_squares : array
        Sums over units: of the squared unit total, of unit total times unit rows, of the squared
        unit rows.
    """

    units: np.ndarray
    rows: np.ndarray
    total: np.ndarray
    squares: np.ndarray
    unit_squares: np.ndarray
    unit_products: np.ndarray
    rows_squares: np.ndarray


Test = Callable[[ArmSums, ArmSums], np.ndarray]


def by_cluster(sums: ArmSums) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean of rows, its squared standard error with units independent (delta method), and units.

    Examples
    --------
    Two users, one with values 1 and 1, the other with 0 and 0:

    >>> two = ArmSums(*(np.array([x]) for x in (2.0, 4.0, 2.0, 2.0, 4.0, 4.0, 8.0)))
    >>> [float(x[0]) for x in by_cluster(two)]
    [0.5, 0.25, 2.0]
    """
    mean = sums.total / sums.rows
    spread = sums.unit_squares - 2 * mean * sums.unit_products + mean**2 * sums.rows_squares
    with np.errstate(divide="ignore", invalid="ignore"):
        return mean, np.maximum(spread, 0) * sums.units / (sums.units - 1) / sums.rows**2, sums.units


def by_event(sums: ArmSums) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean of rows, its squared standard error as if all rows were independent, and rows.

    Examples
    --------
    >>> two = ArmSums(*(np.array([x]) for x in (2.0, 4.0, 2.0, 2.0, 4.0, 4.0, 8.0)))
    >>> [round(float(x[0]), 4) for x in by_event(two)]
    [0.5, 0.0833, 4.0]
    """
    mean = sums.total / sums.rows
    with np.errstate(divide="ignore", invalid="ignore"):
        squared = np.maximum(sums.squares / sums.rows - mean**2, 0) / (sums.rows - 1)
    return mean, squared, sums.rows


def aa_size(
    log: Any,
    outcomes: Any = None,
    *,
    value: str = "y",
    cluster: str = "user_id",
    test: Literal["cluster", "event"] | Test = "cluster",
    nominal: float = 0.05,
    share: float = 0.5,
    tests: int = 10_000,
    buckets: int = 4096,
    alpha: float = 0.05,
    rng: Any = 0,
) -> Finding:
    """How often a test of the difference of means is significant when users are split at random, again and again.

    Splits are drawn by `cluster`, whatever the test's unit is; an arm that the log has isn't
    looked at. Rows are read once, where a lazy frame is, and one row a unit comes from there.
    Units are dealt to `buckets` at random, and a split draws an arm for each bucket; after every
    hundred splits they are dealt anew, so that all in all a split is one of units. Where there are no more
    than four times as many units as buckets, each unit is its own.

    Parameters
    ----------
    log : any frame that Narwhals reads
        One row an event, with its unit of randomisation, and its value unless `outcomes` has it.
    outcomes : any frame that Narwhals reads, optional
        One row a request and item with the value; `log` then is a serving log.
    value : str
        What the test compares the mean of, over rows.
    cluster : str
        Column of the unit that is randomised.
    test : "cluster", "event" or callable
        The procedure: Welch's test of the mean of rows with the unit's delta-method error, or with
        rows taken as independent; or a function of the control's and the treatment's `ArmSums`
        (arrays, one number a split) that returns p-values.
    nominal : float
        Level at which a test is called significant.
    share : float
        Share of units in the treatment.
    tests : int
        Random splits.
    buckets : int
        More are slower; fewer make the interval too narrow. At least 1,000 for thousands of tests.
    alpha : float
        One minus the level of the interval.
    rng : int or Generator

    Returns
    -------
    Finding
        The share of splits that are significant; p of "it is `nominal`". The table has the tests by
        cluster and by event on the same splits, and the reader's own: their share of significant
        splits with its interval, the standard error that the test claims on average, and the
        estimate's real one (undefined for a function of the reader's).

    Raises
    ------
    ValueError
        If columns or values are missing or not finite, the values are all equal, the smaller arm would have
        fewer than ten units, or a function of the reader's doesn't return one p-value a split.

    References
    ----------
    Kohavi, Tang and Xu (2020), "Trustworthy Online Controlled Experiments", chapters 18 and 19.

    Examples
    --------
    Each user has ten rows that are alike, so that a test by event has a tenth of the variance:

    >>> draws = np.random.default_rng(0)
    >>> log = pd.DataFrame({"user_id": np.repeat(np.arange(500), 10), "y": np.repeat(draws.normal(size=500), 10)})
    >>> found = aa_size(log, tests=2_000)
    >>> found.table.round(2)[["analysed by", "significant"]].to_numpy().tolist()
    [['cluster', 0.06], ['event', 0.54]]
    """
    level(nominal, name="nominal")
    level(alpha)
    number("share", share, above=0, below=1)
    count("tests", tests, least=100)
    count("buckets", buckets, least=2)
    if not callable(test) and test not in ("cluster", "event"):
        raise ValueError(f"test: got {test!r}; it must be cluster, event or a function")
    if outcomes is not None:
        log = impressions(log, outcomes, value=value, columns=[cluster])
    sums = unit_sums(log, value=value, cluster=cluster)
    units, rows = len(sums.rows), int(sums.rows.sum())
    if units * min(share, 1 - share) < _FEW:
        raise ValueError(f"{cluster}: got {units}; the smaller arm must have {_FEW} on average")
    if sums.squares.sum() <= rows * (_ROUNDING * sums.center) ** 2:
        raise ValueError(f"{value}: got {sums.center} in all rows; a test needs values that differ")
    draw = np.random.default_rng(rng)
    records: dict[str, list[np.ndarray]] = {"cluster": [], "event": []}
    own: list[np.ndarray] = []
    for control, treatment in _splits(sums, share, tests, buckets, draw):
        for name, arm in (("cluster", by_cluster), ("event", by_event)):
            records[name].append(_welch(arm(control), arm(treatment)))
        if callable(test):
            own.append(_own(test, _shifted(control, sums.center), _shifted(treatment, sums.center)))
    table = [_record(name, np.hstack(parts), nominal, alpha) for name, parts in records.items()]
    asked = test if isinstance(test, str) else "your test"
    if own:
        p = np.concatenate(own)
        table.append(_record(asked, np.array([p, np.full(len(p), np.nan), p * np.nan]), nominal, alpha))
    frame = pd.DataFrame(table)
    rate, low, high = frame.loc[frame["analysed by"] == asked, ["significant", "low", "high"]].to_numpy(
        float
    )[0]
    error = float(np.sqrt(nominal * (1 - nominal) / tests))
    return Finding(
        float(rate),
        (float(low), float(high)),
        _verdict(asked, cluster, rate, low, high, nominal),
        unit="of A/A tests significant",
        se=float(np.sqrt(rate * (1 - rate) / tests)),
        p=float(2 * norm.sf(abs(rate - nominal) / error)),
        n=rows,
        n_clusters=units,
        alpha=alpha,
        table=frame,
        assumptions=(f"users are split by {cluster}, each on its own",),
        cannot_tell=(
            "whether your system splits as evenly as these splits do: test the split that it made",
            f"units of {cluster} that influence each other, which no split of a log shows",
        ),
    )


def _splits(
    sums: UnitSums, share: float, tests: int, buckets: int, draw: np.random.Generator
) -> Iterator[tuple[ArmSums, ArmSums]]:
    """Control's and treatment's sums, some splits at a time; totals around the mean of all rows."""
    columns = [
        np.ones(len(sums.rows)),
        sums.rows,
        sums.total,
        sums.squares,
        sums.total**2,
        sums.total * sums.rows,
        sums.rows**2,
    ]
    whole = np.array([column.sum() for column in columns])
    dealt = len(sums.rows) > 4 * buckets
    values = np.column_stack(columns) if not dealt else np.empty(0)
    for start in range(0, tests, _TESTS_A_WAY):
        size = min(_TESTS_A_WAY, tests - start)
        if dealt:
            bucket = draw.integers(0, buckets, len(sums.rows), dtype=np.int32)
            values = np.column_stack([np.bincount(bucket, column, buckets) for column in columns])
        treated = (draw.random((size, len(values)), dtype=np.float32) < share).astype(float)
        inside = treated @ values
        yield ArmSums(*(whole - inside).T), ArmSums(*inside.T)


def _shifted(sums: ArmSums, center: float) -> ArmSums:
    """The same sums of the values as they are, not around their mean."""
    return ArmSums(
        sums.units,
        sums.rows,
        sums.total + center * sums.rows,
        sums.squares + 2 * center * sums.total + center**2 * sums.rows,
        sums.unit_squares + 2 * center * sums.unit_products + center**2 * sums.rows_squares,
        sums.unit_products + center * sums.rows_squares,
        sums.rows_squares,
    )


def _welch(control: tuple[np.ndarray, ...], treatment: tuple[np.ndarray, ...]) -> np.ndarray:
    """P-values, squared standard errors and differences; a split without a spread has p = 1."""
    squared = control[1] + treatment[1]
    difference = treatment[0] - control[0]
    with np.errstate(divide="ignore", invalid="ignore"):
        freedom = welch_freedom([control[1], treatment[1]], [control[2] - 1, treatment[2] - 1])
        p = 2 * stdtr(freedom, -np.abs(difference) / np.sqrt(squared))
    return np.array([np.where(np.isfinite(p), p, 1.0), squared, difference])


def _own(test: Test, control: ArmSums, treatment: ArmSums) -> np.ndarray:
    p = np.asarray(test(control, treatment), dtype=float)
    if p.shape != control.units.shape or not ((p >= 0) & (p <= 1)).all():
        raise ValueError(
            f"test: got values of shape {p.shape}; it must return one p-value in [0, 1] for each of "
            f"{len(control.units)} splits"
        )
    return p


def _record(name: str, told: np.ndarray, nominal: float, alpha: float) -> dict[str, Any]:
    p, squared, difference = told
    wrong = int((p < nominal).sum())
    low, high = proportion_confint(wrong, len(p), alpha=alpha, method="wilson")
    return {
        "analysed by": name,
        "significant": wrong / len(p),
        "low": float(low),
        "high": float(high),
        "claimed se": float(np.sqrt(np.nanmean(squared))) if np.isfinite(squared).any() else np.nan,
        "real se": float(difference.std()),
    }


def _verdict(asked: str, cluster: str, rate: float, low: float, high: float, nominal: float) -> str:
    name = {"cluster": f"A test by {cluster}", "event": "A test by event"}.get(asked, "Your test")
    said = f"{name} is significant in {rate:.1%} of A/A tests, where its level is {100 * nominal:.3g}%"
    if low <= nominal <= high:
        return f"{said}: it holds."
    if nominal * (1 - _WORRY) <= low and high <= nominal * (1 + _WORRY):
        return f"{said}: it is off by little."
    return f"{said}: it doesn't hold{'' if rate > nominal else ', and effects go unseen'}."
