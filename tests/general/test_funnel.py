"""The funnel's diagnostics: by hand, coverage, FooBar's funnel against its oracle, and what they refuse."""

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy.special import expit
from scipy.stats import t as student
from statsmodels.stats.proportion import proportion_confint

from toolkit.general.funnel import _share, funnel_attribution, funnel_recall, recall_margin
from toolkit.general.funnel_rows import refilter
from toolkit.general.story_funnel import favourites_kept, story_lift
from toolkit.world.company import tables
from toolkit.world.mechanisms import MECHANISMS
from toolkit.world.story import tell


@pytest.fixture(scope="module")
def story():
    return tell()


@pytest.fixture(scope="module")
def foobar(story):
    return tables(story)


def funnel(seed=0, requests=600, users=200, candidates=12, keep=4, whole=0.3, weights=(0.6, 0.6), shared=0.0):
    """Two independent standard normal scores of each candidate; outcomes follow their weights.

    `shared` gives users tastes: the light ranker agrees with the heavy one for some users, not for others.
    """
    rng = np.random.default_rng(seed)
    user = rng.integers(0, users, requests)
    heavy, light = rng.normal(size=(2, requests, candidates))
    agree = (rng.random(users) < shared)[user]
    light = np.where(agree[:, None], heavy, light)
    passed = light >= np.partition(light, -keep, 1)[:, [-keep]]
    rank = np.where(passed, np.where(passed, -heavy, np.inf).argsort(1).argsort(1) + 1.0, np.nan)
    scored = passed | (rng.random(requests) < whole)[:, None]
    chance = expit(-1.5 + weights[0] * light + weights[1] * heavy)
    frame = pd.DataFrame(
        {
            "request_id": np.repeat(np.arange(requests), candidates),
            "item_id": np.tile(np.arange(candidates), requests),
            "light_score": light.ravel(),
            "passed_light": passed.ravel(),
            "heavy_score": np.where(scored, heavy, np.nan).ravel(),
            "rank": rank.ravel(),
        }
    )
    log = pd.DataFrame({"request_id": np.arange(requests), "user_id": user, "arm": "treatment"})
    outcomes = frame[["request_id", "item_id"]].assign(
        y=(rng.random(chance.size) < chance.ravel()).astype(int)
    )
    return frame, log, outcomes


def test_recall_of_two_favourites_by_hand():
    frame = pd.DataFrame(
        {
            "request_id": [1] * 4 + [2] * 4 + [3] * 4,
            "item_id": list(range(4)) * 3,
            "passed_light": [True, True, False, False] * 3,
            # Favourites: 0 and 2; 0 and 1; the third request wasn't scored whole.
            "heavy_score": [9, 1, 8, 2, 7, 6, 5, 4, 9, 8, np.nan, 1],
        }
    )
    finding = funnel_recall(frame, top=2)
    assert finding.estimate == 3 / 4
    assert finding.n == 4
    assert finding.table["requests"].tolist() == [2]
    assert finding.table["passed_share"].tolist() == [0.5]


def test_ties_for_the_last_place_all_count():
    frame = pd.DataFrame(
        {
            "request_id": 1,
            "item_id": range(3),
            "passed_light": [True, False, False],
            "heavy_score": [2.0, 2.0, 1.0],
        }
    )
    assert funnel_recall(pd.concat([frame, frame.assign(request_id=2)])).estimate == 0.5


def test_one_favourite_a_cluster_gives_wilson_s_interval():
    hits = np.r_[np.ones(70), np.zeros(31)]
    told = _share(pd.Series(hits), pd.Series(np.arange(101)), 0.05)
    assert (told.low, told.high) == pytest.approx(proportion_confint(70, 101, method="wilson"))


def test_where_every_favourite_passed_the_interval_counts_clusters_not_rows():
    z = student.isf(0.025, 9)
    told = _share(pd.Series(np.ones(50)), pd.Series(np.repeat(np.arange(10), 5)), 0.05)
    assert told.low == pytest.approx(10 / (10 + z**2))
    assert told.high == 1


