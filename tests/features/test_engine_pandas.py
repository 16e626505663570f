"""The habits of pandas are those that the table of habits says."""

import hashlib

import numpy as np
import pandas as pd


def test_pandas_habits_are_as_told():
    with_nan = pd.Series([1.0, np.nan, 4.0])
    assert with_nan.mean() == 2.5
    assert pd.Series([1.0, 3.0]).std() == 2**0.5
    assert pd.Series([1.0, 2.0, 4.0, 9.0]).quantile(0.5) == 3.0
    assert (pd.Series([-7]) // 2).tolist() == [-4]
    assert pd.Series([2.5, 3.5]).round().tolist() == [2.0, 4.0]
    by_time = pd.Series(1.0, index=pd.to_datetime(["2026-03-01", "2026-03-08"])).rolling("7D").sum()
    assert by_time.tolist() == [1.0, 1.0], "the first moment isn't in the window, its last is"
    assert pd.Series(["b", "a", None]).astype("category").cat.codes.tolist() == [1, 0, -1]


def test_its_hash_is_no_md5():
    text = np.array(["Lyon"], dtype=object)
    assert pd.util.hash_array(text)[0] != int(hashlib.md5(b"Lyon").hexdigest()[:16], 16)
