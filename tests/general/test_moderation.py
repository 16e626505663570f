"""What reports say against an audit, and what an audit costs: by hand, by simulation, and covered."""

import math
import re

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy.special import expit
from scipy.stats import norm

from toolkit.general.moderation import (
    _gap,
    audit_gain,
    audit_plan,
    audit_size,
    report_bias,
)


def reviewed(rng, *, count=2000, users=800, badness=1.5, slope=0.3):
    """An audit of posts whose log-odds of being reported grow with `badness` and with the score."""
    user = rng.integers(0, users, count)
    y = (rng.random(count) < expit(-1.8 + rng.normal(0, 0.6, users)[user])).astype(int)
    score = rng.normal(size=count) + 1.6 * y
    reported = (rng.random(count) < expit(-2.5 + badness * y + slope * score)).astype(int)
    return pd.DataFrame({"user_id": user, "y": y, "score": score, "reported": reported})


def truth(**settings):
    rows = reviewed(np.random.default_rng(9), count=1_500_000, users=600_000, **settings)
    flagged, told = rows["score"] >= 1.2, rows["reported"] == 1
    bad = rows["y"] == 1
    return [
        bad[told].mean() - bad.mean(),
        bad[told & flagged].mean() - bad[flagged].mean(),
        flagged[told & bad].mean() - flagged[bad].mean(),
    ]


def test_the_bias_is_the_covariance_over_the_report_rate():
    rows = reviewed(np.random.default_rng(0))
    finding = report_bias(rows, threshold=1.2)
    expected = np.cov(rows["reported"], rows["y"], bias=True)[0, 1] / rows["reported"].mean()
    assert finding.estimate == pytest.approx(expected, abs=1e-12)
    row = finding.table.iloc[0]
    assert row["bias"] == pytest.approx(expected, abs=1e-12)


def test_precision_and_recall_are_off_as_counted_by_hand():
    # Ten posts: three bad, of which two are reported; one good one is reported. Flagged: scores of 5 and more.
    rows = pd.DataFrame(
        {
            "user_id": range(10),
            "score": [9, 8, 7, 6, 5, 4, 3, 2, 1, 0],
            "y": [1, 0, 1, 0, 0, 1, 0, 0, 0, 0],
            "reported": [1, 1, 0, 0, 0, 1, 0, 0, 0, 0],
        }
    )
    many = pd.concat([rows.assign(user_id=rows["user_id"] + 10 * i) for i in range(40)])
    told = report_bias(many, threshold=5).table.set_index("measure")
    assert told.loc["prevalence", ["reports", "audit"]].tolist() == pytest.approx([2 / 3, 3 / 10])
    assert told.loc["precision", ["reports", "audit"]].tolist() == pytest.approx([1 / 2, 2 / 5])
    assert told.loc["recall", ["reports", "audit"]].tolist() == pytest.approx([1 / 2, 2 / 3])
    tenths = told.iloc[3:]
    assert len(tenths) == 10
    assert (tenths["rows"] == 40).all()
    # The lowest score is the first tenth; a tenth without reported posts has no claim and no interval.
    assert tenths["audit"].tolist() == [0, 0, 0, 0, 1, 0, 0, 1, 0, 1]
    assert tenths[["reports", "low", "high"]].iloc[0].isna().all()


def test_with_a_post_a_user_its_interval_is_newcombe_s():
    # Newcombe (1998), table II: 56/70 against 48/80 gives .0524 to .3339 by his method 10, 9/10 against 3/10
    # gives .1705 to .8090, 5/56 against 0/29 -.0381 to .1926. The weights make the
    # reported posts so few among all that the bias is the whole difference.
    for (a, m), (b, n), expected in (
        ((56, 70), (48, 80), (0.0524, 0.3339)),
        ((9, 10), (3, 10), (0.1705, 0.8090)),
        ((5, 56), (0, 29), (-0.0381, 0.1926)),
    ):
        hit = np.r_[np.ones(a), np.zeros(m - a), np.ones(b), np.zeros(n - b)]
        told = np.r_[np.ones(m), np.zeros(n)]
        weight = np.where(told == 1, 1.0, 1e9)
        gap = _gap(hit, told, weight, np.arange(m + n), 0.05)
        assert gap.ci == pytest.approx(expected, abs=2e-4)
        assert gap.few == (min(a, m - a, b, n - b) < 5)


