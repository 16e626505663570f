"""What will a launch bring, by what the same model brought at two shares of traffic?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import pandas as pd
from scipy.stats import norm

from toolkit.finding import Finding
from toolkit.frames import IMPRESSION, read_columns, with_outcomes
from toolkit.resampling import interval, several
from toolkit.rules import count, level, number, one_of

Source = Literal["own", "control"]

# Impressions that correct half of what a model doesn't know, as multiples of the largest number seen.
_WORTHS = np.geomspace(1 / 200, 20, 41)


def launch_extrapolation(
    log: Any,
    outcomes: Any,
    assignments: Any,
    *,
    treatment: str = "treatment",
    control: str = "control",
    learns_from: Source = "own",
    worth: float | None = None,
    requests: float | None = None,
    cluster: str = "user_id",
    alpha: float = 0.05,
    replicates: int = 2000,
    rng: Any = 0,
) -> Finding:
    """What a launch would bring, from tests of one model at two shares of traffic, each trained on its own users.

    A day's lift is taken to be a + b n / (n + c), n being the impressions that the new model had learned
    from by that day. Both tests are points of that one curve; so is the launch, at all requests.

    Parameters
    ----------
    log, outcomes, assignments : any frame that Narwhals reads
        `serving_log`, `outcomes` and `assignments`. Each experiment is a test at a share of its own, on its
        own users; an impression in another arm (explored, say) only counts as a request.
    treatment, control : str
        The arms.
    learns_from : "own" or "control"
        Which impressions teach the new model what it doesn't know: its own, of which a launch has more, or
        control's, of which a launch has none.
    worth : float, optional
        c, the impressions that teach it half. Fitted where not given.
    requests : float, optional
        Requests a day after the launch; as many as the log has, all tests together, where not given.
    cluster : str
        Whose rows depend on each other.
    alpha : float
    replicates : int
        Draws for the interval, from the normal law of the daily lifts, all clusters' rows kept together.
    rng : int or Generator

    Returns
    -------
    Finding
        `estimate` is the launch's lift over as many days as the tests had; `p` that of equal lifts at
        the smallest and the largest share. `table` has one row a test, and one for the launch: `traffic`,
        `impressions` of the treatment, `lift` with its interval, `fitted` by the curve.

    Raises
    ------
    ValueError
        If a table isn't complete, a user is in two experiments, there are fewer than two shares or
        days, or an arm has no impression on some day of an experiment.

    Examples
    --------
    >>> from toolkit.experiments.loop_logs import loop_tables
    >>> from toolkit.experiments.training_loop import Experiment
    >>> tests = {str(share): Experiment(traffic=share, requests=4000, days=4) for share in (0.1, 0.5)}
    >>> made = loop_tables(tests)
    >>> told = launch_extrapolation(made["serving_log"], made["outcomes"], made["assignments"])
    >>> told.table["traffic"].round(2).tolist()
    [0.1, 0.5, 1.0]
    """
    one_of("learns_from", learns_from, get_args(Source))
    level(alpha)
    count("replicates", replicates)
    for name, value in (("worth", worth), ("requests", requests)):
        if value is not None:
            number(name, value, above=0)
    rows = _rows(log, outcomes, assignments, cluster)
    days = int(rows["day"].max()) + 1
    if days < 2:
        raise ValueError(f"ts: got {days} day in log; learning takes two at least")
    tests = [
        _one_test(name, part, days, treatment, control, cluster)
        for name, part in rows.groupby("experiment", sort=False)
    ]
    tests.sort(key=lambda one: one.traffic)
    if len(tests) < 2 or tests[0].traffic == tests[-1].traffic:
        shares = ", ".join(f"{one.traffic:.4g}" for one in tests)
        raise ValueError(f"assignments: got traffic {shares}; it takes tests at two shares at least")
    daily = np.full(days, len(rows) / days if requests is None else requests)
    launch = {"own": _before(daily), "control": np.zeros(days)}
    weights = np.concatenate([one.weights for one in tests])
    base = float(_bases(tests, np.array([one.base for one in tests])))
    draws, bases = _draws(tests, replicates, rng)

    def fit(effects: np.ndarray, source: Source) -> tuple[np.ndarray, np.ndarray]:
        had = np.concatenate([one.learned[source] for one in tests])
        worths = np.array([worth]) if worth else _WORTHS * had.max()
        return _fit(effects, had, weights, worths, launch[source])

    effects = np.concatenate([one.effects for one in tests])[None]
    told, fitted = fit(effects, learns_from)
    estimate = float(told[0] / base)
    drawn = fit(draws, learns_from)[0] / bases
    low, high = interval(drawn, alpha=alpha)
    table, difference, error = _table(tests, base, fitted[0], estimate, (low, high), alpha)
    p = float(2 * norm.sf(abs(difference) / error))
    other: Source = "control" if learns_from == "own" else "own"
    otherwise = float(fit(effects, other)[0][0] / base)
    return Finding(
        estimate,
        (low, high),
        _verdict(estimate, low, high, table, p < alpha, learns_from),
        unit="lift",
        se=float(np.std(drawn)),
        p=p,
        n=int(rows["arm"].isin([treatment, control]).sum()),
        n_clusters=int(rows[cluster].nunique()),
        alpha=alpha,
        table=table,
        assumptions=(
            f"{cluster}s are independent of each other",
            "each test's model was trained on that test's users alone, and started from the same state",
            f"the lift depends on how many impressions the model had learned from ({learns_from}), and on no date",
        ),
        cannot_tell=(
            f"whose impressions teach the model, unless the shares' lifts differ: were it {other} ones, the launch "
            f"would bring {otherwise:+.1%}",
            "learning by the model from users who get used to it: both grow with time, if not with traffic",
            "how far beyond the impressions seen the curve goes on",
            "what else is shared by the arms: budgets, caches, sellers",
        ),
    )


class _Test(NamedTuple):
    """One test: its lift day by day, in units of the outcome, and what its model had learned from."""

    traffic: float
    impressions: int
    learned: dict[Source, np.ndarray]
    effects: np.ndarray
    base: float  # control's mean outcome
    covariance: np.ndarray  # of the days' effects, and last of the base
    weights: np.ndarray
    control_rows: int


def _rows(log: Any, outcomes: Any, assignments: Any, cluster: str) -> pd.DataFrame:
    columns = list(dict.fromkeys([*IMPRESSION, "user_id", "ts", "arm", cluster]))
    rows = read_columns(log, "log", columns, key=IMPRESSION, missing=["arm"], times=["ts"])
    users = read_columns(assignments, "assignments", ["experiment", "user_id", "arm"])
    twice = int(users["user_id"].duplicated().sum())
    if twice:
        raise ValueError(f"user_id: got {twice:,} in two rows of assignments; each user is in one test")
    rows = rows.merge(users[["user_id", "experiment"]], on="user_id", how="left")
    lost = int(rows["experiment"].isna().sum())
    if lost:
        raise ValueError(f"assignments: got none for {lost:,} of {len(rows):,} rows of log; each needs one")
    rows["day"] = (rows["ts"] - rows["ts"].min().floor("D")).dt.days
    return with_outcomes(rows, outcomes)


def _one_test(
    name: object, rows: pd.DataFrame, days: int, treatment: str, control: str, cluster: str
) -> _Test:
    rows = rows[rows["arm"].isin([treatment, control])]
    treated = (rows["arm"] == treatment).to_numpy()
    day, y = rows["day"].to_numpy(), rows["y"].to_numpy(float)
    sizes = np.array([np.bincount(day[which], minlength=days) for which in (~treated, treated)])
    if (sizes == 0).any():
        arm, on = np.argwhere(sizes == 0)[0]
        raise ValueError(
            f"arm: got no impression of {(control, treatment)[arm]!r} on day {on + 1} of {name!r}; "
            "each day needs some of both arms"
        )
    code = several(rows[cluster], cluster)
    means = np.array([np.bincount(day[which], y[which], days) for which in (~treated, treated)]) / sizes
    arm = treated.astype(int)
    influence = np.where(treated, 1, -1) * (y - means[arm, day]) / sizes[arm, day]
    many = int(code.max()) + 1
    by_user = np.bincount(code * days + day, influence, many * days).reshape(many, days)
    base = float(y[~treated].mean())
    on_base = np.bincount(code[~treated], (y[~treated] - base) / (~treated).sum(), many)
    by_user = np.column_stack([by_user, on_base])
    return _Test(
        # By users who came, in the arm that the log says.
        traffic=float(rows.loc[treated, cluster].nunique() / many),
        impressions=int(treated.sum()),
        learned={"own": _before(sizes[1]), "control": _before(sizes[0])},
        effects=means[1] - means[0],
        base=base,
        covariance=by_user.T @ by_user * many / (many - 1),
        weights=sizes.prod(0) / sizes.sum(0),
        control_rows=int((~treated).sum()),
    )


def _before(daily: np.ndarray) -> np.ndarray:
    return np.concatenate([[0.0], np.cumsum(daily)[:-1]])


def _bases(tests: Sequence[_Test], means: np.ndarray) -> np.ndarray:
    """Control's mean outcome over all tests, from its means in each, in the last axis."""
    rows = np.array([one.control_rows for one in tests], dtype=float)
    mean = np.asarray(means @ (rows / rows.sum()))
    if not mean.all():
        raise ValueError("y: got none of 1 in control's rows; a lift over nothing is undefined")
    return mean


