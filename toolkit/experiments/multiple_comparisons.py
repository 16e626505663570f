"""Was it luck: how many chances did this result have to look good?

Diagnostics for the reader's own tables. What they stand on: looks at one test
(`group_sequential`, `always_valid`), families of tests (`families`), the chosen ones
(`winners_curse`).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

from toolkit.experiments.always_valid import mixture_half_width
from toolkit.experiments.families import STATSMODELS, Correction
from toolkit.experiments.looks import looks_by_day, two_arms, users_by_entry
from toolkit.experiments.peeking import peeking_audit
from toolkit.experiments.winners_curse import chosen_sum, lee_shen_bias
from toolkit.finding import Finding
from toolkit.frames import read_columns
from toolkit.rules import count, level, number, one_of

# A binary arm's mean is about normal once it has this many of either outcome.
_OUTCOMES = 10

__all__ = ["fdr", "launch_bias", "looks_by_day", "peeking_audit", "sequential_ci", "users_by_entry"]


def sequential_ci(
    units: Any,
    *,
    tau: float,
    value: str = "y",
    arm: str = "arm",
    ts: str = "ts",
    user: str = "user_id",
    treatment: str = "treatment",
    unit: str = "",
    alpha: float = 0.05,
    burn_in: int = 100,
) -> Finding:
    """The difference of two arms' means with an interval that holds after every unit.

    Parameters
    ----------
    units : frame
        One row a unit of randomisation (a user, not an event): its metric, arm, and the time at
        which its metric was complete; units of one time count together. `users_by_entry` makes it.
    tau : float
        Standard deviation of the effects that one expects, in the metric's unit; fixed before the
        data. `always_valid.tightest_tau` gives it from the planned standard error.
    user : str
        Column that names the unit; where it is there, a unit may be there once.
    unit : str
        Of the difference.
    burn_in : int
        Units of each arm before the first interval; 10 at least. There is none either while an
        arm's values are all equal, or a metric of 0 and 1 has fewer than ten of either in an arm.
    value, arm, ts : str
        Columns of the metric, of the arm, and of when the metric was complete.
    treatment : str
        The arm whose difference from the other one is estimated.
    alpha : float
        One minus the chance that the interval holds the truth after every unit at once.

    Returns
    -------
    Finding
        The difference (treatment minus the other arm) over all units; the table has the path:
        `n`, `estimate`, `se`, `low`, `high`, one row after each unit that has an interval. p is
        the smallest level at which an interval of the path would have left out 0.

    Raises
    ------
    ValueError
        If columns or values are missing, a unit is there twice, there aren't two arms, or no size
        has an interval.

    References
    ----------
    Johari et al. (2017), KDD; Howard et al. (2021), Annals of Statistics.

    Examples
    --------
    >>> draws = np.random.default_rng(0)
    >>> units = pd.DataFrame({"y": draws.normal(size=2000), "arm": ["control", "treatment"] * 1000, "ts": range(2000)})
    >>> sequential_ci(units, tau=0.1).verdict
    '0 lies inside at all of the 1,801 sizes looked at: nothing is decided yet.'
    """
    count("burn_in", burn_in, least=10)
    mixture_half_width(1.0, tau=tau, alpha=alpha)  # checks the settings before any work
    table = read_columns(units, "units", [value, arm, ts], numbers=[value], optional=[user])
    if user in table and table[user].duplicated().any():
        again = int(table[user].duplicated().sum())
        raise ValueError(f"{user}: got {again:,} repeated of {len(table):,}; one row a unit, not an event")
    table = table.sort_values(ts, ignore_index=True, kind="stable")
    two_arms(table[arm], treatment)
    treated = (table[arm] == treatment).to_numpy()
    numbers = table[value].to_numpy(float)
    binary = bool(np.isin(numbers, (0, 1)).all())
    # Units of one time (a day, say) come in together: the rows' order among them tells nothing.
    known = np.append(table[ts].to_numpy()[1:] != table[ts].to_numpy()[:-1], True)
    means, errors = [], []
    for member in (treated, ~treated):
        size = np.cumsum(member)
        safe = np.maximum(size, 1)
        # Centred, or squares of a large mean would swallow a small variance.
        middle = numbers[member].mean()
        centred = np.where(member, numbers - middle, 0.0)
        mean = np.cumsum(centred) / safe
        variance = np.maximum(np.cumsum(centred**2) / safe - mean**2, 0.0) * safe / np.maximum(size - 1, 1)
        varies = np.maximum.accumulate(np.where(member, numbers, -np.inf)) > np.minimum.accumulate(
            np.where(member, numbers, np.inf)
        )
        known &= (size >= burn_in) & varies
        if binary:
            ones = np.cumsum(np.where(member, numbers, 0))
            known &= (ones >= _OUTCOMES) & (size - ones >= _OUTCOMES)
        means.append(mean + middle)
        errors.append(variance / safe)
    if not known.any():
        rare = f", and {_OUTCOMES} of either outcome" if binary else ""
        raise ValueError(
            f"units: got {len(table):,}; each arm needs burn_in of them ({burn_in}) that aren't all equal{rare}"
        )
    se = np.sqrt(errors[0] + errors[1])[known]
    path = pd.DataFrame({"n": np.nonzero(known)[0] + 1, "estimate": (means[0] - means[1])[known], "se": se})
    half = mixture_half_width(se, tau=tau, alpha=alpha)
    path["low"], path["high"] = path["estimate"] - half, path["estimate"] + half
    # The mixture's likelihood ratio; its inverse's running minimum is a p-value at all times.
    share = tau**2 / (tau**2 + se**2)
    log_ratio = 0.5 * np.log1p(-share) + 0.5 * share * (path["estimate"] / se) ** 2
    last = path.iloc[-1]
    return Finding(
        float(last["estimate"]),
        (float(last["low"]), float(last["high"])),
        _stopping(path),
        unit=unit,
        se=float(last["se"]),
        p=float(np.exp(-max(log_ratio.max(), 0.0))),
        n=len(table),
        n_clusters=len(table),
        alpha=alpha,
        table=path,
        assumptions=(
            "one row a unit of randomisation, units independent",
            "tau was fixed before the data",
            "variances are estimated, so the level is asymptotic: where an arm is small and its metric very "
            "skewed (money), raise burn_in or cap the metric",
        ),
        cannot_tell=("an effect that changes with time, from one that is constant",),
    )


def _stopping(path: pd.DataFrame) -> str:
    out = ((path["low"] > 0) | (path["high"] < 0)).to_numpy()
    if not out.any():
        return f"0 lies inside at all of the {len(path):,} sizes looked at: nothing is decided yet."
    first = f"{int(path['n'].iloc[out.argmax()]):,}"
    if out[out.argmax() :].all():
        return f"0 lies outside since unit {first}: stopping there, or at any time since, was allowed."
    now = "holds 0 again now" if not out[-1] else "leaves it out now, after holding it again"
    return f"The interval first left 0 at unit {first}, and stopping there was allowed; it {now}."


def fdr(
    pvalues: Any, *, p: str = "p", q: float = 0.05, correction: Correction = "BH", independent: bool = False
) -> Finding:
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
    independent : bool
        Whether the tests are independent of each other: those of different experiments on
        different users may be, metrics and segments of one experiment aren't. Only then there is
        an interval.

    Returns
    -------
    Finding
        Estimate: the expected share of false ones among the uncorrected p <= q, from the number
        of p-values above one half (where true effects have none), with its exact binomial
        interval where the tests are independent. The table has each test with its adjusted p-value
        and whether it is kept.

    Raises
    ------
    ValueError
        If a p-value is missing or outside [0, 1], or the correction isn't known.

    References
    ----------
    Benjamini and Hochberg (1995), JRSS B; Storey (2002), JRSS B.

    Examples
    --------
    >>> tests = pd.DataFrame({"p": [0.001, 0.008, 0.039, 0.041, 0.27, 0.6, 0.8]})
    >>> int(fdr(tests).table["kept"].sum())
    2
    """
    level(q, name="q")
    one_of("correction", correction, STATSMODELS)
    table = read_columns(pvalues, "pvalues", [p], keep=True)
    values = table[p].to_numpy(float)
    if not ((values >= 0) & (values <= 1)).all():
        raise ValueError(f"{p}: got {values[~((values >= 0) & (values <= 1))][0]}; a p-value lies in [0, 1]")
    kept, adjusted, *_ = multipletests(values, alpha=q, method=STATSMODELS[correction])
    raw, size = int((values <= q).sum()), len(values)
    above = int((values > 0.5).sum())

    def false_share(share_above: float) -> float:
        return float(min(1.0, 2 * share_above * size * q / raw)) if raw else float("nan")

    low, high = proportion_confint(above, size, method="beta") if independent else (np.nan, np.nan)
    table["adjusted_p"], table["kept"] = adjusted, kept
    return Finding(
        false_share(above / size),
        (false_share(low), false_share(high)) if independent else (np.nan, np.nan),
        f"{correction} keeps {int(kept.sum())} of the {raw} tests with p <= {q:g}, out of {size}.",
        unit="expected false share of the uncorrected",
        n=size,
        table=table,
        assumptions=(
            "p-values of tests without an effect are uniform",
            "Bonferroni, Holm and BY hold under any dependence; BH needs tests that are independent or "
            "positively related",
            "the tests are independent"
            if independent
            else "no interval: it would need independent tests, and one experiment's metrics aren't",
        ),
        cannot_tell=("which of the kept are the false ones", "tests that were run and not written down"),
    )


