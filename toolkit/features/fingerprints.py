"""Is this the feature that the model was trained on? Fingerprints, a registry that keeps names, a manifest that pins them."""

from __future__ import annotations

import hashlib
import json
import math
import numbers
import os
import re
import tempfile
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import narwhals as nw
import numpy as np
import pandas as pd

from toolkit.frames import read_columns

__all__ = ["Manifest", "Registry", "VersionMismatch", "fingerprint", "fingerprint_data"]

_LENGTH = 16
# From here on not every whole number is a float.
_LONG = 2.0**53
_NAME = re.compile(r"[a-z][a-z0-9_]*(\.[a-z0-9_]+)*")
_GOLDEN, _ONCE, _TWICE = (
    np.uint64(value) for value in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB)
)


class VersionMismatch(ValueError):
    """A store serves another version of a feature than the model was trained on."""


def fingerprint(definition: Any) -> str:
    """A short text that is the same for equal definitions, in any process, and another for any other.

    Equal are mappings in any order, and 7 and 7.0; texts are equal letter by letter (after Unicode's
    canonical composition), so that reformatted SQL is a new definition.

    Parameters
    ----------
    definition : mapping, list, text, number, bool or None
        All that decides the feature's values: source, window, filter, code. Nested at will.

    Returns
    -------
    str
        Sixteen hexadecimal digits.

    Raises
    ------
    ValueError
        If a part is of another kind (a function's code isn't in its object), or a number isn't finite.

    Examples
    --------
    >>> month = {"source": "clicks", "window_days": 30}
    >>> fingerprint(month) == fingerprint({"window_days": 30.0, "source": "clicks"})
    True
    >>> fingerprint(month) == fingerprint({**month, "window_days": 7})
    False
    """
    text = json.dumps(_canonical(definition, "definition"), ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:_LENGTH]


def _canonical(part: Any, where: str) -> Any:
    if isinstance(part, np.generic):
        part = part.item()
    if part is None or isinstance(part, bool):
        return part
    if isinstance(part, str):
        return unicodedata.normalize("NFC", part)
    if isinstance(part, numbers.Integral):
        return int(part)
    if isinstance(part, numbers.Real):
        value = float(part)
        if not math.isfinite(value):
            raise ValueError(f"{where}: got {part!r}; a number must be finite")
        return int(value) if value.is_integer() else value
    if isinstance(part, Mapping):
        for key in part:
            if not isinstance(key, str):
                raise ValueError(f"{where}: got the key {key!r}; keys must be texts")
        told = {
            unicodedata.normalize("NFC", key): _canonical(value, f"{where}.{key}")
            for key, value in part.items()
        }
        if len(told) < len(part):
            raise ValueError(f"{where}: got a key twice, in two Unicode forms; each must be there once")
        # As pairs, so that a mapping never equals a list.
        return {"mapping": [[key, told[key]] for key in sorted(told)]}
    if isinstance(part, Sequence) and not isinstance(part, bytes):
        return [_canonical(each, f"{where}[{place}]") for place, each in enumerate(part)]
    raise ValueError(
        f"{where}: got {type(part).__name__}; it must be a text, number, bool, None, or a list or mapping of them"
    )


def _written(part: Any) -> Any:
    """What JSON doesn't know, as what it knows and what has the same fingerprint."""
    if isinstance(part, np.generic):
        return part.item()
    if isinstance(part, Mapping):
        return dict(part)
    return list(part) if isinstance(part, Sequence) else float(part)


