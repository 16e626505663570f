"""What does a committed chapter hold: code, prose and text outputs, nothing that changes by itself.

`python -m toolkit.publish.notebooks outputs` executes chapters and rewrites them to this normal
form; `check` names what isn't in it; `reference` writes the copies in _build/reference that nbval compares.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import yaml

from toolkit.explore.mode import VARIABLE
from toolkit.publish.execution import execute

KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}
_CELL_METADATA = {"tags"}
_ADDRESS = re.compile(r" at 0x[0-9a-f]+")


def pages(root: Path, suffix: str) -> list[Path]:
    """The files with an ending that the table of contents under `root` names, in its order, sections included."""
    contents = yaml.safe_load((root / "_toc.yml").read_text(encoding="utf-8"))
    paths = [(root / name).with_suffix(suffix) for name in [contents["root"], *_files(contents)]]
    return [path for path in paths if path.exists()]


def chapters(root: Path) -> list[Path]:
    """The notebooks of the book, in the order of its table of contents."""
    return pages(root, ".ipynb")


def _files(entry: dict[str, Any]) -> Iterator[str]:
    for inner in (*entry.get("parts", []), *entry.get("chapters", []), *entry.get("sections", [])):
        if "file" in inner:
            yield inner["file"]
        yield from _files(inner)


def chapter_demos(path: Path) -> list[Any]:
    """Run a chapter's code as plain Python, in its folder, and return the demos that it defines."""
    import linecache

    from toolkit.explore import Demo

    names: dict[str, Any] = {"__name__": "__main__"}
    before = Path.cwd()
    os.chdir(path.parent)
    try:
        for place, cell in enumerate(nbformat.read(path, as_version=4).cells):
            if cell.cell_type == "code":
                file = f"{path}#{place}"
                # Registered as source, so that errors and digests of a demo's code find their lines; ending
                # in a new line as in a kernel, or the digests would differ.
                source = cell.source + "\n"
                linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
                exec(compile(source, file, "exec"), names)
    finally:
        os.chdir(before)
    return [value for value in names.values() if isinstance(value, Demo)]


def normal_form(notebook: Any) -> Any:
    """A notebook without what changes from run to run: counts, ids, widget state, rich outputs."""
    made = nbformat.v4.new_notebook(metadata={"kernelspec": KERNEL})
    for number, cell in enumerate(notebook.cells):
        if not cell.source.strip():
            continue
        kind = cell.cell_type
        new = {"code": nbformat.v4.new_code_cell, "markdown": nbformat.v4.new_markdown_cell}[kind](
            cell.source
        )
        new.id = f"cell-{number}"
        new.metadata = {key: value for key, value in cell.metadata.items() if key in _CELL_METADATA}
        if kind == "code":
            new.outputs = _outputs(cell.outputs)
        made.cells.append(new)
    return made


def problems(notebook: Any) -> list[str]:
    """What in a notebook isn't in the normal form, each with its cell and rule."""
    found = []
    extra = set(notebook.metadata) - {"kernelspec"}
    if extra:
        found.append(f"metadata: got {', '.join(sorted(extra))}; only the kernelspec is kept")
    for number, cell in enumerate(notebook.cells):
        place = f"cell {number}"
        if not cell.source.strip():
            found.append(f"{place}: it is empty")
        if cell.get("id") != f"cell-{number}":
            found.append(f"{place}: its id is {cell.get('id')!r}; it must be 'cell-{number}'")
        if set(cell.metadata) - _CELL_METADATA:
            found.append(
                f"{place}: metadata {sorted(set(cell.metadata) - _CELL_METADATA)}; only tags are kept"
            )
        if cell.cell_type != "code":
            continue
        if cell.execution_count is not None:
            found.append(f"{place}: it has an execution count")
        for output in cell.outputs:
            if output.output_type == "error":
                found.append(f"{place}: it raised {output.ename}")
            elif output.output_type == "stream" and output.name == "stderr":
                found.append(f"{place}: it wrote to stderr")
            rich = set(output.get("data", {})) - {"text/plain"}
            if rich:
                found.append(f"{place}: an output is {', '.join(sorted(rich))}; only text is kept")
            if output.get("execution_count") is not None or output.get("metadata"):
                found.append(f"{place}: an output has a count or metadata")
    return found


def write_reference(path: Path, folder: Path) -> Path:
    """A copy of a chapter whose code cells are numbered: nbval takes cells without a count for never run."""
    notebook = nbformat.read(path, as_version=4)
    for number, cell in enumerate((cell for cell in notebook.cells if cell.cell_type == "code"), start=1):
        cell.execution_count = number
        for output in cell.outputs:
            if output.output_type == "execute_result":
                output.execution_count = number
    target = folder / path
    target.parent.mkdir(parents=True, exist_ok=True)
    write(notebook, target)
    return target


def write(notebook: Any, path: Path) -> None:
    """Write a notebook the way it's committed: one file form on every machine."""
    nbformat.validate(notebook)
    path.write_text(nbformat.writes(notebook, version=4).rstrip("\n") + "\n", encoding="utf-8")


def main(arguments: list[str] | None = None) -> int:
    """Rewrite or check the named notebooks, or all chapters of the table of contents."""
    parser = argparse.ArgumentParser(prog="python -m toolkit.publish.notebooks", description=__doc__)
    parser.add_argument("command", choices=["outputs", "check", "reference"])
    parser.add_argument("paths", nargs="*", type=Path)
    options = parser.parse_args(arguments)
    paths = options.paths or chapters(Path())
    if options.command == "outputs":
        return _rewrite(paths)
    if options.command == "reference":
        shutil.rmtree("_build/reference", ignore_errors=True)
    failed = False
    for path in paths:
        if options.command == "reference":
            print(write_reference(path, Path("_build/reference")))
            continue
        told = problems(nbformat.read(path, as_version=4))
        failed |= bool(told)
        for line in told:
            print(f"{path}: {line}")
    if failed:
        print("Run `make outputs` to rewrite them.")
    return int(failed)


def _rewrite(paths: list[Path]) -> int:
    """Execute chapters in `text` mode and write their outputs; those that raise stay as they were."""

    def done(path: Path, notebook: Any, seconds: float) -> None:
        write(normal_form(notebook), path)
        print(f"{path}: executed in {seconds:.0f} s, outputs rewritten", flush=True)

    failed = execute(paths, {VARIABLE: "text"}, done)
    for path, error in failed.items():
        print(f"{path}: {error}")
    return int(bool(failed))


def _outputs(outputs: list[Any]) -> list[Any]:
    kept: list[Any] = []
    for output in outputs:
        if output.output_type == "stream":
            if kept and kept[-1].output_type == "stream" and kept[-1].name == output.name:
                kept[-1].text += output.text
            else:
                kept.append(nbformat.v4.new_output("stream", name=output.name, text=output.text))
        elif output.output_type in ("display_data", "execute_result") and "text/plain" in output.data:
            text = _ADDRESS.sub("", output.data["text/plain"])
            count = {"execution_count": None} if output.output_type == "execute_result" else {}
            kept.append(nbformat.v4.new_output(output.output_type, data={"text/plain": text}, **count))
        elif output.output_type == "error":
            kept.append(output)
    return kept


if __name__ == "__main__":
    sys.exit(main())
