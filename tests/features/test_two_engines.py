"""Eight real discrepancies: most are harmless, a rare one costs more than a frequent one."""

import numpy as np
import pytest

from toolkit.auc import auc
from toolkit.features.engines import ENGINES, compute
from toolkit.features.online_offline import pair_bound
from toolkit.features.two_engines import DISCREPANCIES, two_engines


@pytest.fixture(scope="module")
def world():
    return two_engines()


def test_as_specified_every_engine_gives_the_model_the_same_columns():
    small = two_engines(users=60, requests=400)
    for engine in ENGINES:
        found = compute(small.features, small.events, small.requests, engine=engine)
        np.testing.assert_array_equal(found[list(small.right)], small.right)


def test_the_quick_sum_of_parts_is_the_model_s_score(world):
    assert world.auc() == pytest.approx(auc(world.y, world.model(world.right)), abs=1e-12)
    everything = [each.column for each in DISCREPANCIES]
    assert world.auc(everything) == pytest.approx(auc(world.y, world.model(world.served)), abs=1e-12)


def test_the_rate_is_no_measure_of_the_loss(world):
    loss = {each.name: world.auc() - world.auc([each.column]) for each in DISCREPANCIES}
    rate = {each.name: world.rate([each.column]) for each in DISCREPANCIES}
    assert rate["Six decimals"] > 0.4
    assert abs(loss["Six decimals"]) < 1e-4
    assert abs(loss["Window holds both ends"]) < 0.003
    assert rate["NaN spreads"] < 0.05 < 0.9 < rate["Decimal logarithm"]
    assert loss["NaN spreads"] > loss["Decimal logarithm"] > 0
    assert loss["Places in another order"] > 0.03
    assert loss["Seller ids in float32"] > 0.01
    # Odd numbers between 2^24 and 2^25 move, even ones don't.
    odd = world.right["f_seller"] % 2 == 1
    assert rate["Seller ids in float32"] == odd.mean()


def test_no_loss_exceeds_what_its_rows_can_change(world):
    for each in DISCREPANCIES:
        touched = (world.served[each.column] != world.right[each.column]).to_numpy()
        assert abs(world.auc() - world.auc([each.column])) <= pair_bound(touched, world.y)


def test_nothing_served_differently_costs_nothing(world):
    assert (world.rate([]), world.auc([])) == (0.0, world.auc())
