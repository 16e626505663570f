"""Shadow scores hold each impression once a snapshot, and no snapshot knows what came after its training."""

import dataclasses

import numpy as np
import pytest

from toolkit.general.snapshots import shadow_scores
from toolkit.world import Settings, simulate
from toolkit.world.policies import fit_logistic

WORLD = simulate(Settings(items=60, requests=300, days=14))


def test_every_snapshot_scores_the_same_impressions():
    log = shadow_scores(WORLD, range(11, 14), ages=[0, 1, 3], fitted=4)
    age = (log["ts"].dt.floor("D") - log["model_trained_at"]).dt.days
    assert sorted(age.unique()) == [0, 1, 3]
    rows = log.groupby("request_id")[["item_id", "user_id", "y", "ts"]].nunique()
    assert (rows == 1).all(axis=None)
    assert not log.duplicated(["request_id", "item_id", "model_trained_at"]).any()
    assert len(log) == 3 * 3 * 300
    assert log.loc[log["request_id"] == 11 * 300 + 5, "y"].iloc[0] == WORLD.shown_outcome(11)[5]


def test_a_snapshot_doesn_t_know_what_came_after_its_training():
    later = dataclasses.replace(WORLD, clicks=WORLD.clicks.copy(), y=WORLD.y.copy())
    later.clicks[12:] = 0
    later.y[12:] = ~later.y[12:]
    one, other = (shadow_scores(world, range(13, 14), ages=[1], fitted=4) for world in (WORLD, later))
    assert (one["score"] == other["score"]).all()
    assert (one["y"] != other["y"]).all()
    fresh = [shadow_scores(world, range(13, 14), ages=[0], fitted=4)["score"] for world in (WORLD, later)]
    assert not np.allclose(*fresh)


def test_no_row_s_rate_holds_its_own_label():
    def rate(day):
        return np.log((WORLD.clicks[day - 1] + 1) / (WORLD.impressions[day - 1] - WORLD.clicks[day - 1] + 9))

    def rows(day, table):
        pair = WORLD.x[day, np.arange(300), WORLD.shown[day]]
        return np.column_stack([pair, table[WORLD.shown_item(day)]])

    # Trained on the morning of day 12 on days 8 to 11, each with the rates of the day before it.
    features = np.vstack([rows(day, rate(day)) for day in range(8, 12)])
    labels = np.concatenate([WORLD.shown_outcome(day) for day in range(8, 12)])
    weights = fit_logistic(features, labels)
    by_hand = weights[0] + rows(13, rate(12)) @ weights[1:]
    scores = shadow_scores(WORLD, range(13, 14), ages=[1], fitted=4)["score"]
    assert scores.to_numpy() == pytest.approx(by_hand)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: shadow_scores(WORLD, range(5, 7), ages=[0, 3], fitted=4),
            "days: got 5 to 6; .* from 8 to 13",
        ),
        (lambda: shadow_scores(WORLD, range(12, 15), ages=[0], fitted=4), "days: got 12 to 14"),
        (lambda: shadow_scores(WORLD, range(12, 14), ages=[-1]), "ages: got -1"),
        (lambda: shadow_scores(WORLD, range(12, 14), ages=[0], window=0), "window: got 0"),
        (lambda: shadow_scores(WORLD, range(12, 14), ages=[0], fitted=0), "fitted: got 0"),
    ],
)
def test_days_that_the_history_lacks_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
