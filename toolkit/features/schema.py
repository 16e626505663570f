"""Which features does a store know, and which rows fit them?

Every store passes its rows and questions through one `Schema`, before any work.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple, NoReturn

import numpy as np
import pandas as pd

from toolkit.features.codecs import DTYPES, CodecName, Dtype, Value, encode, fitted, is_unicode
from toolkit.rules import count, one_of

# What names an entity: a whole number or a text; 7 and "7" are two.
EntityId = int | str
# A put is one transaction, and in Redis one command: it has to end.
MOST_ROWS = 100_000

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True)
class Feature:
    """A feature's name, the version of its definition, and the type of its values.

    Parameters
    ----------
    name : str
        Without "@".
    dtype : "float64", "float32", "int64", "bool", "text" or "time"
    version : int
    nullable : bool
        Whether None may be stored: "known to be empty", which isn't "missing".

    Raises
    ------
    ValueError
        If the name is empty or has "@" in it, or there is no such type.

    Examples
    --------
    >>> Feature("f_rate", version=2).id
    'f_rate@2'
    """

    name: str
    dtype: Dtype = "float64"
    version: int = 1
    nullable: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name or "@" in self.name:
            raise ValueError(f"name: got {self.name!r}; a feature's name is text without @")
        one_of("dtype", self.dtype, DTYPES)
        count("version", self.version, least=0)

    @property
    def id(self) -> str:
        """Name and version: what is stored under it never changes its meaning."""
        return f"{self.name}@{self.version}"


class Row(NamedTuple):
    """A value that a feature took: a row of `feature_history`.

    A correction is a new row of the same `event_ts` with a later `available_ts`.
    """

    entity_id: EntityId
    feature: str
    value: Value | None
    event_ts: datetime  # when the event was that the value describes
    available_ts: datetime  # when the value could first be read
    version: int = 1


class Cell(NamedTuple):
    """A checked row as stores keep it."""

    entity: str
    feature: str  # name@version
    event_us: int
    available_us: int
    data: bytes


class Schema:
    """The features that a store knows, and the checks that rows and questions pass before any work.

    Examples
    --------
    >>> Schema([Feature("f_rate"), Feature("f_rate", version=2)]).ask(["f_rate"])
    Traceback (most recent call last):
    ValueError: features: got 'f_rate', of which there are versions 1, 2; say which, as in 'f_rate@2'
    """

    def __init__(self, features: Iterable[Feature]) -> None:
        self.features: dict[str, Feature] = {}
        for feature in features:
            if self.features.setdefault(feature.id, feature) != feature:
                raise ValueError(f"features: got {feature.id} twice; a name and version has one definition")
        if not self.features:
            raise ValueError("features: got none; a store must know the features that it keeps")

    def ask(self, features: Sequence[str]) -> dict[str, Feature]:
        """The features by the names they are asked by: a name that has one version, or name@version."""
        if isinstance(features, str) or not len(features):
            raise ValueError(f"features: got {features!r}; it must be a list of one name at least")
        return {name: self._find(name) for name in features}

    def check(self, rows: Iterable[Row]) -> list[tuple[Row, Feature]]:
        """Rows with their features and values in the declared types; refused as a whole if one is bad."""
        checked: list[tuple[Row, Feature]] = []
        seen = set()
        given = list(rows)
        if len(given) > MOST_ROWS:
            raise ValueError(
                f"rows: got {len(given):,}; a put takes {MOST_ROWS:,} at most, as it is one transaction"
            )
        for place, row in enumerate(given):
            if not isinstance(row, Row):
                raise ValueError(f"rows: got {type(row).__name__} at {place}; each must be a Row")
            feature = self.features.get(f"{row.feature}@{row.version}") or self._refuse(
                row.feature, row.version
            )
            event, available = (
                microseconds("event_ts", row.event_ts),
                microseconds("available_ts", row.available_ts),
            )
            if available < event:
                raise ValueError(
                    f"available_ts: got {row.available_ts} for an event at {row.event_ts}; a value isn't there before its event"
                )
            value = row.value
            if value is not None:
                value = fitted(value, feature.dtype, name=feature.id)
            elif not feature.nullable:
                raise ValueError(f"{feature.id}: got None; it isn't declared nullable")
            key = (entity_key(row.entity_id), feature.id, event, available)
            if key in seen:
                raise ValueError(
                    f"rows: got entity {row.entity_id!r}, {feature.id}, event at {row.event_ts}, available at {row.available_ts} twice; each must be there once"
                )
            seen.add(key)
            checked.append((row._replace(value=value), feature))
        return checked

    def cells(self, rows: Iterable[Row], codec: CodecName) -> list[Cell]:
        """Checked rows with their values encoded."""
        cells = []
        for row, feature in self.check(rows):
            try:
                data = encode(row.value, codec, dtype=feature.dtype)
            except ValueError as bad:
                raise ValueError(f"{feature.id}: {bad}") from None
            cells.append(
                Cell(
                    entity_key(row.entity_id),
                    feature.id,
                    microseconds("event_ts", row.event_ts),
                    microseconds("available_ts", row.available_ts),
                    data,
                )
            )
        return cells

    def keys(self, entity_ids: Sequence[EntityId]) -> dict[EntityId, str]:
        """The entities with their keys, in the order in which they are asked for."""
        if isinstance(entity_ids, str):
            raise ValueError(f"entity_ids: got {entity_ids!r}; it must be a list of ids")
        return {entity: entity_key(entity) for entity in entity_ids}

    def declared(self, codec: CodecName | None = None) -> dict[str, str]:
        """What a store writes down: each feature's `definition`, and the codec of its values (no feature is called so, without @)."""
        told = {name: definition(feature) for name, feature in self.features.items()}
        return told if codec is None else {**told, "codec": codec}

    def agree(self, stored: Mapping[str, str], url: str, *, codec: CodecName | None = None) -> None:
        """Refuse a store in which a name and version, or the bytes of a value, mean something else (by `declared`)."""
        for name, meaning in self.declared(codec).items():
            if stored.get(name, meaning) == meaning:
                continue
            if name == "codec":
                raise ValueError(f"codec: got {codec}; {url} holds values in {stored[name]}")
            raise ValueError(
                f"features: got {name} as {meaning}; {url} has it as {stored[name]}: a changed definition is a new version"
            )

    def _find(self, name: str) -> Feature:
        if name in self.features:
            return self.features[name]
        versions = sorted(feature.version for feature in self.features.values() if feature.name == name)
        if len(versions) > 1:
            raise ValueError(
                f"features: got {name!r}, of which there are versions {', '.join(map(str, versions))}; say which, as in '{name}@{versions[-1]}'"
            )
        if not versions:
            plain, _, version = str(name).partition("@")
            self._refuse(plain, version or None)
        return self.features[f"{name}@{versions[0]}"]

    def _refuse(self, name: str, version: object) -> NoReturn:
        known = [feature for feature in self.features.values() if feature.name == name]
        if known and version is not None:
            versions = ", ".join(str(feature.version) for feature in known)
            raise ValueError(f"version: got {version!s} of {name}; the store knows {versions}")
        names = sorted({feature.name for feature in self.features.values()})
        raise ValueError(f"feature: got {name!r}; the store knows {', '.join(names)}")


