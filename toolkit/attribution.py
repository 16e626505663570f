"""Which switch made how much of the difference, when all were turned at once?"""

from __future__ import annotations

import html
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from toolkit.rules import level

Value = Callable[[frozenset[str]], Any]


@dataclass(frozen=True)
class Attribution:
    """A difference split over the switches that made it; the parts sum to the difference.

    Parameters
    ----------
    table : DataFrame, one row a switch
        `switch`, `part` (Shapley value), `low` and `high` (interval; nan without replicates),
        `error` (standard error of sampled orders; 0 where exact), `first_in` (effect of turning
        only this switch) and `last_in` (effect of turning it after all others).
    interactions : DataFrame, one row a pair
        `switch`, `other`, `interaction` (Shapley interaction index: by how much two switches
        together do more than the sum of each); empty where orders were sampled.
    start, end : float
        The value with no switch turned and with all.
    exact : bool
        Whether every subset was evaluated.
    labels : mapping of switch to text
        What a reader sees instead of a switch's name, where given.
    """

    table: pd.DataFrame
    interactions: pd.DataFrame
    start: float
    end: float
    exact: bool
    alpha: float = field(default=0.05)
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def gap(self) -> float:
        """What is split: the end less the start."""
        return self.end - self.start

    @property
    def parts(self) -> dict[str, float]:
        """Each switch's part."""
        return dict(zip(self.table["switch"], self.table["part"], strict=True))

    def __str__(self) -> str:
        head = f"From {self.start:.4g} to {self.end:.4g}, a difference of {self.gap:.4g}, by switch:"
        return f"{head}\n{self._shown().to_string(index=False)}"

    def _shown(self) -> pd.DataFrame:
        # Where every subset was evaluated, the sampling error says nothing.
        table = self.table.drop(columns=["error"] if self.exact else []).round(4)
        return table.assign(switch=[self.labels.get(name, name) for name in table["switch"]])

    def _repr_pretty_(self, printer: object, cycle: bool) -> None:
        # Else a notebook's text is the dataclass's, whose last digits change from machine to machine.
        printer.text(str(self))  # type: ignore[attr-defined]

    def _repr_html_(self) -> str:
        head, _ = str(self).split("\n", 1)
        return f'<div class="finding" tabindex="0" role="group" aria-label="Attribution"><p>{html.escape(head)}</p>{self._shown().to_html(index=False, border=0)}</div>'


def shapley(
    value: Value,
    switches: Sequence[str],
    *,
    max_exact: int = 7,
    permutations: int = 400,
    rng: Any = 0,
    alpha: float = 0.05,
    labels: Mapping[str, str] | None = None,
) -> Attribution:
    """Split the difference that switches make together into one part each (Shapley value).

    A switch's part is its effect averaged over all orders in which they can be turned.

    Parameters
    ----------
    value : callable
        Takes the frozenset of turned switches, gives a number; or an array of shape (1 + B,), the
        value and B paired bootstrap replicates of it, for intervals. Called once a subset.
    switches : sequence of str
    max_exact : int
        Up to so many switches every subset is evaluated; above, orders are sampled in antithetic
        pairs (an order and its reverse).
    permutations : int
        Orders to sample; an even number.
    rng : int or Generator
        For the sampled orders.
    alpha : float
        One minus the level of the intervals, percentiles of the replicates.
    labels : mapping of switch to text, optional
        What a reader sees instead of a switch's name.

    Raises
    ------
    ValueError
        If there is no switch or one twice, a value isn't finite, or replicates differ in number.

    References
    ----------
    Shapley (1953), "A Value for n-Person Games".

    Examples
    --------
    Two switches that work only together share what they do:

    >>> shapley(lambda on: 6.0 * (len(on) == 2), ["a", "b"]).parts
    {'a': 3.0, 'b': 3.0}
    """
    names = list(switches)
    if not names:
        raise ValueError("switches: got none; there must be at least one")
    if len(set(names)) != len(names):
        raise ValueError(f"switches: got {names}; each must be there once")
    if (
        isinstance(permutations, bool)
        or not isinstance(permutations, int)
        or permutations < 2
        or permutations % 2
    ):
        raise ValueError(
            f"permutations: got {permutations!r}; it must be an even number, pairs being sampled"
        )
    level(alpha)
    values = _Values(value)
    everything = frozenset(names)
    exact = len(names) <= max_exact
    parts, errors = _all_subsets(values, names) if exact else _sampled(values, names, permutations, rng)
    rows = []
    for name in names:
        low, high = np.nan, np.nan
        if len(parts[name]) > 1:
            low, high = np.quantile(parts[name][1:], [alpha / 2, 1 - alpha / 2])
        first = values(frozenset([name])) - values(frozenset())
        last = values(everything) - values(everything - {name})
        rows.append((name, parts[name][0], low, high, errors[name], first[0], last[0]))
    columns = ["switch", "part", "low", "high", "error", "first_in", "last_in"]
    pairs = _interactions(values, names) if exact else []
    return Attribution(
        pd.DataFrame(rows, columns=columns),
        pd.DataFrame(pairs, columns=["switch", "other", "interaction"]),
        float(values(frozenset())[0]),
        float(values(everything)[0]),
        exact,
        alpha,
        dict(labels or {}),
    )


