"""Student notebooks have no answer and still run; instructors' have all of them; both bring what they need."""

import ast
import json
import re
import subprocess
import sys

import nbformat
import pytest
from conftest import ROOT

from toolkit import exercises
from toolkit.publish import workshop
from toolkit.publish.anatomy import book
from toolkit.publish.execution import execute
from toolkit.publish.teaching import answered, mistakes, prompts

CHAPTERS = book(ROOT)
each_chapter = pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda chapter: chapter.stem)


def source(chapter):
    return nbformat.read((ROOT / chapter.docname).with_suffix(".ipynb"), as_version=4)


def words(notebook, *kinds):
    return "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type in kinds)


@each_chapter
def test_no_answer_and_no_solution_is_left_to_students(chapter):
    made = workshop.student(source(chapter), chapter)
    text = json.dumps(made)
    assert "<details" not in text
    assert "Solution" not in words(made, "markdown")
    for folded in (*chapter.solutions, chapter.prediction[1]):
        for piece in re.split(r"\{glue:?[a-z]*\}`[^`]*`", folded):
            assert len(piece.strip()) < 20 or piece.strip() not in words(made, "markdown")
    # What computes a solution's numbers is left out: among the exercises each cell asks for an answer.
    at = next(
        place
        for place, cell in enumerate(made.cells)
        if re.search(r"^## Exercises", cell.source, re.M) and cell.cell_type == "markdown"
    )
    for cell in made.cells[at:]:
        assert cell.cell_type != "code" or "check(" in cell.source
    for name in chapter.exercises:
        assert f"**Exercise.** {exercises._find(name).question}" in words(made, "markdown")
    assert all(not cell.get("outputs") for cell in made.cells)
    assert "{glue" not in words(made, "markdown")
    assert "{cite" not in words(made, "markdown")


@each_chapter
def test_no_code_of_a_student_s_computes_a_solution_s_number(chapter):
    """A number that only a solution quotes would be printed under the cell that glues it."""
    made = workshop.student(source(chapter), chapter)
    told = words(made, "code")
    for name in workshop.of_solutions(source(chapter)):
        assert not re.search(rf"\b{name}=", told), name
    for cell in made.cells:
        if cell.cell_type == "code":
            ast.parse(cell.source)
            assert cell.source


@each_chapter
def test_no_answer_is_glued_into_a_student_s_prose_as_such(chapter):
    """To all the digits that an exercise asks for; a number of few digits may be there by chance."""
    made = workshop.student(source(chapter), chapter)
    told = words(made, "markdown")
    for name in chapter.exercises:
        number = re.search(r"\*\*(.*?)\*\*", answered(name)).group(1)
        if len(re.sub(r"[^1-9]", "", number)) > 2 and number not in exercises._find(name).question:
            assert not re.search(rf"(?<![\d.,]){re.escape(number)}(?![\d,]|\.\d)", told), (name, number)


def test_of_solutions_are_the_numbers_that_stand_nowhere_else(tmp_path):
    text = "{glue:text}`seen` and {glue:text}`both`.\n\n<details><summary>Solution</summary>\n\n{glue:text}`only` not {glue:text}`both`\n\n</details>\n\n<details><summary>Answer</summary>\n\n{glue:text}`voted`\n\n</details>"
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(text)])
    assert workshop.of_solutions(notebook) == {"only"}


@pytest.mark.parametrize(
    ("code", "left"),
    [
        ("glue(\n    seen=f'{x:.1f}',\n    only='2',\n)\nx", "glue(\n    seen=f'{x:.1f}',\n)\nx"),
        ("x = 1\nglue(only=f'{x}')", "x = 1"),
        ("glue(only='1')", ""),
        ("other(only='1')", "other(only='1')"),
        ("glue(seen='1', **more)", "glue(seen='1', **more)"),
        ("glue(only='1', **more)", "glue(\n    **more,\n)"),
        ("glue(a='1')\ny = 2\nglue(only='2', b='3')", "glue(a='1')\ny = 2\nglue(\n    b='3',\n)"),
    ],
)
def test_code_without_a_glued_number(code, left):
    assert workshop.without_glued(code, {"only"}) == left


def test_an_instructor_s_notebook_has_every_answer_mistake_and_minute():
    chapter = next(each for each in CHAPTERS if each.stem == "sensor_noise")
    asked = prompts(ROOT)["sensor_noise"]
    told = words(workshop.instructor(source(chapter), chapter, asked=asked), "markdown")
    for question in asked:
        assert question in told
    for folded in (*chapter.solutions, chapter.prediction[1]):
        assert chapter.filled(folded) in told
    for name in chapter.exercises:
        exercise = exercises._find(name)
        assert answered(name) in told
        assert mistakes(name) in told
        for _, _, hint in exercise.wrong_answers():
            assert hint in told
    for title, minutes in chapter.section_minutes().items():
        assert not minutes or f"{title} | {minutes}" in told


@each_chapter
def test_both_keep_the_code_that_is_left_in_order(chapter):
    told = workshop.of_solutions(source(chapter))
    cells = [cell.source for cell in source(chapter).cells if cell.cell_type == "code"]
    code = [workshop.without_glued(each, told) for each in cells]
    left = [
        cell.source for cell in workshop.student(source(chapter), chapter).cells if cell.cell_type == "code"
    ]
    assert left == [each for each in code if each in left]
    assert set(chapter.exercises) == set(re.findall(r'check\("([^"]+)"', "\n".join(left)))


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    target = tmp_path_factory.mktemp("workshop")
    chapters = [each for each in CHAPTERS if each.stem == "sensor_noise"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(workshop, "book", lambda root: chapters)
        written = workshop.write_workshop(ROOT, target)
    assert len(written) == 2
    return target


@pytest.mark.slow
def test_a_student_s_notebook_runs(folders):
    path = folders / "student" / "general" / "sensor_noise.ipynb"
    ran = []
    failed = execute([path], {"TOOLKIT_RENDER": "live"}, lambda path, notebook, _: ran.append(notebook))
    assert not failed
    asked = [cell for cell in ran[0].cells if cell.cell_type == "code" and "check(" in cell.source]
    assert all("Exercise: " in json.dumps(cell.outputs) for cell in asked)


@pytest.mark.slow
def test_each_folder_brings_what_its_notebooks_need(folders):
    for kind in ("student", "instructor"):
        place = folders / kind
        assert (place / "requirements.txt").read_bytes() == (ROOT / "requirements.txt").read_bytes()
        (wheel,) = place.glob("*.whl")
        readme = (place / "README.md").read_text(encoding="utf-8")
        assert wheel.name in readme
        assert "python -m toolkit doctor" in readme
        made = nbformat.read(place / "general" / "sensor_noise.ipynb", as_version=4)
        for question in prompts(ROOT)["sensor_noise"]:
            assert (question in words(made, "markdown")) == (kind == "instructor")
        code = "import sys; sys.path.insert(0, sys.argv[1]); from toolkit.exercises import names; import toolkit; print(toolkit.__file__, len(names()))"
        done = subprocess.run(
            [sys.executable, "-I", "-c", code, str(wheel)], capture_output=True, text=True, check=True
        )
        assert done.stdout.startswith(str(wheel))


def test_a_citation_reads_as_authors_and_year():
    cite = workshop.citations(ROOT / "references.bib")
    assert cite("benjamini1995controlling") == "Benjamini and Hochberg 1995"
    assert cite("kohavi2020trustworthy") == "Kohavi et al. 2020"
