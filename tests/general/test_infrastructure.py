"""Replayed shadow logs tell what the full signals would gain, with honest intervals, and nothing where there is nothing."""

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy.special import expit
from scipy.stats import kstest
from sklearn.metrics import roc_auc_score

from toolkit.auc import auc
from toolkit.finding import Finding
from toolkit.general.handicaps import staleness_kept
from toolkit.general.infrastructure import handicap_bounds, rows_to_show
from toolkit.general.shadow_logs import PAIR, rate_read, shadow_log
from toolkit.world import Settings, simulate
from toolkit.world.policies import fit_logistic
from toolkit.world.slates import live

NOW = [*PAIR, "f_rate_28d"]


def replay(users=250, each=4, *, seed=0, now_noise=1.0, full_noise=1.0, weight=1.5, late=None, noise=0):
    """Users with a level of their own; two readings of one quality, and features that tell nothing."""
    rng = np.random.default_rng(seed)
    user = np.repeat(np.arange(users), rng.integers(1, 2 * each, users))
    n = len(user)
    quality = rng.normal(size=n)
    y = rng.random(n) < expit(-1 + weight * quality + 0.7 * rng.normal(size=users)[user])
    age = np.zeros(n) if late is None else rng.choice(np.asarray(late, dtype=float), n)
    kept = np.sqrt([staleness_kept(a) for a in np.unique(age)])[np.searchsorted(np.unique(age), age)]
    read = kept * quality + np.sqrt(1 - kept**2) * rng.normal(size=n)
    log = pd.DataFrame({"request_id": np.arange(n), "item_id": 7, "user_id": user, "explored": True})
    log["f_now"] = quality + now_noise * rng.normal(size=n)
    log["f_full"] = read + full_noise * rng.normal(size=n)
    log["f_age"] = age
    for place in range(noise):
        log[f"f_noise_{place}"] = rng.normal(size=n)
    return log, log[["request_id", "item_id"]].assign(y=y.astype(int))


def test_given_scores_are_judged_on_all_rows_as_scikit_learn_judges_them():
    log, labels = replay(full_noise=0.3)
    found = handicap_bounds(log, labels, now="f_now", full="f_full", replicates=50)
    areas = [roc_auc_score(labels["y"], log[name]) for name in ("f_now", "f_full")]
    assert found.estimate == pytest.approx(areas[1] - areas[0])
    row = found.table.iloc[0]
    assert (row["now"], row["full"]) == pytest.approx(tuple(areas))
    assert (found.n, found.n_clusters) == (len(log), log["user_id"].nunique())
    assert found.ci[0] > 0
    assert "rank better" in found.verdict
    swapped = handicap_bounds(log, labels, now="f_full", full="f_now", replicates=50)
    assert swapped.estimate == pytest.approx(-found.estimate)
    assert "rank worse" in swapped.verdict


@pytest.mark.slow
def test_intervals_cover_the_true_difference_and_p_is_uniform_without_one():
    big, labels = replay(100_000, seed=99, full_noise=0.6)
    truth = auc(labels["y"], big["f_full"]) - auc(labels["y"], big["f_now"])
    assert truth > 0.04
    covered, ps, runs = 0, [], 250
    for seed in range(runs):
        log, labels = replay(seed=seed, full_noise=0.6)
        found = handicap_bounds(log, labels, now="f_now", full="f_full", replicates=400, rng=seed)
        covered += found.ci[0] <= truth <= found.ci[1]
        log, labels = replay(seed=seed + runs)
        ps.append(handicap_bounds(log, labels, now="f_now", full="f_full", replicates=100, rng=seed).p)
    assert 0.93 <= covered / runs <= 0.97
    assert kstest(ps, "uniform").pvalue > 0.01


