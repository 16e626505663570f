"""Repeated values are found as a sort finds them, however many there are."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from toolkit.features import repeats
from toolkit.features.repeats import _alike, check_once, tied_in_time
from toolkit.features.sources import open_engine, source


def test_repeats_are_found_as_a_sort_finds_them():
    draw = np.random.default_rng(0)
    for size, kinds in ((0, 1), (1, 1), (2, 1), (1000, 300), (5000, 10**9), (5000, 10**5), (5000, 10**7)):
        marks = draw.integers(-kinds, kinds, size)
        values, times = np.unique(marks, return_counts=True)
        assert set(_alike(marks)) == set(np.flatnonzero(np.isin(marks, values[times > 1])))


def test_the_tied_are_those_that_share_their_time_in_any_order():
    draw = np.random.default_rng(1)
    for size, kinds in ((0, 1), (1, 1), (2, 1), (1000, 300), (5000, 10**6)):
        at = draw.integers(0, kinds, size)
        for times in (at, np.sort(at)):
            series = pd.Series(times)
            assert tied_in_time(times).tolist() == series[series.duplicated(keep=False)].index.tolist()


@pytest.mark.parametrize("few", [0, 10_000])
@pytest.mark.parametrize("table", ["frame", "relation"])
@pytest.mark.parametrize("shuffled", [False, True])
def test_one_conflict_among_many_ties_is_refused_and_none_is_not(monkeypatch, few, table, shuffled):
    monkeypatch.setattr(repeats, "_FEW", few)
    at = pd.Timestamp("2026-03-02", tz="UTC").as_unit("us") + pd.to_timedelta(
        np.repeat(range(500), 2), unit="s"
    )
    good = pd.DataFrame(
        {"entity_id": np.tile([1, 2], 500), "feature": "x", "event_ts": at, "available_ts": at}
    )
    good["value"] = np.arange(1000.0)
    same_again = pd.concat([good, good.iloc[[400]]])
    conflict = pd.concat([good, good.iloc[[400]].assign(value=-1.0)])

    def check(history):
        with open_engine(None) as engine, open_engine(None) as theirs:
            if shuffled:
                history = history.sample(frac=1, random_state=0, ignore_index=True)
            given = history if table == "frame" else theirs.from_df(history)
            check_once(engine, source(engine, given, "feature_history", list(history)), ["entity_id"], ["x"])

    check(good)
    check(same_again)
    with pytest.raises(ValueError, match="two values of 'x' for entity 1"):
        check(conflict)
