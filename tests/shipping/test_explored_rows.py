"""FooBar's explored rows are what the chapter says of them: random, in order, their labels late."""

import pandas as pd
import pytest

from toolkit.shipping.explored_rows import explored_rows

DAY = pd.Timedelta("1D")


def test_clicks_are_known_early_and_the_rest_when_they_close():
    rows = explored_rows(days=10, closes=3.0)
    late = rows["label_ts"] - rows["ts"]
    assert len(rows) == 3_000
    assert (late[rows["y"] == 0] == 3 * DAY).all()
    assert (late[rows["y"] == 1] <= 3 * DAY).all()
    # Exponential with a mean of half a day.
    assert late[rows["y"] == 1].median() / DAY == pytest.approx(0.5 * 0.693, rel=0.2)


def test_items_are_a_thousand_days_apart_and_shown_alike_often():
    rows = explored_rows(days=10)
    assert (rows["place"] // 1_000 == rows["item_id"]).all()
    assert (rows["place"] % 1_000 <= 10).all()
    seen = rows["item_id"].value_counts()
    assert len(seen) == 30
    assert seen.max() < 2 * seen.min()


def test_the_same_seed_gives_the_same_rows_and_bad_settings_are_refused():
    pd.testing.assert_frame_equal(explored_rows(days=2), explored_rows(days=2))
    with pytest.raises(ValueError, match="days: got 0; it must be a whole number, 1 at least"):
        explored_rows(days=0)
    with pytest.raises(ValueError, match="closes: got 0; it must lie above 0"):
        explored_rows(closes=0)
