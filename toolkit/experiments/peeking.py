"""How much of a watched test's result is luck, given every look that was taken and those to come?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import norm

from toolkit.experiments.group_sequential import crossing, pocock
from toolkit.finding import Finding
from toolkit.frames import read_columns
from toolkit.rules import count, level


def peeking_audit(
    looks: Any, *, planned: int | Sequence[float] | None = None, unit: str = "", alpha: float = 0.05
) -> Finding:
    """What a result is worth that was looked at several times before it was reported.

    Parameters
    ----------
    looks : frame
        One row a look, in any order: `ts`, `estimate`, `se`, and `users` where it is there; the
        last is the reported one. `looks_by_day` makes it from assignments and outcomes.
    planned : int or sequence of float, optional
        How often the test would have been looked at had it gone on: the number of all looks, the
        coming ones as far apart as these are on average; or the information (one over the squared
        standard error) of each coming look, in multiples of the last one's. Without it the last
        look counts as the planned end.
    unit : str
        Of the estimates.
    alpha : float
        Level at which each look was called significant.

    Returns
    -------
    Finding
        The last look's estimate with the interval that holds at all looks together (Pocock's
        constant for these looks' information), and p: the chance, without any effect, that some
        look would have been as extreme as the last. Both count the looks that were planned. The
        table has every look; the verdict says how often a test watched like this one is
        "significant" by luck.

    Raises
    ------
    ValueError
        If columns or values are missing, two looks have one `ts`, or the standard error doesn't
        fall from look to look (then information doesn't accumulate, and this isn't one test); if
        fewer looks are planned than there are, or their information doesn't ascend from 1.

    References
    ----------
    Armitage, McPherson and Rowe (1969), JRSS A; Jennison and Turnbull (2000), Group Sequential
    Methods, chapter 9 (repeated confidence intervals).

    Examples
    --------
    >>> days = pd.DataFrame({"ts": pd.date_range("2026-01-01", periods=5, tz="UTC"),
    ...     "estimate": [0.9, 0.8, 0.9, 0.9, 0.9], "se": [1.0, 0.71, 0.58, 0.5, 0.45]})
    >>> round(peeking_audit(days).p, 2), round(peeking_audit(days, planned=14).p, 2)
    (0.13, 0.2)
    """
    level(alpha)
    table = read_columns(
        looks, "looks", ["ts", "estimate", "se"], numbers=["estimate", "se"], optional=["users"]
    )
    if table["ts"].duplicated().any():
        raise ValueError(f"ts: got {table['ts'][table['ts'].duplicated()].iloc[0]} twice; one row a look")
    table = table.sort_values("ts", ignore_index=True)
    errors = table["se"].to_numpy(float)
    if not (errors > 0).all():
        raise ValueError(f"se: got {errors[~(errors > 0)][0]}; standard errors must be positive")
    if (np.diff(errors) >= 0).any():
        at = int(np.argmax(np.diff(errors) >= 0))
        raise ValueError(
            f"se: got {errors[at]:.4g} and then {errors[at + 1]:.4g}; it must fall as data come in"
        )
    so_far = (errors[-1] / errors) ** 2
    informations = np.append(so_far, _to_come(planned, len(table)))
    information = (informations / informations[-1]).tolist()
    z = table["estimate"].to_numpy(float) / errors
    done, total = len(table), len(information)
    naive = float(norm.isf(alpha / 2))
    luck = float(crossing([naive] * total, information=information)["stopped"].iloc[-1])
    # Beyond 20 standard errors the chance is below 1e-80, too little to integrate; rounding may leave less than 0.
    bound = float(np.clip(abs(z[-1]), 1e-6, 20.0))
    p = max(0.0, float(crossing([bound] * total, information=information)["stopped"].iloc[-1]))
    constant = pocock(total, alpha=alpha, information=information)
    estimate = float(table["estimate"].iloc[-1])
    half = constant * errors[-1]
    table["information"] = information[:done]
    table["z"] = z
    table["significant_alone"] = np.abs(z) >= naive
    table["significant_together"] = np.abs(z) >= constant
    of = f" of {total}" if total > done else ""
    verdict = (
        f"After {done}{of} look{'s' * (total > 1)} the last result "
        f"{'holds' if abs(z[-1]) >= constant else 'does not hold'} at {alpha:.0%}; "
        f"{_first(table, 'significant_alone')} alone, {_first(table, 'significant_together')} with all looks "
        f"counted. Without any effect a test watched like this is significant at some look {luck:.1%} of the time."
    )
    if planned is None and done > 1:
        verdict += f" This holds only if look {done} was to be the end: else give `planned`."
    users = int(table["users"].iloc[-1]) if "users" in table else 0
    return Finding(
        estimate,
        (estimate - half, estimate + half),
        verdict,
        unit=unit,
        se=float(errors[-1]),
        p=p,
        n=users,
        alpha=alpha,
        table=table.drop(columns="users", errors="ignore"),
        assumptions=(
            "estimates accumulate independent data, so their increments are independent and about normal",
            "all looks that could have ended the test are counted, those to come too",
        ),
        cannot_tell=(
            "looks that nobody wrote down",
            "an effect that changes with time, from luck that runs out (novelty, label delay)",
        ),
    )


def _to_come(planned: int | Sequence[float] | None, done: int) -> np.ndarray:
    """The information of the looks still to come, in multiples of the last one's."""
    if planned is None:
        return np.empty(0)
    if np.ndim(planned) == 0:
        total = count("planned", planned, least=done)  # type: ignore[arg-type]
        return np.arange(done + 1, total + 1) / done
    coming = np.asarray(planned, dtype=float)
    if not (np.isfinite(coming).all() and (np.diff(coming, prepend=1.0) > 0).all()):
        raise ValueError(f"planned: got {list(planned)}; information must ascend from 1, the last look's")  # type: ignore[arg-type]
    return coming


def _first(table: pd.DataFrame, column: str) -> str:
    crossed = table.index[table[column]]
    return f"look {crossed[0] + 1} was the first significant" if len(crossed) else "no look was significant"
