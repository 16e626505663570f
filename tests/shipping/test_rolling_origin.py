"""No row is tested by a model that could have known it, or its group, or a label of its future."""

import importlib
import itertools
import os
import pickle

import numpy as np
import pandas as pd
import polars as pl
import pytest
import sklearn
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import (
    BaseCrossValidator,
    GridSearchCV,
    TimeSeriesSplit,
    check_cv,
    cross_val_predict,
    cross_val_score,
    cross_validate,
    learning_curve,
)
from sklearn.model_selection._split import _yields_constant_splits

from toolkit.shipping.rolling_origin import RollingOriginSplit

DAY = pd.Timedelta("1D")
N = np.zeros((12, 1))
TIMES = pd.date_range("2026-03-02", periods=12)


def drawn(seed, n=60):
    """Rows in no order, some at the same time, with late labels and groups, and a splitter for them."""
    rng = np.random.default_rng(seed)
    ts = pd.Series(pd.Timestamp("2026-03-02", tz="UTC") + pd.to_timedelta(rng.integers(0, 40, n), unit="D"))
    label_ts = ts + pd.to_timedelta(rng.integers(0, 72, n), unit="h")
    groups = rng.integers(0, 30, n)
    splitter = RollingOriginSplit(
        int(rng.integers(2, 4)),
        ts=ts,
        label_ts=label_ts,
        embargo=f"{rng.integers(0, 5)}D",
        test_size=[None, 7, "5D"][rng.integers(3)],
        max_train_size=[None, 12, "20D"][rng.integers(3)],
    )
    return ts, label_ts, groups, splitter


def by_hand(ts, label_ts, groups, splitter):
    """The rows of each test set and those that may be trained on, found one by one from the documented rule."""
    order = sorted(range(len(ts)), key=lambda row: ts[row])
    embargo = pd.Timedelta(splitter.embargo)
    for fold in range(splitter.n_splits):
        left = splitter.n_splits - fold
        if splitter.test_size == "5D":
            # Windows of five days, the last of which ends with the last row.
            begin, end = (ts.max() + pd.Timedelta(1) - 5 * DAY * k for k in (left, left - 1))
            test = [row for row in order if begin <= ts[row] < end]
        else:
            size = splitter.test_size or len(ts) // (splitter.n_splits + 1)
            test = order[len(order) - left * size :][:size]
            begin = ts[test[0]]
        trained_at = begin - embargo
        tested = {groups[row] for row in test}
        train = [row for row in order if ts[row] < trained_at and label_ts[row] <= trained_at]
        train = [row for row in train if groups[row] not in tested]
        if splitter.max_train_size == 12:
            train = train[-12:]
        elif splitter.max_train_size == "20D":
            train = [row for row in train if ts[row] >= trained_at - 20 * DAY]
        yield train, test


@pytest.mark.parametrize("seed", range(100))
def test_just_the_rows_that_are_older_known_and_of_another_group_are_trained_on(seed):
    ts, label_ts, groups, splitter = drawn(seed)
    expected = list(by_hand(ts, label_ts, groups, splitter))
    told = splitter.split(np.zeros((60, 1)), groups=groups)
    for fold, (train, test) in enumerate(expected, start=1):
        if not train or not test:
            with pytest.raises(ValueError, match=f"fold {fold} has no row to"):
                next(told)
            return
        mine = next(told)
        assert [side.tolist() for side in mine] == [train, test]
    assert next(told, None) is None


def test_the_drawn_splitters_meet_all_that_the_rule_says():
    """Else the property would hold of cases that ask nothing of it."""
    met = set()
    for seed in range(100):
        ts, label_ts, groups, splitter = drawn(seed)
        for train, test in by_hand(ts, label_ts, groups, splitter):
            begin = ts[test].min() if test else ts.max()
            cut = begin - pd.Timedelta(splitter.embargo)
            met |= {"refused"} if not train or not test else set()
            met |= {"late"} if ((ts < cut) & (label_ts > cut)).any() else set()
            met |= {"group"} if set(groups[(ts < cut) & (label_ts <= cut)]) & set(groups[test]) else set()
            met |= {f"window {splitter.test_size}", f"reach {splitter.max_train_size}"}
    assert met == {
        "refused", "late", "group", "window None", "window 7", "window 5D", "reach None", "reach 12", "reach 20D",
    }  # fmt: skip


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.uint64, np.int16, np.float32])
def test_short_and_unsigned_numbers_do_not_wrap_where_an_embargo_is_taken_off(dtype):
    told = RollingOriginSplit(2, ts=np.arange(12, dtype=dtype), test_size=3, embargo=3).split(N)
    assert [(a.tolist(), b.tolist()) for a, b in told] == [
        ([0, 1, 2], [6, 7, 8]),
        ([0, 1, 2, 3, 4, 5], [9, 10, 11]),
    ]
    with pytest.raises(ValueError, match="fold 1 has no row to train on"):
        list(RollingOriginSplit(2, ts=np.arange(12, dtype=dtype), test_size=3, embargo=300).split(N))