def fingerprint_data(frame: Any) -> str:
    """A short text that is the same for equal rows in any order, whichever library or engine holds them.

    The order of rows and columns, the width of whole numbers, and how a missing value is written don't
    count; a row that is there twice does. A flag counts as 1 or 0. A value that was rounded to float32 is
    another value. Times count to the microsecond.

    Parameters
    ----------
    frame : any frame that Narwhals reads
        Columns of numbers, flags, texts, and times with their zone.

    Returns
    -------
    str
        Sixteen hexadecimal digits.

    Raises
    ------
    ValueError
        If there is no row, or a column is of another kind, or has missing values beside whole numbers from
        2 ** 53 on, which libraries round then.

    Examples
    --------
    >>> rows = pd.DataFrame({"item_id": [1, 2], "value": [0.5, None]})
    >>> fingerprint_data(rows) == fingerprint_data(rows.loc[::-1, ["value", "item_id"]])
    True
    >>> fingerprint_data(rows) == fingerprint_data(pd.concat([rows, rows]))
    False
    """
    try:
        schema = nw.from_native(frame).collect_schema()
    except TypeError:
        raise ValueError(
            f"frame: got {type(frame).__name__}; it must be a frame that Narwhals reads"
        ) from None
    except nw.exceptions.DuplicateError:
        raise ValueError("frame: got a column's name twice; each must be there once") from None
    columns = schema.names()
    for column in columns:
        if not isinstance(column, str):
            raise ValueError(f"frame: got the column {column!r}; names must be texts")
    table = read_columns(frame, "frame", columns, missing=columns)
    for column in columns:
        rounded = schema[column].is_integer() and table[column].dtype.kind == "f"
        if rounded and (table[column].abs() >= _LONG).any():
            raise ValueError(
                f"{column}: got missing values beside whole numbers from 2 ** 53 on in frame; make them texts"
            )
    row = np.zeros(len(table), dtype=np.uint64)
    for column in sorted(columns):
        row += _mixed(_hashed(table[column], column) ^ _of_text(column))
    # A sum doesn't depend on the order; unlike an exclusive or, it counts a row that is there twice.
    lanes = [int(_mixed(row ^ seed).sum(dtype=np.uint64)) for seed in (_GOLDEN, _ONCE)]
    told = json.dumps([sorted(columns), len(table), lanes])
    return hashlib.sha256(told.encode()).hexdigest()[:_LENGTH]


def _hashed(values: pd.Series, name: str) -> np.ndarray:
    """A number for each value, equal for equal ones of any width."""
    there = values.notna().to_numpy()
    made = np.full(len(values), _of_text("missing"), dtype=np.uint64)
    if isinstance(values.dtype, pd.DatetimeTZDtype):
        told = values[there].dt.tz_convert("UTC").dt.as_unit("us").astype("int64").to_numpy()
        made[there] = _mixed(told.view(np.uint64) ^ _of_text("time"))
    elif pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_complex_dtype(values):
        known = values.to_numpy()[there]
        # Adding 0 makes the negative zero an ordinary one.
        real = known.astype(np.float64) + 0.0
        told = _mixed(real.view(np.uint64))
        # Such whole numbers have no float of their own; those that no integer holds are floats anyway.
        long = (np.abs(real) >= _LONG) & ((np.abs(real) < 2.0**63) | (known.dtype.kind == "u"))
        whole = known[long].astype(np.uint64 if known.dtype.kind == "u" else np.int64).view(np.uint64)
        told[long] = _mixed(whole ^ _of_text("whole"))
        made[there] = told
    elif values[there].map(lambda value: isinstance(value, str)).all():
        code, words = pd.factorize(values[there])
        of_word = np.array([_of_text(unicodedata.normalize("NFC", word)) for word in words], dtype=np.uint64)
        made[there] = of_word[code] if len(words) else 0
    else:
        raise ValueError(
            f"{name}: got {values.dtype} in frame; it must be numbers, flags, texts, or times with their zone"
        )
    return made


def _mixed(values: np.ndarray) -> np.ndarray:
    """SplitMix64's last step: each bit of the result hangs on all bits of the value."""
    values = (values ^ (values >> np.uint64(30))) * _ONCE
    values = (values ^ (values >> np.uint64(27))) * _TWICE
    return np.asarray(values ^ (values >> np.uint64(31)), dtype=np.uint64)


