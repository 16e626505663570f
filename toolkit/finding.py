"""What does a diagnostic tell, and what can it not tell?"""

from __future__ import annotations

import html
import math
import textwrap
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    import altair as alt
    import pandas as pd

# A path of thousands of rows is for `table`, not for the page.
_ROWS = 20
# Characters of a chart's title that a window of 360 pixels shows.
_TITLE = 44


@dataclass(frozen=True)
class Finding:
    """The answer of a diagnostic: an effect size with its interval, a verdict, and what stays open.

    Parameters
    ----------
    estimate : float
        The effect size, in `unit`; nan where the evidence defines none.
    ci : pair of float
        Interval of the estimate at level `1 - alpha`, lower end first; nan twice where the evidence
        defines none.
    verdict : str
        One sentence: what a colleague should conclude.
    unit : str
        Unit of `estimate`, `se` and `ci`; empty for a pure number.
    se : float
        Standard error of the estimate; nan where none is defined.
    p : float or None
        P-value of "no effect", where such a test exists.
    n : int
        Rows that the estimate stands on; 0 where they aren't known.
    n_clusters : int or None
        Independent units among them (users, unless the diagnostic says otherwise).
    alpha : float
        One minus the level of the interval.
    table : DataFrame or None
        One row per part of the answer.
    assumptions : tuple of str
        What must hold for the interval to mean what it says.
    cannot_tell : tuple of str
        Explanations that this evidence can't separate.

    Raises
    ------
    ValueError
        If the interval's ends are swapped, `p` is no probability, `n` or `se` is negative, `alpha`
        isn't strictly between 0 and 1, or the verdict is empty.

    Examples
    --------
    >>> finding = Finding(0.031, (0.012, 0.050), "The treatment is better.", se=0.0097, p=0.0014, n=2000)
    >>> print(finding)
    The treatment is better.
      estimate 0.031, 95% interval 0.012 to 0.05, p = 0.0014, n = 2,000
    """

    estimate: float
    ci: tuple[float, float]
    verdict: str
    unit: str = ""
    se: float = math.nan
    p: float | None = None
    n: int = 0
    n_clusters: int | None = None
    alpha: float = 0.05
    table: pd.DataFrame | None = field(default=None, repr=False, compare=False)
    assumptions: tuple[str, ...] = ()
    cannot_tell: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.verdict.strip():
            raise ValueError("verdict: got an empty string; it must say in one sentence what to conclude")
        if self.ci[0] > self.ci[1]:
            raise ValueError(f"ci: got {self.ci}; the lower end must come first")
        if self.p is not None and not 0 <= self.p <= 1:
            raise ValueError(f"p: got {self.p}; it must lie in [0, 1]")
        if self.n < 0:
            raise ValueError(f"n: got {self.n}; it must not be negative")
        if self.se < 0:
            raise ValueError(f"se: got {self.se}; it must not be negative")
        if not 0 < self.alpha < 1:
            raise ValueError(f"alpha: got {self.alpha}; it must lie strictly between 0 and 1")
        # NumPy's numbers would be told as such by repr, and refused by json.
        object.__setattr__(self, "estimate", float(self.estimate))
        object.__setattr__(self, "ci", (float(self.ci[0]), float(self.ci[1])))

    def summary(self) -> str:
        """The numbers in one line: estimate, interval, p-value where there is one, sample sizes."""
        unit = f" {self.unit}" if self.unit else ""
        interval = f"{100 * (1 - self.alpha):.4g}% interval {figure(self.ci[0])} to {figure(self.ci[1])}"
        none = math.isnan(self.ci[0]) and math.isnan(self.ci[1])
        parts = [f"estimate {figure(self.estimate)}{unit}", "no interval" if none else interval]
        if self.p is not None:
            parts.append("p < 0.0001" if self.p < 1e-4 else f"p = {self.p:.2g}")
        if self.n:
            parts.append(f"n = {self.n:,}")
        if self.n_clusters is not None:
            parts.append(f"{self.n_clusters:,} clusters")
        return ", ".join(parts)

    def brief(self) -> Finding:
        """The same without its table, for a page that draws the table or has no need of it.

        Examples
        --------
        >>> Finding(0.0, (-1.0, 1.0), "Nothing is decided.", n=3).brief().table is None
        True
        """
        return replace(self, table=None)

    def __str__(self) -> str:
        lines = [self.verdict, f"  {self.summary()}"]
        lines += [f"  assumes: {text}" for text in self.assumptions]
        lines += [f"  cannot tell: {text}" for text in self.cannot_tell]
        if self.table is not None:
            shown = self.table.to_string(index=False, max_rows=_ROWS, float_format=figure, na_rep="")
            lines += ["", shown]
        return "\n".join(lines)

    def _repr_pretty_(self, printer: object, cycle: bool) -> None:
        printer.text(str(self))  # type: ignore[attr-defined]

    def _repr_html_(self) -> str:
        def items(title: str, texts: tuple[str, ...]) -> str:
            rows = "".join(f"<li>{html.escape(text)}</li>" for text in texts)
            return f"<p><em>{title}</em></p><ul>{rows}</ul>" if texts else ""

        table = (
            ""
            if self.table is None
            else self.table.to_html(
                index=False,
                border=0,
                escape=True,
                max_rows=_ROWS,
                float_format=figure,
                formatters=_counts(self.table),
                na_rep="",
            )
        )
        return (
            f'<div class="finding" tabindex="0" role="group" aria-label="Finding"><p><strong>{html.escape(self.verdict)}</strong></p>'
            f"<p>{html.escape(self.summary())}</p>"
            f"{items('Assumes', self.assumptions)}{items('Cannot tell', self.cannot_tell)}{table}</div>"
        )

    def chart(self) -> alt.LayerChart:
        """The estimate as a point, its interval as a line, and zero as the reference."""
        import altair as alt
        import pandas as pd

        label = self.unit or "estimate"
        row = pd.DataFrame(
            {"low": [self.ci[0]], "estimate": [self.estimate], "high": [self.ci[1]], "zero": [0.0]}
        )
        base = alt.Chart(row)
        layers = [
            base.mark_rule(strokeDash=[4, 4]).encode(x=alt.X("zero:Q", title=label)),
            base.mark_rule(strokeWidth=3).encode(x="low:Q", x2="high:Q"),
            base.mark_point(filled=True, size=90).encode(x="estimate:Q"),
        ]
        # In lines that a phone has room for: a longer one would be cut off.
        title = alt.Title(textwrap.wrap(self.verdict, _TITLE))
        return alt.LayerChart(layer=layers, title=title).properties(height=60)


def _counts(table: pd.DataFrame) -> dict[str, Callable[[object], str]]:
    """How to write whole numbers so that their thousands are marked, as those of `figure` are; names stay."""
    whole = (column for column in table if table[column].dtype.kind in "iu")
    return {column: "{:,}".format for column in whole if not str(column).endswith("_id")}


def figure(value: float, *, signed: bool = False) -> str:
    """A number as a sentence holds it: four digits, thousands marked, "undefined" for nan.

    Examples
    --------
    >>> figure(0.031234), figure(-10_090.7), figure(12.5, signed=True), figure(float("nan"))
    ('0.03123', '-10,091', '+12.5', 'undefined')
    """
    if math.isnan(value):
        return "undefined"
    sign = "+" if signed else ""
    return f"{value:{sign},.0f}" if 1000 <= abs(value) < 1e15 else f"{value:{sign}.4g}"
