"""What encodings keep apart is as counted, number by number."""

import math

import numpy as np
import pytest

from toolkit.features.encodings import (
    buckets_for,
    chance_of_none_right,
    collision_share,
    float32_gap,
    float32_survivors,
    places_kept,
)


@pytest.mark.parametrize(
    ("first", "last"), [(2**24 - 7, 2**24 + 10), (2**25 - 5, 2**25 + 13), (2**26 + 1, 2**26 + 99)]
)
def test_survivors_are_as_counted_one_by_one(first, last):
    ids = np.arange(first, last)
    assert float32_survivors(first, last) == np.mean(ids.astype(np.float32).astype(np.int64) == ids)


def test_between_2_to_the_24_and_25_exactly_half_survive():
    assert float32_survivors(2**24, 2**25) == 0.5
    # And as many distinct values are left, but for the last, which is rounded up to 2^25.
    ids = np.arange(2**24, 2**24 + 2**20).astype(np.float32)
    assert len(np.unique(ids)) == 2**19 + 1


@pytest.mark.parametrize("size", [1.0, 2.0**24 - 1, 2.0**24, 3e9, 1e15])
def test_the_gap_is_numpy_s_spacing(size):
    assert float32_gap(size) == max(1.0, np.spacing(np.float32(size)))


def test_a_million_keys_in_2_to_the_20_buckets():
    # 1 - (1 - 1/m)^(n - 1), by the logarithm of one less a small number as its series.
    n, m = 1_000_000, 2**20
    assert collision_share(n, m) == pytest.approx(1 - math.exp(-(n - 1) * (1 / m + 1 / (2 * m**2))), abs=1e-9)
    hashed = np.random.default_rng(0).integers(0, m, n)
    assert np.mean(np.bincount(hashed, minlength=m)[hashed] > 1) == pytest.approx(
        collision_share(n, m), abs=0.002
    )
    assert (collision_share(1, 8), collision_share(2, 1), collision_share(2, 4)) == pytest.approx(
        (0, 1, 0.25)
    )


def test_buckets_for_a_share_are_the_least_power_of_two():
    buckets = buckets_for(10_000, 0.05)
    assert collision_share(10_000, buckets) <= 0.05 < collision_share(10_000, buckets // 2)


def test_a_random_order_leaves_one_category_right_on_average():
    draw = np.random.default_rng(0)
    names = [f"{k:02}" for k in range(50)]
    kept = np.array([places_kept(names, list(draw.permutation(names))) for _ in range(4_000)])
    # The variance is 1 too.
    assert kept.mean() == pytest.approx(1, abs=4 / math.sqrt(4_000))
    assert np.mean(kept == 0) == pytest.approx(chance_of_none_right(50), abs=0.03)


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="last: got 5; it must be a whole number, 6 at least"):
        float32_survivors(5, 5)
    with pytest.raises(ValueError, match=r"last: got \d+; it must be 2\*\*63 at most"):
        float32_survivors(5, 2**64)
    with pytest.raises(ValueError, match="buckets: got 0"):
        collision_share(5, 0)
    with pytest.raises(ValueError, match="share: got 1"):
        buckets_for(5, 1)
    with pytest.raises(ValueError, match="other: got 2 categories; it must be those of order"):
        places_kept(["a", "b"], ["a", "c"])
