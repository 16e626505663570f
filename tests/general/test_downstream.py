"""A consumer of a score: errors and volumes by hand, by simulation, and as the outline names them."""

import numpy as np
import pytest
from scipy.stats import norm

from toolkit.general.contract import quantile_shim
from toolkit.general.downstream import (
    action_rate,
    cancelling_scale,
    coefficient,
    consumer_error,
    densities,
    error_by_scale,
    score_sd,
    upgraded_error,
)


def test_the_outline_s_errors_come_out():
    assert coefficient(1.0) == 0.5
    assert upgraded_error(1.0) == 0.5
    assert upgraded_error(0.5) == 0.375
    assert upgraded_error(0.5, consumer="retrained") == pytest.approx(1 / 3)
    assert upgraded_error(1.0, 0.5) == 0.625
    assert upgraded_error(0.5, 2 / 3) == pytest.approx(0.5, abs=1e-12)


def test_the_scale_that_cancels_half_the_noise_is_two_thirds_which_calibrates():
    assert cancelling_scale(0.5) == pytest.approx(2 / 3)
    # A calibrated score is the best prediction: its own coefficient is 1.
    assert coefficient(0.5, 2 / 3) == pytest.approx(1)


@pytest.mark.parametrize("consumer", ["stale", "behind a shim", "retrained"])
@pytest.mark.parametrize(("noise", "scale"), [(0.5, 1.0), (0.25, 0.6), (1.0, 2.0)])
def test_each_error_is_the_simulated_one(consumer, noise, scale):
    rng = np.random.default_rng(3)
    x, e = rng.normal(size=(2, 200_000))
    old, new = x + e, scale * (x + np.sqrt(noise) * e)
    read = quantile_shim(old, new)(new) if consumer == "behind a shim" else new
    multiplier = (new @ x) / (new @ new) if consumer == "retrained" else (old @ x) / (old @ old)
    assert upgraded_error(noise, scale, consumer=consumer) == pytest.approx(
        ((x - multiplier * read) ** 2).mean(), abs=0.01
    )


def test_a_retrained_consumer_doesn_t_care_about_scale_and_never_loses_by_less_noise():
    errors = [
        upgraded_error(noise, scale, consumer="retrained") for noise in (0, 0.5, 1) for scale in (0.3, 2)
    ]
    assert errors == pytest.approx([0, 0, 1 / 3, 1 / 3, 0.5, 0.5])


def test_a_fixed_threshold_s_volume_follows_the_score_s_spread():
    for noise, scale in ((0.5, 1.0), (0.5, 2 / 3)):
        sd = score_sd(noise, scale)
        assert sd == pytest.approx(scale * np.sqrt(1 + noise))
        assert action_rate(1.5, sd=sd) == pytest.approx(norm.cdf(-1.5 / sd))
    assert action_rate(0.0, sd=0.3) == 0.5


def test_the_frames_for_charts_hold_what_the_functions_say():
    errors = error_by_scale(0.5, [0.5, 1.0], "stale")
    assert errors["error"].tolist() == [upgraded_error(0.5, 0.5), upgraded_error(0.5, 1.0)]
    curves = densities(0.5, 1.0, [0.0])
    assert curves["density"].tolist() == pytest.approx([norm.pdf(0) / np.sqrt(2), norm.pdf(0) / np.sqrt(1.5)])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: coefficient(-0.1), "noise: got -0.1; it must lie above"),
        (lambda: coefficient(1.0, 0), "scale: got 0; it must lie above 0"),
        (lambda: consumer_error(1.0, multiplier=np.nan), "multiplier: got nan"),
        (lambda: upgraded_error(1.0, consumer="asleep"), "consumer: got 'asleep'; it must be one of stale"),
        (lambda: cancelling_scale(1.0), "noise: got 1.0; it must lie strictly between"),
        (lambda: action_rate(1.0, sd=0), "sd: got 0; it must lie above 0"),
    ],
)
def test_bad_settings_are_refused_by_name_value_and_rule(call, message):
    with pytest.raises(ValueError, match=message):
        call()
