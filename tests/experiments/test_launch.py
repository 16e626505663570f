"""The launch by two shares: exact on exact curves, FooBar's launch, any frame, refusals."""

import warnings

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pytest

from toolkit.experiments.loop_lifts import mean_lift
from toolkit.experiments.loop_logs import loop_tables
from toolkit.experiments.small_traffic import launch_extrapolation
from toolkit.experiments.training_loop import Experiment

START = pd.Timestamp("2026-03-02", tz="UTC")
DAYS, PER_DAY = 5, 500


def two_tests(seed=0, *, first=-0.1, gain=0.5, worth=500.0, shares=(0.2, 0.6), base=0.4, taste=0.1):
    """Two tests of a model whose lift is first + gain n / (n + worth) after n impressions of its own."""
    rng = np.random.default_rng(seed)
    parts, users = [], []
    for at, share in enumerate(shares):
        many = DAYS * PER_DAY // 4
        treated = rng.permutation(many) < share * many
        own = rng.uniform(-taste, taste, many)
        user = rng.integers(0, many, (DAYS, PER_DAY))
        seen = treated[user].sum(1)
        had = np.concatenate([[0], np.cumsum(seen)[:-1]])
        lift = first + gain * had / (had + worth)
        chance = base * (1 + treated[user] * lift[:, None]) + own[user]
        parts.append(
            pd.DataFrame(
                {
                    "user_id": (user + at * 10_000).ravel(),
                    "arm": np.where(treated[user], "treatment", "control").ravel(),
                    "ts": START + pd.to_timedelta(np.repeat(np.arange(DAYS), PER_DAY), unit="D"),
                    "y": (rng.random(user.shape) < chance).astype(int).ravel(),
                }
            )
        )
        users.append(
            pd.DataFrame(
                {
                    "experiment": f"at {share}",
                    "user_id": np.arange(many) + at * 10_000,
                    "arm": np.where(treated, "treatment", "control"),
                }
            )
        )
    log = pd.concat(parts, ignore_index=True).assign(item_id=1)
    log["request_id"] = np.arange(len(log))
    return log.drop(columns="y"), log[["request_id", "item_id", "y"]], pd.concat(users, ignore_index=True)


