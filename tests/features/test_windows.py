"""Features over windows: they are sums of the world's days, and a shorter window does what it must."""

import numpy as np
import pytest

from toolkit.features.windows import WINDOWED, window_history, window_model, windowed
from toolkit.tables import problems
from toolkit.world import Settings, simulate
from toolkit.world.clock import DAY, START

WORLD = simulate(Settings(items=100, requests=500, days=50))


def test_a_window_ends_before_its_day_and_sums_what_was_shown():
    assert (windowed(WORLD, 20, kind="clicks", window=3) == WORLD.clicks[17:20].sum(0)).all()
    assert windowed(WORLD, 40, kind="views", window=30).sum() == 30 * 500
    assert windowed(WORLD, 2, kind="views", window=30).sum() == 2 * 500
    rate = windowed(WORLD, 40, kind="rate", window=30)
    assert np.corrcoef(rate, WORLD.rate[40])[0, 1] > 0.95


def test_a_shorter_window_has_another_scale_and_a_rate_another_spread():
    long, short = (windowed(WORLD, 40, kind="views", window=window) for window in (30, 7))
    assert short.sum() / long.sum() == pytest.approx(7 / 30)
    long, short = (windowed(WORLD, 40, kind="rate", window=window) for window in (30, 7))
    assert short.std() > 1.2 * long.std()


def test_the_history_is_one_of_the_nine_tables_and_changes_on_its_day_only():
    plain = window_history(WORLD, range(40, 50))
    assert problems(plain, "feature_history").empty
    assert set(plain["feature"]) == set(WINDOWED)
    changed = window_history(WORLD, range(40, 50), changed={"clicks_30d": (45, 7)})
    differs = changed["value"] != plain["value"]
    assert set(changed["feature"][differs]) == {"clicks_30d"}
    assert changed["event_ts"][differs].min() == START + 45 * DAY
    assert (changed["version"] == 1).all()
    told = window_history(WORLD, range(40, 50), changed={"clicks_30d": (45, 7)}, declared=True)
    assert set(told["event_ts"][told["version"] == 2]) == {START + day * DAY for day in range(45, 50)}


def test_served_another_window_a_model_is_off_on_average_and_training_anew_mends_it():
    told = window_model(WORLD, trained_on=range(31, 40), days=range(40, 50)).set_index("model")
    off = (told["predicted"] - told["observed"]).abs()
    assert off["served another window"] > 0.05
    assert off["served as trained"] < 0.03
    assert off["trained anew on it"] < 0.03
    same = window_model(WORLD, trained_on=range(31, 40), days=range(40, 50), served=30)
    assert same["auc"].nunique() == 1


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: windowed(WORLD, 50, kind="views", window=3),
            r"day: got 50; it must lie in the 50 simulated days",
        ),
        (
            lambda: windowed(WORLD, 5, kind="likes", window=3),
            r"kind: got 'likes'; it must be one of clicks, views",
        ),
        (lambda: windowed(WORLD, 5, kind="views", window=0), r"window: got 0"),
        (
            lambda: window_history(WORLD, range(3), features=["rate"]),
            r"features: got 'rate'; it must be like",
        ),
        (
            lambda: window_history(WORLD, range(3), changed={"age": (1, 1)}),
            r"changed: got 'age'; it must be one of",
        ),
    ],
)
def test_bad_settings_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
