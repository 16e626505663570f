"""The always-valid interval holds at all sizes at once, at the published price."""

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.stats import norm

from toolkit.experiments.always_valid import mixture_half_width, sequential_path, tightest_tau


def test_the_closed_form_agrees_with_confseq_s_boundary():
    # Its two-sided normal mixture at variance 100, tuned there by its approximation, is 30.35209;
    # in our terms the boundary is on the sum of 100 unit-variance observations.
    rho = 100 / (2 * np.log(20) + np.log1p(2 * np.log(20)))
    assert 100 * mixture_half_width(0.1, tau=rho**-0.5) == pytest.approx(30.35209, abs=1e-4)


def test_at_100_observations_the_interval_is_67_percent_wider():
    assert mixture_half_width(0.1, tau=1.0) / (norm.isf(0.025) * 0.1) == pytest.approx(1.67, abs=0.005)


def test_the_tightest_tau_is_a_numerical_minimum():
    found = minimize_scalar(lambda tau: mixture_half_width(0.1, tau=tau), bounds=(0.01, 3), method="bounded")
    assert tightest_tau(0.1) == pytest.approx(found.x, rel=1e-4)


@pytest.fixture(scope="module")
def streams():
    return np.random.default_rng(3).normal(5.0, 2.0, size=(1000, 3000))


def test_it_covers_at_all_sizes_where_the_usual_interval_does_not(streams):
    always = often = 0
    for stream in streams:
        path = sequential_path(stream, tau=tightest_tau(2 / 3000**0.5), burn_in=100).iloc[100:]
        always += bool(((path["low"] <= 5) & (path["high"] >= 5)).all())
        often += bool((np.abs(path["mean"] - 5) <= 1.96 * 2 / np.sqrt(path["n"])).all())
    # Three standard errors below 95%: never fewer; the usual interval misses somewhere far more often.
    assert always / len(streams) >= 0.95 - 3 * np.sqrt(0.05 * 0.95 / len(streams))
    assert often / len(streams) < 0.85


def test_blocks_of_a_long_stream_join_without_a_seam():
    stream = np.random.default_rng(0).normal(1e6, 1.0, size=40_000)
    path = sequential_path(stream, tau=0.1)
    for n in (100, 16_384, 16_385, 40_000):
        row = path.iloc[n - 1]
        assert row["mean"] == pytest.approx(stream[:n].mean(), abs=1e-7)
        half = mixture_half_width(stream[:n].std(ddof=1) / n**0.5, tau=0.1)
        assert (row["high"] - row["low"]) / 2 == pytest.approx(half, rel=1e-6)


def test_before_the_burn_in_and_without_spread_there_is_no_interval():
    path = sequential_path(np.r_[np.zeros(40), np.ones(10)], tau=1.0, burn_in=30)
    assert np.isinf(path["high"].iloc[:40]).all()
    assert np.isfinite(path["high"].iloc[41:]).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: mixture_half_width(0.0, tau=1), r"se: got \[0.0\]; a standard error must be positive"),
        (lambda: mixture_half_width(1.0, tau=0), "tau: got 0; it must lie above 0"),
        (lambda: mixture_half_width(1.0, tau=1, alpha=1), "alpha: got 1"),
        (lambda: tightest_tau(-1), "se: got -1"),
        (lambda: tightest_tau(1, alpha=2), "alpha: got 2"),
        (lambda: sequential_path([[1.0]], tau=1), r"values: got shape \(1, 1\)"),
        (lambda: sequential_path([1.0, np.nan], tau=1), "values: got 1 that are not finite"),
        (
            lambda: sequential_path([1.0, 2.0], tau=1, burn_in=1),
            "burn_in: got 1; it must be a whole number, 2 at least",
        ),
        (lambda: sequential_path([1.0, 2.0], tau=-1), "tau: got -1"),
    ],
)
def test_bad_input_is_refused_by_name_value_and_rule(call, message):
    with pytest.raises(ValueError, match=message):
        call()
