"""Which boundary does each way of looking at a test set, look by look?"""

from __future__ import annotations

from functools import lru_cache
from typing import Literal, get_args

import numpy as np
import pandas as pd
from scipy.stats import norm

from toolkit.experiments.always_valid import mixture_half_width, tightest_tau
from toolkit.experiments.group_sequential import crossing, obrien_fleming, pocock
from toolkit.rules import one_of

StoppingRule = Literal["naive", "Bonferroni", "Pocock", "O'Brien-Fleming", "always valid"]


def watched(rule: StoppingRule, looks: int, *, drift: float, alpha: float = 0.05) -> pd.DataFrame:
    """The chance that a test watched by a rule has stopped by each look, without and with an effect.

    Parameters
    ----------
    drift : float
        Expected z-statistic of the effect at the planned end.

    Returns
    -------
    DataFrame with one row a look and world, after one for the start
        `information`, `stopped`, and `world`: "no effect" or "the effect".

    Examples
    --------
    >>> round(float(watched("naive", 5, drift=2.0)["stopped"].iloc[5]), 3)
    0.142
    """
    bounds = stopping_bounds(rule, looks, alpha=alpha)
    start = pd.DataFrame({"information": [0.0], "stopped": [0.0]})
    parts = [
        pd.concat([start, crossing(bounds, drift=size)[["information", "stopped"]]]).assign(world=world)
        for world, size in (("no effect", 0.0), ("the effect", drift))
    ]
    return pd.concat(parts, ignore_index=True)


@lru_cache(maxsize=64)
def stopping_bounds(rule: StoppingRule, looks: int, *, alpha: float = 0.05) -> tuple[float, ...]:
    """The boundary on |z| that a stopping rule sets at each of k equally spaced looks.

    The always-valid rule is the normal mixture, tuned to the standard error at the last look.

    Examples
    --------
    >>> [round(bound, 3) for bound in stopping_bounds("O'Brien-Fleming", 4)]
    [4.049, 2.863, 2.337, 2.024]
    """
    one_of("rule", rule, get_args(StoppingRule))
    constant = pocock(looks, alpha=alpha) if rule == "Pocock" else float(norm.isf(alpha / 2))
    if rule == "Bonferroni":
        constant = float(norm.isf(alpha / 2 / looks))
    if rule == "O'Brien-Fleming":
        last = obrien_fleming(looks, alpha=alpha)
        return tuple(last * (looks / look) ** 0.5 for look in range(1, looks + 1))
    if rule == "always valid":
        errors = np.sqrt(looks / np.arange(1, looks + 1))
        return tuple(mixture_half_width(errors, tau=tightest_tau(1.0, alpha=alpha), alpha=alpha) / errors)
    return (constant,) * looks
