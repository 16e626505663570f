"""Prevalence of unlabelled traffic: worked by hand, two methods against each other, coverage, and its failure."""

import warnings

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy.special import expit, logit
from scipy.stats import norm

from toolkit.general.label_shift import (
    adjusted_prevalence,
    em_prevalence,
    label_shift,
    shifted_estimates,
)


def test_the_outline_s_example_gives_a_fifth():
    assert adjusted_prevalence(0.24, tpr=0.8, fpr=0.1) == pytest.approx(0.2)
    # Back again: a fifth bad means 0.2 x 0.8 + 0.8 x 0.1 flagged, which is that 0.24.
    for prevalence in (0, 0.07, 0.5, 1):
        flagged = prevalence * 0.8 + (1 - prevalence) * 0.1
        assert adjusted_prevalence(flagged, tpr=0.8, fpr=0.1) == pytest.approx(prevalence)


def test_a_flagged_share_that_the_rates_can_t_make_is_held_to_a_share():
    assert adjusted_prevalence(0.05, tpr=0.8, fpr=0.1) == 0
    assert adjusted_prevalence(0.95, tpr=0.8, fpr=0.1) == 1


def test_em_on_a_flag_is_bbse_on_that_flag():
    for flagged in (0.12, 0.24, 0.6):
        em = em_prevalence([1 - flagged, flagged], bad=[0.2, 0.8], good=[0.9, 0.1])
        assert float(em) == pytest.approx(adjusted_prevalence(flagged, tpr=0.8, fpr=0.1), abs=1e-6)


def test_em_finds_the_maximum_of_the_likelihood_from_any_start():
    bad, good = np.array([0.1, 0.2, 0.3, 0.4]), np.array([0.5, 0.3, 0.15, 0.05])
    rows = np.array([410, 300, 180, 110])
    grid = np.linspace(0.0005, 0.9995, 2000)
    likelihood = np.log(grid[:, None] * bad + (1 - grid[:, None]) * good) @ rows
    for start in (0.01, 0.5, 0.99):
        em = float(em_prevalence(rows, bad, good, start=start))
        assert em == pytest.approx(grid[likelihood.argmax()], abs=0.0006)


def test_em_leaves_out_a_cell_that_the_source_never_saw():
    told = em_prevalence([760, 240, 500], bad=[0.2, 0.8, 0.0], good=[0.9, 0.1, 0.0])
    assert float(told) == pytest.approx(0.2, abs=1e-6)


def rows(rng, count, users, prevalence, *, first=0, apart=1.6, tilt=0.0):
    """Binormal scores; users differ in how often their rows are bad."""
    user = rng.integers(0, users, count)
    y = (rng.random(count) < expit(logit(prevalence) + rng.normal(0, 0.6, users)[user])).astype(int)
    score = rng.normal(size=count) + apart * y + tilt
    return pd.DataFrame({"user_id": first + user, "y": y, "score": score, "yhat": (score > 1.2).astype(int)})


def pair(seed=0, moved=0.3, **settings):
    rng = np.random.default_rng(seed)
    source = rows(rng, 4000, 1500, 0.15)
    return source, rows(rng, 6000, 1500, moved, first=5000, **settings).drop(columns="y")


def test_by_hand_the_table_has_the_weights_and_what_they_leave():
    source = pd.DataFrame(
        {
            "user_id": range(1000),
            "y": [1] * 100 + [0] * 900,
            "yhat": [1] * 80 + [0] * 20 + [1] * 90 + [0] * 810,
        }
    )
    target = pd.DataFrame({"user_id": range(2000, 2100), "yhat": [1] * 24 + [0] * 76})
    finding = label_shift(source, target, replicates=50)
    bbse = finding.table.set_index("prevalence").loc["BBSE"]
    assert finding.estimate == pytest.approx(0.2)
    assert bbse["weight_bad"] == pytest.approx(2)
    assert bbse["weight_good"] == pytest.approx(0.8 / 0.9)
    # (100 x 2 + 900 x 8/9)^2 / (100 x 4 + 900 x 64/81)
    assert bbse["ess"] == pytest.approx(1000**2 / (400 + 6400 / 9), abs=0.06)
    # Singular values of the joint confusion matrix (.81, .02; .09, .08): product .063, squares sum to .671.
    top = (0.671 + (0.671**2 - 4 * 0.063**2) ** 0.5) / 2
    assert f"condition number {top / 0.063:.3g}" in finding.verdict
    assert "EM" not in finding.verdict