class _Values:
    """The value of each subset, asked for once, as an array whose first element is the estimate."""

    def __init__(self, value: Value) -> None:
        self.value = value
        self.known: dict[frozenset[str], np.ndarray] = {}
        self.length: int | None = None

    def __call__(self, subset: frozenset[str]) -> np.ndarray:
        if subset not in self.known:
            found = np.atleast_1d(np.asarray(self.value(subset), dtype=float))
            if found.ndim != 1 or not np.isfinite(found).all():
                raise ValueError(
                    f"value: got {found!r} for {sorted(subset)}; it must be finite numbers in one row"
                )
            if self.length not in (None, len(found)):
                raise ValueError(
                    f"value: got {len(found)} numbers for {sorted(subset)} and {self.length} before"
                )
            self.length = len(found)
            self.known[subset] = found
        return self.known[subset]


def _subsets(names: Sequence[str]) -> list[frozenset[str]]:
    sizes = range(len(names) + 1)
    return [frozenset(subset) for size in sizes for subset in itertools.combinations(names, size)]


def _all_subsets(values: _Values, names: list[str]) -> tuple[Mapping[str, np.ndarray], Mapping[str, float]]:
    count = len(names)
    parts = {}
    for name in names:
        others = [other for other in names if other != name]
        total = 0.0 * values(frozenset())
        for subset in _subsets(others):
            weight = (
                math.factorial(len(subset)) * math.factorial(count - len(subset) - 1) / math.factorial(count)
            )
            total = total + weight * (values(subset | {name}) - values(subset))
        parts[name] = total
    return parts, dict.fromkeys(names, 0.0)


def _sampled(
    values: _Values, names: list[str], permutations: int, rng: Any
) -> tuple[Mapping[str, np.ndarray], Mapping[str, float]]:
    draws = np.random.default_rng(rng)
    pairs: dict[str, list[np.ndarray]] = {name: [] for name in names}
    for _ in range(permutations // 2):
        order = [names[place] for place in draws.permutation(len(names))]
        for name, effect in _along(values, order).items():
            pairs[name].append(effect / 2)
        for name, effect in _along(values, order[::-1]).items():
            pairs[name][-1] = pairs[name][-1] + effect / 2
    parts = {name: np.mean(effects, axis=0) for name, effects in pairs.items()}
    spread = (
        {name: np.std([effect[0] for effect in effects], ddof=1) for name, effects in pairs.items()}
        if (permutations > 2)
        else dict.fromkeys(names, math.nan)
    )
    return parts, {name: float(spread[name] / math.sqrt(permutations / 2)) for name in names}


def _along(values: _Values, order: Sequence[str]) -> dict[str, np.ndarray]:
    turned: frozenset[str] = frozenset()
    effects = {}
    for name in order:
        effects[name] = values(turned | {name}) - values(turned)
        turned = turned | {name}
    return effects


def _interactions(values: _Values, names: list[str]) -> list[tuple[str, str, float]]:
    count = len(names)
    found = []
    for name, other in itertools.combinations(names, 2):
        rest = [each for each in names if each not in (name, other)]
        total = 0.0
        for subset in _subsets(rest):
            weight = (
                math.factorial(len(subset))
                * math.factorial(count - len(subset) - 2)
                / math.factorial(count - 1)
            )
            both, neither = values(subset | {name, other}), values(subset)
            total += weight * float((both - values(subset | {name}) - values(subset | {other}) + neither)[0])
        found.append((name, other, total))
    return found