def test_of_one_cluster_s_favourites_the_share_has_no_interval():
    frame, log, _ = funnel(requests=40, users=1, whole=1.0)
    finding = funnel_recall(frame, log)
    assert 0 < finding.estimate < 1
    assert np.isnan([*finding.ci, finding.se, *finding.table[["low", "high"]].iloc[0]]).all()


def test_the_interval_covers_between_93_and_97_percent_where_users_differ():
    rng, held, runs = np.random.default_rng(0), 0, 2500
    for _ in range(runs):
        user = rng.integers(0, 60, 200)
        chance = rng.choice([0.3, 0.9], 60)[user]
        # The chance of a hit is 0.6 on average over users.
        told = _share(pd.Series(rng.random(200) < chance), pd.Series(user), 0.05)
        held += told.low <= 0.6 <= told.high
    assert 0.93 <= held / runs <= 0.97


def test_taking_rows_for_independent_would_cover_too_seldom():
    frame, log, _ = funnel(requests=2000, users=40, whole=1.0, shared=0.5)
    clustered, naive = funnel_recall(frame, log), funnel_recall(frame)
    assert clustered.estimate == naive.estimate
    assert np.diff(clustered.ci) > 1.5 * np.diff(naive.ci)


def test_foobar_s_recall_is_that_of_its_oracle_and_quiet_in_the_arm_without_a_filter(story, foobar):
    finding = funnel_recall(foobar["funnel"], foobar["serving_log"], group="treatment")
    assert finding.ci[0] < favourites_kept(story, model="leaky") < finding.ci[1]
    control = finding.table.set_index("group").loc["control"]
    assert control["recall"] == control["passed_share"] == 1
    assert control[["low", "high"]].isna().all()


def short(requests, *, survivors=False, seed=0):
    """A tenth of the requests has three candidates, which all pass and are all scored; 4 of 12 pass elsewhere."""
    frame, log, outcomes = funnel(seed=seed, requests=requests, whole=0.05)
    few = frame["request_id"] % 10 == 0
    frame = frame[~few | (frame["item_id"] < 3)].reset_index(drop=True)
    few = frame["request_id"] % 10 == 0
    heavy = frame["heavy_score"].fillna(0.0) if survivors else frame["heavy_score"]
    frame["heavy_score"] = heavy.where(~few, np.arange(len(frame)) % 7 / 7)
    frame.loc[few, "passed_light"] = True
    return frame, log, outcomes


def test_requests_whose_candidates_all_passed_are_no_sample_of_what_is_kept_back():
    frame, *_ = short(4000)
    finding = funnel_recall(frame)
    # Two independent scores: of 12 candidates 4 pass, and the favourite as often as any.
    assert finding.ci[0] < 4 / 12 < finding.ci[1] < 0.6
    assert (
        "; 400 requests whose candidates all passed are left out, for they weren't drawn." in finding.verdict
    )
    assert finding.table["passed_share"][0] == pytest.approx(1 / 3)


def test_a_column_of_drawn_requests_keeps_the_short_ones_among_them():
    frame, *_ = short(4000)
    whole = frame["heavy_score"].notna().groupby(frame["request_id"]).transform("all")
    drawn = whole & ((frame["request_id"] % 10 > 0) | (frame["request_id"] % 200 == 0))
    finding = funnel_recall(frame.assign(drawn=drawn), sampled="drawn")
    requests = frame.loc[drawn, "request_id"].drop_duplicates()
    assert finding.n == len(requests)
    assert (requests % 10 == 0).sum() == 20
    # The twenty short ones keep their favourites; the others keep what they kept before.
    others = funnel_recall(frame)
    assert finding.estimate == pytest.approx((20 + others.estimate * others.n) / finding.n)
    assert "left out" not in finding.verdict


def test_a_log_of_survivors_shows_no_filter_and_gets_no_interval():
    frame, log, outcomes = funnel(requests=900)
    survivors = frame[frame["passed_light"]]
    finding = funnel_recall(survivors, log)
    assert np.isnan(finding.ci).all()
    assert finding.verdict.startswith("No filter is seen in this log: all candidates passed, or only those")
    attribution = funnel_attribution(survivors, log, outcomes, replicates=20)
    assert np.isnan(attribution.ci).all()
    assert attribution.verdict == finding.verdict


