"""Two versions of a score: distances against SciPy and closed forms, size and coverage, the shim."""

import re

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy.stats import ks_2samp, kstest, norm

from toolkit.general.contract import quantile_shim, replay, score_contract


def versions(seed=0, rows=600, users=200, shift=0.0, scale=1.0, noise=0.5):
    """Two noisy readings of one thing: at no shift and scale 1 they are exchangeable."""
    rng = np.random.default_rng(seed)
    user = rng.integers(0, users, rows)
    signal = rng.normal(size=users)[user] + rng.normal(size=rows)
    old = signal + noise * rng.normal(size=rows)
    new = shift + scale * (signal + noise * rng.normal(size=rows))
    return pd.DataFrame({"user_id": user, "reference": old, "current": new})


def row(finding, name):
    return finding.table.set_index(finding.table.columns[0])["value"][name]


def test_the_estimate_is_kolmogorov_and_smirnov_s_distance_also_with_ties():
    for scores in (versions(shift=0.4, scale=0.8), versions(shift=0.4).round(0)):
        finding = score_contract(scores, replicates=20)
        assert finding.estimate == pytest.approx(ks_2samp(scores["reference"], scores["current"]).statistic)


def test_the_index_is_the_sum_over_the_reference_s_tenths_by_hand():
    scores = versions(shift=0.5, rows=1000)
    edges = np.quantile(scores["reference"], np.arange(1, 10) / 10)
    share = [
        np.diff(np.r_[0, np.searchsorted(np.sort(scores[c]), edges), 1000]) / 1000 for c in scores.columns[1:]
    ]
    by_hand = sum((q - p) * np.log(q / p) for p, q in zip(*share, strict=True))
    finding = score_contract(scores, replicates=50)
    assert row(finding, "population stability index") == pytest.approx(by_hand)


def test_luck_s_index_is_about_the_chi_square_s_for_independent_rows():
    # For independent samples of 1,000 each the outline's table says .034 at the 95th percentile.
    rng = np.random.default_rng(1)
    scores = pd.DataFrame({"reference": rng.normal(size=1000), "current": rng.normal(size=1000)})
    finding = score_contract(scores, cluster=None, replicates=1000)
    assert row(finding, "what luck gives that index (95th percentile)") == pytest.approx(0.034, abs=0.004)


@pytest.mark.parametrize(
    ("change", "verdict"),
    [
        (
            lambda x: x,
            "The two versions give the same scores: no threshold's share moves.",
        ),
        (lambda x: 0.5 * x + 2, r"The new score is the old one on another scale \(2 \+ 0.5 x\)"),
        (np.exp, "The new score has other values in the old order"),
        (lambda x: -x, r"The new score orders rows anew \(rank correlation -1.00\)"),
    ],
)
def test_the_verdict_tells_scale_from_values_from_order(change, verdict):
    scores = versions()
    scores["current"] = change(scores["reference"])
    assert re.match(verdict, score_contract(scores, replicates=20).verdict)


@pytest.mark.parametrize(
    ("rows", "shift", "said"),
    [
        (200, 0.0, "no change of any threshold's share shows, and one above {high} points is unlikely"),
        (500, 0.5, "a fixed threshold's share moves by up to {estimate} points ({low} to {high})"),
    ],
)
def test_the_verdict_says_of_a_change_no_more_than_its_interval_does(rows, shift, said):
    rng = np.random.default_rng(2)
    scores = pd.DataFrame({"reference": rng.normal(size=rows), "current": shift + rng.normal(size=rows)})
    finding = score_contract(scores, cluster=None)
    assert (finding.p < 0.05) == (shift > 0)
    assert (finding.ci[0] > 0) == (shift > 0)
    ends = dict(zip(("low", "high"), (f"{100 * end:.0f}" for end in finding.ci), strict=True))
    assert said.format(**ends, estimate=f"{100 * finding.estimate:.0f}") in finding.verdict


