"""PSI and its null: closed forms, simulation, size with and without clusters, and what is refused."""

from decimal import Decimal

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy.stats import chi2, ks_2samp, ncx2, norm, wasserstein_distance
from statsmodels.stats.multitest import multipletests

from toolkit.general.drift import drift, psi, psi_distribution


def normals(n, rng, *, shift=0.0, scale=1.0, columns=1):
    return pd.DataFrame(
        shift + scale * rng.normal(size=(n, columns)), columns=[f"x{i}" for i in range(columns)]
    )


def true_psi(edges, *, scale=1.0, shift=0.0):
    a = np.diff(np.r_[0, norm.cdf(edges), 1])
    b = np.diff(np.r_[0, norm.cdf((edges - shift) / scale), 1])
    return ((a - b) * np.log(a / b)).sum()


DECILES = norm.ppf(np.arange(1, 10) / 10)


def test_one_column_has_two_indices_by_its_bins():
    assert true_psi(DECILES, scale=1.2) == pytest.approx(0.0433, abs=0.0001)
    rng = np.random.default_rng(0)
    before, after = normals(200_000, rng), normals(200_000, rng, scale=1.2)
    told = {
        how: drift(before, after, cluster=None, rows=0, binning=how).estimate
        for how in ("quantiles", "widths")
    }
    assert told["quantiles"] == pytest.approx(0.0433, abs=0.003)
    assert told["widths"] > 1.25 * told["quantiles"]
    # No bins can show more than the two densities differ by, .5 (1.44 + 1/1.44) - 1.
    assert told["widths"] < 0.5 * (1.44 + 1 / 1.44) - 1


@pytest.mark.slow
def test_intervals_cover_and_what_stands_still_is_quiet():
    rng = np.random.default_rng(5)
    for n, shift in ((100, 0.0), (1000, 0.2), (400, 0.7)):
        truth = true_psi(DECILES, shift=shift)
        covered = alarms = 0
        for _ in range(180):
            finding = drift(normals(n, rng), normals(n, rng, shift=shift), cluster=None, rows=0)
            covered += finding.ci[0] <= truth <= finding.ci[1]
            alarms += finding.p <= 0.05
        assert 0.90 <= covered / 180 <= 0.99, (n, shift)
        if not shift:
            assert alarms / 180 == pytest.approx(0.05, abs=0.049), n


def test_columns_that_stand_still_ring_together_once_in_twenty():
    rng = np.random.default_rng(1)
    rang = [
        drift(normals(400, rng, columns=5), normals(400, rng, columns=5), cluster=None, rows=0).p <= 0.05
        for _ in range(80)
    ]
    assert np.mean(rang) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 80)


def by_user(rng, taste, base=0, *, each=10, kind="number"):
    user = np.repeat(np.arange(len(taste)), each)
    x = taste[user] + 0.7 * rng.normal(size=len(user))
    if kind == "text":
        x = np.array(list("abcdefgh"))[np.clip(np.round(2 * x + 4), 0, 7).astype(int)]
    return pd.DataFrame({"user_id": user + base, "x": x})


@pytest.mark.parametrize("kind", ["number", "text"])
def test_clusters_are_taken_into_account_whether_users_come_back_or_not(kind):
    rng = np.random.default_rng(3)
    alarms = {"new users": 0, "the same users": 0, "new users, rows alone": 0}
    for _ in range(80):
        taste = rng.normal(size=150)
        before = by_user(rng, taste, kind=kind)
        new = by_user(rng, rng.normal(size=150), 1000, kind=kind)
        alarms["new users"] += drift(before, new, rows=0).p <= 0.05
        alarms["the same users"] += drift(before, by_user(rng, taste, kind=kind), rows=0).p <= 0.05
        alarms["new users, rows alone"] += drift(before[["x"]], new[["x"]], cluster=None, rows=0).p <= 0.05
    assert alarms["new users"] / 80 == pytest.approx(0.05, abs=0.073)
    assert alarms["the same users"] / 80 == pytest.approx(0.05, abs=0.073)
    assert alarms["new users, rows alone"] / 80 > 0.25