def launch_bias(
    experiments: Any,
    *,
    estimate: str = "estimate",
    se: str = "se",
    threshold: float = 1.96,
    unit: str = "",
    alpha: float = 0.05,
    rng: Any = 0,
) -> Finding:
    """How much the shipped experiments together really brought, given that they were chosen.

    Parameters
    ----------
    experiments : frame
        One row a candidate, shipped or not: its estimate and standard error, in one unit.
    threshold : float
        An experiment was shipped when its estimate exceeded this many standard errors.
    unit : str
        Of the estimates.
    rng : int or Generator
        For the interval (`winners_curse.chosen_sum`).
    estimate, se : str
        Their columns.
    alpha : float
        One minus the level of the interval.

    Returns
    -------
    Finding
        The shipped experiments' true sum by empirical Bayes, with its interval; both undefined
        where nothing was shipped. The table has the claimed sum, Lee and Shen's corrected sum, and
        the empirical-Bayes sum.

    Raises
    ------
    ValueError
        If a column or value is missing or not finite, a standard error isn't positive, there are
        fewer than three experiments, or the threshold isn't finite.

    References
    ----------
    Lee and Shen (2018), "Winner's Curse", KDD.

    Examples
    --------
    >>> year = pd.DataFrame({"estimate": [3.1, 0.4, -0.2, 0.1, 2.1], "se": 1.0})
    >>> launch_bias(year).table["total"].round(1).tolist()[0]
    5.2
    """
    level(alpha)
    number("threshold", threshold)
    table = read_columns(experiments, "experiments", [estimate, se], numbers=[estimate, se], keep=True)
    if len(table) < 3:
        raise ValueError(f"experiments: got {len(table)} rows; a population's spread needs at least 3")
    means, errors = table[estimate].to_numpy(float), table[se].to_numpy(float)
    shipped = means > threshold * errors
    some = int(shipped.sum())
    claimed = float(means[shipped].sum())
    total, spread, interval = np.nan, np.nan, (np.nan, np.nan)
    if some:
        total, spread, interval = chosen_sum(means, errors, shipped, alpha=alpha, rng=rng)
    sums = pd.DataFrame(
        {
            "sum of the shipped": ["claimed", "Lee and Shen", "empirical Bayes"],
            "total": [claimed, claimed - lee_shen_bias(means, errors, threshold=threshold), total],
        }
    )
    share = f" ({total / claimed:.0%} of the claim)" if claimed > 0 else ""
    return Finding(
        total,
        interval,
        f"{some} of {len(table)} were shipped; they claim {claimed:.4g} and brought about {total:.4g}{share}."
        if some
        else f"None of {len(table)} was shipped: there is no claim to correct.",
        unit=unit,
        se=spread,
        n=len(table),
        alpha=alpha,
        table=sums if some else None,
        assumptions=(
            "all candidates are in the table, also those that weren't shipped",
            "some of them do nothing, and the effects of the others are about normal around one mean",
        ),
        cannot_tell=("effects that fade after launch, from luck at selection: only a holdback can",),
    )
