"""Two columns should be equal and aren't: of what type is the difference?"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from toolkit.features.differences import as_numbers, differs, kind_of
from toolkit.features.specification import BLANKS, fold

__all__ = ["TYPES", "Mismatch", "mismatch_type"]

# What each name means, in the order in which they are tried.
TYPES: Mapping[str, str] = {
    "none": "every row is equal",
    "missing": "served is missing where there is a value",
    "default": "served is one and the same value wherever it differs",
    "clipped": "served is cut off at a limit",
    "float32": "served is the value rounded to 32 bits",
    "last digit": "served is one step of the last decimal away, in few rows: where a half goes",
    "offset": "served is the value plus a constant",
    "scale": "served is the value times a constant",
    "quantised": "served is the value with fewer decimals",
    "ddof": "served divides by n where it should by n - 1, or the reverse",
    "case": "served differs in upper and lower case",
    "blanks": "served differs in the blanks at its ends",
    "normal form": "served spells the same letters by other code points",
    "folding": "served differs in several of case, blanks and normal form",
    "encoding": "served is UTF-8 read as another encoding",
    "cut": "served is the text's beginning",
    "lag": "served is the entity's value of an earlier row",
    "ahead": "served is the entity's value of a later row",
    "permuted": "served exchanges the values one to one, as where categories are numbered otherwise",
    "merged": "served gives several values one, as where they collide",
    "split": "served gives one value several",
    "other": "none of these",
}
# A type must explain so many of the rows that differ.
_ENOUGH = 0.95
# Fewer rows than these fit too many types.
_FEW = 3
_KNOWN_SCALES = {
    2.302585092994046: "natural for decimal logarithm",
    1 / 2.302585092994046: "decimal for natural logarithm",
    1.4426950408889634: "binary for natural logarithm",
    -1.0: "the sign is turned",
    100.0: "as per cent, or cents",
    0.01: "a share for per cent, or euros for cents",
    1000.0: "thousandths",
    0.001: "thousands",
}


@dataclass(frozen=True)
class Mismatch:
    """The type of a difference between two columns.

    Parameters
    ----------
    type : str
        One of `TYPES`, or the name of a variant.
    detail : str
        The constant, the number of decimals, or what else tells it.
    explained : float
        Share of the rows that differ which the type explains; nan where none differs.
    """

    type: str
    detail: str = ""
    explained: float = float("nan")


def mismatch_type(
    served: pd.Series,
    recomputed: pd.Series,
    *,
    rtol: float = 1e-9,
    entity: Any = None,
    ts: Any = None,
    variants: Mapping[str, Any] | None = None,
) -> Mismatch:
    """Name the difference between what was served and what is right, from the two columns alone.

    Parameters
    ----------
    served, recomputed : Series of shape (n,)
        Row for row the same.
    rtol : float
        As for `differs`.
    entity, ts : arrays of shape (n,), optional
        Whose value each row is, and when; with them values of earlier and later rows are recognised.
    variants : mapping of name to values, optional
        What the column would be by a known habit; a difference that one of them reproduces is named
        after it.

    Returns
    -------
    Mismatch
        The first of `TYPES` that explains 95% of the rows that differ; "other" where none does. In
        fewer than three rows only "missing" and variants are told.

    Examples
    --------
    >>> right = pd.Series([1.0, 2.0, 4.0, 8.0])
    >>> mismatch_type(right * np.log(10), right)
    Mismatch(type='scale', detail='times 2.302585: natural for decimal logarithm', explained=1.0)
    >>> mismatch_type(pd.Series(["Lyon", "NICE", "PARIS"]), pd.Series(["lyon", "nice", "paris"])).type
    'case'
    """
    served, recomputed = served.reset_index(drop=True), recomputed.reset_index(drop=True)
    unequal = differs(served, recomputed, rtol=rtol)
    if not unequal.any():
        return Mismatch("none")
    best, closest = Mismatch("other", "", 0.0), 0.0
    # Of several habits that do, the one that reproduces most.
    for name, values in (variants or {}).items():
        as_variant = pd.Series(values, name=served.name).reset_index(drop=True)
        if len(as_variant) != len(served):
            raise ValueError(
                f"variants: got {len(as_variant)} values of {name} for {len(served)} rows; one each"
            )
        told = ~differs(served, as_variant, rtol=max(rtol, 1e-9))
        # A habit must also be right where the column is: else it explains by changing everything.
        share = float(told[unequal].mean())
        if min(share, told.mean()) >= _ENOUGH and told.mean() > closest:
            best, closest = Mismatch(name, "reproduced by this habit", share), float(told.mean())
    if best.type != "other":
        return best
    text = "text" in (kind_of(served), kind_of(recomputed))
    tries = _of_any(served, recomputed, unequal)
    tests: list[Iterator[tuple[str, str, np.ndarray]]] = [tries]
    if unequal.sum() >= _FEW:
        tests.append(_of_texts(served, recomputed) if text else _of_numbers(served, recomputed, unequal))
        if entity is not None and ts is not None:
            tests.append(_of_order(served, recomputed, rtol, pd.Series(np.asarray(entity)), pd.Series(ts)))
        tests.append(_of_values(served, recomputed, unequal))
    for each in tests:
        for name, detail, explains in each:
            share = float(explains[unequal].mean())
            if share >= _ENOUGH:
                return Mismatch(name, detail, share)
            if share > best.explained:
                best = Mismatch("other", f"{name} explains {share:.0%}", share)
    return best


def _of_any(s: pd.Series, r: pd.Series, unequal: np.ndarray) -> Iterator[tuple[str, str, np.ndarray]]:
    gone = s.isna().to_numpy() & r.notna().to_numpy()
    yield "missing", "", gone
    if unequal.sum() < _FEW:
        return
    values = s[unequal].dropna()
    if not len(values):
        return
    usual = values.mode().iloc[0]
    there = (s == usual).to_numpy()
    others = r[unequal & there]
    if others.nunique() < 2 and not others.isna().all():
        return  # one value for one other: an offset or a mapping
    # Where every row is at the limit, it is none.
    if kind_of(s) == "numbers" and kind_of(r) == "numbers" and others.notna().all() and s.min() < s.max():
        if usual == s.max() and (others > usual).all():
            yield "clipped", f"at most {usual:g}", there
        if usual == s.min() and (others < usual).all():
            yield "clipped", f"at least {usual:g}", there
    yield (
        "default",
        f"{usual!r}" if isinstance(usual, str) else f"{usual:g}" if kind_of(s) == "numbers" else str(usual),
        there,
    )


def _of_numbers(
    served: pd.Series, recomputed: pd.Series, unequal: np.ndarray
) -> Iterator[tuple[str, str, np.ndarray]]:
    s, r = as_numbers(served).astype(float), as_numbers(recomputed).astype(float)
    both = np.isfinite(s) & np.isfinite(r)
    here = unequal & both
    if here.sum() < _FEW:
        return
    times = "times" in (kind_of(served), kind_of(recomputed))
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        yield "float32", "", both & (s == r.astype(np.float32)) & (s != r)
        yield from _of_last_digit(s, r, both, here)
        step = s - r
        usual = float(np.median(step[here]))
        # The difference of two numbers is known to the last bits of the larger one only.
        slack = 1e-6 * abs(usual) + 4 * np.spacing(np.abs(r)) + 4 * np.spacing(np.abs(s))
        if len(np.unique(r[here])) > 1:
            yield (
                "offset",
                _as_time(usual) if times else f"{usual:+.6g}",
                both & (np.abs(step - usual) <= slack),
            )
            ratio = s / r
            usual = float(np.median(ratio[here]))
            known = next((said for scale, said in _KNOWN_SCALES.items() if abs(usual / scale - 1) < 1e-4), "")
            detail = f"times {usual:.7g}{': ' + known if known else ''}"
            # Times nearly 1 is what any small error looks like.
            if np.isfinite(usual) and usual != 0 and abs(usual - 1) > 1e-4 and _spread(r[here]):
                yield "scale", detail, both & ((np.abs(ratio / usual - 1) <= 1e-5) | ((s == 0) & (r == 0)))
        yield from _quantised(s, r, both)
        # (n - 1) / n for a whole n of rows; of one row one divisor makes 0 and the other nothing.
        smaller = np.minimum(np.abs(s), np.abs(r)) / np.maximum(np.abs(s), np.abs(r))
        n = 1 / (1 - smaller**2)
        near = np.abs(n - np.rint(n)) <= np.maximum(1e-6, 1e-9 * n**2)
        single = (np.isnan(r) & (s == 0)) | (np.isnan(s) & (r == 0))
        whole = both & near & (n > 1.5) & (n < 1e4)
        if (whole & here).any() and len(np.unique(np.rint(n[whole & here]))) > 1:
            less = bool((np.abs(s) < np.abs(r))[whole & here].all())
            more = bool((np.abs(s) > np.abs(r))[whole & here].all())
            if less or more:
                yield "ddof", "n for n - 1" if less else "n - 1 for n", whole | single


def _spread(values: np.ndarray) -> bool:
    return bool(np.ptp(values) > 1e-3 * np.abs(values).max())


def _as_time(seconds: float) -> str:
    return f"{seconds / 3600:+.6g} hours"


def _on_grid(values: np.ndarray, decimals: int) -> np.ndarray:
    scaled = values * 10.0**decimals
    return np.abs(scaled - np.rint(scaled)) <= 1e-6


def _decimals(values: np.ndarray) -> int | None:
    """The fewest decimals, or trailing zeros as a negative number, that hold all values; None if over 9."""
    return next((d for d in range(-3, 10) if _on_grid(values, d).all()), None)


def _of_last_digit(
    s: np.ndarray, r: np.ndarray, both: np.ndarray, here: np.ndarray
) -> Iterator[tuple[str, str, np.ndarray]]:
    decimals = _decimals(r[both])
    if (
        decimals is None
        or decimals < 1
        or not _on_grid(s[both], decimals).all()
        or here.sum() > 0.25 * len(s)
    ):
        return
    one = np.abs(np.abs(s - r) * 10.0**decimals - 1) <= 1e-5
    yield "last digit", f"{decimals} decimal{'s' if decimals > 1 else ''}", both & one


def _quantised(s: np.ndarray, r: np.ndarray, both: np.ndarray) -> Iterator[tuple[str, str, np.ndarray]]:
    decimals = _decimals(s[both])
    if decimals is None or _on_grid(r[both], decimals).all():
        return
    grid = 10.0**-decimals
    off = (s - r) / grid
    where = f"{decimals} decimals" if decimals > 0 else "whole numbers" if not decimals else f"{grid:.0f}s"
    yield "quantised", f"rounded to {where}", both & (np.abs(off) <= 0.5 + 1e-6)
    yield "quantised", f"rounded down to {where}", both & (off <= 1e-6) & (off > -1 - 1e-6)
    toward = both & (np.abs(s) <= np.abs(r) + 1e-6 * grid) & (np.abs(off) < 1 + 1e-6)
    yield "quantised", f"cut to {where}", toward


_FOLDS: tuple[tuple[str, str, Callable[[str], str]], ...] = (
    ("case", "", str.casefold),
    ("blanks", "", lambda text: text.strip(BLANKS)),
    ("normal form", "", lambda text: unicodedata.normalize("NFC", text)),
    ("folding", "", lambda text: unicodedata.normalize("NFC", fold(text).casefold())),
)


def _of_texts(served: pd.Series, recomputed: pd.Series) -> Iterator[tuple[str, str, np.ndarray]]:
    pairs = list(zip(served, recomputed, strict=True))
    whole = [isinstance(s, str) and isinstance(r, str) for s, r in pairs]

    def where(test: Callable[[str, str], bool]) -> np.ndarray:
        return np.array([ok and test(s, r) for ok, (s, r) in zip(whole, pairs, strict=True)], dtype=bool)

    for name, detail, change in _FOLDS:
        yield name, detail, where(lambda s, r, change=change: change(s) == change(r))  # type: ignore[misc]
    yield "encoding", "read as Latin-1", where(lambda s, r: s == r.encode().decode("latin-1"))
    yield "encoding", "read as Windows-1252", where(lambda s, r: s == r.encode().decode("cp1252", "replace"))
    cut = where(lambda s, r: 0 < len(s) < len(r) and r.startswith(s))
    if cut.any():
        yield "cut", f"at {max(len(s) for ok, (s, _) in zip(cut, pairs, strict=True) if ok)} letters", cut


def _of_order(
    served: pd.Series, recomputed: pd.Series, rtol: float, entity: pd.Series, ts: pd.Series
) -> Iterator[tuple[str, str, np.ndarray]]:
    order = (
        pd.DataFrame({"entity": entity, "ts": ts.reset_index(drop=True)})
        .sort_values(["entity", "ts"], kind="stable")
        .index
    )
    ordered = recomputed.loc[order].groupby(entity.loc[order], sort=False)
    for name, sign in (("lag", 1), ("ahead", -1)):
        for steps in (1, 2, 3):
            moved = ordered.shift(sign * steps).reindex(served.index)
            equal = ~differs(served, moved, rtol=rtol) & served.notna().to_numpy()
            # An entity's first rows have no earlier one; they neither speak for it nor against.
            unknown = moved.isna().to_numpy()
            yield name, f"{steps} row{'s' if steps > 1 else ''}", equal | (unknown & equal.any())


def _of_values(
    served: pd.Series, recomputed: pd.Series, unequal: np.ndarray
) -> Iterator[tuple[str, str, np.ndarray]]:
    pairs = pd.DataFrame({"s": served, "r": recomputed}).dropna()
    distinct = pairs["r"].nunique(), pairs["s"].nunique()
    # Where nearly every value occurs once, anything is a function of anything.
    repeated = len(pairs) >= 3 * max(distinct)
    if not repeated or min(distinct) < 2:
        return
    couples = pairs.drop_duplicates()
    forwards, backwards = not couples["r"].duplicated().any(), not couples["s"].duplicated().any()
    there = (served.notna() & recomputed.notna()).to_numpy()
    if forwards and backwards:
        moved = int((couples["s"] != couples["r"]).sum())
        yield "permuted", f"{moved} of {len(couples)} values", there
    elif forwards:
        yield "merged", f"{distinct[0]} values into {distinct[1]}", there
    elif backwards:
        yield "split", f"{distinct[0]} values into {distinct[1]}", there
