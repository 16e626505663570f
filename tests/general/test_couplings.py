"""What a new score does to its consumer: derived slopes, size and coverage, FooBar's notifications, refusals."""

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy.stats import kstest, norm

from toolkit.general.couplings import consumer_impact, consumer_rows, quantile_shim, replay
from toolkit.general.downstream import action_rate, coefficient, score_sd
from toolkit.world import Settings
from toolkit.world.company import tables
from toolkit.world.story import tell


def reads(seed=0, rows=4000, users=400, noise=1.0, scale=1.0, cut=0.5, shared=0.5):
    """Half of the users' scores by v1, whose noise is as large as the signal; the consumer halves what it reads.

    `shared` of the signal's variance is the user's own.
    """
    rng = np.random.default_rng(seed)
    user = rng.integers(0, users, rows)
    new = (rng.random(users) < 0.5)[user]
    x = np.sqrt(shared) * rng.normal(size=users)[user] + np.sqrt(1 - shared) * rng.normal(size=rows)
    score = np.where(new, scale, 1.0) * (x + np.where(new, np.sqrt(noise), 1.0) * rng.normal(size=rows))
    return pd.DataFrame(
        {
            "ts": pd.date_range("2026-03-02", periods=rows, freq="min", tz="UTC"),
            "user_id": user,
            "upstream_version": np.where(new, "v2", "v1"),
            "upstream_score": score,
            "score": coefficient(1.0) * score,
            "action": coefficient(1.0) * score > cut,
            "y": x,
        }
    )


@pytest.mark.parametrize(("noise", "scale"), [(0.5, 1.0), (1.0, 0.5), (0.5, 2 / 3)])
def test_slopes_and_volumes_are_those_of_the_closed_forms(noise, scale):
    finding = consumer_impact(
        reads(rows=200_000, users=50_000, noise=noise, scale=scale), reference="v1", current="v2"
    )
    old, new = finding.table.to_dict("records")
    # A stale consumer is off by the ratio of what its coefficient should be to what it is.
    assert new["slope"] == pytest.approx(coefficient(noise, scale) / coefficient(1.0), rel=0.03)
    assert old["slope"] == pytest.approx(1, rel=0.03)
    for row, sd in ((old, score_sd(1.0)), (new, score_sd(noise, scale))):
        assert row["action_rate"] == pytest.approx(action_rate(0.5, sd=0.5 * sd), abs=0.006)
    assert finding.estimate == pytest.approx(new["action_rate"] - old["action_rate"])
    assert "no longer fits the outcome" in finding.verdict


def test_without_outcomes_the_slope_is_the_consumer_s_own():
    finding = consumer_impact(reads(scale=0.5), reference="v1", current="v2", outcome=None)
    assert finding.table["slope"].tolist() == pytest.approx([0.5, 0.5])
    assert "whether its actions got better or worse: that takes outcomes" in finding.cannot_tell


def test_without_a_change_p_is_uniform_and_19_of_20_intervals_hold_nothing():
    findings = [
        consumer_impact(reads(seed, rows=600, users=300), reference="v1", current="v2") for seed in range(300)
    ]
    assert kstest([finding.p for finding in findings], "uniform").pvalue > 0.01
    assert 0.93 <= np.mean([finding.ci[0] <= 0 <= finding.ci[1] for finding in findings]) <= 0.97
    rows = pd.concat([finding.table for finding in findings])
    slope, off = (
        (rows[f"{name}_low"] <= right) & (right <= rows[f"{name}_high"])
        for name, right in (("slope", 1), ("off", 0))
    )
    # Each at 97.5%, so that both hold at 95%.
    assert 0.935 <= (slope & off).mean() <= 0.975
    assert 0.96 <= slope.mean() <= 0.99
    assert 0.96 <= off.mean() <= 0.99


def test_rows_taken_for_independent_would_find_changes_that_are_none():
    naive = [
        consumer_impact(
            reads(seed, rows=800, users=40, shared=0.9), reference="v1", current="v2", cluster=None
        )
        for seed in range(60)
    ]
    assert np.mean([finding.p < 0.05 for finding in naive]) > 0.2


