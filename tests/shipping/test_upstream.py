"""FooBar's own tables: a changed unit is found and blamed, and the same tables without it are left alone."""

import numpy as np
import pandas as pd
import pytest

from toolkit.features.changes import undeclared_change
from toolkit.shipping.upstream import (
    LinearScore,
    auc_by_factor,
    changepoint,
    labelled,
    rescaled_auc,
    upstream_blame,
    with_factor,
)
from toolkit.tables import validate
from toolkit.world import Settings
from toolkit.world.company import tables
from toolkit.world.story import tell

APRIL = pd.Timestamp("2026-03-20", tz="UTC")


@pytest.fixture(scope="module")
def foobar():
    return tables(tell(Settings(items=100, requests=400, days=34)), model="point-in-time")


def test_a_unit_that_changes_in_the_history_is_found_on_its_day(foobar):
    history = foobar["feature_history"]
    changed = with_factor(history, "rate_daily", 1 / np.log(10), since=APRIL)
    validate(changed, "feature_history")
    found = changepoint(changed, replicates=199)
    worst = found.table.iloc[0]
    assert (worst["feature"], worst["since"]) == ("rate_daily", APRIL)
    assert worst["factor"] == pytest.approx(1 / np.log(10), rel=0.1)
    assert changepoint(history, replicates=199).p > 0.05
    # The neighbouring chapter's diagnostic sees the same jump.
    assert undeclared_change(changed).table["feature"].iloc[0] == "rate_daily"


def test_the_feature_that_changed_is_blamed(foobar):
    training = foobar["training_table"]
    columns = [name for name in training if name.startswith("f_")]
    score = LinearScore(training[training["split"] == "train"], columns)
    rows = labelled(training, foobar["serving_log"])
    assert len(rows) == (training["split"] == "holdout").sum()
    found = upstream_blame(
        rows.assign(f_0=100 * rows["f_0"]), rows, score, features=columns[:3], replicates=50
    )
    assert found.table["feature"].iloc[0] == "f_0"
    assert found.p < 0.01


def test_the_curve_is_the_closed_form_and_a_cut_off_keeps_more_of_a_blow_up():
    curve = auc_by_factor(0.2, clip=3.0, factors=[0.1, 1, 100]).pivot_table(
        index="factor", columns="feature", values="auc"
    )
    assert curve["as it arrives"].tolist() == pytest.approx(
        [rescaled_auc(0.2, factor) for factor in (0.1, 1, 100)]
    )
    assert curve["cut off"][100] > curve["as it arrives"][100] + 0.05
    assert curve["cut off"][0.1] == pytest.approx(curve["as it arrives"][0.1])


def test_bad_input_is_refused_by_name_value_and_rule(foobar):
    with pytest.raises(ValueError, match="feature: got 'height'; history has"):
        with_factor(foobar["feature_history"], "height", 2.0, since=APRIL)
    with pytest.raises(ValueError, match="factor: got nan"):
        with_factor(foobar["feature_history"], "rate_28d", np.nan, since=APRIL)
    with pytest.raises(ValueError, match=r"training: got columns .* it must have"):
        labelled(foobar["outcomes"], foobar["serving_log"])
