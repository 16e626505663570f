"""Missing hours by hand; completeness holds its level under Poisson and rougher traffic, and finds what is missing."""

import numpy as np
import pandas as pd
import polars as pl
import pytest

from toolkit.shipping.partitions import completeness, day_profile, missing_bias, slow_leak

BEGIN = pd.Timestamp("2026-02-02", tz="UTC")


def traffic(rng, *, days=29, wobble=0.0, busy=0.0, level=200):
    """Hourly counts with a rhythm of the day and the week; hours, and whole days, busier or not by chance."""
    hour = np.arange(days * 24)
    usual = (
        level * (1 + 0.6 * np.cos(2 * np.pi * (hour % 24 - 20) / 24)) * np.where(hour // 24 % 7 > 4, 0.8, 1)
    )
    moved = wobble * rng.normal(size=len(hour)) + busy * np.repeat(rng.normal(size=days), 24)
    return pd.DataFrame(
        {"ts": pd.date_range(BEGIN, periods=len(hour), freq="h"), "n": rng.poisson(usual * np.exp(moved))}
    )


def test_the_bias_of_a_gap_is_that_of_the_rows_that_are_left():
    profile = pd.DataFrame({"share": [0.5, 0.3, 0.2], "chance": [0.1, 0.2, 0.4]})
    # All: .05 + .06 + .08 = .19. Without the last: .11 / .8.
    assert missing_bias(profile, since=2, hours=1) == pytest.approx(0.1375 / 0.19 - 1)
    # m / (1 - m) (R - r_M) / R, with m = .2.
    assert missing_bias(profile, since=2, hours=1) == pytest.approx(0.25 * (0.19 - 0.4) / 0.19)
    # It goes on at the first hour.
    assert missing_bias(profile, since=2, hours=2) == pytest.approx(0.2 / 0.19 - 1)


@pytest.mark.parametrize("rhythm", [0.0, 0.2, 0.4])
def test_a_day_s_mean_stays_whatever_its_rhythm_and_without_one_no_gap_matters(rhythm):
    profile = day_profile(rhythm)
    assert profile["share"].sum() == pytest.approx(1)
    assert profile["share"] @ profile["chance"] == pytest.approx(0.05)
    off = [missing_bias(profile, since=since, hours=3) for since in range(24)]
    assert max(map(abs, off)) == pytest.approx(0, abs=1e-12) if rhythm == 0 else max(off) > 0 > min(off)


@pytest.mark.parametrize(("wobble", "busy"), [(0.0, 0.0), (0.1, 0.0), (0.05, 0.05)])
def test_false_alarms_are_as_rare_as_said_and_the_share_s_interval_covers(wobble, busy):
    rng, p, null, lost = np.random.default_rng(1), [], [], []
    for _ in range(30):
        counts = traffic(rng, wobble=wobble, busy=busy)
        before, today = counts[: 28 * 24], counts[28 * 24 :]
        found = completeness(today, before)
        p.append(found.p)
        null.append(found.ci[0] <= 0 <= found.ci[1])
        less = completeness(today.assign(n=rng.binomial(today["n"], 0.9)), before)
        lost.append(less.ci[0] <= 0.1 <= less.ci[1])
    # Three standard errors of a share of 5% among 30; 400 seeds gave 5 to 7.5%, and 95.5% covered.
    assert np.mean(np.array(p) < 0.05) < 0.17
    assert np.mean(null) > 0.83
    assert np.mean(lost) > 0.83
    # With independent hours the chances are uniform, so half of them lie below a half.
    if not busy:
        assert np.mean(np.array(p) < 0.5) == pytest.approx(0.5, abs=0.28)


def test_hours_that_a_group_by_leaves_out_count_as_empty():
    counts = traffic(np.random.default_rng(2))
    day = 28 * 24
    today = counts[day:].drop(index=[day + 9, day + 10, day + 23])
    found = completeness(today, counts[:day])
    assert found.table.loc[found.table["flagged"], "ts"].dt.hour.tolist() == [9, 10]
    # The last hour is known to be missing only to whoever says until when.
    whole = completeness(today, counts[:day], until=BEGIN + pd.Timedelta("29D"))
    assert whole.table.loc[whole.table["flagged"], "ts"].dt.hour.tolist() == [9, 10, 23]
    assert (
        "3 of 24 periods are short of rows, the first at 2026-03-02 09:00; 3 of them empty" in whole.verdict
    )
    assert len(whole.table) == 24


def test_too_many_rows_are_flagged_too_and_a_timetable_s_small_gaps_are():
    counts = traffic(np.random.default_rng(3))
    day = 28 * 24
    double = counts[day:].copy()
    double.loc[day + 5, "n"] *= 2
    assert (
        "1 of 24 periods has too many rows, the first at 2026-03-02 05:00"
        in completeness(double, counts[:day]).verdict
    )
    hours = pd.date_range(BEGIN, periods=29 * 24, freq="h")
    plan = pd.DataFrame({"ts": hours, "n": 100 + np.random.default_rng(4).integers(-1, 2, len(hours))})
    plan.loc[day + 7, "n"] = 90  # one standard deviation of Poisson's, ten of this timetable's
    found = completeness(plan[day:], plan[:day])
    assert found.table.loc[found.table["flagged"], "ts"].dt.hour.tolist() == [7]


def test_a_leak_of_a_few_percent_is_found_by_days_and_a_whole_stream_is_left_alone():
    rng = np.random.default_rng(5)
    counts = traffic(rng, days=49, level=400)
    cut, begin = 42 * 24, 35 * 24
    leaking = counts.assign(n=np.where(counts.index >= cut, rng.binomial(counts["n"], 0.96), counts["n"]))
    found = slow_leak(leaking[begin:], leaking[:begin])
    rang = found.table["ts"][found.table["alarm"].idxmax()]
    assert BEGIN + pd.Timedelta("42D") <= rang <= BEGIN + pd.Timedelta("46D")
    assert not slow_leak(counts[begin:], counts[:begin]).table["alarm"].any()


def test_the_chart_s_unit_is_how_days_vary_however_few_weeks_say_what_is_usual():
    rng, hours, spreads = np.random.default_rng(0), pd.date_range(BEGIN, periods=23 * 24, freq="h"), []
    for _ in range(12):
        # Three weeks, and two days of which a tenth and a fifth are lost.
        kept = np.repeat([1.0, 0.9, 0.8], [21 * 24, 24, 24])
        counts = pd.DataFrame({"ts": hours, "n": rng.poisson(400 * kept)})
        table = slow_leak(counts[21 * 24 :], counts[: 21 * 24]).table
        # Both sums grow by the day's loss, in the chart's units, less a slack of one half.
        first, both = table["below"]
        spreads.append(-table["log of rows"].diff()[1] / (both - 2 * first))
    # Poisson's, of the 24 x 400 rows of a day.
    assert np.mean(spreads) == pytest.approx(9600**-0.5, rel=0.1)


def test_any_frame_will_do():
    counts = traffic(np.random.default_rng(6))
    day = 28 * 24
    polars = completeness(pl.from_pandas(counts[day:]), pl.from_pandas(counts[:day]))
    assert polars.ci == pytest.approx(completeness(counts[day:], counts[:day]).ci)


COUNTS = traffic(np.random.default_rng(7))
PAST, NOW = COUNTS[: 28 * 24], COUNTS[28 * 24 :]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: completeness(NOW, PAST[: 14 * 24]),
            "reference: got 336 periods; each kind within 7D must be there three",
        ),
        (lambda: completeness(NOW.assign(n=-1), PAST), "n: got -1 in current; a count isn't negative"),
        (
            lambda: completeness(NOW.assign(ts=NOW["ts"] + pd.Timedelta("5min")), PAST),
            "ts: got times within a period in current",
        ),
        (
            lambda: completeness(NOW.assign(ts=NOW["ts"].dt.tz_localize(None)), PAST),
            "it must be times with their zone",
        ),
        (lambda: completeness(pd.concat([NOW, NOW]), PAST), "ts: got 24 repeated of 48"),
        (lambda: completeness(NOW, PAST, every="soon"), "every, season: got 'soon', '7D'"),
        (
            lambda: completeness(NOW, PAST, season="90min"),
            "season: got '90min'; it must be a multiple of every, '1h'",
        ),
        (
            lambda: completeness(NOW, PAST, until=BEGIN),
            "until: got 2026-02-02 00:00:00\\+00:00; current has rows at",
        ),
        (
            lambda: completeness(NOW, PAST, until="2026-03-03"),
            "until: got 2026-03-03; it must be a time with its zone",
        ),
        (lambda: completeness(NOW, PAST, alpha=1), "alpha: got 1"),
        (lambda: completeness(NOW.drop(columns="n"), PAST), "current: got columns .* it must have n"),
        (lambda: day_profile(1.0), r"rhythm: got 1.0; it must lie in \[0, 1\)"),
        (lambda: day_profile(0.9, base=0.9), "rhythm: got 0.9 with base 0.9; some hour's chance leaves"),
        (
            lambda: missing_bias(day_profile(0.1), since=0, hours=24),
            "hours: got 24; some, and not all, of 24",
        ),
    ],
)
def test_bad_input_is_refused_by_name_value_and_rule(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_constant_counts_still_have_a_poisson_count_s_error_and_an_empty_reference_is_refused():
    hours = pd.date_range("2026-02-02", periods=29 * 24, freq="h", tz="UTC")
    counts = pd.DataFrame({"ts": hours, "n": 50})
    now, past = counts[28 * 24 :], counts[: 28 * 24]
    # A day of 1,200 rows against the mean of four: Student's t of 21 degrees of freedom.
    assert completeness(now, past).ci[1] == pytest.approx(2.0796 * np.sqrt(1.25 / 1200), rel=1e-3)
    with pytest.raises(ValueError, match="n: got 0 in every period of reference; some period must have rows"):
        completeness(now, past.assign(n=0))


def test_departures_from_a_short_reference_are_scaled_by_its_own_error_too():
    rng, beyond = np.random.default_rng(11), 0
    hours = pd.date_range("2026-02-02", periods=28 * 24, freq="h", tz="UTC")
    for _ in range(8):
        counts = pd.DataFrame({"ts": hours, "n": rng.poisson(400, len(hours))})
        beyond += (completeness(counts[21 * 24 :], counts[: 21 * 24]).table["p"] <= 0.9).sum()
    # Of 1,344 hours 1 - 0.1 ** (1 / 168) each: 18; with the reference's means taken as known, 44.
    assert 7 <= beyond <= 30
