"""What copies do to a mean, by hand and by simulation; the audit's size and coverage, and what it refuses."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy.stats import kstest

from toolkit.shipping.duplicates import doubled, dup_audit, twins_across, variance_factor


def test_one_event_in_ten_doubled_understates_the_variance_by_18_percent():
    # E[D^2] / E[D] = (.9 + .4) / 1.1.
    assert variance_factor({1: 0.9, 2: 0.1}) == pytest.approx(1.3 / 1.1)
    assert variance_factor({1: 1.0}) == variance_factor({3: 1.0}) / 3 == 1


def test_a_mean_over_doubled_rows_varies_as_the_factor_says():
    rng = np.random.default_rng(0)
    times = 1 + (rng.random((4000, 300)) < 0.1)
    y = rng.normal(size=(4000, 300))
    means = (times * y).sum(1) / times.sum(1)
    claimed = (1 / times.sum(1)).mean()
    # Four standard errors of a variance from 4,000 draws.
    assert means.var() / claimed == pytest.approx(1.3 / 1.1, rel=4 * np.sqrt(2 / 4000))


@pytest.mark.parametrize("times", [1.0, 2.0])
def test_intervals_of_doubled_rates_cover_as_often_as_computed(times):
    rng = np.random.default_rng(1)
    events, base, rate, hits = 2000, 0.2, 0.2, []
    for _ in range(1500):
        y = rng.random(events) < base
        again = rng.random(events) < np.where(y, times, 1) * rate / (1 - base + times * base)
        rows = np.r_[y, y[again]]
        half = 1.959964 * np.sqrt(rows.mean() * (1 - rows.mean()) / len(rows))
        hits.append(abs(rows.mean() - base) <= half)
    told = doubled(rate, base=base, times=times, events=events)
    assert np.mean(hits) == pytest.approx(told["covers"], abs=0.035)


def test_no_copies_no_harm_and_equal_copies_no_bias():
    assert doubled(0.0, base=0.1)["covers"] == pytest.approx(0.95)
    assert doubled(1.0, base=0.1)["understated"] == pytest.approx(2)
    assert doubled(0.3, base=0.1)["reading"] == pytest.approx(0.1)
    assert doubled(0.3, base=0.1)["correlation"] == 0


def test_the_reading_is_the_positives_share_of_the_rows():
    told = doubled(0.1, base=0.05, times=2)
    again = 0.1 / 1.05
    assert told["reading"] == pytest.approx(0.05 * (1 + 2 * again) / 1.1)


def test_twins_land_across_a_random_split_as_often_as_said():
    rng = np.random.default_rng(2)
    event = np.r_[np.arange(100_000), np.flatnonzero(rng.random(100_000) < 0.1)]
    held = rng.random(len(event)) < 0.2
    found = np.isin(event[held], event[~held]).mean()
    assert found == pytest.approx(twins_across(0.1), abs=0.01)


def delivered(rng, *, effect=0.0, users=250):
    """Events of users who differ in their rate and in how often their client sends again."""
    user = np.repeat(np.arange(users), rng.integers(1, 6, users))
    y = rng.random(len(user)) < rng.beta(2, 8, users)[user]
    again = rng.random(len(user)) < np.clip(rng.beta(1, 6, users)[user] * (1 + effect * y), 0, 1)
    kept = np.r_[np.arange(len(user)), np.flatnonzero(again)]
    return pd.DataFrame({"request_id": kept, "item_id": 0, "user_id": user[kept], "y": y[kept].astype(int)})


def test_chances_are_uniform_and_intervals_cover_where_copies_have_nothing_to_do_with_the_label():
    rng, p, covered, share = np.random.default_rng(3), [], [], []
    for _ in range(150):
        rows = delivered(rng)
        found = dup_audit(rows, value="y")
        p.append(found.p)
        covered.append(found.ci[0] <= 0 <= found.ci[1])
        low, high = dup_audit(rows).ci
        share.append(low <= (1 / 7) / (1 + 1 / 7) <= high)
    assert kstest(p, "uniform").pvalue > 0.01
    assert 0.895 <= np.mean(covered) <= 0.995
    assert 0.895 <= np.mean(share) <= 0.995


def test_copies_that_go_with_the_label_are_found_and_sized():
    rows = delivered(np.random.default_rng(4), effect=3.0, users=3000)
    found = dup_audit(rows, value="y")
    once = rows.drop_duplicates("request_id")
    assert found.estimate == pytest.approx(rows["y"].mean() - once["y"].mean())
    assert found.p < 1e-6
    assert "They raise the mean of y" in found.verdict
    told = found.table.set_index("what")["value"]
    assert told["copies"] == len(rows) - len(once)
    times = rows.groupby("request_id").size()
    assert told["variance factor"] == pytest.approx((times**2).sum() / times.sum())


def test_a_correction_counts_as_conflicting_a_retry_does_not():
    rows = pd.DataFrame(
        {"request_id": [1, 1, 2, 2, 3], "item_id": 0, "user_id": [1, 1, 2, 2, 3], "y": [0, 1, 1, 1, 0]}
    )
    told = dup_audit(rows).table.set_index("what")["value"]
    assert (told["copies"], told["conflicting"]) == (2, 1)


def test_without_copies_the_interval_ends_where_so_many_would_hardly_be_without():
    rows = pd.DataFrame({"request_id": range(100), "item_id": 0, "user_id": range(100), "y": 0})
    found = dup_audit(rows)
    assert (found.estimate, found.ci[0]) == (0, 0)
    # None of 100 with the chance .05: 1 - .05 ** .01.
    assert found.ci[1] == pytest.approx(1 - 0.05**0.01)
    assert found.verdict == "No event is there twice among 100 rows."


def test_any_frame_will_do():
    rows = delivered(np.random.default_rng(5))
    assert dup_audit(pl.from_pandas(rows), value="y").ci == pytest.approx(dup_audit(rows, value="y").ci)


ROWS = delivered(np.random.default_rng(6), users=10)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: variance_factor({1: 0.9}), "copies: got {1: 0.9}; shares must sum to 1"),
        (lambda: variance_factor({-1: 1.0}), "copies: got -1; it must be a whole number, 0 at least"),
        (lambda: doubled(0.5, base=0.1, times=9), "times: got 9 with rate 0.5; more than every positive"),
        (lambda: doubled(1.4, base=0.1), r"rate: got 1.4; it must lie in \[0, 1\]"),
        (lambda: twins_across(0.1, held_out=1), r"held_out: got 1; it must lie in \(0, 1\)"),
        (lambda: dup_audit(ROWS, key=[]), r"key: got \[\]; it must be a list of one column"),
        (lambda: dup_audit(ROWS, key="request_id"), "key: got 'request_id'; it must be a list"),
        (lambda: dup_audit(ROWS, value="x"), "rows: got columns .* it must have x"),
        (lambda: dup_audit(ROWS.assign(y=None), value="y"), "y: got .* missing"),
        (lambda: dup_audit(ROWS.assign(user_id=1)), "user_id: got one in all rows"),
        (lambda: dup_audit(ROWS, alpha=0), "alpha: got 0"),
        (lambda: dup_audit([1, 2]), "rows: got list; it must be a frame"),
    ],
)
def test_bad_input_is_refused_by_name_value_and_rule(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_the_interval_knows_how_few_clusters_hold_copies():
    rows = pd.DataFrame(
        {"request_id": range(60), "item_id": 1, "user_id": np.arange(60) % 20, "y": np.arange(60) % 2}
    )
    told = dup_audit(pd.concat([rows, rows.head(3)]), value="y")
    # Copies of three users: Student's t of 2 degrees of freedom.
    assert (told.ci[1] - told.ci[0]) / 2 / told.se == pytest.approx(4.3027, rel=1e-4)


def test_rows_that_hold_lists_are_compared_too():
    rows = pd.DataFrame(
        {"request_id": [1, 2, 2], "item_id": 1, "user_id": [1, 2, 2], "vector": [[1], [2], [3]]}
    )
    assert float(dup_audit(rows).table.set_index("what")["value"]["conflicting"]) == 1
