"""Which requests of a funnel's log can tell what its filter keeps back?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from toolkit.frames import joinable, read_columns
from toolkit.rules import count

__all__ = ["refilter"]

CANDIDATE = ["request_id", "item_id"]


def refilter(funnel: Any, *, keep: int) -> pd.DataFrame:
    """The requests that were scored whole, behind another filter: so many of the best by the light score.

    A negative control where all candidates were scored and the light score is the heavy one: such a
    filter keeps nothing from the heavy ranker that it would have picked.

    Parameters
    ----------
    funnel : any frame that Narwhals reads
        The columns of `funnel` in `toolkit.tables`.
    keep : int
        Candidates that pass at each request.

    Returns
    -------
    DataFrame
        The same columns, with `passed_light` and `rank` as that filter makes them. Of equal scores
        the one that comes first is taken.

    Raises
    ------
    ValueError
        If columns, values or keys are wrong, or no request was scored whole.

    Examples
    --------
    >>> funnel = pd.DataFrame({"request_id": 1, "item_id": [1, 2, 3], "light_score": [0.3, 0.1, 0.2],
    ...     "heavy_score": [0.5, 0.9, 0.7]})
    >>> refilter(funnel, keep=2)[["passed_light", "rank"]].values.tolist()
    [[True, 2.0], [False, nan], [True, 1.0]]
    """
    count("keep", keep)
    rows = read_columns(
        funnel,
        "funnel",
        [*CANDIDATE, "light_score", "heavy_score"],
        key=CANDIDATE,
        missing=["heavy_score"],
        numbers=["light_score", "heavy_score"],
    )
    rows = rows[rows["heavy_score"].notna().groupby(rows["request_id"]).transform("all")].copy()
    if rows.empty:
        raise ValueError("heavy_score: got no request scored whole; there is nothing to filter anew")
    light = rows.groupby("request_id")["light_score"].rank(method="first", ascending=False)
    rows["passed_light"] = light <= keep
    behind = rows["heavy_score"].where(rows["passed_light"])
    rows["rank"] = behind.groupby(rows["request_id"]).rank(method="first", ascending=False)
    return rows.reset_index(drop=True)


def joined(
    funnel: Any,
    serving_log: Any,
    by: str,
    cluster: str,
    sampled: str | None,
    extra: Sequence[str] = (),
) -> pd.DataFrame:
    """The funnel with each request's `group`, `cluster`, and where it is given whether it was `sampled`.

    Examples
    --------
    >>> funnel = pd.DataFrame({"request_id": [1, 1], "item_id": [1, 2], "passed_light": [True, False],
    ...     "heavy_score": [0.3, None]})
    >>> log = pd.DataFrame({"request_id": [1], "user_id": [7], "arm": ["treatment"]})
    >>> joined(funnel, log, "arm", "user_id", None)[["group", "cluster"]].values.tolist()
    [['treatment', 7], ['treatment', 7]]
    """
    flags = ["passed_light", *([] if sampled is None else [sampled])]
    columns = [*CANDIDATE, *flags, "heavy_score", *extra]
    rows = read_columns(
        funnel,
        "funnel",
        columns,
        key=CANDIDATE,
        missing=["heavy_score", "rank"],
        labels=flags,
        numbers=[name for name in columns if name.endswith("score")],
    )
    if sampled is not None:
        rows = rows.rename(columns={sampled: "sampled"})
    if serving_log is None:
        return rows.assign(group="all", cluster=rows["request_id"])
    log = read_columns(serving_log, "serving_log", ["request_id", by, cluster], missing=[by])
    log = log.drop_duplicates().rename(columns={by: "group", cluster: "cluster"})
    if log["request_id"].duplicated().any():
        raise ValueError(
            f"serving_log: got a request with two values of {by} or {cluster}; it has one of each"
        )
    joinable(rows, log, ["request_id"], names=("funnel", "serving_log"))
    joined = rows.merge(log, on="request_id", how="left")
    lost = joined.loc[joined["cluster"].isna() | joined["group"].isna(), "request_id"].nunique()
    if lost:
        raise ValueError(f"serving_log: got no {by} for {lost:,} of the funnel's requests; each needs one")
    return joined


def filtered_groups(table: pd.DataFrame) -> set[Any]:
    """The groups in which something was kept back at any request, scored whole or not.

    Examples
    --------
    >>> filtered_groups(pd.DataFrame({"group": ["a", "a", "b"], "passed_light": [1, 0, 1]}))
    {'a'}
    """
    return set(table.loc[table["passed_light"] == 0, "group"])


def drawn_whole(table: pd.DataFrame, *, of: str | None = None) -> tuple[pd.DataFrame, int]:
    """The requests that were drawn to be scored whole, and how many were whole without having been drawn.

    Examples
    --------
    The first request was scored whole on purpose; the second had nothing to keep back:

    >>> table = pd.DataFrame({"request_id": [1, 1, 2, 2], "group": "all", "passed_light": [1, 0, 1, 1],
    ...     "heavy_score": [0.3, 0.8, 0.1, 0.2]})
    >>> rows, left_out = drawn_whole(table)
    >>> rows["request_id"].tolist(), left_out
    ([1, 1], 1)
    """
    by_request = table["request_id"]
    scored = table["heavy_score"].notna().groupby(by_request).transform("all")
    left_out = 0
    if "sampled" in table:
        drawn = table["sampled"].astype(bool)
        if drawn.groupby(by_request).nunique().max() > 1:
            raise ValueError("sampled: got a request with both values; it was drawn or it wasn't")
        torn = by_request[drawn & ~scored].nunique()
        if torn:
            raise ValueError(
                f"sampled: got {torn:,} requests that weren't scored whole; what was drawn must be"
            )
    else:
        # Where all passed, all were scored. That is a sample only of a group without a filter.
        idle = (table["passed_light"] == 1).groupby(by_request).transform("all")
        idle &= table["group"].isin(filtered_groups(table))
        left_out = by_request[scored & idle & ((of is None) | (table["group"] == of))].nunique()
        drawn = scored & ~idle
    whole = table[drawn]
    if whole.empty:
        raise ValueError(
            f"heavy_score: got none of {by_request.nunique():,} requests scored whole; let the heavy "
            "ranker score all candidates of a small random share of requests"
        )
    spread = whole.groupby("request_id")["heavy_score"]
    if (spread.max() == spread.min()).all():
        raise ValueError("heavy_score: got one value at every request; a constant score has no favourite")
    return whole, left_out