def fitted_areas(log, labels, big, y, columns, fold):
    """What the two parts' models rank on rows that nobody has seen, the mean of the parts'."""
    models = [fit_logistic(log[columns].to_numpy()[fold != part], labels[fold != part]) for part in (0, 1)]
    return np.mean([auc(y, big[columns].to_numpy() @ weights[1:]) for weights in models])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("users", "noise", "full_noise"),
    [(80, 10, None), (120, 1, None), (120, 5, 1.0)],
)
def test_fitted_intervals_cover_the_fitted_models_gain_and_noise_is_neither_better_nor_worse_signals(
    users, noise, full_noise
):
    names = [f"f_noise_{place}" for place in range(noise)]
    full = ["f_now", *names, *([] if full_noise is None else ["f_full"])]
    big, labels = replay(1500, seed=999, noise=noise, full_noise=full_noise or 1.0)
    y, covered, better, runs = labels["y"].to_numpy(), 0, 0, 100
    for seed in range(runs):
        log, labels = replay(users, seed=seed, noise=noise, full_noise=full_noise or 1.0)
        found = handicap_bounds(log, labels, now=["f_now"], full=full, replicates=200, rng=seed)
        code, _ = pd.factorize(log["user_id"])
        fold = (np.random.default_rng(seed).permutation(users) % 2)[code]
        areas = [fitted_areas(log, labels["y"].to_numpy(), big, y, part, fold) for part in (["f_now"], full)]
        covered += found.ci[0] <= areas[1] - areas[0] <= found.ci[1]
        better += found.ci[0] > 0
        assert found.p is None
        assert "rank worse" not in found.verdict
        assert "ranks worse" not in found.verdict
        if found.ci[1] < 0:
            assert "With this much data a model fitted on the full signals ranks no better" in found.verdict
    # With 100 runs the coverage's own standard error is .022.
    assert covered / runs >= 0.91
    if full_noise is None:
        assert better / runs <= 0.04


def test_noise_is_overfitted_and_the_verdict_says_so_instead_of_worse_signals():
    noise = [f"f_noise_{place}" for place in range(25)]
    gains, verdicts, found_some = [], [], 0
    for seed in range(20):
        log, labels = replay(80, seed=seed, noise=25)
        found = handicap_bounds(log, labels, now=["f_now"], full=["f_now", *noise], replicates=60, rng=seed)
        gains.append(found.estimate)
        verdicts.append(found.verdict)
        found_some += found.ci[0] > 0
    # In sample, 25 columns of noise on 300 rows would have gained about .05.
    assert np.mean(gains) < 0
    assert found_some <= 2
    assert any("fitted on the full signals ranks no better" in verdict for verdict in verdicts)
    assert not any("worse" in verdict for verdict in verdicts)
    assert "with more rows to fit on" in found.cannot_tell[-1]


def test_signals_without_today_s_can_rank_worse():
    log, labels = replay(400, noise=2)
    found = handicap_bounds(log, labels, now=["f_now"], full=["f_noise_0", "f_noise_1"], replicates=60)
    assert found.ci[1] < 0
    assert found.verdict.startswith("A model fitted on the full signals ranks worse")


def test_where_all_rows_judge_and_fit_the_models_of_noise_the_interval_is_wider_than_where_few_judge():
    log, labels = replay(300, noise=10)
    full = ["f_now", *(f"f_noise_{place}" for place in range(10))]
    draw = np.random.default_rng(0).random(len(log)) < 0.2
    settings = {"now": ["f_now"], "full": full, "replicates": 300}
    every = handicap_bounds(log, labels, **settings).se
    few = handicap_bounds(log.assign(explored=draw), labels, **settings).se
    # Twenty percent would give sqrt(5) = 2.24 at independent parts; all rows' variance nearly doubles: sqrt(5 x 1.2 / 2).
    assert few / every == pytest.approx(np.sqrt(5 * 1.2 / 2), rel=0.15)


def test_rows_to_show_is_the_power_formula():
    found = Finding(0.02, (0.0004, 0.0396), "better", se=0.01, n=1000)
    # (1.960 + 0.842)^2 = 7.849 times (1/2)^2 of the rows; at even odds 1.960^2.
    assert rows_to_show(found) == pytest.approx(1962, abs=2)
    assert rows_to_show(found, power=0.5) == pytest.approx(961, abs=2)
    assert rows_to_show(found, gain=0.01) == pytest.approx(4 * 1962, abs=8)


@pytest.mark.slow
def test_a_replay_of_the_rows_to_show_shows_the_gain_in_four_cases_of_five():
    def found(users, seed):
        log, labels = replay(users, seed=seed, full_noise=0.6)
        return handicap_bounds(log, labels, now="f_now", full="f_full", replicates=100, rng=seed)

    # One reading's gain and error are themselves uncertain; sixty readings' are hardly.
    known = [found(250, seed) for seed in range(1000, 1060)]
    rows = float(np.mean([one.n for one in known]))
    gain, se = np.mean([one.estimate for one in known]), np.std([one.estimate for one in known])
    needed = rows_to_show(Finding(gain, (0.0, 1.0), "better", se=se, n=round(rows)))
    shown = np.mean([found(round(250 * needed / rows), seed).ci[0] > 0 for seed in range(150)])
    # Its own standard error is .033; the error that sixty readings tell is off by a tenth.
    assert 0.68 <= shown <= 0.92


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"gain": 0.0}, "gain: got 0.0; it must lie above 0"),
        ({"power": 1.0}, "power: got 1.0"),
    ],
)
def test_rows_to_show_refuses_what_it_cannot_reckon_with(settings, message):
    found = Finding(0.02, (0.0, 0.04), "better", se=0.01, n=1000)
    with pytest.raises(ValueError, match=message):
        rows_to_show(found, **settings)
    with pytest.raises(ValueError, match=r"finding\.se: got nan"):
        rows_to_show(Finding(0.02, (0.0, 0.04), "better", n=1000))


