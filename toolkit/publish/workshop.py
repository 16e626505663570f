"""Notebooks for a class, from the chapters: a student's without answers, an instructor's with them.

`python -m toolkit.publish.workshop` writes both folders into `_build/workshop`, each with what the
notebooks need to run.
"""

from __future__ import annotations

import argparse
import ast
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import nbformat

from toolkit import exercises
from toolkit.publish.anatomy import Chapter, book
from toolkit.publish.notebooks import KERNEL, write
from toolkit.publish.teaching import answered, discussion, minutes_table, mistakes, prompts

_FOLDED = re.compile(r"<details>\s*<summary>([^<]*)</summary>\s*(.*?)\s*</details>", re.S)
_CITED = re.compile(r"\{cite(?::[a-z]+)?\}`([^`]+)`")
_TO_A_PAGE = re.compile(r"\[([^\]]*)\]\((?!https?:)[^)]*\.md[^)]*\)")
_GLUED = re.compile(r"\{glue:?[a-z]*\}`([^`:]+)[^`]*`")
_CHECK = re.compile(r"\bcheck\(\s*[\"']([^\"']+)[\"']")
# What stands in a student's notebook where the chapter folds an answer.
_ROOM = "*Write your answer here before you go on.*"


def student(notebook: Any, chapter: Chapter, *, cite: Callable[[str], str] = str) -> Any:
    """A chapter as a notebook without answers, solutions, and the code that computes their numbers.

    Parameters
    ----------
    notebook : notebook
        The committed chapter.
    chapter : Chapter
        The same, read.
    cite : callable
        What a citation's key reads like.

    Returns
    -------
    notebook
        Without outputs.
    """

    def unfolded(match: re.Match[str]) -> str:
        return _ROOM if match.group(1) == "Answer" else ""

    made = nbformat.v4.new_notebook(metadata={"kernelspec": KERNEL})
    at_exercises = False
    told = of_solutions(notebook)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            names = _CHECK.findall(cell.source)
            _add_prose(made, _questions(names), chapter, cite)
            source = without_glued(cell.source, told)
            # Among the exercises, any other cell computes a solution's numbers.
            if names or (source and not at_exercises):
                made.cells.append(_code(cell, source))
            continue
        heading = re.findall(r"^## (.*)$", cell.source, re.M)
        at_exercises = heading[-1].startswith("Exercises") if heading else at_exercises
        _add_prose(made, _FOLDED.sub(unfolded, cell.source), chapter, cite)
    return _numbered(made)


def of_solutions(notebook: Any) -> set[str]:
    """The names of glued numbers that stand in folded solutions and nowhere else in a chapter."""
    prose = "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    folded = [match for match in _FOLDED.finditer(prose) if match.group(1) == "Solution"]
    inside = {name for match in folded for name in _GLUED.findall(match.group(2))}
    for match in reversed(folded):
        prose = prose[: match.start()] + prose[match.end() :]
    return inside - set(_GLUED.findall(prose))


def without_glued(source: str, names: set[str]) -> str:
    """Code whose calls of `glue` leave some names out; a call that has no other is left out itself.

    Examples
    --------
    >>> print(without_glued('glue(seen="1", answer=f"{2:.1f}", also="3")', {"answer"}))
    glue(
        seen="1",
        also="3",
    )
    >>> without_glued('x = 2\\nglue(answer="2")', {"answer"})
    'x = 2'
    """
    if not any(f"{name}=" in source for name in names):
        return source
    tree, cuts = ast.parse(source), []
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)):
            continue
        call = node.value
        if not (isinstance(call.func, ast.Name) and call.func.id == "glue"):
            continue
        kept = [each for each in call.keywords if each.arg not in names]
        if len(kept) == len(call.keywords):
            continue
        left = "".join(f"    {ast.get_source_segment(source, each)},\n" for each in kept)
        cuts.append((node.lineno, node.end_lineno or node.lineno, f"glue(\n{left})" if left else ""))
    lines = source.splitlines()
    for first, last, text in sorted(cuts, reverse=True):
        lines[first - 1 : last] = [text] if text else []
    return "\n".join(lines).strip()


