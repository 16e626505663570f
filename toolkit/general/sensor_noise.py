"""The lab was quieter than the field: how much, and which model does that make the better one?"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import t as student

from toolkit.auc import Ranking
from toolkit.finding import Finding
from toolkit.frames import read_columns
from toolkit.resampling import bootstrap, interval, welch_freedom
from toolkit.rules import count, level, number

__all__ = ["crossover", "excess_error", "inject", "injected_noise_curve", "noise_gap"]

# Below so many units with repeats on a side, intervals may cover less than they say.
_FEW_UNITS = 15


def excess_error(noise: float, *, trained_at: float = 0.0, slope: float = 1.0) -> float:
    """The squared error that a noisy reading adds to a linear model which was fitted at another noise.

    The signal has variance 1 and the outcome is `slope` times the signal, plus what no model can
    know. The reading is the signal plus noise, so a fit at noise t learns slope / (1 + t).

    Parameters
    ----------
    noise : float
        Variance of the noise where the model is used, in units of the signal's variance.
    trained_at : float
        Variance of the noise in its training data, injected noise included.
    slope : float

    Examples
    --------
    >>> excess_error(1.0), excess_error(1.0, trained_at=1.0)
    (1.0, 0.5)
    """
    used, learnt = _variance("noise", noise), 1 / (1 + _variance("trained_at", trained_at))
    return number("slope", slope) ** 2 * ((1 - learnt) ** 2 + learnt**2 * used)


def crossover(trained_at: float, *, against: float = 0.0) -> float:
    """The noise above which a linear model fitted at more noise beats one fitted at less.

    Parameters
    ----------
    trained_at, against : float
        Variances of the noise in the two models' training data, in units of the signal's variance.

    Examples
    --------
    >>> round(crossover(1.0), 4)
    0.3333
    """
    if not _variance("trained_at", trained_at) > _variance("against", against):
        raise ValueError(f"trained_at: got {trained_at!r}; it must lie above against, {against!r}")
    learnt = 1 / (1 + trained_at) + 1 / (1 + against)
    return (2 - learnt) / learnt


def noise_gap(
    lab: Any, field: Any, *, columns: Sequence[str], unit: str = "user_id", alpha: float = 0.05
) -> Finding:
    """How many times noisier each sensor is in the field than in the lab, from repeated readings of one thing.

    Parameters
    ----------
    lab, field : frame
        One row a reading; what is measured mustn't change between a unit's readings.
    columns : sequence of str
        The sensors' columns.
    unit : str
        Column of the thing that was read repeatedly: a user, a device, an object on a bench.
    alpha : float
        Chance that some column's interval misses (Bonferroni over the columns).

    Returns
    -------
    Finding
        The ratio of variances within units, field over lab, of the column for which the interval's
        lower end is highest; p is of "its noise doesn't differ", times the number of columns. The
        table has all columns, with their noise, ratio, and reliability: the signal's share of a
        reading's variance, by which a linear model's slope shrinks when it is fitted there. Units
        that differ much in their noise need many: at a spread of .7 in the logarithm of their
        noise's standard deviation, 95% intervals from 30 units cover about 90%.

    Raises
    ------
    ValueError
        If a column is missing or not finite, fewer than two units have repeated readings, or the
        repeats of a column are copies.

    References
    ----------
    Searle, Casella and McCulloch (1992), Variance Components (analysis of variance estimates).

    Examples
    --------
    >>> lab = pd.DataFrame({"user_id": [1, 1, 2, 2, 3, 3], "f_motion": [1.0, 1.2, 3.0, 3.4, 5.0, 4.8]})
    >>> field = pd.DataFrame({"user_id": [4, 4, 5, 5, 6, 6], "f_motion": [1.0, 2.2, 3.0, 5.4, 5.0, 3.8]})
    >>> round(noise_gap(lab, field, columns=["f_motion"]).estimate, 2)
    36.0
    """
    level(alpha)
    if isinstance(columns, str) or not len(columns):
        raise ValueError(f"columns: got {columns!r}; it must be a list of one column at least")
    frames = {
        name: read_columns(frame, name, [unit, *columns], numbers=list(columns))
        for name, frame in (("lab", lab), ("field", field))
    }
    each = alpha / len(columns)
    records, errors, chances = [], [], []
    for column in columns:
        parts = {name: _components(frame, name, unit, column) for name, frame in frames.items()}
        at_lab, in_field = parts["lab"], parts["field"]
        log_ratio = math.log(in_field["noise"] / at_lab["noise"])
        error = math.hypot(at_lab["error"], in_field["error"])
        # Welch's degrees of freedom: the side whose error is known worst decides.
        freedom = float(
            welch_freedom([p["error"] ** 2 for p in parts.values()], [p["freedom"] for p in parts.values()])
        )
        half = float(student.isf(each / 2, freedom)) * error
        errors.append(math.exp(log_ratio) * error)
        chances.append(float(2 * student.sf(abs(log_ratio) / error, freedom)))
        records.append(
            {
                "column": column,
                "lab_noise": at_lab["noise"],
                "field_noise": in_field["noise"],
                "ratio": math.exp(log_ratio),
                "low": math.exp(log_ratio - half),
                "high": math.exp(log_ratio + half),
                "lab_reliability": at_lab["reliability"],
                "field_reliability": in_field["reliability"],
            }
        )
    table = pd.DataFrame(records)
    place = int(table["low"].to_numpy().argmax())
    worst = table.iloc[place]
    repeated = min(int((frame[unit].value_counts() > 1).sum()) for frame in frames.values())
    verdict = _verdict(table, worst)
    if repeated < _FEW_UNITS:
        verdict += f" Only {repeated} units were read repeatedly on one side, so the interval is rough."
    return Finding(
        float(worst["ratio"]),
        (float(worst["low"]), float(worst["high"])),
        verdict,
        unit="times the lab's noise",
        se=errors[place],
        p=min(1.0, len(columns) * chances[place]),
        n=sum(len(frame) for frame in frames.values()),
        n_clusters=sum(frame[unit].nunique() for frame in frames.values()),
        alpha=alpha,
        table=table,
        assumptions=(
            "between a unit's readings only the noise changes",
            "units are independent, and each has the same chance of a noisy reading",
        ),
        cannot_tell=(
            "noise of the sensor, from a signal that moves between readings",
            "an error that all readings of a unit share (a worn device, a wrong calibration)",
            "readings that never arrive",
        ),
    )


def _verdict(table: pd.DataFrame, worst: pd.Series) -> str:
    """Names the columns whose intervals leave 1 out, and says how much the others leave open."""
    noisier, quieter = table[table["low"] > 1], table[table["high"] < 1]
    said = []
    if len(noisier):
        others = noisier[noisier["column"] != worst["column"]]
        also = "".join(f"; {row['column']} {row['ratio']:.2g} times" for _, row in others.iterrows())
        said.append(
            f"{worst['column']} is {worst['ratio']:.2g} times as noisy in the field as in the lab (of a reading's "
            f"variance {worst['field_reliability']:.0%} is signal there, {worst['lab_reliability']:.0%} in the "
            f"lab){also}."
        )
    if len(quieter):
        names = " and ".join(map(str, quieter["column"]))
        said.append(f"{names} {'is' if len(quieter) == 1 else 'are'} quieter in the field than in the lab.")
    open_ones = table[(table["low"] <= 1) & (table["high"] >= 1)]
    if len(open_ones):
        said.append(
            f"No difference is seen in {' and '.join(map(str, open_ones['column']))}, though up to "
            f"{open_ones['high'].max():.2g} times the lab's noise can't be ruled out."
        )
    return " ".join(said)


def _components(frame: pd.DataFrame, name: str, unit: str, column: str) -> dict[str, float]:
    """Noise within units with the standard error of its logarithm, and the reliability."""
    code, units = pd.factorize(frame[unit])
    value = frame[column].to_numpy(float)
    value = value - value.mean()
    readings = np.bincount(code)
    mean = np.bincount(code, value) / readings
    within, spare = np.bincount(code, (value - mean[code]) ** 2), readings - 1
    repeated = int((spare > 0).sum())
    if repeated < 2:
        raise ValueError(
            f"{unit}: got {repeated} with two readings or more in {name}, of {len(units):,}; noise shows "
            "in the repeats of two units at least"
        )
    noise = float(within.sum() / spare.sum())
    if noise <= 1e-24 * max(1.0, float(value @ value)):
        raise ValueError(
            f"{column}: got repeats that are all equal in {name}; copies of a reading tell no noise"
        )
    # How far the noise's logarithm would move, had other units come: by the jackknife, as the one unit that is
    # noisier than the others counts for more when it is left out than a linear step says.
    residual = (within - noise * spare)[spare > 0]
    squares = float(residual @ residual)
    if squares <= 1e-24 * float(within.sum()) ** 2:
        raise ValueError(
            f"{column}: got the same spread within every unit in {name}; such repeats tell no error of it"
        )
    there = spare > 0
    others = within.sum() - within[there]
    if others.min() <= 1e-12 * within.sum():
        raise ValueError(f"{column}: got repeats that differ within one unit only in {name}; it takes two")
    left_out = np.log(others / (spare.sum() - spare[there]))
    error = math.sqrt((repeated - 1) / repeated * float(((left_out - left_out.mean()) ** 2).sum()))
    # Units' squares are skewed, so their variance is known less well than that of as many normal values: match the
    # first two moments of a chi-square (Satterthwaite), by the residuals' kurtosis.
    kurtosis = repeated * float((residual**4).sum()) / squares**2
    freedom = 2 * repeated / max(kurtosis - 1, 2 * repeated / (repeated - 1))
    total = len(value)
    between = float(readings @ mean**2 - total * value.mean() ** 2) / (len(units) - 1)
    typical = (total - float((readings**2).sum()) / total) / (len(units) - 1)
    signal = max(0.0, (between - noise) / typical)
    return {
        "noise": noise,
        "error": error,
        "freedom": freedom,
        "reliability": signal / (signal + noise),
    }


def inject(rows: pd.DataFrame, noise: Mapping[str, float], *, copies: int = 1, rng: Any = 0) -> pd.DataFrame:
    """Copies of the rows, each with fresh normal noise of the given variances added to the named columns.

    For a linear model by least squares, training on many copies is ridge regression with the
    variance times the number of rows as its penalty.

    Parameters
    ----------
    rows : DataFrame
    noise : mapping of column to variance
        Not negative.
    copies : int
    rng : int or Generator

    References
    ----------
    Bishop (1995), "Training with Noise is Equivalent to Tikhonov Regularization", Neural Computation.

    Examples
    --------
    >>> noisy = inject(pd.DataFrame({"f_motion": [1.0, 2.0], "y": [0, 1]}), {"f_motion": 0.5}, copies=3)
    >>> len(noisy), noisy["y"].tolist()
    (6, [0, 1, 0, 1, 0, 1])
    """
    count("copies", copies)
    absent = [column for column in noise if column not in rows]
    if absent:
        raise ValueError(f"noise: got {absent[0]!r}; rows has {', '.join(map(str, rows.columns))}")
    draw = np.random.default_rng(rng)
    made = pd.concat([rows] * copies, ignore_index=True)
    for column, variance in noise.items():
        spread = math.sqrt(_variance(column, variance))
        made[column] = made[column].to_numpy(float) + spread * draw.normal(size=len(made))
    return made


def injected_noise_curve(
    rows: Any,
    models: Mapping[str, Callable[[pd.DataFrame], Any]],
    *,
    noise: Mapping[str, float],
    levels: Sequence[float] = (0, 0.25, 0.5, 1, 1.5, 2),
    y: str = "y",
    unit: str = "user_id",
    copies: int = 5,
    alpha: float = 0.05,
    replicates: int = 200,
    rng: Any = 0,
) -> pd.DataFrame:
    """What each model's AUC on held-out rows becomes as noise is added to its sensors.

    Parameters
    ----------
    rows : frame
        Held-out rows with labels, from the lab.
    models : mapping of name to callable
        Each takes a frame of rows and returns their scores. All see the same noise.
    noise : mapping of column to variance
        What is added at level 1: the field's noise less the lab's, from `noise_gap`.
    levels : sequence of float
        Multiples of it.
    y, unit : str
        Columns of the label, and of what is drawn together in the bootstrap.
    copies : int
        Draws of the noise that are averaged.
    alpha, replicates, rng
        Level and replicates of the bootstrap intervals; rng is also for the noise.

    Returns
    -------
    DataFrame
        One row a model and level: `model`, `level`, `auc`, `low`, `high`; and its lead over the first
        model, `ahead`, with an interval from the same draws of rows and noise, `ahead_low`,
        `ahead_high` (nan for the first).

    Raises
    ------
    ValueError
        If a column is missing or not what it must be, a label doesn't occur, there is no model, a
        variance or level is negative, or a model doesn't give one finite score a row.

    Examples
    --------
    Two kinds of rows, 2 apart on the sensor. Noise of variance 2 lets a random pair's order be right with
    the chance that a standard normal lies below 2 / sqrt(2 + 2) = 1, which is 0.84:

    >>> rows = pd.DataFrame({"user_id": range(1000), "y": [0, 1] * 500, "f_motion": [-1.0, 1.0] * 500})
    >>> told = injected_noise_curve(rows, {"motion": lambda rows: rows["f_motion"]}, noise={"f_motion": 2.0},
    ...     levels=(0, 1), replicates=20)
    >>> told["auc"].round(1).tolist()
    [1.0, 0.8]
    """
    level(alpha), count("copies", copies), count("replicates", replicates)
    if not models:
        raise ValueError("models: got none; give at least one name=callable")
    if not len(levels):
        raise ValueError("levels: got none; give at least one multiple")
    table = read_columns(rows, "rows", [unit, y, *noise], labels=[y], numbers=list(noise), keep=True)
    if table[y].nunique() < 2:
        raise ValueError(f"{y}: got only {table[y].iloc[0]} in rows; both 0 and 1 must occur")
    draw = np.random.default_rng(rng)
    # The same draws at every level, only longer: what changes along the curve is the level.
    seeds = draw.integers(2**63, size=copies)
    drawn, code = _draws(table[unit], replicates, draw)
    records = []
    for multiple in levels:
        added = {column: _variance("levels", multiple) * _variance(column, v) for column, v in noise.items()}
        noisy = [inject(table, added, rng=int(seed)) for seed in seeds]
        first: tuple[float, np.ndarray] | None = None
        for name, model in models.items():
            ranked = [Ranking(table[y], _scores(name, model, copy)) for copy in noisy]
            whole = float(np.mean([one.auc() for one in ranked]))
            redrawn = np.array([np.mean([one.auc(times[code]) for one in ranked]) for times in drawn])
            low, high = interval(redrawn, alpha=alpha)
            record = {"model": name, "level": float(multiple), "auc": whole, "low": low, "high": high}
            if first is None:
                first = whole, redrawn
                record |= dict.fromkeys(("ahead", "ahead_low", "ahead_high"), math.nan)
            else:
                # Both models saw the same rows and noise, so what they share cancels.
                low, high = interval(redrawn - first[1], alpha=alpha)
                record |= {"ahead": whole - first[0], "ahead_low": low, "ahead_high": high}
            records.append(record)
    return pd.DataFrame(records)


def _draws(unit: pd.Series, replicates: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    code, names = pd.factorize(unit)
    return bootstrap(lambda times: times, np.arange(len(names)), replicates=replicates, rng=rng), code


def _scores(name: str, model: Callable[[pd.DataFrame], Any], rows: pd.DataFrame) -> np.ndarray:
    scores = np.asarray(model(rows), dtype=float)
    if scores.shape != (len(rows),) or not np.isfinite(scores).all():
        raise ValueError(f"models: got scores of shape {scores.shape} from {name}; one finite score a row")
    return scores


def _variance(name: str, value: float) -> float:
    if number(name, value) < 0:
        raise ValueError(f"{name}: got {value!r}; a variance isn't negative")
    return float(value)