def test_an_arm_in_which_nothing_was_scored_whole_is_named_and_not_dropped():
    frame, log, _ = funnel(requests=600)
    whole = frame["heavy_score"].notna().groupby(frame["request_id"]).all()
    log["arm"] = np.where(log["request_id"].map(whole), "A", "B")
    finding = funnel_recall(frame, log)
    table = finding.table.set_index("group")
    assert table["requests"].tolist() == [whole.sum(), 0]
    assert table.loc["B", ["recall", "low", "high"]].isna().all()
    assert "of B nothing is known, for no request was scored whole there" in finding.verdict
    assert funnel_recall(frame, log, group="A").ci == finding.ci
    with pytest.raises(ValueError, match="heavy_score: got no request scored whole in B"):
        funnel_recall(frame, log, group="B")


def test_an_arm_without_a_filter_doesn_t_thin_the_recall_of_the_others(foobar):
    given = foobar["funnel"], foobar["serving_log"]
    assert funnel_recall(*given).ci == funnel_recall(*given, group="treatment").ci


def test_shown_candidates_without_an_outcome_are_counted_and_refused():
    frame, log, outcomes = funnel(requests=300)
    top = frame.loc[frame["rank"] == 1, ["request_id", "item_id"]].iloc[:7]
    left = outcomes.merge(top, how="left", indicator=True).query("_merge == 'left_only'")
    with pytest.raises(ValueError, match="outcomes: got none for 7 of 300 rows; each needs one"):
        funnel_attribution(frame, log, left, replicates=20)


def test_the_attribution_s_values_are_the_fitted_values_by_hand():
    # Most pass, so that hardly a pick lies outside of what was shown, and the fit is near the truth.
    frame, log, outcomes = funnel(requests=6000, whole=0.3, keep=10)
    finding = funnel_attribution(frame, log, outcomes, replicates=20)
    whole = frame[frame.groupby("request_id")["heavy_score"].transform(lambda s: s.notna().all())]
    value = expit(-1.5 + 0.6 * whole["light_score"] + 0.6 * whole["heavy_score"])
    shown = value[whole["rank"] == 1].mean()
    free = value[whole.groupby("request_id")["heavy_score"].idxmax()].mean()
    assert finding.table["value"].tolist() == pytest.approx([shown, free], abs=0.025)
    assert finding.estimate == finding.table["value"][1] - finding.table["value"][0]


def cost(frame, logit):
    """What filtering costs in a large sample whose candidates have the values of `logit`."""
    width = frame.groupby("request_id").size().iloc[0]
    light, heavy, passed = (
        frame[name].to_numpy().reshape(-1, width) for name in ("light_score", "heavy_score", "passed_light")
    )
    value, rows = expit(logit(light, heavy)), np.arange(len(heavy))
    free, shown = heavy.argmax(1), np.where(passed, heavy, -np.inf).argmax(1)
    return (value[rows, free] - value[rows, shown]).mean()


WORLDS = {
    "straight": lambda light, heavy: -1.5 + 0.6 * light + 0.6 * heavy,
    "bent": lambda light, heavy: -1.5 + light + 0.3 * heavy - 0.3 * light**2,
}


def covered(world, runs, *, requests=1200):
    """How often the interval holds the truth, in a world of so many requests, a user each."""
    settings = {"candidates": 8, "keep": 3, "whole": 0.15}
    logit, held = WORLDS[world], 0
    truth = cost(funnel(seed=99, requests=40_000, **{**settings, "whole": 1.0})[0], logit)
    for seed in range(runs):
        frame, log, outcomes = funnel(seed=seed, requests=requests, users=requests, **settings)
        chance = expit(logit(frame["light_score"].to_numpy(), frame["heavy_score"].to_numpy()))
        outcomes["y"] = (np.random.default_rng(seed + 10_000).random(len(chance)) < chance).astype(int)
        finding = funnel_attribution(frame, log, outcomes, replicates=120, rng=seed)
        held += finding.ci[0] <= truth <= finding.ci[1]
    return held / runs