def instructor(
    notebook: Any, chapter: Chapter, *, cite: Callable[[str], str] = str, asked: Sequence[str] = ()
) -> Any:
    """A chapter as a notebook with answers and solutions open, minutes, typical mistakes, prompts.

    Parameters
    ----------
    notebook : notebook
        The committed chapter.
    chapter : Chapter
        The same, read.
    cite : callable
        What a citation's key reads like.
    asked : sequence of str
        What the guide asks of it.

    Returns
    -------
    notebook
        Without outputs.
    """
    made = nbformat.v4.new_notebook(metadata={"kernelspec": KERNEL})
    for cell in notebook.cells:
        if cell.cell_type == "code":
            names = _CHECK.findall(cell.source)
            _add_prose(made, _questions(names), chapter, cite)
            made.cells.append(_code(cell, cell.source))
            for name in names:
                minutes = chapter.minutes_of_exercises()[name]
                told = (
                    f"**For the instructor** ({minutes} minutes): {answered(name)} What people say instead:"
                )
                _add_prose(made, f"{told}\n\n{mistakes(name)}", chapter, cite)
        else:
            opened = _FOLDED.sub(lambda match: f"**{match.group(1)}.** {match.group(2)}", cell.source)
            _add_prose(made, opened, chapter, cite)
    prompts = "\n".join(f"- {text}" for text in discussion(chapter, asked))
    notes = f"**For the instructor.**\n\n{minutes_table(chapter)}\n\n**To discuss**\n\n{prompts}"
    _add_prose(made, notes, chapter, cite)
    made.cells.insert(1, made.cells.pop())
    return _numbered(made)


def _questions(names: list[str]) -> str:
    return "\n\n".join(f"**Exercise.** {exercises._find(name).question}" for name in names)


def _code(cell: Any, source: str) -> Any:
    return nbformat.v4.new_code_cell(
        source, metadata={key: value for key, value in cell.metadata.items() if key == "tags"}
    )


def _add_prose(made: Any, markdown: str, chapter: Chapter, cite: Callable[[str], str]) -> None:
    """Add prose that reads well without the site: numbers and citations filled in, links among notebooks alone."""

    def cited(match: re.Match[str]) -> str:
        return f"({'; '.join(cite(key.strip()) for key in match.group(1).split(','))})"

    text = _TO_A_PAGE.sub(r"\1", _CITED.sub(cited, chapter.filled(markdown)))
    text = re.sub(r"\n{3,}", "\n\n", text).strip()
    if text:
        made.cells.append(nbformat.v4.new_markdown_cell(text))


def _numbered(made: Any) -> Any:
    for number, cell in enumerate(made.cells):
        cell.id = f"cell-{number}"
    return made


def citations(path: Path) -> Callable[[str], str]:
    """How a key of a bibliography reads in a notebook: authors and year."""
    from pybtex.database import parse_file

    entries = parse_file(str(path)).entries

    def cite(key: str) -> str:
        people = [" ".join(person.last_names) for person in entries[key].persons.get("author", [])]
        names = f"{people[0]} et al." if len(people) > 2 else " and ".join(people) or key
        return f"{names} {entries[key].fields.get('year', '')}".strip()

    return cite