def test_instants_of_two_zones_are_compared_as_instants():
    ts = pd.Series(TIMES).dt.tz_localize("UTC")
    for zone in ("America/New_York", "Asia/Tokyo"):
        cv = RollingOriginSplit(2, ts=ts, label_ts=ts.dt.tz_convert(zone))
        np.testing.assert_equal(list(cv.split(N)), list(RollingOriginSplit(2).split(N)))


def test_a_numpy_duration_is_a_duration_and_no_number_of_rows():
    two = np.timedelta64(2, "D")
    told = RollingOriginSplit(2, ts=TIMES, test_size=two, embargo=two, max_train_size=two).split(N)
    assert [(a.tolist(), b.tolist()) for a, b in told] == [([4, 5], [8, 9]), ([6, 7], [10, 11])]


@pytest.mark.parametrize("n", [13, 40])
def test_it_is_scikit_learns_where_rows_are_in_order(n):
    grid = itertools.product([2, 5], [None, 2], [None, 3], [0, 1, 2])
    for folds, size, most, gap in grid:
        mine = RollingOriginSplit(folds, test_size=size, max_train_size=most, embargo=gap)
        peer = TimeSeriesSplit(folds, test_size=size, max_train_size=most, gap=gap)
        X = np.zeros((n, 2))
        try:
            expected = list(peer.split(X))
        except ValueError:
            with pytest.raises(ValueError, match="n_splits: got"):
                list(mine.split(X))
            continue
        for ts in (None, np.arange(n), pd.date_range("2026-03-02", periods=n)):
            embargo = f"{gap}D" if isinstance(ts, pd.DatetimeIndex) else gap
            timed = RollingOriginSplit(folds, test_size=size, max_train_size=most, embargo=embargo, ts=ts)
            for (a, b), (c, d) in zip(timed.split(X), expected, strict=True):
                np.testing.assert_array_equal(a, c)
                np.testing.assert_array_equal(b, d)


def test_equal_durations_are_tested_where_rows_are_uneven():
    ts = pd.Series(
        pd.Timestamp("2026-03-02") + pd.to_timedelta([0, 1, 2, 3, 3.5, 3.7, 3.9, 4.2, 5], unit="D")
    )
    told = RollingOriginSplit(2, ts=ts, test_size="1D").split(np.zeros((9, 1)))
    assert [(a.tolist(), b.tolist()) for a, b in told] == [
        ([0, 1, 2, 3], [4, 5, 6]),
        ([0, 1, 2, 3, 4, 5, 6], [7, 8]),
    ]


def test_rows_at_the_tests_first_instant_are_not_trained_on():
    ts = [1, 2, 3, 3, 3, 4]
    told = list(RollingOriginSplit(2, ts=ts, test_size=1).split(np.zeros((6, 1))))
    assert [(a.tolist(), b.tolist()) for a, b in told] == [([0, 1], [4]), ([0, 1, 2, 3, 4], [5])]


@pytest.mark.parametrize("kind", ["pandas", "zone", "numpy", "polars", "list", "index"])
def test_times_come_in_whatever_holds_them(kind):
    plain = pd.Series(pd.date_range("2026-03-02", periods=12, freq="6h"))
    ts = {
        "pandas": plain,
        "zone": plain.dt.tz_localize("Europe/Berlin"),
        "numpy": plain.to_numpy("datetime64[s]"),
        "polars": pl.Series(plain.to_list()),
        "list": plain.dt.tz_localize("UTC").to_list(),
        "index": pd.DatetimeIndex(plain),
    }[kind]
    told = list(RollingOriginSplit(2, ts=ts, embargo="12h", test_size=2).split(np.zeros((12, 1))))
    peer = list(TimeSeriesSplit(2, gap=2, test_size=2).split(np.zeros((12, 1))))
    for mine, other in zip(told, peer, strict=True):
        assert [side.tolist() for side in mine] == [side.tolist() for side in other]


