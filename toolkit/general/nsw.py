"""What do weights recover when the truth is known? A real experiment, beside a survey of other people.

The National Supported Work programme trained men who had been out of work, chosen at random among
those who applied. Against the experiment's own controls the effect on earnings is known; against
men of a survey, who earn far more, it has to be recovered by weights.
"""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import as_file, files

import pandas as pd

from toolkit.finding import Finding
from toolkit.general.mismatch import shift_split
from toolkit.resampling import Estimate
from toolkit.rules import level, one_of

__all__ = ["FEATURE_SETS", "experiment", "nsw", "reweighted"]

_PEOPLE = ("age", "education", "black", "hispanic", "married", "no_degree", "earnings_1974", "earnings_1975")
_IDLE = ("no_earnings_1974", "no_earnings_1975")
_SQUARES = ("age_squared", "education_squared")
# The sets of features that the weights may be made of, from few to many: name to columns.
FEATURE_SETS: dict[str, tuple[str, ...]] = {
    "as they come": _PEOPLE,
    "and had no earnings": (*_PEOPLE, *_IDLE),
    "and squares": (*_PEOPLE, *_IDLE, *_SQUARES),
    "and cubes, products": (*_PEOPLE, *_IDLE, *_SQUARES, "age_cubed", "education_earnings"),
}


@lru_cache(maxsize=1)
def _read() -> pd.DataFrame:
    with as_file(files("toolkit.data") / "nsw.parquet") as path:
        people = pd.read_parquet(path)
    for year in (1974, 1975):
        people[f"no_earnings_{year}"] = (people[f"earnings_{year}"] == 0).astype(int)
    age, education = people["age"].astype(float), people["education"].astype(float)
    people["age_squared"], people["age_cubed"] = age**2, age**3
    people["education_squared"] = education**2
    people["education_earnings"] = education * people["earnings_1974"]
    return people


def nsw() -> pd.DataFrame:
    """The men of the experiment and of the survey, one row a man, earnings in dollars a year.

    `sample` is "trained", "control" or "survey". Besides age, years of education, indicators and
    earnings of 1974, 1975 and 1978 there are the columns made of them that `FEATURE_SETS` names.

    References
    ----------
    LaLonde (1986), American Economic Review; Dehejia and Wahba (1999), JASA.

    Examples
    --------
    >>> nsw()["sample"].value_counts().to_dict()
    {'survey': 15992, 'control': 260, 'trained': 185}
    """
    return _read().copy()


def experiment(*, alpha: float = 0.05) -> Finding:
    """The training's effect on 1978 earnings by the experiment: trained less control, unequal variances.

    Examples
    --------
    >>> round(experiment().estimate)
    1794
    """
    level(alpha)
    people = _read()
    trained, control = (
        people.loc[people["sample"] == name, "earnings_1978"].astype(float) for name in ("trained", "control")
    )
    effect = float(trained.mean() - control.mean())
    se = float((trained.var() / len(trained) + control.var() / len(control)) ** 0.5)
    told = Estimate(effect, se)
    return Finding(
        effect,
        told.interval(alpha),
        f"Trained men earned {effect:,.0f} dollars more in 1978 than men who applied and were not drawn.",
        unit="dollars",
        se=se,
        p=told.p,
        n=len(trained) + len(control),
        alpha=alpha,
        assumptions=("who was trained was drawn at random",),
    )


def reweighted(features: str = "and squares", *, against: str = "survey", alpha: float = 0.05) -> Finding:
    """What the trained earn more than men of another sample, weighted to look like them.

    Parameters
    ----------
    features : str
        One of `FEATURE_SETS`.
    against : "survey" or "control"
        The men who are weighted; the experiment's own controls need no weights, and serve as check.

    Returns
    -------
    Finding
        Of `shift_split`.

    Examples
    --------
    >>> finding = reweighted()
    >>> round(finding.table["size"].iloc[0])
    -8498
    """
    columns = FEATURE_SETS[one_of("features", features, FEATURE_SETS)]
    one_of("against", against, ("survey", "control"))
    people = _read()
    trained, others = people[people["sample"] == "trained"], people[people["sample"] == against]
    return shift_split(others, trained, features=columns, value="earnings_1978", cluster=None, alpha=alpha)