@pytest.mark.slow
@pytest.mark.parametrize("world", WORLDS)
def test_the_attribution_s_interval_covers_where_values_are_straight_and_where_they_are_bent(world):
    # 100 runs leave an error of 2.2 points. A fit without squares holds the bent truth in 10% of them.
    assert 0.89 <= covered(world, 100) <= 0.99


def test_picks_beyond_what_was_shown_are_counted():
    frame, log, outcomes = funnel(requests=1500, keep=2)
    finding = funnel_attribution(frame, log, outcomes, replicates=20)
    beyond = finding.table["beyond_the_shown"]
    # At either end of each score a hundredth of the shown lies beyond, by definition.
    assert beyond[0] < 0.07
    shown = frame[frame["rank"] == 1][["light_score", "heavy_score"]]
    whole = frame[frame.groupby("request_id")["heavy_score"].transform(lambda s: s.notna().all())]
    picks = whole.loc[whole.groupby("request_id")["heavy_score"].idxmax()]
    low, high = shown.quantile(0.01), shown.quantile(0.99)
    outside = ((picks[low.index] < low) | (picks[low.index] > high)).any(axis=1).mean()
    assert beyond[1] == pytest.approx(outside)
    assert outside > 0.5
    assert f"{outside:.0%} of the picks without it have scores like hardly any shown one" in finding.verdict


def test_a_filter_by_the_heavy_score_itself_costs_nothing_and_keeps_every_favourite():
    frame, log, outcomes = funnel(requests=900, whole=1.0)
    same = refilter(frame.assign(light_score=frame["heavy_score"]), keep=4)
    assert same["passed_light"].mean() == pytest.approx(4 / 12)
    finding = funnel_attribution(same, log, outcomes, replicates=20)
    assert (finding.estimate, *finding.ci) == pytest.approx((0, 0, 0), abs=1e-12)
    assert "may be nothing" in finding.verdict
    assert funnel_recall(same, log).estimate == 1


def test_a_filter_anew_is_the_one_that_made_the_log():
    frame, *_ = funnel(requests=50, whole=1.0)
    again = refilter(frame, keep=4)
    assert (again["passed_light"] == frame["passed_light"]).all()
    assert again["rank"].equals(frame["rank"])


def test_foobar_s_tables_tell_that_the_light_ranker_protected_users(story, foobar):
    given = foobar["serving_log"], foobar["outcomes"]
    finding = funnel_attribution(foobar["funnel"], *given, group="treatment", replicates=100)
    old = story.rewards("old", frozenset(MECHANISMS)).mean()
    truth = (story_lift(story, model="leaky", keep=20) - story_lift(story, model="leaky")) * old
    assert finding.ci[0] < truth < finding.ci[1] < 0
    assert finding.verdict.startswith("The light ranker protects from the heavy one")


def test_it_is_quiet_where_foobar_s_filter_is_put_before_the_old_model_whose_formula_it_is(foobar):
    same = refilter(foobar["funnel"], keep=5)
    control = funnel_attribution(
        same, foobar["serving_log"], foobar["outcomes"], group="control", replicates=20
    )
    assert control.estimate == pytest.approx(0, abs=1e-12)
    assert funnel_recall(same, foobar["serving_log"], group="control").estimate == 1


def test_it_is_quiet_where_foobar_s_outcomes_are_shuffled(foobar):
    held = 0
    for seed in range(20):
        shuffled = np.random.default_rng(seed).permutation(foobar["outcomes"]["y"])
        given = foobar["serving_log"], foobar["outcomes"].assign(y=shuffled)
        finding = funnel_attribution(foobar["funnel"], *given, group="treatment", replicates=100, rng=seed)
        held += finding.ci[0] <= 0 <= finding.ci[1]
    # Of 20 intervals of 95%, fewer than 17 would hold it once in sixty times.
    assert held >= 17


