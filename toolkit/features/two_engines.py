"""What do eight real disagreements between offline and serving code cost a model?"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache

import numpy as np
import pandas as pd
import pyarrow as pa

from toolkit.auc import auc
from toolkit.features.differences import differs
from toolkit.features.engines import compute
from toolkit.features.specification import Specification, read_events, read_requests
from toolkit.world.policies import fit_logistic

__all__ = ["CODES", "DISCREPANCIES", "Discrepancy", "Model", "TwoEngines", "two_engines"]

START = pd.Timestamp("2026-03-02", tz="UTC")
PLACES = tuple(f"place_{place:02}" for place in range(50))
CITIES = [
    "Zürich",
    "Genève",
    "Köln",
    "Düsseldorf",
    "München",
    "Nürnberg",
    "Besançon",
    "Orléans",
    "Málaga",
    "Córdoba",
    "Kraków",
    "Łódź",
    "Gdańsk",
    "Brno",
    "Lyon",
    "Nice",
    "Turin",
    "Porto",
    "Gent",
    "Aarhus",
]
# Dense, as a database gives them out.
FIRST_SELLER, SELLERS = 2**24 + 4_000, 400


@dataclass(frozen=True)
class Discrepancy:
    """One column in which serving differs from the specification, and how.

    Parameters
    ----------
    name : str
        As the demo calls it.
    column : str
    engine, decision : str
        Whose habit in what serving follows; or, with `served_as`, nobody's.
    served_as : Specification or None
        The feature that serving computes instead.
    """

    name: str
    column: str
    engine: str
    decision: str = ""
    served_as: Specification | None = None


_FEATURES = (
    Specification("f_seller", "seller", "latest", days=60),
    Specification("f_average", "amount", "mean", days=14, empty=0.0),
    Specification("f_yesterday", "amount", "count", days=1, zone="Europe/Berlin"),
    Specification("f_week", "amount", "count", days=7),
    Specification("f_place", "place", "latest", days=60, holds_text=True, categories=PLACES),
    Specification("f_spend", "amount", "sum", days=30, log="e", digits=6, empty=0.0),
    Specification("f_price", "price", "mean", days=30, empty=0.0),
    Specification("f_city", "city", "latest", days=60, holds_text=True, categories=tuple(CITIES)),
)
# The columns whose numbers are names: the model looks up what it learnt of each.
CODES = ("f_seller", "f_place", "f_city")
# The eight that the chapter serves: each with its column, the engine, and the decision that it left to habit.
DISCREPANCIES = (
    Discrepancy("Seller ids in float32", "f_seller", "pandas", "float32"),
    Discrepancy("NaN spreads", "f_average", "DuckDB", "missing"),
    Discrepancy("Server's midnight", "f_yesterday", "Python", "day"),
    Discrepancy("Window holds both ends", "f_week", "DuckDB", "edges"),
    Discrepancy("Places in another order", "f_place", "Python", "categories"),
    Discrepancy("Decimal logarithm", "f_spend", "DuckDB", "log"),
    Discrepancy("Six decimals", "f_price", "Python", "", replace(_FEATURES[6], digits=6)),
    Discrepancy("City as typed", "f_city", "pandas", "text"),
)


@dataclass(frozen=True)
class Model:
    """A logistic model of the eight features; of a code it knows the log odds of its training rows.

    Parameters
    ----------
    weights : array
        The intercept first, then one a column.
    codes : mapping of column to Series
        From code to log odds.
    """

    weights: np.ndarray
    codes: Mapping[str, pd.Series] = field(repr=False)

    def inputs(self, rows: pd.DataFrame) -> pd.DataFrame:
        """What the weights multiply: codes looked up (0 where unknown), missing numbers filled with 0."""
        looked_up = {name: rows[name].map(self.codes[name]) for name in self.codes}
        return rows.assign(**looked_up).fillna(0.0).astype(float)

    def parts(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Each column's part of the score."""
        return self.inputs(rows) * self.weights[1:]

    def __call__(self, rows: pd.DataFrame) -> np.ndarray:
        """The score."""
        return np.asarray(self.weights[0] + self.parts(rows).sum(axis=1), dtype=float)


