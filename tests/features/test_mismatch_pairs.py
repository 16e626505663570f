"""Each pair of the exercise has one type, which the diagnostic finds and its first rows show."""

import numpy as np
import pandas as pd
import pytest

from toolkit.features.mismatch_pairs import EACH, ENTITIES, NUMBERED, pair_numbers, pairs
from toolkit.features.mismatch_types import TYPES, mismatch_type


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_diagnostic_names_each_pair_as_the_exercise_does(seed):
    entity = np.repeat(np.arange(ENTITIES), EACH)
    ts = pd.Series(pd.date_range("2026-03-01", periods=len(entity), freq="h", tz="UTC"))
    for type_, frame in pairs(rng=seed).values():
        assert mismatch_type(frame["served"], frame["recomputed"], entity=entity, ts=ts).type == type_


def test_the_rows_that_are_shown_hold_each_mismatch():
    for _, frame in pairs().values():
        first = frame.head(5)
        assert (first["served"] != first["recomputed"]).sum() >= 2


def test_the_digits_are_the_numbered_types():
    assert set(NUMBERED.values()) <= set(TYPES)
    digits = [int(digit) for digit in str(pair_numbers())]
    assert [NUMBERED[digit] for digit in digits] == [type_ for type_, _ in pairs().values()]


def test_the_letters_are_those_of_the_chapter_s_solution():
    told = ["scale", "float32", "offset", "quantised", "lag", "missing", "permuted", "default"]
    assert [type_ for type_, _ in pairs().values()] == told


def test_a_bad_seed_is_refused():
    with pytest.raises(ValueError, match="rng: got -1"):
        pairs(rng=-1)
