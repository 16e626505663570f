"""Undeclared changes of meaning: found on their day, quiet otherwise over many features."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy.stats import kstest
from scipy.stats import t as student

from toolkit.features.changes import undeclared_change
from toolkit.features.windows import window_history
from toolkit.world import Settings, simulate
from toolkit.world.clock import DAY, START


def history(rng, *, features=6, days=16, entities=20, keep=0.9, shock=0.1, heavy=False):
    """Features that drift: entities of their own accord, and all of them together."""
    parts = []
    for _ in range(features):
        own, common = rng.normal(size=(days, entities)), shock * rng.normal(size=days)
        for day in range(1, days):
            own[day] = keep * own[day - 1] + np.sqrt(1 - keep**2) * own[day]
            common[day] += keep * common[day - 1]
        value = own + common[:, None]
        parts.append(np.exp(2 * value) if heavy else value)
    day, entity = np.indices((days, entities)).reshape(2, -1)
    return pd.concat(
        [
            pd.DataFrame(
                {
                    "entity_id": entity,
                    "feature": f"f{place}",
                    "event_ts": START + pd.to_timedelta(day, unit="D"),
                    "value": value.ravel(),
                    "version": 1,
                }
            )
            for place, value in enumerate(parts)
        ],
        ignore_index=True,
    )


WORLD = simulate(Settings(items=150, requests=600, days=56))


@pytest.mark.parametrize(
    ("feature", "step"), [("clicks_30d", "level"), ("rate_30d", None), ("views_30d", "level")]
)
def test_a_window_cut_from_30_days_to_7_is_found_on_its_day(feature, step):
    told = undeclared_change(window_history(WORLD, range(32, 56), changed={feature: (48, 7)}))
    worst = told.table.iloc[0]
    assert (worst["feature"], worst["since"]) == (feature, START + 48 * DAY)
    assert step in (None, worst["step"])
    assert told.p < 0.001
    assert (told.table["p"] < 0.05).sum() == 1
    assert told.verdict.startswith(f"{feature} jumped on 2026-04-19 with no new version")


def test_declared_it_is_no_finding_and_neither_is_a_world_without_a_change():
    declared = undeclared_change(
        window_history(WORLD, range(32, 56), changed={"clicks_30d": (48, 7)}, declared=True)
    )
    assert declared.p > 0.05
    assert declared.table.set_index("feature")["declared"]["clicks_30d"] == 1
    still = undeclared_change(window_history(WORLD, range(32, 56)))
    assert still.p > 0.05
    assert still.verdict.startswith("No undeclared change shows among")


def test_versions_may_be_texts():
    numbers = window_history(WORLD, range(40, 56), changed={"clicks_30d": (52, 7)}, declared=True)
    texts = numbers.assign(version="v" + numbers["version"].astype(str))
    pd.testing.assert_frame_equal(
        undeclared_change(texts, before=4).table, undeclared_change(numbers, before=4).table
    )


@pytest.mark.parametrize("keep", [0.0, 0.995])
def test_over_many_features_false_alarms_are_as_rare_as_they_say(keep):
    p = [undeclared_change(history(np.random.default_rng(s), keep=keep)).p for s in range(50)]
    # At a level of .2, fifty families ring 10 times on average, with a standard deviation of 2.8.
    assert 2 <= np.sum(np.array(p) < 0.2) <= 18
    assert np.sum(np.array(p) < 0.05) <= 7


def test_where_steps_are_independent_and_normal_p_is_uniform():
    p = []
    for seed in range(120):
        walk = history(np.random.default_rng(seed), features=1, days=20, keep=1.0, shock=0.0)
        steps = np.random.default_rng(10_000 + seed).normal(size=20).cumsum()
        p.append(undeclared_change(walk.assign(value=walk["value"] + 0.02 * steps.repeat(20))).p)
    assert kstest(p, "uniform").pvalue > 0.01


def test_heavy_tails_change_nothing_as_only_ranks_enter():
    plain, heavy = (history(np.random.default_rng(5), heavy=heavy) for heavy in (False, True))
    assert undeclared_change(plain).estimate == pytest.approx(undeclared_change(heavy).estimate)


@pytest.mark.parametrize(("step", "moved", "widened"), [("level", 1.5, 1.0), ("spread", 0.0, 3.0)])
def test_a_step_is_judged_by_the_t_of_a_prediction_from_the_steps_before(step, moved, widened):
    rows = history(np.random.default_rng(6), features=1, days=13)
    last = rows["event_ts"] == rows["event_ts"].max()
    centre = rows.loc[last, "value"].mean()
    rows.loc[last, "value"] = centre + moved + widened * (rows.loc[last, "value"] - centre)
    told = undeclared_change(rows, before=11).table.iloc[0]
    assert told["step"] == step
    from scipy.special import ndtri
    from scipy.stats import rankdata

    score = ndtri(rankdata(rows["value"]) / (len(rows) + 1)).reshape(13, 20)
    path = score.mean(1) if step == "level" else np.log(score.std(1))
    steps = np.diff(path)
    size = steps[11] - steps[:11].mean()
    error = steps[:11].std(ddof=1) * np.sqrt(1 + 1 / 11)
    assert told["size"] == pytest.approx(size)
    # Two tests, so each at the level 1 - sqrt(1 - .05).
    assert told["high"] - told["size"] == pytest.approx(student.isf((1 - np.sqrt(0.95)) / 2, 10) * error)
    p = 2 * student.sf(abs(size) / error, 10)
    assert told["p"] == pytest.approx(1 - (1 - p) ** 2)


def test_entities_that_come_in_hours_and_in_any_order_are_summed_up_by_period():
    rows = history(np.random.default_rng(7))
    hourly = rows.assign(event_ts=rows["event_ts"] + pd.to_timedelta(rows["entity_id"] % 24, unit="h"))
    shuffled = hourly.sample(frac=1, random_state=1)
    assert undeclared_change(shuffled).estimate == pytest.approx(undeclared_change(rows).estimate)
    assert undeclared_change(pl.from_pandas(rows)).estimate == pytest.approx(undeclared_change(rows).estimate)


def test_a_feature_that_never_varies_is_no_evidence():
    rows = history(np.random.default_rng(8))
    constant = rows[rows["feature"] == "f0"].assign(feature="constant", value=3.0)
    told = undeclared_change(pd.concat([rows, constant]))
    assert "constant" not in set(told.table["feature"])
    with pytest.raises(ValueError, match=r"history: got 16 periods; a feature needs 12 at least"):
        undeclared_change(constant)


@pytest.mark.parametrize(
    ("change", "settings", "message"),
    [
        (
            {"event_ts": pd.Timestamp("2026-03-02")},
            {},
            r"event_ts: got datetime64\[\w+\] in history; it must be times with",
        ),
        ({"value": np.nan}, {}, r"value: got \d+ missing"),
        ({"value": np.inf}, {}, r"value: got inf in history; it must be finite"),
        ({}, {"every": "often"}, r"every: got 'often'; it must be a period such as 1D or 1h"),
        ({}, {"before": 2}, r"before: got 2; it must be a whole number, 3 at least"),
        ({}, {"before": 15}, r"history: got 16 periods; a feature needs 17 at least"),
        ({}, {"alpha": 1.0}, r"alpha: got 1\.0"),
    ],
)
def test_bad_input_is_refused(change, settings, message):
    with pytest.raises(ValueError, match=message):
        undeclared_change(history(np.random.default_rng(0)).assign(**change), **settings)
    with pytest.raises(ValueError, match=r"history: got columns .*; it must have version"):
        undeclared_change(history(np.random.default_rng(0)).drop(columns="version"))
