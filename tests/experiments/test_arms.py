"""Two arms from their sums: the delta method and Welch's interval by hand, strata's weights, refusals."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import t as student
from scipy.stats import ttest_ind_from_stats

from toolkit.experiments.arms import Arm, Metric, both_arms, difference_and_lift, everybody
from toolkit.experiments.moments import Moments, grouped


def moments(y, x):
    values = np.array([y, x], dtype=float)
    return Moments(("y", "x"), len(y), len(y), values.mean(1), np.cov(values) * (len(y) - 1))


def arm(value, se, units):
    return Arm(value, se**2, np.array([se**2]), np.array([units - 1]))


def test_a_difference_and_its_interval_are_scipy_s_from_the_same_sums():
    arms = {"control": arm(2.0, 0.5 / np.sqrt(8), 8), "treatment": arm(2.4, 1.5 / np.sqrt(20), 20)}
    told = difference_and_lift(arms, Metric("y"), alpha=0.1)
    expected = ttest_ind_from_stats(2.4, 1.5, 20, 2.0, 0.5, 8, equal_var=False)
    assert told["p"] == pytest.approx(expected.pvalue, rel=1e-12)
    # Welch's degrees of freedom, written out.
    a, b = 0.25 / 8, 2.25 / 20
    freedom = (a + b) ** 2 / (a**2 / 7 + b**2 / 19)
    assert told["high"] - told["difference"] == pytest.approx(student.isf(0.05, freedom) * np.sqrt(a + b))
    assert told["low"] + told["high"] == pytest.approx(2 * told["difference"])


def test_a_lift_s_interval_has_the_degrees_of_freedom_of_relative_errors():
    arms = {"control": arm(2.0, 0.4, 8), "treatment": arm(3.0, 0.3, 20)}
    told = difference_and_lift(arms, Metric("y"))
    a, b = (0.4 / 2) ** 2, (0.3 / 3) ** 2
    half = student.isf(0.025, (a + b) ** 2 / (a**2 / 7 + b**2 / 19)) * np.sqrt(a + b)
    assert told["lift"] == pytest.approx(0.5)
    assert told["lift_se"] == pytest.approx(1.5 * np.sqrt(a + b))
    assert (told["lift_low"], told["lift_high"]) == (
        pytest.approx(1.5 * np.exp(-half) - 1),
        pytest.approx(1.5 * np.exp(half) - 1),
    )


@pytest.mark.parametrize(
    ("control", "treatment", "lift"), [(-2.0, -3.0, 0.5), (-2.0, 3.0, np.nan), (0.0, 3.0, np.nan)]
)
def test_a_lift_is_of_two_values_of_one_sign(control, treatment, lift):
    arms = {"control": arm(control, 0.4, 8), "treatment": arm(treatment, 0.3, 20)}
    assert difference_and_lift(arms, Metric("y"))["lift"] == pytest.approx(lift, nan_ok=True)


def test_a_stratum_weighs_what_both_arms_have_of_it():
    parts = {
        ("control", "a"): moments([1, 3], [0, 0]),
        ("treatment", "a"): moments([4, 8], [0, 0]),
        ("control", "b"): moments([10, 12, 14, 16], [0, 0, 0, 0]),
        ("treatment", "b"): moments([20, 22], [0, 0]),
    }
    arms = both_arms(parts, Metric("y"))
    # 4 of 10 units are in a. Variances 2 and 20/3 in the control.
    assert arms["control"].value == pytest.approx(0.4 * 2 + 0.6 * 13)
    assert arms["treatment"].value == pytest.approx(0.4 * 6 + 0.6 * 21)
    assert arms["control"].parts == pytest.approx([0.16 * 2 / 2, 0.36 * 20 / 3 / 4])
    assert arms["control"].freedom.tolist() == [1, 3]
    assert arms["control"].squared == pytest.approx(0.16 + 0.6)


def test_a_covariate_s_coefficient_is_pooled_within_strata():
    # Within each stratum y goes up with x by 2; between them it goes down.
    draws = np.random.default_rng(0)
    x = draws.normal(size=400)
    part = np.repeat([0, 1], 200)
    frame = pd.DataFrame({"arm": ["control", "treatment"] * 200, "x": x + 9 * part, "part": part})
    frame["y"] = 2 * x - 9 * part + 0.1 * draws.normal(size=400)
    told = both_arms(grouped(frame, ["y", "x"], arm="arm", stratum="part"), Metric("y", covariate="x"))
    assert told["control"].squared == pytest.approx(0.1**2 / 200, rel=0.2)
    # Both arms are moved to the mean of x over all.
    assert told["control"].value == pytest.approx(frame["y"].mean(), abs=0.03)
    assert told["treatment"].value == pytest.approx(frame["y"].mean(), abs=0.03)


def test_a_covariate_s_coefficient_counts_each_stratum_by_its_units():
    draws = np.random.default_rng(1)
    part = np.repeat([0, 1], [300, 100])
    frame = pd.DataFrame({"arm": ["control", "treatment"] * 200, "x": draws.normal(size=400), "part": part})
    frame["y"] = np.where(part, 5, 2) * frame["x"] + draws.normal(size=400)
    found = grouped(frame, ["y", "x"], arm="arm", stratum="part")
    plain = both_arms(found, Metric("y"))["control"].value
    told = both_arms(found, Metric("y", covariate="x"))["control"].value
    weights, means = (0.75, 0.25), frame.groupby(["part", "arm"])["x"].mean()
    apart = sum(w * (means[k, "control"] - frame.loc[part == k, "x"].mean()) for k, w in enumerate(weights))
    covariances = [np.cov(frame.loc[part == k, ["y", "x"]].T) for k in (0, 1)]
    slope = sum(w * c[0, 1] for w, c in zip(weights, covariances, strict=True)) / sum(
        w * c[1, 1] for w, c in zip(weights, covariances, strict=True)
    )
    assert told == pytest.approx(plain - slope * apart, rel=1e-9)


def test_everybody_is_one_arm():
    whole = moments([1, 2, 6], [1, 2, 3])
    ratio = everybody(whole, Metric("y", per="x"))
    # Residuals of y - 1.5 x: -.5, -1, 1.5; over 2 units, 3 of them, and the mean of x squared.
    assert ratio.value == pytest.approx(1.5)
    assert ratio.squared == pytest.approx(3.5 / 2 / 3 / 4)
    adjusted = everybody(whole, Metric("y", covariate="x"))
    assert adjusted.value == pytest.approx(3.0)
    # A slope of 2.5 leaves residuals of .5, -1, .5.
    assert adjusted.squared == pytest.approx(1.5 / 2 / 3)


def test_what_nothing_is_left_of_is_refused():
    with pytest.raises(ValueError, match="x: got 0 on average; a ratio needs a denominator"):
        everybody(moments([1, 2], [-1, 1]), Metric("y", per="x"))
    with pytest.raises(ValueError, match="y: got no variance in either arm"):
        difference_and_lift(dict.fromkeys(("control", "treatment"), arm(1.0, 0.0, 9)), Metric("y"))
    # Rounding alone: y is .1 x.
    same = moments([0.1, 0.2, 0.7], [1, 2, 7])
    arms = both_arms({("control", "all"): same, ("treatment", "all"): same}, Metric("y", per="x"))
    with pytest.raises(ValueError, match="y: got no variance in either arm"):
        difference_and_lift(arms, Metric("y", per="x"))


def test_a_metric_of_no_column_is_refused():
    with pytest.raises(ValueError, match="value: got ''; it must name a column"):
        Metric("")
    with pytest.raises(ValueError, match="per: got 3; it must name a column"):
        Metric("y", per=3)
    with pytest.raises(ValueError, match="covariate_per: got 'n' without a covariate"):
        Metric("y", covariate_per="n")
