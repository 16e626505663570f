"""A chapter's sections, minutes, prediction, exercises and imports are those of its notebook."""

import nbformat
import pytest
from conftest import ROOT

from toolkit import exercises
from toolkit.publish.anatomy import book, divided, read_chapter

CHAPTERS = book(ROOT)
each_chapter = pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda chapter: chapter.stem)
PROSE = """# Is it so?

*After this chapter you can tell. 10 minutes, exercises 5.*

On Monday {glue:text}`users` users came.

**Predict:** how many on Tuesday?

<details><summary>Answer</summary>

Fewer.

</details>

```
# no heading
```

## Why

Because of `asof_join`."""


@pytest.fixture
def chapter(tmp_path):
    code = nbformat.v4.new_code_cell(
        'from toolkit.features.asof import asof_join as join\nglue(users="1,234")\ncheck("a/b", ...)',
        outputs=[nbformat.v4.new_output("stream", name="stdout", text="users = 1,234\n")],
    )
    cells = [nbformat.v4.new_markdown_cell(PROSE), code]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "x.ipynb")
    return read_chapter(tmp_path / "x.ipynb", "book/general/x")


def test_a_chapter_is_read_by_its_headings(chapter):
    assert [(part.title, part.level) for part in chapter.sections] == [("Is it so?", 1), ("Why", 2)]
    assert (chapter.part, chapter.stem, chapter.title) == ("general", "x", "Is it so?")
    assert (chapter.minutes, chapter.exercise_minutes) == (10, 5)
    assert chapter.objective == "After this chapter you can tell."
    question, answer = chapter.prediction
    assert question.startswith("On Monday")
    assert question.endswith("on Tuesday?")
    assert answer == "Fewer."
    assert chapter.exercises == ["a/b"]
    assert chapter.imports == {"join": ("toolkit.features.asof", "asof_join")}
    assert chapter.filled("{glue:text}`users` users") == "1,234 users"


def test_an_unknown_heading_is_refused(chapter):
    with pytest.raises(ValueError, match=r"title: got 'How'; book/general/x has Is it so\?; Why"):
        chapter.section("How")


@pytest.mark.parametrize(("total", "weights"), [(7, [1, 2, 3]), (0, [1]), (25, [0.1] * 9), (3, [1, 0, 0, 5])])
def test_divided_minutes_sum_to_the_whole_and_are_off_by_less_than_one(total, weights):
    parts = divided(total, weights)
    assert sum(parts) == total
    exact = [total * weight / sum(weights) for weight in weights]
    assert all(abs(part - value) < 1 for part, value in zip(parts, exact, strict=True))


@each_chapter
def test_minutes_of_sections_and_exercises_sum_to_the_chapter_s(chapter):
    assert sum(chapter.section_minutes().values()) == chapter.minutes > 0
    assert sum(chapter.minutes_of_exercises().values()) == chapter.exercise_minutes > 0


@each_chapter
def test_a_chapter_has_a_prediction_with_its_answer_an_objective_and_known_exercises(chapter):
    assert all(chapter.prediction)
    assert chapter.objective
    assert chapter.exercises
    assert len(chapter.exercises) == len(chapter.solutions)
    assert set(chapter.exercises) <= set(exercises.names())
