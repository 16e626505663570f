"""How does a formula get into a page that loads nothing: as MathML, which browsers draw themselves."""

from __future__ import annotations

from typing import Any

from docutils import nodes


def to_mathml(latex: str, *, display: bool) -> str:
    """MathML of a LaTeX formula, labelled with its source for readers that can't draw it.

    Raises
    ------
    ValueError
        If the formula can't be converted, naming it.

    Examples
    --------
    >>> to_mathml("p < 1", display=False).startswith("<math")
    True
    """
    from html import escape

    from latex2mathml.converter import convert

    try:
        mathml: str = convert(latex.strip(), display="block" if display else "inline")
    except Exception as error:
        raise ValueError(f"latex: got {latex!r}; it must be a formula that MathML has: {error}") from error
    return mathml.replace("<math ", f'<math alttext="{escape(latex.strip(), quote=True)}" ', 1)


def visit_inline(translator: Any, node: nodes.math) -> None:
    """Write an inline formula."""
    translator.body.append(to_mathml(node.astext(), display=False))
    raise nodes.SkipNode


def visit_block(translator: Any, node: nodes.math_block) -> None:
    """Write a displayed formula, in a box of its own that scrolls where the window is narrow."""
    translator.body.append(
        f'<div class="math-block" tabindex="0" role="group" aria-label="Formula">{to_mathml(node.astext(), display=True)}</div>'
    )
    raise nodes.SkipNode
