"""Lab against field: closed forms, the textbook analysis of variance, coverage, and ridge regression."""

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pytest
import statsmodels.formula.api as smf
from scipy.stats import kstest
from sklearn.linear_model import Ridge
from statsmodels.stats.anova import anova_lm

from toolkit.auc import auc
from toolkit.general.devices import FIELD, LAB, readings
from toolkit.general.sensor_noise import crossover, excess_error, inject, injected_noise_curve, noise_gap

COLUMNS = ["f_motion", "f_rhythm"]


@pytest.mark.parametrize("noise", [0.0, 0.3, 1.0, 4.0])
def test_the_outline_s_excess_errors(noise):
    assert excess_error(noise) == pytest.approx(noise)
    assert excess_error(noise, trained_at=noise) == pytest.approx(noise / (1 + noise))
    assert excess_error(noise, trained_at=noise, slope=3) == pytest.approx(9 * noise / (1 + noise))


def test_the_outline_s_one_against_a_half():
    assert (excess_error(1.0), excess_error(1.0, trained_at=1.0)) == (1.0, 0.5)


def test_the_excess_is_what_least_squares_does_in_simulation():
    rng = np.random.default_rng(0)
    signal, train, used = rng.normal(size=(3, 1_000_000))
    reading = signal + 0.5**0.5 * train
    slope = (reading @ (2 * signal)) / (reading @ reading)
    error = np.mean((2 * signal - slope * (signal + 2**0.5 * used)) ** 2)
    assert error == pytest.approx(excess_error(2.0, trained_at=0.5, slope=2), rel=0.01)


@pytest.mark.parametrize(("trained_at", "against"), [(1.0, 0.0), (0.5, 0.2), (3.0, 0.0)])
def test_at_the_crossover_both_models_are_equal_and_beyond_it_the_worse_on_the_bench_wins(
    trained_at, against
):
    at = crossover(trained_at, against=against)
    assert excess_error(at, trained_at=trained_at) == pytest.approx(excess_error(at, trained_at=against))
    assert excess_error(0, trained_at=trained_at) > excess_error(0, trained_at=against)
    assert excess_error(1.1 * at, trained_at=trained_at) < excess_error(1.1 * at, trained_at=against)
    if not against:
        assert at == pytest.approx(trained_at / (trained_at + 2))


def test_its_noise_and_reliability_are_those_of_the_analysis_of_variance():
    rng = np.random.default_rng(1)
    user = np.repeat(np.arange(40), rng.integers(1, 7, 40))
    lab = pd.DataFrame(
        {"user_id": user, "f_motion": rng.normal(size=40)[user] + rng.normal(0, 0.5, len(user))}
    )
    told = noise_gap(lab, readings(LAB), columns=["f_motion"]).table.iloc[0]
    squares = anova_lm(smf.ols("f_motion ~ C(user_id)", lab).fit())["mean_sq"]
    assert told["lab_noise"] == pytest.approx(squares["Residual"])
    counts = np.bincount(user)
    typical = (len(user) - (counts**2).sum() / len(user)) / 39
    signal = (squares["C(user_id)"] - squares["Residual"]) / typical
    assert told["lab_reliability"] == pytest.approx(signal / (signal + squares["Residual"]))


def test_it_finds_the_column_that_is_noisier_and_leaves_the_other_alone():
    finding = noise_gap(readings(LAB, rng=1), readings(FIELD, first=10_000, rng=2), columns=COLUMNS)
    true = FIELD["f_motion"] / LAB["f_motion"]
    assert finding.ci[0] < true < finding.ci[1]
    assert finding.verdict.startswith("f_motion is")
    rhythm = finding.table.set_index("column").loc["f_rhythm"]
    assert rhythm["low"] < 1 < rhythm["high"]
    # Signal: variance 1 within a kind, and .3 x .7 x 2.2^2 between the kinds.
    between = 1 + 0.3 * 0.7 * 2.2**2
    motion = finding.table.set_index("column").loc["f_motion"]
    assert motion["field_reliability"] == pytest.approx(between / (between + 3), abs=0.03)
    back = noise_gap(readings(FIELD, rng=2), readings(LAB, first=10_000, rng=1), columns=["f_motion"])
    assert back.estimate < 1
    assert "quieter" in back.verdict


def test_between_two_labs_it_is_quiet():
    finding = noise_gap(readings(LAB, rng=3), readings(LAB, first=10_000, rng=4), columns=COLUMNS)
    assert finding.ci[0] < 1 < finding.ci[1]
    assert finding.p > 0.05
    assert finding.verdict.startswith("No difference is seen in f_motion and f_rhythm, though up to 1.")


