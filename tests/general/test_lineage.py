"""Who reads a table: paths by hand, cycles, unseen readers by simulation, FooBar's own log."""

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pytest

from toolkit.general.lineage import cycles, days_of_log, lineage
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
    assert finding.ci == (4, np.inf)
    assert "the change comes back: ranker_scores > item_scores_daily" in finding.verdict


def test_with_all_of_a_quarter_s_readers_on_the_lists_another_fortnight_is_quiet():
    # The lists name readers that the fortnight may not hold, and tables that nobody read in it.
    registered = query_log(days=90, rng=1)[["reader", "table"]].drop_duplicates()
    finding = lineage(query_log(), registered, changed="ranker_scores")
    assert finding.estimate == 0
    assert finding.table["known"].all()


def visits(periods, days, rng):
    """A log of readers of one table that come at random times, each once in so many days; one is declared."""
    parts = [pd.DataFrame({"reader": "declared", "at": [0.0, float(days)]})]
    for number, period in enumerate(periods):
        at = rng.uniform(0, days, rng.poisson(days / period))
        parts.append(pd.DataFrame({"reader": f"reader {number}", "at": at}))
    frame = pd.concat(parts, ignore_index=True)
    ts = pd.Timestamp("2026-03-02", tz="UTC") + pd.to_timedelta(frame["at"], unit="D")
    return frame.assign(ts=ts, table="scores", writes=None)


def undeclared(periods, days, rng):
    return lineage(visits(periods, days, rng), lists(("declared", "scores")), changed="scores")


def test_a_log_is_as_long_as_the_rule_of_three_says_for_readers_of_any_rate():
    # 2,000 readers that come once in so many days: 5% of them are missed, within four standard errors.
    rng = np.random.default_rng(0)
    for every in (2.0, 7.0):
        found = undeclared([every] * 2000, days_of_log(every), rng)
        assert found.estimate / 2000 == pytest.approx(0.95, abs=4 * np.sqrt(0.05 * 0.95 / 2000))
        assert f"of readers that come once in {every:.1f} days the log shows 95%" in found.verdict
    assert days_of_log(30.0) == pytest.approx(90, abs=0.2)
    assert days_of_log(1.0, missed=np.exp(-2)) == pytest.approx(2)


@pytest.mark.parametrize("periods", [[1] * 3 + [7] * 3, [1] * 5 + [30] * 5, [30], [365] * 4])
def test_however_unequal_the_readers_the_interval_never_rules_out_those_that_were_missed(periods):
    rng = np.random.default_rng(1)
    findings = [undeclared(periods, 14, rng) for _ in range(40)]
    missed = [len(periods) - finding.estimate for finding in findings]
    assert all(finding.ci[0] <= len(periods) <= finding.ci[1] for finding in findings)
    # It matters: readers are missed as often as their periods say, and at no run is that ruled out.
    expected = np.exp(-14 / np.array(periods)).sum()
    assert np.mean(missed) == pytest.approx(expected, abs=4 * np.sqrt(expected / 40))


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
        (lambda: days_of_log(0), "every: got 0; it must lie above 0"),
        (lambda: days_of_log(7, missed=1), "missed: got 1"),
    ],
)
def test_bad_input_is_refused_by_name_value_and_rule(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_own_query_logs_are_read_or_refused_by_name():
    days = pd.date_range("2026-03-02", periods=3, tz="UTC")
    log = pd.DataFrame({"ts": days, "reader": ["a", "b", "c"], "table": "scores", "writes": None})
    known = pd.DataFrame({"reader": ["a"], "table": ["scores"]})
    told = lineage(log, known, changed="scores")
    for ts in (days.date, days.astype(str)):
        assert lineage(log.assign(ts=ts), known, changed="scores").verdict == told.verdict
    with pytest.raises(ValueError, match=r"ts: got int64, .* in reads; it must be times"):
        lineage(log.assign(ts=range(3)), known, changed="scores")
    with pytest.raises(ValueError, match=r"reader: got .* in reads and int64 in declared"):
        lineage(log, known.assign(reader=1), changed="scores")


def test_a_verdict_names_ten_readers_and_counts_the_others():
    log = pd.DataFrame({"reader": [f"r{i:02}" for i in range(12)], "table": "scores", "writes": None})
    log["ts"] = pd.date_range("2026-03-02", periods=12, tz="UTC")
    verdict = lineage(log, log[["reader", "table"]].head(1), changed="scores").verdict
    assert "r01, r02, r03, r04, r05, r06, r07, r08, r09, r10 and 1 more" in verdict
