"""What is a pilot worth before a build that nobody can test, and when does nobody need one?

A build's value is normal before anything is measured, net of its cost, in any one unit. A pilot's
reading correlates with it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from scipy.special import ndtr, ndtri

from toolkit.rules import count, number, share

# Shadow logging of the raw signals: its reading's correlation with the build's value, and its cost as a
# share of the build's. A batch pilot on what is there already costs little.
STAGED_CORRELATION, STAGED_COST = 0.95, 0.1
PILOT_COST = 0.02


def expected_gain(mean: float, sd: float) -> float:
    """The expected value of a build that is made only where its value is positive.

    That is E max(0, V) for a normal V with this mean and standard deviation.

    Raises
    ------
    ValueError
        If the mean isn't finite, or the standard deviation is negative.

    Examples
    --------
    >>> round(expected_gain(-0.5, 1.0), 4)
    0.1978
    """
    number("mean", mean)
    if not sd >= 0 or not np.isfinite(sd):
        raise ValueError(f"sd: got {sd!r}; it must be finite and not negative")
    return float(_gain(mean, sd))


def pilot_voi(mean: float, sd: float, *, correlation: float = 1.0, cost: float = 0.0) -> float:
    """What a pilot adds to the better of building and not building, less its cost.

    Parameters
    ----------
    mean, sd : float
        The build's value as one sees it before the pilot, net of the build's cost.
    correlation : float
        Of the pilot's reading with that value, over builds of this kind, in [0, 1]; 1 is perfect
        information.
    cost : float
        Of the pilot; not negative.

    Raises
    ------
    ValueError
        If a number isn't finite, the standard deviation isn't positive, the correlation isn't in
        [0, 1], or the cost is negative.

    Examples
    --------
    >>> round(pilot_voi(-0.5, 1.0, correlation=0.7), 4), round(pilot_voi(-0.5, 1.0, correlation=0.3), 4)
    (0.0976, 0.0059)
    """
    number("sd", sd, above=0)
    share("correlation", correlation)
    _cost("cost", cost)
    return expected_gain(mean, correlation * sd) - max(float(mean), 0.0) - cost


def at_face_value(mean: float, sd: float, *, correlation: float, handicap: float = 0.0) -> float:
    """The expected value of building wherever the pilot's reading is positive, as it stands.

    The reading is the build's value, less a handicap, plus noise.

    Parameters
    ----------
    mean, sd, correlation : float
        As in `pilot_voi`, but with some correlation.
    handicap : float
        What the pilot's deployment takes from every reading, in the value's unit.

    Examples
    --------
    Worse than never building, because a weak reading is believed:

    >>> round(at_face_value(-0.5, 1.0, correlation=0.3), 3)
    -0.102
    """
    number("sd", sd, above=0)
    share("correlation", correlation, open_low=True)
    number("mean", mean)
    number("handicap", handicap)
    return float(_gain(mean, correlation * sd, cut=(mean - handicap) * correlation / sd))


def policies(mean: float, sd: float, *, correlation: float, build_cost: float = 1.0) -> pd.DataFrame:
    """The expected value of four ways to decide on a build, in closed form.

    Always build; never; build where a pilot's reading makes the expected value positive; or the
    same with shadow logging, which tells more and costs more.

    Parameters
    ----------
    mean, sd : float
        The build's value net of its cost.
    correlation : float
        Of the pilot's reading with that value, in [0, 1].
    build_cost : float
        Cost of the build (already taken from `mean`): a pilot costs a fiftieth of it, shadow
        logging a tenth.

    Returns
    -------
    DataFrame with one row a policy
        `policy`, `value` (expected, per project), `built` (share of projects).

    Examples
    --------
    A perfect pilot of an even bet earns 1 / sqrt(2 pi), 0.399, less its cost of 0.02, and half is built:

    >>> policies(0.0, 1.0, correlation=1.0).set_index("policy").loc["pilot"].round(3).to_dict()
    {'value': 0.379, 'built': 0.5}
    """
    number("sd", sd, above=0)
    share("correlation", correlation)
    _cost("build_cost", build_cost)
    rows = [("always", float(mean), 1.0), ("never", 0.0, 0.0)]
    for name, r, price in _gates(correlation, build_cost):
        built = float(ndtr(mean / (r * sd))) if r else float(mean > 0)
        rows.append((name, expected_gain(mean, r * sd) - price, built))
    return pd.DataFrame(rows, columns=["policy", "value", "built"])


def simulated_policies(
    mean: float,
    sd: float,
    *,
    correlation: float,
    build_cost: float = 1.0,
    projects: int = 2000,
    rng: Any = 0,
) -> pd.DataFrame:
    """The same four policies on simulated candidate projects, all on the same ones.

    Parameters
    ----------
    mean, sd, correlation, build_cost : float
        As in `policies`.
    projects : int
    rng : int or Generator

    Returns
    -------
    DataFrame
        As `policies`, with `se`, the standard error of the value.

    Examples
    --------
    It agrees with the closed form within its errors:

    >>> told = simulated_policies(0.0, 1.0, correlation=0.7).set_index("policy").loc["pilot"]
    >>> exact = policies(0.0, 1.0, correlation=0.7).set_index("policy").loc["pilot"]
    >>> bool(abs(told["value"] - exact["value"]) < 3 * told["se"])
    True
    """
    number("mean", mean)
    number("sd", sd, above=0)
    share("correlation", correlation)
    _cost("build_cost", build_cost)
    draw = np.random.default_rng(rng)
    standard, noise = draw.normal(size=(2, count("projects", projects, least=2)))
    value = mean + sd * standard
    earned = {"always": (value, np.ones(projects)), "never": (np.zeros(projects),) * 2}
    for name, r, price in _gates(correlation, build_cost):
        reading = r * standard + np.sqrt(1 - r**2) * noise
        build = mean + r * sd * reading > 0  # what one expects of the value, given the reading
        earned[name] = (build * value - price, build.astype(float))
    rows = [
        (name, one.mean(), built.mean(), one.std(ddof=1) / np.sqrt(projects))
        for name, (one, built) in earned.items()
    ]
    return pd.DataFrame(rows, columns=["policy", "value", "built", "se"])


def policies_by_mean(
    *, correlation: float, build_cost: float = 1.0, handicap: float | None = None, steps: int = 24
) -> pd.DataFrame:
    """What each policy adds to the better of always and never, over the mean in standard deviations.

    Parameters
    ----------
    correlation, build_cost : float
        As in `policies`, in standard deviations of the value.
    handicap : float, optional
        Where given, the pilot is read at face value, with this handicap; else by the expected
        value that its reading leaves.

    Returns
    -------
    DataFrame
        `policy`, `mean`, `added`; always and never, which bend only at 0, have three rows each.

    Examples
    --------
    A perfect pilot is worth most where one is undecided, 1 / sqrt(2 pi), 0.399, less its cost of 0.02;
    where the answer is nearly sure, less than it costs:

    >>> told = policies_by_mean(correlation=1.0, steps=2)
    >>> told.loc[told["policy"] == "pilot", "added"].round(2).tolist()
    [-0.02, 0.38, -0.02]
    """
    share("correlation", correlation, open_low=handicap is not None)
    _cost("build_cost", build_cost)
    means, bends = np.linspace(-3, 3, steps + 1), np.array([-3.0, 0.0, 3.0])
    added = {
        "always": (bends, np.minimum(bends, 0)),
        "never": (bends, -np.maximum(bends, 0)),
    }
    for name, r, price in _gates(correlation, build_cost):
        cut = (means - handicap) * r if name == "pilot" and handicap is not None else None
        added[name] = (means, _gain(means, r, cut=cut) - price - np.maximum(means, 0))
    rows = [
        (name, mean, value)
        for name, (at, values) in added.items()
        for mean, value in zip(at.tolist(), values.tolist(), strict=True)
    ]
    return pd.DataFrame(rows, columns=["policy", "mean", "added"]).round(4)


def pilot_correlation(latency: float, *, half_life_spread: float, value_spread: float = 0.5) -> float:
    """How a late pilot's reading correlates with the full build's value, over projects that differ.

    Projects differ in the R2 of their fresh signal and, on their own, in its half-life. A handicap
    that is the same share for all could be divided out; only its spread makes the pilot tell less.

    Parameters
    ----------
    latency : float
        The pilot's, in typical (median) half-lives; not negative.
    half_life_spread : float
        Standard deviation of the half-lives' logarithm; not negative.
    value_spread : float
        Standard deviation of the fresh R2 over its mean; positive.

    Examples
    --------
    >>> pilot_correlation(2.0, half_life_spread=0.0)
    1.0
    >>> round(pilot_correlation(1.0, half_life_spread=1.0), 2)
    0.47
    """
    for name, value in (("latency", latency), ("half_life_spread", half_life_spread)):
        if not value >= 0 or not np.isfinite(value):
            raise ValueError(f"{name}: got {value!r}; it must be finite and not negative")
    number("value_spread", value_spread, above=0)
    # A fine grid of equally likely half-lives: the share kept is bounded, so it is near enough.
    at = ndtri((np.arange(4000) + 0.5) / 4000)
    kept = 4.0 ** (-latency / np.exp(half_life_spread * at))
    spread = kept.std() / kept.mean()
    return float(1 / np.sqrt(1 + (spread / value_spread) ** 2 * (1 + value_spread**2)))


def _gain(mean: Any, sd: float, *, cut: Any = None) -> Any:
    """What is earned by building where a reading of spread `sd` lies over a cut; the best cut where none is given."""
    if sd == 0:
        return np.maximum(mean, 0.0)
    at = mean / sd if cut is None else cut
    return mean * ndtr(at) + sd * np.exp(-(at**2) / 2) / np.sqrt(2 * np.pi)


def _gates(correlation: float, build_cost: float) -> list[tuple[str, float, float]]:
    return [
        ("pilot", correlation, PILOT_COST * build_cost),
        ("shadow logs", STAGED_CORRELATION, STAGED_COST * build_cost),
    ]


def _cost(name: str, value: float) -> None:
    if not value >= 0 or not np.isfinite(value):
        raise ValueError(f"{name}: got {value!r}; it must be finite and not negative")
