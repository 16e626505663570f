"""Agreement gets rare and slow with the number of teams, as simulated proposals do."""

import numpy as np
import pytest

from toolkit.general.agreement import agreement_chance, time_by_teams, time_to_agree


def proposals(teams, chance, *, order, alike, rng, count=4000):
    """The time that each of many proposals took, and how many rounds, by acting out every review."""
    times, rounds = np.zeros(count), np.zeros(count)
    for place in range(count):
        agreed = False
        while not agreed:
            rounds[place] += 1
            asked = rng.random(teams) < chance
            if rng.random() < alike:
                asked[:] = asked[0]
            review = rng.exponential(size=teams)
            agreed = asked.all()
            if order == "all at once":
                times[place] += review.max()
            else:
                times[place] += review[: teams if agreed else np.argmin(asked) + 1].sum()
    return times, rounds


@pytest.mark.parametrize("order", ["one by one", "all at once"])
@pytest.mark.parametrize(
    ("teams", "chance", "alike"), [(1, 0.5, 0.0), (4, 0.7, 0.0), (4, 0.7, 0.5), (3, 0.5, 1.0)]
)
def test_time_and_chance_are_those_of_acted_out_reviews(teams, chance, alike, order):
    times, rounds = proposals(teams, chance, order=order, alike=alike, rng=np.random.default_rng(0))
    error = times.std() / np.sqrt(len(times))
    assert abs(times.mean() - time_to_agree(teams, chance, order=order, alike=alike)) < 3.5 * error
    error = rounds.std() / np.sqrt(len(rounds))
    assert abs(rounds.mean() - 1 / agreement_chance(teams, chance, alike=alike)) < 3.5 * error


def test_independent_teams_multiply():
    assert agreement_chance(5, 0.8) == pytest.approx(0.32768)
    # One after another is a run of n agreements: (1 / a^n - 1) / (1 - a) reviews.
    assert time_to_agree(5, 0.8) == pytest.approx((0.8**-5 - 1) / 0.2)


def test_it_goes_away_with_one_owner_with_certain_agreement_and_with_a_shared_reason():
    assert time_to_agree(1, 0.8) == pytest.approx(time_to_agree(1, 0.8, order="all at once"))
    assert time_to_agree(1, 0.8) == pytest.approx(1 / 0.8)
    assert time_to_agree(6, 1.0) == pytest.approx(6)
    assert time_to_agree(3, 1.0, order="all at once") == pytest.approx(1 + 1 / 2 + 1 / 3)
    assert agreement_chance(8, 0.7, alike=1.0) == pytest.approx(0.7)
    assert time_to_agree(2, 0.8, review=3) == pytest.approx(3 * time_to_agree(2, 0.8))


def test_each_further_team_costs_more_time_than_the_one_before():
    told = time_by_teams(0.7)
    for _, one in told.groupby("order"):
        steps = np.diff(one["reviews"])
        assert len(one) == 8
        assert (steps > 0).all()
        assert (np.diff(steps) > 0).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: agreement_chance(0, 0.5), "teams: got 0; it must be a whole number, 1 at least"),
        (lambda: agreement_chance(2, 1.5), r"chance: got 1.5; it must lie in \[0, 1\]"),
        (lambda: agreement_chance(2, 0.5, alike=2), "alike: got 2"),
        (lambda: time_to_agree(2, 0), r"chance: got 0; it must lie in \(0, 1\]"),
        (lambda: time_to_agree(2, 0.5, order="never"), "order: got 'never'; it must be one of one by one"),
        (lambda: time_to_agree(2, 0.5, review=0), "review: got 0; it must lie above 0"),
        (lambda: time_by_teams(0.5, most=0), "most: got 0"),
    ],
)
def test_bad_settings_are_refused_by_name_value_and_rule(call, message):
    with pytest.raises(ValueError, match=message):
        call()
