"""The habits of Python are those that the table of habits says."""

import math
import os
import statistics
import subprocess
import sys

import numpy as np


def test_python_habits_are_as_told():
    assert math.isnan(sum([1.0, math.nan]))
    assert statistics.pstdev([1.0, 3.0]) == 1.0
    assert -7 // 2 == -4
    assert (round(2.5), round(2.675, 2), np.round(2.675, 2)) == (2, 2.67, 2.68)
    assert ("İ".lower(), "ΑΣ".lower(), "Straße".casefold()) == ("i̇", "ας", "strasse")


def test_a_text_s_hash_differs_between_two_processes():
    def hashed(seed):
        code = "print(hash('Lyon'))"
        env = {**os.environ, "PYTHONHASHSEED": seed}
        return subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True).stdout

    assert hashed("1") == hashed("1") != hashed("2")


def test_a_float_of_32_bits_equals_a_tenth_until_it_is_widened():
    # NEP 50: a Python number takes the array's type before it is compared.
    assert np.float32(0.1) == 0.1
    assert float(np.float32(0.1)) != 0.1
