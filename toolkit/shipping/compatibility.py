"""What does a better model break: how many answers that were right, and whose?

The chapter's diagnostic on two versions' answers. `flip_rates` has what accuracies allow, `distillation`
the remedies on real digits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from pandas.api.types import is_numeric_dtype
from scipy.stats import norm
from scipy.stats import t as student

from toolkit.experiments.families import holm
from toolkit.features.rates import wilson
from toolkit.finding import Finding
from toolkit.frames import read_columns
from toolkit.general.mismatch import effective_sample_size
from toolkit.resampling import clustered_error, several
from toolkit.rules import count, level, share
from toolkit.shipping.flip_rates import flip_bounds, negative_flip_rate
from toolkit.shipping.winner import expected_maximum

__all__ = ["flip_bounds", "flips", "negative_flip_rate", "worst_of_equals"]

# With fewer units that flipped than this, the test is exact.
_FEW_FLIPS = 25


def flips(
    decisions: Any, *, segment: str | None = None, cluster: str | None = None, alpha: float = 0.05
) -> Finding:
    """Which right answers an update breaks (negative flips), which wrong ones it repairs, and where.

    Parameters
    ----------
    decisions : any frame that Narwhals reads
        One row a case: `reference` and `current`, the old and the new version's answer, `y`, the right
        one, and the columns that `segment` and `cluster` name. Answers are compared for equality.
    segment : str, optional
        Column of what mustn't get worse: customers, languages, classes.
    cluster : str, optional
        Column of what is independent, a user say; cases are where not given.
    alpha : float
        One minus the level of the intervals.

    Returns
    -------
    Finding
        Estimate: the share of all cases that the old version had right and the new one has wrong. The
        p-value is McNemar's, of "as many broken as repaired"; with clusters it asks that of each one's repaired
        less broken cases. The table's first row is all cases; the others are the
        segments, the one with the largest loss first. The segments' intervals of the change of
        accuracy hold together, and their p-values are adjusted by Holm's method: among many segments one
        looks bad by luck.

    Raises
    ------
    ValueError
        If columns or values are missing, answers are of another kind than `y`, none is right, there is one
        cluster only, or no segment has two.

    References
    ----------
    Bansal et al. (2019), "Updates in Human-AI Teams", AAAI; Yan et al. (2021), "Positive-Congruent
    Training", CVPR.

    Examples
    --------
    A hundred cases; 7 are broken and 9 repaired:

    >>> cases = pd.DataFrame({"y": 1, "reference": [1] * 90 + [0] * 10, "current": [1] * 83 + [0] * 7 + [1] * 9 + [0]})
    >>> finding = flips(cases)
    >>> finding.estimate, round(finding.p, 3)
    (0.07, 0.804)
    """
    level(alpha)
    named = [name for name in (segment, cluster) if name is not None]
    rows = read_columns(decisions, "decisions", ["reference", "current", "y", *dict.fromkeys(named)])
    for name in ("reference", "current"):
        # Equality between "1" and 1 would say that nothing was ever right.
        if is_numeric_dtype(rows[name]) != is_numeric_dtype(rows["y"]):
            raise ValueError(
                f"{name}: got {rows[name].dtype} beside {rows['y'].dtype} of y; they must be of one kind"
            )
    before = (rows["reference"] == rows["y"]).to_numpy()
    after = (rows["current"] == rows["y"]).to_numpy()
    if not (before | after).any():
        raise ValueError(
            f"reference, current: got no right answer among {len(rows):,}; they must be answers as y has them, not scores"
        )
    units = None if cluster is None else several(rows[cluster], cluster)
    whole = _compared(before, after, units)
    share_broken = wilson(before & ~after, units, alpha=alpha)
    table = [whole.row("all", alpha)]
    worse = ""
    if segment is not None:
        parts = []
        for name, where in rows.groupby(segment, sort=True).indices.items():
            parts.append(
                (name, _compared(before[where], after[where], None if units is None else units[where]))
            )
        if cluster is not None and not any(part.worth for _, part in parts):
            raise ValueError(
                f"cluster: got {cluster!r}, of which each {segment} has one; a segment's interval needs two at least"
            )
        adjusted = holm([part.p for _, part in parts]).tolist()
        each = [
            {**part.row(name, alpha / len(parts)), "p": p}
            for (name, part), p in zip(parts, adjusted, strict=True)
        ]
        each.sort(key=lambda row: row["change"])
        table += each
        worse = "; " + _segments(each, segment, alpha)
    change = table[0]
    if change["low"] > 0:
        better = "more accurate"
    elif change["high"] < 0:
        better = "less accurate"
    else:
        better = "neither more nor less accurate as far as can be told"
    right = max(int(before.sum()), 1)
    return Finding(
        float((before & ~after).mean()),
        (share_broken.low, share_broken.high),
        f"The update breaks {change['broken']:.1%} of all cases ({(before & ~after).sum() / right:.1%} of those that "
        f"were right) and repairs {change['repaired']:.1%}; it is {better} ({100 * change['low']:+.1f} to "
        f"{100 * change['high']:+.1f} points){worse}.",
        unit="of all cases",
        se=share_broken.se,
        p=whole.p,
        n=len(rows),
        n_clusters=None if units is None else int(units.max()) + 1,
        alpha=alpha,
        table=pd.DataFrame(table),
        assumptions=(
            "both versions answered the same cases",
            "neither was trained on them",
        ),
        cannot_tell=(
            *(
                ()
                if cluster is not None
                else ("luck from what users with several cases share: name their column",)
            ),
            "what the update changed from what any retraining would: compare two trainings of the old version",
            "which broken answers somebody relied on",
        ),
    )


def worst_of_equals(segments: int, cases: int, broken: float, repaired: float) -> float:
    """The change of accuracy of the worst of so many segments that all fare alike, on average.

    Parameters
    ----------
    segments, cases : int
        How many there are, and the cases in each.
    broken, repaired : float
        The shares of cases that the update breaks and repairs in every one of them.

    Examples
    --------
    Two points better everywhere, and yet a customer among fifty seems to lose:

    >>> round(worst_of_equals(50, 200, 0.072, 0.092), 3)
    -0.044
    """
    share("broken", broken)
    if share("repaired", repaired) + broken > 1:
        raise ValueError(f"repaired: got {repaired!r} beside {broken!r} broken; a case is one or the other")
    change = repaired - broken
    noise = np.sqrt((broken + repaired - change**2) / count("cases", cases))
    return float(change - noise * expected_maximum(count("segments", segments)))


@dataclass(frozen=True)
class _Compared:
    """Two versions on the same cases: shares of right answers and of flips, the change with its test.

    `worth` is how many independent cases these are worth: 0 with one cluster, as nothing says how far another
    would be from it; `df` are the degrees of freedom of that.
    """

    n: int
    old: float
    new: float
    broken: float
    repaired: float
    worth: float
    df: float
    p: float

    def row(self, name: Any, alpha: float) -> dict[str, Any]:
        centre, half = 0.0, 1.0
        if self.worth:
            # Agresti and Min (2005): half a case more in each of the four cells.
            n = self.worth + 2
            up, down = (self.worth * self.repaired + 0.5) / n, (self.worth * self.broken + 0.5) / n
            centre = up - down
            half = student.isf(alpha / 2, self.df) * np.sqrt((up + down - centre**2) / n)
        return {
            "segment": name,
            "cases": self.n,
            "old": self.old,
            "new": self.new,
            "broken": self.broken,
            "repaired": self.repaired,
            "change": self.repaired - self.broken,
            "low": max(-1.0, float(centre - half)),
            "high": min(1.0, float(centre + half)),
            "p": self.p,
        }


def _compared(before: np.ndarray, after: np.ndarray, units: np.ndarray | None) -> _Compared:
    n, broken, repaired = len(before), before & ~after, ~before & after
    shares = {
        name: float(each.mean())
        for name, each in {"old": before, "new": after, "broken": broken, "repaired": repaired}.items()
    }
    change = repaired.astype(int) - broken
    if units is None:
        return _Compared(n=n, worth=n, df=np.inf, p=_mcnemar(change), **shares)
    code, names = pd.factorize(units)
    if len(names) < 2:
        return _Compared(n=n, worth=0, df=1, p=1.0, **shares)
    alone = change.var() / n
    together = clustered_error((change - change.mean()) / n, code) ** 2
    # Where all cases change alike nothing shows how far users differ: each counts as one case.
    worth = min(float(n), n * alone / together if together else n) if alone else len(names)
    p = _mcnemar(np.bincount(code, change))
    # Kish's number of equal clusters: a few large ones decide how well the spread is known.
    df = max(1.0, effective_sample_size(np.bincount(code)) - 1)
    return _Compared(n=n, worth=worth, df=df, p=p, **shares)


def _mcnemar(net: np.ndarray) -> float:
    """How often the units' net repairs would lie as far from 0 if each had its sign by a fair coin.

    With one case a unit that is McNemar's test; with several it is the same test of units.
    """
    net = net[net != 0]
    far = abs(float(net.sum()))
    if len(net) >= _FEW_FLIPS:
        return float(2 * norm.sf(far / np.sqrt((net**2).sum())))
    sizes = np.abs(net).astype(int)
    total = int(sizes.sum())
    # The chance of each sum of those that fall on heads.
    chance = np.zeros(total + 1)
    chance[0] = 1.0
    for size in sizes:
        chance = (chance + np.concatenate([np.zeros(size), chance[:-size]])) / 2
    return min(1.0, float(chance[np.abs(2 * np.arange(total + 1) - total) >= far].sum()))


def _segments(each: list[dict[str, Any]], segment: str, alpha: float) -> str:
    lost = [row for row in each if row["change"] < 0 and row["p"] < alpha]
    worst = each[0]
    where = (
        f"{segment} {worst['segment']} with {100 * worst['change']:+.1f} points "
        f"({100 * worst['low']:+.1f} to {100 * worst['high']:+.1f})"
    )
    if not lost:
        return f"of {len(each)} segments none loses beyond luck, the worst is {where}"
    return f"of {len(each)} segments {len(lost)} {'loses' if len(lost) == 1 else 'lose'} beyond luck, the worst is {where}"
