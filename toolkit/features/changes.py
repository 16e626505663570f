"""Did a feature begin to mean something else, on a day on which nobody said so?"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import ndtri
from scipy.stats import rankdata
from scipy.stats import t as student

from toolkit.finding import Finding
from toolkit.frames import read_columns
from toolkit.rules import count, level

__all__ = ["undeclared_change"]


def undeclared_change(
    history: Any,
    *,
    every: str = "1D",
    before: int = 10,
    alpha: float = 0.05,
) -> Finding:
    """Find the day on which a feature's distribution jumped though its version number stayed.

    A feature's values drift; from one day to the next they drift little. So each day's step, in the mean
    and in the logarithm of the spread over all entities, is compared with the steps of the days before it. A
    chart of the levels, such as a CUSUM, would take ordinary drift for a change: levels of
    neighbouring days aren't independent, steps nearly are. Values enter as normal scores of their ranks among
    all of the feature's values, so that heavy tails don't decide. Where the version changes, all begins anew.

    Parameters
    ----------
    history : frame
        The feature history: `entity_id`, `feature`, `event_ts`, `value`, `version` (a number or a text).
    every : str
        The period of which each is summed up, as pandas writes it; a feature's definition changes
        between two of them.
    before : int
        Steps under the same version that must precede one that is tested, 3 at least.
    alpha : float
        Chance of a false alarm over all features, periods, and both kinds of step together (Sidak).

    Returns
    -------
    Finding
        The undeclared step that luck explains least, in standard deviations of the feature's values
        ("level"), or of the logarithm of the spread; with an interval that holds for all steps at once. p is
        for the family. The table has one row a feature: its least lucky undeclared step with `before` and `after`, the
        median and the quartiles' distance on both sides, and `declared`, how often its version changed.

    Raises
    ------
    ValueError
        If a column is missing or incomplete, a time has no zone, or no feature has enough periods.

    Examples
    --------
    >>> from toolkit.features.windows import window_history
    >>> from toolkit.world import Settings, simulate
    >>> world = simulate(Settings(items=100, requests=300, days=40))
    >>> told = undeclared_change(window_history(world, range(30, 40), changed={"clicks_30d": (37, 7)}), before=4)
    >>> told.table[["feature", "since", "step"]].iloc[0].astype(str).tolist()
    ['clicks_30d', '2026-04-08 00:00:00+00:00', 'level']
    """
    level(alpha)
    count("before", before, least=3)
    needed = ["entity_id", "feature", "event_ts", "value", "version"]
    rows = read_columns(history, "history", needed, numbers=["value"], times=["event_ts"])
    try:
        rows["period"] = rows["event_ts"].dt.tz_convert("UTC").dt.floor(every)
    except ValueError:
        raise ValueError(f"every: got {every!r}; it must be a period such as 1D or 1h") from None
    rows["version"] = pd.factorize(rows["version"])[0]
    rows = rows.sort_values(["feature", "period"], kind="stable", ignore_index=True)
    tests, features = [], {}
    starts = np.flatnonzero((rows["feature"] != rows["feature"].shift()).to_numpy())
    for start, stop in zip(starts, [*starts[1:], len(rows)], strict=True):
        one = _Feature(rows[start:stop])
        name = rows["feature"].iloc[start]
        features[name] = one
        for move, first, steps in one.steps():
            for test in _recursive(steps, before):
                since = one.since[first + test.pop("after")]
                tests.append({"feature": name, "step": move, "since": since, **test})
    if not tests:
        raise ValueError(
            f"history: got {rows['period'].nunique()} periods; a feature needs {before + 2} at least, and values "
            "that vary within them"
        )
    table = pd.DataFrame(tests)
    beyond = student.logsf(np.abs(table["size"]) / table["error"], table["freedom"])
    table["log_p"] = math.log(2) + beyond
    each = -math.expm1(math.log1p(-alpha) / len(table))
    half = student.isf(each / 2, table["freedom"]) * table["error"]
    table["low"], table["high"] = table["size"] - half, table["size"] + half
    # Unequal degrees of freedom: what orders the steps is the chance, not the ratio.
    order = np.argsort(table["log_p"].to_numpy(), kind="stable")
    worst = table.iloc[order[0]]
    table["p"] = -np.expm1(len(table) * np.log1p(-np.exp(table["log_p"].clip(upper=-1e-12))))
    told = table.iloc[order].drop_duplicates("feature")
    sides = [features[name].sides(since) for name, since in zip(told["feature"], told["since"], strict=True)]
    told = told.assign(
        declared=[features[name].declared for name in told["feature"]],
        **{side: [each[side] for each in sides] for side in sides[0]},
    )
    wanted = ["feature", "step", "since", "size", "low", "high", "p", *sides[0], "declared"]
    found = told[told["p"] <= alpha]
    return Finding(
        float(worst["size"]),
        (float(worst["low"]), float(worst["high"])),
        _verdict(found, told, float(half.median()), len(table), alpha),
        unit="standard deviations" if worst["step"] == "level" else "in the logarithm of the spread",
        se=float(worst["error"]),
        p=float(min(1.0, told["p"].iloc[0])),
        n=len(rows),
        n_clusters=int(rows["period"].nunique()),
        alpha=alpha,
        table=told[wanted].reset_index(drop=True),
        assumptions=(
            "a feature's steps from day to day are alike and nearly independent while its definition stays; a "
            "rhythm of the week widens them and hides small changes",
            "the change comes between two periods, for all entities at once",
            "no period is left out: a step over a gap is wider than the others",
        ),
        cannot_tell=(
            "a new definition from a real event of that day that moved everyone: recompute a few old days under "
            "the definition as written",
            "a definition that is phased in over many days from drift",
            "a change that leaves both the mean and the spread of the ranks in place, such as swapped entities",
        ),
    )


class _Feature:
    """One feature's rows by period: each period's step in level and spread, under one version at a time."""

    def __init__(self, rows: pd.DataFrame) -> None:
        self.value = rows["value"].to_numpy(float)
        period, version = rows["period"], rows["version"].to_numpy()
        self.starts = np.flatnonzero((period != period.shift()).to_numpy())
        self.since = period.iloc[self.starts].reset_index(drop=True)
        self.ends = np.r_[self.starts[1:], len(rows)]
        least, most = np.minimum.reduceat(version, self.starts), np.maximum.reduceat(version, self.starts)
        # A declared change is a new feature: neither its values nor its steps are like those before.
        renewed = np.flatnonzero((np.diff(least) != 0) | (np.diff(most) != 0)) + 1
        self.declared = len(renewed)
        self.eras = list(zip([0, *renewed], [*renewed, len(self.starts)], strict=True))

    def steps(self) -> Iterator[tuple[str, int, np.ndarray]]:
        """For each era and move: its name, the era's first period, and the steps to the periods after it."""
        for first, stop in self.eras:
            value = self.value[self.starts[first] : self.ends[stop - 1]]
            starts = self.starts[first:stop] - self.starts[first]
            n = self.ends[first:stop] - self.starts[first:stop]
            score = ndtri(rankdata(value) / (len(value) + 1))
            mean = np.add.reduceat(score, starts) / n
            spread = np.sqrt(np.add.reduceat((score - np.repeat(mean, n)) ** 2, starts) / n)
            # Rounding leaves a trace of spread where all values are equal.
            logs = np.log(np.where(spread > 1e-9, spread, np.nan))
            yield "level", first, np.diff(mean)
            yield "spread", first, np.diff(logs)

    def sides(self, since: pd.Timestamp) -> dict[str, float]:
        """The values' median and quartile distance in the period before a step, and in that after it."""
        place = int(np.flatnonzero(self.since == since)[0])
        told = {}
        for side, at in (("before", place - 1), ("after", place)):
            low, middle, high = np.quantile(self.value[self.starts[at] : self.ends[at]], [0.25, 0.5, 0.75])
            told[f"median_{side}"], told[f"iqr_{side}"] = float(middle), float(high - low)
        return told


