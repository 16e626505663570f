"""The story's diagnostics find what the world hid, from the tables, and are quiet where nothing is hidden."""

import numpy as np
import pandas as pd
import polars as pl
import pytest

from toolkit.intro import ab_test, attribution, claimed_to_measured
from toolkit.world import Settings
from toolkit.world.company import tables
from toolkit.world.mechanisms import MECHANISMS
from toolkit.world.story import tell

PRODUCTION = frozenset(MECHANISMS)
SMALL = Settings(items=60, requests=300, days=33)


@pytest.fixture(scope="module")
def nine():
    return tables(tell(seed=0))


@pytest.fixture(scope="module", params=[0, 1, 2])
def story(request):
    return tell(seed=request.param)


@pytest.mark.parametrize("model", ["leaky", "point-in-time"])
def test_the_measured_test_agrees_with_the_estimand_within_its_interval(story, model):
    foobar = tables(story, model=model)
    finding = ab_test(foobar["serving_log"], foobar["outcomes"])
    assert abs(finding.estimate - story.lift(PRODUCTION, model=model)) < 3.5 * finding.se
    assert finding.ci[1] < 0 if model == "leaky" else finding.ci[0] > 0


def test_the_interval_covers_the_lift_and_an_a_a_test_finds_nothing():
    # Users with a click rate and a number of requests of their own; no arm does anything.
    rng, covered, ps = np.random.default_rng(0), 0, []
    runs = 600
    for _ in range(runs):
        count = rng.poisson(4, 400) + 1
        user = np.repeat(np.arange(400), count)
        y = rng.random(len(user)) < np.repeat(rng.beta(2, 6, 400), count)
        arm = np.where(rng.random(400) < 0.5, "treatment", "control")[user]
        log = pd.DataFrame({"request_id": np.arange(len(user)), "item_id": 0, "user_id": user, "arm": arm})
        found = ab_test(log, log.assign(y=y.astype(int)))
        covered += found.ci[0] <= 0 <= found.ci[1]
        ps.append(found.p)
    assert 0.93 <= covered / runs <= 0.97
    # Kolmogorov-Smirnov at the .001 level: 1.95 / sqrt(runs).
    gap = np.abs(np.sort(ps) - (np.arange(runs) + 0.5) / runs).max()
    assert gap < 1.95 / np.sqrt(runs)


def test_the_lift_of_six_rows_is_the_one_by_hand():
    log = pd.DataFrame(
        {
            "request_id": range(6),
            "item_id": 7,
            "user_id": [1, 1, 2, 3, 4, 4],
            "arm": ["control"] * 3 + ["treatment"] * 2 + [None],
        }
    )
    found = ab_test(log, log.assign(y=[1, 0, 0, 1, 1, 1]))
    # 2 of 2 against 1 of 3; the row without an arm has no part.
    assert found.estimate == pytest.approx(2.0)
    assert (found.n, found.n_clusters) == (5, 4)
    # Control: residuals 1 - 2/3 for user 1 and 0 - 1/3 for user 2, over 3 rows; two users have one
    # degree of freedom. Treatment: none.
    control_se = np.sqrt(2 * ((1 / 3) ** 2 + (1 / 3) ** 2)) / 3
    assert found.se == pytest.approx(control_se / (1 / 3) ** 2)


def test_the_parts_sum_to_the_gap_and_have_the_outline_s_signs_and_sizes(story):
    found = attribution(story, replicates=50)
    assert abs(sum(found.parts.values()) - found.gap) < 1e-12
    expected = {
        "population": -0.064,
        "as_of": -0.066,
        "lag": -0.093,
        "missing": -0.134,
        "labels": -0.037,
        "light_ranker": 0.048,
    }
    # The notebook's population has 300 slates: its parts are known to about 0.015 a world.
    assert found.parts == pytest.approx(expected, abs=0.04)
    assert all(np.sign(found.parts[name]) == np.sign(part) for name, part in expected.items())
    wide = found.table.set_index("switch")
    assert (wide["low"] <= wide["part"]).all()
    assert (wide["part"] <= wide["high"]).all()


def test_claim_and_parts_sum_to_what_the_test_measured(story):
    claimed, parts = claimed_to_measured(story)
    assert claimed == pytest.approx(story.lift(relative=False))
    foobar = tables(story)
    arms = ab_test(foobar["serving_log"], foobar["outcomes"]).table.set_index("arm")["reward"]
    assert claimed + sum(parts.values()) == pytest.approx(arms["treatment"] - arms["control"])
    assert list(parts)[:-1] == [mechanism.label for mechanism in MECHANISMS.values()]


def test_the_point_in_time_model_s_claim_is_that_of_its_own_notebook(story):
    claimed, parts = claimed_to_measured(story, model="point-in-time")
    assert claimed == pytest.approx(story.lift({"as_of", "lag"}, model="point-in-time", relative=False))
    foobar = tables(story, model="point-in-time")
    arms = ab_test(foobar["serving_log"], foobar["outcomes"]).table.set_index("arm")["reward"]
    assert claimed + sum(parts.values()) == pytest.approx(arms["treatment"] - arms["control"])
    assert MECHANISMS["as_of"].label not in parts


def test_a_lift_within_its_interval_is_told_as_none():
    log = pd.DataFrame({"request_id": range(400), "item_id": 0, "user_id": range(400)})
    log["arm"] = np.where(log["user_id"] % 2, "treatment", "control")
    found = ab_test(log, log.assign(y=(log["user_id"] // 2 % 8 < 3).astype(int)))
    assert found.verdict == f"The treatment's lift of {found.estimate:+.1%} can't be told from none."
    share = np.where(log["arm"] == "treatment", 6, 3)
    better = ab_test(log, log.assign(y=(log["user_id"] // 2 % 8 < share).astype(int)))
    assert "often than the control's" in better.verdict


def test_other_libraries_frames_give_the_same_finding(nine):
    log, labels = nine["serving_log"], nine["outcomes"]
    assert ab_test(pl.from_pandas(log), pl.from_pandas(labels)) == ab_test(log, labels)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda log, y: (log.drop(columns="arm"), y), "serving_log: got columns .*; it must have arm"),
        (lambda log, y: (log.assign(arm="control"), y), r"arm: got \['control'\]"),
        (lambda log, y: (log, y.iloc[:-1]), "outcomes: got none for 1 of 4 rows"),
        (lambda log, y: (log, y.assign(y=0)), "outcomes: got no good match in the control"),
        (lambda log, y: (log, y.assign(y=[1, 0, 1, 0])), "outcomes: got no good match in the treatment"),
        (lambda log, y: ([], y), "serving_log: got list"),
        (lambda log, y: (log.assign(user_id=[1, 1, 2, 3]), y), "user_id: got 1 in two of arm"),
        (lambda log, y: (log, y.assign(y=[np.inf, 0, 1, 1])), "y: got inf in outcomes; it must be finite"),
        (
            lambda log, y: (log, pd.concat([y, y])),
            "request_id, item_id: got 4 repeated of 8; each must be in outcomes once",
        ),
    ],
)
def test_bad_logs_are_refused_by_name_value_and_rule(change, message):
    log = pd.DataFrame(
        {"request_id": range(4), "item_id": 7, "user_id": range(4), "arm": ["control", "treatment"] * 2}
    )
    with pytest.raises(ValueError, match=message):
        ab_test(*change(log, log.assign(y=[1, 0, 1, 1])))


def test_a_bad_level_is_refused(nine):
    with pytest.raises(ValueError, match="alpha: got 0"):
        ab_test(nine["serving_log"], nine["outcomes"], alpha=0)
