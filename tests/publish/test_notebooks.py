"""A committed notebook is in its normal form, and what isn't is told by cell and rule."""

import nbformat
import pytest

from toolkit.publish.notebooks import main, normal_form, problems


def notebook(*outputs, **metadata):
    cells = [
        nbformat.v4.new_markdown_cell("# Title"),
        nbformat.v4.new_code_cell(
            "1", outputs=list(outputs), execution_count=3, metadata={"trusted": True, **metadata}
        ),
        nbformat.v4.new_code_cell(""),
    ]
    return nbformat.v4.new_notebook(
        cells=cells, metadata={"widgets": {}, "language_info": {"name": "python"}}
    )


RICH = nbformat.v4.new_output(
    "execute_result",
    data={"text/plain": "<A at 0x7f00>", "text/html": "<b>", "image/png": "x"},
    execution_count=3,
)


def test_the_normal_form_keeps_code_prose_and_text_only():
    made = normal_form(notebook(RICH, tags=["kept"]))
    assert problems(made) == []
    assert [cell.source for cell in made.cells] == ["# Title", "1"]
    assert made.cells[1].outputs[0].data == {"text/plain": "<A>"}
    assert made.cells[1].metadata == {"tags": ["kept"]}
    assert made.cells[1].execution_count is None


def test_the_normal_form_of_a_normal_form_is_itself():
    once = normal_form(notebook(RICH))
    assert nbformat.writes(normal_form(once)) == nbformat.writes(once)


@pytest.mark.parametrize(
    ("output", "rule"),
    [
        (RICH, "an output is image/png, text/html; only text is kept"),
        (nbformat.v4.new_output("stream", name="stderr", text="W"), "it wrote to stderr"),
        (
            nbformat.v4.new_output("error", ename="ValueError", evalue="", traceback=[]),
            "it raised ValueError",
        ),
    ],
)
def test_each_breach_is_told_with_its_cell(output, rule):
    told = problems(notebook(output))
    assert f"cell 1: {rule}" in told
    assert "cell 1: it has an execution count" in told
    assert "cell 2: it is empty" in told
    assert "metadata: got language_info, widgets; only the kernelspec is kept" in told


def test_the_command_fails_on_a_breach_and_passes_on_the_normal_form(tmp_path, capsys):
    path = tmp_path / "chapter.ipynb"
    nbformat.write(notebook(RICH), path)
    assert main(["check", str(path)]) == 1
    assert "make outputs" in capsys.readouterr().out
    nbformat.write(normal_form(notebook(RICH)), path)
    assert main(["check", str(path)]) == 0


@pytest.mark.slow
def test_outputs_come_from_running_the_chapter_as_text(tmp_path):
    path = tmp_path / "chapter.ipynb"
    cells = [
        nbformat.v4.new_code_cell("import os\nos.environ['TOOLKIT_RENDER']"),
        nbformat.v4.new_code_cell("print(2)"),
    ]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    assert main(["outputs", str(path)]) == 0
    made = nbformat.read(path, as_version=4)
    assert made.cells[0].outputs[0].data["text/plain"] == "'text'"
    assert made.cells[1].outputs[0].text == "2\n"
    assert main(["check", str(path)]) == 0
