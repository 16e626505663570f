"""Which glyphs does the site show? Only those go into its pages, as fonts inside the style sheets.

The theme ships Font Awesome whole: 1.5 MB of script on every page, and fonts that browsers refuse
when a page is opened from disk. Formulas need a font with a MATH table, which phones don't have. The
few glyphs that are used weigh some kilobytes and load anywhere.
"""

from __future__ import annotations

import base64
import html
import re
import shutil
from importlib.resources import as_file, files
from io import BytesIO
from pathlib import Path

_FACE = re.compile(r"@font-face\{[^}]*\}")
_CLASS = re.compile(r"\bfa-[a-z0-9-]+")
_CONTENT = re.compile(r'content:\s*"\\(f[0-9a-f]{3})"')
_RULE = re.compile(r'((?:\.fa-[a-z0-9-]+:{1,2}before,?)+)\{content:"\\([0-9a-f]+)"\}')


def inline_icons(site: Path) -> None:
    """Replace the theme's icon fonts by the used glyphs, written into its style sheet; once."""
    for sheet in site.glob("_static/vendor/fontawesome/*/css/all.min.css"):
        css = sheet.read_text(encoding="utf-8")
        fonts = sheet.parent.parent / "webfonts"
        if not fonts.exists():
            continue  # done by an earlier build into the same folder
        names, codes = _used(site)
        rules = [(match.group(0), match.group(1), match.group(2)) for match in _RULE.finditer(css)]
        for rule, selector, code in rules:
            if names & set(_CLASS.findall(selector)):
                codes.add(int(code, 16))
            else:
                css = css.replace(rule, "")
        faces = _FACE.findall(css)
        for face in faces:
            # The older families are other names of the same glyphs; no page of ours uses them.
            css = css.replace(face, _with_glyphs(face, fonts, codes) if "Awesome\\ 6" in face else "")
        sheet.write_text(css, encoding="utf-8")
        shutil.rmtree(fonts)
        shutil.rmtree(sheet.parent.parent / "js", ignore_errors=True)


def _used(site: Path) -> tuple[set[str], set[int]]:
    """Class names of icons in pages and scripts, and glyphs that style sheets name directly."""
    names: set[str] = set()
    codes: set[int] = set()
    for path in site.rglob("*"):
        if "fontawesome" in path.parts:
            continue
        if path.suffix in (".html", ".js"):
            names |= set(_CLASS.findall(path.read_text(encoding="utf-8", errors="replace")))
        elif path.suffix == ".css":
            text = path.read_text(encoding="utf-8", errors="replace")
            codes |= {int(code, 16) for code in _CONTENT.findall(text)}
    return names, codes


def inline_mathematics(site: Path, sheet: Path) -> None:
    """Write a font for the formulas of all pages (STIX Two Math, SIL Open Font License) into a style sheet."""
    used = set("".join(text for page in site.rglob("*.html") for text in _formulas(page)))
    if not used:
        return
    # A browser draws a single letter of a formula with its slanted twin, so both are needed.
    slanted = {chr(0x1D434 + ord(c) - ord("A")) for c in used if "A" <= c <= "Z"}
    slanted |= {"ℎ" if c == "h" else chr(0x1D44E + ord(c) - ord("a")) for c in used if "a" <= c <= "z"}
    slanted |= {chr(0x1D6E2 + ord(c) - ord("Α")) for c in used if "Α" <= c <= "Ω"}
    slanted |= {chr(0x1D6FC + ord(c) - ord("α")) for c in used if "α" <= c <= "ω"}
    with as_file(files("ziamath").joinpath("fonts/STIXTwoMath-Regular.ttf")) as font:
        data = _subset(font, {ord(c) for c in used | slanted})
    css = sheet.read_text(encoding="utf-8").split("\n@font-face", 1)[0]
    face = f"font-family:'Book Math';src:url(data:font/woff;base64,{data}) format('woff')"
    sheet.write_text(f"{css}\n@font-face{{{face}}}\n", encoding="utf-8")


def _formulas(page: Path) -> list[str]:
    found = re.findall(r"<math.*?</math>", page.read_text(encoding="utf-8"), re.S)
    # A root is an element of its own, without the letter that the browser draws for it.
    roots = ["√" * bool(re.search(r"<m(sqrt|root)\b", formula)) for formula in found]
    texts = [html.unescape(re.sub(r"<[^>]*>", "", formula)) for formula in found]
    return [text + root for text, root in zip(texts, roots, strict=True)]


def _with_glyphs(face: str, fonts: Path, codes: set[int]) -> str:
    name = re.findall(r"webfonts/([\w-]+)\.ttf", face)[0]
    data = _subset(fonts / f"{name}.ttf", codes)
    return re.sub(r"src:[^;}]*", f"src:url(data:font/woff;base64,{data}) format('woff')", face)


def _subset(path: Path, codes: set[int]) -> str:
    """The font with only these glyphs and what they are composed of, as base64 of a WOFF file."""
    from fontTools.subset import Options, Subsetter
    from fontTools.ttLib import TTFont

    options = Options()
    options.layout_features = ["*"]
    options.notdef_outline = True
    font = TTFont(path, recalcTimestamp=False)
    subset = Subsetter(options)
    subset.populate(unicodes=codes)
    subset.subset(font)
    font.flavor = "woff"
    file = BytesIO()
    font.save(file)
    return base64.b64encode(file.getvalue()).decode()