@pytest.mark.parametrize("kind", ["pandas", "polars", "pyarrow", "duckdb"])
def test_a_column_that_moved_is_found_in_any_frame_and_distances_are_scipy_s(kind):
    rng = np.random.default_rng(0)
    before, after = normals(3000, rng, columns=3), normals(2000, rng, columns=3)
    after["x1"] += 0.3
    given = {
        "pandas": lambda frame: frame,
        "polars": pl.from_pandas,
        "pyarrow": lambda frame: pl.from_pandas(frame).to_arrow(),
        "duckdb": lambda frame: duckdb.from_df(frame),
    }[kind]
    finding = drift(given(before), given(after), cluster=None)
    table = finding.table.set_index("column")
    assert table.index[0] == "x1"
    assert table["moved"].tolist() == [True, False, False]
    assert "1 of 3 columns moved by more than luck, most of all x1" in finding.verdict
    theirs = ks_2samp(before["x1"], after["x1"], method="asymp")
    assert table.loc["x1", "ks"] == pytest.approx(theirs.statistic)
    assert table.loc["x1", "ks_p"] == pytest.approx(theirs.pvalue)
    distance = wasserstein_distance(before["x1"], after["x1"]) / before["x1"].std(ddof=0)
    assert table.loc["x1", "wasserstein"] == pytest.approx(distance)
    assert table["adjusted_p"].tolist() == pytest.approx(multipletests(table["p"], method="holm")[1].tolist())


def test_the_quantile_bins_are_numpy_s_and_the_counts_right():
    rng = np.random.default_rng(2)
    before, after = normals(1000, rng), normals(700, rng, shift=0.2)
    edges = np.sort(before["x0"])[99:-1:100]
    counts = [np.bincount(np.searchsorted(edges, x["x0"]), minlength=10) for x in (before, after)]
    assert counts[0].tolist() == [100] * 10
    finding = drift(before, after, cluster=None)
    assert finding.estimate == pytest.approx(psi(*counts))
    assert finding.p == pytest.approx(chi2.sf(psi(*counts) / (1 / 1000 + 1 / 700), 9))


def test_bins_of_equal_widths_are_numpy_s():
    rng = np.random.default_rng(2)
    before, after = normals(1000, rng)["x0"], normals(700, rng, shift=0.2)["x0"]
    edges = np.linspace(before.min(), before.max(), 11)
    counts = [np.histogram(x.clip(edges[0], edges[-1]), edges)[0] for x in (before, after)]
    finding = drift(before.to_frame(), after.to_frame(), cluster=None, binning="widths", rows=0)
    assert finding.estimate == pytest.approx(psi(*counts))


def test_the_error_is_a_noncentral_chi_square_s_and_intervals_share_the_level():
    rng = np.random.default_rng(2)
    before, after = normals(1000, rng, columns=2), normals(700, rng, shift=0.2, columns=2)
    both = drift(before, after, cluster=None, rows=0)
    unit = 1 / 1000 + 1 / 700
    assert both.se == pytest.approx(unit * ncx2.std(9, both.estimate / unit))
    first = both.table["column"][0]
    alone = drift(before, after, columns=[first], cluster=None, rows=0, alpha=0.025)
    assert both.ci == pytest.approx(alone.ci)


def test_few_clusters_make_the_noise_larger_by_one_over_all_but_one():
    rows = pd.DataFrame({"x": ["a", "b"] * 10})
    apart = [rows.assign(user_id=np.arange(20) + begin) for begin in (0, 20)]
    clustered, alone = drift(*apart), drift(rows, rows, cluster=None)
    assert clustered.table["noise"][0] == pytest.approx(40 / 39 * alone.table["noise"][0])


def test_missing_values_and_new_categories_are_bins_of_their_own():
    before = pd.DataFrame({"n": np.arange(400) / 7, "c": ["a", "b"] * 200, "flag": [True, False] * 200})
    after = before.copy()
    after.loc[:99, "n"] = np.nan
    after.loc[:49, "c"] = "new"
    after.loc[50:99, "c"] = None
    table = drift(before, after, cluster=None).table.set_index("column")
    assert table.loc["n", "missing_current"] == 0.25
    assert table.loc["c", "missing_current"] == 0.125
    assert table["moved"].to_dict() == {"n": True, "c": True, "flag": False}
    # a, b, new, missing.
    assert table.loc["c", "psi"] == pytest.approx(psi([200, 200, 0, 0], [150, 150, 50, 50]))
    assert table.loc["c", "noise"] == pytest.approx(chi2.ppf(0.95, 3) * (1 / 400 + 1 / 400))
    assert table.loc["flag", "psi"] == 0


