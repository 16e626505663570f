"""In what do a notebook and production differ, one switch at a time?"""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd


@dataclass(frozen=True)
class Mechanism:
    """One difference between the notebook and production, with its setting in each."""

    label: str
    notebook: str
    production: str


# The order is that of the story: from how rows are chosen to what is done with their scores.
MECHANISMS: dict[str, Mechanism] = {
    "population": Mechanism(
        "Rank real candidates",
        "held-out rows that the old policy showed, in slates made at random",
        "all candidates of each request",
    ),
    "as_of": Mechanism(
        "Feature as of the request",
        "the whole day's click rate, which holds the row's own label and the day's future",
        "what had happened before the request",
    ),
    "lag": Mechanism(
        "Feature served a day late", "no delay", "the value that stood in the store a day earlier"
    ),
    "missing": Mechanism("Keys missing in the store", "every key is found", "a missing key is served as 0"),
    "labels": Mechanism(
        "Expected outcome, not held-out labels",
        "the labels of the same days that the model was trained on",
        "the expected outcome of what is shown",
    ),
    "light_ranker": Mechanism(
        "Light ranker in front", "no filter", "only the old score's best five candidates reach the model"
    ),
}


def differences() -> pd.DataFrame:
    """The mechanisms in words, one row each: `switch`, `in the notebook`, `in production`.

    Examples
    --------
    >>> len(differences())
    6
    """
    rows = [(each.label, each.notebook, each.production) for each in MECHANISMS.values()]
    return pd.DataFrame(rows, columns=["switch", "in the notebook", "in production"])
