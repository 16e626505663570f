import numpy as np
import pandas as pd
import pytest
from scipy.special import expit
from scipy.stats import kstest
from scipy.stats import t as student

from toolkit.features.kv_freshness import kv_freshness, served_times

NOON = pd.Timestamp("2026-03-02 12:00", tz="UTC")


def log(rng, *, harm=0.0, items=80, rows=900, default_share=0.25, slope=1.0):
    """Served rows whose labels follow the score, but by `harm` in log-odds where the default stood in."""
    item = rng.integers(0, items, rows)
    often = rng.gamma(2, 3, items)
    age = often[item] * rng.exponential(size=rows)
    score = rng.normal(-1, 1, rows)
    gone = rng.random(rows) < default_share * 2 * rng.random(items)[item]
    y = rng.random(rows) < expit(slope * score + harm * gone)
    ts = NOON + pd.to_timedelta(rng.random(rows), unit="D")
    served = (ts - pd.to_timedelta(age, unit="h")).where(~gone)
    return pd.DataFrame(
        {"item_id": item, "ts": ts, "f_ts": served, "score": score, "y": y.astype(int)}
    ), often


def test_ages_and_shares_by_hand():
    frame = pd.DataFrame(
        {
            "item_id": [1, 2, 3, 4],
            "ts": NOON,
            "f_ts": [NOON - pd.Timedelta(hours=h) for h in (1, 5, 30)] + [pd.NaT],
        }
    )
    finding = kv_freshness(frame, served_ts="f_ts", y=None)
    assert finding.estimate == 12
    told = finding.table.set_index("what")["value"]
    assert told.to_dict() == {
        "age, hours": 12,
        "older than 24 h": pytest.approx(1 / 3),
        "default share": 0.25,
    }
    # A mean of three independent rows: the fourth, which has no value, says nothing of it.
    assert finding.se == pytest.approx(np.std([1, 5, 30], ddof=1) / np.sqrt(3))
    assert (finding.n, finding.n_clusters) == (3, 3)
    assert finding.p is None
    # Exactly so old isn't older.
    assert kv_freshness(frame, served_ts="f_ts", y=None, limit=5).table["value"].iloc[1] == pytest.approx(
        1 / 3
    )
    assert kv_freshness(frame, served_ts="f_ts", y=None, limit=3).table["value"].iloc[1] == pytest.approx(
        2 / 3
    )


def test_the_residual_is_what_unknown_items_earn_less_than_their_score_says():
    rng = np.random.default_rng(0)
    frame, _ = log(rng, harm=-1.5, rows=40_000, items=2_000)
    finding = kv_freshness(frame, served_ts="f_ts")
    gone = frame["f_ts"].isna()
    true = (expit(frame["score"] - 1.5) - expit(frame["score"]))[gone].mean()
    residual = finding.table.set_index("what").loc["residual"]
    assert residual["low"] < true < residual["high"]
    assert residual["p"] < 1e-6
    assert finding.p is None, "nobody asks whether an age is 0"
    assert "With the default, items do worse than their score says, by 0.2" in finding.verdict


def test_shares_have_the_interval_of_wilson_and_a_share_of_none_isn_t_a_point():
    frame, _ = log(np.random.default_rng(5), default_share=0.0)
    table = kv_freshness(frame, served_ts="f_ts", limit=1e6).table.set_index("what")
    items = frame["item_id"].nunique()
    for what in ("older than 1e+06 h", "default share"):
        # None of so many clusters, by hand with t's quantile: q^2 / (n + q^2).
        q = student.isf(0.025, items - 1)
        assert table.loc[what].tolist() == pytest.approx([0, 0, q**2 / (items + q**2)])
    one = frame.assign(f_ts=frame["f_ts"].where(frame["item_id"] == 1))
    told = kv_freshness(one, served_ts="f_ts", y=None)
    share = told.table.iloc[1]
    assert np.isnan([*told.ci, share["low"], share["high"]]).all(), "the rows with a value are of one item"


def test_any_increasing_linear_score_tells_the_same():
    frame, _ = log(np.random.default_rng(1), harm=-1.0)
    one, other = (
        kv_freshness(f, served_ts="f_ts") for f in (frame, frame.assign(score=5 + 3 * frame["score"]))
    )
    assert one.table.iloc[-1]["p"] == pytest.approx(other.table.iloc[-1]["p"])


def test_without_defaults_there_is_no_residual():
    frame, _ = log(np.random.default_rng(2), default_share=0.0)
    finding = kv_freshness(frame, served_ts="f_ts")
    assert finding.p is None
    assert "residual" not in finding.table["what"].tolist()
    assert "0.0% of the rows got the default." in finding.verdict


