"""How long does it take to read an A/B test, and to validate the way it's read?"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from benchmarks.measuring import Row, measures, seconds

_USERS, _TESTS = 1_000_000, 10_000


@measures("experiments")
def a_a_tests() -> Iterator[Row]:
    """Random splits of a million users of five events each, each analysed by user and by event."""
    from toolkit.experiments.aa_size import aa_size

    draws = np.random.default_rng(0)
    user = np.repeat(np.arange(_USERS), draws.poisson(4, _USERS) + 1)
    taste = draws.beta(1, 9, _USERS)[user]
    log = pd.DataFrame({"user_id": user, "y": (draws.random(len(user)) < taste).astype(float)})
    told = []
    taken = seconds(lambda: told.append(aa_size(log, tests=_TESTS)))
    table = told[-1].table
    assert table is not None
    rates = table.set_index("analysed by")["significant"]
    note = f"{len(log):,} events; significant by user {rates['cluster']:.1%}, by event {rates['event']:.1%}"
    yield Row(f"{_TESTS:,} A/A tests on {_USERS:,} users", "s", 20, taken, "toolkit", note)


@measures("experiments")
def assignment() -> Iterator[Row]:
    """Arms of a million users by hash."""
    from toolkit.experiments.assignment import assign

    users = np.arange(_USERS)
    yield Row(f"arms of {_USERS:,} users", "s", 2, seconds(lambda: assign(users, salt="a")), "toolkit")