def test_the_interval_covers_a_true_change():
    truth = norm.sf(0.5 / (0.5 * score_sd(0.25, 0.8))) - norm.sf(0.5 / (0.5 * score_sd(1.0)))
    held = 0
    for seed in range(200):
        frame = reads(seed, rows=600, users=150, noise=0.25, scale=0.8)
        finding = consumer_impact(frame, reference="v1", current="v2")
        held += finding.ci[0] <= truth <= finding.ci[1]
    assert 0.925 <= held / 200 <= 0.975


def test_versions_are_compared_while_both_are_read_and_else_before_and_after():
    frame = reads()
    # A rush before the new version came mustn't count against it.
    early = frame[frame["upstream_version"] == "v1"].head(500)
    early = early.assign(ts=early["ts"] - pd.Timedelta(days=30), action=True)
    both = consumer_impact(pd.concat([early, frame]))
    assert both.estimate == pytest.approx(
        consumer_impact(frame, reference="v1", current="v2").estimate, abs=0.01
    )
    assert "while both were read" in both.verdict
    moved = frame.assign(
        ts=np.where(frame["upstream_version"] == "v2", frame["ts"] + pd.Timedelta(days=30), frame["ts"])
    )
    after = consumer_impact(moved.assign(ts=pd.to_datetime(moved["ts"], utc=True)))
    assert "after against before" in after.verdict
    assert "nothing but the version changed between the two times" in after.assumptions


def fitted(seed=0, rows=20_000, old=(0.0, 1.0), new=(0.0, 1.0)):
    """Two versions read in turn; the outcome is a line of the consumer's score, by shift and slope, and noise."""
    rng = np.random.default_rng(seed)
    score, later = rng.normal(size=rows), np.arange(rows) % 2 == 1
    shift, slope = (np.where(later, *pair) for pair in zip(new, old, strict=True))
    return pd.DataFrame(
        {
            "ts": pd.date_range("2026-03-02", periods=rows, freq="min", tz="UTC"),
            "user_id": rng.integers(0, max(2, rows // 10), rows),
            "upstream_version": np.where(later, "v2", "v1"),
            "upstream_score": score,
            "score": score,
            "action": score > 1,
            "y": shift + slope * score + rng.normal(size=rows),
        }
    )


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ((0, 1), (0, 1), "its score still fits the outcome"),
        ((0, 1), (-0.5, 1), "its score no longer fits the outcome"),
        ((0, 1), (0, 0.5), "its score no longer fits the outcome"),
        ((0, 0.31), (0, 0.31), "its score doesn't fit the outcome, and didn't before"),
        ((0.5, 1), (0, 1), "its score fits the outcome, which it didn't before"),
        ((0.25, 1), (0, 1), "its score fits the outcome ("),
        ((0, 1), (0.25, 1), "whether its score still fits the outcome can't be told"),
        ((0, 1.25), (0, 1.6), "its score doesn't fit the outcome; whether it did before can't be told"),
    ],
)
def test_a_score_fits_by_its_slope_and_by_its_mean_and_still_only_where_it_did(old, new, said):
    finding = consumer_impact(fitted(old=old, new=new), reference="v1", current="v2")
    assert said in finding.verdict
    before, after = finding.table.to_dict("records")
    for row, (shift, slope) in ((before, old), (after, new)):
        assert row["off"] == pytest.approx(shift, abs=0.04)
        assert row["off"] == pytest.approx(row["mean_outcome"] - row["mean_score"])
        assert row["slope"] == pytest.approx(slope, abs=0.04)


def test_few_rows_are_never_proof_that_a_score_fits():
    said = [
        consumer_impact(
            fitted(seed, rows=60, new=(0, 0.3)), reference="v1", current="v2", cluster=None
        ).verdict
        for seed in range(100)
    ]
    assert np.mean(["its score still fits" in verdict for verdict in said]) < 0.05
    assert np.mean(["can't be told (" in verdict for verdict in said]) > 0.3


def test_the_outcomes_of_what_was_acted_on_are_their_mean():
    frame = fitted(rows=2000)
    acted = frame[frame["action"]].groupby("upstream_version")["y"].mean()
    # In the whole time, for the first and last reads of each version are few.
    table = consumer_impact(frame, reference="v1", current="v2").table.set_index("version")
    assert table["acted_outcome"].to_dict() == pytest.approx(acted.to_dict(), abs=0.03)
    idle = consumer_impact(frame.assign(action=False), reference="v1", current="v2")
    assert idle.table["acted_outcome"].isna().all()


