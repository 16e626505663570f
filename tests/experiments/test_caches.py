"""A shared cache: the approximation against a real one, where the difference of the arms appears, refusals."""

import numpy as np
import pytest

from toolkit.experiments.caches import by_share, hit_rates, least_recently_used, popularity

ASKED = popularity(300)


@pytest.mark.parametrize("shares", [[1.0], [0.5, 0.5], [0.1, 0.9], [0.1, 0.1, 0.8]])
def test_the_approximation_is_a_real_cache_s(shares):
    real = least_recently_used(ASKED, room=80, shares=shares, requests=120_000)
    assert hit_rates(ASKED, room=80, shares=shares) == pytest.approx(real, abs=0.015)


def test_equal_items_in_one_cache_are_found_as_often_as_they_have_room():
    assert hit_rates(popularity(100, slope=0), room=30, shares=[1.0]) == pytest.approx([0.3], abs=1e-6)


def test_arms_of_equal_shares_are_alike_and_both_slower_than_one_launched():
    table = by_share([0.5], items=300, room=80).set_index("arm")["hits"]
    assert table["treatment"] == pytest.approx(table["control"])
    assert table["launched"] > table["treatment"] + 0.05


def test_the_smaller_arm_is_the_slower_one_unless_all_fits():
    hits = by_share([0.01, 0.1, 0.3], items=300, room=80).pivot(index="treated", columns="arm", values="hits")
    gap = hits["control"] - hits["treatment"]
    assert (gap > 0).all()
    assert gap.is_monotonic_decreasing
    full = by_share([0.1], items=300, room=600).set_index("arm")["hits"]
    assert full.to_dict() == {"treatment": 1.0, "control": 1.0, "launched": 1.0}


@pytest.mark.parametrize("treated", [0.01, 0.1, 0.5])
def test_a_control_of_the_same_size_is_as_slow(treated):
    table = by_share([treated], items=300, room=80, same_size=True).set_index("arm")["hits"]
    assert table["treatment"] == pytest.approx(table["control"])


def test_popularity_is_zipf_s():
    assert popularity(4, slope=2) == pytest.approx(np.array([144, 36, 16, 9]) / 205)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: popularity(0), "items: got 0"),
        (lambda: popularity(5, slope=-1), "slope: got -1; it must not be negative"),
        (lambda: hit_rates(ASKED, room=0, shares=[1.0]), "room: got 0"),
        (
            lambda: hit_rates(ASKED, room=5, shares=[0.5, 0.4]),
            r"shares: got \[0.5, 0.4\]; they must be 1 in sum",
        ),
        (lambda: hit_rates(ASKED, room=5, shares=[]), "shares: got"),
        (lambda: hit_rates(ASKED, room=5, shares=[0.0, 1.0]), r"shares: got 0.0; it must lie in \(0, 1\]"),
        (lambda: least_recently_used(ASKED, room=5, shares=[1.0], requests=1), "requests: got 1"),
        (lambda: by_share([1.0]), "treated: got 1.0"),
        (
            lambda: by_share([0.6], same_size=True),
            "treated: got 0.6; with a control as large it must be 0.5 at most",
        ),
    ],
)
def test_bad_settings_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
