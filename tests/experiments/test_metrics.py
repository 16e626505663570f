"""Reading a test: published numbers, SciPy's and statsmodels' on the same rows, coverage, CUPED, strata, refusals."""

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pytest
import statsmodels.formula.api as smf
from scipy.stats import kstest, ttest_ind

from toolkit.experiments.metrics import ROWS, Metric, compare, compare_all, spread


def sample(total, squares, n):
    """Rows of an odd number with just this sum and this sum of squares."""
    mean = total / n
    apart = np.sqrt((squares - total**2 / n) / (n - 1))
    return mean + apart * np.r_[np.ones((n - 1) // 2), -np.ones((n - 1) // 2), 0.0]


def users_of(n=400, *, rng=0, lift=0.0, correlation=0.7, base=5.0):
    draws = np.random.default_rng(rng)
    before = draws.normal(size=n)
    y = base + correlation * before + np.sqrt(1 - correlation**2) * draws.normal(size=n)
    treated = draws.random(n) < 0.5
    return pd.DataFrame(
        {
            "user_id": np.arange(n),
            "arm": np.where(treated, "treatment", "control"),
            "y": y + lift * treated,
            "before": before,
            "n": 1.0 + draws.poisson(np.exp(0.5 * before + 1)),
            "country": np.where(before + 0.3 * draws.normal(size=n) > 0, "de", "fr"),
        }
    )


def events_of(n=200, *, rng=0, icc=0.3):
    draws = np.random.default_rng(rng)
    rows = draws.poisson(5, n) + 1
    user = np.repeat(np.arange(n), rows)
    own = np.sqrt(icc) * draws.normal(size=n)[user]
    treated = draws.random(n) < 0.5
    return pd.DataFrame(
        {
            "user_id": user,
            "arm": np.where(treated, "treatment", "control")[user],
            "y": 3 + own + np.sqrt(1 - icc) * draws.normal(size=len(user)),
        }
    )


def test_welch_s_interval_is_gbstats_published_one():
    # gbstats' own tests print (.04538, .53462) and p = .02016 for these sums.
    control, treatment = sample(1396.87, 52377.9767, 3407), sample(2422.7, 134698.29, 3461)
    units = pd.DataFrame({"y": np.r_[control, treatment], "arm": ["control"] * 3407 + ["treatment"] * 3461})
    found = compare(units, "y")
    assert found.ci == (pytest.approx(0.04538, abs=5e-6), pytest.approx(0.53462, abs=5e-6))
    assert found.p == pytest.approx(0.02016, abs=5e-6)


def test_a_mean_is_compared_as_scipy_does():
    units = users_of(lift=0.2)
    arms = [units.loc[units["arm"] == arm, "y"] for arm in ("treatment", "control")]
    expected = ttest_ind(*arms, equal_var=False)
    found = compare(units, "y")
    assert found.p == pytest.approx(expected.pvalue, rel=1e-9)
    assert found.ci == pytest.approx(tuple(expected.confidence_interval()), rel=1e-9)
    assert found.n == found.n_clusters == 400


def test_a_mean_of_rows_has_the_cluster_robust_error_of_a_regression():
    events = events_of()
    found = compare(events, Metric("y", per=ROWS), cluster="user_id")
    fit = smf.ols("y ~ treated", events.assign(treated=events["arm"] == "treatment")).fit(
        cov_type="cluster", cov_kwds={"groups": events["user_id"], "use_correction": False}
    )
    assert found.estimate == pytest.approx(fit.params.iloc[1], rel=1e-9)
    # Each arm's variance has units / (units - 1), which the uncorrected sandwich hasn't.
    assert found.se == pytest.approx(fit.bse.iloc[1], rel=0.012)
    assert found.n == len(events)
    assert found.n_clusters == 200
    naive = compare(events, "y")
    assert naive.estimate == pytest.approx(found.estimate)
    assert naive.se < 0.85 * found.se


def test_the_delta_method_s_error_by_hand():
    units = pd.DataFrame({"arm": ["c"] * 3 + ["t"] * 3, "y": [1.0, 2, 6, 2, 5, 5], "n": [1.0, 2, 3, 2, 2, 4]})
    found = compare(units, Metric("y", per="n"), control="c", treatment="t")
    squared = 0.0
    for arm in ("c", "t"):
        rows = units[units["arm"] == arm]
        ratio = rows["y"].sum() / rows["n"].sum()
        squared += ((rows["y"] - ratio * rows["n"]) ** 2).sum() / 2 / 3 / rows["n"].mean() ** 2
    assert found.estimate == pytest.approx(12 / 8 - 9 / 6)
    assert found.se == pytest.approx(np.sqrt(squared))


def test_cuped_is_the_regression_on_a_centred_covariate_to_first_order():
    units = users_of(4_000, rng=1, lift=0.1)
    found = compare(units, Metric("y", covariate="before"))
    theta = np.cov(units["y"], units["before"])[0, 1] / units["before"].var()
    adjusted = units.assign(y=units["y"] - theta * (units["before"] - units["before"].mean()))
    expected = compare(adjusted, "y")
    assert found.estimate == pytest.approx(expected.estimate, rel=1e-9)
    assert found.ci == pytest.approx(expected.ci, rel=1e-9)
    # At a correlation of .7 half of the variance is gone (Deng et al.: 1 - rho squared is left).
    assert (found.se / compare(units, "y").se) ** 2 == pytest.approx(1 - 0.49, abs=0.04)


def test_cuped_gains_nothing_from_a_covariate_that_knows_nothing():
    units = users_of(4_000, rng=2, correlation=0.0)
    assert compare(units, Metric("y", covariate="before")).se == pytest.approx(
        compare(units, "y").se, rel=0.01
    )
    constant = compare(units.assign(before=1.0), Metric("y", covariate="before"))
    assert constant.ci == pytest.approx(compare(units, "y").ci)


def test_the_post_stratified_estimate_by_hand():
    units = users_of(300, rng=3, lift=0.3)
    found = compare(units, "y", strata="country")
    estimate = squared = 0.0
    for _, part in units.groupby("country"):
        weight = len(part) / len(units)
        arms = [part.loc[part["arm"] == arm, "y"] for arm in ("treatment", "control")]
        estimate += weight * (arms[0].mean() - arms[1].mean())
        squared += weight**2 * sum(arm.var() / len(arm) for arm in arms)
    assert found.estimate == pytest.approx(estimate)
    assert found.se == pytest.approx(np.sqrt(squared))
    assert found.se < compare(units, "y").se
    one = compare(units.assign(country="de"), "y", strata="country")
    assert one.ci == pytest.approx(compare(units, "y").ci)


def test_strata_of_several_columns_are_their_combinations():
    units = users_of(300, rng=11, lift=0.3)
    units["device"] = np.where(np.arange(300) % 3 == 0, "phone", "desk")
    expected = compare(units.assign(both=units["country"] + units["device"]), "y", strata="both")
    for lazily in (lambda f: f, duckdb.from_df):
        found = compare(lazily(units), "y", strata=["country", "device"])
        assert found.ci == pytest.approx(expected.ci, rel=1e-9)
    assert "country and device was known before the arm could change it" in found.assumptions
    one = compare(units, "y", strata=["country"])
    assert one.ci == pytest.approx(compare(units, "y", strata="country").ci)


def test_units_that_weigh_unequally_are_told():
    # One unit of 100 rows among 99 of one: (99 + 100)^2 / (99 + 100^2) = 3.92 equal ones.
    draws = np.random.default_rng(0)
    units = pd.DataFrame({"arm": ["control", "treatment"] * 100, "n": 1.0, "y": draws.random(200)})
    assert len(compare(units, Metric("y", per="n")).assumptions) == 2
    units.loc[[0, 1], "n"] = 100.0
    told = compare(units, Metric("y", per="n")).assumptions[2]
    assert told.startswith("a few units are enough: they differ so much in n that an arm's weigh as 4 equal")
    assert len(compare(units, "y").assumptions) == 2
    events = units.loc[units.index.repeat(units["n"].astype(int))].assign(user_id=lambda f: f.index)
    clustered = compare(events, Metric("y", per=ROWS), cluster="user_id").assumptions[2]
    assert "differ so much in rows that an arm's weigh as 4 equal" in clustered
    few = compare(units[100:140], Metric("y", per="n")).assumptions[2]
    assert few == "values are about normal: the smaller arm has 20 units"


@pytest.mark.parametrize("lazily", [lambda f: f, duckdb.from_df, lambda f: pl.from_pandas(f).lazy()])
def test_what_rounding_leaves_of_a_constant_ratio_is_no_variance(lazily):
    units = users_of()
    with pytest.raises(ValueError, match="y: got no variance in either arm"):
        compare(lazily(units.assign(y=0.1 * units["n"])), Metric("y", per="n"))
    with pytest.raises(ValueError, match="y: got sums that aren't finite"):
        compare(lazily(units.assign(y=1e300 * units["y"])), "y")
    # Squares of whole numbers near 2**61 have no room in 64 bits.
    large = compare(lazily(units.assign(y=(units["y"] * 2**58).astype("int64"))), "y")
    assert large.p == pytest.approx(compare(units, "y").p, rel=1e-9)


@pytest.mark.parametrize("lazily", [lambda f: f, duckdb.from_df, lambda f: pl.from_pandas(f).lazy()])
def test_a_unit_in_two_strata_is_refused(lazily):
    events = events_of().assign(country="de")
    fine = compare(lazily(events), "y", cluster="user_id", strata="country")
    assert fine.p == pytest.approx(compare(events, "y", cluster="user_id").p)
    moved = events.index == np.flatnonzero(events["user_id"].duplicated())[0]
    with pytest.raises(
        ValueError, match="user_id: got 1 in two of arm, country; a unit is in one arm and stratum"
    ):
        compare(
            lazily(events.assign(country=np.where(moved, "fr", "de"))),
            "y",
            cluster="user_id",
            strata="country",
        )


def test_ids_that_are_text_and_numbers_are_refused():
    events = events_of()
    mixed = [user if place % 2 else str(user) for place, user in enumerate(events["user_id"])]
    with pytest.raises(ValueError, match="user_id: got ids that are text and others that aren't in units"):
        compare(events.assign(user_id=mixed), Metric("y", per=ROWS), cluster="user_id")


def test_a_lift_s_interval_is_that_of_the_ratio_s_logarithm():
    found = compare(users_of(rng=4, lift=0.5), "y", relative=True)
    table = found.table.set_index("arm")
    assert found.estimate == pytest.approx(table["value"]["treatment"] / table["value"]["control"] - 1)
    error = np.hypot(*(table["se"] / table["value"]))
    assert np.log1p(found.ci[1]) - np.log1p(found.estimate) == pytest.approx(1.966 * error, rel=1e-3)
    assert found.se == pytest.approx((1 + found.estimate) * error)
    assert "higher in treatment" in found.verdict


def test_a_lift_over_nothing_is_undefined_and_the_difference_told():
    found = compare(users_of(rng=5, base=0.0, lift=2.0), "y", relative=True)
    both = compare(users_of(rng=5, base=-1.0, lift=2.0), "y", relative=True)
    assert np.isnan(both.estimate)
    assert np.isnan(both.ci).all()
    assert "higher in treatment" in both.verdict
    assert found.p < 1e-6


KINDS = {
    "mean": Metric("y"),
    "ratio": Metric("y", per="n"),
    "cuped": Metric("y", covariate="before"),
    "ratio, cuped": Metric("y", "n", "before"),
}


@pytest.fixture(scope="module")
def readings():
    """Three hundred worlds without an effect, each read in one go, without strata and with."""
    worlds = [users_of(250, rng=seed) for seed in range(300)]
    return {
        strata: pd.concat([compare_all(units, KINDS, strata=strata) for units in worlds])
        for strata in (None, "country")
    }


@pytest.mark.parametrize("strata", [None, "country"])
@pytest.mark.parametrize("kind", KINDS)
def test_intervals_cover_and_p_values_are_uniform_without_an_effect(kind, strata, readings):
    told = readings[strata].query("metric == @kind")
    for low, high in (("low", "high"), ("lift_low", "lift_high")):
        assert 0.925 <= ((told[low] <= 0) & (told[high] >= 0)).mean() <= 0.975
    assert kstest(told["p"], "uniform").pvalue > 0.001


def test_clustered_intervals_cover_where_naive_ones_do_not():
    inside = {"clustered": [], "naive": []}
    for seed in range(300):
        events = events_of(120, rng=seed, icc=0.5)
        for name, cluster in (("clustered", "user_id"), ("naive", None)):
            low, high = compare(events, Metric("y", per=ROWS), cluster=cluster).ci
            inside[name].append(low <= 0 <= high)
    assert 0.925 <= np.mean(inside["clustered"]) <= 0.975
    assert np.mean(inside["naive"]) < 0.85


def test_intervals_cover_a_true_lift():
    lifted = [users_of(250, rng=seed, lift=0.5) for seed in range(300)]
    found = [compare(units, "y", relative=True) for units in lifted]
    assert 0.925 <= np.mean([each.ci[0] <= 0.1 <= each.ci[1] for each in found]) <= 0.975


@pytest.mark.parametrize("lazily", [duckdb.from_df, lambda f: pl.from_pandas(f).lazy(), pl.from_pandas])
def test_every_library_s_frame_gives_the_same(lazily):
    units, events = users_of(rng=6), events_of(rng=6)
    events["arm"] = events["arm"].where(events["user_id"] > 10, None)
    for frame, metric, settings in (
        (units, Metric("y", "n", "before"), {"strata": "country"}),
        (events, Metric("y", per=ROWS), {"cluster": "user_id", "relative": True}),
    ):
        told, other = (compare(each, metric, **settings) for each in (frame, lazily(frame)))
        assert other.ci == pytest.approx(told.ci, rel=1e-9)
        assert (other.p, other.n, other.n_clusters) == (pytest.approx(told.p), told.n, told.n_clusters)


def test_several_metrics_are_told_as_each_alone():
    units = users_of(rng=7)
    table = compare_all(units, {"y": "y", "ratio": Metric("y", per="n")}).set_index("metric")
    alone = compare(units, Metric("y", per="n"))
    assert table.loc["ratio", ["difference", "low", "high", "p"]].tolist() == pytest.approx(
        [alone.estimate, *alone.ci, alone.p]
    )
    lift = compare(units, "y", relative=True)
    assert table.loc["y", ["lift", "lift_low", "lift_high"]].tolist() == pytest.approx(
        [lift.estimate, *lift.ci]
    )


def test_a_third_arm_and_rows_without_an_arm_are_left_out():
    units = users_of(rng=8)
    more = pd.concat([units, units.assign(arm="other", y=units["y"] + 1e6), units.assign(arm=None, y=np.nan)])
    assert compare(more, "y").ci == pytest.approx(compare(units, "y").ci, rel=1e-7)


@pytest.mark.parametrize("lazily", [lambda f: f, duckdb.from_df])
def test_strata_and_arms_that_lie_far_apart_keep_their_own_spread(lazily):
    units = users_of(rng=10)
    apart = units.assign(y=units["y"] + 1e7 * (units["country"] == "de"))
    told, other = (compare(lazily(each), "y", strata="country") for each in (units, apart))
    assert other.se == pytest.approx(told.se, rel=1e-7)
    far = units.assign(y=units["y"] + 1e7 * (units["arm"] == "treatment"))
    assert compare(lazily(far), "y").se == pytest.approx(compare(units, "y").se, rel=1e-7)
    high = units.assign(y=units["y"] + 1e8)
    assert spread(lazily(high), "y")[1] == pytest.approx(spread(units, "y")[1], rel=1e-7)


def test_a_spread_is_what_one_unit_brings_to_the_error():
    units = users_of(2_000, rng=9)
    for metric in (Metric("y"), Metric("y", per="n"), Metric("y", covariate="before")):
        _, deviation = spread(units, metric)
        assert compare(units, metric).se == pytest.approx(deviation * np.sqrt(4 / 2_000), rel=0.03)
    value, deviation = spread(units, "y")
    assert (value, deviation) == (pytest.approx(units["y"].mean()), pytest.approx(units["y"].std()))
    assert spread(units, "y", arm="arm")[1] == pytest.approx(deviation)
    assert spread(units.rename(columns={"y": "everybody"}), "everybody") == pytest.approx((value, deviation))


@pytest.mark.parametrize(
    ("change", "metric", "settings", "told"),
    [
        ({}, "z", {}, r"units: got columns .*; it must have z"),
        ({"y": np.nan}, "y", {}, "y: got 400 missing; units must be complete"),
        ({"y": np.inf}, "y", {}, "y: got sums that aren't finite in units"),
        ({"y": "a"}, "y", {}, "y: got .* in units; it must be numbers"),
        ({"y": 1.0}, "y", {}, "y: got no variance in either arm"),
        ({"n": 0.0}, Metric("y", per="n"), {}, "n: got 0 on average; a ratio needs a denominator"),
        ({}, "y", {"alpha": 1.0}, r"alpha: got 1\.0; it must lie strictly between 0 and 1"),
        ({}, "y", {"treatment": "new"}, r"treatment: got 'new'; arm has \['control', 'treatment'\]"),
        ({}, "y", {"treatment": "control"}, "treatment: got 'control'; it must be another arm"),
        ({"arm": None}, "y", {}, "units: got no row with an arm"),
        ({"country": None}, "y", {"strata": "country"}, "country: got 400 missing of 400"),
        ({}, "y", {"strata": "user_id"}, r"arm: got \d units in the \w+ with user_id 0; each needs two"),
        ({}, "y", {"strata": []}, r"strata: got \[\]; it must name columns"),
        ({}, "y", {"strata": [3]}, r"strata: got \[3\]; it must name columns"),
        ({}, "y", {"strata": "arm"}, "strata: got 'arm', and arm has the arms"),
        ({}, 3, {}, "metric: got 3; it must be a Metric or a column's name"),
        ({"user_id": None}, "y", {"cluster": "user_id"}, "user_id: got 400 missing of 400"),
        ({"user_id": 1}, "y", {"cluster": "user_id"}, "user_id: got 1 in two of arm; a unit is in one arm"),
    ],
)
def test_bad_input_is_refused(change, metric, settings, told):
    with pytest.raises(ValueError, match=told):
        compare(users_of().assign(**change), metric, **settings)


@pytest.mark.parametrize(
    ("change", "settings", "told"),
    [
        ({"y": None}, {}, "y: got 400 missing; units must be complete"),
        ({"country": None}, {"strata": "country"}, "country: got 400 missing; units must be complete"),
        ({"user_id": 1}, {"cluster": "user_id"}, "user_id: got 1 in two of arm; a unit is in one arm"),
        ({"user_id": None}, {"cluster": "user_id"}, "user_id: got a missing one; units must be complete"),
        ({"y": np.inf}, {}, "y: got sums that aren't finite in units"),
        ({"arm": None}, {}, "units: got no row with an arm"),
    ],
)
def test_bad_lazy_input_is_refused(change, settings, told):
    units = pl.from_pandas(users_of()).with_columns(
        **{name: pl.lit(value, dtype=pl.Float64 if name == "y" else None) for name, value in change.items()}
    )
    with pytest.raises(ValueError, match=told):
        compare(units.lazy(), "y", **settings)


def test_no_metric_and_one_unit_are_refused():
    with pytest.raises(ValueError, match=r"metrics: got \{\}; it must be a mapping"):
        compare_all(users_of(), {})
    with pytest.raises(ValueError, match="units: got 1; a spread needs two at least"):
        spread(users_of(1), "y")
