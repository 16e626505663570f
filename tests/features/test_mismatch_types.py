"""Each type of mismatch is named from two columns, in few rows as in all, and unrelated columns are not."""

import unicodedata

import numpy as np
import pandas as pd
import pytest

from toolkit.features.mismatch_types import TYPES, mismatch_type

DRAW = np.random.default_rng(0)
N = 400
VALUE = pd.Series(DRAW.gamma(2.0, 3.0, N))
CENTS = VALUE.round(2)
IDS = pd.Series(2**24 + DRAW.permutation(4 * N)[:N])
CODE = pd.Series(DRAW.integers(0, 12, N))
NAMES = pd.Series([f"number {k}, Café" for k in CODE])
SIZES = DRAW.integers(2, 9, N)
ENTITY = np.repeat(np.arange(40), 10)
TS = pd.Series(pd.date_range("2026-03-01", periods=N, freq="h", tz="UTC"))


def shifted(steps):
    return VALUE.groupby(ENTITY).shift(steps).fillna(VALUE)


PAIRS = {
    "missing": (VALUE.mask(CODE == 0), VALUE),
    "default": (VALUE.mask(CODE == 0, -1.0), VALUE),
    "clipped": (VALUE.clip(upper=9.0), VALUE),
    "float32": (IDS.astype("float32"), IDS),
    "last digit": (CENTS.mask(CODE == 0, CENTS + 0.01), CENTS),
    "offset": (IDS + 1, IDS),
    "scale": (np.log10(1 + VALUE), np.log(1 + VALUE)),
    "quantised": (VALUE.round(3), VALUE),
    "ddof": (VALUE * np.sqrt((SIZES - 1) / SIZES), VALUE),
    "case": (NAMES.str.upper(), NAMES),
    "blanks": (NAMES + " ", NAMES),
    "normal form": (NAMES.map(lambda text: unicodedata.normalize("NFD", text)), NAMES),
    "folding": (NAMES.map(lambda text: unicodedata.normalize("NFD", text.upper() + " ")), NAMES),
    "encoding": (NAMES.map(lambda text: text.encode().decode("latin-1")), NAMES),
    "cut": (NAMES.str[:8], NAMES),
    "lag": (shifted(1), VALUE),
    "ahead": (shifted(-1), VALUE),
    "permuted": (CODE.map(dict(enumerate(DRAW.permutation(12)))), CODE),
    "merged": (CODE.map(dict(enumerate([5, 3, 5, 1, 0, 2, 3, 7, 8, 1, 9, 4]))), CODE),
    "split": (CODE, CODE.map(dict(enumerate([5, 3, 5, 1, 0, 2, 3, 7, 8, 1, 9, 4])))),
    "other": (pd.Series(DRAW.permutation(VALUE)), VALUE),
    "none": (VALUE.astype("float64"), VALUE),
}


def test_every_type_is_tried():
    assert set(PAIRS) == set(TYPES)


@pytest.mark.parametrize("type_", PAIRS)
def test_a_type_is_named_and_explains_nearly_all(type_):
    served, right = PAIRS[type_]
    told = mismatch_type(served, right, entity=ENTITY, ts=TS)
    assert told.type == type_, told
    assert type_ in ("other", "none") or told.explained >= 0.95


@pytest.mark.parametrize("type_", ["offset", "scale", "quantised", "case", "missing", "float32", "ddof"])
def test_a_type_is_named_where_one_row_in_ten_has_it(type_):
    served, right = PAIRS[type_]
    few = (
        right.astype(float).where(np.arange(N) % 10 > 0, served)
        if type_ != "case"
        else right.where(np.arange(N) % 10 > 0, served)
    )
    # Rounding is on a grid only where all of it is.
    assert mismatch_type(few, right).type == ("other" if type_ == "quantised" else type_)


def test_details_tell_the_constant():
    def detail(served, right):
        return mismatch_type(served, right).detail

    assert detail(VALUE * 100, VALUE) == "times 100: as per cent, or cents"
    assert detail(-VALUE, VALUE) == "times -1: the sign is turned"
    assert detail(VALUE + 3, VALUE) == "+3"
    assert detail(TS + pd.Timedelta(hours=2), TS) == "+2 hours"
    assert detail(VALUE.round(3), VALUE) == "rounded to 3 decimals"
    assert detail(np.floor(VALUE * 10) / 10, VALUE) == "rounded down to 1 decimals"
    assert detail(np.trunc(VALUE - 5), VALUE - 5) == "cut to whole numbers"
    assert detail(PAIRS["merged"][0], CODE) == "12 values into 9"
    assert detail(*PAIRS["cut"]) == "at 8 letters"


def test_a_column_of_one_value_is_a_default_and_no_limit():
    for value in (np.inf, -np.inf, 0.0, 1e6):
        assert mismatch_type(pd.Series(value, index=VALUE.index), VALUE).type == "default"


def test_a_factor_of_nearly_1_is_no_scale():
    assert mismatch_type(VALUE * (1 + 1e-5), VALUE).type == "other"
    assert mismatch_type(VALUE * 1.001, VALUE).type == "scale"


def test_a_habit_that_reproduces_the_column_gives_its_name():
    served = PAIRS["other"][0]
    told = mismatch_type(served, VALUE, variants={"shuffled": served, "doubled": 2 * VALUE})
    assert told.type == "shuffled"
    assert mismatch_type(served, VALUE, variants={"doubled": 2 * VALUE}).type == "other"


def test_a_habit_must_be_right_where_the_column_is():
    served = VALUE.mask(CODE == 0, VALUE + 1)
    assert mismatch_type(served, VALUE, variants={"all moved": VALUE + 1}).type == "offset"


def test_columns_that_do_not_go_together_are_refused():
    with pytest.raises(ValueError, match="served: got 399 rows and 400 recomputed"):
        mismatch_type(VALUE[1:], VALUE)
    with pytest.raises(ValueError, match="variants: got 399 values of half for 400 rows"):
        mismatch_type(VALUE + 1, VALUE, variants={"half": VALUE[1:]})


def test_fewer_than_three_rows_fit_anything_and_get_no_name():
    served = VALUE.copy()
    served[:2] += 1
    assert mismatch_type(served, VALUE).type == "other"