@pytest.mark.slow
def test_without_a_change_p_is_uniform_and_19_of_20_intervals_hold_nothing():
    findings = [score_contract(versions(seed), replicates=199, rng=seed) for seed in range(300)]
    # Of 200 possible values each.
    assert kstest([finding.p - 0.0025 for finding in findings], "uniform").pvalue > 0.01
    assert 0.93 <= np.mean([finding.ci[0] == 0 for finding in findings]) <= 0.975


def test_the_interval_covers_a_true_distance_at_least_as_often_as_it_says():
    # Users share part of the variance. N(0, 2.25) against the same moved by .6: the distance is 2 Phi(.2) - 1.
    # An interval for all thresholds at once holds the largest distance more often than 95%.
    truth, held = 2 * norm.cdf(0.2) - 1, 0
    for seed in range(150):
        finding = score_contract(versions(seed, rows=400, users=150, shift=0.6), replicates=199, rng=seed)
        held += finding.ci[0] <= truth <= finding.ci[1]
    assert held / 150 >= 0.94


def test_rows_of_one_user_count_as_one_another_s():
    scores = versions(rows=300, users=20, shift=0.3, scale=1.1)
    doubled = pd.concat([scores] * 5)
    widths = [
        np.diff(score_contract(frame, cluster=cluster, replicates=400).ci)[0]
        for frame, cluster in ((scores, "user_id"), (doubled, "user_id"), (doubled, None))
    ]
    assert widths[1] == pytest.approx(widths[0], rel=0.02)
    assert widths[2] < 0.6 * widths[0]


def test_the_shim_restores_every_threshold_s_share_and_keeps_the_order():
    rng = np.random.default_rng(0)
    old, new = rng.normal(size=5000), np.exp(rng.normal(size=5000))
    fit, fresh = new[:2500], new[2500:]
    mapped = quantile_shim(old, fit)(fresh)
    assert ks_2samp(mapped, old).statistic < 0.04
    assert (
        np.argsort(mapped, kind="stable") == np.argsort(np.clip(fresh, fit.min(), fit.max()), kind="stable")
    ).all()
    scores = pd.DataFrame({"reference": old[2500:], "current": mapped})
    assert score_contract(scores, cluster=None).ci[0] == 0


def lognormals(seed, rows):
    """Two versions of a heavy-tailed score, of other spread and scale."""
    rng = np.random.default_rng(seed)
    return np.exp(1.5 * rng.normal(size=rows)), 3 * np.exp(rng.normal(size=rows))


@pytest.mark.parametrize("beyond", [0.1, 0.01, 0.001, 0.0005, 0.0001])
def test_the_shim_restores_a_share_far_out_in_the_tail(beyond):
    # On the rows that it was fitted on, to within one of them.
    old, new = lognormals(0, 50_000)
    threshold = np.quantile(old, 1 - beyond)
    assert (quantile_shim(old, new)(new) > threshold).mean() == pytest.approx(beyond, abs=1.01 / 50_000)


def test_the_shim_errs_in_the_tail_by_its_rows_luck_and_isn_t_off():
    # A thousandth is 50 rows of either version: by luck alone a share is off by a fifth.
    threshold, shares = np.exp(1.5 * norm.isf(0.001)), []
    for seed in range(40):
        shim = quantile_shim(*lognormals(seed, 50_000))
        back = np.interp(threshold, shim.reference, shim.current)
        shares.append(norm.sf(np.log(back / 3)))
    assert np.mean(shares) == pytest.approx(0.001, rel=3 * 0.2 / np.sqrt(40))
    assert np.std(shares) == pytest.approx(0.0002, rel=0.35)


def test_beyond_the_outermost_rows_the_shim_gives_the_old_version_s_extremes():
    old, new = lognormals(1, 1000)
    mapped = quantile_shim(old, new)([new.min() / 2, 2 * new.max()])
    assert mapped == pytest.approx([old.min(), old.max()])


def test_a_shim_between_samples_of_other_sizes_is_right_in_the_middle():
    shim = quantile_shim(np.arange(1001.0), [0.0, 1, 2, 3])
    # Rows in the middle of their quarters: an eighth, three eighths, and so on.
    assert shim([0, 1, 2, 3]) == pytest.approx([124.625, 374.875, 625.125, 875.375])