def _draws(tests: Sequence[_Test], replicates: int, rng: Any) -> tuple[np.ndarray, np.ndarray]:
    """What the daily effects of all tests, and control's mean, might have been: one row a replicate."""
    draw = np.random.default_rng(rng)
    parts = [
        draw.multivariate_normal(np.append(one.effects, one.base), one.covariance, replicates, method="svd")
        for one in tests
    ]
    bases = _bases(tests, np.column_stack([part[:, -1] for part in parts]))
    return np.concatenate([part[:, :-1] for part in parts], axis=1), bases


def _fit(
    effects: np.ndarray, had: np.ndarray, weights: np.ndarray, worths: np.ndarray, at_launch: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Each row's best curve: its mean over the launch's days, and its values where the tests were."""
    best = np.full(len(effects), np.inf)
    launch, fitted = np.empty(len(effects)), np.empty_like(effects)
    for worth in worths:
        known = had / (had + worth)
        x = known - np.average(known, weights=weights)
        level_ = effects @ weights / weights.sum()
        slope = (effects * weights) @ x / (weights @ x**2)
        curve = level_[:, None] + slope[:, None] * x
        misfit = ((effects - curve) ** 2) @ weights
        better = misfit < best
        best[better] = misfit[better]
        fitted[better] = curve[better]
        ahead = (at_launch / (at_launch + worth)).mean() - np.average(known, weights=weights)
        launch[better] = (level_ + slope * ahead)[better]
    return launch, fitted


def _table(
    tests: Sequence[_Test],
    base: float,
    fitted: np.ndarray,
    estimate: float,
    ci: tuple[float, float],
    alpha: float,
) -> tuple[pd.DataFrame, float, float]:
    """One row a test and one for the launch; and the difference of the outermost tests' lifts, with its error."""
    edge, days = norm.isf(alpha / 2), len(tests[0].effects)
    rows: list[tuple[float, ...]] = []
    lifts, errors = [], []
    for at, one in enumerate(tests):
        share = one.weights / one.weights.sum()
        lifts.append(float(share @ one.effects) / base)
        errors.append(float(np.sqrt(share @ one.covariance[:-1, :-1] @ share)) / base)
        low, high = lifts[-1] - edge * errors[-1], lifts[-1] + edge * errors[-1]
        curve = float(share @ fitted[at * days : (at + 1) * days]) / base
        rows.append((one.traffic, one.impressions, lifts[-1], low, high, curve))
    rows.append((1.0, np.nan, np.nan, *ci, estimate))
    table = pd.DataFrame(rows, columns=["traffic", "impressions", "lift", "low", "high", "fitted"])
    return table, lifts[-1] - lifts[0], float(np.hypot(errors[0], errors[-1]))


def _verdict(
    estimate: float, low: float, high: float, table: pd.DataFrame, differ: bool, learns_from: Source
) -> str:
    first, last = (table.iloc[at] for at in (0, -2))
    seen = f"{first['lift']:+.1%} at {first['traffic']:.0%} of the traffic, {last['lift']:+.1%} at {last['traffic']:.0%}"
    brings = f"a launch would bring {estimate:+.1%} ({low:+.1%} to {high:+.1%})"
    if not differ:
        return f"No effect of the traffic's share on the lift was found ({seen}). By the curve of {learns_from} impressions {brings}."
    rises = bool(last["lift"] > first["lift"])
    moves = f"The lift {'rises' if rises else 'falls'} with the share ({seen})"
    if rises == (learns_from == "own"):
        why = "as where its own impressions teach it" if rises else "as where control's impressions teach it"
        return f"{moves}, {why}; {brings}."
    other = "own" if rises else "control"
    return (
        f"{moves}, which learning from {learns_from} impressions doesn't explain: try learns_from={other!r}."
    )
