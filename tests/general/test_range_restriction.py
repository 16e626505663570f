"""Two scores inside a slice that one of them chose: published numbers, limits, simulation."""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

from toolkit.auc import auc
from toolkit.general.range_restriction import (
    compare_in_slice,
    correlations_in_slice,
    correlations_outside_slice,
    sign_map,
    slice_path,
    variance_kept,
)


def test_the_outlines_example_comes_out():
    told = compare_in_slice(0.5, 0.4, 0.3, p=0.1)
    assert told["r_slice"].tolist() == pytest.approx([0.231, 0.322], abs=5e-4)
    assert told["auc"].tolist() == pytest.approx([0.7482, 0.6982], abs=5e-5)
    assert told["auc_slice"].tolist() == pytest.approx([0.5970, 0.6459], abs=5e-5)
    won, lost = told["auc_slice"].diff().iloc[1], told["auc"].diff().iloc[1]
    assert (round(won, 3), round(lost, 3)) == (0.049, -0.050)


@pytest.mark.parametrize(
    ("r_old", "r_new", "between", "p"), [(0.5, 0.4, 0.3, 0.1), (0.7, 0.6, 0.0, 0.05), (0.3, 0.6, 0.8, 0.5)]
)
def test_simulated_slices_have_these_correlations_and_aucs(r_old, r_new, between, p):
    rng = np.random.default_rng(0)
    covariance = [[1, between, r_old], [between, 1, r_new], [r_old, r_new, 1]]
    old, new, tendency = rng.multivariate_normal(np.zeros(3), covariance, size=1_000_000, method="cholesky").T
    shown = old > norm.isf(p)
    y = tendency > norm.isf(0.2)
    told = compare_in_slice(r_old, r_new, between, p=p)
    for row, score in zip(told.itertuples(), (old, new), strict=True):
        assert np.corrcoef(score[shown], tendency[shown])[0, 1] == pytest.approx(row.r_slice, abs=0.012)
        assert auc(y[shown], score[shown]) == pytest.approx(row.auc_slice, abs=0.007)


def test_the_variance_that_is_kept_is_the_truncated_normals():
    for p in (0.02, 0.1, 0.5, 0.9):
        cut = norm.isf(p)
        moments = [quad(lambda x, k=k: x**k * norm.pdf(x), cut, 12)[0] / p for k in (1, 2)]
        assert variance_kept(p) == pytest.approx(moments[1] - moments[0] ** 2, abs=1e-9)


def test_with_everything_shown_nothing_shrinks():
    told = compare_in_slice(0.6, 0.5, 0.2, p=1)
    assert told["r_slice"].tolist() == pytest.approx(told["r"].tolist())
    assert told["auc_slice"].tolist() == pytest.approx(told["auc"].tolist(), abs=1e-5)


def test_the_auc_for_a_median_split_is_the_arcsine_formula():
    for r in (0.1, 0.5, 0.7, 0.9):
        expected = 0.5 + 2 / np.pi * np.arcsin(r / np.sqrt(2))
        told = compare_in_slice(r, r, 0.9, p=1, positives=0.5)
        assert told["auc"].tolist() == pytest.approx([expected] * 2, abs=1e-6)
        assert told["auc_slice"].tolist() == pytest.approx([expected] * 2, abs=1e-5)


def test_scores_that_nearly_agree_shrink_alike():
    old, new = correlations_in_slice(0.5, 0.5, 0.999, p=0.1)
    assert new == pytest.approx(old, abs=0.01)


@pytest.mark.parametrize("p", [0.02, 0.3, 1.0])
@pytest.mark.parametrize(("r_old", "r_new", "between"), [(0.5, 0.4, 0.3), (0.2, 0.6, -0.2), (-0.3, 0.3, 0.5)])
def test_the_inverse_takes_a_slice_back_to_all_rows(r_old, r_new, between, p):
    inside = correlations_in_slice(r_old, r_new, between, p=p)
    assert correlations_outside_slice(*inside, between, p=p) == pytest.approx((r_old, r_new))


def test_the_path_ends_where_everything_is_shown_and_crosses_on_the_way():
    path = slice_path(0.5, 0.4, 0.3, [1.0, 0.1]).pivot_table(index="p", columns="score", values="auc")
    assert path.loc[1.0, "old"] > path.loc[1.0, "new"]
    assert path.loc[0.1, "old"] < path.loc[0.1, "new"]


def test_the_map_leaves_out_pairs_that_cannot_be_and_agrees_everywhere_when_all_is_shown():
    steps = [0.2, 0.4, 0.6, 0.8]
    everything = sign_map(1.0, 0.0, steps=steps)
    assert (everything["agreement"] > 0).all()
    # Two uncorrelated scores of .8 would explain 1.28 of the outcome's variance.
    assert len(everything) == 4 * 3 - 2
    assert (sign_map(0.02, 0.0, steps=steps)["agreement"] < 0).any()


def test_where_the_slice_errs_it_errs_for_the_new_score():
    for p in (0.02, 0.1, 0.5):
        for between in (0, 0.3, 0.6, 0.9):
            pairs = sign_map(p, between, steps=[0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8])
            wrong = pairs[pairs["agreement"] < 0]
            assert (wrong["r_new"] < wrong["r_old"]).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: variance_kept(0), r"p: got 0; it must lie in \(0, 1\]"),
        (
            lambda: correlations_in_slice(0.5, 0.4, 0.3, p=1.5),
            r"p: got 1.5; it must lie in \(0, 1\]",
        ),
        (
            lambda: compare_in_slice(0.8, 0.8, 0.0, p=0.1),
            "between: got 0.0 with r_old 0.8 and r_new 0.8; no three variables can correlate like that",
        ),
        (
            lambda: compare_in_slice(1.0, 0.4, 0.3, p=0.1),
            "r_old: got 1.0; it must lie strictly between -1 and 1",
        ),
        (
            lambda: compare_in_slice(0.5, 0.4, 0.3, p=0.1, positives=1),
            "positives: got 1; it must lie strictly",
        ),
        (lambda: correlations_outside_slice(0.5, 0.4, 1.0, p=0.1), "between: got 1.0; it must lie strictly"),
        (lambda: correlations_outside_slice(0.9, -0.9, 0.9, p=0.5), "slice_new: got -0.9 with slice_old 0.9"),
        (lambda: correlations_in_slice(2, 2, 2, p=0.5), r"r_old: got 2.0; a correlation lies in \[-1, 1\]"),
        (lambda: compare_in_slice(0.5, 0.4, 0.3, p=1e-9), "p: got 1e-09; it must be 1e-06 at least"),
    ],
)
def test_bad_input_is_refused_by_name_value_and_rule(call, message):
    with pytest.raises(ValueError, match=message):
        call()