def flagged(share, *, tpr=0.7, fpr=0.1, count=4000):
    """A source with the given rates, exactly, and a target of which a share is flagged."""
    bad, good = round(200 * tpr), round(1800 * fpr)
    yhat = [1] * bad + [0] * (200 - bad) + [1] * good + [0] * (1800 - good)
    source = pd.DataFrame({"user_id": range(2000), "y": [1] * 200 + [0] * 1800, "yhat": yhat})
    there = round(share * count)
    target = pd.DataFrame({"user_id": range(5000, 5000 + count), "yhat": [1] * there + [0] * (count - there)})
    return source, target


@pytest.mark.parametrize("share", [0.02, 0.95])
def test_flags_that_no_mix_can_make_are_called_that_and_no_certainty(share):
    finding = label_shift(*flagged(share), replicates=200)
    assert "can't come from a moved mix" in finding.verdict
    assert f"{share:.1%} of the target is flagged" in finding.verdict
    assert np.isnan([finding.estimate, *finding.ci, finding.se]).all()
    assert finding.table.set_index("prevalence").loc[["BBSE", "EM"], "estimate"].isna().all()
    assert finding.table["estimate"].notna().sum() == 2


@pytest.mark.parametrize(("share", "end"), [(0.1, 0), (0.095, 0), (0.7, 1), (0.71, 1)])
def test_a_mix_of_one_kind_only_is_possible_and_its_interval_ends_there(share, end):
    finding = label_shift(*flagged(share), replicates=200)
    assert "If only the mix has moved" in finding.verdict
    assert finding.estimate == pytest.approx(end, abs=1e-9)
    assert finding.ci[end] == end
    assert finding.ci[1] - finding.ci[0] > 0.01


def few_bad(rng, *, count, share, moved):
    def drawn(first, part):
        y = (rng.random(count) < part).astype(int)
        score = rng.normal(size=count) + 1.5 * y
        return pd.DataFrame(
            {"user_id": first + np.arange(count), "y": y, "score": score, "yhat": (score > 1.2) * 1}
        )

    return drawn(0, share), drawn(count, moved)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("count", "share", "moved"), [(1000, 0.06, 0.4), (2000, 0.05, 0.3), (2000, 0.2, 0.1)]
)
def test_under_an_exact_label_shift_the_methods_seldom_disagree(count, share, moved):
    rng, alarms, runs = np.random.default_rng(17), 0, 150
    for _ in range(runs):
        finding = label_shift(
            *few_bad(rng, count=count, share=share, moved=moved), score="score", replicates=100, rng=rng
        )
        alarms += "disagree" in finding.verdict
    # Two and a half standard errors of the simulation above 5%.
    assert alarms / runs < 0.095, alarms / runs


def test_too_few_bad_rows_are_no_check():
    finding = label_shift(
        *few_bad(np.random.default_rng(0), count=1000, share=0.03, moved=0.2), score="score"
    )
    assert "are too few to check that by EM" in finding.verdict
    assert "agree" not in finding.verdict


def test_a_score_of_two_values_is_cut_between_them_wherever_most_rows_lie():
    source, target = pair()
    for flip in (False, True):
        scored = [rows.assign(score=(rows["yhat"] != flip) * 1.0) for rows in (source, target)]
        told = label_shift(*scored, score="score", replicates=20).table.set_index("prevalence")
        assert told.loc["EM", "estimate"] == pytest.approx(told.loc["BBSE", "estimate"], abs=1e-5)


def test_without_a_score_both_methods_are_one():
    told = label_shift(*pair()).table.set_index("prevalence")
    assert told.loc["EM", "estimate"] == pytest.approx(told.loc["BBSE", "estimate"], abs=1e-5)