_README = """# {title}

{chapters} notebooks; begin with [the first](intro.ipynb). {note}

## Before the day

With Python 3.11 to 3.14 (`python3 --version`), in this folder, with a network and 2 GB of disk:

```
python3 -m venv .venv
.venv/bin/python -m pip install --require-hashes -r requirements.txt
.venv/bin/python -m pip install --no-deps {wheel}
.venv/bin/python -m toolkit doctor
```

On Windows write `py` for `python3` and `.venv\\Scripts\\python` for `.venv/bin/python`, here and below. The last line says what is missing, if anything, and the command that mends it.

## On the day

```
.venv/bin/python -m jupyterlab
```

Nothing needs a network any more. Run the cells from the top. At an exercise replace the three dots by a number and run the cell again.

## Where the network is blocked

Somebody with the same system and the same Python fetches the packages beforehand, and hands on the folder with its `wheels`:

```
python3 -m pip download --require-hashes -r requirements.txt -d wheels
```

Then everybody else writes, for the second line above:

```
.venv/bin/python -m pip install --no-index --find-links wheels --require-hashes -r requirements.txt
```

## The notebooks

notebook | minutes | exercises
--- | ---: | ---:
{rows}
"""
_NOTES = {
    "student": "Answers and solutions aren't in them: `check` tells right from wrong, and answers typical mistakes with a hint.",
    "instructor": "Answers and solutions are open here, with minutes, typical mistakes and questions to discuss; keep this folder to yourself.",
}


def write_workshop(root: Path, target: Path, *, wheel: bool = True) -> list[Path]:
    """Write both folders for the chapters under `root`; those of an earlier time are replaced.

    Parameters
    ----------
    root : Path
        The folder of `_toc.yml`, `references.bib` and `requirements.txt`.
    target : Path
        Where `student` and `instructor` are written.
    wheel : bool
        Whether to build the package into them.

    Returns
    -------
    list of Path
        The notebooks written.
    """
    cite = citations(root / "references.bib")
    chapters = book(root)
    with tempfile.TemporaryDirectory() as folder:
        built = build_wheel(root, Path(folder)) if wheel else None
        written = []
        asked = prompts(root)
        for kind in ("student", "instructor"):
            place = target / kind
            shutil.rmtree(place, ignore_errors=True)
            for chapter in chapters:
                source = (root / chapter.docname).with_suffix(".ipynb")
                path = place / source.relative_to(root / "book")
                path.parent.mkdir(parents=True, exist_ok=True)
                whole = nbformat.read(source, as_version=4)
                if kind == "student":
                    write(student(whole, chapter, cite=cite), path)
                else:
                    write(instructor(whole, chapter, cite=cite, asked=asked.get(chapter.stem, ())), path)
                written.append(path)
            shutil.copyfile(root / "requirements.txt", place / "requirements.txt")
            if built:
                shutil.copyfile(built, place / built.name)
            rows = [
                f"[{each.title}]({each.docname.removeprefix('book/')}.ipynb) | {each.minutes} | {each.exercise_minutes}"
                for each in chapters
            ]
            text = _README.format(
                title=f"Improving a machine learning system: {kind} notebooks",
                chapters=len(chapters),
                wheel=built.name if built else "improving_ml_toolkit",
                note=_NOTES[kind],
                rows="\n".join(rows),
            )
            (place / "README.md").write_text(text, encoding="utf-8")
    return written


def build_wheel(root: Path, folder: Path) -> Path:
    """Build the package; from a copy, so that nothing is left beside the sources."""
    copy = folder / "source"
    copy.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copyfile(root / name, copy / name)
    shutil.copytree(root / "toolkit", copy / "toolkit", ignore=shutil.ignore_patterns("__pycache__"))
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*command, "--wheel-dir", str(folder), str(copy)], check=True)
    (built,) = folder.glob("*.whl")
    return built


def main(arguments: list[str] | None = None) -> int:
    """Write the workshop's folders and say where they are."""
    parser = argparse.ArgumentParser(prog="python -m toolkit.publish.workshop", description=__doc__)
    parser.add_argument("--root", type=Path, default=Path(), help="the folder of _config.yml and _toc.yml")
    options = parser.parse_args(arguments)
    root = options.root.resolve()
    target = root / "_build" / "workshop"
    written = write_workshop(root, target)
    print(f"{len(written)} notebooks are written:\n  {target / 'student'}\n  {target / 'instructor'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
