"""Is a setting one that the function can work with? The rules that settings share, and what a refusal says."""

from __future__ import annotations

import math
import numbers
from collections.abc import Collection


def number(name: str, value: float, *, above: float = -math.inf, below: float = math.inf) -> float:
    """A finite number strictly between two others; refused by parameter, value and rule.

    Examples
    --------
    >>> number("noise", 0.5, above=0)
    0.5
    >>> number("noise", 0.0, above=0)
    Traceback (most recent call last):
    ValueError: noise: got 0.0; it must lie above 0
    """
    if not _is_number(value) or not above < value < below:
        rule = _between(above, below, "lie strictly between")
        if not _is_number(value) and "finite" not in rule:
            rule += " and be finite"
        raise ValueError(f"{name}: got {value!r}; it must {rule}")
    return float(value)


def share(name: str, value: float, *, open_low: bool = False, open_high: bool = False) -> float:
    """A number in [0, 1], or without an end that is open.

    Examples
    --------
    >>> share("propensity", 0.0, open_low=True)
    Traceback (most recent call last):
    ValueError: propensity: got 0.0; it must lie in (0, 1]
    """
    good = _is_number(value) and 0 <= value <= 1
    if not good or (open_low and value == 0) or (open_high and value == 1):
        ends = f"{'(' if open_low else '['}0, 1{')' if open_high else ']'}"
        raise ValueError(f"{name}: got {value!r}; it must lie in {ends}")
    return float(value)


def level(value: float, *, name: str = "alpha") -> float:
    """An error rate, strictly between 0 and 1.

    Examples
    --------
    >>> level(0.05)
    0.05
    """
    return number(name, value, above=0, below=1)


def count(name: str, value: int, *, least: int = 1) -> int:
    """A whole number, at least so many.

    Examples
    --------
    >>> count("replicates", 2.5)
    Traceback (most recent call last):
    ValueError: replicates: got 2.5; it must be a whole number, 1 at least
    """
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < least:
        raise ValueError(f"{name}: got {value!r}; it must be a whole number, {least:,} at least")
    return int(value)


def one_of(name: str, value: str, known: Collection[str]) -> str:
    """One of the known words.

    Examples
    --------
    >>> one_of("rule", "Popcock", ["Pocock", "naive"])
    Traceback (most recent call last):
    ValueError: rule: got 'Popcock'; it must be one of Pocock, naive
    """
    if value not in known:
        raise ValueError(f"{name}: got {value!r}; it must be one of {', '.join(known)}")
    return value


def _is_number(value: object) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool) and math.isfinite(value)


def _between(above: float, below: float, both: str) -> str:
    if math.isinf(above) and math.isinf(below):
        return "be a finite number"
    if math.isinf(below):
        return f"lie above {above:g}"
    if math.isinf(above):
        return f"lie below {below:g}"
    return f"{both} {above:g} and {below:g}"
