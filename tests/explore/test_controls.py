"""A control is a finite set of distinct values; anything else is refused by name."""

import pytest

from toolkit.explore.controls import as_control, choice, slider, switch


def test_plain_lists_become_controls_by_the_type_of_their_values():
    kinds = [as_control("x", given).kind for given in ([1, 2], [0.5, 1.5], [False, True], ["a", "b"], True)]
    assert kinds == ["slider", "slider", "switch", "choice", "switch"]


def test_values_read_with_their_unit():
    assert slider([1000, 2000], unit="items").text(2000) == "2,000 items"
    assert slider([0.5, 1.0]).text(0.5) == "0.5"
    assert slider([1, 5], unit="%").text(5) == "5%"
    assert [slider([-1, 2], unit="days").text(value) for value in (-1, 2)] == ["-1 day", "2 days"]
    assert [switch().text(value) for value in (False, True)] == ["off", "on"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], r"^x: got no values"),
        ([1], r"at least two values"),
        ([1, 1.0], r"1.0 twice; two states would have equal inputs"),
        (["a", "a"], r"'a' twice"),
        ([2, 1], r"must ascend"),
        ([1, float("nan")], r"must be finite"),
        ([1, "a"], r"'a' \(str\); a slider's values must be numbers"),
        ([1, True], r"True \(bool\)"),
        ("abc", r"must be a control or a list"),
        (3, r"must be a control or a list"),
        (["", "b"], r"must be words"),
    ],
)
def test_bad_values_are_refused_with_the_parameter_the_value_and_the_rule(given, message):
    with pytest.raises(ValueError, match=message):
        as_control("x", given)


def test_a_default_that_is_no_value_is_refused():
    with pytest.raises(ValueError, match=r"default: got 3; it must be one of \[1, 2\]"):
        slider([1, 2], default=3)
    with pytest.raises(ValueError, match=r"default: got 'c'"):
        choice(["a", "b"], default="c")
    with pytest.raises(ValueError, match="a switch is False or True"):
        switch(default=1)
