"""Exercises of the chapter on time travel."""

from __future__ import annotations

import numpy as np
import pandas as pd

from toolkit.exercises import Exercise, Hint
from toolkit.features.asof import asof_join
from toolkit.features.time_travel import fewest_events, leak_auc


def _read(*, corrected: bool = True, late: bool = True, by_event: bool = False) -> float:
    """What the exercise's request reads, with or without the traps."""
    noon = pd.Timestamp("2026-03-02 12:00", tz="UTC")
    hour = pd.Timedelta(hours=1)
    events = [(9, 10, 1.0), (11, 11.5, 2.0)]
    events += [(11, 13, 3.0)] * corrected + [(8, 11.75, 4.0)] * late
    history = pd.DataFrame(
        {
            "entity_id": 7,
            "feature": "x",
            "event_ts": [noon + (event - 12) * hour for event, _, _ in events],
            "available_ts": [noon + ((event if by_event else at) - 12) * hour for event, at, _ in events],
            "value": [value for _, _, value in events],
        }
    )
    if by_event:
        history = history.drop_duplicates("event_ts", keep="last")
    rows = pd.DataFrame({"item_id": [7], "ts": [noon]})
    return float(np.asarray(asof_join(rows, history)["f_x"])[0])


EXERCISES = {
    "ten_coins": Exercise(
        "A feature is the number of heads among ten fair coins and the row's own label, itself a fair coin. What is its "
        "AUC? Three decimals.",
        lambda: leak_auc(10, 0.5),
        0.0015,
        "Good rows have one more than bad ones, which have the sum of ten coins; a tie counts half.",
        (
            Hint(lambda: leak_auc(9, 0.5), "Ten others beside the own one: the sum is of eleven coins."),
            Hint(lambda: leak_auc(10, 0.1), "That is for events that are good one time in ten."),
            Hint(0.5, "That would be the AUC without the own label."),
        ),
    ),
    "fewest": Exercise(
        "One event in twenty is good. How many other events must stand behind the sum at least, for the own label to "
        "add less than 0.01 to an AUC of one half?",
        lambda: fewest_events(0.01, 0.05),
        10.0,
        "The excess falls as 1 / (2 sqrt(pi n p (1 - p))), with the root of n: a tenth of the leak takes a hundred times the "
        "traffic.",
        (
            Hint(lambda: fewest_events(0.01, 0.5), "That is for events that are good half of the time.", 5.0),
            Hint(lambda: fewest_events(0.1, 0.05), "That is for an excess of 0.1.", 5.0),
            Hint(lambda: fewest_events(0.01, 0.1), "That is for one event in ten, as above.", 10.0),
        ),
    ),
    "four_values": Exercise(
        "At noon a request asks for a feature. The history holds four values: 1 of an event at 9:00, available at 10:00; 2 of "
        "an event at 11:00, available at 11:30; 3, a correction of the 11:00 event, available at 13:00; 4 of an event at 8:00 "
        "that came in late, available at 11:45. Which value does the request get?",
        _read,
        0.1,
        "The newest event that could be read at noon is that of 11:00, and its correction wasn't there yet.",
        (
            Hint(
                lambda: _read(by_event=True), "The correction describes an earlier event, but came at 13:00."
            ),
            Hint(4.0, "It came in last, and tells of the oldest event: a newer one was already there."),
            Hint(1.0, "A newer event's value could be read at noon."),
        ),
    ),
}
