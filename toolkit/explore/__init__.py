"""Demos that move: one pure function, shown as a widget, as a page without a kernel, or as text.

`explore` turns a function into a `Demo`; the environment variable TOOLKIT_RENDER says how it is
shown (see `toolkit.explore.mode`). `glue` hands computed numbers to the prose of a chapter.
"""

from toolkit.explore.controls import Control, choice, slider, switch
from toolkit.explore.demo import Demo, DemoError, demos, explore
from toolkit.explore.glue import glue
from toolkit.explore.mode import render_mode
from toolkit.explore.notebook import prepare_notebook

__all__ = [
    "Control",
    "Demo",
    "DemoError",
    "choice",
    "demos",
    "explore",
    "glue",
    "render_mode",
    "slider",
    "switch",
]

prepare_notebook()