@dataclass(frozen=True)
class TwoEngines:
    """A model trained on features as specified, and the same features as serving computes them.

    Parameters
    ----------
    events : Table
        The users' orders.
    requests : DataFrame
        The requests that are judged: `row_id`, `entity_id` (the user), `ts`.
    right, served : DataFrame
        The features of those, as specified and with all eight discrepancies.
    y : array
    model : Model
    """

    events: pa.Table = field(repr=False)
    requests: pd.DataFrame = field(repr=False)
    right: pd.DataFrame = field(repr=False)
    served: pd.DataFrame = field(repr=False)
    y: np.ndarray = field(repr=False)
    model: Model = field(repr=False)

    @property
    def features(self) -> tuple[Specification, ...]:
        """The specification."""
        return _FEATURES

    @cached_property
    def _parts(self) -> dict[str, dict[str, np.ndarray]]:
        sides = {"right": self.right, "served": self.served}
        return {
            side: {name: part.to_numpy() for name, part in self.model.parts(rows).items()}
            for side, rows in sides.items()
        }

    @cached_property
    def _differs(self) -> dict[str, np.ndarray]:
        return {name: differs(self.served[name], self.right[name]) for name in self.right}

    def auc(self, served: Collection[str] = ()) -> float:
        """The AUC with these columns as serving computes them and the others as specified."""
        chosen = [self._parts["served" if name in served else "right"][name] for name in self.right]
        return auc(self.y, np.sum(chosen, axis=0))

    def rate(self, served: Collection[str]) -> float:
        """The share of rows in which any of these columns differs."""
        return float(np.logical_or.reduce([self._differs[name] for name in served]).mean()) if served else 0.0

    def tables(self) -> tuple[pd.DataFrame, pd.DataFrame]:
        """What was served and what was recomputed, as `parity` reads them: with ids, users, times, labels."""
        ids = pd.DataFrame(
            {
                "request_id": self.requests["row_id"],
                "item_id": 0,
                "user_id": self.requests["entity_id"],
                "ts": self.requests["ts"],
            }
        )
        return pd.concat([ids, self.served], axis=1), pd.concat([ids, self.right], axis=1).assign(y=self.y)


@lru_cache(maxsize=2)
def two_engines(*, users: int = 1_200, requests: int = 8_000, rng: int = 0) -> TwoEngines:
    """FooBar's orders and requests of six weeks, a model trained on half of the requests, and the other half.

    Every served column is really computed: by the engine whose habit it follows.

    Examples
    --------
    >>> small = two_engines(users=60, requests=400)
    >>> small.right.columns.tolist() == [feature.name for feature in small.features], len(small.y)
    (True, 200)
    """
    draw = np.random.default_rng(rng)
    events, asked = _events_and_requests(users, requests, draw)
    tables = read_events(events, _FEATURES), read_requests(asked)
    right = compute(_FEATURES, *tables, engine="pandas").drop(columns="row_id")
    y = _labels(right, draw)
    train = np.arange(requests) % 2 == 0
    model = _fitted(right[train], y[train])
    judged = asked[~train].reset_index(drop=True)
    served = {}
    for each in DISCREPANCIES:
        feature = next(feature for feature in _FEATURES if feature.name == each.column)
        naive = {each.decision} if each.decision else set()
        found = compute([each.served_as or feature], tables[0], judged, engine=each.engine, naive=naive)
        served[each.column] = found[each.column]
    # As it goes over the wire.
    served["f_price"] = pd.Series(json.loads(json.dumps(served["f_price"].tolist())))
    right = right[~train].reset_index(drop=True)
    return TwoEngines(events, judged, right, pd.DataFrame(served)[right.columns], y[~train], model)


