"""The population stability index is the one by hand, and its distribution that of simulated samples."""

import numpy as np
import pandas as pd
import pytest

from toolkit.general.psi import psi, psi_distribution, psi_interval, value_codes


def test_psi_by_hand():
    # (.5 - .6) log(.5/.6) + (.5 - .4) log(.5/.4), with half a row in 100,000 too few to see.
    assert psi([50_000, 50_000], [60_000, 40_000]) == pytest.approx(
        0.1 * np.log(1.2) + 0.1 * np.log(1.25), rel=1e-4
    )
    assert psi([10, 0], [10, 0]) == 0
    assert np.isfinite(psi([10, 0], [0, 10]))


@pytest.mark.parametrize(("n", "bound"), [(100, 0.338), (1000, 0.034)])
def test_the_null_s_ninety_fifth_percentile_is_the_outline_s(n, bound):
    assert psi_distribution(n, n).ppf(0.95) == pytest.approx(bound, abs=0.0005)


@pytest.mark.parametrize("n", [100, 1000])
def test_the_null_is_that_of_simulated_samples(n):
    rng = np.random.default_rng(n)
    values = []
    for _ in range(1500):
        before, after = np.sort(rng.normal(size=n)), rng.normal(size=n)
        edges = np.quantile(before, np.arange(1, 10) / 10)
        values.append(psi(*(np.bincount(np.searchsorted(edges, x), minlength=10) for x in (before, after))))
    above = (np.array(values) > psi_distribution(n, n).ppf(0.95)).mean()
    assert above == pytest.approx(0.05, abs=0.017)
    # At 100 rows "act above .25" would have somebody act without a reason a good part of the time.
    act = (np.array(values) > 0.25).mean()
    assert act == pytest.approx(psi_distribution(n, n).sf(0.25), abs=0.06)
    assert (act > 0.1) == (n == 100)


def test_the_interval_inverts_the_distribution():
    noise = 1 / 400 + 1 / 600
    low, high = psi_interval(0.2, noise)
    assert psi_distribution(400, 600, psi=low).sf(0.2) == pytest.approx(0.025, abs=1e-6)
    assert psi_distribution(400, 600, psi=high).cdf(0.2) == pytest.approx(0.025, abs=1e-6)
    assert psi_interval(9 * noise, noise)[0] == 0
    # Far out the root is normal; both ways agree where they meet.
    at = 5000 * noise
    exact, rooted = psi_interval(at, noise), psi_interval(at * (1 + 1e-6), noise)
    assert exact == pytest.approx(rooted, rel=1e-3)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: psi_interval(-1, 0.1), "value: got -1"),
        (lambda: psi_interval(0.1, 0), "noise: got 0; it must lie above 0"),
        (lambda: value_codes(pd.Series([None, {"a": 1}]), "tags"), "tags: got a dict in each row"),
    ],
)
def test_bad_input_is_refused_by_name_value_and_rule(call, message):
    with pytest.raises(ValueError, match=message):
        call()