def test_with_a_score_em_is_more_precise_and_agrees():
    finding = label_shift(*pair(), score="score")
    told = finding.table.set_index("prevalence")
    width = told["high"] - told["low"]
    assert width["EM"] < width["BBSE"]
    assert "agree." in finding.verdict
    assert finding.ci[0] < 0.31 < finding.ci[1]
    # The flag taken at its word is far off.
    assert not told.loc["flagged, in the target", "low"] < 0.26 < told.loc["flagged, in the target", "high"]


def test_moved_inputs_fool_it_and_are_sometimes_found_out():
    source, target = pair(moved=0.15, tilt=0.5)
    finding = label_shift(source, target, score="score")
    assert finding.ci[0] > 0.2
    assert "disagree" in finding.verdict
    assert any("moved inputs" in text for text in finding.cannot_tell)


@pytest.mark.slow
def test_its_intervals_cover():
    rng = np.random.default_rng(11)
    probe = np.random.default_rng(5).normal(0, 0.6, 400_000)
    true = expit(logit(0.3) + probe).mean()
    inside, runs = np.zeros(3), 400
    for _ in range(runs):
        target = rows(rng, 3000, 1200, 0.3, first=5000)
        finding = label_shift(rows(rng, 3000, 1200, 0.15), target, score="score", replicates=150, rng=rng)
        told = finding.table.set_index("prevalence")
        for place, (name, value) in enumerate({"BBSE": true, "EM": true, "EM less BBSE": 0}.items()):
            inside[place] += told.loc[name, "low"] <= value <= told.loc[name, "high"]
    # Two standard errors of the simulation around 93% to 97%.
    assert (inside / runs > 0.91).all(), inside / runs
    assert (inside / runs < 0.99).all(), inside / runs


def test_one_seed_gives_one_answer():
    first, again = (label_shift(*pair(), score="score", rng=4, replicates=60) for _ in range(2))
    assert first == again
    pd.testing.assert_frame_equal(first.table, again.table)


@pytest.mark.parametrize("kind", ["polars", "pyarrow", "duckdb"])
def test_any_frame_will_do(kind):
    source, target = pair()
    convert = {
        "polars": pl.from_pandas,
        "pyarrow": lambda frame: pl.from_pandas(frame).to_arrow(),
        "duckdb": duckdb.from_df,
    }[kind]
    settings = {"score": "score", "replicates": 40}
    assert label_shift(convert(source), convert(target), **settings).estimate == pytest.approx(
        label_shift(source, target, **settings).estimate
    )


def test_the_closed_form_agrees_with_simulation_for_both_kinds_of_shift():
    rng = np.random.default_rng(1)
    apart = 2**0.5 * norm.ppf(0.85)
    y = rng.random(2_000_000) < 0.1
    score = rng.normal(size=len(y)) + apart * y
    for through in (0.0, 1.0):
        told = shifted_estimates(0.85, [0.25], through_inputs=through).iloc[0]
        if through:
            # Reweight every row by its score, until a quarter is bad.
            weight = np.exp((logit(0.25) - logit(0.1)) / apart * score)
        else:
            weight = np.where(y, 0.25 / 0.1, 0.75 / 0.9)
        weight = weight / weight.sum()
        assert weight @ y == pytest.approx(0.25, abs=0.003)
        assert told["flagged"] == pytest.approx(weight @ (score > norm.isf(0.1)), abs=0.003)
    assert told["bbse"] > 0.3


def test_the_closed_form_s_interval_is_the_bootstrap_s():
    rng = np.random.default_rng(2)
    apart = 2**0.5 * norm.ppf(0.9)

    def drawn(count, prevalence, first):
        y = (np.arange(count) < prevalence * count).astype(int)
        score = rng.normal(size=count) + apart * y
        return pd.DataFrame(
            {"user_id": first + np.arange(count), "y": y, "yhat": (score > norm.isf(0.1)) * 1}
        )

    told = shifted_estimates(0.9, [0.2], labelled=4000, rows=2000).iloc[0]
    finding = label_shift(drawn(4000, 0.1, 0), drawn(2000, 0.2, 9000), replicates=1500)
    assert finding.ci[1] - finding.ci[0] == pytest.approx(told["high"] - told["low"], rel=0.12)


