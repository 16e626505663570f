"""How much of a model's mistake does a share of traffic correct? The closed form."""

from __future__ import annotations

import numpy as np
import pandas as pd

from toolkit.rules import count, number, share


def evidence(traffic: float, *, requests: float, items: int) -> float:
    """How often the new model's favourite is shown before the next training: N (f + (1 - f) / K).

    Its own arm shows it at every request; control, which knows of no reason to, at one request in `items`.

    Parameters
    ----------
    traffic : float
        Share of requests that are the new model's.
    requests : float
        Requests between two trainings.
    items : int
        Items among which control's choice is as good as any.

    Examples
    --------
    >>> evidence(0.0, requests=10_000, items=100), evidence(1.0, requests=10_000, items=100)
    (100.0, 10000.0)
    """
    share("traffic", traffic)
    number("requests", requests, above=0)
    count("items", items)
    return requests * (traffic + (1 - traffic) / items)


def correction(traffic: float, *, requests: float = 10_000, items: int = 100, worth: float = 1000) -> float:
    """The share of the favourite's over-estimate that one training corrects: n / (n + v / s2).

    Parameters
    ----------
    traffic, requests, items
        As in `evidence`, which is n.
    worth : float
        v / s2: the variance of one impression's outcome over that of the model's mistakes. So many
        impressions weigh as much as what the model believed before.

    Examples
    --------
    >>> round(correction(0.01), 3), round(correction(1.0), 3)
    (0.166, 0.909)
    """
    number("worth", worth, above=0)
    known = evidence(traffic, requests=requests, items=items)
    return known / (known + worth)


def traffic_for(wanted: float, *, requests: float = 10_000, items: int = 100, worth: float = 1000) -> float:
    """The share of traffic at which one training corrects so much of an over-estimate; 0 where control suffices.

    Raises
    ------
    ValueError
        If the whole traffic corrects less.

    Examples
    --------
    >>> round(traffic_for(0.5), 4)
    0.0909
    """
    number("wanted", wanted, above=0, below=1)
    most = correction(1.0, requests=requests, items=items, worth=worth)
    if wanted > most:
        raise ValueError(f"wanted: got {wanted}; all of the traffic corrects {most:.3g}")
    if items == 1:
        return 0.0  # whichever arm a request is in, the item is shown
    needed = worth * wanted / (1 - wanted) / requests
    return max(0.0, (needed - 1 / items) / (1 - 1 / items))


def corrections(*, requests: float = 10_000, items: int = 100, worth: float = 1000) -> pd.DataFrame:
    """`correction` from one request in a thousand to all of them, for a chart: `traffic`, `corrected`.

    Examples
    --------
    >>> corrections().iloc[-1].round(3).tolist()
    [1.0, 0.909]
    """
    shares = np.geomspace(0.001, 1, 31).round(6)
    rows = [(f, correction(f, requests=requests, items=items, worth=worth)) for f in shares.tolist()]
    return pd.DataFrame(rows, columns=["traffic", "corrected"])


def days_to_correct(
    wanted: float, traffic: float, *, requests: float = 10_000, items: int = 100, worth: float = 1000
) -> float:
    """How many days' impressions correct so much of an over-estimate, were the item shown as on the first day.

    Examples
    --------
    >>> round(days_to_correct(0.9, 1.0), 3), round(days_to_correct(0.9, 0.01), 1)
    (0.9, 45.2)
    """
    number("wanted", wanted, above=0, below=1)
    number("worth", worth, above=0)
    daily = evidence(traffic, requests=requests, items=items)
    return worth * wanted / (1 - wanted) / daily
