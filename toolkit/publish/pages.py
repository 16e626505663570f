"""What must change in a finished page so that it loads nothing from elsewhere and all can use it?"""

from __future__ import annotations

from bs4 import BeautifulSoup


def finish(page: str) -> str:
    """The page as published; finishing it twice changes nothing."""
    soup = BeautifulSoup(page, "html.parser")
    _drop_icon_scripts(soup)
    _spy_only_on_contents(soup)
    _mend_roles(soup)
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