def test_a_shim_between_two_normals_is_their_ratio_of_standard_deviations():
    levels = norm.ppf(np.linspace(0.0005, 0.9995, 2000))
    shim = quantile_shim(3 * levels + 1, 0.5 * levels)
    assert shim([-0.5, 0, 0.4]) == pytest.approx([-2.0, 1.0, 3.4], abs=0.01)


def test_ties_in_the_new_score_map_to_the_middle_of_what_they_stand_for():
    shim = quantile_shim([1.0, 2, 3, 4], [0.0, 0, 1, 1])
    assert shim([0, 1]).tolist() == [1.5, 3.5]


def consumer(upstream, version, cut=0.5):
    upstream = np.asarray(upstream, dtype=float)
    return pd.DataFrame(
        {
            "upstream_score": upstream,
            "upstream_version": version,
            "score": 2 * upstream,
            "action": 2 * upstream > cut,
        }
    )


def test_a_replay_gives_the_new_version_the_old_one_s_volume_and_leaves_the_old_one_alone():
    rng = np.random.default_rng(0)
    old = consumer(rng.normal(size=4000), "v1")
    rows = pd.concat([old, consumer(0.1 * rng.normal(size=4000), "v2")], ignore_index=True)
    assert rows.groupby("upstream_version")["action"].mean()["v2"] < 0.02
    shim = quantile_shim(*(rows.loc[rows["upstream_version"] == v, "upstream_score"] for v in ("v1", "v2")))
    again = replay(rows, shim, version="v2")
    rates = again.groupby("upstream_version")["action"].mean()
    assert rates["v2"] == pytest.approx(rates["v1"], abs=0.005)
    assert again["score"].to_numpy() == pytest.approx(2 * again["upstream_score"], abs=1e-9)
    pd.testing.assert_frame_equal(again.iloc[:4000], old)
    assert replay(pl.from_pandas(rows), shim, version="v2")["action"].tolist() == again["action"].tolist()


SCORES = versions()
READS = pd.concat([consumer([0.1, 0.2, 0.4], "v1"), consumer([0.3, 0.4], "v2")])
SHIM = quantile_shim([0.0, 1.0], [0.0, 2.0])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: score_contract(SCORES, current="new"), "scores: got columns .* must have new"),
        (lambda: score_contract(SCORES.assign(current=1.0)), "current: got 1.0 in every row; a constant"),
        (lambda: score_contract(SCORES.assign(reference=np.inf)), "reference: got inf in scores; it must be"),
        (lambda: score_contract(SCORES.assign(user_id=1)), "user_id: got one value; the bootstrap needs two"),
        (lambda: score_contract(SCORES, bins=1), "bins: got 1"),
        (lambda: score_contract(SCORES, replicates=5), "replicates: got 5"),
        (lambda: score_contract(SCORES, alpha=0), "alpha: got 0"),
        (lambda: score_contract(SCORES.iloc[:0]), "scores: got no row"),
        (lambda: quantile_shim([1.0], [1.0, 2.0]), r"reference: got shape \(1,\); it must be finite scores"),
        (lambda: quantile_shim([1.0, 2.0], [1.0, np.nan]), "current: got shape .* finite"),
        (lambda: quantile_shim([1.0, 2.0], [3.0, 3.0]), "current: got 3.0 only"),
        (lambda: replay(READS, SHIM, version="v9"), "version: got 'v9'; there must be rows of it"),
        (
            lambda: replay(READS.assign(action=[0, 1, 0, 1, 1]), SHIM, version="v2"),
            "action: got scores from 0.4",
        ),
        (lambda: replay(READS.assign(action=2), SHIM, version="v2"), "action: got 2 in downstream"),
    ],
)
def test_bad_input_is_refused_by_name_value_and_rule(call, message):
    with pytest.raises(ValueError, match=message):
        call()