def test_the_margin_is_half_of_wilson_s_interval_at_one_half():
    low, high = proportion_confint(200, 400, method="wilson")
    assert recall_margin(400) == pytest.approx((high - low) / 2)


@pytest.mark.parametrize("kind", ["polars", "pyarrow", "duckdb"])
def test_any_frame_gives_the_same_answer(kind):
    make = {
        "polars": pl.from_pandas,
        "pyarrow": lambda frame: pl.from_pandas(frame).to_arrow(),
        "duckdb": lambda frame: duckdb.from_df(frame),
    }[kind]
    given = funnel(requests=300)
    theirs, ours = (funnel_attribution(*map(of, given), replicates=20) for of in (make, lambda frame: frame))
    assert theirs.table.equals(ours.table)
    assert funnel_recall(*map(make, given[:2])).ci == funnel_recall(*given[:2]).ci


FRAME, LOG, OUTCOMES = funnel(requests=200)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: funnel_recall(FRAME.drop(columns="heavy_score")),
            "funnel: got columns .* must have heavy_score",
        ),
        (lambda: funnel_recall(FRAME.iloc[:0]), "funnel: got no row"),
        (lambda: funnel_recall(pd.concat([FRAME, FRAME])), "request_id, item_id: got 2,400 repeated"),
        (
            lambda: funnel_recall(FRAME.assign(passed_light=2)),
            "passed_light: got 2 in funnel; a label is 0 or 1",
        ),
        (lambda: funnel_recall(FRAME.assign(heavy_score=1.0)), "heavy_score: got one value at every request"),
        (
            lambda: funnel_recall(funnel(requests=50, whole=0)[0]),
            "heavy_score: got none of 50 requests scored whole; let the heavy ranker",
        ),
        (
            lambda: funnel_recall(FRAME, top=12),
            "top: got 12; a request has 12 candidates, and must have more",
        ),
        (lambda: funnel_recall(FRAME, top=0), "top: got 0"),
        (lambda: funnel_recall(FRAME, LOG, group="control"), "group: got 'control'; arm has treatment"),
        (
            lambda: funnel_recall(FRAME, LOG.iloc[1:]),
            "serving_log: got no arm for 1 of the funnel's requests",
        ),
        (
            lambda: funnel_recall(FRAME, pd.concat([LOG, LOG.assign(arm="control")])),
            "serving_log: got a request with two values of arm or user_id",
        ),
        (
            lambda: funnel_attribution(FRAME, LOG.assign(arm=["a", "b"] * 100), OUTCOMES),
            "group: got None; arm has a, b",
        ),
        (lambda: funnel_attribution(FRAME, LOG, OUTCOMES.assign(y=0)), "outcomes: got 0 of the rarer kind"),
        (
            lambda: funnel_attribution(FRAME, LOG, OUTCOMES.assign(y=2)),
            "y: got 2 in outcomes; a label is 0 or 1",
        ),
        (
            lambda: funnel_attribution(FRAME.assign(rank=FRAME["rank"] + 1), LOG, OUTCOMES),
            "rank: got a request without a 1",
        ),
        (lambda: funnel_attribution(FRAME, LOG, OUTCOMES, replicates=3), "replicates: got 3"),
        (
            lambda: funnel_recall(FRAME.assign(drawn=True), sampled="drawn"),
            r"sampled: got \d+ requests that weren't scored whole; what was drawn must be",
        ),
        (
            lambda: funnel_recall(FRAME.assign(drawn=FRAME["item_id"] < 3), sampled="drawn"),
            "sampled: got a request with both values",
        ),
        (lambda: recall_margin(0), "requests: got 0"),
        (lambda: refilter(FRAME, keep=0), "keep: got 0"),
        (
            lambda: refilter(funnel(requests=9, whole=0)[0], keep=2),
            "heavy_score: got no request scored whole",
        ),
    ],
)
def test_bad_input_is_refused_by_name_value_and_rule(call, message):
    with pytest.raises(ValueError, match=message):
        call()
