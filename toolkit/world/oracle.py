"""What is true and written nowhere: the chance and the outcome of every candidate, shown or not?

For chapters that show the truth beside what a diagnostic finds. No diagnostic reads it.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from toolkit.world.simulation import World


def oracle(world: World, days: range) -> pd.DataFrame:
    """The ground truth, one row a candidate: `request_id`, `item_id`, `p`, `y`.

    Examples
    --------
    >>> from toolkit.world import Settings, simulate
    >>> oracle(simulate(Settings(items=50, requests=100, days=3)), range(2, 3)).shape
    (2000, 4)
    """
    s, span = world.settings, slice(days.start, days.stop)
    request = np.arange(days.start * s.requests, days.stop * s.requests)
    return pd.DataFrame(
        {
            "request_id": np.repeat(request, s.candidates),
            "item_id": world.item[span].ravel(),
            "p": world.p[span].ravel(),
            "y": world.y[span].ravel().astype(np.int64),
        }
    )