def definition(feature: Feature) -> str:
    """A feature's type in words, as stores write it down to hold later users to it.

    Examples
    --------
    >>> definition(Feature("f_rate", nullable=True))
    'float64, nullable'
    """
    return f"{feature.dtype}, nullable" if feature.nullable else feature.dtype


def entity_key(entity_id: EntityId) -> str:
    """An entity's id as text, in which 7 and "7" differ.

    Examples
    --------
    >>> entity_key(7), entity_key("7")
    ('i7', 's7')
    """
    if isinstance(entity_id, str) and entity_id and is_unicode(entity_id):
        return f"s{entity_id}"
    if isinstance(entity_id, int | np.integer) and not isinstance(entity_id, bool):
        return f"i{int(entity_id)}"
    raise ValueError(f"entity_id: got {entity_id!r}; it must be a whole number, or text that isn't empty")


def microseconds(name: str, ts: datetime) -> int:
    """Whole microseconds since 1970, of a time that bears its zone.

    Examples
    --------
    >>> microseconds("now", datetime(2026, 3, 2, 12))
    Traceback (most recent call last):
    ValueError: now: got datetime.datetime(2026, 3, 2, 12, 0); it must be a time with its zone
    """
    if not isinstance(ts, datetime) or ts is pd.NaT or ts.tzinfo is None:
        raise ValueError(f"{name}: got {ts!r}; it must be a time with its zone")
    return (ts - _EPOCH) // _MICROSECOND


def time_of(us: int) -> datetime:
    """The time, in UTC, of so many microseconds since 1970.

    Examples
    --------
    >>> time_of(0).isoformat()
    '1970-01-01T00:00:00+00:00'
    """
    return _EPOCH + us * _MICROSECOND
