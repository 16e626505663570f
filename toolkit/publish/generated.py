"""How does Markdown that code writes become a part of a page?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from docutils.statemachine import StringList
from sphinx.util.docutils import SphinxDirective

from toolkit.publish.anatomy import Chapter, book


class Generated(SphinxDirective):
    """Put Markdown where the directive stands, its headings too."""

    def markdown(self) -> str:
        """The Markdown."""
        raise NotImplementedError

    def run(self) -> list[Any]:
        """The page's nodes."""
        from docutils import nodes

        holder = nodes.section()
        holder.document = self.state.document
        lines = StringList(self.markdown().splitlines(), source=self.name)
        self.state.nested_parse(lines, 0, holder, match_titles=True)
        return list(holder.children)

    def chapters(self) -> list[Chapter]:
        """The book's chapters; the page is made anew when one of them changes."""
        root = Path(self.env.srcdir)
        found = book(root)
        for chapter in found:
            self.env.note_dependency(str((root / chapter.docname).with_suffix(".ipynb")))
        return found
