"""A random split flatters what remembers, and nothing else; intervals hold, and a world at rest is told as such."""

import functools

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy.signal import lfilter
from scipy.stats import kstest, ttest_1samp
from sklearn.base import BaseEstimator
from sklearn.dummy import DummyRegressor
from sklearn.linear_model import LogisticRegression

from toolkit.shipping.backtesting import embargo_curve, split_gap
from toolkit.shipping.split_errors import horizon_error, levels, next_step_error

START = pd.Timestamp("2026-03-02", tz="UTC")
WORLDS = 120


class Line(BaseEstimator):
    """Least squares, without scikit-learn's checks of its input, which would take most of the time."""

    def fit(self, X, y):
        self.w = np.linalg.lstsq(np.c_[np.ones(len(X)), X], y, rcond=None)[0]
        return self

    def predict(self, X):
        return self.w[0] + X @ self.w[1:]


class TwoNearest(BaseEstimator):
    """The mean of the labels at the two nearest places."""

    def fit(self, X, y):
        order = np.argsort(X[:, 0], kind="stable")
        self.at, self.y = X[order, 0], y[order]
        return self

    def predict(self, X):
        middle = np.clip(np.searchsorted(self.at, X[:, 0]), 2, len(self.at) - 2)
        near = middle[:, None] + np.arange(-2, 2)
        order = np.argsort(np.abs(self.at[near] - X), axis=1, kind="stable")[:, :2]
        return np.take_along_axis(self.y[near], order, 1).mean(1)


def panel(seed, *, kept=0.5, items=5, days=160):
    """A row an item and day; an item's level keeps so much of itself from day to day."""
    draw = np.random.default_rng(seed)
    steps = draw.normal(size=(days + 60, items)) * np.sqrt(1 - kept**2)
    level = lfilter([1], [1, -kept], steps, axis=0)[60:]
    day, item = np.divmod(np.arange(items * days), items)
    seen = (level + 0.5 * draw.normal(size=level.shape)).ravel()
    return pd.DataFrame({"ts": day, "place": item * 1_000.0 + day, "y": seen, "user": item})


def still(seed, n=300):
    draw = np.random.default_rng(seed)
    X = draw.normal(size=(n, 3))
    return pd.DataFrame(
        {**dict(zip("abc", X.T, strict=True)), "ts": np.arange(n), "y": X[:, 0] + draw.normal(size=n)}
    )


of_place = {"features": ["place"]}
of_line = {"features": ["a", "b", "c"]}


def many(world, diagnose):
    return [diagnose(world(seed), seed) for seed in range(WORLDS)]


def hold(found, truth):
    """Whether 95% intervals hold the truth in 93 to 97 worlds of 100, give or take what so few worlds can tell."""
    inside = np.mean([one.ci[0] <= truth <= one.ci[1] for one in found])
    return abs(inside - 0.95) <= 0.02 + (0.95 * 0.05 / len(found)) ** 0.5


def test_in_a_world_at_rest_p_is_uniform_and_its_intervals_hold_nothing():
    found = many(still, lambda rows, seed: split_gap(rows, Line(), **of_line, rng=seed))
    assert kstest([one.p for one in found], "uniform").pvalue > 0.01
    assert hold(found, 0)


def test_where_levels_move_its_intervals_hold_the_flattery():
    found = many(panel, lambda rows, seed: split_gap(rows, TwoNearest(), **of_place, rng=seed))
    truth = np.mean([one.estimate for one in found])
    assert truth > 0.4
    assert hold(found, truth)
    assert np.mean([one.ci[0] > 0 for one in found]) > 0.8


def test_the_intervals_of_the_embargo_s_price_hold_too():
    gaps = {"gaps": [0, 2]}
    moving = many(panel, lambda rows, _: embargo_curve(rows, TwoNearest(), **of_place, **gaps))
    assert hold(moving, np.mean([one.estimate for one in moving]))
    rest = many(
        lambda seed: panel(seed, kept=0),
        lambda rows, _: embargo_curve(rows, TwoNearest(), **of_place, **gaps),
    )
    assert kstest([one.p for one in rest], "uniform").pvalue > 0.01
    assert hold(rest, 0)


