"""Which icons does the site show? Only those go into its pages, as fonts inside the style sheet.

The theme ships Font Awesome whole: 1.5 MB of script on every page, and fonts that browsers refuse
when a page is opened from disk. The few glyphs that are used weigh some kilobytes and load anywhere.
"""

from __future__ import annotations

import base64
import re
import shutil
from io import BytesIO
from pathlib import Path

_FACE = re.compile(r"@font-face\{[^}]*\}")
_CLASS = re.compile(r"\bfa-[a-z0-9-]+")
_CONTENT = re.compile(r'content:\s*"\\(f[0-9a-f]{3})"')
_RULE = re.compile(r'((?:\.fa-[a-z0-9-]+:{1,2}before,?)+)\{content:"\\([0-9a-f]+)"\}')


def inline(site: Path) -> None:
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


def _with_glyphs(face: str, fonts: Path, codes: set[int]) -> str:
    from fontTools.subset import Options, Subsetter
    from fontTools.ttLib import TTFont

    name = re.findall(r"webfonts/([\w-]+)\.ttf", face)[0]
    options = Options()
    options.notdef_outline = True
    font = TTFont(fonts / f"{name}.ttf", recalcTimestamp=False)
    subset = Subsetter(options)
    subset.populate(unicodes=codes)
    subset.subset(font)
    font.flavor = "woff"
    file = BytesIO()
    font.save(file)
    data = base64.b64encode(file.getvalue()).decode()
    return re.sub(r"src:[^;}]*", f"src:url(data:font/woff;base64,{data}) format('woff')", face)
