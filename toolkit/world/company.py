"""What do FooBar's nine tables hold of the opening story?"""

from __future__ import annotations

from typing import Literal

import numpy as np
import pandas as pd

from toolkit.rules import count
from toolkit.world import logs, warehouse
from toolkit.world.clock import DAY, START
from toolkit.world.mechanisms import MECHANISMS
from toolkit.world.serving import Served, pair_features, served_by_old
from toolkit.world.slates import logged
from toolkit.world.story import LIGHT_RANKER_KEEPS, LOG_DAYS, Story

Trained = Literal["leaky", "point-in-time"]

EXPERIMENT = "new_ranker"
# The team's runs, in the order of trying: more of the pair, then the click rate "today".
_OLD = ("f_0", "f_1", "f_2", "f_rate_28d")
CONFIGURATIONS = {
    "as the old": _OLD,
    "more of the pair": (*_OLD, "f_3", "f_4", "f_5"),
    "today's rate": (*_OLD, "f_3", "f_4", "f_5", "f_rate_today"),
}
# The heavy ranker can score this many candidates an hour; the test never comes near.
_CAPACITY = 4_000


def tables(story: Story, *, model: Trained = "leaky", rng: int = 1) -> dict[str, pd.DataFrame]:
    """The nine tables that the company has after the A/B test of a model, by their names.

    A fortnight and a day of logs under the old model, on which the new one was trained; then as
    long a test, half of the users in each arm. The store doesn't learn from the test: the click
    rates of `feature_history` and `f_rate_*` are those under the old model for all users.

    Parameters
    ----------
    story : Story
    model : "leaky" or "point-in-time"
        What the treatment gets, and whose training table it is.
    rng : int
        For the split of users, and samples.

    Examples
    --------
    >>> from toolkit.world import Settings
    >>> from toolkit.world.story import tell
    >>> nine = tables(tell(Settings(items=50, requests=100, days=33)))
    >>> len(nine), len(nine["serving_log"])
    (9, 3000)
    """
    world = story.production.world
    served, test = arms(story, model)
    before = {"control": served_by_old(world, range(test.start - LOG_DAYS, test.start))}
    assigned = logs.assignments(world, EXPERIMENT, test, rng=rng)
    log = pd.concat([logs.serving_log(before), logs.serving_log(served, assigned)], ignore_index=True)
    labels = pd.concat([logs.outcomes(before), logs.outcomes(served, assigned)], ignore_index=True)
    begin = START + test.start * DAY
    training = training_table(story, model)
    return {
        "serving_log": log,
        "outcomes": labels,
        "funnel": logs.funnel(served, assigned, rng=rng),
        "feature_history": warehouse.feature_history(world, range(test.start - LOG_DAYS - 1, test.stop)),
        "training_table": training,
        "assignments": assigned,
        "tracker": warehouse.tracker(training, CONFIGURATIONS, seeds=range(3)),
        "resources": logs.resources(served, assigned, capacity=_CAPACITY),
        "downstream": logs.downstream(log, labels, since=begin),
    }


def training_table(story: Story, model: Trained, *, staler: int = 0) -> pd.DataFrame:
    """What a model was trained on and judged by: the logged fortnight, features as its team joined them.

    Parameters
    ----------
    story : Story
    model : "leaky" or "point-in-time"
    staler : int
        Days by which today's rate is older than that model's team joined it.
    """
    test = _test_days(story)
    days = range(test.start - LOG_DAYS, test.start)
    world = story.production.world
    rows = logged(world, days, np.ones((LOG_DAYS, world.settings.requests), dtype=bool))
    held_out = np.zeros((LOG_DAYS, world.settings.requests), dtype=bool)
    held_out[story.holdout.day[:, 0] - days.start, story.holdout.request[:, 0]] = True
    honest = model == "point-in-time"
    rate = rows.rate(as_of=honest, lag=int(honest) + count("staler", staler, least=0))[:, 0]
    return warehouse.training_table(rows, rate, held_out.ravel(), snapshot=START + test.start * DAY)


def arms(story: Story, model: Trained) -> tuple[dict[str, Served], range]:
    """What each arm's model does in the test, and on which days.

    The new model stands behind the light ranker and gets the store's late and missing values.
    """
    slates, production, days = story.production, frozenset(MECHANISMS), _test_days(story)
    new = Served(
        model_id=model,
        feature_version=1,
        slates=slates,
        features={**pair_features(slates), "f_rate_today": story.rate(production)},
        light_score=slates.old_score,
        passed=slates.passes(LIGHT_RANKER_KEEPS),
        score=story.scores(model, production),
    )
    return {"control": served_by_old(slates.world, days), "treatment": new}, days


def _test_days(story: Story) -> range:
    days = story.production.day
    return range(int(days[0, 0]), int(days[-1, 0]) + 1)
