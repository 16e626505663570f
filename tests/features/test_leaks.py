"""The probes find an own label, are quiet without one, and their intervals cover what they say."""

import numpy as np
import pandas as pd
import polars as pl
import pytest

from toolkit.auc import auc
from toolkit.features.leaks import leak_probe, too_good


def probe_rows(rng, *, leak, users=150, each=8):
    """Rows in clusters that share a mood: a noise feature of n other events, with or without the own label."""
    user = np.repeat(np.arange(users), each)
    y = (rng.random(len(user)) < rng.beta(4, 6, users)[user]).astype(int)
    others = rng.choice([2, 4, 8, 16, 32], len(user))
    total = rng.binomial(others, 0.4) + leak * y
    return pd.DataFrame({"user_id": user, "y": y, "others": others, "f_sum": total})


def probe(rows):
    return leak_probe(rows, feature="f_sum", count_col="others")


def uniform(ps):
    """Kolmogorov-Smirnov at the .001 level."""
    ps = np.sort(ps)
    gap = np.abs(ps - (np.arange(len(ps)) + 0.5) / len(ps)).max()
    return gap < 1.95 / np.sqrt(len(ps))


@pytest.mark.parametrize("leak", [0, 1])
def test_the_probe_s_interval_covers_the_slope_and_its_p_value_is_uniform_without_a_leak(leak):
    rng, runs = np.random.default_rng(leak), 300
    found = [probe(probe_rows(rng, leak=leak)) for _ in range(runs)]
    assert 0.93 <= np.mean([each.ci[0] <= leak <= each.ci[1] for each in found]) <= 0.97
    if not leak:
        assert uniform([each.p for each in found])


def test_an_honest_feature_that_gains_from_traffic_is_not_accused():
    rng = np.random.default_rng(0)
    rows = probe_rows(rng, leak=0, users=2_000)
    rows["f_sum"] = rng.binomial(rows["others"], 0.3 + 0.2 * rows["y"]) / rows["others"]
    found = probe(rows)
    assert found.ci[1] < 0
    assert "as an honest one does" in found.verdict


def test_the_table_has_the_auc_of_each_count():
    rows = probe_rows(np.random.default_rng(1), leak=1)
    table = probe(rows).table
    for row in table.itertuples():
        here = rows[rows["others"] == row.others]
        assert row.rows == len(here)
        assert row.auc == pytest.approx(auc(here["y"], here["f_sum"]))


def test_many_counts_are_cut_into_as_many_parts_as_asked():
    rng = np.random.default_rng(2)
    rows = pd.DataFrame({"user_id": range(2_000), "others": rng.integers(0, 5_000, 2_000)})
    rows["y"] = rng.integers(0, 2, 2_000)
    rows["f_sum"] = rng.binomial(rows["others"], 0.5) + rows["y"]
    assert len(leak_probe(rows, feature="f_sum", count_col="others", bins=4).table) == 4


def test_too_good_s_interval_covers_and_its_p_value_is_uniform_where_both_are_alike():
    rng, ps, covered, runs = np.random.default_rng(3), [], 0, 300

    def table(users):
        user = np.repeat(users, 4)
        mood = rng.normal(size=len(users)).repeat(4)
        y = rng.integers(0, 2, len(user))
        return pd.DataFrame({"user_id": user, "y": y, "f_sum": y + mood + rng.normal(size=len(user))})

    for _ in range(runs):
        # Half of the users are in both tables.
        found = too_good(table(np.arange(150)), table(np.arange(75, 225)), feature="f_sum")
        ps.append(found.p)
        covered += found.ci[0] <= 0 <= found.ci[1]
    assert uniform(ps)
    assert 0.93 <= covered / runs <= 0.97


def test_a_feature_with_its_label_is_too_good_and_one_that_got_better_is_told_so():
    rng = np.random.default_rng(4)
    rows = pd.DataFrame({"user_id": range(500), "y": rng.integers(0, 2, 500), "f_sum": rng.normal(size=500)})
    leaky = rows.assign(f_sum=rows["f_sum"] + rows["y"])
    found = too_good(leaky, rows, feature="f_sum")
    assert found.estimate == pytest.approx(auc(leaky["y"], leaky["f_sum"]) - auc(rows["y"], rows["f_sum"]))
    assert "too good to be true" in found.verdict
    assert "worse in training" in too_good(rows, leaky, feature="f_sum").verdict
    assert "no better" in too_good(rows, rows, feature="f_sum").verdict


def test_other_libraries_frames_give_the_same_findings():
    rows = probe_rows(np.random.default_rng(5), leak=1)
    assert probe(pl.from_pandas(rows)) == probe(rows)
    assert too_good(pl.from_pandas(rows), rows, feature="f_sum") == too_good(rows, rows, feature="f_sum")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"others": 2}, "others: got 1 parts with 5 good and 5 bad rows; a slope needs two"),
        ({"others": -1}, "others: got -1; it must be a whole number"),
        ({"others": 1.5}, "others: got 1.5; it must be a whole number"),
        ({"y": 2}, "y: got 2 in table; a label is 0 or 1"),
        ({"user_id": 1}, "cluster: got 1; an error needs two"),
        ({"f_sum": "a"}, "f_sum: got .* in table; it must be numbers"),
    ],
)
def test_tables_that_can_not_be_probed_are_refused(change, message):
    rows = probe_rows(np.random.default_rng(6), leak=1)
    with pytest.raises(ValueError, match=message):
        probe(rows.assign(**change))


def test_bad_settings_and_tables_without_labels_of_both_kinds_are_refused():
    rows = probe_rows(np.random.default_rng(7), leak=1)
    with pytest.raises(ValueError, match="bins: got 1"):
        leak_probe(rows, feature="f_sum", count_col="others", bins=1)
    with pytest.raises(ValueError, match="alpha: got 1"):
        too_good(rows, rows, feature="f_sum", alpha=1)
    with pytest.raises(ValueError, match=r"y: got 0 good rows of 1200 in served; it needs 5"):
        too_good(rows, rows.assign(y=0), feature="f_sum")
