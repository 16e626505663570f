"""What must a notebook's session know so that charts and tables follow the rendering?"""

from __future__ import annotations

import re
from typing import Any

from toolkit.explore.mode import render_mode


def prepare_notebook() -> None:
    """Show charts and tables of this IPython session in the present rendering; nothing outside IPython."""
    try:
        from IPython import get_ipython
    except ImportError:  # pragma: no cover - IPython comes with ipywidgets
        return
    shell = get_ipython()
    if shell is None:
        return
    import altair as alt

    alt.renderers.register("toolkit", _chart_bundle)
    alt.renderers.enable("toolkit")
    if render_mode() == "text":
        # Tables, findings and all else print as text; the committed notebook then holds no HTML.
        shell.display_formatter.active_types = ["text/plain"]


def _chart_bundle(spec: dict[str, Any], **_: object) -> dict[str, str]:
    """A single chart: one line as text, elsewhere a picture that follows light and dark."""
    title = chart_title(spec)
    if render_mode() == "text":
        return {"text/plain": f"Chart: {title}"}
    from toolkit.explore.page import still
    from toolkit.explore.vega import STYLE

    # The site has the style sheet; a notebook has none of ours.
    style = "" if render_mode() == "static" else f"<style>{STYLE}</style>"
    return {"text/plain": f"Chart: {title}", "text/html": style + still(title, spec)}


def chart_title(spec: dict[str, Any]) -> str:
    """The title of a Vega-Lite specification, or what it plots where it has none."""
    title = spec.get("title")
    if isinstance(title, dict):
        title = title.get("text")
    if isinstance(title, list):
        title = " ".join(title)
    if title:
        return str(title)
    fields = dict.fromkeys(re.findall(r"'field': '([^']+)'", str(spec)))
    return ", ".join(fields) or "untitled"
