"""How does a computed number get into the prose?"""

from __future__ import annotations

import re

from toolkit.explore.mode import render_mode

_MIME = "application/papermill.record/text/plain"


def glue(**numbers: object) -> None:
    """Hand computed numbers, already formatted, to the prose of this page.

    The prose inserts `glue(rate="14.2%")` with MyST's role `{glue:text}`, followed by the name between
    backticks. In a notebook the numbers are printed under the cell.

    Raises
    ------
    ValueError
        If nothing is given, or a value isn't a formatted, non-empty string.

    Examples
    --------
    >>> glue(rate=f"{0.1421:.1%}", looks="5")
    rate = 14.2%
    looks = 5
    """
    if not numbers:
        raise ValueError("glue: got nothing; give at least one name=text")
    for name, text in numbers.items():
        if not isinstance(text, str) or not text.strip():
            raise ValueError(f"{name}: got {text!r}; format the number to text first")
        if re.search(r"\bnan\b|\binf\b", text):
            raise ValueError(f"{name}: got {text!r}; an undefined number can't stand in prose")
    if render_mode() != "static":
        for name, text in numbers.items():
            print(f"{name} = {text}")
        return
    # The record that MyST-NB's glue roles read; written here so that a reader's notebook needn't import Sphinx.
    from IPython.display import display

    for name, text in numbers.items():
        record = {"scrapbook": {"name": name, "mime_prefix": "application/papermill.record/"}}
        display({_MIME: repr(text)}, metadata=record, raw=True)
