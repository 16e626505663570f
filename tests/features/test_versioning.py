"""The AUC by pair of versions: what it finds, when it is silent, and how it is calibrated."""

import math

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy.stats import kstest

from toolkit.auc import auc
from toolkit.features.embeddings import pairs_log
from toolkit.features.versioning import version_matrix


def test_it_finds_the_pairs_that_do_not_fit_and_what_they_cost():
    log = pairs_log(0.4)
    told = version_matrix(log)
    fit, unfit = (log[log["item_version"] == version] for version in ("v1", "v2"))
    assert told.estimate == pytest.approx(auc(unfit["y"], unfit["score"]) - auc(fit["y"], fit["score"]))
    assert told.ci[1] < 0
    assert told.p < 1e-6
    assert told.table["agree"].tolist() == ["yes", "no", ""]
    assert told.table["auc"].iloc[-1] == pytest.approx(auc(log["y"], log["score"]))
    assert told.verdict.startswith("Unlike versions met in 40.7% of the rows, and there the AUC is 0.3")


def test_several_pairs_are_weighed_by_their_rows():
    both = pd.concat([pairs_log(0.3), pairs_log(0.9)])
    table = version_matrix(both).table.set_index(["user_version", "item_version"])
    means = {}
    for agree in ("yes", "no"):
        part = table[table["agree"] == agree]
        means[agree] = np.average(part["auc"], weights=part["rows"])
    assert version_matrix(both).estimate == pytest.approx(means["no"] - means["yes"])


def test_dual_write_leaves_nothing_to_compare_and_versions_with_common_axes_lose_nothing():
    even = version_matrix(pairs_log(0.4, dual_write=True))
    assert math.isnan(even.estimate)
    assert even.verdict.startswith("No row was scored with unlike versions")
    aligned = version_matrix(pairs_log(0.4, angle=0))
    assert aligned.estimate > 0
    assert "they don't misfit" in aligned.verdict
    nothing_fits = version_matrix(pairs_log(0.0, switch="first day"))
    assert "nothing to compare them with" in nothing_fits.verdict


def unrelated(rng, *, gap=0.0, users=80, each=5):
    """Rows with versions drawn at random; where they differ the score tells less by `gap`."""
    user = np.repeat(np.arange(users), each)
    leaning = 0.6 * rng.normal(size=users)[user]
    y = (rng.random(len(user)) < 1 / (1 + np.exp(-leaning))).astype(int)
    versions = rng.choice(["v1", "v2"], size=(2, len(user)))
    signal = np.where(versions[0] == versions[1], 1.0, 1.0 - gap)
    score = signal * y + 0.5 * leaning + rng.normal(size=len(user))
    return pd.DataFrame(
        {"user_id": user, "user_version": versions[0], "item_version": versions[1], "y": y, "score": score}
    )


def test_p_is_uniform_and_intervals_cover_where_versions_do_not_matter():
    told = [version_matrix(unrelated(np.random.default_rng(seed))) for seed in range(200)]
    assert kstest([one.p for one in told], "uniform").pvalue > 0.01
    assert 0.92 <= np.mean([one.ci[0] <= 0 <= one.ci[1] for one in told]) <= 0.98


def test_intervals_cover_a_loss_too():
    many = pd.concat(
        [unrelated(np.random.default_rng(10_000 + k), gap=0.7, users=3000) for k in range(5)],
        ignore_index=True,
    )
    truth = version_matrix(many.assign(user_id=np.arange(len(many)))).estimate
    told = [version_matrix(unrelated(np.random.default_rng(seed), gap=0.7)).ci for seed in range(100)]
    assert 0.89 <= np.mean([low <= truth <= high for low, high in told]) <= 0.985


def test_the_table_may_come_from_any_library():
    log = pairs_log(0.4)
    want = version_matrix(log)
    for frame in (pl.from_pandas(log), duckdb.from_df(log)):
        told = version_matrix(frame)
        assert told.estimate == pytest.approx(want.estimate)
        assert told.ci == pytest.approx(want.ci)


def test_a_pair_with_labels_of_one_kind_is_left_out_of_the_means():
    log = pairs_log(0.4)
    odd = log.iloc[:3].assign(item_version="v3", y=1)
    told = version_matrix(pd.concat([log, odd]))
    assert told.estimate == pytest.approx(version_matrix(log).estimate)
    assert "Some pair has" in told.verdict


@pytest.mark.parametrize(
    ("change", "settings", "message"),
    [
        ({}, {"versions": "user_version"}, r"versions: got 'user_version'; it must be two columns"),
        ({}, {"versions": ("y", "y")}, r"versions: got \('y', 'y'\); it must be two columns"),
        ({}, {"versions": ("user_version", "model")}, r"serving: got columns .*; it must have model"),
        ({}, {"alpha": 0}, r"alpha: got 0; it must lie strictly between 0 and 1"),
        ({"y": 2}, {}, r"y: got 2 in serving; a label is 0 or 1"),
        ({"score": math.inf}, {}, r"score: got inf in serving; it must be finite"),
        ({"item_version": None}, {}, r"item_version: got 20000 missing of 20000"),
        ({"item_version": 2}, {}, r"user_version, item_version: got object and int64|got str and int64"),
        ({"user_id": 1}, {}, r"user_id: got 1 in serving; there must be two at least"),
    ],
)
def test_bad_input_is_refused(change, settings, message):
    with pytest.raises(ValueError, match=message):
        version_matrix(pairs_log(0.4).assign(**change), **settings)