# scikit-learn's own checks of splitters (model_selection/tests/test_split.py), run on this one.


def of_scikit_learn(module):
    """A module of scikit-learn's own tests; some installs leave them out, but CI's mustn't."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as absent:
        if not str(absent.name).startswith("sklearn") or os.environ.get("CI"):
            raise
        pytest.skip(f"scikit-learn is installed without its tests: no {module}")


def test_scikit_learns_checks_of_its_splitters_pass(monkeypatch):
    conventions = of_scikit_learn("sklearn.model_selection.tests.test_split")
    assert_request_is_empty = of_scikit_learn("sklearn.tests.metadata_routing_common").assert_request_is_empty
    cv = RollingOriginSplit()
    monkeypatch.setattr(conventions, "GROUP_SPLITTERS", [cv])
    conventions.test_splitter_set_split_request(cv)
    requests = cv.get_metadata_routing()
    assert requests.split.requests["groups"] is True
    # Times given to `split` go nowhere before somebody asks for them.
    assert requests.split.requests["ts"] is None
    assert_request_is_empty(requests, exclude=["split"])
    assert _yields_constant_splits(cv)
    assert check_cv(cv) is cv
    assert isinstance(cv, BaseCrossValidator)


def test_splits_are_valid_integer_and_the_same_for_any_form_of_x(monkeypatch):
    cv = RollingOriginSplit(3)
    X, y, groups = np.arange(24).reshape(12, 2), np.arange(12) % 2, np.arange(12)
    forms = [X, X[:, 0], X.tolist(), pd.DataFrame(X)]
    expected = list(cv.split(X, y, groups))
    assert cv.get_n_splits(X, y, groups) == len(expected) == 3
    for form in forms:
        np.testing.assert_equal(list(cv.split(form, y, groups)), expected)
    conventions = of_scikit_learn("sklearn.model_selection.tests.test_split")
    for train, test in expected:
        conventions.check_valid_split(train, test)
        assert train.dtype.kind == test.dtype.kind == "i"


def test_labels_of_another_length_are_refused():
    cv, X, y = RollingOriginSplit(3), np.zeros((12, 2)), np.arange(12)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        list(cv.split(X, y[:5]))


def test_without_scikit_learns_tests_its_checks_are_skipped_but_never_in_ci(monkeypatch):
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="scikit-learn is installed without its tests"):
        of_scikit_learn("sklearn.tests.none")
    monkeypatch.setenv("CI", "1")
    with pytest.raises(ModuleNotFoundError):
        of_scikit_learn("sklearn.tests.none")


def test_its_repr_names_its_settings_as_scikit_learn_writes_them():
    assert repr(RollingOriginSplit(3, embargo="7D")) == (
        "RollingOriginSplit(embargo='7D', label_ts=None, max_train_size=None, n_splits=3, test_size=None, ts=None)"
    )
    assert "ts=<1,000 of them>" in repr(RollingOriginSplit(ts=np.arange(1_000)))
    assert "embargo='7D'" in repr(GridSearchCV(Ridge(), {}, cv=RollingOriginSplit(embargo="7D")))


def test_it_is_copied_and_pickled_with_a_search():
    cv = RollingOriginSplit(3, ts=np.arange(30), embargo=2)
    search = clone(GridSearchCV(Ridge(), {"alpha": [1.0]}, cv=cv))
    for other in (search.cv, pickle.loads(pickle.dumps(cv))):
        np.testing.assert_equal(list(other.split(np.zeros((30, 1)))), list(cv.split(np.zeros((30, 1)))))


@pytest.fixture
def rows():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 2))
    return X, (X[:, 0] + rng.normal(size=400) > 0).astype(int), rng.permutation(400), np.arange(400) % 40


def test_searches_and_scores_take_it_with_groups(rows):
    X, y, ts, groups = rows
    cv = RollingOriginSplit(4, ts=ts, embargo=3)
    by_hand = [LogisticRegression().fit(X[a], y[a]).score(X[b], y[b]) for a, b in cv.split(X, y, groups)]
    scores = cross_val_score(LogisticRegression(), X, y, cv=cv, groups=groups)
    np.testing.assert_allclose(scores, by_hand)
    search = GridSearchCV(LogisticRegression(), {"C": [0.1, 1.0]}, cv=cv).fit(X, y, groups=groups)
    assert search.n_splits_ == 4
    np.testing.assert_allclose(search.cv_results_["mean_test_score"][1], np.mean(by_hand))
    assert learning_curve(LogisticRegression(), X, y, cv=cv, train_sizes=[0.5, 1.0])[1].shape == (2, 4)
    # Rows before the first test set are never predicted, as with TimeSeriesSplit.
    with pytest.raises(ValueError, match="only works for partitions"):
        cross_val_predict(LogisticRegression(), X, y, cv=cv)


def test_times_are_routed_as_metadata_into_a_search_within_a_test(rows):
    X, y, ts, _ = rows
    groups = np.arange(400)
    with sklearn.config_context(enable_metadata_routing=True):
        inner = RollingOriginSplit(2).set_split_request(ts=True, label_ts=True)
        outer = RollingOriginSplit(3, embargo=5).set_split_request(ts=True, label_ts=True)
        search = GridSearchCV(LogisticRegression(), {"C": [0.1, 1.0]}, cv=inner)
        told = cross_validate(
            search,
            X,
            y,
            cv=outer,
            params={"ts": ts, "label_ts": ts + 4, "groups": groups},
            return_indices=True,
        )
    expected = RollingOriginSplit(3, embargo=5, ts=ts, label_ts=ts + 4).split(X, y, groups)
    for mine, (train, _) in zip(told["indices"]["train"], expected, strict=True):
        np.testing.assert_array_equal(mine, train)
    assert len(told["test_score"]) == 3


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: RollingOriginSplit(1), "n_splits: got 1; it must be a whole number, 2 at least"),
        (lambda: RollingOriginSplit(test_size=0), "test_size: got 0; it must be a whole number, 1 at least"),
        (lambda: RollingOriginSplit(test_size="0D"), "test_size: got '0D'; it must be longer than nothing"),
        (lambda: RollingOriginSplit(test_size="week"), "test_size: got 'week'; it must be a duration"),
        (lambda: RollingOriginSplit(max_train_size=2.5), "max_train_size: got 2.5; it must be a duration"),
        (lambda: RollingOriginSplit(embargo=-1), "embargo: got -1; it must be 0 or more"),
        (lambda: RollingOriginSplit(embargo="-1D"), "embargo: got '-1D'; it must not be negative"),
        (lambda: RollingOriginSplit(embargo=True), "embargo: got True; it must be a duration"),
        (lambda: RollingOriginSplit(embargo=None), "embargo: got None; it must be a duration"),
        (lambda: list(RollingOriginSplit().split(N[:3])), "n_splits: got 5 with test sets of 0; there are 3 rows"),
        (lambda: list(RollingOriginSplit(2, embargo=4).split(N)), "n_splits: got 2; fold 1 has no row to train on"),
        (lambda: list(RollingOriginSplit(2, ts=[1, 2]).split(N)), "ts: got 2 for 12 rows; one each"),
        (lambda: list(RollingOriginSplit(2, ts=[np.nan] * 12).split(N)), "ts: got 12 missing of 12"),
        (lambda: list(RollingOriginSplit(2, ts=["a"] * 12).split(N)), "ts: got .*; they must be times or finite"),
        (lambda: list(RollingOriginSplit(2, ts=TIMES, embargo=1).split(N)), "embargo: got 1; it must be a duration"),
        (lambda: list(RollingOriginSplit(2, embargo="1D").split(N)), "embargo: got '1D'; rows without times"),
        (lambda: list(RollingOriginSplit(2, ts=TIMES, label_ts=range(12)).split(N)), "label_ts: got numbers; ts are times"),
        (
            lambda: list(RollingOriginSplit(2, ts=TIMES, label_ts=TIMES.tz_localize("UTC")).split(N)),
            "label_ts: got times with their zone; ts are times, and both must be of one kind",
        ),
        (lambda: list(RollingOriginSplit(2, ts=TIMES, label_ts=TIMES - DAY).split(N)), "label_ts: got 12 earlier"),
        (lambda: list(RollingOriginSplit(2).split(N, groups=[None] * 12)), "groups: got 12 missing of 12"),
        (
            lambda: list(RollingOriginSplit(2, ts=[*range(11), 50], test_size=None).split(N, groups=[1] * 12)),
            "n_splits: got 2; fold 1 has no row to train on",
        ),
        (
            lambda: list(RollingOriginSplit(2, ts=TIMES[:6].append(TIMES[:6] + 30 * DAY), test_size="2D").split(N)),
            None,
        ),
    ],
)  # fmt: skip
def test_what_it_cannot_work_with_is_refused(call, message):
    if message is None:
        assert len(call()) == 2
    else:
        with pytest.raises(ValueError, match=message):
            call()
