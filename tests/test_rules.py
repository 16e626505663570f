"""A refusal names the parameter, the value and the rule."""

import math

import pytest

from toolkit.rules import count, level, number, one_of, share


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: number("a", math.nan), r"a: got nan; it must be a finite number"),
        (lambda: number("a", "1"), r"a: got '1'; it must be a finite number"),
        (lambda: number("a", 0, above=0), r"a: got 0; it must lie above 0$"),
        (lambda: number("a", math.inf, above=0), r"a: got inf; it must lie above 0 and be finite"),
        (lambda: number("a", 3, below=3), r"a: got 3; it must lie below 3"),
        (lambda: level(1.0), r"alpha: got 1.0; it must lie strictly between 0 and 1"),
        (lambda: share("s", 1.2), r"s: got 1.2; it must lie in \[0, 1\]"),
        (lambda: share("s", 1, open_high=True), r"s: got 1; it must lie in \[0, 1\)"),
        (lambda: share("s", True), r"s: got True; it must lie in \[0, 1\]"),
        (lambda: count("n", True), r"n: got True; it must be a whole number, 1 at least"),
        (lambda: count("n", 1, least=2), r"n: got 1; it must be a whole number, 2 at least"),
        (lambda: one_of("rule", "x", ["a", "b"]), r"rule: got 'x'; it must be one of a, b"),
    ],
)
def test_each_rule_refuses(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_what_the_rules_allow_comes_back():
    assert number("a", 2) == 2.0
    assert share("s", 0) == 0.0
    assert count("n", 3) == 3
    assert level(0.1) == 0.1
    assert one_of("rule", "a", {"a": 1}) == "a"