def exact(shares, *, source="own", first=-0.2, gain=0.6, worth=300.0):
    """Outcomes without luck: each arm's share of good matches on each day is the curve's, as near as rows allow."""
    rows, users = [], []
    for at, share in enumerate(shares):
        sizes = {"treatment": int(2000 * share), "control": int(2000 * (1 - share))}
        teach = sizes["treatment" if source == "own" else "control"]
        for day in range(DAYS):
            lift = first + gain * day * teach / (day * teach + worth)
            for arm, size in sizes.items():
                good = round(size * 0.4 * (1 + (arm == "treatment") * lift))
                user = np.arange(size) + at * 10_000 + (arm == "control") * 5_000
                rows.append(
                    pd.DataFrame(
                        {
                            "user_id": user,
                            "arm": arm,
                            "ts": START + pd.Timedelta(days=day),
                            # Other users have the good matches every day.
                            "y": np.roll(np.arange(size) < good, day * size // DAYS).astype(int),
                        }
                    )
                )
                if not day:
                    users.append(pd.DataFrame({"experiment": f"{share}", "user_id": user, "arm": arm}))
    log = pd.concat(rows, ignore_index=True).assign(item_id=1)
    log["request_id"] = np.arange(len(log))
    return log, log[["request_id", "item_id", "y"]], pd.concat(users)


@pytest.mark.parametrize("worth", [None, 300.0])
def test_on_an_exact_curve_the_launch_is_the_curve_s_own(worth):
    found = launch_extrapolation(*exact((0.1, 0.5)), worth=worth, requests=2000, replicates=50)
    truth = np.mean([-0.2 + 0.6 * day * 2000 / (day * 2000 + 300) for day in range(DAYS)])
    assert found.estimate == pytest.approx(truth, abs=0.01)
    few, many, launch = found.table.to_dict("records")
    assert (few["traffic"], many["traffic"], launch["traffic"]) == (0.1, 0.5, 1.0)
    assert few["impressions"] == 200 * DAYS
    by_hand = np.mean([-0.2 + 0.6 * day * 200 / (day * 200 + 300) for day in range(DAYS)])
    assert few["lift"] == pytest.approx(by_hand, abs=0.005)
    assert few["fitted"] == pytest.approx(few["lift"], abs=0.01)
    assert "rises with the share" in found.verdict


def test_where_control_s_impressions_teach_a_launch_has_what_it_began_with():
    tables = exact((0.5, 0.95), source="control")
    found = launch_extrapolation(*tables, learns_from="control", replicates=50)
    assert found.estimate == pytest.approx(-0.2, abs=0.02)
    assert "falls with the share" in found.verdict
    assert "as where control's impressions teach it" in found.verdict
    wrong = launch_extrapolation(*tables, replicates=50)
    assert "doesn't explain: try learns_from='control'" in wrong.verdict
    assert f"were it own ones, the launch would bring {wrong.estimate:+.1%}" in found.cannot_tell[0]


def test_requests_are_all_the_log_s_unless_given():
    tables = exact((0.1, 0.5))
    found = launch_extrapolation(*tables, worth=300.0, replicates=50)
    same = launch_extrapolation(*tables, worth=300.0, replicates=50, requests=4000)
    assert found.estimate == same.estimate


def test_rows_of_no_arm_count_as_requests():
    log, outcomes, assignments = exact((0.1, 0.5))
    log["arm"] = log["arm"].where(log["request_id"] % 7 > 0)
    found = launch_extrapolation(log, outcomes, assignments, worth=300.0, replicates=2)
    same = launch_extrapolation(log, outcomes, assignments, worth=300.0, replicates=2, requests=4000)
    assert found.estimate == same.estimate


def test_a_test_s_lift_is_its_effect_within_days_over_control_s_mean_of_all_tests():
    log, outcomes, assignments = two_tests()
    found = launch_extrapolation(log, outcomes, assignments, replicates=400)
    rows = log.merge(outcomes).merge(assignments[["user_id", "experiment"]])
    base = rows.loc[rows["arm"] == "control", "y"].mean()
    for place, (_, part) in enumerate(rows.groupby("experiment")):
        design = pd.get_dummies(part["ts"]).assign(treated=part["arm"] == "treatment").to_numpy(float)
        effect = np.linalg.lstsq(design, part["y"].to_numpy(float), rcond=None)[0][-1]
        assert found.table["lift"][place] == pytest.approx(effect / base)
    # With hundreds of users the launch's law is nearly normal.
    assert found.se == pytest.approx(np.diff(found.ci)[0] / (2 * 1.96), rel=0.1)


def test_without_an_effect_of_the_share_none_is_told():
    found = launch_extrapolation(*two_tests(first=0.1, gain=0.0), replicates=200)
    assert found.p >= 0.05
    assert found.verdict.startswith("No effect of the traffic's share")


def test_foobar_s_launch_lies_in_the_interval_and_no_test_s_own_lift_does_as_well():
    halves = {str(share): Experiment(traffic=share, requests=4000) for share in (0.1, 0.5)}
    truth = mean_lift(Experiment(), launch=True)
    made = loop_tables(halves)
    found = launch_extrapolation(made["serving_log"], made["outcomes"], made["assignments"])
    assert found.ci[0] <= truth <= found.ci[1]
    assert abs(found.estimate - truth) < min(abs(lift - truth) for lift in found.table["lift"][:2])
    assert found.p < 0.05


@pytest.mark.parametrize("kind", ["polars", "lazy", "pyarrow", "duckdb"])
def test_any_frame_gives_the_same_answer(kind):
    make = {
        "polars": pl.from_pandas,
        "lazy": lambda frame: pl.from_pandas(frame).lazy(),
        "pyarrow": lambda frame: pl.from_pandas(frame).to_arrow(),
        "duckdb": lambda frame: duckdb.from_df(frame),
    }[kind]
    tables = two_tests()
    theirs = launch_extrapolation(*map(make, tables), replicates=50)
    ours = launch_extrapolation(*tables, replicates=50)
    assert theirs.summary() == ours.summary()
    pd.testing.assert_frame_equal(theirs.table, ours.table, check_dtype=False)


LOG, OUTCOMES, USERS = two_tests()
ALIKE = two_tests(shares=(0.2, 0.2))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: launch_extrapolation(LOG.drop(columns="arm"), OUTCOMES, USERS),
            "log: got columns .* must have arm",
        ),
        (
            lambda: launch_extrapolation(LOG, OUTCOMES, USERS.drop(columns="experiment")),
            "assignments: got columns .* must have experiment",
        ),
        (
            lambda: launch_extrapolation(LOG, OUTCOMES, pd.concat([USERS, USERS.iloc[:1]])),
            "user_id: got 1 in two rows of assignments; each user is in one test",
        ),
        (
            lambda: launch_extrapolation(LOG, OUTCOMES, USERS[USERS["user_id"] > 10]),
            "assignments: got none for .* rows of log; each needs one",
        ),
        (
            lambda: launch_extrapolation(LOG, OUTCOMES.iloc[5:], USERS),
            "outcomes: got none for 5 of 5,000 rows",
        ),
        (
            lambda: launch_extrapolation(LOG.assign(ts=START), OUTCOMES, USERS),
            "ts: got 1 day in log; learning takes two at least",
        ),
        (
            lambda: launch_extrapolation(LOG, OUTCOMES, USERS, treatment="B"),
            "arm: got no impression of 'B' on day 1 of 'at 0.2'; each day needs some of both arms",
        ),
        (
            lambda: launch_extrapolation(LOG, OUTCOMES, USERS.assign(experiment="one")),
            "assignments: got traffic .*; it takes tests at two shares at least",
        ),
        (
            lambda: launch_extrapolation(LOG, OUTCOMES.assign(y=0), USERS),
            "y: got none of 1 in control's rows",
        ),
        (
            lambda: launch_extrapolation(LOG, OUTCOMES, USERS, learns_from="both"),
            "learns_from: got 'both'; it must be one of own, control",
        ),
        (
            lambda: launch_extrapolation(LOG.assign(shop=LOG["arm"]), OUTCOMES, USERS, cluster="shop"),
            "shop: got 1 in 'control' of 'at 0.2'; an interval needs two at least",
        ),
        (lambda: launch_extrapolation(LOG, OUTCOMES, USERS, worth=0), "worth: got 0; it must lie above 0"),
        (lambda: launch_extrapolation(LOG, OUTCOMES, USERS, requests=-5), "requests: got -5"),
        (lambda: launch_extrapolation(LOG, OUTCOMES, USERS, alpha=2), "alpha: got 2"),
        (lambda: launch_extrapolation(LOG, OUTCOMES, USERS, replicates=0), "replicates: got 0"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_outcomes_that_never_vary_are_refused_without_a_warning():
    users = pd.DataFrame({"experiment": ["a", "b"] * 20, "user_id": range(40)})
    log = pd.DataFrame({"request_id": range(80), "item_id": 1, "user_id": np.arange(80) % 40})
    log["ts"] = pd.date_range("2026-03-02", periods=80, freq="h", tz="UTC")
    log["arm"] = np.where(np.arange(80) // 2 % 2, "control", "treatment")
    with warnings.catch_warnings(action="error"), pytest.raises(ValueError, match="y: got 1 in every row"):
        launch_extrapolation(log, log[["request_id", "item_id"]].assign(y=1), users)
