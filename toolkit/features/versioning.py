"""Do a score's parts come from one version, and what is lost where they don't?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from toolkit.features.areas import Area, clustered_area, contrast
from toolkit.finding import Finding
from toolkit.frames import read_columns
from toolkit.rules import level

__all__ = ["version_matrix"]

# Below so many users on a side, intervals may cover less than they say.
_FEW = 30


def version_matrix(
    serving: Any,
    *,
    versions: Sequence[str] = ("user_version", "item_version"),
    y: str = "y",
    score: str = "score",
    cluster: str = "user_id",
    alpha: float = 0.05,
) -> Finding:
    """The AUC by pair of versions, and how much lower it is where the two versions differ than where they agree.

    Parameters
    ----------
    serving : frame
        Scored rows with their labels: the serving log joined to the outcomes.
    versions : pair of str
        Columns of the two versions that meet in a row: the user tower's and the item's, the model's
        and the feature's. Equal values mean that they fit.
    y, score : str
        Columns of the label and the score.
    cluster : str
        Column of what is independent.
    alpha : float
        One minus the level of each interval.

    Returns
    -------
    Finding
        The mean AUC of the pairs that differ, less that of the pairs that agree, each pair weighted by
        its rows; paired by cluster. nan where only one kind was served. The table has each pair, and the AUC
        of all rows together: what a dashboard shows, where also a row of one pair is ranked against a row of
        another.

    Raises
    ------
    ValueError
        If a column is missing or incomplete, a label isn't 0 or 1, or there are fewer than two clusters.

    References
    ----------
    Obuchowski (1997), "Nonparametric Analysis of Clustered ROC Curve Data", Biometrics.

    Examples
    --------
    >>> from toolkit.features.embeddings import pairs_log
    >>> print(version_matrix(pairs_log(0.4)).table[["user_version", "item_version", "auc"]].round(2).to_string(index=False))
    user_version item_version  auc
              v1           v1 0.81
              v1           v2 0.50
             all          all 0.68
    """
    level(alpha)
    if isinstance(versions, str) or len(versions) != 2 or versions[0] == versions[1]:
        raise ValueError(f"versions: got {versions!r}; it must be two columns")
    first, second = versions
    rows = read_columns(serving, "serving", [first, second, y, score, cluster], labels=[y], numbers=[score])
    user = pd.factorize(rows[cluster])[0]
    if user.max() < 1:
        raise ValueError(f"{cluster}: got 1 in serving; there must be two at least")
    kinds = [pd.api.types.is_numeric_dtype(rows[name]) for name in versions]
    if kinds[0] != kinds[1]:
        raise ValueError(
            f"{first}, {second}: got {rows[first].dtype} and {rows[second].dtype}; versions must be of one kind"
        )
    label, value = rows[y].to_numpy(), rows[score].to_numpy(float)
    records, cells = [], []
    for pair, place in rows.groupby([first, second], sort=True).indices.items():
        here = np.zeros(len(rows), dtype=bool)
        here[place] = True
        area = clustered_area(label, value, user, here=here)
        cells.append((pair[0] == pair[1], len(place), area))
        records.append(
            _record(
                dict(zip(versions, pair, strict=True)), pair[0] == pair[1], area, rows[here], cluster, alpha
            )
        )
    whole = clustered_area(label, value, user)
    records.append(_record({first: "all", second: "all"}, None, whole, rows, cluster, alpha))
    table = pd.DataFrame(records)
    agree, differ = (_mean([cell for cell in cells if cell[0] == kind]) for kind in (True, False))
    gap = None if agree is None or differ is None else contrast([differ, agree], [1, -1])
    served_unlike = float((rows[first].to_numpy() != rows[second].to_numpy()).mean())
    return Finding(
        math.nan if gap is None else gap.auc,
        (math.nan, math.nan) if gap is None else gap.ci(alpha=alpha),
        _verdict(gap, agree, served_unlike, whole, alpha, table),
        unit="AUC",
        se=math.nan if gap is None else gap.se,
        p=None if gap is None else gap.p,
        n=len(rows),
        n_clusters=int(user.max()) + 1,
        alpha=alpha,
        table=table,
        assumptions=(
            f"rows of different {cluster} are independent",
            "which rows meet unlike versions has nothing to do with how hard they are (shards drawn at random)",
        ),
        cannot_tell=(
            "versions that don't fit, from rows that are harder where they differ: a special shard, new items first",
            "a version that is wrong everywhere: without a pair that agrees there is nothing to compare with",
            "a change of meaning under one version number (ask undeclared_change)",
        ),
    )


def _record(
    pair: dict[str, Any], agree: bool | None, area: Area, rows: pd.DataFrame, cluster: str, alpha: float
) -> dict[str, Any]:
    low, high = area.ci(alpha=alpha)
    counts = {"rows": len(rows), "users": int(rows[cluster].nunique())}
    said = {True: "yes", False: "no", None: ""}[agree]
    return {**pair, "agree": said, **counts, "auc": area.auc, "low": low, "high": high}


def _mean(cells: list[tuple[bool, int, Area]]) -> Area | None:
    """The cells' AUCs weighted by rows, without those that have labels of one kind only."""
    known = [(rows, area) for _, rows, area in cells if not math.isnan(area.auc)]
    if not known:
        return None
    total = sum(rows for rows, _ in known)
    return contrast([area for _, area in known], [rows / total for rows, _ in known])


def _verdict(
    gap: Area | None, agree: Area | None, unlike: float, whole: Area, alpha: float, table: pd.DataFrame
) -> str:
    if gap is None or agree is None:
        if not unlike:
            return f"No row was scored with unlike versions (AUC {whole.auc:.3f})."
        return f"Unlike versions met in {unlike:.1%} of the rows, and there is nothing to compare them with."
    low, high = gap.ci(alpha=alpha)
    met = f"Unlike versions met in {unlike:.1%} of the rows"
    if high < 0:
        said = (
            f"{met}, and there the AUC is {-gap.auc:.3f} lower: {agree.auc + gap.auc:.3f} instead of "
            f"{agree.auc:.3f}. All rows together reach {whole.auc:.3f}."
        )
    elif low > 0:
        said = f"{met}, and there the AUC is {gap.auc:.3f} higher: they don't misfit, or the rows are easier."
    elif math.isnan(low):
        said = f"{met}, in too few users to say what that costs."
    else:
        said = f"{met}; no loss shows there, though one of {max(0.0, -low):.3f} AUC can't be ruled out."
    if table["users"].min() < _FEW:
        said += f" Some pair has {table['users'].min()} users only, so the interval is rough."
    return said