def test_the_verdict_says_more_fewer_or_that_no_difference_shows_with_the_interval_s_ends():
    frame = fitted()
    later = frame["upstream_version"] == "v2"
    for limit, said in ((0.8, "points more"), (1.2, "points fewer"), (1.0, "points)")):
        action = frame["score"] > np.where(later, limit, 1.0)
        finding = consumer_impact(frame.assign(action=action), reference="v1", current="v2")
        low, high = (100 * end for end in finding.ci)
        least, most = sorted((abs(low), abs(high)))
        span = (
            f"no difference shows ({low:+.1f} to {high:+.1f} points)"
            if limit == 1.0
            else f": {least:.1f} to {most:.1f} {said}"
        )
        assert span in finding.verdict


def handed_over(rows=40_000):
    """The first half by v1, the second by v2, whose smaller scores are acted on less often."""
    rng = np.random.default_rng(0)
    version = np.repeat(["v1", "v2"], rows // 2)
    score = rng.normal(size=rows) * np.where(version == "v2", 0.7, 1.0)
    return pd.DataFrame(
        {
            "ts": pd.date_range("2026-03-02", periods=rows, freq="2min", tz="UTC"),
            "user_id": rng.integers(0, 2000, rows),
            "upstream_version": version,
            "upstream_score": score,
            "score": score,
            "action": score > 1,
        }
    )


@pytest.mark.parametrize("rows", [40, 40_000])
def test_a_stray_read_of_each_version_doesn_t_choose_when_both_were_read(rows):
    frame, near = handed_over(rows), rows // 200 + 1
    frame.loc[[rows // 2 - near, rows // 2 + near], "upstream_version"] = ["v2", "v1"]
    finding = consumer_impact(frame, reference="v1", current="v2", outcome=None)
    assert finding.n == rows
    assert "after against before" in finding.verdict
    if rows > 1000:
        truth = norm.sf(1 / 0.7) - norm.sf(1)
        assert finding.ci[0] <= truth <= finding.ci[1] < 0


def test_a_stray_early_read_lets_no_other_time_into_the_comparison_and_what_is_left_out_is_said():
    frame = fitted()
    early = frame[frame["upstream_version"] == "v1"].head(5000)
    early = early.assign(ts=early["ts"] - pd.Timedelta(days=30), action=True)
    early.loc[early.index[0], "upstream_version"] = "v2"
    finding = consumer_impact(pd.concat([early, frame]))
    assert abs(finding.estimate) < 0.02
    left = 25_000 - finding.n
    # The early ones, and a hundredth of both versions at either end.
    assert 5_000 + 2 * 200 - 4 <= left <= 5_000 + 2 * 200 + 110
    assert f"({left:,} reads at other times left out)" in finding.verdict


def test_the_shim_makes_the_consumer_s_volume_quiet_again():
    frame = reads(scale=0.4)
    loud = consumer_impact(frame, reference="v1", current="v2")
    assert loud.ci[1] < 0
    shim = quantile_shim(
        *(frame.loc[frame["upstream_version"] == version, "upstream_score"] for version in ("v1", "v2"))
    )
    quiet = consumer_impact(replay(frame, shim, version="v2"), reference="v1", current="v2")
    assert quiet.ci[0] < 0 < quiet.ci[1]
    assert "still fits the outcome" in quiet.verdict


def test_foobar_s_notifications_follow_the_model_and_each_read_finds_its_outcome():
    nine = tables(tell(Settings(items=200, requests=400, days=33)), model="point-in-time")
    joined = consumer_rows(nine["downstream"], nine["serving_log"], nine["outcomes"])
    assert len(joined) == len(nine["downstream"])
    log = nine["serving_log"].merge(nine["outcomes"])
    assert joined["y"].sum() == log["y"].sum()
    assert (joined.groupby("user_id")["y"].sum() == log.groupby("user_id")["y"].sum()).all()
    finding = consumer_impact(joined)
    assert finding.table["version"].tolist() == ["old", "point-in-time"]
    assert finding.ci[1] < -0.1


@pytest.mark.parametrize("kind", ["polars", "pyarrow", "duckdb"])
def test_any_frame_gives_the_same_answer(kind):
    make = {
        "polars": pl.from_pandas,
        "pyarrow": lambda frame: pl.from_pandas(frame).to_arrow(),
        "duckdb": lambda frame: duckdb.from_df(frame),
    }[kind]
    frame = reads(rows=300)
    theirs = consumer_impact(make(frame), reference="v1", current="v2")
    ours = consumer_impact(frame, reference="v1", current="v2")
    assert theirs.summary() == ours.summary()
    pd.testing.assert_frame_equal(theirs.table, ours.table, check_dtype=False)


READS = reads(rows=200)
SERVED = pd.DataFrame(
    {
        "request_id": [1, 2],
        "item_id": 1,
        "user_id": 1,
        "ts": pd.date_range("2026-03-02", periods=2, tz="UTC"),
        "score": [0.1, 0.2],
    }
)
LABELS = pd.DataFrame({"request_id": [1, 2], "item_id": 1, "y": [0, 1]})
READ = SERVED.rename(columns={"score": "upstream_score"}).assign(
    upstream_version="v1", score=0.5, action=True
)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: consumer_impact(READS.drop(columns="user_id")),
            "downstream: got columns .* must have user_id",
        ),
        (lambda: consumer_impact(READS.drop(columns="y")), "downstream: got columns .* must have y"),
        (lambda: consumer_impact(READS.iloc[:0]), "downstream: got no row"),
        (
            lambda: consumer_impact(READS, current="v9", reference="v1"),
            "current: got 'v9'; it must be one of",
        ),
        (lambda: consumer_impact(READS, current="v1"), "reference: got None; it must be one of"),
        (
            lambda: consumer_impact(READS.assign(upstream_version="v1")),
            "reference: got None; it must be one of the versions v1",
        ),
        (
            lambda: consumer_impact(READS, current="v1", reference="v1"),
            "current: got 'v1', which is the reference",
        ),
        (lambda: consumer_impact(READS.assign(action=3)), "action: got 3 in downstream; a label is 0 or 1"),
        (lambda: consumer_impact(READS.assign(score=1.0)), "score: got 1 values from 'v.'; a slope needs 2"),
        (lambda: consumer_impact(READS.assign(score=np.nan)), "score: got 200 missing of 200"),
        (lambda: consumer_impact(READS, alpha=1), "alpha: got 1"),
        (lambda: consumer_impact(READS, margin=0), "margin: got 0; it must lie above 0"),
        (
            lambda: consumer_impact(READS.assign(ts=READS["ts"].dt.tz_localize(None))),
            r"ts: got datetime64\[.*\] in downstream; it must be times with their zone",
        ),
        (
            lambda: consumer_impact(READS.assign(ts=READS["ts"].dt.strftime("%d/%m/%Y %H:%M"))),
            "ts: got .* in downstream; it must be times with their zone",
        ),
        (
            lambda: consumer_rows(READ.assign(ts=READ["ts"].dt.tz_localize(None)), SERVED, LABELS),
            "ts: got .* in downstream; it must be times with their zone",
        ),
        (
            lambda: consumer_rows(READ, SERVED.assign(ts=SERVED["ts"].dt.tz_localize(None)), LABELS),
            "ts: got .* in serving_log; it must be times with their zone",
        ),
        (
            lambda: consumer_rows(READ.assign(upstream_score=0.3), SERVED, LABELS),
            "downstream: got 2 reads of 2 without an impression and outcome",
        ),
        (
            lambda: consumer_rows(READ, pd.concat([SERVED, SERVED]), LABELS),
            "ts, score: got 2 repeated of 4; each must be in serving_log once",
        ),
        (
            lambda: consumer_rows(READ, SERVED, LABELS.assign(request_id=1)),
            "request_id, item_id: got 1 repeated of 2; each must be in outcomes once",
        ),
    ],
)
def test_bad_input_is_refused_by_name_value_and_rule(call, message):
    with pytest.raises(ValueError, match=message):
        call()