def test_the_interval_is_students_over_blocks_of_successive_sets_with_as_many_rows_to_train_on():
    n, gap = 80, 7
    y = levels(n, 0.3, rng=3)[1][:, 0]
    rows = pd.DataFrame({"ts": np.arange(n), "x": 0.0, "y": y})
    told = embargo_curve(
        rows, DummyRegressor(), features=["x"], gaps=[0, gap], n_splits=8, blocks=4, alpha=0.1
    )
    # Sets of five rows from the fortieth on; the mean of as many rows, the newest or those before the gap.
    loss = [
        [((y[b : b + 5] - y[low : low + b - gap].mean()) ** 2).mean() for low in (gap, 0)]
        for b in range(40, 80, 5)
    ]
    np.testing.assert_allclose(told.table["squared error"], np.mean(loss, axis=0))
    expected = ttest_1samp(np.diff(loss).reshape(4, 2).mean(1), 0)
    interval = expected.confidence_interval(0.9)
    assert told.p == pytest.approx(expected.pvalue)
    assert told.ci == pytest.approx((interval.low, interval.high))
    assert told.estimate / told.se == pytest.approx(expected.statistic)


class Filter(BaseEstimator):
    """The best prediction of a local level from what it was fitted on: the newest mean, decayed by the gain."""

    def __init__(self, drift=0.3):
        self.drift = drift

    def fit(self, X, y):
        keep = 1 / (1 + next_step_error(self.drift))
        weights = keep ** np.arange(len(y))[::-1]
        self.mean = weights @ y / weights.sum()
        return self

    def predict(self, X):
        return np.full(len(X), self.mean)


def test_the_curve_rises_by_the_drift_a_step_as_the_closed_form_says():
    drift, n = 0.3, 1_000
    read = []
    for seed in range(6):
        rows = pd.DataFrame({"ts": np.arange(n), "x": 0.0, "y": levels(n, drift, rng=seed)[1][:, 0]})
        told = embargo_curve(rows, Filter(drift), features=["x"], gaps=[0, 2, 6], n_splits=500)
        read.append(told.table["squared error"])
    expected = [horizon_error(drift, gap=gap) + 1 for gap in (0, 2, 6)]
    np.testing.assert_allclose(np.mean(read, axis=0), expected, rtol=0.07)


def test_the_table_splits_the_flattery_in_what_is_known_and_how_many_rows():
    told = split_gap(panel(1), TwoNearest(), **of_place)
    table = told.table.set_index("split")
    assert table.loc["rolling origin", "looks better by"] == 0
    assert told.estimate == table.loc["random, as many rows", "looks better by"]
    assert table.loc["random, as many rows", "training rows"] == table.loc["rolling origin", "training rows"]
    assert table.loc["random, four fifths", "training rows"] == 640
    gap = table["squared error"]["rolling origin"] - table["squared error"]["random, as many rows"]
    assert told.estimate == pytest.approx(gap)
    assert told.verdict.startswith("The random split flatters the model: squared error")
    assert (told.n, told.n_clusters) == (400, 10)
    assert split_gap(panel(1, kept=0), TwoNearest(), **of_place).verdict.startswith("No flattery shown")


def test_a_halved_set_counts_each_of_its_rows_once():
    # Sets of seven rows, halved into three and four: the rolling origin's own is that of whole sets.
    halved = split_gap(still(2), Line(), **of_line).table["squared error"].iloc[2]
    whole = embargo_curve(still(2), Line(), **of_line, gaps=[0, 0]).table["squared error"].iloc[0]
    assert halved == pytest.approx(whole)


@pytest.mark.parametrize("metric", ["squared error", "absolute error", "log loss", "AUC"])
def test_a_constant_is_flattered_by_no_metric_and_auc_counts_upwards(metric):
    rows = still(2)
    rows["y"] = (rows["y"] > 0).astype(int)
    told = split_gap(
        rows,
        DummyRegressor(strategy="constant", constant=0.4),
        **of_line,
        metric=metric,
        n_splits=5,
        blocks=5,
    )
    assert told.estimate == 0
    assert told.p is None
    panel_rows = panel(3)
    panel_rows["y"] = (panel_rows["y"] > 0).astype(int)
    told = split_gap(panel_rows, TwoNearest(), **of_place, metric=metric, n_splits=10)
    assert told.estimate > 0
    random, rolling = told.table[metric].iloc[1:]
    assert random > rolling if metric == "AUC" else random < rolling
    price = embargo_curve(panel_rows, TwoNearest(), **of_place, metric=metric, gaps=[0, 3], n_splits=10)
    none, late = price.table[metric]
    assert price.estimate == pytest.approx(none - late if metric == "AUC" else late - none)
    assert price.estimate > 0