def _recursive(steps: np.ndarray, before: int) -> Iterator[dict[str, Any]]:
    """Each step against those before it: a prediction's t, independent from step to step where steps are."""
    there = np.flatnonzero(~np.isnan(steps))
    for place in range(before, len(there)):
        past, at = steps[there[:place]], int(there[place])
        error = float(past.std(ddof=1)) * math.sqrt(1 + 1 / place)
        if error > 1e-12:
            size = float(steps[at] - past.mean())
            yield {"after": at + 1, "size": size, "error": error, "freedom": place - 1}


def _verdict(found: pd.DataFrame, told: pd.DataFrame, half: float, tests: int, alpha: float) -> str:
    among = f"{tests:,} steps of {len(told)} feature{'s' if len(told) > 1 else ''}"
    if found.empty:
        return f"No undeclared change shows among {among}; a step of {half:.2g} would have shown in half of them."
    first = found.iloc[0]
    others = "" if len(found) == 1 else f" So did {', '.join(map(str, found['feature'].iloc[1:]))}."
    return (
        f"{first['feature']} jumped on {str(first['since']).split(' ')[0]} with no new version: its median went from "
        f"{first['median_before']:.3g} to {first['median_after']:.3g}, the quartiles' distance from "
        f"{first['iqr_before']:.3g} to {first['iqr_after']:.3g} ({among} watched, false alarm {alpha:.0%})."
        f"{others}"
    )
