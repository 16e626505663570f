"""Two columns differ where their values do, in 64 bits, whatever they are kept in."""

import numpy as np
import pandas as pd
import pytest

from toolkit.features.differences import as_numbers, differs, kind_of, one_kind

VALUE = pd.Series([0.5, 1.5])
TS = pd.Series(pd.date_range("2026-03-01", periods=3, freq="h", tz="UTC"))


def test_numbers_are_compared_in_64_bits():
    assert differs(pd.Series([0.1], dtype="float32"), pd.Series([0.1])).tolist() == [True]
    # Neighbours above 2^53, where floats are 2 apart.
    assert differs(pd.Series([2**53]), pd.Series([2**53 + 1])).tolist() == [True]
    assert differs(pd.Series([np.nan, np.inf, 1.0]), pd.Series([np.nan, np.inf, np.nan])).tolist() == [
        False,
        False,
        True,
    ]
    assert differs(pd.Series([1.0 + 1e-12]), pd.Series([1.0])).tolist() == [False]
    assert differs(pd.Series([1.0 + 1e-12]), pd.Series([1.0]), rtol=0).tolist() == [True]


def test_columns_of_different_kinds_are_refused():
    with pytest.raises(
        ValueError, match="f_a: got text served and numbers recomputed; they must be of one kind"
    ):
        differs(pd.Series(["1"], name="f_a"), pd.Series([1.0]))
    with pytest.raises(ValueError, match="f_t: got times without a zone"):
        differs(TS.dt.tz_localize(None).rename("f_t"), TS)
    with pytest.raises(ValueError, match="f_m: got mixed"):
        differs(pd.Series([1, "a", None], dtype=object, name="f_m"), pd.Series(["a", "b", "c"]))
    with pytest.raises(ValueError, match="rtol: got -1"):
        differs(VALUE, VALUE, rtol=-1)


def test_times_of_other_zones_and_units_are_the_same_instants():
    assert not differs(TS.dt.tz_convert("Asia/Kathmandu").astype("datetime64[s, Asia/Kathmandu]"), TS).any()
    assert np.diff(as_numbers(TS)).tolist() == [3600, 3600]


def test_a_column_without_a_value_goes_with_any_kind():
    assert kind_of(pd.Series([None, None])) == "empty"
    assert differs(pd.Series([None, None]), pd.Series(["a", None], dtype=object)).tolist() == [True, False]


def test_columns_of_other_lengths_are_refused():
    with pytest.raises(ValueError, match="served: got 1 rows and 2 recomputed"):
        differs(VALUE[:1], VALUE)


def test_keys_of_two_kinds_are_refused_with_their_tables():
    text, naive = pd.Series(["a"], name="k"), TS.dt.tz_localize(None).rename("k")
    one_kind(text, pd.Series(["b"], name="k", dtype=object), sides=("a", "b"))
    for left, right in ((text, VALUE.rename("k")), (naive, TS), (naive, text)):
        with pytest.raises(
            ValueError, match=r"k: got .* in serving and .* in train; a key must be of one kind"
        ):
            one_kind(left.rename("k"), right, sides=("serving", "train"))
