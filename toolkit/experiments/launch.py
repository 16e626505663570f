"""What will a launch bring, by what the same model brought at two shares of traffic?"""

from __future__ import annotations

from typing import Any, get_args

import numpy as np
import pandas as pd

from toolkit.experiments.learning_curve import Launch, ShareTest, Source, foretell, share_test
from toolkit.finding import Finding
from toolkit.frames import IMPRESSION, joinable, read_columns, with_outcomes
from toolkit.resampling import interval, several
from toolkit.rules import count, level, number, one_of


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
        Draws for the interval, from Student's law of the daily lifts, all clusters' rows kept together.
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
        days, or an arm has no impression on some day of an experiment, or one cluster only.

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
    told = foretell(tests, daily, learns_from=learns_from, worth=worth, replicates=replicates, rng=rng)
    low, high = interval(told.drawn, alpha=alpha)
    table = _table(tests, told, (low, high), alpha)
    other: Source = "control" if learns_from == "own" else "own"
    return Finding(
        told.lift,
        (low, high),
        _verdict(told, (low, high), table, told.p < alpha, learns_from),
        unit="lift",
        se=float(np.std(told.drawn)),
        p=told.p,
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
            f"would bring {told.otherwise:+.1%}",
            "learning by the model from users who get used to it: both grow with time, if not with traffic",
            "how far beyond the impressions seen the curve goes on",
            "what else is shared by the arms: budgets, caches, sellers",
        ),
    )


def _rows(log: Any, outcomes: Any, assignments: Any, cluster: str) -> pd.DataFrame:
    columns = list(dict.fromkeys([*IMPRESSION, "user_id", "ts", "arm", cluster]))
    rows = read_columns(log, "log", columns, key=IMPRESSION, missing=["arm"], times=["ts"])
    users = read_columns(assignments, "assignments", ["experiment", "user_id"])
    twice = int(users["user_id"].duplicated().sum())
    if twice:
        raise ValueError(f"user_id: got {twice:,} in two rows of assignments; each user is in one test")
    joinable(rows, users, ["user_id"], names=("log", "assignments"))
    rows = rows.merge(users[["user_id", "experiment"]], on="user_id", how="left")
    lost = int(rows["experiment"].isna().sum())
    if lost:
        raise ValueError(f"assignments: got none for {lost:,} of {len(rows):,} rows of log; each needs one")
    rows["day"] = (rows["ts"] - rows["ts"].min().floor("D")).dt.days
    rows = with_outcomes(rows, outcomes)
    if (rows["y"] == 1).all():
        raise ValueError(f"y: got {rows['y'].iloc[0]} in every row; where nothing varies no lift can be told")
    return rows


def _one_test(
    name: object, rows: pd.DataFrame, days: int, treatment: str, control: str, cluster: str
) -> ShareTest:
    for arm in (control, treatment):
        seen = np.bincount(rows.loc[rows["arm"] == arm, "day"], minlength=days)
        if not seen.all():
            raise ValueError(
                f"arm: got no impression of {arm!r} on day {np.argmin(seen) + 1} of {name!r}; "
                "each day needs some of both arms"
            )
        if (met := rows.loc[rows["arm"] == arm, cluster].nunique()) < 2:
            raise ValueError(f"{cluster}: got {met} in {arm!r} of {name!r}; an interval needs two at least")
    rows = rows[rows["arm"].isin([treatment, control])]
    treated = (rows["arm"] == treatment).to_numpy()
    y, day = rows["y"].to_numpy(float), rows["day"].to_numpy()
    return share_test(y, treated, day, several(rows[cluster], cluster), days=days)


def _table(tests: list[ShareTest], told: Launch, ci: tuple[float, float], alpha: float) -> pd.DataFrame:
    """One row a test and one for the launch."""
    rows: list[tuple[float, ...]] = []
    for at, one in enumerate(tests):
        low, high = interval(told.lifts[:, at], alpha=alpha)
        rows.append((one.traffic, one.impressions, one.effect / told.base, low, high, told.fitted[at]))
    rows.append((1.0, np.nan, np.nan, *ci, told.lift))
    return pd.DataFrame(rows, columns=["traffic", "impressions", "lift", "low", "high", "fitted"])


def _verdict(
    told: Launch, ci: tuple[float, float], table: pd.DataFrame, differ: bool, learns_from: Source
) -> str:
    first, last = (table.iloc[at] for at in (0, -2))
    seen = f"{first['lift']:+.1%} at {first['traffic']:.0%} of the traffic, {last['lift']:+.1%} at {last['traffic']:.0%}"
    brings = f"a launch would bring {told.lift:+.1%} ({ci[0]:+.1%} to {ci[1]:+.1%})"
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
