"""Who reads a table: paths by hand, cycles, unseen readers by simulation, FooBar's own log."""

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pytest

from toolkit.general.lineage import _most_unseen, cycles, lineage
from toolkit.world.readers import JOBS, declared, query_log


def log(*reads, start="2026-03-02"):
    """A read a day of (reader, table, writes)."""
    days = pd.date_range(start, periods=len(reads), tz="UTC")
    frame = pd.DataFrame(reads, columns=["reader", "table", "writes"])
    return frame.assign(ts=days)


def lists(*pairs):
    return pd.DataFrame(pairs, columns=["reader", "table"])


CHAIN = log(("rollup", "scores", "daily"), ("index", "daily", "search"), ("site", "search", None))


def test_a_declared_chain_is_known_to_its_end():
    finding = lineage(
        CHAIN, lists(("rollup", "scores"), ("index", "daily"), ("site", "search")), changed="scores"
    )
    assert finding.estimate == 0
    assert finding.ci == (0, 0)
    assert finding.table["known"].all()
    assert finding.table.set_index("reader")["by_way_of"].to_dict() == {
        "rollup": "scores",
        "index": "scores > daily",
        "site": "scores > daily > search",
    }


def test_who_stands_behind_an_undeclared_consumer_is_found_through_it_alone():
    finding = lineage(CHAIN, lists(("rollup", "scores"), ("site", "search")), changed="scores")
    assert finding.estimate == 1
    assert "1 of them is undeclared: index; 1 more can only be found through those" in finding.verdict
    table = finding.table.set_index("reader")
    assert table["known"].to_dict() == {"rollup": True, "index": False, "site": False}
    assert table.loc["site", "declared"]


def test_a_change_doesn_t_run_upstream():
    finding = lineage(CHAIN, lists(("site", "search")), changed="search")
    assert finding.table["reader"].tolist() == ["site"]
    assert finding.estimate == 0


def test_cycles_are_reported_and_not_followed_for_ever():
    loop = log(("trainer", "scores", "model"), ("ranker", "model", "scores"), ("other", "scores", None))
    finding = lineage(
        loop, lists(("trainer", "scores"), ("ranker", "model"), ("other", "scores")), changed="scores"
    )
    assert "the change comes back: scores > model > scores" in finding.verdict
    assert cycles(["a", "b", "c"], ["b", "c", "c"]) == [["c"]]
    assert cycles(["a", "b"], ["b", "c"]) == []


def test_foobar_s_undeclared_consumers_are_those_that_were_made_so():
    finding = lineage(query_log(), declared(), changed="ranker_scores")
    hidden = {job.reader for job in JOBS if not job.declared}
    table = finding.table
    assert set(table.loc[~table["declared"], "reader"]) == hidden
    assert finding.estimate == len(hidden) == 4
    assert finding.ci[1] > 4, "one of them was seen on a single day"
    assert "the change comes back: ranker_scores > item_scores_daily" in finding.verdict


def test_with_all_of_foobar_s_readers_declared_it_is_quiet():
    reads = query_log()
    all_of_them = reads[["reader", "table"]].drop_duplicates()
    finding = lineage(reads, all_of_them, changed="ranker_scores")
    assert finding.estimate == 0
    assert finding.ci == (0, 0)


@pytest.mark.parametrize("kind", ["polars", "pyarrow", "duckdb"])
def test_any_frame_gives_the_same_answer(kind):
    make = {
        "polars": pl.from_pandas,
        "pyarrow": lambda frame: pl.from_pandas(frame).to_arrow(),
        "duckdb": lambda frame: duckdb.from_df(frame),
    }[kind]
    known = lists(("rollup", "scores"), ("site", "search"))
    theirs = lineage(make(CHAIN), make(known), changed="scores")
    ours = lineage(CHAIN, known, changed="scores")
    assert theirs.verdict == ours.verdict
    pd.testing.assert_frame_equal(theirs.table, ours.table, check_dtype=False)


@pytest.mark.parametrize(("readers", "chance"), [(60, 0.05), (200, 0.1), (30, 0.2)])
def test_the_upper_end_holds_the_unseen_readers_as_often_as_it_says(readers, chance):
    # The lower end is the seen, which can't fail, so 97.5% is what an interval of 95% promises above.
    rng, held = np.random.default_rng(0), 0
    for _ in range(1500):
        days = rng.binomial(14, chance, readers)
        seen = days[days > 0]
        held += readers <= len(seen) + _most_unseen(seen, 14, alpha=0.05)
    assert 0.965 <= held / 1500 <= 0.995


def test_readers_that_all_came_often_leave_nobody_unseen():
    assert _most_unseen(np.array([14, 13, 2]), 14, alpha=0.05) == 0
    assert _most_unseen(np.array([]), 14, alpha=0.05) == 0
    assert _most_unseen(np.array([1, 9]), 14, alpha=0.05) == 3


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: lineage(CHAIN.drop(columns="writes"), lists(("a", "b")), changed="scores"),
            "reads: got columns .* must have writes",
        ),
        (
            lambda: lineage(CHAIN, lists(("a", "b"), ("a", "b")), changed="scores"),
            "reader, table: got 1 repeated of 2; each must be in declared once",
        ),
        (
            lambda: lineage(CHAIN, lists(("a", "b")), changed="prices"),
            "changed: got 'prices'; the log has reads of daily, scores, search",
        ),
        (
            lambda: lineage(CHAIN.assign(reader=None), lists(("a", "b")), changed="scores"),
            "reader: got 3 missing of 3; reads must be complete",
        ),
        (lambda: lineage(CHAIN.iloc[:0], lists(("a", "b")), changed="scores"), "reads: got no row"),
        (lambda: lineage(CHAIN, lists(("a", "b")), changed="scores", alpha=2), "alpha: got 2"),
        (lambda: query_log(days=0), "days: got 0"),
    ],
)
def test_bad_input_is_refused_by_name_value_and_rule(call, message):
    with pytest.raises(ValueError, match=message):
        call()
