"""Do three engines that run one specification agree, and where each follows its habits, which habit is it?"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from toolkit.features import engine_duckdb, engine_pandas, engine_python
from toolkit.features.specification import DECISIONS, Specification, read_events, read_requests
from toolkit.rules import one_of

__all__ = ["ENGINES", "HABITS", "compute", "disagreements", "golden_rows", "variants"]

# The engines by name: each computes a feature's values from events and requests.
ENGINES = {"pandas": engine_pandas.compute, "DuckDB": engine_duckdb.compute, "Python": engine_python.compute}
# What each decision is where nobody takes it; measured in the tests, written as its users write it.
HABITS: dict[str, dict[str, str]] = {
    "missing": {
        "pandas": "null and NaN are skipped",
        "DuckDB": "null is skipped, NaN makes NaN",
        "Python": "None is left out, NaN makes NaN",
    },
    "empty": {"pandas": "NaN, a count too", "DuckDB": "NULL, a count 0", "Python": "0.0"},
    "edges": {"pandas": "(] of rolling", "DuckDB": "[] of BETWEEN", "Python": "[) of a <= t < b"},
    "day": {"pandas": "UTC's", "DuckDB": "the session's zone", "Python": "the server's zone"},
    "ddof": {"pandas": "n - 1", "DuckDB": "n - 1", "Python": "n (pstdev)"},
    "quantile": {"pandas": "linear", "DuckDB": "nearest rank", "Python": "xs[int(q * n)]"},
    "division": {"pandas": "down", "DuckDB": "towards zero", "Python": "down"},
    "log": {"pandas": "e", "DuckDB": "10", "Python": "e"},
    "rounding": {
        "pandas": "half to even, after scaling",
        "DuckDB": "half away from zero",
        "Python": "the exact binary value",
    },
    "float32": {"pandas": "float32, to save memory", "DuckDB": "DOUBLE", "Python": "float"},
    "text": {"pandas": "str.lower", "DuckDB": "lower(trim())", "Python": "strip().casefold()"},
    "categories": {
        "pandas": "alphabetical, of the batch",
        "DuckDB": "by frequency",
        "Python": "by first appearance",
    },
    "hash": {"pandas": "hash_array", "DuckDB": "hash()", "Python": "hash(), salted"},
}


def compute(
    features: Sequence[Specification], events: Any, requests: Any, *, engine: str, naive: Collection[str] = ()
) -> pd.DataFrame:
    """The features' values at each request, by one engine: `row_id` and a column each.

    Parameters
    ----------
    features : sequence of Specification
    events : frame
        `event_id`, `entity_id`, `ts` and the features' columns.
    requests : frame
        `row_id`, `entity_id`, `ts`: as of when. The result keeps their order.
    engine : str
        "pandas", "DuckDB" or "Python".
    naive : collection of str
        Decisions that are left to the engine's habits (`HABITS`); none, where all is as specified.

    Raises
    ------
    ValueError
        If an engine, a decision or a feature's name is unknown or twice, or a table isn't what
        `read_events` and `read_requests` ask for.

    Examples
    --------
    >>> events = pd.DataFrame({"event_id": [1, 2], "entity_id": [7, 7], "amount": [250.0, 350.0],
    ...     "ts": pd.to_datetime(["2026-05-01 10:00Z", "2026-05-02 10:00Z"])})
    >>> requests = pd.DataFrame({"row_id": [1], "entity_id": [7], "ts": pd.to_datetime(["2026-05-08 10:00Z"])})
    >>> orders = [Specification("f_orders", "amount", "count", days=7)]
    >>> [int(compute(orders, events, requests, engine=e, naive={"edges"})["f_orders"][0]) for e in ENGINES]
    [1, 2, 2]
    """
    one_of("engine", engine, list(ENGINES))
    for decision in naive:
        one_of("naive", decision, list(DECISIONS))
    names = [feature.name for feature in features]
    if not names or len(set(names)) < len(names):
        raise ValueError(f"features: got {names}; there must be one at least, each once")
    table, asked = _tables(features, events, requests)
    columns = {feature.name: ENGINES[engine](feature, table, asked, naive) for feature in features}
    return pd.DataFrame({"row_id": asked["row_id"], **columns})


def variants(feature: Specification, events: Any, requests: Any) -> dict[str, pd.Series]:
    """What the feature would be by each habit that an engine has for it, where that isn't as specified.

    Returns
    -------
    dict
        From a habit's name, as in "edges (pandas)", to the values at the requests; habits with the same
        values share a name. `parity` names a mismatch after the one that reproduces it.

    Examples
    --------
    >>> events = pd.DataFrame({"event_id": [1, 2], "entity_id": [7, 7], "amount": [250.0, 350.0],
    ...     "ts": pd.to_datetime(["2026-05-01 10:00Z", "2026-05-02 10:00Z"])})
    >>> requests = pd.DataFrame({"row_id": [1], "entity_id": [7], "ts": pd.to_datetime(["2026-05-08 10:00Z"])})
    >>> list(variants(Specification("f_orders", "amount", "count", days=7), events, requests))
    ['edges (pandas)']
    """
    table, asked = _tables([feature], events, requests)
    right = engine_python.compute(feature, table, asked)
    found: list[tuple[pd.Series, dict[str, list[str]]]] = []
    for decision in feature.decisions:
        for name, engine in ENGINES.items():
            values = engine(feature, table, asked, {decision})
            if not _differ(values, right).any():
                continue
            same = next((habits for known, habits in found if not _differ(values, known).any()), None)
            if same is None:
                found.append((values, same := {}))
            same.setdefault(decision, []).append(name)
    return {
        " or ".join(f"{decision} ({', '.join(names)})" for decision, names in habits.items()): values
        for values, habits in found
    }


def disagreements(features: Sequence[Specification], events: Any, requests: Any) -> pd.DataFrame:
    """What each engine makes by its habit of one request where they differ, a row a decision.

    The request is one on which the most engines stray from the specification and from each other; a decision
    on which none does has no row.

    Returns
    -------
    DataFrame
        `decision`, `feature`, a column an engine, and `specified`: values as text.

    Examples
    --------
    >>> events = pd.DataFrame({"event_id": [1, 2], "entity_id": [7, 7], "amount": [250.0, 350.0],
    ...     "ts": pd.to_datetime(["2026-05-01 10:00Z", "2026-05-02 10:00Z"])})
    >>> requests = pd.DataFrame({"row_id": [1], "entity_id": [7], "ts": pd.to_datetime(["2026-05-08 10:00Z"])})
    >>> told = disagreements([Specification("f_orders", "amount", "count", days=7)], events, requests)
    >>> told.to_dict("records")
    [{'decision': 'edges', 'feature': 'f_orders', 'pandas': '1', 'DuckDB': '2', 'Python': '2', 'specified': '2'}]
    """
    table, asked = _tables(features, events, requests)
    rows = []
    for decision in DECISIONS:
        best, most = None, 0
        for feature in (each for each in features if decision in each.decisions):
            right = engine_python.compute(feature, table, asked)
            found = {name: engine(feature, table, asked, {decision}) for name, engine in ENGINES.items()}
            strays = np.sum([_differ(values, right) for values in found.values()], axis=0)
            # Of those on which as many stray, the one on which they differ from each other most.
            apart = pd.DataFrame(found).nunique(axis=1, dropna=False).to_numpy() + right.notna().to_numpy()
            place = int((10 * strays + apart * (strays > 0)).argmax())
            if strays[place] > most:
                most = int(strays[place])
                told = {name: _told(values.iloc[place]) for name, values in found.items()}
                best = {"decision": decision, "feature": feature.name, **told}
                best["specified"] = _told(right.iloc[place])
        if best is not None:
            rows.append(best)
    return pd.DataFrame(rows)


def _told(value: Any) -> str:
    """A value as a reader sees what differs in it: texts by their code points beyond ASCII."""
    if isinstance(value, str):
        return ascii(value)
    return "missing" if pd.isna(value) else f"{value:.10g}"


def golden_rows(feature: Specification, events: Any, requests: Any) -> pd.DataFrame:
    """The fewest requests found on which every habit that ever differs from the specification does.

    Chosen greedily: each next row exposes the most habits that none before it did.

    Returns
    -------
    DataFrame
        `row_id`, `entity_id`, `ts`, `expected` (the value as specified) and `exposes`, the number of
        habits that a row is the first to expose.

    Examples
    --------
    >>> events = pd.DataFrame({"event_id": [1, 2], "entity_id": [7, 7], "amount": [250.0, 350.0],
    ...     "ts": pd.to_datetime(["2026-05-01 10:00Z", "2026-05-02 10:00Z"])})
    >>> requests = pd.DataFrame({"row_id": [1, 2], "entity_id": [7, 7],
    ...     "ts": pd.to_datetime(["2026-05-05 10:00Z", "2026-05-08 10:00Z"])})
    >>> golden_rows(Specification("f_orders", "amount", "count", days=7), events, requests)["row_id"].tolist()
    [2]
    """
    table, asked = _tables([feature], events, requests)
    right = engine_python.compute(feature, table, asked)
    wrong = variants(feature, events, requests)
    exposes = np.array([_differ(values, right) for values in wrong.values()]).reshape(len(wrong), len(asked))
    rows, gains = [], []
    open_ones = np.ones(len(wrong), dtype=bool)
    while open_ones.any():
        gain = exposes[open_ones].sum(axis=0)
        best = int(gain.argmax())
        rows.append(best)
        gains.append(int(gain[best]))
        open_ones &= ~exposes[:, best]
    golden = asked.iloc[rows].assign(expected=right.iloc[rows], exposes=gains)
    return golden.reset_index(drop=True)


def _tables(features: Sequence[Specification], events: Any, requests: Any) -> tuple[pa.Table, pd.DataFrame]:
    table, asked = read_events(events, features), read_requests(requests)
    texts = [
        pa.types.is_string(table["entity_id"].type) or pa.types.is_large_string(table["entity_id"].type),
        not pd.api.types.is_numeric_dtype(asked["entity_id"]),
    ]
    if texts[0] != texts[1]:
        raise ValueError(
            f"entity_id: got {table['entity_id'].type} in events and {asked['entity_id'].dtype} in requests; "
            "they must be of one kind"
        )
    # Of others no engine needs an event.
    ids = pa.array(asked["entity_id"].unique())
    try:
        wanted = pc.is_in(table["entity_id"], value_set=ids.cast(table["entity_id"].type))
    except pa.ArrowInvalid as bad:
        raise ValueError(
            f"entity_id: got {ids.type} in requests and {table['entity_id'].type} in events, which can't hold them "
            f"all ({bad}); they must be of one kind"
        ) from None
    return table.filter(wanted).combine_chunks(), asked


def _differ(values: pd.Series, right: pd.Series) -> np.ndarray:
    """Where two columns differ by more than the last bits; two missing values are equal."""
    both = values.isna().to_numpy() & right.isna().to_numpy()
    if pd.api.types.is_numeric_dtype(right):
        equal = np.isclose(values.to_numpy(float), right.to_numpy(float), rtol=1e-9, atol=0)
    else:
        equal = values.to_numpy(object) == right.to_numpy(object)
    return ~(equal | both)