def sparse(rng, *, bad=0.02, badness=1.0, posts=20_000, rate=0.002, drawn=400, users=20_000):
    """Few reports of rare bad posts, and a few hundred of the other posts drawn, with their chance."""
    user = rng.integers(0, users, posts)
    y = (rng.random(posts) < bad).astype(int)
    told = rng.random(posts) < rate / (1 - bad + bad * badness) * np.where(y == 1, badness, 1)
    others = np.flatnonzero(~told)
    chosen = np.r_[np.flatnonzero(told), rng.choice(others, drawn, replace=False)]
    return pd.DataFrame(
        {
            "user_id": user[chosen],
            "y": y[chosen],
            "reported": told[chosen].astype(int),
            "score": (rng.normal(size=posts) + 1.5 * y)[chosen],
            "propensity": np.where(told[chosen], 1.0, drawn / len(others)),
        }
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"bad": 0.01, "badness": 3},
        {"bad": 0.1, "badness": 100, "rate": 0.0015},
        {"bad": 0.1, "badness": 10, "rate": 0.02},
        {"bad": 0.05, "users": 6000, "rate": 0.01},
    ],
)
def test_rare_bad_posts_and_propensities_don_t_spoil_the_coverage(settings):
    rng, runs, inside, false = np.random.default_rng(14), 150, 0, 0
    bad, badness = settings.get("bad", 0.02), settings.get("badness", 1)
    true = bad * badness / (1 - bad + bad * badness) - bad
    for _ in range(runs):
        audit = sparse(rng, **settings)
        if audit["reported"].sum() < 20 or audit["y"].nunique() < 2:
            runs -= 1
            continue
        finding = report_bias(audit, threshold=1.5, propensity="propensity")
        inside += finding.ci[0] <= true <= finding.ci[1]
        false += "off by" in finding.verdict
    assert runs > 100
    # Two standard errors of the simulation below 95%; wider than need be is fine.
    assert inside / runs > 0.91, inside / runs
    if badness == 1:
        assert false / runs < 0.09


def test_where_too_few_posts_are_bad_the_verdict_says_so():
    rng = np.random.default_rng(15)
    finding = report_bias(sparse(rng), threshold=1.5, propensity="propensity")
    assert re.search(
        r"too few to say \(\d bad of \d\d reported posts and \d+ bad of 400 others\)", finding.verdict
    )
    assert math.isnan(finding.se)
    assert finding.ci[1] - finding.ci[0] > 0.05


def test_a_constant_report_rate_is_seen_as_no_bias_and_a_dependent_one_as_bias():
    even = report_bias(reviewed(np.random.default_rng(1), badness=0, slope=0), threshold=1.2)
    assert even.ci[0] < 0 < even.ci[1]
    assert "no bias is seen" in even.verdict
    uneven = report_bias(reviewed(np.random.default_rng(1)), threshold=1.2)
    assert uneven.ci[0] > 0.1
    assert "off by +" in uneven.verdict


def test_propensities_undo_an_audit_that_took_every_reported_post():
    posts = reviewed(np.random.default_rng(2), count=100_000, users=50_000)
    chance = np.where(posts["reported"] == 1, 1.0, 0.05)
    drawn = posts.assign(propensity=chance)[np.random.default_rng(3).random(len(posts)) < chance]
    finding = report_bias(drawn, threshold=1.2, propensity="propensity")
    full = report_bias(posts, threshold=1.2)
    assert finding.ci[0] < full.estimate < finding.ci[1]
    ignored = report_bias(drawn, threshold=1.2)
    assert not ignored.ci[0] < full.estimate < ignored.ci[1]
    # Tenths of the posts that the rows stand for, not of the rows.
    weight = 1 / drawn["propensity"]
    lowest = drawn["score"] < np.quantile(posts["score"], 0.1)
    assert finding.table["rows"][3] == pytest.approx(lowest.sum(), rel=0.08)
    assert weight[lowest].sum() / weight.sum() == pytest.approx(0.1, abs=0.01)


@pytest.mark.slow
@pytest.mark.parametrize("settings", [{}, {"badness": 0, "slope": 0}])
def test_its_intervals_cover(settings):
    rng, true = np.random.default_rng(4), truth(**settings)
    inside, given = np.zeros((2, 3))
    for _ in range(300):
        told = report_bias(reviewed(rng, **settings), threshold=1.2).table[:3]
        given += told["low"].notna()
        inside += (told["low"] <= true) & (told["high"] >= true)
    assert (given >= 240).all()
    # Two standard errors of the simulation around 93% to 97%.
    assert (inside / given > 0.90).all(), inside / given
    assert (inside / given < 0.995).all(), inside / given


