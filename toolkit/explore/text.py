"""How does a demo read as plain text: every state and its readout."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from toolkit.explore.demo import Demo


def to_text(demo: Demo) -> str:
    """A table with one line a state: the controls' values and the readout, nothing else."""
    head = [*demo.controls, "readout"]
    rows = [
        [*(control.text(values[name]) for name, control in demo.controls.items()), state.readout]
        for values, state in zip(demo.grid(), demo.states(), strict=True)
    ]
    widths = [max(len(row[place]) for row in [head, *rows]) for place in range(len(head))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in [head, *rows]
    ]
    return "\n".join([f"Demo: {demo.title}", *(line.rstrip() for line in lines)])


def read_text(text: str) -> list[str]:
    """The readouts in a table that `to_text` wrote, in its order.

    Examples
    --------
    >>> read_text("Demo: Title\\nlooks  readout\\n1      5.0% end significant.")
    ['5.0% end significant.']
    """
    _, head, *lines = text.splitlines()
    start = head.index("readout")
    return [line[start:] for line in lines]
