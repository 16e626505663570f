"""How are demos, charts and tables shown: live, static or as text?"""

from __future__ import annotations

import os
from typing import Literal, cast

Mode = Literal["live", "static", "text"]
VARIABLE = "TOOLKIT_RENDER"
MODES = ("live", "static", "text")


def render_mode() -> Mode:
    """The rendering that the environment variable TOOLKIT_RENDER asks for.

    Returns
    -------
    "live", "static" or "text"
        `live` (the default): widgets in a notebook; `static`: the published page;
        `text`: what is committed and what the tests compare.

    Raises
    ------
    ValueError
        If the variable holds anything else.

    Examples
    --------
    >>> render_mode() in ("live", "static", "text")
    True
    """
    value = os.environ.get(VARIABLE, "live")
    if value not in MODES:
        raise ValueError(f"{VARIABLE}: got {value!r}; it must be one of {', '.join(MODES)}")
    return cast(Mode, value)
