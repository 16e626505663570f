"""Does a feature's history hold two values of one event that became available at the same time?"""

from __future__ import annotations

from collections.abc import Sequence

import duckdb
import numpy as np

from toolkit.features.sources import Source, identifier, literal

__all__ = ["IN_AN_ARRAY", "check_once", "tied_in_time"]

# From so many events on, repeated ones are looked for in the engine, which goes to disk, not in an array.
IN_AN_ARRAY = 20_000_000
# So few ties in time are looked at one by one.
_FEW = 10_000


def tied_in_time(at: np.ndarray) -> np.ndarray:
    """Where the values stand that became available when another one did (all of them, if very many did).

    Only those can be alike.

    Parameters
    ----------
    at : array of shape (n_values,) of int64
        When each value became available, in microseconds; in any order.

    Returns
    -------
    array of int64
        Places, ascending.

    Examples
    --------
    >>> tied_in_time(np.array([30, 10, 20, 10]))
    array([1, 3])
    """
    # A log comes in order, as a rule.
    if (at[1:] >= at[:-1]).all():
        again = at[1:] == at[:-1]
        return np.flatnonzero(np.append(again, False) | np.insert(again, 0, False))
    places = _alike(at)
    return np.unique(places) if len(places) <= _FEW else np.arange(len(at))


def check_once(
    engine: duckdb.DuckDBPyConnection,
    known: Source,
    entities: Sequence[str],
    names: Sequence[str],
    tied: np.ndarray | None = None,
) -> None:
    """Refuse two values of one feature for one entity and both times; the same value again does no harm.

    Parameters
    ----------
    engine : DuckDB connection
        It knows the table `feature_history`.
    known : Source
        That table.
    entities, names : sequence of str
        The columns that name the entity; the features to look at.
    tied : array, optional
        What `tied_in_time` found; found here where not given, or by the engine in very long tables.

    Raises
    ------
    ValueError
        If there are such two; it names the first.

    Examples
    --------
    >>> import pandas as pd
    >>> from toolkit.features.sources import open_engine, source
    >>> once = pd.Timestamp("2026-03-02", tz="UTC")
    >>> history = pd.DataFrame({"entity_id": 7, "feature": "rate", "event_ts": once, "available_ts": once,
    ...     "value": [0.1, 0.1]})
    >>> engine = open_engine(None)
    >>> check_once(engine, source(engine, history, "feature_history", [*history]), ["entity_id"], ["rate"])
    """
    columns = ", ".join([*map(identifier, entities), "feature", "event_ts", "available_ts"])
    part = f"FROM feature_history WHERE feature IN ({', '.join(map(literal, names))})"
    at = None
    if tied is None and _events(engine) <= IN_AN_ARRAY:
        at = known.microseconds(engine, "available_ts")
        tied = tied_in_time(at)
    if tied is not None and not len(tied):
        return
    if tied is not None and len(tied) > _FEW:
        found = engine.execute(f"SELECT hash({columns}) AS mark FROM feature_history").fetchnumpy()
        if not len(_alike(np.asarray(found["mark"]))):
            return
    elif tied is not None and known.arrow is not None:
        engine.register("tied", known.arrow.take(tied))
        part = part.replace("FROM feature_history", "FROM tied")
    elif tied is not None and at is not None:
        part += f" AND epoch_us(available_ts) IN ({', '.join(map(str, np.unique(at[tied])))})"
    twice = engine.execute(
        f"SELECT {columns} {part} GROUP BY ALL HAVING count(*) > 1 AND"
        " (min(value) IS DISTINCT FROM max(value) OR count(value) NOT IN (0, count(*)))"
        f" ORDER BY {columns} LIMIT 1"
    ).fetchall()
    if twice:
        *entity, feature, event, available = twice[0]
        raise ValueError(
            f"feature_history: got two values of {feature!r} for entity {', '.join(map(str, entity))} at "
            f"{event}, available {available}; one event has one value at a time"
        )


def _alike(marks: np.ndarray) -> np.ndarray:
    """Where the whole numbers stand that are there more than once (some of them where they are very many).

    Each goes to a bucket, which remembers the last that came. Half the time of a sort, as few share one.
    """
    if len(marks) < 2:
        return np.arange(0)
    bits = len(marks).bit_length() + 1
    # Fibonacci hashing: the golden ratio spreads neighbours.
    bucket = marks.view(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    bucket >>= np.uint64(64 - bits)
    bucket = bucket.view(np.int64)
    place = np.arange(len(marks), dtype=np.int32)
    last = np.empty(2**bits, dtype=np.int32)
    last[bucket] = place
    # No bucket is out of bounds; "clip" spares the pass that makes sure.
    met = last.take(bucket, mode="clip")
    rest = np.flatnonzero(met != place)
    left, theirs = marks[rest], met[rest]
    same = left == marks[theirs]
    places = np.concatenate([rest[same], theirs[same]])
    # Two that are alike met the same one: where it isn't theirs, both are left.
    return places if len(places) > _FEW else np.concatenate([places, rest[_alike(left)]])


def _events(engine: duckdb.DuckDBPyConnection) -> int:
    ((count,),) = engine.execute("SELECT count(*) FROM feature_history").fetchall()
    return int(count)
