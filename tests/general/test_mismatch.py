"""Weights mend composition, say how many rows they leave, and refuse where they can't."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy.stats import kstest

from toolkit.general.mismatch import (
    balance,
    effective_sample_size,
    effective_share,
    shift_split,
    weighted_errors,
)


def test_the_effective_sample_size_is_kish_s():
    assert effective_sample_size(np.ones(50)) == pytest.approx(50)
    assert effective_sample_size([2.0, 1.0, 0.0]) == pytest.approx(9 / 5)
    # Scaling weights changes nothing, not even where squares would overflow.
    assert effective_sample_size([2e200, 1e200]) == pytest.approx(9 / 5)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([1, -1], "weights: got -1.0; a weight is finite and not negative"),
        ([1, np.inf], "weights: got inf; a weight is finite and not negative"),
        ([0, 0], "weights: got no weight above 0"),
        ([], "weights: got no weight above 0"),
    ],
)
def test_impossible_weights_are_refused(weights, message):
    with pytest.raises(ValueError, match=message):
        effective_sample_size(weights)


def test_the_effective_share_is_that_of_normal_density_ratios():
    # OUTLINE: 37% at one standard deviation, 1.8% at two; ten features shifted by half leave 8.2%.
    assert effective_share(1.0) == pytest.approx(0.37, abs=0.005)
    assert effective_share(2.0) == pytest.approx(0.018, abs=0.0005)
    assert effective_share(0.5, features=10) == pytest.approx(0.082, abs=0.0005)
    x = np.random.default_rng(0).normal(size=(400_000, 3))
    weights = np.exp((0.6 * x).sum(1))
    assert effective_sample_size(weights) / len(x) == pytest.approx(
        effective_share(0.6, features=3), rel=0.03
    )


def test_errors_of_a_mean_are_the_bias_left_alone_and_the_spread_when_weighted():
    told = weighted_errors(0.5, features=4, relevance=0.6, rows=2000, replicates=2000, rng=1)
    told = told.set_index("estimate")
    # Left alone: the outcome's mean moves by relevance times the whole shift, sqrt(4) / 2 = 1.
    assert told.loc["as it is", "bias"] == pytest.approx(-0.6, abs=0.005)
    assert told.loc["as it is", "spread"] == pytest.approx(2000**-0.5, rel=0.06)
    # The delta method for a ratio of weighted sums, Gaussian moments: E w^2 (y - m)^2 / n, with
    # y - m of variance 1 and mean r around the doubly tilted law.
    expected = (np.e * (1 + 0.36) / 2000) ** 0.5
    assert told.loc["weighted", "spread"] == pytest.approx(expected, rel=0.06)
    assert abs(told.loc["weighted", "bias"]) < 0.01


def test_weights_lose_where_the_shifted_features_do_not_matter():
    for relevance, wins in ((0.0, "as it is"), (0.8, "weighted")):
        told = weighted_errors(1.5, features=1, relevance=relevance, rows=500).set_index("estimate")
        assert told["error"].idxmin() == wins


def populations(rng, rows=300, per_user=2, shift=0.5, effect=0.0):
    frames = []
    for first, moved, extra in ((0, 0.0, 0.0), (10**6, shift, effect)):
        users = rows // per_user
        user = np.repeat(np.arange(users), per_user)
        taste = rng.normal(0, 0.7, users)[user]
        x = rng.normal(moved, 1, (rows, 2))
        y = 1.0 + x @ [1.0, -0.3] + extra + taste + rng.normal(size=rows)
        frames.append(pd.DataFrame({"user_id": first + user, "x1": x[:, 0], "x2": x[:, 1], "y": y}))
    return frames


FEATURES = ["x1", "x2"]


def test_composition_and_remainder_sum_to_the_difference_and_are_found():
    old, new = populations(np.random.default_rng(0), rows=20_000, shift=0.4, effect=0.25)
    finding = shift_split(old, new, features=FEATURES)
    size = finding.table.set_index("part")["size"]
    assert size["whole difference"] == pytest.approx(new["y"].mean() - old["y"].mean())
    assert size["composition"] + size["what remains"] == pytest.approx(size["whole difference"])
    # By construction 0.4 (1 - 0.3) of composition, 0.25 for rows with the same features.
    assert size["composition"] == pytest.approx(0.28, abs=4 * finding.table["se"][1])
    assert finding.estimate == pytest.approx(0.25, abs=4 * finding.se)
    assert "rows with the same features differ by +0.2" in finding.verdict


@pytest.mark.slow
def test_its_intervals_cover_and_its_p_values_are_uniform():
    rng = np.random.default_rng(1)
    inside, composed, p = 0, 0, []
    for _ in range(500):
        finding = shift_split(*populations(rng, rows=600), features=FEATURES)
        p.append(finding.p)
        inside += finding.ci[0] <= 0 <= finding.ci[1]
        row = finding.table.iloc[1]
        composed += row["low"] <= 0.35 <= row["high"]
    assert 0.93 <= inside / 500 <= 0.97
    assert 0.93 <= composed / 500 <= 0.97
    assert kstest(p, "uniform").pvalue > 0.01


def test_rows_of_one_user_are_not_independent():
    old, new = populations(np.random.default_rng(3), per_user=20, rows=2000)
    by_user = shift_split(old, new, features=FEATURES)
    by_row = shift_split(old, new, features=FEATURES, cluster=None)
    assert by_user.se > 1.3 * by_row.se
    assert by_user.n_clusters == 200


def test_too_few_effective_rows_name_no_part():
    old, new = populations(np.random.default_rng(4), rows=400, shift=2.0)
    finding = shift_split(old, new, features=FEATURES)
    assert "effective rows of the reference, fewer than 100" in finding.verdict
    assert np.isnan([finding.estimate, finding.se, *finding.ci]).all()
    assert finding.p is None
    assert finding.table["size"].notna().tolist() == [True, False, False]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("shift", "covers", "warned"), [(1.6, (0.7, 0.92), (0.9, 1)), (0.7, (0.92, 0.98), (0, 0.15))]
)
def test_an_interval_that_few_units_carry_is_too_narrow_and_says_so(shift, covers, warned):
    rng, inside, told = np.random.default_rng(9), [], []
    for _ in range(250):
        old, new = (pd.DataFrame({"x": rng.normal(mean, 1, 2000)}) for mean in (0.0, shift))
        for frame in (old, new):
            frame["y"] = frame["x"] + rng.normal(size=len(frame))
        finding = shift_split(old, new, features=["x"], cluster=None)
        refused = np.isnan(finding.estimate)
        told.append(refused or "too narrow" in finding.verdict)
        if not refused:
            inside.append(finding.ci[0] <= 0 <= finding.ci[1])
    assert covers[0] <= np.mean(inside) <= covers[1]
    assert warned[0] <= np.mean(told) <= warned[1]


def test_where_nothing_differs_no_composition_is_named():
    old, new = populations(np.random.default_rng(10), rows=1000, shift=0.0)
    assert "no composition shows (" in shift_split(old, new, features=FEATURES).verdict


def test_populations_that_no_weights_make_alike_name_no_part():
    rng = np.random.default_rng(5)
    # The reference holds only what a rule let through: no weights put rows where there are none.
    x = rng.normal(size=(30_000, 2))
    through = x[:, 0] > 0.5
    y = x[:, 0] + rng.normal(size=len(x))
    frame = pd.DataFrame({"x1": x[:, 0], "x2": x[:, 1], "y": y})
    finding = shift_split(frame[through], frame, features=FEATURES, cluster=None)
    assert "no part can be named" in finding.verdict
    gaps = balance(frame[through], frame, features=FEATURES).set_index("feature")
    assert abs(gaps.loc["x1", "after"]) > 0.25
    assert abs(gaps.loc["x2", "after"]) < 0.05


def test_any_frame_gives_the_same_answer():
    old, new = populations(np.random.default_rng(6))
    plain = shift_split(old, new, features=FEATURES)
    lazy = shift_split(pl.from_pandas(old).lazy(), pl.from_pandas(new), features=FEATURES)
    assert lazy.estimate == pytest.approx(plain.estimate, abs=1e-12)


@pytest.mark.parametrize(
    ("change", "settings", "message"),
    [
        ({"x1": 0.1}, {}, "x1: got one value in all rows; a feature must vary"),
        ({"x1": np.nan}, {}, "x1: got 300 missing of 300; reference must be complete"),
        ({"y": np.inf}, {}, "y: got inf in reference; it must be finite"),
        ({}, {"features": []}, "features: got none"),
        ({}, {"features": ["x3"]}, "it must have x3"),
        ({}, {"features": ["x1", "x1b"]}, "no weights can be made: x1b; each must say what the others don't"),
        ({}, {"features": ["x2", "x1", "sum"]}, "no weights can be made: sum; each must say"),
        ({}, {"alpha": 1}, "alpha: got 1; it must lie strictly between 0 and 1"),
    ],
)
def test_bad_input_is_refused(change, settings, message):
    old, new = populations(np.random.default_rng(7))
    old, new = (
        frame.assign(x1b=2 * frame["x1"], sum=frame["x1"] - 3 * frame["x2"] + 1e6, **there)
        for frame, there in ((old, change), (new, {"x1": 0.1} if change.get("x1") == 0.1 else {}))
    )
    with pytest.raises(ValueError, match=message):
        shift_split(old, new, **{"features": FEATURES, **settings})


def test_features_that_tell_the_populations_apart_are_refused():
    old, new = populations(np.random.default_rng(8), shift=50.0)
    with pytest.raises(ValueError, match="they tell the populations apart perfectly"):
        shift_split(old, new, features=FEATURES)
    with pytest.raises(ValueError, match="no weights can be made: 2 for 2 rows"):
        shift_split(old.head(1), new.head(1), features=FEATURES)
    with pytest.raises(ValueError, match="reference: got no row"):
        shift_split(old.head(0), new, features=FEATURES)
