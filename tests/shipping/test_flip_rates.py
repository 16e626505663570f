"""What accuracies allow: by hand, and by simulated errors of a given correlation."""

import numpy as np
import pytest

from toolkit.shipping.flip_rates import correlation_bounds, flip_bounds, negative_flip_rate


def test_from_90_to_92_percent_independent_errors_break_7_2_percent_of_all_and_8_of_the_right():
    assert negative_flip_rate(0.90, 0.92) == pytest.approx(0.072)
    assert negative_flip_rate(0.90, 0.92) / 0.90 == pytest.approx(0.08)
    assert flip_bounds(0.90, 0.92) == pytest.approx((0, 0.08))


def test_a_worse_model_must_break_what_it_loses():
    assert flip_bounds(0.9, 0.8) == pytest.approx((0.1, 0.2))


@pytest.mark.parametrize(("old", "new"), [(0.9, 0.92), (0.6, 0.95), (0.3, 0.2)])
def test_the_correlation_s_bounds_are_where_the_share_s_are(old, new):
    least, most = correlation_bounds(old, new)
    low, high = flip_bounds(old, new)
    assert negative_flip_rate(old, new, correlation=most) == pytest.approx(low, abs=1e-9)
    assert negative_flip_rate(old, new, correlation=least) == pytest.approx(high, abs=1e-9)


def test_errors_that_are_made_with_the_share_have_the_correlation():
    broken = negative_flip_rate(0.8, 0.9, correlation=0.3)
    # Four kinds of cases: both right, broken, repaired, both wrong.
    kinds = np.random.default_rng(0).choice(4, 200_000, p=[0.8 - broken, broken, 0.1 + broken, 0.1 - broken])
    before, after = np.isin(kinds, [0, 1]), np.isin(kinds, [0, 2])
    assert np.corrcoef(before, after)[0, 1] == pytest.approx(0.3, abs=0.01)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: flip_bounds(1.2, 0.5), r"old: got 1.2; it must lie in \[0, 1\]"),
        (lambda: flip_bounds(0.5, -1), "new: got -1"),
        (
            lambda: negative_flip_rate(0.9, 0.92, correlation=0.95),
            r"correlation: got 0.95; at these accuracies it must lie in \[-0.098, 0.885\]",
        ),
        (lambda: correlation_bounds(1, 0.9), "old: got 1; it must lie strictly between 0 and 1"),
    ],
)
def test_bad_settings_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