@pytest.mark.slow
def test_its_intervals_cover_and_its_p_is_uniform_where_the_default_does_no_harm():
    rng = np.random.default_rng(3)
    runs, chances, residual, ages = 400, [], 0, 0
    for _ in range(runs):
        frame, _ = log(rng, slope=1.5)
        finding = kv_freshness(frame, served_ts="f_ts")
        # The ages of other items, had they come: their mean over the law that these were drawn from.
        ages += finding.ci[0] <= 6 <= finding.ci[1]
        row = finding.table.set_index("what").loc["residual"]
        chances.append(row["p"])
        residual += row["low"] <= 0 <= row["high"]
    for inside in (residual, ages):
        assert 0.93 - 0.027 < inside / runs < 0.97 + 0.02, inside / runs
    assert kstest(chances, "uniform").pvalue > 0.005


def test_a_served_value_is_found_by_its_entity_and_value_at_its_last_event():
    def at(h):
        return NOON + pd.Timedelta(hours=h)

    history = pd.DataFrame(
        {
            "entity_id": [1, 1, 1, 2, 1],
            "feature": ["rate"] * 5,
            "value": [0.1, 0.2, 0.1, 0.3, 0.9],
            "version": [1, 1, 1, 1, 2],
            "event_ts": [at(-9), at(-6), at(-3), at(-1), at(-1)],
        }
    )
    frame = pd.DataFrame(
        {
            "item_id": [1, 1, 1, 1, 2, 1],
            "ts": [at(0), at(-4), at(0), at(0), at(0), at(-10)],
            "f_rate": [0.1, 0.1, 0.2, 0.9, 0.0, 0.1],
        }
    )
    told = served_times(frame, history, column="f_rate", feature="rate")
    assert told.tolist()[:3] == [at(-3), at(-9), at(-6)]
    # A value of another version, the default, and a value that is yet to come.
    assert told.isna().tolist() == [False, False, False, True, True, True]


FRAME, _ = log(np.random.default_rng(4))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: kv_freshness(FRAME, served_ts="f_x"), "serving: got columns .* it must have f_x"),
        (
            lambda: kv_freshness(FRAME.assign(f_ts=FRAME["ts"] + pd.Timedelta(hours=1)), served_ts="f_ts"),
            "f_ts: got 900 after ts; a value from after",
        ),
        (
            lambda: kv_freshness(
                FRAME.assign(f_ts=pd.Series(pd.NaT, index=FRAME.index).dt.tz_localize("UTC")),
                served_ts="f_ts",
            ),
            "f_ts: got 900 missing of 900; the store served nothing",
        ),
        (
            lambda: kv_freshness(FRAME.assign(f_ts=1.0), served_ts="f_ts"),
            "f_ts: got float64 in serving; it must be times",
        ),
        (lambda: kv_freshness(FRAME.assign(y=1), served_ts="f_ts"), "y: got only 1 among rows with a value"),
        (lambda: kv_freshness(FRAME.assign(y=2), served_ts="f_ts"), "y: got 2 in serving; a label is 0 or 1"),
        (
            lambda: kv_freshness(FRAME.assign(score=0.5), served_ts="f_ts"),
            "score: got 0.5 in all rows with a value; it must vary",
        ),
        (lambda: kv_freshness(FRAME, served_ts="f_ts", limit=0), "limit: got 0; it must lie above 0"),
        (lambda: kv_freshness(FRAME, served_ts="f_ts", alpha=2), "alpha: got 2"),
        (lambda: kv_freshness(FRAME.assign(item_id=1), served_ts="f_ts"), "item_id: got one in all rows"),
        (
            lambda: served_times(
                FRAME.assign(f_rate=0.5),
                pd.DataFrame(
                    {"entity_id": [1], "feature": "rate", "value": 0.5, "version": 1, "event_ts": [NOON]}
                ),
                column="f_rate",
                feature="rate",
                version=7,
            ),
            "feature: got 'rate', version 7; history has no row of it",
        ),
        (
            lambda: served_times(
                FRAME.assign(f_rate=0.5),
                pd.DataFrame(
                    {"entity_id": ["a"], "feature": "rate", "value": 0.5, "version": 1, "event_ts": [NOON]}
                ),
                column="f_rate",
                feature="rate",
            ),
            "item_id: got int64 in serving and .* in history; a key must be of one kind",
        ),
    ],
)
def test_bad_input_is_refused_by_name_value_and_rule(call, message):
    with pytest.raises(ValueError, match=message):
        call()
