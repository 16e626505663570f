"""Chapters that run side by side: each in its folder, and one that raises stops no other."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import nbformat

from toolkit.publish.execution import execute


def notebook(path, source):
    path.parent.mkdir(parents=True, exist_ok=True)
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    cells = [nbformat.v4.new_code_cell(source)]
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel}), path)
    return path


def test_each_runs_in_its_own_folder_and_one_that_raises_stops_no_other(tmp_path):
    told = "import os; print(os.path.basename(os.getcwd()), os.environ['GREETING'])"
    good = [notebook(tmp_path / name / "chapter.ipynb", told) for name in ("one", "two")]
    bad = notebook(tmp_path / "three" / "chapter.ipynb", "raise ValueError('no such table')")
    done = {}
    failed = execute(
        [good[0], bad, good[1]], {"GREETING": "hello"}, lambda path, made, _: done.update({path: made})
    )
    assert list(failed) == [bad]
    assert "no such table" in str(failed[bad])
    assert [done[path].cells[0].outputs[0].text for path in good] == ["one hello\n", "two hello\n"]


def test_it_may_be_called_where_an_event_loop_is_running(tmp_path):
    path, told = notebook(tmp_path / "chapter.ipynb", "1"), []

    async def caller():
        return execute([path], {}, lambda path, *_: told.append(path))

    # In a thread of its own: a browser test in the same worker leaves a loop running in this one.
    with ThreadPoolExecutor(1) as other:
        assert other.submit(lambda: asyncio.run(caller())).result() == {}
    assert told == [path]