def users(seed, n=900):
    """Nothing moves; a user's three rows share a label that only the user tells, and come within a while."""
    user = np.repeat(np.arange(n // 3), 3)
    label = np.random.default_rng(seed).normal(size=n // 3)[user]
    return pd.DataFrame({"ts": np.arange(n), "user": user, "place": user * 1_000.0, "y": label})


def test_rows_of_one_user_on_both_sides_flatter_unless_groups_keep_them_apart():
    flattery = {
        groups: [
            split_gap(users(seed), TwoNearest(), **of_place, groups=groups, n_splits=10, rng=seed).estimate
            for seed in range(12)
        ]
        for groups in (None, "user")
    }
    error = {groups: np.std(told, ddof=1) / 12**0.5 for groups, told in flattery.items()}
    assert np.mean(flattery[None]) > 5 * error[None]
    assert abs(np.mean(flattery["user"])) < 2.5 * error["user"]


def test_the_gap_that_labels_ask_for_is_the_least_that_they_are_in_time_for():
    rows = panel(5)
    # One label in eight hundred takes longer than three days.
    rows["label_ts"] = rows["ts"] + 3 + 10 * (rows.index == 7)
    settings = {**of_place, "gaps": [0, 1, 2, 3, 5, 15], "label_ts": "label_ts"}
    told = embargo_curve(rows, TwoNearest(), **settings)
    assert told.table["later labels"].tolist() == [1, 1, 1, 1 / 800, 1 / 800, 0]
    assert (told.table["unknown labels"].diff().dropna() <= 0).all()
    assert told.estimate == pytest.approx(told.table["worse by"].iloc[3])
    assert "with a gap of 3" in told.verdict
    strict = embargo_curve(rows, TwoNearest(), **settings, unknown=1e-9)
    assert strict.estimate == pytest.approx(told.table["worse by"].iloc[5])
    prompt = embargo_curve(rows.assign(label_ts=rows["ts"]), TwoNearest(), **settings)
    assert prompt.verdict == "Labels are known in time: no gap beyond 0 is asked for."
    assert prompt.p is None


def test_a_long_history_does_not_hide_that_all_labels_are_late():
    rows = panel(5, kept=0.7, days=800).assign(label_ts=lambda r: r["ts"] + 3)
    told = embargo_curve(rows, TwoNearest(), **of_place, gaps=[0, 3], label_ts="label_ts", n_splits=200)
    # Of all labels trained on not one in a hundred was unknown; of those that the memory uses, each.
    assert told.table["unknown labels"].iloc[0] < 0.01
    assert told.verdict.startswith("Without the gap the model looks too good: with a gap of 3")


def test_the_share_of_unknown_labels_is_counted_among_those_trained_on():
    rows = panel(5).assign(label_ts=lambda r: r["ts"] + 3)
    told = embargo_curve(rows, TwoNearest(), **of_place, gaps=[0, 1, 3], label_ts="label_ts", n_splits=10)
    # A fold begins at day 80, 88, ...: without a gap the labels of its last two days come too late.
    expected = [np.mean([5 * late / (5 * (day - 3)) for day in range(80, 160, 8)]) for late in (2, 1, 0)]
    np.testing.assert_allclose(told.table["unknown labels"], expected)


def test_labels_that_are_late_by_what_they_say_flatter_without_any_drift_and_the_finding_says_so():
    estimates = {"label_ts": [], "embargo": []}
    for seed in range(3):
        rows = panel(seed, kept=0)
        rows["y"] = (rows["y"] > 1).astype(int)
        rows["label_ts"] = rows["ts"] + np.where(rows["y"] == 1, 0, 10)
        late = split_gap(rows, TwoNearest(), **of_place, label_ts="label_ts")
        assert any("late by what they say" in text for text in late.cannot_tell)
        waited = split_gap(rows, TwoNearest(), **of_place, embargo=10)
        assert not any("late by what they say" in text for text in waited.cannot_tell)
        estimates["label_ts"].append(late.ci[0])
        estimates["embargo"].append(waited.ci[0])
    assert min(estimates["label_ts"]) > 0
    assert max(estimates["embargo"]) < 0


def test_fewer_rows_than_four_fifths_are_told_where_groups_leave_no_more():
    rows = panel(5).assign(user=lambda r: r["ts"] // 40)
    told = split_gap(rows, TwoNearest(), **of_place, groups="user", n_splits=10)
    # Four users of 200 rows; the tested one is left out.
    assert told.table["training rows"].iloc[0] == 600


def test_a_late_label_keeps_its_row_out_of_the_rolling_origin():
    rows = panel(6)
    prompt = split_gap(rows, TwoNearest(), **of_place)
    late = split_gap(rows.assign(label_ts=rows["ts"] + 4), TwoNearest(), **of_place, label_ts="label_ts")
    gap = split_gap(rows, TwoNearest(), **of_place, embargo=4)
    assert late.table["training rows"].iloc[2] < prompt.table["training rows"].iloc[2]
    assert late.table["squared error"].iloc[2] == pytest.approx(gap.table["squared error"].iloc[2], rel=0.1)


def test_any_frame_in_any_order_with_times_gives_the_same():
    rows = panel(7, days=60).assign(ts=lambda r: START + pd.to_timedelta(r["ts"], unit="D"))
    rows = rows.sample(frac=1, random_state=0).sort_values("ts", kind="stable", ignore_index=True)
    settings = {"features": ["place", "ts"], "embargo": "1D", "n_splits": 10}
    expected = split_gap(rows, Line(), **settings)
    assert split_gap(pl.from_pandas(rows), Line(), **settings) == expected
    mixed = rows.iloc[::-1].sort_values("ts", kind="stable").assign(note="x")
    assert split_gap(mixed, Line(), **settings).table["training rows"].equals(expected.table["training rows"])
    assert embargo_curve(pl.from_pandas(rows), TwoNearest(), features=["place"], gaps=["0D", "1D"]).n == 140


def test_a_classifier_s_chance_is_scored():
    rows = still(8)
    rows["y"] = (rows["y"] > 0).astype(int)
    told = split_gap(rows, LogisticRegression(), **of_line, metric="log loss", n_splits=5, blocks=5)
    assert 0.4 < told.table["log loss"].iloc[2] < np.log(2)


ROWS = still(9)
gap = functools.partial(split_gap, **of_line)
curve = functools.partial(embargo_curve, **of_line)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: gap(ROWS.drop(columns="y"), Line()), "rows: got columns .*; it must have y"),
        (lambda: gap(ROWS.assign(a=np.nan), Line()), "a: got 300 missing of 300; rows must be complete"),
        (lambda: gap(ROWS.assign(a="x"), Line()), "a: got .*; it must be numbers"),
        (lambda: split_gap(ROWS, Line(), features="abc"), "features: got 'abc'; it must name one column at least"),
        (lambda: gap(ROWS, Line), "model: got the class Line; it must be one of its objects"),
        (lambda: gap(ROWS, 3), "model: got int; it must have `get_params`"),
        (lambda: gap(ROWS, Line(), metric="R2"), "metric: got 'R2'; it must be one of squared error"),
        (lambda: gap(ROWS, Line(), metric="AUC"), "y: got .* in rows; a label is 0 or 1"),
        (lambda: gap(ROWS, Line(), blocks=2), "blocks: got 2; it must be a whole number, 3 at least"),
        (lambda: gap(ROWS, Line(), n_splits=15), "n_splits: got 15; it must be a multiple of the 10 blocks"),
        (lambda: gap(ROWS.head(30), Line()), "n_splits: got 20; 30 rows make no set each"),
        (lambda: gap(ROWS, Line(), embargo=200), "n_splits: got 20; fold 1 has no row to train on"),
        (lambda: gap(ROWS, Line(), embargo="1D"), "embargo: got '1D'; rows without times"),
        (lambda: gap(ROWS.assign(label_ts=-1), Line(), label_ts="label_ts"), "label_ts: got 300 earlier than their ts"),
        (lambda: gap(ROWS, Line(), alpha=0), "alpha: got 0"),
        (lambda: gap(ROWS.assign(y=1), Line(), metric="AUC"), "y: got 1 in every row; AUC needs both labels"),
        (lambda: gap(ROWS.assign(y=(ROWS["y"] > 0) * 1), Line(), metric="log loss"), "model: got predictions outside"),
        (lambda: gap(ROWS.assign(y=ROWS["ts"] % 3), LogisticRegression()), r"y: got classes .*; a classifier's label is 0 or 1"),
        (lambda: gap(ROWS.assign(u=1), Line(), groups="u"), "n_splits: got 20; fold 1 has no row to train on"),
        (lambda: curve(ROWS, Line(), gaps=[0]), r"gaps: got \[0\]; a curve needs two at least, in a list"),
        (lambda: curve(ROWS, Line(), gaps="3D"), "gaps: got '3D'; a curve needs two at least, in a list"),
        (lambda: curve(ROWS.assign(z=ROWS["ts"] - 1), Line(), gaps=[0, 1], label_ts="z"), "label_ts: got 300 earlier"),
        (lambda: curve(ROWS, Line(), gaps=[5, 0]), r"gaps: got \[5, 0\]; they must ascend"),
        (lambda: curve(ROWS, Line(), gaps=[0, 1], unknown=0), "unknown: got 0"),
        (
            lambda: curve(ROWS.assign(label_ts=ROWS["ts"] + 50), Line(), gaps=[0, 5], label_ts="label_ts"),
            "gaps: got none long enough for the labels; 100.0% take longer than 5",
        ),
    ],
)  # fmt: skip
def test_what_it_cannot_work_with_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
