"""The package's parts stand on each other in one direction, and each has its chapter, its tests, its example."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import nbformat
import pytest
from conftest import ROOT

import toolkit
from toolkit.nine_tables import SCHEMA
from toolkit.publish.notebooks import chapters

PACKAGE = ROOT / "toolkit"
SECTIONS = {"intro", "general", "features", "experiments", "tradeoffs", "shipping", "capstone"}
# Each may import from its own line and from those above it.
LAYERS = (
    {"rules", "finding", "nine_tables", "tables", "frames", "auc", "resampling", "attribution", "world"},
    SECTIONS,
    {"charts"},
    {"explore"},
    {"exercises"},
    {"publish"},
    {"doctor", "__main__"},
)
# Who may read the ground truth beside `toolkit.world` and the tests: module or notebook, and why.
MAY_READ_THE_ORACLE: dict[str, str] = {}
# Modules, or functions by module and name, that need no example, and why.
NEED_NO_EXAMPLE = {
    "toolkit.charts": "they return a picture, which no example can show; test_charts draws each",
    "toolkit.exercises.rendering": "it returns what a notebook or a page shows; test_exercises asks for both",
}


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for path in sorted(PACKAGE.rglob("*.py"))}


@cache
def tree_of(name: str) -> ast.Module:
    return ast.parse(MODULES[name].read_text(encoding="utf-8"))


def imported(tree: ast.AST) -> Iterator[str]:
    """The toolkit's modules that a piece of code imports, wherever in it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names if each.name.split(".")[0] == "toolkit")
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "toolkit":
            for each in node.names:
                inner = f"{node.module}.{each.name}"
                yield inner if inner in MODULES else str(node.module)


def at_import(name: str) -> set[str]:
    """What a module imports when it is imported itself: not within functions, not for the type checker."""
    top = [node for node in tree_of(name).body if isinstance(node, ast.Import | ast.ImportFrom)]
    return set(imported(ast.Module(top, [])))


def part_of(name: str) -> str:
    return name.split(".")[1] if "." in name else ""


def layer(name: str) -> int:
    (place,) = [place for place, parts in enumerate(LAYERS) if part_of(name) in parts] or [None]
    assert place is not None, f"{name}: give it a place among LAYERS"
    return place


@pytest.mark.parametrize("name", [name for name in MODULES if name != "toolkit"])
def test_imports_point_one_way(name):
    for other in set(imported(tree_of(name))):
        assert other == "toolkit" or layer(other) <= layer(name), (
            f"{name} imports {other}, which stands on it"
        )


def test_no_module_imports_itself_by_way_of_others():
    def walk(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, " imports ".join((*path, name))
        if name not in done:
            for other in at_import(name) - {name}:
                walk(other, (*path, name))
            done.add(name)

    done: set[str] = set()
    for name in MODULES:
        walk(name, ())


def code_of(notebook: Path) -> ast.Module:
    cells = nbformat.read(notebook, as_version=4).cells
    return ast.parse("\n".join(cell.source for cell in cells if cell.cell_type == "code"))


def test_nothing_that_readers_run_reads_the_ground_truth():
    codes = {name: tree_of(name) for name in MODULES if not name.startswith("toolkit.world")}
    codes |= {str(path.relative_to(ROOT)): code_of(path) for path in chapters(ROOT)}
    readers = {name for name, code in codes.items() if "toolkit.world.oracle" in set(imported(code))}
    assert readers == set(MAY_READ_THE_ORACLE)


def test_the_ground_truth_is_none_of_the_nine_tables():
    assert len(SCHEMA) == 9
    assert "oracle" not in SCHEMA
    assert not {"p", "quality"} & {column for table in SCHEMA.values() for column in table.column}


@pytest.mark.parametrize("notebook", chapters(ROOT), ids=lambda path: path.stem)
def test_each_chapter_has_its_module_its_tests_and_its_exercises(notebook):
    place = notebook.relative_to(ROOT / "book")
    assert (PACKAGE / place).with_suffix(".py").exists()
    assert (ROOT / "tests" / place.parent / f"test_{place.stem}.py").exists()
    assert (PACKAGE / "exercises" / f"{place.stem}.py").exists()


def test_every_chapter_s_exercises_belong_to_a_chapter_of_the_book():
    apart = {"__init__", "rendering"}
    told = {path.stem for path in (PACKAGE / "exercises").glob("*.py")} - apart
    assert told == {path.stem for path in chapters(ROOT)}


def public_functions(name: str) -> list[ast.FunctionDef]:
    return [
        node
        for node in tree_of(name).body
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")
    ]


# What readers call; how demos and pages are made is explained where it's done.
CALLED_BY_READERS = SECTIONS | LAYERS[0] - {"world"} | {"charts", "exercises"}


@pytest.mark.parametrize("name", [name for name in MODULES if part_of(name) in CALLED_BY_READERS])
def test_every_public_function_has_a_docstring_with_an_example(name):
    for function in public_functions(name):
        text = ast.get_docstring(function) or ""
        assert text, f"{name}.{function.name} has no docstring"
        excused = {name, f"{name}.{function.name}"} & set(NEED_NO_EXAMPLE)
        assert ">>>" in text or excused, f"{name}.{function.name} has no example"


def test_the_package_names_all_its_parts_and_imports_none_of_them():
    code = "import sys; before = set(sys.modules); import toolkit, json; print(json.dumps(sorted(set(sys.modules) - before)))"
    told = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = json.loads(told.stdout)
    assert [name for name in loaded if name.startswith("toolkit")] == ["toolkit"]
    assert not {name.split(".")[0] for name in loaded} & {
        "numpy",
        "pandas",
        "altair",
        "scipy",
        "sklearn",
        "duckdb",
    }
    assert len(loaded) < 30, loaded
    parts = {path.stem for path in PACKAGE.glob("*.py")} | {
        path.parent.name for path in PACKAGE.glob("*/__init__.py")
    }
    parts -= {"__init__", "__main__"}
    assert set(toolkit._SUBMODULES) == parts
    for part in parts:
        assert getattr(toolkit, part).__name__ == f"toolkit.{part}"


def test_the_readme_s_tree_names_every_part_of_the_package():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for part in toolkit._SUBMODULES:
        file = f"{part}.py" if (PACKAGE / f"{part}.py").exists() else f"{part}/"
        assert f"  {file} " in readme, f"{file} isn't in the README's tree"