def test_a_constant_column_moves_in_either_direction_and_rare_categories_share_a_bin():
    before, after = pd.DataFrame({"x": [3.0] * 100}), pd.DataFrame({"x": [2.0] * 50 + [3.0] * 50})
    assert drift(before, after, cluster=None).table["moved"][0]
    same = drift(before, before, cluster=None)
    assert (same.estimate, same.ci, same.p) == (0.0, (0.0, 0.0), 1.0)
    rare = pd.DataFrame({"id": [f"u{i}" for i in range(200)]})
    assert drift(rare, rare.replace("u", "v", regex=True), cluster=None).p == 1.0


FRAME = by_user(np.random.default_rng(0), np.zeros(5))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: drift([1], FRAME), "reference: got list; it must be a frame"),
        (lambda: drift(FRAME, FRAME.drop(columns="x")), "current: got columns .* it must have x"),
        (
            lambda: drift(FRAME.drop(columns="user_id"), FRAME),
            "reference: got columns .* it must have user_id",
        ),
        (lambda: drift(FRAME.iloc[:0], FRAME), "reference: got no row"),
        (lambda: drift(FRAME, FRAME, columns=[]), "columns: got none"),
        (lambda: drift(FRAME[["user_id"]], FRAME), "reference: got no column to compare"),
        (lambda: drift(FRAME.assign(x=np.inf), FRAME), "x: got inf; a number must be finite or missing"),
        (lambda: drift(FRAME.assign(x="a"), FRAME), "x: got .* both must be alike"),
        (
            lambda: drift(*[FRAME.assign(x=pd.Timestamp("2026-03-02"))] * 2),
            "x: got datetime64.* leave it out",
        ),
        (lambda: drift(FRAME.assign(user_id=None), FRAME), "user_id: got 50 missing"),
        (lambda: drift(*[FRAME.assign(user_id=1)] * 2), "user_id: got 1 value"),
        (lambda: drift(FRAME, FRAME, bins=1), "bins: got 1"),
        (lambda: drift(FRAME, FRAME, rows=-1), "rows: got -1"),
        (lambda: drift(FRAME, FRAME, binning="deciles"), "binning: got 'deciles'"),
        (lambda: drift(FRAME, FRAME, alpha=0), "alpha: got 0"),
        (lambda: psi([1, -1], [1, 1]), "reference: got .* counts aren't negative"),
        (lambda: psi([1, 1], [0, 0]), "current: got .* not all 0"),
        (lambda: psi([1, 1], [1, 1, 1]), "current: got 3 bins; reference has 2"),
        (lambda: psi_distribution(0, 10), "n, m: got 0, 10"),
        (lambda: psi_distribution(10, 10, bins=1), "bins: got 1"),
        (lambda: psi_distribution(10, 10, psi=-1), "psi: got -1"),
    ],
)
def test_bad_input_is_refused_by_name_value_and_rule(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_lists_are_refused_and_one_row_says_nothing():
    lists = pd.DataFrame({"x": [[1], [2]] * 5})
    with pytest.raises(ValueError, match="x: got a list in each row; it must be one value"):
        drift(lists, lists, cluster=None)
    one, other = pd.DataFrame({"x": [3.0]}), pd.DataFrame({"x": [4.0]})
    assert drift(one, other, cluster=None).p == 1


def test_decimals_are_numbers_not_categories():
    draw = np.random.default_rng(0)
    before, after = (pd.DataFrame({"price": draw.normal(mean, 1, 400).round(4)}) for mean in (5, 6))
    as_decimals = [frame.map(lambda value: Decimal(repr(value))) for frame in (before, after)]
    assert drift(*as_decimals, cluster=None).estimate == pytest.approx(
        drift(before, after, cluster=None).estimate
    )