def _of_text(text: str) -> np.uint64:
    return np.uint64(int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little"))


class Registry:
    """A folder of feature names, each with the fingerprint that it has for good.

    Several processes may register at once: a name is one file, which appears whole or not at all.

    Parameters
    ----------
    folder : path
        Made where it isn't there.

    Examples
    --------
    >>> folder = tempfile.TemporaryDirectory()
    >>> registry = Registry(folder.name)
    >>> month = registry.register("rate_30d.v1", {"window_days": 30})
    >>> registry.register("rate_30d.v1", {"window_days": 30}) == month
    True
    >>> registry.register("rate_30d.v1", {"window_days": 7})
    Traceback (most recent call last):
    ValueError: rate_30d.v1: got fingerprint 4a2cb19033e5d863, but it is registered as 7fa9a6831a84a411; give another definition another name
    >>> folder.cleanup()
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)

    def register(self, name: str, definition: Any) -> str:
        """Give a name to a definition, for good; again with the same definition does nothing.

        Returns
        -------
        str
            The fingerprint.

        Raises
        ------
        ValueError
            If the name has another definition already, or isn't of small letters, digits, underscores
            and single points.
        """
        path, told = self._path(name), fingerprint(definition)
        record = json.dumps({"fingerprint": told, "definition": definition}, default=_written)
        handle, draft = tempfile.mkstemp(dir=self.folder, suffix=".draft")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(record)
                file.flush()
                os.fsync(file.fileno())
            try:
                # Fails where the name is taken, whoever took it a moment ago.
                os.link(draft, path)
            except FileExistsError:
                known = self.fingerprint(name)
                if known != told:
                    raise ValueError(
                        f"{name}: got fingerprint {told}, but it is registered as {known}; give another "
                        "definition another name"
                    ) from None
        finally:
            os.unlink(draft)
        return told

    def fingerprint(self, name: str) -> str:
        """The fingerprint of a name.

        Raises
        ------
        ValueError
            If the name isn't registered.
        """
        return str(self._record(name)["fingerprint"])

    def definition(self, name: str) -> Any:
        """The definition of a name, as it was registered."""
        return self._record(name)["definition"]

    def names(self) -> list[str]:
        """The registered names."""
        return sorted(path.name.removesuffix(".json") for path in self.folder.glob("*.json"))

    def pin(self, model_id: str, names: Sequence[str]) -> Manifest:
        """The manifest of a model that was trained on the named features."""
        if isinstance(names, str) or not len(names):
            raise ValueError(f"names: got {names!r}; it must be a list of one name at least")
        return Manifest(model_id, {name: self.fingerprint(name) for name in names})

    def _record(self, name: str) -> dict[str, Any]:
        try:
            record: dict[str, Any] = json.loads(self._path(name).read_text(encoding="utf-8"))
        except FileNotFoundError:
            known = ", ".join(self.names()) or "none"
            raise ValueError(f"name: got {name!r}; registered are: {known}") from None
        return record

    def _path(self, name: str) -> Path:
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise ValueError(
                f"name: got {name!r}; it must be small letters, digits, underscores, and points between them"
            )
        return self.folder / f"{name}.json"


@dataclass(frozen=True)
class Manifest:
    """What a model must be served: the fingerprint of each feature that it was trained on.

    Parameters
    ----------
    model_id : str
    features : mapping of name to fingerprint
    """

    model_id: str
    features: Mapping[str, str]

    def require(self, served: Mapping[str, str]) -> None:
        """Refuse a store that serves anything else; call it before the first request.

        Parameters
        ----------
        served : mapping of name to fingerprint
            What the store says that it holds; further features do no harm.

        Raises
        ------
        VersionMismatch
            Naming every feature that is missing or has another fingerprint.

        Examples
        --------
        >>> manifest = Manifest("ranker_2", {"rate_30d.v1": "7fa9a6831a84a411"})
        >>> manifest.require({"rate_30d.v1": "7fa9a6831a84a411", "age.v1": "4a2cb19033e5d863"})
        >>> manifest.require({"rate_30d.v1": "4a2cb19033e5d863"})
        Traceback (most recent call last):
        toolkit.features.fingerprints.VersionMismatch: ranker_2: rate_30d.v1 is served as 4a2cb19033e5d863, trained on 7fa9a6831a84a411
        """
        wrong = [
            f"{name} isn't served"
            if name not in served
            else f"{name} is served as {served[name]}, trained on {wanted}"
            for name, wanted in self.features.items()
            if served.get(name) != wanted
        ]
        if wrong:
            raise VersionMismatch(f"{self.model_id}: {'; '.join(wrong)}")
