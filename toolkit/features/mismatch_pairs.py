"""Eight pairs of columns, each differing in its own way, for readers to name."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from toolkit.rules import count

__all__ = ["NUMBERED", "pair_numbers", "pairs", "shown_pairs"]

# The types as the exercise numbers them.
NUMBERED: Mapping[int, str] = {
    1: "missing",
    2: "default",
    3: "float32",
    4: "offset",
    5: "scale",
    6: "quantised",
    7: "lag",
    8: "permuted",
}
ENTITIES, EACH = 20, 10


def pairs(*, rng: int = 0) -> dict[str, tuple[str, pd.DataFrame]]:
    """From a letter to the type, and a frame of `recomputed` and `served` in each entity's order of time.

    Examples
    --------
    >>> found = pairs()
    >>> list(found)
    ['A', 'B', 'C', 'D', 'E', 'F', 'G', 'H']
    >>> sorted(type_ for type_, _ in found.values()) == sorted(NUMBERED.values())
    True
    """
    count("rng", rng, least=0)
    draw = np.random.default_rng(rng)
    n = ENTITIES * EACH

    def values() -> pd.Series:
        return pd.Series(draw.gamma(2.0, 4.0, n).round(3))

    made = {}
    right = values()
    made["missing"] = (right, right.mask(draw.random(n) < 0.3))
    right = values()
    made["default"] = (right, right.mask(draw.random(n) < 0.3, 0.0))
    ids = pd.Series(2.0**24 + 1 + 3 * draw.permutation(n))
    made["float32"] = (ids, ids.astype("float32").astype(float))
    right = values()
    made["offset"] = (right, (right + 2).round(3))
    right = values()
    made["scale"] = (right, (right * 60).round(3))
    right = values()
    made["quantised"] = (right, right.round(1))
    right = values()
    moved = right.groupby(np.repeat(np.arange(ENTITIES), EACH)).shift(1)
    made["lag"] = (right, moved.fillna(right))
    codes = pd.Series(draw.integers(0, 6, n).astype(float))
    made["permuted"] = (codes, codes.map(dict(enumerate([3.0, 5.0, 0.0, 1.0, 4.0, 2.0]))))
    order = draw.permutation(list(made))
    return {
        letter: (str(type_), pd.DataFrame({"recomputed": made[type_][0], "served": made[type_][1]}))
        for letter, type_ in zip("ABCDEFGH", order, strict=True)
    }


def shown_pairs(*, rng: int = 0, rows: int = 5) -> pd.DataFrame:
    """The first rows of each pair, all of one entity, as text.

    Examples
    --------
    >>> shown_pairs().columns.tolist(), len(shown_pairs())
    (['pair', 'column', 'values'], 16)
    """
    count("rows", rows)
    lines = []
    for letter, (_, frame) in pairs(rng=rng).items():
        for column in ("recomputed", "served"):
            texts = ["-" if pd.isna(value) else f"{value:.10g}" for value in frame[column].head(rows)]
            lines.append({"pair": letter, "column": column, "values": ", ".join(texts)})
    return pd.DataFrame(lines)


def pair_numbers(*, rng: int = 0) -> int:
    """The numbers of the pairs' types, from A to H, as the digits of one number.

    Examples
    --------
    >>> sorted(str(pair_numbers())) == list("12345678")
    True
    """
    number_of = {type_: number for number, type_ in NUMBERED.items()}
    return int("".join(str(number_of[type_]) for type_, _ in pairs(rng=rng).values()))
