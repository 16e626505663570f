"""Was it luck: how many chances did this result have to look good?

Diagnostics for the reader's own tables. What they stand on: looks at one test
(`group_sequential`, `always_valid`), families of tests (`families`), the chosen ones
(`winners_curse`).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import norm
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

from toolkit.experiments.always_valid import mixture_half_width
from toolkit.experiments.families import STATSMODELS, Correction
from toolkit.experiments.group_sequential import crossing, pocock
from toolkit.experiments.looks import looks_by_day, two_arms, users_by_entry
from toolkit.experiments.winners_curse import lee_shen_bias, shrink
from toolkit.finding import Finding
from toolkit.frames import read_columns
from toolkit.rules import level

__all__ = ["fdr", "launch_bias", "looks_by_day", "peeking_audit", "sequential_ci", "users_by_entry"]


def peeking_audit(looks: Any, *, alpha: float = 0.05) -> Finding:
    """What a result is worth that was looked at several times before it was reported.

    Parameters
    ----------
    looks : frame
        One row a look, in any order: `ts`, `estimate`, `se`; the last is the reported one.
        `looks_by_day` makes it from assignments and outcomes.
    alpha : float
        Level at which each look was called significant.

    Returns
    -------
    Finding
        The last look's estimate with the interval that holds at all looks together (Pocock's
        constant for these looks' information), and p: the chance, without any effect, that some
        look would have been as extreme as the last. The table has every look; the verdict says
        how often a test watched like this one is "significant" by luck.

    Raises
    ------
    ValueError
        If columns or values are missing, two looks have one `ts`, or the standard error doesn't
        fall from look to look (then information doesn't accumulate, and this isn't one test).

    References
    ----------
    Armitage, McPherson and Rowe (1969), JRSS A; Jennison and Turnbull (2000), Group Sequential
    Methods, chapter 9 (repeated confidence intervals).

    Examples
    --------
    >>> days = pd.DataFrame({"ts": pd.date_range("2026-01-01", periods=5, tz="UTC"),
    ...     "estimate": [0.9, 0.8, 0.9, 0.9, 0.9], "se": [1.0, 0.71, 0.58, 0.5, 0.45]})
    >>> finding = peeking_audit(days)
    >>> round(finding.p, 2)
    0.13
    """
    level(alpha)
    table = read_columns(looks, "looks", ["ts", "estimate", "se"])
    if table.empty:
        raise ValueError("looks: got no row; there must be one a look")
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
    information = (errors[-1] / errors) ** 2
    z = table["estimate"].to_numpy(float) / errors
    count = len(table)
    naive = float(norm.isf(alpha / 2))
    luck = float(crossing([naive] * count, information=information)["stopped"].iloc[-1])
    p = float(crossing([max(abs(z[-1]), 1e-6)] * count, information=information)["stopped"].iloc[-1])
    constant = pocock(count, alpha=alpha, information=information)
    estimate = float(table["estimate"].iloc[-1])
    half = constant * errors[-1]
    table["information"] = information
    table["z"] = z
    table["significant_alone"] = np.abs(z) >= naive
    table["significant_together"] = np.abs(z) >= constant
    first = table.loc[table["significant_alone"], "ts"]
    seen = (
        f"it first looked significant at look {first.index[0] + 1}"
        if len(first)
        else "no look was significant"
    )
    holds = "holds" if abs(z[-1]) >= constant else "does not hold"
    return Finding(
        estimate,
        (estimate - half, estimate + half),
        f"After {count} look{'s' * (count > 1)} the last result {holds} at {alpha:.0%} ({seen}); "
        f"without any effect a test watched like this is significant at some look {luck:.1%} of the time.",
        se=float(errors[-1]),
        p=min(p, 1.0),
        n=count,
        alpha=alpha,
        table=table,
        assumptions=(
            "estimates accumulate independent data, so their increments are independent and about normal",
            "the table holds every look that could have ended the test",
        ),
        cannot_tell=(
            "looks that nobody wrote down",
            "an effect that changes with time, from luck that runs out (novelty, label delay)",
        ),
    )


def sequential_ci(
    units: Any,
    *,
    tau: float,
    value: str = "y",
    arm: str = "arm",
    ts: str = "ts",
    treatment: str = "treatment",
    alpha: float = 0.05,
    burn_in: int = 100,
) -> Finding:
    """The difference of two arms' means with an interval that holds after every unit.

    Parameters
    ----------
    units : frame
        One row a unit of randomisation (a user, not an event): its metric, arm, and the time at
        which it entered the comparison.
    tau : float
        Standard deviation of the effects that one expects, in the metric's unit; fixed before the
        data. `always_valid.tightest_tau` gives it from the planned standard error.
    burn_in : int
        Units before the first interval; the variance is estimated, so the guarantee is asymptotic.

    Returns
    -------
    Finding
        The difference (treatment minus the other arm) over all units; the table has the path:
        `n`, `estimate`, `se`, `low`, `high`, one row after each unit from `burn_in` on. p is the
        smallest level at which an interval of the path would have left out 0.

    References
    ----------
    Johari et al. (2017), KDD; Howard et al. (2021), Annals of Statistics.

    Examples
    --------
    >>> draws = np.random.default_rng(0)
    >>> units = pd.DataFrame({"y": draws.normal(size=2000), "arm": ["control", "treatment"] * 1000, "ts": range(2000)})
    >>> sequential_ci(units, tau=0.1).verdict
    '0 lies inside at all of the 1,901 sizes looked at: nothing is decided yet.'
    """
    table = read_columns(units, "units", [value, arm, ts]).sort_values(ts, ignore_index=True, kind="stable")
    two_arms(table[arm], treatment)
    if burn_in < 10:
        raise ValueError(f"burn_in: got {burn_in!r}; two variances need at least 10 units")
    mixture_half_width(1.0, tau=tau, alpha=alpha)
    treated = (table[arm] == treatment).to_numpy()
    numbers = table[value].to_numpy(float)
    parts = []
    for member in (treated, ~treated):
        count = np.cumsum(member)
        safe = np.maximum(count, 1)
        centred = np.where(member, numbers - numbers[member].mean(), 0.0)
        mean = np.cumsum(centred) / safe
        variance = np.maximum(np.cumsum(centred**2) / safe - mean**2, 0.0) * safe / np.maximum(count - 1, 1)
        parts.append((count, mean + numbers[member].mean(), variance / safe))
    (n1, mean1, error1), (n0, mean0, error0) = parts
    se = np.sqrt(error1 + error0)
    known = (np.minimum(n1, n0) >= 2) & (np.arange(1, len(table) + 1) >= burn_in) & (se > 0)
    if not known.any():
        raise ValueError(
            f"units: got {len(table)}; both arms need rows that differ, and burn_in is {burn_in}"
        )
    path = pd.DataFrame({"n": np.nonzero(known)[0] + 1, "estimate": (mean1 - mean0)[known], "se": se[known]})
    half = mixture_half_width(path["se"].to_numpy(), tau=tau, alpha=alpha)
    path["low"], path["high"] = path["estimate"] - half, path["estimate"] + half
    # The mixture's likelihood ratio; its inverse's running minimum is a p-value at all times.
    share = tau**2 / (tau**2 + path["se"] ** 2)
    ratio = np.sqrt(1 - share) * np.exp(0.5 * share * (path["estimate"] / path["se"]) ** 2)
    p = float(min(1.0, 1 / ratio.max()))
    last = path.iloc[-1]
    outside = path[(path["low"] > 0) | (path["high"] < 0)]
    verdict = (
        f"0 lies outside since unit {int(outside['n'].iloc[0]):,}: stopping there, or at any time since, was allowed."
        if len(outside)
        else f"0 lies inside at all of the {len(path):,} sizes looked at: nothing is decided yet."
    )
    return Finding(
        float(last["estimate"]),
        (float(last["low"]), float(last["high"])),
        verdict,
        se=float(last["se"]),
        p=p,
        n=len(table),
        n_clusters=len(table),
        alpha=alpha,
        table=path,
        assumptions=("one row a unit of randomisation, units independent", "tau was fixed before the data"),
        cannot_tell=("an effect that changes with time, from one that is constant",),
    )


def fdr(pvalues: Any, *, p: str = "p", q: float = 0.05, correction: Correction = "BH") -> Finding:
    """How many of many tests' "significant" results to believe.

    Parameters
    ----------
    pvalues : frame
        One row a test, with its p-value.
    p : str
        The p-values' column.
    q : float
        Level of the correction, and of the uncorrected count that it's compared with.
    correction : "Bonferroni", "Holm", "BH" or "BY"

    Returns
    -------
    Finding
        Estimate: the expected share of false ones among the uncorrected p <= q, from the number
        of p-values above one half (where true effects have none), with its exact binomial
        interval. The table has each test with its adjusted p-value and whether it is kept.

    References
    ----------
    Benjamini and Hochberg (1995), JRSS B.

    Examples
    --------
    >>> tests = pd.DataFrame({"p": [0.001, 0.008, 0.039, 0.041, 0.27, 0.6, 0.8]})
    >>> int(fdr(tests).table["kept"].sum())
    2
    """
    level(q, name="q")
    if correction not in STATSMODELS:
        raise ValueError(f"correction: got {correction!r}; it must be one of {', '.join(STATSMODELS)}")
    table = read_columns(pvalues, "pvalues", [p], keep=True)
    values = table[p].to_numpy(float)
    if not len(values):
        raise ValueError("pvalues: got no row; there must be one a test")
    if not ((values >= 0) & (values <= 1)).all():
        raise ValueError(f"{p}: got {values[~((values >= 0) & (values <= 1))][0]}; a p-value lies in [0, 1]")
    kept, adjusted, *_ = multipletests(values, alpha=q, method=STATSMODELS[correction])
    raw = int((values <= q).sum())
    count = len(values)
    above = int((values > 0.5).sum())
    low, high = proportion_confint(above, count, method="beta")

    def false_share(share_above: float) -> float:
        return float(min(1.0, 2 * share_above * count * q / raw)) if raw else float("nan")

    table["adjusted_p"], table["kept"] = adjusted, kept
    return Finding(
        false_share(above / count),
        (false_share(low), false_share(high)),
        f"{correction} keeps {int(kept.sum())} of the {raw} tests with p <= {q:g}, out of {count}.",
        unit="expected false share of the uncorrected",
        n=count,
        table=table,
        assumptions=(
            "p-values of tests without an effect are uniform",
            "BY holds under any dependence; BH and the estimate need tests that are independent or positively related",
        ),
        cannot_tell=("which of the kept are the false ones", "tests that were run and not written down"),
    )


def launch_bias(
    experiments: Any,
    *,
    estimate: str = "estimate",
    se: str = "se",
    threshold: float = 1.96,
    alpha: float = 0.05,
) -> Finding:
    """How much the shipped experiments together really brought, given that they were chosen.

    Parameters
    ----------
    experiments : frame
        One row a candidate, shipped or not: its estimate and standard error, in one unit.
    threshold : float
        An experiment was shipped when its estimate exceeded this many standard errors.

    Returns
    -------
    Finding
        The shipped experiments' true sum by empirical Bayes, with its interval. The table has the
        claimed sum, Lee and Shen's corrected sum, and the empirical-Bayes sum.

    References
    ----------
    Lee and Shen (2018), "Winner's Curse", KDD.

    Examples
    --------
    >>> year = pd.DataFrame({"estimate": [2.4, -0.3, 0.8, 3.1, 0.1, -1.2], "se": 1.0})
    >>> bool(0 < launch_bias(year).estimate < 2.4 + 3.1)
    True
    """
    table = read_columns(experiments, "experiments", [estimate, se], keep=True)
    if len(table) < 3:
        raise ValueError(f"experiments: got {len(table)} rows; a population's spread needs at least 3")
    means, errors = table[estimate].to_numpy(float), table[se].to_numpy(float)
    centre, covariance = shrink(means, errors)
    shipped = means > threshold * errors
    claimed = float(means[shipped].sum())
    total = float(centre[shipped].sum())
    spread = float(np.sqrt(covariance[np.ix_(shipped, shipped)].sum()))
    half = float(norm.isf(alpha / 2)) * spread
    sums = pd.DataFrame(
        {
            "sum of the shipped": ["claimed", "Lee and Shen", "empirical Bayes"],
            "total": [claimed, claimed - lee_shen_bias(means, errors, threshold=threshold), total],
        }
    )
    count = int(shipped.sum())
    share = f" ({total / claimed:.0%} of the claim)" if claimed > 0 else ""
    return Finding(
        total,
        (total - half, total + half),
        f"{count} of {len(table)} were shipped; they claim {claimed:.4g} and brought about {total:.4g}{share}.",
        se=spread,
        n=len(table),
        alpha=alpha,
        table=sums,
        assumptions=(
            "all candidates are in the table, also those that weren't shipped",
            "their true effects are about normal around one mean",
        ),
        cannot_tell=("effects that fade after launch, from luck at selection: only a holdback can",),
    )
