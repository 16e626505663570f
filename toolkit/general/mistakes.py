"""Where do labels come from on which a model is wrong: its own traffic, exploration, or a pipeline of its own?"""

from __future__ import annotations

from typing import Literal, get_args

import pandas as pd
from scipy.special import expit, logit

from toolkit.rules import count, number, one_of, share

Mix = Literal["traffic", "explored", "pipeline"]
MIXES: tuple[str, ...] = get_args(Mix)

# A request shows the best of many candidates: the log-odds of being shown move by so many for one of the score.
_CHOICE = 3.0
# A good match in the region has this log-odds in truth; teams expect errors of about one log-odds.
_TRUTH, _PRIOR_SPREAD = -2.0, 1.0


def shown_share(region: float, error: float) -> float:
    """The share of impressions that fall on a region of items about which the model is wrong.

    Parameters
    ----------
    region : float
        Share that they would have, were the model right; strictly between 0 and 1.
    error : float
        What the model thinks too good of them, in log-odds; negative where it thinks too little.

    Examples
    --------
    >>> round(shown_share(0.1, 0.0), 5), round(shown_share(0.1, -2.0), 5), round(shown_share(0.1, 2.0), 2)
    (0.1, 0.00028, 0.98)
    """
    number("region", region, above=0, below=1)
    return float(expit(logit(region) + _CHOICE * number("error", error)))


def labels_where_wrong(
    mix: Mix,
    *,
    requests: float,
    region: float,
    error: float,
    exploration: float = 0.02,
    pipeline: float = 500,
) -> float:
    """How many labels a week a training mix has from the region where the model is wrong.

    Parameters
    ----------
    mix : "traffic", "explored" or "pipeline"
        The model's own impressions; the same with a share at random; or a separate pipeline (hand labels, a
        separate system's feed) that labels a sample of everything, and no more of it when
        traffic grows.
    requests : float
        Requests a week, one label each.
    region, error : float
        As in `shown_share`.
    exploration : float
        Share of requests at random, for "explored".
    pipeline : float
        Labels a week, for "pipeline".

    Examples
    --------
    >>> labels_where_wrong("explored", requests=10_000, region=0.1, error=-9.0)
    20.0...
    """
    one_of("mix", mix, MIXES)
    number("requests", requests, above=0)
    share("exploration", exploration)
    if not number("pipeline", pipeline) >= 0:
        raise ValueError(f"pipeline: got {pipeline!r}; it must not be negative")
    own = shown_share(region, error)
    if mix == "pipeline":
        return pipeline * region
    if mix == "traffic":
        return requests * own
    return requests * (exploration * region + (1 - exploration) * own)


def error_left(
    mix: Mix,
    *,
    requests: float,
    region: float,
    error: float,
    exploration: float = 0.02,
    pipeline: float = 500,
    weeks: int = 12,
) -> pd.DataFrame:
    """What a model still thinks wrongly of a region, week by week, when a training mix is all it learns from.

    A week's labels are those that this week's model gets; next week's estimate weighs all labels so
    far against the prior that made the error: with n labels a share v / (v + n) of the error is left,
    v = 1 / (p (1 - p)) being the labels that weigh as much as a prior of spread one.

    Returns
    -------
    DataFrame
        `week` from 0; `labels` from the region so far; `error` in log-odds; `left`, its share.

    Examples
    --------
    >>> told = error_left("traffic", requests=10_000, region=0.1, error=-4.0)
    >>> bool(told["left"].iloc[-1] > 0.95)
    True
    """
    worth = 1 / (expit(_TRUTH) * (1 - expit(_TRUTH)) * _PRIOR_SPREAD**2)
    labels, left, rows = 0.0, 1.0, []
    for week in range(count("weeks", weeks) + 1):
        rows.append({"week": week, "labels": labels, "error": error * left, "left": left})
        labels += labels_where_wrong(
            mix,
            requests=requests,
            region=region,
            error=error * left,
            exploration=exploration,
            pipeline=pipeline,
        )
        left = worth / (worth + labels)
    return pd.DataFrame(rows)


def matching_exploration(*, requests: float, pipeline: float) -> float:
    """The share of exploration that brings as many labels from an unshown region as a separate pipeline does.

    Examples
    --------
    >>> matching_exploration(requests=100_000, pipeline=500)
    0.005
    """
    number("requests", requests, above=0)
    return min(1.0, number("pipeline", pipeline, above=0) / requests)