def _events_and_requests(
    users: int, requests: int, draw: np.random.Generator
) -> tuple[pa.Table, pd.DataFrame]:
    minutes = 60 * 24 * 42
    hour = np.clip(draw.normal(17, 4, requests), 0, 23.9)
    day = draw.integers(21, 42, requests)
    moment = (60 * 24 * day + 60 * hour).astype(int)
    asked = pd.DataFrame(
        {
            "row_id": np.arange(requests),
            "entity_id": draw.integers(0, users, requests),
            "ts": START + pd.to_timedelta(moment, unit="min"),
        }
    )
    many = users * 20
    habit = draw.gamma(2.0, 0.5, users)
    who = draw.choice(users, many, p=habit / habit.sum())
    when = draw.integers(0, minutes, many)
    # Opening the app is logged as an event too, with the request's own time.
    opened = draw.random(requests) < 0.3
    who, when = np.r_[who, asked["entity_id"][opened]], np.r_[when, moment[opened]]
    n = len(who)
    level = draw.normal(0, 0.5, users)[who]
    amount = np.rint(np.exp(7.5 + level + draw.normal(0, 0.8, n)))
    amount[draw.random(n) < 0.006] = np.nan
    home = draw.choice(len(CITIES), users)[who]
    spelled = np.array(CITIES, dtype=object)[home]
    odd = draw.random(n)
    texts = [
        "test account"
        if o < 0.04
        else unicodedata.normalize("NFD", text)
        if o < 0.07
        else text.upper()
        if o < 0.2
        else text
        for text, o in zip(spelled, odd, strict=True)
    ]
    weights = 1 / np.arange(1, len(PLACES) + 1) ** 0.7
    table = {
        "event_id": np.arange(n),
        "entity_id": who,
        "ts": pa.array(START + pd.to_timedelta(when, unit="min"), pa.timestamp("us", tz="UTC")),
        "amount": pa.array(amount, pa.float64()),
        "price": np.rint(np.exp(1.5 + level / 2 + draw.normal(0, 0.5, n))),
        "balance": np.rint(draw.normal(0, 2_000, n)),
        "seller": FIRST_SELLER + draw.integers(0, SELLERS, n),
        "place": draw.permutation(PLACES)[draw.choice(len(PLACES), n, p=weights / weights.sum())],
        "city": texts,
    }
    return pa.table(table), asked


def _labels(right: pd.DataFrame, draw: np.random.Generator) -> np.ndarray:
    """Labels from a logistic law of the features; test accounts hardly ever act."""
    city = np.r_[draw.normal(0, 0.3, len(CITIES)), -3.0]
    effects = {
        "f_seller": draw.normal(0, 0.8, SELLERS),
        "f_place": np.r_[draw.normal(0, 0.8, len(PLACES)), 0.0],
        "f_city": city,
    }
    logit = np.full(len(right), -1.0)
    for name, effect in effects.items():
        code = right[name].to_numpy() - (FIRST_SELLER if name == "f_seller" else 0)
        known = np.isfinite(code)
        logit[known] += effect[code[known].astype(int)]
    number = {name: right[name].to_numpy() for name in right}
    logit += 0.25 * np.log1p(number["f_yesterday"]) - 0.15 * (number["f_week"] - 3)
    logit += 0.3 * (number["f_spend"] - 9) + 0.4 * (number["f_price"] / 5 - 1)
    logit += 0.6 * (number["f_average"] / 1000 - 2)
    return (draw.random(len(right)) < 1 / (1 + np.exp(-logit))).astype(float)


def _fitted(rows: pd.DataFrame, y: np.ndarray) -> Model:
    """Log odds of each code, drawn towards the mean as by 10 rows of it; then a logistic model of all."""
    base = float(y.mean())
    codes = {}
    for name in CODES:
        by_code = pd.Series(y).groupby(rows[name].to_numpy())
        rate = (by_code.sum() + 10 * base) / (by_code.count() + 10)
        codes[name] = np.log(rate / (1 - rate)) - np.log(base / (1 - base))
    unfitted = Model(np.zeros(rows.shape[1] + 1), codes)
    inputs = unfitted.inputs(rows)
    scale = inputs.std().replace(0.0, 1.0)
    weights = fit_logistic(inputs / scale, y)
    return Model(np.r_[weights[0], weights[1:] / scale.to_numpy()], codes)
