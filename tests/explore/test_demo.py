"""A demo is a pure function over at most 200 distinct states; bad use fails before anything runs."""

import altair as alt
import pandas as pd
import pytest

from toolkit.explore import DemoError, choice, demos, explore, slider, switch

CHART = alt.Chart(pd.DataFrame({"x": [1]})).mark_point().encode(x="x:Q")


def never(**_):
    raise AssertionError("the function ran before its controls were checked")


def demo_of(function, **controls):
    return explore(**(controls or {"k": [1, 2]}))(function)


@pytest.mark.parametrize(
    ("controls", "message"),
    [
        ({}, "got no controls"),
        ({"a": list(range(201))}, "201 = 201 states; at most 200"),
        ({"a": list(range(15)), "b": list(range(14))}, "15 x 14 = 210 states; at most 200"),
        ({"a": [1, 1]}, "1 twice; two states would have equal inputs"),
        ({"a": []}, "a: got no values"),
    ],
)
def test_bad_controls_are_refused_before_anything_runs(controls, message):
    with pytest.raises(ValueError, match=message):
        explore(**controls)(never)


def test_two_hundred_states_are_allowed():
    assert len(explore(a=list(range(20)), b=list(range(10)))(never).grid()) == 200


def test_controls_and_parameters_must_be_the_same():
    def both(looks, metrics):
        never()

    with pytest.raises(ValueError, match="rule: both doesn't take it; it takes looks, metrics"):
        explore(looks=[1, 2], metrics=[1, 2], rule=["a", "b"])(both)
    with pytest.raises(ValueError, match="metrics: both needs it, but there is no control of that name"):
        explore(looks=[1, 2])(both)


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (CHART, "returned .*Chart; it must return a chart and one sentence"),
        (("5%", CHART), "returned str first; it must be an Altair chart"),
        ((CHART, 5), "returned int second; the readout must be one sentence"),
        ((CHART, "Some of them."), "has no number in it"),
        ((CHART, "The rate is nan, of 5."), "undefined number"),
        (None, "returned NoneType"),
    ],
)
def test_a_function_that_returns_anything_else_is_refused_with_demo_and_state(returned, message):
    def bad(k):
        return returned

    with pytest.raises(DemoError, match=rf"demo 'bad', state k=1: .*{message}"):
        demo_of(bad).state(k=1)


def test_an_exception_at_one_end_names_demo_and_state_and_keeps_its_cause():
    def edge(k, rule):
        return CHART, f"{1 / (3 - k)}"

    demo = explore(k=slider([1, 2, 3]), rule=choice(["a", "b"]))(edge)
    with pytest.raises(DemoError, match="demo 'edge', state k=3, rule=a: ZeroDivisionError") as raised:
        demo.states()
    assert isinstance(raised.value.__cause__, ZeroDivisionError)


def test_an_invalid_chart_is_refused_with_demo_and_state():
    def broken(k):
        return alt.Chart(pd.DataFrame({"x": [1]})).mark_point().encode(x="nothing:Z"), "1"

    with pytest.raises(DemoError, match="demo 'broken', state k=1: its chart is not valid"):
        demo_of(broken).state(k=1)


def test_a_function_with_free_randomness_is_refused():
    import itertools

    count = itertools.count()

    def drifting(k):
        return CHART, f"{next(count)}"

    with pytest.raises(DemoError, match="two runs gave different"):
        demo_of(drifting).states()


def test_a_state_is_computed_once():
    calls = []

    def counted(k):
        calls.append(k)
        return CHART, f"{k}"

    demo = demo_of(counted)
    demo.state(k=1)
    demo.state(k=1)
    assert calls == [1]


def test_a_state_outside_the_grid_is_refused():
    demo = demo_of(lambda k: (CHART, "1"))
    with pytest.raises(ValueError, match="k: got 7; it must be one of"):
        demo.state(k=7)
    with pytest.raises(ValueError, match="j: it must be given, and be a control"):
        demo.state(k=1, j=1)


def test_the_grid_moves_the_last_control_fastest_and_the_default_is_in_it():
    demo = explore(k=slider([1, 2], default=2), on=switch(default=True))(lambda k, on: (CHART, f"{k}"))
    assert demo.grid() == [{"k": k, "on": on} for k in (1, 2) for on in (False, True)]
    assert demo.default == {"k": 2, "on": True}


def test_the_caption_is_the_first_paragraph_of_the_docstring():
    def captioned(k):
        """How often
        does it move?

        Not this.
        """
        return CHART, "1"

    demo = demo_of(captioned)
    assert demo.title == "How often does it move?"
    assert demos()[-1] is demo