def sensors(rng, users, each, spreads, *, first=0, heavy=(), unlike=0.0):
    """Readings of steady things by several sensors of given noise, some of it heavy-tailed or unlike by unit."""
    unit = np.repeat(np.arange(users), each)
    made = {"user_id": unit + first}
    for name, spread in spreads.items():
        noise = rng.standard_t(2.2, len(unit)) if name in heavy else rng.normal(size=len(unit))
        noise = noise * np.exp(unlike * rng.normal(size=users))[unit]
        made[name] = rng.normal(size=users)[unit] + spread * noise
    return pd.DataFrame(made)


def test_the_verdict_names_every_column_that_the_table_shows_to_differ():
    for seed in range(100):
        rng = np.random.default_rng(seed)
        lab = sensors(rng, 60, 3, {"a": 0.3, "b": 0.3, "c": 0.4})
        field = sensors(rng, 60, 3, {"a": 0.45, "b": 0.45, "c": 0.3}, first=1000, heavy=["a"])
        finding = noise_gap(lab, field, columns=["a", "b", "c"])
        for _, row in finding.table.iterrows():
            name = row["column"]
            assert (row["low"] > 1) == (
                f"{name} is {row['ratio']:.2g} times as" in finding.verdict
                or f"; {name} {row['ratio']:.2g} times" in finding.verdict
            )
        quiet = finding.table.loc[finding.table["high"] < 1, "column"].tolist()
        assert bool(quiet) == ("quieter" in finding.verdict)
        # The estimate, its interval and its p are of one column, and say the same.
        row = finding.table.loc[finding.table["low"].idxmax()]
        assert (finding.estimate, *finding.ci) == (row["ratio"], row["low"], row["high"])
        assert (finding.p < 0.05) == (not row["low"] <= 1 <= row["high"])


