"""What must change in a finished page so that it loads nothing from elsewhere and all can use it?"""

from __future__ import annotations

import re
from collections import defaultdict

from bs4 import BeautifulSoup, Tag

# A number or a time: it is read against those above and below it, and must not break at its hyphen.
_NUMBER = re.compile(r"[-+]?[\d,]*\.?\d+(e[-+]\d+)?%?|\d{4}-\d\d-\d\d.*|-?inf|NaN|")


def finish(page: str) -> str:
    """The page as published; finishing it twice changes nothing."""
    soup = BeautifulSoup(page, "html.parser")
    _drop_icon_scripts(soup)
    tags = _tags(soup)
    _spy_only_on_contents(soup, tags)
    _mend_roles(tags)
    _align_columns(tags)
    return str(soup)


def _tags(soup: BeautifulSoup) -> dict[str, list[Tag]]:
    """Tags by name, and by class with a dot before it: one walk through the page, where each CSS selector is one."""
    tags: dict[str, list[Tag]] = defaultdict(list)
    for tag in soup.find_all(True):
        tags[tag.name].append(tag)
        for name in tag.get("class") or ():
            tags[f".{name}"].append(tag)
    return tags


def _drop_icon_scripts(soup: BeautifulSoup) -> None:
    # Icons come from the style sheet (`toolkit.publish.fonts`), not from fonts and scripts of the theme.
    for tag in soup.find_all(["link", "script"]):
        of_icons = "fontawesome" in (tag.get("src") or tag.get("href") or "")
        if (tag.name == "script" and of_icons) or (
            tag.name == "link" and tag.get("as") and (of_icons or tag["as"] == "font")
        ):
            tag.decompose()


def _spy_only_on_contents(soup: BeautifulSoup, tags: dict[str, list[Tag]]) -> None:
    # Without a table of contents, Bootstrap takes every link of the page for one and raises on our links to states.
    body = soup.body
    if body is not None and body.get("data-bs-spy") and not tags[".bd-toc-nav"]:
        for name in ("data-bs-spy", "data-bs-target", "data-bs-root-margin"):
            del body[name]


def _mend_roles(tags: dict[str, list[Tag]]) -> None:
    """Roles and headers that axe reports and readers with a screen reader stumble over."""
    for sidebar in tags[".bd-sidebar-primary"]:
        sidebar["role"] = "complementary"
        sidebar["aria-label"] = "Site"
    for entry in tags[".citation"]:
        if entry.get("role") == "doc-biblioentry":
            entry["role"] = "listitem"  # a deprecated role, and its parent is a list
    wide = [*tags[".pst-scrollable-table-container"]]
    for frame in tags[".dataframe"]:
        output = frame.find_parent(class_="text_html")
        if output and "output" in output["class"] and not output.find(class_="finding"):
            wide.append(output)
    for table in wide:
        table["tabindex"] = "0"  # it scrolls where the window is narrow, and must do so without a mouse
        table["role"] = "group"
        table["aria-label"] = "Table"
    for toggle in tags["summary"]:
        if not toggle.find(class_="toctree-toggle"):
            continue
        chapter = toggle.find_parent("li")
        link = chapter.find("a") if chapter else None
        toggle["aria-label"] = f"Sections of {link.get_text(strip=True)}" if link else "Sections"
    for signature in tags[".sig"]:
        if signature.name != "dt":
            continue
        for parameters in signature.find_all("dl"):
            # A signature of several lines, which Sphinx writes as a list of definitions without terms.
            parameters.name, parameters["class"] = "div", "sig-parameters"
            for line in parameters.find_all("dd"):
                line.name = "div"
    for head in tags["thead"]:
        for cell in head.find_all("th"):
            if not cell.get_text(strip=True):
                cell.name = "td"  # the corner of a table is no header of anything


def _align_columns(tags: dict[str, list[Tag]]) -> None:
    # The theme sets heads to the right and cells to the left: a head stands over its neighbour's cells.
    for table in tags[".dataframe"]:
        rows = [row.find_all(["th", "td"], recursive=False) for row in table.find_all("tr")]
        body = [
            row.find_all(["th", "td"], recursive=False)
            for part in table.find_all("tbody")
            for row in part.find_all("tr")
        ]
        if table.name != "table" or not body or len({len(row) for row in rows}) != 1:
            continue  # cells that span others
        for place in range(len(rows[0])):
            if all(_NUMBER.fullmatch(row[place].get_text(strip=True)) for row in body):
                for row in rows:
                    row[place]["class"] = "number"