def test_the_gain_by_latency_is_that_of_the_signal_at_that_age_and_falls_with_it():
    late = (0.0, 0.5, 2.0)
    log, labels = replay(3000, seed=1, full_noise=0.2, now_noise=2.0, late=late)
    found = handicap_bounds(
        log, labels, now=["f_now"], full=["f_now", "f_full"], latency="f_age", replicates=100
    )
    table = found.table.set_index("judged")
    assert list(table.index) == ["all", "latency 0", "latency 0.5", "latency 2"]
    gains = table["difference"].iloc[1:].to_numpy()
    assert (np.diff(gains) < 0).all()
    for age in late:
        # What a build of this latency would reach: its own fit, on rows that all have this age.
        alone, y = replay(20_000, seed=5, full_noise=0.2, now_noise=2.0, late=[age])
        build = handicap_bounds(alone, y, now=["f_now"], full=["f_now", "f_full"], replicates=2)
        row = table.loc[f"latency {age:g}"]
        se = (row["high"] - row["low"]) / 3.92
        assert abs(row["difference"] - build.estimate) < 3.5 * se + 0.005
    assert found.table["rows"].iloc[1:].sum() == found.n
    # The mix's gain lies between: a bound from below for builds that read sooner, from above for later ones.
    assert gains[-1] < found.estimate < gains[0]
    assert "at a median latency of 0.5" in found.verdict


def test_a_latency_that_never_varies_splits_nothing_and_a_fine_one_is_cut_in_thirds():
    log, labels = replay(100)
    told = handicap_bounds(log, labels, now="f_now", full="f_full", latency="f_age", replicates=20)
    assert list(told.table["judged"]) == ["all"]
    log["f_age"] = np.random.default_rng(0).exponential(size=len(log))
    told = handicap_bounds(log, labels, now="f_now", full="f_full", latency="f_age", replicates=20)
    assert list(told.table["judged"]) == ["all", "freshest third", "middle third", "oldest third"]
    assert np.ptp(told.table["rows"].iloc[1:]) <= 1
    assert told.table["latency"].iloc[1:].is_monotonic_increasing


def test_only_rows_drawn_at_random_are_judged_but_all_are_fitted_on():
    log, labels = replay(400, full_noise=0.3)
    log["explored"] = np.arange(len(log)) % 3 == 0
    found = handicap_bounds(log, labels, now="f_now", full="f_full", replicates=20)
    drawn = log["explored"].to_numpy()
    assert found.n == drawn.sum()
    expected = [roc_auc_score(labels["y"][drawn], log[name][drawn]) for name in ("f_now", "f_full")]
    assert found.estimate == pytest.approx(expected[1] - expected[0])
    every = handicap_bounds(
        log.drop(columns="explored"), labels, now="f_now", full="f_full", explored_only=False, replicates=20
    )
    assert every.n == len(log)


@pytest.fixture(scope="module")
def foobar():
    return shadow_log(simulate(Settings(items=50, half_life=0.25)), range(17, 45))


def test_at_foobar_the_stream_s_rate_gains_and_the_daily_one_does_not(foobar):
    stream = handicap_bounds(*foobar, now=NOW, full=[*NOW, "f_rate_stream"], replicates=200)
    daily = handicap_bounds(*foobar, now=NOW, full=[*PAIR, "f_rate_daily"], replicates=200)
    assert stream.ci[0] > 0.01
    assert daily.ci[0] < 0
    assert daily.estimate < stream.estimate - 0.03


