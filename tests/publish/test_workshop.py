"""Student notebooks have no answer and still run; instructors' have all of them; both bring what they need."""

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


def test_an_instructor_s_notebook_has_every_answer_mistake_and_minute():
    chapter = next(each for each in CHAPTERS if each.stem == "sensor_noise")
    told = words(workshop.instructor(source(chapter), chapter), "markdown")
    for folded in (*chapter.solutions, chapter.prediction[1]):
        assert chapter.filled(folded) in told
    for name in chapter.exercises:
        exercise = exercises._find(name)
        assert f"{exercise.expected():.6g}, within" in told
        for _, _, hint in exercise.wrong_answers():
            assert hint in told
    for title, minutes in chapter.section_minutes().items():
        assert not minutes or f"{title} | {minutes}" in told


@each_chapter
def test_both_keep_the_code_that_is_left_in_order(chapter):
    code = [cell.source for cell in source(chapter).cells if cell.cell_type == "code"]
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
        code = "import sys; sys.path.insert(0, sys.argv[1]); from toolkit.exercises import names; import toolkit; print(toolkit.__file__, len(names()))"
        done = subprocess.run(
            [sys.executable, "-I", "-c", code, str(wheel)], capture_output=True, text=True, check=True
        )
        assert done.stdout.startswith(str(wheel))


def test_a_citation_reads_as_authors_and_year():
    cite = workshop.citations(ROOT / "references.bib")
    assert cite("benjamini1995controlling") == "Benjamini and Hochberg 1995"
    assert cite("kohavi2020trustworthy") == "Kohavi et al. 2020"
