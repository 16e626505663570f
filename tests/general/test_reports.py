"""Who reports what: the mechanism does what its settings say, and the audit is the audit that it says it is."""

import numpy as np
import pandas as pd
import pytest

from toolkit.general.reports import (
    audit,
    by_reports,
    labelled_sample,
    move,
    outcomes,
    positives_by_score,
    posts,
    report_chance,
    unlabelled,
)
from toolkit.tables import problems

POSTS = posts(days=range(31, 38))


def odds(chance):
    return chance / (1 - chance)


def test_the_settings_are_the_rate_and_the_odds_ratio():
    chance = report_chance(POSTS, rate=0.03, badness=7)
    assert chance.mean() == pytest.approx(0.03, abs=1e-9)
    bad, good = np.unique(chance[POSTS.bad == 1]), np.unique(chance[POSTS.bad == 0])
    assert odds(bad).max() / odds(good).min() == pytest.approx(7)
    tilted = np.log(odds(report_chance(POSTS, rate=0.5, score=2)))
    assert np.polyfit(POSTS.log["score"] / POSTS.log["score"].std(ddof=0), tilted, 1)[0] == pytest.approx(
        np.log(2)
    )


def test_reports_are_off_by_the_covariance_over_the_rate():
    chance = report_chance(POSTS, rate=0.02, badness=10, score=1.5)
    told = by_reports(POSTS, chance).iloc[0]
    covariance = np.cov(chance, POSTS.bad, bias=True)[0, 1]
    assert told["reports"] - told["truth"] == pytest.approx(covariance / chance.mean(), abs=1e-12)
    labels = pd.concat([outcomes(POSTS, chance, rng=seed) for seed in range(30)])
    error = (told["reports"] * (1 - told["reports"]) / len(labels)) ** 0.5
    assert labels["y"].mean() == pytest.approx(told["reports"], abs=4 * error)


def test_it_goes_away_with_a_constant_chance_and_with_everything_reported():
    even = by_reports(POSTS, report_chance(POSTS, rate=0.02))
    assert np.allclose(even["reports"], even["truth"])
    nearly_all = by_reports(POSTS, report_chance(POSTS, rate=0.999, badness=30, score=2))
    assert np.allclose(nearly_all["reports"], nearly_all["truth"], atol=0.003)


def test_its_tables_have_the_schema():
    labels = outcomes(POSTS, report_chance(POSTS, rate=0.02))
    assert problems(POSTS.log, "serving_log").empty
    assert problems(labels, "outcomes").empty


def test_the_audit_holds_every_reported_post_and_stands_for_all():
    labels = outcomes(POSTS, report_chance(POSTS, rate=0.05, badness=10))
    reviewed = audit(POSTS, labels, rows=3000)
    assert reviewed["reported"].sum() == len(labels)
    assert len(reviewed) == len(labels) + 3000
    assert (1 / reviewed["propensity"]).sum() == pytest.approx(len(POSTS.bad))
    weight = 1 / reviewed["propensity"]
    assert (weight @ reviewed["y"]) / weight.sum() == pytest.approx(POSTS.bad.mean(), abs=0.02)


def test_what_moves_the_mix_leaves_each_kind_alone_and_what_moves_inputs_leaves_the_chance_alone():
    mixed = move(POSTS, "the mix", factor=0.4)
    assert mixed.bad.sum() == POSTS.bad.sum()
    kept = (POSTS.bad == 0).sum() * 0.4
    assert (mixed.bad == 0).sum() == pytest.approx(kept, abs=4 * (kept * 0.6) ** 0.5)
    moved = move(POSTS, "the inputs", factor=0.4)
    low = np.quantile(POSTS.log["score"], 0.75)
    for side in (True, False):
        before = POSTS.bad[(POSTS.log["score"] < low) == side]
        after = moved.bad[(moved.log["score"] < low) == side]
        assert after.mean() == pytest.approx(before.mean(), abs=4 * (before.mean() / len(after)) ** 0.5)
    assert len(move(POSTS, "the mix", factor=1.0).bad) == len(POSTS.bad)


def test_labels_that_only_bad_posts_get_divide_back_to_the_chance_of_being_bad():
    labels = outcomes(POSTS, 0.3 * POSTS.bad, rng=1)
    assert (labels["y"] == 1).all()
    told = positives_by_score(POSTS, labels, caught=0.3)
    error = np.sqrt(told["bad"] * 0.7 / 0.3 / (len(POSTS.bad) / 5))
    assert (np.abs(told["reported / caught"] - told["bad"]) < 4 * error + 1e-3).all()


def test_a_sample_is_labelled_and_the_rest_is_not():
    line = POSTS.flag_line
    sample, rest = labelled_sample(POSTS, line=line, rows=5000, rng=2), unlabelled(POSTS, line=line)
    assert "y" not in rest
    assert rest["yhat"].mean() == pytest.approx(0.1, abs=0.001)
    assert sample["y"].mean() == pytest.approx(POSTS.bad.mean(), abs=0.02)
    assert (sample["yhat"] == (sample["score"] >= line)).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: report_chance(POSTS, rate=0), "rate: got 0"),
        (lambda: report_chance(POSTS, rate=0.1, badness=0), "badness: got 0"),
        (lambda: report_chance(POSTS, rate=0.1, score=-1), "score: got -1"),
        (lambda: audit(POSTS, outcomes(POSTS, POSTS.bad * 0.5), rows=10**6), "rows: got 1,000,000; only"),
        (lambda: labelled_sample(POSTS, line=0.0, rows=10**6), "rows: got 1,000,000; there are only"),
        (lambda: unlabelled(POSTS, line=np.nan), "line: got nan"),
        (lambda: move(POSTS, "the mood", factor=0.5), "through: got 'the mood'"),
        (lambda: move(POSTS, "the mix", factor=0), "factor: got 0"),
    ],
)
def test_bad_input_is_refused_by_name_value_and_rule(call, message):
    with pytest.raises(ValueError, match=message):
        call()
