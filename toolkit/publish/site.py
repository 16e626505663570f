"""What does Sphinx have to do differently for pages that load nothing from another host?

A Sphinx extension: formulas as MathML, the demos' scripts and styles, and a last pass over each
page as it's written (`toolkit.publish.pages`), over all cores. And what is made from code and
chapters: reference and glossary, the teachers' pages, the links to them (`toolkit.publish.links`).
"""

from __future__ import annotations

import os
import shutil
import sys
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

from toolkit.publish import (
    diagnostics,
    dictionary,
    entries,
    fonts,
    glossary,
    links,
    mathematics,
    pages,
    teaching,
)

_STYLES = {"explore.css": "toolkit.explore", "site.css": "toolkit.publish"}
_SCRIPTS = {"explore.js": "toolkit.explore", "exercise.js": "toolkit.exercises"}
# Docstrings in numpydoc's form; their types are words for readers, not names of classes.
_DOCSTRINGS = {
    "default_role": "literal",
    "add_module_names": False,
    "autodoc_preserve_defaults": True,
    "autodoc_typehints_format": "short",
    "maximum_signature_line_length": 60,
    "napoleon_google_docstring": False,
    "napoleon_use_param": False,
    "napoleon_use_rtype": False,
    "nitpick_ignore_regex": [("py:.*", ".*")],
    "toc_object_entries": False,
}


def setup(app: Any) -> dict[str, Any]:
    """Register this extension with Sphinx."""
    app.add_html_math_renderer(
        "mathml",
        inline_renderers=(mathematics.visit_inline, None),
        block_renderers=(mathematics.visit_block, None),
    )
    # Jupyter Book sets it even where the extension that reads it is left out, and would warn.
    app.add_config_value("comments_config", {}, "html")
    for extension in ("sphinx.ext.autodoc", "sphinx.ext.napoleon"):
        app.setup_extension(extension)
    app.add_directive("data-dictionary", dictionary.DataDictionary)
    app.add_directive("diagnostics", diagnostics.Diagnostics)
    app.add_directive("api", entries.ApiPart)
    app.add_directive("api-index", entries.ApiIndex)
    app.add_directive("terms", glossary.Terms)
    app.add_directive("teaching-overview", teaching.Overview)
    app.add_directive("guide", teaching.Guide)
    app.add_directive("route", teaching.Route)
    app.add_role("chapter", links.chapter_role)
    app.add_role("entry", links.entry_role)
    # Before napoleon turns the sections of a docstring into fields.
    app.connect("autodoc-process-docstring", entries.add_places, priority=400)
    app.connect("autodoc-process-docstring", entries.keep_as_written, priority=600)
    app.connect("autodoc-process-signature", entries.short_signature)
    app.connect("env-get-outdated", _generated_again)
    app.connect("doctree-resolved", links.add_links)
    app.connect("config-inited", _configure)
    app.connect("builder-inited", _add_static_files)
    app.connect("builder-inited", _finish_pages)
    app.connect("html-page-context", _add_scripts)
    app.connect("build-finished", _inline_fonts)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}


def _configure(app: Any, config: Any) -> None:
    config.html_math_renderer = "mathml"
    # The theme reports an error on every page until a default mode is set.
    config.html_context = {**config.html_context, "default_mode": "auto"}
    for name, value in _DOCSTRINGS.items():
        setattr(config, name, value)
    # Jupyter Book has no option for it. This extension doesn't say that it's safe: all it does, it does after reading.
    # Processes are forks, so on Linux alone, as for kernels.
    app.parallel = os.cpu_count() if sys.platform == "linux" else 1
    if numbering := app.extensions.get("sphinx_multitoc_numbering"):
        numbering.parallel_read_safe = True


def _generated_again(app: Any, env: Any, added: set[str], changed: set[str], removed: set[str]) -> list[str]:
    """The pages that tell of all chapters, whenever the set of chapters or one of them has changed."""
    if not added | changed | removed:
        return []
    if glossary.PAGE in added | changed or added | removed:
        return list(env.found_docs)  # which terms and names a page links to may be others now
    return [page for page in env.found_docs if page.startswith(("book/reference/", "book/teaching/"))]


def _add_static_files(app: Any) -> None:
    if app.builder.format != "html":
        return
    import vl_convert as vlc

    folder = Path(app.doctreedir) / "toolkit_static"
    folder.mkdir(parents=True, exist_ok=True)
    for name, package in {**_STYLES, **_SCRIPTS}.items():
        with as_file(files(package).joinpath(name)) as path:
            shutil.copyfile(path, folder / name)
    # The bundle declares top-level names, which would clash with other scripts': hence a function of its own.
    bundle = vlc.javascript_bundle("window.vegaEmbed = vegaEmbed;")
    (folder / "vega.js").write_text(f"(() => {{\n{bundle}\n}})();\n", encoding="utf-8")
    app.config.html_static_path.append(str(folder))
    for name in _STYLES:
        app.add_css_file(name)


def _add_scripts(app: Any, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    body = context.get("body", "")
    if 'class="explore' in body:
        app.add_js_file("vega.js", defer="defer")
        app.add_js_file("explore.js", defer="defer")
    if 'class="exercise"' in body:
        app.add_js_file("exercise.js", defer="defer")


def _finish_pages(app: Any) -> None:
    # Where a page is rendered, so that the processes that write pages share this work too.
    if app.builder.format != "html":
        return
    templates = app.builder.templates
    render = templates.render
    templates.render = lambda template, context: pages.finish(render(template, context))


def _inline_fonts(app: Any, exception: Exception | None) -> None:
    if exception is not None or app.builder.format != "html":
        return
    folder = Path(app.outdir)
    fonts.inline_icons(folder)
    fonts.inline_mathematics(folder, folder / "_static" / "site.css")