SOURCE, TARGET = pair()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: adjusted_prevalence(0.2, tpr=0.5, fpr=0.5), "tpr: got 0.5, as is fpr"),
        (lambda: adjusted_prevalence(1.2, tpr=0.8, fpr=0.1), "flagged: got 1.2; it must lie in"),
        (lambda: em_prevalence([1, 1], [0.5, 0.5], [0.5, 0.5], start=1), "start: got 1"),
        (lambda: em_prevalence([1, 1], [0.5, 0.5], [0.5, 0.5], most=0), "most: got 0"),
        (lambda: label_shift(SOURCE.drop(columns="y"), TARGET), "source: got columns .* it must have y"),
        (lambda: label_shift(SOURCE, TARGET.drop(columns="yhat")), "target: got columns .* yhat"),
        (lambda: label_shift(SOURCE, TARGET.iloc[:0]), "target: got no row"),
        (lambda: label_shift(SOURCE.assign(y=2), TARGET), "y: got 2 in source; a label is 0 or 1"),
        (lambda: label_shift(SOURCE.assign(y=0), TARGET), "y: got only 0 in source"),
        (lambda: label_shift(SOURCE.assign(yhat=1), TARGET), "yhat: got only 1 in source"),
        (lambda: label_shift(SOURCE, TARGET.assign(yhat=0.5)), "yhat: got 0.5 in target; a label is 0 or 1"),
        (
            lambda: label_shift(SOURCE.assign(score=1.0), TARGET, score="score"),
            "score: got only 1.0 in source",
        ),
        (lambda: label_shift(SOURCE, TARGET.assign(score=np.inf), score="score"), "score: got inf in target"),
        (lambda: label_shift(SOURCE.assign(user_id=None), TARGET), "user_id: got 4000 missing of 4000"),
        (lambda: label_shift(SOURCE, TARGET, alpha=0), "alpha: got 0"),
        (lambda: label_shift(SOURCE, TARGET, bins=1), "bins: got 1"),
        (lambda: label_shift(SOURCE, TARGET, replicates=0), "replicates: got 0"),
        (lambda: shifted_estimates(0.5, [0.2]), "auc: got 0.5"),
        (lambda: shifted_estimates(0.8, [0.0]), "prevalence: got 0.0; it must lie in"),
        (lambda: shifted_estimates(0.8, [0.2], source=0), "source: got 0"),
        (lambda: shifted_estimates(0.8, [0.2], through_inputs=2), "through_inputs: got 2"),
    ],
)
def test_bad_input_is_refused_by_name_value_and_rule(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_flags_that_say_nothing_are_refused_with_the_condition_number():
    rng = np.random.default_rng(3)
    idle = SOURCE.assign(yhat=rng.integers(0, 2, len(SOURCE)))
    with pytest.raises(
        ValueError, match=r"yhat: got a confusion matrix that is singular.*condition number \d"
    ):
        label_shift(idle, TARGET)
    exact = pd.DataFrame({"user_id": range(8), "y": [0, 1] * 4, "yhat": [0, 0, 1, 1] * 2})
    with pytest.raises(ValueError, match="condition number inf"):
        label_shift(exact, TARGET, replicates=30)


@pytest.mark.parametrize("frame", ["source", "target"])
def test_rows_of_one_user_are_refused_before_any_draw(frame):
    source = pd.DataFrame({"user_id": range(200), "y": [1] * 100 + [0] * 100})
    source["yhat"] = [1] * 80 + [0] * 20 + [1] * 10 + [0] * 90
    frames = {"source": source, "target": source.drop(columns="y")}
    frames[frame] = frames[frame].assign(user_id=1)
    with (
        warnings.catch_warnings(action="error"),
        pytest.raises(ValueError, match="user_id: got one in all rows"),
    ):
        label_shift(frames["source"], frames["target"])
