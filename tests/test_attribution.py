"""Parts sum to the difference, and agree with games whose values are known."""

import itertools
import math

import numpy as np
import pytest

from toolkit.attribution import shapley

GLOVES = ["left", "right", "right too"]


def gloves(on):
    """A pair of gloves is worth 1: one left, two right ones."""
    return float("left" in on and len(on) > 1)


def tangled(on, names="abcdefghij"):
    """A game with interactions of every order, no two switches alike."""
    places = sorted(names.index(name) for name in on)
    return (
        sum(math.sin(7 * i + 1) for i in places)
        + 0.3 * sum(i * j for i, j in itertools.combinations(places, 2)) ** 0.5
    )


def test_the_glove_game():
    # By hand: the left glove completes a pair unless it comes first (4 of 6 orders).
    found = shapley(gloves, GLOVES)
    assert found.parts == pytest.approx({"left": 4 / 6, "right": 1 / 6, "right too": 1 / 6})
    assert list(found.table["first_in"]) == [0, 0, 0]
    assert list(found.table["last_in"]) == [1, 0, 0]


def test_an_additive_game_gives_each_its_own_and_no_interaction():
    own = {"a": 1.0, "b": -2.5, "c": 0.25}
    found = shapley(lambda on: 3 + sum(own[name] for name in on), list(own))
    assert found.parts == pytest.approx(own)
    assert np.allclose(found.interactions["interaction"], 0)
    assert (found.start, found.end, found.gap) == pytest.approx((3, 1.75, -1.25))


def test_two_switches_that_only_work_together_interact_by_what_they_do():
    found = shapley(lambda on: 6.0 * ({"a", "b"} <= on), ["a", "b", "c"])
    assert found.interactions.set_index(["switch", "other"])["interaction"].to_dict() == pytest.approx(
        {("a", "b"): 6, ("a", "c"): 0, ("b", "c"): 0}
    )


@pytest.mark.parametrize("count", [1, 4, 7, 10])
def test_parts_sum_to_the_difference_exact_or_sampled(count):
    found = shapley(tangled, list("abcdefghij"[:count]), permutations=20)
    assert found.exact == (count <= 7)
    assert abs(sum(found.parts.values()) - found.gap) <= 1e-12


def test_a_switch_that_does_nothing_gets_exactly_nothing_and_twins_share_evenly():
    def value(on):
        return tangled({"d" if name == "twin" else name for name in on if name != "dummy"})

    found = shapley(value, ["a", "b", "d", "twin", "dummy"])
    assert found.parts["dummy"] == 0.0
    assert found.parts["d"] == pytest.approx(found.parts["twin"], abs=1e-12)


def test_sampled_parts_agree_with_exact_ones_within_their_error():
    names = list("abcdefgh")
    exact = shapley(tangled, names, max_exact=8)
    sampled = shapley(tangled, names, permutations=400, rng=1)
    assert not sampled.exact
    off = (sampled.table["part"] - exact.table["part"]).abs()
    assert (off <= 4 * sampled.table["error"] + 1e-12).all()
    assert (sampled.table["error"] < 0.1).all()


def test_each_subset_is_evaluated_once():
    asked = []

    def value(on):
        asked.append(on)
        return float(len(on))

    shapley(value, list("abcde"))
    assert len(asked) == len(set(asked)) == 32


def test_intervals_from_replicates_cover_the_truth():
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(300):
        data = rng.normal([1.0, 2.0], 1.0, size=(200, 2))
        weights = np.vstack([np.ones(200), rng.multinomial(200, np.full(200, 1 / 200), size=300)])
        means = weights @ data / 200

        def value(on, means=means):
            # a adds the first mean, b the second, together they add their product.
            return (
                ("a" in on) * means[:, 0]
                + ("b" in on) * means[:, 1]
                + ("".join(sorted(on)) == "ab") * means.prod(1)
            )

        row = shapley(value, ["a", "b"]).table.iloc[0]
        covered += row["low"] <= 1.0 + 1.0 <= row["high"]
    assert 0.93 - 0.02 <= covered / 300 <= 0.97 + 0.02


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: shapley(gloves, []), "switches: got none"),
        (lambda: shapley(gloves, ["a", "a"]), r"switches: got \['a', 'a'\]; each must be there once"),
        (lambda: shapley(lambda on: math.nan, ["a"]), "value: got .*nan.* it must be finite"),
        (lambda: shapley(lambda on: np.ones(1 + len(on)), ["a"]), "value: got 2 numbers for .* and 1 before"),
        (lambda: shapley(gloves, GLOVES, permutations=3), "permutations: got 3; it must be an even number"),
        (lambda: shapley(gloves, GLOVES, alpha=0), "alpha: got 0"),
    ],
)
def test_bad_input_is_refused_by_name_value_and_rule(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_a_notebook_shows_it_as_text_without_digits_that_change_from_machine_to_machine():
    from IPython.core.formatters import PlainTextFormatter

    found = shapley(tangled, ["a", "b"])
    assert PlainTextFormatter()(found) == str(found)
