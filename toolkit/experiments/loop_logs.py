"""What does FooBar write down of tests whose model learns from what they show? Three of its nine tables."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from toolkit.experiments.training_loop import CANDIDATES, COPIES, Experiment, run, users
from toolkit.world.clock import DAY, START

# Items that are in no family: as many as one family's, so many times.
_PLAIN = 300


def loop_tables(experiments: Mapping[str, Experiment], *, seed: int = 0) -> dict[str, pd.DataFrame]:
    """The `serving_log`, `outcomes` and `assignments` of tests that run at once, each on users of its own.

    Days of a warm-up aren't written. The log's `f_family` is the family's number, missing where an item is
    of none; `score` is a chance of a good match. An explored impression is in no arm.

    Parameters
    ----------
    experiments : mapping of name to Experiment
        All of as many families.
    seed : int

    Raises
    ------
    ValueError
        If there is no experiment, or their numbers of families differ.

    Examples
    --------
    >>> made = loop_tables({"new ranker": Experiment(traffic=0.5, requests=500, days=2)})
    >>> len(made["serving_log"]), made["serving_log"]["arm"].unique().tolist()
    (1000, ['treatment', 'control'])
    """
    families = sorted({experiment.families for experiment in experiments.values()})
    if len(families) != 1:
        raise ValueError(f"experiments: got families {families}; all must be of one FooBar")
    log, labels, assigned = [], [], []
    first_user = first_request = 0
    for part, (name, experiment) in enumerate(experiments.items()):
        many = users(experiment.requests)
        arms = pd.Series(None, index=range(many), dtype=object)
        for day, told in enumerate(run(experiment, seed=seed, part=part)[experiment.warm_up :]):
            rows = np.arange(experiment.requests)
            request = first_request + day * experiment.requests + rows
            arm = np.where(told.treated, "treatment", "control").astype(object)
            arms[told.user] = arm
            plain = told.family == families[0]
            item = told.family * COPIES + told.copy
            # Outside the families any of many items, by a number that has nothing to do with its worth.
            item = np.where(plain, item + COPIES * ((request * 7919) % _PLAIN), item)
            ts = START + day * DAY + pd.to_timedelta(rows * (86_400 // len(rows)), unit="s")
            by_chance = experiment.exploration / CANDIDATES
            log.append(
                pd.DataFrame(
                    {
                        "request_id": request,
                        "user_id": first_user + told.user,
                        "item_id": item.astype(np.int64),
                        "ts": ts,
                        "arm": pd.Series(arm).mask(told.explored, None),
                        "model_id": np.where(told.treated, "new", "old"),
                        "feature_version": 1,
                        "f_family": np.where(plain, np.nan, told.family),
                        "score": told.score,
                        "position": 1,
                        "propensity": by_chance + (1 - experiment.exploration) * told.favourite,
                        "explored": told.explored,
                        "shown": True,
                    }
                )
            )
            labels.append(log[-1][["request_id", "item_id"]].assign(y=told.y.astype(np.int64), label_ts=ts))
        came = arms.dropna()
        assigned.append(
            pd.DataFrame(
                {
                    "experiment": name,
                    "user_id": first_user + came.index.to_numpy(),
                    "arm": came.to_numpy(),
                    "ts": START,
                }
            )
        )
        first_user += many
        first_request += experiment.requests * experiment.days
    return {
        "serving_log": pd.concat(log, ignore_index=True),
        "outcomes": pd.concat(labels, ignore_index=True),
        "assignments": pd.concat(assigned, ignore_index=True),
    }