@pytest.mark.parametrize("kind", ["polars", "pyarrow", "duckdb"])
def test_any_frame_will_do(kind):
    rows = reviewed(np.random.default_rng(5))
    convert = {
        "polars": pl.from_pandas,
        "pyarrow": lambda frame: pl.from_pandas(frame).to_arrow(),
        "duckdb": duckdb.from_df,
    }[kind]
    first, again = (report_bias(frame, threshold=1.2) for frame in (rows, convert(rows)))
    assert first.estimate == again.estimate
    assert first.table["high"].tolist() == pytest.approx(again.table["high"].tolist(), nan_ok=True)


def test_the_audit_s_size_gives_the_half_width():
    n = audit_size(0.1, 0.01)
    assert norm.isf(0.025) * (0.1 * 0.9 / n) ** 0.5 <= 0.01 < norm.isf(0.025) * (0.1 * 0.9 / (n - 1)) ** 0.5
    assert audit_size(0.5, 0.05) == 385  # as every survey handbook has it


def test_neyman_s_allocation_beats_others_and_its_gain_is_that_of_the_variance():
    shares, rates = np.array([0.5, 0.3, 0.2]), np.array([0.01, 0.1, 0.6])
    plan = audit_plan(shares, rates, rows=1000)
    assert plan["rows"].sum() == pytest.approx(1000)

    def variance(rows):
        return (shares**2 * rates * (1 - rates) / rows).sum()

    best = variance(plan["rows"].to_numpy())
    rng = np.random.default_rng(8)
    for _ in range(50):
        assert variance(1000 * rng.dirichlet([2, 2, 2])) >= best
    mean = shares @ rates
    assert mean * (1 - mean) / 1000 / best == pytest.approx(audit_gain(shares, rates))


ROWS = reviewed(np.random.default_rng(0))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: report_bias(ROWS.drop(columns="score"), threshold=1), "audit: got columns .* have score"),
        (lambda: report_bias(ROWS.iloc[:0], threshold=1), "audit: got no row"),
        (lambda: report_bias(ROWS.assign(y=0), threshold=1), "y: got only 0 in audit"),
        (lambda: report_bias(ROWS.assign(y=3), threshold=1), "y: got 3 in audit; a label is 0 or 1"),
        (lambda: report_bias(ROWS.assign(reported=0), threshold=1), "reported: got only 0 in audit"),
        (
            lambda: report_bias(ROWS.assign(reported=(np.arange(2000) < 19) * 1), threshold=1),
            "reported: got 19 reported posts in audit; their bias needs 20",
        ),
        (lambda: report_bias(ROWS.assign(score=2.0), threshold=1), "score: got only 2 in audit"),
        (lambda: report_bias(ROWS.assign(score=np.nan), threshold=1), "score: got 2000 missing of 2000"),
        (lambda: report_bias(ROWS, threshold=99), "threshold: got 99 for scores from .* not all"),
        (lambda: report_bias(ROWS, threshold=np.nan), "threshold: got nan"),
        (
            lambda: report_bias(ROWS.assign(e=0.0), threshold=1, propensity="e"),
            r"e: got 0.0 in audit; a propensity lies in \(0, 1\]",
        ),
        (lambda: report_bias(ROWS.assign(user_id=1), threshold=1), "user_id: got 1 in audit"),
        (lambda: report_bias(ROWS, threshold=1, alpha=1), "alpha: got 1"),
        (lambda: audit_size(0, 0.01), "prevalence: got 0"),
        (lambda: audit_size(0.1, 0), "half_width: got 0"),
        (lambda: audit_plan([0.5, 0.5], [0.1], rows=10), "rates: got 1 for 2 shares"),
        (lambda: audit_plan([0.5, 0.6], [0.1, 0.1], rows=10), "shares: got .* sum to 1"),
        (lambda: audit_plan([0.5, 0.5], [0.1, 1.1], rows=10), "rates: got .* must lie in"),
        (lambda: audit_plan([0.5, 0.5], [0.1, 0.1], rows=0), "rows: got 0"),
        (lambda: audit_gain([0.5, 0.5], [0, 1]), "nothing to find out"),
    ],
)
def test_bad_input_is_refused_by_name_value_and_rule(call, message):
    with pytest.raises(ValueError, match=message):
        call()
