"""Real models on real digits: nothing changes at weight 0, pulls and ensembles break less, refusals."""

import numpy as np
import pytest

from toolkit.shipping.distillation import TESTED, frontier, mean_rates, update


def test_without_a_pull_the_kinds_are_one():
    focal, plain = update(0, kind="focal"), update(0, kind="plain")
    assert np.array_equal(focal.current, plain.current)
    assert len(focal.y) == TESTED


def test_a_pull_without_end_makes_the_old_version_anew():
    near = update(1e6, kind="plain", kept=True, old_rows=100, new_rows=100)
    assert np.mean(near.reference == near.current) > 0.97


def test_shares_fit_together():
    rates = update(1).rates()
    assert rates["new"] - rates["old"] == pytest.approx(rates["repaired"] - rates["broken"])


def test_a_harder_pull_breaks_less_until_it_costs_accuracy():
    table = frontier([0, 1, 5, 10], kind="plain", repeats=3)
    assert table["broken"].iloc[1] < 0.7 * table["broken"].iloc[0]
    assert table["new"].iloc[3] < table["new"].max() - 0.01


def test_what_was_kept_stays_right_and_an_ensemble_breaks_less():
    assert mean_rates(kept=True, repeats=3)["broken"] < 0.5 * mean_rates(repeats=3)["broken"]
    alone, five = (mean_rates(members=members, pixels=24, repeats=2) for members in (1, 5))
    assert five["broken"] < 0.7 * alone["broken"]
    assert five["new"] > alone["new"]


def test_the_same_seed_gives_the_same_update_and_another_another():
    assert np.array_equal(update(1, rng=3).current, update(1, rng=3).current)
    assert not np.array_equal(update(1, rng=3).current, update(1, rng=4).current)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"weight": -1.0}, "weight: got -1.0; it must be a finite number, 0 at least"),
        ({"kind": "hard"}, "kind: got 'hard'; it must be one of focal, plain"),
        ({"members": 0}, "members: got 0"),
        ({"pixels": 65}, "pixels: got 65; there are 64"),
        ({"new_rows": 900}, "new_rows: got 900 beside 80 old ones; there are 797 in all"),
    ],
)
def test_bad_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        update(**settings)


def test_a_hard_focal_pull_leaves_the_old_errors_behind():
    focal, plain = (mean_rates(5, kind=kind, repeats=3) for kind in ("focal", "plain"))
    assert focal["new"] > plain["new"] + 0.005
