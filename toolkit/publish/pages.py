"""What must change in a finished page so that it loads nothing from elsewhere and all can use it?"""

from __future__ import annotations

import re

from bs4 import BeautifulSoup

# A number or a time: it is read against those above and below it, and must not break at its hyphen.
_NUMBER = re.compile(r"[-+]?[\d,]*\.?\d+(e[-+]\d+)?%?|\d{4}-\d\d-\d\d.*|-?inf|NaN|")


def finish(page: str) -> str:
    """The page as published; finishing it twice changes nothing."""
    soup = BeautifulSoup(page, "html.parser")
    _drop_icon_scripts(soup)
    _spy_only_on_contents(soup)
    _mend_roles(soup)
    _align_columns(soup)
    return str(soup)


def _drop_icon_scripts(soup: BeautifulSoup) -> None:
    # Icons come from the style sheet (`toolkit.publish.fonts`), not from fonts and scripts of the theme.
    for tag in soup.select(
        'link[rel="preload"][as="font"], script[src*="fontawesome"], link[href*="fontawesome"][as]'
    ):
        tag.decompose()


def _spy_only_on_contents(soup: BeautifulSoup) -> None:
    # Without a table of contents, Bootstrap takes every link of the page for one and raises on our links to states.
    body = soup.body
    if body is not None and body.get("data-bs-spy") and not soup.select_one(".bd-toc-nav"):
        for name in ("data-bs-spy", "data-bs-target", "data-bs-root-margin"):
            del body[name]


def _mend_roles(soup: BeautifulSoup) -> None:
    """Roles and headers that axe reports and readers with a screen reader stumble over."""
    for sidebar in soup.select(".bd-sidebar-primary"):
        sidebar["role"] = "complementary"
        sidebar["aria-label"] = "Site"
    for entry in soup.select('.citation[role="doc-biblioentry"]'):
        entry["role"] = "listitem"  # a deprecated role, and its parent is a list
    wide = [*soup.select(".pst-scrollable-table-container")]
    for output in soup.select(".output.text_html"):
        if output.select_one("table.dataframe") and not output.select_one(".finding"):
            wide.append(output)
    for table in wide:
        table["tabindex"] = "0"  # it scrolls where the window is narrow, and must do so without a mouse
        table["role"] = "group"
        table["aria-label"] = "Table"
    for toggle in soup.select("summary:has(.toctree-toggle)"):
        chapter = toggle.find_parent("li")
        link = chapter.find("a") if chapter else None
        toggle["aria-label"] = f"Sections of {link.get_text(strip=True)}" if link else "Sections"
    for parameters in soup.select("dt.sig dl"):
        # A signature of several lines, which Sphinx writes as a list of definitions without terms.
        parameters.name, parameters["class"] = "div", "sig-parameters"
        for line in parameters.find_all("dd"):
            line.name = "div"
    for head in soup.select("thead th"):
        if not head.get_text(strip=True):
            head.name = "td"  # the corner of a table is no header of anything


def _align_columns(soup: BeautifulSoup) -> None:
    # The theme sets heads to the right and cells to the left: a head stands over its neighbour's cells.
    for table in soup.select("table.dataframe"):
        rows = [row.find_all(["th", "td"], recursive=False) for row in table.select("tr")]
        body = [row.find_all(["th", "td"], recursive=False) for row in table.select("tbody tr")]
        if not body or len({len(row) for row in rows}) != 1:
            continue  # cells that span others
        for place in range(len(rows[0])):
            if all(_NUMBER.fullmatch(row[place].get_text(strip=True)) for row in body):
                for row in rows:
                    row[place]["class"] = "number"