def test_a_column_whose_noise_is_unsure_doesn_t_hide_one_whose_noise_is_larger():
    rng = np.random.default_rng(1)
    lab = pd.DataFrame({"user_id": np.arange(180) // 3, "a": rng.normal(size=180), "b": rng.normal(size=180)})
    field = lab.assign(a=lab["a"] * np.where(lab["user_id"] == 7, 60, 1.0), b=1.5 * lab["b"])
    finding = noise_gap(lab, field, columns=["a", "b"])
    told = finding.table.set_index("column")
    assert told.loc["a", "ratio"] > told.loc["b", "ratio"]
    assert told.loc["a", "low"] < 1 < told.loc["b", "low"]
    assert finding.estimate == pytest.approx(2.25)
    assert finding.verdict.startswith("b is 2.2 times as noisy")
    assert "No difference is seen in a, though up to" in finding.verdict


def test_few_units_leave_a_lot_open_and_are_named():
    rng = np.random.default_rng(3)
    finding = noise_gap(
        sensors(rng, 4, 2, {"b": 0.3}), sensors(rng, 4, 2, {"b": 0.9}, first=100), columns=["b"]
    )
    assert finding.ci[0] < 1
    assert f"up to {finding.ci[1]:.2g} times the lab's noise can't be ruled out" in finding.verdict
    assert "Only 4 units" in finding.verdict
    assert "Only" not in noise_gap(readings(LAB), readings(LAB, rng=2), columns=COLUMNS).verdict


@pytest.mark.slow
@pytest.mark.parametrize(
    ("users", "each", "unlike", "least"),
    # What its docstring owns to, less two and a half standard errors of the simulation.
    [((5, 5), 3, 0.0, 0.92), ((30, 300), 3, 0.7, 0.87), ((15, 15), 3, 0.7, 0.91), ((200, 200), 3, 0.7, 0.93)],
)
def test_with_few_units_or_unlike_ones_its_intervals_still_cover_so_often(users, each, unlike, least):
    rng, inside, runs = np.random.default_rng(16), 0, 500
    for _ in range(runs):
        lab, field = (
            sensors(rng, count, each, {"x": spread}, unlike=unlike)
            for count, spread in zip(users, (1, 2), strict=True)
        )
        ends = noise_gap(lab, field, columns=["x"]).ci
        inside += ends[0] <= 4 <= ends[1]
    assert inside / runs > least, inside / runs


@pytest.mark.slow
@pytest.mark.parametrize(("users", "each"), [(40, 3), (15, 6)])
def test_its_intervals_cover_and_its_p_is_uniform_where_nothing_differs(users, each):
    rng = np.random.default_rng(5)
    inside, runs, chances = 0, 600, []
    for _ in range(runs):
        lab, field = (
            pd.DataFrame({"user_id": np.repeat(np.arange(n), each), "x": rng.normal(size=n * each)})
            for n in (users, 3 * users)
        )
        finding = noise_gap(lab, field, columns=["x"])
        inside += finding.ci[0] <= 1 <= finding.ci[1]
        chances.append(finding.p)
    assert 0.93 - 0.015 < inside / runs < 0.97 + 0.015
    assert kstest(chances, "uniform").pvalue > 0.005


@pytest.mark.slow
def test_several_columns_share_the_error():
    rng = np.random.default_rng(12)
    wrong, runs = 0, 400
    for _ in range(runs):
        lab, field = (
            pd.DataFrame(rng.normal(size=(150, 4)), columns=list("abcd")).assign(user_id=np.arange(150) // 3)
            for _ in range(2)
        )
        table = noise_gap(lab, field, columns=list("abcd")).table
        wrong += ((table["low"] > 1) | (table["high"] < 1)).any()
    # Two and a half standard errors of the simulation above 5%.
    assert wrong / runs < 0.05 + 0.028


def test_training_on_many_noisy_copies_is_ridge_regression():
    rng = np.random.default_rng(7)
    x = rng.normal(size=(300, 2)) @ [[1, 0.6], [0, 0.8]]
    rows = pd.DataFrame({"a": x[:, 0] - x[:, 0].mean(), "b": x[:, 1] - x[:, 1].mean()})
    rows["y"] = 2 * rows["a"] - rows["b"] + rng.normal(size=300)
    noisy = inject(rows, {"a": 0.5, "b": 0.5}, copies=3000, rng=8)
    design = noisy[["a", "b"]].to_numpy()
    learnt = np.linalg.lstsq(design, noisy["y"].to_numpy(), rcond=None)[0]
    ridge = Ridge(alpha=0.5 * len(rows), fit_intercept=False).fit(rows[["a", "b"]], rows["y"])
    assert learnt == pytest.approx(ridge.coef_, abs=0.01)
    plain = np.linalg.lstsq(rows[["a", "b"]].to_numpy(), rows["y"].to_numpy(), rcond=None)[0]
    assert np.abs(plain - ridge.coef_).min() > 0.1


def test_injected_noise_has_its_variance_and_leaves_the_rest_alone():
    rows = pd.DataFrame({"a": np.zeros(50_000), "b": 1.0, "y": 0})
    noisy = inject(rows, {"a": 0.25}, rng=9)
    assert noisy["a"].var() == pytest.approx(0.25, rel=0.03)
    assert (noisy["b"] == 1).all()
    assert (rows["a"] == 0).all()
    pd.testing.assert_frame_equal(inject(rows, {"a": 0.0}), rows)


def test_the_curve_foretells_the_field_and_starts_at_the_lab():
    lab, field = readings(LAB, rng=1), readings(FIELD, users=4000, first=10_000, rng=2)
    models = {"motion": lambda rows: -rows["f_motion"], "rhythm": lambda rows: -rows["f_rhythm"]}
    noise = {"f_motion": FIELD["f_motion"] - LAB["f_motion"]}
    curve = injected_noise_curve(lab, models, noise=noise, levels=[0, 1], replicates=60)
    told = curve.set_index(["model", "level"])
    assert told.loc[("motion", 0), "auc"] == pytest.approx(auc(lab["y"], -lab["f_motion"]))
    assert (
        told.loc[("motion", 1), "low"] < auc(field["y"], -field["f_motion"]) < told.loc[("motion", 1), "high"]
    )
    assert told.loc[("rhythm", 1), "auc"] == told.loc[("rhythm", 0), "auc"]
    again = injected_noise_curve(lab, models, noise=noise, levels=[0, 1], replicates=60)
    pd.testing.assert_frame_equal(curve, again)


def test_a_model_s_lead_is_judged_on_the_same_rows_and_noise():
    lab = readings(LAB, users=300, rng=1)
    models = {
        "sum": lambda rows: -2 * rows["f_motion"] - rows["f_rhythm"],
        "double": lambda rows: -4 * rows["f_motion"] - 2 * rows["f_rhythm"],
        "leaning": lambda rows: -rows["f_motion"] - 1.5 * rows["f_rhythm"],
    }
    told = injected_noise_curve(lab, models, noise={"f_motion": 3.0}, levels=[0, 1], replicates=100)
    told = told.set_index(["model", "level"])
    assert told.loc["sum", ["ahead", "ahead_low", "ahead_high"]].isna().all(axis=None)
    assert (told.loc["double", ["ahead", "ahead_low", "ahead_high"]] == 0).all(axis=None)
    leaning = told.loc["leaning"]
    assert (leaning["ahead"] == leaning["auc"] - told.loc["sum"]["auc"]).all()
    # What both models owe to the rows drawn cancels: the lead is known better than either AUC.
    assert (leaning["ahead_high"] - leaning["ahead_low"] < leaning["high"] - leaning["low"]).all()
    # With the field's noise it is right to lean on the steady sensor.
    assert leaning.loc[1.0, "ahead_low"] > 0


@pytest.mark.parametrize("kind", ["polars", "pyarrow", "duckdb"])
def test_any_frame_will_do(kind):
    convert = {
        "polars": pl.from_pandas,
        "pyarrow": lambda frame: pl.from_pandas(frame).to_arrow(),
        "duckdb": duckdb.from_df,
    }[kind]
    pair = readings(LAB, rng=1), readings(FIELD, rng=2)
    there = noise_gap(*map(convert, pair), columns=COLUMNS)
    assert there.estimate == pytest.approx(noise_gap(*pair, columns=COLUMNS).estimate)
    curve = injected_noise_curve(
        convert(pair[0]),
        {"m": lambda rows: -rows["f_motion"]},
        noise={"f_motion": 1},
        levels=[0],
        replicates=20,
    )
    assert len(curve) == 1


ROWS = readings(LAB, users=30)
MODELS = {"m": lambda rows: -rows["f_motion"]}


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: noise_gap(ROWS, ROWS, columns=["f_x"]), "lab: got columns .* it must have f_x"),
        (lambda: noise_gap(ROWS, ROWS.iloc[:0], columns=COLUMNS), "field: got no row"),
        (lambda: noise_gap(ROWS, ROWS, columns=[]), r"columns: got \[\]; it must be a list"),
        (lambda: noise_gap(ROWS, ROWS, columns="f_motion"), "columns: got 'f_motion'; it must be a list"),
        (lambda: noise_gap(ROWS, ROWS, columns=COLUMNS, alpha=0), "alpha: got 0"),
        (
            lambda: noise_gap(ROWS, ROWS.drop_duplicates("user_id"), columns=COLUMNS),
            "user_id: got 0 with two readings or more in field, of 30",
        ),
        (
            lambda: noise_gap(ROWS.assign(f_motion=ROWS["user_id"] / 7), ROWS, columns=COLUMNS),
            "f_motion: got repeats that are all equal in lab",
        ),
        (
            lambda: noise_gap(ROWS.assign(f_motion=np.arange(120) % 4), ROWS, columns=COLUMNS),
            "f_motion: got the same spread within every unit in lab",
        ),
        (
            lambda: noise_gap(
                pd.DataFrame({"user_id": [1, 1, 2, 2], "f_motion": [1.0, 2.0, 3.0, 3.0]}),
                ROWS,
                columns=["f_motion"],
            ),
            "f_motion: got repeats that differ within one unit only in lab",
        ),
        (
            lambda: noise_gap(ROWS, ROWS.assign(f_rhythm=np.inf), columns=COLUMNS),
            "f_rhythm: got inf in field",
        ),
        (lambda: noise_gap(ROWS.assign(user_id=None), ROWS, columns=COLUMNS), "user_id: got 120 missing"),
        (lambda: inject(ROWS, {"f_x": 1}), "noise: got 'f_x'; rows has"),
        (lambda: inject(ROWS, {"f_motion": -1}), "f_motion: got -1; a variance isn't negative"),
        (lambda: inject(ROWS, {"f_motion": 1}, copies=0), "copies: got 0"),
        (lambda: injected_noise_curve(ROWS, {}, noise={"f_motion": 1}), "models: got none"),
        (lambda: injected_noise_curve(ROWS, MODELS, noise={"f_motion": 1}, levels=[]), "levels: got none"),
        (lambda: injected_noise_curve(ROWS, MODELS, noise={"f_motion": 1}, levels=[-1]), "levels: got -1"),
        (lambda: injected_noise_curve(ROWS, MODELS, noise={"f_x": 1}), "rows: got columns .* f_x"),
        (
            lambda: injected_noise_curve(ROWS.assign(y=1), MODELS, noise={"f_motion": 1}),
            "y: got only 1 in rows",
        ),
        (
            lambda: injected_noise_curve(ROWS, {"m": lambda rows: 0.5}, noise={"f_motion": 1}),
            r"models: got scores of shape \(\) from m; one finite score a row",
        ),
        (lambda: excess_error(-1), "noise: got -1; a variance isn't negative"),
        (lambda: excess_error(1, trained_at=np.nan), "trained_at: got nan"),
        (lambda: crossover(1, against=1), "trained_at: got 1; it must lie above against, 1"),
    ],
)
def test_bad_input_is_refused_by_name_value_and_rule(call, message):
    with pytest.raises(ValueError, match=message):
        call()