def test_the_interval_holds_the_gain_on_every_candidate_of_the_next_days():
    # The world knows every candidate's outcome, so what replay can only estimate from a few thousand rows is known.
    world = simulate(Settings(items=50, half_life=0.25))
    log, labels = shadow_log(world, range(17, 45))
    found = handicap_bounds(log, labels, now=NOW, full=[*NOW, "f_rate_stream"], replicates=200)
    slates = live(world, range(17, 45))
    signals = {"now": [slates.known[..., p].ravel() for p in (0, 1, 2, -1)]}
    signals["full"] = [*signals["now"], rate_read(slates, 0).ravel()]
    columns = {"now": NOW, "full": [*NOW, "f_rate_stream"]}
    areas = {}
    for side, values in signals.items():
        weights = fit_logistic(log[columns[side]].to_numpy(), labels["y"].to_numpy())
        areas[side] = auc(slates.y.ravel(), np.column_stack(values) @ weights[1:])
    assert abs(found.estimate - (areas["full"] - areas["now"])) < 3 * found.se


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_where_items_never_change_the_stream_gains_nothing(seed):
    log, labels = shadow_log(simulate(Settings(items=50, quality_weight=0.0), rng=seed), range(17, 45))
    found = handicap_bounds(log, labels, now=NOW, full=[*NOW, "f_rate_stream"], replicates=200)
    # Nor does it lose: a day's clicks are a few more of what four weeks already tell.
    assert -0.004 < found.ci[0] < 0.0005
    assert 0 < found.ci[1] < 0.004
    assert "No gain of the full signals shows" in found.verdict


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_hundredth_of_the_traffic_is_too_little_and_is_refused(foobar, seed):
    log, labels = foobar
    few = log.sample(frac=0.01, random_state=seed)
    with pytest.raises(
        ValueError, match=r"y: got \d users with a [01] in a part of the judged rows; each part needs 10"
    ):
        handicap_bounds(few, labels, now=NOW, full=[*NOW, "f_rate_stream"])


@pytest.mark.parametrize("kind", ["polars", "pyarrow", "duckdb"])
def test_other_libraries_frames_give_the_same_finding(kind):
    log, labels = replay(60)
    given = {
        "polars": pl.from_pandas,
        "pyarrow": lambda frame: pl.from_pandas(frame).to_arrow(),
        "duckdb": duckdb.from_df,
    }[kind]
    settings = {"now": ["f_now"], "full": ["f_now", "f_full"], "latency": "f_age", "replicates": 20}
    assert handicap_bounds(given(log), given(labels), **settings) == handicap_bounds(log, labels, **settings)


LOG, LABELS = replay(30)


@pytest.mark.parametrize(
    ("change", "settings", "message"),
    [
        (lambda a, b: (a.drop(columns="f_full"), b), {}, "shadow_log: got columns .*; it must have f_full"),
        (lambda a, b: (a.drop(columns="explored"), b), {}, "it must have explored"),
        (lambda a, b: ([], b), {}, "shadow_log: got list; it must be a frame"),
        (lambda a, b: (a.assign(f_full=np.nan), b), {}, "f_full: got .* missing"),
        (lambda a, b: (a.assign(f_full=np.inf), b), {}, "f_full: got inf in shadow_log; it must be finite"),
        (lambda a, b: (a.assign(f_now=3.0), b), {}, "f_now: got 3.0 in every row; a constant ranks nothing"),
        (lambda a, b: (pd.concat([a, a]), b), {}, "request_id, item_id: got .* repeated"),
        (lambda a, b: (a, pd.concat([b, b])), {}, "each must be in outcomes once"),
        (lambda a, b: (a, b.iloc[:-2]), {}, "outcomes: got none for 2 of .* rows; each needs one"),
        (lambda a, b: (a, b.assign(y=2)), {}, "y: got 2 in outcomes; a label is 0 or 1"),
        (lambda a, b: (a, b.assign(y=1)), {}, "y: got 0 users with a 0 in a part of the judged rows; each"),
        (lambda a, b: (a.assign(explored=False), b), {}, "explored: got no row drawn at random"),
        (lambda a, b: (a.assign(explored=2), b), {}, "explored: got int64; it must be true or false"),
        (
            lambda a, b: (a.assign(f_age=-1.0), b),
            {"latency": "f_age"},
            "f_age: got -1.0; a latency isn't neg",
        ),
        (lambda a, b: (a.assign(user_id=1), b), {}, "y: got 1 users with a 0 in a part of the judged rows"),
        (lambda a, b: (a, b), {"full": []}, "full: got no column"),
        (lambda a, b: (a, b), {"folds": 1}, "folds: got 1; it must be a whole number, 2 at least"),
        (lambda a, b: (a, b), {"alpha": 0}, "alpha: got 0"),
        (lambda a, b: (a, b), {"replicates": 0}, "replicates: got 0"),
    ],
)
def test_bad_logs_and_settings_are_refused_by_name_value_and_rule(change, settings, message):
    with pytest.raises(ValueError, match=message):
        handicap_bounds(*change(LOG, LABELS), **{"now": "f_now", "full": "f_full", **settings})
